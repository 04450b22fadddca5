//! What a server could make endless has an end: answers that are too long, that stop or never come, and lists that go on.

mod common;

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use chalk_deploy_aws::{Cloud, CloudBuilder};
use chalk_deploy_core::model::{Digest, Repository};
use chalk_deploy_core::runtime::{Runtime as _, RuntimeExt as _};
use chalk_deploy_core::transport::{Delivery, Transport, TransportError};
use chalk_deploy_core::{Error, ErrorCode, Result};
use chalk_deploy_testkit::VirtualRuntime;
use chalk_deploy_testkit::simulated::closure::{Answering, Reply};
use common::{REPOSITORY, builder};
use futures::StreamExt as _;
use http::Response;
use serde_json::{Value, json};

/// Nobody answers.
fn never() -> Transport {
    Transport::from_fn(|_| std::future::pending())
}

/// The error in which something ends, before the test loses its patience.
async fn ends<T: Send>(what: impl Future<Output = Result<T>> + Send) -> Error {
    let ended = VirtualRuntime::new(1).within(Duration::from_hours(1), what).await;
    ended.expect("it ends").err().expect("an error")
}

#[tokio::test(start_paused = true)]
async fn a_call_that_is_not_answered_ends_after_its_minute() {
    let runtime = VirtualRuntime::new(1);
    let cloud = builder(never(), runtime.clone()).build().expect("a cloud");
    let error = ends(cloud.describe_cluster()).await;
    assert_eq!(error.code(), ErrorCode::CloudUnavailable);
    assert!(error.message().contains("eks:DescribeCluster was not answered within 60 s"), "{error}");
    assert_eq!(runtime.monotonic(), Duration::from_mins(1));
}

#[tokio::test(start_paused = true)]
async fn an_answer_that_stops_in_the_middle_ends_after_the_same_minute() {
    let runtime = VirtualRuntime::new(1);
    let stops = Transport::from_fn(|_| async {
        let begin = futures::stream::iter([Ok(bytes::Bytes::from_static(b"{\"cluster\":"))]);
        Ok(Response::new(begin.chain(futures::stream::pending()).boxed()))
    });
    let cloud = builder(stops, runtime.clone()).build().expect("a cloud");
    let error = ends(cloud.describe_cluster()).await;
    assert_eq!(error.code(), ErrorCode::CloudUnavailable, "{error}");
    assert_eq!(runtime.monotonic(), Duration::from_mins(1));
}

/// A pod whose credentials this server lends.
fn pod(server: &Transport, file: &str) -> CloudBuilder {
    let variables = BTreeMap::from([
        ("AWS_CONTAINER_CREDENTIALS_FULL_URI", "http://169.254.170.23/v1/credentials".to_owned()),
        ("AWS_WEB_IDENTITY_TOKEN_FILE", file.to_owned()),
        ("AWS_ROLE_ARN", "arn:aws:iam::123456789012:role/a".to_owned()),
    ]);
    let is_web = !file.is_empty();
    Cloud::builder()
        .from_variables(move |name| variables.get(name).filter(|_| is_web || !name.contains("ROLE")).cloned())
        .with_region("us-east-1")
        .with_transport(server.clone())
        .with_runtime(VirtualRuntime::new(1))
}

#[tokio::test(start_paused = true)]
async fn credentials_of_a_container_that_are_too_long_or_end_at_no_time_are_none() {
    for (answer, word) in [
        (json!({"AccessKeyId": "A", "SecretAccessKey": "s".repeat(70_000)}), "longer than"),
        (json!({"AccessKeyId": "A", "SecretAccessKey": "s", "Expiration": "tomorrow"}), "a time that is none"),
        (json!({"AccessKeyId": "A"}), "no credentials"),
    ] {
        let server = Answering::by(move |_| Reply::json(200, &answer));
        let cloud = pod(&server.transport(), "").build().expect("a cloud");
        let error = cloud.credentials().keys().await.expect_err(word);
        assert_eq!(error.code(), ErrorCode::CloudAnswerInvalid, "{error}");
        assert!(error.message().contains(word), "{error}");
    }
    let broken = json!({"AccessKeyId": "A", "SecretAccessKey": "hidden\r\nx-a: b"});
    let server = Answering::by(move |_| Reply::json(200, &broken));
    let error =
        pod(&server.transport(), "").build().expect("a cloud").credentials().keys().await.expect_err("two lines");
    assert_eq!(error.code(), ErrorCode::ValueInvalid, "{error}");
    assert!(!error.sentence().contains("hidden"), "{}", error.sentence());
}

