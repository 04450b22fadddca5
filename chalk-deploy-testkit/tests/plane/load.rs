//! Requests arrive all the time, and none of them meets a backend that is not there.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use chalk_deploy_core::runtime::Runtime as _;
use chalk_deploy_testkit::simulated::gateway::GatewaySettings;
use chalk_deploy_testkit::simulated::plane::PlaneSettings;

use crate::house::{House, Plan, assert_success, route};

/// Deploys again and again under requests every few milliseconds, by a gateway that follows so late.
async fn cut_over(seed: u64, propagation: Duration) {
    let defaults = Plan::default();
    let gateway =
        GatewaySettings { route_delay: propagation, endpoint_delay: propagation / 2, ..GatewaySettings::default() };
    let settings = PlaneSettings { gateway, ..defaults.settings };
    let house = Arc::new(House::of(Plan { seed, settings, ..defaults }));
    assert_success(&house.apply("zero").await.1);

    let (stop, answered) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicBool::new(false)));
    let load = tokio::spawn({
        let (house, stop, answered) = (house.clone(), stop.clone(), answered.clone());
        async move {
            let probe = house.adapters.cloud().traffic.probe().expect("the gateway can be asked");
            let mut asked = 0_u32;
            while !stop.load(Ordering::SeqCst) {
                probe.ask(&route()).await.expect("every request is answered");
                answered.store(true, Ordering::SeqCst);
                asked += 1;
                house.runtime.sleep(Duration::from_millis(3)).await;
            }
            asked
        }
    });
    for source in ["one", "two", "three"] {
        assert_success(&house.apply(source).await.1);
    }
    stop.store(true, Ordering::SeqCst);
    let asked = load.await.expect("no request failed");
    assert!(asked > 1000, "{asked}");
    assert_eq!(house.lost_requests(), 0);
}

#[tokio::test(start_paused = true)]
async fn no_request_is_lost_in_any_cutover_whatever_the_propagation() {
    for (seed, propagation) in [(1, 0), (2, 20), (3, 300), (4, 2000)] {
        cut_over(seed, Duration::from_millis(propagation)).await;
    }
}
