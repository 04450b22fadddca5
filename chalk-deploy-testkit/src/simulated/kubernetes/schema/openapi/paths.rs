//! The paths and what can be done there.

use serde_json::{Map, Value, json};

use super::{Dialect, definitions, kind, prefix};
use crate::simulated::kubernetes::resource::Resource;

const PATCHES: [&str; 4] = [
    "application/apply-patch+yaml",
    "application/json-patch+json",
    "application/merge-patch+json",
    "application/strategic-merge-patch+json",
];

/// The paths of some kinds.
pub(super) fn of(dialect: Dialect, resources: impl Iterator<Item = &'static Resource>) -> Value {
    let mut paths = Map::new();
    for resource in resources {
        let writer = Writer { dialect, resource };
        let (root, plural) = (prefix(resource), resource.plural);
        let collection = if resource.namespaced {
            let everywhere = writer.item(&["list"], Target::Kind, false, false);
            paths.insert(format!("{root}/{plural}"), everywhere);
            format!("{root}/namespaces/{{namespace}}/{plural}")
        } else {
            format!("{root}/{plural}")
        };
        let actions = ["list", "post", "deletecollection"];
        paths.insert(collection.clone(), writer.item(&actions, Target::Kind, resource.namespaced, false));
        let actions = ["get", "put", "patch", "delete"];
        paths.insert(format!("{collection}/{{name}}"), writer.item(&actions, Target::Kind, resource.namespaced, true));
        for subresource in resource.subresources {
            let (actions, target): (&[_], _) = match *subresource {
                "log" => (&["get"], Target::Text),
                "eviction" => (&["post"], Target::Other("policy", "v1", "Eviction")),
                "scale" => (&["get", "put", "patch"], Target::Other("autoscaling", "v1", "Scale")),
                "finalize" => (&["put"], Target::Kind),
                _ => (&["get", "put", "patch"], Target::Kind),
            };
            let path = format!("{collection}/{{name}}/{subresource}");
            paths.insert(path, writer.item(actions, target, resource.namespaced, true));
        }
    }
    Value::Object(paths)
}

/// What is spoken about at a path.
#[derive(Clone, Copy)]
enum Target {
    Kind,
    Other(&'static str, &'static str, &'static str),
    Text,
}

struct Writer {
    dialect: Dialect,
    resource: &'static Resource,
}

impl Writer {
    fn item(&self, actions: &[&'static str], target: Target, namespaced: bool, named: bool) -> Value {
        let mut item = Map::new();
        for action in actions {
            let method = match *action {
                "list" => "get",
                "deletecollection" => "delete",
                action => action,
            };
            item.insert(method.to_owned(), self.operation(action, target));
        }
        let wanted = [("namespace", namespaced), ("name", named)];
        let placed =
            wanted.into_iter().filter(|(_, there)| *there).map(|(name, _)| self.parameter(name, "path", "string"));
        item.insert("parameters".to_owned(), placed.collect());
        Value::Object(item)
    }

    fn operation(&self, action: &str, target: Target) -> Value {
        let mut parameters: Vec<Value> = match action {
            "post" | "put" => &[("dryRun", "string"), ("fieldManager", "string"), ("fieldValidation", "string")][..],
            "patch" => {
                &[("dryRun", "string"), ("fieldManager", "string"), ("fieldValidation", "string"), ("force", "boolean")]
            }
            "list" => &[
                ("continue", "string"),
                ("fieldSelector", "string"),
                ("labelSelector", "string"),
                ("limit", "integer"),
                ("resourceVersion", "string"),
                ("watch", "boolean"),
            ],
            "delete" | "deletecollection" => &[("dryRun", "string"), ("propagationPolicy", "string")],
            _ => &[],
        }
        .iter()
        .map(|(name, what)| self.parameter(name, "query", what))
        .collect();
        let described = match (target, action) {
            (Target::Text, _) => json!({"type": "string"}),
            (Target::Kind, "list") => self.dialect.reference(&format!("{}List", definitions::name_of(self.resource))),
            (Target::Kind, "post" | "put" | "get" | "patch") => {
                self.dialect.reference(definitions::name_of(self.resource))
            }
            _ => json!({"type": "object"}),
        };
        let kind = match target {
            Target::Other(group, version, kind) => json!({"group": group, "version": version, "kind": kind}),
            Target::Kind | Target::Text => kind(self.resource),
        };
        let body = matches!(action, "post" | "put" | "patch");
        let accepted: &[&str] = if action == "patch" { &PATCHES } else { &["*/*"] };
        let given = if action == "patch" { json!({"type": "object"}) } else { described.clone() };
        let response = match self.dialect {
            Dialect::Two => json!({"description": "OK", "schema": described}),
            Dialect::Three => json!({"description": "OK", "content": {"application/json": {"schema": described}}}),
        };
        let mut operation = json!({
            "responses": {"200": response},
            "x-kubernetes-action": action,
            "x-kubernetes-group-version-kind": kind,
        });
        match self.dialect {
            Dialect::Two if body => {
                operation["consumes"] = json!(accepted);
                parameters.push(json!({"name": "body", "in": "body", "required": true, "schema": given}));
            }
            Dialect::Three if body => {
                let content: Map<_, _> =
                    accepted.iter().map(|kind| ((*kind).to_owned(), json!({"schema": given}))).collect();
                operation["requestBody"] = json!({"content": content, "required": true});
            }
            _ => {}
        }
        operation["parameters"] = parameters.into();
        operation
    }

    fn parameter(&self, name: &str, place: &str, what: &str) -> Value {
        let mut parameter = json!({"name": name, "in": place});
        match self.dialect {
            Dialect::Two => {
                parameter["type"] = what.into();
                parameter["uniqueItems"] = true.into();
            }
            Dialect::Three => parameter["schema"] = json!({"type": what, "uniqueItems": true}),
        }
        if place == "path" {
            parameter["required"] = true.into();
        }
        parameter
    }
}
