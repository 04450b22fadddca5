//! The recorded cases and the signatures against a foreign model of AWS: botocore's service files and its signer, which the
//! SDK for Python and the command line are made of.

mod common;

use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use chalk_deploy_aws::AccessKeys;
use chalk_deploy_core::cloud::{ClusterApi as _, Selector};
use chalk_deploy_core::model::{EnvironmentId, Namespace};
use chalk_deploy_testkit::VirtualRuntime;
use chalk_deploy_testkit::foreign::{Python, assert_finds, skip};
use chalk_deploy_testkit::recorded::Case;
use chalk_deploy_testkit::simulated::closure::{Answering, Reply, Seen};
use serde_json::{Value, json};

/// The version that the testbed's moto brings along.
const BOTOCORE: [&str; 1] = ["botocore==1.44.5"];

fn python() -> Option<Python> {
    // The first one makes it, and the others wait.
    static FOUND: OnceLock<Result<Python, String>> = OnceLock::new();
    let found = FOUND.get_or_init(|| Python::with("aws", "botocore", &BOTOCORE)).as_ref();
    let skipped =
        |why: &String| skip(&format!("no model of AWS to check the recorded cases and signatures by ({why})"));
    found.map_err(skipped).ok().cloned()
}

fn tests() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests")
}

#[test]
fn every_recorded_case_is_one_that_botocore_could_have_sent_and_understands() {
    let Some(python) = python() else { return };
    let (recorded, script) = (tests().join("recorded"), tests().join("foreign_model.py"));
    let modelled: usize = ["ecr", "eks", "local", "s3", "sqs", "sts"]
        .map(|api| Case::all(&recorded.join(api)).expect("cases").iter().filter(|case| case.model.is_some()).count())
        .into_iter()
        .sum();
    let (is_right, said) = python.runs(&script, &[recorded.as_os_str()]).expect("it was found");
    assert!(is_right, "{said}");
    assert!(said.contains(&format!("checked {modelled} cases")) && modelled > 100, "{said}");
}

#[test]
fn each_planted_fault_is_found() {
    let Some(python) = python() else { return };
    let (recorded, script) = (tests().join("recorded"), tests().join("foreign_model.py"));
    let finds = |case, faults: &[_]| assert_finds(&python, &script, &recorded, case, faults);
    finds(
        "sqs/create_queue_builds",
        &[
            ("\"sqs.us-east-1", "\"queue.us-east-1", "the host is not that of sqs"),
            (
                "x-amz-json-1.0\",\n      \"x-amz-target",
                "x-amz-json-1.1\",\n      \"x-amz-target",
                "the content type is not",
            ),
            ("AmazonSQS.CreateQueue", "AmazonSQS.MakeQueue", "the target is not"),
            ("\"tags\"", "\"Tags\"", "request.Tags: no member"),
            ("\"VisibilityTimeout\": \"300\"", "\"VisibilityTimeout\": 300", "is no string"),
            ("\"VisibilityTimeout\"", "\"Visibility\"", "`Visibility` is none of"),
            ("\"QueueUrl\"", "\"Url\"", "no member of CreateQueueResult"),
        ],
    );
    finds(
        "s3/put_lifecycle_of_others",
        &[
            ("\"lifecycle\"", "\"life\"", "the query has `life`"),
            ("<ID>logs</ID>", "<Id>logs</Id>", "Id: no member of LifecycleRule"),
            ("<Prefix></Prefix>", "<Path></Path>", "no member of LifecycleRule"),
            ("<Status>Enabled", "<Status>On", "is none of"),
            ("default-minimum-object-size", "minimum", "is none of PutBucketLifecycleConfiguration"),
        ],
    );
    finds("ecr/create_repository_full", &[("LimitExceededException", "FullException", "not known to refuse")]);
    finds(
        "sts/assume_role",
        &[("\"ExternalId\"", "\"External\"", "no member"), ("2011-06-15\",", "2012-06-15\",", "version")],
    );
}

#[tokio::test(start_paused = true)]
async fn the_token_of_a_cluster_and_the_question_for_it_are_signed_as_botocore_would() {
    let Some(python) = python() else { return };
    let described = Case::read(&common::folder().join("eks/describe_cluster_public.json")).expect("a case");
    let answer = described.response.json.clone().expect("a document");
    let server = Answering::by(move |seen| match seen.parts.uri.host() {
        Some(host) if host.starts_with("eks.") => Reply::json(200, &answer),
        _ => Reply::json(200, r#"{"kind":"List","apiVersion":"v1","metadata":{},"items":[]}"#),
    });
    let keys = AccessKeys::new("ASIAEXAMPLE", "secret/of+ours").with_session_token("session+token/with==marks");
    let cloud = common::builder(server.transport(), VirtualRuntime::new(1))
        .with_credentials(keys)
        .with_cluster_transports(server.transport())
        .build()
        .expect("a cloud");
    let environment = EnvironmentId::new("prod").expect("an environment");
    let namespace = Namespace::new("ns-prod").expect("a namespace");
    let selector = Selector { environment, deployment: None };
    cloud.cluster().expect("named").list(&namespace, &selector).await.expect("listed");
    let seen = server.seen();
    let token = seen[1].token().strip_prefix("k8s-aws-v1.").expect("the form of EKS");
    let address = String::from_utf8(URL_SAFE_NO_PAD.decode(token).expect("base64")).expect("text");
    let question = json!({
        "keys": ["ASIAEXAMPLE", "secret/of+ours", "session+token/with==marks"], "region": "us-east-1",
        "cluster": "chalk", "request": as_json(&seen[0]), "presigned": address,
    });
    let file = tempfile::NamedTempFile::new().expect("a file");
    std::fs::write(file.path(), question.to_string()).expect("written");
    let checked = python.runs(&tests().join("foreign_signature.py"), &[file.path().as_os_str()]);
    let (is_right, said) = checked.expect("it was found");
    assert!(is_right, "{said}");
    assert_eq!(said.trim(), "the same 2025-01-01T00:00:00");
}

fn as_json(seen: &Seen) -> Value {
    let headers = seen.parts.headers.iter();
    let headers: serde_json::Map<_, _> =
        headers.map(|(name, value)| (name.to_string(), json!(value.to_str().expect("text")))).collect();
    json!({"method": seen.method(), "url": seen.parts.uri.to_string(), "headers": headers})
}
