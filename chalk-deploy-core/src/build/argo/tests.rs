//! The mapping from a workflow's status to a build's steps, on statuses as Argo 3.7 writes them and as nobody should.

use std::io::Write as _;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use flate2::Compression;
use flate2::write::GzEncoder;
use serde_json::{Value, json};

use super::document;
use super::settings::{ArgoSettings, DockerfileSettings};
use super::status::{Container, Log, MAIN, Phase, Pod, Snapshot, Status};
use super::transcript::Transcript;
use super::verdict::{Verdict, verdict};
use crate::build::report::{BuildReport, ReportedImage};
use crate::build::testing::request;
use crate::error::Retry;
use crate::model::{Component, Digest, ImageReference, Namespace, Repository};
use crate::{Error, ErrorCode};

fn settings() -> ArgoSettings {
    let repository = Repository::new("registry.test/chalk/builder").expect("a repository");
    let image = ImageReference { repository, digest: Digest::of("builder") };
    ArgoSettings::new(Namespace::new("builds").expect("a namespace"), image, "s3://source")
}

/// A node as the controller writes it.
fn node(phase: &str, message: &str) -> Value {
    json!({
        "id": "build-1", "name": "build-1", "displayName": "build-1", "type": "Pod", "templateName": "build",
        "templateScope": "local/build-1", "phase": phase, "message": message, "startedAt": "2026-01-01T00:00:00Z",
        "progress": "0/1",
    })
}

#[expect(clippy::needless_pass_by_value, reason = "a test writes the nodes where it calls")]
fn status(phase: &str, nodes: Value) -> Status {
    Status::read(&json!({"status": {"phase": phase, "nodes": nodes}}))
}

/// A pod as the kubelet leaves it, with the state of its main container.
fn pod(state: &Value) -> Vec<Pod> {
    let pod = json!({
        "metadata": {
            "name": "build-1",
            "annotations": {"workflows.argoproj.io/node-id": "build-1"},
            "ownerReferences": [{"uid": "u"}],
        },
        "status": {"containerStatuses": [
            {"name": "wait", "state": {"running": {}}}, {"name": "main", "state": state},
        ]},
    });
    Pod::read_all(&[pod], "u")
}

fn look(status: Status, pods: Vec<Pod>, lines: &[&str]) -> Snapshot {
    let log = Log { lines: lines.iter().map(|line| (*line).to_owned()).collect(), ..Log::default() };
    let logs = pods.iter().map(|pod| ((pod.name.clone(), MAIN.to_owned()), log.clone())).collect();
    Snapshot { status, pods, logs }
}

fn told(looks: &[Snapshot]) -> Vec<String> {
    let mut transcript = Transcript::default();
    for look in looks {
        transcript.take(look, &str::to_owned);
    }
    let events = transcript.after(0);
    assert!(events.iter().map(|event| event.number).eq(1..=events.len() as u64));
    events.into_iter().map(|event| format!("{}: {}", event.step, event.line)).collect()
}

fn judged(look: &Snapshot) -> Verdict {
    let mut transcript = Transcript::default();
    transcript.take(look, &str::to_owned);
    verdict(look, &transcript, &request().deployment)
}

fn failure(look: &Snapshot) -> crate::error::RecordedError {
    match judged(look) {
        Verdict::Failed(error) => error,
        other => panic!("{other:?}"),
    }
}

fn ended(code: i64, message: &str) -> Value {
    json!({"terminated": {"exitCode": code, "reason": if code == 0 { "Completed" } else { "Error" }, "message": message}})
}

#[test]
fn the_workflow_of_a_build_is_the_golden_one() {
    let mut settings = settings();
    settings.registry_secret = Some("registries".to_owned());
    settings.bucket_secret = Some("bucket".to_owned());
    settings.plain_http.insert("registry.test".to_owned());
    let mut made = document::workflow(&settings, &request()).expect("a workflow");
    let parameter = &mut made["spec"]["arguments"]["parameters"][0]["value"];
    // How it is packed is the compressor's business; that it is read back is tested beside it.
    assert_eq!(crate::build::envelope::open(parameter.as_str().expect("a word")).expect("a request"), request());
    *parameter = "SEALED".into();
    let golden: Value = serde_json::from_str(include_str!("golden/workflow.json")).expect("JSON");
    assert_eq!(made, golden, "{made:#}");
}

