//! APIs that are not where Google has them: emulators, and what gcloud's variables lead to. Who is shown the token there.

mod common;

use std::sync::Arc;

use chalk_deploy_core::cloud::{ClusterApi as _, ObjectStore as _, Payload, Registry as _};
use chalk_deploy_core::model::{Namespace, ObjectKey, ObjectReference, Repository};
use chalk_deploy_core::runtime::Runtime;
use chalk_deploy_core::{ErrorCode, Result};
use chalk_deploy_gcp::{Cloud, CloudBuilder};
use chalk_deploy_testkit::simulated::closure::{Answering, Hosts, Reply};
use chalk_deploy_testkit::simulated::http::in_process;
use chalk_deploy_testkit::simulated::registry::{RegistryServer, RegistrySettings};
use chalk_deploy_testkit::{VirtualRuntime, World};
use common::assert_error;
use serde_json::{Value, json};

const CONTAINER: &str = "CLOUDSDK_API_ENDPOINT_OVERRIDES_CONTAINER";
const ARTIFACT_REGISTRY: &str = "CLOUDSDK_API_ENDPOINT_OVERRIDES_ARTIFACTREGISTRY";
const STORAGE: &str = "CLOUDSDK_API_ENDPOINT_OVERRIDES_STORAGE";

fn variables(given: &[(&'static str, &'static str)]) -> impl Fn(&str) -> Option<String> + use<> {
    let given = given.to_vec();
    move |name| given.iter().find(|(known, _)| *known == name).map(|(_, value)| (*value).to_owned())
}

/// A metadata server on this machine, so that there is a token that nobody has given for an emulator.
const METADATA: (&str, &str) = ("GCE_METADATA_HOST", "127.0.0.1:1");

fn metadata() -> Answering {
    Answering::by(|_| {
        let token = json!({"access_token": "ya29.machine", "expires_in": 3599});
        Reply::json(200, token).with("metadata-flavor", "Google")
    })
}

fn builder(server: &Answering, given: &[(&'static str, &'static str)], hosts: &[&str]) -> CloudBuilder {
    let known = Hosts::new().with(METADATA.1, metadata().transport());
    let known = hosts.iter().fold(known, |known, host| known.with(host, server.transport()));
    Cloud::builder()
        .from_variables(variables(&[given, &[METADATA]].concat()))
        .with_transport(known.transport())
        .with_runtime(VirtualRuntime::new(1))
        .with_project("acme-prod")
        .with_location("us-central1")
        .with_cluster("chalk")
        .with_bucket("chalk-acme-source")
}

/// The tokens that a server was shown by calls to all three APIs.
async fn shown(given: &[(&'static str, &'static str)], host: &str) -> Vec<String> {
    let server = Answering::by(|_| Reply::json(404, "{}"));
    let builder = builder(&server, given, &[host]).with_registry("us-central1-docker.pkg.dev/acme-prod/chalk");
    let cloud = builder.build().expect("valid settings");
    let _ = cloud.describe_cluster().await;
    let _ = cloud.bucket().expect("set").head(&ObjectKey::new("a").expect("a key")).await;
    let _ = cloud.repositories().expect("set").create("us-central1-docker.pkg.dev", "acme-prod/chalk/x").await;
    server.seen().iter().map(|seen| seen.token().to_owned()).collect()
}

#[tokio::test(start_paused = true)]
async fn an_override_is_shown_the_token_as_gcloud_shows_it_and_an_emulator_is_not() {
    for (name, value, host) in [
        (CONTAINER, "http://127.0.0.1:9/", "127.0.0.1:9"),
        (CONTAINER, "https://container-chalk.p.googleapis.com", "container-chalk.p.googleapis.com"),
        (ARTIFACT_REGISTRY, "http://127.0.0.1:9", "127.0.0.1:9"),
        (STORAGE, "https://storage-chalk.p.googleapis.com/storage/v1/", "storage-chalk.p.googleapis.com"),
    ] {
        let tokens = shown(&[(name, value)], host).await;
        assert!(!tokens.is_empty() && tokens.iter().all(|token| token == "ya29.machine"), "{value}: {tokens:?}");
    }
    let tokens = shown(&[("STORAGE_EMULATOR_HOST", "127.0.0.1:9")], "127.0.0.1:9").await;
    assert_eq!(tokens, [""], "the emulator was given none");
    let both = [("STORAGE_EMULATOR_HOST", "127.0.0.1:9"), (STORAGE, "https://storage-chalk.p.googleapis.com")];
    assert_eq!(shown(&both, "127.0.0.1:9").await, [""], "the emulator counts more");
}

#[test]
fn an_override_that_would_show_the_token_to_others_or_in_the_clear_is_refused_by_build() {
    for name in [CONTAINER, ARTIFACT_REGISTRY, STORAGE] {
        for value in ["https://proxy.example", "http://container.googleapis.com", "https://googleapis.com.evil.example"]
        {
            let read = move |asked: &str| (asked == name).then(|| value.to_owned());
            let error = Cloud::builder().from_variables(read).build().map(drop).expect_err(value);
            assert_error(&error, ErrorCode::ValueInvalid, &[name, value]);
        }
    }
}

fn service() -> ObjectReference {
    ObjectReference {
        api_version: "v1".to_owned(),
        kind: "Service".to_owned(),
        namespace: Namespace::new("ns").expect("a namespace"),
        name: "engine".to_owned(),
    }
}

