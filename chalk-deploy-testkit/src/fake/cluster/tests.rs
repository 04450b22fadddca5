use chalk_deploy_core::cloud::{FencingToken, PodPhase};
use chalk_deploy_core::model::Component;
use futures::FutureExt as _;
use serde_json::json;

use chalk_deploy_core::cloud::TOKEN_ANNOTATION;

use super::*;

const TOKEN: ApplyOptions = ApplyOptions { token: FencingToken(1) };

fn namespace() -> Namespace {
    Namespace::new("ns-test").expect("a valid namespace")
}

fn deployment() -> DeploymentId {
    DeploymentId::new(format!("c{}", "a".repeat(24))).expect("a valid id")
}

fn cluster() -> FakeCluster {
    let world = World::memory();
    FakeCluster::new(&world, FakeRegistry::new(&world))
}

fn workload(replicas: u32) -> Manifest {
    let labels = json!({
        label::MANAGED_BY: FIELD_MANAGER, label::DEPLOYMENT: deployment(), label::COMPONENT: Component::Engine,
        label::ENVIRONMENT: "test",
    });
    Manifest::new(json!({
        "apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "engine", "labels": labels},
        "spec": {"replicas": replicas, "template": {
            "metadata": {"labels": labels}, "spec": {"containers": [{"image": "registry.test/engine@sha256:0"}]},
        }},
    }))
    .expect("a manifest")
}

fn service() -> Manifest {
    Manifest::new(json!({
        "apiVersion": "v1", "kind": "Service", "metadata": {"name": "engine"},
        "spec": {"selector": {label::DEPLOYMENT: deployment()}},
    }))
    .expect("a manifest")
}

async fn observe_until_rest(cluster: &FakeCluster) -> Observation {
    loop {
        let observation = cluster.observe(&namespace(), &deployment()).await.expect("observed");
        if cluster.changed(&namespace(), &deployment(), &observation).now_or_never().is_none() {
            // Not at rest when it only gave way to other tasks.
            let again = cluster.observe(&namespace(), &deployment()).await.expect("observed");
            if again == observation {
                return observation;
            }
        }
    }
}

#[tokio::test]
async fn each_behaviour_ends_where_its_name_says() {
    use PodBehaviour as Pods;
    for (behaviour, phase, ready) in [
        (Pods::Ready { after: 2 }, PodPhase::Running, 2),
        (Pods::ByImage, PodPhase::ImagePullFailed, 0),
        (Pods::ImagePullFailed, PodPhase::ImagePullFailed, 0),
        (Pods::Crash, PodPhase::Crashed, 0),
        (Pods::NeverReady, PodPhase::Running, 0),
        (Pods::Unschedulable, PodPhase::Unschedulable, 0),
    ] {
        let cluster = cluster();
        cluster.set_behaviour(PodScope::All, behaviour.clone());
        for manifest in [workload(2), service()] {
            cluster.apply(&namespace(), &manifest, &TOKEN).await.expect("applied");
        }
        let end = observe_until_rest(&cluster).await;
        assert_eq!(end.pods.len(), 2, "{behaviour:?}");
        assert!(end.pods.iter().all(|pod| pod.phase == phase), "{behaviour:?}: {:?}", end.pods);
        assert_eq!((end.workloads[0].ready, end.ready_endpoints), (ready, Some(ready)), "{behaviour:?}");
    }
}

#[tokio::test]
async fn a_quota_on_workloads_refuses_them_and_a_quota_on_pods_is_seen_in_the_workload() {
    let cluster = cluster();
    cluster.set_behaviour(PodScope::Component(Component::Engine), PodBehaviour::QuotaRefused);
    cluster.apply(&namespace(), &service(), &TOKEN).await.expect("no workload");
    let error = cluster.apply(&namespace(), &workload(1), &TOKEN).await.expect_err("over the quota");
    assert_eq!(error.code(), ErrorCode::ObjectRefused);
    assert_eq!(cluster.objects(&namespace()).expect("listed").len(), 1);

    cluster.set_behaviour(PodScope::Component(Component::Engine), PodBehaviour::PodsRefused);
    cluster.apply(&namespace(), &workload(1), &TOKEN).await.expect("taken");
    let end = observe_until_rest(&cluster).await;
    assert!(end.workloads[0].refused.is_some() && end.pods.is_empty(), "{end:?}");
}

