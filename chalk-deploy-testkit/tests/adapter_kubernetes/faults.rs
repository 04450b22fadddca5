//! What the protocol does to the cluster adapter.

use std::time::Duration;

use chalk_deploy_core::cloud::{ApplyOptions, ClusterApi as _, Deletion, FencingToken, Observation, Selector};
use chalk_deploy_core::error::Retry;
use chalk_deploy_core::kubernetes::{ClusterAccess, ConnectionLimits, Credentials, KubernetesCluster};
use chalk_deploy_core::model::Manifest;
use chalk_deploy_core::{ErrorCode, Result};
use chalk_deploy_testkit::simulated::fault::{ProtocolFault, ProtocolFaults, Requests};
use chalk_deploy_testkit::simulated::kubernetes::api::{Anonymous, Denial, Token, WatchFaults};
use serde_json::json;

use super::harness::{
    Plane, TOKEN, bring_up, config_map, deployment, engine, ensure_namespace, environment, namespace,
};

fn cluster(plane: &Plane) -> KubernetesCluster {
    ensure_namespace(&plane.objects, "prod");
    KubernetesCluster::new(plane.connection())
}

fn patch() -> Requests {
    Requests::to("kubernetes").method("PATCH")
}

fn get() -> Requests {
    Requests::to("kubernetes").method("GET")
}

fn watches() -> Requests {
    Requests::to("kubernetes").containing("watch=true")
}

async fn apply_under(fault: ProtocolFault) -> (Plane, Result<()>) {
    let plane = Plane::new(ProtocolFaults::new().at(patch(), 1, fault));
    let applied = cluster(&plane).apply(&namespace(), &config_map("1"), &TOKEN).await.map(drop);
    (plane, applied)
}

#[tokio::test(start_paused = true)]
async fn an_apply_whose_answer_is_lost_is_found_done() {
    let (plane, lost) = apply_under(ProtocolFault::SeverAfter).await;
    let lost = lost.expect_err("the answer was lost");
    assert_eq!((lost.code(), lost.retry()), (ErrorCode::CloudUnavailable, Retry::Temporary));
    let before = plane.objects.version();
    let identity = cluster(&plane).apply(&namespace(), &config_map("1"), &TOKEN).await.expect("it is there");
    assert!(!identity.uid.is_empty());
    assert_eq!((plane.objects.version(), plane.faults.count(&patch())), (before, 1));
}

#[tokio::test(start_paused = true)]
async fn a_newer_owner_leaves_its_token_and_the_older_one_is_locked_out() {
    let plane = Plane::new(ProtocolFaults::new());
    let cluster = cluster(&plane);
    let apply = |token| {
        let (cluster, options) = (cluster.clone(), ApplyOptions { token: FencingToken(token) });
        async move { cluster.apply(&namespace(), &config_map("1"), &options).await }
    };
    let first = apply(3).await.expect("applied");
    assert_eq!(apply(4).await.expect("the same document"), first);
    assert_eq!(apply(3).await.expect_err("an older owner").code(), ErrorCode::LeaseLost);
}

#[tokio::test(start_paused = true)]
async fn a_write_between_the_comparison_and_the_apply_makes_it_fail() {
    let (plane, first) = apply_under(ProtocolFault::Delay(Duration::ZERO)).await;
    first.expect("applied");
    let key = chalk_deploy_testkit::simulated::kubernetes::objects::Key::new(
        chalk_deploy_testkit::simulated::kubernetes::resource::CONFIG_MAP,
        "prod",
        "settings",
    );
    // The second apply waits on its way while a newer owner writes its token.
    let late = ProtocolFaults::new().at(patch(), 1, ProtocolFault::Delay(Duration::from_secs(1)));
    let plane = Plane { faults: std::sync::Arc::new(late), ..plane };
    let cluster = cluster(&plane);
    let objects = plane.objects.clone();
    let manifest = config_map("2");
    let newer = async {
        plane.runtime.sleep(Duration::from_millis(500)).await;
        objects
            .update(&key, None, |object| {
                object["metadata"]["annotations"][chalk_deploy_core::cloud::TOKEN_ANNOTATION] = "9".into();
                Ok(())
            })
            .expect("there")
    };
    let space = namespace();
    let (late, _) = futures::join!(cluster.apply(&space, &manifest, &TOKEN), newer);
    assert_eq!(late.expect_err("someone was faster").code(), ErrorCode::VersionConflict);
    assert_eq!(plane.objects.get(&key).expect("there")["data"]["value"], "1");
    let again = cluster.apply(&space, &manifest, &TOKEN).await.expect_err("the owner is another");
    assert_eq!(again.code(), ErrorCode::LeaseLost);
}

