//! Nobody gives a role, or makes one, that may do what they may not do themselves.

use serde_json::Value;

use crate::simulated::kubernetes::api::ApiServer;
use crate::simulated::kubernetes::api::authorization::{Action, grants, rule_allows};
use crate::simulated::kubernetes::api::settings::User;
use crate::simulated::kubernetes::objects::Key;
use crate::simulated::kubernetes::resource::{CLUSTER_ROLE, ROLE};
use crate::simulated::kubernetes::status::Status;

impl ApiServer {
    /// # Errors
    /// 403 for a role or a binding that gives more than its author has, unless they may `escalate` or `bind`.
    pub(in super::super) fn hold_to_own_power(&self, user: &User, key: &Key, object: &Value) -> Result<(), Status> {
        if !grants(&key.resource) || self.is_almighty(user) {
            return Ok(());
        }
        let may = |verb, resource: &str, name: &str| {
            let group = key.resource.group;
            self.allows(user, &Action { verb, group, resource, namespace: &key.namespace, name })
        };
        let given = if let Some(role) = object["roleRef"].as_object() {
            let name = role.get("name").and_then(Value::as_str).unwrap_or_default();
            let of_cluster = role.get("kind").and_then(Value::as_str) == Some("ClusterRole");
            let kind = if of_cluster { CLUSTER_ROLE } else { ROLE };
            if may("bind", kind.plural, name) {
                return Ok(());
            }
            let namespace = if of_cluster { "" } else { &key.namespace };
            let Some(role) = self.objects().get(&Key::new(kind, namespace, name)) else {
                let why = format!("{} {name:?} not found", kind.qualified());
                return Err(Status::forbidden(&key.resource, &key.name, &why));
            };
            role["rules"].clone()
        } else {
            if may("escalate", key.resource.plural, &key.name) {
                return Ok(());
            }
            object["rules"].clone()
        };
        let own = self.rules(user, &key.namespace);
        let all_own = given.as_array().into_iter().flatten().all(|rule| covered(rule, &own));
        if all_own {
            return Ok(());
        }
        let why = format!(
            "user {:?} (groups={:?}) is attempting to grant RBAC permissions not currently held",
            user.name, user.groups
        );
        Err(Status::forbidden(&key.resource, &key.name, &why))
    }
}

/// Whether someone with these rules may do all that a rule allows.
fn covered(rule: &Value, own: &[Value]) -> bool {
    let texts =
        |field: &str| -> Vec<&str> { rule[field].as_array().into_iter().flatten().filter_map(Value::as_str).collect() };
    let paths = texts("nonResourceURLs");
    let names = texts("resourceNames");
    let names = if names.is_empty() { vec![""] } else { names };
    texts("verbs").into_iter().all(|verb| {
        let of_paths = paths.iter().all(|path| {
            own.iter().any(|rule| {
                let has = |field: &str, wanted: &str| {
                    rule[field].as_array().into_iter().flatten().filter_map(Value::as_str).any(|one| {
                        one == "*"
                            || one == wanted
                            || one.strip_suffix('*').is_some_and(|start| wanted.starts_with(start))
                    })
                };
                has("verbs", verb) && has("nonResourceURLs", path)
            })
        });
        let of_resources = texts("apiGroups").into_iter().all(|group| {
            texts("resources").into_iter().all(|resource| {
                names.iter().all(|name| {
                    let action = Action { verb, group, resource, namespace: "", name };
                    own.iter().any(|rule| rule_allows(rule, &action))
                })
            })
        });
        of_paths && of_resources
    })
}
