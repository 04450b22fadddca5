//! The objects of a gateway, as an administrator installs them.

use chalk_deploy_core::{Error, ErrorCode, Result};
use serde_json::json;

use super::configuration::CONTROLLER_NAME;
use crate::simulated::kubernetes::objects::{Key, Objects};
use crate::simulated::kubernetes::resource::{GATEWAY_CLASS, GATEWAYS, Resource};

/// Installs a gateway of this name that takes routes from every namespace, with a class of the name `<name>-class`
/// (Chalk calls them `chalk-gw` and `chalk-gw-class`). What is there already is left as it is.
///
/// # Errors
/// [`ErrorCode::CloudUnavailable`] when the objects cannot be stored.
pub fn ensure_gateway(objects: &Objects, namespace: &str, name: &str) -> Result<()> {
    let class = format!("{name}-class");
    let document = json!({"spec": {"controllerName": CONTROLLER_NAME}});
    ensure(objects, GATEWAY_CLASS, "", &class, document)?;
    let listener = json!({
        "name": "http",
        "protocol": "HTTP",
        "port": 80,
        "allowedRoutes": {"namespaces": {"from": "All"}},
    });
    let document = json!({"spec": {"gatewayClassName": class, "listeners": [listener]}});
    ensure(objects, GATEWAYS, namespace, name, document)
}

fn ensure(
    objects: &Objects,
    resource: Resource,
    namespace: &str,
    name: &str,
    document: serde_json::Value,
) -> Result<()> {
    match objects.create(&Key::new(resource, namespace, name), document) {
        Ok(_) => Ok(()),
        Err(status) if status.reason == "AlreadyExists" => Ok(()),
        Err(status) => {
            Err(Error::new(ErrorCode::CloudUnavailable, status.message).on(format!("{} {name}", resource.kind)))
        }
    }
}
