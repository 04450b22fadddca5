//! Where keys come from: the chain, source by source and in its order.
#![cfg(feature = "aws-config")]

mod common;

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use chalk_deploy_aws::{AccessKeys, Cloud, CloudBuilder};
use chalk_deploy_core::ErrorCode;
use chalk_deploy_core::error::Retry;
use chalk_deploy_core::model::Timestamp;
use chalk_deploy_core::runtime::Runtime as _;
use chalk_deploy_testkit::VirtualRuntime;
use chalk_deploy_testkit::recorded::Player;
use chalk_deploy_testkit::simulated::closure::{Answering, Reply};
use common::{assert_played, player};

/// A builder on variables of a test's own.
fn on(player: &Player, variables: &[(&str, &str)]) -> CloudBuilder {
    let variables: BTreeMap<String, String> =
        variables.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
    Cloud::builder()
        .from_variables(move |name| variables.get(name).cloned())
        .with_region("us-east-1")
        .with_transport(player.transport())
        .with_runtime(VirtualRuntime::new(1))
}

async fn keys(player: &Player, variables: &[(&str, &str)]) -> chalk_deploy_core::Result<AccessKeys> {
    on(player, variables).build().expect("a cloud").credentials().keys().await
}

fn written(folder: &Path, name: &str, text: &str) -> String {
    let path = folder.join(name);
    std::fs::write(&path, text).expect("written");
    path.to_str().expect("text").to_owned()
}

const NO_INSTANCE: (&str, &str) = ("AWS_EC2_METADATA_DISABLED", "true");
const INSTANCE: [&str; 3] = ["local/instance_token", "local/instance_role", "local/instance_credentials"];

#[tokio::test(start_paused = true)]
async fn variables_go_before_all_else() {
    let folder = tempfile::tempdir().expect("a folder");
    let shared = written(folder.path(), "credentials", "[default]\naws_access_key_id=FILE\naws_secret_access_key=s\n");
    let player = player(&[]);
    let variables = [
        ("AWS_ACCESS_KEY_ID", "AKIAVARIABLE"),
        ("AWS_SECRET_ACCESS_KEY", "secret"),
        ("AWS_SESSION_TOKEN", "token"),
        ("AWS_SHARED_CREDENTIALS_FILE", &shared),
        ("AWS_CONTAINER_CREDENTIALS_FULL_URI", "http://169.254.170.23/v1/credentials"),
    ];
    assert_eq!(keys(&player, &variables).await.expect("found").id(), "AKIAVARIABLE");
    let error = keys(&player, &variables[..1]).await.expect_err("half of it");
    assert_eq!(error.code(), ErrorCode::PermissionDenied);
    assert!(error.message().contains("AWS_SECRET_ACCESS_KEY is not"), "{error}");
    let broken = [("AWS_ACCESS_KEY_ID", "AKIAVARIABLE"), ("AWS_SECRET_ACCESS_KEY", "hidden\nx-a: b")];
    let error = keys(&player, &broken).await.expect_err("two lines");
    assert_eq!(error.code(), ErrorCode::ValueInvalid, "{error}");
    assert!(!error.sentence().contains("hidden"), "{}", error.sentence());
    assert_played(&player);
}

#[tokio::test(start_paused = true)]
async fn a_profile_goes_before_a_web_identity_and_the_container() {
    let folder = tempfile::tempdir().expect("a folder");
    let shared = "[default]\naws_access_key_id = AKIAFILE\naws_secret_access_key = s\n\n\
                  [prod]\naws_access_key_id = AKIAPROD\naws_secret_access_key = s\n";
    let shared = written(folder.path(), "credentials", shared);
    let player = player(&[]);
    let mut variables = vec![
        ("AWS_SHARED_CREDENTIALS_FILE", shared.as_str()),
        ("AWS_WEB_IDENTITY_TOKEN_FILE", "nowhere"),
        ("AWS_CONTAINER_CREDENTIALS_FULL_URI", "http://169.254.170.23/v1/credentials"),
    ];
    assert_eq!(keys(&player, &variables).await.expect("found").id(), "AKIAFILE");
    variables.push(("AWS_PROFILE", "prod"));
    assert_eq!(keys(&player, &variables).await.expect("found").id(), "AKIAPROD");
    variables.pop();
    variables.extend([("AWS_ACCESS_KEY_ID", "AKIAVARIABLE"), ("AWS_SECRET_ACCESS_KEY", "s")]);
    let named = on(&player, &variables).with_profile("prod").build().expect("a cloud");
    assert_eq!(named.credentials().keys().await.expect("found").id(), "AKIAPROD", "what the code names goes first");
    assert_played(&player);
}

