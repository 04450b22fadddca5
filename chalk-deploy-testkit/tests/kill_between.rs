//! Every effect of the fakes is killed between its two writes, by a real SIGKILL in a real process, and repeated: the
//! world is then, byte for byte, the one in which nothing was killed.

mod common;

use std::collections::BTreeSet;
use std::os::unix::process::ExitStatusExt as _;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use chalk_deploy_core::Result;
use chalk_deploy_core::checkpoint::{Checkpoints, NoCheckpoints};
use chalk_deploy_core::cloud::{
    ApplyOptions, BuildRequest, ByteStream, Cloud, FencingToken, ImageManifest, Payload, PayloadSource, PutMode,
    TrafficChange,
};
use chalk_deploy_core::model::{
    ArchiveReference, Backend, BaseImage, Component, DeploymentId, Digest, EnvironmentId, ImageTag, Namespace,
    ObjectKey, ProjectSettings, Repository, TrafficSplit, Weight,
};
use chalk_deploy_testkit::crash::{CHECKPOINTS, KILL_AT};
use chalk_deploy_testkit::fake::{PodBehaviour, PodScope};
use chalk_deploy_testkit::{CrashSwitch, EmbeddedWorld};
use common::workload_and_service;
use futures::StreamExt as _;

/// Where the killed child finds its world, and which effect it does there.
const CHILD: &str = "CHALK_DEPLOY_TESTKIT_CHILD";

/// The effects, and the moments in them at which they are killed.
const EFFECTS: &[(Effect, &[&str])] = &[
    (Effect::Put, &["payload/middle", "object-store.put/between"]),
    (Effect::Replace, &["payload/middle", "object-store.put/between"]),
    (Effect::Copy, &["object-store.copy/between"]),
    (Effect::DeleteObject, &["object-store.delete/between"]),
    (Effect::PushBlob, &["payload/middle", "registry.push_blob/between"]),
    (Effect::PutManifest, &["registry.put_manifest/between", "registry.put_manifest/before-tag"]),
    (Effect::MoveTag, &["registry.put_manifest/between", "registry.put_manifest/before-tag"]),
    (Effect::RemoveTag, &["registry.remove_tag/between"]),
    (Effect::Create, &["cluster.apply/between"]),
    (Effect::Update, &["cluster.apply/between"]),
    (Effect::DeleteInCluster, &["cluster.delete/between"]),
    (Effect::Build, &["builder.submit/between"]),
    (Effect::StopBuild, &["builder.stop/between"]),
    (Effect::FirstShift, &["traffic.shift/between"]),
    (Effect::Shift, &["traffic.shift/between"]),
];

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Effect {
    Put,
    Replace,
    Copy,
    DeleteObject,
    PushBlob,
    PutManifest,
    MoveTag,
    RemoveTag,
    Create,
    Update,
    DeleteInCluster,
    Build,
    StopBuild,
    FirstShift,
    Shift,
}

impl Effect {
    /// What must be there before.
    async fn prepare(self, cloud: &Cloud) -> Result<()> {
        match self {
            Self::Put | Self::PushBlob | Self::Create => {}
            Self::Replace => drop(cloud.object_store.put(&key("a"), &text("old"), PutMode::Replace).await?),
            Self::Copy | Self::DeleteObject | Self::Build => {
                cloud.object_store.put(&key("a"), &text("content"), PutMode::WriteOnce).await?;
            }
            Self::PutManifest => push_blobs(cloud).await?,
            Self::MoveTag | Self::RemoveTag => {
                push_blobs(cloud).await?;
                cloud.registry.put_manifest(&repository(), &manifest("old"), Some(tag())).await?;
            }
            Self::Update | Self::DeleteInCluster => {
                apply(cloud, 'a', "image:1").await?;
                apply(cloud, 'b', "image:1").await?;
                cloud.cluster.observe(&namespace(), &id('a')).await?;
            }
            Self::StopBuild => {
                cloud.object_store.put(&key("a"), &text("content"), PutMode::WriteOnce).await?;
                cloud.builder.submit(&build()).await?;
            }
            Self::FirstShift => apply(cloud, 'a', "image:1").await?,
            Self::Shift => {
                apply(cloud, 'a', "image:1").await?;
                apply(cloud, 'b', "image:1").await?;
                shift(cloud, &[('a', 100)], "").await?;
            }
        }
        Ok(())
    }

