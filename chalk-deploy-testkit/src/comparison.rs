//! Whole worlds, made comparable: what must differ between two runs is taken out, and nothing else.

use std::collections::BTreeMap;

use chalk_deploy_core::Result;
use chalk_deploy_core::model::Digest;
use serde_json::Value;

use crate::embedded::EmbeddedWorld;
use crate::world::document_at;

impl EmbeddedWorld {
    /// The whole world without what two runs of one deployment may differ in, by room and document.
    ///
    /// `normalise` replaces ids and times in a text by others of the same length. What the world derives from them
    /// follows by itself: uids, the digests of objects that hold an id. The owners' fencing tokens are left out, because
    /// a run that was killed and resumed had two owners.
    ///
    /// # Errors
    /// [`CloudUnavailable`](chalk_deploy_core::ErrorCode::CloudUnavailable) when the world cannot be read.
    pub fn comparable(&self, normalise: impl Fn(&str) -> String) -> Result<BTreeMap<String, Vec<u8>>> {
        let snapshot = self.world().snapshot()?;
        let documents: Vec<_> =
            snapshot.into_iter().map(|(path, bytes)| (document_at(&path).unwrap_or(path), bytes)).collect();
        let derived: Vec<_> =
            documents.iter().filter_map(|(document, bytes)| derived(document, bytes, &normalise)).collect();
        let replace = |text: &str| {
            let text = normalise(text);
            derived.iter().fold(text, |text, (from, to)| text.replace(from, to))
        };
        let comparable = |(document, bytes): (String, Vec<u8>)| {
            let bytes = without_token(&document, bytes);
            let bytes = match String::from_utf8(bytes) {
                Ok(text) => replace(&text).into_bytes(),
                Err(error) => error.into_bytes(),
            };
            (replace(&document), bytes)
        };
        Ok(documents.into_iter().map(comparable).collect())
    }
}

/// A text that the world has derived from what `normalise` replaces, and the text that stands for it.
fn derived(document: &str, bytes: &[u8], normalise: &impl Fn(&str) -> String) -> Option<(String, String)> {
    if document.starts_with("bucket/bytes/") {
        let (_, digest) = document.rsplit_once('/')?;
        let text = normalise(std::str::from_utf8(bytes).ok()?);
        return Some((digest.to_owned(), Digest::of(text).hex()));
    }
    let value: Value = serde_json::from_slice(bytes).ok()?;
    if document.starts_with("cluster/objects/") {
        let uid = value.pointer("/identity/uid")?.as_str()?;
        return Some((uid.to_owned(), format!("uid of {}", normalise(document))));
    }
    if document.starts_with("cluster/pods/") {
        let template = value.get("template")?.as_str()?;
        return Some((template.to_owned(), format!("template of {}", normalise(document))));
    }
    None
}

fn without_token(document: &str, bytes: Vec<u8>) -> Vec<u8> {
    if !document.starts_with("cluster/objects/") && !document.starts_with("gateway/") {
        return bytes;
    }
    let Ok(mut value) = serde_json::from_slice::<Value>(&bytes) else { return bytes };
    if let Some(fields) = value.as_object_mut() {
        fields.remove("token");
    }
    value.to_string().into_bytes()
}

#[cfg(test)]
mod tests {
    use chalk_deploy_core::cloud::{ApplyOptions, FencingToken, Payload, PutMode, label};
    use chalk_deploy_core::model::{DeploymentId, Manifest, Namespace, ObjectKey};
    use serde_json::json;

    use super::*;
    use crate::fake::{PodBehaviour, PodScope};

    async fn run(id: &DeploymentId, token: u64, text: &str) -> EmbeddedWorld {
        let world = EmbeddedWorld::memory();
        world.cluster().set_behaviour(PodScope::All, PodBehaviour::Ready { after: 1 });
        let cloud = world.cloud();
        let key = ObjectKey::new(format!("deployments/{id}")).expect("a valid key");
        let payload = Payload::from_bytes(format!("{text} of {id}"));
        cloud.object_store.put(&key, &payload, PutMode::WriteOnce).await.expect("stored");
        let labels = json!({label::DEPLOYMENT: id});
        let manifest = Manifest::new(json!({
            "apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": format!("engine-{id}"), "labels": labels},
            "spec": {"template": {"metadata": {"labels": labels}}},
        }));
        let namespace = Namespace::new("ns-test").expect("a valid namespace");
        let options = ApplyOptions { token: FencingToken(token) };
        cloud.cluster.apply(&namespace, &manifest.expect("a manifest"), &options).await.expect("applied");
        cloud.cluster.observe(&namespace, id).await.expect("observed");
        world
    }

    #[tokio::test]
    async fn two_runs_that_differ_in_id_and_token_are_comparable_and_any_other_difference_shows() {
        let [one, other] =
            ["a", "b"].map(|letter| DeploymentId::new(format!("c{}", letter.repeat(24))).expect("a valid id"));
        let placeholder = "x".repeat(25);
        let normalise = |text: &str| text.replace(one.as_str(), &placeholder).replace(other.as_str(), &placeholder);
        let comparable = |world: EmbeddedWorld| world.comparable(normalise).expect("readable");
        let first = comparable(run(&one, 1, "text").await);
        assert_eq!(first, comparable(run(&other, 2, "text").await));
        assert_ne!(first, comparable(run(&other, 2, "other").await));
        assert!(first.len() >= 5, "{:?}", first.keys());
    }
}
