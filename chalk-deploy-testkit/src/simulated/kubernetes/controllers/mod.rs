//! The controllers of a simulated cluster, its scheduler and its kubelets: what happens to objects after somebody has
//! stored them.
//!
//! All of them are level-triggered: each decides from what is stored, never from what it has seen happen, so that a
//! process that was killed goes on where the stored objects stand. One task runs them in one order, so that one seed
//! gives one sequence of stored objects. A [`pass`] is one look at everything; the next one comes when something
//! changed, when an image was pulled, or when a controller asked for it.

mod autoscaler;
mod deployment;
mod disruption_budget;
mod endpoint_slice;
mod garbage;
mod job;
mod namespace;
mod node;
mod quota;
mod replica_set;
mod scheduler;
mod service;
mod settings;
mod workflow;

pub(super) mod event;
pub(super) mod identifier;
pub(super) mod pass;
pub(super) mod pod;
pub(super) mod selector;
pub(super) mod time;
pub(super) mod view;
pub(super) mod write;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use chalk_deploy_core::cloud::ByteStream;
use http::{Request, Response};
use serde_json::Value;
use tokio::sync::Notify;
use tokio::task::AbortHandle;

use self::pass::Pass;
pub use self::settings::ClusterSettings;
pub use self::workflow::TemplateBehaviour;
use super::kubelet::{self, Behaviours, Kubelet, PodBehaviour, Processes};
use super::objects::Objects;
use crate::fake::PodScope;
use crate::simulated::kubernetes::objects::Key;
use crate::simulated::kubernetes::resource::POD;
use crate::simulated::seam::{ConnectionRefused, ContainerLog, ImageSource, LogLine, PodLogs, PodNetwork, StepProgram};

/// A running cluster: controllers, scheduler and kubelets at work on stored objects. Clones are the same cluster; it
/// stops with the last of them. What is stored stays, and a cluster that is started on it later goes on.
#[derive(Debug, Clone)]
pub struct Cluster(Arc<Running>);

#[derive(Debug)]
struct Running {
    objects: Objects,
    chosen: Arc<Chosen>,
    processes: Arc<Processes>,
    task: AbortHandle,
}

/// What tests have chosen, and that they have.
#[derive(Debug, Default)]
struct Chosen {
    behaviours: Mutex<Behaviours>,
    steps: Arc<workflow::Steps>,
    news: Notify,
}

impl Drop for Running {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Cluster {
    /// Starts a cluster on stored objects. Must be called inside a tokio runtime.
    pub fn start(objects: Objects, images: Arc<dyn ImageSource>, settings: ClusterSettings) -> Self {
        let chosen = Arc::<Chosen>::default();
        let processes = Arc::new(Processes::new(images.clone()));
        let controllers = Controllers {
            objects: objects.clone(),
            settings,
            chosen: chosen.clone(),
            kubelet: Kubelet::new(images, processes.clone()),
            scheduler: scheduler::Scheduler::default(),
            endpoint_slices: endpoint_slice::EndpointSlices::default(),
            workflows: workflow::Workflows::new(chosen.steps.clone()),
        };
        let task = tokio::spawn(controllers.run()).abort_handle();
        Self(Arc::new(Running { objects, chosen, processes, task }))
    }

    /// The objects that it works on.
    pub fn objects(&self) -> &Objects {
        &self.0.objects
    }

    /// Chooses how pods behave from now on, those that run included. Not kept in the world.
    pub fn set_behaviour(&self, scope: PodScope, behaviour: PodBehaviour) {
        self.0.chosen.behaviours.lock().unwrap_or_else(PoisonError::into_inner).set(scope, behaviour);
        self.0.chosen.news.notify_waiters();
    }

    /// Chooses how the steps of a workflow's template come out from now on. Not kept in the world.
    pub fn set_template_behaviour(&self, template: impl Into<String>, behaviour: TemplateBehaviour) {
        self.0.chosen.steps.choose(template.into(), behaviour);
        self.0.chosen.news.notify_waiters();
    }

