//! Retention of single objects and temporary holds ("Object Retention Lock" and "Object holds" of Google's documentation).

use std::sync::Arc;

use async_trait::async_trait;
use http::Method;
use http::header::{CONTENT_TYPE, HeaderMap, HeaderValue};
use object_store::path::Path;
use serde::Deserialize;
use serde_json::{Value, json};

use super::client::{About, Client, document, malformed};
use crate::bucket::moment;
use crate::bucket::retention::Locks;
use crate::cloud::{Retention, RetentionMode};
use crate::model::{ObjectKey, Timestamp};

/// The locks of one bucket's objects.
#[derive(Debug)]
pub(super) struct GcsLocks {
    client: Arc<Client>,
}

impl GcsLocks {
    pub(super) const fn new(client: Arc<Client>) -> Self {
        Self { client }
    }

    async fn patch(&self, key: &ObjectKey, change: &Value) -> object_store::Result<()> {
        let path = Path::parse(key.as_str())?;
        let mut headers = HeaderMap::new();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json; charset=UTF-8"));
        let address = format!("{}?fields=name", self.client.object(&path));
        let response = self.client.send(Method::PATCH, &address, headers, change.to_string().into()).await?;
        self.client.successful(response, About::Object(&path)).await.map(drop)
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Kept {
    retention: Option<Until>,
    #[serde(default)]
    temporary_hold: bool,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Until {
    mode: String,
    retain_until_time: String,
}

#[async_trait]
impl Locks for GcsLocks {
    async fn read(&self, key: &ObjectKey) -> object_store::Result<Retention> {
        let path = Path::parse(key.as_str())?;
        let address = format!("{}?fields=retention,temporaryHold", self.client.object(&path));
        let response = self.client.send(Method::GET, &address, HeaderMap::new(), bytes::Bytes::new()).await?;
        let kept: Kept = document(self.client.successful(response, About::Object(&path)).await?).await?;
        let until = match kept.retention {
            None => None,
            Some(Until { mode, retain_until_time }) => {
                let mode = match mode.as_str() {
                    "Unlocked" => Some(RetentionMode::Governance),
                    "Locked" => Some(RetentionMode::Compliance),
                    _ => None,
                };
                let until = moment::read(&retain_until_time).zip(mode);
                Some(until.ok_or_else(|| malformed("the server names a retention that is none"))?)
            }
        };
        Ok(Retention { until, held: kept.temporary_hold })
    }

    async fn keep(&self, key: &ObjectKey, until: Timestamp, mode: RetentionMode) -> object_store::Result<()> {
        let mode = match mode {
            RetentionMode::Governance => "Unlocked",
            RetentionMode::Compliance => "Locked",
        };
        let change = json!({"retention": {"mode": mode, "retainUntilTime": moment::in_seconds(until)}});
        self.patch(key, &change).await
    }

    async fn hold(&self, key: &ObjectKey, held: bool) -> object_store::Result<()> {
        self.patch(key, &json!({"temporaryHold": held})).await
    }
}
