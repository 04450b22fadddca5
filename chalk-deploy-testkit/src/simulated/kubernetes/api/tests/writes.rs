use super::*;

#[tokio::test(start_paused = true)]
async fn an_object_is_created_read_replaced_and_deleted() {
    let client = client();
    let (status, made) = client.post(MAPS, &map("a")).await;
    assert_eq!((status, &made["kind"], &made["metadata"]["namespace"]), (201, &json!("ConfigMap"), &json!("default")));
    assert_eq!(client.get(&format!("{MAPS}/a")).await, (200, made.clone()));
    let mut next = made.clone();
    next["data"]["a"] = "2".into();
    let (status, changed) = client.put(&format!("{MAPS}/a"), &next).await;
    assert_eq!((status, &changed["data"]["a"]), (200, &json!("2")));
    let answer = client.put(&format!("{MAPS}/a"), &next).await;
    assert_eq!((answer.0, &answer.1["reason"]), (409, &json!("Conflict")));
    assert_eq!(answer.1["details"], json!({"name": "a", "kind": "configmaps"}));
    let (status, done) = client.delete(&format!("{MAPS}/a"), &Value::Null).await;
    assert_eq!((status, &done["status"], &done["details"]["uid"]), (200, &json!("Success"), &made["metadata"]["uid"]));
    let answer = client.get(&format!("{MAPS}/a")).await;
    assert_eq!((answer.0, message(&answer)), (404, "configmaps \"a\" not found"));
}

#[tokio::test(start_paused = true)]
async fn what_a_server_fills_in_is_there_after_a_creation() {
    let client = client();
    let (status, made) = client.post(DEPLOYMENTS, &deployment("a")).await;
    assert_eq!(status, 201, "{made}");
    assert_eq!(made["spec"]["replicas"], 1);
    assert_eq!(made["spec"]["strategy"]["rollingUpdate"]["maxSurge"], "25%");
    assert_eq!(made["spec"]["progressDeadlineSeconds"], 600);
    assert_eq!(made["spec"]["template"]["spec"]["terminationGracePeriodSeconds"], 30);
    assert_eq!(made["spec"]["template"]["spec"]["containers"][0]["imagePullPolicy"], "IfNotPresent");
    let service = json!({"metadata": {"name": "a"}, "spec": {"ports": [{"port": 80}]}});
    let (status, made) = client.post("/api/v1/namespaces/default/services", &service).await;
    assert_eq!(status, 201, "{made}");
    assert_eq!(made["spec"]["ports"], json!([{"port": 80, "protocol": "TCP", "targetPort": 80}]));
    assert!(made["spec"]["clusterIP"].as_str().is_some_and(|ip| ip.starts_with("10.96.")), "{made}");
    let route = json!({
        "apiVersion": "gateway.networking.k8s.io/v1",
        "kind": "HTTPRoute",
        "metadata": {"name": "a"},
        "spec": {"rules": [{"backendRefs": [{"name": "a", "port": 80}]}]},
    });
    let (status, made) = client.post("/apis/gateway.networking.k8s.io/v1/namespaces/default/httproutes", &route).await;
    assert_eq!(status, 201, "{made}");
    let rule = &made["spec"]["rules"][0];
    assert_eq!(rule["matches"], json!([{"path": {"type": "PathPrefix", "value": "/"}}]));
    assert_eq!((&rule["backendRefs"][0]["weight"], &rule["backendRefs"][0]["kind"]), (&json!(1), &json!("Service")));
}

#[tokio::test(start_paused = true)]
async fn a_manager_who_changes_what_another_has_applied_gets_a_conflict_that_names_the_field() {
    let client = client();
    let path = format!("{DEPLOYMENTS}/a");
    let mut applied = deployment("a");
    applied["spec"]["replicas"] = 2.into();
    let (status, made) = client.apply(&path, "first", &applied).await;
    assert_eq!((status, &made["metadata"]["managedFields"][0]["operation"]), (201, &json!("Apply")), "{made}");
    assert_eq!(client.apply(&path, "first", &applied).await, (200, made.clone()));
    applied["spec"]["replicas"] = 3.into();
    let answer = client.apply(&path, "second", &applied).await;
    assert_eq!((answer.0, &answer.1["reason"]), (409, &json!("Conflict")));
    assert_eq!(message(&answer), "Apply failed with 1 conflict: conflict with \"first\": .spec.replicas");
    assert_eq!(answer.1["details"]["causes"][0]["field"], ".spec.replicas");
    let (status, taken) = client.apply(&format!("{path}?force=true"), "second", &applied).await;
    assert_eq!((status, &taken["spec"]["replicas"], &taken["metadata"]["generation"]), (200, &json!(3), &json!(2)));
}

