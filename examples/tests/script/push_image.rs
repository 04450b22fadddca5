//! `push_image` against the simulated registry on loopback: what it prints, what it leaves, how it ends.

use std::collections::BTreeMap;
use std::fs;

use rustix::process::Signal;
use serde_json::Value;

use super::program::{Finished, Running, Sandbox};

/// The servers, and a folder `src` to layer.
struct Place {
    sandbox: Sandbox,
    servers: Running,
    registry: String,
    base: String,
}

impl Place {
    fn new() -> Self {
        let sandbox = Sandbox::new();
        let mut servers = sandbox.example("servers", &["--state", "servers"]).start();
        let lines: BTreeMap<_, _> = (0..5)
            .map(|_| {
                let line = servers.line().expect("a line for a shell");
                let (name, value) = line.trim_end().split_once('=').expect("NAME=value");
                (name.to_owned(), value.to_owned())
            })
            .collect();
        fs::create_dir(sandbox.path("src")).expect("a new folder");
        sandbox.write("src/module.py", "x = 1\n");
        Self { registry: lines["REGISTRY"].clone(), base: lines["BASE_IMAGE"].clone(), sandbox, servers }
    }

    fn push(&self, more: &[&str]) -> Finished {
        let target = format!("{}/team/app:1", self.registry);
        let arguments = ["--base", &self.base, "--layer", "src=/app", "--target", &target];
        self.sandbox.example("push_image", &arguments).with(more).run()
    }

    fn end(self) {
        self.servers.signal(Signal::TERM);
        self.servers.end().expect(0);
    }
}

fn number(value: &Value, name: &str) -> u64 {
    value[name].as_u64().unwrap_or_else(|| panic!("`{name}` is a number: {value}"))
}

#[test]
fn a_rebuild_takes_six_requests_at_most_in_three_round_trips_and_nothing_new_takes_one() {
    let place = Place::new();
    let first = place.push(&["--cache", "cache", "--json"]).expect(0).last();
    assert_eq!(first["unchanged"], false);
    place.sandbox.write("src/module.py", "x = 2\n");
    let second = place.push(&["--cache", "cache", "--json"]).expect(0).last();
    assert!(number(&second, "requests") <= 6 && number(&second, "round_trips") <= 3, "{second}");
    assert!(number(&second, "bytes_sent") > 0 && second["cpu_seconds"].as_f64().is_some_and(|cpu| cpu > 0.0));
    assert_ne!(first["digest"], second["digest"]);
    let third = place.push(&["--cache", "cache", "--json"]).expect(0).last();
    assert_eq!((number(&third, "requests"), number(&third, "round_trips")), (1, 1), "{third}");
    assert_eq!((&third["unchanged"], &third["digest"]), (&Value::Bool(true), &second["digest"]));
    place.end();
}

#[test]
fn without_a_cache_and_with_either_packing_the_same_folder_gives_the_same_image() {
    let place = Place::new();
    for packing in ["gzip", "zstd"] {
        let digest = || place.push(&["--compression", packing, "--json"]).expect(0).last()["digest"].clone();
        assert_eq!(digest(), digest());
    }
    let told = place.push(&[]).expect(0);
    assert!(told.stdout.contains("/team/app:1@sha256:") && told.stdout.contains(" s of CPU"), "{}", told.stdout);
    assert_eq!(told.stderr, "");
    place.end();
}

#[test]
fn what_is_wrong_is_said_in_one_sentence_and_the_exit_code_tells_whose_fault_it_is() {
    let place = Place::new();
    let (base, registry) = (place.base.clone(), place.registry.clone());
    let target = format!("{registry}/team/app:1");
    let missing = format!("{registry}/nothing/there:1");
    for (base, layer, target, code, says) in [
        (base.as_str(), "missing=/app", target.as_str(), 2, "the folder of the layer cannot be read"),
        (&base, "src", &target, 2, "DIR=/path"),
        (&base, "src=app", &target, 2, "DIR=/path"),
        (&base, "src=/a/../b", &target, 2, "normal form"),
        ("base", "src=/app", &target, 2, "not named with its registry"),
        (&base, "src=/app", &base, 2, "cannot be pushed to a digest"),
        (&missing, "src=/app", &target, 1, "there is no such base image"),
        (
            &base,
            "src=/app\n--platform\nlinux/amd64\n--platform\nlinux/arm64",
            &target,
            1,
            "for linux/amd64 and not for linux/arm64",
        ),
        (&base, "src=/app\n--platform\nlinux", &target, 2, "write it as linux/amd64"),
        (&base, "src=/app", "127.0.0.1:1/app:1", 1, "127.0.0.1:1 refused the connection"),
    ] {
        let mut arguments = vec!["--base", base, "--target", target, "--json", "--layer"];
        arguments.extend(layer.lines());
        let refused = place.sandbox.example("push_image", &arguments).run().expect(code);
        assert_eq!(refused.stdout, "", "{layer} {target}");
        assert!(refused.stderr.contains(says), "{layer} {target}: {}", refused.stderr);
    }
    place.end();
}