#[tokio::test(start_paused = true)]
async fn every_bad_answer_to_an_apply_is_a_clear_error_and_the_next_apply_succeeds() {
    let page = |status| ProtocolFault::Answer { status, headers: Vec::new(), body: "<html>no</html>".to_owned() };
    for (fault, code, words) in [
        (ProtocolFault::SeverBefore, ErrorCode::CloudUnavailable, "cannot be reached"),
        (ProtocolFault::Stall, ErrorCode::CloudUnavailable, "did not answer within 30 s"),
        (ProtocolFault::CutAnswer { after: 10 }, ErrorCode::CloudUnavailable, "broke off"),
        (ProtocolFault::busy(429, 7), ErrorCode::CloudUnavailable, "asks to wait 7 s"),
        (ProtocolFault::status(500), ErrorCode::CloudUnavailable, "failed (500)"),
        (page(503), ErrorCode::CloudUnavailable, "failed (503)"),
        (page(200), ErrorCode::CloudAnswerInvalid, "no JSON"),
        (page(302), ErrorCode::CloudAnswerInvalid, "leads elsewhere"),
        (
            ProtocolFault::Answer { status: 200, headers: Vec::new(), body: "{}".to_owned() },
            ErrorCode::CloudAnswerInvalid,
            "uid",
        ),
        (page(401), ErrorCode::PermissionDenied, "401"),
        (page(400), ErrorCode::ObjectRefused, "400"),
        (page(409), ErrorCode::VersionConflict, "changed meanwhile"),
    ] {
        let (plane, failed) = apply_under(fault.clone()).await;
        let failed = failed.expect_err("the answer was bad");
        assert_eq!(failed.code(), code, "{fault:?}: {}", failed.sentence());
        assert!(failed.sentence().contains(words), "{fault:?}: {}", failed.sentence());
        assert!(failed.sentence().contains("ConfigMap prod/settings"), "{fault:?}: {}", failed.sentence());
        cluster(&plane).apply(&namespace(), &config_map("1"), &TOKEN).await.expect("it works again");
    }
}

#[tokio::test(start_paused = true)]
async fn an_endless_answer_is_left_at_its_limit() {
    let body = "x".repeat(100_000);
    let fault = ProtocolFault::Answer { status: 200, headers: Vec::new(), body };
    let plane = Plane::new(ProtocolFaults::new().at(get(), 1, fault));
    ensure_namespace(&plane.objects, "prod");
    let limits = ConnectionLimits { answer: 10_000, ..ConnectionLimits::default() };
    let cluster = KubernetesCluster::new(plane.connection().with_limits(limits));
    let failed = cluster.get(&config_map("1").reference(&namespace())).await.expect_err("too long");
    assert_eq!(failed.code(), ErrorCode::CloudAnswerInvalid);
}

#[tokio::test(start_paused = true)]
async fn a_read_that_is_told_to_wait_waits_and_is_repeated() {
    let plane = Plane::new(ProtocolFaults::new().at(get(), 1, ProtocolFault::busy(429, 2)));
    let before = plane.runtime.monotonic();
    let found = cluster(&plane).get(&config_map("1").reference(&namespace())).await.expect("an answer");
    assert_eq!((found, plane.faults.count(&get())), (None, 2));
    assert!(plane.runtime.monotonic().saturating_sub(before) >= Duration::from_secs(2));
}

#[tokio::test(start_paused = true)]
async fn a_removal_whose_answer_is_lost_ends_as_absent() {
    let delete = Requests::to("kubernetes").method("DELETE");
    let plane = Plane::new(ProtocolFaults::new().at(delete.clone(), 1, ProtocolFault::SeverAfter));
    let cluster = cluster(&plane);
    let identity = cluster.apply(&namespace(), &config_map("1"), &TOKEN).await.expect("applied");
    assert_eq!(cluster.delete(&identity).await.expect("repeated by the transport"), Deletion::Absent);
    assert_eq!(plane.faults.count(&delete), 2);
}

#[tokio::test(start_paused = true)]
async fn a_list_goes_over_pages_and_leaves_out_kinds_that_are_not_installed() {
    let keda = Requests::to("kubernetes").containing("/scaledobjects");
    let gone = ProtocolFault::Answer { status: 404, headers: Vec::new(), body: "404 page not found".to_owned() };
    let plane = Plane::new(ProtocolFaults::new().from(keda, 1, gone));
    ensure_namespace(&plane.objects, "prod");
    let limits = ConnectionLimits { page: 2, ..ConnectionLimits::default() };
    let cluster = KubernetesCluster::new(plane.connection().with_limits(limits));
    for number in 0..5 {
        let mut document = config_map("1").document().clone();
        document["metadata"]["name"] = json!(format!("settings-{number}"));
        let manifest = Manifest::new(document).expect("a manifest");
        cluster.apply(&namespace(), &manifest, &TOKEN).await.expect("applied");
    }
    let selector = Selector { environment: environment(), deployment: Some(deployment('a')) };
    let found = cluster.list(&namespace(), &selector).await.expect("a list");
    assert_eq!(found.len(), 5);
    assert_eq!(plane.faults.count(&Requests::to("kubernetes").containing("/configmaps?")), 3);
}

