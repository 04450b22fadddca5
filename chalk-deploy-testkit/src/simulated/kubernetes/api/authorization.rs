//! What they may do: roles and bindings, evaluated as RBAC does. Rules only ever allow.

use std::sync::Arc;

use http::StatusCode;
use serde_json::Value;

use super::ApiServer;
use super::call::Call;
use super::path::Place;
use super::settings::User;
use crate::simulated::kubernetes::objects::Key;
use crate::simulated::kubernetes::resource::{
    CLUSTER_ROLE, CLUSTER_ROLE_BINDING, NAMESPACE, ROLE, ROLE_BINDING, Resource,
};
use crate::simulated::kubernetes::status::Status;

/// Something that one may do or not.
#[derive(Debug, Clone, Copy)]
pub(super) struct Action<'a> {
    pub(super) verb: &'a str,
    pub(super) group: &'a str,
    /// The plural, with `/subresource` where there is one.
    pub(super) resource: &'a str,
    pub(super) namespace: &'a str,
    pub(super) name: &'a str,
}

impl ApiServer {
    /// # Errors
    /// 403.
    pub(super) fn authorize(&self, call: &Call, place: &Place, verb: &str) -> Result<(), Status> {
        let named = call.query.get("fieldSelector").and_then(|text| {
            let selector = super::selector::FieldSelector::parse(text, place.resource).ok()?;
            selector.name().map(str::to_owned)
        });
        let name =
            place.name.clone().or_else(|| named.filter(|_| ["list", "watch"].contains(&verb))).unwrap_or_default();
        self.authorize_write(&call.user, place, verb, &name)
    }

    /// # Errors
    /// 403.
    pub(super) fn authorize_write(&self, user: &User, place: &Place, verb: &str, name: &str) -> Result<(), Status> {
        let resource = place.resource;
        let full = match &place.subresource {
            Some(subresource) => format!("{}/{subresource}", resource.plural),
            None => resource.plural.to_owned(),
        };
        // A namespace lies in itself.
        let namespace = if *resource == NAMESPACE { name } else { place.namespace.as_deref().unwrap_or_default() };
        let action = Action { verb, group: resource.group, resource: &full, namespace, name };
        if self.allows(user, &action) {
            return Ok(());
        }
        Err(Status::forbidden(resource, name, &refused(user, &action)))
    }

    /// # Errors
    /// 403.
    pub(super) fn authorize_review(&self, user: &User, namespace: Option<&str>, plural: &str) -> Result<(), Status> {
        let group = if plural == "selfsubjectreviews" { "authentication.k8s.io" } else { "authorization.k8s.io" };
        let namespace = namespace.unwrap_or_default();
        let action = Action { verb: "create", group, resource: plural, namespace, name: "" };
        if self.allows(user, &action) {
            return Ok(());
        }
        let message = format!("{plural}.{group} is forbidden: {}", refused(user, &action));
        Err(Status::new(StatusCode::FORBIDDEN, "Forbidden", message))
    }

    /// # Errors
    /// 403.
    pub(super) fn authorize_path(&self, user: &User, verb: &str, path: &str) -> Result<(), Status> {
        if self.allows_path(user, verb, path) {
            return Ok(());
        }
        let message = format!("forbidden: User {:?} cannot {verb} path {path:?}", user.name);
        Err(Status::new(StatusCode::FORBIDDEN, "Forbidden", message))
    }

    pub(super) fn allows(&self, user: &User, action: &Action<'_>) -> bool {
        self.is_almighty(user) || self.rules(user, action.namespace).iter().any(|rule| rule_allows(rule, action))
    }

    pub(super) fn allows_path(&self, user: &User, verb: &str, path: &str) -> bool {
        self.is_almighty(user)
            || self.rules(user, "").iter().any(|rule| {
                holds(&rule["verbs"], verb)
                    && texts(&rule["nonResourceURLs"]).any(|pattern| match pattern.strip_suffix('*') {
                        Some(beginning) => path.starts_with(beginning),
                        None => path == pattern,
                    })
            })
    }

