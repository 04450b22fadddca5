//! Deployments, from their first pod to their last.

use serde_json::json;

use super::stage::{IMAGE, SPACE, Stage};
use crate::simulated::kubernetes::controllers::{ClusterSettings, view};
use crate::simulated::kubernetes::resource::{DEPLOYMENT, ENDPOINT_SLICE, EVENT, SERVICE};

#[tokio::test(start_paused = true)]
async fn a_deployment_makes_pods_that_become_ready_and_stand_behind_their_service() {
    let stage = Stage::new(ClusterSettings::default());
    stage.deploy(3);
    stage.millis(400).await;
    let deployment = stage.deployment();
    assert_eq!(deployment["status"]["availableReplicas"], 3, "{deployment:#}");
    assert_eq!(deployment["status"]["observedGeneration"], deployment["metadata"]["generation"]);
    assert!(view::holds(&deployment, "Available") && view::holds(&deployment, "Progressing"));
    assert_eq!(view::condition(&deployment, "Progressing").expect("it is there")["reason"], "NewReplicaSetAvailable");
    assert_eq!(view::annotation(&deployment, "deployment.kubernetes.io/revision"), "1");
    assert_eq!((stage.ready_pods(), stage.ready_addresses().len()), (3, 3));
    for reason in ["ScalingReplicaSet", "SuccessfulCreate", "Scheduled", "Pulling", "Pulled", "Created", "Started"] {
        assert!(stage.told().contains_key(reason), "{reason} in {:?}", stage.told());
    }
    let slices = stage.list(ENDPOINT_SLICE);
    assert_eq!((slices.len(), &slices[0]["ports"][0]["port"]), (1, &json!(8080)), "{:#}", slices[0]);
    // Nothing moves any more.
    let version = stage.objects.version();
    stage.seconds(60).await;
    assert_eq!(stage.objects.version(), version);
}

#[tokio::test(start_paused = true)]
async fn what_a_deployment_owns_goes_with_it() {
    let stage = Stage::new(ClusterSettings::default());
    stage.deploy(2);
    stage.millis(400).await;
    stage.delete(DEPLOYMENT, "engine");
    stage.delete(SERVICE, "engine");
    stage.millis(100).await;
    assert!(stage.replica_sets().is_empty() && stage.list(ENDPOINT_SLICE).is_empty());
    assert_eq!(stage.pods().len(), 2, "they serve until their grace is over");
    stage.seconds(1).await;
    assert!(stage.pods().is_empty());
    stage.seconds(2 * 3600).await;
    assert!(stage.objects.list(EVENT, Some(SPACE)).0.is_empty(), "events are kept for an hour");
}

#[tokio::test(start_paused = true)]
async fn a_new_template_moves_the_pods_to_a_new_replica_set_and_an_old_one_brings_the_old_set_back() {
    let stage = Stage::new(ClusterSettings::default());
    stage.deploy(4);
    stage.seconds(2).await;
    let second = "registry.embedded/chalk/engine:v2";
    stage.images.put(second, "/bin/other");
    stage.change(DEPLOYMENT, "engine", |deployment| {
        deployment["spec"]["template"]["spec"]["containers"][0]["image"] = second.into();
    });
    stage.seconds(5).await;
    let deployment = stage.deployment();
    assert_eq!(deployment["status"]["updatedReplicas"], 4);
    assert_eq!(view::annotation(&deployment, "deployment.kubernetes.io/revision"), "2");
    assert_eq!((stage.pods().len(), stage.replica_sets().len()), (4, 2));
    stage.change(DEPLOYMENT, "engine", |deployment| {
        deployment["spec"]["template"]["spec"]["containers"][0]["image"] = IMAGE.into();
    });
    stage.seconds(5).await;
    let deployment = stage.deployment();
    assert_eq!(view::annotation(&deployment, "deployment.kubernetes.io/revision"), "3");
    assert_eq!(stage.replica_sets().len(), 2);
    let first = stage.replica_sets().into_iter().find(|set| set["spec"]["replicas"] == 4).expect("one has all pods");
    assert_eq!(view::annotation(&first, "deployment.kubernetes.io/revision-history"), "1");
    assert!(stage.pods().iter().all(|pod| pod["spec"]["containers"][0]["image"] == IMAGE));
}
