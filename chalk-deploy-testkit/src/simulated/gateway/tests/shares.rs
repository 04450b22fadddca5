//! Shares follow the weights, and what must get nothing gets nothing.

use proptest::prelude::*;

use super::*;

/// How far a count may be from what is expected: five standard deviations of a binomial distribution. The seeds are
/// fixed, so a passing test passes always.
fn is_near(count: usize, of: usize, share: f64) -> bool {
    #[expect(clippy::cast_precision_loss, reason = "counts of a test are small")]
    let (count, of) = (count as f64, of as f64);
    (count - of * share).abs() <= 5.0 * (of * share * (1.0 - share)).sqrt()
}

async fn statuses_of(fixture: &Fixture, requests: usize) -> BTreeMap<u16, usize> {
    let mut counted = BTreeMap::new();
    for _ in 0..requests {
        *counted.entry(fixture.get("/").await.status).or_default() += 1;
    }
    counted
}

#[tokio::test(start_paused = true)]
async fn requests_are_shared_by_weight_and_spread_over_the_endpoints() {
    let fixture = Fixture::new(7);
    fixture.service("old", &["10.0.0.1", "10.0.0.2"]);
    fixture.service("new", &["10.0.1.1"]);
    fixture.service("never", &["10.0.2.1"]);
    fixture.route("main", to(&[backend("old", 90), backend("new", 10), backend("never", 0)]));
    fixture.settled().await;
    let mut counted: BTreeMap<String, usize> = BTreeMap::new();
    for _ in 0..2000 {
        *counted.entry(fixture.get("/").await.pod().to_owned()).or_default() += 1;
    }
    assert!(is_near(counted["10.0.1.1"], 2000, 0.1), "{counted:?}");
    assert!(is_near(counted["10.0.0.1"], 2000, 0.45), "{counted:?}");
    assert_eq!(counted.len(), 3, "{counted:?}");
}

#[tokio::test(start_paused = true)]
async fn an_invalid_reference_costs_its_share_and_no_more() {
    let fixture = Fixture::new(7);
    fixture.service("old", &["10.0.0.1"]);
    fixture.route("main", to(&[backend("old", 75), backend("missing", 25)]));
    fixture.settled().await;
    let counted = statuses_of(&fixture, 1000).await;
    assert!(is_near(counted[&500], 1000, 0.25), "{counted:?}");
    assert_eq!(counted[&200] + counted[&500], 1000);
}

#[tokio::test(start_paused = true)]
async fn a_share_without_endpoints_is_503_or_in_the_way_of_the_older_gateway_500() {
    for (settings, status) in [
        (GatewaySettings::default(), 503),
        (GatewaySettings { empty_share: StatusCode::INTERNAL_SERVER_ERROR, ..GatewaySettings::default() }, 500),
    ] {
        let fixture = Fixture::with(7, settings);
        fixture.service("old", &["10.0.0.1"]);
        fixture.service("new", &[]);
        fixture.route("main", to(&[backend("old", 50), backend("new", 50)]));
        fixture.settled().await;
        let counted = statuses_of(&fixture, 400).await;
        assert!(is_near(counted[&status], 400, 0.5), "{counted:?}");
        assert_eq!(counted[&200] + counted[&status], 400);
        fixture.endpoints("old", &[]);
        fixture.settled().await;
        assert_eq!(statuses_of(&fixture, 10).await, BTreeMap::from([(503, 10)]));
    }
}

fn last_endpoint(fixture: &Fixture) -> String {
    let last = fixture.gateway.outcomes().pop().and_then(|outcome| outcome.endpoint);
    last.map(|(address, _)| address).unwrap_or_default()
}

