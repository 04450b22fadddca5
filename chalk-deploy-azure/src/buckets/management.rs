//! What of containers only Resource Manager can set: versions, retention, and what is removed after a while (version
//! 2023-05-01 of `Microsoft.Storage`).

use std::time::Duration;

use chalk_deploy_core::provision::{BucketPlan, KeptBucket};
use chalk_deploy_core::{Error, ErrorCode, Result};
use http::Method;
use serde_json::{Value, json};

use crate::api::{Answer, Api, Call};
use crate::permissions;
use crate::tags;

/// The version of the API.
pub(crate) const VERSION: &str = "2023-05-01";

const DAY: Duration = Duration::from_hours(24);
/// The longest retention that Azure takes, in days.
const RETENTION_MOST: u64 = 146_000;

/// Resource Manager's view of one storage account.
#[derive(Debug, Clone)]
pub(super) struct Management {
    /// `https://management.azure.com/subscriptions/…/storageAccounts/NAME`.
    pub(super) address: String,
    pub(super) account: String,
    pub(super) api: Api,
}

impl Management {
    fn call(&self, method: Method, tail: &str, permission: permissions::Permission) -> Call {
        let address = format!("{}{tail}?api-version={VERSION}", self.address);
        Call::new(method, address, format!("storage account `{}`", self.account)).needing(permission.name)
    }

    async fn read(&self, tail: &str, permission: permissions::Permission) -> Result<Value> {
        let call = self.call(Method::GET, tail, permission);
        self.api.send(&call).await?.json(&call.subject)
    }

    async fn find(&self, tail: &str, permission: permissions::Permission, absent: &[&str]) -> Result<Option<Answer>> {
        self.api.find(&self.call(Method::GET, tail, permission), absent).await
    }

    async fn write(&self, tail: &str, body: &Value, permission: permissions::Permission) -> Result<()> {
        self.api.send(&self.call(Method::PUT, tail, permission).with_json(body)).await.map(drop)
    }

    /// What of the account itself is not as it should be, for a person: it is not ours to change, because others use it.
    pub(super) async fn inspect(&self, kept: &mut KeptBucket) -> Result<()> {
        let account = self.read("", permissions::ACCOUNT_READ).await?;
        let is = |name: &str| account.pointer(&format!("/properties/{name}")).and_then(Value::as_bool);
        if is("supportsHttpsTrafficOnly") == Some(false) {
            kept.cannot.push(format!(
                "storage account `{}` takes requests without TLS; switch on \"secure transfer required\"",
                self.account
            ));
        }
        if is("allowBlobPublicAccess") == Some(true) {
            kept.cannot.push(format!(
                "storage account `{}` lets containers be public; switch off \"allow blob anonymous access\"",
                self.account
            ));
        }
        Ok(())
    }

    /// Keeps what is written over or removed as a version. It is a setting of the whole account.
    pub(super) async fn keep_versions(&self, kept: &mut KeptBucket) -> Result<()> {
        let tail = "/blobServices/default";
        let service = self.read(tail, permissions::SERVICE_READ).await?;
        if service.pointer("/properties/isVersioningEnabled").and_then(Value::as_bool) == Some(true) {
            return Ok(());
        }
        // What is not named in a write is at its default after it: all that was there is written back.
        let Some(Value::Object(mut settings)) = service.get("properties").cloned() else {
            return Err(self.odd("the answer of Azure holds no properties of the service, so that they would be lost"));
        };
        settings.insert("isVersioningEnabled".to_owned(), json!(true));
        self.write(tail, &json!({"properties": settings}), permissions::SERVICE_WRITE).await?;
        kept.changed.push("versioning");
        Ok(())
    }

    /// Makes a container whose blobs can be kept one by one, which it can only become when it is made. Whether it was
    /// not there.
    pub(super) async fn create_with_locks(&self, plan: &BucketPlan, scope: Option<&str>) -> Result<bool> {
        let tail = format!("/blobServices/default/containers/{}", plan.name);
        let absent = ["ContainerNotFound", "ResourceNotFound"];
        if self.find(&tail, permissions::CONTAINER_READ, &absent).await?.is_some() {
            return Ok(false);
        }
        let mut properties = json!({
            "publicAccess": "None",
            "metadata": {tags::METADATA.0: tags::METADATA.1},
            "immutableStorageWithVersioning": {"enabled": true},
        });
        if let Some(scope) = scope {
            properties["defaultEncryptionScope"] = json!(scope);
            properties["denyEncryptionScopeOverride"] = json!(true);
        }
        self.write(&tail, &json!({"properties": properties}), permissions::CONTAINER_WRITE).await?;
        Ok(true)
    }

    /// Takes what is public of a container away.
    pub(super) async fn shut(&self, container: &str) -> Result<()> {
        let tail = format!("/blobServices/default/containers/{container}");
        let body = json!({"properties": {"publicAccess": "None"}});
        // The same change twice is the same.
        let call = self.call(Method::PATCH, &tail, permissions::CONTAINER_WRITE).with_json(&body).reading();
        self.api.send(&call).await.map(drop)
    }

