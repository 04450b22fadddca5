//! Deployments that end badly in a real cluster leave production as it was, and say why.

use std::sync::Arc;

use async_trait::async_trait;
use chalk_deploy_core::cloud::{ByteStream, ImageManifest, ManifestLocator, Payload, Registry};
use chalk_deploy_core::model::{DeploymentStatus, Digest, ImageTag, Repository};
use chalk_deploy_core::{ErrorCode, Result};

use crate::house::{House, TESTBED};

const STATIC: &str = "STATIC_IMAGE";

/// Deploys what serves, then these files, in a house that was changed in between.
async fn ends(
    environment: &str,
    change: impl AsyncFnOnce(&mut House),
    files: &[(&'static str, &'static str)],
    status: DeploymentStatus,
    code: ErrorCode,
) {
    let mut house = House::on(environment, STATIC).await;
    let first = house.deploy("one").await;
    let production = house.production().await;
    change(&mut house).await;
    let (id, outcome) = house.apply(files).await;
    let error = outcome.error.as_ref().expect("a reason");
    assert_eq!((outcome.status, error.code), (status, code), "{error:?}");
    assert!(outcome.residue.is_empty(), "{:?}", outcome.residue);
    assert_eq!(house.production().await, production, "after {id}");
    assert_eq!(house.answering().await, first);
}

async fn as_it_is(_: &mut House) {}

fn behaving(how: &'static str) -> [(&'static str, &'static str); 2] {
    [("features.py", "x = 1"), (".stand-in.json", how)]
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_process_that_ends_at_start_is_a_boot_error() {
    let _alone = TESTBED.lock().await;
    let files = behaving(r#"{"exit_after": 0}"#);
    ends("crashes", as_it_is, &files, DeploymentStatus::BootErrors, ErrorCode::ContainerCrashed).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn pods_that_are_never_ready_run_out_of_time() {
    let _alone = TESTBED.lock().await;
    let files = behaving(r#"{"ready": false}"#);
    ends("never-ready", as_it_is, &files, DeploymentStatus::Timeout, ErrorCode::NeverReady).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_image_that_is_not_where_the_node_looks_is_a_boot_error() {
    let _alone = TESTBED.lock().await;
    let elsewhere = async |house: &mut House| {
        let registry = Arc::clone(&house.plane.cloud.registry);
        house.plane.cloud.registry = Arc::new(Elsewhere(registry));
        house.reopen();
    };
    let files = [("features.py", "x = 1")];
    ends("no-image", elsewhere, &files, DeploymentStatus::BootErrors, ErrorCode::ImagePullFailed).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn pods_that_no_node_takes_run_out_of_time() {
    let _alone = TESTBED.lock().await;
    let cordon = async |house: &mut House| {
        house.kubectl(&["cordon", "--selector", "kubernetes.io/os=linux"], "").await;
    };
    let files = &[("features.py", "x = 1")];
    let running =
        tokio::spawn(ends("unschedulable", cordon, files, DeploymentStatus::Timeout, ErrorCode::Unschedulable));
    let ended = running.await;
    let house = House::on("unschedulable", STATIC).await;
    house.kubectl(&["uncordon", "--selector", "kubernetes.io/os=linux"], "").await;
    ended.expect("it ended as it should");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_quota_refuses_fails_and_says_so() {
    let _alone = TESTBED.lock().await;
    let quota = async |house: &mut House| {
        house.kubectl(&["create", "quota", "full", "--hard=pods=1"], "").await;
    };
    let files = [("features.py", "x = 1")];
    ends("quota", quota, &files, DeploymentStatus::Failure, ErrorCode::ObjectRefused).await;
}

/// A registry that puts what is pushed into other repositories than it was told.
#[derive(Debug)]
struct Elsewhere(Arc<dyn Registry>);

fn elsewhere(repository: &Repository) -> Repository {
    Repository::new(format!("{repository}-elsewhere")).expect("a name")
}

#[async_trait]
impl Registry for Elsewhere {
    async fn has_blob(&self, repository: &Repository, digest: &Digest) -> Result<bool> {
        self.0.has_blob(&elsewhere(repository), digest).await
    }

    async fn push_blob(&self, repository: &Repository, payload: &Payload) -> Result<()> {
        self.0.push_blob(&elsewhere(repository), payload).await
    }

    async fn pull_blob(&self, repository: &Repository, digest: &Digest) -> Result<ByteStream> {
        self.0.pull_blob(&elsewhere(repository), digest).await
    }

    async fn put_manifest(
        &self,
        repository: &Repository,
        manifest: &ImageManifest,
        tag: Option<ImageTag>,
    ) -> Result<Digest> {
        self.0.put_manifest(&elsewhere(repository), manifest, tag).await
    }

    async fn manifest(&self, repository: &Repository, locator: &ManifestLocator) -> Result<Option<ImageManifest>> {
        self.0.manifest(&elsewhere(repository), locator).await
    }

    async fn remove_tag(&self, repository: &Repository, tag: &ImageTag) -> Result<()> {
        self.0.remove_tag(&elsewhere(repository), tag).await
    }
}
