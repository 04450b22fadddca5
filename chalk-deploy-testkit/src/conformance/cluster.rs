//! What every [`ClusterApi`] does.

use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;
use chalk_deploy_core::cloud::{
    ApplyOptions, ClusterApi, Deletion, FIELD_MANAGER, FencingToken, LiveObject, Observation, PodPhase, Selector, label,
};
use chalk_deploy_core::model::{
    Component, DeploymentId, EnvironmentId, Manifest, Namespace, ObjectIdentity, ObjectReference,
};
use chalk_deploy_core::{ErrorCode, Result};
use serde_json::{Value, json};

use super::{Fresh, Verdict, Violation, ensure, refused, suite};

suite! { "cluster", dyn ClusterHarness;
    an_applied_object_is_read_back_with_its_labels,
    applying_the_same_document_again_changes_nothing,
    a_changed_document_keeps_the_uid_and_gets_a_new_version,
    an_older_token_changes_nothing,
    the_token_is_on_the_object_and_in_no_pod_template,
    a_field_of_another_manager_is_a_conflict_and_is_not_forced,
    a_document_that_breaks_the_schema_is_refused_and_leaves_nothing,
    what_was_never_applied_is_not_there,
    a_list_holds_ours_of_the_environment_and_of_the_deployment_in_order,
    deleting_is_by_uid_and_may_be_repeated,
    pods_of_an_image_that_runs_become_ready_and_endpoints_follow,
    a_deployment_without_a_service_has_no_endpoints,
    an_image_that_cannot_be_pulled_is_told,
    a_container_that_crashes_is_told,
    pods_that_never_become_ready_run_and_are_not_ready,
    the_pods_of_two_deployments_are_not_mixed,
    a_deployment_that_is_not_there_has_nothing_to_observe,
    a_wait_ends_at_once_when_the_observation_is_old,
}

/// How often a check looks before it gives up.
const MOST_LOOKS: usize = 1000;

/// The cluster under test.
#[async_trait]
pub trait ClusterHarness: fmt::Debug + Send + Sync {
    /// The cluster.
    fn cluster(&self) -> Arc<dyn ClusterApi>;

    /// A namespace of its own for a check.
    async fn namespace(&self, fresh: &Fresh) -> Result<Namespace>;

    /// An image by digest, whose containers behave like this in this cluster.
    async fn image(&self, behaviour: ImageBehaviour) -> Result<String>;

    /// Sets a field of an object, by JSON pointer, under a field manager of this name.
    async fn edit_as(&self, manager: &str, object: &ObjectReference, pointer: &str, value: Value) -> Result<()>;
}

/// What becomes of the containers of an image.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum ImageBehaviour {
    /// They run and become ready.
    Runs,
    /// It cannot be pulled.
    CannotBePulled,
    /// They exit.
    Crashes,
    /// They run and never become ready.
    NeverReady,
}

/// An applied object is read back with its labels.
pub async fn an_applied_object_is_read_back_with_its_labels(harness: &dyn ClusterHarness, fresh: &Fresh) -> Verdict {
    let check = Check::new(harness, fresh).await?;
    let manifest = check.settings("a", "1")?;
    let identity = check.apply(&manifest).await?;
    ensure!(identity.reference == manifest.reference(&check.namespace), "apply answered {identity}");
    ensure!(!identity.uid.is_empty(), "the object has no uid");
    let live = check.get(&identity.reference).await?;
    ensure!(live.identity == identity, "get answered {}", live.identity);
    ensure!(live.labels.get(label::MANAGED_BY).is_some_and(|value| value == FIELD_MANAGER), "labels {:?}", live.labels);
    ensure!(live.document["data"]["value"] == "1", "the document is {}", live.document);
    Ok(())
}

/// Applying the same document again returns the same identity and changes no version.
pub async fn applying_the_same_document_again_changes_nothing(harness: &dyn ClusterHarness, fresh: &Fresh) -> Verdict {
    let check = Check::new(harness, fresh).await?;
    for manifest in [check.settings("a", "1")?, check.service("b")?] {
        let identity = check.apply(&manifest).await?;
        let before = check.get(&identity.reference).await?;
        let again = check.apply(&manifest).await?;
        ensure!(again == identity, "the second apply answered {again}");
        let after = check.get(&identity.reference).await?;
        ensure!(after.resource_version == before.resource_version, "the second apply made a new version");
    }
    Ok(())
}

