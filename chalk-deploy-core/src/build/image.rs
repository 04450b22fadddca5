//! The image's config and manifest (OCI image specification 1.1): the base image's, and what we add.
//!
//! The layers stand in the order of how often they change: those of the base image, the dependencies, the source. There
//! is none for generated configuration: what is generated for an image is a variable or a label, which are in its config
//! and cost no layer, and what is generated for a deployment are objects of Kubernetes, which no image holds.

use serde_json::{Map, Value, json};

use super::SOURCE_DIRECTORY;
use super::base::Base;
use super::dependencies::{DependencyRecord, LayerRecord, PACKAGES, SITE_PACKAGES};
use super::layer::Layer;
use crate::cloud::BuildRequest;
use crate::model::{Component, Descriptor, Digest};

pub(crate) const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
pub(crate) const CONFIG: &str = "application/vnd.oci.image.config.v1+json";
/// Images carry no time, or no two builds were equal.
pub(crate) const CREATED: &str = "1970-01-01T00:00:00Z";

/// The environment variable that tells the program where the project lies.
const SOURCE_VARIABLE: &str = "CHALK_SOURCE_DIRECTORY";
/// The environment variable with the folders in which Python looks for modules, between colons.
const PYTHON_VARIABLE: &str = "PYTHONPATH";

/// What an image has on top of its base.
#[derive(Debug, Clone, Copy)]
pub(super) struct Added<'a> {
    pub(super) dependencies: Option<&'a DependencyRecord>,
    pub(super) source: &'a Layer,
}

impl<'a> Added<'a> {
    fn dependency_layer(&self) -> Option<&'a LayerRecord> {
        self.dependencies.and_then(|record| record.layer.as_ref())
    }

    /// The layers, in their order.
    pub(super) fn descriptors(&self) -> Vec<Descriptor> {
        let dependencies = self.dependency_layer().map(|layer| layer.descriptor.clone());
        dependencies.into_iter().chain([self.source.descriptor.clone()]).collect()
    }
}

/// The label that names what compiled the files beside the source. An image without it has none.
const BYTECODE: &str = "chalk.ai/bytecode";

/// The config: a pure function of the base image's and of what decides the content.
pub(super) fn config(base: &Base, component: Component, added: &Added<'_>, request: &BuildRequest) -> Vec<u8> {
    let mut document = base.config.clone();
    let root = object(&mut document);
    root.insert("created".to_owned(), CREATED.into());
    let inner = object(root.entry("config").or_insert(Value::Null));
    set_variable(inner, SOURCE_VARIABLE, SOURCE_DIRECTORY);
    let packages = added.dependencies.filter(|record| record.layer.is_some());
    if packages.is_some() {
        // The project's packages go before those that the base image adds.
        let path = variable(inner, PYTHON_VARIABLE).filter(|path| !path.is_empty());
        let path = path.map_or(SITE_PACKAGES.to_owned(), |path| format!("{SITE_PACKAGES}:{path}"));
        set_variable(inner, PYTHON_VARIABLE, &path);
    }
    let labels = object(inner.entry("Labels").or_insert(Value::Null));
    // What a base image says of its own content does not hold for this one.
    labels.remove(BYTECODE);
    if let Some(interpreter) = &added.source.interpreter {
        labels.insert(BYTECODE.to_owned(), interpreter.to_string().into());
    }
    for (name, value) in [
        // Where the base image lies is no part of what it is, so its name is left out.
        ("org.opencontainers.image.base.digest", base.digest.to_string()),
        ("chalk.ai/component", component.to_string()),
        ("chalk.ai/source-digest", request.source.sha256.to_string()),
        ("chalk.ai/content-digest", content_digest(request, added.source).to_string()),
    ] {
        labels.insert(name.to_owned(), value.into());
    }
    match packages {
        Some(record) => labels.insert(PACKAGES.to_owned(), record.label().into()),
        // The base image may be one of ours.
        None => labels.remove(PACKAGES),
    };
    let history = list(root.entry("history").or_insert(Value::Null));
    if let Some(record) = packages {
        history.push(json!({
            "created": CREATED,
            "created_by": format!("chalk-deploy: {SITE_PACKAGES} with {} packages", record.packages.len()),
        }));
    }
    history.push(json!({
        "created": CREATED,
        "created_by": format!("chalk-deploy: {SOURCE_DIRECTORY} from {}", request.source.sha256),
    }));
    let rootfs = object(root.entry("rootfs").or_insert(Value::Null));
    rootfs.insert("type".to_owned(), "layers".into());
    let diffs = list(rootfs.entry("diff_ids").or_insert(Value::Null));
    let dependencies = added.dependency_layer().map(|layer| layer.diff);
    diffs.extend(dependencies.into_iter().chain([added.source.diff]).map(|diff| Value::from(diff.to_string())));
    bytes(&document)
}

/// What decides the content: the request, and what compiled the source.
fn content_digest(request: &BuildRequest, layer: &Layer) -> Digest {
    let content = request.content_digest();
    layer.interpreter.as_ref().map_or(content, |interpreter| Digest::of(format!("{content}\n{interpreter}")))
}

/// The manifest: the base image's layers by their descriptors, and ours on top.
pub(super) fn manifest(base: &Base, config: &Descriptor, added: &Added<'_>) -> Vec<u8> {
    let described = |descriptor: &Descriptor| json!({"mediaType": descriptor.media_type, "digest": descriptor.digest, "size": descriptor.size});
    let layers: Vec<_> = base.layers.iter().chain(&added.descriptors()).map(described).collect();
    bytes(&json!({
        "schemaVersion": 2,
        "mediaType": MANIFEST,
        "config": described(config),
        "layers": layers,
        "annotations": {"org.opencontainers.image.base.digest": base.digest},
    }))
}

/// Members in the order of their names, whatever order the maps of this program keep: another program that is built with
/// another feature of `serde_json` must come to the same digest.
pub(crate) fn bytes(document: &Value) -> Vec<u8> {
    fn ordered(value: &Value) -> Value {
        match value {
            Value::Object(members) => {
                let mut members: Vec<_> = members.iter().map(|(name, value)| (name.clone(), ordered(value))).collect();
                members.sort_by(|(one, _), (other, _)| one.cmp(other));
                Value::Object(members.into_iter().collect())
            }
            Value::Array(values) => Value::Array(values.iter().map(ordered).collect()),
            value => value.clone(),
        }
    }
    ordered(document).to_string().into_bytes()
}

/// The member of a document that should be an object; made one if it is not.
pub(crate) fn object(value: &mut Value) -> &mut Map<String, Value> {
    if !value.is_object() {
        *value = Value::Object(Map::new());
    }
    match value {
        Value::Object(members) => members,
        _ => unreachable!("it was made an object"),
    }
}

pub(crate) fn list(value: &mut Value) -> &mut Vec<Value> {
    if !value.is_array() {
        *value = Value::Array(Vec::new());
    }
    match value {
        Value::Array(values) => values,
        _ => unreachable!("it was made a list"),
    }
}

fn variable<'a>(config: &'a Map<String, Value>, name: &str) -> Option<&'a str> {
    let variables = config.get("Env")?.as_array()?;
    variables.iter().filter_map(Value::as_str).find_map(|text| text.strip_prefix(name)?.strip_prefix('='))
}

fn set_variable(config: &mut Map<String, Value>, name: &str, value: &str) {
    let begin = format!("{name}=");
    let variables = list(config.entry("Env").or_insert(Value::Null));
    variables.retain(|value| !value.as_str().is_some_and(|text| text.starts_with(&begin)));
    variables.push(format!("{begin}{value}").into());
}