#[tokio::test(start_paused = true)]
async fn an_endpoint_with_requests_under_way_gets_fewer_new_ones() {
    let fixture = Fixture::new(5);
    fixture.service("new", &["10.0.0.1", "10.0.0.2"]);
    fixture.pods.set("10.0.0.1", Pod::Stalls);
    fixture.route("main", to(&[backend("new", 1)]));
    fixture.settled().await;
    let mut held = Vec::new();
    while held.len() < 3 {
        let request = Request::builder().uri("http://chalk.example/").body(full("")).expect("a valid request");
        let answer = fixture.gateway.answer(request).await.expect("an answer");
        if last_endpoint(&fixture) == "10.0.0.1" {
            held.push(answer);
        }
    }
    let mut to_idle = 0;
    for _ in 0..200 {
        let request = Request::builder().uri("http://chalk.example/").body(full("")).expect("a valid request");
        let answer = fixture.gateway.answer(request).await.expect("an answer");
        drop(answer);
        to_idle += usize::from(last_endpoint(&fixture) == "10.0.0.2");
    }
    // Of two that are drawn the idle one is taken: three times of four.
    assert!(is_near(to_idle, 200, 0.75), "{to_idle}");
}

#[tokio::test(start_paused = true)]
async fn one_seed_gives_one_sequence_of_outcomes() {
    let run = |seed| async move {
        let fixture = Fixture::new(seed);
        fixture.service("old", &["10.0.0.1", "10.0.0.2"]);
        fixture.service("new", &["10.0.1.1"]);
        fixture.route("main", to(&[backend("old", 1), backend("new", 1)]));
        fixture.settled().await;
        statuses_of(&fixture, 50).await;
        fixture.gateway.outcomes()
    };
    assert_eq!(run(1).await, run(1).await);
    assert_ne!(run(1).await, run(2).await);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]

    #[test]
    fn weights_of_nothing_and_endpoints_that_are_not_ready_are_never_picked(
        seed: u64,
        backends in prop::collection::vec((0u32..4, prop::collection::vec(any::<bool>(), 0..4)), 0..5),
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_time()
            .start_paused(true)
            .build()
            .expect("a runtime");
        runtime.block_on(async {
            let fixture = Fixture::new(seed);
            let mut references = Vec::new();
            for (index, (weight, ready)) in backends.iter().enumerate() {
                let name = format!("s{index}");
                fixture.service(&name, &[]);
                let addresses: Vec<_> = (0..ready.len()).map(|at| format!("10.0.{index}.{at}")).collect();
                let endpoints: Vec<_> =
                    addresses.iter().map(String::as_str).zip(ready.iter().copied()).collect();
                fixture.endpoints(&name, &endpoints);
                for address in &addresses {
                    fixture.pods.set(address, Pod::Echo);
                }
                references.push(backend(&name, *weight));
            }
            fixture.route("main", to(&references));
            fixture.settled().await;
            for _ in 0..100 {
                fixture.get("/").await;
            }
            let total: u32 = backends.iter().map(|(weight, _)| weight).sum();
            let outcomes = fixture.gateway.outcomes();
            for outcome in &outcomes {
                if total == 0 {
                    prop_assert_eq!(outcome.status, 500);
                    continue;
                }
                let drawn = outcome.backend.as_ref().expect("one is drawn");
                let index: usize = drawn.service.name[1..].parse().expect("a number");
                let (weight, ready) = &backends[index];
                prop_assert!(*weight > 0);
                prop_assert_eq!(outcome.ready_in_cluster, Some(ready.iter().filter(|ready| **ready).count()));
                if let Some((address, _)) = &outcome.endpoint {
                    let at: usize = address.rsplit('.').next().expect("an octet").parse().expect("a number");
                    prop_assert!(ready[at]);
                    prop_assert_eq!(outcome.status, 200);
                } else {
                    prop_assert!(!ready.contains(&true));
                    prop_assert_eq!(outcome.status, 503);
                }
            }
            for (index, (weight, _)) in backends.iter().enumerate().filter(|_| total > 0) {
                let name = format!("s{index}");
                let drawn = |outcome: &&RequestOutcome| {
                    outcome.backend.as_ref().is_some_and(|backend| backend.service.name == name)
                };
                let count = outcomes.iter().filter(drawn).count();
                let share = f64::from(*weight) / f64::from(total);
                prop_assert!(is_near(count, 100, share), "{} of 100 for a share of {}", count, share);
            }
            Ok(())
        })?;
    }
}
