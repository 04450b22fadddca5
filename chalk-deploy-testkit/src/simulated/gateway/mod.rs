//! A gateway that routes requests to simulated pods, as Envoy Gateway 1.6 does.
//!
//! A controller reads `GatewayClass`, Gateway, `HTTPRoute`, Service and `EndpointSlice` objects, writes their status, and
//! hands a configuration to a data plane, where it arrives after a delay, routes and endpoints each on their own (RDS
//! and EDS of Envoy). The delay can be changed, and what travels can be stopped, so that a test can be in the middle of
//! a propagation for as long as it likes.
//!
//! Where the rules come from: the Gateway API's reference of `HTTPRoute`; the sources of Envoy Gateway 1.6.7
//! (`internal/gatewayapi/{route,filters,validate,sort}.go`, `internal/xds/translator/{route,listener,cluster}.go`) for
//! what it makes of it; Envoy's documentation for the rest; and what Envoy Gateway 1.6.3 has answered in 120 recorded
//! sequences (`tests/recordings`), of which these are not what the Gateway API asks for:
//! - One filter that cannot be applied takes the whole route away, and a mirror that does not resolve takes its rule away.
//! - References that fail for different reasons leave the status of before, with its older generation.
//! - What was said about a parent stays when the route names it no longer.
//!
//! Where it is another than the real one, on purpose:
//! - All gateways of our class share one data plane and every port, TLS is taken to end before it.
//! - A backend whose endpoints are all gone answers 503 for its share. Envoy would take such a locality out and, below
//!   half of the hosts healthy, send requests to hosts that are not ready (its panic mode). A cutover that loses no
//!   request here loses none there.
//! - `ReferenceGrant`s are not served by the simulated API, so no reference crosses a namespace.
//! - Policies of Envoy Gateway's own API, sessions and CORS are not known. A filter of an unknown type is one that cannot
//!   be applied.

mod configuration;
mod document;
mod filter;
mod forward;
mod hostname;
mod install;
mod matching;
mod observer;
mod path;
mod plane;
mod settings;

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use chalk_deploy_core::cloud::ByteStream;
use chalk_deploy_core::runtime::Runtime;
use http::{Request, Response};
use tokio::sync::Notify;
use tokio::task::{JoinHandle, JoinSet};

use self::configuration::{Snapshot, generation, translate};
use self::observer::{Observer, weights_of};
use self::plane::Plane;
use super::http::{Server, Severed};
use super::kubernetes::objects::{Objects, Watch, timestamp};
use super::kubernetes::resource::HTTP_ROUTE;
use super::seam::PodNetwork;

pub use self::configuration::{Backend, CONTROLLER_NAME, ObjectName};
pub use self::install::ensure_gateway;
pub use self::observer::{AnsweredBy, Moment, RequestOutcome, WeightRecord};
pub use self::settings::GatewaySettings;
pub use SimulatedGateway as Gateway;

/// A running gateway. Clones are the same; with the last one its tasks end.
#[derive(Debug, Clone)]
pub struct SimulatedGateway {
    shared: Arc<Shared>,
    _controller: Arc<Controller>,
}

/// What requests and the controller share.
#[derive(Debug)]
struct Shared {
    objects: Objects,
    runtime: Arc<dyn Runtime>,
    pods: Arc<dyn PodNetwork>,
    settings: GatewaySettings,
    plane: Arc<Plane>,
    observer: Observer,
    /// Requests to mirrors, whose answers nobody waits for.
    mirrored: Mutex<JoinSet<()>>,
    halted: AtomicBool,
    wake: Notify,
}

/// The controller's task, until this is dropped.
#[derive(Debug)]
struct Controller(JoinHandle<()>);

impl Drop for Controller {
    fn drop(&mut self) {
        self.0.abort();
    }
}

