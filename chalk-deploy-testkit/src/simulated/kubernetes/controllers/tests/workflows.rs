//! Workflows.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::stage::Stage;
use crate::simulated::kubernetes::controllers::{ClusterSettings, TemplateBehaviour, view};
use crate::simulated::kubernetes::resource::WORKFLOW;

fn workflow() -> Value {
    json!({"spec": {
        "entrypoint": "main",
        "ttlStrategy": {"secondsAfterCompletion": 3600},
        "templates": [
            {"name": "main", "steps": [
                [{"name": "fetch", "template": "fetch"}],
                [{"name": "engine", "template": "image"}, {"name": "worker", "template": "image"}],
                [{"name": "finish", "template": "graph"}, {"name": "never", "template": "image", "when": "1 == 2"}],
            ]},
            {"name": "fetch", "container": {"image": "x"}, "retryStrategy": {"limit": "2"}},
            {"name": "image", "container": {"image": "x"}},
            {"name": "graph", "dag": {"tasks": [
                {"name": "last", "template": "image", "depends": "left && right"},
                {"name": "left", "template": "image"},
                {"name": "right", "template": "image"},
            ]}},
        ],
    }})
}

fn failing(times: Option<u32>) -> TemplateBehaviour {
    TemplateBehaviour::Fail { after: None, message: "exit code 7".to_owned(), times }
}

fn node<'status>(workflow: &'status Value, display: &str) -> &'status Value {
    let nodes = workflow["status"]["nodes"].as_object().expect("it has nodes");
    nodes.values().find(|node| node["displayName"] == display).expect("the node is there")
}

