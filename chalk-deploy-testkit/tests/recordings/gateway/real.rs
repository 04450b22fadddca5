//! The recording. Between a write and what follows from it the real gateway takes its time, which differs; so every
//! step is read when all has settled.
//!
//! To know that it has, each lane has a route of its own, the marker, which is changed after the writes of each step.
//! When the data plane answers by the changed marker, it has also been told of what was written before; the different
//! kinds of objects reach the controller by different watches, so that the answers have to stay the same for a while
//! beyond that.

use std::collections::BTreeMap;
use std::io::Write as _;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use chalk_deploy_core::runtime::{Runtime, SystemRuntime};
use futures::StreamExt as _;
use serde_json::{Value, json};

use super::observe::{Found, ask, look_at_routes};
use super::scene::{LANES, Names, delete_route, route, routes};
use super::{FILE, Probe, SEQUENCES, Sequence, Step, Way, generate};
use crate::exchange::{Ask, Peer};
use crate::file;

/// So long nothing may change before a step is read.
const CALM: Duration = Duration::from_millis(900);
const PAUSE: Duration = Duration::from_millis(150);
/// So long a status may be about an older generation before it is taken for one that stays so.
const PATIENCE: Duration = Duration::from_secs(4);
const LIMIT: Duration = Duration::from_secs(30);

#[tokio::test]
#[ignore = "testbed/record runs it against the testbed's gateway"]
async fn record() {
    let way = Way {
        cluster: Peer::real("RECORD_GATEWAY_API"),
        gateway: Peer::real("RECORD_GATEWAY"),
        echo: std::env::var("RECORD_GATEWAY_ECHO").expect("testbed/record names it"),
    };
    let transients = Arc::new(Transients::default());
    let lanes = futures::stream::iter(0..LANES).map(|lane| {
        let mut lane = Lane::new(lane, way.clone(), transients.clone());
        async move { lane.record().await }
    });
    let recorded = lanes.buffer_unordered(usize::try_from(LANES).expect("a small number")).concat().await;
    let mut sequences: Vec<Sequence> = recorded;
    sequences.sort_by_key(|sequence| sequence.seed);
    file::write(FILE, &sequences);
    transients.tell();
}

/// Sequences one after the other, behind one listener.
struct Lane {
    number: u64,
    way: Way,
    marks: u64,
    runtime: Arc<SystemRuntime>,
    transients: Arc<Transients>,
}

impl Lane {
    fn new(lane: u64, way: Way, transients: Arc<Transients>) -> Self {
        Self { number: lane, way, marks: 0, runtime: SystemRuntime::new(), transients }
    }

    async fn record(&mut self) -> Vec<Sequence> {
        let mut sequences = Vec::new();
        for seed in (self.number..SEQUENCES).step_by(usize::try_from(LANES).expect("a small number")) {
            sequences.push(self.sequence(seed).await);
        }
        sequences
    }

    async fn sequence(&mut self, seed: u64) -> Sequence {
        let names = Names::new(seed);
        let plan = generate::sequence(seed);
        let mut steps = Vec::new();
        for writes in plan.steps {
            let mut written = Vec::new();
            for write in &writes {
                written.push(self.way.write(write).await);
            }
            let routes = self.settle(&names, &plan.probes, seed).await;
            let mut answers = Vec::new();
            for probe in &plan.probes {
                answers.push(ask(&self.way, probe, probe.times).await);
            }
            steps.push(Step { writes, written, found: Found { routes, answers } });
        }
        self.remove(&names).await;
        Sequence { seed, probes: plan.probes, steps }
    }

    /// Until the data plane knows all that was written and the answers stay the same; the routes as they are then.
    async fn settle(&mut self, names: &Names, probes: &[Probe], seed: u64) -> Value {
        let begun = self.runtime.monotonic();
        let mark = self.mark().await;
        let mut marked = false;
        let mut before: Option<Seen> = None;
        let mut since = begun;
        loop {
            marked = marked || self.has_arrived(&mark).await;
            let (routes, current) = look_at_routes(&self.way, names).await;
            let mut answers = Vec::new();
            // What is drawn changes from one request to the next.
            for probe in probes.iter().filter(|probe| probe.times == 1) {
                answers.push(json!(ask(&self.way, probe, 1).await));
            }
            let now = self.runtime.monotonic();
            let looked = Some(Seen { routes, answers });
            // Some statuses are never told, because what the real gateway writes is refused.
            let told = current || now.saturating_sub(begun) > PATIENCE;
            if looked != before || !told || !marked {
                if let (Some(old), Some(new)) = (&before, &looked) {
                    self.transients.note(old, new, now.saturating_sub(begun));
                }
                before = looked;
                since = now;
            } else if now.saturating_sub(since) >= CALM {
                return before.expect("it was looked at").routes;
            }
            assert!(now.saturating_sub(begun) < LIMIT, "sequence {seed} does not settle: {before:?}");
            self.runtime.sleep(PAUSE).await;
        }
    }

