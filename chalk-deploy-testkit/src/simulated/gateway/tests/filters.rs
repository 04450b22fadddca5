//! Filters, and what a backend is told about a request.

use super::*;

async fn filtered(rule: Value) -> Fixture {
    let fixture = Fixture::new(1);
    fixture.service("new", &["10.0.0.1"]);
    fixture.service("mirror", &["10.0.9.1"]);
    let mut rule = rule;
    rule["backendRefs"] = json!([backend("new", 1)]);
    fixture.route("main", json!({"rules": [rule]}));
    fixture.settled().await;
    fixture
}

#[tokio::test(start_paused = true)]
async fn a_backend_is_told_who_asked_and_nothing_that_concerns_one_connection_only() {
    let fixture = filtered(json!({})).await;
    let headers = [
        ("connection", "keep-alive, x-secret-of-the-hop, host"),
        ("x-secret-of-the-hop", "1"),
        ("x-forwarded-for", "192.0.2.1"),
        ("te", "trailers"),
    ];
    let answer = fixture.ask("GET", "/q?a=b", &headers, "").await;
    let got = &answer.got["headers"];
    assert_eq!(got["x-forwarded-for"], "192.0.2.1,127.0.0.1");
    assert_eq!(got["x-forwarded-proto"], "http");
    assert_eq!(got["host"], "chalk.example");
    assert_eq!(got["x-request-id"].as_str().map(str::len), Some(36));
    assert!(got.get("connection").is_none() && got.get("te").is_none() && got.get("x-secret-of-the-hop").is_none());
    assert_eq!(answer.got["target"], "/q?a=b");
    let of_envoy = |name: &str| name.starts_with("x-envoy-");
    assert!(!got.as_object().into_iter().flatten().any(|(name, _)| of_envoy(name)), "the gateway tells none of these");
    assert!(!answer.headers.keys().any(|name| of_envoy(name.as_str())));
    let kept = fixture.ask("GET", "/", &[("x-request-id", "mine")], "").await;
    assert_eq!(kept.got["headers"]["x-request-id"], "mine");
}

#[tokio::test(start_paused = true)]
async fn headers_are_changed_for_the_rule_and_for_one_backend() {
    let fixture = filtered(json!({"filters": [
        {"type": "RequestHeaderModifier", "requestHeaderModifier": {
            "set": [{"name": "x-rule", "value": "yes"}], "remove": ["x-gone"]}},
        {"type": "ResponseHeaderModifier", "responseHeaderModifier": {"add": [{"name": "x-answer", "value": "rule"}]}},
    ]}))
    .await;
    let answer = fixture.ask("GET", "/", &[("x-gone", "1"), ("x-rule", "no")], "").await;
    assert_eq!(answer.got["headers"]["x-rule"], "yes");
    assert!(answer.got["headers"].get("x-gone").is_none());
    assert_eq!(answer.headers["x-answer"], "rule");
    let mut of_backend = backend("new", 1);
    of_backend["filters"] = json!([
        {"type": "RequestHeaderModifier", "requestHeaderModifier": {"set": [{"name": "x-side", "value": "new"}]}},
        {"type": "ResponseHeaderModifier", "responseHeaderModifier": {"set": [{"name": "x-from", "value": "new"}]}},
    ]);
    fixture.route("main", to(&[of_backend]));
    fixture.settled().await;
    let answer = fixture.get("/").await;
    assert_eq!(
        (&answer.got["headers"]["x-side"], &answer.headers["x-from"]),
        (&json!("new"), &"new".parse().expect("a value"))
    );
}

#[tokio::test(start_paused = true)]
async fn a_rewrite_changes_path_and_host_and_keeps_the_query() {
    let fixture = filtered(json!({
        "matches": [{"path": {"value": "/old"}}],
        "filters": [{"type": "URLRewrite", "urlRewrite": {
            "hostname": "inside.example", "path": {"type": "ReplacePrefixMatch", "replacePrefixMatch": "/new"}}}],
    }))
    .await;
    let answer = fixture.get("/old/x?y=z").await;
    assert_eq!(answer.got["target"], "/new/x?y=z");
    assert_eq!(answer.got["headers"]["host"], "inside.example");
    assert_eq!(answer.got["headers"]["x-forwarded-host"], "chalk.example");
}

