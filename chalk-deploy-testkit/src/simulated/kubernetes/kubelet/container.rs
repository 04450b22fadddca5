//! One container: from waiting to running, to its end, and again.

use std::time::Duration;

use chalk_deploy_core::model::{Digest, Timestamp};
use serde_json::{Value, json};

use super::Kubelet;
use super::behaviour::{PodBehaviour, Question};
use super::image::{ContainerKey, Policy, parts};
use super::probe::Probe;
use crate::simulated::kubernetes::controllers::event::Tone;
use crate::simulated::kubernetes::controllers::pass::Pass;
use crate::simulated::kubernetes::controllers::write::Writer;
use crate::simulated::kubernetes::controllers::{time, view};
use crate::simulated::kubernetes::resource::POD;
use crate::simulated::seam::{PulledImage, SIMULATED_ENGINE};

/// What the kubelet remembers of a container beside its stored status. A kubelet that starts again has forgotten it.
#[derive(Debug, Default)]
pub(super) struct Memory {
    /// The image that it was started from.
    pub(super) image: Option<PulledImage>,
    /// Since when it could be started.
    startable: Option<Timestamp>,
    started: Option<Timestamp>,
    ended: Option<Timestamp>,
    /// How often in a row its image could not be pulled, and when the last time was.
    failed_pulls: u32,
    failed_at: Option<Timestamp>,
    /// Whether a failing probe was told of since it was started.
    told: bool,
}

/// A container and what there is to know about it.
#[derive(Debug)]
pub(super) struct Subject<'pass> {
    pub(super) pass: &'pass Pass<'pass>,
    pub(super) pod: &'pass Value,
    pub(super) container: &'pass Value,
    pub(super) behaviour: PodBehaviour,
    /// Whether it is to come to an end with exit code 0, and after how long.
    pub(super) completes: Option<Duration>,
    /// Whether it is started again when it ended: after any end, after a failure, never.
    pub(super) restart: Restart,
}

/// `restartPolicy`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Restart {
    Always,
    OnFailure,
    Never,
}

impl Restart {
    pub(super) fn of(pod: &Value) -> Self {
        match view::text(pod, "/spec/restartPolicy") {
            "Never" => Self::Never,
            "OnFailure" => Self::OnFailure,
            _ => Self::Always,
        }
    }

    pub(super) const fn again(self, exit_code: u64) -> bool {
        match self {
            Self::Always => true,
            Self::OnFailure => exit_code != 0,
            Self::Never => false,
        }
    }
}

impl Subject<'_> {
    fn name(&self) -> &str {
        view::text(self.container, "/name")
    }

    fn image(&self) -> &str {
        view::text(self.container, "/image")
    }

    fn key(&self) -> ContainerKey {
        (view::uid(self.pod).to_owned(), self.name().to_owned())
    }

    fn tell(&self, tone: Tone, reason: &str, message: &str) {
        self.pass.tell(Writer::Kubelet, tone, (POD, self.pod), reason, message);
    }

    /// What a container says that was never started.
    pub(super) fn unstarted(&self, reason: &str) -> Value {
        self.waiting(&Value::Null, reason, None)
    }

    fn waiting(&self, before: &Value, reason: &str, message: Option<&str>) -> Value {
        let mut waiting = json!({"reason": reason});
        if let Some(message) = message {
            waiting["message"] = message.into();
        }
        self.status(before, &json!({"waiting": waiting}), &before["lastState"], false, false)
    }

    fn status(&self, before: &Value, state: &Value, last: &Value, started: bool, ready: bool) -> Value {
        let last = if last.is_object() { last.clone() } else { json!({}) };
        let known = |field: &str, default: &str| match before.get(field) {
            Some(value) if value.is_string() => value.clone(),
            _ => default.into(),
        };
        let mut status = json!({
            "name": self.name(),
            "image": known("image", self.image()),
            "imageID": known("imageID", ""),
            "restartCount": view::count(before, "/restartCount"),
            "started": started,
            "ready": ready,
            "state": state,
            "lastState": last,
        });
        if let Some(id) = before.get("containerID") {
            status["containerID"] = id.clone();
        }
        status
    }

    fn back_off(&self, times: u32) -> Duration {
        let doubled = self.pass.settings.back_off.saturating_mul(2_u32.saturating_pow(times.saturating_sub(1)));
        doubled.min(self.pass.settings.longest_back_off)
    }

    /// How long is waited after an end before the restart of this number. The first comes at once.
    fn restart_wait(&self, number: u32) -> Duration {
        if number <= 1 { Duration::ZERO } else { self.back_off(number - 1) }
    }

    /// A moment to the millisecond if it is remembered, else as it is stored.
    fn moment(&self, remembered: Option<Timestamp>, stored: &str) -> Timestamp {
        remembered.or_else(|| time::parse(stored)).unwrap_or(self.pass.now)
    }
}

