//! A cloud on recorded cases, in virtual time.
#![allow(dead_code, reason = "each test target uses a part of it")]

pub(crate) mod ecr;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use chalk_deploy_aws::{AccessKeys, Cloud, CloudBuilder};
use chalk_deploy_core::runtime::Runtime as _;
use chalk_deploy_core::transport::Transport;
use chalk_deploy_testkit::VirtualRuntime;
use chalk_deploy_testkit::recorded::{Case, Player};

pub(crate) const ACCOUNT: &str = "123456789012";
pub(crate) const HOST: &str = "123456789012.dkr.ecr.us-east-1.amazonaws.com";
pub(crate) const REPOSITORY: &str = "123456789012.dkr.ecr.us-east-1.amazonaws.com/chalk/engine-prod";
/// The settings of a bucket, in the order in which they are set, as the cases name them.
pub(crate) const SETTINGS: [&str; 8] =
    ["public_access", "encryption", "versioning", "retention", "policy", "tags", "lifecycle", "cors"];

/// The folder of all cases.
pub(crate) fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/recorded")
}

/// Answers from these cases, named `api/name`.
pub(crate) fn player(names: &[&str]) -> Player {
    Player::new(names.iter().map(|name| Case::read(&folder().join(format!("{name}.json"))).expect("a case")))
}

/// A builder with keys, in the oldest region.
pub(crate) fn builder(transport: Transport, runtime: Arc<VirtualRuntime>) -> CloudBuilder {
    Cloud::builder()
        .with_region("us-east-1")
        .with_transport(transport)
        .with_runtime(runtime)
        .with_credentials(AccessKeys::new("AKIAEXAMPLE", "secret-of-ours"))
        .with_registry(HOST)
        .with_cluster("chalk")
}

/// A cloud on these cases.
pub(crate) fn cloud(names: &[&str]) -> (Player, Cloud) {
    let player = player(names);
    let cloud = builder(player.transport(), VirtualRuntime::new(1)).build().expect("a cloud");
    (player, cloud)
}

/// Nothing was asked for beyond the cases, and each was.
pub(crate) fn assert_played(player: &Player) {
    assert_eq!(player.complaints(), Vec::<String>::new());
}

/// The same way, on which every answer takes a second.
pub(crate) fn slow(transport: Transport, runtime: Arc<VirtualRuntime>) -> Transport {
    Transport::from_fn(move |request| {
        let (transport, runtime) = (transport.clone(), runtime.clone());
        async move {
            runtime.sleep(Duration::from_secs(1)).await;
            transport.send(request).await
        }
    })
}
