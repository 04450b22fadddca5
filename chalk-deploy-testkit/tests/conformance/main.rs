//! The fakes are held to the suites first, in memory and in a directory; and implementations that break a contract are
//! found out by the check of that name.

#[path = "../common/mod.rs"]
mod common;
mod harness;

use std::sync::Arc;

use async_trait::async_trait;
use chalk_deploy_core::checkpoint::NoCheckpoints;
use chalk_deploy_core::cloud::{
    ClusterApi, ObjectDownload, ObjectMetadata, ObjectStore, ObjectStoreCapabilities, Payload, PutMode,
};
use chalk_deploy_core::model::{ObjectKey, Repository, Timestamp};
use chalk_deploy_core::{Error, ErrorCode, Result};
use chalk_deploy_testkit::conformance::cluster::ClusterHarness as _;
use chalk_deploy_testkit::conformance::object_retention::{self, KeepingBucket};
use chalk_deploy_testkit::conformance::registry::RegistryHarness;
use chalk_deploy_testkit::conformance::{Report, builder, cluster, object_store, registry, traffic};
use chalk_deploy_testkit::fake::{FakeTraffic, GatewayBehaviour};
use chalk_deploy_testkit::{EmbeddedWorld, Fault, FaultPlan, faulty_cloud};
use harness::FakeHarness;

async fn run_all(world: &EmbeddedWorld) -> Vec<Report> {
    let harness = FakeHarness::new(world.clone());
    let base = Repository::new("registry.embedded/conformance").expect("a valid repository");
    let registry_harness = RegistryHarness { registry: Arc::new(world.registry().clone()), base };
    vec![
        object_store::suite(world.object_store(), "run").await,
        object_retention::suite(&keeping(world), "run").await,
        registry::suite(&registry_harness, "run").await,
        cluster::suite(&harness, "run").await,
        builder::suite(&harness, "run").await,
        traffic::suite(&harness, "run").await,
    ]
}

/// The fake has no clock, so that any moment will do, and two worlds come to the same.
fn keeping(world: &EmbeddedWorld) -> KeepingBucket {
    KeepingBucket { store: Arc::new(world.object_store().clone()), now: Timestamp::from_millis(4_000_000_000_000) }
}

#[tokio::test]
async fn the_fakes_pass_every_suite_in_memory() {
    for report in run_all(&EmbeddedWorld::memory()).await {
        report.assert_passed();
    }
}

#[tokio::test]
async fn the_fakes_pass_every_suite_in_a_directory_and_again_in_the_same_one() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let open = || EmbeddedWorld::open(folder.path(), Arc::new(NoCheckpoints)).expect("a world");
    for report in run_all(&open()).await {
        report.assert_passed();
    }
    // Another run on the same server: its names are its own.
    let again = object_store::suite(open().object_store(), "another run").await;
    again.assert_passed();
}

#[tokio::test]
async fn a_world_of_memory_and_one_of_files_are_equal_after_the_same_calls() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let worlds =
        [EmbeddedWorld::memory(), EmbeddedWorld::open(folder.path(), Arc::new(NoCheckpoints)).expect("a world")];
    let mut snapshots = Vec::new();
    for world in worlds {
        for report in run_all(&world).await {
            report.assert_passed();
        }
        snapshots.push(world.world().snapshot().expect("readable"));
    }
    assert!(snapshots[0] == snapshots[1], "the two worlds differ");
}

#[tokio::test]
async fn a_store_that_does_less_and_a_registry_that_moves_no_tag_pass_too() {
    let world = EmbeddedWorld::memory();
    let poor = world.object_store().clone().with_capabilities(ObjectStoreCapabilities::none());
    object_store::suite(&poor, "run").await.assert_passed();
    let base = Repository::new("registry.embedded/conformance").expect("a valid repository");
    let strict = RegistryHarness { registry: Arc::new(world.registry().clone().with_immutable_tags()), base };
    registry::suite(&strict, "run").await.assert_passed();
}

#[tokio::test]
async fn a_gateway_that_takes_its_time_passes_too() {
    let world = EmbeddedWorld::memory();
    let slow: &FakeTraffic = world.traffic();
    slow.set_behaviour(GatewayBehaviour::Settles { after: 3 });
    traffic::suite(&FakeHarness::new(world.clone()), "run").await.assert_passed();
}

#[tokio::test]
async fn every_effect_done_twice_passes_every_suite() {
    let mut plan = FaultPlan::new();
    for (trait_name, method) in [
        ("object_store", "put"),
        ("object_store", "copy"),
        ("object_store", "delete"),
        ("registry", "push_blob"),
        ("registry", "put_manifest"),
        ("registry", "remove_tag"),
        ("cluster", "apply"),
        ("builder", "submit"),
        ("builder", "stop"),
        ("traffic", "shift"),
    ] {
        plan = plan.from(trait_name, method, 1, Fault::Twice);
    }
    let world = EmbeddedWorld::memory();
    let cloud = faulty_cloud(world.cloud(), Arc::new(plan));
    let harness = FakeHarness { cloud: cloud.clone(), world };
    let base = Repository::new("registry.embedded/conformance").expect("a valid repository");
    object_store::suite(&*cloud.object_store, "run").await.assert_passed();
    registry::suite(&RegistryHarness { registry: cloud.registry, base }, "run").await.assert_passed();
    cluster::suite(&harness, "run").await.assert_passed();
    builder::suite(&harness, "run").await.assert_passed();
    traffic::suite(&harness, "run").await.assert_passed();
}

