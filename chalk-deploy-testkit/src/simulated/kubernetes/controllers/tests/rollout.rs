//! Deployments, from their first pod to their last.

use serde_json::{Value, json};

use super::stage::{IMAGE, SPACE, Stage};
use crate::simulated::kubernetes::controllers::{ClusterSettings, view};
use crate::simulated::kubernetes::resource::{DEPLOYMENT, ENDPOINT_SLICE, EVENT, RESOURCES, SERVICE};
use crate::simulated::kubernetes::schema::validate;

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

fn set_image(stage: &Stage, image: &str) {
    stage.change(DEPLOYMENT, "engine", |deployment| {
        deployment["spec"]["template"]["spec"]["containers"][0]["image"] = image.into();
    });
}

#[tokio::test(start_paused = true)]
async fn a_rollout_that_does_not_advance_exceeds_its_deadline_and_keeps_the_old_pods() {
    let stage = Stage::new(ClusterSettings::default());
    stage.deploy(4);
    stage.seconds(2).await;
    set_image(&stage, "registry.embedded/chalk/engine:missing");
    stage.seconds(590).await;
    let reason =
        |stage: &Stage| view::condition(&stage.deployment(), "Progressing").expect("it is there")["reason"].clone();
    assert_eq!(reason(&stage), "ReplicaSetUpdated");
    stage.seconds(20).await;
    assert_eq!(reason(&stage), "ProgressDeadlineExceeded");
    let deployment = stage.deployment();
    assert!(!view::holds(&deployment, "Progressing") && view::holds(&deployment, "Available"), "{deployment:#}");
    assert_eq!(stage.ready_pods(), 3, "a quarter may be unavailable");
    // Going back ends it well.
    set_image(&stage, IMAGE);
    stage.seconds(5).await;
    assert_eq!(reason(&stage), "NewReplicaSetAvailable");
    assert_eq!((stage.ready_pods(), stage.pods().len()), (4, 4));
}

#[tokio::test(start_paused = true)]
async fn recreating_starts_nothing_new_before_the_last_old_pod_is_gone() {
    let stage = Stage::new(ClusterSettings::default());
    stage.deploy(2);
    stage.change(DEPLOYMENT, "engine", |deployment| deployment["spec"]["strategy"] = json!({"type": "Recreate"}));
    stage.seconds(2).await;
    let second = "registry.embedded/chalk/engine:v2";
    stage.images.put(second, "/bin/other");
    set_image(&stage, second);
    for _ in 0..200 {
        stage.millis(10).await;
        let images: std::collections::BTreeSet<_> =
            stage.pods().iter().map(|pod| view::text(pod, "/spec/containers/0/image").to_owned()).collect();
        assert!(images.len() <= 1, "{images:?}");
    }
    assert_eq!((stage.ready_pods(), stage.deployment()["status"]["updatedReplicas"].clone()), (2, json!(2)));
}

#[tokio::test(start_paused = true)]
async fn a_paused_deployment_rolls_nothing_out_until_it_is_resumed() {
    let stage = Stage::new(ClusterSettings::default());
    stage.deploy(2);
    stage.seconds(2).await;
    stage.change(DEPLOYMENT, "engine", |deployment| deployment["spec"]["paused"] = true.into());
    let second = "registry.embedded/chalk/engine:v2";
    stage.images.put(second, "/bin/other");
    set_image(&stage, second);
    stage.seconds(5).await;
    assert_eq!(stage.replica_sets().len(), 1);
    assert_eq!(view::condition(&stage.deployment(), "Progressing").expect("it is there")["reason"], "DeploymentPaused");
    // It may be scaled all the same.
    stage.change(DEPLOYMENT, "engine", |deployment| deployment["spec"]["replicas"] = 3.into());
    stage.seconds(2).await;
    assert_eq!(stage.ready_pods(), 3);
    stage.change(DEPLOYMENT, "engine", |deployment| deployment["spec"]["paused"] = false.into());
    stage.seconds(5).await;
    assert_eq!((stage.replica_sets().len(), stage.deployment()["status"]["updatedReplicas"].clone()), (2, json!(3)));
}

