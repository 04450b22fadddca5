//! Pods, and the processes in them.

use std::time::Duration;

use http::Request;
use serde_json::{Value, json};

use super::stage::{IMAGE, SPACE, Stage, deployment, pod_template, service};
use crate::fake::PodScope;
use crate::simulated::http::{empty, read_body};
use crate::simulated::kubernetes::controllers::{ClusterSettings, view};
use crate::simulated::kubernetes::kubelet::PodBehaviour;
use crate::simulated::kubernetes::resource::{CONFIG_MAP, DEPLOYMENT, NAMESPACE, NODE, POD, RESOURCE_QUOTA, SERVICE};
use crate::simulated::seam::{ConnectionRefused, ContainerLog, PodLogs, PodNetwork, SIMULATED_ENGINE};

fn state(stage: &Stage) -> Value {
    let pods = stage.pods();
    let pod = pods.first().expect("there is a pod");
    pod["status"]["containerStatuses"][0].clone()
}

fn reason(stage: &Stage) -> String {
    view::text(&state(stage), "/state/waiting/reason").to_owned()
}

#[tokio::test(start_paused = true)]
async fn an_image_that_is_not_there_is_asked_for_again_with_growing_waits_until_it_is() {
    let stage = Stage::new(ClusterSettings::default());
    stage.images.clear();
    stage.deploy(1);
    stage.millis(150).await;
    assert_eq!(reason(&stage), "ErrImagePull");
    let message = view::text(&state(&stage), "/state/waiting/message").to_owned();
    assert!(message.contains("manifest unknown"), "{message}");
    stage.seconds(1).await;
    assert_eq!(reason(&stage), "ImagePullBackOff");
    stage.seconds(60).await;
    let told = stage.told();
    assert_eq!(told["Pulling"], 3, "at 0, 10 and 30 seconds: {told:?}");
    assert_eq!(view::text(&stage.pods()[0], "/status/phase"), "Pending");
    stage.images.put(IMAGE, SIMULATED_ENGINE);
    stage.seconds(15).await;
    assert_eq!(stage.ready_pods(), 1);
    let id = view::text(&state(&stage), "/imageID").to_owned();
    assert!(id.starts_with("registry.embedded/chalk/engine@sha256:"), "{id}");
}

#[tokio::test(start_paused = true)]
async fn a_name_that_is_no_image_is_never_pulled() {
    let stage = Stage::new(ClusterSettings::default());
    stage.create(DEPLOYMENT, "engine", deployment(1, "Not An Image"));
    stage.seconds(30).await;
    assert_eq!(reason(&stage), "InvalidImageName");
    assert!(!stage.told().contains_key("Pulling"));
}

#[tokio::test(start_paused = true)]
async fn a_process_that_crashes_is_started_again_later_and_later() {
    let stage = Stage::new(ClusterSettings::default());
    stage
        .cluster
        .set_behaviour(PodScope::All, PodBehaviour::Crash { after: Duration::from_millis(500), restarts: None });
    stage.deploy(1);
    stage.seconds(5).await;
    assert_eq!(reason(&stage), "CrashLoopBackOff");
    let status = state(&stage);
    assert_eq!(status["restartCount"], 1, "the first restart comes at once");
    assert_eq!(status["lastState"]["terminated"]["exitCode"], 1);
    assert!(view::text(&status, "/state/waiting/message").starts_with("back-off 10s restarting"), "{status:#}");
    // 10 s, 20 s, 40 s, 80 s, 160 s, then 300 s each.
    for (seconds, restarts) in [(8, 2), (20, 3), (40, 4), (80, 5), (160, 6), (300, 7), (300, 8)] {
        stage.seconds(seconds).await;
        assert_eq!(state(&stage)["restartCount"], restarts, "{:#}", state(&stage));
        stage.seconds(1).await;
    }
    assert_eq!(view::text(&stage.pods()[0], "/status/phase"), "Running");
}

