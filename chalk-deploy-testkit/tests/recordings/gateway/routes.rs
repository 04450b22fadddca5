//! Routes from seeds: good ones, and ones with everything that can be wrong with them.

use serde_json::{Value, json};

use super::generate::{few, one};
use super::scene::Names;
use crate::random::Random;

/// The path of rules that divide requests between backends.
pub(super) const SPLIT: &str = "/split";

/// A route that sends everything to one service.
pub(super) fn plain(names: &Names, service: &str) -> Value {
    json!({
        "parentRefs": [parent(&names.section())],
        "hostnames": [names.host()],
        "rules": [{"backendRefs": [{"name": service, "port": 80}]}],
    })
}

/// A route that divides requests, some of them between backends that are not there.
pub(super) fn split(random: &mut Random, names: &Names) -> Value {
    json!({
        "parentRefs": [parent(&names.section())],
        "hostnames": [names.host()],
        "rules": [split_rule(random, names)],
    })
}

pub(super) fn any(random: &mut Random, names: &Names) -> Value {
    let (parents, is_lane) = parents(random, names);
    let mut specification = json!({"parentRefs": parents});
    let (host, other) = (names.host(), names.other_host());
    // A route without hostnames has those of its listener; were it behind all of them, it would be in other sequences'.
    let hostnames = match random.below(100) {
        0..60 => json!([host]),
        60..68 => json!([other]),
        68..74 => json!([host, other]),
        74..80 => json!([format!("*.{host}")]),
        80..86 => json!(["elsewhere.example"]),
        86..90 => json!([host, "elsewhere.example"]),
        90..94 => json!([names.labelled_host()]),
        _ if is_lane => Value::Null,
        _ => json!([host]),
    };
    if !hostnames.is_null() {
        specification["hostnames"] = hostnames;
    }
    let count = [1, 1, 1, 2, 2, 3][random.below(6)];
    let rules: Vec<_> =
        (0..count).map(|_| if random.percent(15) { split_rule(random, names) } else { rule(random, names) }).collect();
    specification["rules"] = rules.into();
    specification
}

fn parent(section: &str) -> Value {
    json!({"name": "recording", "namespace": "recording", "sectionName": section})
}

/// The parents, and whether all of them are the sequence's own listener.
fn parents(random: &mut Random, names: &Names) -> (Value, bool) {
    let own = parent(&names.section());
    let whole = json!({"name": "recording", "namespace": "recording"});
    let with = |field: &str, value: Value| {
        let mut reference = whole.clone();
        reference[field] = value;
        json!([reference])
    };
    match random.below(100) {
        0..62 => (json!([own]), true),
        62..72 => (json!([whole]), false),
        72..75 => (json!([parent("absent")]), false),
        75..77 => (json!([parent("shut")]), false),
        77..82 => (json!([parent("labelled")]), false),
        82..84 => (json!([parent("calls")]), false),
        84..86 => (with("port", json!(80)), false),
        86..88 => (with("port", json!(81)), false),
        88..90 => (with("namespace", json!(names.namespace())), false),
        90..92 => (with("name", json!("nobody")), false),
        92..93 => (with("kind", json!("Service")), false),
        93..97 => (json!([own, parent("absent")]), false),
        _ => (json!([parent("labelled"), own]), false),
    }
}

fn split_rule(random: &mut Random, names: &Names) -> Value {
    let count = 2 + random.below(2);
    let references: Vec<_> = (0..count)
        .map(|_| {
            let mut reference = if random.percent(55) { good(random) } else { reference(random, names) };
            reference["weight"] = one(random, &[json!(0), json!(1), json!(1), json!(2)]);
            reference
        })
        .collect();
    json!({"matches": [{"path": {"type": "PathPrefix", "value": SPLIT}}], "backendRefs": references})
}

fn rule(random: &mut Random, names: &Names) -> Value {
    let mut rule = json!({});
    if random.percent(65) {
        rule["matches"] = few(random, a_match);
    }
    let mut redirects = false;
    if random.percent(35) {
        let filters = filters(random, &rule, names);
        redirects = filters.to_string().contains("RequestRedirect");
        rule["filters"] = filters;
    }
    if !redirects && random.percent(93) {
        let reference = if random.percent(60) { good(random) } else { reference(random, names) };
        rule["backendRefs"] = json!([reference]);
    }
    if random.percent(8) {
        rule["timeouts"] = one(
            random,
            &[
                json!({"request": "400ms"}),
                json!({"request": "0s"}),
                json!({"backendRequest": "400ms"}),
                json!({"request": "5s", "backendRequest": "400ms"}),
            ],
        );
    }
    rule
}

fn good(random: &mut Random) -> Value {
    json!({"name": random.of(&["a", "b"]), "port": 80})
}

