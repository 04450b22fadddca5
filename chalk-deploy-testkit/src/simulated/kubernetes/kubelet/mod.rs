//! The kubelets of all nodes: pods from their node to their end.
//!
//! What a pod is stands in its stored status; what is remembered beside it (the exact millisecond of a start, the
//! images of a node, the count of failed pulls) a kubelet that starts again can do without.

mod behaviour;
mod configuration;
mod container;
mod image;
pub(super) mod logs;
mod network;
mod probe;
mod status;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};

pub(crate) use self::behaviour::Behaviours;
pub use self::behaviour::PodBehaviour;
use self::container::{Memory, Restart, Subject};
use self::image::{ContainerKey, Images};
pub(crate) use self::network::Processes;
use super::controllers::event::Tone;
use super::controllers::identifier::address;
use super::controllers::pass::{Moments, Pass};
use super::controllers::write::{DEFAULT_GRACE, Writer};
use super::controllers::{pod, time, view};
use super::objects::Key;
use super::resource::{JOB, NODE, POD};
use crate::simulated::seam::ImageSource;

const WRITER: Writer = Writer::Kubelet;

/// The kubelets of all nodes.
#[derive(Debug)]
pub(crate) struct Kubelet {
    images: Images,
    memory: BTreeMap<ContainerKey, Memory>,
    ending: Moments,
    processes: Arc<Processes>,
}

impl Kubelet {
    pub(crate) fn new(source: Arc<dyn ImageSource>, processes: Arc<Processes>) -> Self {
        Self { images: Images::new(source), memory: BTreeMap::new(), ending: Moments::default(), processes }
    }

    /// Ends when an image has been pulled, or could not be.
    pub(crate) async fn pulled(&mut self) {
        self.images.advance().await;
    }

    /// Looks at every pod that has a node.
    pub(crate) fn reconcile(&mut self, pass: &Pass<'_>, behaviours: &Behaviours) {
        let pods = pass.list(POD, None);
        let uids: BTreeSet<&str> = pods.iter().map(|pod| view::uid(pod)).collect();
        self.memory.retain(|(uid, _), _| uids.contains(uid.as_str()));
        self.images.keep_pulls(|uid| uids.contains(uid));
        self.processes.keep(&uids);
        self.ending.keep(&uids);
        for pod in &pods {
            if view::text(pod, "/spec/nodeName").is_empty() {
                continue;
            }
            if view::is_deleting(pod) {
                self.end(pass, behaviours, pod);
            } else if !pod::has_ended(pod) && !pod::is_played(pod) {
                self.sync(pass, behaviours, pod, &pods);
            }
        }
    }

    fn sync(&mut self, pass: &Pass<'_>, behaviours: &Behaviours, pod: &Value, pods: &[Arc<Value>]) {
        let (init, initialised) = self.initialise(pass, behaviours, pod);
        let mut containers = Vec::new();
        for container in view::items(pod, "/spec/containers") {
            let subject = subject(pass, behaviours, pod, container);
            let before = stored(pod, "/status/containerStatuses", container);
            let after = if initialised { self.step(&subject, before) } else { subject.unstarted("PodInitializing") };
            if let Some(image) = self.memory.get(&key(pod, container)).and_then(|memory| memory.image.as_ref())
                && after.pointer("/state/running").is_some()
            {
                self.processes.runs(key(pod, container), image);
            }
            containers.push(after);
        }
        let mut next = match &pod["status"] {
            Value::Object(status) => status.clone(),
            _ => serde_json::Map::new(),
        };
        let phase = status::phase(pod, initialised, &init, &containers);
        let conditions = status::conditions(pass, pod, phase, (&init, initialised), &containers);
        next.insert("phase".to_owned(), phase.into());
        next.insert("conditions".to_owned(), conditions.into());
        next.insert("containerStatuses".to_owned(), containers.into());
        if !init.is_empty() {
            next.insert("initContainerStatuses".to_owned(), init.into());
        }
        if !next.contains_key("startTime") {
            next.insert("startTime".to_owned(), pass.stamp().into());
        }
        next.insert("qosClass".to_owned(), status::quality(pod).into());
        if view::text(pod, "/status/podIP").is_empty() {
            let address = free_address(pass, pods);
            next.insert("podIPs".to_owned(), json!([{"ip": address}]));
            next.insert("podIP".to_owned(), address.into());
        }
        if let Some(host) = host_address(pass, pod) {
            next.insert("hostIPs".to_owned(), json!([{"ip": host}]));
            next.insert("hostIP".to_owned(), host.into());
        }
        pass.set_status(WRITER, POD, pod, Value::Object(next));
    }

    /// The init containers, one after another: their statuses, and whether all have done their work.
    fn initialise(&mut self, pass: &Pass<'_>, behaviours: &Behaviours, pod: &Value) -> (Vec<Value>, bool) {
        let mut initialised = true;
        let mut statuses = Vec::new();
        for container in view::items(pod, "/spec/initContainers") {
            let stays = view::text(container, "/restartPolicy") == "Always";
            let mut subject = subject(pass, behaviours, pod, container);
            subject.completes = (!stays).then_some(pass.settings.boot);
            subject.restart = match Restart::of(pod) {
                _ if stays => Restart::Always,
                Restart::Never => Restart::Never,
                Restart::Always | Restart::OnFailure => Restart::OnFailure,
            };
            let before = stored(pod, "/status/initContainerStatuses", container);
            let after = if initialised { self.step(&subject, before) } else { subject.unstarted("PodInitializing") };
            initialised &= if stays { after["started"] == true } else { status::exit_code(&after) == Some(0) };
            statuses.push(after);
        }
        (statuses, initialised)
    }