#[tokio::test]
async fn looking_moves_no_resource_version_and_pods_at_rest_leave_no_further_trace() {
    let world = World::memory();
    let cluster = FakeCluster::new(&world, FakeRegistry::new(&world));
    cluster.set_behaviour(PodScope::All, PodBehaviour::Ready { after: 3 });
    cluster.apply(&namespace(), &workload(1), &TOKEN).await.expect("applied");
    let version = cluster.objects(&namespace()).expect("listed")[0].resource_version.clone();
    observe_until_rest(&cluster).await;
    let at_rest = world.snapshot().expect("readable");
    observe_until_rest(&cluster).await;
    assert_eq!(world.snapshot().expect("readable"), at_rest);
    assert_eq!(cluster.objects(&namespace()).expect("listed")[0].resource_version, version);
}

#[tokio::test]
async fn a_wait_for_pods_at_rest_ends_when_a_test_changes_how_they_behave() {
    let cluster = cluster();
    cluster.set_behaviour(PodScope::All, PodBehaviour::Ready { after: 0 });
    cluster.apply(&namespace(), &workload(1), &TOKEN).await.expect("applied");
    let ready = observe_until_rest(&cluster).await;
    let (name, id) = (namespace(), deployment());
    let wait = cluster.changed(&name, &id, &ready);
    tokio::pin!(wait);
    assert!(wait.as_mut().now_or_never().is_none(), "nothing has changed");
    cluster.set_behaviour(PodScope::Deployment(deployment()), PodBehaviour::Crash);
    wait.await.expect("the pods crashed");
}

#[tokio::test]
async fn a_newer_token_is_left_on_the_object_without_a_new_version() {
    let cluster = cluster();
    cluster.apply(&namespace(), &service(), &TOKEN).await.expect("applied");
    let before = cluster.objects(&namespace()).expect("listed");
    let newer = ApplyOptions { token: FencingToken(2) };
    cluster.apply(&namespace(), &service(), &newer).await.expect("applied");
    let after = cluster.objects(&namespace()).expect("listed");
    assert_eq!(before[0].resource_version, after[0].resource_version);
    assert_eq!(after[0].document["metadata"]["annotations"][TOKEN_ANNOTATION], "2");
    let error = cluster.apply(&namespace(), &service(), &TOKEN).await.expect_err("an older owner");
    assert_eq!(error.code(), ErrorCode::LeaseLost);
}

#[tokio::test]
async fn hostile_documents_are_refused_or_tolerated_and_never_a_panic() {
    let cluster = cluster();
    for metadata in [
        json!({"name": "../x"}),
        json!({"name": "A"}),
        json!({"name": "x", "namespace": "kube-system"}),
        json!({"name": "x", "labels": {"a": 1}}),
        json!({"name": "x", "annotations": []}),
    ] {
        let manifest =
            Manifest::new(json!({"apiVersion": "v1", "kind": "Service", "metadata": metadata})).expect("names");
        let error = cluster.apply(&namespace(), &manifest, &TOKEN).await.expect_err("refused");
        assert_eq!(error.code(), ErrorCode::ObjectRefused);
    }
    for spec in [json!(null), json!([]), json!({"replicas": -1}), json!({"replicas": u64::MAX, "template": 3})] {
        let manifest = Manifest::new(json!({
            "apiVersion": "apps/v1", "kind": "Deployment", "spec": spec,
            "metadata": {"name": "x", "labels": {label::DEPLOYMENT: deployment()}},
        }));
        cluster.apply(&namespace(), &manifest.expect("names"), &TOKEN).await.expect("tolerated");
        cluster.observe(&namespace(), &deployment()).await.expect("observed");
    }
}