/// A changed document keeps the uid and gets a new version; what it no longer names is gone.
pub async fn a_changed_document_keeps_the_uid_and_gets_a_new_version(
    harness: &dyn ClusterHarness,
    fresh: &Fresh,
) -> Verdict {
    let check = Check::new(harness, fresh).await?;
    let identity = check.apply(&check.settings("a", "1")?).await?;
    let before = check.get(&identity.reference).await?;
    let mut document = check.settings("a", "2")?.document().clone();
    document["data"] = json!({"other": "2"});
    ensure!(check.apply(&Manifest::new(document)?).await? == identity, "the identity has changed");
    let after = check.get(&identity.reference).await?;
    ensure!(after.resource_version != before.resource_version, "the version is the same");
    ensure!(after.document["data"] == json!({"other": "2"}), "the data is {}", after.document["data"]);
    Ok(())
}

/// An older token changes nothing.
pub async fn an_older_token_changes_nothing(harness: &dyn ClusterHarness, fresh: &Fresh) -> Verdict {
    let check = Check::new(harness, fresh).await?;
    let apply = |value, token| check.apply_as(check.settings("a", value), token);
    let identity = apply("1", 5).await?;
    refused(apply("2", 4).await, ErrorCode::LeaseLost, "applying with an older token")?;
    ensure!(check.get(&identity.reference).await?.document["data"]["value"] == "1", "the older owner has changed it");
    apply("3", 6).await?;
    refused(apply("2", 5).await, ErrorCode::LeaseLost, "applying with a token that was the newest")?;
    ensure!(check.get(&identity.reference).await?.document["data"]["value"] == "3", "the older owner has changed it");
    Ok(())
}

/// The token is on the object and in no pod template, where it would restart the pods.
pub async fn the_token_is_on_the_object_and_in_no_pod_template(harness: &dyn ClusterHarness, fresh: &Fresh) -> Verdict {
    let check = Check::new(harness, fresh).await?;
    let image = harness.image(ImageBehaviour::Runs).await?;
    let manifest = check.workload("a", &image, 0)?;
    let identity = check.apply_as(Ok(manifest), 987_654_321).await?;
    let document = check.get(&identity.reference).await?.document;
    ensure!(document["metadata"]["annotations"].to_string().contains("987654321"), "no annotation has the token");
    ensure!(!document["spec"].to_string().contains("987654321"), "the specification has the token");
    Ok(())
}

/// A field of another manager is a conflict that names both, and is not forced.
pub async fn a_field_of_another_manager_is_a_conflict_and_is_not_forced(
    harness: &dyn ClusterHarness,
    fresh: &Fresh,
) -> Verdict {
    let check = Check::new(harness, fresh).await?;
    let identity = check.apply(&check.settings("a", "1")?).await?;
    harness.edit_as("someone-else", &identity.reference, "/data/value", json!("theirs")).await?;
    let error = refused(check.apply(&check.settings("a", "2")?).await, ErrorCode::ObjectConflict, "taking the field")?;
    let words = error.to_string();
    ensure!(words.contains("someone-else") && words.contains("value"), "the error does not name both: {words}");
    ensure!(check.get(&identity.reference).await?.document["data"]["value"] == "theirs", "the field was forced");
    Ok(())
}

/// A document that breaks the schema is refused and leaves nothing.
pub async fn a_document_that_breaks_the_schema_is_refused_and_leaves_nothing(
    harness: &dyn ClusterHarness,
    fresh: &Fresh,
) -> Verdict {
    let check = Check::new(harness, fresh).await?;
    let mut labels = check.settings("a", "1")?.document().clone();
    labels["metadata"]["labels"]["number"] = json!(1);
    let mut name = check.settings("a", "1")?.document().clone();
    name["metadata"]["name"] = json!("Not_A_Name");
    for document in [labels, name] {
        let manifest = Manifest::new(document)?;
        let error = refused(check.apply(&manifest).await, ErrorCode::ObjectRefused, "applying it")?;
        ensure!(error.to_string().contains(manifest.name()), "the error does not name the object: {error}");
        let left = check.cluster.get(&manifest.reference(&check.namespace)).await?;
        ensure!(left.is_none(), "the refused object is there");
    }
    Ok(())
}

