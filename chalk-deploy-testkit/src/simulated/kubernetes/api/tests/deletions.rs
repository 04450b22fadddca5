use super::*;
use crate::simulated::kubernetes::resource::POD;

#[tokio::test(start_paused = true)]
async fn a_deletion_is_held_to_the_uid_and_the_version_that_it_names() {
    let client = client();
    let (_, made) = client.post(MAPS, &map("a")).await;
    let path = format!("{MAPS}/a");
    for preconditions in [json!({"uid": "another"}), json!({"resourceVersion": "1"})] {
        let answer = client.delete(&path, &json!({"preconditions": preconditions})).await;
        assert_eq!((answer.0, &answer.1["reason"]), (409, &json!("Conflict")));
    }
    let uid = &made["metadata"]["uid"];
    assert_eq!(client.delete(&path, &json!({"preconditions": {"uid": uid}})).await.0, 200);
    assert_eq!(client.delete(&path, &Value::Null).await.0, 404);
    assert_eq!(client.delete(&path, &json!({"propagationPolicy": "Nonsense"})).await.0, 422);
}

#[tokio::test(start_paused = true)]
async fn an_object_with_finalizers_goes_when_the_last_of_them_does() {
    let client = client();
    let mut object = map("a");
    object["metadata"]["finalizers"] = json!(["example.com/a", "example.com/b"]);
    client.post(MAPS, &object).await;
    let path = format!("{MAPS}/a");
    let (status, going) = client.delete(&path, &Value::Null).await;
    assert_eq!((status, going["metadata"]["deletionTimestamp"].is_string()), (200, true));
    let version = going["metadata"]["resourceVersion"].clone();
    assert_eq!(client.delete(&path, &Value::Null).await.1["metadata"]["resourceVersion"], version);
    let keep = |finalizers: Value| json!({"metadata": {"finalizers": finalizers}});
    client.patch(&path, "merge-patch+json", &keep(json!(["example.com/b"]))).await;
    assert_eq!(client.get(&path).await.0, 200);
    // Nobody takes a deletion back.
    let (_, still) = client.patch(&path, "merge-patch+json", &json!({"metadata": {"deletionTimestamp": null}})).await;
    assert!(still["metadata"]["deletionTimestamp"].is_string());
    client.patch(&path, "merge-patch+json", &keep(Value::Null)).await;
    assert_eq!(client.get(&path).await.0, 404);
}

#[tokio::test(start_paused = true)]
async fn the_policies_of_propagation_leave_finalizers_for_the_garbage_collector() {
    for (policy, finalizer) in [("Foreground", "foregroundDeletion"), ("Orphan", "orphan")] {
        let client = client();
        client.post(DEPLOYMENTS, &deployment("a")).await;
        let (_, going) = client.delete(&format!("{DEPLOYMENTS}/a"), &json!({"propagationPolicy": policy})).await;
        assert_eq!(going["metadata"]["finalizers"], json!([finalizer]));
        assert!(going["metadata"]["deletionTimestamp"].is_string());
    }
    let client = client();
    client.post(DEPLOYMENTS, &deployment("a")).await;
    let (_, done) = client.delete(&format!("{DEPLOYMENTS}/a?propagationPolicy=Background"), &Value::Null).await;
    assert_eq!(done["status"], "Success");
}

#[tokio::test(start_paused = true)]
async fn a_pod_on_a_node_has_the_time_to_end_that_it_asks_for_and_one_without_has_none() {
    let client = client();
    client.post(PODS, &pod("waiting")).await;
    let (_, gone) = client.delete(&format!("{PODS}/waiting"), &Value::Null).await;
    assert_eq!((&gone["kind"], client.get(&format!("{PODS}/waiting")).await.0), (&json!("Pod"), 404));
    let mut running = pod("running");
    running["spec"]["nodeName"] = "n".into();
    running["spec"]["terminationGracePeriodSeconds"] = 30.into();
    client.store(POD, "default", "running", running);
    let path = format!("{PODS}/running");
    let (_, going) = client.delete(&path, &Value::Null).await;
    assert_eq!(going["metadata"]["deletionGracePeriodSeconds"], 30);
    assert_eq!(going["metadata"]["deletionTimestamp"], "2025-01-01T00:00:30Z");
    let (_, sooner) = client.delete(&path, &json!({"gracePeriodSeconds": 5})).await;
    assert_eq!(sooner["metadata"]["deletionGracePeriodSeconds"], 5);
    let (_, later) = client.delete(&path, &json!({"gracePeriodSeconds": 60})).await;
    assert_eq!(later["metadata"]["deletionGracePeriodSeconds"], 5);
    client.delete(&path, &json!({"gracePeriodSeconds": 0})).await;
    assert_eq!(client.get(&path).await.0, 404);
}

