//! The registry: random sequences of uploads, pushes, pulls, lists and deletions.

mod accepted;
mod generate;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use chalk_deploy_testkit::simulated::registry::{Mounts, RegistryServer, RegistrySettings, UploadLocation};
use chalk_deploy_testkit::{VirtualRuntime, World};
use serde_json::{Value, json};

use self::accepted::ACCEPTED;
use crate::exchange::{Ask, Peer, Raw};
use crate::file::{self, Sequence, Step};

const FILE: &str = "registry.jsonl.gz";
const SEQUENCES: u64 = 200;

/// The headers that clients read.
const HEADERS: &[&str] = &[
    "accept-ranges",
    "content-length",
    "content-range",
    "content-type",
    "docker-content-digest",
    "docker-distribution-api-version",
    "link",
    "location",
    "oci-subject",
    "range",
];

/// A registry as distribution is when nothing is configured but that things can be deleted.
fn distribution() -> RegistrySettings {
    let mut settings = RegistrySettings::plain();
    settings.uploads.location = UploadLocation::Absolute;
    settings.uploads.single_post = false;
    settings.mounts = Mounts::FromNamed;
    settings.missing_parts_are_not_found = false;
    settings.referrers = false;
    settings
}

async fn run(peer: &Peer, seed: u64, asks: Vec<Ask>) -> Sequence {
    let mut values = BTreeMap::new();
    let mut steps = Vec::new();
    for ask in asks {
        let raw = peer.ask(&ask.resolved(&values)).await;
        // Where an upload goes on is for the server alone; it is followed as it was given.
        if let Some(location) = raw.headers.get("location").filter(|location| location.contains("/blobs/uploads/")) {
            let location = after_host(location);
            let separator = if location.contains('?') { '&' } else { '?' };
            values.insert("location".to_owned(), location.clone());
            values.insert("location-and".to_owned(), format!("{location}{separator}"));
        }
        steps.push(Step { status: raw.status, answer: normalise(&ask, &raw), ask });
    }
    Sequence { seed, steps }
}

fn after_host(location: &str) -> String {
    match location.split_once("://") {
        Some((_, rest)) => rest.find('/').map_or(String::new(), |start| rest[start..].to_owned()),
        None => location.to_owned(),
    }
}

/// The headers that matter and the body. Of an upload's location only the place is kept, and whether it names a host.
fn normalise(ask: &Ask, raw: &Raw) -> Value {
    let mut headers = BTreeMap::new();
    for name in HEADERS {
        let Some(value) = raw.headers.get(*name) else { continue };
        let mut value = value.clone();
        if *name == "location" {
            let host = if value.contains("://") { "http://HOST" } else { "" };
            let path = after_host(&value);
            let path = match path.split_once("/blobs/uploads/") {
                Some((before, _)) => format!("{before}/blobs/uploads/UPLOAD"),
                None => path,
            };
            value = format!("{host}{path}");
        }
        headers.insert(*name, value);
    }
    let text = String::from_utf8_lossy(&raw.body).into_owned();
    let body = match serde_json::from_str::<Value>(&text) {
        // The words are for people; programs read the codes.
        Ok(answer) if answer["errors"].is_array() => {
            headers.remove("content-length");
            let codes = answer["errors"].as_array().into_iter().flatten().map(|error| error["code"].clone());
            json!({"codes": codes.collect::<Vec<_>>()})
        }
        // The tags and the repositories; their bytes may be laid out otherwise.
        Ok(answer) if ask.target.contains("/tags/list") || ask.target.contains("/_catalog") => {
            headers.remove("content-length");
            answer
        }
        _ => text.into(),
    };
    json!({"headers": headers, "body": body})
}

fn simulated() -> Peer {
    Peer::Simulated(Arc::new(RegistryServer::new(&World::memory(), VirtualRuntime::new(1), distribution())))
}

#[tokio::test]
#[ignore = "testbed/record runs it against a real registry"]
async fn record() {
    let peer = Peer::real("RECORD_REGISTRY");
    let mut sequences = Vec::new();
    for seed in 0..SEQUENCES {
        sequences.push(run(&peer, seed, generate::sequence(seed)).await);
    }
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

#[tokio::test(start_paused = true)]
async fn the_simulated_registry_answers_as_the_real_one_has() {
    let recorded: Vec<Sequence> = file::read(FILE);
    assert_eq!(recorded.len(), usize::try_from(SEQUENCES).expect("a small number"), "every sequence is recorded");
    let mut needed = BTreeSet::new();
    let mut defects = Vec::new();
    for real in &recorded {
        let asks = real.steps.iter().map(|step| step.ask.clone()).collect();
        let replayed = run(&simulated(), real.seed, asks).await;
        for (step, (left, right)) in real.steps.iter().zip(&replayed.steps).enumerate() {
            let mut found = Vec::new();
            file::differences(".status", &left.status.into(), &right.status.into(), &mut found);
            file::differences("", &left.answer, &right.answer, &mut found);
            for (path, of_real, of_simulated) in found {
                let difference =
                    Difference { seed: real.seed, step, ask: &left.ask, path, real: of_real, simulated: of_simulated };
                match ACCEPTED.iter().position(|accepted| (accepted.is)(&difference)) {
                    Some(index) => drop(needed.insert(index)),
                    None => defects.push(difference),
                }
            }
        }
    }
    let shown: String = defects.iter().take(crate::file::shown()).map(show).collect();
    assert!(defects.is_empty(), "{} differences\n{shown}", defects.len());
    for (index, accepted) in ACCEPTED.iter().enumerate() {
        assert!(needed.contains(&index), "no longer needed: {}", accepted.reason);
    }
}

#[tokio::test(start_paused = true)]
async fn the_same_seed_gives_the_same_sequence() {
    for seed in 0..5 {
        let first = run(&simulated(), seed, generate::sequence(seed)).await;
        assert_eq!(first, run(&simulated(), seed, generate::sequence(seed)).await);
    }
}

fn show(difference: &Difference<'_>) -> String {
    let Difference { seed, step, ask, path, real, simulated } = difference;
    format!(
        "--- {seed}.{step} {} {} {:?}\n  {path}\n    real:      {real}\n    simulated: {simulated}\n",
        ask.method, ask.target, ask.headers
    )
}
