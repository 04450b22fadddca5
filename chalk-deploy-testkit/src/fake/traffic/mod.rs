//! A gateway that divides requests, and keeps every division that it was ever given.

mod probe;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use chalk_deploy_core::checkpoint::{Checkpoints, NoCheckpoints};
use chalk_deploy_core::cloud::{
    FencingToken, ObservedTraffic, RouteReference, Settlement, TrafficChange, TrafficProbe, TrafficShifter,
};
use chalk_deploy_core::model::TrafficSplit;
use chalk_deploy_core::text::printable;
use chalk_deploy_core::{Error, ErrorCode, Result};
use serde::{Deserialize, Serialize};

pub use self::probe::{FakeProbe, ProbeBehaviour};
use super::cluster::FakeCluster;
use crate::world::{Room, World};

/// A gateway in front of a [`FakeCluster`]. Clones are the same gateway.
#[derive(Debug, Clone)]
pub struct FakeTraffic {
    room: Room,
    cluster: FakeCluster,
    checkpoints: Arc<dyn Checkpoints>,
    gateway: Arc<Mutex<Gateway>>,
}

/// How the gateway takes to a new division.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum GatewayBehaviour {
    /// It acts on it when it was asked so many times whether it does; until then it acts on the one before.
    Settles {
        /// How often it says that it does not yet.
        after: u32,
    },
    /// It never acts on it, for this reason.
    Refuses(String),
}

/// What the gateway knows that is not stored: what tests chose, and how far it is.
#[derive(Debug)]
struct Gateway {
    behaviour: GatewayBehaviour,
    probe: Option<ProbeBehaviour>,
    asked: BTreeMap<RouteReference, (u64, u32)>,
    requests: BTreeMap<RouteReference, u64>,
}

/// A route as it is stored.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
struct StoredRoute {
    generation: u64,
    split: TrafficSplit,
    token: FencingToken,
    /// The backends that someone else has put into our rule.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    foreign: Vec<String>,
}

impl StoredRoute {
    fn observed(&self) -> ObservedTraffic {
        let version = if self.generation == 0 { String::new() } else { self.generation.to_string() };
        ObservedTraffic { split: self.split.clone(), version, token: self.token }
    }
}

impl FakeTraffic {
    /// The gateway of a world. It acts on a new division at once, and may be asked who answers.
    pub fn new(world: &World, cluster: FakeCluster) -> Self {
        let gateway = Gateway {
            behaviour: GatewayBehaviour::Settles { after: 0 },
            probe: Some(ProbeBehaviour::Answers),
            asked: BTreeMap::new(),
            requests: BTreeMap::new(),
        };
        Self {
            room: world.room("gateway"),
            cluster,
            checkpoints: Arc::new(NoCheckpoints),
            gateway: Arc::new(Mutex::new(gateway)),
        }
    }

    /// Tells of the moments between two writes.
    #[must_use]
    pub fn with_checkpoints(mut self, checkpoints: Arc<dyn Checkpoints>) -> Self {
        self.checkpoints = checkpoints;
        self
    }

    /// Chooses how the gateway takes to divisions from now on.
    pub fn set_behaviour(&self, behaviour: GatewayBehaviour) {
        let mut gateway = self.gateway();
        gateway.behaviour = behaviour;
        gateway.asked.clear();
    }

    /// Chooses what requests are answered with from now on; `None`: nobody may ask.
    pub fn set_probe(&self, probe: Option<ProbeBehaviour>) {
        self.gateway().probe = probe;
    }

    /// Puts a backend of someone else into our rule, as a person with an editor would.
    ///
    /// # Errors
    /// [`ErrorCode::CloudUnavailable`] when the world cannot be written.
    pub fn add_foreign_backend(&self, route: &RouteReference, name: &str) -> Result<()> {
        self.room.exclusively(|room| {
            let mut stored = self.stored(route)?;
            stored.generation += 1;
            stored.foreign.push(name.to_owned());
            room.write_json(&history_of(route, stored.generation), &stored)?;
            room.write_json(&route_of(route), &stored)
        })
    }

    /// Every division that was ever stored, from the first one on.
    ///
    /// # Errors
    /// [`ErrorCode::CloudUnavailable`] when the world cannot be read; [`ErrorCode::CloudAnswerInvalid`] for a division
    /// whose weights do not sum to 100.
    pub fn generations(&self, route: &RouteReference) -> Result<Vec<TrafficSplit>> {
        let stored = self.stored(route)?;
        let mut splits = Vec::new();
        for generation in 1..=stored.generation {
            splits.extend(self.generation(route, generation)?.map(|route| route.split));
        }
        // A process that was killed between the two writes has left the newest one out of the history.
        if stored.generation > 0 && splits.len() as u64 == stored.generation - 1 {
            splits.push(stored.split);
        }
        Ok(splits)
    }

