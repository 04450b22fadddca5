//! Bad input and weather: what is slow, expired, full, moved or hostile ends in an error with a next step, or in a
//! repetition that succeeds.

#[path = "../common/mod.rs"]
mod common;

mod buckets;
mod builder;
mod cluster;
mod credentials;
mod registry;
mod secrets;

use std::sync::Arc;
use std::time::Duration;

use chalk_deploy_azure::Cloud;
use chalk_deploy_core::ErrorCode;
use chalk_deploy_core::runtime::Runtime;
use chalk_deploy_testkit::VirtualRuntime;
use chalk_deploy_testkit::recorded::Player;
use chalk_deploy_testkit::simulated::closure::{Answering, Hosts, Reply};
use common::{builder, player};

/// Where Resource Manager is.
const MANAGER: &str = "management.azure.com";

/// A cloud whose Resource Manager is this closure.
fn managed_by(manager: &Answering) -> Cloud {
    builder(&Player::default())
        .with_transport(Hosts::new().with(MANAGER, manager.transport()).transport())
        .with_runtime(VirtualRuntime::new(1))
        .build()
        .expect("valid settings")
}

#[tokio::test(start_paused = true)]
async fn throttling_is_waited_out_as_long_as_azure_says_and_then_it_is_an_error_that_says_when() {
    let runtime: Arc<dyn Runtime> = VirtualRuntime::new(1);
    let once = player(&["aks/throttled", "aks/cluster_public"]);
    let cloud = builder(&once).with_runtime(runtime.clone()).build().expect("valid settings");
    let begun = runtime.monotonic();
    cloud.describe_cluster().await.expect("the second time");
    let waited = runtime.monotonic().saturating_sub(begun);
    assert_eq!(waited, Duration::from_secs(5), "as long as one call may wait");
    let always = player(&["aks/throttled"; 3]);
    let cloud = builder(&always).with_runtime(runtime).build().expect("valid settings");
    let error = cloud.describe_cluster().await.expect_err("throttled");
    assert_eq!((error.code(), error.hint()), (ErrorCode::CloudUnavailable, "resume in 17 s"));
    assert_eq!(always.complaints(), Vec::<String>::new());
}

#[tokio::test(start_paused = true)]
async fn azures_own_milliseconds_are_waited_out_too() {
    let runtime: Arc<dyn Runtime> = VirtualRuntime::new(1);
    for header in ["x-ms-retry-after-ms", "retry-after-ms"] {
        let manager = Answering::by(move |_| Reply::new(429, "").with(header, "2500"));
        let cloud = builder(&Player::default())
            .with_transport(Hosts::new().with(MANAGER, manager.transport()).transport())
            .with_runtime(runtime.clone())
            .build()
            .expect("valid settings");
        let begun = runtime.monotonic();
        let error = cloud.describe_cluster().await.expect_err("throttled");
        let waited = runtime.monotonic().saturating_sub(begun);
        assert_eq!((waited, manager.seen().len()), (Duration::from_secs(5), 3), "{header}: twice 2.5 s");
        assert_eq!(error.hint(), "resume in 3 s", "{header}");
    }
}

#[tokio::test(start_paused = true)]
async fn answers_that_never_end_or_make_no_sense_are_errors_and_no_loops() {
    for body in ["", "[]", "{", "{\"properties\":7}", "\u{1b}[31m", "null"] {
        let error =
            managed_by(&Answering::by(move |_| Reply::new(200, body))).describe_cluster().await.expect_err(body);
        assert!(matches!(error.code(), ErrorCode::CloudAnswerInvalid | ErrorCode::RequestInvalid), "{body}: {error:?}");
        assert!(!error.sentence().contains('\u{1b}'));
    }
    let long = Answering::by(|_| Reply::new(200, "x".repeat(5 << 20)));
    let error = managed_by(&long).describe_cluster().await.expect_err("too long");
    assert_eq!(error.code(), ErrorCode::CloudAnswerInvalid, "{}", error.sentence());
}
