//! The conformance suite.

use std::sync::Arc;

use chalk_deploy_core::ErrorCode;
use chalk_deploy_core::cloud::Registry as _;
use chalk_deploy_core::error::Retry;
use chalk_deploy_core::model::{Digest, Repository};
use chalk_deploy_core::oci::{OciRegistry, OciSettings, UploadMode};
use chalk_deploy_core::runtime::SystemRuntime;
use chalk_deploy_core::transport::NetworkTransport;
use chalk_deploy_testkit::conformance::registry::{RegistryHarness, suite};
use chalk_deploy_testkit::simulated::http::{Listening, serve};

use super::small_registry::{Options, SmallRegistry, TagDeletion};
use super::{adapter, blob, credentials, repository};

async fn passes(registry: OciRegistry, base: Repository) {
    suite(&RegistryHarness { registry: Arc::new(registry), base }, "run").await.assert_passed();
}

#[tokio::test(start_paused = true)]
async fn the_adapter_passes_with_every_way_to_upload_and_every_way_to_delete_a_tag() {
    for upload in [UploadMode::TwoRequests, UploadMode::OneRequest, UploadMode::Chunked { chunk: 100_000 }] {
        for tag_deletion in [TagDeletion::ByTag, TagDeletion::ByDigestOnly, TagDeletion::ClaimsNotFound] {
            let server = SmallRegistry::new(Options { tag_deletion, ..Options::default() });
            let settings = OciSettings::default().with_upload(upload);
            passes(adapter(&server, settings), repository("conformance")).await;
        }
    }
}

#[tokio::test(start_paused = true)]
async fn the_adapter_passes_with_tokens_that_last_three_requests_and_with_passwords() {
    let password = Some(("user".to_owned(), super::SECRET.to_owned()));
    let with_tokens = Options {
        realm: Some("https://auth.registry.example/token".to_owned()),
        token_uses: Some(3),
        password: password.clone(),
        ..Options::default()
    };
    let with_password = Options { password, ..Options::default() };
    for options in [with_tokens, with_password] {
        let settings = OciSettings::default().with_credentials(credentials());
        passes(adapter(&SmallRegistry::new(options), settings), repository("conformance")).await;
    }
}

#[tokio::test(start_paused = true)]
async fn the_adapter_passes_where_tags_are_immutable_in_the_words_of_each_cloud() {
    for (status, words) in [
        (400, "tag already exists and cannot be overwritten because the repository is immutable"),
        (409, "conflict"),
        (412, "configured as immutable"),
        (405, "the tag has been locked"),
    ] {
        let server = SmallRegistry::new(Options { immutable: Some((status, words)), ..Options::default() });
        passes(adapter(&server, OciSettings::default()), repository("conformance")).await;
    }
}

#[tokio::test(start_paused = true)]
async fn the_adapter_passes_with_the_habits_of_each_cloud() {
    let password = Some(("user".to_owned(), super::SECRET.to_owned()));
    // Answers pieces with 201 and every DELETE with 404, and moves no tag.
    let ecr = Options {
        password: password.clone(),
        piece_status: Some(201),
        tag_deletion: TagDeletion::ClaimsNotFoundAlways,
        immutable: Some((400, "already exists and cannot be overwritten because the repository is immutable")),
        ..Options::default()
    };
    // Takes no pieces, and hands blobs out from a store.
    let artifact_registry = Options {
        password: password.clone(),
        piece_status: Some(400),
        blobs_at: Some("storage.example".to_owned()),
        ..Options::default()
    };
    // Tokens from its own host, and no deletion by tag.
    let acr = Options {
        password,
        realm: Some(format!("https://{}/token", super::HOST)),
        tag_deletion: TagDeletion::ByDigestOnly,
        ..Options::default()
    };
    for options in [artifact_registry, acr] {
        let settings = OciSettings::default().with_credentials(credentials());
        passes(adapter(&SmallRegistry::new(options), settings), repository("conformance")).await;
    }
    let settings = OciSettings::default().with_credentials(credentials());
    let registry = Arc::new(adapter(&SmallRegistry::new(ecr), settings));
    let report = suite(&RegistryHarness { registry, base: repository("conformance") }, "run").await;
    // What ECR does not do over this protocol is left to the provider's own API.
    let failed: Vec<_> = report.failed.iter().map(|(check, _)| *check).collect();
    assert_eq!(failed, ["removing_a_tag_leaves_the_manifest_and_may_be_repeated"], "{report}");
}

/// The adapter on a server that listens, by real sockets and in real time.
async fn over_loopback(server: SmallRegistry, settings: OciSettings) -> (Listening, OciRegistry, Repository) {
    let listening = serve(Arc::new(server), 0).await.expect("it listens");
    let transport = NetworkTransport::builder().build().expect("a transport");
    let base = Repository::new(format!("{}/conformance", listening.address())).expect("a valid repository");
    (listening, OciRegistry::new(transport, SystemRuntime::new(), settings), base)
}

#[tokio::test]
async fn the_adapter_passes_over_loopback_with_every_way_to_upload() {
    for upload in [UploadMode::TwoRequests, UploadMode::OneRequest, UploadMode::Chunked { chunk: 100_000 }] {
        let server = SmallRegistry::new(Options::default());
        let (_listening, registry, base) = over_loopback(server, OciSettings::default().with_upload(upload)).await;
        passes(registry, base).await;
    }
}

#[tokio::test]
async fn large_blobs_are_pushed_and_pulled_over_loopback() {
    let server = SmallRegistry::new(Options::default());
    let (_listening, registry, base) = over_loopback(server, OciSettings::default()).await;
    let layer = blob(20_000_000);
    registry.push_blob(&base, &layer).await.expect("pushed");
    let stream = registry.pull_blob(&base, &layer.sha256()).await.expect("opened");
    let pieces: Vec<_> = futures::TryStreamExt::try_collect(stream).await.expect("whole");
    assert_eq!(Digest::of(pieces.concat()), layer.sha256());
}

#[tokio::test]
async fn a_registry_where_nobody_listens_is_told_by_its_address() {
    let server = SmallRegistry::new(Options::default());
    let (listening, registry, base) = over_loopback(server, OciSettings::default()).await;
    let address = listening.address().to_string();
    drop(listening);
    let error = registry.has_blob(&base, &Digest::of("x")).await.expect_err("nobody is there");
    assert_eq!((error.code(), error.retry()), (ErrorCode::CloudUnavailable, Retry::Temporary));
    assert!(error.sentence().contains(&address), "{}", error.sentence());
}

#[tokio::test]
async fn a_registry_by_plain_http_that_the_transport_does_not_allow_is_no_matter_of_patience() {
    let transport = NetworkTransport::builder().build().expect("a transport");
    let settings = OciSettings::default().with_plain_http("registry.example");
    let registry = OciRegistry::new(transport, SystemRuntime::new(), settings);
    let error = registry.has_blob(&repository("a"), &Digest::of("x")).await.expect_err("not allowed");
    assert_eq!((error.code(), error.retry()), (ErrorCode::RequestInvalid, Retry::Permanent));
    assert!(error.sentence().contains("plain http"), "{}", error.sentence());
}
