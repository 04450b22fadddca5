//! Uploads over a bad network: at every request, every fault.

use std::sync::Arc;
use std::time::Duration;

use chalk_deploy_core::cloud::{Payload, Registry as _};
use chalk_deploy_core::error::Retry;
use chalk_deploy_core::oci::{OciSettings, UploadMode};
use chalk_deploy_core::{Error, ErrorCode, Result};
use chalk_deploy_testkit::simulated::fault::{ProtocolFault, ProtocolFaults, Requests};

use super::small_registry::{Canned, Options, SmallRegistry};
use super::{adapter, blob, faulty_adapter, manifest_of, repository, tag};

const CHUNKED: UploadMode = UploadMode::Chunked { chunk: 65_536 };

fn every_fault() -> Vec<ProtocolFault> {
    vec![
        ProtocolFault::SeverBefore,
        ProtocolFault::SeverAfter,
        ProtocolFault::CutRequest { after: 1 },
        ProtocolFault::CutRequest { after: 40_000 },
        ProtocolFault::status(500),
        ProtocolFault::status(502),
        ProtocolFault::status(503),
        ProtocolFault::busy(429, 2),
        ProtocolFault::AnswerAfter { status: 503, headers: Vec::new(), body: String::new() },
        ProtocolFault::Stall,
        ProtocolFault::Delay(Duration::from_secs(20)),
        ProtocolFault::SlowAnswer { pause: Duration::from_secs(5) },
    ]
}

/// Repeats a step as the driver does: after a temporary failure, and not often.
async fn driven<T, F: Future<Output = Result<T>>>(step: impl Fn() -> F) -> Result<T> {
    let mut last = None;
    for _ in 0..4 {
        match step().await {
            Err(error) if error.retry() != Retry::Permanent => last = Some(error),
            end => return end,
        }
    }
    Err(last.unwrap_or_else(|| Error::new(ErrorCode::Internal, "no attempt was made")))
}

