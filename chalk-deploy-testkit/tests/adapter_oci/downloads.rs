//! Blobs that break off on their way here.

use std::sync::Arc;
use std::time::Duration;

use chalk_deploy_core::cloud::{Payload, Registry as _, error_in_stream};
use chalk_deploy_core::error::Retry;
use chalk_deploy_core::oci::{OciRegistry, OciSettings};
use chalk_deploy_core::{Error, ErrorCode};
use chalk_deploy_testkit::simulated::fault::{ProtocolFault, ProtocolFaults, Requests};

use super::small_registry::{Canned, Options, SmallRegistry};
use super::{blob, credentials, faulty_adapter, repository};

/// A registry with a blob, and the adapter on it with these faults at its downloads.
async fn with_blob(options: Options, faults: &[ProtocolFault]) -> (SmallRegistry, OciRegistry, Payload) {
    let server = SmallRegistry::new(options);
    let plan = Arc::new(ProtocolFaults::new());
    let settings = OciSettings::default().with_patience(Duration::from_secs(30)).with_credentials(credentials());
    let registry = faulty_adapter(&server, &plan, settings);
    let layer = blob(200_000);
    registry.push_blob(&repository("a"), &layer).await.expect("pushed");
    server.state().seen.clear();
    for (nth, fault) in (1..).zip(faults) {
        plan.nth(Requests::any().method("GET"), nth, fault.clone());
    }
    (server, registry, layer)
}

async fn read(registry: &OciRegistry, layer: &Payload) -> Result<Vec<u8>, Error> {
    let stream = registry.pull_blob(&repository("a"), &layer.sha256()).await?;
    let pieces: Result<Vec<_>, _> = futures::TryStreamExt::try_collect(stream).await;
    pieces.map(|pieces| pieces.concat()).map_err(|error| error_in_stream(error).expect("an error of ours"))
}

fn ranges(server: &SmallRegistry) -> Vec<Option<String>> {
    server.state().seen.iter().filter(|seen| seen.method == "GET").map(|seen| seen.range.clone()).collect()
}

#[tokio::test(start_paused = true)]
async fn what_is_cut_goes_on_at_the_byte_where_it_was_cut() {
    let faults = [ProtocolFault::CutAnswer { after: 1000 }, ProtocolFault::CutAnswer { after: 500 }];
    let (server, registry, layer) = with_blob(Options { ranges: true, ..Options::default() }, &faults).await;
    assert!(read(&registry, &layer).await.expect("whole") == layer.bytes().await.expect("bytes"));
    let expected = [None, Some("bytes=1000-".to_owned()), Some("bytes=1500-".to_owned())];
    assert_eq!(ranges(&server), expected);
}

#[tokio::test(start_paused = true)]
async fn a_registry_without_ranges_sends_all_of_it_again_and_each_byte_is_handed_on_once() {
    let faults = [
        ProtocolFault::CutAnswer { after: 1000 },
        ProtocolFault::SeverBefore,
        ProtocolFault::SeverBefore,
        ProtocolFault::SeverBefore,
        ProtocolFault::CutAnswer { after: 10 },
        ProtocolFault::SlowAnswer { pause: Duration::from_secs(31) },
    ];
    let (_, registry, layer) = with_blob(Options::default(), &faults).await;
    assert!(read(&registry, &layer).await.expect("whole") == layer.bytes().await.expect("bytes"));
}

#[tokio::test(start_paused = true)]
async fn it_is_taken_up_again_a_bounded_number_of_times() {
    let faults = vec![ProtocolFault::CutAnswer { after: 10 }; 40];
    let (server, registry, layer) = with_blob(Options { ranges: true, ..Options::default() }, &faults).await;
    let error = read(&registry, &layer).await.expect_err("cut again and again");
    assert_eq!((error.code(), error.retry()), (ErrorCode::CloudUnavailable, Retry::Temporary));
    assert_eq!(ranges(&server).len(), 1 + 5);
}

#[tokio::test(start_paused = true)]
async fn another_part_than_was_asked_for_is_refused_and_so_are_other_bytes() {
    for range in ["bytes 0-9/200000", "bytes 1001-1002/200000", "1000-1001/200000", ""] {
        let faults = [ProtocolFault::CutAnswer { after: 1000 }];
        let (server, registry, layer) = with_blob(Options { ranges: true, ..Options::default() }, &faults).await;
        let stream = registry.pull_blob(&repository("a"), &layer.sha256()).await.expect("opened");
        let headers = vec![("content-range", range.to_owned())];
        server.instead("GET", Canned { status: 206, headers, body: "x".to_owned(), always: true });
        let error = futures::TryStreamExt::try_collect::<Vec<_>>(stream).await.expect_err(range);
        assert_eq!(error_in_stream(error).expect("ours").code(), ErrorCode::CloudAnswerInvalid, "{range}");
    }
    let faults = [ProtocolFault::CutAnswer { after: 1000 }];
    let (server, registry, layer) = with_blob(Options { ranges: true, ..Options::default() }, &faults).await;
    let stream = registry.pull_blob(&repository("a"), &layer.sha256()).await.expect("opened");
    let headers = vec![("content-range", "bytes 1000-199999/200000".to_owned())];
    server.instead("GET", Canned { status: 206, headers, body: "y".repeat(199_000), always: true });
    let error = futures::TryStreamExt::try_collect::<Vec<_>>(stream).await.expect_err("other bytes");
    assert_eq!(error_in_stream(error).expect("ours").code(), ErrorCode::ImageMismatch);
}

#[tokio::test(start_paused = true)]
async fn the_rest_is_fetched_from_a_store_without_credentials_too() {
    let options = Options {
        password: Some(("user".to_owned(), super::SECRET.to_owned())),
        blobs_at: Some("store.example".to_owned()),
        ..Options::default()
    };
    // The registry's answer leads to the store, whose answer is cut.
    let faults = [ProtocolFault::Delay(Duration::ZERO), ProtocolFault::CutAnswer { after: 1000 }];
    let (server, registry, layer) = with_blob(options, &faults).await;
    assert!(read(&registry, &layer).await.expect("whole") == layer.bytes().await.expect("bytes"));
    let seen: Vec<_> = server.state().seen.iter().filter(|seen| seen.method == "GET").cloned().collect();
    let hosts: Vec<_> = seen.iter().map(|seen| (seen.host.as_str(), seen.authorization.is_some())).collect();
    let here = (super::HOST, true);
    assert!(hosts.iter().filter(|sent| **sent == here).count() >= 2, "{hosts:?}");
    assert_eq!(hosts.iter().filter(|sent| **sent == ("store.example", false)).count(), 2, "{hosts:?}");
}
