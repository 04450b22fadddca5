//! The five buckets of a data plane, made by a script.

use std::collections::BTreeMap;
use std::sync::Mutex;

use chalk_deploy_testkit::simulated::closure::{Answering, Reply, Seen};

use crate::cloud::Loopback;
use crate::program::{Program, Sandbox};

/// What S3 says of a setting that was never made ("Error responses" of its API reference).
const UNSET: [(&str, &str); 7] = [
    ("publicAccessBlock", "NoSuchPublicAccessBlockConfiguration"),
    ("encryption", "ServerSideEncryptionConfigurationNotFoundError"),
    ("object-lock", "ObjectLockConfigurationNotFoundError"),
    ("policy", "NoSuchBucketPolicy"),
    ("tagging", "NoSuchTagSet"),
    ("lifecycle", "NoSuchLifecycleConfiguration"),
    ("cors", "NoSuchCORSConfiguration"),
];

/// Keeps the settings of buckets as they were put, as S3 does. One bucket cannot be made.
fn storage(forbidden: &'static str) -> Answering {
    let kept: Mutex<BTreeMap<(String, String), String>> = Mutex::default();
    Answering::by(move |seen| {
        let place = (seen.path().trim_matches('/').to_owned(), setting(seen));
        let mut kept = kept.lock().expect("not poisoned");
        match seen.method() {
            "PUT" if place.0 == forbidden => refusal(403, "AccessDenied"),
            "PUT" => {
                kept.insert(place, seen.text());
                Reply::new(200, "")
            }
            "HEAD" if kept.contains_key(&place) => Reply::new(200, ""),
            "HEAD" => Reply::new(404, ""),
            _ => match (kept.get(&place), UNSET.iter().find(|(setting, _)| *setting == place.1)) {
                (Some(document), _) => Reply::new(200, document.clone()),
                (None, Some((_, code))) => refusal(404, code),
                (None, None) => Reply::new(200, "<VersioningConfiguration/>"),
            },
        }
    })
}

/// The subresource of a request; empty for the bucket itself.
fn setting(seen: &Seen) -> String {
    seen.query().into_keys().find(|name| !name.starts_with("x-")).unwrap_or_default()
}

fn refusal(status: u16, code: &str) -> Reply {
    Reply::new(status, format!("<Error><Code>{code}</Code><Message>no</Message></Error>"))
        .with("content-type", "application/xml")
}

fn provision(sandbox: &Sandbox, storage: &Loopback, arguments: &[&str]) -> Program {
    let program = sandbox.example("provision", &["acme", "--cloud", "aws", "--region", "us-east-1"]);
    program
        .with(arguments)
        .variable("AWS_ACCESS_KEY_ID", "AKIDEXAMPLE")
        .variable("AWS_SECRET_ACCESS_KEY", "secret-of-the-tests")
        .variable("AWS_ENDPOINT_URL_S3", storage.url())
}

#[test]
fn the_five_buckets_are_made_once_and_then_left_alone() {
    let sandbox = Sandbox::new();
    let answering = storage("");
    let storage = Loopback::start(answering.clone());
    let made = provision(&sandbox, &storage, &["--json"]).run().expect(0).events();
    let names = made.iter().map(|bucket| bucket["bucket"].as_str().expect("a name"));
    let five = ["chalk-acme-data", "chalk-acme-source", "chalk-acme-dataset", "chalk-acme-model", "chalk-acme-stages"];
    assert_eq!(names.collect::<Vec<_>>(), five);
    assert!(made.iter().all(|bucket| bucket["created"] == true), "{made:?}");
    let is_versioned = |bucket: &serde_json::Value| bucket["changed"].to_string().contains("versioning");
    assert_eq!(made.iter().filter(|bucket| is_versioned(bucket)).count(), 1, "{made:?}");

    let written = |all: Vec<Seen>| all.iter().filter(|seen| seen.method() != "HEAD" && seen.method() != "GET").count();
    let before = written(answering.seen());
    let again = provision(&sandbox, &storage, &[]).run().expect(0);
    assert_eq!(again.stdout.lines().filter(|line| line.ends_with("  as planned")).count(), 5, "{}", again.stdout);
    assert_eq!(written(answering.seen()), before);

    let changed = provision(&sandbox, &storage, &["--origin", "https://chalk.acme.example"]).run().expect(0);
    assert!(changed.stdout.contains("chalk-acme-model  changed: cors\n"), "{}", changed.stdout);
}

#[test]
fn a_plan_is_shown_without_a_request_and_a_bucket_that_cannot_be_made_is_named_with_the_next_step() {
    let sandbox = Sandbox::new();
    let answering = storage("chalk-acme-dataset");
    let storage = Loopback::start(answering.clone());
    let days = ["--plan", "--source-retention", "30"];
    let plan = provision(&sandbox, &storage, &days).run().expect(0).stdout;
    assert_eq!(plan.lines().count(), 5, "{plan}");
    assert!(
        plan.contains("chalk-acme-source  encrypted with the provider's key; versioned; kept for 30 days"),
        "{plan}"
    );
    let queues = provision(&sandbox, &storage, &["--plan", "--queues"]).run().expect(0).stdout;
    assert_eq!(queues.lines().count(), 12, "{queues}");
    assert!(
        queues.contains("chalk-acme-argo-builds  kept for 4.00 days; hidden for 300 s; dead letters: after 5"),
        "{queues}"
    );
    assert_eq!(answering.seen().len(), 0);

    let refused = provision(&sandbox, &storage, &["--json"]).run().expect(1);
    assert_eq!(refused.events().len(), 3, "two that were made, and the error: {}", refused.stdout);
    assert_eq!(refused.last()["code"], "PERMISSION_DENIED");
    assert!(refused.stderr.contains("chalk-acme-dataset") && refused.stderr.contains("s3:"), "{}", refused.stderr);
    assert!(!refused.stderr.contains("secret-of-the-tests"));
}

#[test]
fn what_no_bucket_can_be_named_after_and_what_no_cloud_has_ends_with_2() {
    let sandbox = Sandbox::new();
    let answering = storage("");
    let storage = Loopback::start(answering.clone());
    let cases: [(&[&str], &str); 6] = [
        (
            &["acme", "--cloud", "gcp", "--cloud-project", "acme-prod", "--region", "us-central1", "--queues"],
            "only a Metadata Plane on AWS",
        ),
        (&["Acme", "--cloud", "aws", "--region", "us-east-1"], "no bucket can be named after this"),
        (&["acme", "--cloud", "aws"], "--region"),
        (&["acme", "--cloud", "aws", "--region", "us-east-1", "--origin", "*"], "web origin"),
        (&["acme", "--cloud", "azure"], "--subscription"),
        (&["acme", "--cloud", "aws", "--region", "us-east-1", "--source-retention", "0"], "from 1 to 36500"),
    ];
    for (arguments, words) in cases {
        let program = sandbox.example("provision", arguments).variable("AWS_ENDPOINT_URL_S3", storage.url());
        let finished = program.run().expect(2);
        assert!(finished.stderr.contains(words), "{words}: {}", finished.stderr);
    }
    assert_eq!(answering.seen().len(), 0);
}
