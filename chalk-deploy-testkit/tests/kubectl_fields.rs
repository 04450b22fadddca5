//! kubectl against the simulated API server: what it validates, explains, diffs and applies, and what it says about
//! fields that others own. Where there is no kubectl on the PATH, nothing is tested and each test says so.

#![cfg(feature = "simulated")]

use std::io::Write as _;
use std::process::{Command, Stdio};
use std::sync::{Arc, mpsc};
use std::thread::JoinHandle;

use chalk_deploy_core::runtime::SystemRuntime;
use chalk_deploy_testkit::World;
use chalk_deploy_testkit::foreign::installed;
use chalk_deploy_testkit::simulated::http::serve;
use chalk_deploy_testkit::simulated::kubernetes::api::{ApiServer, ApiSettings};
use chalk_deploy_testkit::simulated::kubernetes::objects::Objects;
use serde_json::{Value, json};
use tokio::sync::oneshot;

/// A server on a thread of its own, and a kubectl that knows nothing else.
struct Cluster {
    folder: tempfile::TempDir,
    stop: Option<oneshot::Sender<()>>,
    server: Option<JoinHandle<()>>,
}

/// What kubectl did.
#[derive(Debug)]
struct Said {
    code: i32,
    out: String,
    err: String,
}

impl Cluster {
    /// None where there is no kubectl.
    fn start() -> Option<Self> {
        if !installed("kubectl") {
            return None;
        }
        let (tell, address) = mpsc::channel();
        let (stop, stopped) = oneshot::channel();
        let server = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
            runtime.block_on(async move {
                let objects = Objects::open(&World::memory(), SystemRuntime::new()).expect("a new world");
                let server = ApiServer::new(objects, ApiSettings::default());
                let listening = serve(Arc::new(server), 0).await.expect("a port of loopback");
                tell.send(listening.address()).expect("the test waits for it");
                let _ = stopped.await;
            });
        });
        let address = address.recv().expect("the server starts");
        let folder = tempfile::tempdir().expect("a folder");
        let config = json!({
            "apiVersion": "v1", "kind": "Config", "current-context": "simulated",
            "clusters": [{"name": "simulated", "cluster": {"server": format!("http://{address}")}}],
            "contexts": [{"name": "simulated", "context": {"cluster": "simulated", "user": "nobody"}}],
            "users": [{"name": "nobody", "user": {}}],
        });
        std::fs::write(folder.path().join("config"), config.to_string()).expect("a file in an own folder");
        Some(Self { folder, stop: Some(stop), server: Some(server) })
    }

    fn kubectl(&self, arguments: &[&str], input: &str) -> Said {
        let mut child = Command::new("kubectl")
            .arg("--request-timeout=20s")
            .args(arguments)
            .env("KUBECONFIG", self.folder.path().join("config"))
            .env("HOME", self.folder.path())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("kubectl starts");
        child.stdin.take().expect("a pipe").write_all(input.as_bytes()).expect("kubectl reads");
        let output = child.wait_with_output().expect("kubectl ends");
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).expect("kubectl writes UTF-8");
        Said { code: output.status.code().unwrap_or(-1), out: text(output.stdout), err: text(output.stderr) }
    }

    fn apply(&self, document: &Value, more: &[&str]) -> Said {
        let arguments = [&["apply", "--server-side", "--validate=strict", "-f", "-"], more].concat();
        self.kubectl(&arguments, &document.to_string())
    }

    fn get(&self, kind: &str, name: &str) -> Value {
        let said = self.kubectl(&["get", kind, name, "-o", "json", "--show-managed-fields"], "");
        serde_json::from_str(&said.out).unwrap_or_else(|error| panic!("{error}: {said:?}"))
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(server) = self.server.take() {
            let _ = server.join();
        }
    }
}