#[tokio::test(start_paused = true)]
async fn a_process_that_crashes_twice_stays_up_the_third_time() {
    let stage = Stage::new(ClusterSettings::default());
    let behaviour = PodBehaviour::Crash { after: Duration::from_millis(300), restarts: Some(2) };
    stage.cluster.set_behaviour(PodScope::Image(IMAGE.to_owned()), behaviour);
    stage.deploy(1);
    stage.seconds(30).await;
    assert_eq!((stage.ready_pods(), &state(&stage)["restartCount"]), (1, &json!(2)));
    assert_eq!(state(&stage)["lastState"]["terminated"]["reason"], "Error");
}

#[tokio::test(start_paused = true)]
async fn a_pod_that_never_becomes_ready_runs_and_is_listed_as_not_ready() {
    let stage = Stage::new(ClusterSettings::default());
    stage.cluster.set_behaviour(PodScope::All, PodBehaviour::NeverReady);
    stage.deploy(2);
    stage.seconds(100).await;
    assert_eq!((stage.ready_pods(), stage.ready_addresses().len()), (0, 0));
    assert!(state(&stage)["state"]["running"].is_object());
    let slices = stage.list(crate::simulated::kubernetes::resource::ENDPOINT_SLICE);
    assert_eq!(view::items(&slices[0], "/endpoints").len(), 2);
    assert!(stage.told().contains_key("Unhealthy"));
    // The behaviour may change under a running pod.
    stage.cluster.set_behaviour(PodScope::All, PodBehaviour::ByImage);
    stage.seconds(1).await;
    assert_eq!((stage.ready_pods(), stage.ready_addresses().len()), (2, 2));
}

#[tokio::test(start_paused = true)]
async fn readiness_comes_and_goes_and_the_endpoints_follow() {
    let stage = Stage::new(ClusterSettings::default());
    stage.cluster.set_behaviour(PodScope::All, PodBehaviour::Flapping { period: Duration::from_secs(10) });
    stage.deploy(1);
    let mut seen = Vec::new();
    for _ in 0..6 {
        stage.seconds(10).await;
        assert_eq!(stage.ready_addresses().len(), stage.ready_pods());
        seen.push(stage.ready_pods());
    }
    assert_eq!(seen, [1, 0, 1, 0, 1, 0]);
}

#[tokio::test(start_paused = true)]
async fn a_liveness_probe_kills_what_starts_slowly_unless_a_startup_probe_waits_for_it() {
    for (startup, restarts) in [(false, true), (true, false)] {
        let stage = Stage::new(ClusterSettings::default());
        stage.cluster.set_behaviour(PodScope::All, PodBehaviour::SlowStart { after: Duration::from_secs(50) });
        let mut template = pod_template(IMAGE);
        template["spec"]["containers"][0]["livenessProbe"] = json!({"httpGet": {"path": "/healthz", "port": 8080}});
        if startup {
            template["spec"]["containers"][0]["startupProbe"] =
                json!({"httpGet": {"path": "/ready", "port": 8080}, "periodSeconds": 10, "failureThreshold": 10});
        }
        let mut deployment = deployment(1, IMAGE);
        deployment["spec"]["template"] = template;
        stage.create(DEPLOYMENT, "engine", deployment);
        stage.seconds(60).await;
        assert_eq!(state(&stage)["restartCount"] != 0, restarts, "{:#}", state(&stage));
        assert_eq!(stage.ready_pods() == 1, startup);
        assert_eq!(stage.told().contains_key("Killing"), restarts);
    }
}

#[tokio::test(start_paused = true)]
async fn a_process_that_hangs_loses_its_readiness_and_is_killed() {
    let stage = Stage::new(ClusterSettings::default());
    stage.cluster.set_behaviour(PodScope::All, PodBehaviour::Hang { after: Duration::from_secs(20) });
    let mut deployment = deployment(1, IMAGE);
    deployment["spec"]["template"]["spec"]["containers"][0]["livenessProbe"] =
        json!({"httpGet": {"path": "/healthz", "port": 8080}, "periodSeconds": 5, "failureThreshold": 2});
    stage.create(DEPLOYMENT, "engine", deployment);
    stage.seconds(19).await;
    assert_eq!(stage.ready_pods(), 1);
    stage.seconds(3).await;
    assert_eq!(stage.ready_pods(), 0);
    stage.seconds(6).await;
    assert_eq!((stage.ready_pods(), &state(&stage)["restartCount"]), (1, &json!(1)));
}

