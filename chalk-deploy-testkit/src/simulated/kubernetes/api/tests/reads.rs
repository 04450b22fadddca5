use super::*;

#[tokio::test(start_paused = true)]
async fn discovery_says_the_same_in_the_old_form_and_in_the_aggregated_one() {
    let client = client();
    let (_, groups) = client.get("/apis").await;
    let names: Vec<_> = groups["groups"].as_array().expect("groups").iter().map(|group| &group["name"]).collect();
    assert!(names.contains(&&json!("apps")) && names.contains(&&json!("authorization.k8s.io")));
    let (_, list) = client.get("/apis/apps/v1").await;
    let plural: Vec<_> = list["resources"].as_array().expect("resources").iter().map(|one| &one["name"]).collect();
    assert!(plural.contains(&&json!("deployments")) && plural.contains(&&json!("deployments/scale")));
    let accept = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList,application/json";
    let response = client.send(Method::GET, "/apis", &[("accept", accept)], "").await;
    assert_eq!(
        response.headers()["content-type"],
        "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList"
    );
    let (_, aggregated) = value(response).await;
    let mut old = names.clone();
    let mut new: Vec<_> =
        aggregated["items"].as_array().expect("groups").iter().map(|group| &group["metadata"]["name"]).collect();
    old.sort_by_key(std::string::ToString::to_string);
    new.sort_by_key(std::string::ToString::to_string);
    assert_eq!(old, new);
    assert_eq!(client.get("/apis/nonsense").await.0, 404);
    assert_eq!(client.get("/version").await.1["major"], "1");
    assert_eq!(client.get("/readyz").await, (200, json!("ok")));
    assert_eq!(client.ask(Method::POST, "/version", &[], "").await.0, 405);
}

#[tokio::test(start_paused = true)]
async fn every_document_of_the_index_of_schemas_is_there_and_version_2_in_protobuf_too() {
    let client = client();
    let (_, index) = client.get("/openapi/v3").await;
    let paths = index["paths"].as_object().expect("paths");
    assert!(paths.contains_key("apis/apps/v1"));
    for entry in paths.values() {
        let url = entry["serverRelativeURL"].as_str().expect("a path");
        assert!(url.contains("?hash="), "{url}");
        let (status, document) = client.get(url).await;
        assert_eq!((status, &document["openapi"]), (200, &json!("3.0.0")), "{url}");
    }
    assert_eq!(client.get("/openapi/v2").await.1["swagger"], "2.0");
    let protobuf = [("accept", "application/com.github.proto-openapi.spec.v2@v1.0+protobuf")];
    let answer = client.send(Method::GET, "/openapi/v2", &protobuf, "").await;
    let form = answer.headers()["content-type"].to_str().expect("a form").to_owned();
    assert_eq!((answer.status().as_u16(), form.contains("protobuf")), (200, true));
    assert_eq!(client.ask(Method::GET, "/openapi/v3/apis/apps/v1", &protobuf, "").await.0, 406);
}

#[tokio::test(start_paused = true)]
async fn the_pages_of_a_list_show_one_moment() {
    let client = client();
    for name in ["a", "b", "c", "d", "e"] {
        client.post(MAPS, &map(name)).await;
    }
    let (_, first) = client.get(&format!("{MAPS}?limit=2")).await;
    let names = |page: &Value| -> Vec<String> {
        let items = page["items"].as_array().expect("items").iter();
        items.map(|item| item["metadata"]["name"].as_str().expect("a name").to_owned()).collect()
    };
    assert_eq!((names(&first), &first["metadata"]["remainingItemCount"]), (vec!["a".into(), "b".into()], &json!(3)));
    // Built-in kinds do not repeat themselves in lists.
    assert_eq!((&first["kind"], &first["items"][0]["kind"]), (&json!("ConfigMapList"), &Value::Null));
    client.delete(&format!("{MAPS}/c"), &Value::Null).await;
    client.post(MAPS, &map("bb")).await;
    client.patch(&format!("{MAPS}/d"), "merge-patch+json", &json!({"data": {"a": "2"}})).await;
    let next = first["metadata"]["continue"].as_str().expect("more").to_owned();
    let (_, second) = client.get(&format!("{MAPS}?limit=2&continue={next}")).await;
    assert_eq!(names(&second), ["c", "d"]);
    assert_eq!(second["items"][1]["data"]["a"], "1");
    assert_eq!(second["metadata"]["resourceVersion"], first["metadata"]["resourceVersion"]);
    client.server.objects().compact();
    let answer = client.get(&format!("{MAPS}?limit=2&continue={next}")).await;
    assert_eq!((answer.0, &answer.1["reason"]), (410, &json!("Expired")));
    let next = answer.1["metadata"]["continue"].as_str().expect("a way on").to_owned();
    let (_, third) = client.get(&format!("{MAPS}?limit=2&continue={next}")).await;
    assert_eq!(names(&third), ["bb", "d"]);
    assert_eq!(client.get(&format!("{MAPS}?continue=nonsense")).await.0, 400);
}

