//! A repository that a write finds missing is made, once, and the write goes on.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use chalk_deploy_core::cloud::{ManifestLocator, Payload, Registry as _};
use chalk_deploy_core::oci::{Credential, OciRegistry, OciSettings, Secret, StaticCredentials, UploadMode};
use chalk_deploy_core::provision::RepositoryCreator;
use chalk_deploy_core::runtime::Runtime;
use chalk_deploy_core::{Error, ErrorCode, Result};
use chalk_deploy_testkit::simulated::http::in_process;
use chalk_deploy_testkit::simulated::registry::{RegistryServer, RegistrySettings, RequestKind};
use chalk_deploy_testkit::{VirtualRuntime, World};

use super::{HOST, SECRET, blob, manifest_of, repository, tag};

/// Makes repositories in the simulated registry after a while, unless it is told otherwise.
#[derive(Debug)]
struct Creator {
    server: Arc<RegistryServer>,
    runtime: Arc<VirtualRuntime>,
    does: Does,
    asked: Mutex<Vec<String>>,
    failures: AtomicUsize,
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum Does {
    Make,
    FailOnce,
    Lie,
}

#[async_trait]
impl RepositoryCreator for Creator {
    async fn create(&self, host: &str, path: &str) -> Result<()> {
        self.asked.lock().expect("not poisoned").push(format!("{host}/{path}"));
        self.runtime.sleep(Duration::from_secs(1)).await;
        match self.does {
            Does::Lie => Ok(()),
            Does::FailOnce if self.failures.fetch_add(1, Ordering::Relaxed) == 0 => {
                Err(Error::new(ErrorCode::PermissionDenied, "the role may not create repositories"))
            }
            Does::Make | Does::FailOnce => self.server.create_repository(path),
        }
    }
}

impl Creator {
    fn asked(&self) -> Vec<String> {
        self.asked.lock().expect("not poisoned").clone()
    }
}

fn ecr(does: Does, settings: OciSettings) -> (Arc<RegistryServer>, Arc<Creator>, OciRegistry) {
    let runtime = VirtualRuntime::new(1);
    let server = Arc::new(RegistryServer::new(&World::memory(), runtime.clone(), RegistrySettings::ecr(SECRET)));
    let creator = Arc::new(Creator {
        server: server.clone(),
        runtime: runtime.clone(),
        does,
        asked: Mutex::default(),
        failures: AtomicUsize::new(0),
    });
    let password = Credential::Basic { username: "AWS".to_owned(), secret: Secret::new(SECRET) };
    let settings = settings
        .with_credentials(Arc::new(StaticCredentials::new().with(HOST, password)))
        .with_repository_creator(creator.clone());
    (server.clone(), creator, OciRegistry::new(in_process(server), runtime, settings))
}

#[tokio::test(start_paused = true)]
async fn a_push_into_a_repository_that_is_not_there_makes_it_once_for_all_blobs() {
    for upload in
        [UploadMode::TwoRequests, UploadMode::OneRequest, UploadMode::Learned, UploadMode::Chunked { chunk: 6 << 20 }]
    {
        let (_, creator, registry) = ecr(Does::Make, OciSettings::default().with_upload(upload));
        let blobs: Vec<_> = (0..12).map(|number| blob(1000 + number)).collect();
        let manifest = manifest_of(&blobs[0]);
        let target = repository("chalk/engine-a");
        registry.push_image(&target, &manifest, &blobs, Some(&tag("one"))).await.expect("pushed");
        assert_eq!(creator.asked(), [format!("{HOST}/chalk/engine-a")], "{upload:?}");
        let found = registry.manifest(&target, &ManifestLocator::Tag(tag("one"))).await.expect("answered");
        assert_eq!(found.map(|found| found.digest()), Some(manifest.digest()));
        for blob in &blobs {
            assert!(registry.has_blob(&target, &blob.sha256()).await.expect("answered"));
        }
    }
}

#[tokio::test(start_paused = true)]
async fn each_repository_is_made_by_itself_and_one_that_is_there_is_not() {
    let (server, creator, registry) = ecr(Does::Make, OciSettings::default());
    server.create_repository("there").expect("a valid name");
    for path in ["there", "one", "two", "one"] {
        registry.push_blob(&repository(path), &blob(100)).await.expect("pushed");
    }
    assert_eq!(creator.asked(), [format!("{HOST}/one"), format!("{HOST}/two")]);
}

#[tokio::test(start_paused = true)]
async fn a_read_makes_nothing() {
    let (_, creator, registry) = ecr(Does::Make, OciSettings::default());
    let digest = Payload::from_bytes("x").sha256();
    let target = repository("absent");
    assert!(!registry.has_blob(&target, &digest).await.expect("answered"));
    let found = registry.manifest(&target, &ManifestLocator::Tag(tag("one"))).await.expect("answered");
    assert!(found.is_none());
    registry.pull_blob(&target, &digest).await.err().expect("not there");
    assert!(creator.asked().is_empty());
}

#[tokio::test(start_paused = true)]
async fn who_may_not_make_it_is_told_why_once_for_all_who_wait_and_the_next_push_asks_again() {
    let (_, creator, registry) = ecr(Does::FailOnce, OciSettings::default());
    let target = repository("a");
    let blobs: Vec<_> = (0..6).map(|number| blob(1000 + number)).collect();
    let pushed = futures::future::join_all(blobs.iter().map(|blob| registry.push_blob(&target, blob))).await;
    for error in pushed.into_iter().map(|pushed| pushed.expect_err("may not")) {
        assert_eq!(error.code(), ErrorCode::PermissionDenied);
        assert!(error.message().contains("may not create"), "{error}");
    }
    assert_eq!(creator.asked().len(), 1);
    // Another moment, another request.
    creator.runtime.sleep(Duration::from_secs(1)).await;
    registry.push_blob(&target, &blobs[0]).await.expect("made now");
    assert_eq!(creator.asked().len(), 2);
}

#[tokio::test(start_paused = true)]
async fn a_repository_that_is_still_not_there_is_the_registrys_refusal_and_no_loop() {
    let (server, creator, registry) = ecr(Does::Lie, OciSettings::default());
    let error = registry.push_blob(&repository("a"), &blob(100)).await.expect_err("not there");
    assert_eq!(error.code(), ErrorCode::ObjectMissing, "{error}");
    // The refused call, and that call once more.
    assert_eq!(server.request_log().count(RequestKind::UploadStart), 2);
    registry.push_blob(&repository("a"), &blob(100)).await.expect_err("not there");
    assert_eq!(creator.asked().len(), 1, "it is let catch up");
    creator.runtime.sleep(Duration::from_mins(2)).await;
    registry.push_blob(&repository("a"), &blob(100)).await.expect_err("not there");
    assert_eq!(creator.asked().len(), 2, "it was removed, perhaps");
}

#[tokio::test(start_paused = true)]
async fn without_a_creator_the_refusal_says_what_to_do() {
    let runtime = VirtualRuntime::new(1);
    let settings = RegistrySettings { creates_repositories: false, ..RegistrySettings::plain() };
    let server = Arc::new(RegistryServer::new(&World::memory(), runtime.clone(), settings));
    let registry = OciRegistry::new(in_process(server), runtime, OciSettings::default());
    let error = registry.push_blob(&repository("a"), &blob(100)).await.expect_err("not there");
    assert_eq!(error.code(), ErrorCode::ObjectMissing);
    assert!(error.hint().contains("create the repository"), "{error}");
}
