//! Which images stay when a repository is swept.

use std::collections::BTreeSet;
use std::sync::Mutex;
use std::time::Duration;

use async_trait::async_trait;
use chalk_deploy_core::model::{Component, DeploymentId, Digest, Promotion, Repository, Timestamp};
use chalk_deploy_core::provision::{ImageCatalog, ImageRecord, ImageRetention};
use chalk_deploy_core::{ErrorCode, ImageKeep, Result};
use chalk_deploy_testkit::{Fault, World};
use futures::FutureExt as _;

use crate::house::{House, Plan, assert_success, denied, environment, request};

/// The repository of the house's engine, whose images are all old, and what was removed from it.
#[derive(Debug)]
struct Catalog {
    images: Vec<ImageRecord>,
    removed: Mutex<BTreeSet<Digest>>,
}

impl Catalog {
    fn of(house: &House) -> Self {
        let plane = house.world.data_plane(&environment()).expect("a data plane");
        let repository = plane.repository(Component::Engine).expect("a repository");
        let manifests = house.world.registry().manifests(&repository).expect("the registry can be read");
        let (tags, children, pushed) = (BTreeSet::new(), Vec::new(), Timestamp::from_millis(0));
        let record =
            |digest| ImageRecord { digest, tags: tags.clone(), pushed, children: children.clone(), subject: None };
        Self { images: manifests.into_iter().map(record).collect(), removed: Mutex::default() }
    }

    fn removed(&self) -> BTreeSet<Digest> {
        self.removed.lock().expect("not poisoned").clone()
    }
}

#[async_trait]
impl ImageCatalog for Catalog {
    async fn images(&self, repository: &Repository) -> Result<Vec<ImageRecord>> {
        assert!(repository.as_str().contains("/engine-"), "{repository} is swept");
        let removed = self.removed();
        Ok(self.images.iter().filter(|image| !removed.contains(&image.digest)).cloned().collect())
    }

    async fn remove(&self, _: &Repository, images: &[Digest]) -> Result<()> {
        self.removed.lock().expect("not poisoned").extend(images);
        Ok(())
    }
}

/// Keeps so many deployments to go back to, and nothing for its age.
const fn keep(rollbacks: usize) -> ImageKeep {
    ImageKeep::new(rollbacks, ImageRetention::new(0, Duration::ZERO))
}

fn image(house: &House, deployment: &DeploymentId) -> Digest {
    house.tags()[deployment.as_str()]
}

#[tokio::test(start_paused = true)]
async fn what_serves_what_is_held_ready_and_what_one_may_go_back_to_stays() {
    let house = House::new();
    let mut deployed = Vec::new();
    for source in ["one", "two", "three", "four"] {
        let (id, outcome) = house.apply(source).await;
        assert_success(&outcome);
        deployed.push(id);
    }
    let (held, outcome) = house.finish(request("five").with_promotion(Promotion::Hold)).await;
    assert_success(&outcome);
    let [one, two, three, _, serving] = [&deployed[0], &deployed[1], &deployed[2], &deployed[2], &deployed[3]];

    // Nothing to go back to is asked for: what serves and what is held ready stays all the same.
    let catalog = Catalog::of(&house);
    let swept = house.deployer.sweep_images(&environment(), &catalog, keep(0)).await.expect("swept");
    assert_eq!(catalog.removed(), [one, two, three].map(|id| image(&house, id)).into());
    assert_eq!((swept.len(), swept[0].1.kept), (1, 2));
    let again = house.deployer.sweep_images(&environment(), &catalog, keep(0)).await.expect("swept");
    assert!(again[0].1.removed.is_empty());

    // The held one and the serving one are the newest two.
    let catalog = Catalog::of(&house);
    house.deployer.sweep_images(&environment(), &catalog, keep(3)).await.expect("swept");
    assert_eq!(catalog.removed(), [one, two].map(|id| image(&house, id)).into());
    let in_use = house.deployer.images_in_use(&environment(), 0).await.expect("told");
    let digests: BTreeSet<_> = in_use.into_iter().map(|image| image.digest).collect();
    assert!([&held, serving].iter().all(|id| digests.contains(&image(&house, id))), "{digests:?}");
}

#[tokio::test(start_paused = true)]
async fn what_runs_in_the_cluster_stays_although_the_store_has_forgotten_it() {
    let world = World::memory();
    let house = House::of(Plan { world: world.clone(), ..Plan::default() });
    let (id, _) = house.apply("one").await;
    let forgetful = House::of(Plan { world, ..Plan::default() });
    let catalog = Catalog::of(&house);
    forgetful.deployer.sweep_images(&environment(), &catalog, keep(0)).await.expect("swept");
    assert!(!catalog.removed().contains(&image(&house, &id)));
}

#[tokio::test(start_paused = true)]
async fn nothing_is_swept_where_the_cluster_or_the_route_cannot_be_looked_at() {
    let house = House::new();
    house.apply("one").await;
    for (part, method) in [("cluster", "list"), ("traffic", "observe")] {
        let catalog = Catalog::of(&house);
        house.faults.at_next(part, method, Fault::before(&denied()));
        let error =
            house.deployer.sweep_images(&environment(), &catalog, keep(0)).await.expect_err("who knows what runs");
        assert_eq!(error.code(), ErrorCode::PermissionDenied);
        assert!(catalog.removed().is_empty());
    }
}

#[tokio::test(start_paused = true)]
async fn a_sweep_waits_for_the_deployment_before_it_and_keeps_its_image() {
    let house = House::new();
    house.apply("one").await;
    let two = house.deployer.apply(request("two")).await.expect("admitted");
    // Every image that there will be is known to the catalog.
    let other = House::new();
    other.apply("one").await;
    let (same, _) = other.apply("two").await;
    let catalog = Catalog::of(&other);
    house.deployer.sweep_images(&environment(), &catalog, keep(0)).await.expect("swept");
    assert!(two.wait().now_or_never().is_some(), "the deployment has ended before");
    assert_eq!(image(&house, two.id()), image(&other, &same));
    assert!(!catalog.removed().contains(&image(&house, two.id())) && catalog.removed().len() == 1);
}
