//! Numbers of replicas: by hand, by scalers, and under budgets.

use serde_json::json;

use super::stage::Stage;
use crate::simulated::kubernetes::controllers::{ClusterSettings, view};
use crate::simulated::kubernetes::resource::{
    DEPLOYMENT, HORIZONTAL_POD_AUTOSCALER, POD_DISRUPTION_BUDGET, SCALED_OBJECT,
};

#[tokio::test(start_paused = true)]
async fn a_deployment_is_scaled_up_and_down() {
    let stage = Stage::new(ClusterSettings::default());
    stage.deploy(2);
    for replicas in [5, 1, 0, 3] {
        stage.change(DEPLOYMENT, "engine", |deployment| deployment["spec"]["replicas"] = replicas.into());
        stage.seconds(3).await;
        assert_eq!((stage.pods().len(), stage.ready_pods()), (replicas, replicas));
    }
    assert_eq!(stage.replica_sets().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn scaling_in_the_middle_of_a_rollout_spreads_over_both_templates() {
    let stage = Stage::new(ClusterSettings::default());
    stage.deploy(10);
    stage.seconds(2).await;
    stage.change(DEPLOYMENT, "engine", |deployment| {
        deployment["spec"]["template"]["spec"]["containers"][0]["image"] = "registry.embedded/chalk/engine:none".into();
    });
    stage.seconds(5).await;
    let sizes = |stage: &Stage| {
        let mut sizes: Vec<_> = stage.replica_sets().iter().map(|set| view::count(set, "/spec/replicas")).collect();
        sizes.sort_unstable();
        sizes
    };
    assert_eq!(sizes(&stage), [5, 8]);
    stage.change(DEPLOYMENT, "engine", |deployment| deployment["spec"]["replicas"] = 20.into());
    stage.seconds(5).await;
    assert_eq!(sizes(&stage), [10, 15]);
}

#[tokio::test(start_paused = true)]
async fn a_scaled_object_holds_its_target_within_its_bounds_until_it_is_paused() {
    let stage = Stage::new(ClusterSettings::default());
    stage.deploy(1);
    stage.create(SCALED_OBJECT, "engine", json!({"spec": {
        "scaleTargetRef": {"name": "engine"}, "minReplicaCount": 3, "maxReplicaCount": 5, "triggers": [{"type": "cpu"}],
    }}));
    stage.seconds(2).await;
    assert_eq!(stage.ready_pods(), 3);
    let ready = |stage: &Stage| view::holds(&stage.get(SCALED_OBJECT, "engine"), "Ready");
    assert!(ready(&stage));
    stage.change(DEPLOYMENT, "engine", |deployment| deployment["spec"]["replicas"] = 9.into());
    stage.seconds(2).await;
    assert_eq!(stage.ready_pods(), 5);
    stage.change(SCALED_OBJECT, "engine", |scaled| {
        view::annotate(scaled, "autoscaling.keda.sh/paused-replicas", "0");
    });
    stage.seconds(2).await;
    assert!(stage.pods().is_empty());
    stage.delete(DEPLOYMENT, "engine");
    stage.seconds(1).await;
    assert!(!ready(&stage));
}

#[tokio::test(start_paused = true)]
async fn an_autoscaler_holds_its_target_within_its_bounds() {
    let stage = Stage::new(ClusterSettings::default());
    stage.deploy(1);
    stage.create(
        HORIZONTAL_POD_AUTOSCALER,
        "engine",
        json!({"spec": {
            "scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": "engine"},
            "minReplicas": 2, "maxReplicas": 4,
        }}),
    );
    stage.seconds(2).await;
    let autoscaler = stage.get(HORIZONTAL_POD_AUTOSCALER, "engine");
    assert_eq!((stage.ready_pods(), &autoscaler["status"]["currentReplicas"]), (2, &json!(2)));
    assert!(view::holds(&autoscaler, "AbleToScale"));
}

#[tokio::test(start_paused = true)]
async fn a_budget_says_how_many_pods_may_be_evicted_now() {
    let stage = Stage::new(ClusterSettings::default());
    stage.deploy(4);
    let selector = json!({"matchLabels": {"app": "engine"}});
    stage.create(POD_DISRUPTION_BUDGET, "most", json!({"spec": {"maxUnavailable": "25%", "selector": selector}}));
    stage.create(POD_DISRUPTION_BUDGET, "least", json!({"spec": {"minAvailable": 4, "selector": selector}}));
    stage.millis(30).await;
    assert_eq!(stage.get(POD_DISRUPTION_BUDGET, "most")["status"]["disruptionsAllowed"], 0, "none is ready yet");
    stage.seconds(2).await;
    let status = stage.get(POD_DISRUPTION_BUDGET, "most")["status"].clone();
    assert_eq!(
        (&status["expectedPods"], &status["desiredHealthy"], &status["disruptionsAllowed"]),
        (&json!(4), &json!(3), &json!(1))
    );
    assert_eq!(stage.get(POD_DISRUPTION_BUDGET, "least")["status"]["disruptionsAllowed"], 0);
}