    /// Chooses what the steps of a workflow's template write, and what they leave as their termination message. Not kept
    /// in the world.
    pub fn set_template_words(
        &self,
        template: impl Into<String>,
        lines: impl IntoIterator<Item = String>,
        message: impl Into<String>,
    ) {
        self.0.chosen.steps.set_words(template.into(), lines.into_iter().collect(), message.into());
    }

    /// Runs this in the steps of workflows whose template has no behaviour chosen. A run is not kept in the world: after
    /// a restart it begins anew, as a kubelet restarts nothing that it still sees running, and this one sees none.
    pub fn set_step_program(&self, program: Arc<dyn StepProgram>) {
        self.0.chosen.steps.set_program(program);
        self.0.chosen.news.notify_waiters();
    }

    /// How many requests the processes of each pod have answered, by namespace and name.
    pub fn requests(&self) -> BTreeMap<(String, String), u64> {
        self.0.processes.requests()
    }
}

#[async_trait]
impl PodNetwork for Cluster {
    async fn request(
        &self,
        address: &str,
        port: u16,
        request: Request<ByteStream>,
    ) -> Result<Response<ByteStream>, ConnectionRefused> {
        let path = request.uri().path().to_owned();
        self.0.processes.answer(&self.0.objects, (address, port), &path).await
    }
}

impl PodLogs for Cluster {
    fn lines(&self, log: &ContainerLog) -> Result<Vec<LogLine>, String> {
        let key = Key::new(POD, log.namespace.as_str(), log.pod.as_str());
        match self.0.objects.get(&key).filter(|stored| view::uid(stored) == log.uid && pod::is_played(stored)) {
            Some(stored) => self.0.chosen.steps.lines(&stored, log),
            None => kubelet::logs::lines(&self.0.objects, log),
        }
    }
}

/// All controllers, in the order in which they look.
#[derive(Debug)]
struct Controllers {
    objects: Objects,
    settings: ClusterSettings,
    chosen: Arc<Chosen>,
    kubelet: Kubelet,
    scheduler: scheduler::Scheduler,
    endpoint_slices: endpoint_slice::EndpointSlices,
    workflows: workflow::Workflows,
}

impl Controllers {
    async fn run(mut self) {
        let (objects, chosen) = (self.objects.clone(), self.chosen.clone());
        loop {
            // Made before the look: they hear what happens from here on.
            let (changed, news) = (objects.changed(), chosen.news.notified());
            let wake = self.look();
            let timer = async {
                match wake {
                    Some(wake) => objects.runtime().sleep(wake).await,
                    None => futures::future::pending().await,
                }
            };
            tokio::select! {
                biased;
                () = changed => {}
                () = news => {}
                () = chosen.steps.news() => {}
                () = self.kubelet.pulled() => {}
                () = timer => {}
            }
            if self.settings.lag.is_zero() {
                tokio::task::yield_now().await;
            } else {
                objects.runtime().sleep(self.settings.lag).await;
            }
        }
    }

    /// One pass. How long it may be until the next one, or `None` if only a change brings it.
    fn look(&mut self) -> Option<std::time::Duration> {
        let pass = Pass::new(&self.objects, &self.settings);
        let behaviours = self.chosen.behaviours.lock().unwrap_or_else(PoisonError::into_inner);
        node::reconcile(&pass);
        namespace::reconcile(&pass);
        service::reconcile(&pass);
        autoscaler::reconcile(&pass);
        deployment::reconcile(&pass);
        replica_set::reconcile(&pass);
        job::reconcile(&pass);
        self.workflows.reconcile(&pass);
        self.scheduler.reconcile(&pass, &behaviours);
        self.kubelet.reconcile(&pass, &behaviours);
        self.endpoint_slices.reconcile(&pass);
        disruption_budget::reconcile(&pass);
        quota::reconcile(&pass);
        garbage::reconcile(&pass);
        event::reconcile(&pass);
        pass.wake()
    }
}

/// Makes an object without a manager that of an owner.
fn adopt(object: &mut Value, reference: Value) {
    let mut owners = view::items(object, "/metadata/ownerReferences").to_vec();
    owners.push(reference);
    object["metadata"]["ownerReferences"] = owners.into();
}

#[cfg(test)]
mod tests;