#[tokio::test(start_paused = true)]
async fn an_apply_that_names_a_version_or_a_uid_is_held_to_it() {
    let client = client();
    let path = format!("{MAPS}/a");
    let mut applied = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "a"}, "data": {"a": "1"}});
    applied["metadata"]["uid"] = "unknown".into();
    assert_eq!(client.apply(&path, "first", &applied).await.0, 409);
    applied["metadata"]["uid"] = Value::Null;
    // Of what is not there any version may be named, as a real server was found to do.
    applied["metadata"]["resourceVersion"] = "1".into();
    let (code, made) = client.apply(&path, "first", &applied).await;
    assert_eq!(code, 201);
    applied["data"]["a"] = "2".into();
    applied["metadata"]["resourceVersion"] = "1".into();
    assert_eq!(client.apply(&path, "first", &applied).await.0, 409);
    applied["metadata"]["resourceVersion"] = made["metadata"]["resourceVersion"].clone();
    assert_eq!(client.apply(&path, "first", &applied).await.0, 200);
    applied["metadata"]["resourceVersion"] = Value::Null;
    applied["metadata"]["uid"] = "another".into();
    assert_eq!(client.apply(&path, "first", &applied).await.0, 409);
}

#[tokio::test(start_paused = true)]
async fn an_apply_may_be_written_in_yaml_and_needs_a_manager() {
    let client = client();
    let yaml = "apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: a\ndata:\n  a: \"1\"\n";
    let headers = [("content-type", "application/apply-patch+yaml")];
    let path = format!("{MAPS}/a");
    let answer = client.ask(Method::PATCH, &path, &headers, yaml).await;
    assert_eq!((answer.0, &answer.1["details"]["causes"][0]["field"]), (422, &json!("fieldManager")), "{answer:?}");
    let answer = client.ask(Method::PATCH, &format!("{path}?fieldManager=me"), &headers, yaml).await;
    assert_eq!((answer.0, &answer.1["data"]["a"]), (201, &json!("1")), "{answer:?}");
    let answer = client.ask(Method::PATCH, &format!("{path}?fieldManager=me"), &headers, "a: [").await;
    assert_eq!(answer.0, 400, "{answer:?}");
}

#[tokio::test(start_paused = true)]
async fn the_three_other_patches_change_what_they_say() {
    let client = client();
    client.post(DEPLOYMENTS, &deployment("a")).await;
    let place = format!("{DEPLOYMENTS}/a");
    let patch = json!({"spec": {"template": {"spec": {"containers": [{"name": "b", "image": "b:1"}]}}}});
    let (status, changed) = client.patch(&place, "strategic-merge-patch+json", &patch).await;
    let containers = &changed["spec"]["template"]["spec"]["containers"];
    assert_eq!((status, containers.as_array().map(Vec::len)), (200, Some(2)), "{changed}");
    let (status, changed) = client.patch(&place, "merge-patch+json", &patch).await;
    let containers = &changed["spec"]["template"]["spec"]["containers"];
    assert_eq!((status, containers.as_array().map(Vec::len)), (200, Some(1)), "{changed}");
    let patch = json!([{"op": "replace", "path": "/spec/replicas", "value": 5}]);
    let (status, changed) = client.patch(&place, "json-patch+json", &patch).await;
    assert_eq!((status, &changed["spec"]["replicas"]), (200, &json!(5)));
    let answer = client.patch(&place, "nonsense", &patch).await;
    assert_eq!((answer.0, &answer.1["reason"]), (415, &json!("UnsupportedMediaType")));
    let patch = json!({"metadata": {"resourceVersion": "1"}, "spec": {"replicas": 6}});
    assert_eq!(client.patch(&place, "merge-patch+json", &patch).await.0, 409);
}

