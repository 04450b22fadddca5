use super::*;

const QUOTAS: &str = "/api/v1/namespaces/default/resourcequotas";

fn quota(hard: &Value) -> Value {
    json!({"metadata": {"name": "limits"}, "spec": {"hard": hard}})
}

#[tokio::test(start_paused = true)]
async fn a_quota_of_counts_refuses_one_too_many_and_keeps_count() {
    let client = client();
    client.post(QUOTAS, &quota(&json!({"count/configmaps": "2"}))).await;
    client.post(MAPS, &map("a")).await;
    client.post(MAPS, &map("b")).await;
    let answer = client.post(MAPS, &map("c")).await;
    assert_eq!(answer.0, 403);
    assert_eq!(
        message(&answer),
        "configmaps \"c\" is forbidden: exceeded quota: limits, requested: count/configmaps=1, used: \
         count/configmaps=2, limited: count/configmaps=2"
    );
    let (_, kept) = client.get(&format!("{QUOTAS}/limits")).await;
    assert_eq!(kept["status"]["used"], json!({"count/configmaps": "2"}));
    client.delete(&format!("{MAPS}/a"), &Value::Null).await;
    assert_eq!(client.post(MAPS, &map("c")).await.0, 201);
    // What is there already may change.
    let patch = json!({"data": {"a": "2"}});
    assert_eq!(client.patch(&format!("{MAPS}/b"), "merge-patch+json", &patch).await.0, 200);
}

#[tokio::test(start_paused = true)]
async fn a_quota_of_resources_adds_up_what_pods_ask_for() {
    let client = client();
    client.post(QUOTAS, &quota(&json!({"requests.cpu": "1", "requests.memory": "1Gi", "pods": 5}))).await;
    let asking = |name: &str, cpu: &str| {
        let mut pod = pod(name);
        pod["spec"]["containers"][0]["resources"] = json!({"requests": {"cpu": cpu, "memory": "256Mi"}});
        pod
    };
    assert_eq!(client.post(PODS, &asking("a", "600m")).await.0, 201);
    let answer = client.post(PODS, &asking("b", "500m")).await;
    assert_eq!(
        message(&answer),
        "pods \"b\" is forbidden: exceeded quota: limits, requested: requests.cpu=500m, used: requests.cpu=600m, \
         limited: requests.cpu=1"
    );
    assert_eq!(client.post(PODS, &asking("b", "400m")).await.0, 201);
    let (_, kept) = client.get(&format!("{QUOTAS}/limits")).await;
    assert_eq!(kept["status"]["used"], json!({"pods": "2", "requests.cpu": "1", "requests.memory": "512Mi"}));
    let answer = client.post(PODS, &pod("c")).await;
    assert!(message(&answer).contains("failed quota: limits: must specify requests.cpu for: a,requests.memory for: a"));
}

#[tokio::test(start_paused = true)]
async fn a_refusal_that_a_test_orders_looks_like_one_of_a_webhook() {
    let client = client();
    client.server.adjust(|settings| {
        settings.denials.push(Denial {
            webhook: "policy.example.com".to_owned(),
            kind: Some("Deployment".to_owned()),
            label: Some(("team".to_owned(), "a".to_owned())),
            message: "no".to_owned(),
            times: Some(1),
            ..Denial::default()
        });
    });
    let mut object = deployment("a");
    assert_eq!(client.post(DEPLOYMENTS, &object).await.0, 201);
    object["metadata"] = json!({"name": "b", "labels": {"team": "a"}});
    let answer = client.post(DEPLOYMENTS, &object).await;
    let expected = "admission webhook \"policy.example.com\" denied the request: no";
    assert_eq!((answer.0, message(&answer)), (403, expected));
    assert_eq!(client.post(DEPLOYMENTS, &object).await.0, 201);
}