#[tokio::test(start_paused = true)]
async fn what_no_node_can_take_says_why_and_is_placed_once_one_can() {
    let stage = Stage::new(ClusterSettings::default());
    let mut large = deployment(1, IMAGE);
    large["spec"]["template"]["spec"]["containers"][0]["resources"] = json!({"requests": {"cpu": "17"}});
    stage.create(DEPLOYMENT, "engine", large);
    stage.seconds(1).await;
    let pods = stage.pods();
    let condition = view::condition(&pods[0], "PodScheduled").expect("it is told");
    assert_eq!(condition["reason"], "Unschedulable");
    assert!(
        view::text(condition, "/message").starts_with("0/3 nodes are available: 3 Insufficient cpu."),
        "{condition}"
    );
    assert_eq!(stage.told()["FailedScheduling"], 1);
    stage.change(NODE, "node-2", |node| node["status"]["allocatable"]["cpu"] = "32".into());
    stage.seconds(1).await;
    assert_eq!(view::text(&stage.pods()[0], "/spec/nodeName"), "node-2");
    assert_eq!(stage.ready_pods(), 1);
}

#[tokio::test(start_paused = true)]
async fn nodes_fill_up_evenly_and_a_cordoned_one_is_left_out() {
    let stage = Stage::new(ClusterSettings::default());
    stage.millis(10).await;
    stage.change(NODE, "node-3", |node| node["spec"]["unschedulable"] = true.into());
    stage.deploy(4);
    stage.seconds(1).await;
    let mut nodes: Vec<_> = stage.pods().iter().map(|pod| view::text(pod, "/spec/nodeName").to_owned()).collect();
    nodes.sort();
    assert_eq!(nodes, ["node-1", "node-1", "node-2", "node-2"]);
}