    /// The division that the gateway acts on, which may be older than the stored one.
    fn acting(&self, route: &RouteReference) -> Result<TrafficSplit> {
        let stored = self.stored(route)?;
        let gateway = self.gateway();
        let acts = match &gateway.behaviour {
            GatewayBehaviour::Settles { after } => gateway.times_asked(route, stored.generation) >= *after,
            GatewayBehaviour::Refuses(_) => false,
        };
        drop(gateway);
        if acts {
            return Ok(stored.split);
        }
        let before = self.generation(route, stored.generation.saturating_sub(1))?;
        Ok(before.unwrap_or_default().split)
    }

    fn refuse_unready(&self, route: &RouteReference, split: &TrafficSplit) -> Result<()> {
        for deployment in split.serving() {
            if self.cluster.ready_endpoints(&route.namespace, deployment)?.unwrap_or_default() == 0 {
                return Err(Error::new(
                    ErrorCode::TrafficRefused,
                    format!("the deployment {deployment} would get traffic and has no ready endpoint"),
                )
                .on(route));
            }
        }
        Ok(())
    }

    fn stored(&self, route: &RouteReference) -> Result<StoredRoute> {
        Ok(self.room.read_json(&route_of(route))?.unwrap_or_default())
    }

    fn generation(&self, route: &RouteReference, generation: u64) -> Result<Option<StoredRoute>> {
        self.room.read_json(&history_of(route, generation))
    }

    fn gateway(&self) -> MutexGuard<'_, Gateway> {
        self.gateway.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Gateway {
    fn times_asked(&self, route: &RouteReference, generation: u64) -> u32 {
        self.asked.get(route).filter(|(of, _)| *of == generation).map(|(_, times)| *times).unwrap_or_default()
    }
}

#[async_trait]
impl TrafficShifter for FakeTraffic {
    async fn observe(&self, route: &RouteReference) -> Result<ObservedTraffic> {
        let stored = self.stored(route)?;
        refuse_foreign(route, &stored)?;
        Ok(stored.observed())
    }

    async fn shift(&self, route: &RouteReference, change: &TrafficChange) -> Result<ObservedTraffic> {
        let TrafficChange { split, expected_version, token } = change;
        self.room.exclusively(|room| {
            let stored = self.stored(route)?;
            if stored.generation > 0 {
                // The second write of a shift that was killed after the first one.
                room.write_json(&history_of(route, stored.generation), &stored)?;
            }
            refuse_foreign(route, &stored)?;
            if *token < stored.token {
                return Err(Error::new(
                    ErrorCode::LeaseLost,
                    format!("the route carries the token {}, and this owner has {token}", stored.token),
                )
                .on(route));
            }
            if stored.split == *split {
                return Ok(stored.observed());
            }
            let version = stored.observed().version;
            if version != *expected_version {
                return Err(Error::new(
                    ErrorCode::VersionConflict,
                    format!("the route is at version `{version}`, and was read at `{}`", printable(expected_version)),
                )
                .on(route));
            }
            self.refuse_unready(route, split)?;
            let generation = stored.generation + 1;
            let next = StoredRoute { generation, split: split.clone(), token: *token, foreign: Vec::new() };
            room.write_json(&route_of(route), &next)?;
            self.checkpoints.reached("traffic.shift/between");
            room.write_json(&history_of(route, generation), &next)?;
            Ok(next.observed())
        })
    }

    async fn settlement(&self, route: &RouteReference, stored: &ObservedTraffic) -> Result<Settlement> {
        let current = self.stored(route)?;
        if current.observed().version != stored.version {
            return Ok(Settlement::Refused("the route was changed since".to_owned()));
        }
        let mut gateway = self.gateway();
        let times = gateway.times_asked(route, current.generation);
        let settlement = match &gateway.behaviour {
            GatewayBehaviour::Refuses(reason) => Settlement::Refused(reason.clone()),
            GatewayBehaviour::Settles { after } if times >= *after => Settlement::Settled,
            GatewayBehaviour::Settles { .. } => Settlement::Pending,
        };
        gateway.asked.insert(route.clone(), (current.generation, times.saturating_add(1)));
        Ok(settlement)
    }

    fn probe(&self) -> Option<Arc<dyn TrafficProbe>> {
        self.gateway().probe.as_ref()?;
        Some(Arc::new(FakeProbe::new(self.clone())))
    }
}

fn refuse_foreign(route: &RouteReference, stored: &StoredRoute) -> Result<()> {
    let Some(name) = stored.foreign.first() else { return Ok(()) };
    Err(Error::new(
        ErrorCode::ObjectConflict,
        format!("someone has put the backend `{}` into our rule", printable(name)),
    )
    .on(route))
}

fn route_of(route: &RouteReference) -> String {
    format!("routes/{}/{}", route.namespace, route.environment)
}

fn history_of(route: &RouteReference, generation: u64) -> String {
    format!("history/{}/{}/{generation:020}", route.namespace, route.environment)
}

#[cfg(test)]
mod tests;
