//! Which rule takes a request, and what it is answered with when none can.

use super::*;

#[tokio::test(start_paused = true)]
async fn the_most_specific_rule_takes_a_request_whatever_route_it_stands_in() {
    let fixture = Fixture::new(1);
    for (service, address) in
        [("all", "10.0.0.1"), ("exact", "10.0.0.2"), ("tagged", "10.0.0.3"), ("posts", "10.0.0.4")]
    {
        fixture.service(service, &[address]);
    }
    fixture.route("broad", to(&[backend("all", 1)]));
    fixture.route(
        "narrow",
        json!({"rules": [
            {"matches": [{"path": {"type": "Exact", "value": "/v1"}}], "backendRefs": [backend("exact", 1)]},
            {"matches": [{"headers": [{"name": "x-chalk-deployment-tag", "value": "green"}]}],
             "backendRefs": [backend("tagged", 1)]},
            {"matches": [{"method": "POST"}], "backendRefs": [backend("posts", 1)]},
        ]}),
    );
    fixture.settled().await;
    assert_eq!(fixture.get("/v1/query").await.pod(), "10.0.0.1");
    assert_eq!(fixture.get("/v1").await.pod(), "10.0.0.2");
    let green = ("x-chalk-deployment-tag", "green");
    assert_eq!(fixture.ask("GET", "/x", &[green], "").await.pod(), "10.0.0.3");
    assert_eq!(fixture.ask("POST", "/x", &[], "a question").await.got["body"], "a question");
    assert_eq!(fixture.ask("POST", "/x", &[], "").await.pod(), "10.0.0.4");
}

#[tokio::test(start_paused = true)]
async fn a_hostname_decides_before_any_rule_and_does_not_fall_back_to_a_broader_one() {
    let fixture = Fixture::new(1);
    fixture.service("any", &["10.0.0.1"]);
    fixture.service("wild", &["10.0.0.2"]);
    fixture.service("own", &["10.0.0.3"]);
    fixture.route("any", to(&[backend("any", 1)]));
    let mut wild = to(&[backend("wild", 1)]);
    wild["hostnames"] = json!(["*.chalk.example"]);
    fixture.route("wild", wild);
    fixture.route(
        "own",
        json!({
            "hostnames": ["api.chalk.example"],
            "rules": [{"matches": [{"path": {"value": "/v1"}}], "backendRefs": [backend("own", 1)]}],
        }),
    );
    fixture.settled().await;
    let at = async |host: &str, target: &str| fixture.ask("GET", target, &[("host", host)], "").await;
    assert_eq!(at("elsewhere.example", "/v1").await.pod(), "10.0.0.1");
    assert_eq!(at("x.chalk.example:8080", "/v1").await.pod(), "10.0.0.2");
    assert_eq!(at("API.chalk.example", "/v1").await.pod(), "10.0.0.3");
    assert_eq!(at("api.chalk.example", "/other").await.status, 404);
}

#[tokio::test(start_paused = true)]
async fn of_two_equal_rules_the_older_route_wins_and_then_the_first_name() {
    let fixture = Fixture::new(1);
    fixture.service("a", &["10.0.0.1"]);
    fixture.service("b", &["10.0.0.2"]);
    fixture.service("c", &["10.0.0.3"]);
    fixture.route("z-older", to(&[backend("a", 1)]));
    fixture.settled().await;
    fixture.route("y-younger", to(&[backend("b", 1)]));
    fixture.route("b-younger", to(&[backend("c", 1)]));
    fixture.settled().await;
    assert_eq!(fixture.get("/").await.pod(), "10.0.0.1");
    fixture.objects.remove(&Key::new(HTTP_ROUTE, "prod", "z-older"), None, None).expect("there");
    fixture.settled().await;
    assert_eq!(fixture.get("/").await.pod(), "10.0.0.3");
}

#[tokio::test(start_paused = true)]
async fn without_a_route_it_is_404_and_without_anything_to_send_it_to_it_is_500() {
    let fixture = Fixture::new(1);
    assert_eq!(fixture.get("/").await.status, 404);
    fixture.service("new", &["10.0.0.1"]);
    for nowhere in [
        to(&[]),
        to(&[backend("new", 0)]),
        to(&[backend("missing", 1)]),
        to(&[json!({"name": "new", "port": 81})]),
        to(&[json!({"name": "new"})]),
        to(&[json!({"name": "new", "port": 80, "kind": "Backend", "group": "gateway.envoyproxy.io"})]),
        to(&[json!({"name": "new", "port": 80, "namespace": "elsewhere"})]),
        json!({}),
    ] {
        fixture.route("main", nowhere.clone());
        fixture.settled().await;
        assert_eq!(fixture.get("/").await.status, 500, "{nowhere}");
        assert_eq!(fixture.gateway.outcomes().last().map(|outcome| outcome.answered_by), Some(AnsweredBy::InvalidRule));
    }
    fixture.route("main", to(&[backend("new", 1)]));
    fixture.settled().await;
    assert_eq!(fixture.get("/").await.status, 200);
}

