//! Immutability of single blobs ("Set Blob Immutability Policy", "Set Blob Legal Hold" and "Get Blob Properties" of Azure's
//! REST reference). The container must have version-level immutability.

use async_trait::async_trait;
use http::{HeaderMap, HeaderValue, Method, Request, StatusCode};
use object_store::Error as StoreError;

use super::connector::Connector;
use super::signature::http_date;
use crate::bucket::encoding::encoded;
use crate::bucket::moment;
use crate::bucket::retention::Locks;
use crate::cloud::{Retention, RetentionMode};
use crate::model::{ObjectKey, Timestamp};
use crate::transport::RequestBody;
use crate::{Error, ErrorCode};

const UNTIL: &str = "x-ms-immutability-policy-until-date";
const MODE: &str = "x-ms-immutability-policy-mode";
const HOLD: &str = "x-ms-legal-hold";

/// The locks of one container's blobs.
#[derive(Debug)]
pub(super) struct AzureLocks {
    connector: Connector,
    /// The container's address.
    base: String,
}

impl AzureLocks {
    pub(super) const fn new(connector: Connector, base: String) -> Self {
        Self { connector, base }
    }

    async fn send(
        &self,
        method: Method,
        key: &ObjectKey,
        query: &str,
        headers: &[(&'static str, String)],
    ) -> object_store::Result<HeaderMap> {
        let address = format!("{}/{}{query}", self.base, encoded(key.as_str(), true));
        let mut request = Request::builder().method(method).uri(address);
        for (name, value) in headers {
            request = request.header(*name, value);
        }
        let (parts, ()) = request.body(()).map_err(broken)?.into_parts();
        let response = self.connector.exchange(parts, RequestBody::Empty).await.map_err(broken)?;
        match response.status() {
            status if status.is_success() => Ok(response.into_parts().0.headers),
            StatusCode::NOT_FOUND => {
                Err(StoreError::NotFound { path: key.to_string(), source: "there is no such blob".into() })
            }
            _ => {
                Err(broken(Error::new(ErrorCode::CloudAnswerInvalid, "the server answered with something unexpected")))
            }
        }
    }
}

#[async_trait]
impl Locks for AzureLocks {
    async fn read(&self, key: &ObjectKey) -> object_store::Result<Retention> {
        let headers = self.send(Method::HEAD, key, "", &[]).await?;
        let text = |name: &str| headers.get(name).and_then(|value: &HeaderValue| value.to_str().ok());
        let until = match (text(UNTIL), text(MODE).map(str::to_lowercase)) {
            (Some(until), Some(mode)) => {
                let mode = match mode.as_str() {
                    "unlocked" => Some(RetentionMode::Governance),
                    "locked" => Some(RetentionMode::Compliance),
                    _ => None,
                };
                let until = moment::read_http(until).zip(mode);
                let malformed =
                    || Error::new(ErrorCode::CloudAnswerInvalid, "the server names a retention that is none");
                Some(until.ok_or_else(|| broken(malformed()))?)
            }
            _ => None,
        };
        Ok(Retention { until, held: text(HOLD) == Some("true") })
    }

    async fn keep(&self, key: &ObjectKey, until: Timestamp, mode: RetentionMode) -> object_store::Result<()> {
        let mode = match mode {
            RetentionMode::Governance => "unlocked",
            RetentionMode::Compliance => "locked",
        };
        let headers = [(UNTIL, http_date(until)), (MODE, mode.to_owned())];
        self.send(Method::PUT, key, "?comp=immutabilityPolicies", &headers).await.map(drop)
    }

    async fn hold(&self, key: &ObjectKey, held: bool) -> object_store::Result<()> {
        self.send(Method::PUT, key, "?comp=legalhold", &[(HOLD, held.to_string())]).await.map(drop)
    }
}

fn broken(cause: impl std::error::Error + Send + Sync + 'static) -> StoreError {
    StoreError::Generic { store: "Azure", source: Box::new(cause) }
}
