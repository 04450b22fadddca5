use std::time::Duration;

use super::*;

#[tokio::test(start_paused = true)]
async fn a_watch_without_a_version_begins_with_what_is_there() {
    let client = client();
    client.post(MAPS, &map("a")).await;
    let mut lines = client.watch(&format!("{MAPS}?watch=1")).await;
    assert_eq!(lines.told().await, "ADDED a");
    client.patch(&format!("{MAPS}/a"), "merge-patch+json", &json!({"data": {"a": "2"}})).await;
    client.post("/api/v1/namespaces/kube-system/configmaps", &map("elsewhere")).await;
    client.delete(&format!("{MAPS}/a"), &Value::Null).await;
    assert_eq!(lines.told().await, "MODIFIED a");
    assert_eq!(lines.told().await, "DELETED a");
}

#[tokio::test(start_paused = true)]
async fn a_watch_from_a_version_tells_what_came_after_it() {
    let client = client();
    client.post(MAPS, &map("a")).await;
    let version = client.server.objects().version();
    client.post(MAPS, &map("b")).await;
    let mut lines = client.watch(&format!("{MAPS}?watch=true&resourceVersion={version}&timeoutSeconds=5")).await;
    assert_eq!(lines.told().await, "ADDED b");
    let before = client.runtime().monotonic();
    assert_eq!(lines.told().await, "end");
    assert_eq!(client.runtime().monotonic().saturating_sub(before), Duration::from_secs(5));
}

#[tokio::test(start_paused = true)]
async fn what_begins_or_ceases_to_match_is_told_as_added_or_deleted() {
    let client = client();
    client.post(PODS, &pod("a")).await;
    let mut lines = client.watch(&format!("{PODS}?watch=1&labelSelector=app%3Dx")).await;
    assert_eq!(lines.told().await, "ADDED a");
    let label = |value: &str| json!({"metadata": {"labels": {"app": value}}});
    client.patch(&format!("{PODS}/a"), "merge-patch+json", &label("y")).await;
    let (kind, object) = lines.next().await.expect("more").expect("whole");
    assert_eq!((kind.as_str(), &object["metadata"]["labels"]["app"]), ("DELETED", &json!("x")));
    assert_eq!(object["metadata"]["resourceVersion"], client.server.objects().version().to_string());
    client.patch(&format!("{PODS}/a"), "merge-patch+json", &label("z")).await;
    client.patch(&format!("{PODS}/a"), "merge-patch+json", &label("x")).await;
    assert_eq!(lines.told().await, "ADDED a");
}

#[tokio::test(start_paused = true)]
async fn bookmarks_come_every_minute_and_before_the_end_and_say_how_far_the_watch_is() {
    let client = client();
    let version = client.server.objects().version();
    let path = format!("{MAPS}?watch=1&resourceVersion={version}&allowWatchBookmarks=true&timeoutSeconds=100");
    let mut lines = client.watch(&path).await;
    // Something else changes: the watch itself is told nothing of it but the version.
    client.post(PODS, &pod("a")).await;
    let version = client.server.objects().version().to_string();
    for at in [60, 98] {
        let (kind, object) = lines.next().await.expect("more").expect("whole");
        assert_eq!((kind.as_str(), &object["kind"]), ("BOOKMARK", &json!("ConfigMap")));
        assert_eq!(object["metadata"]["resourceVersion"], version.as_str());
        assert_eq!(client.runtime().monotonic(), Duration::from_secs(at));
    }
    assert_eq!(lines.told().await, "end");
    assert_eq!(client.runtime().monotonic(), Duration::from_secs(100));
}

#[tokio::test(start_paused = true)]
async fn a_watch_that_is_also_a_list_says_where_the_list_ends() {
    let client = client();
    client.post(MAPS, &map("a")).await;
    let path =
        format!("{MAPS}?watch=1&sendInitialEvents=true&resourceVersionMatch=NotOlderThan&allowWatchBookmarks=true");
    let mut lines = client.watch(&path).await;
    assert_eq!(lines.told().await, "ADDED a");
    let (kind, object) = lines.next().await.expect("more").expect("whole");
    assert_eq!(kind, "BOOKMARK");
    assert_eq!(object["metadata"]["annotations"]["k8s.io/initial-events-end"], "true");
    client.post(MAPS, &map("b")).await;
    assert_eq!(lines.told().await, "ADDED b");
    assert_eq!(client.get(&format!("{MAPS}?watch=1&sendInitialEvents=true")).await.0, 422);
}

#[tokio::test(start_paused = true)]
async fn a_version_that_is_forgotten_is_told_as_an_error_at_the_start_and_in_the_middle() {
    let client = client();
    client.post(MAPS, &map("a")).await;
    let mut old = client.watch(&format!("{MAPS}?watch=1&resourceVersion=1")).await;
    client.server.objects().compact();
    for mut lines in [client.watch(&format!("{MAPS}?watch=1&resourceVersion=1")).await, {
        // It has not looked yet.
        let path = format!("{MAPS}?watch=1&resourceVersion=2");
        client.watch(&path).await
    }] {
        let (kind, status) = lines.next().await.expect("more").expect("whole");
        assert_eq!((kind.as_str(), &status["code"], &status["reason"]), ("ERROR", &json!(410), &json!("Expired")));
        assert_eq!(lines.told().await, "end");
    }
    assert_eq!(old.told().await, "ERROR");
    client.server.adjust(|settings| settings.watches.expire_after = Some(1));
    let version = client.server.objects().version();
    let mut lines = client.watch(&format!("{MAPS}?watch=1&resourceVersion={version}")).await;
    client.post(MAPS, &map("b")).await;
    client.post(MAPS, &map("c")).await;
    assert_eq!(lines.told().await, "ADDED b");
    assert_eq!(lines.told().await, "ERROR");
    assert_eq!(lines.told().await, "end");
}

#[tokio::test(start_paused = true)]
async fn a_watch_can_be_cut_after_so_many_events() {
    let client = client();
    client.server.adjust(|settings| settings.watches.cut_after = Some(2));
    for name in ["a", "b", "c"] {
        client.post(MAPS, &map(name)).await;
    }
    let mut lines = client.watch(&format!("{MAPS}?watch=1")).await;
    assert_eq!(lines.told().await, "ADDED a");
    assert_eq!(lines.told().await, "ADDED b");
    assert_eq!(lines.told().await, "ConnectionReset");
    assert_eq!(lines.told().await, "end");
}

#[tokio::test(start_paused = true)]
async fn a_watch_can_be_shown_as_rows() {
    let client = client();
    client.post(MAPS, &map("a")).await;
    client.post(MAPS, &map("b")).await;
    let accept = [("accept", "application/json;as=Table;v=v1;g=meta.k8s.io")];
    let response = client.send(Method::GET, &format!("{MAPS}?watch=1"), &accept, "").await;
    let mut lines = Lines(response.into_body());
    let (_, first) = lines.next().await.expect("more").expect("whole");
    let (_, second) = lines.next().await.expect("more").expect("whole");
    let columns = |table: &Value| table["columnDefinitions"].as_array().map(Vec::len);
    assert_eq!((columns(&first), columns(&second)), (Some(3), Some(0)));
    assert_eq!(second["rows"][0]["cells"][0], "b");
}
