//! Answers without what is random, and what later requests of the sequence refer to.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

use crate::exchange::Ask;

/// What is known in the middle of a sequence.
#[derive(Debug, Default)]
pub(super) struct Normaliser {
    /// What references stand for: `version:<path>`, `first-version:<path>`, `uid:<path>`, `list-version`.
    pub(super) values: BTreeMap<String, String>,
    uids: Vec<String>,
    versions: BTreeMap<u64, usize>,
}

const TIMES: &[&str] = &["creationTimestamp", "deletionTimestamp", "time", "lastTransitionTime"];

impl Normaliser {
    pub(super) fn normalise(&mut self, ask: &Ask, mut answer: Value) -> Value {
        self.remember(ask, &answer);
        self.walk(&mut answer);
        answer
    }

    fn remember(&mut self, ask: &Ask, answer: &Value) {
        let path = ask.target.split('?').next().unwrap_or_default();
        let text = |field: &str| answer["metadata"][field].as_str().map(str::to_owned);
        if answer.get("items").is_some() {
            if let Some(version) = text("resourceVersion") {
                self.values.entry("list-version".to_owned()).or_insert(version);
            }
            return;
        }
        let (Some(name), Some(version), Some(uid)) = (text("name"), text("resourceVersion"), text("uid")) else {
            return;
        };
        // What was only tried is not there.
        if ask.target.contains("dryRun") || ask.method == "DELETE" {
            return;
        }
        let place = name_of_place(path, &name);
        self.values.entry(format!("first-version:{place}")).or_insert_with(|| version.clone());
        self.values.insert(format!("version:{place}"), version);
        self.values.insert(format!("uid:{place}"), uid);
    }

    fn walk(&mut self, value: &mut Value) {
        match value {
            Value::Object(fields) => self.object(fields),
            Value::Array(items) => items.iter_mut().for_each(|item| self.walk(item)),
            _ => {}
        }
    }

    fn object(&mut self, fields: &mut Map<String, Value>) {
        let is_list = fields.contains_key("items");
        for (name, value) in fields.iter_mut() {
            match (name.as_str(), &mut *value) {
                ("metadata", Value::Object(metadata)) if is_list => self.list(metadata),
                ("uid", Value::String(uid)) => *uid = self.uid(uid),
                ("resourceVersion", Value::String(version)) => *version = self.version(version),
                ("clusterIP", Value::String(address)) if address != "None" && !address.is_empty() => {
                    "ADDRESS".clone_into(address);
                }
                ("clusterIPs", Value::Array(addresses)) => {
                    for address in addresses.iter_mut().filter(|address| **address != "None") {
                        *address = "ADDRESS".into();
                    }
                }
                ("message", Value::String(message)) => *message = self.message(message),
                ("managedFields", Value::Array(entries)) => {
                    // Servers sort by the second in which something was written.
                    for entry in &mut *entries {
                        if let Some(time) = entry.get_mut("time") {
                            *time = "TIME".into();
                        }
                    }
                    entries.sort_by_key(|entry| {
                        let text = |name: &str| entry[name].as_str().unwrap_or_default().to_owned();
                        (text("manager"), text("operation"), text("subresource"), text("apiVersion"))
                    });
                }
                (name, Value::String(time)) if TIMES.contains(&name) => "TIME".clone_into(time),
                _ => self.walk(value),
            }
        }
    }

    /// A list's version is that of the whole store, which others write to as well.
    fn list(&self, metadata: &mut Map<String, Value>) {
        if let Some(Value::String(version)) = metadata.get_mut("resourceVersion") {
            let newest = self.versions.keys().next_back().copied().unwrap_or_default();
            let current = version.parse::<u64>().is_ok_and(|version| version >= newest);
            if current { "current" } else { "older than what was told" }.clone_into(version);
        }
        if let Some(token) = metadata.get_mut("continue").filter(|token| **token != "") {
            *token = "CONTINUE".into();
        }
    }

    fn uid(&mut self, uid: &str) -> String {
        let index = self.uids.iter().position(|known| known == uid).unwrap_or_else(|| {
            self.uids.push(uid.to_owned());
            self.uids.len() - 1
        });
        format!("uid {index}")
    }

    /// Versions are told apart in the order in which they came, and whether each new one had grown.
    fn version(&mut self, version: &str) -> String {
        let Ok(number) = version.parse::<u64>() else { return version.to_owned() };
        let count = self.versions.len();
        let grown = self.versions.keys().next_back().is_none_or(|newest| number >= *newest);
        let index = *self.versions.entry(number).or_insert(count);
        if index < count || grown { format!("version {index}") } else { format!("version {index}, older") }
    }

    fn message(&self, message: &str) -> String {
        let mut message = message.to_owned();
        for (index, uid) in self.uids.iter().enumerate() {
            message = message.replace(uid, &format!("uid {index}"));
        }
        if message.contains("resourceVersion") || message.contains("ResourceVersion") {
            for (version, index) in self.versions.iter().rev() {
                let known = format!(": {version}");
                message = message.replace(&format!("{known},"), &format!(": version {index},"));
                if let Some(start) = message.strip_suffix(&known) {
                    message = format!("{start}: version {index}");
                }
            }
        }
        message
    }
}

/// The path of an object, also from that of its collection or of a subresource.
fn name_of_place(path: &str, name: &str) -> String {
    let segments: Vec<&str> = path.split('/').collect();
    match segments.iter().rposition(|segment| *segment == name) {
        Some(position) => segments[..=position].join("/"),
        None => format!("{path}/{name}"),
    }
}