#[tokio::test(start_paused = true)]
async fn a_redirect_answers_without_asking_a_pod() {
    let fixture = filtered(json!({
        "filters": [{"type": "RequestRedirect", "requestRedirect": {"scheme": "https", "statusCode": 301}}],
    }))
    .await;
    let answer = fixture.get("/x?y=z").await;
    assert_eq!(answer.status, 301);
    assert_eq!(answer.headers["location"], "https://chalk.example/x?y=z");
    assert!(fixture.seen.lock().expect("no panic before").is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_mirror_gets_a_copy_and_its_answer_changes_nothing() {
    let fixture = filtered(json!({
        "filters": [{"type": "RequestMirror", "requestMirror": {"backendRef": {"name": "mirror", "port": 80}}}],
    }))
    .await;
    fixture.pods.set("10.0.9.1", Pod::Fails(500));
    let answer = fixture.ask("POST", "/", &[], "both get this").await;
    assert_eq!((answer.status, answer.pod()), (200, "10.0.0.1"));
    fixture.settled().await;
    let seen = fixture.seen.lock().expect("no panic before").clone();
    let copy = seen.iter().find(|got| got["pod"] == "10.0.9.1").expect("mirrored");
    assert_eq!((&copy["body"], &copy["headers"]["host"]), (&json!("both get this"), &json!("chalk.example-shadow")));
}

#[tokio::test(start_paused = true)]
async fn a_mirror_that_does_not_resolve_takes_its_rule_away() {
    for (service, reason) in [("missing", "BackendNotFound"), ("hollow", "EndpointsNotFound")] {
        let fixture = filtered(json!({})).await;
        fixture.service("hollow", &[]);
        let mirror = json!({"type": "RequestMirror", "requestMirror": {"backendRef": {"name": service, "port": 80}}});
        fixture.route("main", json!({"rules": [{"filters": [mirror], "backendRefs": [backend("new", 1)]}]}));
        fixture.settled().await;
        assert_eq!(fixture.get("/").await.status, 404, "{service}");
        let route = fixture.objects.get(&Key::new(HTTP_ROUTE, "prod", "main")).expect("there");
        let resolved = &route["status"]["parents"][0]["conditions"][1];
        assert_eq!((&resolved["type"], &resolved["reason"]), (&json!("ResolvedRefs"), &json!(reason)));
    }
}

#[tokio::test(start_paused = true)]
async fn a_share_of_requests_is_mirrored() {
    let fixture = filtered(json!({
        "filters": [{"type": "RequestMirror", "requestMirror": {
            "backendRef": {"name": "mirror", "port": 80}, "percent": 0}}],
    }))
    .await;
    fixture.get("/").await;
    fixture.settled().await;
    assert_eq!(fixture.seen.lock().expect("no panic before").len(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_filter_that_cannot_be_applied_takes_the_whole_route_away_and_is_told() {
    for filter in [
        json!({"type": "ExtensionRef", "extensionRef": {"group": "x", "kind": "y", "name": "z"}}),
        json!({"type": "RequestHeaderModifier"}),
        json!({"type": "RequestHeaderModifier", "requestHeaderModifier": {"set": [{"name": "Host", "value": "x"}]}}),
        json!({"type": "RequestRedirect", "requestRedirect": {"scheme": "gopher"}}),
        json!({"type": "URLRewrite", "urlRewrite": {"path": {"type": "ReplaceFullPath"}}}),
    ] {
        let fixture = filtered(json!({})).await;
        let backends = json!([backend("new", 1)]);
        let bad = json!({"matches": [{"path": {"value": "/bad"}}], "filters": [filter], "backendRefs": backends});
        fixture.route("main", json!({"rules": [bad, {"backendRefs": backends}]}));
        fixture.settled().await;
        assert_eq!((fixture.get("/bad").await.status, fixture.get("/").await.status), (404, 404), "{filter}");
        let route = fixture.objects.get(&Key::new(HTTP_ROUTE, "prod", "main")).expect("there");
        let accepted = &route["status"]["parents"][0]["conditions"][0];
        assert_eq!((&accepted["status"], &accepted["reason"]), (&json!("False"), &json!("UnsupportedValue")));
    }
}
