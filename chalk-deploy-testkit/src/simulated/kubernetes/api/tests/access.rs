use std::time::Duration;

use super::*;

fn settings() -> ApiSettings {
    ApiSettings {
        tokens: vec![Token::administrator("admin"), Token::new("robot", User::service_account("default", "robot"))],
        anonymous: Anonymous::Refused,
        rbac: true,
        ..ApiSettings::default()
    }
}

const ROLES: &str = "/apis/rbac.authorization.k8s.io/v1/namespaces/default/roles";
const BINDINGS: &str = "/apis/rbac.authorization.k8s.io/v1/namespaces/default/rolebindings";

async fn allow(admin: &Client, name: &str, rules: Value) {
    let (status, made) = admin.post(ROLES, &json!({"metadata": {"name": name}, "rules": rules})).await;
    assert_eq!(status, 201, "{made}");
    let binding = json!({
        "metadata": {"name": name},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": name},
        "subjects": [{"kind": "ServiceAccount", "name": "robot", "namespace": "default"}],
    });
    let (status, made) = admin.post(BINDINGS, &binding).await;
    assert_eq!(status, 201, "{made}");
}

#[tokio::test(start_paused = true)]
async fn whoever_is_unknown_is_turned_away_and_whoever_may_not_is_told_what() {
    let client = client_with(settings());
    assert_eq!(client.get(PODS).await.0, 401);
    assert_eq!(client.as_token("nonsense").get(PODS).await.0, 401);
    let robot = client.as_token("robot");
    let answer = robot.get(PODS).await;
    assert_eq!((answer.0, &answer.1["reason"]), (403, &json!("Forbidden")));
    assert_eq!(
        message(&answer),
        "pods is forbidden: User \"system:serviceaccount:default:robot\" cannot list resource \"pods\" in API group \
         \"\" in the namespace \"default\""
    );
    let answer = robot.get("/apis/apps/v1/deployments").await;
    assert!(
        message(&answer).ends_with("cannot list resource \"deployments\" in API group \"apps\" at the cluster scope")
    );
    let answer = robot.apply(&format!("{DEPLOYMENTS}/a"), "me", &deployment("a")).await;
    assert!(message(&answer).starts_with("deployments.apps \"a\" is forbidden: User"), "{answer:?}");
    assert_eq!(robot.get("/metrics").await.0, 403);
    assert_eq!(robot.get("/version").await.0, 200);
    assert_eq!(robot.get("/apis").await.0, 200);
    assert_eq!(client.as_token("admin").get(PODS).await.0, 200);
}

#[tokio::test(start_paused = true)]
async fn a_role_allows_its_verbs_on_its_resources_names_and_subresources_and_nothing_else() {
    let client = client_with(settings());
    let (admin, robot) = (client.as_token("admin"), client.as_token("robot"));
    for name in ["a", "b"] {
        admin.post(DEPLOYMENTS, &deployment(name)).await;
    }
    allow(&admin, "one", json!([
        {"apiGroups": ["apps"], "resources": ["deployments"], "resourceNames": ["a"], "verbs": ["get", "list", "watch"]},
        {"apiGroups": ["apps"], "resources": ["deployments/scale"], "verbs": ["*"]},
    ]))
    .await;
    assert_eq!(robot.get(&format!("{DEPLOYMENTS}/a")).await.0, 200);
    assert_eq!(robot.get(&format!("{DEPLOYMENTS}/b")).await.0, 403);
    assert_eq!(robot.get(DEPLOYMENTS).await.0, 403);
    assert_eq!(robot.get(&format!("{DEPLOYMENTS}?fieldSelector=metadata.name%3Da")).await.0, 200);
    assert_eq!(robot.delete(&format!("{DEPLOYMENTS}/a"), &Value::Null).await.0, 403);
    let patch = json!({"spec": {"replicas": 3}});
    assert_eq!(robot.patch(&format!("{DEPLOYMENTS}/b/scale"), "merge-patch+json", &patch).await.0, 200);
    assert_eq!(robot.patch(&format!("{DEPLOYMENTS}/b"), "merge-patch+json", &patch).await.0, 403);
}

#[tokio::test(start_paused = true)]
async fn to_apply_what_is_not_there_one_must_be_allowed_to_create() {
    let client = client_with(settings());
    let (admin, robot) = (client.as_token("admin"), client.as_token("robot"));
    allow(&admin, "patch", json!([{"apiGroups": ["apps"], "resources": ["deployments"], "verbs": ["patch"]}])).await;
    let answer = robot.apply(&format!("{DEPLOYMENTS}/a"), "me", &deployment("a")).await;
    assert!(message(&answer).contains("cannot create resource \"deployments\""), "{answer:?}");
    admin.post(DEPLOYMENTS, &deployment("a")).await;
    let patch = json!({"spec": {"replicas": 3}});
    assert_eq!(robot.patch(&format!("{DEPLOYMENTS}/a"), "merge-patch+json", &patch).await.0, 200);
}

