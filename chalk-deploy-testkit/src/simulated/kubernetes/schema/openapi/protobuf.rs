//! Version 2 as protobuf, which is the only form in which client-go asks for it: kubectl does so for what it has to
//! validate by itself, such as a `kind: List`. The messages and their numbers are those of gnostic's `OpenAPIv2.proto`;
//! written is what clients of this form read, which leaves out the answers.

use serde_json::Value;

/// The document as gnostic's `openapi.v2.Document`.
pub(super) fn document(document: &Value) -> Vec<u8> {
    let mut message = Message::default();
    message.text(1, &document["swagger"]);
    message.nested(2, |info| {
        info.text(1, &document["info"]["title"]);
        info.text(2, &document["info"]["version"]);
    });
    message.nested(8, |paths| {
        for (path, item) in entries(&document["paths"]) {
            paths.named(2, path, |message| path_item(message, item));
        }
    });
    message.nested(9, |definitions| {
        for (name, definition) in entries(&document["definitions"]) {
            definitions.named(1, name, |message| schema(message, definition));
        }
    });
    message.0
}

fn path_item(message: &mut Message, item: &Value) {
    for (number, method) in [(2, "get"), (3, "put"), (4, "post"), (5, "delete"), (8, "patch")] {
        if let Some(found) = item.get(method) {
            message.nested(number, |message| operation(message, found));
        }
    }
    parameters(message, 9, &item["parameters"]);
}

fn operation(message: &mut Message, operation: &Value) {
    for kind in items(&operation["consumes"]) {
        message.text(7, kind);
    }
    parameters(message, 8, &operation["parameters"]);
    extensions(message, 13, operation);
}

fn parameters(message: &mut Message, number: u32, parameters: &Value) {
    for parameter in items(parameters) {
        // An item is a parameter, which is one of the body or another, which is one of four places.
        message.nested(number, |item| item.nested(1, |message| self::parameter(message, parameter)));
    }
}

fn parameter(message: &mut Message, parameter: &Value) {
    // The types of the places number the type of the value differently.
    let (place, type_number) = match parameter["in"].as_str() {
        Some("body") => return message.nested(1, |message| body(message, parameter)),
        Some("path") => (4, 5),
        _ => (3, 6),
    };
    message.nested(2, |other| {
        other.nested(place, |message| {
            message.boolean(1, &parameter["required"]);
            message.text(2, &parameter["in"]);
            message.text(4, &parameter["name"]);
            message.text(type_number, &parameter["type"]);
        });
    });
}

fn body(message: &mut Message, parameter: &Value) {
    message.text(2, &parameter["name"]);
    message.text(3, &parameter["in"]);
    message.boolean(4, &parameter["required"]);
    message.nested(5, |message| schema(message, &parameter["schema"]));
}

fn schema(message: &mut Message, schema: &Value) {
    message.text(1, &schema["$ref"]);
    message.text(2, &schema["format"]);
    message.text(4, &schema["description"]);
    if let Some(default) = schema.get("default") {
        message.nested(5, |any| any.yaml(default));
    }
    message.double(7, &schema["maximum"]);
    message.double(9, &schema["minimum"]);
    for name in items(&schema["required"]) {
        message.text(19, name);
    }
    for value in items(&schema["enum"]) {
        message.nested(20, |any| any.yaml(value));
    }
    if let Some(values) = schema.get("additionalProperties") {
        message.nested(21, |item| item.nested(1, |message| self::schema(message, values)));
    }
    if schema["type"].is_string() {
        message.nested(22, |kinds| kinds.text(1, &schema["type"]));
    }
    if let Some(item) = schema.get("items") {
        message.nested(23, |wrapped| wrapped.nested(1, |message| self::schema(message, item)));
    }
    if let Some(properties) = schema.get("properties") {
        message.nested(25, |all| {
            for (name, property) in entries(properties) {
                all.named(1, name, |message| self::schema(message, property));
            }
        });
    }
    extensions(message, 31, schema);
}

fn extensions(message: &mut Message, number: u32, value: &Value) {
    for (name, extension) in entries(value).filter(|(name, _)| name.starts_with("x-")) {
        message.named(number, name, |any| any.yaml(extension));
    }
}

fn entries(value: &Value) -> impl Iterator<Item = (&String, &Value)> {
    value.as_object().into_iter().flatten()
}

fn items(value: &Value) -> impl Iterator<Item = &Value> {
    value.as_array().into_iter().flatten()
}