#[tokio::test(start_paused = true)]
async fn whatever_happens_to_whichever_request_the_image_ends_up_whole() {
    let (layer, config) = (blob(200_000), Payload::from_bytes("config"));
    let manifest = manifest_of(&config);
    for upload in [UploadMode::TwoRequests, UploadMode::OneRequest, CHUNKED] {
        for fault in every_fault() {
            for nth in 1..=12 {
                let server = SmallRegistry::new(Options::default());
                let faults = Arc::new(ProtocolFaults::new().at(Requests::any(), nth, fault.clone()));
                let registry = faulty_adapter(&server, &faults, OciSettings::default().with_upload(upload));
                let (repository, name) = (repository("a"), tag("t"));
                let place = format!("{upload:?}, {fault:?} at request {nth}");
                driven(|| registry.push_blob(&repository, &layer)).await.expect(&place);
                driven(|| registry.push_blob(&repository, &config)).await.expect(&place);
                driven(|| registry.put_manifest(&repository, &manifest, Some(name.clone()))).await.expect(&place);
                driven(|| registry.remove_tag(&repository, &name)).await.expect(&place);
                let state = server.state();
                let held = state.blobs.get(&("a".to_owned(), layer.sha256().to_string()));
                assert_eq!(held.map(Vec::len), Some(200_000), "{place}");
                assert!(state.manifests.len() == 1 && state.tags.is_empty(), "{place}");
            }
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_chunked_upload_goes_on_after_every_interruption_within_one_call() {
    let layer = blob(300_000);
    for fault in every_fault() {
        for nth in 1..=5 {
            let server = SmallRegistry::new(Options::default());
            let patches = Requests::any().method("PATCH");
            let faults = Arc::new(ProtocolFaults::new().at(patches.clone(), nth, fault.clone()));
            let registry = faulty_adapter(&server, &faults, OciSettings::default().with_upload(CHUNKED));
            registry
                .push_blob(&repository("a"), &layer)
                .await
                .unwrap_or_else(|error| panic!("{fault:?} at {nth}: {error}"));
            assert_eq!(faults.count(&Requests::any().method("POST")), 1, "{fault:?} at {nth}: one session");
            assert!(faults.unmet().is_empty());
        }
    }
}

#[tokio::test(start_paused = true)]
async fn an_answer_that_is_lost_after_the_effect_is_found_out_within_the_call() {
    let (repository, layer) = (repository("a"), blob(100_000));
    let after = ProtocolFault::AnswerAfter { status: 500, headers: Vec::new(), body: String::new() };
    for fault in [ProtocolFault::SeverAfter, after] {
        for (upload, method) in [(UploadMode::TwoRequests, "PUT"), (UploadMode::OneRequest, "POST"), (CHUNKED, "PUT")] {
            let server = SmallRegistry::new(Options::default());
            let faults = Arc::new(ProtocolFaults::new());
            let registry = faulty_adapter(&server, &faults, OciSettings::default().with_upload(upload));
            faults.next(Requests::any().method(method), fault.clone());
            registry.push_blob(&repository, &layer).await.expect("it is there");
            let config = Payload::from_bytes("config");
            registry.push_blob(&repository, &config).await.expect("pushed");
            faults.next(Requests::any().method("PUT"), fault.clone());
            registry.put_manifest(&repository, &manifest_of(&config), Some(tag("t"))).await.expect("it is there");
            assert!(faults.unmet().is_empty(), "{upload:?}, {fault:?}");
            let bodies: usize = server.state().seen.iter().map(|seen| seen.body.len()).sum();
            assert!(bodies < 110_000, "{upload:?}, {fault:?}: the blob is sent once");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_registry_that_takes_a_part_of_each_piece_is_sent_the_rest() {
    let server = SmallRegistry::new(Options { takes_of_a_piece: Some(50_000), ..Options::default() });
    let settings = OciSettings::default().with_upload(CHUNKED).with_resumptions(20);
    adapter(&server, settings).push_blob(&repository("a"), &blob(300_000)).await.expect("pushed");
}

#[tokio::test(start_paused = true)]
async fn interruptions_without_end_end_in_an_error_that_may_pass() {
    let server = SmallRegistry::new(Options::default());
    let faults = Arc::new(ProtocolFaults::new().from(Requests::any().method("PATCH"), 2, ProtocolFault::SeverBefore));
    let registry = faulty_adapter(&server, &faults, OciSettings::default().with_upload(CHUNKED));
    let error = registry.push_blob(&repository("a"), &blob(300_000)).await.expect_err("no end");
    assert_eq!((error.code(), error.retry()), (ErrorCode::CloudUnavailable, Retry::Temporary));
    assert_eq!(faults.count(&Requests::any().method("GET")), 5);
}

#[tokio::test(start_paused = true)]
async fn a_session_that_the_registry_forgot_is_begun_anew_by_the_driver() {
    let server = SmallRegistry::new(Options::default());
    let body = r#"{"errors":[{"code":"BLOB_UPLOAD_UNKNOWN"}]}"#.to_owned();
    for method in ["PATCH", "GET"] {
        server.instead(method, Canned { status: 404, body: body.clone(), ..Canned::default() });
    }
    let registry = adapter(&server, OciSettings::default().with_upload(CHUNKED));
    let (repository, layer) = (repository("a"), blob(200_000));
    let error = registry.push_blob(&repository, &layer).await.expect_err("forgotten");
    assert_eq!(error.retry(), Retry::Temporary, "{error}");
    registry.push_blob(&repository, &layer).await.expect("with a new one");
}

#[tokio::test(start_paused = true)]
async fn claims_about_a_session_that_cannot_be_are_refused() {
    for range in ["0-99999999", "0-18446744073709551615"] {
        let server = SmallRegistry::new(Options::default());
        server
            .instead("PATCH", Canned { status: 202, headers: vec![("range", range.to_owned())], ..Canned::default() });
        let registry = adapter(&server, OciSettings::default().with_upload(CHUNKED));
        let error = registry.push_blob(&repository("a"), &blob(200_000)).await.expect_err("it cannot be");
        assert_eq!(error.code(), ErrorCode::CloudAnswerInvalid, "{range}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_wait_that_a_busy_registry_asks_for_is_kept() {
    let server = SmallRegistry::new(Options::default());
    let faults = Arc::new(ProtocolFaults::new().at(Requests::any().method("HEAD"), 1, ProtocolFault::busy(429, 3)));
    let registry = faulty_adapter(&server, &faults, OciSettings::default());
    let before = now();
    registry.push_blob(&repository("a"), &Payload::from_bytes("x")).await.expect("pushed");
    assert_eq!(now() - before, Duration::from_secs(3));
}

#[tokio::test(start_paused = true)]
async fn a_server_that_never_answers_is_given_up_after_the_patience_and_slow_bodies_are_not() {
    let server = SmallRegistry::new(Options::default());
    let faults = Arc::new(ProtocolFaults::new());
    let settings = OciSettings::default().with_patience(Duration::from_secs(30)).with_resumptions(0);
    let registry = faulty_adapter(&server, &faults, settings);
    let (repository, layer) = (repository("a"), blob(200_000));
    registry.push_blob(&repository, &layer).await.expect("pushed");

    faults.next(Requests::any(), ProtocolFault::Stall);
    let before = now();
    let error = registry.has_blob(&repository, &layer.sha256()).await.expect_err("no answer");
    assert_eq!((error.code(), now() - before), (ErrorCode::CloudUnavailable, Duration::from_secs(30)));

    for (pause, whole) in [(29, true), (31, false)] {
        faults.next(Requests::any(), ProtocolFault::SlowAnswer { pause: Duration::from_secs(pause) });
        let stream = registry.pull_blob(&repository, &layer.sha256()).await.expect("opened");
        let read = futures::TryStreamExt::try_collect::<Vec<_>>(stream).await;
        assert_eq!(read.is_ok(), whole, "{pause}");
    }
    faults.next(Requests::any(), ProtocolFault::CutAnswer { after: 1000 });
    let stream = registry.pull_blob(&repository, &layer.sha256()).await.expect("opened");
    let broken = futures::TryStreamExt::try_collect::<Vec<_>>(stream).await.expect_err("cut");
    let error = chalk_deploy_core::cloud::error_in_stream(broken).expect("an error of ours");
    assert_eq!(error.retry(), Retry::Temporary);
}

#[tokio::test(start_paused = true)]
async fn wrong_bytes_cancel_their_session_and_are_never_sent_to_their_end() {
    struct Other;
    #[async_trait::async_trait]
    impl chalk_deploy_core::cloud::PayloadSource for Other {
        async fn open(&self) -> Result<chalk_deploy_core::cloud::ByteStream> {
            blob(200_000).open().await
        }
    }
    let declared = chalk_deploy_core::model::Digest::of("something else");
    for upload in [UploadMode::TwoRequests, UploadMode::OneRequest, CHUNKED] {
        for size in [200_000, 199_999, 200_001] {
            let server = SmallRegistry::new(Options::default());
            let registry = adapter(&server, OciSettings::default().with_upload(upload));
            let error = registry
                .push_blob(&repository("a"), &Payload::new(declared, size, Arc::new(Other)))
                .await
                .expect_err("other bytes");
            assert_eq!(error.code(), ErrorCode::DigestMismatch, "{upload:?}: {error}");
            let state = server.state();
            assert!(state.sessions.is_empty(), "{upload:?}, {size}: the session is cancelled");
            let sent: usize = state.seen.iter().map(|seen| seen.body.len()).sum();
            assert!(sent < 200_000, "{upload:?}, {size}: {sent}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn the_payloads_own_error_is_the_one_that_is_told() {
    struct Broken;
    #[async_trait::async_trait]
    impl chalk_deploy_core::cloud::PayloadSource for Broken {
        async fn open(&self) -> Result<chalk_deploy_core::cloud::ByteStream> {
            use futures::StreamExt as _;
            let changed = Error::new(ErrorCode::SourceChanged, "the file was changed");
            Ok(futures::stream::iter([Ok("x".into()), Err(std::io::Error::other(changed))]).boxed())
        }
    }
    for upload in [UploadMode::TwoRequests, UploadMode::OneRequest, CHUNKED] {
        let server = SmallRegistry::new(Options::default());
        let payload = Payload::new(chalk_deploy_core::model::Digest::of("x"), 10, Arc::new(Broken));
        let registry = adapter(&server, OciSettings::default().with_upload(upload));
        let error = registry.push_blob(&repository("a"), &payload).await.expect_err("broken");
        assert_eq!(error.code(), ErrorCode::SourceChanged, "{upload:?}");
    }
}

#[expect(clippy::disallowed_methods, reason = "tokio's paused clock is the virtual clock")]
fn now() -> tokio::time::Instant {
    tokio::time::Instant::now()
}

#[tokio::test(start_paused = true)]
async fn an_upload_in_two_requests_that_is_cut_goes_on_in_its_session_with_what_is_missing() {
    for after in [1, 70_000, 199_999] {
        let server = SmallRegistry::new(Options::default());
        let put = Requests::any().method("PUT");
        let faults = Arc::new(ProtocolFaults::new().at(put, 1, ProtocolFault::CutRequest { after }));
        // The small registry keeps of a cut body what came, as the session's own answer then says.
        let registry = faulty_adapter(&server, &faults, OciSettings::default());
        registry.push_blob(&repository("a"), &blob(200_000)).await.expect("pushed in one call");
        let state = server.state();
        assert_eq!(state.blobs.values().map(Vec::len).collect::<Vec<_>>(), [200_000]);
        assert!(faults.unmet().is_empty());
    }
}

#[tokio::test(start_paused = true)]
async fn a_cut_upload_whose_session_is_lost_is_sent_again_in_a_new_one_and_not_for_ever() {
    let server = SmallRegistry::new(Options::default());
    let put = Requests::any().method("PUT");
    let faults = Arc::new(ProtocolFaults::new().at(put.clone(), 1, ProtocolFault::SeverBefore));
    faults.next(Requests::any().method("GET").containing("uploads"), ProtocolFault::status(404));
    faulty_adapter(&server, &faults, OciSettings::default())
        .push_blob(&repository("a"), &blob(200_000))
        .await
        .expect("pushed in one call");
    assert_eq!(server.requests().iter().filter(|line| line.starts_with("POST")).count(), 2);

    let server = SmallRegistry::new(Options::default());
    let faults = Arc::new(ProtocolFaults::new().from(put, 1, ProtocolFault::SeverBefore));
    let settings = OciSettings::default().with_resumptions(3);
    let error =
        faulty_adapter(&server, &faults, settings).push_blob(&repository("a"), &blob(200_000)).await.expect_err("cut");
    assert_eq!(error.retry(), Retry::Temporary);
    assert_eq!(server.requests().iter().filter(|line| line.starts_with("POST")).count(), 4);
}