/// A reference that mostly leads nowhere.
fn reference(random: &mut Random, names: &Names) -> Value {
    let name = random.of(&["a", "b"]);
    match random.below(100) {
        0..14 => json!({"name": "gone", "port": 80}),
        14..28 => json!({"name": "empty", "port": 80}),
        28..40 => json!({"name": "unready", "port": 80}),
        40..48 => json!({"name": "refused", "port": 80}),
        48..56 => json!({"name": name, "port": 81}),
        56..61 => json!({"name": name, "port": 80, "weight": 0}),
        61..64 => json!({"name": "gone", "port": 80, "weight": 0}),
        64..68 => json!({"name": name, "port": 80, "namespace": names.other_namespace()}),
        68..71 => json!({"name": "gone", "port": 80, "namespace": names.other_namespace()}),
        71..73 => json!({"name": name, "port": 80, "namespace": "nowhere"}),
        73..76 => json!({"name": name, "port": 80, "namespace": names.namespace()}),
        76..79 => json!({"group": "example.com", "kind": "Bucket", "name": name, "port": 80}),
        79..81 => json!({"kind": "Bucket", "name": name}),
        81..83 => json!({"kind": "Pod", "name": name, "port": 80}),
        83..85 => json!({"group": "gateway.networking.k8s.io", "kind": "Service", "name": name, "port": 80}),
        85..88 => json!({"name": name}),
        88..92 => json!({"name": "alias", "port": 80}),
        92..96 => json!({"name": name, "port": 80, "filters": [
            {"type": "RequestHeaderModifier", "requestHeaderModifier": {"set": [{"name": "x-backend", "value": name}]}},
        ]}),
        96..98 => json!({"name": "gone", "port": 80, "filters": [
            {"type": "RequestHeaderModifier", "requestHeaderModifier": {"set": [{"name": "x-backend", "value": name}]}},
        ]}),
        _ => json!({"name": name, "port": 80, "filters": [
            {"type": "RequestRedirect", "requestRedirect": {"hostname": "moved.example"}},
        ]}),
    }
}

fn a_match(random: &mut Random) -> Value {
    let mut wanted = json!({});
    if random.percent(80) {
        wanted["path"] = one(
            random,
            &[
                json!({"type": "PathPrefix", "value": "/"}),
                json!({"type": "PathPrefix", "value": "/one"}),
                json!({"type": "PathPrefix", "value": "/one/"}),
                json!({"type": "PathPrefix", "value": "/one/two"}),
                json!({"type": "Exact", "value": "/one"}),
                json!({"type": "Exact", "value": "/one/"}),
                json!({"type": "Exact", "value": "/one/two"}),
                json!({"type": "RegularExpression", "value": "/o.*"}),
                json!({"type": "RegularExpression", "value": "/one/[a-z]+"}),
                json!({"value": "/oneness"}),
            ],
        );
    }
    if random.percent(25) {
        wanted["headers"] = few(random, |random| {
            one(
                random,
                &[
                    json!({"name": "x-tag", "value": "green"}),
                    json!({"name": "X-Tag", "type": "RegularExpression", "value": "gr.*n"}),
                    json!({"name": "x-absent", "value": "yes"}),
                ],
            )
        });
    }
    if random.percent(20) {
        wanted["method"] = one(random, &[json!("GET"), json!("POST")]);
    }
    if random.percent(15) {
        wanted["queryParams"] = one(
            random,
            &[
                json!([{"name": "who", "value": "me"}]),
                json!([{"name": "who", "value": "m.", "type": "RegularExpression"}]),
                json!([{"name": "who", "value": "me"}, {"name": "how", "value": "well"}]),
            ],
        );
    }
    wanted
}

fn filters(random: &mut Random, rule: &Value, names: &Names) -> Value {
    let filter = match random.below(100) {
        0..30 => request_headers(random),
        30..45 => json!({"type": "ResponseHeaderModifier", "responseHeaderModifier": {
            "set": [{"name": "x-answer", "value": "set"}], "add": [{"name": "x-more", "value": "added"}],
            "remove": ["x-echo"],
        }}),
        45..60 => json!({"type": "URLRewrite", "urlRewrite": rewrite(random, rule)}),
        60..80 => json!({"type": "RequestRedirect", "requestRedirect": redirect(random)}),
        80..86 => json!({"type": "RequestMirror", "requestMirror": {"backendRef": good(random)}}),
        86..92 => json!({"type": "RequestMirror", "requestMirror": {"backendRef": reference(random, names)}}),
        _ => json!({"type": "ExtensionRef", "extensionRef": {"group": "example.com", "kind": "Thing", "name": "one"}}),
    };
    if random.percent(20) { json!([filter, request_headers(random)]) } else { json!([filter]) }
}

fn request_headers(random: &mut Random) -> Value {
    let modifier = one(
        random,
        &[
            json!({"set": [{"name": "x-tag", "value": "set"}]}),
            json!({"add": [{"name": "x-tag", "value": "added"}]}),
            json!({"remove": ["x-tag"]}),
            json!({"set": [{"name": "x-new", "value": "one"}], "add": [{"name": "x-tag", "value": "more"}]}),
            json!({"set": [{"name": "Host", "value": "other.example"}]}),
        ],
    );
    json!({"type": "RequestHeaderModifier", "requestHeaderModifier": modifier})
}

fn rewrite(random: &mut Random, rule: &Value) -> Value {
    // Only a rule whose matches are one prefix may replace it.
    let path = &rule["matches"][0]["path"];
    let by_prefix = rule["matches"].as_array().is_some_and(|all| all.len() == 1) && path["type"] == "PathPrefix";
    let replace = |prefix: &str| json!({"path": {"type": "ReplacePrefixMatch", "replacePrefixMatch": prefix}});
    match random.below(if by_prefix { 5 } else { 2 }) {
        0 => json!({"hostname": "inner.example"}),
        1 => json!({"path": {"type": "ReplaceFullPath", "replaceFullPath": "/whole"}}),
        2 => replace("/new"),
        3 => replace("/"),
        _ => replace("/new/"),
    }
}

fn redirect(random: &mut Random) -> Value {
    one(
        random,
        &[
            json!({"hostname": "moved.example"}),
            json!({"scheme": "https", "statusCode": 301}),
            json!({"scheme": "http"}),
            json!({"port": 8443}),
            json!({"scheme": "https", "port": 8443}),
            json!({"path": {"type": "ReplaceFullPath", "replaceFullPath": "/moved"}}),
            json!({"statusCode": 301}),
            json!({}),
        ],
    )
}
