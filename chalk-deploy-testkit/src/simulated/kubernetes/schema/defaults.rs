//! The defaults that schemas declare: those of the custom resources, and the protocol of ports.

use serde_json::Value;

use super::Schema;

/// Fills in what is absent and has a default, as the API server does for custom resources.
pub fn fill_defaults(schema: &Schema, value: &mut Value) {
    match (schema, value) {
        (Schema::Object(object), Value::Object(map)) => {
            for field in object.fields {
                if !map.contains_key(field.name)
                    && let Some(default) = field.default.and_then(|text| serde_json::from_str(text).ok())
                {
                    map.insert(field.name.to_owned(), default);
                }
                if let Some(value) = map.get_mut(field.name) {
                    fill_defaults(&field.schema, value);
                }
            }
        }
        (Schema::Map { values, .. }, Value::Object(map)) => {
            map.values_mut().for_each(|value| fill_defaults(values, value));
        }
        (Schema::List(list), Value::Array(items)) => items.iter_mut().for_each(|item| fill_defaults(list.items, item)),
        _ => {}
    }
}
