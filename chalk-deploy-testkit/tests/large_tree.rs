//! A project tree of 1 GiB goes through all five stages in constant memory. Alone in its file, because the peak of a
//! process is that of all its tests.

use std::fs::{self, File};
use std::io::Write as _;
use std::path::Path;
use std::sync::Arc;

use chalk_deploy_core::checkpoint::NoCheckpoints;
use chalk_deploy_core::model::DeploymentStatus;
use chalk_deploy_core::project::Project;
use chalk_deploy_core::source::{ArchiveLimits, ArchiveRules, SourceArchive};
use chalk_deploy_core::store::SqliteStore;
use chalk_deploy_core::{ApplyRequest, Deployer};
use chalk_deploy_testkit::{EmbeddedEnvironments, EmbeddedWorld, sample};

const FILES: u64 = 16;
const FILE_SIZE: u64 = 64 << 20;
const PEAK_MOST: u64 = 256 << 20;

/// A tree whose archive alone is larger than the memory allowed: a block that is three eighths noise and else text,
/// longer than the window of gzip, again and again.
fn write_tree(directory: &Path) {
    fs::write(directory.join("chalk.yaml"), "project: fraud\n").expect("written");
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let mut block: Vec<u8> = (0..(24 << 10))
        .map(|_| {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            state.to_be_bytes()[0]
        })
        .collect();
    block.extend(b"the rest of the block is a line that comes again and again\n".iter().cycle().take(40 << 10));
    for number in 0..FILES {
        let mut file = File::create(directory.join(format!("model-{number}.bin"))).expect("created");
        for _ in 0..FILE_SIZE / block.len() as u64 {
            file.write_all(&block).expect("written");
        }
    }
}

/// The peak of this process's resident memory in bytes (`VmHWM` of proc(5)).
fn peak() -> u64 {
    let status = fs::read_to_string("/proc/self/status").expect("Linux tells");
    let line = status.lines().find(|line| line.starts_with("VmHWM:")).expect("it tells the peak");
    let kibibytes: u64 = line.split_whitespace().nth(1).expect("a figure").parse().expect("a number");
    kibibytes << 10
}

#[tokio::test]
async fn a_tree_of_one_gibibyte_is_deployed_in_less_than_256_mebibytes_of_memory() {
    let directory = tempfile::tempdir().expect("a directory");
    let (tree, state) = (directory.path().join("project"), directory.path().join("state"));
    fs::create_dir(&tree).expect("created");
    write_tree(&tree);

    let project = Project::open(&tree).expect("a project");
    let limits = ArchiveLimits::default().with_packed(4 << 30);
    let archive =
        SourceArchive::collect(project.directory(), project_options(&project).with_limits(limits.clone())).await;
    let archive = archive.expect("collected");
    assert!(archive.fingerprint().unpacked_size >= FILES * FILE_SIZE);
    assert!(archive.fingerprint().size > PEAK_MOST, "it must not fit into the memory: {:?}", archive.fingerprint());

    let store = SqliteStore::open(&state).await.expect("a store");
    let world = EmbeddedWorld::open(state.join("world"), Arc::new(NoCheckpoints)).expect("a world");
    let deployer = Deployer::builder(Arc::new(EmbeddedEnvironments::any(world)), store)
        .with_archive_rules(ArchiveRules::new().with_limits(limits))
        .build()
        .expect("a deployer");
    let request = ApplyRequest::new(
        sample::environment().expect("valid"),
        project.config().project.clone(),
        archive.fingerprint().clone(),
        archive.payload(),
        sample::graph().expect("a real export"),
    );
    let outcome = deployer.apply(request).await.expect("admitted").wait().await.expect("it ends");
    assert_eq!(outcome.status, DeploymentStatus::Success, "{:?}", outcome.error);
    assert!(peak() < PEAK_MOST, "the peak was {} MiB", peak() >> 20);
}

fn project_options(project: &Project) -> chalk_deploy_core::source::CollectOptions {
    project.environment(None).expect("the default environment").collect_options()
}