#[tokio::test(start_paused = true)]
async fn a_profile_that_was_named_and_is_not_there_is_an_error_and_no_other_identity() {
    let folder = tempfile::tempdir().expect("a folder");
    let shared = written(folder.path(), "credentials", "[default]\naws_access_key_id=A\naws_secret_access_key=s\n");
    let player = player(&[]);
    for variables in [
        vec![("AWS_PROFILE", "typo"), ("AWS_SHARED_CREDENTIALS_FILE", &shared)],
        vec![("AWS_PROFILE", "typo"), ("HOME", "/nowhere")],
    ] {
        let error = keys(&player, &variables).await.expect_err("not there");
        assert_eq!(error.code(), ErrorCode::PermissionDenied, "{error}");
        assert!(error.sentence().contains("typo"), "{}", error.sentence());
    }
    assert_played(&player);
}

#[tokio::test(start_paused = true)]
async fn a_program_that_a_profile_names_is_not_run_wherever_it_stands() {
    let folder = tempfile::tempdir().expect("a folder");
    let ran = folder.path().join("ran");
    let role = "role_arn = arn:aws:iam::210987654321:role/chalk-scoped\nsource_profile = tool\n";
    let config = format!("[profile tool]\ncredential_process = touch {}\n[profile acting]\n{role}", ran.display());
    let config = written(folder.path(), "config", &config);
    for profile in ["tool", "acting"] {
        let player = player(&[]);
        let variables = [("AWS_CONFIG_FILE", config.as_str()), ("AWS_PROFILE", profile)];
        let error = keys(&player, &variables).await.expect_err("refused");
        assert_eq!(error.code(), ErrorCode::PermissionDenied, "{error}");
        assert!(error.message().contains("credentials-process"), "{error}");
        assert!(!ran.exists());
        assert_played(&player);
    }
}

#[tokio::test(start_paused = true)]
async fn profiles_that_lead_to_each_other_or_nowhere_are_an_error() {
    let folder = tempfile::tempdir().expect("a folder");
    let role = |name: &str, source: &str| format!("[profile {name}]\nrole_arn = arn:aws:iam::1:role/a\n{source}\n");
    let config = [
        role("one", "source_profile = other"),
        role("other", "source_profile = one"),
        role("alone", ""),
        role("both", "source_profile = one\ncredential_source = Environment"),
        role("strange", "credential_source = Elsewhere"),
        role("empty", "credential_source = Environment"),
    ];
    let config = written(folder.path(), "config", &config.concat());
    for (profile, word) in [
        ("one", "infinite loop"),
        ("alone", "neither were defined"),
        ("both", "Only one"),
        ("strange", "not supported"),
        ("empty", "has no keys"),
    ] {
        let player = player(&[]);
        let error = keys(&player, &[("AWS_CONFIG_FILE", &config), ("AWS_PROFILE", profile)]).await.expect_err(profile);
        assert_eq!(error.code(), ErrorCode::PermissionDenied, "{error}");
        assert!(error.message().contains(word), "{profile}: {error}");
        assert!(error.hint().contains("correct the profile"), "{profile}: {}", error.hint());
        assert_played(&player);
    }
}

