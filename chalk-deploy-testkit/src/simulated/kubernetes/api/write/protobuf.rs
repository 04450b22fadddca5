//! The few messages that kubectl sends as protobuf and not as JSON: `create namespace`, `create configmap`, and the
//! questions of `auth can-i`. The numbers are those of `generated.proto` in k8s.io/api. Whatever else comes is refused.

use serde_json::{Map, Value};

/// What stands before every message: the envelope `runtime.Unknown`.
const MAGIC: &[u8] = b"k8s\0";

/// What a field holds.
#[derive(Clone, Copy)]
enum Kind {
    Text,
    Texts,
    /// Texts by texts.
    Map,
    Message(&'static [(u64, &'static str, Self)]),
    /// The server sets it itself.
    Ignored,
}

type Fields = &'static [(u64, &'static str, Kind)];

const META: Fields = &[
    (1, "name", Kind::Text),
    (2, "generateName", Kind::Text),
    (3, "namespace", Kind::Text),
    (4, "selfLink", Kind::Ignored),
    (5, "uid", Kind::Ignored),
    (6, "resourceVersion", Kind::Text),
    (7, "generation", Kind::Ignored),
    (8, "creationTimestamp", Kind::Ignored),
    (11, "labels", Kind::Map),
    (12, "annotations", Kind::Map),
];
const NAMESPACE: Fields = &[
    (1, "metadata", Kind::Message(META)),
    (2, "spec", Kind::Message(&[(1, "finalizers", Kind::Texts)])),
    (3, "status", Kind::Ignored),
];
const CONFIG_MAP: Fields = &[(1, "metadata", Kind::Message(META)), (2, "data", Kind::Map)];
const RESOURCE_ATTRIBUTES: Fields = &[
    (1, "namespace", Kind::Text),
    (2, "verb", Kind::Text),
    (3, "group", Kind::Text),
    (4, "version", Kind::Text),
    (5, "resource", Kind::Text),
    (6, "subresource", Kind::Text),
    (7, "name", Kind::Text),
];
const ACCESS_REVIEW: Fields = &[
    (1, "metadata", Kind::Message(META)),
    (
        2,
        "spec",
        Kind::Message(&[
            (1, "resourceAttributes", Kind::Message(RESOURCE_ATTRIBUTES)),
            (2, "nonResourceAttributes", Kind::Message(&[(1, "path", Kind::Text), (2, "verb", Kind::Text)])),
        ]),
    ),
    (3, "status", Kind::Ignored),
];
const RULES_REVIEW: Fields = &[
    (1, "metadata", Kind::Message(META)),
    (2, "spec", Kind::Message(&[(1, "namespace", Kind::Text)])),
    (3, "status", Kind::Ignored),
];
const SELF_REVIEW: Fields = &[(1, "metadata", Kind::Message(META)), (2, "status", Kind::Ignored)];
const UNKNOWN: Fields = &[
    (1, "type", Kind::Message(&[(1, "apiVersion", Kind::Text), (2, "kind", Kind::Text)])),
    (2, "raw", Kind::Ignored),
    (3, "contentEncoding", Kind::Ignored),
    (4, "contentType", Kind::Ignored),
];

/// The object of a message. `None` for a message that is broken, or of a kind or with a field that is not known here.
pub(super) fn read(bytes: &[u8]) -> Option<Value> {
    let envelope = bytes.strip_prefix(MAGIC)?;
    let described = message(envelope, UNKNOWN)?;
    let kind = described["type"]["kind"].as_str()?;
    let fields = match kind {
        "Namespace" => NAMESPACE,
        "ConfigMap" => CONFIG_MAP,
        "SelfSubjectAccessReview" => ACCESS_REVIEW,
        "SelfSubjectRulesReview" => RULES_REVIEW,
        "SelfSubjectReview" => SELF_REVIEW,
        _ => return None,
    };
    let raw = Reader(envelope).find(|field| matches!(field, Some((2, Some(_)))))??.1?;
    let mut object = message(raw, fields)?;
    object["kind"] = kind.into();
    object["apiVersion"] = described["type"]["apiVersion"].clone();
    Some(object)
}

fn message(bytes: &[u8], fields: Fields) -> Option<Value> {
    let mut object = Map::new();
    for field in Reader(bytes) {
        let (number, content) = field?;
        let (_, name, kind) = fields.iter().find(|(known, ..)| *known == number)?;
        match kind {
            Kind::Ignored => {}
            Kind::Text => {
                let text = std::str::from_utf8(content?).ok()?;
                // What is not set is sent as an empty text.
                if !text.is_empty() {
                    object.insert((*name).to_owned(), text.into());
                }
            }
            Kind::Texts => {
                let text = std::str::from_utf8(content?).ok()?;
                let list = object.entry(*name).or_insert_with(|| Value::Array(Vec::new()));
                list.as_array_mut()?.push(text.into());
            }
            Kind::Map => {
                let (mut key, mut value) = ("", "");
                for part in Reader(content?) {
                    match part? {
                        (1, text) => key = std::str::from_utf8(text?).ok()?,
                        (2, text) => value = std::str::from_utf8(text?).ok()?,
                        _ => return None,
                    }
                }
                let map = object.entry(*name).or_insert_with(|| Map::new().into());
                map.as_object_mut()?.insert(key.to_owned(), value.into());
            }
            Kind::Message(inner) => {
                object.insert((*name).to_owned(), message(content?, inner)?);
            }
        }
    }
    Some(object.into())
}

/// The fields of a message: number, and content where it has a length. `None` where it is broken.
struct Reader<'b>(&'b [u8]);

impl<'b> Iterator for Reader<'b> {
    type Item = Option<(u64, Option<&'b [u8]>)>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.0.is_empty() {
            return None;
        }
        let field = self.field();
        if field.is_none() {
            self.0 = &[];
        }
        Some(field)
    }
}

impl<'b> Reader<'b> {
    fn field(&mut self) -> Option<(u64, Option<&'b [u8]>)> {
        let tag = self.number()?;
        match tag & 7 {
            0 => {
                self.number()?;
                Some((tag >> 3, None))
            }
            2 => {
                let length = usize::try_from(self.number()?).ok()?;
                let (content, rest) = self.0.split_at_checked(length)?;
                self.0 = rest;
                Some((tag >> 3, Some(content)))
            }
            _ => None,
        }
    }

    fn number(&mut self) -> Option<u64> {
        let mut number = 0_u64;
        for place in 0..10 {
            let (byte, rest) = self.0.split_first()?;
            self.0 = rest;
            number |= u64::from(byte & 0x7f).checked_shl(7 * place)?;
            if byte & 0x80 == 0 {
                return Some(number);
            }
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_namespace_is_read_and_what_is_broken_is_not() {
        let sent = b"k8s\0\x0a\x0f\x0a\x02v1\x12\x09Namespace\x12\x0f\x0a\x09\x0a\x05space\x12\x00\x12\x00\x1a\x00";
        let object = read(sent).expect("a namespace");
        assert_eq!((&object["kind"], &object["metadata"]["name"]), (&"Namespace".into(), &"space".into()));
        for end in 0..sent.len() - 2 {
            // A message that ends early is refused, or says less; it never breaks the server.
            let _ = read(&sent[..end]);
        }
        assert_eq!(read(b"k8s\0\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff"), None);
        assert_eq!(read(b"{}"), None);
    }
}
