//! The replay: the same writes and requests to the simulated API server and gateway, in virtual time.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use chalk_deploy_core::cloud::ByteStream;
use chalk_deploy_core::runtime::Runtime;
use chalk_deploy_testkit::simulated::gateway::{GatewaySettings, SimulatedGateway};
use chalk_deploy_testkit::simulated::http::{full, read_body};
use chalk_deploy_testkit::simulated::kubernetes::api::{ApiServer, ApiSettings};
use chalk_deploy_testkit::simulated::kubernetes::objects::Objects;
use chalk_deploy_testkit::simulated::seam::{ConnectionRefused, PodNetwork};
use chalk_deploy_testkit::{VirtualRuntime, World};
use http::{HeaderValue, Request, Response};
use serde_json::{Value, json};

use super::accepted::ACCEPTED;
use super::observe::{Answer, Found, ask, look_at_routes};
use super::scene::{Names, apply};
use super::{FILE, GATEWAY, Probe, SEQUENCES, Sequence, Step, Way, generate};
use crate::exchange::{Ask, Peer};
use crate::file;

const ECHO: &str = "10.0.0.9";

/// So many requests show every answer that is drawn with a fifth of the weight or more.
const ENOUGH: u32 = 64;

/// The pod that tells what it was asked, as `testbed/manifests/recording.yaml` has it.
#[derive(Debug)]
struct Echo(Arc<dyn Runtime>);

#[async_trait]
impl PodNetwork for Echo {
    async fn request(
        &self,
        address: &str,
        port: u16,
        request: Request<ByteStream>,
    ) -> Result<Response<ByteStream>, ConnectionRefused> {
        if address != ECHO || !(9001..=9003).contains(&port) {
            return Err(ConnectionRefused);
        }
        let (parts, body) = request.into_parts();
        read_body(body, 1 << 20).await.map_err(|_| ConnectionRefused)?;
        let query = parts.uri.query().unwrap_or_default();
        let delay = query.split('&').find_map(|pair| pair.strip_prefix("delay=")).and_then(|text| text.parse().ok());
        self.0.sleep(Duration::from_millis(delay.unwrap_or_default())).await;
        let mut headers: BTreeMap<&str, String> = BTreeMap::new();
        // The random id of a request is no part of what is compared.
        for (name, value) in parts.headers.iter().filter(|(name, _)| *name != "x-request-id") {
            // Of several with one name, Python's server tells the last.
            headers.insert(name.as_str(), String::from_utf8_lossy(value.as_bytes()).into_owned());
        }
        let target = parts.uri.path_and_query().map_or("/", |target| target.as_str());
        let mut response = Response::new(full(json!({"port": port, "target": target, "headers": headers}).to_string()));
        response.headers_mut().insert("x-echo", HeaderValue::from_static("yes"));
        Ok(response)
    }
}

struct Simulation {
    way: Way,
    runtime: Arc<VirtualRuntime>,
}

impl Simulation {
    async fn new(seed: u64) -> Self {
        let runtime = VirtualRuntime::new(seed);
        let objects = Objects::open(&World::memory(), runtime.clone()).expect("a new world");
        let cluster = Peer::Simulated(Arc::new(ApiServer::new(objects.clone(), ApiSettings::default())));
        let gateway: Value = serde_json::from_str(GATEWAY).expect("JSON");
        let namespace = json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "recording"}});
        let class = json!({
            "apiVersion": "gateway.networking.k8s.io/v1",
            "kind": "GatewayClass",
            "metadata": {"name": "recording"},
            "spec": {"controllerName": "gateway.envoyproxy.io/gatewayclass-controller"},
        });
        let gateways = "/apis/gateway.networking.k8s.io/v1";
        for made in [
            apply("/api/v1/namespaces/recording", &namespace),
            apply(&format!("{gateways}/gatewayclasses/recording"), &class),
            apply(&format!("{gateways}/namespaces/recording/gateways/recording"), &gateway),
        ] {
            assert_eq!(cluster.ask(&made).await.status, 201, "{made:?}");
        }
        let server = SimulatedGateway::start(objects, Arc::new(Echo(runtime.clone())), settings());
        let way = Way { cluster, gateway: Peer::Simulated(Arc::new(server)), echo: ECHO.to_owned() };
        Self { way, runtime }
    }

    /// `drawn` says of a step and a probe whether its answers were drawn; what was not is asked less often.
    async fn replay(
        &self,
        seed: u64,
        probes: &[Probe],
        steps: Vec<Vec<Ask>>,
        drawn: impl Fn(usize, usize) -> bool,
    ) -> Sequence {
        let names = Names::new(seed);
        let mut replayed = Vec::new();
        for writes in steps {
            let mut written = Vec::new();
            for write in &writes {
                written.push(self.way.write(write).await);
            }
            self.runtime.sleep(Duration::from_secs(2)).await;
            let (routes, _) = look_at_routes(&self.way, &names).await;
            let mut answers = Vec::new();
            for (index, probe) in probes.iter().enumerate() {
                let times = if drawn(replayed.len(), index) { probe.times } else { probe.times.min(ENOUGH) };
                answers.push(ask(&self.way, probe, times).await);
            }
            replayed.push(Step { writes, written, found: Found { routes, answers } });
        }
        Sequence { seed, probes: probes.to_vec(), steps: replayed }
    }
}