    /// A pod that was asked to end: its processes serve a little longer, then it goes.
    fn end(&mut self, pass: &Pass<'_>, behaviours: &Behaviours, pod: &Value) {
        let grace = view::number(pod, "/metadata/deletionGracePeriodSeconds").unwrap_or(DEFAULT_GRACE);
        let grace = Duration::from_secs(grace.into());
        let statuses = view::items(pod, "/status/containerStatuses");
        let running: Vec<_> = statuses.iter().filter(|status| status.pointer("/state/running").is_some()).collect();
        let image = view::text(pod, "/spec/containers/0/image");
        let takes = if behaviours.of(pod, image) == PodBehaviour::SlowEnd {
            grace
        } else {
            pass.settings.termination.min(grace)
        };
        let since = self.ending.first_seen(view::uid(pod), "ending", pass.now);
        if since == pass.now && !takes.is_zero() {
            for status in &running {
                let message = format!("Stopping container {}", view::text(status, "/name"));
                pass.tell(WRITER, Tone::Normal, (POD, pod), "Killing", &message);
            }
        }
        // A kubelet that starts again counts anew, but not beyond the time that the pod was given.
        let deadline = time::parse(view::text(pod, "/metadata/deletionTimestamp"));
        let is_over = running.is_empty()
            || pass.has_passed(takes, since)
            || (!grace.is_zero() && deadline.is_some_and(|deadline| deadline <= pass.now));
        if !is_over {
            return;
        }
        if view::items(pod, "/metadata/finalizers").is_empty() {
            pass.remove(POD, pod);
            return;
        }
        let status = ended(pass, pod);
        pass.update(WRITER, POD, pod, |pod| {
            pod["metadata"]["deletionGracePeriodSeconds"] = 0.into();
            pod["status"] = status;
        });
    }
}

/// An address that no pod has. It comes from the newest version, so that a pod that is gone does not hand its
/// address to the next one while somebody may still ask there.
fn free_address(pass: &Pass<'_>, pods: &[Arc<Value>]) -> String {
    let mut number = pass.objects.version();
    loop {
        let candidate = address(128, 22, number);
        let stored = pods.iter().any(|pod| view::text(pod, "/status/podIP") == candidate);
        if !stored {
            return candidate;
        }
        number += 1;
    }
}

fn subject<'pass>(
    pass: &'pass Pass<'pass>,
    behaviours: &Behaviours,
    pod: &'pass Value,
    container: &'pass Value,
) -> Subject<'pass> {
    let of_job = view::controller(pod).is_some_and(|owner| owner["kind"] == JOB.kind);
    Subject {
        pass,
        pod,
        container,
        behaviour: behaviours.of(pod, view::text(container, "/image")),
        completes: of_job.then_some(pass.settings.work),
        restart: Restart::of(pod),
    }
}

fn key(pod: &Value, container: &Value) -> ContainerKey {
    (view::uid(pod).to_owned(), view::text(container, "/name").to_owned())
}

fn stored<'pod>(pod: &'pod Value, pointer: &str, container: &Value) -> &'pod Value {
    let mut statuses = view::items(pod, pointer).iter();
    statuses.find(|status| status["name"] == container["name"]).unwrap_or(&Value::Null)
}

fn host_address(pass: &Pass<'_>, pod: &Value) -> Option<String> {
    let node = pass.objects.get(&Key::new(NODE, "", view::text(pod, "/spec/nodeName")))?;
    let addresses = view::items(&node, "/status/addresses");
    let internal = addresses.iter().find(|address| address["type"] == "InternalIP")?;
    Some(view::text(internal, "/address").to_owned())
}

/// The status of a pod whose processes were ended, and that something still holds.
fn ended(pass: &Pass<'_>, pod: &Value) -> Value {
    let mut containers = Vec::new();
    for status in view::items(pod, "/status/containerStatuses") {
        let mut status = status.clone();
        if let Some(running) = status.pointer("/state/running").cloned() {
            status["state"] = json!({"terminated": {
                "exitCode": 0, "reason": "Completed", "startedAt": running["startedAt"], "finishedAt": pass.stamp(),
            }});
        }
        status["ready"] = false.into();
        status["started"] = false.into();
        containers.push(status);
    }
    let conditions = status::conditions(pass, pod, "Succeeded", (&[], true), &containers);
    let mut next = match &pod["status"] {
        Value::Object(status) => status.clone(),
        _ => serde_json::Map::new(),
    };
    next.insert("phase".to_owned(), "Succeeded".into());
    next.insert("containerStatuses".to_owned(), containers.into());
    next.insert("conditions".to_owned(), conditions.into());
    Value::Object(next)
}
