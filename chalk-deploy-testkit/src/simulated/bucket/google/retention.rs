//! The retention of single objects ("Object Retention Lock") and temporary holds ("Object holds").

use chalk_deploy_core::cloud::RetentionMode;
use chalk_deploy_core::model::Timestamp;
use http::StatusCode;
use serde_json::{Value, json};

use super::error::GoogleError;
use super::{Answer, Call, GoogleBucketServer};
use crate::simulated::bucket::moment::of_signature;
use crate::simulated::bucket::store::Lock;
use crate::simulated::http::json as document;

impl GoogleBucketServer {
    /// Changes how an object is kept. Other fields cannot be changed here.
    pub(super) fn patch(&self, bucket: &str, name: &str, call: &Call) -> Answer {
        let object = self.found(bucket, name)?;
        call.meets(Some(&object))?;
        let change = call.json()?;
        let fields = change.as_object().ok_or_else(GoogleError::parse)?;
        if fields.keys().any(|field| !matches!(field.as_str(), "retention" | "temporaryHold")) {
            return Err(GoogleError::not_implemented());
        }
        let now = self.runtime.now();
        let overrides = call.query("overrideUnlockedRetention") == Some("true");
        if fields.contains_key("retention") && !self.retains(bucket)? {
            return Err(GoogleError::invalid("Object retention is not enabled on the bucket."));
        }
        self.store.change_lock(bucket, name, |lock| {
            if let Some(held) = fields.get("temporaryHold") {
                lock.held = Some(held.as_bool().ok_or_else(GoogleError::parse)?);
            }
            if let Some(retention) = fields.get("retention") {
                retain(lock, read(retention)?, overrides, now)?;
            }
            Ok::<_, GoogleError>(())
        })?;
        Ok(document(StatusCode::OK, &self.described(bucket, name, &object)?))
    }

    /// Adds to a resource how its object is kept.
    pub(super) fn describe_lock(&self, bucket: &str, name: &str, resource: &mut Value) -> Result<(), GoogleError> {
        let lock = self.store.lock(bucket, name)?;
        if let Some((until, mode)) = lock.until {
            let mode = match mode {
                RetentionMode::Governance => "Unlocked",
                RetentionMode::Compliance => "Locked",
            };
            resource["retention"] = json!({"mode": mode, "retainUntilTime": until.to_string()});
        }
        if lock.held == Some(true) {
            resource["temporaryHold"] = json!(true);
        }
        Ok(())
    }

    /// Whether what is at a name may go, or be written over.
    pub(super) fn may_go(&self, bucket: &str, name: &str) -> Result<(), GoogleError> {
        let lock = self.store.lock(bucket, name)?;
        if lock.held == Some(true) {
            return Err(GoogleError::kept(
                "objectUnderActiveHold",
                format!("Object '{bucket}/{name}' is under active hold."),
            ));
        }
        match lock.until {
            Some((until, _)) if until > self.runtime.now() => {
                let message = format!("Object '{bucket}/{name}' is subject to object retention until {until}.");
                Err(GoogleError::kept("retentionPolicyNotMet", message))
            }
            _ => Ok(()),
        }
    }
}

/// A retention, or none for `null`.
fn read(retention: &Value) -> Result<Option<(Timestamp, RetentionMode)>, GoogleError> {
    if retention.is_null() {
        return Ok(None);
    }
    let mode = match retention["mode"].as_str() {
        Some("Unlocked") => RetentionMode::Governance,
        Some("Locked") => RetentionMode::Compliance,
        _ => return Err(GoogleError::invalid("Invalid retention mode")),
    };
    let until = retention["retainUntilTime"].as_str().unwrap_or_default();
    let whole = until.split(['.', 'Z']).next().unwrap_or_default().replace(['-', ':'], "");
    let until = of_signature(&format!("{whole}Z")).ok_or_else(|| GoogleError::invalid("Invalid retainUntilTime"))?;
    Ok(Some((until, mode)))
}

/// What is locked is never shortened, and what is not only by who says so.
fn retain(
    lock: &mut Lock,
    wanted: Option<(Timestamp, RetentionMode)>,
    overrides: bool,
    now: Timestamp,
) -> Result<(), GoogleError> {
    if let Some((kept, firmly)) = lock.until.filter(|(until, _)| *until > now) {
        let is_longer = wanted.is_some_and(|(until, mode)| until >= kept && mode >= firmly);
        if !(is_longer || overrides && firmly == RetentionMode::Governance) {
            return Err(GoogleError::kept("retentionPolicyNotMet", "The retention of the object cannot be shortened."));
        }
    }
    if wanted.is_some_and(|(until, _)| until <= now) {
        return Err(GoogleError::invalid("The retain-until time must be in the future."));
    }
    lock.until = wanted;
    Ok(())
}