    /// The effect itself. It is repeated with the very arguments of the first time, as a journal would have them.
    async fn act(self, cloud: &Cloud, switch: Arc<dyn Checkpoints>) -> Result<()> {
        match self {
            Self::Put => drop(cloud.object_store.put(&key("a"), &large(switch), PutMode::WriteOnce).await?),
            Self::Replace => drop(cloud.object_store.put(&key("a"), &large(switch), PutMode::Replace).await?),
            Self::Copy => drop(cloud.object_store.copy(&key("a"), &key("b"), PutMode::WriteOnce).await?),
            Self::DeleteObject => cloud.object_store.delete(&key("a")).await?,
            Self::PushBlob => cloud.registry.push_blob(&repository(), &large(switch)).await?,
            Self::PutManifest | Self::MoveTag => {
                cloud.registry.put_manifest(&repository(), &manifest("new"), Some(tag())).await?;
            }
            Self::RemoveTag => cloud.registry.remove_tag(&repository(), &tag()).await?,
            Self::Create | Self::Update => apply(cloud, 'a', "image:2").await?,
            Self::DeleteInCluster => {
                let [workload, _] = workload_and_service(&id('a'), "image:1")?;
                // The identity is what a journal has recorded, and it is the same in every run.
                let reference = workload.reference(&namespace());
                let uid = cloud.cluster.get(&reference).await?.map(|object| object.identity.uid).unwrap_or_default();
                let identity = chalk_deploy_core::model::ObjectIdentity { reference, uid };
                cloud.cluster.delete(&identity).await?;
            }
            Self::Build => cloud.builder.submit(&build()).await?,
            Self::StopBuild => cloud.builder.stop(&build().deployment).await?,
            Self::FirstShift => shift(cloud, &[('a', 100)], "").await?,
            Self::Shift => shift(cloud, &[('a', 30), ('b', 70)], "1").await?,
        }
        Ok(())
    }
}

fn key(text: &str) -> ObjectKey {
    ObjectKey::new(text).expect("a valid key")
}

fn id(letter: char) -> DeploymentId {
    DeploymentId::new(format!("c{}", letter.to_string().repeat(24))).expect("a valid id")
}

fn namespace() -> Namespace {
    Namespace::new("ns-test").expect("a valid namespace")
}

fn repository() -> Repository {
    Repository::new("registry.test/engine").expect("a valid repository")
}

fn tag() -> ImageTag {
    ImageTag::new("tag").expect("a valid tag")
}

fn text(text: &'static str) -> Payload {
    Payload::from_bytes(text)
}

/// Bytes in two pieces, with a moment between them.
fn large(switch: Arc<dyn Checkpoints>) -> Payload {
    struct TwoPieces(Arc<dyn Checkpoints>);
    #[async_trait]
    impl PayloadSource for TwoPieces {
        async fn open(&self) -> Result<ByteStream> {
            let switch = self.0.clone();
            let pieces = futures::stream::iter([false, true]).map(move |second| {
                if second {
                    switch.reached("payload/middle");
                }
                Ok(Bytes::from(vec![u8::from(second); 100_000]))
            });
            Ok(pieces.boxed())
        }
    }
    let bytes = [vec![0; 100_000], vec![1; 100_000]].concat();
    Payload::new(Digest::of(&bytes), bytes.len() as u64, Arc::new(TwoPieces(switch)))
}

async fn push_blobs(cloud: &Cloud) -> Result<()> {
    for blob in ["config", "old", "new"] {
        cloud.registry.push_blob(&repository(), &text(blob)).await?;
    }
    Ok(())
}

fn manifest(layer: &str) -> ImageManifest {
    let document = serde_json::json!({
        "config": {"digest": Digest::of("config")}, "layers": [{"digest": Digest::of(layer)}],
    });
    ImageManifest { media_type: "application/json".to_owned(), bytes: document.to_string().into() }
}

