//! The sources of past deployments: listed, inspected, unpacked, kept; uploaded once, and read back.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use chalk_deploy_core::cloud::{ByteStream, ObjectStore as _, Payload, PayloadSource, PutMode, RetentionMode};
use chalk_deploy_core::model::{ArchiveRetention, DeploymentPolicy, DeploymentStatus, ObjectKey};
use chalk_deploy_core::source::SourceHistory;
use chalk_deploy_core::{ApplyRequest, ErrorCode, Result};
use chalk_deploy_testkit::sample;
use futures::StreamExt as _;

use crate::house::{House, Plan, assert_success, environment};

fn files(content: &str) -> Bytes {
    sample::archive(&[("chalk.yaml", b"project: fraud\n"), ("models.py", content.as_bytes())])
}

async fn deploy(house: &House, source: Bytes) -> chalk_deploy_core::model::DeploymentId {
    let (id, outcome) = house.finish(sample::request(source).expect("a valid request")).await;
    assert_success(&outcome);
    id
}

async fn sources(house: &House) -> SourceHistory {
    house.deployer.sources(&environment()).await.expect("the environment is known")
}

#[tokio::test(start_paused = true)]
async fn every_past_deployment_can_be_listed_inspected_and_unpacked() {
    let house = House::new();
    let (one, two) = (deploy(&house, files("x = 1")).await, deploy(&house, files("x = 2")).await);
    let sources = sources(&house).await;
    let listed: Vec<_> =
        sources.list(None, 10).await.expect("listed").into_iter().map(|record| record.deployment).collect();
    let mut expected = [one.clone(), two.clone()];
    expected.sort();
    assert_eq!(listed, expected);
    let rest = sources.list(Some(&expected[0]), 10).await.expect("listed");
    assert_eq!(rest.len(), 1);

    let record = sources.find(&one).await.expect("archived");
    let inspection = sources.inspect(&record).await.expect("as it was deployed");
    let paths: Vec<_> = inspection.entries.iter().map(|entry| entry.path.as_str()).collect();
    assert_eq!(paths, ["chalk.yaml", "models.py"]);
    assert_eq!(inspection.fingerprint, house.deployer.status(&one).await.expect("known").plan.source);

    let folder = tempfile::tempdir().expect("a folder");
    sources.extract(&record, &folder.path().join("out")).await.expect("unpacked");
    assert_eq!(std::fs::read_to_string(folder.path().join("out/models.py")).expect("there"), "x = 1");
    let missing = sources.find(&"cm9n46thy000bwe6y784y4j0l".parse().expect("an id")).await.expect_err("never deployed");
    assert_eq!(missing.code(), ErrorCode::ObjectMissing);
    let none = sources.download_url(&one, Duration::from_mins(1)).await.expect_err("not in memory");
    assert_eq!(none.code(), ErrorCode::RequestInvalid);
}

#[tokio::test(start_paused = true)]
async fn what_someone_puts_in_the_place_of_an_archive_or_a_record_is_noticed() {
    let house = House::new();
    let id = deploy(&house, files("x = 1")).await;
    let (sources, bucket) = (sources(&house).await, house.world.object_store());
    let record = sources.find(&id).await.expect("archived");
    bucket.put(&record.archive, &Payload::from_bytes(files("x = 2")), PutMode::Replace).await.expect("stored");
    assert_eq!(sources.inspect(&record).await.expect_err("another archive").code(), ErrorCode::DigestMismatch);
    let folder = tempfile::tempdir().expect("a folder");
    let refused = sources.extract(&record, &folder.path().join("out")).await.expect_err("another archive");
    assert_eq!(refused.code(), ErrorCode::DigestMismatch);
    assert_eq!(std::fs::read_dir(folder.path()).expect("readable").count(), 0);

    let key = ObjectKey::new(format!("deployments/{id}")).expect("a valid key");
    let mut other = record.clone();
    other.archive = ObjectKey::new("incoming/other").expect("a valid key");
    for text in [serde_json::to_string(&other).expect("written"), "{}".to_owned(), "x".repeat(100_000)] {
        bucket.put(&key, &Payload::from_bytes(text), PutMode::Replace).await.expect("stored");
        assert_eq!(sources.find(&id).await.expect_err("no record").code(), ErrorCode::CloudAnswerInvalid);
    }
}

#[tokio::test(start_paused = true)]
async fn archives_are_kept_as_long_as_the_policy_says_and_never_shorter() {
    let keeping = |hours| DeploymentPolicy {
        retention: Some(ArchiveRetention { period: Duration::from_hours(hours), mode: RetentionMode::Governance }),
        ..DeploymentPolicy::default()
    };
    let house = House::of(Plan { policy: keeping(48), ..Plan::default() });
    let id = deploy(&house, files("x = 1")).await;
    let sources = sources(&house).await;
    let record = sources.find(&id).await.expect("archived");
    let until = record.created_at.plus(Duration::from_hours(48));
    let kept = sources.retention(&record).await.expect("the bucket has it");
    assert!(!kept.held && kept.covers(until, RetentionMode::Governance), "{kept:?}");
    sources.set_legal_hold(&record, true).await.expect("held");
    assert!(sources.retention(&record).await.expect("the bucket has it").held);
    let refused = house.world.object_store().delete(&record.archive).await.expect_err("it is kept");
    assert_eq!(refused.code(), ErrorCode::RequestInvalid);
}

/// A source that counts how often it is opened and how many bytes are taken.
struct Counted(Bytes, Arc<AtomicUsize>, Arc<AtomicUsize>);

#[async_trait]
impl PayloadSource for Counted {
    async fn open(&self) -> Result<ByteStream> {
        self.1.fetch_add(1, Ordering::Relaxed);
        let (bytes, taken) = (self.0.clone(), Arc::clone(&self.2));
        let pieces: Vec<_> =
            (0..bytes.len()).step_by(10_000).map(|at| bytes.slice(at..bytes.len().min(at + 10_000))).collect();
        let count = move |piece: &Bytes| {
            taken.fetch_add(piece.len(), Ordering::Relaxed);
        };
        Ok(futures::stream::iter(pieces).inspect(count).map(Ok).boxed())
    }
}

#[tokio::test(start_paused = true)]
async fn a_source_is_read_once_while_it_is_uploaded_hashed_and_examined() {
    let house = House::new();
    let bytes = files(&"x = 1\n".repeat(200_000));
    let found = sample::fingerprint(&bytes).expect("an archive");
    let (opened, taken) = (Arc::default(), Arc::default());
    let source = Counted(bytes.clone(), Arc::clone(&opened), Arc::clone(&taken));
    let payload = Payload::new(found.sha256, found.size, Arc::new(source));
    let (project, graph) = ("fraud".parse().expect("a name"), sample::graph().expect("a real export"));
    let request = ApplyRequest::new(environment(), project, found, payload, graph);
    let (_, outcome) = house.finish(request).await;
    assert_eq!(outcome.status, DeploymentStatus::Success, "{:?}", outcome.error);
    assert_eq!((opened.load(Ordering::Relaxed), taken.load(Ordering::Relaxed)), (1, bytes.len()));
    let puts =
        house.faults.calls().iter().filter(|call| call.method == "put" && call.trait_name == "object_store").count();
    assert_eq!(puts, 2, "the archive and its record");
}
