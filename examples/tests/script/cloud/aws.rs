//! `apply --cloud aws`.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use chalk_deploy_testkit::simulated::closure::{Answering, Reply, Seen};
use serde_json::{Value, json};

use super::{ControlPlane, Front, servers};
use crate::http::get;
use crate::program::{Finished, Sandbox};
use crate::servers::Servers;

/// EKS and ECR, which know one cluster, `chalk`, behind this front.
fn control_plane(front: &Front) -> ControlPlane {
    let cluster = json!({"cluster": {
        "name": "chalk", "version": "1.33", "status": "ACTIVE", "endpoint": format!("https://{}", front.address),
        "certificateAuthority": {"data": STANDARD.encode(&front.authority)},
        "resourcesVpcConfig": {
            "endpointPublicAccess": false, "endpointPrivateAccess": true, "publicAccessCidrs": [],
        },
    }});
    ControlPlane::start(Answering::by(move |seen| answer(seen, &cluster)))
}

fn answer(seen: &Seen, cluster: &Value) -> Reply {
    if !seen.header("authorization").starts_with("AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/") {
        return Reply::json(403, json!({"message": "Missing Authentication Token"}));
    }
    match action(seen).as_str() {
        "GET /clusters/chalk" => Reply::json(200, cluster),
        "GetAccountSetting" => Reply::json(200, json!({"name": "BLOB_MOUNTING", "value": "ENABLED"})),
        _ => Reply::json(404, json!({"message": "No cluster found for name: other.", "clusterName": "other"}))
            .with("x-amzn-errortype", "ResourceNotFoundException"),
    }
}

fn action(seen: &Seen) -> String {
    let named = seen.header("x-amz-target").rsplit_once('.').map(|(_, action)| action.to_owned());
    named.unwrap_or_else(|| format!("{} {}", seen.method(), seen.path()))
}

fn apply(sandbox: &Sandbox, servers: &Servers, plane: &ControlPlane, cluster: &str) -> Finished {
    let bucket = servers.lines["BUCKET"].trim_start_matches("http://");
    let (bucket_server, bucket) = bucket.split_once('/').expect("a server and a name");
    let program = sandbox.apply().with(&["--json", "--cloud", "aws", "--region", "us-east-1", "--cluster", cluster]);
    program
        .with(&["--registry", &servers.lines["REGISTRY"], "--bucket", bucket])
        .with(&["--base-image", &servers.lines["BASE_IMAGE"], "--gateway-address", &servers.lines["GATEWAY"]])
        .variable("AWS_ACCESS_KEY_ID", "AKIDEXAMPLE")
        .variable("AWS_SECRET_ACCESS_KEY", "secret-of-the-tests")
        .variable("AWS_ENDPOINT_URL", plane.at.url())
        .variable("AWS_ENDPOINT_URL_S3", format!("http://{bucket_server}"))
        .run()
}

#[test]
fn apply_finds_a_cluster_by_its_name_in_aws_deploys_there_and_remarks_on_its_endpoint() {
    let sandbox = Sandbox::new();
    let (servers, front) = servers(&sandbox, "k8s-aws-v1.");
    let plane = control_plane(&front);
    let finished = apply(&sandbox, &servers, &plane, "chalk").expect(0);
    assert_eq!(finished.last()["status"], "SUCCESS");
    let id = finished.last()["deployment_id"].as_str().expect("an id").to_owned();
    let answer = get(&servers.lines["GATEWAY"]);
    assert!(answer.starts_with("HTTP/1.1 200 ") && answer.contains(&id), "{answer}");
    assert!(finished.stderr.contains("cluster `chalk` has a private endpoint"), "{}", finished.stderr);
    assert!(!finished.stderr.contains("secret-of-the-tests") && !finished.stdout.contains("secret-of-the-tests"));
    let asked: Vec<_> = plane.answering.seen().iter().map(action).collect();
    // Once to get there, and once for the remark.
    assert_eq!(asked.iter().filter(|what| *what == "GET /clusters/chalk").count(), 2, "{asked:?}");
    servers.stop().expect(0);
}

#[test]
fn a_cluster_that_aws_does_not_know_is_told_before_a_deployment_begins() {
    let sandbox = Sandbox::new();
    let (servers, front) = servers(&sandbox, "k8s-aws-v1.");
    let finished = apply(&sandbox, &servers, &control_plane(&front), "other").expect(1);
    assert!(finished.stderr.contains("OBJECT_MISSING") && finished.stderr.contains("other"), "{}", finished.stderr);
    assert!(sandbox.history(".chalk-deploy").is_empty());
    servers.stop().expect(0);
}
