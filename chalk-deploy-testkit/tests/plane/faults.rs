//! A fault at each request of a deployment: answers lost, connections cut, statuses.

use chalk_deploy_core::cloud::Payload;
use chalk_deploy_core::error::Retry;
use chalk_deploy_core::model::{DeploymentStatus, TrafficSplit, Weight};
use chalk_deploy_core::store::HistoryQuery;
use chalk_deploy_testkit::simulated::fault::{LoggedRequest, ProtocolFault, Requests};

use crate::house::{House, archive, assert_success, request};

/// A request in the terms of a rule: which one, and the how many-th of its kind.
struct Place {
    requests: Requests,
    nth: u64,
    name: String,
}

/// The requests of a second deployment. Its own id differs from run to run of the deployer, so a request is found by its
/// place in the sequence of those with its method to its server.
async fn places() -> Vec<Place> {
    let house = House::new();
    house.apply("one").await;
    let before = house.faults().log().len();
    house.apply("two").await;
    let log = house.faults().log();
    let of_a_kind = |logged: &LoggedRequest, other: &LoggedRequest| {
        (logged.server, &logged.method) == (other.server, &other.method)
    };
    let mut places = Vec::new();
    for (position, logged) in log.iter().enumerate().skip(before) {
        let nth = log[before..=position].iter().filter(|other| of_a_kind(logged, other)).count() as u64;
        let method = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"]
            .into_iter()
            .find(|method| *method == logged.method)
            .expect("a method that is known");
        let name = format!("{} {} {} (number {nth} of its kind)", logged.server, logged.method, logged.target);
        places.push(Place { requests: Requests::to(logged.server).method(method), nth, name });
    }
    places
}

fn source() -> Payload {
    Payload::from_bytes(archive("two"))
}

/// A house in which one version serves, whose next deployment meets a fault there.
async fn meeting(place: &Place, fault: ProtocolFault) -> House {
    let house = House::new();
    assert_success(&house.apply("one").await.1);
    house.faults().nth(place.requests.clone(), place.nth, fault);
    house
}

async fn bridged(faults: impl Fn(&Place) -> Option<ProtocolFault>) {
    for place in places().await {
        let Some(fault) = faults(&place) else { continue };
        let house = meeting(&place, fault.clone()).await;
        let handle = match house.deployer.apply(request("two")).await {
            Ok(handle) => handle,
            // The data plane is provided while the request is admitted. Nothing was created, and who asked asks again.
            Err(refused) => {
                assert_eq!(refused.retry(), Retry::Temporary, "{fault:?} at {}: {refused:?}", place.name);
                let history = house.store.history(&HistoryQuery::default()).await.expect("readable");
                assert_eq!(history.len(), 1, "{fault:?} at {}", place.name);
                house.deployer.apply(request("two")).await.expect("admitted")
            }
        };
        let id = handle.id().clone();
        let outcome = match handle.wait().await {
            Ok(outcome) => outcome,
            // The data plane could not be resolved, so nobody drove the deployment. Whoever resumes it does.
            Err(error) => {
                assert_eq!(error.retry(), Retry::Temporary, "{fault:?} at {}: {error:?}", place.name);
                let resumed = house.deployer.resume(&id, Some(source())).await.expect("resumed");
                resumed.wait().await.expect("it ends")
            }
        };
        assert_eq!(outcome.status, DeploymentStatus::Success, "{fault:?} at {}: {:?}", place.name, outcome.error);
        assert!(outcome.residue.is_empty(), "{fault:?} at {}: {:?}", place.name, outcome.residue);
        assert_eq!(house.split().await, TrafficSplit::all_to(id.clone()), "{fault:?} at {}", place.name);
        let production = house.production().await;
        assert!(production.objects.keys().all(|object| object.contains(id.as_str())), "{}: {production:?}", place.name);
        assert_eq!(house.keys().await.len(), 6, "{fault:?} at {}: {:?}", place.name, house.keys().await);
        assert!(house.faults().unmet().is_empty(), "{} was not reached", place.name);
    }
}

#[tokio::test(start_paused = true)]
async fn an_answer_that_is_lost_after_the_effect_is_bridged_at_every_request() {
    bridged(|_| Some(ProtocolFault::SeverAfter)).await;
}

#[tokio::test(start_paused = true)]
async fn a_connection_that_is_cut_before_the_effect_is_bridged_at_every_request() {
    bridged(|_| Some(ProtocolFault::SeverBefore)).await;
}

#[tokio::test(start_paused = true)]
async fn a_server_error_is_bridged_at_every_request() {
    bridged(|_| Some(ProtocolFault::status(503))).await;
    bridged(|_| Some(ProtocolFault::status(500))).await;
}

#[tokio::test(start_paused = true)]
async fn a_server_that_asks_for_patience_gets_it_at_every_request() {
    bridged(|_| Some(ProtocolFault::busy(429, 7))).await;
}

#[tokio::test(start_paused = true)]
async fn an_answer_whose_body_is_cut_is_bridged_at_every_request() {
    bridged(|_| Some(ProtocolFault::CutAnswer { after: 3 })).await;
}

#[tokio::test(start_paused = true)]
async fn garbage_at_any_request_is_bridged_or_ends_with_production_as_it_was() {
    let garbage = || ProtocolFault::Answer { status: 200, headers: Vec::new(), body: "\u{1b}[2J{\"kind\":".to_owned() };
    for place in places().await {
        let house = House::new();
        assert_success(&house.apply("one").await.1);
        let production = house.production().await;
        house.faults().nth(place.requests.clone(), place.nth, garbage());
        let Ok(handle) = house.deployer.apply(request("two")).await else {
            assert_eq!(house.production().await, production, "{}", place.name);
            continue;
        };
        let Ok(outcome) = handle.wait().await else {
            assert_eq!(house.production().await, production, "{}", place.name);
            continue;
        };
        let id = handle.id().clone();
        match outcome.status {
            // After the commit point what cannot be retired is left over, and told.
            DeploymentStatus::Success => {
                let split = house.split().await;
                assert_eq!(split.weight_of(&id), Weight::ALL, "{}", place.name);
                assert!(split == TrafficSplit::all_to(id) || !outcome.residue.is_empty(), "{}: {split:?}", place.name);
            }
            // A service that makes no sense is nobody's mistake in the project.
            DeploymentStatus::Failure | DeploymentStatus::InternalError => {
                assert_eq!(house.production().await, production, "{}", place.name);
                assert!(outcome.residue.is_empty(), "after garbage at {}: {:?}", place.name, outcome.residue);
            }
            other => panic!("{other:?} after garbage at {}: {:?}", place.name, outcome.error),
        }
    }
}
