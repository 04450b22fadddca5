//! Sequences from seeds: what is written in each step, and what is asked after it.

use serde_json::{Value, json};

use super::Probe;
use super::routes::{self, SPLIT};
use super::scene::{self, Behind, EVERYTHING, Names, SERVICES};
use crate::exchange::Ask;
use crate::random::Random;

/// The writes of each step, and the requests that follow every one of them.
pub(super) struct Plan {
    pub(super) probes: Vec<Probe>,
    pub(super) steps: Vec<Vec<Ask>>,
}

const ROUTES: [&str; 3] = ["main", "second", "third"];

pub(super) fn sequence(seed: u64) -> Plan {
    let random = &mut Random::new(seed ^ 0x6a7e);
    let names = Names::new(seed);
    let namespace = names.namespace();
    // Every tenth is about shares, with so many requests that these can be told apart.
    let shares = seed.is_multiple_of(10);
    let mut first = vec![names.namespace_object(false), names.other_namespace_object()];
    for (name, port, behind) in SERVICES {
        first.push(scene::service(&namespace, name));
        if behind != Behind::Nothing {
            first.push(scene::slice(&namespace, name, port, behind));
        }
    }
    first.push(scene::alias(&namespace));
    first.push(scene::service(&names.other_namespace(), "a"));
    first.push(scene::slice(&names.other_namespace(), "a", 9001, Behind::Ready));
    first.push(put_route(random, &names, ROUTES[0], shares));
    let mut steps = vec![first];
    for _ in 0..3 + random.below(4) {
        steps.push(vec![step(random, &names, shares)]);
    }
    Plan { probes: probes(&names, shares, &steps), steps }
}

/// One write: of two routes that are made in one step, nobody could tell which is the older.
fn step(random: &mut Random, names: &Names, shares: bool) -> Ask {
    let namespace = names.namespace();
    match random.below(100) {
        0..50 => {
            let name = if random.percent(50) { "main" } else { random.of(&ROUTES) };
            put_route(random, names, name, shares)
        }
        50..57 => scene::delete_route(&namespace, random.of(&ROUTES)),
        57..84 => {
            let (name, port, _) = SERVICES[random.below(SERVICES.len())];
            scene::slice(&namespace, name, port, *random.of(&EVERYTHING))
        }
        84..90 => scene::delete_service(&namespace, SERVICES[random.below(SERVICES.len())].0),
        90..94 => scene::service(&namespace, if random.percent(40) { "gone" } else { "a" }),
        94..98 => names.namespace_object(random.percent(60)),
        // From a namespace that no listener takes routes from.
        _ => scene::route(&names.other_namespace(), "main", &routes::plain(names, "a")),
    }
}

fn put_route(random: &mut Random, names: &Names, name: &str, shares: bool) -> Ask {
    let specification = if shares { routes::split(random, names) } else { routes::any(random, names) };
    scene::route(&names.namespace(), name, &specification)
}

/// What is asked. A rule that divides requests is only ever for [`SPLIT`], which is asked often.
fn probes(names: &Names, shares: bool, steps: &[Vec<Ask>]) -> Vec<Probe> {
    let text: String = steps.iter().flatten().map(|ask| ask.body.as_str()).collect();
    let (host, other) = (names.host(), names.other_host());
    let get = |host: &str, target: &str| Ask::new("GET", target).header("host", host);
    let mut asks = vec![get(&host, "/")];
    if !shares {
        asks.extend([
            get(&host, "/one"),
            get(&host, "/one/two"),
            get(&host, "/one/"),
            get(&host, "/oneness"),
            get(&host, "/one").header("x-tag", "green"),
            get(&host, "/one?who=me&how=well"),
            Ask::new("POST", "/one").header("host", &*host).header("x-tag", "grown"),
            get(&format!("{host}:8080"), "/one"),
            get(&host.to_uppercase(), "/"),
            get(&format!("sub.{host}"), "/"),
            get(&other, "/one"),
        ]);
        if text.contains("labelled") {
            asks.push(get(&names.labelled_host(), "/"));
        }
        if text.contains("timeouts") {
            asks.push(get(&host, "/one?delay=1200"));
        }
    }
    let mut probes: Vec<_> = asks.into_iter().map(|ask| Probe { ask, times: 1 }).collect();
    if text.contains(SPLIT) {
        probes.push(Probe { ask: get(&host, SPLIT), times: if shares { 400 } else { 64 } });
    }
    probes
}

/// A choice of documents.
pub(super) fn one(random: &mut Random, choices: &[Value]) -> Value {
    choices[random.below(choices.len())].clone()
}

/// A list of one or two.
pub(super) fn few(random: &mut Random, make: impl Fn(&mut Random) -> Value) -> Value {
    let count = if random.percent(70) { 1 } else { 2 };
    json!((0..count).map(|_| make(random)).collect::<Vec<_>>())
}
