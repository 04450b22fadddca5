//! Which images of an environment must stay, and the sweep of the others.

use std::collections::BTreeSet;

use serde_json::Value;

use super::Deployer;
use crate::cloud::{RouteReference, Selector};
use crate::driver::{Lanes, load_state};
use crate::machine::{State, Step, StepOutput};
use crate::model::{DataPlane, DeploymentId, DeploymentStatus, Digest, EnvironmentId, ImageReference, Repository};
use crate::provision::{ImageCatalog, ImageRetention, Sweep, sweep};
use crate::store::HistoryQuery;
use crate::{ErrorCode, Result};

/// What a sweep leaves in the repositories of an environment, beside what its cluster runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct ImageKeep {
    /// The images of so many of the newest successful deployments: what one may go back to.
    pub rollbacks: usize,
    /// What stays whether it is needed or not.
    pub retention: ImageRetention,
}

impl Default for ImageKeep {
    /// The ten newest successful deployments, and what [`ImageRetention`] keeps by default.
    fn default() -> Self {
        Self { rollbacks: 10, retention: ImageRetention::default() }
    }
}

impl ImageKeep {
    /// Keeps the images of so many successful deployments.
    pub const fn new(rollbacks: usize, retention: ImageRetention) -> Self {
        Self { rollbacks, retention }
    }
}

impl Deployer {
    /// The images that must stay in an environment's repositories: those in the pod templates of its cluster, those of the
    /// deployments that its route names or that have not ended, and those of the `rollbacks` newest successful ones.
    ///
    /// # Errors
    /// `ENVIRONMENT_UNKNOWN`, `STORE_UNAVAILABLE`, `JOURNAL_INCOMPATIBLE`, `JOURNAL_CORRUPT`; those of the cluster and of the
    /// route, because what cannot be looked at may be in use.
    pub async fn images_in_use(
        &self,
        environment: &EnvironmentId,
        rollbacks: usize,
    ) -> Result<BTreeSet<ImageReference>> {
        let plane = self.0.engine.environments.resolve(environment).await?;
        self.in_use(&plane, rollbacks).await
    }

    /// Removes the images that nobody needs from an environment's repositories, by the provider's own `catalog`. Waits for
    /// its turn among the deployments, and is the environment's owner meanwhile: no build can be about to use an image
    /// that goes.
    ///
    /// **Idempotency.** A second sweep finds nothing.
    ///
    /// **After a crash.** The next one goes on.
    ///
    /// # Errors
    /// `LEASE_HELD`; those of [`images_in_use`](Self::images_in_use) and of the catalog.
    pub async fn sweep_images(
        &self,
        environment: &EnvironmentId,
        catalog: &dyn ImageCatalog,
        keep: ImageKeep,
    ) -> Result<Vec<(Repository, Sweep)>> {
        let plane = self.0.engine.environments.resolve(environment).await?;
        let entry = Lanes::enter(&self.0.engine, environment).await?;
        let ticket = entry.ticket();
        ticket.turn().await;
        let swept = self.sweep(&plane, catalog, keep).await;
        drop(ticket);
        entry.leave().await;
        swept
    }

    async fn sweep(
        &self,
        plane: &DataPlane,
        catalog: &dyn ImageCatalog,
        keep: ImageKeep,
    ) -> Result<Vec<(Repository, Sweep)>> {
        let needed = self.in_use(plane, keep.rollbacks).await?;
        let digests: BTreeSet<Digest> = needed.iter().map(|image| image.digest).collect();
        let now = self.0.engine.runtime.now();
        let mut swept = Vec::new();
        for repository in repositories(plane, &needed)? {
            match sweep(catalog, &repository, &digests, keep.retention, now).await {
                Ok(done) => swept.push((repository, done)),
                // A component that was never deployed.
                Err(error) if error.code() == ErrorCode::ObjectMissing => {}
                Err(error) => return Err(error),
            }
        }
        Ok(swept)
    }