#[tokio::test(start_paused = true)]
async fn a_behaviour_keeps_a_pod_from_every_node_until_it_is_lifted() {
    let stage = Stage::new(ClusterSettings::default());
    stage.cluster.set_behaviour(PodScope::All, PodBehaviour::Unschedulable);
    stage.deploy(1);
    stage.seconds(100).await;
    assert_eq!(view::text(&stage.pods()[0], "/status/phase"), "Pending");
    stage.cluster.set_behaviour(PodScope::All, PodBehaviour::Ready { after: Duration::from_secs(3) });
    stage.seconds(2).await;
    assert_eq!(stage.ready_pods(), 0);
    stage.seconds(2).await;
    assert_eq!(stage.ready_pods(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_container_waits_for_the_config_map_that_it_names() {
    let stage = Stage::new(ClusterSettings::default());
    let mut deployment = deployment(1, IMAGE);
    deployment["spec"]["template"]["spec"]["containers"][0]["envFrom"] =
        json!([{"configMapRef": {"name": "settings"}}]);
    stage.create(DEPLOYMENT, "engine", deployment);
    stage.seconds(5).await;
    assert_eq!(reason(&stage), "CreateContainerConfigError");
    assert_eq!(view::text(&state(&stage), "/state/waiting/message"), "configmap \"settings\" not found");
    stage.create(CONFIG_MAP, "settings", json!({"data": {"CHALK_ENVIRONMENT": "from the map"}}));
    stage.seconds(1).await;
    assert_eq!(stage.ready_pods(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_quota_refuses_pods_and_the_deployment_says_so() {
    let stage = Stage::new(ClusterSettings::default());
    stage.create(RESOURCE_QUOTA, "limits", json!({"spec": {"hard": {"pods": "2"}}}));
    stage.deploy(3);
    stage.seconds(5).await;
    assert_eq!(stage.pods().len(), 2);
    let deployment = stage.deployment();
    let failure = view::condition(&deployment, "ReplicaFailure").expect("it is told");
    let message = view::text(failure, "/message");
    assert_eq!(failure["reason"], "FailedCreate");
    assert!(
        message.ends_with("is forbidden: exceeded quota: limits, requested: pods=1, used: pods=2, limited: pods=2"),
        "{message}"
    );
    assert_eq!(stage.told()["FailedCreate"], 1);
    assert_eq!(stage.get(RESOURCE_QUOTA, "limits")["status"]["used"]["pods"], "2");
    let version = stage.objects.version();
    stage.seconds(60).await;
    assert_eq!(stage.objects.version(), version, "what is refused is not tried again for ever");
    stage.change(RESOURCE_QUOTA, "limits", |quota| quota["spec"]["hard"]["pods"] = "3".into());
    stage.seconds(2).await;
    assert_eq!(stage.ready_pods(), 3);
    assert!(view::condition(&stage.deployment(), "ReplicaFailure").is_none());
}

async fn ask(stage: &Stage, address: &str, port: u16, path: &str) -> Result<(u16, String, Value), ConnectionRefused> {
    let request = Request::get(format!("http://{address}:{port}{path}")).body(empty()).expect("a request");
    let response = stage.cluster.request(address, port, request).await?;
    let status = response.status().as_u16();
    let header = response.headers().get("x-chalk-deployment-id");
    let header = header.map(|value| value.to_str().expect("plain text").to_owned()).unwrap_or_default();
    let bytes = read_body(response.into_body(), 10_000).await.expect("a short body");
    // What is no JSON is text.
    let body = serde_json::from_slice(&bytes).unwrap_or_else(|_| String::from_utf8_lossy(&bytes).into());
    Ok((status, header, body))
}

#[tokio::test(start_paused = true)]
async fn a_running_engine_answers_with_its_deployment_and_goes_on_until_its_grace_is_over() {
    let mut stage = Stage::new(ClusterSettings::default());
    stage.deploy(1);
    stage.seconds(1).await;
    let pod = stage.pods()[0].clone();
    let address = view::text(&pod, "/status/podIP").to_owned();
    let (status, header, body) = ask(&stage, &address, 8080, "/v1/query").await.expect("it listens");
    assert_eq!((status, header.as_str()), (200, "c123"));
    assert_eq!(body, json!({"deployment_id": "c123", "environment": "prod", "pod": view::name(&pod)}));
    assert_eq!(ask(&stage, &address, 8080, "/").await.map(|answer| answer.2), Ok(json!("c123")));
    assert_eq!(ask(&stage, &address, 8080, "/ready").await.map(|answer| answer.0), Ok(200));
    assert!(ask(&stage, &address, 81, "/").await.is_err() && ask(&stage, "10.1.1.1", 8080, "/").await.is_err());
    let name = (SPACE.to_owned(), view::name(&pod).to_owned());
    assert_eq!(stage.cluster.requests()[&name], 3);
    // A kubelet that starts again answers for what runs.
    stage.restart();
    assert!(ask(&stage, &address, 8080, "/").await.is_ok());
    stage.delete(DEPLOYMENT, "engine");
    stage.millis(400).await;
    assert_eq!(ask(&stage, &address, 8080, "/").await.map(|answer| answer.0), Ok(200), "it is asked to end");
    assert_eq!(stage.ready_addresses(), Vec::<String>::new());
    stage.millis(300).await;
    assert!(ask(&stage, &address, 8080, "/").await.is_err());
}

#[tokio::test(start_paused = true)]
async fn an_engine_that_is_not_ready_says_so_and_a_foreign_process_refuses() {
    let stage = Stage::new(ClusterSettings::default());
    stage.cluster.set_behaviour(PodScope::All, PodBehaviour::NeverReady);
    stage.deploy(1);
    stage.seconds(1).await;
    let address = view::text(&stage.pods()[0], "/status/podIP").to_owned();
    assert_eq!(ask(&stage, &address, 8080, "/ready").await.map(|answer| answer.0), Ok(503));
    stage.cluster.set_behaviour(PodScope::All, PodBehaviour::ByImage);
    let foreign = "registry.embedded/nginx:v1";
    stage.images.put(foreign, "/bin/nginx");
    stage.create(DEPLOYMENT, "foreign", {
        let mut deployment = deployment(1, foreign);
        deployment["spec"]["selector"] = json!({"matchLabels": {"app": "foreign"}});
        deployment["spec"]["template"]["metadata"]["labels"] = json!({"app": "foreign"});
        deployment
    });
    stage.seconds(1).await;
    assert_eq!(stage.ready_pods(), 2);
    let pods = stage.pods();
    let foreign = pods.iter().find(|pod| view::name(pod).starts_with("foreign-")).expect("it is there");
    assert!(ask(&stage, view::text(foreign, "/status/podIP"), 8080, "/").await.is_err());
}

#[tokio::test(start_paused = true)]
async fn no_two_pods_ever_have_one_address() {
    let stage = Stage::new(ClusterSettings::default());
    stage.deploy(40);
    stage.seconds(2).await;
    let mut addresses: Vec<_> = stage.pods().iter().map(|pod| view::text(pod, "/status/podIP").to_owned()).collect();
    for pod in stage.pods().iter().take(20) {
        stage.delete(POD, view::name(pod));
    }
    stage.seconds(2).await;
    for pod in stage.pods() {
        let address = view::text(&pod, "/status/podIP").to_owned();
        if !addresses.contains(&address) {
            addresses.push(address);
        }
    }
    assert_eq!(addresses.len(), 60);
}

#[tokio::test(start_paused = true)]
async fn a_container_tells_what_it_did_and_before_it_runs_why_there_is_nothing_to_tell() {
    let stage = Stage::new(ClusterSettings::default());
    stage
        .cluster
        .set_behaviour(PodScope::All, PodBehaviour::Crash { after: Duration::from_secs(1), restarts: Some(1) });
    stage.deploy(1);
    stage.millis(40).await;
    let pod = stage.pods()[0].clone();
    let log = |previous| ContainerLog {
        namespace: SPACE.to_owned(),
        pod: view::name(&pod).to_owned(),
        uid: view::uid(&pod).to_owned(),
        container: "engine".to_owned(),
        previous,
    };
    let refused = stage.cluster.lines(&log(false)).expect_err("it does not run yet");
    assert!(refused.ends_with("is waiting to start: ContainerCreating"), "{refused}");
    stage.seconds(3).await;
    let text = |previous| {
        let lines = stage.cluster.lines(&log(previous)).expect("there is a log");
        assert!(lines.is_sorted_by_key(|line| line.time));
        lines.iter().map(|line| String::from_utf8_lossy(&line.text).into_owned()).collect::<Vec<_>>().join("\n")
    };
    assert!(text(false).contains("ready to serve"), "{}", text(false));
    assert!(text(true).contains("exit code 1"), "{}", text(true));
    let other = ContainerLog { uid: "other".to_owned(), ..log(false) };
    assert!(stage.cluster.lines(&other).is_err());
}

#[tokio::test(start_paused = true)]
async fn ten_minutes_of_a_cluster_in_a_cloud_go_by_without_being_waited_for() {
    let stage = Stage::new(ClusterSettings::realistic());
    stage.create(NAMESPACE, SPACE, json!({}));
    stage.create(DEPLOYMENT, "engine", deployment(5, IMAGE));
    stage.create(SERVICE, "engine", service());
    stage.seconds(9).await;
    assert_eq!(stage.ready_pods(), 0, "a pull takes its time");
    stage.seconds(12).await;
    assert_eq!(stage.ready_addresses().len(), 5);
    let version = stage.objects.version();
    stage.seconds(580).await;
    assert_eq!(stage.objects.version(), version);
}