    pub(super) fn is_almighty(&self, user: &User) -> bool {
        !self.settings().rbac || user.groups.iter().any(|group| group == "system:masters")
    }

    /// The rules that hold for a user in a namespace; in none, those of the whole cluster.
    pub(super) fn rules(&self, user: &User, namespace: &str) -> Vec<Value> {
        let mut rules = Vec::new();
        let (bindings, _) = self.objects().list(CLUSTER_ROLE_BINDING, None);
        for binding in bindings.iter().filter(|binding| binds(binding, user, "")) {
            rules.extend(self.rules_of(binding, ""));
        }
        if !namespace.is_empty() {
            let (bindings, _) = self.objects().list(ROLE_BINDING, Some(namespace));
            for binding in bindings.iter().filter(|binding| binds(binding, user, namespace)) {
                // What a role says of the cluster itself does not come with a binding in a namespace.
                rules.extend(
                    self.rules_of(binding, namespace).into_iter().filter(|rule| rule["nonResourceURLs"].is_null()),
                );
            }
        }
        rules
    }

    fn rules_of(&self, binding: &Arc<Value>, namespace: &str) -> Vec<Value> {
        let role = &binding["roleRef"];
        let name = role["name"].as_str().unwrap_or_default();
        let key = match role["kind"].as_str() {
            Some("ClusterRole") => Key::new(CLUSTER_ROLE, "", name),
            Some("Role") if !namespace.is_empty() => Key::new(ROLE, namespace, name),
            _ => return Vec::new(),
        };
        let found = self.objects().get(&key);
        found.and_then(|role| role["rules"].as_array().cloned()).unwrap_or_default()
    }
}

fn binds(binding: &Value, user: &User, namespace: &str) -> bool {
    binding["subjects"].as_array().into_iter().flatten().any(|subject| {
        let name = subject["name"].as_str().unwrap_or_default();
        match subject["kind"].as_str() {
            Some("User") => user.name == name,
            Some("Group") => user.groups.iter().any(|group| group == name),
            Some("ServiceAccount") => {
                let of = subject["namespace"].as_str().unwrap_or(namespace);
                !of.is_empty() && user.name == format!("system:serviceaccount:{of}:{name}")
            }
            _ => false,
        }
    })
}

pub(super) fn rule_allows(rule: &Value, action: &Action<'_>) -> bool {
    let named = texts(&rule["resourceNames"]).next().is_none()
        || (!action.name.is_empty() && texts(&rule["resourceNames"]).any(|name| name == action.name));
    let subresource = action.resource.split_once('/').map(|(_, subresource)| subresource);
    holds(&rule["verbs"], action.verb)
        && holds(&rule["apiGroups"], action.group)
        && named
        && texts(&rule["resources"]).any(|pattern| {
            pattern == "*"
                || pattern == action.resource
                || pattern.strip_prefix("*/").is_some_and(|wanted| subresource == Some(wanted))
        })
}

fn holds(list: &Value, wanted: &str) -> bool {
    texts(list).any(|one| one == "*" || one == wanted)
}

fn texts(list: &Value) -> impl Iterator<Item = &str> {
    list.as_array().into_iter().flatten().filter_map(Value::as_str)
}

/// The words after `is forbidden: `, which people and programs look for.
pub(super) fn refused(user: &User, action: &Action<'_>) -> String {
    let Action { verb, group, resource, namespace, .. } = action;
    let scope = if namespace.is_empty() {
        "at the cluster scope".to_owned()
    } else {
        format!("in the namespace {namespace:?}")
    };
    format!("User {:?} cannot {verb} resource {resource:?} in API group {group:?} {scope}", user.name)
}

/// Whether a kind is one of those that grant power.
pub(super) fn grants(resource: &Resource) -> bool {
    [ROLE, CLUSTER_ROLE, ROLE_BINDING, CLUSTER_ROLE_BINDING].contains(resource)
}