#[tokio::test(start_paused = true)]
async fn a_status_is_written_through_its_subresource_and_nowhere_else() {
    let client = client();
    let mut object = deployment("a");
    object["status"] = json!({"replicas": 7});
    let (_, made) = client.post(DEPLOYMENTS, &object).await;
    assert_eq!(made["status"]["replicas"], Value::Null);
    let patch = json!({"spec": {"replicas": 9}, "status": {"replicas": 7, "observedGeneration": 1}});
    let (status, changed) = client.patch(&format!("{DEPLOYMENTS}/a/status"), "merge-patch+json", &patch).await;
    assert_eq!((status, &changed["status"]["replicas"], &changed["spec"]["replicas"]), (200, &json!(7), &json!(1)));
    assert_eq!(changed["metadata"]["generation"], 1);
    let patch = json!({"spec": {"replicas": 9}, "status": {"replicas": 8}});
    let (_, changed) = client.patch(&format!("{DEPLOYMENTS}/a"), "merge-patch+json", &patch).await;
    assert_eq!((&changed["status"]["replicas"], &changed["spec"]["replicas"]), (&json!(7), &json!(9)));
    let managers: Vec<_> = changed["metadata"]["managedFields"]
        .as_array()
        .expect("managers")
        .iter()
        .map(|entry| entry["subresource"].as_str().unwrap_or_default())
        .collect();
    assert!(managers.contains(&"status"), "{managers:?}");
}

#[tokio::test(start_paused = true)]
async fn the_scale_of_a_deployment_is_its_number_of_replicas() {
    let client = client();
    client.post(DEPLOYMENTS, &deployment("a")).await;
    let path = format!("{DEPLOYMENTS}/a/scale");
    let (status, mut scale) = client.get(&path).await;
    assert_eq!((status, &scale["kind"], &scale["spec"]["replicas"]), (200, &json!("Scale"), &json!(1)));
    scale["spec"]["replicas"] = 4.into();
    assert_eq!(client.put(&path, &scale).await.1["spec"]["replicas"], 4);
    assert_eq!(client.put(&path, &scale).await.0, 409);
    let more = json!({"spec": {"replicas": 5}});
    assert_eq!(client.patch(&path, "merge-patch+json", &more).await.1["spec"]["replicas"], 5);
    assert_eq!(client.get(&format!("{DEPLOYMENTS}/a")).await.1["spec"]["replicas"], 5);
    let less = json!({"spec": {"replicas": -1}});
    assert_eq!(client.patch(&path, "merge-patch+json", &less).await.0, 422);
}

#[tokio::test(start_paused = true)]
async fn what_may_not_change_is_refused_with_the_field() {
    let client = client();
    client.post(DEPLOYMENTS, &deployment("a")).await;
    let patch = json!({"spec": {"selector": {"matchLabels": {"more": "x"}}, "template": {"metadata": {"labels": {"more": "x"}}}}});
    let answer = client.patch(&format!("{DEPLOYMENTS}/a"), "merge-patch+json", &patch).await;
    assert_eq!((answer.0, &answer.1["reason"]), (422, &json!("Invalid")));
    assert_eq!(answer.1["details"]["causes"][0]["field"], "spec.selector");
    assert!(message(&answer).contains("field is immutable"), "{answer:?}");
    let service = json!({"metadata": {"name": "a"}, "spec": {"ports": [{"port": 80}]}});
    client.post("/api/v1/namespaces/default/services", &service).await;
    let patch = json!({"spec": {"clusterIP": "10.96.9.9"}});
    let answer = client.patch("/api/v1/namespaces/default/services/a", "merge-patch+json", &patch).await;
    assert_eq!(answer.0, 422, "{answer:?}");
    // A replacement that does not mention the address keeps it.
    let (status, kept) = client.put("/api/v1/namespaces/default/services/a", &service).await;
    assert_eq!(status, 200, "{kept}");
    assert!(kept["spec"]["clusterIP"].is_string());
}

#[tokio::test(start_paused = true)]
async fn unknown_and_double_fields_are_refused_warned_of_or_dropped() {
    let client = client();
    let mut object = deployment("a");
    object["spec"]["template"]["spec"]["containres"] = json!([]);
    let strict = client.post(&format!("{DEPLOYMENTS}?fieldValidation=Strict"), &object).await;
    assert_eq!(strict.0, 400);
    assert!(message(&strict).contains("strict decoding error: unknown field \"spec.template.spec.containres\""));
    let headers = [("content-type", "application/json")];
    let warned = client.send(Method::POST, DEPLOYMENTS, &headers, &object.to_string()).await;
    assert_eq!(warned.status(), 201);
    assert_eq!(warned.headers()["warning"], "299 - \"unknown field \\\"spec.template.spec.containres\\\"\"");
    let (_, made) = client.get(&format!("{DEPLOYMENTS}/a")).await;
    assert_eq!(made["spec"]["template"]["spec"]["containres"], Value::Null);
    let double = r#"{"metadata": {"name": "b"}, "data": {"a": "1", "a": "2"}}"#;
    let answer = client.ask(Method::POST, &format!("{MAPS}?fieldValidation=Strict"), &headers, double).await;
    assert!(message(&answer).contains("duplicate field \"data.a\""), "{answer:?}");
    let wrong = json!({"metadata": {"name": "c"}, "data": {"a": 1}});
    assert_eq!(client.post(MAPS, &wrong).await.0, 400);
}