/// A store that takes whatever it is given: no comparison of digests, no write-once keys.
#[derive(Debug)]
struct Careless(EmbeddedWorld);

#[async_trait]
impl ObjectStore for Careless {
    fn capabilities(&self) -> ObjectStoreCapabilities {
        self.0.object_store().capabilities()
    }

    async fn put(&self, key: &ObjectKey, payload: &Payload, _mode: PutMode) -> Result<ObjectMetadata> {
        use futures::TryStreamExt as _;
        let pieces: Vec<_> = payload
            .open()
            .await?
            .try_collect()
            .await
            .map_err(|error| Error::new(ErrorCode::CloudUnavailable, "the body broke off").caused_by(error))?;
        self.0.object_store().put(key, &Payload::from_bytes(pieces.concat()), PutMode::Replace).await
    }

    async fn head(&self, key: &ObjectKey) -> Result<Option<ObjectMetadata>> {
        self.0.object_store().head(key).await
    }

    async fn get(&self, key: &ObjectKey) -> Result<ObjectDownload> {
        self.0.object_store().get(key).await
    }

    async fn copy(&self, from: &ObjectKey, to: &ObjectKey, _mode: PutMode) -> Result<ObjectMetadata> {
        self.0.object_store().copy(from, to, PutMode::Replace).await
    }

    async fn delete(&self, key: &ObjectKey) -> Result<()> {
        self.0.object_store().head(key).await?.ok_or_else(|| Error::new(ErrorCode::ObjectMissing, "not there"))?;
        self.0.object_store().delete(key).await
    }

    async fn list(&self, _prefix: &str, after: Option<ObjectKey>, most: usize) -> Result<Vec<ObjectMetadata>> {
        let mut found = self.0.object_store().list("", after, most).await?;
        found.reverse();
        Ok(found)
    }
}

#[tokio::test]
async fn a_careless_store_is_found_out_by_the_checks_of_what_it_neglects_and_by_no_other() {
    let report = object_store::suite(&Careless(EmbeddedWorld::memory()), "run").await;
    let failed: Vec<_> = report.failed.iter().map(|(check, _)| *check).collect();
    assert_eq!(
        failed,
        [
            "putting_the_same_bytes_again_succeeds_in_both_modes_and_leaves_one_object",
            "a_write_once_key_keeps_its_first_bytes",
            "bytes_that_are_not_the_declared_ones_are_never_stored",
            "of_two_writers_of_a_write_once_key_one_wins",
            "a_copy_never_changes_a_write_once_key_that_holds_other_bytes",
            "deleting_removes_one_object_and_may_be_repeated",
            "a_list_is_ordered_and_its_prefix_is_text",
            "a_list_goes_on_after_a_key",
        ]
    );
}

#[tokio::test]
async fn a_cloud_that_loses_its_answers_is_found_out_in_every_suite() {
    let lost = Error::new(ErrorCode::CloudUnavailable, "the answer was lost");
    let plan = FaultPlan::new()
        .from("object_store", "get", 1, Fault::after(&lost))
        .from("registry", "manifest", 1, Fault::after(&lost))
        .from("cluster", "delete", 1, Fault::after(&lost))
        .from("builder", "stop", 1, Fault::after(&lost))
        .from("traffic", "settlement", 1, Fault::after(&lost));
    let world = EmbeddedWorld::memory();
    let cloud = faulty_cloud(world.cloud(), Arc::new(plan));
    let harness = FakeHarness { cloud: cloud.clone(), world };
    let base = Repository::new("registry.embedded/conformance").expect("a valid repository");
    let registry_harness = RegistryHarness { registry: cloud.registry.clone(), base };
    let report = object_store::suite(&*cloud.object_store, "run").await;
    assert!(report.has_failed("a_put_object_is_read_back_whole"), "{report}");
    let report = registry::suite(&registry_harness, "run").await;
    assert!(report.has_failed("a_manifest_is_read_by_digest_and_by_tag_byte_for_byte"), "{report}");
    let report = cluster::suite(&harness, "run").await;
    assert!(report.has_failed("deleting_is_by_uid_and_may_be_repeated"), "{report}");
    let report = builder::suite(&harness, "run").await;
    assert!(report.has_failed("stopping_forgets_the_build_and_may_be_repeated"), "{report}");
    let report = traffic::suite(&harness, "run").await;
    assert!(report.has_failed("a_stored_division_settles"), "{report}");
    let _: Arc<dyn ClusterApi> = harness.cluster();
}
