//! What S3 is asked to make and set up buckets, and what is understood of its answers, case by case.

mod common;

use std::time::Duration;

use chalk_deploy_aws::{AccessKeys, Cloud};
use chalk_deploy_core::ErrorCode;
use chalk_deploy_core::error::Retry;
use chalk_deploy_core::provision::BucketPlan;
use chalk_deploy_testkit::VirtualRuntime;
use chalk_deploy_testkit::recorded::Player;
use chalk_deploy_testkit::simulated::closure::{Answering, Reply};
use common::{ACCOUNT, SETTINGS, assert_played, cloud, player};

fn source_plan() -> BucketPlan {
    let origins = BucketPlan::HOSTED_ORIGINS.map(|origin| origin.parse().expect("an origin"));
    let [_, source, ..] = BucketPlan::five("acme", &origins).expect("a prefix");
    source.with_retention(Duration::from_hours(24 * 30))
}

fn in_ireland(names: &[String]) -> (Player, Cloud) {
    let names: Vec<_> = names.iter().map(String::as_str).collect();
    let player = player(&names);
    let cloud = Cloud::builder()
        .with_region("eu-west-1")
        .with_account(ACCOUNT)
        .with_transport(player.transport())
        .with_runtime(VirtualRuntime::new(1))
        .with_credentials(AccessKeys::new("AKIAEXAMPLE", "secret-of-ours"))
        .build()
        .expect("a cloud");
    (player, cloud)
}

#[tokio::test(start_paused = true)]
async fn a_bucket_is_made_in_its_region_and_set_up_in_full() {
    let mut names = vec!["s3/head_bucket_missing".to_owned(), "s3/create_bucket".to_owned()];
    for setting in SETTINGS {
        names.extend([format!("s3/get_{setting}_unset"), format!("s3/put_{setting}")]);
    }
    let (player, cloud) = in_ireland(&names);
    let kept = cloud.buckets().expect("given").keep(&source_plan()).await.expect("kept");
    assert!(kept.created && kept.cannot.is_empty(), "{kept:?}");
    let words = ["public access", "encryption", "versioning", "retention", "policy", "tags", "lifecycle", "cors"];
    assert_eq!(kept.changed, words);
    assert_played(&player);
}

#[tokio::test(start_paused = true)]
async fn a_bucket_that_is_as_planned_is_only_read() {
    let mut names = vec!["s3/head_bucket".to_owned()];
    names.extend(SETTINGS.map(|setting| format!("s3/get_{setting}")));
    let (player, cloud) = in_ireland(&names);
    let kept = cloud.buckets().expect("given").keep(&source_plan()).await.expect("kept");
    assert!(!kept.created && kept.changed.is_empty() && kept.cannot.is_empty(), "{kept:?}");
    assert_played(&player);
}

#[tokio::test(start_paused = true)]
async fn who_makes_the_same_bucket_at_the_same_moment_is_no_error() {
    let mut names = vec!["s3/head_bucket_missing".to_owned(), "s3/create_bucket_raced".to_owned()];
    names.extend(SETTINGS.map(|setting| format!("s3/get_{setting}")));
    let (player, cloud) = in_ireland(&names);
    assert!(!cloud.buckets().expect("given").keep(&source_plan()).await.expect("kept").created);
    assert_played(&player);
}

#[tokio::test(start_paused = true)]
async fn a_bucket_that_cannot_be_locked_any_more_is_told_and_the_rest_is_set_up() {
    let mut names = vec!["s3/head_bucket".to_owned()];
    for setting in SETTINGS {
        let unset = if setting == "retention" { "_unset" } else { "" };
        names.push(format!("s3/get_{setting}{unset}"));
    }
    names.push("s3/put_retention_refused".to_owned());
    let (player, cloud) = in_ireland(&names);
    let kept = cloud.buckets().expect("given").keep(&source_plan()).await.expect("kept");
    assert_eq!(kept.cannot.len(), 1, "{kept:?}");
    assert!(kept.cannot[0].contains("object lock"), "{kept:?}");
    assert_played(&player);
}

#[tokio::test(start_paused = true)]
async fn a_bucket_of_another_account_or_region_is_told_as_that() {
    for (cases, code, word) in [
        (&["head_bucket_missing", "create_bucket_taken"][..], ErrorCode::PermissionDenied, "another account"),
        (&["head_bucket_of_another", "list_objects_denied"], ErrorCode::PermissionDenied, "another account"),
        (&["head_bucket_elsewhere"], ErrorCode::ValueInvalid, "us-west-2"),
    ] {
        let names: Vec<_> = cases.iter().map(|case| format!("s3/{case}")).collect();
        let (player, cloud) = in_ireland(&names);
        let error = cloud.buckets().expect("given").keep(&source_plan()).await.expect_err("not ours");
        assert_eq!(error.code(), code, "{error}");
        assert!(error.sentence().contains(word), "{}", error.sentence());
        assert_played(&player);
    }
}