impl SimulatedGateway {
    /// Starts a gateway on the objects of a cluster. It serves what is stored there at once. Needs a tokio runtime
    /// around it, for its controller.
    pub fn start(objects: Objects, pods: Arc<dyn PodNetwork>, settings: GatewaySettings) -> Self {
        let runtime = objects.runtime().clone();
        let shared = Arc::new(Shared {
            plane: Arc::new(Plane::new(&settings)),
            observer: Observer::default(),
            mirrored: Mutex::default(),
            halted: AtomicBool::new(false),
            wake: Notify::new(),
            objects,
            runtime,
            pods,
            settings,
        });
        let watch = shared.objects.watch(HTTP_ROUTE, None, shared.objects.version()).ok();
        let snapshot = shared.begin();
        let controller = Controller(tokio::spawn(control(shared.clone(), snapshot, watch)));
        Self { shared, _controller: Arc::new(controller) }
    }

    /// Every request so far, in the order in which they were answered. The newest hundred thousand.
    pub fn outcomes(&self) -> Vec<RequestOutcome> {
        self.shared.observer.outcomes()
    }

    /// The weights of every generation of every route, when it was stored and when it reached the data plane.
    pub fn weights(&self) -> Vec<WeightRecord> {
        self.shared.settle();
        self.shared.observer.weight_records()
    }

    /// Sets how long changed routes travel from now on.
    pub fn set_route_delay(&self, delay: Duration) {
        self.steer(|steering| steering.routes.set_delay(delay));
    }

    /// Sets how long changed endpoints travel from now on.
    pub fn set_endpoint_delay(&self, delay: Duration) {
        self.steer(|steering| steering.endpoints.set_delay(delay));
    }

    /// Lets nothing more travel to the data plane; it goes on with what it has. What is under way arrives.
    pub fn stop_propagation(&self) {
        self.steer(|steering| {
            steering.routes.set_stopped(true);
            steering.endpoints.set_stopped(true);
        });
    }

    /// Lets the newest configuration travel again.
    pub fn resume_propagation(&self) {
        self.steer(|steering| {
            steering.routes.set_stopped(false);
            steering.endpoints.set_stopped(false);
        });
    }

    /// Lets changed endpoints travel no more, while routes do.
    pub fn stop_endpoints(&self) {
        self.steer(|steering| steering.endpoints.set_stopped(true));
    }

    /// Lets changed endpoints travel again.
    pub fn resume_endpoints(&self) {
        self.steer(|steering| steering.endpoints.set_stopped(false));
    }

    /// Lets the changes of one route travel no more.
    pub fn stop_route(&self, route: &ObjectName) {
        self.steer(|steering| steering.routes.stop_key(route.clone()));
    }

    /// Lets the changes of one route travel again.
    pub fn resume_route(&self, route: &ObjectName) {
        self.steer(|steering| steering.routes.resume_key(route));
    }

    /// Halts the controller, as a control plane that is down: no status is written, nothing is sent. Requests are
    /// routed as before.
    pub fn halt_controller(&self) {
        self.shared.halted.store(true, Ordering::SeqCst);
    }

    /// Lets the controller work again.
    pub fn resume_controller(&self) {
        self.shared.halted.store(false, Ordering::SeqCst);
        // Kept for a controller that is not waiting at this moment.
        self.shared.wake.notify_one();
    }

    fn steer(&self, steer: impl FnOnce(&mut plane::Steering<'_>)) {
        // What has arrived by now is served by the old rules.
        self.shared.settle();
        self.shared.plane.steer(self.shared.runtime.monotonic(), steer);
    }
}

#[async_trait]
impl Server for SimulatedGateway {
    fn name(&self) -> &'static str {
        "gateway"
    }

    async fn answer(&self, request: Request<ByteStream>) -> Result<Response<ByteStream>, Severed> {
        Ok(forward::answer(&self.shared, request).await)
    }
}