#[tokio::test(start_paused = true)]
async fn a_service_without_ready_endpoints_is_503_and_so_is_a_pod_that_does_not_listen() {
    let fixture = Fixture::new(1);
    fixture.service("new", &[]);
    fixture.route("main", to(&[backend("new", 1)]));
    fixture.settled().await;
    assert_eq!(fixture.get("/").await.status, 503);
    fixture.endpoints("new", &[("10.0.0.1", false)]);
    fixture.settled().await;
    let answer = fixture.get("/").await;
    assert_eq!((answer.status, answer.text.as_str()), (503, "no healthy upstream"));
    fixture.endpoints("new", &[("10.0.0.1", true)]);
    fixture.settled().await;
    assert_eq!(fixture.get("/").await.status, 503);
    fixture.pods.set("10.0.0.1", Pod::Echo);
    assert_eq!(fixture.get("/").await.status, 200);
    let told: Vec<_> =
        fixture.gateway.outcomes().iter().map(|outcome| (outcome.answered_by, outcome.ready_in_cluster)).collect();
    assert_eq!(
        told,
        [
            (AnsweredBy::NoEndpoint, Some(0)),
            (AnsweredBy::NoEndpoint, Some(0)),
            (AnsweredBy::ConnectionRefused, Some(1)),
            (AnsweredBy::Pod, Some(1)),
        ]
    );
}

#[tokio::test(start_paused = true)]
async fn an_answer_that_takes_too_long_is_504_after_the_time_of_its_rule() {
    let fixture = Fixture::new(1);
    fixture.service("slow", &["10.0.0.1"]);
    fixture.pods.set("10.0.0.1", Pod::Slow(Duration::from_secs(20)));
    let rule = |timeouts: Value| json!({"rules": [{"backendRefs": [backend("slow", 1)], "timeouts": timeouts}]});
    for (timeouts, status, seconds) in [
        (json!({}), 504, 15),
        (json!({"request": "2s"}), 504, 2),
        (json!({"request": "10s", "backendRequest": "1s500ms"}), 504, 1),
        (json!({"request": "0s"}), 200, 20),
    ] {
        fixture.route("main", rule(timeouts));
        fixture.settled().await;
        let before = fixture.runtime.monotonic();
        assert_eq!(fixture.get("/").await.status, status);
        assert_eq!(fixture.runtime.monotonic().checked_sub(before).unwrap().as_secs(), seconds);
    }
}

#[tokio::test(start_paused = true)]
async fn an_answer_that_stalls_is_cut_when_the_time_of_its_request_is_up() {
    let fixture = Fixture::new(1);
    fixture.service("new", &["10.0.0.1"]);
    fixture.pods.set("10.0.0.1", Pod::Stalls);
    fixture.route("main", to(&[backend("new", 1)]));
    fixture.settled().await;
    let request = Request::builder().uri("http://chalk.example/").body(full("")).expect("a valid request");
    let response = fixture.gateway.answer(request).await.expect("an answer");
    assert_eq!(response.status(), 200);
    let before = fixture.runtime.monotonic();
    let pieces: Vec<_> = response.into_body().collect().await;
    assert_eq!(fixture.runtime.monotonic().checked_sub(before).unwrap(), Duration::from_secs(15));
    assert_eq!(pieces.len(), 2);
    assert_eq!(pieces[1].as_ref().expect_err("cut").kind(), std::io::ErrorKind::TimedOut);
}

#[tokio::test(start_paused = true)]
async fn only_a_rule_that_asks_for_it_tries_another_endpoint() {
    let fixture = Fixture::new(3);
    fixture.service("new", &["10.0.0.1", "10.0.0.2"]);
    fixture.pods.stop("10.0.0.1");
    fixture.route("main", to(&[backend("new", 1)]));
    fixture.settled().await;
    let mut statuses = Vec::new();
    for _ in 0..20 {
        statuses.push(fixture.get("/").await.status);
    }
    assert!(statuses.contains(&200) && statuses.contains(&503), "{statuses:?}");
    fixture.route("main", json!({"rules": [{"backendRefs": [backend("new", 1)], "retry": {"attempts": 1}}]}));
    fixture.settled().await;
    for _ in 0..20 {
        let answer = fixture.ask("POST", "/", &[], "sent twice").await;
        assert_eq!((answer.status, &answer.got["body"]), (200, &json!("sent twice")));
    }
    fixture.pods.set("10.0.0.2", Pod::Fails(503));
    assert_eq!(fixture.get("/").await.status, 503);
}

#[tokio::test(start_paused = true)]
async fn no_request_and_no_document_however_odd_stops_the_gateway() {
    let fixture = Fixture::new(1);
    fixture.service("new", &["10.0.0.1"]);
    fixture.route("main", to(&[backend("new", 1)]));
    for (index, odd) in [
        json!({"rules": "none"}),
        json!({"rules": [{"backendRefs": [{"name": "new", "port": 80, "weight": -1}]}]}),
        json!({"rules": [{"matches": [{"path": {"type": "RegularExpression", "value": "("}}]}]}),
        json!({"rules": [{"matches": [{"method": "G T"}]}]}),
        json!({"rules": [{"filters": [{"type": "RequestMirror"}]}]}),
        json!({"rules": [{"matches": [{"headers": [{"name": "\u{0}", "value": "x"}]}]}]}),
    ]
    .into_iter()
    .enumerate()
    {
        fixture.route(&format!("odd-{index}"), odd);
    }
    let slice = Key::new(ENDPOINT_SLICE, "prod", "odd");
    fixture.objects.create(&slice, json!({"endpoints": 7})).expect("a new slice");
    fixture.settled().await;
    assert_eq!(fixture.get("/").await.status, 200);
    assert_eq!(fixture.get("/a%2fb").await.headers["location"], "/a/b");
    assert_eq!(fixture.get("/../..").await.status, 400);
    let nameless = Request::builder().uri("/").body(full("")).expect("a valid request");
    assert_eq!(fixture.gateway.answer(nameless).await.expect("an answer").status(), 400);
}