#[tokio::test(start_paused = true)]
async fn a_list_is_of_the_version_that_it_asks_for() {
    let client = client();
    let (_, made) = client.post(MAPS, &map("a")).await;
    let version: u64 =
        made["metadata"]["resourceVersion"].as_str().and_then(|text| text.parse().ok()).expect("a number");
    client.post(MAPS, &map("b")).await;
    let count = |answer: &Answer| answer.1["items"].as_array().map(Vec::len);
    let exact = client.get(&format!("{MAPS}?resourceVersion={version}&resourceVersionMatch=Exact")).await;
    assert_eq!(count(&exact), Some(1));
    let newer = client.get(&format!("{MAPS}?resourceVersion={version}&resourceVersionMatch=NotOlderThan")).await;
    assert_eq!(count(&newer), Some(2));
    assert_eq!(count(&client.get(&format!("{MAPS}?resourceVersion=0")).await), Some(2));
    for path in [MAPS.to_owned(), format!("{MAPS}/a")] {
        let answer = client.get(&format!("{path}?resourceVersion=999")).await;
        assert_eq!((answer.0, &answer.1["reason"]), (504, &json!("Timeout")));
        assert_eq!(answer.1["details"]["causes"][0]["reason"], "ResourceVersionTooLarge");
    }
    assert_eq!(client.get(&format!("{MAPS}?resourceVersionMatch=Exact")).await.0, 422);
    assert_eq!(client.get(&format!("{MAPS}?resourceVersion=x")).await.0, 400);
}

#[tokio::test(start_paused = true)]
async fn selectors_choose_among_objects() {
    let client = client();
    client.post(PODS, &pod("a")).await;
    let mut other = pod("b");
    other["metadata"]["labels"]["app"] = "y".into();
    client.post(PODS, &other).await;
    for (selector, expected) in [
        ("labelSelector=app%3Dx", 1),
        ("labelSelector=app+in+(x,y)", 2),
        ("fieldSelector=metadata.name%3Da", 1),
        ("fieldSelector=status.phase%3DPending", 2),
        ("fieldSelector=spec.nodeName%3Dn", 0),
    ] {
        let (_, list) = client.get(&format!("{PODS}?{selector}")).await;
        assert_eq!(list["items"].as_array().map(Vec::len), Some(expected), "{selector}");
    }
    assert_eq!(client.get(&format!("{PODS}?fieldSelector=spec.image%3Da")).await.0, 400);
    assert_eq!(client.get(&format!("{PODS}?labelSelector=(")).await.0, 400);
}

#[tokio::test(start_paused = true)]
async fn every_kind_can_be_shown_as_a_table_and_as_metadata() {
    let client = client();
    client.post(DEPLOYMENTS, &deployment("a")).await;
    let accept = [("accept", "application/json;as=Table;v=v1;g=meta.k8s.io,application/json")];
    for resource in crate::simulated::kubernetes::resource::RESOURCES {
        let base = if resource.group.is_empty() { "/api".to_owned() } else { format!("/apis/{}", resource.group) };
        let path = format!("{base}/{}/{}", resource.version, resource.plural);
        let (status, table) = client.ask(Method::GET, &path, &accept, "").await;
        assert_eq!((status, &table["kind"]), (200, &json!("Table")), "{path}");
        let columns = table["columnDefinitions"].as_array().expect("columns").len();
        for row in table["rows"].as_array().expect("rows") {
            assert_eq!(row["cells"].as_array().map(Vec::len), Some(columns), "{path}");
        }
    }
    let (_, table) = client.ask(Method::GET, DEPLOYMENTS, &accept, "").await;
    assert_eq!(
        table["rows"][0]["cells"].as_array().expect("cells")[..4],
        [json!("a"), json!("0/1"), json!(0), json!(0)]
    );
    assert_eq!(table["rows"][0]["object"]["kind"], "PartialObjectMetadata");
    let accept = [("accept", "application/json;as=PartialObjectMetadataList;v=v1;g=meta.k8s.io")];
    let (_, list) = client.ask(Method::GET, DEPLOYMENTS, &accept, "").await;
    assert_eq!((&list["kind"], &list["items"][0]["spec"]), (&json!("PartialObjectMetadataList"), &Value::Null));
    let protobuf = [("accept", "application/vnd.kubernetes.protobuf")];
    assert_eq!(client.ask(Method::GET, DEPLOYMENTS, &protobuf, "").await.0, 406);
    let head = client.send(Method::HEAD, DEPLOYMENTS, &[], "").await;
    assert_eq!(value(head).await, (200, json!("")));
}