#[test]
fn a_request_is_found_only_in_the_workflow_of_its_deployment() {
    let request = request();
    let made = document::workflow(&settings(), &request).expect("a workflow");
    assert_eq!(document::request_of(&made, &request.deployment), Some(request.clone()));
    let other = format!("c{}", "b".repeat(24)).parse().expect("an id");
    assert_eq!(document::request_of(&made, &other), None);
    for (pointer, value) in [
        ("/metadata/labels/chalk.ai~1deployment", json!(other)),
        ("/metadata/labels/app.kubernetes.io~1managed-by", json!("helm")),
        ("/spec/arguments/parameters/0/value", json!("x")),
        ("/spec/arguments/parameters/0/name", json!("x")),
        ("/spec/arguments", json!([])),
    ] {
        let mut foreign = made.clone();
        *foreign.pointer_mut(pointer).expect("it is there") = value;
        assert_eq!(document::request_of(&foreign, &request.deployment), None, "{pointer}");
    }
}

#[test]
fn a_build_is_told_from_its_waiting_to_its_end_and_nothing_is_told_twice() {
    let waits = json!({"waiting": {"reason": "ContainerCreating"}});
    let fetch = r#"{"step":"fetch","line":"it is there"}"#;
    let looks = [
        look(status("", json!({})), Vec::new(), &[]),
        look(status("Running", json!({"build-1": node("Pending", "")})), pod(&waits), &[]),
        look(status("Running", json!({"build-1": node("Pending", "")})), pod(&waits), &[]),
        look(status("Running", json!({"build-1": node("Running", "")})), pod(&json!({"running": {}})), &[fetch]),
        look(status("Running", json!({"build-1": node("Running", "")})), pod(&ended(0, "")), &[fetch, "words"]),
        look(status("Succeeded", json!({"build-1": node("Succeeded", "")})), pod(&ended(0, "")), &[fetch, "words"]),
    ];
    let expected = [
        "build: its pod waits: ContainerCreating",
        "build: it runs in pod build-1",
        "fetch: it is there",
        "build: words",
        "build: it has succeeded",
    ];
    assert_eq!(told(&looks), expected);
    // Whoever comes at the end hears the same, but for what is over.
    assert_eq!(told(&looks[5..]), expected[1..]);
}

#[test]
fn a_pod_that_waits_for_ever_tells_a_few_reasons() {
    let waits = |number: usize| json!({"waiting": {"reason": "ImagePullBackOff", "message": format!("try {number}")}});
    let looks: Vec<_> = (0..100)
        .map(|number| look(status("Running", json!({"build-1": node("Pending", "")})), pod(&waits(number)), &[]))
        .collect();
    let told = told(&looks);
    assert_eq!(told.len(), 10);
    assert_eq!(told[0], "build: its pod waits: ImagePullBackOff: try 0");
}

#[test]
fn the_containers_own_report_goes_before_argos_word() {
    let image = ReportedImage { component: Component::Engine, digest: Digest::of("x") };
    let built = BuildReport::Images(vec![image.clone()]).to_json();
    // As it is under seed 003's role: the executor may not report, and Argo calls the step an error.
    for (phase, node_phase) in
        [("Running", "Running"), ("Running", "Pending"), ("Error", "Error"), ("Succeeded", "Succeeded")]
    {
        let look = look(
            status(phase, json!({"build-1": node(node_phase, "wait: Error (exit code 64)")})),
            pod(&ended(0, &built)),
            &[],
        );
        assert_eq!(judged(&look), Verdict::Built(vec![image.clone()]), "{phase}");
    }
    // Its pod is gone, and the output parameter has it.
    let mut with_output = node("Succeeded", "");
    with_output["outputs"] = json!({"parameters": [{"name": "x"}, {"name": "report", "value": built}]});
    assert_eq!(
        judged(&look(status("Succeeded", json!({"build-1": with_output})), Vec::new(), &[])),
        Verdict::Built(vec![image])
    );
    // What a node that has not succeeded outputs is not believed.
    with_output = node("Failed", "");
    with_output["outputs"] = json!({"parameters": [{"name": "report", "value": built}]});
    assert_eq!(
        failure(&look(status("Failed", json!({"build-1": with_output})), Vec::new(), &[])).code,
        ErrorCode::BuildFailed
    );
}

