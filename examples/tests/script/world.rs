//! The content of the outside world, comparable between two runs.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::path::Path;

use chalk_deploy_core::model::Digest;
use serde_json::{Value, json};

/// Every file below a folder, by its relative path.
///
/// But for what a server was writing when it was killed (`name~`): it is the server's to forget, which its next write does.
pub(crate) fn files(folder: &Path) -> BTreeMap<String, Vec<u8>> {
    let mut found = BTreeMap::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(next) = folders.pop() {
        for entry in fs::read_dir(&next).unwrap_or_else(|error| panic!("{}: {error}", next.display())) {
            let path = entry.expect("a readable folder").path();
            if path.is_dir() {
                folders.push(path);
            } else {
                let relative = path.strip_prefix(folder).expect("it lies inside").to_string_lossy().into_owned();
                if !relative.ends_with('~') {
                    found.insert(relative, fs::read(&path).expect("readable"));
                }
            }
        }
    }
    found
}

/// What remains of a deployment in a state folder, comparable between two runs:
/// - of the cluster what was applied and the route: labels, specification and data, without what a server adds;
/// - of the registry every tag, manifest and blob, but no upload that was begun: those are the registry's to forget;
/// - of the bucket every object. The index entry holds the time of the deployment, which is left out, and the record of the
///   build its id.
///
/// The deployment's id is replaced by `ID`. Versions, uids, times, events, pods and the number of the lease are left out:
/// they tell how often something was tried. What is left over, missing or different shows.
pub(crate) fn normalised(state: &Path, id: &str) -> BTreeMap<String, String> {
    let raw = files(&state.join("world"));
    let kept = raw.iter().filter_map(|(path, content)| {
        let content = match path.split_once('/')? {
            ("kubernetes", document) => applied(document, content)?,
            ("distribution", document) if !document.starts_with("uploads,") => held(content, id),
            ("s3", document) => stored(document, content)?,
            _ => return None,
        };
        Some((path.replace(id, "ID"), content.replace(id, "ID")))
    });
    kept.collect()
}

/// What serves: what was applied, and the route.
pub(crate) fn serving(state: &Path) -> BTreeMap<String, String> {
    let raw = files(&state.join("world"));
    let kept = raw.iter().filter_map(|(path, content)| {
        let document = path.strip_prefix("kubernetes/")?;
        Some((path.clone(), applied(document, content)?))
    });
    kept.collect()
}

/// The kinds that a deployment applies, and the route.
const APPLIED: [&str; 6] = [
    "configmaps",
    "deployments.apps",
    "httproutes.gateway.networking.k8s.io",
    "poddisruptionbudgets.policy",
    "scaledobjects.keda.sh",
    "services",
];

fn applied(document: &str, content: &[u8]) -> Option<String> {
    let kind = document.strip_prefix("objects,")?.split(',').next()?;
    if !APPLIED.contains(&kind) {
        return None;
    }
    let stored: Value = serde_json::from_slice(content).expect("an object is JSON");
    let mut object = stored["object"].clone();
    for address in ["clusterIP", "clusterIPs"] {
        object["spec"].as_object_mut().map(|fields| fields.remove(address));
    }
    let kept = json!({
        "labels": object["metadata"]["labels"],
        "deleted": object["metadata"]["deletionTimestamp"].is_string(),
        "spec": object["spec"],
        "data": object["data"],
    });
    Some(kept.to_string())
}

fn held(content: &[u8], id: &str) -> String {
    match std::str::from_utf8(content) {
        Ok(text) => text.replace(id, "ID"),
        Err(_) => format!("binary {}", Digest::of(content)),
    }
}

fn stored(document: &str, content: &[u8]) -> Option<String> {
    if document.starts_with("object,") {
        // They name the deployment, and so have another digest each time.
        let is_index = document.contains(",deployments,") || document.contains(",builds,");
        let about: Value = serde_json::from_slice(content).expect("what is known of an object is JSON");
        return Some(if is_index { "an entry".to_owned() } else { about["sha256"].to_string() });
    }
    // Uploads in parts that were begun would be left over, so they count; bytes are compared by the digest above.
    (!document.starts_with("data,") && !document.starts_with("bucket,")).then(|| "left over".to_owned())
}

/// Shows how two worlds differ; empty when they do not.
pub(crate) fn difference(expected: &BTreeMap<String, String>, found: &BTreeMap<String, String>) -> String {
    let mut shown = String::new();
    for path in expected.keys().chain(found.keys().filter(|path| !expected.contains_key(*path))) {
        let (left, right) = (expected.get(path), found.get(path));
        if left != right {
            writeln!(shown, "{path}\n  expected: {left:?}\n  found:    {right:?}").expect("a String takes all");
        }
    }
    shown
}

#[test]
fn only_what_remains_is_compared_and_all_of_it() {
    let build = |id: &str, version: &str, weight: u32, tag: &str| {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let write = |path: &str, content: String| {
            let path = folder.path().join("world").join(path);
            fs::create_dir_all(path.parent().expect("it lies in a folder")).expect("a new folder");
            fs::write(path, content).expect("writable");
        };
        let object = json!({"metadata": {"resourceVersion": version}, "spec": {"name": id, "weight": weight}});
        let document = json!({"object": object}).to_string();
        write(&format!("kubernetes/objects,httproutes.gateway.networking.k8s.io,ns,{id}"), document);
        write(&format!("kubernetes/objects,events,ns,{version}"), "{}".to_owned());
        write(&format!("distribution/repositories,engine,_tags,{id}"), tag.to_owned());
        write(&format!("distribution/uploads,{version},session"), String::new());
        write(&format!("s3/object,bucket,deployments,{id}"), json!({"modified": version}).to_string());
        normalised(folder.path(), id)
    };
    let (one, other) = ("caaaaaaaaaaaaaaaaaaaaaaaa", "cbbbbbbbbbbbbbbbbbbbbbbbb");
    let first = build(one, "1", 100, "x");
    assert_eq!(first.len(), 3);
    assert_eq!(difference(&first, &build(other, "2", 100, "x")), "");
    assert_ne!(difference(&first, &build(one, "1", 99, "x")), "");
    assert_ne!(difference(&first, &build(one, "1", 100, "y")), "");
}
