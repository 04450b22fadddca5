//! No request is lost while a version takes the place of another; and in the order that others use, some are.

use std::time::Duration;

use chalk_deploy_core::cloud::label;
use chalk_deploy_core::model::TrafficSplit;
use chalk_deploy_core::runtime::{Runtime as _, SystemRuntime};
use chalk_deploy_testkit::testbed::Part;
use serde_json::{Value, json};

use crate::house::{House, TESTBED};
use crate::load::{Client, Tally, report};

const STATIC: &str = "STATIC_IMAGE";

/// How long the gateway's control plane stands still.
const FROZEN: Duration = Duration::from_secs(10);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_request_is_lost_in_a_cutover_and_back() {
    let _alone = TESTBED.lock().await;
    let house = House::on("cutover", STATIC).await;
    let first = house.deploy("one").await;
    let client = Client::new(&house.testbed, house.plane.environment.as_str());
    let load = client.start(client.calibrate().await);
    let second = house.deploy("two").await;
    let back = house.deploy("one").await;
    let tally = load.stop().await;
    told("cutover and back", &tally);
    assert_eq!(tally.failed, 0, "{tally:?}");
    for id in [&first, &second, &back] {
        assert!(tally.answers.contains_key(id.as_str()), "{id} never answered: {:?}", tally.answers);
    }
    assert_eq!(house.split().await, TrafficSplit::all_to(back.clone()));
    assert_eq!(house.answering().await, back);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_request_is_lost_while_the_gateways_control_plane_stands_still() {
    let _alone = TESTBED.lock().await;
    let house = House::on("frozen", STATIC).await;
    house.deploy("one").await;
    let client = Client::new(&house.testbed, house.plane.environment.as_str());
    let load = client.start(client.calibrate().await);
    let testbed = house.testbed.clone();
    testbed.freeze(Part::EnvoyGateway).await.expect("it can be stopped");
    let thawing = tokio::spawn(async move {
        SystemRuntime::new().sleep(FROZEN).await;
        testbed.thaw(Part::EnvoyGateway).await.expect("it goes on");
    });
    let runtime = SystemRuntime::new();
    let begin = runtime.monotonic();
    let second = house.deploy("two").await;
    let took = runtime.monotonic().saturating_sub(begin);
    thawing.await.expect("it was not cut off");
    let tally = load.stop().await;
    told("cutover with the gateway's control plane frozen for 10 s", &tally);
    assert_eq!(tally.failed, 0, "{tally:?}");
    assert!(took >= FROZEN, "the old version was retired after {took:?}, when nobody could know of the new one");
    assert_eq!(house.answering().await, second);
}

/// The negative control: were this to lose no request, the harness could not see a lost one.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_naive_order_loses_requests_in_the_same_harness() {
    let _alone = TESTBED.lock().await;
    let house = House::on("naive", STATIC).await;
    let old = house.deploy("one").await.to_string();
    let client = Client::new(&house.testbed, house.plane.environment.as_str());
    let load = client.start(client.calibrate().await);

    // The same objects under another id; then the weights and the removal of the old ones, at once.
    let new = format!("c{}", "n".repeat(24));
    let selected = format!("{}={old}", label::DEPLOYMENT);
    let found = house.kubectl(&["get", "deployment,service,configmap", "-l", &selected, "-o", "json"], "").await;
    let mut list: Value = serde_json::from_str(&found.replace(&old, &new)).expect("JSON");
    for object in list["items"].as_array_mut().expect("a list") {
        let (name, labels) = (object["metadata"]["name"].clone(), object["metadata"]["labels"].clone());
        object["metadata"] = json!({"name": name, "labels": labels});
        let fields = object.as_object_mut().expect("an object");
        fields.remove("status");
        if let Some(spec) = fields.get_mut("spec").and_then(Value::as_object_mut) {
            spec.remove("clusterIP");
            spec.remove("clusterIPs");
        }
    }
    house.kubectl(&["create", "-f", "-"], &list.to_string()).await;
    let moved = json!([
        {"op": "replace", "path": "/spec/rules/0/backendRefs/0/name", "value": format!("engine-{new}")},
    ]);
    let route = format!("chalk-{}", house.plane.environment);
    house.kubectl(&["patch", "httproute", &route, "--type=json", "-p", &moved.to_string()], "").await;
    let gone = ["delete", "deployment", "-l", &selected, "--wait=false", "--grace-period=1"];
    house.kubectl(&gone, "").await;
    SystemRuntime::new().sleep(Duration::from_secs(8)).await;

    let tally = load.stop().await;
    told("the naive order", &tally);
    assert!(tally.failed > 0, "{tally:?}");
}

fn told(what: &str, tally: &Tally) {
    report(&format!("{what}: {} requests sent, {} failed", tally.sent, tally.failed));
    for failure in &tally.failures {
        report(&format!("  {}", failure.chars().take(160).collect::<String>()));
    }
}