/// What was never applied is not there.
pub async fn what_was_never_applied_is_not_there(harness: &dyn ClusterHarness, fresh: &Fresh) -> Verdict {
    let check = Check::new(harness, fresh).await?;
    let reference = check.settings("a", "1")?.reference(&check.namespace);
    ensure!(check.cluster.get(&reference).await?.is_none(), "there is an object");
    let selector = Selector { environment: check.environment.clone(), deployment: None };
    ensure!(check.cluster.list(&check.namespace, &selector).await?.is_empty(), "there are objects");
    let identity = ObjectIdentity { reference, uid: "00000000-0000-4000-8000-000000000000".to_owned() };
    ensure!(check.cluster.delete(&identity).await? == Deletion::Absent, "it could be deleted");
    Ok(())
}

/// A list holds our objects of the environment, or of one deployment in it, in order, and nobody else's.
pub async fn a_list_holds_ours_of_the_environment_and_of_the_deployment_in_order(
    harness: &dyn ClusterHarness,
    fresh: &Fresh,
) -> Verdict {
    let check = Check::new(harness, fresh).await?;
    let other = Check { deployment: fresh.deployment("other")?, ..check.clone() };
    let elsewhere = Check { environment: fresh.environment("elsewhere")?, ..check.clone() };
    let mut foreign = check.settings("foreign", "1")?.document().clone();
    foreign["metadata"]["labels"][label::MANAGED_BY] = json!("someone-else");
    for manifest in [
        check.settings("b", "1")?,
        check.settings("a", "1")?,
        other.settings("c", "1")?,
        elsewhere.settings("d", "1")?,
        Manifest::new(foreign)?,
    ] {
        check.apply(&manifest).await?;
    }
    for (deployment, expected) in [(None, &["a", "b", "c"][..]), (Some(check.deployment.clone()), &["a", "b"])] {
        let selector = Selector { environment: check.environment.clone(), deployment };
        let found = check.cluster.list(&check.namespace, &selector).await?;
        let names: Vec<_> = found.iter().map(|object| object.identity.reference.name.as_str()).collect();
        let expected: Vec<_> = expected.iter().map(|name| check.name(name)).collect();
        ensure!(names == expected, "listed {names:?}, expected {expected:?}");
    }
    Ok(())
}

/// Deleting is by uid, leaves a later object of the same name alone, and may be repeated.
pub async fn deleting_is_by_uid_and_may_be_repeated(harness: &dyn ClusterHarness, fresh: &Fresh) -> Verdict {
    let check = Check::new(harness, fresh).await?;
    let manifest = check.settings("a", "1")?;
    let first = check.apply(&manifest).await?;
    ensure!(check.cluster.delete(&first).await? == Deletion::Removed, "the object was not removed");
    check.until_gone(&first).await?;
    let again = check.cluster.delete(&first).await?;
    ensure!(again == Deletion::Absent, "deleting what is gone answered {again:?}");
    let second = check.apply(&manifest).await?;
    ensure!(second.uid != first.uid, "the second object has the first one's uid");
    let late = check.cluster.delete(&first).await?;
    ensure!(late == Deletion::Replaced, "deleting the first object late answered {late:?}");
    ensure!(check.get(&second.reference).await?.identity == second, "the second object was touched");
    Ok(())
}

/// Pods of an image that runs become ready, and endpoints follow.
pub async fn pods_of_an_image_that_runs_become_ready_and_endpoints_follow(
    harness: &dyn ClusterHarness,
    fresh: &Fresh,
) -> Verdict {
    let check = Check::new(harness, fresh).await?;
    check.roll_out(ImageBehaviour::Runs, 2).await?;
    let ready = check.until("ready", |seen| seen.workloads.iter().any(|workload| workload.ready == 2)).await?;
    let [workload] = ready.workloads.as_slice() else {
        return Err(Violation::new(format!("one workload was applied, and there are {:?}", ready.workloads)));
    };
    ensure!(workload.observed && workload.desired == 2 && workload.refused.is_none(), "the workload is {workload:?}");
    let sound = |pod: &chalk_deploy_core::cloud::ObservedPod| pod.ready && pod.phase == PodPhase::Running;
    ensure!(ready.pods.len() == 2 && ready.pods.iter().all(sound), "the pods are {:?}", ready.pods);
    ensure!(ready.pods.is_sorted_by(|one, other| one.name < other.name), "the pods are not in order");
    let endpoints = check.until("behind the service", |seen| seen.ready_endpoints == Some(2)).await?;
    ensure!(endpoints.workloads == ready.workloads, "the workload has changed");
    Ok(())
}