/// STS, which lends keys to everybody, and the source of a container.
fn lending() -> Answering {
    Answering::by(|seen| {
        if seen.parts.uri.host() == Some("169.254.170.2") {
            return Reply::json(200, r#"{"AccessKeyId": "ASIABOX", "SecretAccessKey": "s", "Token": "t"}"#);
        }
        let action = seen.form()["Action"].clone();
        let credentials = "<AccessKeyId>ASIAROLE</AccessKeyId><SecretAccessKey>s</SecretAccessKey>\
                           <SessionToken>t</SessionToken><Expiration>2025-01-01T01:00:00Z</Expiration>";
        let result = format!("<{action}Result><Credentials>{credentials}</Credentials></{action}Result>");
        Reply::new(200, format!("<{action}Response>{result}</{action}Response>")).with("content-type", "text/xml")
    })
}

fn on_server(server: &Answering, variables: &[(&str, &str)]) -> CloudBuilder {
    on(&player(&[]), variables).with_transport(server.transport())
}

#[tokio::test(start_paused = true)]
async fn a_role_of_a_profile_is_assumed_with_the_keys_of_the_source_that_it_names() {
    let folder = tempfile::tempdir().expect("a folder");
    let profile = |name: &str, source: &str| {
        format!("[profile {name}]\nrole_arn = arn:aws:iam::210987654321:role/a\ncredential_source = {source}\n")
    };
    let config = profile("variables", "Environment") + &profile("box", "EcsContainer");
    let config = written(folder.path(), "config", &config);
    for (name, key) in [("variables", "AKIAVARIABLE"), ("box", "ASIABOX")] {
        let server = lending();
        // Those of the builder, and not those of the process.
        let variables = [
            ("AWS_CONFIG_FILE", config.as_str()),
            ("AWS_ACCESS_KEY_ID", "AKIAVARIABLE"),
            ("AWS_SECRET_ACCESS_KEY", "s"),
            ("AWS_CONTAINER_CREDENTIALS_RELATIVE_URI", "/v2/credentials/x"),
        ];
        let cloud = on_server(&server, &variables).with_profile(name).build().expect("a cloud");
        assert_eq!(cloud.credentials().keys().await.expect("assumed").id(), "ASIAROLE");
        let seen = server.seen();
        let asked = seen.last().expect("STS was asked");
        assert_eq!(asked.form()["Action"], "AssumeRole");
        assert!(asked.header("authorization").contains(&format!("Credential={key}/")), "{name}");
    }
}

#[tokio::test(start_paused = true)]
async fn every_source_that_speaks_to_sts_does_so_at_the_endpoint_that_was_named() {
    let folder = tempfile::tempdir().expect("a folder");
    let token = written(folder.path(), "token", "header.payload.signature");
    let config = "[profile acting]\nrole_arn = arn:aws:iam::210987654321:role/a\nsource_profile = base\n\
                  [profile base]\naws_access_key_id = AKIABASE\naws_secret_access_key = s\n";
    let config = written(folder.path(), "config", config);
    let web = [
        ("AWS_WEB_IDENTITY_TOKEN_FILE", token.as_str()),
        ("AWS_ROLE_ARN", "arn:aws:iam::123456789012:role/a"),
        ("AWS_ENDPOINT_URL_STS", "https://sts.example:8443"),
    ];
    let profile = [("AWS_CONFIG_FILE", config.as_str()), ("AWS_PROFILE", "acting")];
    for (variables, endpoint) in [(&web[..], None), (&profile, Some("https://sts.example:8443"))] {
        let server = lending();
        let mut builder = on_server(&server, variables);
        if let Some(endpoint) = endpoint {
            builder = builder.with_token_endpoint(endpoint);
        }
        builder.build().expect("a cloud").credentials().keys().await.expect("lent");
        let authorities: Vec<_> = server.seen().iter().map(|seen| seen.parts.uri.authority().cloned()).collect();
        assert_eq!(authorities, [Some("sts.example:8443".parse().expect("an authority"))]);
    }
}

#[tokio::test(start_paused = true)]
async fn a_profile_may_assume_a_role_with_the_keys_of_another() {
    let folder = tempfile::tempdir().expect("a folder");
    let config = "[profile tenant]\nrole_arn = arn:aws:iam::210987654321:role/chalk-scoped\nsource_profile = base\n\
                  role_session_name = chalk-deploy-acme\nexternal_id = chalk-0123456789abcdef\n\n\
                  [profile base]\naws_access_key_id = AKIABASE\naws_secret_access_key = s\n";
    let config = written(folder.path(), "config", config);
    let player = player(&["sts/assume_role_of_a_profile"]);
    let variables = [("AWS_CONFIG_FILE", config.as_str()), ("AWS_PROFILE", "tenant")];
    assert_eq!(keys(&player, &variables).await.expect("assumed").id(), "ASIAFIRST");
    assert_played(&player);
}

#[tokio::test(start_paused = true)]
async fn a_web_identity_is_changed_for_keys() {
    let folder = tempfile::tempdir().expect("a folder");
    let token = written(folder.path(), "token", "header.payload.signature");
    let role = ("AWS_ROLE_ARN", "arn:aws:iam::123456789012:role/chalk-api-server");
    let variables = [("AWS_WEB_IDENTITY_TOKEN_FILE", token.as_str()), role];
    let player = common::player(&["sts/assume_role_with_web_identity"]);
    let keys = keys(&player, &variables).await.expect("given");
    assert_eq!(keys.id(), "ASIAWEB");
    assert_eq!(keys.expires(), Some(Timestamp::from_millis(1_735_693_200_000)));
    assert_played(&player);
}

#[tokio::test(start_paused = true)]
async fn a_web_identity_that_is_refused_is_told_in_the_words_of_sts() {
    let folder = tempfile::tempdir().expect("a folder");
    let token = written(folder.path(), "token", "header.payload.signature");
    let role = ("AWS_ROLE_ARN", "arn:aws:iam::123456789012:role/chalk-api-server");
    for (case, retry, hint) in [
        ("sts/assume_role_with_web_identity_rejected", Retry::Permanent, "identity provider"),
        ("sts/assume_role_with_web_identity_expired", Retry::Temporary, "renew"),
        ("sts/assume_role_with_web_identity_denied", Retry::Permanent, "this service account as its subject"),
    ] {
        let player = common::player(&[case]);
        let variables = [("AWS_WEB_IDENTITY_TOKEN_FILE", token.as_str()), role];
        let error = keys(&player, &variables).await.expect_err(case);
        assert_eq!((error.code(), error.retry()), (ErrorCode::PermissionDenied, retry), "{error}");
        assert!(error.hint().contains(hint), "{}", error.hint());
        assert!(!error.sentence().contains("payload"), "{}", error.sentence());
        assert_played(&player);
    }
    let player = common::player(&[]);
    let error = keys(&player, &[("AWS_WEB_IDENTITY_TOKEN_FILE", "/nowhere")]).await.expect_err("no role");
    assert!(error.message().contains("AWS_ROLE_ARN is not"), "{error}");
    let error = keys(&player, &[("AWS_WEB_IDENTITY_TOKEN_FILE", "/nowhere"), role]).await.expect_err("no token");
    assert_eq!(error.code(), ErrorCode::PermissionDenied, "{error}");
    assert_played(&player);
}

#[tokio::test(start_paused = true)]
async fn a_token_file_that_was_replaced_is_read_anew() {
    let folder = tempfile::tempdir().expect("a folder");
    let token = written(folder.path(), "token", "header.payload.signature");
    let role = ("AWS_ROLE_ARN", "arn:aws:iam::123456789012:role/chalk-api-server");
    let player = common::player(&["sts/assume_role_with_web_identity", "sts/assume_role_with_web_identity_rotated"]);
    let runtime = VirtualRuntime::new(1);
    let variables = [("AWS_WEB_IDENTITY_TOKEN_FILE", token.as_str()), role];
    let cloud = on(&player, &variables).with_runtime(runtime.clone()).build().expect("a cloud");
    assert_eq!(cloud.credentials().keys().await.expect("given").id(), "ASIAWEB");
    written(folder.path(), "token", "header.rotated.signature");
    runtime.sleep(Duration::from_mins(56)).await;
    assert_eq!(cloud.credentials().keys().await.expect("given").id(), "ASIAWEB2");
    assert_played(&player);
}

#[tokio::test(start_paused = true)]
async fn a_web_identity_that_sts_throttles_with_400_is_shown_again() {
    let folder = tempfile::tempdir().expect("a folder");
    let token = written(folder.path(), "token", "header.payload.signature");
    let role = ("AWS_ROLE_ARN", "arn:aws:iam::123456789012:role/chalk-api-server");
    let throttled = "sts/assume_role_with_web_identity_throttled";
    let player = common::player(&[throttled, throttled, "sts/assume_role_with_web_identity"]);
    let keys = keys(&player, &[("AWS_WEB_IDENTITY_TOKEN_FILE", token.as_str()), role]).await.expect("given");
    assert_eq!(keys.id(), "ASIAWEB");
    assert_played(&player);
}

#[tokio::test(start_paused = true)]
async fn a_pod_is_given_its_credentials_with_the_token_of_its_file() {
    let folder = tempfile::tempdir().expect("a folder");
    let token = written(folder.path(), "token", "pod-token\n");
    let variables = [
        ("AWS_CONTAINER_CREDENTIALS_FULL_URI", "http://169.254.170.23/v1/credentials"),
        ("AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE", token.as_str()),
    ];
    let player = common::player(&["local/container_credentials"]);
    let keys = keys(&player, &variables).await.expect("given");
    assert_eq!((keys.id(), keys.expires()), ("ASIAPOD", Some(Timestamp::from_millis(1_735_693_200_000))));
    assert_played(&player);

    let player = common::player(&["local/container_credentials_refused"]);
    let error = crate::keys(&player, &variables).await.expect_err("refused");
    assert_eq!(error.code(), ErrorCode::PermissionDenied);
    assert!(error.message().contains("AccessDeniedException"), "{error}");
    assert_played(&player);
}

#[tokio::test(start_paused = true)]
async fn the_instance_is_asked_last_with_the_second_version_of_its_protocol() {
    let player = player(&INSTANCE);
    assert_eq!(keys(&player, &[]).await.expect("given").id(), "ASIANODE");
    assert_eq!(player.served(), ["instance_token", "instance_role", "instance_credentials"]);
    assert_played(&player);
}

#[tokio::test(start_paused = true)]
async fn where_there_are_no_credentials_all_sources_are_named() {
    let player = player(&[]);
    let error = keys(&player, &[NO_INSTANCE, ("HOME", "/nowhere")]).await.expect_err("none");
    assert_eq!(error.code(), ErrorCode::PermissionDenied);
    for source in ["environment", "profiles", "web identity", "container", "instance"] {
        assert!(error.message().contains(source), "{error}");
    }
    assert_played(&player);
}

#[tokio::test(start_paused = true)]
async fn building_a_cloud_sends_nothing_and_reads_no_file_and_the_keys_are_fetched_once_for_all() {
    let player = player(&INSTANCE);
    // A file that is none would be an error if it were read.
    let cloud = on(&player, &[("AWS_SHARED_CREDENTIALS_FILE", "/proc/self/mem")])
        .with_bucket("chalk-acme-source")
        .with_registry(common::HOST)
        .with_cluster("chalk")
        .build()
        .expect("a cloud");
    assert!(player.served().is_empty());
    cloud.bucket().expect("named");
    cloud.registry().expect("named");
    cloud.connection().expect("named");
    assert!(player.served().is_empty());
    let cloud = on(&player, &[]).build().expect("a cloud");
    let all = futures::future::join_all((0..50).map(|_| cloud.credentials().keys())).await;
    assert!(all.into_iter().all(|keys| keys.expect("given").id() == "ASIANODE"));
    assert_played(&player);
}

#[tokio::test(start_paused = true)]
async fn keys_of_an_instance_are_fetched_anew_before_they_end() {
    let player = player(&INSTANCE);
    let runtime = VirtualRuntime::new(1);
    let cloud = on(&player, &[]).with_runtime(runtime.clone()).build().expect("a cloud");
    cloud.credentials().keys().await.expect("given");
    runtime.sleep(Duration::from_mins(50)).await;
    cloud.credentials().keys().await.expect("kept");
    assert_played(&player);
    runtime.sleep(Duration::from_mins(6)).await;
    // There is no case for it; while the old keys hold, that is nobody's error.
    cloud.credentials().keys().await.expect("still good");
    let complaints = player.complaints();
    assert!(
        !complaints.is_empty() && complaints.iter().all(|said| said.contains("/latest/api/token")),
        "{complaints:?}"
    );
    runtime.sleep(Duration::from_mins(10)).await;
    cloud.credentials().keys().await.expect_err("they have ended");
}

#[test]
fn what_is_wrong_is_told_by_build_and_names_the_variable_or_the_method() {
    let base = || Cloud::builder().with_region("us-east-1");
    let variables = |name: &'static str, value: &'static str| {
        Cloud::builder().from_variables(move |asked| (asked == name).then(|| value.to_owned()))
    };
    for (builder, word) in [
        (Cloud::builder(), "AWS_REGION"),
        (variables("AWS_REGION", "Mars"), "AWS_REGION"),
        (variables("AWS_ENDPOINT_URL_ECR", "nowhere").with_region("us-east-1"), "AWS_ENDPOINT_URL_ECR"),
        (variables("AWS_ENDPOINT_URL", "ftp://x").with_region("us-east-1"), "AWS_ENDPOINT_URL"),
        (base().with_bucket_endpoint("x"), "with_bucket_endpoint"),
        (base().with_cluster_endpoint("http://a/b"), "with_cluster_endpoint"),
        (base().with_account("12345"), "with_account"),
        (base().with_cluster("a/b"), "cluster `a/b`"),
        (base().with_bucket("a/b"), "bucket `a/b`"),
        (base().with_registry("docker.io"), "registry `docker.io`"),
        (base().with_profile("a").with_credentials(AccessKeys::new("a", "b")), "with_profile"),
    ] {
        let error = builder.build().expect_err(word);
        assert!(matches!(error.code(), ErrorCode::ValueInvalid | ErrorCode::RequestInvalid), "{error}");
        assert!(error.sentence().contains(word), "{}", error.sentence());
    }
}

#[test]
fn what_the_code_says_of_the_region_goes_before_the_variables() {
    let builder = || on(&player(&[]), &[("AWS_REGION", "eu-west-1"), ("AWS_DEFAULT_REGION", "eu-west-2")]);
    assert_eq!(builder().build().expect("a cloud").region(), "us-east-1");
    let variables = |name: &str| (name == "AWS_DEFAULT_REGION").then(|| "eu-west-2".to_owned());
    let cloud = Cloud::builder().from_variables(variables).build().expect("a cloud");
    assert_eq!(cloud.region(), "eu-west-2");
}

#[test]
fn what_was_not_named_is_an_error_with_the_method_that_names_it() {
    let cloud = Cloud::builder().with_region("us-east-1").build().expect("a cloud");
    for (error, method) in [
        (cloud.bucket().expect_err("none"), "with_bucket"),
        (cloud.registry().expect_err("none"), "with_registry"),
        (cloud.images().expect_err("none"), "with_registry"),
        (cloud.cluster().expect_err("none"), "with_cluster"),
    ] {
        assert_eq!(error.code(), ErrorCode::RequestInvalid);
        assert!(error.hint().contains(method), "{error}");
    }
}

#[test]
fn nothing_of_a_cloud_shows_a_secret() {
    let builder = Cloud::builder()
        .from_variables(|name| match name {
            "AWS_SECRET_ACCESS_KEY" | "AWS_SESSION_TOKEN" => Some("hidden".to_owned()),
            _ => None,
        })
        .with_region("us-east-1")
        .with_credentials(AccessKeys::new("AKIA", "hidden"))
        .with_registry(common::HOST)
        .with_bucket("chalk-a")
        .with_cluster("chalk");
    assert!(!format!("{builder:?}").contains("hidden"));
    assert!(!format!("{:?}", builder.build().expect("a cloud")).contains("hidden"));
}