fn settings() -> GatewaySettings {
    GatewaySettings { empty_share: http::StatusCode::INTERNAL_SERVER_ERROR, ..GatewaySettings::default() }
}

/// A difference between what was found after one step.
#[derive(Debug)]
pub(super) struct Difference<'a> {
    pub(super) seed: u64,
    pub(super) step: usize,
    pub(super) writes: &'a [Ask],
    /// The probe that was answered otherwise.
    pub(super) ask: Option<&'a Ask>,
    pub(super) path: String,
    pub(super) real: Value,
    pub(super) simulated: Value,
    /// All answers that the simulated gateway gave to the probe.
    pub(super) answers: Vec<Value>,
}

fn compare<'a>(recorded: &'a Sequence, replayed: &Sequence) -> Vec<Difference<'a>> {
    let mut differences = Vec::new();
    for (step, (left, right)) in recorded.steps.iter().zip(&replayed.steps).enumerate() {
        let mut note = |ask: Option<&'a Ask>, answers: &[Answer], found: Vec<(String, Value, Value)>| {
            differences.extend(found.into_iter().map(|(path, real, simulated)| Difference {
                seed: recorded.seed,
                step,
                writes: &left.writes,
                ask,
                path,
                real,
                simulated,
                answers: answers.iter().map(|answer| answer.answer.clone()).collect(),
            }));
        };
        let mut found = Vec::new();
        file::differences(".written", &json!(left.written), &json!(right.written), &mut found);
        file::differences(".routes", &left.found.routes, &right.found.routes, &mut found);
        note(None, &[], found);
        for (probe, (left, right)) in recorded.probes.iter().zip(left.found.answers.iter().zip(&right.found.answers)) {
            note(Some(&probe.ask), right, answers(probe, left, right));
        }
    }
    differences
}

/// Single answers are compared field by field, drawn ones as a whole and with their share.
fn answers(probe: &Probe, real: &[Answer], simulated: &[Answer]) -> Vec<(String, Value, Value)> {
    let mut found = Vec::new();
    if let ([real], [simulated]) = (real, simulated) {
        file::differences(".answer", &real.answer, &simulated.answer, &mut found);
        return found;
    }
    let kinds = |answers: &[Answer]| json!(answers.iter().map(|answer| &answer.answer).collect::<Vec<_>>());
    if kinds(real) != kinds(simulated) {
        found.push((".answers".to_owned(), json!(real), json!(simulated)));
        return found;
    }
    // Two draws of so many requests: within four and a half standard deviations of their difference.
    let deviation = 4.5 * (0.5 * f64::from(probe.times)).sqrt();
    for (real, simulated) in real.iter().zip(simulated) {
        if (f64::from(real.times) - f64::from(simulated.times)).abs() > deviation {
            found.push((".share".to_owned(), json!(real), json!(simulated)));
        }
    }
    found
}

#[tokio::test(start_paused = true)]
async fn the_simulated_gateway_answers_as_the_real_one_has() {
    let recorded: Vec<Sequence> = file::read(FILE);
    assert_eq!(recorded.len(), usize::try_from(SEQUENCES).expect("a small number"), "every sequence is recorded");
    let mut needed = BTreeSet::new();
    let mut defects = Vec::new();
    for real in &recorded {
        let steps = real.steps.iter().map(|step| step.writes.clone()).collect();
        let drawn = |step: usize, probe: usize| real.steps[step].found.answers[probe].len() > 1;
        let replayed = Simulation::new(real.seed).await.replay(real.seed, &real.probes, steps, drawn).await;
        for difference in compare(real, &replayed) {
            match ACCEPTED.iter().position(|accepted| (accepted.is)(&difference)) {
                Some(index) => drop(needed.insert(index)),
                None => defects.push(difference),
            }
        }
    }
    let mut kinds: BTreeMap<String, usize> = BTreeMap::new();
    for defect in &defects {
        let path = defect.path.rsplit('}').next().unwrap_or_default();
        *kinds.entry(format!("{path} {} != {}", brief(&defect.real), brief(&defect.simulated))).or_default() += 1;
    }
    let shown: String = defects.iter().take(file::shown()).map(show).collect();
    assert!(defects.is_empty(), "{} differences\n{kinds:#?}\n{shown}", defects.len());
    for (index, accepted) in ACCEPTED.iter().enumerate() {
        assert!(needed.contains(&index), "no longer needed: {}", accepted.reason);
    }
}

#[tokio::test(start_paused = true)]
async fn the_same_seed_gives_the_same_sequence() {
    for seed in 0..5 {
        let plan = generate::sequence(seed);
        let first = Simulation::new(seed).await.replay(seed, &plan.probes, plan.steps.clone(), |_, _| true).await;
        assert_eq!(first, Simulation::new(seed).await.replay(seed, &plan.probes, plan.steps, |_, _| true).await);
    }
}

fn brief(value: &Value) -> String {
    value.to_string().chars().take(100).collect()
}

fn show(difference: &Difference<'_>) -> String {
    let Difference { seed, step, writes, ask, path, real, simulated, .. } = difference;
    let asked = ask.map_or(String::new(), |ask| format!("{} {} {:?}", ask.method, ask.target, ask.headers));
    let written = writes.last().map(|write| format!("{} {} {}", write.method, write.target, write.body));
    format!(
        "--- {seed}.{step} {}\n  {asked} {path}\n    real:      {real}\n    simulated: {simulated}\n",
        written.unwrap_or_default()
    )
}
