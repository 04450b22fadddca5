//! The API server: random sequences of writes, reads and watches over one kind each.

mod accepted;
mod documents;
mod generate;
mod normalise;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use chalk_deploy_testkit::simulated::kubernetes::api::{ApiServer, ApiSettings};
use chalk_deploy_testkit::simulated::kubernetes::objects::Objects;
use chalk_deploy_testkit::{VirtualRuntime, World};
use futures::StreamExt as _;
use serde_json::{Value, json};

use self::accepted::ACCEPTED;
use self::normalise::Normaliser;
use crate::exchange::{Ask, Peer};
use crate::file::{self, Sequence, Step};

const FILE: &str = "kubernetes.jsonl.gz";
const SEQUENCES: u64 = 200;

/// Sends requests one after the other, each in a namespace of the sequence.
async fn run(peer: &Peer, seed: u64, asks: Vec<Ask>) -> Sequence {
    let namespace = json!({"metadata": {"name": generate::namespace(seed)}});
    let made = peer.ask(&Ask::new("POST", "/api/v1/namespaces").body("application/json", namespace.to_string())).await;
    assert_eq!(made.status, 201, "the namespace of sequence {seed}");
    let mut normaliser = Normaliser::default();
    let mut steps = Vec::new();
    for ask in asks {
        let raw = peer.ask(&ask.resolved(&normaliser.values)).await;
        let text = String::from_utf8(raw.body).expect("answers are text");
        let answer = if ask.target.contains("watch=true") {
            text.lines().map(|line| serde_json::from_str::<Value>(line).expect("an event")).collect()
        } else {
            serde_json::from_str(&text).unwrap_or(Value::String(text))
        };
        let answer = normaliser.normalise(&ask, answer);
        steps.push(Step { ask, status: raw.status, answer });
    }
    Sequence { seed, steps }
}

fn simulated() -> Peer {
    let objects = Objects::open(&World::memory(), VirtualRuntime::new(1)).expect("a new world");
    Peer::Simulated(Arc::new(ApiServer::new(objects, ApiSettings::default())))
}

#[tokio::test]
#[ignore = "testbed/record runs it against a real API server"]
async fn record() {
    let peer = Peer::real("RECORD_KUBERNETES");
    let sequences = futures::stream::iter(0..SEQUENCES)
        .map(|seed| run(&peer, seed, generate::sequence(seed)))
        .buffered(8)
        .collect::<Vec<_>>()
        .await;
    file::write(FILE, &sequences);
}

/// A difference between the answers to one request.
#[derive(Debug)]
struct Difference<'a> {
    seed: u64,
    step: usize,
    ask: &'a Ask,
    path: String,
    real: Value,
    simulated: Value,
}

/// What of a refusal is compared: what programs look at. The words of the refusals that our adapters read are compared
/// too; those about invalid fields come from many libraries, and are for people.
fn essence(answer: &Value) -> Value {
    if answer["kind"] != "Status" || answer["status"] != "Failure" {
        return answer.clone();
    }
    let causes: BTreeSet<String> = answer["details"]["causes"]
        .as_array()
        .into_iter()
        .flatten()
        .map(|cause| {
            let text = |name: &str| cause[name].as_str().unwrap_or_default().to_owned();
            format!("{} {}", text("reason"), text("field"))
        })
        .collect();
    let reason = answer["reason"].as_str().unwrap_or_default();
    let compared = ["Conflict", "AlreadyExists", "NotFound", "Gone", "Expired", "MethodNotAllowed"].contains(&reason);
    json!({
        "code": answer["code"],
        "reason": reason,
        "message": if compared { without_versions(answer["message"].as_str().unwrap_or_default()) } else { Value::Null },
        "about": [answer["details"]["group"], answer["details"]["kind"], answer["details"]["name"]],
        "causes": causes,
    })
}