/// A deployment without a service has no endpoints, which is not the same as none that are ready.
pub async fn a_deployment_without_a_service_has_no_endpoints(harness: &dyn ClusterHarness, fresh: &Fresh) -> Verdict {
    let check = Check::new(harness, fresh).await?;
    let image = harness.image(ImageBehaviour::Runs).await?;
    check.apply(&check.workload("a", &image, 1)?).await?;
    let ready = check.until("ready", |seen| seen.workloads.iter().any(|workload| workload.ready == 1)).await?;
    ensure!(ready.ready_endpoints.is_none(), "there are {:?} endpoints", ready.ready_endpoints);
    Ok(())
}

/// An image that cannot be pulled is told.
pub async fn an_image_that_cannot_be_pulled_is_told(harness: &dyn ClusterHarness, fresh: &Fresh) -> Verdict {
    fails_with(harness, fresh, ImageBehaviour::CannotBePulled, PodPhase::ImagePullFailed).await
}

/// A container that crashes is told.
pub async fn a_container_that_crashes_is_told(harness: &dyn ClusterHarness, fresh: &Fresh) -> Verdict {
    fails_with(harness, fresh, ImageBehaviour::Crashes, PodPhase::Crashed).await
}

/// Pods that never become ready run and are not ready.
pub async fn pods_that_never_become_ready_run_and_are_not_ready(
    harness: &dyn ClusterHarness,
    fresh: &Fresh,
) -> Verdict {
    fails_with(harness, fresh, ImageBehaviour::NeverReady, PodPhase::Running).await
}

/// The pods of two deployments in one namespace are not mixed.
pub async fn the_pods_of_two_deployments_are_not_mixed(harness: &dyn ClusterHarness, fresh: &Fresh) -> Verdict {
    let check = Check::new(harness, fresh).await?;
    let other = Check { deployment: fresh.deployment("other")?, ..check.clone() };
    check.roll_out(ImageBehaviour::Runs, 1).await?;
    other.roll_out(ImageBehaviour::NeverReady, 1).await?;
    let ready = check.until("ready", |seen| seen.ready_endpoints == Some(1)).await?;
    let waiting = other.until("running", |seen| seen.pods.iter().any(|pod| pod.phase == PodPhase::Running)).await?;
    ensure!(waiting.ready_endpoints == Some(0), "the other has {:?} endpoints", waiting.ready_endpoints);
    ensure!(ready.pods.len() == 1 && waiting.pods.len() == 1, "{:?} and {:?}", ready.pods, waiting.pods);
    ensure!(ready.pods[0].name != waiting.pods[0].name, "both have the pod {}", ready.pods[0].name);
    Ok(())
}

/// A deployment that is not there has nothing to observe.
pub async fn a_deployment_that_is_not_there_has_nothing_to_observe(
    harness: &dyn ClusterHarness,
    fresh: &Fresh,
) -> Verdict {
    let check = Check::new(harness, fresh).await?;
    let seen = check.cluster.observe(&check.namespace, &check.deployment).await?;
    let nothing = Observation { resource_version: seen.resource_version.clone(), ..Observation::default() };
    ensure!(seen == nothing, "observed {seen:?}");
    Ok(())
}

/// A wait ends at once when the observation is old.
pub async fn a_wait_ends_at_once_when_the_observation_is_old(harness: &dyn ClusterHarness, fresh: &Fresh) -> Verdict {
    let check = Check::new(harness, fresh).await?;
    let before = check.cluster.observe(&check.namespace, &check.deployment).await?;
    check.roll_out(ImageBehaviour::Runs, 1).await?;
    check.until("ready", |seen| seen.ready_endpoints == Some(1)).await?;
    check.cluster.changed(&check.namespace, &check.deployment, &before).await?;
    Ok(())
}

async fn fails_with(
    harness: &dyn ClusterHarness,
    fresh: &Fresh,
    behaviour: ImageBehaviour,
    phase: PodPhase,
) -> Verdict {
    let check = Check::new(harness, fresh).await?;
    check.roll_out(behaviour, 1).await?;
    let seen = check.until("as they end", |seen| seen.pods.iter().any(|pod| pod.phase == phase)).await?;
    ensure!(seen.pods.iter().all(|pod| !pod.ready), "a pod is ready: {:?}", seen.pods);
    ensure!(seen.pods.iter().any(|pod| !pod.message.is_empty()), "no pod says why: {:?}", seen.pods);
    ensure!(seen.ready_endpoints == Some(0), "there are {:?} endpoints", seen.ready_endpoints);
    Ok(())
}

