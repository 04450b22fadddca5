//! What the traffic adapter writes into a route that others work on too.

use chalk_deploy_core::cloud::{FencingToken, Settlement, TOKEN_ANNOTATION, TrafficChange, TrafficShifter as _};
use chalk_deploy_core::kubernetes::KubernetesCluster;
use chalk_deploy_core::model::TrafficSplit;
use chalk_deploy_testkit::simulated::fault::{ProtocolFault, ProtocolFaults, Requests};
use chalk_deploy_testkit::simulated::kubernetes::objects::Key;
use chalk_deploy_testkit::simulated::kubernetes::resource::HTTP_ROUTE;
use serde_json::{Value, json};

use super::harness::{Plane, bring_up, deployment, namespace, route};

fn change(letter: char, version: &str, token: u64) -> TrafficChange {
    TrafficChange {
        split: TrafficSplit::all_to(deployment(letter)),
        expected_version: version.to_owned(),
        token: FencingToken(token),
    }
}

async fn with_two_deployments(faults: ProtocolFaults) -> Plane {
    let plane = Plane::new(faults);
    let cluster = KubernetesCluster::new(plane.connection());
    for letter in ['a', 'b'] {
        bring_up(&plane, &cluster, &namespace(), &deployment(letter), true).await.expect("it becomes ready");
    }
    plane
}

fn key() -> Key {
    Key::new(HTTP_ROUTE, "prod", "chalk-prod")
}

fn stored(plane: &Plane) -> Value {
    (*plane.objects.get(&key()).expect("there is a route")).clone()
}

#[tokio::test(start_paused = true)]
async fn the_work_of_others_on_the_route_survives_a_shift() {
    let plane = with_two_deployments(ProtocolFaults::new()).await;
    let traffic = plane.embedded_traffic();
    traffic.shift(&route(), &change('a', "", 1)).await.expect("a new route");
    let foreign = json!({"matches": [{"path": {"type": "PathPrefix", "value": "/status"}}],
        "backendRefs": [{"group": "", "kind": "Service", "name": "status", "port": 80, "weight": 1}]});
    plane
        .objects
        .update(&key(), None, |object| {
            object["metadata"]["labels"]["team"] = json!("platform");
            object["spec"]["rules"].as_array_mut().expect("rules").push(foreign.clone());
            Ok(())
        })
        .expect("there is a route");
    let seen = traffic.observe(&route()).await.expect("still ours");
    traffic.shift(&route(), &change('b', &seen.version, 2)).await.expect("a shift");
    let after = stored(&plane);
    assert_eq!(after["metadata"]["labels"]["team"], "platform");
    assert_eq!(after["spec"]["rules"][1]["backendRefs"], foreign["backendRefs"]);
    assert_eq!(after["metadata"]["annotations"][TOKEN_ANNOTATION], "2");
    assert_eq!(after["spec"]["rules"][0]["backendRefs"][0]["weight"], 100);
}

#[tokio::test(start_paused = true)]
async fn what_the_gateway_says_of_a_route_is_no_change_of_its_version() {
    let plane = with_two_deployments(ProtocolFaults::new()).await;
    let traffic = plane.embedded_traffic();
    let first = traffic.shift(&route(), &change('a', "", 1)).await.expect("a new route");
    let written = stored(&plane)["metadata"]["resourceVersion"].clone();
    while traffic.settlement(&route(), &first).await.expect("readable") != Settlement::Settled {
        plane.runtime.sleep(std::time::Duration::from_millis(10)).await;
    }
    assert_ne!(stored(&plane)["metadata"]["resourceVersion"], written, "the gateway has said nothing");
    assert_eq!(traffic.observe(&route()).await.expect("readable"), first);
    traffic.shift(&route(), &change('b', &first.version, 1)).await.expect("the version is the one that was read");
}

#[tokio::test(start_paused = true)]
async fn a_shift_whose_answer_is_lost_is_found_done_and_stored_once() {
    let put = Requests::to("kubernetes").method("PUT").containing("/httproutes/");
    let post = Requests::to("kubernetes").method("POST").containing("/httproutes");
    let faults = ProtocolFaults::new().at(put.clone(), 1, ProtocolFault::SeverAfter).at(
        post.clone(),
        1,
        ProtocolFault::SeverAfter,
    );
    let plane = with_two_deployments(faults).await;
    let traffic = plane.embedded_traffic();
    // A creation is not idempotent: the caller is told, and tries again.
    let lost = traffic.shift(&route(), &change('a', "", 1)).await.expect_err("the answer was lost");
    assert_eq!(lost.code(), chalk_deploy_core::ErrorCode::CloudUnavailable);
    let first = traffic.shift(&route(), &change('a', "", 1)).await.expect("it is there");
    assert_eq!(plane.faults.count(&post), 1);
    // A replacement is repeated by the transport, refused, and found done.
    let second = traffic.shift(&route(), &change('b', &first.version, 1)).await.expect("it is done");
    assert_eq!(second.split, TrafficSplit::all_to(deployment('b')));
    assert_eq!((plane.faults.count(&put), &stored(&plane)["metadata"]["generation"]), (2, &json!(2)));
}

#[tokio::test(start_paused = true)]
async fn a_gateway_that_does_not_know_the_backend_has_not_settled_and_says_why() {
    let plane = with_two_deployments(ProtocolFaults::new()).await;
    let traffic = plane.embedded_traffic();
    let stored = traffic.shift(&route(), &change('a', "", 1)).await.expect("a new route");
    let service = Key::new(
        chalk_deploy_testkit::simulated::kubernetes::resource::SERVICE,
        "prod",
        format!("engine-{}", deployment('a')),
    );
    plane.objects.remove(&service, None, None).expect("it is there");
    plane.runtime.sleep(std::time::Duration::from_secs(1)).await;
    let Settlement::Unresolved(reason) = traffic.settlement(&route(), &stored).await.expect("readable") else {
        panic!("the gateway accepts a backend that is not there");
    };
    assert!(reason.contains("BackendNotFound"), "{reason}");
}
