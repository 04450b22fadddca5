//! The contract on SQLite, and what a state folder promises beyond it.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::ops::Deref;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use chalk_deploy_core::ErrorCode;
use chalk_deploy_core::cloud::FencingToken;
use chalk_deploy_core::model::{DeploymentPlan, DeploymentStatus, IdempotencyKey};
use chalk_deploy_core::store::{DeploymentStore, HistoryQuery, Lease, LeaseHolder, SqliteStore};
use chalk_deploy_testkit::conformance::deployment_store::{append, at, fresh_environment, fresh_holder, graph, plan};
use futures::future::join_all;

chalk_deploy_testkit::deployment_store_suite!(Fixture::new().await);

const TERM: Duration = Duration::from_secs(15);

/// A store in a folder of its own.
pub(crate) struct Fixture {
    store: Arc<SqliteStore>,
    state: PathBuf,
    /// Removed when the fixture is dropped.
    directory: tempfile::TempDir,
}

impl Fixture {
    pub(crate) async fn new() -> Self {
        let directory = tempfile::tempdir().expect("a directory");
        let state = directory.path().join("state");
        Self { store: open(&state).await, state, directory }
    }

    /// Closes the store and opens the folder again.
    async fn reopened(self) -> Self {
        let Self { store, state, directory } = self;
        assert_eq!(Arc::strong_count(&store), 1, "the store is closed when it is dropped");
        drop(store);
        Self { store: open(&state).await, state, directory }
    }
}

impl Deref for Fixture {
    type Target = dyn DeploymentStore;

    fn deref(&self) -> &Self::Target {
        &*self.store
    }
}

async fn open(state: &Path) -> Arc<SqliteStore> {
    SqliteStore::open(state).await.expect("the store opens")
}

#[tokio::test]
async fn everything_is_there_when_the_folder_is_opened_again() {
    let mut store = Fixture::new().await;
    let environment = fresh_environment();
    let plan =
        DeploymentPlan { idempotency_key: Some(IdempotencyKey::new("key").expect("a key")), ..plan(&environment) };
    store.create(&plan, &graph()).await.expect("it is created");
    let lease = store.acquire_lease(&environment, &fresh_holder(), TERM, at(0)).await.expect("it is free");
    store.append(&append(&plan.id, 1, Some(lease.token), 5, DeploymentStatus::Working)).await.expect("it fits");
    store.request_cancel(&plan.id).await.expect("it can be cancelled");
    let record = store.deployment(&plan.id).await.expect("it is there");
    let events = store.events(&plan.id, 0).await.expect("its journal is there");
    for round in 1..=3 {
        store = store.reopened().await;
        assert_eq!(store.deployment(&plan.id).await.expect("it is there"), record);
        assert_eq!(store.events(&plan.id, 0).await.expect("its journal is there"), events);
        assert_eq!(store.graph(&plan.graph).await.expect("the store answers"), Some(graph()));
        let history = store.history(&HistoryQuery::default()).await.expect("the history can be read");
        assert_eq!(history, std::slice::from_ref(&record));
        // The store before has given its lease up by being dropped, and its token is not given out again.
        let next = store.acquire_lease(&environment, &fresh_holder(), TERM, at(0)).await.expect("it is free");
        assert_eq!(next.token, FencingToken(lease.token.0 + round));
        let late = append(&plan.id, 6, Some(lease.token), 1, DeploymentStatus::Working);
        assert_eq!(store.append(&late).await.map_err(|error| error.code()), Err(ErrorCode::LeaseLost));
        assert_eq!(store.renew_lease(&lease, at(1)).await.map_err(|error| error.code()), Err(ErrorCode::LeaseLost));
    }
}

