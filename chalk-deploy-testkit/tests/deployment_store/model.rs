//! The two stores give the same answers to the same calls, whatever the calls.

use std::time::Duration;

use chalk_deploy_core::cloud::FencingToken;
use chalk_deploy_core::model::{
    DeploymentId, DeploymentPlan, DeploymentStatus, EnvironmentId, IdempotencyKey, Promotion,
};
use chalk_deploy_core::store::{Creation, DeploymentStore, HistoryQuery, Lease, MemoryStore};
use chalk_deploy_core::{ErrorCode, Result};
use chalk_deploy_testkit::conformance::deployment_store::{append, at, fresh_environment, fresh_holder, graph, plan};
use proptest::prelude::*;

use super::sqlite::Fixture;

/// A call, with its values relative to what was made before.
#[derive(Debug, Clone)]
enum Call {
    Create { environment: usize, key: Option<u8>, held_back: bool },
    Append { deployment: usize, ahead: i64, token: Token, lines: u64, status: DeploymentStatus },
    Cancel { deployment: usize },
    Acquire { environment: usize },
    Renew { lease: usize },
    Release { lease: usize },
    History { environment: Option<usize>, statuses: Vec<DeploymentStatus>, before: Option<usize>, most: Option<usize> },
    Events { deployment: usize, after: u64 },
}

#[derive(Debug, Clone, Copy)]
enum Token {
    None,
    Newest { environment: usize },
    Of { lease: usize },
    Never,
}

fn status() -> impl Strategy<Value = DeploymentStatus> {
    prop_oneof![
        // Mostly those in which a deployment can live on.
        4 => prop::sample::select(&DeploymentStatus::ALL[..5]),
        1 => prop::sample::select(&DeploymentStatus::ALL[..]),
    ]
}

fn call() -> impl Strategy<Value = Call> {
    let token = prop_oneof![
        4 => (0..2_usize).prop_map(|environment| Token::Newest { environment }),
        2 => Just(Token::None),
        2 => (0..8_usize).prop_map(|lease| Token::Of { lease }),
        1 => Just(Token::Never),
    ];
    prop_oneof![
        3 => (0..2_usize, prop::option::of(0..2_u8), any::<bool>())
            .prop_map(|(environment, key, held_back)| Call::Create { environment, key, held_back }),
        10 => (0..4_usize, prop_oneof![8 => Just(0), 1 => -2..3_i64], token, 0..4_u64, status())
            .prop_map(|(deployment, ahead, token, lines, status)| Call::Append { deployment, ahead, token, lines, status }),
        1 => (0..4_usize).prop_map(|deployment| Call::Cancel { deployment }),
        4 => (0..2_usize).prop_map(|environment| Call::Acquire { environment }),
        1 => (0..8_usize).prop_map(|lease| Call::Renew { lease }),
        3 => (0..8_usize).prop_map(|lease| Call::Release { lease }),
        1 => (prop::option::of(0..2_usize), prop::collection::vec(status(), 0..3), prop::option::of(0..4_usize),
              prop::option::of(0..3_usize))
            .prop_map(|(environment, statuses, before, most)| Call::History { environment, statuses, before, most }),
        1 => (0..4_usize, 0..8_u64).prop_map(|(deployment, after)| Call::Events { deployment, after }),
    ]
}

/// What was made so far, by the oracle's answers.
struct World {
    environments: [EnvironmentId; 2],
    deployments: Vec<DeploymentId>,
    leases: Vec<Lease>,
}

impl World {
    fn deployment(&self, at: usize) -> DeploymentId {
        self.deployments.get(at).cloned().unwrap_or_else(|| plan(&self.environments[0]).id)
    }

    fn token(&self, token: Token) -> Option<FencingToken> {
        match token {
            Token::None => None,
            Token::Newest { environment } => {
                let newest = self.leases.iter().rfind(|lease| lease.environment == self.environments[environment]);
                newest.map(|lease| lease.token)
            }
            Token::Of { lease } => self.leases.get(lease).map(|lease| lease.token),
            Token::Never => Some(FencingToken(1_000)),
        }
    }
}