/// What one check works with.
#[derive(Debug, Clone)]
struct Check<'harness> {
    harness: &'harness dyn ClusterHarness,
    cluster: Arc<dyn ClusterApi>,
    namespace: Namespace,
    environment: EnvironmentId,
    deployment: DeploymentId,
    prefix: String,
}

impl<'harness> Check<'harness> {
    async fn new(harness: &'harness dyn ClusterHarness, fresh: &Fresh) -> Result<Self> {
        Ok(Self {
            harness,
            cluster: harness.cluster(),
            namespace: harness.namespace(fresh).await?,
            environment: fresh.environment("e")?,
            deployment: fresh.deployment("d")?,
            prefix: fresh.prefix().to_owned(),
        })
    }

    fn name(&self, name: &str) -> String {
        format!("{}-{name}", self.prefix)
    }

    fn labels(&self) -> Value {
        json!({
            label::MANAGED_BY: FIELD_MANAGER, label::ENVIRONMENT: self.environment,
            label::DEPLOYMENT: self.deployment, label::COMPONENT: Component::Engine,
        })
    }

    fn settings(&self, name: &str, value: &str) -> Result<Manifest> {
        Manifest::new(json!({
            "apiVersion": "v1", "kind": "ConfigMap",
            "metadata": {"name": self.name(name), "labels": self.labels()},
            "data": {"value": value},
        }))
    }

    fn service(&self, name: &str) -> Result<Manifest> {
        Manifest::new(json!({
            "apiVersion": "v1", "kind": "Service",
            "metadata": {"name": self.name(name), "labels": self.labels()},
            "spec": {
                "selector": {label::DEPLOYMENT: self.deployment},
                "ports": [{"name": "http", "port": 80, "protocol": "TCP", "targetPort": 8080}],
            },
        }))
    }

    fn workload(&self, name: &str, image: &str, replicas: u32) -> Result<Manifest> {
        Manifest::new(json!({
            "apiVersion": "apps/v1", "kind": "Deployment",
            "metadata": {"name": self.name(name), "labels": self.labels()},
            "spec": {
                "replicas": replicas,
                "selector": {"matchLabels": {label::DEPLOYMENT: self.deployment}},
                "template": {
                    "metadata": {"labels": self.labels()},
                    "spec": {"containers": [{
                        "name": "engine", "image": image,
                        // Without it a pod is ready as soon as it runs.
                        "readinessProbe": {"httpGet": {"path": "/ready", "port": 8080}, "periodSeconds": 1},
                    }]},
                },
            },
        }))
    }

    async fn roll_out(&self, behaviour: ImageBehaviour, replicas: u32) -> Verdict {
        let image = self.harness.image(behaviour).await?;
        self.apply(&self.workload(self.deployment.as_str(), &image, replicas)?).await?;
        self.apply(&self.service(self.deployment.as_str())?).await?;
        Ok(())
    }

    async fn apply(&self, manifest: &Manifest) -> Result<ObjectIdentity> {
        self.apply_as(Ok(manifest.clone()), 1).await
    }

    async fn apply_as(&self, manifest: Result<Manifest>, token: u64) -> Result<ObjectIdentity> {
        let options = ApplyOptions { token: FencingToken(token) };
        self.cluster.apply(&self.namespace, &manifest?, &options).await
    }

    async fn get(&self, reference: &ObjectReference) -> Result<LiveObject, Violation> {
        let object = self.cluster.get(reference).await?;
        object.ok_or_else(|| Violation::new(format!("{reference} is not there")))
    }

    async fn until(&self, what: &str, holds: impl Fn(&Observation) -> bool + Send) -> Result<Observation, Violation> {
        for _ in 0..MOST_LOOKS {
            let seen = self.cluster.observe(&self.namespace, &self.deployment).await?;
            if holds(&seen) {
                return Ok(seen);
            }
            self.cluster.changed(&self.namespace, &self.deployment, &seen).await?;
        }
        Err(Violation::new(format!("the pods were never seen {what}")))
    }

    async fn until_gone(&self, identity: &ObjectIdentity) -> Verdict {
        for _ in 0..MOST_LOOKS {
            if self.cluster.get(&identity.reference).await?.is_none() {
                return Ok(());
            }
            tokio::task::yield_now().await;
        }
        Err(Violation::new(format!("{identity} was removed and does not go")))
    }
}