#[tokio::test(start_paused = true)]
async fn a_pod_counts_as_available_only_after_its_least_seconds() {
    let stage = Stage::new(ClusterSettings::default());
    stage.deploy(1);
    stage.change(DEPLOYMENT, "engine", |deployment| deployment["spec"]["minReadySeconds"] = 30.into());
    stage.seconds(28).await;
    let status = stage.deployment()["status"].clone();
    assert_eq!((&status["readyReplicas"], &status["availableReplicas"]), (&json!(1), &json!(null)));
    stage.seconds(4).await;
    assert_eq!(stage.deployment()["status"]["availableReplicas"], 1);
}

#[tokio::test(start_paused = true)]
async fn only_as_many_old_replica_sets_are_kept_as_the_limit_says() {
    let stage = Stage::new(ClusterSettings::default());
    stage.deploy(1);
    stage.change(DEPLOYMENT, "engine", |deployment| deployment["spec"]["revisionHistoryLimit"] = 2.into());
    stage.seconds(3).await;
    for number in 0..5 {
        let image = format!("registry.embedded/chalk/engine:n{number}");
        stage.images.put(&image, "/bin/other");
        set_image(&stage, &image);
        stage.seconds(3).await;
    }
    let mut revisions: Vec<_> = stage
        .replica_sets()
        .iter()
        .map(|set| view::annotation(set, "deployment.kubernetes.io/revision").to_owned())
        .collect();
    revisions.sort();
    assert_eq!(revisions, ["4", "5", "6"]);
}

#[tokio::test(start_paused = true)]
async fn a_name_that_is_taken_makes_the_deployment_choose_another() {
    let stage = Stage::new(ClusterSettings::default());
    stage.deploy(1);
    stage.seconds(2).await;
    let taken = stage.replica_sets()[0].clone();
    // The set becomes somebody else's.
    stage.change(crate::simulated::kubernetes::resource::REPLICA_SET, view::name(&taken), |set| {
        set["metadata"]["ownerReferences"] = json!([{
            "apiVersion": "example.org/v1", "kind": "Other", "name": "other", "uid": "1", "controller": true,
        }]);
    });
    stage.seconds(2).await;
    assert_eq!(stage.deployment()["status"]["collisionCount"], 1);
    assert_eq!(stage.replica_sets().len(), 2);
    assert_eq!(stage.deployment()["status"]["availableReplicas"], 1);
}

#[tokio::test(start_paused = true)]
async fn everything_that_is_written_is_valid_and_has_its_owner() {
    let stage = Stage::new(ClusterSettings::default());
    stage.deploy(2);
    stage.cluster.set_behaviour(
        crate::fake::PodScope::Image("registry.embedded/chalk/engine:v2".to_owned()),
        crate::simulated::kubernetes::PodBehaviour::Crash {
            after: std::time::Duration::from_millis(50),
            restarts: None,
        },
    );
    stage.seconds(2).await;
    set_image(&stage, "registry.embedded/chalk/engine:v2");
    stage.seconds(5).await;
    for resource in RESOURCES {
        for object in stage.objects.list(*resource, None).0 {
            let problems = validate(resource, &object);
            assert!(problems.is_empty(), "{problems:?} in {object:#}");
        }
    }
    let managers = |object: &Value, subresource: Option<&str>| {
        let managers = view::items(object, "/metadata/managedFields").iter();
        let of = managers.filter(|entry| entry.get("subresource").and_then(Value::as_str) == subresource);
        of.map(|entry| view::text(entry, "/manager").to_owned()).collect::<Vec<_>>()
    };
    let pod = &stage.pods()[0];
    assert_eq!(managers(pod, None), ["kube-controller-manager", "kube-scheduler"], "{pod:#}");
    assert!(managers(pod, Some("status")).contains(&"kubelet".to_owned()));
    assert_eq!(managers(&stage.deployment(), Some("status")), ["kube-controller-manager"]);
}

#[tokio::test(start_paused = true)]
async fn a_template_that_is_nonsense_stops_nobody_else() {
    let stage = Stage::new(ClusterSettings::default());
    stage.deploy(1);
    for (index, nonsense) in
        [json!("text"), json!([1]), json!({"metadata": 1, "spec": "x"}), json!(null)].iter().enumerate()
    {
        let spec = json!({"replicas": 1, "selector": {"matchLabels": {"app": "bad"}}, "template": nonsense});
        stage.create(DEPLOYMENT, &format!("bad-{index}"), json!({"spec": spec, "status": "odd"}));
        stage.create(DEPLOYMENT, &format!("worse-{index}"), json!({"spec": nonsense}));
    }
    stage.seconds(5).await;
    assert_eq!(stage.deployment()["status"]["availableReplicas"], 1);
}
