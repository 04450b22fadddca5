//! The recorded cases and the signatures against a foreign model of AWS: botocore's service files and its signer, which the
//! SDK for Python and the command line are made of.
//!
//! Runs where `CHALK_FOREIGN_BOTOCORE` names a Python that has botocore, or `python3` does; prints one line elsewhere.

mod common;

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::{Arc, Mutex};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use chalk_deploy_aws::AccessKeys;
use chalk_deploy_core::cloud::{ByteStream, ClusterApi as _, Selector};
use chalk_deploy_core::model::{EnvironmentId, Namespace};
use chalk_deploy_core::transport::{BoxedFuture, RequestBody, Transport, TransportError};
use chalk_deploy_testkit::VirtualRuntime;
use chalk_deploy_testkit::simulated::http::full;
use http::header::AUTHORIZATION;
use http::{Request, Response};
use serde_json::{Value, json};

/// A Python that has botocore, and the folder of the tests.
#[expect(clippy::print_stderr, reason = "that a check was skipped is for the person who runs it")]
fn python() -> Option<(String, PathBuf)> {
    let python = std::env::var("CHALK_FOREIGN_BOTOCORE").unwrap_or_else(|_| "python3".to_owned());
    let has_botocore = Command::new(&python).args(["-c", "import botocore"]).output();
    if !has_botocore.is_ok_and(|output| output.status.success()) {
        eprintln!("skipped: no botocore; `pip install botocore`, and name that Python in CHALK_FOREIGN_BOTOCORE");
        return None;
    }
    Some((python, Path::new(env!("CARGO_MANIFEST_DIR")).join("tests")))
}

#[test]
fn every_recorded_case_is_one_that_botocore_could_have_sent_and_understands() {
    let Some((python, tests)) = python() else { return };
    let checked = Command::new(&python)
        .arg(tests.join("foreign_model.py"))
        .arg(tests.join("recorded"))
        .output()
        .expect("the check runs");
    let said = String::from_utf8_lossy(&checked.stdout);
    assert!(checked.status.success(), "{said}\n{}", String::from_utf8_lossy(&checked.stderr));
    let count: usize = said
        .lines()
        .last()
        .and_then(|line| line.strip_prefix("checked ")?.strip_suffix(" cases")?.parse().ok())
        .expect("a count");
    assert!(count >= 60, "{said}");
}

#[tokio::test(start_paused = true)]
async fn the_token_of_a_cluster_and_the_question_for_it_are_signed_as_botocore_would() {
    let Some((python, tests)) = python() else { return };
    let seen = Seen(common::player(&["eks/describe_cluster_public"]).transport(), Arc::default());
    let keys = AccessKeys::new("ASIAEXAMPLE", "secret/of+ours").with_session_token("session+token/with==marks");
    let cloud = common::builder(Transport::new(seen.clone()), VirtualRuntime::new(1))
        .with_credentials(keys)
        .with_cluster_transports(Transport::new(seen.clone()))
        .build()
        .expect("a cloud");
    let environment = EnvironmentId::new("prod").expect("an environment");
    let namespace = Namespace::new("ns-prod").expect("a namespace");
    let selector = Selector { environment, deployment: None };
    cloud.cluster().expect("named").list(&namespace, &selector).await.expect("listed");
    let requests = seen.1.lock().expect("not poisoned").clone();
    let shown = requests[1]["headers"][AUTHORIZATION.as_str()].as_str().expect("a token");
    let token = shown.strip_prefix("Bearer k8s-aws-v1.").expect("the form of EKS");
    let address = String::from_utf8(URL_SAFE_NO_PAD.decode(token).expect("base64")).expect("text");
    let question = json!({
        "keys": ["ASIAEXAMPLE", "secret/of+ours", "session+token/with==marks"], "region": "us-east-1",
        "cluster": "chalk", "request": requests[0], "presigned": address,
    });
    let mut check = Command::new(python)
        .arg(tests.join("foreign_signature.py"))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the check runs");
    check.stdin.take().expect("piped").write_all(question.to_string().as_bytes()).expect("written");
    let checked = check.wait_with_output().expect("it ends");
    assert!(checked.status.success(), "{}", String::from_utf8_lossy(&checked.stderr));
    assert_eq!(String::from_utf8_lossy(&checked.stdout).trim(), "the same 2025-01-01T00:00:00");
}

/// Hands requests to EKS on, answers those to the cluster, and keeps both.
#[derive(Debug, Clone)]
struct Seen(Transport, Arc<Mutex<Vec<Value>>>);

impl tower_service::Service<Request<RequestBody>> for Seen {
    type Response = Response<ByteStream>;
    type Error = TransportError;
    type Future = BoxedFuture<Result<Self::Response, TransportError>>;

    fn poll_ready(&mut self, _: &mut std::task::Context<'_>) -> std::task::Poll<Result<(), TransportError>> {
        std::task::Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<RequestBody>) -> Self::Future {
        let headers: serde_json::Map<_, _> = request
            .headers()
            .iter()
            .map(|(name, value)| (name.to_string(), json!(value.to_str().expect("text"))))
            .collect();
        let kept = json!({"method": request.method().as_str(), "url": request.uri().to_string(), "headers": headers});
        self.1.lock().expect("not poisoned").push(kept);
        let transport = self.0.clone();
        Box::pin(async move {
            if request.uri().host().is_some_and(|host| host.starts_with("eks.")) {
                return transport.send(request).await;
            }
            Ok(Response::new(full(r#"{"kind":"List","apiVersion":"v1","metadata":{},"items":[]}"#)))
        })
    }
}