/// A message of protobuf, field by field. What is absent is not written.
#[derive(Default)]
struct Message(Vec<u8>);

impl Message {
    fn varint(&mut self, mut number: u64) {
        while number >= 0x80 {
            self.0.push(number.to_le_bytes()[0] | 0x80);
            number >>= 7;
        }
        self.0.push(number.to_le_bytes()[0]);
    }

    fn bytes(&mut self, number: u32, bytes: &[u8]) {
        self.varint(u64::from(number) << 3 | 2);
        self.varint(bytes.len() as u64);
        self.0.extend_from_slice(bytes);
    }

    fn text(&mut self, number: u32, value: &Value) {
        if let Some(text) = value.as_str() {
            self.bytes(number, text.as_bytes());
        }
    }

    fn boolean(&mut self, number: u32, value: &Value) {
        if value == &Value::Bool(true) {
            self.varint(u64::from(number) << 3);
            self.varint(1);
        }
    }

    fn double(&mut self, number: u32, value: &Value) {
        if let Some(double) = value.as_f64() {
            self.varint(u64::from(number) << 3 | 1);
            self.0.extend_from_slice(&double.to_le_bytes());
        }
    }

    fn nested(&mut self, number: u32, write: impl FnOnce(&mut Self)) {
        let mut message = Self::default();
        write(&mut message);
        self.bytes(number, &message.0);
    }

    /// An entry of what is a map in JSON.
    fn named(&mut self, number: u32, name: &str, write: impl FnOnce(&mut Self)) {
        self.nested(number, |entry| {
            entry.bytes(1, name.as_bytes());
            entry.nested(2, write);
        });
    }

    /// Any value, as YAML, of which JSON is a part.
    fn yaml(&mut self, value: &Value) {
        self.bytes(2, format!("{value}\n").as_bytes());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::simulated::kubernetes::schema::openapi_v2;

    /// The fields of a message: their numbers and, where they have any, their bytes.
    fn fields(mut bytes: &[u8]) -> Vec<(u64, &[u8])> {
        fn varint(bytes: &mut &[u8]) -> u64 {
            let mut number = 0;
            for shift in (0..).step_by(7) {
                let (first, rest) = bytes.split_first().expect("the number goes on");
                *bytes = rest;
                number |= u64::from(first & 0x7f) << shift;
                if first & 0x80 == 0 {
                    break;
                }
            }
            number
        }
        let mut found = Vec::new();
        while !bytes.is_empty() {
            let tag = varint(&mut bytes);
            let length = match tag & 7 {
                0 => {
                    varint(&mut bytes);
                    0
                }
                1 => 8,
                _ => usize::try_from(varint(&mut bytes)).expect("a length"),
            };
            let (field, rest) = bytes.split_at(length);
            found.push((tag >> 3, field));
            bytes = rest;
        }
        found
    }

    fn all(bytes: &[u8], number: u64) -> Vec<&[u8]> {
        fields(bytes).into_iter().filter(|(found, _)| *found == number).map(|(_, bytes)| bytes).collect()
    }

    #[test]
    fn protobuf_tells_what_json_does() {
        let json = openapi_v2();
        let bytes = document(&json);
        assert_eq!(all(&bytes, 1), [b"2.0"]);
        let definitions = all(all(&bytes, 9)[0], 1);
        assert_eq!(definitions.len(), json["definitions"].as_object().expect("a map").len());
        assert_eq!(all(all(&bytes, 8)[0], 2).len(), json["paths"].as_object().expect("a map").len());
        let deployment = definitions.iter().find(|entry| all(entry, 1) == [b"io.k8s.api.apps.v1.Deployment"]);
        let deployment = all(deployment.expect("deployments are described"), 2)[0];
        let properties: Vec<_> = all(all(deployment, 25)[0], 1).iter().map(|entry| all(entry, 1)[0].to_vec()).collect();
        assert_eq!(
            properties,
            [b"apiVersion".to_vec(), b"kind".to_vec(), b"metadata".to_vec(), b"spec".to_vec(), b"status".to_vec()]
        );
        let extension = all(deployment, 31);
        assert_eq!(all(extension[0], 1), [b"x-kubernetes-group-version-kind"]);
        let value = all(all(extension[0], 2)[0], 2)[0];
        let value: Value = serde_json::from_slice(value).expect("it is JSON too");
        assert_eq!(value[0]["kind"], "Deployment");
    }
}