    /// Lets nothing of a container be removed for a while. A policy that is there is never shortened, and one that is
    /// locked is left alone.
    pub(super) async fn retain(&self, plan: &BucketPlan, retention: Duration, kept: &mut KeptBucket) -> Result<()> {
        let container = format!("/blobServices/default/containers/{}", plan.name);
        let found = self.read(&container, permissions::CONTAINER_READ).await?;
        let locks = found.pointer("/properties/immutableStorageWithVersioning/enabled").and_then(Value::as_bool);
        if locks != Some(true) {
            kept.cannot.push(format!(
                "container `{}` was made without version-level immutability, so that nothing in it can be retained; make \
                 another one, or migrate it (`az storage container-rm migrate-vlw`)",
                plan.name
            ));
            return Ok(());
        }
        let days = whole_days(retention);
        if days > RETENTION_MOST {
            let message = format!("Azure retains for at most {RETENTION_MOST} days");
            return Err(Error::new(ErrorCode::ValueInvalid, message).on(format!("container `{}`", plan.name)));
        }
        let tail = format!("{container}/immutabilityPolicies/default");
        let policy = match self
            .find(&tail, permissions::POLICY_READ, &["ImmutabilityPolicyNotFound", "ResourceNotFound"])
            .await?
        {
            None => None,
            Some(answer) => Some(answer.json(&plan.name)?),
        };
        let held = |pointer: &str| policy.as_ref().and_then(|policy| policy.pointer(pointer));
        let has = held("/properties/immutabilityPeriodSinceCreationInDays").and_then(Value::as_u64).unwrap_or_default();
        if has >= days {
            return Ok(());
        }
        let state = held("/properties/state").and_then(Value::as_str).unwrap_or_default();
        if state.eq_ignore_ascii_case("locked") {
            kept.cannot.push(format!("the retention of container `{}` is locked at {has} days", plan.name));
            return Ok(());
        }
        let body = json!({"properties": {"immutabilityPeriodSinceCreationInDays": days}});
        let mut call = self.call(Method::PUT, &tail, permissions::POLICY_WRITE).with_json(&body);
        if let Some(etag) = held("/etag").and_then(Value::as_str).filter(|etag| !etag.is_empty()) {
            // Nobody else's change is written over.
            call = call.with_header("if-match", etag);
        }
        self.api.send(&call).await?;
        kept.changed.push("retention");
        Ok(())
    }

    /// Removes versions after a while, by a rule of our own in the account's one policy.
    pub(super) async fn clear_leftovers(&self, plan: &BucketPlan, kept: &mut KeptBucket) -> Result<()> {
        let tail = "/managementPolicies/default";
        let absent = ["ManagementPolicyNotFound", "ResourceNotFound"];
        let found = self.find(tail, permissions::LIFECYCLE_READ, &absent).await?;
        // A write replaces them all.
        let mut rules = match found {
            None => Vec::new(),
            Some(answer) => {
                let policy = answer.json(&self.account)?;
                let rules = policy.pointer("/properties/policy/rules").and_then(Value::as_array).cloned();
                rules.ok_or_else(|| self.odd("the answer of Azure holds no rules, so that they would be lost"))?
            }
        };
        let name = rule_name(&plan.name);
        let days = whole_days(plan.leftovers);
        let rule = json!({
            "enabled": true,
            "name": name,
            "type": "Lifecycle",
            "definition": {
                "filters": {"blobTypes": ["blockBlob"], "prefixMatch": [format!("{}/", plan.name)]},
                "actions": {"version": {"delete": {"daysAfterCreationGreaterThan": days}}},
            },
        });
        let own = rules.iter_mut().find(|rule| rule.get("name").and_then(Value::as_str) == Some(&name));
        match own {
            Some(own) if is_within(&rule, own) => return Ok(()),
            Some(own) => *own = rule,
            None => rules.push(rule),
        }
        let body = json!({"properties": {"policy": {"rules": rules}}});
        self.write(tail, &body, permissions::LIFECYCLE_WRITE).await?;
        kept.changed.push("lifecycle");
        Ok(())
    }

    fn odd(&self, why: &str) -> Error {
        Error::new(ErrorCode::CloudAnswerInvalid, why).on(format!("storage account `{}`", self.account))
    }
}

/// Whether all of `wanted` stands in `found`, which Azure fills up with defaults. Numbers come back as fractions.
fn is_within(wanted: &Value, found: &Value) -> bool {
    match (wanted, found) {
        (Value::Object(wanted), Value::Object(found)) => {
            wanted.iter().all(|(name, value)| found.get(name).is_some_and(|found| is_within(value, found)))
        }
        (Value::Array(wanted), Value::Array(found)) => {
            wanted.len() == found.len() && wanted.iter().zip(found).all(|(wanted, found)| is_within(wanted, found))
        }
        (Value::Number(wanted), Value::Number(found)) => wanted.as_f64() == found.as_f64(),
        (wanted, found) => wanted == found,
    }
}

/// What the rule of a container is called. Names of rules hold letters and digits alone, and those of containers no capital
/// letters, so that no two containers have the same.
fn rule_name(container: &str) -> String {
    format!("{}Xleftovers", container.replace('-', "X"))
}

/// A part of a day counts as one.
fn whole_days(duration: Duration) -> u64 {
    duration.as_secs().div_ceil(DAY.as_secs()).max(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_two_containers_share_a_rule() {
        assert_eq!(rule_name("chalk-acme-source"), "chalkXacmeXsourceXleftovers");
        assert_ne!(rule_name("chalk-acme-1-data"), rule_name("chalk-acme1-data"));
        assert!(rule_name("chalk-acme-source").bytes().all(|byte| byte.is_ascii_alphanumeric()));
    }
}
