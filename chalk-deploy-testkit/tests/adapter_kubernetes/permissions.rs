//! Under a role: what is missing is named, and what can be done without it is done.

use chalk_deploy_core::ErrorCode;
use chalk_deploy_core::cloud::{ClusterApi as _, Selector};
use chalk_deploy_core::kubernetes::{
    AccessRequest, AccessReview as _, ClusterAccess, Credentials, KubernetesCluster, LogRequest, PodLogs as _, Secret,
};
use chalk_deploy_testkit::simulated::fault::{ProtocolFaults, Requests};
use chalk_deploy_testkit::simulated::kubernetes::api::{Anonymous, Token, User};
use chalk_deploy_testkit::simulated::kubernetes::objects::Key;
use chalk_deploy_testkit::simulated::kubernetes::resource::{ROLE, ROLE_BINDING};
use serde_json::{Value, json};

use super::harness::{
    Plane, TOKEN, bring_up, config_map, deployment, engine, ensure_namespace, environment, namespace,
};

/// A cluster adapter for someone who may do what these rules say, in the namespace.
#[expect(clippy::needless_pass_by_value, reason = "a test writes the rules where it calls")]
fn under(plane: &Plane, rules: Value) -> KubernetesCluster {
    ensure_namespace(&plane.objects, "prod");
    plane.objects.create(&Key::new(ROLE, "prod", "deployer"), json!({"rules": rules})).expect("free");
    let binding = json!({
        "subjects": [{"kind": "User", "name": "deployer", "apiGroup": "rbac.authorization.k8s.io"}],
        "roleRef": {"kind": "Role", "name": "deployer", "apiGroup": "rbac.authorization.k8s.io"},
    });
    plane.objects.create(&Key::new(ROLE_BINDING, "prod", "deployer"), binding).expect("free");
    plane.server.adjust(|settings| {
        settings.rbac = true;
        settings.anonymous = Anonymous::Refused;
        settings.tokens = vec![Token::new("a-token", User::new("deployer", [""; 0]))];
    });
    let access = ClusterAccess::anonymous("https://kubernetes.embedded").expect("an address");
    let access = access.with_credentials(Credentials::Token(Secret::new("a-token")));
    KubernetesCluster::new(plane.connection_as(access))
}

/// What the published documentation of Chalk grants, as far as a deployment touches it.
fn published() -> Value {
    json!([
        {"apiGroups": [""], "resources": ["configmaps", "pods", "services"],
            "verbs": ["get", "list", "create", "update", "patch", "watch"]},
        {"apiGroups": [""], "resources": ["pods/log"], "verbs": ["get", "list", "watch"]},
        {"apiGroups": ["apps"], "resources": ["deployments", "replicasets"],
            "verbs": ["get", "list", "update", "patch", "create", "delete"]},
    ])
}

#[tokio::test(start_paused = true)]
async fn under_the_published_role_readiness_is_told_by_the_pods() {
    let plane = Plane::new(ProtocolFaults::new());
    let cluster = under(&plane, published());
    bring_up(&plane, &cluster, &namespace(), &deployment('a'), true).await.expect("it becomes ready");
    // The endpoints are there before the last status is written.
    plane.runtime.sleep(std::time::Duration::from_secs(5)).await;
    let seen = cluster.observe(&namespace(), &deployment('a')).await.expect("readable");
    assert_eq!((seen.workloads[0].ready, seen.ready_endpoints), (1, Some(1)));
}

#[tokio::test(start_paused = true)]
async fn where_deployments_may_not_even_be_listed_their_pods_stand_for_them() {
    let plane = Plane::new(ProtocolFaults::new());
    let rules = json!([{"apiGroups": [""], "resources": ["pods", "services"], "verbs": ["get", "list", "watch"]}]);
    let cluster = under(&plane, rules);
    // Someone else has applied it.
    for manifest in engine(&deployment('a'), 2) {
        let access = ClusterAccess::anonymous("https://kubernetes.embedded").expect("an address");
        plane.server.adjust(|settings| settings.anonymous = Anonymous::Administrator);
        let other = KubernetesCluster::new(plane.connection_as(access));
        other.apply(&namespace(), &manifest, &TOKEN).await.expect("applied");
    }
    let mut seen = cluster.observe(&namespace(), &deployment('a')).await.expect("readable");
    for _ in 0..100 {
        if seen.ready_endpoints == Some(2) {
            break;
        }
        cluster.changed(&namespace(), &deployment('a'), &seen).await.expect("the pods may be watched");
        seen = cluster.observe(&namespace(), &deployment('a')).await.expect("readable");
    }
    let [workload] = seen.workloads.as_slice() else { panic!("{:?}", seen.workloads) };
    assert_eq!((workload.desired, workload.ready), (2, 2));
    assert_eq!(workload.identity.reference.name, format!("engine-{}", deployment('a')));
}