    async fn in_use(&self, plane: &DataPlane, rollbacks: usize) -> Result<BTreeSet<ImageReference>> {
        let environment = plane.environment.clone();
        let successful = HistoryQuery {
            environment: Some(environment.clone()),
            statuses: vec![DeploymentStatus::Success],
            most: Some(rollbacks),
            ..HistoryQuery::default()
        };
        // What a killed process has left goes on with the images that it has recorded.
        let unfinished = HistoryQuery::unfinished(Some(environment.clone()));
        let mut records = self.history(&unfinished).await?;
        records.extend(self.history(&successful).await?);
        let route = RouteReference { environment: environment.clone(), namespace: plane.namespace.clone() };
        let split = plane.cloud.traffic.observe(&route).await?.split;
        let mut wanted: BTreeSet<DeploymentId> = split.backends().map(|(deployment, _)| deployment.clone()).collect();
        wanted.extend(records.into_iter().map(|record| record.plan.id));
        let mut images = BTreeSet::new();
        for deployment in &wanted {
            match load_state(&self.0.engine, deployment).await {
                Ok(state) => images.extend(images_of(&state)),
                // Another store's: what it runs stands in the cluster.
                Err(error) if error.code() == ErrorCode::DeploymentUnknown => {}
                Err(error) => return Err(error),
            }
        }
        let selector = Selector { environment, deployment: None };
        for object in plane.cloud.cluster.list(&plane.namespace, &selector).await? {
            images.extend(images_in(&object.document));
        }
        Ok(images)
    }
}

/// Where its components' images lie, and where those lie that are needed.
fn repositories(plane: &DataPlane, needed: &BTreeSet<ImageReference>) -> Result<BTreeSet<Repository>> {
    let own = plane.base_images.iter().map(|base| plane.repository(base.component));
    let mut repositories = own.collect::<Result<BTreeSet<_>>>()?;
    let under = format!("{}/", plane.registry);
    // Base images are used, too, and are not ours to sweep.
    let ours = needed.iter().filter(|image| image.repository.as_str().starts_with(&under));
    repositories.extend(ours.map(|image| image.repository.clone()));
    Ok(repositories)
}

/// The images that a deployment has pushed. What was built and not pushed is built again.
fn images_of(state: &State) -> Vec<ImageReference> {
    let mut images = Vec::new();
    if let Some(StepOutput::Images(pushed)) = state.output(Step::PushImages) {
        images.extend(pushed.values().cloned());
    }
    if let Some(StepOutput::Pushed(tagged)) = state.output(Step::TagImages) {
        images.extend(tagged.images.values().cloned());
    }
    images
}

/// The images that a document names by digest, wherever it does.
fn images_in(document: &Value) -> Vec<ImageReference> {
    let mut images = Vec::new();
    let mut waiting = vec![document];
    while let Some(value) = waiting.pop() {
        match value {
            Value::Array(items) => waiting.extend(items),
            Value::Object(fields) => {
                images.extend(fields.get("image").and_then(Value::as_str).and_then(reference));
                waiting.extend(fields.values());
            }
            _ => {}
        }
    }
    images
}

fn reference(image: &str) -> Option<ImageReference> {
    let (repository, digest) = image.split_once('@')?;
    Some(ImageReference { repository: Repository::new(repository).ok()?, digest: digest.parse().ok()? })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn every_image_that_a_pod_template_names_by_its_digest_is_found() {
        let image = |name: &str| format!("registry.test/chalk/{name}@{}", Digest::of(name));
        let document = json!({"spec": {"template": {"spec": {
            "initContainers": [{"name": "a", "image": image("first")}],
            "containers": [{"name": "b", "image": image("second")}, {"name": "c", "image": "registry.test/by-tag:1"}],
        }}}, "image": {"not": "a text"}});
        let found: BTreeSet<_> = images_in(&document).into_iter().map(|image| image.digest).collect();
        assert_eq!(found, [Digest::of("first"), Digest::of("second")].into());
    }
}
