//! What is let in: namespaces that are there, refusals that a test has ordered, quotas, and nobody who would give away
//! more than they have.

mod power;
mod quota;

use http::StatusCode;
use serde_json::Value;

pub use self::quota::{count as count_quotas, within as within_quotas};
use super::ApiServer;
use super::settings::Denial;
use crate::simulated::kubernetes::objects::Key;
use crate::simulated::kubernetes::resource::NAMESPACE;
use crate::simulated::kubernetes::status::Status;

impl ApiServer {
    /// # Errors
    /// 404 for a namespace that is not there, 403 for one that is going away.
    pub(super) fn admit_into_namespace(&self, key: &Key) -> Result<(), Status> {
        if !key.resource.namespaced {
            return Ok(());
        }
        let namespace = &key.namespace;
        let Some(found) = self.objects().get(&Key::new(NAMESPACE, "", namespace)) else {
            return Err(Status::not_found("namespaces", namespace).about(&NAMESPACE, namespace));
        };
        if found["metadata"]["deletionTimestamp"].is_null() {
            return Ok(());
        }
        let why = format!("unable to create new content in namespace {namespace} because it is being terminated");
        let mut status = Status::forbidden(&key.resource, &key.name, &why);
        status.causes.push((
            "NamespaceTerminating".to_owned(),
            format!("namespace {namespace} is being terminated"),
            "metadata.namespace".to_owned(),
        ));
        Err(status)
    }

    /// Admits an object that is new, or a change of one.
    ///
    /// # Errors
    /// 403, or what a test has ordered.
    pub(super) fn admit(&self, key: &Key, next: &Value, live: Option<&Value>) -> Result<(), Status> {
        self.deny(key, next)?;
        within_quotas(self.objects(), key, next, live)
    }

    /// # Errors
    /// What a test has ordered for deletions: nothing but what it says of every request.
    pub(super) fn admit_deletion(&self, key: &Key, live: &Value) -> Result<(), Status> {
        let ordered = |denial: &Denial| denial.deletions && applies(denial, key, live);
        self.refuse_as_ordered(ordered)
    }

    fn deny(&self, key: &Key, object: &Value) -> Result<(), Status> {
        let ordered = |denial: &Denial| !denial.deletions && applies(denial, key, object);
        self.refuse_as_ordered(ordered)
    }

    fn refuse_as_ordered(&self, ordered: impl Fn(&Denial) -> bool) -> Result<(), Status> {
        let mut settings = self.settings();
        let Some(index) = settings.denials.iter().position(ordered) else { return Ok(()) };
        let denial = &mut settings.denials[index];
        let status = refusal(denial);
        if let Some(times) = &mut denial.times {
            *times = times.saturating_sub(1);
            if *times == 0 {
                settings.denials.remove(index);
            }
        }
        Err(status)
    }

    pub(super) fn count_quotas(&self, namespace: &str) {
        count_quotas(self.objects(), namespace);
    }
}

fn applies(denial: &Denial, key: &Key, object: &Value) -> bool {
    denial.kind.as_ref().is_none_or(|kind| *kind == key.resource.kind)
        && denial.namespace.as_ref().is_none_or(|namespace| *namespace == key.namespace)
        && denial.label.as_ref().is_none_or(|(label, value)| object["metadata"]["labels"][label] == value.as_str())
        && denial.times != Some(0)
}

fn refusal(denial: &Denial) -> Status {
    let code = denial.code.and_then(|code| StatusCode::from_u16(code).ok()).unwrap_or(StatusCode::FORBIDDEN);
    let reason = match code.as_u16() {
        400 => "BadRequest",
        403 => "Forbidden",
        409 => "Conflict",
        422 => "Invalid",
        429 => "TooManyRequests",
        500 => "InternalError",
        503 => "ServiceUnavailable",
        _ => "Unknown",
    };
    let message = format!("admission webhook {:?} denied the request: {}", denial.webhook, denial.message);
    Status::new(code, reason, message)
}
