//! What the settings of a registry do to images that a deployment needs ("Registries - Get", version 2023-07-01).

use chalk_deploy_core::Result;
use http::Method;
use serde_json::Value;

use crate::api::{Api, Call};
use crate::permissions;

/// The version of the API.
pub(crate) const VERSION: &str = "2023-07-01";

/// What a person should know of a registry, one sentence each.
pub(crate) async fn remarks(api: &Api, address: &str, name: &str) -> Result<Vec<String>> {
    let call = Call::new(Method::GET, format!("{address}?api-version={VERSION}"), format!("registry `{name}`"))
        .needing(permissions::REGISTRY_READ.name);
    let registry = api.send(&call).await?.json(&call.subject)?;
    let text = |pointer: &str| registry.pointer(pointer).and_then(Value::as_str).unwrap_or_default();
    let mut remarks = Vec::new();
    if text("/properties/policies/retentionPolicy/status").eq_ignore_ascii_case("enabled") {
        let days = registry.pointer("/properties/policies/retentionPolicy/days").and_then(Value::as_u64).unwrap_or_default();
        remarks.push(format!(
            "note: registry `{name}` removes untagged images after {days} days, also those that a rollback needs; switch \
             its retention policy off and sweep instead"
        ));
    }
    if registry.pointer("/properties/adminUserEnabled").and_then(Value::as_bool) == Some(true) {
        remarks.push(format!("note: the admin user of registry `{name}` is on; nothing here uses it, switch it off"));
    }
    if text("/properties/policies/azureADAuthenticationAsArmPolicy/status").eq_ignore_ascii_case("disabled") {
        remarks.push(format!("note: registry `{name}` takes tokens for registries alone, and none for Resource Manager"));
    }
    if text("/properties/roleAssignmentMode").eq_ignore_ascii_case("AbacRepositoryPermissions") {
        remarks.push(format!(
            "note: registry `{name}` goes by permissions of repositories; assign Container Registry Repository Writer and \
             not AcrPush"
        ));
    }
    Ok(remarks)
}
