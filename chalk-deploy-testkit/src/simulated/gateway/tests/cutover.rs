//! Whole cutovers under load, counted: the right order of writes costs no request, and a wrong one is seen.

use super::*;

/// Requests every 7 ms while `change` runs, and a second longer.
#[expect(clippy::future_not_send, reason = "both halves run in one task")]
async fn under_load(fixture: &Fixture, change: impl Future<Output = ()>) -> Vec<RequestOutcome> {
    let done = std::cell::Cell::new(false);
    let load = async {
        while !done.get() {
            fixture.get("/").await;
            fixture.runtime.sleep(Duration::from_millis(7)).await;
        }
    };
    let change = async {
        change.await;
        fixture.settled().await;
        done.set(true);
    };
    tokio::join!(load, change);
    fixture.gateway.outcomes()
}

async fn serving_old() -> Fixture {
    let fixture = Fixture::new(11);
    fixture.service("old", &["10.0.0.1", "10.0.0.2"]);
    fixture.route("main", to(&[backend("old", 100)]));
    fixture.settled().await;
    fixture
}

#[tokio::test(start_paused = true)]
async fn a_cutover_in_the_right_order_loses_no_request() {
    let fixture = serving_old().await;
    let outcomes = under_load(&fixture, async {
        fixture.service("new", &[]);
        fixture.endpoints("new", &[("10.0.1.1", false)]);
        fixture.settled().await;
        fixture.pods.set("10.0.1.1", Pod::Echo);
        fixture.endpoints("new", &[("10.0.1.1", true)]);
        fixture.settled().await;
        for weight in [10, 50, 100] {
            fixture.route("main", to(&[backend("old", 100 - weight), backend("new", weight)]));
            fixture.settled().await;
        }
        fixture.route("main", to(&[backend("new", 100)]));
        fixture.settled().await;
        fixture.endpoints("old", &[]);
        fixture.settled().await;
        fixture.pods.stop("10.0.0.1");
        fixture.pods.stop("10.0.0.2");
    })
    .await;
    assert!(outcomes.len() > 1000);
    assert_eq!(outcomes.iter().filter(|outcome| outcome.went_to_no_ready_backend()).count(), 0);
    assert!(outcomes.iter().all(|outcome| outcome.status == 200));
}

#[tokio::test(start_paused = true)]
async fn a_cutover_before_the_new_endpoints_are_ready_is_counted() {
    let fixture = serving_old().await;
    let outcomes = under_load(&fixture, async {
        fixture.service("new", &[]);
        fixture.route("main", to(&[backend("old", 50), backend("new", 50)]));
        fixture.settled().await;
    })
    .await;
    let lost = outcomes.iter().filter(|outcome| outcome.went_to_no_ready_backend());
    assert!(lost.count() > 20);
}

#[tokio::test(start_paused = true)]
async fn objects_removed_before_the_route_has_propagated_cost_requests() {
    let fixture = serving_old().await;
    fixture.service("new", &["10.0.1.1"]);
    fixture.settled().await;
    fixture.gateway.set_route_delay(Duration::from_millis(500));
    let outcomes = under_load(&fixture, async {
        fixture.route("main", to(&[backend("new", 100)]));
        // Wrong: the data plane still routes to the old service.
        fixture.endpoints("old", &[]);
        fixture.objects.remove(&Key::new(SERVICE, "prod", "old"), None, None).expect("there");
    })
    .await;
    assert!(outcomes.iter().any(RequestOutcome::went_to_no_ready_backend));
    assert!(outcomes.iter().any(|outcome| outcome.status == 503));
    assert_eq!(outcomes.last().map(|outcome| outcome.status), Some(200));
}
