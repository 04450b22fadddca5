//! What kubectl makes of it, in real time over loopback. Where it is not installed, nothing is tested and the test says
//! so.

use std::io::Write as _;
use std::process::{Command, Stdio};
use std::sync::Arc;

use chalk_deploy_core::runtime::SystemRuntime;
use serde_json::{Value, json};

use super::stage::{IMAGE, Shelf, deployment, service};
use crate::World;
use crate::simulated::http::serve;
use crate::simulated::kubernetes::api::{ApiServer, ApiSettings};
use crate::simulated::kubernetes::controllers::{Cluster, ClusterSettings};
use crate::simulated::kubernetes::objects::Objects;
use crate::simulated::seam::SIMULATED_ENGINE;

/// Runs kubectl: whether it succeeded, and all that it said.
async fn kubectl(server: &str, arguments: &[&str], input: &[Value]) -> (bool, String) {
    let mut command = Command::new("kubectl");
    command
        .args(["--server", server, "--kubeconfig", "/dev/null", "--namespace", "space", "--request-timeout", "20s"])
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    let documents: Vec<_> = input.iter().map(Value::to_string).collect();
    let input = documents.join("\n");
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

fn document(kind: &str, api_version: &str, name: &str, mut object: Value) -> Value {
    object["apiVersion"] = api_version.into();
    object["kind"] = kind.into();
    object["metadata"]["name"] = name.into();
    object
}

fn documents(image: &str, deadline: u32) -> Vec<Value> {
    let mut deployment = document("Deployment", "apps/v1", "engine", deployment(3, image));
    deployment["spec"]["progressDeadlineSeconds"] = deadline.into();
    vec![deployment, document("Service", "v1", "engine", service())]
}

#[tokio::test]
async fn kubectl_waits_for_a_rollout_sees_it_fail_and_takes_it_back() {
    if !crate::foreign::installed("kubectl") {
        return;
    }
    let objects = Objects::open(&World::memory(), SystemRuntime::new()).expect("an empty world opens");
    let images = Arc::new(Shelf::default());
    images.put(IMAGE, SIMULATED_ENGINE);
    let cluster = Cluster::start(objects.clone(), images, ClusterSettings::default());
    let api = ApiServer::new(objects, ApiSettings::default()).with_logs(Arc::new(cluster.clone()));
    let listening = serve(Arc::new(api), 0).await.expect("a port is free");
    let server = format!("http://{}", listening.address());
    let run = async |arguments: &[&str], input: &[Value]| kubectl(&server, arguments, input).await;

    let space = document("Namespace", "v1", "space", json!({}));
    let (done, said) = run(&["apply", "--server-side", "-f", "-"], &[space]).await;
    assert!(done, "{said}");
    let (done, said) = run(&["apply", "--server-side", "-f", "-"], &documents(IMAGE, 600)).await;
    assert!(done, "{said}");
    let (done, said) = run(&["rollout", "status", "deployment/engine", "--timeout", "15s"], &[]).await;
    assert!(done && said.contains("successfully rolled out"), "{said}");
    let wait = ["wait", "--for=condition=Available", "deployment/engine", "--timeout", "10s"];
    let (done, said) = run(&wait, &[]).await;
    assert!(done, "{said}");
    let (done, said) = run(&["logs", "deployment/engine"], &[]).await;
    assert!(done && said.contains("ready to serve"), "{said}");
    let (done, said) = run(&["get", "pods,endpointslices,events", "-o", "wide"], &[]).await;
    assert!(done && said.matches("1/1").count() == 3, "{said}");

    let (done, said) = run(&["apply", "--server-side", "-f", "-"], &documents("registry.embedded/none:v1", 1)).await;
    assert!(done, "{said}");
    let (done, said) = run(&["rollout", "status", "deployment/engine", "--timeout", "15s"], &[]).await;
    assert!(!done && said.contains("exceeded its progress deadline"), "{said}");
    let (done, said) = run(&["rollout", "undo", "deployment/engine"], &[]).await;
    assert!(done, "{said}");
    let available = ["wait", "--for=jsonpath={.status.updatedReplicas}=3", "deployment/engine", "--timeout", "15s"];
    let (done, said) = run(&available, &[]).await;
    assert!(done, "{said}");
    let (done, said) = run(&["rollout", "history", "deployment/engine"], &[]).await;
    assert!(done && said.contains('3'), "{said}");
    let (done, said) = run(&["delete", "namespace", "space", "--timeout", "15s"], &[]).await;
    assert!(done, "{said}");
}
