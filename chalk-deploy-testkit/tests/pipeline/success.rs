//! The way without obstacles.

use chalk_deploy_core::machine::{Event, Stage, Verification};
use chalk_deploy_core::model::{Component, Promotion, TrafficSplit, Weight};

use crate::house::{House, OBJECTS, assert_success, request};

#[tokio::test(start_paused = true)]
async fn a_project_passes_all_five_stages_and_gets_all_the_traffic() {
    let house = House::new();
    let (id, outcome) = house.apply("one").await;
    assert_success(&outcome);
    assert_eq!(house.split().await, TrafficSplit::all_to(id.clone()));
    assert!(outcome.stages.iter().all(|stage| stage.done), "{:?}", outcome.stages);
    assert_eq!(outcome.stages.iter().map(|stage| stage.stage).collect::<Vec<_>>(), Stage::ALL);

    let traffic = outcome.traffic.expect("the traffic is told");
    assert!(traffic.promoted);
    assert_eq!(traffic.verified_by, Verification::Probe);

    let archive = outcome.archive.expect("the archive is told");
    assert_eq!(house.keys().await, [archive.key, format!("deployments/{id}")], "the incoming copy is gone");
    let image = &outcome.images[&Component::Engine];
    let digest = house.tags()[id.as_str()];
    assert!(image.ends_with(&format!("@{digest}")), "{image} is tagged with the deployment's id");
}

#[tokio::test(start_paused = true)]
async fn an_identical_project_is_a_deployment_of_its_own_that_shares_archive_and_image() {
    let house = House::new();
    let (first, before) = house.apply("one").await;
    let (second, after) = house.apply("one").await;
    assert_success(&after);
    assert_ne!(first, second);
    assert_eq!(before.images, after.images);
    assert_eq!(before.archive.map(|archive| archive.key), after.archive.map(|archive| archive.key));
    let blobs = house.faults.count("registry", "push_blob");
    house.apply("one").await;
    assert_eq!(house.faults.count("registry", "push_blob"), blobs, "no blob is pushed twice");
}

#[tokio::test(start_paused = true)]
async fn the_old_version_is_removed_only_after_the_new_one_has_all_the_traffic() {
    let house = House::new();
    let (old, _) = house.apply("one").await;
    let (new, outcome) = house.apply("two").await;
    assert_success(&outcome);
    let production = house.production().await;
    assert_eq!(production.split, TrafficSplit::all_to(new.clone()));
    let told: Vec<_> = outcome.traffic.expect("the traffic is told").backends;
    assert_eq!(told, Vec::from(production.split.clone()), "what is told is what is stored");
    let names: Vec<_> = production.objects.iter().map(|object| object.identity.reference.name.clone()).collect();
    assert_eq!(names, vec![format!("engine-{new}"); OBJECTS], "nothing of {old} is left");

    let calls = house.faults.calls();
    let place = |name: &str, from: usize| {
        from + calls[from..]
            .iter()
            .position(|call| format!("{}.{}", call.trait_name, call.method) == name)
            .expect("called")
    };
    let second = calls.iter().rposition(|call| call.method == "submit").expect("the second deployment");
    assert!(place("traffic.shift", second) < place("cluster.delete", second));
    assert!(place("probe.ask", second) < place("cluster.delete", second));
    let last_shift = calls.iter().rposition(|call| call.method == "shift").expect("called");
    assert!(last_shift < place("cluster.delete", second), "the route forgets the old version before its objects go");
}

#[tokio::test(start_paused = true)]
async fn every_stored_division_of_the_traffic_sums_to_100_and_the_new_share_never_falls() {
    let house = House::new();
    house.apply("one").await;
    let (new, _) = house.apply("two").await;
    let route = house.world.route(&crate::house::environment()).expect("a valid route");
    let generations = house.world.traffic().generations(&route).expect("the history can be read");
    assert!(generations.len() >= 3, "{generations:?}");
    let mut share = Weight::NONE;
    for split in &generations {
        let sum: u32 = split.backends().map(|(_, weight)| u32::from(weight.percent())).sum();
        assert_eq!(sum, 100, "{split:?}");
        assert!(split.weight_of(&new) >= share, "{generations:?}");
        share = split.weight_of(&new);
    }
}

#[tokio::test(start_paused = true)]
async fn a_deployment_that_is_held_back_ends_ready_at_weight_zero_and_leaves_production_alone() {
    let house = House::new();
    let (old, _) = house.apply("one").await;
    let (held, outcome) = house.finish(request("two").with_promotion(Promotion::Hold)).await;
    assert_success(&outcome);
    assert_eq!(house.split().await, TrafficSplit::all_to(old.clone()));
    let traffic = outcome.traffic.expect("the traffic is told");
    assert!(!traffic.promoted);
    let shares: Vec<_> = traffic.backends.iter().map(|backend| (&backend.deployment, backend.weight)).collect();
    assert_eq!(shares, [(&old, Weight::ALL), (&held, Weight::NONE)]);
    assert_eq!(house.production().await.objects.len(), 2 * OBJECTS, "both versions are there");
}

#[tokio::test(start_paused = true)]
async fn the_statuses_are_passed_in_their_order() {
    let house = House::new();
    let handle = house.deployer.apply(request("one")).await.expect("admitted");
    handle.wait().await.expect("it ends");
    let journal = house.journal(handle.id()).await;
    let mut seen = Vec::new();
    for length in 1..=journal.len() {
        let status = chalk_deploy_core::machine::fold(&journal[..length]).expect("legal").status;
        if seen.last() != Some(&status) {
            seen.push(status);
        }
    }
    assert_eq!(
        seen.iter().map(|status| status.as_str()).collect::<Vec<_>>(),
        ["AWAITING_SOURCE", "PENDING", "WORKING", "DEPLOYING", "SUCCESS"]
    );
    assert!(matches!(journal.last().map(|event| &event.event), Some(Event::Finished { .. })));
}

#[tokio::test(start_paused = true)]
async fn ten_simulated_minutes_of_waiting_for_pods_are_a_matter_of_milliseconds() {
    let house = House::of(crate::house::Plan {
        policy: chalk_deploy_core::model::DeploymentPolicy {
            ready_within: std::time::Duration::from_hours(1),
            ..Default::default()
        },
        ..Default::default()
    });
    let behaviour = chalk_deploy_testkit::fake::PodBehaviour::Ready { after: 2000 };
    house.world.cluster().set_behaviour(chalk_deploy_testkit::fake::PodScope::All, behaviour);
    let began = chalk_deploy_core::runtime::Runtime::monotonic(&*house.runtime);
    let (_, outcome) = house.apply("one").await;
    assert_success(&outcome);
    let took = chalk_deploy_core::runtime::Runtime::monotonic(&*house.runtime).saturating_sub(began);
    assert!(took >= std::time::Duration::from_mins(10), "{took:?}");
}
