//! The gateway: random sequences of changes to routes, services and endpoints, each followed by a look at the routes'
//! conditions and by requests.
//!
//! The services have no selector and their slices are written by the sequence, so that only the gateway has a part in
//! what is found. All of them lead to one pod, which tells at which of its ports it was asked, and what.

mod accepted;
mod generate;
mod observe;
mod real;
mod replay;
mod routes;
mod scene;

use serde::{Deserialize, Serialize};

use self::observe::Found;
use crate::exchange::{Ask, Peer};

const FILE: &str = "gateway.jsonl.gz";
const SEQUENCES: u64 = 120;

/// The Gateway, with a listener for each lane.
const GATEWAY: &str = include_str!("gateway.json");

/// A request that is sent after every step, several times where its answer is drawn.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Probe {
    ask: Ask,
    times: u32,
}

/// Writes, their statuses, and what was found when all had settled.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Step {
    writes: Vec<Ask>,
    written: Vec<u16>,
    found: Found,
}

/// Steps that follow each other, and the probes of each.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Sequence {
    seed: u64,
    probes: Vec<Probe>,
    steps: Vec<Step>,
}

/// The API of a cluster, and the gateway in it.
#[derive(Debug, Clone)]
struct Way {
    cluster: Peer,
    gateway: Peer,
    /// The address at which the echo listens.
    echo: String,
}

impl Way {
    async fn write(&self, ask: &Ask) -> u16 {
        let values = [("echo", &*self.echo), ("nobody", "192.0.2.1")];
        let values = values.map(|(name, value)| (name.to_owned(), value.to_owned())).into();
        self.cluster.ask(&ask.resolved(&values)).await.status
    }
}
