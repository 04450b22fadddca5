//! Endpoint slices and service addresses.

use std::collections::BTreeSet;
use std::time::Duration;

use serde_json::json;

use super::stage::{IMAGE, Stage, deployment};
use crate::fake::PodScope;
use crate::simulated::kubernetes::controllers::{ClusterSettings, view};
use crate::simulated::kubernetes::kubelet::PodBehaviour;
use crate::simulated::kubernetes::resource::{DEPLOYMENT, ENDPOINT_SLICE, POD, SERVICE};

#[tokio::test(start_paused = true)]
async fn more_than_a_hundred_endpoints_fill_several_slices_and_stay_where_they_are() {
    let stage = Stage::new(ClusterSettings::default());
    stage.deploy(250);
    stage.seconds(2).await;
    let sizes = |stage: &Stage| {
        let mut sizes: Vec<_> =
            stage.list(ENDPOINT_SLICE).iter().map(|slice| view::items(slice, "/endpoints").len()).collect();
        sizes.sort_unstable();
        sizes
    };
    assert_eq!(sizes(&stage), [50, 100, 100]);
    let before: BTreeSet<_> = stage.list(ENDPOINT_SLICE).iter().map(|slice| view::name(slice).to_owned()).collect();
    for pod in stage.pods().iter().take(10) {
        stage.delete(POD, view::name(pod));
    }
    stage.seconds(2).await;
    assert_eq!(sizes(&stage).iter().sum::<usize>(), 250);
    let after: BTreeSet<_> = stage.list(ENDPOINT_SLICE).iter().map(|slice| view::name(slice).to_owned()).collect();
    assert_eq!(before, after);
}

#[tokio::test(start_paused = true)]
async fn endpoints_follow_their_pods_after_the_lag_that_is_set() {
    let stage = Stage::new(ClusterSettings { endpoint_lag: Duration::from_secs(5), ..ClusterSettings::default() });
    stage.deploy(1);
    stage.seconds(4).await;
    assert_eq!((stage.ready_pods(), stage.ready_addresses().len()), (1, 0));
    stage.seconds(7).await;
    assert_eq!(stage.ready_addresses().len(), 1);
    stage.cluster.set_behaviour(PodScope::All, PodBehaviour::NeverReady);
    stage.seconds(3).await;
    assert_eq!((stage.ready_pods(), stage.ready_addresses().len()), (0, 1), "that is what a lag is");
    stage.seconds(5).await;
    assert_eq!(stage.ready_addresses().len(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_pod_that_ends_still_serves_but_is_not_ready() {
    let stage = Stage::new(ClusterSettings::default());
    stage.deploy(1);
    stage.seconds(1).await;
    stage.delete(DEPLOYMENT, "engine");
    stage.millis(100).await;
    let slices = stage.list(ENDPOINT_SLICE);
    assert_eq!(slices[0]["endpoints"][0]["conditions"], json!({"ready": false, "serving": true, "terminating": true}));
    stage.seconds(2).await;
    let slices = stage.list(ENDPOINT_SLICE);
    assert_eq!((slices.len(), &slices[0]["endpoints"]), (1, &json!([])));
    assert_eq!(slices[0]["ports"][0]["port"], 8080);
}

#[tokio::test(start_paused = true)]
async fn services_get_distinct_addresses_and_a_headless_one_none() {
    let stage = Stage::new(ClusterSettings::default());
    for number in 0..20 {
        stage.create(SERVICE, &format!("service-{number}"), json!({"spec": {"ports": [{"port": 80}]}}));
    }
    stage.create(
        SERVICE,
        "headless",
        json!({"spec": {"clusterIP": "None", "publishNotReadyAddresses": true,
        "selector": {"app": "engine"}, "ports": [{"port": 80, "targetPort": 8080}]}}),
    );
    stage.cluster.set_behaviour(PodScope::All, PodBehaviour::NeverReady);
    stage.create(DEPLOYMENT, "engine", deployment(1, IMAGE));
    stage.seconds(1).await;
    let addresses: BTreeSet<_> =
        stage.list(SERVICE).iter().map(|service| view::text(service, "/spec/clusterIP").to_owned()).collect();
    assert_eq!(addresses.len(), 21);
    assert_eq!(stage.get(SERVICE, "headless")["spec"]["clusterIP"], "None");
    assert_eq!(stage.ready_addresses().len(), 1, "it asks for those that are not ready too");
}

#[tokio::test(start_paused = true)]
async fn a_named_port_that_no_container_has_leads_nowhere() {
    let stage = Stage::new(ClusterSettings::default());
    stage.create(SERVICE, "engine", json!({"spec": {"selector": {"app": "engine"},
        "ports": [{"name": "http", "port": 80, "targetPort": "http"}, {"name": "grpc", "port": 81, "targetPort": "grpc"}]}}));
    stage.create(DEPLOYMENT, "engine", deployment(1, IMAGE));
    stage.seconds(1).await;
    let slices = stage.list(ENDPOINT_SLICE);
    assert_eq!(slices[0]["ports"], json!([{"name": "http", "port": 8080, "protocol": "TCP"}]));
}