#[tokio::test(start_paused = true)]
async fn a_missing_permission_is_an_error_that_names_verb_resource_and_namespace() {
    let plane = Plane::new(ProtocolFaults::new());
    let rules = json!([{"apiGroups": [""], "resources": ["configmaps"], "verbs": ["get"]}]);
    let cluster = under(&plane, rules);
    let refused = cluster.apply(&namespace(), &config_map("1"), &TOKEN).await.expect_err("it may not patch");
    assert_eq!(refused.code(), ErrorCode::PermissionDenied);
    let words = refused.sentence();
    assert!(
        words.contains("configmaps") && words.contains("`prod`") && words.contains("ConfigMap prod/settings"),
        "{words}"
    );
    let selector = Selector { environment: environment(), deployment: None };
    let refused = cluster.list(&namespace(), &selector).await.expect_err("it may not list");
    assert!(refused.sentence().contains("`list` on `deployments.apps`"), "{}", refused.sentence());
}

#[tokio::test(start_paused = true)]
async fn a_review_says_exactly_what_the_published_role_lacks() {
    let plane = Plane::new(ProtocolFaults::new());
    let cluster = under(&plane, published());
    let wanted = AccessRequest::of_a_deployment(&namespace());
    let missing = cluster.missing(&wanted).await.expect("everyone may ask about themselves");
    let words: Vec<_> = missing.iter().map(ToString::to_string).collect();
    let says = |text: &str| words.iter().any(|line| line.starts_with(text));
    for text in [
        "`watch` on `deployments.apps`",
        "`delete` on `services`",
        "`delete` on `configmaps`",
        "`update` on `httproutes.gateway.networking.k8s.io`",
        "`list` on `endpointslices.discovery.k8s.io`",
    ] {
        assert!(says(text), "{text} is not among {words:#?}");
    }
    assert!(!says("`watch` on `pods`") && !says("`get` on `pods/log`") && !says("`patch` on `deployments.apps`"));
}

#[tokio::test(start_paused = true)]
async fn a_preflight_refuses_what_cannot_succeed_and_remarks_on_what_is_only_slower() {
    let plane = Plane::new(ProtocolFaults::new());
    ensure_namespace(&plane.objects, "prod");
    let whole = KubernetesCluster::new(plane.connection());
    assert_eq!(whole.preflight(&namespace()).await.expect("everything is permitted"), []);
    let elsewhere = whole.preflight(&"nowhere".parse().expect("a name")).await.expect_err("there is none");
    assert_eq!(elsewhere.code(), ErrorCode::ObjectRefused);
    assert!(elsewhere.sentence().contains("namespace `nowhere`"), "{}", elsewhere.sentence());

    let refused = under(&Plane::new(ProtocolFaults::new()), published())
        .preflight(&namespace())
        .await
        .expect_err("it may not delete services");
    assert_eq!(refused.code(), ErrorCode::PermissionDenied);
    assert!(refused.sentence().contains("`delete` on `services`"), "{}", refused.sentence());
    assert!(!refused.sentence().contains("`watch`"), "{}", refused.sentence());

    let without_watches = json!([
        {"apiGroups": ["*"], "resources": ["*"], "verbs": ["get", "list", "create", "patch", "update", "delete"]},
        {"apiGroups": [""], "resources": ["pods"], "verbs": ["watch"]},
    ]);
    let slower = under(&plane, without_watches).preflight(&namespace()).await.expect("it succeeds without");
    let words: Vec<_> = slower.iter().map(ToString::to_string).collect();
    assert!(words.len() == 3 && words[0].starts_with("`watch` on `deployments.apps`"), "{words:?}");
}

#[tokio::test(start_paused = true)]
async fn an_unknown_token_is_an_error_that_says_so_and_is_asked_once() {
    let plane = Plane::new(ProtocolFaults::new());
    let cluster = under(&plane, published());
    plane.server.adjust(|settings| settings.tokens.clear());
    let refused = cluster.apply(&namespace(), &config_map("1"), &TOKEN).await.expect_err("nobody knows the token");
    assert_eq!(refused.code(), ErrorCode::PermissionDenied);
    assert!(refused.sentence().contains("401") && !refused.sentence().contains("a-token"), "{}", refused.sentence());
    assert_eq!(plane.faults.count(&Requests::to("kubernetes")), 1);
}

#[tokio::test(start_paused = true)]
async fn the_last_lines_of_a_container_are_read_and_a_pod_that_is_not_there_has_said_nothing() {
    let plane = Plane::new(ProtocolFaults::new());
    let cluster = KubernetesCluster::new(plane.connection());
    bring_up(&plane, &cluster, &namespace(), &deployment('a'), true).await.expect("it becomes ready");
    let pod = cluster.observe(&namespace(), &deployment('a')).await.expect("readable").pods[0].name.clone();
    let request = LogRequest { namespace: namespace(), pod, container: None, previous: false, lines: 1 };
    let lines = cluster.tail(&request).await.expect("readable");
    assert_eq!(lines.len(), 1, "{lines:?}");
    let nowhere = LogRequest { pod: "nowhere".to_owned(), ..request };
    assert_eq!(cluster.tail(&nowhere).await.expect("readable"), [""; 0]);
}
