//! What happened to every request, for tests to count.

use std::collections::VecDeque;
use std::sync::{Mutex, PoisonError};

use chalk_deploy_core::model::Timestamp;

use super::configuration::{Action, Backend, ObjectName, RouteConfiguration};

/// So many entries of each log are kept; the oldest go first.
const KEPT: usize = 100_000;
/// Characters of a host or path that are kept.
const LONGEST: usize = 256;

/// What became of one request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RequestOutcome {
    /// When it came.
    pub at: Timestamp,
    /// The host that it named.
    pub host: String,
    /// Its path.
    pub path: String,
    /// The route that took it, with the generation by which it was routed.
    pub route: Option<(ObjectName, u64)>,
    /// The backend that was drawn for it.
    pub backend: Option<Backend>,
    /// The address and port that answered or refused.
    pub endpoint: Option<(String, u16)>,
    /// How many endpoints of that backend were ready in the cluster when it was drawn, whatever the data plane knew.
    pub ready_in_cluster: Option<usize>,
    /// The status of the answer.
    pub status: u16,
    /// Who gave it.
    pub answered_by: AnsweredBy,
}

impl RequestOutcome {
    /// Whether it was sent to a backend that had no ready endpoint in the cluster at that moment.
    pub fn went_to_no_ready_backend(&self) -> bool {
        self.ready_in_cluster == Some(0)
    }
}

/// Who answered a request, and why.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum AnsweredBy {
    /// A pod.
    Pod,
    /// The gateway: the request is no good.
    BadRequest,
    /// The gateway: no route takes it.
    NoRoute,
    /// The gateway: a filter redirects it.
    Redirect,
    /// The gateway: the rule has no valid backend, or a filter of it is invalid.
    InvalidRule,
    /// The gateway: the reference that was drawn is invalid.
    InvalidBackend,
    /// The gateway: the backend that was drawn has no endpoint that takes requests.
    NoEndpoint,
    /// The gateway: nothing listened at the endpoint.
    ConnectionRefused,
    /// The gateway: the answer took too long.
    Timeout,
}

/// The weights of a route in one generation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WeightRecord {
    /// When.
    pub at: Timestamp,
    /// The route.
    pub route: ObjectName,
    /// Its `metadata.generation`.
    pub generation: u64,
    /// Whether it was stored, or reached the data plane.
    pub moment: Moment,
    /// Of each rule the backends with their weights, in their order.
    pub rules: Vec<Vec<(Backend, u32)>>,
}

/// Where a generation of a route is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Moment {
    /// In the cluster. Weights of 0 are listed.
    Stored,
    /// In the data plane. Backends of weight 0 are not there.
    Served,
}

#[derive(Debug, Default)]
pub(super) struct Observer {
    outcomes: Mutex<VecDeque<RequestOutcome>>,
    weights: Mutex<VecDeque<WeightRecord>>,
}

impl Observer {
    pub(super) fn request(&self, mut outcome: RequestOutcome) {
        for text in [&mut outcome.host, &mut outcome.path] {
            *text = text.chars().take(LONGEST).collect();
        }
        push(&self.outcomes, outcome);
    }

    pub(super) fn weights(&self, record: WeightRecord) {
        push(&self.weights, record);
    }

    pub(super) fn outcomes(&self) -> Vec<RequestOutcome> {
        copy(&self.outcomes)
    }

    pub(super) fn weight_records(&self) -> Vec<WeightRecord> {
        // What arrived is noted when somebody looks, which may be later than what was stored meanwhile.
        let mut records = copy(&self.weights);
        records.sort_by_key(|record| record.at);
        records
    }
}

/// The weights that a data plane serves.
pub(super) fn weights_of(route: &RouteConfiguration) -> Vec<Vec<(Backend, u32)>> {
    let of_rule = |action: &Action| match action {
        Action::Forward(backends) => backends.iter().map(|backend| (backend.backend.clone(), backend.weight)).collect(),
        _ => Vec::new(),
    };
    route.rules.iter().map(|rule| of_rule(&rule.action)).collect()
}

fn push<T>(log: &Mutex<VecDeque<T>>, entry: T) {
    let mut log = log.lock().unwrap_or_else(PoisonError::into_inner);
    if log.len() == KEPT {
        log.pop_front();
    }
    log.push_back(entry);
}

fn copy<T: Clone>(log: &Mutex<VecDeque<T>>) -> Vec<T> {
    log.lock().unwrap_or_else(PoisonError::into_inner).iter().cloned().collect()
}
