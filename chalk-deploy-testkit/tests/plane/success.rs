//! Deployments that end well.

use chalk_deploy_core::machine::StepOutput;
use chalk_deploy_core::machine::{Event, Verification};
use chalk_deploy_core::model::TrafficSplit;
use chalk_deploy_testkit::simulated::fault::Requests;

use crate::house::{House, assert_success, route};

#[tokio::test(start_paused = true)]
async fn a_first_deployment_serves_through_the_gateway_and_a_second_one_takes_its_place() {
    let house = House::new();
    for source in ["one", "two"] {
        let (id, outcome) = house.apply(source).await;
        assert_success(&outcome);
        assert_eq!(house.split().await, TrafficSplit::all_to(id.clone()));
        let probe = house.adapters.cloud().traffic.probe().expect("the gateway can be asked");
        for _ in 0..20 {
            assert_eq!(probe.ask(&route()).await.expect("an answer"), id);
        }
        let production = house.production().await;
        assert!(!production.objects.is_empty());
        for object in production.objects.keys() {
            assert!(object.contains(id.as_str()), "{object} is left over");
        }
        let verified = house.journal(&id).await.into_iter().find_map(|recorded| match recorded.event {
            Event::StepSucceeded { output, .. } => match *output {
                StepOutput::Verified(report) => Some(report.verified_by),
                _ => None,
            },
            _ => None,
        });
        assert_eq!(verified, Some(Verification::Probe));
    }
}

#[tokio::test(start_paused = true)]
async fn the_same_source_again_is_the_same_image_and_costs_no_blob() {
    let house = House::new();
    let (_, first) = house.apply("one").await;
    let uploads = Requests::to("registry").method("POST");
    let before = house.faults().count(&uploads);
    assert!(before > 0);
    let (_, second) = house.apply("one").await;
    assert_success(&second);
    assert_eq!(first.images, second.images);
    assert_eq!(house.faults().count(&uploads), before);
}

#[tokio::test(start_paused = true)]
async fn what_a_deployment_leaves_in_bucket_and_registry_is_its_archive_its_entry_its_build_and_its_tag() {
    let house = House::new();
    let (first, _) = house.apply("one").await;
    let (second, _) = house.apply("two").await;
    let keys = house.keys().await;
    assert_eq!(keys.iter().filter(|key| key.starts_with("archives/")).count(), 2, "{keys:?}");
    let entries: Vec<_> = keys.iter().filter_map(|key| key.strip_prefix("deployments/")).collect();
    assert!(entries.contains(&first.as_str()) && entries.contains(&second.as_str()), "{keys:?}");
    let builds: Vec<_> = keys.iter().filter_map(|key| key.strip_prefix("builds/")).collect();
    assert!(builds.contains(&first.as_str()) && builds.contains(&second.as_str()), "{keys:?}");
    assert_eq!(keys.len(), 6, "{keys:?}");
    assert!(house.tags().contains(first.as_str()) && house.tags().contains(second.as_str()));
}
