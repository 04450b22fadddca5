//! What a run that goes well prints.

use serde_json::Value;

use crate::program::Sandbox;

fn is_hex(text: &str) -> bool {
    text.len() == 64 && text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
}

#[test]
fn with_json_every_line_is_an_event_of_the_deployment_and_the_last_tells_the_end() {
    let sandbox = Sandbox::new();
    let run = sandbox.apply().with(&["--json"]).run().expect(0);
    let events = run.events();
    let names: Vec<_> = events.iter().map(|event| event["event"].as_str().expect("a name")).collect();
    let id = events[0]["deployment_id"].as_str().expect("an id");
    assert!(events.iter().all(|event| event["deployment_id"] == id), "{}", run.stdout);

    let first_stage = names.iter().position(|name| *name == "stage_started").expect("stages");
    assert_eq!(names[0], "created", "something comes before the first stage");
    assert!(first_stage > 0);
    let finished_stages = events.iter().filter(|event| event["event"] == "stage_finished");
    let mut stages: Vec<_> = finished_stages.map(|event| event["stage"].as_str().expect("a name")).collect();
    stages.sort_unstable();
    assert_eq!(stages, ["archive", "build", "push", "rollout", "upload"]);

    let end = &events[events.len() - 1];
    assert_eq!(names.iter().filter(|name| **name == "finished").count(), 1);
    assert_eq!((&end["event"], &end["status"]), (&"finished".into(), &"SUCCESS".into()));
    let sha256 = end["archive"]["sha256"].as_str().expect("a digest");
    assert!(is_hex(sha256), "{sha256}");
    assert_eq!(end["archive"]["key"], format!("archives/{sha256}"));
    let images = end["images"].as_object().expect("an object");
    assert!(!images.is_empty());
    for image in images.values() {
        let (repository, digest) = image.as_str().and_then(|image| image.split_once("@sha256:")).expect("by digest");
        assert!(!repository.is_empty() && is_hex(digest), "{image}");
    }
    assert_eq!(end["traffic"]["promoted"], true);
    assert_eq!(end["traffic"]["backends"], serde_json::json!([{ "deployment": id, "weight": 100 }]));
    let listed: Vec<_> = end["stages"].as_array().expect("a list").iter().map(|stage| &stage["stage"]).collect();
    assert_eq!(listed, ["upload", "build", "archive", "push", "rollout"]);
    assert!(!run.stderr.contains("error:"), "{}", run.stderr);
}

#[test]
fn the_same_tree_again_is_another_deployment_with_the_same_archive_and_image() {
    let sandbox = Sandbox::new();
    let [first, second] = [(); 2].map(|()| sandbox.program(&["project", "--json"]).run().expect(0).last());
    assert_ne!(first["deployment_id"], second["deployment_id"]);
    assert_eq!(first["archive"], second["archive"]);
    assert_eq!(first["images"], second["images"]);
    let weights: Vec<_> = second["traffic"]["backends"]
        .as_array()
        .expect("a list")
        .iter()
        .map(|backend| (&backend["deployment"], &backend["weight"]))
        .collect();
    assert!(weights.contains(&(&second["deployment_id"], &Value::from(100))), "{weights:?}");
}

#[test]
fn a_state_folder_inside_the_project_is_never_part_of_its_archive() {
    let sandbox = Sandbox::new();
    let project = sandbox.path("project");
    let inside = || sandbox.program(&[".", "--json"]).inside(&project).run().expect(0).last();
    let (first, second) = (inside(), inside());
    assert!(project.join(".chalk-deploy").is_dir(), "the default is beside the caller");
    let elsewhere = sandbox.program(&["project", "--state", "project/kept/here", "--json"]);
    std::fs::create_dir(project.join("kept")).expect("a new folder");
    let third = elsewhere.run().expect(0).last();
    assert_eq!(first["archive"], second["archive"]);
    assert_eq!(sandbox.program(&["project", "--state", "elsewhere", "--json"]).run().expect(0).last()["archive"], {
        third["archive"].clone()
    });
}

#[test]
fn without_a_terminal_each_stage_is_a_plain_line_at_its_start_and_at_its_end() {
    let sandbox = Sandbox::new();
    let run = sandbox.apply().variable("TERM", "xterm-256color").run().expect(0);
    for stage in ["upload", "build", "archive", "push", "rollout"] {
        let begun = run.stdout.lines().position(|line| line == format!("{stage:<7}  started"));
        let done = run.stdout.lines().position(|line| line.starts_with(&format!("{stage:<7}  done in ")));
        assert!(begun.is_some() && begun < done, "{stage}: {}", run.stdout);
    }
    assert!(!run.stdout.contains('\u{1b}'), "{:?}", run.stdout);
    let id = sandbox.history(".chalk-deploy")[0].plan.id.to_string();
    let summary = run.stdout.split("SUCCESS in").nth(1).expect("a verdict");
    for part in [id.as_str(), "@sha256:", "archives/", "100%"] {
        assert!(summary.contains(part), "{part}: {summary}");
    }
}

#[test]
fn a_reader_that_goes_away_does_not_stop_the_deployment() {
    let sandbox = Sandbox::new();
    let mut running = sandbox.apply().with(&["--json"]).start();
    running.line().expect("a first event");
    running.close_stdout();
    let end = running.end().expect(0);
    assert!(!end.stderr.contains("panicked"), "{}", end.stderr);
    assert_eq!(sandbox.history(".chalk-deploy")[0].status.as_str(), "SUCCESS");
}

#[test]
fn the_log_is_off_unless_it_is_asked_for() {
    let sandbox = Sandbox::new();
    let quiet = sandbox.apply().run().expect(0);
    let loud = sandbox.apply().variable("CHALK_DEPLOY_LOG", "debug").with(&["--json"]).run().expect(0);
    assert!(!quiet.stderr.contains("deployment_id"), "{}", quiet.stderr);
    assert!(loud.stderr.contains("deployment_id"), "{}", loud.stderr);
    assert!(!loud.events().is_empty());
}

#[test]
fn the_help_goes_to_stdout_and_is_no_error() {
    let sandbox = Sandbox::new();
    let help = sandbox.program(&["--help"]).run().expect(0);
    assert!(help.stdout.contains("Exit codes:") && help.stderr.is_empty(), "{help:?}");
}