/// Asks a cluster that the API places there for an object that it does not have.
async fn asked(container: &str, given: &[(&'static str, &'static str)], endpoint: &str) -> Result<Vec<String>> {
    let authority = "LS0tLS1CRUdJTiBDRVJUSUZJQ0FURS0tLS0tCg==";
    let cluster = json!({
        "endpoint": endpoint, "status": "RUNNING", "masterAuth": {"clusterCaCertificate": authority},
    });
    let server = Answering::by(move |seen| match seen.path() {
        path if path.starts_with("/v1/") => Reply::json(200, &cluster),
        _ => Reply::json(404, json!({"kind": "Status", "status": "Failure", "reason": "NotFound", "code": 404})),
    });
    let cloud = builder(&server, given, &[container, "127.0.0.1:6443"]).build().expect("valid settings");
    cloud.cluster().expect("set").get(&service()).await?;
    Ok(server
        .seen()
        .iter()
        .filter(|seen| !seen.path().starts_with("/v1/"))
        .map(|seen| seen.token().to_owned())
        .collect())
}

#[tokio::test(start_paused = true)]
async fn a_cluster_may_have_a_port_of_this_machine_where_the_api_is_on_this_machine_and_nowhere_else() {
    let near = [(CONTAINER, "http://127.0.0.1:9")];
    assert_eq!(asked("127.0.0.1:9", &near, "127.0.0.1:6443").await.expect("found"), ["ya29.machine"]);
    let error = asked("127.0.0.1:9", &near, "192.0.2.1:6443").await.expect_err("another machine's port");
    assert_error(&error, ErrorCode::CloudAnswerInvalid, &["an endpoint that is no address"]);
    let error = asked("container.googleapis.com", &[], "127.0.0.1:6443").await.expect_err("Google names no ports");
    assert_error(&error, ErrorCode::CloudAnswerInvalid, &["an endpoint that is no address"]);
}

#[tokio::test(start_paused = true)]
async fn a_registry_on_this_machine_stands_for_artifact_registry_where_its_api_is_there_too() {
    let runtime: Arc<dyn Runtime> = VirtualRuntime::new(1);
    let settings = RegistrySettings::artifact_registry("ya29.machine");
    let registry = Arc::new(RegistryServer::new(&World::memory(), runtime, settings));
    let hosts =
        Hosts::new().with(METADATA.1, metadata().transport()).with("127.0.0.1:5000", in_process(registry)).transport();
    let builder = |given: &[(&'static str, &'static str)]| {
        Cloud::builder()
            .from_variables(variables(&[given, &[METADATA]].concat()))
            .with_transport(hosts.clone())
            .with_runtime(VirtualRuntime::new(1))
            .with_registry("127.0.0.1:5000/acme-prod/chalk")
    };
    let cloud = builder(&[(ARTIFACT_REGISTRY, "http://127.0.0.1:9")]).build().expect("valid settings");
    let repository = Repository::new("127.0.0.1:5000/acme-prod/chalk/engine").expect("a repository");
    let payload = Payload::from_bytes("layer");
    cloud.registry().expect("set").push_blob(&repository, &payload).await.expect("pushed with the token");
    for given in [&[][..], &[(ARTIFACT_REGISTRY, "https://artifactregistry-chalk.p.googleapis.com")]] {
        let error = builder(given).build().map(drop).expect_err("Google is elsewhere");
        assert_error(&error, ErrorCode::ValueInvalid, &["no host of Artifact Registry"]);
    }
}

/// A login of a user that names a project, as gcloud writes it.
fn login() -> Value {
    json!({
        "type": "authorized_user", "client_id": "c", "client_secret": "s", "refresh_token": "r",
        "quota_project_id": "acme-login",
    })
}

#[tokio::test(start_paused = true)]
async fn calls_by_a_login_are_counted_for_the_project_that_the_login_names_unless_another_was_set() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("login.json");
    std::fs::write(&file, login().to_string()).expect("written");
    let account = "deployer@acme-prod.iam.gserviceaccount.com";
    for (set, acting, expected) in [
        (None, false, vec![("container.googleapis.com", "acme-login")]),
        (Some("acme-set"), false, vec![("container.googleapis.com", "acme-set")]),
        // The one who acts pays for acting, and the account that is acted as for the rest.
        (None, true, vec![("iamcredentials.googleapis.com", "acme-login"), ("container.googleapis.com", "")]),
        (
            Some("acme-set"),
            true,
            vec![("iamcredentials.googleapis.com", "acme-set"), ("container.googleapis.com", "acme-set")],
        ),
    ] {
        let server = Answering::by(|seen| match seen.parts.uri.host() {
            Some("oauth2.googleapis.com") => Reply::json(200, json!({"access_token": "t", "expires_in": 3599})),
            Some("iamcredentials.googleapis.com") => {
                Reply::json(200, json!({"accessToken": "acting", "expireTime": "2025-01-01T01:00:00Z"}))
            }
            _ => Reply::json(404, "{}"),
        });
        let mut builder = Cloud::builder()
            .with_transport(server.transport())
            .with_runtime(VirtualRuntime::new(1))
            .with_credentials_file(&file)
            .with_cluster("projects/acme-prod/locations/us-central1/clusters/chalk");
        if let Some(project) = set {
            builder = builder.with_quota_project(project);
        }
        if acting {
            builder = builder.with_impersonation(account);
        }
        builder.build().expect("valid settings").describe_cluster().await.expect_err("not there");
        let counted: Vec<_> = server
            .seen()
            .iter()
            .filter(|seen| seen.parts.uri.host() != Some("oauth2.googleapis.com"))
            .map(|seen| {
                (seen.parts.uri.host().expect("a host").to_owned(), seen.header("x-goog-user-project").to_owned())
            })
            .collect();
        let expected: Vec<_> =
            expected.iter().map(|(host, project)| ((*host).to_owned(), (*project).to_owned())).collect();
        assert_eq!(counted, expected, "{set:?} {acting}");
    }
}
