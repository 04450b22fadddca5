//! Buckets as resources of the JSON API: made, read, listed by their project, and changed by merge patches (RFC 7396)
//! under a precondition on their metageneration.
//!
//! A server is one project: what it keeps is its own, and no other has a bucket. Settings are kept as they were given, and
//! do nothing, but for the retention of single objects: a bucket can do it only if it was made with it.

use chalk_deploy_core::model::Timestamp;
use http::StatusCode;
use serde_json::{Map, Value, json};

use super::error::GoogleError;
use super::{Answer, Call, GoogleBucketServer};
use crate::simulated::bucket::request::is_bucket;
use crate::simulated::http::json as document;

impl GoogleBucketServer {
    pub(super) fn make_bucket(&self, call: &Call) -> Answer {
        if call.query("project").is_none_or(str::is_empty) {
            return Err(GoogleError::invalid("Required parameter: project"));
        }
        let mut bucket = call.json()?;
        let name = bucket["name"].as_str().unwrap_or_default().to_owned();
        if !is_bucket(&name) {
            return Err(GoogleError::invalid(format!("Invalid bucket name: '{name}'")));
        }
        if call.query("enableObjectRetention") == Some("true") {
            bucket["objectRetention"] = json!({"mode": "Enabled"});
        }
        let made = described(&name, bucket, self.runtime.now());
        if !self.store.make_resource(&name, &made, self.runtime.now())? {
            return Err(GoogleError::taken());
        }
        Ok(document(StatusCode::OK, &made))
    }

    pub(super) fn bucket(&self, name: &str) -> Answer {
        self.has(name)?;
        Ok(document(StatusCode::OK, &self.bucket_resource(name)?))
    }

    pub(super) fn buckets(&self, call: &Call) -> Answer {
        let prefix = call.query("prefix").unwrap_or_default();
        let mut items = Vec::new();
        for (name, _) in self.store.buckets()? {
            if name.starts_with(prefix) {
                items.push(self.bucket_resource(&name)?);
            }
        }
        let mut page = json!({"kind": "storage#buckets"});
        if !items.is_empty() {
            page["items"] = Value::Array(items);
        }
        Ok(document(StatusCode::OK, &page))
    }

    pub(super) fn change_bucket(&self, name: &str, call: &Call) -> Answer {
        self.has(name)?;
        let patch = call.json()?;
        let fields = patch.as_object().ok_or_else(GoogleError::parse)?;
        if ["name", "location", "objectRetention"].iter().any(|field| fields.contains_key(*field)) {
            return Err(GoogleError::invalid("The field cannot be changed."));
        }
        let asked = call.query("ifMetagenerationMatch");
        let unchanged = self.bucket_resource(name)?;
        let changed = self.store.change_resource(name, unchanged, |bucket| {
            let metageneration = bucket["metageneration"].as_str().unwrap_or_default().to_owned();
            if asked.is_some_and(|asked| asked != metageneration) {
                return Err(GoogleError::condition());
            }
            merge(bucket, &patch);
            bucket["metageneration"] = json!((metageneration.parse::<u64>().unwrap_or(0) + 1).to_string());
            bucket["updated"] = json!(self.runtime.now().to_string());
            Ok(())
        })?;
        Ok(document(StatusCode::OK, &changed))
    }

    /// Whether single objects of a bucket can be retained.
    pub(super) fn retains(&self, bucket: &str) -> Result<bool, GoogleError> {
        Ok(self.bucket_resource(bucket)?["objectRetention"]["mode"] == "Enabled")
    }

    fn bucket_resource(&self, name: &str) -> Result<Value, GoogleError> {
        if let Some(resource) = self.store.resource(name)? {
            return Ok(resource);
        }
        // One that was there from the beginning.
        let mut bucket = json!({});
        if self.settings.object_retention {
            bucket["objectRetention"] = json!({"mode": "Enabled"});
        }
        Ok(described(name, bucket, Timestamp::from_millis(0)))
    }
}

/// A bucket as Google describes it: what it was made with, in capitals where Google has capitals, and what follows.
fn described(name: &str, mut bucket: Value, now: Timestamp) -> Value {
    let location = bucket["location"].as_str().unwrap_or("US").to_ascii_uppercase();
    for (field, value) in [
        ("kind", json!("storage#bucket")),
        ("id", json!(name)),
        ("name", json!(name)),
        ("location", json!(location)),
        ("metageneration", json!("1")),
        ("timeCreated", json!(now.to_string())),
        ("updated", json!(now.to_string())),
    ] {
        bucket[field] = value;
    }
    bucket
}

/// RFC 7396, section 2, as a loop over what is left to merge.
fn merge(target: &mut Value, patch: &Value) {
    let mut left = vec![(target, patch)];
    while let Some((target, patch)) = left.pop() {
        let Value::Object(fields) = patch else {
            target.clone_from(patch);
            continue;
        };
        if !target.is_object() {
            *target = Value::Object(Map::new());
        }
        let Value::Object(found) = target else { continue };
        for (name, value) in fields {
            if value.is_null() {
                found.remove(name);
            } else if !found.contains_key(name) {
                found.insert(name.clone(), Value::Null);
            }
        }
        let changed = found.iter_mut().filter_map(|(name, target)| Some((target, fields.get(name)?)));
        left.extend(changed.filter(|(_, patch)| !patch.is_null()));
    }
}
