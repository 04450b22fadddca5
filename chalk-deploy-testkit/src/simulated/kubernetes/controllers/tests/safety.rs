//! What must hold at every version of every rollout.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use chalk_deploy_core::runtime::Runtime as _;
use proptest::prelude::*;
use serde_json::{Value, json};

use super::stage::{IMAGE, Stage};
use crate::fake::PodScope;
use crate::simulated::kubernetes::controllers::deployment::share;
use crate::simulated::kubernetes::controllers::{ClusterSettings, view};
use crate::simulated::kubernetes::kubelet::PodBehaviour;
use crate::simulated::kubernetes::objects::{Change, ChangeKind};
use crate::simulated::kubernetes::resource::{DEPLOYMENT, ENDPOINT_SLICE, POD};

/// One move in the middle of whatever is under way.
#[derive(Debug, Clone)]
enum Move {
    /// Another image, whose processes behave like this.
    Image(u8, PodBehaviour),
    Wait(u64),
    Kill,
}

fn moves() -> impl Strategy<Value = Vec<Move>> {
    let behaviour = prop_oneof![
        Just(PodBehaviour::ByImage),
        (0..3000_u64).prop_map(|after| PodBehaviour::Ready { after: Duration::from_millis(after) }),
        Just(PodBehaviour::ImagePullFailed),
        Just(PodBehaviour::NeverReady),
        Just(PodBehaviour::Unschedulable),
        // Before it would be ready.
        Just(PodBehaviour::Crash { after: Duration::from_millis(10), restarts: Some(2) }),
    ];
    let one = prop_oneof![
        3 => (0..4_u8, behaviour).prop_map(|(image, behaviour)| Move::Image(image, behaviour)),
        3 => (0..2500_u64).prop_map(Move::Wait),
        1 => Just(Move::Kill),
    ];
    prop::collection::vec(one, 1..10)
}

fn bound() -> impl Strategy<Value = Value> {
    prop_oneof![(0..4_u32).prop_map(|number| json!(number)), (0..=100_u32).prop_map(|part| json!(format!("{part}%")))]
}

/// Follows the pods from version to version.
#[derive(Debug, Default)]
struct Follower {
    pods: BTreeMap<String, Arc<Value>>,
}

impl Follower {
    fn follow(&mut self, change: &Change) {
        match change.kind {
            ChangeKind::Deleted => self.pods.remove(&change.key.name),
            _ => self.pods.insert(change.key.name.clone(), change.object.clone()),
        };
    }

    fn live(&self) -> impl Iterator<Item = &Arc<Value>> {
        self.pods.values().filter(|pod| !view::is_deleting(pod))
    }

    fn ready(&self) -> usize {
        self.live().filter(|pod| view::holds(pod, "Ready")).count()
    }
}

async fn check(replicas: u32, surge: Value, unavailable: Value, moves: Vec<Move>) -> Result<(), TestCaseError> {
    let mut stage = Stage::new(ClusterSettings::default());
    stage.deploy(replicas);
    let strategy = json!({"rollingUpdate": {"maxSurge": surge, "maxUnavailable": unavailable}});
    stage.change(DEPLOYMENT, "engine", |deployment| deployment["spec"]["strategy"] = strategy);
    stage.seconds(3).await;
    prop_assert_eq!(stage.ready_pods(), replicas as usize);
    let (surge, mut unavailable) = (share(Some(&surge), replicas, true), share(Some(&unavailable), replicas, false));
    if surge == 0 && unavailable == 0 {
        unavailable = 1;
    }
    let (least, most) = (replicas.saturating_sub(unavailable) as usize, (replicas + surge) as usize);
    let mut follower = Follower::default();
    for pod in stage.pods() {
        follower.pods.insert(view::name(&pod).to_owned(), pod);
    }
    let mut version = stage.objects.version();
    let mut chosen: BTreeMap<String, PodBehaviour> = BTreeMap::new();
    for step in moves {
        let wait = match step {
            Move::Image(number, behaviour) => {
                let image = format!("registry.embedded/chalk/engine:n{number}");
                stage.images.put(&image, "/bin/other");
                // An image's behaviour stays: pods that are ready would otherwise change under the rollout.
                let behaviour = chosen.entry(image.clone()).or_insert(behaviour).clone();
                stage.cluster.set_behaviour(PodScope::Image(image.clone()), behaviour);
                stage.change(DEPLOYMENT, "engine", |deployment| {
                    deployment["spec"]["template"]["spec"]["containers"][0]["image"] = image.into();
                });
                10
            }
            Move::Wait(millis) => millis,
            Move::Kill => {
                stage.restart();
                for (image, behaviour) in &chosen {
                    stage.cluster.set_behaviour(PodScope::Image(image.clone()), behaviour.clone());
                }
                10
            }
        };
        let mut pods = stage.objects.watch(POD, None, version).expect("it is remembered");
        let mut slices = stage.objects.watch(ENDPOINT_SLICE, None, version).expect("it is remembered");
        stage.runtime.sleep(Duration::from_millis(wait)).await;
        let mut changes = pods.now().expect("it is remembered");
        changes.extend(slices.now().expect("it is remembered"));
        changes.sort_by_key(|change| change.version);
        for change in &changes {
            if change.key.resource == POD {
                follower.follow(change);
                prop_assert!(follower.ready() >= least, "{} ready at {}", follower.ready(), change.version);
                prop_assert!(follower.live().count() <= most, "{} pods at {}", follower.live().count(), change.version);
                continue;
            }
            // A slice lists as ready only what is so at the very version at which it was written.
            for endpoint in view::items(&change.object, "/endpoints") {
                let ready = follower.pods.get(view::text(endpoint, "/targetRef/name"));
                let ready = ready.is_some_and(|pod| view::holds(pod, "Ready") && !view::is_deleting(pod));
                let newly =
                    change.before.as_ref().is_none_or(|before| !view::items(before, "/endpoints").contains(endpoint));
                prop_assert!(ready || !newly || endpoint["conditions"]["ready"] != true, "{endpoint:#}");
            }
        }
        version = stage.objects.version();
    }
    // Whatever came before, the first image comes back.
    stage.change(DEPLOYMENT, "engine", |deployment| {
        deployment["spec"]["template"]["spec"]["containers"][0]["image"] = IMAGE.into();
    });
    stage.seconds(60).await;
    prop_assert_eq!((stage.ready_pods(), stage.pods().len()), (replicas as usize, replicas as usize));
    prop_assert_eq!(stage.ready_addresses().len(), replicas as usize);
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]
    #[test]
    fn no_version_of_any_rollout_has_fewer_ready_or_more_pods_than_its_strategy_allows(
        replicas in 1..8_u32, surge in bound(), unavailable in bound(), moves in moves(),
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_time()
            .start_paused(true)
            .build()
            .expect("a runtime can be built");
        runtime.block_on(check(replicas, surge, unavailable, moves))?;
    }
}