/// Level-triggered: whatever changed, the controller looks at everything as it is now.
async fn control(shared: Arc<Shared>, mut seen: Snapshot, mut watch: Option<Watch>) {
    loop {
        // Made before the look: it hears what happens from here on, before it is waited for.
        let changed = shared.objects.changed();
        if !shared.halted.load(Ordering::SeqCst) {
            shared.note_generations(&mut watch);
            let snapshot = Snapshot::take(&shared.objects);
            if !snapshot.is_same(&seen) {
                shared.reconcile(&snapshot);
                seen = snapshot;
            }
        }
        tokio::select! {
            biased;
            () = changed => {}
            () = shared.wake.notified() => {}
        }
        shared.runtime.sleep(shared.settings.controller_delay).await;
    }
}

impl Shared {
    /// The first look of a controller. Its status is written later, by the task, if it differs.
    fn begin(&self) -> Snapshot {
        let snapshot = Snapshot::take(&self.objects);
        let translation = translate(&snapshot, &self.settings);
        let now = self.runtime.now();
        for (name, route) in &translation.routes {
            self.observer.weights(WeightRecord {
                at: now,
                route: name.clone(),
                generation: route.generation,
                moment: Moment::Served,
                rules: weights_of(route),
            });
        }
        self.plane.begin(translation.routes, translation.endpoints);
        self.write_statuses(&translation.statuses);
        snapshot
    }

    fn reconcile(&self, snapshot: &Snapshot) {
        let translation = translate(snapshot, &self.settings);
        self.settle();
        self.plane.send(translation.routes, translation.endpoints, self.runtime.monotonic());
        self.write_statuses(&translation.statuses);
    }

    /// Takes over in the data plane what has arrived by now.
    fn settle(&self) {
        let monotonic = self.runtime.monotonic();
        let now = self.runtime.now();
        for (due, route, configuration) in self.plane.settle(monotonic) {
            let ago = u64::try_from(monotonic.saturating_sub(due).as_millis()).unwrap_or_default();
            let at = chalk_deploy_core::model::Timestamp::from_millis(now.as_millis().saturating_sub(ago));
            let (generation, rules) =
                configuration.map_or_else(|| (0, Vec::new()), |route| (route.generation, weights_of(&route)));
            self.observer.weights(WeightRecord { at, route, generation, moment: Moment::Served, rules });
        }
    }

    fn write_statuses(&self, statuses: &[(super::kubernetes::objects::Key, configuration::Status)]) {
        let now = timestamp(&*self.runtime);
        for (key, status) in statuses {
            let written = self.objects.update(key, None, |object| {
                let status = configuration::write(status, object, &now);
                if !status.is_null() {
                    object["status"] = status;
                }
                Ok(())
            });
            if let Err(refused) = written {
                // Gone meanwhile, or a world that fails: the next change brings another look.
                tracing::debug!(object = %key.name, message = %refused.message, "a status was not written");
            }
        }
    }

    /// Notes every generation of every route, those between two looks included.
    fn note_generations(&self, watch: &mut Option<Watch>) {
        let Some(Ok(changes)) = watch.as_mut().map(Watch::now) else {
            // Too far behind: what was missed cannot be noted.
            *watch = self.objects.watch(HTTP_ROUTE, None, self.objects.version()).ok();
            return;
        };
        for change in changes {
            let before = change.before.as_deref().map(generation);
            if before != Some(generation(&change.object)) {
                self.observer.weights(WeightRecord {
                    at: self.runtime.now(),
                    route: ObjectName::new(change.key.namespace.clone(), change.key.name.clone()),
                    generation: generation(&change.object),
                    moment: Moment::Stored,
                    rules: configuration::stored_weights(&change.object),
                });
            }
        }
    }

    /// Runs a request whose answer nobody waits for.
    fn in_the_background(&self, request: impl Future<Output = ()> + Send + 'static) {
        let mut mirrored = self.mirrored.lock().unwrap_or_else(PoisonError::into_inner);
        while mirrored.try_join_next().is_some() {}
        mirrored.spawn(request);
    }
}

#[cfg(test)]
mod tests;