#[tokio::test(start_paused = true)]
async fn sts_that_breaks_off_or_does_not_answer_is_away_and_its_caller_not_denied() {
    let token = tempfile::NamedTempFile::new().expect("a file");
    std::fs::write(token.path(), "header.payload.signature").expect("written");
    let file = token.path().to_str().expect("text");
    let failing = |delivery, why: &'static str| {
        Transport::from_fn(move |_| std::future::ready(Err(TransportError::new(delivery, why))))
    };
    let breaks = failing(Delivery::MaybeSent, "connection reset");
    let refuses = failing(Delivery::NotSent, "connection refused");
    for (transport, why) in [(breaks, "connection reset"), (refuses, "connection refused"), (never(), "in time")] {
        let cloud = pod(&transport, file).build().expect("a cloud");
        let error = ends(cloud.credentials().keys()).await;
        assert_eq!(error.code(), ErrorCode::CloudUnavailable, "{error}");
        assert!(error.message().contains(why), "{error}");
    }
}

/// Off EC2 there is nobody at the address of the metadata service, or nothing comes back from there.
#[tokio::test(start_paused = true)]
async fn a_metadata_service_that_is_not_there_or_does_not_answer_is_no_source() {
    let refuses =
        Transport::from_fn(|_| std::future::ready(Err(TransportError::new(Delivery::NotSent, "connection refused"))));
    for transport in [refuses, never()] {
        let cloud = Cloud::builder().with_region("us-east-1").with_transport(transport);
        let cloud = cloud.with_runtime(VirtualRuntime::new(1)).build().expect("a cloud");
        let error = ends(cloud.credentials().keys()).await;
        assert_eq!(error.code(), ErrorCode::PermissionDenied, "{error}");
        assert!(error.message().contains("no credentials were found"), "{error}");
    }
}

/// So many images; each call names at most a hundred of them.
fn images(count: usize) -> Answering {
    Answering::by(move |seen| {
        let body: Value = serde_json::from_slice(&seen.body).expect("JSON");
        let named = body["imageIds"].as_array().map_or(0, Vec::len);
        assert!(named <= 100, "{named} images in one call");
        let answer = match seen.header("x-amz-target").rsplit('.').next().unwrap_or_default() {
            "DescribeImages" => {
                let all: Vec<_> = (0..count)
                    .map(
                        |number| json!({"imageDigest": Digest::of(number.to_string()), "imagePushedAt": 1_735_600_000}),
                    )
                    .collect();
                json!({"imageDetails": all})
            }
            "BatchGetImage" => {
                let ids = body["imageIds"].as_array().expect("ids").iter();
                let all: Vec<_> = ids.map(|id| json!({"imageId": id, "imageManifest": "{}"})).collect();
                json!({"images": all, "failures": []})
            }
            "BatchDeleteImage" => json!({"imageIds": body["imageIds"], "failures": []}),
            other => panic!("{other}"),
        };
        Reply::json(200, answer)
    })
}

#[tokio::test(start_paused = true)]
async fn more_images_than_one_call_names_are_read_and_removed_in_several() {
    let server = images(250);
    let cloud = builder(server.transport(), VirtualRuntime::new(1)).build().expect("a cloud");
    let repository = Repository::new(REPOSITORY).expect("a repository");
    let images = cloud.images().expect("named");
    let all = images.images(&repository).await.expect("listed");
    assert_eq!((all.len(), server.seen().len()), (250, 1 + 3));
    let digests: Vec<_> = all.iter().map(|image| image.digest).collect();
    images.remove(&repository, &digests).await.expect("removed");
    assert_eq!(server.seen().len(), 1 + 3 + 3);
}

#[tokio::test(start_paused = true)]
async fn a_list_of_images_that_never_ends_is_an_error_and_not_a_loop() {
    let pages = AtomicU32::new(0);
    let server = Answering::by(move |_| {
        assert!(pages.fetch_add(1, Ordering::Relaxed) < 1000, "it goes on for ever");
        Reply::json(200, json!({"imageDetails": [], "nextToken": "more"}))
    });
    let cloud = builder(server.transport(), VirtualRuntime::new(1)).build().expect("a cloud");
    let repository = Repository::new(REPOSITORY).expect("a repository");
    let error = cloud.images().expect("named").images(&repository).await.expect_err("it goes on");
    assert_eq!(error.code(), ErrorCode::CloudAnswerInvalid, "{error}");
    assert_eq!(server.seen().len(), 200);
}

#[tokio::test(start_paused = true)]
async fn an_address_of_a_queue_that_is_none_is_not_asked_any_further() {
    for address in [json!(""), json!("q".repeat(2000)), Value::Null, json!(7)] {
        let server = Answering::by(move |seen| match seen.form().get("Action") {
            Some(_) => Reply::new(200, "<X><Account>123456789012</Account></X>"),
            None => Reply::json(200, json!({"QueueUrl": address})),
        });
        let cloud = builder(server.transport(), VirtualRuntime::new(1)).build().expect("a cloud");
        let [plan, ..] = chalk_deploy_aws::QueuePlan::seven("acme").expect("a prefix");
        let error = cloud.queues().keep(&plan).await.expect_err("no address");
        assert_eq!(error.code(), ErrorCode::CloudAnswerInvalid, "{error}");
        assert_eq!(server.seen().len(), 2);
    }
}
