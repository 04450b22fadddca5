//! What kubectl makes of the simulated API server, in real time over loopback. Where it is not installed, nothing is
//! tested and the tests say so.
#![cfg(feature = "simulated")]

use std::io::Write as _;
use std::process::{Command, Stdio};
use std::sync::Arc;

use chalk_deploy_core::runtime::SystemRuntime;
use chalk_deploy_testkit::World;
use chalk_deploy_testkit::foreign::installed;
use chalk_deploy_testkit::simulated::http::{Listening, serve};
use chalk_deploy_testkit::simulated::kubernetes::api::{Anonymous, ApiServer, ApiSettings};
use chalk_deploy_testkit::simulated::kubernetes::objects::Objects;

const DEPLOYMENT: &str = r"
apiVersion: apps/v1
kind: Deployment
metadata:
  name: engine
  namespace: space
spec:
  replicas: 2
  selector:
    matchLabels: {app: engine}
  template:
    metadata:
      labels: {app: engine}
    spec:
      containers:
        - name: engine
          image: registry.embedded/engine:v1
          ports: [{containerPort: 8080}]
---
apiVersion: v1
kind: Service
metadata:
  name: engine
  namespace: space
spec:
  selector: {app: engine}
  ports: [{port: 80, targetPort: 8080}]
---
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata:
  name: engine
  namespace: space
spec:
  rules:
    - backendRefs: [{name: engine, port: 80}]
";

/// kubectl and a server for it.
struct Terminal {
    listening: Listening,
    home: tempfile::TempDir,
}

impl Terminal {
    /// `None`, said aloud, where there is no kubectl.
    async fn open(settings: ApiSettings) -> Option<Self> {
        if !installed("kubectl") {
            return None;
        }
        let objects = Objects::open(&World::memory(), SystemRuntime::new()).expect("an empty world opens");
        let listening = serve(Arc::new(ApiServer::new(objects, settings)), 0).await.expect("a port is free");
        Some(Self { listening, home: tempfile::tempdir().expect("a directory") })
    }

    /// Runs kubectl: whether it succeeded, and all that it said.
    async fn run(&self, arguments: &[&str], input: &str) -> (bool, String) {
        let mut command = Command::new("kubectl");
        command
            .env("HOME", self.home.path())
            .env_remove("KUBECONFIG")
            .args(["--server", &format!("http://{}", self.listening.address()), "--request-timeout", "20s"])
            .args(arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        let input = input.to_owned();
        let run = tokio::task::spawn_blocking(move || {
            let mut child = command.spawn().expect("kubectl starts");
            // Who reads nothing has closed its input.
            let _ = child.stdin.take().expect("it was asked for").write_all(input.as_bytes());
            child.wait_with_output().expect("kubectl ends")
        });
        let output = run.await.expect("it runs");
        let said = [output.stdout, output.stderr].map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).concat();
        (output.status.success(), said)
    }

    /// As [`run`](Self::run), where it must succeed.
    async fn must(&self, arguments: &[&str], input: &str) -> String {
        let (done, said) = self.run(arguments, input).await;
        assert!(done, "{arguments:?}: {said}");
        said
    }
}

const APPLY: &[&str] = &["apply", "--server-side", "--validate=strict", "-f", "-"];

#[tokio::test]
async fn kubectl_applies_strictly_and_a_second_manager_gets_a_conflict() {
    let Some(terminal) = Terminal::open(ApiSettings::default()).await else { return };
    let said = terminal.must(&["create", "namespace", "space"], "").await;
    assert!(said.contains("namespace/space created"), "{said}");
    let said = terminal.must(APPLY, DEPLOYMENT).await;
    for line in [
        "deployment.apps/engine serverside-applied",
        "service/engine serverside-applied",
        "httproute.gateway.networking.k8s.io/engine serverside-applied",
    ] {
        assert!(said.contains(line), "{said}");
    }
    let (done, said) = terminal.run(APPLY, &DEPLOYMENT.replace("replicas:", "replicsa:")).await;
    assert!(!done && said.contains(".spec.replicsa: field not declared in schema"), "{said}");
    let (done, said) = terminal
        .run(&[APPLY, &["--field-manager", "other"]].concat(), &DEPLOYMENT.replace("engine:v1", "engine:v2"))
        .await;
    assert!(!done && said.contains("conflict with \"kubectl\""), "{said}");
    assert!(said.contains(".spec.template.spec.containers[name=\"engine\"].image"), "{said}");
    let forced = [APPLY, &["--field-manager", "other", "--force-conflicts"]].concat();
    terminal.must(&forced, &DEPLOYMENT.replace("engine:v1", "engine:v2")).await;
    // As people do it without server-side apply: a last-applied annotation and a strategic patch.
    let apply = ["apply", "-n", "space", "-f", "-"];
    let map =
        "{\"apiVersion\": \"v1\", \"kind\": \"ConfigMap\", \"metadata\": {\"name\": \"a\"}, \"data\": {\"a\": \"1\"}}";
    assert!(terminal.must(&apply, map).await.contains("configmap/a created"));
    assert!(terminal.must(&apply, map).await.contains("configmap/a unchanged"));
    assert!(terminal.must(&apply, &map.replace("\"1\"", "\"2\"")).await.contains("configmap/a configured"));
}