/// An answer to HEAD has no words.
#[tokio::test(start_paused = true)]
async fn why_a_bucket_may_not_be_looked_at_is_asked_for_in_words() {
    for (cases, retry, hint) in [
        (["head_bucket_of_another", "list_objects_skewed"], Retry::Permanent, "Wed, 01 Jan 2025 01:00:00 GMT"),
        (["head_bucket_of_another", "list_objects_skewed"], Retry::Permanent, "2025-01-01T00:00:00.000Z"),
        (["head_bucket_of_another", "list_objects_revoked"], Retry::Permanent, "revoked"),
        (["head_bucket_bad_request", "list_objects_expired"], Retry::Temporary, "renew"),
    ] {
        let (player, cloud) = in_ireland(&cases.map(|case| format!("s3/{case}")));
        let error = cloud.buckets().expect("given").keep(&source_plan()).await.expect_err(cases[1]);
        assert_eq!((error.code(), error.retry()), (ErrorCode::PermissionDenied, retry), "{error}");
        assert!(error.hint().contains(hint), "{}", error.hint());
        assert_played(&player);
    }
}

#[tokio::test(start_paused = true)]
async fn a_lifecycle_of_others_is_written_back_in_its_own_form_with_what_it_says_beside_its_document() {
    let mut names = vec!["s3/head_bucket".to_owned(), "s3/put_lifecycle_of_others".to_owned()];
    for setting in SETTINGS {
        let others = if setting == "lifecycle" { "_of_others" } else { "" };
        names.push(format!("s3/get_{setting}{others}"));
    }
    let (player, cloud) = in_ireland(&names);
    let kept = cloud.buckets().expect("given").keep(&source_plan()).await.expect("kept");
    assert_eq!(kept.changed, ["lifecycle"]);
    assert_played(&player);
}

/// S3 answers so to who is of another account than the bucket, and other servers where they have no such setting.
#[tokio::test(start_paused = true)]
async fn a_setting_that_other_servers_lack_is_told_and_where_aws_says_so_it_is_another_account() {
    const UNSET: [(&str, &str); 5] = [
        ("publicAccessBlock", "NoSuchPublicAccessBlockConfiguration"),
        ("encryption", "ServerSideEncryptionConfigurationNotFoundError"),
        ("tagging", "NoSuchTagSet"),
        ("lifecycle", "NoSuchLifecycleConfiguration"),
        ("cors", "NoSuchCORSConfiguration"),
    ];
    let server = Answering::by(|seen| {
        let query = seen.query();
        let unset = UNSET.iter().find(|(name, _)| query.contains_key(*name)).map(|(_, code)| *code);
        match (seen.method(), unset) {
            _ if query.contains_key("policy") => Reply::new(405, "<Error><Code>MethodNotAllowed</Code></Error>"),
            ("GET", Some(code)) => Reply::new(404, format!("<Error><Code>{code}</Code></Error>")),
            _ => Reply::new(200, ""),
        }
    });
    let [plan, ..] = BucketPlan::five("acme", &[]).expect("a prefix");
    let builder = || {
        let keys = AccessKeys::new("AKIAEXAMPLE", "secret-of-ours");
        let builder = Cloud::builder().with_region("eu-west-1").with_credentials(keys);
        builder.with_transport(server.transport()).with_runtime(VirtualRuntime::new(1))
    };
    let error = builder()
        .build()
        .expect("a cloud")
        .buckets()
        .expect("given")
        .keep(&plan)
        .await
        .expect_err("of another account");
    assert_eq!(error.code(), ErrorCode::PermissionDenied, "{error}");
    assert!(error.hint().contains("account that owns"), "{}", error.hint());
    let other = builder().with_bucket_endpoint("https://minio.example").build().expect("a cloud");
    let kept = other.buckets().expect("given").keep(&plan).await.expect("set up as far as it can be");
    assert_eq!(kept.cannot, ["this server has no setting for policy"]);
}

#[tokio::test(start_paused = true)]
async fn a_bucket_that_answers_from_another_region_is_left_alone() {
    let server = Answering::by(|_| Reply::new(200, "").with("x-amz-bucket-region", "us-west-2"));
    let cloud = common::builder(server.transport(), VirtualRuntime::new(1)).build().expect("a cloud");
    let [plan, ..] = BucketPlan::five("acme", &[]).expect("a prefix");
    let error = cloud.buckets().expect("given").keep(&plan).await.expect_err("elsewhere");
    assert_eq!(error.code(), ErrorCode::ValueInvalid);
    assert!(error.message().contains("in the region us-west-2, not in us-east-1"), "{error}");
    assert_eq!(server.lines(), ["HEAD chalk-acme-data.s3.us-east-1.amazonaws.com/"]);
}

#[tokio::test(start_paused = true)]
async fn in_the_oldest_region_none_is_named_when_a_bucket_is_made() {
    let names = ["s3/head_bucket_missing_in_the_oldest_region", "s3/create_bucket_in_the_oldest_region"];
    let (player, cloud) = cloud(&names);
    let [data, ..] = BucketPlan::five("acme", &[]).expect("a prefix");
    // The first setting is no case.
    cloud.buckets().expect("given").keep(&data).await.expect_err("there are no more cases");
    let stray = player.complaints();
    assert_eq!(player.served(), ["head_bucket_missing_in_the_oldest_region", "create_bucket_in_the_oldest_region"]);
    assert!(stray.iter().all(|stray| stray.contains("publicAccessBlock")), "{stray:?}");
}

#[tokio::test(start_paused = true)]
async fn a_name_without_our_prefix_is_refused_before_anything_is_sent() {
    let (player, cloud) = cloud(&[]);
    let mut plan = source_plan();
    plan.name = "acme-source".to_owned();
    let error = cloud.buckets().expect("given").keep(&plan).await.expect_err("not ours");
    assert_eq!(error.code(), ErrorCode::ValueInvalid);
    assert!(error.hint().contains("scoped role"), "{error}");
    assert_played(&player);
}
