use chalk_deploy_core::cloud::{ApplyOptions, ClusterApi as _, label};
use chalk_deploy_core::model::{Backend, DeploymentId, EnvironmentId, Manifest, Namespace, Weight};
use serde_json::json;

use super::super::{FakeRegistry, PodBehaviour, PodScope};
use super::*;

fn route() -> RouteReference {
    RouteReference {
        environment: EnvironmentId::new("test").expect("a valid environment"),
        namespace: Namespace::new("ns-test").expect("a valid namespace"),
    }
}

fn id(letter: char) -> DeploymentId {
    DeploymentId::new(format!("c{}", letter.to_string().repeat(24))).expect("a valid id")
}

fn split(shares: &[(char, i64)]) -> TrafficSplit {
    let backend = |&(letter, percent): &(char, i64)| Backend {
        deployment: id(letter),
        weight: Weight::new(percent).expect("a valid weight"),
    };
    TrafficSplit::new(shares.iter().map(backend)).expect("sums to 100")
}

/// A gateway before a cluster in which the deployments `a` and `b` are ready.
async fn gateway() -> FakeTraffic {
    let world = World::memory();
    let cluster = FakeCluster::new(&world, FakeRegistry::new(&world));
    cluster.set_behaviour(PodScope::All, PodBehaviour::Ready { after: 0 });
    for letter in ['a', 'b'] {
        let labels = json!({label::DEPLOYMENT: id(letter)});
        for document in [
            json!({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": id(letter), "labels": labels},
                "spec": {"template": {"metadata": {"labels": labels}}}}),
            json!({"apiVersion": "v1", "kind": "Service", "metadata": {"name": id(letter)}, "spec": {"selector": labels}}),
        ] {
            let manifest = Manifest::new(document).expect("a manifest");
            let options = ApplyOptions { token: FencingToken(1) };
            cluster.apply(&route().namespace, &manifest, &options).await.expect("applied");
        }
    }
    FakeTraffic::new(&world, cluster)
}

async fn shift(traffic: &FakeTraffic, split: TrafficSplit) -> ObservedTraffic {
    let expected_version = traffic.observe(&route()).await.expect("observed").version;
    let change = TrafficChange { split, expected_version, token: FencingToken(1) };
    traffic.shift(&route(), &change).await.expect("shifted")
}

#[tokio::test]
async fn of_a_hundred_requests_each_backend_answers_as_its_weight_says() {
    let traffic = gateway().await;
    shift(&traffic, split(&[('a', 73), ('b', 27)])).await;
    let probe = traffic.probe().expect("asking is allowed");
    let mut answers = BTreeMap::new();
    for _ in 0..100 {
        *answers.entry(probe.ask(&route()).await.expect("answered")).or_insert(0) += 1;
    }
    assert_eq!(answers, [(id('a'), 73), (id('b'), 27)].into());
}

#[tokio::test]
async fn the_gateway_acts_on_the_division_before_until_it_has_settled() {
    let traffic = gateway().await;
    shift(&traffic, split(&[('a', 100)])).await;
    traffic.set_behaviour(GatewayBehaviour::Settles { after: 2 });
    let stored = shift(&traffic, split(&[('b', 100)])).await;
    let probe = traffic.probe().expect("asking is allowed");
    for (settlement, answers) in [(Settlement::Pending, 'a'), (Settlement::Pending, 'b'), (Settlement::Settled, 'b')] {
        assert_eq!(traffic.settlement(&route(), &stored).await.expect("asked"), settlement);
        assert_eq!(probe.ask(&route()).await.expect("answered"), id(answers));
    }
}

#[tokio::test]
async fn a_backend_whose_pods_die_answers_503_and_no_route_404() {
    let traffic = gateway().await;
    let probe = traffic.probe().expect("asking is allowed");
    let error = probe.ask(&route()).await.expect_err("no route");
    assert!(error.message().contains("404"), "{error}");
    shift(&traffic, split(&[('a', 100)])).await;
    traffic.cluster.set_behaviour(PodScope::All, PodBehaviour::Crash);
    let error = probe.ask(&route()).await.expect_err("dead");
    assert!(error.code() == ErrorCode::VerificationFailed && error.message().contains("503"), "{error}");
}

#[tokio::test]
async fn tests_can_forbid_asking_and_make_every_answer_a_failure() {
    let traffic = gateway().await;
    shift(&traffic, split(&[('a', 100)])).await;
    traffic.set_probe(Some(ProbeBehaviour::Fails(500)));
    let probe = traffic.probe().expect("asking is allowed");
    assert!(probe.ask(&route()).await.expect_err("fails").message().contains("500"));
    traffic.set_probe(None);
    assert!(traffic.probe().is_none());
}

#[tokio::test]
async fn every_generation_is_kept_and_a_repeated_shift_adds_none() {
    let traffic = gateway().await;
    let steps = [split(&[('a', 100)]), split(&[('a', 50), ('b', 50)]), split(&[('b', 100)])];
    for step in &steps {
        shift(&traffic, step.clone()).await;
        shift(&traffic, step.clone()).await;
    }
    assert_eq!(traffic.generations(&route()).expect("kept"), steps);
}
