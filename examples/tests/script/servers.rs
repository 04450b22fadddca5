//! The simulated servers as a program of their own, and `apply` on them as on real ones; `apply --serve`.

use std::collections::BTreeMap;

use rustix::process::Signal;

use crate::http::get;
use crate::program::{Finished, Running, Sandbox};

/// The servers, and what they said.
pub(crate) struct Servers {
    running: Running,
    pub(crate) lines: BTreeMap<String, String>,
}

impl Servers {
    pub(crate) fn start(sandbox: &Sandbox) -> Self {
        let mut running = sandbox.example("servers", &["--state", "servers"]).start();
        let mut line = || running.line().expect("a line for a shell");
        let read = |line: String| {
            let (name, value) = line.trim_end().split_once('=').expect("NAME=value");
            (name.to_owned(), value.to_owned())
        };
        let lines = (0..5).map(|_| read(line())).collect();
        Self { running, lines }
    }

    /// The flags of `apply` for these servers, some of them replaced.
    fn flags(&self, replaced: &[(&str, &str)]) -> Vec<String> {
        let given = [
            ("--kubeconfig", "KUBECONFIG"),
            ("--registry", "REGISTRY"),
            ("--bucket", "BUCKET"),
            ("--base-image", "BASE_IMAGE"),
            ("--gateway-address", "GATEWAY"),
        ];
        let value = |(flag, name): (&str, &str)| {
            let other = replaced.iter().find(|(replaced, _)| *replaced == flag).map(|(_, value)| *value);
            [flag.to_owned(), other.map_or_else(|| self.lines[name].clone(), str::to_owned)]
        };
        given.into_iter().flat_map(value).collect()
    }

    fn apply(&self, sandbox: &Sandbox, replaced: &[(&str, &str)]) -> Finished {
        let flags = self.flags(replaced);
        sandbox.apply().with(&["--json"]).with(&flags.iter().map(String::as_str).collect::<Vec<_>>()).run()
    }

    pub(crate) fn stop(self) -> Finished {
        self.running.signal(Signal::TERM);
        self.running.end()
    }
}

fn id(finished: &Finished) -> String {
    finished.last()["deployment_id"].as_str().expect("an id").to_owned()
}

#[test]
fn apply_on_servers_that_are_named_deploys_and_answers_at_the_gateway_without_a_header() {
    let sandbox = Sandbox::new();
    let servers = Servers::start(&sandbox);
    let first = servers.apply(&sandbox, &[]).expect(0);
    assert_eq!(first.last()["status"], "SUCCESS");
    let answer = get(&servers.lines["GATEWAY"]);
    assert!(answer.starts_with("HTTP/1.1 200 ") && answer.contains(&id(&first)), "{answer}");
    let kept = sandbox.path("servers").join("world");
    assert!(kept.is_dir() && servers.stop().expect(0).stderr.is_empty());

    // They are what they were before.
    let again = Servers::start(&sandbox);
    let answer = get(&again.lines["GATEWAY"]);
    assert!(answer.contains(&id(&first)), "{answer}");
    again.stop().expect(0);
}

#[test]
fn what_cannot_be_deployed_to_is_told_before_a_deployment_begins() {
    let sandbox = Sandbox::new();
    let servers = Servers::start(&sandbox);
    let unreachable = "apiVersion: v1\nkind: Config\ncurrent-context: a\n\
        clusters: [{name: a, cluster: {server: 'http://127.0.0.1:1'}}]\n\
        contexts: [{name: a, context: {cluster: a, user: a}}]\nusers: [{name: a, user: {}}]\n";
    sandbox.write("unreachable", unreachable);
    let plugin = "{exec: {apiVersion: client.authentication.k8s.io/v1, command: touch, args: [ran]}}";
    sandbox.write("plugin", unreachable.replace("user: {}", &format!("user: {plugin}")));
    let other = format!("{}x", servers.lines["BUCKET"]);
    let missing = format!("{}/x/y:1", servers.lines["REGISTRY"]);
    for (flag, value, code, says) in [
        ("--kubeconfig", "nowhere", 1, "nowhere: the file cannot be read"),
        ("--kubeconfig", "unreachable", 1, "the API server at http://127.0.0.1:1 cannot be reached"),
        ("--kubeconfig", "plugin", 1, "the kubeconfig wants a program run, and it is not allowed"),
        ("--registry", "ftp://somewhere", 2, "a registry is reached by http or https"),
        ("--bucket", "http://127.0.0.1:1/bucket", 1, "127.0.0.1:1 refused the connection"),
        ("--bucket", &other, 2, "there is no bucket embedded-sourcex"),
        ("--base-image", "127.0.0.1:1/x/y:1", 1, "127.0.0.1:1 refused the connection"),
        ("--base-image", &missing, 2, "there is no such base image"),
    ] {
        let refused = servers.apply(&sandbox, &[(flag, value)]).expect(code);
        assert_eq!(refused.stdout, "", "{flag} {value}");
        let errors: Vec<_> = refused.stderr.lines().filter(|line| line.starts_with("error: ")).collect();
        assert!(errors.len() == 1 && errors[0].contains(says), "{flag} {value}: {}", refused.stderr);
    }
    assert!(!sandbox.path("ran").exists(), "the plugin was run");
    assert!(sandbox.history(".chalk-deploy").is_empty());
    servers.stop().expect(0);
}

#[test]
fn a_second_process_on_the_same_state_is_refused_and_the_first_goes_on() {
    let sandbox = Sandbox::new();
    let servers = Servers::start(&sandbox);
    let second = sandbox.example("servers", &["--state", "servers"]).run().expect(1);
    assert_eq!(second.stdout, "");
    assert!(second.stderr.contains("another process serves this state already"), "{}", second.stderr);
    assert!(get(&servers.lines["GATEWAY"]).starts_with("HTTP/1.1 404 "));
    servers.stop().expect(0);
}

#[test]
fn serve_keeps_the_gateway_up_until_ctrl_c_while_another_process_deploys_to_it() {
    let sandbox = Sandbox::new();
    let mut serving = sandbox.apply().with(&["--json", "--serve"]).start();
    let line = loop {
        let line = serving.line().expect("it goes on to serve");
        if line.contains("\"serving\"") {
            break line;
        }
    };
    let event: serde_json::Value = serde_json::from_str(&line).expect("JSON");
    let address = event["address"].as_str().expect("an address").to_owned();
    let first = sandbox.history(".chalk-deploy")[0].plan.id.to_string();
    let answer = get(&address);
    assert!(answer.starts_with("HTTP/1.1 200 ") && answer.contains(&first), "{answer}");

    sandbox.write("project/more.py", "x = 1\n");
    let second = sandbox.apply().with(&["--json"]).run().expect(0);
    let answer = get(&address);
    assert!(answer.contains(&id(&second)) && id(&second) != first, "{answer}");

    serving.signal(Signal::INT);
    serving.end().expect(0);
}