#[test]
fn an_error_that_only_argos_message_has_kept_is_read_out_of_it() {
    let error = Error::new(ErrorCode::ObjectMissing, "it is not there").on("base image x").record();
    let message = format!("main: Error (exit code 1): {}", BuildReport::Error(error.clone()).to_json());
    let gone = look(status("Failed", json!({"build-1": node("Failed", &message)})), Vec::new(), &[]);
    assert_eq!(failure(&gone), error);
    assert_eq!(told(&[gone]), ["build: it has failed: main: Error (exit code 1)"]);
}

#[test]
fn what_is_not_the_steps_own_doing_may_pass_and_what_is_does_not() {
    for (phase, message, code, retry) in [
        ("Error", "pod deleted", ErrorCode::BuildFailed, Retry::Temporary),
        ("Failed", "main: Error (exit code 2)", ErrorCode::BuildFailed, Retry::Permanent),
        (
            "Failed",
            "Pod was active on the node longer than the specified deadline",
            ErrorCode::DeadlineExceeded,
            Retry::Permanent,
        ),
        ("Failed", "Step exceeded its deadline", ErrorCode::DeadlineExceeded, Retry::Permanent),
    ] {
        let error = failure(&look(status(phase, json!({"build-1": node(phase, message)})), Vec::new(), &[]));
        assert_eq!((error.code, error.retry), (code, retry), "{message}");
        assert!(error.message.contains(message), "{error}");
    }
    let nothing = failure(&look(status("Error", json!({})), Vec::new(), &[]));
    assert_eq!((nothing.code, nothing.retry), (ErrorCode::BuildFailed, Retry::Temporary));
    let lost = failure(&look(status("Succeeded", json!({})), Vec::new(), &[]));
    assert_eq!((lost.code, lost.retry), (ErrorCode::BuildLost, Retry::Temporary));
}

fn packed(nodes: &[u8]) -> String {
    let mut packed = GzEncoder::new(Vec::new(), Compression::best());
    packed.write_all(nodes).expect("memory takes all");
    STANDARD.encode(packed.finish().expect("memory takes all"))
}

#[test]
fn packed_nodes_are_read_and_a_bomb_among_them_is_not_unpacked() {
    let nodes = json!({"build-1": node("Running", "")});
    let read = |compressed: &str| Status::read(&json!({"status": {"phase": "Running", "compressedNodes": compressed}}));
    let plain = Status::read(&json!({"status": {"phase": "Running", "nodes": nodes}}));
    assert_eq!(plain.nodes.len(), 1);
    assert_eq!(read(&packed(nodes.to_string().as_bytes())), plain);
    let bomb = packed(&vec![b' '; 200 << 20]);
    for (compressed, why) in [
        (bomb.as_str(), "more than 16.0 MiB"),
        ("!", "no base64"),
        (&STANDARD.encode(b"plain"), "another way than gzip"),
        (&STANDARD.encode([0x28, 0xb5, 0x2f, 0xfd, 0, 0]), "another way than gzip"),
        (&STANDARD.encode([0x1f, 0x8b, 1, 2, 3]), "do not unpack"),
        (&packed(b"[1,2"), "no JSON object"),
        (&"A".repeat(3 << 20), "longer than 2.0 MiB"),
    ] {
        let status = read(compressed);
        assert!(status.unread.as_ref().is_some_and(|said| said.contains(why)), "{why}: {:?}", status.unread);
        assert_eq!((status.phase, status.nodes.len()), (Phase::Running, 0));
        // The build is followed by its pod then.
        let told = told(&[look(status, pod(&json!({"running": {}})), &["words"])]);
        assert_eq!(told.len(), 3, "{told:?}");
        assert!(told[0].starts_with("workflow: its steps cannot be told") && told[2] == "build: words");
    }
    let offloaded = Status::read(&json!({"status": {"offloadNodeStatusVersion": "fnv:1"}}));
    assert!(offloaded.unread.is_some_and(|why| why.contains("database")));
}

