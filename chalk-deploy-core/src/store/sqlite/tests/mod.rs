//! What only SQLite in a folder can do wrong. The contract itself is tested by the suite in the testkit.

mod damage;
mod folders;

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use rusqlite::Connection;

use super::SqliteStore;
use super::folder::DATABASE;
use crate::cloud::FencingToken;
use crate::machine::{Event, RecordedEvent, Step};
use crate::model::{
    DeploymentPlan, DeploymentStatus, Digest, EnvironmentId, GitMetadata, ProjectName, ProjectSettings, Promotion,
    Sizing, SourceFingerprint, Strategy, Timestamp,
};
use crate::runtime::{RuntimeExt as _, SystemRuntime};
use crate::store::{Append, DeploymentStore as _, LeaseHolder};

/// A new state folder, with its store.
async fn opened() -> (tempfile::TempDir, Arc<SqliteStore>) {
    let directory = tempfile::tempdir().expect("a directory");
    let store = SqliteStore::open(&state(&directory)).await.expect("the store opens");
    (directory, store)
}

fn state(directory: &tempfile::TempDir) -> PathBuf {
    directory.path().join("state")
}

/// A connection past the store, for damage.
fn beside(directory: &Path) -> Connection {
    let connection = Connection::open(directory.join(DATABASE)).expect("the database opens");
    connection.pragma_update(None, "foreign_keys", false).expect("a pragma");
    connection.pragma_update(None, "ignore_check_constraints", true).expect("a pragma");
    connection
}

fn environment() -> EnvironmentId {
    EnvironmentId::new("prod").expect("a valid environment")
}

fn graph() -> Bytes {
    Bytes::from_static(b"a graph")
}

fn plan() -> DeploymentPlan {
    DeploymentPlan {
        id: SystemRuntime::new().deployment_id().expect("a valid id"),
        environment: environment(),
        project: ProjectName::new("fraud").expect("a valid project"),
        created_at: Timestamp::from_millis(1),
        deadline: Timestamp::from_millis(2),
        source: SourceFingerprint {
            sha256: Digest::of("archive"),
            size: 1,
            unpacked_size: 1,
            entries: 1,
            source_code_hash: Digest::of("sources"),
        },
        graph: Digest::of(graph()),
        git: GitMetadata::default(),
        requirements: Vec::new(),
        settings: ProjectSettings::default(),
        tags: Vec::new(),
        sizing: Sizing::default(),
        strategy: Strategy::Immediate,
        promotion: Promotion::Promote,
        idempotency_key: None,
    }
}

/// A deployment and the token of its environment.
async fn begun(store: &SqliteStore) -> (DeploymentPlan, FencingToken) {
    let plan = plan();
    store.create(&plan, &graph()).await.expect("it is created");
    let holder = LeaseHolder { name: "owner".to_owned(), process: 1, started_at: Timestamp::from_millis(1) };
    let lease = store.acquire_lease(&environment(), &holder, Duration::from_secs(1), Timestamp::from_millis(1)).await;
    (plan, lease.expect("the environment is free").token)
}

fn lines(plan: &DeploymentPlan, expected_version: u64, token: FencingToken, line: &str) -> Append {
    Append {
        deployment: plan.id.clone(),
        expected_version,
        token: Some(token),
        events: vec![RecordedEvent {
            sequence: expected_version + 1,
            at: Timestamp::from_millis(expected_version),
            event: Event::Log { step: Step::BuildImages, line: line.to_owned() },
        }],
        status: DeploymentStatus::Working,
    }
}

/// Every file below a folder with its bytes.
fn contents(directory: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let mut found = BTreeMap::new();
    let mut open = vec![directory.to_path_buf()];
    while let Some(next) = open.pop() {
        for entry in fs::read_dir(&next).expect("a directory") {
            let path = entry.expect("an entry").path();
            if path.is_dir() {
                found.insert(path.clone(), Vec::new());
                open.push(path);
            } else {
                let bytes = fs::read(&path).expect("a file");
                found.insert(path, bytes);
            }
        }
    }
    found
}
