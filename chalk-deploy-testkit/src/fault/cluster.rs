//! Faults of a cluster.

use async_trait::async_trait;
use chalk_deploy_core::Result;
use chalk_deploy_core::cloud::{ApplyOptions, ClusterApi, Deletion, LiveObject, Observation, Selector};
use chalk_deploy_core::model::{DeploymentId, Manifest, Namespace, ObjectIdentity, ObjectReference};

super::faulty! {
    /// A [`ClusterApi`] under a plan, as `cluster`.
    FaultyCluster of ClusterApi
}

#[deny(clippy::missing_trait_methods)]
#[async_trait]
impl ClusterApi for FaultyCluster {
    async fn apply(
        &self,
        namespace: &Namespace,
        manifest: &Manifest,
        options: &ApplyOptions,
    ) -> Result<ObjectIdentity> {
        let subject = manifest.reference(namespace);
        self.plan.run("cluster", "apply", subject, || self.inner.apply(namespace, manifest, options)).await
    }

    async fn get(&self, reference: &ObjectReference) -> Result<Option<LiveObject>> {
        self.plan.run("cluster", "get", reference, || self.inner.get(reference)).await
    }

    async fn list(&self, namespace: &Namespace, selector: &Selector) -> Result<Vec<LiveObject>> {
        self.plan.run("cluster", "list", namespace, || self.inner.list(namespace, selector)).await
    }

    async fn delete(&self, object: &ObjectIdentity) -> Result<Deletion> {
        self.plan.run("cluster", "delete", object, || self.inner.delete(object)).await
    }

    async fn observe(&self, namespace: &Namespace, deployment: &DeploymentId) -> Result<Observation> {
        self.plan.run("cluster", "observe", deployment, || self.inner.observe(namespace, deployment)).await
    }

    async fn changed(&self, namespace: &Namespace, deployment: &DeploymentId, since: &Observation) -> Result<()> {
        self.plan.run("cluster", "changed", deployment, || self.inner.changed(namespace, deployment, since)).await
    }
}