impl Kubelet {
    /// The next status of a container.
    pub(super) fn step(&mut self, subject: &Subject<'_>, before: &Value) -> Value {
        let mut memory = self.memory.remove(&subject.key()).unwrap_or_default();
        let after = self.step_with(subject, before, &mut memory);
        self.memory.insert(subject.key(), memory);
        after
    }

    fn step_with(&mut self, subject: &Subject<'_>, before: &Value, memory: &mut Memory) -> Value {
        if before.pointer("/state/running").is_some() {
            return run(subject, before, memory);
        }
        if let Some(ended) = before.pointer("/state/terminated") {
            return self.ended(subject, before, ended, memory);
        }
        let last = before.pointer("/lastState/terminated");
        if let Some(last) = last.filter(|_| view::text(before, "/state/waiting/reason") == "CrashLoopBackOff") {
            let number = view::count(before, "/restartCount") + 1;
            let since = subject.moment(memory.ended, view::text(last, "/finishedAt"));
            if !subject.pass.has_passed(subject.restart_wait(number), since) {
                return before.clone();
            }
            return self.launch(subject, before, number, memory);
        }
        let number = view::count(before, "/restartCount");
        self.launch(subject, before, number, memory)
    }

    /// A container that has ended: it stays so, or is started again after a wait.
    fn ended(&mut self, subject: &Subject<'_>, before: &Value, ended: &Value, memory: &mut Memory) -> Value {
        if !subject.restart.again(ended["exitCode"].as_u64().unwrap_or(1)) {
            return before.clone();
        }
        let number = view::count(before, "/restartCount") + 1;
        let since = subject.moment(memory.ended, view::text(ended, "/finishedAt"));
        let wait = subject.restart_wait(number);
        // An end is seen as one for a moment before it is seen as a loop.
        if !subject.pass.has_passed(subject.pass.settings.start, since) {
            return before.clone();
        }
        if subject.pass.has_passed(wait, since) {
            return self.launch(subject, before, number, memory);
        }
        let (pod, name) = (subject.pod, subject.name());
        let of = format!("{}_{}({})", view::name(pod), view::namespace(pod), view::uid(pod));
        subject.tell(Tone::Warning, "BackOff", &format!("Back-off restarting failed container {name} in pod {of}"));
        let message = format!("back-off {} restarting failed container={name} pod={of}", time::print_duration(wait));
        let waiting = json!({"waiting": {"reason": "CrashLoopBackOff", "message": message}});
        subject.status(before, &waiting, &json!({"terminated": ended}), false, false)
    }