/// A message without the absolute versions, which stand in parentheses.
fn without_versions(message: &str) -> Value {
    let parts = message.split('(').map(|part| match part.split_once(')') {
        Some((number, rest)) if number.parse::<u64>().is_ok() => format!("version){rest}"),
        _ => part.to_owned(),
    });
    parts.collect::<Vec<_>>().join("(").into()
}

fn compare<'a>(recorded: &'a Sequence, replayed: &Sequence) -> Vec<Difference<'a>> {
    let seed = recorded.seed;
    let mut differences = Vec::new();
    for (step, (left, right)) in recorded.steps.iter().zip(&replayed.steps).enumerate() {
        let mut found = Vec::new();
        if left.status == right.status {
            file::differences("", &essence(&left.answer), &essence(&right.answer), &mut found);
        } else {
            // Two answers that differ already in their status have nothing in common.
            found.push(("status".to_owned(), brief(left), brief(right)));
        }
        for (path, real, simulated) in found {
            differences.push(Difference { seed, step, ask: &left.ask, path, real, simulated });
        }
    }
    differences
}

fn brief(step: &Step) -> Value {
    format!("{} {}", step.status, step.answer["message"].as_str().unwrap_or_default()).into()
}

#[tokio::test(start_paused = true)]
async fn the_simulated_api_server_answers_as_the_real_one_has() {
    let recorded: Vec<Sequence> = file::read(FILE);
    assert_eq!(recorded.len(), usize::try_from(SEQUENCES).expect("a small number"), "every sequence is recorded");
    let mut needed = BTreeSet::new();
    let mut defects = Vec::new();
    for real in &recorded {
        let asks = real.steps.iter().map(|step| step.ask.clone()).collect();
        let replayed = run(&simulated(), real.seed, asks).await;
        let mut ended = None;
        for difference in compare(real, &replayed) {
            // What follows in a sequence after objects have become different rests on that.
            if ended.is_some_and(|step| difference.step > step) {
                break;
            }
            match ACCEPTED.iter().position(|accepted| (accepted.is)(&difference)) {
                Some(index) => {
                    needed.insert(index);
                    if ACCEPTED[index].ends {
                        ended = Some(difference.step);
                    }
                }
                None => defects.push(difference),
            }
        }
    }
    // What comes after the first difference of a sequence mostly follows from it.
    let mut first = BTreeMap::new();
    for defect in &defects {
        first.entry(defect.seed).or_insert(defect.step);
    }
    let first: Vec<_> = defects.iter().filter(|defect| first[&defect.seed] == defect.step).collect();
    let mut kinds: BTreeMap<String, usize> = BTreeMap::new();
    for defect in &first {
        *kinds.entry(format!("{} {}", defect.ask.method, defect.path)).or_default() += 1;
    }
    let shown: String = first.into_iter().take(file::shown()).map(show).collect();
    assert!(defects.is_empty(), "{} differences\n{kinds:#?}\n{shown}", defects.len());
    for (index, accepted) in ACCEPTED.iter().enumerate() {
        assert!(needed.contains(&index), "no longer needed: {}", accepted.reason);
    }
}

#[tokio::test(start_paused = true)]
async fn the_same_seed_gives_the_same_sequence() {
    for seed in [0, 1, 2, 3, 4, 5] {
        let first = run(&simulated(), seed, generate::sequence(seed)).await;
        assert_eq!(first, run(&simulated(), seed, generate::sequence(seed)).await);
    }
}

fn show(difference: &Difference<'_>) -> String {
    let Difference { seed, step, ask, path, real, simulated } = difference;
    let mut body = ask.body.clone();
    body.truncate(body.char_indices().nth(700).map_or(body.len(), |(index, _)| index));
    let headers = ask.headers.get("content-type").cloned().unwrap_or_default();
    format!(
        "--- {seed}.{step} {} {} {headers}\n    {body}\n  {path}\n    real:      {real}\n    simulated: {simulated}\n",
        ask.method, ask.target
    )
}