    /// Changes the marker.
    async fn mark(&mut self) -> Mark {
        self.marks += 1;
        let wanted = format!("n{}.example", self.marks);
        let name = format!("marker-{}", self.number);
        let host = format!("marker.lane-{}.example", self.number);
        let written = self.way.write(&route("recording", &name, &marker(self.number, &host, &wanted))).await;
        assert!(matches!(written, 200 | 201), "the marker is stored: {written}");
        Mark { wanted, name, host }
    }

    /// Whether the data plane answers by the marker and its status is told.
    async fn has_arrived(&self, mark: &Mark) -> bool {
        let answer = self.way.gateway.ask(&Ask::new("GET", "/").header("host", &*mark.host)).await;
        answer.headers.get("location").is_some_and(|location| location.contains(&mark.wanted))
            && self.is_told(&mark.name).await
    }

    async fn is_told(&self, name: &str) -> bool {
        let raw = self.way.cluster.ask(&routes("recording")).await;
        let list: Value = serde_json::from_slice(&raw.body).expect("a list of routes");
        let mut all = list["items"].as_array().into_iter().flatten();
        let marker = all.find(|route| route["metadata"]["name"] == name).expect("the marker is stored");
        let condition = &marker["status"]["parents"][0]["conditions"][0];
        condition["observedGeneration"] == marker["metadata"]["generation"]
    }

    /// Removes what a sequence has made; the namespaces go on their own.
    async fn remove(&mut self, names: &Names) {
        for namespace in [names.namespace(), names.other_namespace()] {
            let raw = self.way.cluster.ask(&routes(&namespace)).await;
            let list: Value = serde_json::from_slice(&raw.body).expect("a list of routes");
            for route in list["items"].as_array().into_iter().flatten() {
                let name = route["metadata"]["name"].as_str().unwrap_or_default();
                self.way.write(&delete_route(&namespace, name)).await;
            }
            self.way.write(&Ask::new("DELETE", format!("/api/v1/namespaces/{namespace}"))).await;
        }
        let begun = self.runtime.monotonic();
        let mark = self.mark().await;
        while !self.has_arrived(&mark).await {
            assert!(self.runtime.monotonic().saturating_sub(begun) < LIMIT, "the marker {mark:?} does not arrive");
            self.runtime.sleep(PAUSE).await;
        }
    }
}

/// One change of a marker.
#[derive(Debug)]
struct Mark {
    wanted: String,
    name: String,
    host: String,
}

/// The routes, and the answers to what is asked once.
#[derive(Debug, PartialEq)]
struct Seen {
    routes: Value,
    answers: Vec<Value>,
}

/// A route that needs no backend.
fn marker(lane: u64, host: &str, wanted: &str) -> Value {
    json!({
        "parentRefs": [{"name": "recording", "namespace": "recording", "sectionName": format!("lane-{lane}")}],
        "hostnames": [host],
        "rules": [{"filters": [{"type": "RequestRedirect", "requestRedirect": {"hostname": wanted}}]}],
    })
}

/// Which answers became which while all settled, how often and how late at most. It is told and not recorded: it
/// depends on the machine.
#[derive(Debug, Default)]
struct Transients(Mutex<BTreeMap<String, (u32, Duration)>>);

impl Transients {
    fn note(&self, before: &Seen, after: &Seen, since: Duration) {
        let brief = |answers: &Value| {
            let answer = &answers[0]["answer"];
            let by = if answer["backend"].is_null() { "the gateway" } else { "a backend" };
            format!("{} of {by}", answer["status"])
        };
        // A status that was there before the answer changed had promised too much.
        let told = if before.routes == after.routes { "the status was told before" } else { "the status changed too" };
        let mut seen = self.0.lock().expect("no panic before");
        for (before, after) in before.answers.iter().zip(&after.answers).filter(|(before, after)| before != after) {
            let entry = seen.entry(format!("{} became {}; {told}", brief(before), brief(after))).or_default();
            entry.0 += 1;
            entry.1 = entry.1.max(since);
        }
    }

    fn tell(&self) {
        let mut errors = std::io::stderr();
        for (change, (times, latest)) in &*self.0.lock().expect("no panic before") {
            writeln!(errors, "{times:6} times, at most {latest:?} after the write: {change}").expect("stderr is there");
        }
    }
}

#[test]
fn there_is_a_listener_for_every_lane() {
    let gateway: Value = serde_json::from_str(super::GATEWAY).expect("JSON");
    let listeners = gateway["spec"]["listeners"].as_array().expect("a list");
    for lane in 0..LANES {
        let names = Names::new(lane);
        let listener = listeners.iter().find(|listener| listener["name"] == names.section().as_str());
        let hostname = listener.expect("a listener of this name")["hostname"].as_str().expect("it has a hostname");
        assert!(names.host().ends_with(hostname.trim_start_matches('*')), "{hostname}");
    }
}