#[tokio::test(start_paused = true)]
async fn a_dry_run_is_answered_as_if_and_stores_nothing() {
    let client = client();
    let version = client.server.objects().version();
    let (status, made) = client.post(&format!("{MAPS}?dryRun=All"), &map("a")).await;
    assert_eq!((status, &made["data"]["a"]), (201, &json!("1")));
    assert_eq!(client.get(&format!("{MAPS}/a")).await.0, 404);
    assert_eq!(client.apply(&format!("{DEPLOYMENTS}/a?dryRun=All"), "me", &deployment("a")).await.0, 201);
    assert_eq!(client.server.objects().version(), version);
    client.post(MAPS, &map("a")).await;
    assert_eq!(client.post(&format!("{MAPS}?dryRun=All"), &map("a")).await.0, 409);
    let patch = json!({"data": {"a": "2"}});
    let (_, shown) = client.patch(&format!("{MAPS}/a?dryRun=All"), "merge-patch+json", &patch).await;
    assert_eq!(shown["data"]["a"], "2");
    assert_eq!(client.delete(&format!("{MAPS}/a"), &json!({"dryRun": ["All"]})).await.0, 200);
    assert_eq!(client.get(&format!("{MAPS}/a")).await.1["data"]["a"], "1");
    assert_eq!(client.post(&format!("{MAPS}?dryRun=Some"), &map("b")).await.0, 400);
}

#[tokio::test(start_paused = true)]
async fn generated_names_begin_as_asked_and_differ() {
    let client = client();
    let object = json!({"metadata": {"generateName": "a-"}});
    let mut names = std::collections::BTreeSet::new();
    for _ in 0..5 {
        let (status, made) = client.post(MAPS, &object).await;
        let name = made["metadata"]["name"].as_str().expect("a name").to_owned();
        assert_eq!((status, name.len(), &name[..2]), (201, 7, "a-"));
        names.insert(name);
    }
    assert_eq!(names.len(), 5);
}

#[tokio::test(start_paused = true)]
async fn what_is_not_an_object_of_the_path_is_refused() {
    let client = client();
    let headers = [("content-type", "application/json")];
    for (path, body, expected) in [
        (MAPS, "{", 400),
        (MAPS, "[]", 400),
        (MAPS, "null", 400),
        (MAPS, r#"{"metadata": 3}"#, 400),
        (MAPS, r#"{"metadata": {"name": 3}}"#, 400),
        (MAPS, r#"{"kind": "Pod", "metadata": {"name": "a"}}"#, 400),
        (MAPS, r#"{"apiVersion": "v2", "metadata": {"name": "a"}}"#, 400),
        (MAPS, r#"{"metadata": {"name": "a", "namespace": "other"}}"#, 400),
        (MAPS, r#"{"metadata": {"name": "../a"}}"#, 422),
        (MAPS, r#"{"metadata": {}}"#, 422),
        (MAPS, r#"{"metadata": {"name": "a", "resourceVersion": "1"}}"#, 400),
        ("/api/v1/configmaps", r#"{"metadata": {"name": "a"}}"#, 405),
        ("/api/v1/namespaces/missing/configmaps", r#"{"metadata": {"name": "a"}}"#, 404),
        ("/api/v1/namespaces/default/nonsense", "{}", 404),
        ("/nonsense", "{}", 404),
    ] {
        let answer = client.ask(Method::POST, path, &headers, body).await;
        assert_eq!(answer.0, expected, "{path} {body}: {answer:?}");
        assert_eq!(answer.1["kind"], "Status", "{path} {body}");
    }
    let answer = client.ask(Method::POST, MAPS, &[("content-type", "text/plain")], "{}").await;
    assert_eq!(answer.0, 415);
    let long = " ".repeat(LARGEST_BODY + 1);
    assert_eq!(client.ask(Method::POST, MAPS, &headers, &long).await.0, 413);
    let deep = format!("{}{}", "[".repeat(100_000), "]".repeat(100_000));
    assert_eq!(client.ask(Method::POST, MAPS, &headers, &deep).await.0, 400);
}