#[test]
fn hostile_names_and_messages_are_shown_harmless() {
    let mut hostile = node("Failed", &format!("\u{1b}[2J{} token=abcdef1", "y".repeat(100_000)));
    hostile["templateName"] = format!("\u{1b}]0;x\u{7}{}", "z".repeat(1000)).into();
    hostile["displayName"] = json!({"not": "a text"});
    let look = look(status("Failed", json!({"\u{1b}": hostile, "n": {"type": "Steps"}, "m": 7})), Vec::new(), &[]);
    let error = failure(&look);
    for text in told(std::slice::from_ref(&look)).into_iter().chain([error.to_string()]) {
        assert!(text.len() < 2500 && !text.contains('\u{1b}') && !text.contains("abcdef1"), "{text}");
    }
    let many: serde_json::Map<_, _> = (0..5000).map(|number| (format!("n{number}"), node("Running", ""))).collect();
    assert!(status("Running", many.into()).unread.is_some());
}

#[test]
fn odd_documents_are_read_as_nothing() {
    for document in
        [json!(null), json!([]), json!({"status": 7}), json!({"status": {"nodes": []}}), json!({"spec": "x"})]
    {
        let status = Status::read(&document);
        assert_eq!((status.phase, status.nodes.len()), (Phase::Pending, 0), "{document}");
    }
    let owners = json!([{"uid": "u"}]);
    let odd = |status: Value| json!({"metadata": {"name": "p", "ownerReferences": owners}, "status": status});
    let list = [
        json!(7),
        json!({"metadata": {"name": "foreign", "ownerReferences": [{"uid": "other"}]}}),
        json!({"metadata": {"name": 7, "ownerReferences": owners}}),
        odd(json!({"containerStatuses": {"main": 1}})),
        odd(json!({"containerStatuses": [{"name": "main", "state": {"terminated": {"exitCode": "0"}}}]})),
    ];
    let pods = Pod::read_all(&list, "u");
    assert_eq!(pods.len(), 2);
    assert!(matches!(&pods[0].main, Container::Waiting(_)), "{:?}", pods[0]);
    // A code that is no number is no success.
    assert!(matches!(pods[1].main, Container::Ended { code: -1, .. }), "{:?}", pods[1]);
}

#[test]
fn settings_are_shown_without_secrets() {
    let mut settings = settings();
    settings.secrets = vec![crate::kubernetes::Secret::new("hunter2-hunter2")];
    settings.bucket = "s3://user:hunter3@source".to_owned();
    let shown = format!("{settings:?}");
    assert!(!shown.contains("hunter"), "{shown}");
}

fn with_executor() -> ArgoSettings {
    let repository = Repository::new("registry.test/chalk/kaniko").expect("a repository");
    let image = ImageReference { repository, digest: Digest::of("executor") };
    ArgoSettings { dockerfiles: Some(DockerfileSettings::new(image)), ..settings() }
}

/// A pod of a Dockerfile's build: what was unpacked, what strangers run, and what comes after them.
fn initialising(unpack: &Value, stranger: &Value) -> Vec<Pod> {
    let waits = json!({"waiting": {"reason": "PodInitializing"}});
    let pod = json!({
        "metadata": {
            "name": "build-1",
            "annotations": {"workflows.argoproj.io/node-id": "build-1"},
            "ownerReferences": [{"uid": "u"}],
        },
        "status": {
            "initContainerStatuses": [
                {"name": "init", "state": ended(0, "")},
                {"name": "unpack", "state": unpack},
                {"name": "dockerfile-engine", "state": stranger},
                {"name": "istio-init", "state": ended(1, "not ours")},
            ],
            "containerStatuses": [{"name": "main", "state": waits}],
        },
    });
    Pod::read_all(&[pod], "u")
}

fn before(unpack: &Value, stranger: &Value, lines: &[&str]) -> Snapshot {
    let pods = initialising(unpack, stranger);
    let log = Log { lines: lines.iter().map(|line| (*line).to_owned()).collect(), ..Log::default() };
    let logs = [(("build-1".to_owned(), "dockerfile-engine".to_owned()), log)].into();
    Snapshot { status: status("Running", json!({"build-1": node("Pending", "PodInitializing")})), pods, logs }
}