#[tokio::test]
async fn kubectl_shows_scales_explains_and_deletes() {
    let Some(terminal) = Terminal::open(ApiSettings::default()).await else { return };
    terminal.must(&["create", "namespace", "space"], "").await;
    terminal.must(APPLY, DEPLOYMENT).await;
    for (arguments, expected) in [
        (&["get", "deployments"][..], "0/2"),
        (&["get", "all", "-o", "wide"], "registry.embedded/engine:v1"),
        (&["get", "deploy/engine", "-o", "yaml"], "progressDeadlineSeconds: 600"),
        (&["get", "deploy/engine", "-o", "json"], "\"maxSurge\": \"25%\""),
        (&["get", "svc,httproute", "-o", "name"], "httproute.gateway.networking.k8s.io/engine"),
        (&["get", "deploy", "-o", "jsonpath={.items[*].metadata.name}"], "engine"),
        (&["get", "deploy", "-l", "app=none"], "No resources found"),
        (&["get", "namespaces", "--chunk-size=1"], "kube-public"),
        (&["describe", "deployment", "engine"], "RollingUpdateStrategy:  25% max unavailable, 25% max surge"),
        (&["describe", "service", "engine"], "10.96."),
        (&["explain", "deployment.spec.replicas"], "FIELD: replicas <integer>"),
        (&["explain", "httproute.spec.rules.backendRefs"], "weight"),
        (&["api-resources"], "scaledobjects"),
        (&["api-versions"], "argoproj.io/v1alpha1"),
        (&["version"], "Server Version: v1.35.0"),
        (&["scale", "deployment/engine", "--replicas=5"], "scaled"),
        (&["get", "deployments"], "0/5"),
        (&["patch", "deployment", "engine", "-p", "{\"spec\": {\"replicas\": 3}}"], "patched"),
        (&["label", "deployment", "engine", "team=a"], "labeled"),
        (&["annotate", "deployment", "engine", "note=a"], "annotated"),
        (&["set", "image", "deployment/engine", "engine=registry.embedded/engine:v3"], "image updated"),
        (&["delete", "deployment", "engine", "--timeout=10s"], "deleted"),
        (&["delete", "service", "--all", "--timeout=10s"], "deleted"),
    ] {
        let said = terminal.must(&[&["-n", "space"], arguments].concat(), "").await;
        assert!(said.contains(expected), "{arguments:?}: {said}");
    }
    let (done, said) = terminal.run(&["-n", "space", "get", "deployment", "engine"], "").await;
    assert!(!done && said.contains("Error from server (NotFound): deployments.apps \"engine\" not found"), "{said}");
    let (done, said) = terminal.run(&["delete", "namespace", "default"], "").await;
    assert!(!done && said.contains("Forbidden"), "{said}");
}

#[tokio::test]
async fn kubectl_asks_what_may_be_done() {
    let settings = ApiSettings { anonymous: Anonymous::Anonymous, rbac: true, ..ApiSettings::default() };
    let Some(terminal) = Terminal::open(settings).await else { return };
    let (done, said) = terminal.run(&["get", "--raw", "/api/v1/namespaces/default/pods"], "").await;
    assert!(!done && said.contains("User \"system:anonymous\" cannot list resource \"pods\""), "{said}");
    let Some(terminal) = Terminal::open(ApiSettings::default()).await else { return };
    assert!(terminal.must(&["auth", "can-i", "create", "deployments"], "").await.contains("yes"));
    assert!(terminal.must(&["auth", "whoami"], "").await.contains("kubernetes-admin"));
}