#[tokio::test(start_paused = true)]
async fn an_admission_refusal_is_no_missing_permission() {
    let plane = Plane::new(ProtocolFaults::new());
    plane.server.adjust(|settings| {
        settings.denials = vec![Denial {
            webhook: "policy.example".to_owned(),
            message: "no such settings".to_owned(),
            ..Denial::default()
        }];
    });
    let refused = cluster(&plane).apply(&namespace(), &config_map("1"), &TOKEN).await.expect_err("refused");
    assert_eq!(refused.code(), ErrorCode::ObjectRefused);
    assert!(refused.sentence().contains("no such settings"), "{}", refused.sentence());
}

#[tokio::test(start_paused = true)]
async fn a_token_that_expired_is_read_again_from_its_file_and_the_call_succeeds() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("token");
    std::fs::write(&path, "first\n").expect("writable");
    let plane = Plane::new(ProtocolFaults::new());
    ensure_namespace(&plane.objects, "prod");
    plane.server.adjust(|settings| {
        settings.anonymous = Anonymous::Refused;
        settings.tokens = vec![Token::administrator("first")];
    });
    let access = ClusterAccess::anonymous("https://kubernetes.embedded").expect("an address");
    let access = access.with_credentials(Credentials::TokenFile(path.clone()));
    let cluster = KubernetesCluster::new(plane.connection_as(access));
    cluster.apply(&namespace(), &config_map("1"), &TOKEN).await.expect("the first token");
    std::fs::write(&path, "second\n").expect("writable");
    plane.server.adjust(|settings| settings.tokens = vec![Token::administrator("second")]);
    cluster.apply(&namespace(), &config_map("2"), &TOKEN).await.expect("the second token");
}

/// How a wait on a running deployment ends, how long it takes, and how many watches it costs.
async fn wait_under(watch_faults: WatchFaults) -> (Result<()>, Duration, usize) {
    let plane = Plane::new(ProtocolFaults::new());
    let cluster = cluster(&plane);
    bring_up(&plane, &cluster, &namespace(), &deployment('a'), true).await.expect("it becomes ready");
    // The endpoints are there before the last status is written.
    plane.runtime.sleep(Duration::from_secs(5)).await;
    let seen = cluster.observe(&namespace(), &deployment('a')).await.expect("readable");
    let (asked, before) = (plane.faults.count(&watches()), plane.runtime.monotonic());
    plane.server.adjust(|settings| settings.watches = watch_faults);
    let ended = cluster.changed(&namespace(), &deployment('a'), &seen).await;
    (ended, plane.runtime.monotonic().saturating_sub(before), plane.faults.count(&watches()) - asked)
}

#[tokio::test(start_paused = true)]
async fn a_watch_on_which_nothing_happens_lasts_as_long_as_the_server_was_told() {
    let (ended, took, asked) = wait_under(WatchFaults::default()).await;
    ended.expect("the server ended it");
    assert!((Duration::from_secs(239)..Duration::from_secs(245)).contains(&took), "{took:?}");
    assert_eq!(asked, 3);
}

#[tokio::test(start_paused = true)]
async fn a_version_that_is_forgotten_ends_the_wait_after_a_pause_and_no_watch_is_repeated() {
    let faults = WatchFaults { expire_at_start: true, ..WatchFaults::default() };
    let (ended, took, asked) = wait_under(faults).await;
    ended.expect("only a new look can tell");
    assert!(took >= Duration::from_millis(250) && took < Duration::from_secs(1), "{took:?}");
    assert!(asked <= 3, "{asked} watches");
}

#[tokio::test(start_paused = true)]
async fn a_watch_that_is_cut_or_forgotten_in_the_middle_ends_the_wait() {
    for watch_faults in [
        WatchFaults { cut_after: Some(0), ..WatchFaults::default() },
        WatchFaults { expire_after: Some(0), ..WatchFaults::default() },
    ] {
        wait_under(watch_faults).await.0.expect("only a new look can tell");
    }
}

#[tokio::test(start_paused = true)]
async fn a_change_ends_the_wait_at_once_and_an_observation_of_others_never_waits() {
    let plane = Plane::new(ProtocolFaults::new());
    let cluster = cluster(&plane);
    let before = cluster.observe(&namespace(), &deployment('a')).await.expect("readable");
    for manifest in engine(&deployment('a'), 1) {
        cluster.apply(&namespace(), &manifest, &TOKEN).await.expect("applied");
    }
    let asked = plane.runtime.monotonic();
    cluster.changed(&namespace(), &deployment('a'), &before).await.expect("there is news");
    assert!(plane.runtime.monotonic().saturating_sub(asked) < Duration::from_millis(50));
    cluster.changed(&namespace(), &deployment('a'), &Observation::default()).await.expect("it says nothing");
}