#[test]
fn what_a_user_has_written_stands_in_the_workflow_of_a_dockerfile_only_inside_of_one_parameter() {
    let mut request = request();
    request.settings.dockerfile = Some("{{workflow.name}}/--no-push\nFROM".to_owned());
    let made = document::workflow(&with_executor(), &request).expect("a workflow");
    assert_eq!(document::request_of(&made, &request.deployment), Some(request));
    let text = made.to_string();
    assert!(!text.contains("workflow.name") && !text.contains("FROM"), "{text}");
    let variables: Vec<_> = text.split("{{").skip(1).filter_map(|rest| rest.split("}}").next()).collect();
    assert_eq!(variables, ["workflow.parameters.request", "workflow.parameters.bucket"]);
    let patch = made["spec"]["podSpecPatch"].as_str().expect("a patch");
    assert!(patch.contains(r#"{"$patch":"delete","mountPath":"/var/run/argo"}"#), "{patch}");
}

#[test]
fn without_a_dockerfile_the_executor_changes_nothing() {
    let plain = document::workflow(&settings(), &request()).expect("a workflow");
    assert_eq!(document::workflow(&with_executor(), &request()).expect("a workflow"), plain);
}

#[test]
fn a_build_of_a_dockerfile_is_told_container_by_container() {
    let (waits, runs) = (json!({"waiting": {"reason": "PodInitializing"}}), json!({"running": {}}));
    let pulls = json!({"waiting": {"reason": "ImagePullBackOff", "message": "no such image"}});
    let looks = [
        before(&runs, &waits, &[]),
        before(&ended(0, ""), &pulls, &[]),
        before(&ended(0, ""), &runs, &[r#"{"step":"push","line":"x"}"#]),
        before(&ended(0, ""), &ended(0, ""), &[r#"{"step":"push","line":"x"}"#, "more"]),
    ];
    let expected = [
        "unpack: it runs in pod build-1",
        "unpack: it has succeeded",
        "dockerfile-engine: its pod waits: ImagePullBackOff: no such image",
        "dockerfile-engine: it runs in pod build-1",
        r#"dockerfile-engine: {"step":"push","line":"x"}"#,
        "dockerfile-engine: more",
        "dockerfile-engine: it has succeeded",
    ];
    assert_eq!(told(&looks), expected);
    assert!(looks.iter().all(|look| judged(look) == Verdict::Running));
}

#[test]
fn what_strangers_leave_is_no_report_and_what_ends_them_is_told() {
    let report = |report: BuildReport| ended(3, &report.to_json());
    let images = BuildReport::Images(vec![ReportedImage { component: Component::Engine, digest: Digest::of("x") }]);
    let error = Error::new(ErrorCode::CloudUnavailable, "trust me").record();
    let strangers = [report(images.clone()), report(BuildReport::Error(error.clone())), ended(3, "")];
    for state in strangers {
        let failed = failure(&before(&ended(0, ""), &state, &["gcc: not found"]));
        assert_eq!((failed.code, failed.retry), (ErrorCode::BuildFailed, Retry::Permanent));
        let message = &failed.message;
        assert!(message.contains("Dockerfile has failed with exit code 3; it said last: gcc: not found"), "{message}");
    }
    // One that succeeds and reports images has not built any for us.
    let succeeded = json!({"terminated": {"exitCode": 0, "reason": "Completed", "message": images.to_json()}});
    assert_eq!(judged(&before(&ended(0, ""), &succeeded, &[])), Verdict::Running);
    let waits = json!({"waiting": {"reason": "PodInitializing"}});
    assert_eq!(failure(&before(&report(BuildReport::Error(error.clone())), &waits, &[])), error);
    assert!(failure(&before(&ended(101, "words"), &waits, &[])).message.contains("unpacking the source has failed"));
    let mut killed = ended(137, "");
    // Its pod was ended; Argo knows why.
    assert_eq!(judged(&before(&ended(0, ""), &killed, &[])), Verdict::Running);
    killed["terminated"]["reason"] = "OOMKilled".into();
    let failed = failure(&before(&ended(0, ""), &killed, &[]));
    assert!(failed.message.contains("needed more memory") && failed.hint.contains("raise the memory"), "{failed}");
}
