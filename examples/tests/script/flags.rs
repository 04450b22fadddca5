//! The flags that change what a run does.

use chalk_deploy_core::model::{EnvironmentId, Timestamp};
use chalk_deploy_core::store::{DeploymentStore as _, LeaseHolder};
use std::time::Duration;

use crate::program::Sandbox;

const STATE: &str = ".chalk-deploy";

#[test]
fn a_detached_deployment_is_recorded_and_goes_on_when_it_is_resumed() {
    let sandbox = Sandbox::new();
    let detached = sandbox.apply().with(&["--no-await", "--json"]).run().expect(0);
    let last = detached.last();
    let id = last["deployment_id"].as_str().expect("an id").to_owned();
    assert_eq!(last, serde_json::json!({ "event": "detached", "deployment_id": id }));
    assert_eq!(detached.events()[0]["event"], "created");
    assert_eq!(sandbox.history(STATE)[0].status.as_str(), "PENDING");

    // Neither the source nor the graph is needed any more.
    sandbox.write("project/features.py", "changed = True\n");
    let resumed = sandbox.apply().with(&["--resume", "--json"]).run().expect(0);
    assert_eq!(resumed.last()["deployment_id"], id);
    assert_eq!(resumed.last()["status"], "SUCCESS");
    assert_eq!(sandbox.history(STATE).len(), 1);
}

#[test]
fn two_detached_deployments_are_finished_in_their_order() {
    let sandbox = Sandbox::new();
    let [older, newer] = [(); 2]
        .map(|()| sandbox.apply().with(&["--no-await", "--json"]).run().expect(0).last()["deployment_id"].clone());
    let resumed = sandbox.apply().with(&["--resume", "--json"]).run().expect(0);
    assert_eq!(resumed.last()["deployment_id"], newer);
    assert!(resumed.events().iter().all(|event| event["deployment_id"] == newer), "{}", resumed.stdout);
    assert!(resumed.stderr.contains(older.as_str().expect("an id")), "{}", resumed.stderr);
    assert!(sandbox.history(STATE).iter().all(|record| record.status.as_str() == "SUCCESS"));
}

#[test]
fn resuming_what_has_ended_tells_its_end_again_and_starts_nothing() {
    let sandbox = Sandbox::new();
    let first = sandbox.apply().with(&["--json"]).run().expect(0).last();
    for _ in 0..2 {
        let again = sandbox.apply().with(&["--resume", "--json"]).run().expect(0);
        assert_eq!(again.events(), std::slice::from_ref(&first));
    }
    assert_eq!(sandbox.history(STATE).len(), 1);
}

#[test]
fn resuming_where_nothing_was_deployed_starts_a_deployment() {
    let sandbox = Sandbox::new();
    assert_eq!(sandbox.apply().with(&["--resume", "--json"]).run().expect(0).last()["status"], "SUCCESS");
    assert_eq!(sandbox.history(STATE).len(), 1);
}

#[test]
fn a_source_that_was_never_uploaded_must_be_the_same_when_it_is_resumed() {
    let sandbox = Sandbox::new();
    let kill = |program: crate::program::Program| program.variable("CHALK_DEPLOY_TESTKIT_KILL_AT", "created").run();
    assert!(kill(sandbox.apply()).was_killed());
    let before = std::fs::read(sandbox.path("project/features.py")).expect("readable");
    sandbox.write("project/features.py", "changed = True\n");
    let refused = sandbox.apply().with(&["--resume"]).run().expect(1);
    assert!(refused.stderr.contains("the project has changed since"), "{}", refused.stderr);
    assert_eq!(refused.stderr.lines().count(), 1, "{}", refused.stderr);
    sandbox.write("project/features.py", before);
    sandbox.apply().with(&["--resume"]).run().expect(0);
    assert_eq!(sandbox.history(STATE).len(), 1);
}

#[test]
fn a_version_that_is_not_promoted_ends_ready_at_weight_zero_and_the_other_keeps_the_traffic() {
    let sandbox = Sandbox::new();
    let serving = sandbox.apply().with(&["--json"]).run().expect(0).last()["deployment_id"].clone();
    let held = sandbox.apply().with(&["--no-promote", "--json"]).run().expect(0).last();
    assert_eq!(held["status"], "SUCCESS");
    assert_eq!(held["traffic"]["promoted"], false);
    let expected = serde_json::json!([
        { "deployment": serving, "weight": 100 },
        { "deployment": held["deployment_id"], "weight": 0 },
    ]);
    assert_eq!(held["traffic"]["backends"], expected);
    assert_ne!(held["deployment_id"], serving);
}

#[test]
fn a_first_version_that_is_not_promoted_stands_alone_at_weight_zero() {
    let sandbox = Sandbox::new();
    let held = sandbox.apply().with(&["--no-promote", "--json"]).run().expect(0).last();
    let expected = serde_json::json!([{ "deployment": held["deployment_id"], "weight": 0 }]);
    assert_eq!((&held["traffic"]["promoted"], &held["traffic"]["backends"]), (&false.into(), &expected));
}

#[test]
fn an_idempotency_key_names_one_deployment_with_one_content() {
    let sandbox = Sandbox::new();
    let with_key = |more: &[&str]| sandbox.apply().with(&["--json", "--idempotency-key", "k1"]).with(more).run();
    let first = with_key(&[]).expect(0).last();
    let again = with_key(&[]).expect(0).last();
    assert_eq!(again["deployment_id"], first["deployment_id"]);
    let other = with_key(&["--deployment-tag", "green"]).expect(2);
    assert!(other.stderr.contains("[IDEMPOTENCY_KEY_REUSED]") && other.stdout.is_empty(), "{other:?}");
    assert_eq!(sandbox.history(STATE).len(), 1);
}

#[test]
fn tags_are_recorded() {
    let sandbox = Sandbox::new();
    sandbox.apply().with(&["--deployment-tag", "green", "--deployment-tag", "v2"]).run().expect(0);
    let record = sandbox.history(STATE).remove(0);
    assert_eq!(record.plan.tags.iter().map(AsRef::as_ref).collect::<Vec<&str>>(), ["green", "v2"]);
}

#[test]
fn an_environment_that_another_process_owns_is_left_to_it_and_the_owner_is_named() {
    let sandbox = Sandbox::new();
    sandbox.apply().run().expect(0);
    let refused = sandbox.with_store(STATE, async |store| {
        let environment = EnvironmentId::new("default").expect("an environment");
        let holder = LeaseHolder {
            name: "another".to_owned(),
            process: std::process::id(),
            started_at: Timestamp::from_millis(0),
        };
        let term = Duration::from_mins(1);
        store.acquire_lease(&environment, &holder, term, Timestamp::from_millis(0)).await.expect("it is free");
        sandbox.apply().with(&["--json"]).run().expect(1)
    });
    assert!(refused.stderr.contains(&format!("process {}", std::process::id())), "{}", refused.stderr);
    assert!(refused.stderr.contains("started 1970-01-01T00:00:00"), "{}", refused.stderr);
    assert_eq!(refused.stderr.lines().filter(|line| line.starts_with("error: ")).count(), 1, "{}", refused.stderr);
    assert!(refused.stdout.is_empty(), "{}", refused.stdout);
    assert_eq!(sandbox.history(STATE).len(), 1);
}
