//! [`ClusterApi`] on an API server.

use std::collections::BTreeMap;

use async_trait::async_trait;
use kube::api::{ApiResource, DeleteParams, GetParams, ListParams, Patch, PatchParams, Preconditions};
use serde::Deserialize;
use serde_json::{Value, json};

use super::asked::{Asked, Verb};
use super::connection::{Connection, Failure, List};
use super::kinds::{self, APPLIED, Kind};
use super::{name, observation, ownership, watching};
use crate::cloud::{
    ApplyOptions, ClusterApi, Deletion, FIELD_MANAGER, FencingToken, LiveObject, Observation, Selector,
    TOKEN_ANNOTATION, label,
};
use crate::error::Retry;
use crate::model::{DeploymentId, Manifest, Namespace, ObjectIdentity, ObjectReference};
use crate::{Error, ErrorCode, Result, text};

/// A cluster behind its API server.
#[derive(Debug, Clone)]
pub struct KubernetesCluster {
    connection: Connection,
}

impl KubernetesCluster {
    /// The cluster of a connection.
    pub const fn new(connection: Connection) -> Self {
        Self { connection }
    }

    /// How it is reached.
    pub const fn connection(&self) -> &Connection {
        &self.connection
    }

    /// The object itself, or `None`.
    async fn read(&self, resource: &ApiResource, reference: &ObjectReference) -> Result<Option<Value>> {
        let request = kinds::requests(resource, Some(&reference.namespace));
        match self.connection.json(request.get(&reference.name, &GetParams::default())).await {
            Ok(object) => Ok(Some(object)),
            Err(failure) if failure.is_not_found() => Ok(None),
            Err(failure) => Err(failure.error(&Asked::object(Verb::Get, resource, reference))),
        }
    }

    async fn list_kind(&self, kind: Kind, namespace: &Namespace, labels: &str) -> Result<Vec<LiveObject>> {
        let asked = Asked::about(Verb::List, kind, namespace);
        let (items, _) = match list::<Value>(&self.connection, kind, namespace, labels).await {
            Ok(listed) => listed,
            // What defines the kind is not installed here, so there are none.
            Err(failure) if failure.is_not_found() => return Ok(Vec::new()),
            Err(failure) => return Err(failure.error(&asked)),
        };
        let resource = kind.resource();
        let live = items.into_iter().map(|mut object| {
            // The items of a list do not say what they are.
            object["apiVersion"] = resource.api_version.clone().into();
            object["kind"] = resource.kind.clone().into();
            live_object(object, namespace).map_err(|failure| failure.error(&asked))
        });
        live.collect()
    }
}

#[async_trait]
impl ClusterApi for KubernetesCluster {
    async fn apply(
        &self,
        namespace: &Namespace,
        manifest: &Manifest,
        options: &ApplyOptions,
    ) -> Result<ObjectIdentity> {
        let reference = manifest.reference(namespace);
        name::check(&reference)?;
        let resource = kinds::resource_of(manifest.api_version(), manifest.kind());
        let live = self.read(&resource, &reference).await?;
        let mut document = document(manifest, &reference)?;
        if let Some(live) = &live {
            let carried = carried_token(live, &reference)?;
            if options.token < carried {
                return Err(Error::new(
                    ErrorCode::LeaseLost,
                    format!("the object carries the token {carried}, and this owner has {}", options.token),
                )
                .on(reference));
            }
            if !live["metadata"]["deletionTimestamp"].is_null() {
                return Err(Error::new(ErrorCode::ObjectConflict, "it is being removed")
                    .on(reference)
                    .with_hint("wait until it is gone, and resume")
                    .with_retry(Retry::Temporary));
            }
            document["metadata"]["annotations"][TOKEN_ANNOTATION] = options.token.to_string().into();
            if carried == options.token && ownership::is_applied(live, &document) {
                let asked = Asked::object(Verb::Get, &resource, &reference);
                return identity(live, &reference).map_err(|failure| failure.error(&asked));
            }
            // Whoever writes between the read above and this makes it fail: the token that was compared is the one
            // that is replaced.
            document["metadata"]["resourceVersion"] = live["metadata"]["resourceVersion"].clone();
        } else {
            document["metadata"]["annotations"][TOKEN_ANNOTATION] = options.token.to_string().into();
        }
        let parameters = PatchParams::apply(FIELD_MANAGER).validation_strict();
        let request = kinds::requests(&resource, Some(namespace));
        let patch = request.patch(&reference.name, &parameters, &Patch::Apply(&document));
        let asked = Asked::object(if live.is_some() { Verb::Patch } else { Verb::Create }, &resource, &reference);
        let stored: Value = self.connection.json(patch).await.map_err(|failure| failure.error(&asked))?;
        identity(&stored, &reference).map_err(|failure| failure.error(&asked))
    }