#[tokio::test]
async fn each_change_is_one_commit_and_what_changes_nothing_is_none() {
    let fixture = Fixture::new().await;
    let store = &fixture.store;
    let environment = fresh_environment();
    let plan =
        DeploymentPlan { idempotency_key: Some(IdempotencyKey::new("key").expect("a key")), ..plan(&environment) };
    let mut before = store.commits();
    let mut commits = |what: &str, expected: u64| {
        assert_eq!(store.commits() - before, expected, "{what}");
        before = store.commits();
    };
    store.create(&plan, &graph()).await.expect("it is created");
    commits("create", 1);
    store.create(&plan, &graph()).await.expect("it exists");
    commits("create again", 0);
    let lease = store.acquire_lease(&environment, &fresh_holder(), TERM, at(0)).await.expect("it is free");
    commits("acquire", 1);
    store.acquire_lease(&environment, &fresh_holder(), TERM, at(0)).await.expect_err("it is held");
    commits("acquire what is held", 0);
    for version in [1, 11, 21] {
        let append = append(&plan.id, version, Some(lease.token), 10, DeploymentStatus::Working);
        store.append(&append).await.expect("it fits");
        commits("append ten events", 1);
        store.append(&append).await.expect_err("it is a conflict");
        commits("append in vain", 0);
    }
    store.renew_lease(&lease, at(1)).await.expect("it is in force");
    commits("renew", 0);
    store.events(&plan.id, 0).await.expect("its journal is there");
    store.history(&HistoryQuery::default()).await.expect("the history can be read");
    commits("read", 0);
    store.request_cancel(&plan.id).await.expect("it can be cancelled");
    commits("cancel", 1);
    store.request_cancel(&plan.id).await.expect("it can be cancelled");
    commits("cancel again", 0);
    store.release_lease(&lease).await.expect("it is given up");
    commits("release", 1);
    store.release_lease(&lease).await.expect("it is given up");
    commits("release again", 0);
}

#[tokio::test]
async fn two_stores_on_one_folder_exclude_each_other_like_two_processes() {
    let first = Fixture::new().await;
    let second = open(&first.state).await;
    let environment = fresh_environment();
    let (one, two) = (fresh_holder(), fresh_holder());
    let lease = first.acquire_lease(&environment, &one, TERM, at(0)).await.expect("it is free");
    // However late it is: the owner lives.
    let late = at(1_000_000_000);
    let error = second.acquire_lease(&environment, &two, TERM, late).await.expect_err("it is held");
    assert_eq!(error.code(), ErrorCode::LeaseHeld);
    assert!(error.sentence().contains(&one.name), "{}", error.sentence());
    // A lease belongs to the store that acquired it: nobody else can renew it or give it up.
    assert_eq!(second.renew_lease(&lease, late).await.map_err(|error| error.code()), Err(ErrorCode::LeaseLost));
    second.release_lease(&lease).await.expect("what is not held is given up");
    second.acquire_lease(&environment, &two, TERM, late).await.expect_err("it is still held");
    first.release_lease(&lease).await.expect("it is given up");
    let next = second.acquire_lease(&environment, &two, TERM, late).await.expect("it is free");
    assert!(next.token > lease.token);
    drop(second);
    first.acquire_lease(&environment, &one, TERM, late).await.expect("a store that is dropped owns nothing");
}

#[tokio::test]
async fn appends_through_several_connections_at_once_leave_no_gap_and_lose_nothing() {
    const ROUNDS: u64 = 20;
    let first = Fixture::new().await;
    let stores = [open(&first.state).await, open(&first.state).await, Arc::clone(&first.store)];
    let environment = fresh_environment();
    let plan = plan(&environment);
    first.create(&plan, &graph()).await.expect("it is created");
    let token = Some(first.acquire_lease(&environment, &fresh_holder(), TERM, at(0)).await.expect("it is free").token);
    let writers = stores.into_iter().map(|store| {
        let deployment = plan.id.clone();
        // One task thread is enough: the stores work on threads of their own.
        tokio::spawn(async move {
            let mut won = 0;
            while won < ROUNDS {
                let version = store.deployment(&deployment).await.expect("it is there").version;
                match store.append(&append(&deployment, version, token, 2, DeploymentStatus::Working)).await {
                    Ok(()) => won += 1,
                    Err(error) => assert_eq!(error.code(), ErrorCode::VersionConflict, "{}", error.sentence()),
                }
            }
        })
    });
    for writer in join_all(writers).await {
        writer.expect("the writer has won all its rounds");
    }
    let events = first.events(&plan.id, 0).await.expect("its journal is whole");
    assert_eq!(events.len() as u64, 1 + 3 * ROUNDS * 2);
}

// --- other processes ---------------------------------------------------------------------------------------------------

const CHILD_STATE: &str = "CHALK_DEPLOY_TEST_CHILD_STATE";
const CHILD_PLAN: &str = "CHALK_DEPLOY_TEST_CHILD_PLAN";

