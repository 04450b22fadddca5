//! What is stored is not yet what is served.

use super::*;

async fn cut_over() -> Fixture {
    let fixture = Fixture::new(1);
    fixture.service("old", &["10.0.0.1"]);
    fixture.service("new", &["10.0.1.1"]);
    fixture.route("main", to(&[backend("old", 100), backend("new", 0)]));
    fixture.settled().await;
    fixture
}

fn main() -> ObjectName {
    ObjectName::new("prod", "main")
}

#[tokio::test(start_paused = true)]
async fn a_changed_route_is_served_after_its_delay_and_not_before() {
    let fixture = cut_over().await;
    fixture.gateway.set_route_delay(Duration::from_secs(5));
    fixture.route("main", to(&[backend("old", 0), backend("new", 100)]));
    fixture.runtime.sleep(Duration::from_secs(5)).await;
    assert_eq!(fixture.get("/").await.pod(), "10.0.0.1");
    fixture.runtime.sleep(Duration::from_millis(20)).await;
    assert_eq!(fixture.get("/").await.pod(), "10.0.1.1");
}

#[tokio::test(start_paused = true)]
async fn a_stopped_propagation_serves_the_old_and_a_resumed_one_only_the_newest() {
    let fixture = cut_over().await;
    fixture.gateway.stop_propagation();
    fixture.route("main", to(&[backend("new", 1)]));
    fixture.settled().await;
    fixture.route("main", to(&[]));
    fixture.settled().await;
    assert_eq!(fixture.get("/").await.pod(), "10.0.0.1");
    fixture.route("main", to(&[backend("old", 1), backend("new", 1)]));
    fixture.settled().await;
    fixture.gateway.resume_propagation();
    fixture.settled().await;
    let served: Vec<_> = fixture
        .gateway
        .weights()
        .into_iter()
        .filter(|record| record.moment == Moment::Served)
        .map(|record| record.generation)
        .collect();
    assert_eq!(served, [1, 4]);
}

#[tokio::test(start_paused = true)]
async fn one_route_can_be_held_back_while_others_move() {
    let fixture = cut_over().await;
    let mut other = to(&[backend("old", 1)]);
    other["hostnames"] = json!(["other.example"]);
    fixture.route("other", other.clone());
    fixture.settled().await;
    fixture.gateway.stop_route(&main());
    other["rules"] = to(&[backend("new", 1)])["rules"].clone();
    fixture.route("other", other);
    fixture.route("main", to(&[backend("new", 1)]));
    fixture.settled().await;
    assert_eq!(fixture.get("/").await.pod(), "10.0.0.1");
    assert_eq!(fixture.ask("GET", "/", &[("host", "other.example")], "").await.pod(), "10.0.1.1");
    fixture.gateway.resume_route(&main());
    fixture.settled().await;
    assert_eq!(fixture.get("/").await.pod(), "10.0.1.1");
}

#[tokio::test(start_paused = true)]
async fn endpoints_that_left_are_asked_until_the_data_plane_knows() {
    let fixture = cut_over().await;
    fixture.gateway.stop_endpoints();
    fixture.endpoints("old", &[]);
    fixture.pods.stop("10.0.0.1");
    fixture.settled().await;
    assert_eq!(fixture.get("/").await.status, 503);
    let outcome = fixture.gateway.outcomes().pop().expect("one request");
    assert_eq!(outcome.answered_by, AnsweredBy::ConnectionRefused);
    assert!(outcome.went_to_no_ready_backend());
    fixture.gateway.resume_endpoints();
    fixture.settled().await;
    fixture.get("/").await;
    let outcome = fixture.gateway.outcomes().pop().expect("another request");
    assert_eq!(outcome.answered_by, AnsweredBy::NoEndpoint);
}

#[tokio::test(start_paused = true)]
async fn a_halted_controller_writes_no_status_and_sends_nothing_until_it_is_back() {
    let fixture = cut_over().await;
    fixture.gateway.halt_controller();
    fixture.route("main", to(&[backend("new", 1)]));
    fixture.settled().await;
    let observed = || {
        let route = fixture.objects.get(&Key::new(HTTP_ROUTE, "prod", "main")).expect("there");
        let parents = &route["status"]["parents"];
        parents[0]["conditions"][0]["observedGeneration"].as_u64()
    };
    assert_eq!(observed(), Some(1));
    assert_eq!(fixture.get("/").await.pod(), "10.0.0.1");
    fixture.gateway.resume_controller();
    fixture.settled().await;
    assert_eq!(observed(), Some(2));
    assert_eq!(fixture.get("/").await.pod(), "10.0.1.1");
}

#[tokio::test(start_paused = true)]
async fn a_restarted_gateway_serves_what_is_stored_at_once_and_changes_no_object() {
    let fixture = cut_over().await;
    fixture.gateway.stop_propagation();
    fixture.route("main", to(&[backend("new", 1)]));
    fixture.settled().await;
    let Fixture { world, gateway, pods, runtime, seen, .. } = fixture;
    drop(gateway);
    let objects = Objects::open(&world, runtime.clone()).expect("the same world");
    let before = objects.version();
    let network = Network { pods: pods.clone(), runtime: runtime.clone(), seen: seen.clone() };
    let gateway = SimulatedGateway::start(objects.clone(), Arc::new(network), GatewaySettings::default());
    let fixture = Fixture { world, objects, gateway, pods, seen, runtime };
    assert_eq!(fixture.get("/").await.pod(), "10.0.1.1");
    fixture.settled().await;
    assert_eq!(fixture.objects.version(), before);
}

#[tokio::test(start_paused = true)]
async fn every_generation_is_noted_when_it_is_stored_even_if_it_is_never_served() {
    let fixture = cut_over().await;
    for weight in [10, 50, 100] {
        fixture.route("main", to(&[backend("old", 100 - weight), backend("new", weight)]));
    }
    fixture.settled().await;
    let log: Vec<_> = fixture
        .gateway
        .weights()
        .into_iter()
        .map(|record| {
            let weights: Vec<_> = record.rules[0].iter().map(|(_, weight)| *weight).collect();
            (record.moment, record.generation, weights)
        })
        .collect();
    assert_eq!(
        log,
        [
            (Moment::Stored, 1, vec![100, 0]),
            (Moment::Served, 1, vec![100]),
            (Moment::Stored, 2, vec![90, 10]),
            (Moment::Stored, 3, vec![50, 50]),
            (Moment::Stored, 4, vec![0, 100]),
            (Moment::Served, 4, vec![100]),
        ]
    );
}