    async fn get(&self, reference: &ObjectReference) -> Result<Option<LiveObject>> {
        if !name::is_path_segment(&reference.name) {
            // No object can have such a name.
            return Ok(None);
        }
        let resource = kinds::resource_of(&reference.api_version, &reference.kind);
        let Some(object) = self.read(&resource, reference).await? else { return Ok(None) };
        let live = live_object(object, &reference.namespace);
        live.map(Some).map_err(|failure| failure.error(&Asked::object(Verb::Get, &resource, reference)))
    }

    async fn list(&self, namespace: &Namespace, selector: &Selector) -> Result<Vec<LiveObject>> {
        let mut labels =
            format!("{}={FIELD_MANAGER},{}={}", label::MANAGED_BY, label::ENVIRONMENT, selector.environment);
        if let Some(deployment) = &selector.deployment {
            labels = format!("{labels},{}={deployment}", label::DEPLOYMENT);
        }
        let mut found = Vec::new();
        for kind in APPLIED {
            found.extend(self.list_kind(*kind, namespace, &labels).await?);
        }
        found.sort_by(|one, other| one.identity.cmp(&other.identity));
        Ok(found)
    }

    async fn delete(&self, object: &ObjectIdentity) -> Result<Deletion> {
        let reference = &object.reference;
        if !name::is_path_segment(&reference.name) {
            return Ok(Deletion::Absent);
        }
        let resource = kinds::resource_of(&reference.api_version, &reference.kind);
        let exactly = Preconditions { uid: Some(object.uid.clone()), ..Preconditions::default() };
        let parameters = DeleteParams::background().preconditions(exactly);
        let request = kinds::requests(&resource, Some(&reference.namespace));
        match self.connection.ask(request.delete(&reference.name, &parameters)).await {
            Ok(_) => Ok(Deletion::Removed),
            Err(failure) if failure.is_not_found() => Ok(Deletion::Absent),
            Err(failure) if failure.is_conflict() => match self.read(&resource, reference).await? {
                None => Ok(Deletion::Absent),
                Some(live) if live["metadata"]["uid"] != object.uid.as_str() => Ok(Deletion::Replaced),
                // It is the very object, and something else is in the way.
                Some(_) => Err(failure.error(&Asked::object(Verb::Delete, &resource, reference))),
            },
            Err(failure) => Err(failure.error(&Asked::object(Verb::Delete, &resource, reference))),
        }
    }

    async fn observe(&self, namespace: &Namespace, deployment: &DeploymentId) -> Result<Observation> {
        observation::observe(&self.connection, namespace, deployment).await
    }

    async fn changed(&self, namespace: &Namespace, deployment: &DeploymentId, since: &Observation) -> Result<()> {
        watching::changed(&self.connection, namespace, deployment, since).await
    }
}

/// All objects of a kind that match, page by page, and the version at which this was true. A list whose continuation
/// has expired is read once more from the start.
pub(super) async fn list<T: for<'de> Deserialize<'de>>(
    connection: &Connection,
    kind: Kind,
    namespace: &Namespace,
    labels: &str,
) -> Result<(Vec<T>, String), Failure> {
    match list_pages(connection, kind, namespace, labels).await {
        Err(failure) if failure.is_gone() => list_pages(connection, kind, namespace, labels).await,
        listed => listed,
    }
}