    /// Gets the image, then starts the container as the run of this number.
    fn launch(&mut self, subject: &Subject<'_>, before: &Value, number: u32, memory: &mut Memory) -> Value {
        let image = match self.image(subject, memory) {
            Ok(image) => image,
            Err(Unavailable::Pulling) => {
                // A pull that is tried again shows as what came of the last one.
                return if before.is_object() { before.clone() } else { subject.unstarted("ContainerCreating") };
            }
            Err(Unavailable::Not { reason, message }) => return subject.waiting(before, reason, Some(&message)),
        };
        if let Some(missing) = super::configuration::missing(subject.pass.objects, subject.pod, subject.container) {
            let told = view::text(before, "/state/waiting/message") == missing;
            if !told {
                subject.tell(Tone::Warning, "Failed", &format!("Error: {missing}"));
            }
            return subject.waiting(before, "CreateContainerConfigError", Some(&missing));
        }
        let now = subject.pass.now;
        // A restart needs no second preparation: its wait is over.
        let since = *memory.startable.get_or_insert(now);
        if number == view::count(before, "/restartCount")
            && !subject.pass.has_passed(subject.pass.settings.start, since)
        {
            return if before.is_object() { before.clone() } else { subject.unstarted("ContainerCreating") };
        }
        subject.tell(Tone::Normal, "Created", &format!("Created container: {}", subject.name()));
        subject.tell(Tone::Normal, "Started", &format!("Started container {}", subject.name()));
        *memory = Memory { started: Some(now), image: Some(image.clone()), ..Memory::default() };
        let last = match before.pointer("/state/terminated") {
            Some(ended) => json!({"terminated": ended}),
            None => before["lastState"].clone(),
        };
        let running = json!({"running": {"startedAt": subject.pass.stamp()}});
        let begun = Probe::of(subject.container, "startupProbe", None).is_none();
        let mut status = subject.status(before, &running, &last, begun, false);
        let identity = format!("{}/{}/{number}", view::uid(subject.pod), subject.name());
        status["containerID"] = format!("simulated://{}", Digest::of(identity).hex()).into();
        status["restartCount"] = number.into();
        status["image"] = subject.image().into();
        status["imageID"] = image_id(subject.image(), &image).into();
        // What is ready at once is so from the beginning.
        run(subject, &status, memory)
    }

    fn image(&mut self, subject: &Subject<'_>, memory: &mut Memory) -> Result<PulledImage, Unavailable> {
        let reference = subject.image();
        let Some(parts) = parts(reference) else {
            let message = format!(
                "Failed to apply default image tag \"{reference}\": couldn't parse image name \"{reference}\": invalid \
                 reference format"
            );
            return Err(subject.not("InspectFailed", "InvalidImageName", message));
        };
        if memory.startable.is_some()
            && let Some(image) = &memory.image
        {
            return Ok(image.clone());
        }
        let node = view::text(subject.pod, "/spec/nodeName");
        let policy = Policy::of(view::text(subject.container, "/imagePullPolicy"), reference);
        let present = self.images.on_node(node, reference).cloned();
        let refused = subject.behaviour == PodBehaviour::ImagePullFailed;
        match present {
            Some(image) if policy != Policy::Always && !refused => {
                if memory.image.is_none() {
                    let message = format!("Container image \"{reference}\" already present on machine");
                    subject.tell(Tone::Normal, "Pulled", &message);
                }
                memory.image = Some(image.clone());
                return Ok(image);
            }
            None if policy == Policy::Never => {
                let message = format!("Container image \"{reference}\" is not present with pull policy of Never");
                return Err(subject.not("ErrImageNeverPull", "ErrImageNeverPull", message));
            }
            _ => {}
        }
        if let Some(failed_at) = memory.failed_at {
            let wait = subject.back_off(memory.failed_pulls);
            if !subject.pass.has_passed(wait, failed_at) {
                return Err(backing_off(subject, failed_at, reference));
            }
        }
        let (pull, begins) = self.images.pull(&subject.key(), reference, subject.pass.now);
        if begins {
            subject.tell(Tone::Normal, "Pulling", &format!("Pulling image \"{reference}\""));
        }
        let taken = subject.pass.now.since(pull.begun);
        let Some(outcome) = &pull.outcome else { return Err(Unavailable::Pulling) };
        if !subject.pass.has_passed(subject.pass.settings.pull, pull.begun) {
            return Err(Unavailable::Pulling);
        }
        let outcome = match outcome {
            _ if refused => Err("the registry does not hold the image: not found".to_owned()),
            Ok(image) => Ok(image.clone()),
            Err(why) if subject.behaviour == PodBehaviour::ByImage => Err(why.clone()),
            // A chosen behaviour stands whatever the image.
            Err(_) => Ok(PulledImage {
                digest: parts.digest.and_then(|digest| digest.parse().ok()).unwrap_or_else(|| Digest::of(reference)),
                command: vec![SIMULATED_ENGINE.to_owned()],
                environment: Vec::new(),
            }),
        };
        self.images.done(&subject.key());
        match outcome {
            Ok(image) => {
                let taken = time::print_duration(taken);
                let message =
                    format!("Successfully pulled image \"{reference}\" in {taken} ({taken} including waiting).");
                subject.tell(Tone::Normal, "Pulled", &message);
                self.images.keep(node, reference, image.clone());
                *memory = Memory { image: Some(image.clone()), startable: Some(subject.pass.now), ..Memory::default() };
                Ok(image)
            }
            Err(why) => {
                memory.failed_pulls += 1;
                memory.failed_at = Some(subject.pass.now);
                // Backing off shows a moment after the failure does.
                subject.pass.look_again(subject.pass.settings.start);
                let message = failure(reference, &why);
                subject.tell(Tone::Warning, "Failed", &format!("Failed to pull image \"{reference}\": {message}"));
                subject.tell(Tone::Warning, "Failed", "Error: ErrImagePull");
                Err(Unavailable::Not { reason: "ErrImagePull", message })
            }
        }
    }
}