async fn apply(cloud: &Cloud, letter: char, image: &str) -> Result<()> {
    for manifest in workload_and_service(&id(letter), image)? {
        cloud.cluster.apply(&namespace(), &manifest, &ApplyOptions { token: FencingToken(1) }).await?;
    }
    Ok(())
}

fn build() -> BuildRequest {
    let base = BaseImage { component: Component::Engine, repository: repository(), digest: Digest::of("base") };
    BuildRequest {
        deployment: id('a'),
        source: ArchiveReference { key: key("a"), sha256: Digest::of("content"), size: 7 },
        base_images: vec![base],
        repositories: vec![repository()],
        requirements: Vec::new(),
        settings: ProjectSettings::default(),
        platform: "linux/amd64".to_owned(),
        more_platforms: Vec::new(),
    }
}

async fn shift(cloud: &Cloud, shares: &[(char, i64)], expected_version: &str) -> Result<()> {
    let route = chalk_deploy_core::cloud::RouteReference {
        environment: EnvironmentId::new("test").expect("a valid environment"),
        namespace: namespace(),
    };
    let backend = |&(letter, percent): &(char, i64)| Backend {
        deployment: id(letter),
        weight: Weight::new(percent).expect("a valid weight"),
    };
    let split = TrafficSplit::new(shares.iter().map(backend))?;
    let change = TrafficChange { split, expected_version: expected_version.to_owned(), token: FencingToken(1) };
    cloud.traffic.shift(&route, &change).await.map(drop)
}

fn open(directory: &Path, switch: Arc<dyn Checkpoints>) -> EmbeddedWorld {
    let world = EmbeddedWorld::open(directory, switch).expect("a world");
    world.cluster().set_behaviour(PodScope::All, PodBehaviour::Ready { after: 0 });
    world
}

fn effect(name: &str) -> Effect {
    EFFECTS.iter().map(|(effect, _)| *effect).find(|effect| format!("{effect:?}") == name).expect("a known effect")
}

/// Runs in a process of its own, which is killed; among the other tests it does nothing.
#[tokio::test]
async fn the_child_that_is_killed() {
    let Ok(directory) = std::env::var(CHILD) else { return };
    let (name, directory) = directory.split_once(' ').expect("an effect and a directory");
    let switch = Arc::new(CrashSwitch::from_environment().expect("a moment"));
    let world = open(Path::new(directory), switch.clone());
    effect(name).act(&world.cloud(), switch).await.expect("the effect, but for the kill");
}

fn kill_child(effect: Effect, directory: &Path, moment: &str, reached: &Path) {
    let status = Command::new(std::env::current_exe().expect("this test has a path"))
        .args(["--exact", "the_child_that_is_killed", "--nocapture"])
        .env(CHILD, format!("{effect:?} {}", directory.display()))
        .env(KILL_AT, moment)
        .env(CHECKPOINTS, reached)
        .stdout(Stdio::null())
        .status()
        .expect("the child starts");
    assert_eq!(status.signal(), Some(9), "{effect:?} was not killed at {moment}");
    let reached = std::fs::read_to_string(reached).expect("the child wrote down what it reached");
    assert_eq!(reached.lines().last(), Some(moment));
}

async fn killed_and_repeated(effect: Effect, moment: &str) {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let (whole, killed) = (folder.path().join("whole"), folder.path().join("killed"));
    let mut before = None;
    for directory in [&whole, &killed] {
        let world = open(directory, Arc::new(NoCheckpoints));
        effect.prepare(&world.cloud()).await.expect("prepared");
        before = Some(world.world().snapshot().expect("readable"));
    }
    let unkilled = open(&whole, Arc::new(NoCheckpoints));
    effect.act(&unkilled.cloud(), Arc::new(NoCheckpoints)).await.expect("done");
    let expected = unkilled.world().snapshot().expect("readable");

    kill_child(effect, &killed, moment, &folder.path().join("reached"));
    let repeated = open(&killed, Arc::new(NoCheckpoints));
    let half = repeated.world().snapshot().expect("readable");
    assert!(Some(&half) != before.as_ref(), "{effect:?} has left nothing at {moment}");
    assert!(half != expected, "{effect:?} was whole at {moment}");

    effect.act(&repeated.cloud(), Arc::new(NoCheckpoints)).await.expect("repeated");
    let paths = |snapshot: &std::collections::BTreeMap<String, Vec<u8>>| snapshot.keys().cloned().collect::<Vec<_>>();
    let snapshot = repeated.world().snapshot().expect("readable");
    assert_eq!(paths(&snapshot), paths(&expected), "{effect:?} repeated after {moment}");
    assert!(snapshot == expected, "{effect:?} repeated after {moment} has left other bytes");

    effect.act(&repeated.cloud(), Arc::new(NoCheckpoints)).await.expect("repeated once more");
    assert!(repeated.world().snapshot().expect("readable") == expected, "{effect:?} done again changes bytes");
}