/// Makes the call on both stores and compares the answers. Refusals must agree in everything that is said, but for what
/// frees a lease.
async fn run(call: &Call, world: &mut World, oracle: &dyn DeploymentStore, store: &dyn DeploymentStore) {
    const TERM: Duration = Duration::from_secs(15);
    match call {
        Call::Create { environment, key, held_back } => {
            let key = key.map(|key| IdempotencyKey::new(key.to_string()).expect("a valid key"));
            let promotion = if *held_back { Promotion::Hold } else { Promotion::Promote };
            let plan = DeploymentPlan { idempotency_key: key, promotion, ..plan(&world.environments[*environment]) };
            let expected = oracle.create(&plan, &graph()).await;
            same(&expected, &store.create(&plan, &graph()).await);
            if matches!(expected, Ok(Creation::New)) {
                world.deployments.push(plan.id);
            }
        }
        Call::Append { deployment, ahead, token, lines, status } => {
            let deployment = world.deployment(*deployment);
            let version = oracle.deployment(&deployment).await.map_or(1, |record| record.version);
            let append =
                append(&deployment, version.saturating_add_signed(*ahead), world.token(*token), *lines, *status);
            same(&oracle.append(&append).await, &store.append(&append).await);
            same(&oracle.deployment(&deployment).await, &store.deployment(&deployment).await);
        }
        Call::Cancel { deployment } => {
            let deployment = world.deployment(*deployment);
            same(&oracle.request_cancel(&deployment).await, &store.request_cancel(&deployment).await);
        }
        Call::Acquire { environment } => {
            let (environment, holder) = (&world.environments[*environment], fresh_holder());
            let expected = oracle.acquire_lease(environment, &holder, TERM, at(0)).await;
            let found = store.acquire_lease(environment, &holder, TERM, at(0)).await;
            match expected {
                Ok(lease) => {
                    assert_eq!(found.expect("the oracle acquires it"), lease);
                    world.leases.push(lease);
                }
                Err(error) => {
                    let found = found.expect_err("the oracle refuses it");
                    assert_eq!((found.code(), found.message()), (error.code(), error.message()));
                    assert_eq!(error.code(), ErrorCode::LeaseHeld);
                }
            }
        }
        Call::Renew { lease } => {
            let Some(lease) = world.leases.get(*lease) else { return };
            same(&oracle.renew_lease(lease, at(0)).await, &store.renew_lease(lease, at(0)).await);
        }
        Call::Release { lease } => {
            let Some(lease) = world.leases.get(*lease) else { return };
            same(&oracle.release_lease(lease).await, &store.release_lease(lease).await);
        }
        Call::History { environment, statuses, before, most } => {
            let query = HistoryQuery {
                environment: environment.map(|environment| world.environments[environment].clone()),
                statuses: statuses.clone(),
                before: before.map(|before| world.deployment(before)),
                most: *most,
            };
            same(&oracle.history(&query).await, &store.history(&query).await);
        }
        Call::Events { deployment, after } => {
            let deployment = world.deployment(*deployment);
            same(&oracle.events(&deployment, *after).await, &store.events(&deployment, *after).await);
        }
    }
}

#[track_caller]
fn same<T: std::fmt::Debug + PartialEq>(expected: &Result<T>, found: &Result<T>) {
    match (expected, found) {
        (Ok(expected), Ok(found)) => assert_eq!(expected, found),
        (Err(expected), Err(found)) => {
            assert_eq!((expected.code(), expected.sentence()), (found.code(), found.sentence()));
        }
        (expected, found) => panic!("the oracle says {expected:?}, the store says {found:?}"),
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn sqlite_answers_every_sequence_of_calls_as_memory_does(calls in prop::collection::vec(call(), 1..40)) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        runtime.block_on(async {
            let (oracle, store) = (MemoryStore::new(), Fixture::new().await);
            let mut world = World {
                environments: [fresh_environment(), fresh_environment()],
                deployments: Vec::new(),
                leases: Vec::new(),
            };
            // Something to work on from the first call.
            for call in [
                Call::Create { environment: 0, key: None, held_back: false },
                Call::Acquire { environment: 0 },
            ] {
                run(&call, &mut world, &*oracle, &*store).await;
            }
            for call in &calls {
                run(call, &mut world, &*oracle, &*store).await;
            }
            let all = HistoryQuery::default();
            same(&oracle.history(&all).await, &store.history(&all).await);
            for deployment in &world.deployments {
                same(&oracle.events(deployment, 0).await, &store.events(deployment, 0).await);
            }
        });
    }
}