/// Run in a process of its own by the tests below: acquires the plan's environment, appends one event with its token,
/// says so, and holds on until it is killed or its input ends.
#[tokio::test]
#[ignore = "the child process of other tests"]
async fn child_that_owns_an_environment() {
    let state = std::env::var_os(CHILD_STATE).expect("the parent names the state folder");
    let plan = std::env::var(CHILD_PLAN).expect("the parent gives the plan");
    let plan: DeploymentPlan = serde_json::from_str(&plan).expect("the parent gives the plan");
    let store = open(Path::new(&state)).await;
    let lease = store.acquire_lease(&plan.environment, &fresh_holder(), TERM, at(0)).await.expect("it is free");
    store.append(&append(&plan.id, 1, Some(lease.token), 1, DeploymentStatus::Working)).await.expect("it fits");
    let mut output = std::io::stdout().lock();
    writeln!(output, "\nowner: {}", serde_json::to_string(&lease).expect("plain data")).expect("the parent listens");
    output.flush().expect("the parent listens");
    drop(output);
    // Neither of the two gets through this while the parent lives and keeps the pipe open.
    std::io::stdin().read_to_end(&mut Vec::new()).expect("the parent closes the pipe");
    drop(store);
}

/// The child process, killed at the latest when it goes out of scope.
struct Owner {
    process: Child,
    /// Kept open, so that what the test harness of the child still prints has somewhere to go.
    _output: BufReader<ChildStdout>,
    lease: Lease,
}

impl Owner {
    fn start(state: &Path, plan: &DeploymentPlan) -> Self {
        let mut process = Command::new(std::env::current_exe().expect("this test's own program"))
            .args(["--exact", "sqlite::child_that_owns_an_environment", "--ignored", "--nocapture"])
            .env(CHILD_STATE, state)
            .env(CHILD_PLAN, serde_json::to_string(plan).expect("plain data"))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("the child starts");
        let mut output = BufReader::new(process.stdout.take().expect("its output is piped"));
        let lease = output
            .by_ref()
            .lines()
            .map(|line| line.expect("the child's output"))
            .find_map(|line| line.strip_prefix("owner: ").map(str::to_owned))
            .expect("the child owns the environment");
        Self { process, _output: output, lease: serde_json::from_str(&lease).expect("the child's lease") }
    }
}

impl Drop for Owner {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

#[tokio::test]
async fn a_living_owner_in_another_process_is_named_and_keeps_its_environment() {
    let store = Fixture::new().await;
    let plan = plan(&fresh_environment());
    store.create(&plan, &graph()).await.expect("it is created");
    let owner = Owner::start(&store.state, &plan);
    let late = at(1_000_000_000);
    let error = store.acquire_lease(&plan.environment, &fresh_holder(), TERM, late).await.expect_err("it is held");
    assert_eq!(error.code(), ErrorCode::LeaseHeld);
    let process = format!("stop process {} and run again with --resume", owner.process.id());
    let started = owner.lease.holder.started_at.to_string();
    let sentence = error.sentence();
    assert!(sentence.contains(&process) && sentence.contains(&started), "{sentence}");
    store.acquire_lease(&fresh_environment(), &fresh_holder(), TERM, late).await.expect("another environment is free");
}

#[tokio::test]
async fn a_killed_owner_frees_its_environment_at_once_and_what_it_recorded_is_there() {
    let store = Fixture::new().await;
    let plan = plan(&fresh_environment());
    store.create(&plan, &graph()).await.expect("it is created");
    let mut owner = Owner::start(&store.state, &plan);
    owner.process.kill().expect("the child can be killed");
    owner.process.wait().expect("the child has ended");
    // The same moment in which it acquired: no term has passed.
    let lease = store.acquire_lease(&plan.environment, &fresh_holder(), TERM, at(0)).await.expect("it is free");
    assert!(lease.token > owner.lease.token, "{} after {}", lease.token, owner.lease.token);
    assert_eq!(store.events(&plan.id, 0).await.expect("its journal is there").len(), 2);
    let late = append(&plan.id, 2, Some(owner.lease.token), 1, DeploymentStatus::Working);
    assert_eq!(store.append(&late).await.map_err(|error| error.code()), Err(ErrorCode::LeaseLost));
    store.append(&append(&plan.id, 2, Some(lease.token), 1, DeploymentStatus::Working)).await.expect("it fits");
}

#[tokio::test]
async fn an_owner_that_ends_by_itself_frees_its_environment() {
    let store = Fixture::new().await;
    let plan = plan(&fresh_environment());
    store.create(&plan, &graph()).await.expect("it is created");
    let mut owner = Owner::start(&store.state, &plan);
    drop(owner.process.stdin.take());
    assert!(owner.process.wait().expect("the child has ended").success());
    let holder = LeaseHolder { process: 1, ..fresh_holder() };
    store.acquire_lease(&plan.environment, &holder, TERM, at(0)).await.expect("it is free");
}