async fn list_pages<T: for<'de> Deserialize<'de>>(
    connection: &Connection,
    kind: Kind,
    namespace: &Namespace,
    labels: &str,
) -> Result<(Vec<T>, String), Failure> {
    let limits = connection.limits();
    let mut parameters = ListParams::default().labels(labels).limit(limits.page);
    let mut found = Vec::new();
    for _ in 0..limits.pages {
        let page: List<T> = connection.json(kind.requests(namespace).list(&parameters)).await?;
        found.extend(page.items.unwrap_or_default());
        match page.metadata.next.filter(|next| !next.is_empty()) {
            Some(next) => parameters = parameters.continue_token(&next),
            None => return Ok((found, page.metadata.resource_version)),
        }
    }
    Err(Failure::Nonsense(format!("a list has more than {} pages", limits.pages)))
}

/// The manifest as it is sent, without the token.
fn document(manifest: &Manifest, reference: &ObjectReference) -> Result<Value> {
    let mut document = manifest.document().clone();
    let refused = |why: &str| Error::new(ErrorCode::ObjectRefused, why).on(text::line(&reference.to_string(), 400));
    let namespace = &document["metadata"]["namespace"];
    if !namespace.is_null() && *namespace != reference.namespace.as_str() {
        return Err(refused("the document names another namespace"));
    }
    document["metadata"]["namespace"] = reference.namespace.as_str().into();
    match &document["metadata"]["annotations"] {
        Value::Null => document["metadata"]["annotations"] = json!({}),
        Value::Object(_) => {}
        _ => return Err(refused("its annotations are no mapping")),
    }
    Ok(document)
}

/// The token that an object carries; the oldest of all where it carries none.
fn carried_token(live: &Value, reference: &ObjectReference) -> Result<FencingToken> {
    token_in(&live["metadata"]["annotations"][TOKEN_ANNOTATION]).ok_or_else(|| {
        Error::new(ErrorCode::ObjectConflict, format!("its annotation `{TOKEN_ANNOTATION}` is no token"))
            .on(reference)
            .with_hint("someone has edited it; remove the annotation, or the object")
    })
}

/// A token as an annotation holds it.
pub(crate) fn token_in(annotation: &Value) -> Option<FencingToken> {
    match annotation {
        Value::Null => Some(FencingToken::default()),
        Value::String(text) => text.parse().ok().map(FencingToken),
        _ => None,
    }
}

fn identity(object: &Value, reference: &ObjectReference) -> Result<ObjectIdentity, Failure> {
    let uid = object["metadata"]["uid"].as_str().filter(|uid| !uid.is_empty());
    let uid = uid.ok_or_else(|| Failure::Nonsense("an object has no uid".to_owned()))?;
    if object["metadata"]["name"] != reference.name.as_str() {
        return Err(Failure::Nonsense("another object than the one asked for".to_owned()));
    }
    Ok(ObjectIdentity { reference: reference.clone(), uid: uid.to_owned() })
}

fn live_object(document: Value, namespace: &Namespace) -> Result<LiveObject, Failure> {
    let field = |pointer: &str| {
        let text = document.pointer(pointer).and_then(Value::as_str).filter(|text| !text.is_empty());
        text.map(str::to_owned).ok_or_else(|| Failure::Nonsense(format!("an object has no text at `{pointer}`")))
    };
    let reference = ObjectReference {
        api_version: field("/apiVersion")?,
        kind: field("/kind")?,
        namespace: namespace.clone(),
        name: field("/metadata/name")?,
    };
    if document["metadata"]["namespace"] != namespace.as_str() {
        return Err(Failure::Nonsense("an object of another namespace".to_owned()));
    }
    let labels = match &document["metadata"]["labels"] {
        Value::Null => BTreeMap::default(),
        labels => serde_json::from_value(labels.clone())
            .map_err(|_| Failure::Nonsense("an object's labels are no texts".to_owned()))?,
    };
    Ok(LiveObject {
        resource_version: field("/metadata/resourceVersion")?,
        identity: ObjectIdentity { uid: field("/metadata/uid")?, reference },
        labels,
        document,
    })
}