async fn killed_at_each_moment(name: &str) {
    let effect = effect(name);
    let moments = EFFECTS.iter().find(|(listed, _)| *listed == effect).expect("listed").1;
    for moment in moments {
        killed_and_repeated(effect, moment).await;
    }
}

macro_rules! killed_and_repeated {
    ($($test:ident: $effect:ident,)+) => {
        $(
            #[tokio::test]
            async fn $test() {
                killed_at_each_moment(stringify!($effect)).await;
            }
        )+

        #[test]
        fn every_effect_has_a_test() {
            let tested = [$(Effect::$effect),+];
            assert!(EFFECTS.iter().all(|(effect, _)| tested.contains(effect)));
        }
    };
}

killed_and_repeated! {
    a_put_is_killed_and_repeated: Put,
    a_put_that_replaces_is_killed_and_repeated: Replace,
    a_copy_is_killed_and_repeated: Copy,
    the_deletion_of_an_object_is_killed_and_repeated: DeleteObject,
    the_push_of_a_blob_is_killed_and_repeated: PushBlob,
    a_manifest_with_a_tag_is_killed_and_repeated: PutManifest,
    a_tag_on_its_way_to_another_manifest_is_killed_and_repeated: MoveTag,
    the_removal_of_a_tag_is_killed_and_repeated: RemoveTag,
    the_creation_of_an_object_in_the_cluster_is_killed_and_repeated: Create,
    the_change_of_an_object_in_the_cluster_is_killed_and_repeated: Update,
    the_deletion_of_an_object_in_the_cluster_is_killed_and_repeated: DeleteInCluster,
    a_build_is_killed_and_repeated: Build,
    the_stop_of_a_build_is_killed_and_repeated: StopBuild,
    the_first_shift_is_killed_and_repeated: FirstShift,
    a_shift_is_killed_and_repeated: Shift,
}

#[tokio::test]
async fn there_is_no_moment_in_any_effect_that_is_not_killed_at() {
    for (effect, moments) in EFFECTS {
        let world = tempfile::tempdir().expect("a temporary folder");
        effect.prepare(&open(world.path(), Arc::new(NoCheckpoints)).cloud()).await.expect("prepared");
        let switch = Arc::new(CrashSwitch::recording());
        effect.act(&open(world.path(), switch.clone()).cloud(), switch.clone()).await.expect("done");
        let reached: BTreeSet<_> = switch.reached_so_far().into_iter().collect();
        assert_eq!(reached, moments.iter().map(|moment| (*moment).to_owned()).collect(), "{effect:?}");
    }
}

#[tokio::test]
async fn what_a_killed_change_left_is_finished_by_the_next_change_of_anything_else() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let (whole, killed) = (folder.path().join("whole"), folder.path().join("killed"));
    for directory in [&whole, &killed] {
        let world = open(directory, Arc::new(NoCheckpoints));
        Effect::DeleteInCluster.prepare(&world.cloud()).await.expect("prepared");
        if directory == &killed {
            kill_child(Effect::DeleteInCluster, directory, "cluster.delete/between", &folder.path().join("reached"));
        } else {
            Effect::DeleteInCluster.act(&world.cloud(), Arc::new(NoCheckpoints)).await.expect("deleted");
        }
        apply(&world.cloud(), 'b', "image:2").await.expect("applied");
    }
    let [whole, killed] = [&whole, &killed]
        .map(|directory| open(directory, Arc::new(NoCheckpoints)).world().snapshot().expect("readable"));
    assert!(whole == killed, "the two worlds differ");
}