fn deployment(replicas: u32) -> Value {
    json!({
        "apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "engine"},
        "spec": {
            "replicas": replicas,
            "selector": {"matchLabels": {"app": "engine"}},
            "template": {
                "metadata": {"labels": {"app": "engine"}},
                "spec": {"containers": [{"name": "engine", "image": "engine", "ports": [{"containerPort": 8080}]}]},
            },
        },
    })
}

fn managers(object: &Value) -> Vec<String> {
    let entries = object["metadata"]["managedFields"].as_array().cloned().unwrap_or_default();
    let named = |entry: &Value| format!("{} {}", entry["manager"], entry["operation"]).replace('"', "");
    entries.iter().map(named).collect()
}

#[test]
fn one_of_each_kind_is_applied_with_strict_validation_and_again_without_a_change() {
    let Some(cluster) = Cluster::start() else { return };
    let kinds = include_str!("../src/simulated/kubernetes/schema/tests/kinds.json");
    let kinds: Vec<Value> = serde_json::from_str(kinds).expect("it is JSON");
    let all = json!({"apiVersion": "v1", "kind": "List", "items": kinds});
    let made = cluster.apply(&all, &[]);
    assert_eq!((made.code, made.err.as_str()), (0, ""));
    // By now the quota has been counted, which is a write of its own.
    let [first, second] = [(); 2].map(|()| cluster.apply(&all, &["-o", "json", "--show-managed-fields"]));
    let items = |said: &Said| -> Vec<Value> {
        let list: Value = serde_json::from_str(&said.out).expect("kubectl writes JSON");
        list["items"].as_array().cloned().unwrap_or_default()
    };
    let (first, second) = (items(&first), items(&second));
    assert_eq!((first.len(), second.len()), (kinds.len(), kinds.len()));
    for (first, second) in first.iter().zip(&second) {
        assert_eq!(first, second, "with its version and the times of its managers");
    }
}

#[test]
fn a_second_field_manager_conflicts_until_it_forces_or_agrees() {
    let Some(cluster) = Cluster::start() else { return };
    assert_eq!(cluster.apply(&deployment(1), &[]).code, 0);
    let other = "--field-manager=other";
    let refused = cluster.apply(&deployment(2), &[other]);
    assert_eq!(refused.code, 1);
    let conflict = "error: Apply failed with 1 conflict: conflict with \"kubectl\": .spec.replicas\n";
    assert!(refused.err.starts_with(conflict), "{}", refused.err);
    assert_eq!(cluster.apply(&deployment(1), &[other]).code, 0, "equal values are shared");
    // Who changed nothing has no time, and stands first.
    assert_eq!(managers(&cluster.get("deployment", "engine")), ["other Apply", "kubectl Apply"]);
    assert_eq!(cluster.apply(&deployment(2), &[other, "--force-conflicts"]).code, 0);
    let object = cluster.get("deployment", "engine");
    assert_eq!(object["spec"]["replicas"], 2);
    assert_eq!(object["metadata"]["managedFields"][0]["fieldsV1"]["f:spec"].get("f:replicas"), None);
}

#[test]
fn whoever_scales_or_labels_owns_that_and_nothing_else() {
    let Some(cluster) = Cluster::start() else { return };
    assert_eq!(cluster.apply(&deployment(1), &[]).code, 0);
    for arguments in [
        &["scale", "deployment/engine", "--replicas=5"][..],
        &["label", "deployment/engine", "team=chalk"],
        &["set", "image", "deployment/engine", "engine=engine:2"],
    ] {
        let said = cluster.kubectl(arguments, "");
        assert_eq!(said.code, 0, "{said:?}");
    }
    let object = cluster.get("deployment", "engine");
    let mut found = managers(&object);
    found.sort();
    assert_eq!(found, ["kubectl Apply", "kubectl Update", "kubectl-label Update", "kubectl-set Update"]);
    let refused = cluster.apply(&deployment(1), &[]);
    assert!(
        refused.err.contains("conflicts with \"kubectl\" with subresource \"scale\" using apps/v1:\n- .spec.replicas"),
        "{}",
        refused.err
    );
    let image =
        "conflicts with \"kubectl-set\" using apps/v1:\n- .spec.template.spec.containers[name=\"engine\"].image";
    assert!(refused.err.contains(image), "{}", refused.err);
}

