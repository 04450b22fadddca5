//! What the controller writes into the status of its objects.

use super::*;
use crate::simulated::kubernetes::resource::{GATEWAY_CLASS, GATEWAYS, NAMESPACE};

fn parents(fixture: &Fixture, route: &str) -> Value {
    let route = fixture.objects.get(&Key::new(HTTP_ROUTE, "prod", route)).expect("there");
    route["status"]["parents"].clone()
}

/// Status and reason of a condition.
fn condition<'a>(conditions: &'a Value, kind: &str) -> (&'a str, &'a str) {
    let mut all = conditions.as_array().into_iter().flatten();
    let found = all.find(|condition| condition["type"] == kind).unwrap_or(&Value::Null);
    (found["status"].as_str().unwrap_or_default(), found["reason"].as_str().unwrap_or_default())
}

#[tokio::test(start_paused = true)]
async fn class_and_gateway_are_accepted_and_programmed_and_count_their_routes() {
    let fixture = Fixture::new(1);
    fixture.service("new", &["10.0.0.1"]);
    fixture.route("main", to(&[backend("new", 1)]));
    fixture.route("other", to(&[backend("new", 1)]));
    fixture.settled().await;
    let class = fixture.objects.get(&Key::new(GATEWAY_CLASS, "", "chalk-gw-class")).expect("there");
    assert_eq!(condition(&class["status"]["conditions"], "Accepted"), ("True", "Accepted"));
    let gateway = fixture.objects.get(&Key::new(GATEWAYS, "chalk-envoy", "chalk-gw")).expect("there");
    let status = &gateway["status"];
    assert_eq!(condition(&status["conditions"], "Accepted"), ("True", "Accepted"));
    assert_eq!(condition(&status["conditions"], "Programmed"), ("True", "Programmed"));
    assert_eq!(status["addresses"], json!([{"type": "IPAddress", "value": "127.0.0.1"}]));
    assert_eq!(status["listeners"][0]["attachedRoutes"], 2);
    assert_eq!(condition(&status["listeners"][0]["conditions"], "Programmed"), ("True", "Programmed"));
}

#[tokio::test(start_paused = true)]
async fn a_good_route_is_accepted_and_resolved_for_the_generation_that_was_seen() {
    let fixture = Fixture::new(1);
    fixture.service("new", &["10.0.0.1"]);
    fixture.route("main", to(&[backend("new", 1)]));
    fixture.settled().await;
    let before = parents(&fixture, "main");
    assert_eq!(before[0]["controllerName"], CONTROLLER_NAME);
    assert_eq!(before[0]["parentRef"], json!({"name": "chalk-gw", "namespace": "chalk-envoy"}));
    assert_eq!(condition(&before[0]["conditions"], "Accepted"), ("True", "Accepted"));
    assert_eq!(condition(&before[0]["conditions"], "ResolvedRefs"), ("True", "ResolvedRefs"));
    let version = fixture.objects.version();
    fixture.settled().await;
    assert_eq!(fixture.objects.version(), version, "nothing new to say is not said again");
    fixture.route("main", to(&[backend("new", 2)]));
    fixture.settled().await;
    let after = parents(&fixture, "main");
    assert_eq!(after[0]["conditions"][0]["observedGeneration"], 2);
    assert_eq!(
        after[0]["conditions"][0]["lastTransitionTime"], before[0]["conditions"][0]["lastTransitionTime"],
        "what did not turn keeps its time"
    );
}

#[tokio::test(start_paused = true)]
async fn a_reference_that_does_not_resolve_says_why_even_at_weight_nothing() {
    let fixture = Fixture::new(1);
    fixture.service("new", &["10.0.0.1"]);
    for (reference, reason) in [
        (backend("missing", 1), "BackendNotFound"),
        (backend("missing", 0), "BackendNotFound"),
        (json!({"name": "new", "port": 80, "namespace": "elsewhere"}), "RefNotPermitted"),
        (json!({"name": "new", "port": 80, "kind": "Bucket"}), "InvalidKind"),
        (json!({"name": "new", "port": 80, "group": "example.com"}), "InvalidKind"),
        (json!({"name": "new", "port": 81}), "PortNotFound"),
        (json!({"name": "new"}), "PortNotSpecified"),
        (json!({"name": "new", "port": 80, "filters": [{"type": "RequestRedirect"}]}), "UnsupportedRefValue"),
    ] {
        fixture.route("main", to(&[backend("new", 1), reference]));
        fixture.settled().await;
        let parents = parents(&fixture, "main");
        assert_eq!(condition(&parents[0]["conditions"], "ResolvedRefs"), ("False", reason));
        assert_eq!(condition(&parents[0]["conditions"], "Accepted"), ("True", "Accepted"));
    }
}