/// Why a container cannot be started yet.
enum Unavailable {
    Pulling,
    Not { reason: &'static str, message: String },
}

impl Subject<'_> {
    /// What cannot become better by waiting, told once.
    fn not(&self, event: &str, reason: &'static str, message: String) -> Unavailable {
        let statuses = view::items(self.pod, "/status/containerStatuses").iter();
        let mut statuses = statuses.chain(view::items(self.pod, "/status/initContainerStatuses"));
        let told = statuses
            .any(|status| status["name"] == self.name() && view::text(status, "/state/waiting/reason") == reason);
        if !told {
            self.tell(Tone::Warning, event, &message);
            self.tell(Tone::Warning, "Failed", &format!("Error: {reason}"));
        }
        Unavailable::Not { reason, message }
    }
}

/// A container whose image could not be pulled and is not to be tried yet.
fn backing_off(subject: &Subject<'_>, failed_at: Timestamp, reference: &str) -> Unavailable {
    let statuses = view::items(subject.pod, "/status/containerStatuses").iter();
    let mut statuses = statuses.chain(view::items(subject.pod, "/status/initContainerStatuses"));
    let stored = statuses.find(|status| status["name"] == subject.name());
    let waiting = |field: &str| stored.map(|status| view::text(status, &format!("/state/waiting/{field}")));
    let (reason, message) = (waiting("reason").unwrap_or_default(), waiting("message").unwrap_or_default());
    if reason == "ErrImagePull" && !subject.pass.has_passed(subject.pass.settings.start, failed_at) {
        return Unavailable::Not { reason: "ErrImagePull", message: message.to_owned() };
    }
    if reason == "ImagePullBackOff" {
        return Unavailable::Not { reason: "ImagePullBackOff", message: message.to_owned() };
    }
    subject.tell(Tone::Normal, "BackOff", &format!("Back-off pulling image \"{reference}\""));
    subject.tell(Tone::Warning, "Failed", "Error: ImagePullBackOff");
    let why = if message.is_empty() { String::new() } else { format!(": ErrImagePull: {message}") };
    Unavailable::Not { reason: "ImagePullBackOff", message: format!("Back-off pulling image \"{reference}\"{why}") }
}

/// A failed pull as a container runtime words it.
fn failure(reference: &str, why: &str) -> String {
    let missing = ["not found", "unknown"].iter().any(|word| why.to_ascii_lowercase().contains(word));
    let (code, why) = if missing { ("NotFound", format!("{why}: not found")) } else { ("Unknown", why.to_owned()) };
    let why = why.replace("not found: not found", "not found");
    format!(
        "rpc error: code = {code} desc = failed to pull and unpack image \"{reference}\": failed to resolve reference \
         \"{reference}\": {why}"
    )
}

/// The image as a status names it: its repository and its digest, whatever tag was asked for.
fn image_id(reference: &str, image: &PulledImage) -> String {
    let repository = parts(reference).map_or(reference, |parts| parts.repository);
    format!("{repository}@{}", image.digest)
}