#[tokio::test(start_paused = true)]
async fn a_namespace_is_terminating_until_it_is_finalized_and_takes_nothing_new() {
    let client = client();
    let (_, made) = client.post("/api/v1/namespaces", &json!({"metadata": {"name": "a"}})).await;
    assert_eq!(made["status"]["phase"], "Active");
    assert_eq!(made["metadata"]["labels"]["kubernetes.io/metadata.name"], "a");
    let (status, mut going) = client.delete("/api/v1/namespaces/a", &Value::Null).await;
    assert_eq!((status, &going["status"]["phase"]), (200, &json!("Terminating")));
    let answer = client.post("/api/v1/namespaces/a/configmaps", &map("x")).await;
    assert_eq!(answer.0, 403);
    assert_eq!(
        message(&answer),
        "configmaps \"x\" is forbidden: unable to create new content in namespace a because it is being terminated"
    );
    assert_eq!(answer.1["details"]["causes"][0]["reason"], "NamespaceTerminating");
    going["spec"]["finalizers"] = json!([]);
    let (status, last) = client.put("/api/v1/namespaces/a/finalize", &going).await;
    assert_eq!(status, 200, "{last}");
    assert_eq!(client.get("/api/v1/namespaces/a").await.0, 404);
    assert_eq!(client.delete("/api/v1/namespaces/default", &Value::Null).await.0, 403);
}

#[tokio::test(start_paused = true)]
async fn a_collection_is_deleted_as_far_as_its_selector_goes() {
    let client = client();
    for (name, label) in [("a", "x"), ("b", "y"), ("c", "x")] {
        let mut object = map(name);
        object["metadata"]["labels"] = json!({"app": label});
        client.post(MAPS, &object).await;
    }
    let (status, list) = client.delete(&format!("{MAPS}?labelSelector=app%3Dx"), &Value::Null).await;
    assert_eq!((status, list["items"].as_array().map(Vec::len)), (200, Some(2)));
    let (_, left) = client.get(MAPS).await;
    assert_eq!(left["items"].as_array().map(Vec::len), Some(1));
}

#[tokio::test(start_paused = true)]
async fn an_eviction_spends_what_a_budget_allows_and_is_then_refused() {
    let client = client();
    for name in ["a", "b"] {
        let mut running = pod(name);
        running["spec"]["nodeName"] = "n".into();
        running["status"] = json!({"phase": "Running"});
        client.store(POD, "default", name, running);
    }
    let budget = json!({
        "spec": {"minAvailable": 1, "selector": {"matchLabels": {"app": "x"}}},
        "status": {"disruptionsAllowed": 1, "desiredHealthy": 1, "currentHealthy": 1},
    });
    client.store(crate::simulated::kubernetes::resource::POD_DISRUPTION_BUDGET, "default", "x", budget);
    let eviction = |name: &str| json!({"apiVersion": "policy/v1", "kind": "Eviction", "metadata": {"name": name}});
    assert_eq!(client.post(&format!("{PODS}/a/eviction"), &eviction("a")).await.0, 201);
    assert!(client.get(&format!("{PODS}/a")).await.1["metadata"]["deletionTimestamp"].is_string());
    let answer = client.post(&format!("{PODS}/b/eviction"), &eviction("b")).await;
    assert_eq!((answer.0, &answer.1["details"]["causes"][0]["reason"]), (429, &json!("DisruptionBudget")));
    assert_eq!(client.get(&format!("{PODS}/b/eviction")).await.0, 405);
}