#[test]
fn an_unknown_field_is_refused_warned_of_or_ignored_as_asked() {
    let Some(cluster) = Cluster::start() else { return };
    let mut document = deployment(1);
    document["spec"]["template"]["spec"]["containers"][0]["imagee"] = json!("x");
    let text = document.to_string();
    let unknown = "unknown field \"spec.template.spec.containers[0].imagee\"";
    let refused = cluster.kubectl(&["create", "--validate=strict", "-f", "-"], &text);
    assert_eq!(refused.code, 1);
    assert!(refused.err.contains(&format!("strict decoding error: {unknown}")), "{}", refused.err);
    let refused = cluster.apply(&document, &[]);
    // As the real server does it (tests/recordings): before any schema check, the patch itself does not parse.
    let untyped = "failed to create typed patch object (default/engine; apps/v1, Kind=Deployment): \
                   .spec.template.spec.containers[name=\"engine\"].imagee: field not declared in schema";
    assert!(refused.code == 1 && refused.err.contains(untyped), "{}", refused.err);
    let warned = cluster.kubectl(&["create", "--validate=warn", "-f", "-"], &text);
    assert!(warned.code == 0 && warned.err.contains(&format!("Warning: {unknown}")), "{}", warned.err);
    let ignored = cluster.kubectl(&["replace", "--validate=ignore", "-f", "-"], &text);
    assert_eq!((ignored.code, ignored.err.as_str()), (0, ""));
    let container = cluster.get("deployment", "engine")["spec"]["template"]["spec"]["containers"][0].clone();
    assert_eq!(container.get("imagee"), None, "and is not kept");
    let mut invalid = deployment(1);
    invalid["spec"]["selector"]["matchLabels"]["app"] = json!("other");
    let refused = cluster.kubectl(&["replace", "-f", "-"], &invalid.to_string());
    assert!(refused.err.contains("`selector` does not match template `labels`"), "{}", refused.err);
}

#[test]
fn a_difference_is_shown_until_it_is_applied() {
    let Some(cluster) = Cluster::start() else { return };
    assert_eq!(cluster.apply(&deployment(1), &[]).code, 0);
    let wanted = deployment(3);
    let arguments = ["diff", "--server-side", "-f", "-"];
    let said = cluster.kubectl(&arguments, &wanted.to_string());
    assert_eq!(said.code, 1, "{}", said.err);
    assert!(said.out.contains("-  replicas: 1\n+  replicas: 3\n"), "{}", said.out);
    assert_eq!(cluster.apply(&wanted, &[]).code, 0);
    let said = cluster.kubectl(&arguments, &wanted.to_string());
    assert_eq!((said.code, said.out.as_str()), (0, ""), "{}", said.err);
}

#[test]
fn fields_are_explained() {
    let Some(cluster) = Cluster::start() else { return };
    for (path, lines) in [
        (
            "deployment.spec",
            &["FIELD: spec <DeploymentSpec>", "  selector\t<LabelSelector> -required-", "  replicas\t<integer>"][..],
        ),
        ("pod.spec.containers.resources.limits", &["FIELD: limits <map[string]Quantity>"]),
        ("httproute.spec.rules.backendRefs", &["FIELD: backendRefs <[]Object>", "  weight\t<integer>"]),
        ("scaledobject.spec.triggers", &["  type\t<string> -required-"]),
        ("workflow", &["KIND:       Workflow", "  spec\t<Object> -required-"]),
    ] {
        let said = cluster.kubectl(&["explain", path], "");
        assert_eq!((said.code, said.err.as_str()), (0, ""), "{path}");
        for line in lines {
            assert!(said.out.contains(line), "{path} says {}", said.out);
        }
    }
    let said = cluster.kubectl(&["explain", "deployment.spec.nonsense"], "");
    assert!(said.code == 1 && said.err.contains("field \"nonsense\" does not exist"), "{}", said.err);
    let said = cluster.kubectl(&["explain", "deployment", "--recursive"], "");
    assert!(said.out.contains("topologySpreadConstraints"), "{}", said.out);
}

