//! What strangers write: in logs, in reports, in names.

use std::sync::Arc;

use chalk_deploy_core::ErrorCode;
use chalk_deploy_core::build::report::{BuildReport, ReportedImage};
use chalk_deploy_core::cloud::{BuildState, Builder as _};
use chalk_deploy_core::model::{Component, Digest, RequirementsFile};
use chalk_deploy_testkit::simulated::seam::StepEnd;

use super::yard::{Ends, SECRET, Yard, finish, said};

#[tokio::test(start_paused = true)]
async fn a_log_of_megabytes_and_control_characters_is_cut_and_made_printable() {
    let yard = Yard::idle().await;
    let mut lines = vec!["\u{1b}]0;owned\u{7}\u{9b}31mred \u{202e}drawkcab".to_owned(), "x".repeat(1 << 20)];
    lines.extend((0..100_000).map(|number| format!("line {number}")));
    yard.cluster.set_step_program(Arc::new(Ends(lines, StepEnd { code: 1, message: "\u{1b}[2J".repeat(400) })));
    let (builder, request) = (yard.builder(), yard.request('a', "x").await);
    builder.submit(&request).await.expect("submitted");
    let (events, end) = finish(&builder, &request.deployment).await;
    let error = end.expect_err("it fails");
    let kept: usize = events.iter().map(|event| event.line.len()).sum();
    assert!(events.len() < 2100 && kept < 512 << 10, "{} events, {kept} bytes", events.len());
    assert!(said(&events).iter().any(|line| line.contains("longer than what is read")), "{:#?}", said(&events));
    for text in said(&events).into_iter().chain([error.sentence()]) {
        assert!(!text.chars().any(|symbol| symbol.is_control() || symbol == '\u{202e}'), "{text:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn many_short_lines_are_cut_by_their_number() {
    let yard = Yard::idle().await;
    let lines = (0..20_000).map(|number| format!("{number}")).collect();
    yard.cluster.set_step_program(Arc::new(Ends(lines, StepEnd { code: 1, message: String::new() })));
    let (builder, request) = (yard.builder(), yard.request('a', "x").await);
    builder.submit(&request).await.expect("submitted");
    let (events, _) = finish(&builder, &request.deployment).await;
    assert!(events.len() < 2020, "{}", events.len());
    assert!(said(&events).iter().any(|line| line.contains("only its first 2000 lines are kept")));
}

#[tokio::test(start_paused = true)]
async fn no_secret_of_a_log_or_a_report_gets_into_an_event_or_an_error() {
    let secrets = [SECRET, "aHVudGVyMi1odW50ZXIy", "AKIAIOSFODNN7EXAMPLE", "s3cr3t-of-index", "0123456789abcdef0123"];
    let yard = Yard::idle().await;
    let lines = [
        format!("logging in with {SECRET}"),
        "auths: aHVudGVyMi1odW50ZXIy".to_owned(),
        "{\"step\":\"fetch\",\"line\":\"GET https://b/x?X-Amz-Credential=AKIAIOSFODNN7EXAMPLE%2Fx&X-Amz-Signature=0123456789abcdef0123\"}".to_owned(),
        "Looking in indexes: https://me:s3cr3t-of-index@index.example/simple".to_owned(),
        format!("{{\"step\":\"{SECRET}\",\"line\":\"x\"}}"),
    ];
    let error =
        chalk_deploy_core::Error::new(ErrorCode::BuildFailed, format!("401 with {SECRET} and AKIAIOSFODNN7EXAMPLE"))
            .on("https://me:s3cr3t-of-index@index.example");
    let message = serde_json::to_string(&BuildReport::Error(error.record())).expect("JSON");
    yard.cluster.set_step_program(Arc::new(Ends(lines.to_vec(), StepEnd { code: 1, message })));
    let (builder, request) = (yard.builder(), yard.request('a', "x").await);
    builder.submit(&request).await.expect("submitted");
    let (events, end) = finish(&builder, &request.deployment).await;
    let error = end.expect_err("it fails");
    assert!(events.len() >= lines.len());
    let all = format!("{:?} {} {:?} {:?}", said(&events), error.sentence(), error.record(), builder);
    for secret in secrets {
        assert!(!all.contains(secret), "{secret}: {all}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_failed_container_is_not_believed_that_it_has_built_something() {
    let yard = Yard::idle().await;
    let image = |component| ReportedImage { component, digest: Digest::of("x") };
    let message = BuildReport::Images(vec![image(Component::Engine), image(Component::StreamWorker)]).to_json();
    yard.cluster.set_step_program(Arc::new(Ends(Vec::new(), StepEnd { code: 1, message })));
    let (builder, request) = (yard.builder(), yard.request('a', "x").await);
    builder.submit(&request).await.expect("submitted");
    let error = finish(&builder, &request.deployment).await.1.expect_err("it fails");
    assert_eq!(error.code(), ErrorCode::BuildFailed);
}

#[tokio::test(start_paused = true)]
async fn nothing_that_a_user_has_written_stands_in_the_workflow_in_the_open() {
    let yard = Yard::new().await;
    let mut request = yard.request('a', "x").await;
    request.requirements = vec![RequirementsFile {
        filename: "{{workflow.name}}.txt".to_owned(),
        contents: "# {{=sprig.env(\"HOME\")}} $(id)\nchalkpy\n".to_owned(),
    }];
    let builder = yard.builder();
    builder.submit(&request).await.expect("submitted");
    let workflow = yard.workflows()[0].to_string();
    for word in ["{{workflow.name}}", "sprig", "$(id)", "chalkpy", "incoming/a"] {
        assert!(!workflow.contains(word), "{word}");
    }
    finish(&builder, &request.deployment).await.1.expect("built");
}

#[tokio::test(start_paused = true)]
async fn what_is_no_status_is_waited_out() {
    use chalk_deploy_testkit::simulated::kubernetes::objects::Key;
    use chalk_deploy_testkit::simulated::kubernetes::resource::WORKFLOW;
    let yard = Yard::idle().await;
    let (builder, request) = (yard.builder(), yard.request('a', "x").await);
    builder.submit(&request).await.expect("submitted");
    let key = Key::new(WORKFLOW, super::yard::SPACE, format!("chalk-build-{}", request.deployment));
    for status in [
        serde_json::json!({"phase": "Sideways", "nodes": [1]}),
        serde_json::json!("x"),
        serde_json::json!({"compressedNodes": "!"}),
    ] {
        let written = yard.objects.update(&key, None, |workflow| {
            workflow["spec"]["suspend"] = true.into();
            workflow["status"] = status.clone();
            Ok(())
        });
        written.expect("it is there");
        let state = builder.state(&request.deployment, 1000).await.expect("known");
        assert!(matches!(state, BuildState::Running { .. }), "{status}: {state:?}");
    }
}