#[tokio::test(start_paused = true)]
async fn nobody_grants_what_they_do_not_have() {
    let client = client_with(settings());
    let (admin, robot) = (client.as_token("admin"), client.as_token("robot"));
    allow(
        &admin,
        "roles",
        json!([
            {"apiGroups": ["rbac.authorization.k8s.io"], "resources": ["roles", "rolebindings"], "verbs": ["*"]},
            {"apiGroups": [""], "resources": ["pods"], "verbs": ["get"]},
        ]),
    )
    .await;
    // Whoever may do everything with roles may also escalate: so the wildcard is taken away again.
    let narrow = json!({"rules": [
        {"apiGroups": ["rbac.authorization.k8s.io"], "resources": ["roles", "rolebindings"], "verbs": ["create"]},
        {"apiGroups": [""], "resources": ["pods"], "verbs": ["get"]},
    ]});
    admin.patch(&format!("{ROLES}/roles"), "merge-patch+json", &narrow).await;
    let role = |verb: &str| {
        json!({
            "metadata": {"name": format!("pods-{verb}")},
            "rules": [{"apiGroups": [""], "resources": ["pods"], "verbs": [verb]}],
        })
    };
    assert_eq!(robot.post(ROLES, &role("get")).await.0, 201);
    let answer = robot.post(ROLES, &role("delete")).await;
    assert_eq!(answer.0, 403);
    assert!(message(&answer).contains("is attempting to grant RBAC permissions not currently held"), "{answer:?}");
}

#[tokio::test(start_paused = true)]
async fn a_review_says_what_a_request_would_be_told() {
    let client = client_with(settings());
    let (admin, robot) = (client.as_token("admin"), client.as_token("robot"));
    allow(&admin, "read", json!([{"apiGroups": [""], "resources": ["pods", "pods/log"], "verbs": ["get"]}])).await;
    let reviews = "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews";
    let question = |verb: &str, subresource: &str| {
        json!({
            "apiVersion": "authorization.k8s.io/v1",
            "kind": "SelfSubjectAccessReview",
            "spec": {"resourceAttributes": {
                "namespace": "default", "verb": verb, "group": "", "resource": "pods", "subresource": subresource,
            }},
        })
    };
    for (asker, verb, subresource, expected) in [
        (&robot, "get", "", true),
        (&robot, "get", "log", true),
        (&robot, "get", "status", false),
        (&robot, "delete", "", false),
        (&admin, "delete", "", true),
    ] {
        let (status, answer) = asker.post(reviews, &question(verb, subresource)).await;
        assert_eq!((status, &answer["status"]["allowed"]), (201, &json!(expected)), "{verb} {subresource}");
    }
    let (_, rules) = robot
        .post("/apis/authorization.k8s.io/v1/selfsubjectrulesreviews", &json!({"spec": {"namespace": "default"}}))
        .await;
    let listed = rules["status"]["resourceRules"].as_array().expect("rules");
    assert!(listed.iter().any(|rule| rule["resources"] == json!(["pods", "pods/log"])), "{rules}");
    let (_, me) = robot.post("/apis/authentication.k8s.io/v1/selfsubjectreviews", &json!({})).await;
    assert_eq!(me["status"]["userInfo"]["username"], "system:serviceaccount:default:robot");
    let other = json!({"spec": {"user": "x", "resourceAttributes": {"verb": "get", "resource": "pods"}}});
    assert_eq!(robot.post("/apis/authorization.k8s.io/v1/subjectaccessreviews", &other).await.0, 403);
    let (_, answer) = admin.post("/apis/authorization.k8s.io/v1/subjectaccessreviews", &other).await;
    assert_eq!(answer["status"]["allowed"], false);
    assert_eq!(robot.post(reviews, &json!({"spec": {}})).await.0, 400);
}

#[tokio::test(start_paused = true)]
async fn a_token_ends_at_its_time() {
    let client = client_with(settings());
    let end = client.runtime().now().plus(Duration::from_mins(1));
    client.server.adjust(|settings| settings.tokens.push(Token::administrator("short").until(end)));
    let short = client.as_token("short");
    assert_eq!(short.get(PODS).await.0, 200);
    client.runtime().sleep(Duration::from_mins(1)).await;
    assert_eq!(short.get(PODS).await.0, 401);
    assert!(!format!("{:?}", client.server.settings().tokens).contains("short"));
}

#[tokio::test(start_paused = true)]
async fn a_server_under_load_says_when_to_come_back() {
    let client = client();
    client.server.adjust(|settings| settings.overload = Some(Overload { requests: 1, retry_after_seconds: 7 }));
    let response = client.send(Method::GET, PODS, &[], "").await;
    assert_eq!((response.status().as_u16(), &response.headers()["retry-after"]), (429, &http::HeaderValue::from(7)));
    assert_eq!(value(response).await.1["details"]["retryAfterSeconds"], 7);
    assert_eq!(client.get(PODS).await.0, 200);
}
