//! The metadata server: the service account of the machine or, by Workload Identity Federation for GKE, of the pod ("About
//! VM metadata" and "Authenticate to Google Cloud APIs from GKE workloads" of Google's documentation).
//!
//! It is reached by plain HTTP at an address of this machine's own link, and proves by a header that it is one.

use std::fmt;
use std::time::Duration;

use async_trait::async_trait;
use chalk_deploy_core::credentials::{BearerToken, Lent};
use chalk_deploy_core::runtime::RuntimeExt as _;
use chalk_deploy_core::{Error, ErrorCode, Result, text};
use http::{HeaderName, HeaderValue, StatusCode};
use url::Url;

use super::chain::Link;
use super::{Exchange, SCOPE};
use crate::builder::MetadataHost;

/// The header without which nothing is answered, and which every answer has ("Metadata-Flavor" there).
const FLAVOR: HeaderName = HeaderName::from_static("metadata-flavor");
const GOOGLE: HeaderValue = HeaderValue::from_static("Google");
/// The server is on the same machine; whoever waits longer waits for a network that drops packets.
const PATIENCE: Duration = Duration::from_secs(10);

/// The service account of the machine or of the pod.
pub(crate) struct MetadataServer {
    host: MetadataHost,
    exchange: Exchange,
}

impl MetadataServer {
    pub(crate) const fn new(host: MetadataHost, exchange: Exchange) -> Self {
        Self { host, exchange }
    }

    fn address(&self, subject: &str) -> Result<Url> {
        let address =
            format!("http://{}/computeMetadata/v1/instance/service-accounts/default/token", self.host.authority);
        let mut url = Url::parse(&address)
            .map_err(|error| Error::new(ErrorCode::ValueInvalid, "this is no host").on(subject).caused_by(error))?;
        // Those of the machine, unless others were asked for.
        if self.exchange.scopes() != [SCOPE] {
            url.query_pairs_mut().append_pair("scopes", &self.exchange.scopes().join(","));
        }
        Ok(url)
    }

    /// Nobody who is one answers: no credentials, unless somebody has said that one is there.
    fn absent(&self, error: Error) -> Result<Option<Lent<BearerToken>>> {
        if self.host.is_named {
            Err(error
                .with_hint("correct GCE_METADATA_HOST, or unset it; a new pod of GKE has to wait for a few seconds"))
        } else {
            Ok(None)
        }
    }
}

#[async_trait]
impl Link for MetadataServer {
    fn name(&self) -> String {
        if self.host.is_named {
            format!("the metadata server at {}", text::line(self.host.authority.as_str(), 100))
        } else {
            "the metadata server".to_owned()
        }
    }

    async fn lend(&self) -> Result<Option<Lent<BearerToken>>> {
        let subject = self.name();
        let error = |code, message: &str| Error::new(code, message).on(&subject);
        let url = self.address(&subject)?;
        let flavor = [(FLAVOR, GOOGLE)];
        let asked = self.exchange.get(&url, &flavor, &subject);
        let (parts, body) = match self.exchange.runtime().within(PATIENCE, asked).await {
            Some(Ok(answer)) => answer,
            // A transport that was given may not ask anybody in the clear: that says nothing of who is there.
            Some(Err(error)) if error.code() == ErrorCode::RequestInvalid => {
                return Err(error.with_hint(format!(
                    "allow plain http to {} in the transport that was given, or give credentials too",
                    self.host.authority.host()
                )));
            }
            Some(Err(error)) => return self.absent(error),
            None => return self.absent(error(ErrorCode::CloudUnavailable, "it does not answer")),
        };
        if parts.headers.get(FLAVOR) != Some(&GOOGLE) {
            // Networks exist in which every name has an address.
            return self.absent(error(ErrorCode::CloudAnswerInvalid, "what answers there is no metadata server"));
        }
        if parts.status.is_success() {
            return self.exchange.granted(&body, &subject).map(Some);
        }
        let said = text::line(&String::from_utf8_lossy(body.get(..4096).unwrap_or(&body)), 300);
        let message = format!("it answers with {} {said}", parts.status.as_u16());
        let message = message.trim_end();
        match parts.status {
            // No service account is attached.
            StatusCode::NOT_FOUND => self.absent(error(ErrorCode::PermissionDenied, message)),
            status if status.is_server_error() || status == StatusCode::TOO_MANY_REQUESTS => {
                Err(error(ErrorCode::CloudUnavailable, message))
            }
            _ => Err(error(ErrorCode::PermissionDenied, message).with_hint(
                "attach a service account to the machine, or let the pod's act as its own \
                 (roles/iam.workloadIdentityUser)",
            )),
        }
    }
}

impl fmt::Debug for MetadataServer {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.name())
    }
}
