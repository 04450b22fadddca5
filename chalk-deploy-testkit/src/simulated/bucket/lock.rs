//! Object Lock ("Using S3 Object Lock" of the user guide): retention and legal holds of single objects.
//!
//! There are no versions here, so a removal is the removal of the one version, which is refused while it is kept.

use chalk_deploy_core::cloud::RetentionMode;
use chalk_deploy_core::model::Timestamp;
use http::{Method, StatusCode};

use super::error::S3Error;
use super::moment::of_signature;
use super::request::Call;
use super::store::Lock;
use super::xml::{self, element, text};
use super::{Answer, BucketServer, done};

impl BucketServer {
    /// A request about how an object is kept.
    pub(super) fn lock(&self, bucket: &str, key: &str, call: &Call) -> Answer {
        if !self.settings.object_lock {
            let message = "Bucket is missing Object Lock Configuration";
            return Err(S3Error::new(StatusCode::BAD_REQUEST, "InvalidRequest", message));
        }
        self.store.object(bucket, key)?.ok_or_else(S3Error::no_such_key)?;
        let is_hold = call.query("legal-hold").is_some();
        match call.method {
            Method::GET => {
                let lock = self.store.lock(bucket, key)?;
                if is_hold {
                    let held = lock.held.ok_or_else(unset)?;
                    return Ok(xml::document("LegalHold", &text("Status", if held { "ON" } else { "OFF" })));
                }
                let (until, mode) = lock.until.ok_or_else(unset)?;
                let content = text("Mode", name(mode)) + &text("RetainUntilDate", until.to_string());
                Ok(xml::document("Retention", &content))
            }
            Method::PUT => {
                // The reference demands a checksum of this request.
                if call.header("x-amz-checksum-sha256").is_none() && call.header("content-md5").is_none() {
                    let message = "Content-MD5 OR x-amz-checksum- HTTP header is required";
                    return Err(S3Error::new(StatusCode::BAD_REQUEST, "InvalidRequest", message));
                }
                let document = call.xml()?;
                let bypass = call.header("x-amz-bypass-governance-retention") == Some("true");
                let now = self.runtime.now();
                self.store.change_lock(bucket, key, |lock| {
                    if is_hold {
                        lock.held = Some(held(document)?);
                    } else {
                        let (until, mode) = retention(document, now)?;
                        if !lock.may_become(until, mode, bypass, now) {
                            return Err(S3Error::denied("the object is kept longer, or more firmly"));
                        }
                        lock.until = Some((until, mode));
                    }
                    Ok(())
                })?;
                Ok(done(StatusCode::OK, &[]))
            }
            _ => Err(S3Error::not_implemented()),
        }
    }

    /// Whether what lies at a key may go.
    pub(super) fn may_go(&self, bucket: &str, key: &str) -> Result<(), S3Error> {
        if self.settings.object_lock && self.store.lock(bucket, key)?.keeps(self.runtime.now()) {
            return Err(S3Error::denied("Access Denied because object protected by object lock."));
        }
        Ok(())
    }
}

impl Lock {
    fn keeps(&self, now: Timestamp) -> bool {
        self.held == Some(true) || self.until.is_some_and(|(until, _)| until > now)
    }

    fn may_become(&self, until: Timestamp, mode: RetentionMode, bypass: bool, now: Timestamp) -> bool {
        match self.until {
            Some((kept, firmly)) if kept > now => {
                (until >= kept && mode >= firmly) || (bypass && firmly == RetentionMode::Governance)
            }
            _ => true,
        }
    }
}

fn retention(document: &str, now: Timestamp) -> Result<(Timestamp, RetentionMode), S3Error> {
    let mode = match element(document, "Mode").as_deref() {
        Some("GOVERNANCE") => RetentionMode::Governance,
        Some("COMPLIANCE") => RetentionMode::Compliance,
        _ => return Err(S3Error::malformed_xml()),
    };
    let until = element(document, "RetainUntilDate").ok_or_else(S3Error::malformed_xml)?;
    let whole = until.split(['.', 'Z']).next().unwrap_or_default().replace(['-', ':'], "");
    let until = of_signature(&format!("{whole}Z")).ok_or_else(S3Error::malformed_xml)?;
    if until <= now {
        return Err(S3Error::invalid("The retain until date must be in the future!"));
    }
    Ok((until, mode))
}

fn held(document: &str) -> Result<bool, S3Error> {
    match element(document, "Status").as_deref() {
        Some("ON") => Ok(true),
        Some("OFF") => Ok(false),
        _ => Err(S3Error::malformed_xml()),
    }
}

const fn name(mode: RetentionMode) -> &'static str {
    match mode {
        RetentionMode::Governance => "GOVERNANCE",
        RetentionMode::Compliance => "COMPLIANCE",
    }
}

fn unset() -> S3Error {
    let message = "The specified object does not have a ObjectLock configuration";
    S3Error::new(StatusCode::NOT_FOUND, "NoSuchObjectLockConfiguration", message)
}