/// A running container: does it end, and what do its probes say?
fn run(subject: &Subject<'_>, before: &Value, memory: &mut Memory) -> Value {
    let pass = subject.pass;
    let started = view::text(before, "/state/running/startedAt");
    let at = pass.now.since(subject.moment(memory.started, started));
    let number = view::count(before, "/restartCount");
    let exit = match (subject.behaviour.exits_at(number), subject.completes) {
        (Some(exit), _) => Some((exit, 1, "Error")),
        (None, Some(exit)) => Some((exit, 0, "Completed")),
        (None, None) => None,
    };
    match exit {
        Some((exit, code, reason)) if at >= exit => return terminated(subject, before, memory, code, reason),
        Some((exit, ..)) => pass.look_again(exit.saturating_sub(at)),
        None => {}
    }
    let period = pass.settings.probe_period;
    let boot = pass.settings.boot;
    let answer = |question| subject.behaviour.answer(question, at, boot);
    let again = |time: Option<Duration>| {
        if let Some(time) = time {
            pass.look_again(time.saturating_sub(at));
        }
    };
    let mut begun = view::flag(before, "/started");
    if let Some(probe) = Probe::of(subject.container, "startupProbe", period)
        && !begun
    {
        let verdict = probe.judge(false, answer(Question::Begun), at);
        begun = verdict.good;
        again(verdict.again);
        let gives_up = probe.gives_up(Duration::ZERO);
        if !begun && at >= gives_up {
            return killed(subject, before, memory, "startup");
        }
        if !begun {
            again(Some(gives_up));
        }
    } else {
        begun = true;
    }
    if let Some(probe) = Probe::of(subject.container, "livenessProbe", period).filter(|_| begun) {
        let alive = answer(Question::Alive);
        if alive.good {
            again(alive.until);
        } else {
            let gives_up = probe.gives_up(alive.since);
            if at >= gives_up {
                return killed(subject, before, memory, "liveness");
            }
            again(Some(gives_up));
            again(alive.until);
        }
    }
    let ready = begun && is_ready(subject, before, memory, at, &again);
    let mut status = before.clone();
    status["started"] = begun.into();
    status["ready"] = ready.into();
    status
}

fn is_ready(
    subject: &Subject<'_>,
    before: &Value,
    memory: &mut Memory,
    at: Duration,
    again: &dyn Fn(Option<Duration>),
) -> bool {
    let settings = subject.pass.settings;
    let probe = Probe::of(subject.container, "readinessProbe", settings.probe_period);
    // Without a probe a container is ready when it runs, unless a test wants its readiness to be seen.
    let Some(probe) =
        probe.or_else(|| (subject.behaviour != PodBehaviour::ByImage).then(|| Probe::implied(settings.probe_period)))
    else {
        return true;
    };
    let stored = view::flag(before, "/ready");
    let verdict = probe.judge(stored, subject.behaviour.answer(Question::Ready, at, settings.boot), at);
    again(verdict.again);
    if verdict.good {
        memory.told = false;
    } else if !memory.told && (stored || at > probe.first()) {
        memory.told = true;
        subject.tell(Tone::Warning, "Unhealthy", "Readiness probe failed: HTTP probe failed with statuscode: 503");
    } else if !memory.told {
        again(Some(probe.first() + Duration::from_millis(1)));
    }
    verdict.good
}

fn killed(subject: &Subject<'_>, before: &Value, memory: &mut Memory, probe: &str) -> Value {
    let mut kind = probe.to_owned();
    if let Some(first) = kind.get_mut(..1) {
        first.make_ascii_uppercase();
    }
    subject.tell(Tone::Warning, "Unhealthy", &format!("{kind} probe failed: context deadline exceeded"));
    let message = format!("Container {} failed {probe} probe, will be restarted", subject.name());
    subject.tell(Tone::Normal, "Killing", &message);
    terminated(subject, before, memory, 137, "Error")
}

fn terminated(subject: &Subject<'_>, before: &Value, memory: &mut Memory, code: u64, reason: &str) -> Value {
    let now = subject.pass.now;
    // The image stays on its node; the next run need not ask for it.
    *memory = Memory { ended: Some(now), image: memory.image.take(), startable: Some(now), ..Memory::default() };
    // What follows is decided in the next pass, which the change brings.
    let state = json!({"terminated": {
        "exitCode": code,
        "reason": reason,
        "startedAt": before["state"]["running"]["startedAt"],
        "finishedAt": subject.pass.stamp(),
        "containerID": before["containerID"],
    }});
    subject.status(before, &state, &before["lastState"], false, false)
}
