//! The schemas.

use serde_json::{Map, Value, json};

use super::Dialect;
use crate::simulated::kubernetes::resource::Resource;
use crate::simulated::kubernetes::schema::{Format, List, ListKind, Object, Schema, schema_of};

const TIME: &str = "io.k8s.apimachinery.pkg.apis.meta.v1.Time";
const MICRO_TIME: &str = "io.k8s.apimachinery.pkg.apis.meta.v1.MicroTime";
const QUANTITY: &str = "io.k8s.apimachinery.pkg.api.resource.Quantity";
const INT_OR_STRING: &str = "io.k8s.apimachinery.pkg.util.intstr.IntOrString";
const LIST_META: &str = "io.k8s.apimachinery.pkg.apis.meta.v1.ListMeta";

/// The definitions of some kinds, of their lists, and of all that they are made of.
pub(super) fn of(dialect: Dialect, resources: impl Iterator<Item = &'static Resource>) -> Value {
    let mut writer = Writer { dialect, definitions: Map::new() };
    writer.leaves();
    for resource in resources {
        let schema = schema_of(resource);
        writer.value(schema);
        let Some(object) = schema.object() else { continue };
        if let Some(definition) = writer.definitions.get_mut(object.name) {
            definition["x-kubernetes-group-version-kind"] = json!([super::kind(resource)]);
        }
        writer.list(resource, object);
    }
    Value::Object(writer.definitions)
}

/// The name of a kind's definition.
pub(super) fn name_of(resource: &Resource) -> &'static str {
    schema_of(resource).object().map_or("", |object| object.name)
}

struct Writer {
    dialect: Dialect,
    definitions: Map<String, Value>,
}

impl Writer {
    fn leaves(&mut self) {
        let amount = match self.dialect {
            Dialect::Two => json!({"type": "string"}),
            Dialect::Three => json!({"oneOf": [{"type": "string"}, {"type": "number"}]}),
        };
        let either = match self.dialect {
            Dialect::Two => json!({"type": "string", "format": "int-or-string"}),
            Dialect::Three => json!({"format": "int-or-string", "oneOf": [{"type": "integer"}, {"type": "string"}]}),
        };
        let time = json!({"type": "string", "format": "date-time"});
        let list_meta = json!({
            "type": "object",
            "properties": {
                "continue": {"type": "string"},
                "remainingItemCount": {"type": "integer", "format": "int64"},
                "resourceVersion": {"type": "string"},
                "selfLink": {"type": "string"},
            },
        });
        let leaves = [
            (TIME, time.clone()),
            (MICRO_TIME, time),
            (QUANTITY, amount),
            (INT_OR_STRING, either),
            (LIST_META, list_meta),
        ];
        self.definitions.extend(leaves.map(|(name, leaf)| (name.to_owned(), leaf)));
    }

    fn list(&mut self, resource: &Resource, object: &Object) {
        let definition = json!({
            "type": "object",
            "required": ["items"],
            "properties": {
                "apiVersion": {"type": "string"},
                "items": {"type": "array", "items": self.dialect.reference(object.name)},
                "kind": {"type": "string"},
                "metadata": self.reference(LIST_META),
            },
            "x-kubernetes-group-version-kind": [
                {"group": resource.group, "version": resource.version, "kind": format!("{}List", resource.kind)}
            ],
        });
        self.definitions.insert(format!("{}List", object.name), definition);
    }

    /// A reference that may have neighbours, as fields have.
    fn reference(&self, name: &str) -> Value {
        match self.dialect {
            Dialect::Two => self.dialect.reference(name),
            Dialect::Three => json!({"allOf": [self.dialect.reference(name)]}),
        }
    }

    fn value(&mut self, schema: &'static Schema) -> Value {
        match schema {
            Schema::Text(Format::Plain) => json!({"type": "string"}),
            Schema::Text(Format::OneOf(texts)) => json!({"type": "string", "enum": texts}),
            Schema::Text(Format::Bytes) => json!({"type": "string", "format": "byte"}),
            Schema::Text(Format::Time) => self.reference(TIME),
            Schema::Text(Format::MicroTime) => self.reference(MICRO_TIME),
            Schema::Integer { wide, least, most } => integer(*wide, *least, *most),
            Schema::Number => json!({"type": "number", "format": "double"}),
            Schema::Boolean => json!({"type": "boolean"}),
            Schema::IntOrString => self.reference(INT_OR_STRING),
            Schema::Quantity => self.reference(QUANTITY),
            Schema::Object(object) => self.object(object),
            Schema::Map { values, atomic } => {
                let mut map = match values {
                    Schema::Any => json!({"type": "object", "x-kubernetes-preserve-unknown-fields": true}),
                    values => json!({"type": "object", "additionalProperties": self.value(values)}),
                };
                if *atomic {
                    map["x-kubernetes-map-type"] = "atomic".into();
                }
                map
            }
            Schema::List(list) => self.items(list),
            Schema::Any => json!({"type": "object", "x-kubernetes-preserve-unknown-fields": true}),
        }
    }

    fn object(&mut self, object: &'static Object) -> Value {
        let mut value = if object.name.is_empty() {
            self.definition(object)
        } else {
            if !self.definitions.contains_key(object.name) {
                // The name comes first, so that what is inside does not come here again.
                self.definitions.insert(object.name.to_owned(), Value::Null);
                let definition = self.definition(object);
                self.definitions.insert(object.name.to_owned(), definition);
            }
            self.reference(object.name)
        };
        if object.retain_keys {
            value["x-kubernetes-patch-strategy"] = "retainKeys".into();
        }
        if object.replaced {
            value["x-kubernetes-patch-strategy"] = "replace".into();
        }
        value
    }

    fn definition(&mut self, object: &'static Object) -> Value {
        let properties: Map<String, Value> = object
            .fields
            .iter()
            .map(|field| {
                let mut property = self.value(&field.schema);
                if let Some(default) = field.default.and_then(|text| serde_json::from_str::<Value>(text).ok()) {
                    property["default"] = default;
                }
                (field.name.to_owned(), property)
            })
            .collect();
        let mut definition = json!({"type": "object", "properties": properties});
        if !object.required.is_empty() {
            definition["required"] = json!(object.required);
        }
        if object.atomic {
            definition["x-kubernetes-map-type"] = "atomic".into();
        }
        definition
    }

    fn items(&mut self, list: &'static List) -> Value {
        let mut value = json!({"type": "array", "items": self.value(list.items)});
        value["x-kubernetes-list-type"] = match list.kind {
            ListKind::Atomic => "atomic",
            ListKind::Set => "set",
            ListKind::Map(keys) => {
                value["x-kubernetes-list-map-keys"] = json!(keys);
                "map"
            }
        }
        .into();
        if let Some(patch) = list.patch {
            let strategy = if patch.retain_keys { "merge,retainKeys" } else { "merge" };
            value["x-kubernetes-patch-strategy"] = strategy.into();
            if let Some(key) = patch.merge_key {
                value["x-kubernetes-patch-merge-key"] = key.into();
            }
        }
        value
    }
}

fn integer(wide: bool, least: i64, most: i64) -> Value {
    let (lowest, highest) = if wide { (i64::MIN, i64::MAX) } else { (i64::from(i32::MIN), i64::from(i32::MAX)) };
    let mut integer = json!({"type": "integer", "format": if wide { "int64" } else { "int32" }});
    if least > lowest {
        integer["minimum"] = least.into();
    }
    if most < highest {
        integer["maximum"] = most.into();
    }
    integer
}