#[test]
fn the_three_kinds_of_patches_do_what_they_say() {
    let Some(cluster) = Cluster::start() else { return };
    assert_eq!(cluster.apply(&deployment(1), &[]).code, 0);
    let patch = |kind: &str, patch: &Value| {
        cluster.kubectl(&["patch", "deployment", "engine", &format!("--type={kind}"), "-p", &patch.to_string()], "")
    };
    let with = |containers: Value| json!({"spec": {"template": {"spec": {"containers": containers}}}});
    let images = || {
        let object = cluster.get("deployment", "engine");
        let containers = object["spec"]["template"]["spec"]["containers"].as_array().cloned().unwrap_or_default();
        containers
            .iter()
            .map(|container| format!("{}={}", container["name"], container["image"]).replace('"', ""))
            .collect::<Vec<_>>()
    };
    let said = patch("strategic", &with(json!([{"name": "proxy", "image": "proxy"}])));
    assert_eq!(said.code, 0, "{said:?}");
    assert_eq!(images(), ["proxy=proxy", "engine=engine"]);
    patch("strategic", &with(json!([{"name": "proxy", "$patch": "delete"}])));
    assert_eq!(images(), ["engine=engine"]);
    patch("merge", &with(json!([{"name": "engine", "image": "engine:2"}])));
    assert_eq!(images(), ["engine=engine:2"]);
    let place = "/spec/template/spec/containers/0/image";
    patch(
        "json",
        &json!([{"op": "test", "path": place, "value": "engine:2"}, {"op": "replace", "path": place, "value": "engine:3"}]),
    );
    assert_eq!(images(), ["engine=engine:3"]);
    let said = patch("json", &json!([{"op": "test", "path": place, "value": "engine:2"}]));
    assert_eq!(said.code, 1);
    assert!(said.err.contains(&format!("testing value {place} failed")), "{}", said.err);
}

#[test]
fn an_apply_on_the_client_takes_away_what_its_manifest_lost() {
    let Some(cluster) = Cluster::start() else { return };
    let mut document = deployment(1);
    let containers = &mut document["spec"]["template"]["spec"]["containers"];
    containers.as_array_mut().expect("a list").insert(0, json!({"name": "proxy", "image": "proxy"}));
    containers[1]["env"] = json!([{"name": "A", "value": "1"}, {"name": "B", "value": "2"}]);
    assert_eq!(cluster.kubectl(&["apply", "-f", "-"], &document.to_string()).code, 0);
    let containers = &mut document["spec"]["template"]["spec"]["containers"];
    containers.as_array_mut().expect("a list").remove(0);
    containers[0]["env"] = json!([{"name": "B", "value": "3"}, {"name": "C", "value": "4"}]);
    let said = cluster.kubectl(&["apply", "-f", "-"], &document.to_string());
    assert_eq!(said.code, 0, "{said:?}");
    let object = cluster.get("deployment", "engine");
    let containers = &object["spec"]["template"]["spec"]["containers"];
    assert_eq!(containers.as_array().map(Vec::len), Some(1));
    assert_eq!(containers[0]["env"], document["spec"]["template"]["spec"]["containers"][0]["env"]);
    // Its fields are kubectl's on the server too, so that its user may change over.
    document["spec"]["replicas"] = json!(4);
    let said = cluster.apply(&document, &[]);
    assert_eq!((said.code, said.err.as_str()), (0, ""));
    assert_eq!(cluster.get("deployment", "engine")["spec"]["replicas"], 4);
}