#[tokio::test(start_paused = true)]
async fn the_steps_of_a_workflow_run_in_their_order_until_it_has_succeeded() {
    let mut stage = Stage::new(ClusterSettings::default());
    let outputs = BTreeMap::from([("digest".to_owned(), "sha256:1".to_owned())]);
    stage.cluster.set_template_behaviour("fetch", TemplateBehaviour::Succeed { after: None, outputs });
    stage.create(WORKFLOW, "build", workflow());
    stage.millis(200).await;
    let running = stage.get(WORKFLOW, "build");
    assert_eq!((&running["status"]["phase"], &running["status"]["progress"]), (&json!("Running"), &json!("0/1")));
    assert_eq!(running["metadata"]["labels"]["workflows.argoproj.io/completed"], "false");
    // In the middle somebody kills the controller.
    stage.restart();
    stage.seconds(5).await;
    let done = stage.get(WORKFLOW, "build");
    assert_eq!(
        (&done["status"]["phase"], &done["status"]["progress"]),
        (&json!("Succeeded"), &json!("6/6")),
        "{done:#}"
    );
    assert_eq!(node(&done, "never")["phase"], "Skipped");
    assert_eq!(done["metadata"]["labels"]["workflows.argoproj.io/phase"], "Succeeded");
    let (left, last) = (node(&done, "left"), node(&done, "last"));
    assert!(view::text(left, "/finishedAt") <= view::text(last, "/startedAt"));
    assert_eq!(view::text(&done, "/status/nodes/build/type"), "Steps");
    stage.seconds(3700).await;
    assert!(stage.list(WORKFLOW).is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_step_hands_on_the_outputs_that_were_chosen() {
    let stage = Stage::new(ClusterSettings::default());
    let outputs = BTreeMap::from([("digest".to_owned(), "sha256:1".to_owned())]);
    stage.cluster.set_template_behaviour("image", TemplateBehaviour::Succeed { after: None, outputs });
    stage.create(WORKFLOW, "build", workflow());
    stage.seconds(5).await;
    let done = stage.get(WORKFLOW, "build");
    assert_eq!(node(&done, "engine")["outputs"]["parameters"], json!([{"name": "digest", "value": "sha256:1"}]));
}

#[tokio::test(start_paused = true)]
async fn a_failing_step_is_tried_again_up_to_its_limit_and_then_fails_the_workflow() {
    for (times, phase, attempts) in [(Some(2), "Succeeded", 3), (None, "Failed", 3)] {
        let stage = Stage::new(ClusterSettings::default());
        stage.cluster.set_template_behaviour("fetch", failing(times));
        stage.create(WORKFLOW, "build", workflow());
        stage.seconds(10).await;
        let done = stage.get(WORKFLOW, "build");
        assert_eq!(done["status"]["phase"], phase, "{done:#}");
        assert_eq!(view::items(node(&done, "fetch"), "/children").len(), attempts);
        if phase == "Failed" {
            assert_eq!(node(&done, "fetch")["message"], "No more retries left");
            assert_eq!(node(&done, "fetch(2)")["message"], "exit code 7");
            assert!(view::text(&done, "/status/message").starts_with("child 'build-"), "{done:#}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_failed_task_keeps_what_depends_on_it_from_beginning() {
    let stage = Stage::new(ClusterSettings::default());
    let mut graph = workflow();
    graph["spec"]["entrypoint"] = "graph".into();
    stage.cluster.set_template_behaviour("image", failing(None));
    stage.create(WORKFLOW, "build", graph);
    stage.seconds(5).await;
    let done = stage.get(WORKFLOW, "build");
    assert_eq!((&done["status"]["phase"], &node(&done, "last")["phase"]), (&json!("Failed"), &json!("Omitted")));
}

#[tokio::test(start_paused = true)]
async fn a_workflow_is_suspended_resumed_and_shut_down() {
    let stage = Stage::new(ClusterSettings::default());
    let mut suspended = workflow();
    suspended["spec"]["suspend"] = true.into();
    stage.create(WORKFLOW, "build", suspended);
    stage.seconds(60).await;
    assert_eq!(stage.get(WORKFLOW, "build")["status"]["phase"], "Running");
    stage.cluster.set_template_behaviour("fetch", TemplateBehaviour::Hang);
    stage.change(WORKFLOW, "build", |workflow| workflow["spec"]["suspend"] = false.into());
    stage.seconds(60).await;
    assert_eq!(node(&stage.get(WORKFLOW, "build"), "fetch(0)")["phase"], "Running");
    stage.change(WORKFLOW, "build", |workflow| workflow["spec"]["shutdown"] = "Stop".into());
    stage.seconds(1).await;
    let stopped = stage.get(WORKFLOW, "build");
    assert_eq!(
        (&stopped["status"]["phase"], &stopped["status"]["message"]),
        (&json!("Failed"), &json!("Stopped with strategy 'Stop'"))
    );
    assert_eq!(node(&stopped, "fetch(0)")["phase"], "Failed");
}

#[tokio::test(start_paused = true)]
async fn templates_that_are_missing_call_themselves_or_wait_for_each_other_end_in_an_error() {
    let stage = Stage::new(ClusterSettings::default());
    let call = |template: &str| json!([[{"name": "next", "template": template}]]);
    let tasks = json!([
        {"name": "a", "template": "x", "dependencies": ["b"]},
        {"name": "b", "template": "x", "dependencies": ["a"]},
    ]);
    for (name, template) in [
        ("missing", json!({"name": "main", "steps": call("nowhere")})),
        ("endless", json!({"name": "main", "steps": call("main")})),
        ("cycle", json!({"name": "main", "dag": {"tasks": tasks}})),
        ("nothing", json!({"name": "main"})),
    ] {
        stage.create(WORKFLOW, name, json!({"spec": {"entrypoint": "main", "templates": [template]}}));
    }
    stage.create(WORKFLOW, "odd", json!({"spec": [1], "status": "x"}));
    stage.seconds(10).await;
    for workflow in stage.list(WORKFLOW) {
        let phase = view::text(&workflow, "/status/phase");
        assert!(matches!(phase, "Error" | "Failed"), "{} is {phase}", view::name(&workflow));
    }
}