#[tokio::test(start_paused = true)]
async fn references_that_fail_for_different_reasons_leave_the_status_of_before() {
    let fixture = Fixture::new(1);
    fixture.service("new", &["10.0.0.1"]);
    fixture.route("main", to(&[backend("new", 1)]));
    fixture.settled().await;
    let before = parents(&fixture, "main");
    fixture.route("main", to(&[backend("missing", 1), json!({"name": "new", "port": 81})]));
    fixture.settled().await;
    assert_eq!(parents(&fixture, "main"), before, "the API refuses a reason with a comma");
    assert_eq!(fixture.get("/").await.status, 500, "the data plane is told all the same");
    fixture.route("main", to(&[backend("missing", 1), backend("absent", 1)]));
    fixture.settled().await;
    let conditions = &parents(&fixture, "main")[0]["conditions"];
    assert_eq!(condition(conditions, "ResolvedRefs"), ("False", "BackendNotFound"));
    let message = conditions[1]["message"].as_str().unwrap_or_default();
    assert!(message.contains("prod/missing not found.\n") && message.ends_with("prod/absent not found."), "{message}");
}

#[tokio::test(start_paused = true)]
async fn what_was_said_about_another_listener_stays_and_about_another_port_goes() {
    let fixture = Fixture::new(1);
    fixture.service("new", &["10.0.0.1"]);
    fixture.route("main", to(&[backend("new", 1)]));
    let key = Key::new(HTTP_ROUTE, "prod", "main");
    for (reference, named) in [
        (json!({"name": "chalk-gw", "namespace": "chalk-envoy", "port": 81}), 1),
        (json!({"name": "chalk-gw", "namespace": "chalk-envoy", "sectionName": "http"}), 2),
        (json!({"name": "chalk-gw", "namespace": "chalk-envoy"}), 2),
    ] {
        let set = |object: &mut Value| {
            object["spec"]["parentRefs"] = json!([reference]);
            Ok(())
        };
        fixture.objects.update(&key, None, set).expect("there");
        fixture.settled().await;
        assert_eq!(parents(&fixture, "main").as_array().map(Vec::len), Some(named), "{reference}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_service_without_endpoints_resolves_and_is_not_available() {
    let fixture = Fixture::new(1);
    fixture.service("new", &[]);
    fixture.route("main", to(&[backend("new", 1)]));
    fixture.settled().await;
    let before = parents(&fixture, "main");
    assert_eq!(condition(&before[0]["conditions"], "ResolvedRefs"), ("True", "ResolvedRefs"));
    assert_eq!(condition(&before[0]["conditions"], "BackendsAvailable"), ("False", "EndpointsNotFound"));
    fixture.endpoints("new", &[("10.0.0.1", false)]);
    fixture.settled().await;
    assert_eq!(condition(&parents(&fixture, "main")[0]["conditions"], "BackendsAvailable"), ("", ""));
}

#[tokio::test(start_paused = true)]
async fn a_route_that_no_listener_takes_says_why() {
    let fixture = Fixture::new(1);
    fixture.service("new", &["10.0.0.1"]);
    let gateway = Key::new(GATEWAYS, "chalk-envoy", "strict");
    let document = json!({"spec": {"gatewayClassName": "chalk-gw-class", "listeners": [
        {"name": "named", "protocol": "HTTP", "port": 80, "hostname": "*.chalk.example",
         "allowedRoutes": {"namespaces": {"from": "All"}}},
        {"name": "own", "protocol": "HTTP", "port": 81},
        {"name": "labelled", "protocol": "HTTP", "port": 82,
         "allowedRoutes": {"namespaces": {"from": "Selector", "selector": {"matchLabels": {"routes": "yes"}}}}},
        {"name": "streams", "protocol": "TCP", "port": 83, "allowedRoutes": {"namespaces": {"from": "All"}}},
    ]}});
    fixture.objects.create(&gateway, document).expect("a new gateway");
    fixture.objects.create(&Key::new(NAMESPACE, "", "prod"), json!({})).expect("a new namespace");
    let attach = |section: &str| {
        let reference = json!({"name": "strict", "namespace": "chalk-envoy", "sectionName": section});
        let mut specification = to(&[backend("new", 1)]);
        specification["hostnames"] = json!(["elsewhere.example"]);
        specification["parentRefs"] = json!([reference, {"name": "of-another-controller"}]);
        let key = Key::new(HTTP_ROUTE, "prod", section);
        fixture.objects.create(&key, json!({"spec": specification})).expect("a new route");
    };
    for (section, reason) in [
        ("absent", "NoMatchingParent"),
        ("named", "NoMatchingListenerHostname"),
        ("own", "NotAllowedByListeners"),
        ("labelled", "NotAllowedByListeners"),
        ("streams", "NotAllowedByListeners"),
    ] {
        attach(section);
        fixture.settled().await;
        let parents = parents(&fixture, section);
        assert_eq!(condition(&parents[0]["conditions"], "Accepted"), ("False", reason), "{section}");
        assert_eq!(parents.as_array().map(Vec::len), Some(1), "only our gateways are spoken for");
    }
    assert_eq!(fixture.ask("GET", "/", &[("host", "elsewhere.example")], "").await.status, 404);
    let label = |object: &mut Value| {
        object["metadata"]["labels"] = json!({"routes": "yes"});
        Ok(())
    };
    fixture.objects.update(&Key::new(NAMESPACE, "", "prod"), None, label).expect("there");
    fixture.settled().await;
    assert_eq!(condition(&parents(&fixture, "labelled")[0]["conditions"], "Accepted"), ("True", "Accepted"));
    assert_eq!(fixture.ask("GET", "/", &[("host", "elsewhere.example")], "").await.status, 200);
}

#[tokio::test(start_paused = true)]
async fn an_invalid_rule_is_named_and_the_others_are_served() {
    let fixture = Fixture::new(1);
    fixture.service("new", &["10.0.0.1"]);
    let bad =
        json!({"matches": [{"path": {"type": "RegularExpression", "value": "("}}], "backendRefs": [backend("new", 1)]});
    fixture.route("main", json!({"rules": [bad]}));
    fixture.settled().await;
    assert_eq!(condition(&parents(&fixture, "main")[0]["conditions"], "Accepted"), ("False", "UnsupportedValue"));
    fixture.route("main", json!({"rules": [bad, {"backendRefs": [backend("new", 1)]}]}));
    fixture.settled().await;
    let parents = parents(&fixture, "main");
    assert_eq!(condition(&parents[0]["conditions"], "Accepted"), ("True", "Accepted"));
    assert_eq!(condition(&parents[0]["conditions"], "PartiallyInvalid"), ("True", "UnsupportedValue"));
    assert_eq!(fixture.get("/").await.status, 200);
}

#[tokio::test(start_paused = true)]
async fn what_other_controllers_wrote_stays() {
    let fixture = Fixture::new(1);
    fixture.service("new", &["10.0.0.1"]);
    fixture.route("main", to(&[backend("new", 1)]));
    let foreign = json!({"controllerName": "example.com/mesh", "parentRef": {"name": "mesh"}, "conditions": []});
    let key = Key::new(HTTP_ROUTE, "prod", "main");
    let write = |object: &mut Value| {
        object["status"] = json!({"parents": [foreign]});
        Ok(())
    };
    fixture.objects.update(&key, None, write).expect("there");
    fixture.settled().await;
    let both = parents(&fixture, "main");
    assert_eq!((&both[0], &both[1]["controllerName"]), (&foreign, &json!(CONTROLLER_NAME)));
    fixture.objects.remove(&Key::new(GATEWAYS, "chalk-envoy", "chalk-gw"), None, None).expect("there");
    fixture.settled().await;
    assert_eq!(parents(&fixture, "main"), both, "what was said about a parent that is gone stays");
    assert_eq!(fixture.get("/").await.status, 404);
}
