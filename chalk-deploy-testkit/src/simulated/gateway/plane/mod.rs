//! The data plane: what it routes by at this moment, which is what has reached it so far.

mod channel;
mod table;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use chalk_deploy_core::runtime::Runtime;

use self::channel::Channel;
pub(super) use self::table::Found;
use self::table::Table;
use super::GatewaySettings;
use super::configuration::{BackendConfiguration, Endpoint, ObjectName, RouteConfiguration, ServiceEndpoints};
use super::matching::Asked;

/// What a change that reached the data plane made it serve.
pub(super) type Served = (Duration, ObjectName, Option<Arc<RouteConfiguration>>);

/// The data plane of a gateway. It has no task of its own: what is due is taken over by whoever looks.
#[derive(Debug)]
pub(super) struct Plane(Mutex<State>);

#[derive(Debug)]
struct State {
    routes: Channel<ObjectName, RouteConfiguration>,
    endpoints: Channel<ObjectName, ServiceEndpoints>,
    table: Arc<Table>,
    /// Requests under way, by address and port.
    busy: BTreeMap<(String, u16), usize>,
}

impl Plane {
    pub(super) fn new(settings: &GatewaySettings) -> Self {
        Self(Mutex::new(State {
            routes: Channel::new(settings.route_delay),
            endpoints: Channel::new(settings.endpoint_delay),
            table: Arc::default(),
            busy: BTreeMap::new(),
        }))
    }

    /// Hands a configuration over. It arrives after the delays.
    pub(super) fn send(
        &self,
        routes: BTreeMap<ObjectName, Arc<RouteConfiguration>>,
        endpoints: BTreeMap<ObjectName, Arc<ServiceEndpoints>>,
        now: Duration,
    ) {
        let mut state = self.state();
        state.endpoints.want(endpoints, now);
        state.routes.want(routes, now);
    }

    /// Hands a configuration over that is there at once: a proxy that starts serves nothing before it has one.
    pub(super) fn begin(
        &self,
        routes: BTreeMap<ObjectName, Arc<RouteConfiguration>>,
        endpoints: BTreeMap<ObjectName, Arc<ServiceEndpoints>>,
    ) {
        let mut state = self.state();
        state.endpoints.begin(endpoints);
        state.routes.begin(routes);
        state.table = Arc::new(Table::new(state.routes.served()));
    }

    /// Changes how changes propagate.
    pub(super) fn steer(&self, now: Duration, steer: impl FnOnce(&mut Steering<'_>)) {
        let mut state = self.state();
        let State { routes, endpoints, .. } = &mut *state;
        steer(&mut Steering { routes, endpoints });
        routes.resend(now);
        endpoints.resend(now);
    }

    /// Takes over what is due, and says which routes that changed.
    pub(super) fn settle(&self, now: Duration) -> Vec<Served> {
        let mut state = self.state();
        state.endpoints.deliver(now);
        let served = state.routes.deliver(now);
        if !served.is_empty() {
            state.table = Arc::new(Table::new(state.routes.served()));
        }
        served
    }

    /// The rule for a request. [`settle`](Self::settle) comes before.
    pub(super) fn find(&self, host: &str, asked: &Asked<'_>) -> Option<Found> {
        let table = self.state().table.clone();
        table.find(host, asked)
    }

    /// An endpoint of a backend: of two that are drawn, the one with fewer requests under way, which is what Envoy
    /// Gateway does by default. Those already tried come last.
    pub(super) fn pick(
        self: &Arc<Self>,
        backend: &BackendConfiguration,
        tried: &[Endpoint],
        runtime: &dyn Runtime,
    ) -> Option<Engaged> {
        let mut state = self.state();
        let endpoints = state.endpoints.served().get(&backend.backend.service)?;
        let of_port: Vec<_> =
            endpoints.ready.iter().filter(|endpoint| endpoint.port_name == backend.port_name).collect();
        let fresh: Vec<_> = of_port.iter().copied().filter(|endpoint| !tried.contains(endpoint)).collect();
        let candidates = if fresh.is_empty() { of_port } else { fresh };
        let among = u64::try_from(candidates.len()).ok().filter(|among| *among > 0)?;
        let drawn = [(); 2].map(|()| {
            let index = usize::try_from(random(runtime) % among).unwrap_or_default();
            candidates[index].clone()
        });
        let load = |endpoint: &Endpoint| state.busy.get(&place(endpoint)).copied().unwrap_or_default();
        let [first, second] = drawn;
        let endpoint = if load(&second) < load(&first) { second } else { first };
        *state.busy.entry(place(&endpoint)).or_default() += 1;
        drop(state);
        Some(Engaged { endpoint, plane: self.clone() })
    }

    /// Whether a backend has an endpoint that takes requests, as far as the data plane knows.
    pub(super) fn has_ready(&self, backend: &BackendConfiguration) -> bool {
        self.state()
            .endpoints
            .served()
            .get(&backend.backend.service)
            .is_some_and(|endpoints| endpoints.ready.iter().any(|endpoint| endpoint.port_name == backend.port_name))
    }

    /// Whether a backend has no endpoint at all, ready or not.
    pub(super) fn is_empty(&self, backend: &BackendConfiguration) -> bool {
        self.state()
            .endpoints
            .served()
            .get(&backend.backend.service)
            .is_none_or(|endpoints| endpoints.is_empty(&backend.port_name))
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What can be stopped, resumed and slowed down.
#[derive(Debug)]
pub(super) struct Steering<'a> {
    pub(super) routes: &'a mut Channel<ObjectName, RouteConfiguration>,
    pub(super) endpoints: &'a mut Channel<ObjectName, ServiceEndpoints>,
}

/// An endpoint with a request on it, until this is dropped.
#[derive(Debug)]
pub(super) struct Engaged {
    pub(super) endpoint: Endpoint,
    plane: Arc<Plane>,
}

impl Drop for Engaged {
    fn drop(&mut self) {
        let mut state = self.plane.state();
        let place = place(&self.endpoint);
        if let Some(busy) = state.busy.get_mut(&place) {
            *busy -= 1;
            if *busy == 0 {
                state.busy.remove(&place);
            }
        }
    }
}

fn place(endpoint: &Endpoint) -> (String, u16) {
    (endpoint.address.clone(), endpoint.port)
}

/// Draws one of these by weight. Weights of 0 are never drawn.
pub(super) fn draw<'a>(
    backends: &'a [BackendConfiguration],
    runtime: &dyn Runtime,
) -> Option<&'a BackendConfiguration> {
    let total: u64 = backends.iter().map(|backend| u64::from(backend.weight)).sum();
    let mut at = random(runtime).checked_rem(total)?;
    backends.iter().find(|backend| match at.checked_sub(u64::from(backend.weight)) {
        Some(rest) => {
            at = rest;
            false
        }
        None => true,
    })
}

pub(super) fn random(runtime: &dyn Runtime) -> u64 {
    let mut bytes = [0; 8];
    runtime.fill_random(&mut bytes);
    u64::from_le_bytes(bytes)
}
