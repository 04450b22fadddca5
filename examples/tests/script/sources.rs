//! The sources of past deployments, and what a build finds in a project, as the scripts show them.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;

use crate::program::Sandbox;

const UNKNOWN: &str = "cm9n46thy000bwe6y784y4j0l";

#[test]
fn what_was_deployed_is_listed_inspected_and_unpacked_from_the_bucket_alone() {
    let sandbox = Sandbox::new();
    let end = sandbox.apply().with(&["--json"]).run().expect(0).last();
    let id = end["deployment_id"].as_str().expect("an id");
    let sha256 = end["archive"]["sha256"].as_str().expect("a digest");
    let sources = |arguments: &[&str]| sandbox.example("sources", arguments).run();

    let listed = sources(&["list", "--json"]).expect(0).events();
    assert_eq!(listed.len(), 1);
    assert_eq!((&listed[0]["deployment"], &listed[0]["project"]), (&id.into(), &"fraud".into()));
    assert_eq!(listed[0]["archive"], format!("archives/{sha256}"));
    let words = sources(&["list"]).expect(0);
    assert!(words.stdout.starts_with(id) && words.stdout.contains(sha256), "{}", words.stdout);
    assert_eq!(sources(&["list", "--after", id, "--json"]).expect(0).stdout, "");

    let entries = sources(&["inspect", id, "--json"]).expect(0).events();
    assert!(entries.iter().any(|entry| entry["path"] == "chalk.yaml" && entry["kind"] == "file"), "{entries:?}");
    let out = sources(&["extract", id, "out", "--json"]).expect(0).last();
    assert_eq!((&out["deployment"], &out["entries"]), (&id.into(), &entries.len().into()));
    let read = |path: &str| fs::read(sandbox.path(path)).expect("there");
    assert_eq!(read("out/chalk.yaml"), read("project/chalk.yaml"));
    let again = sources(&["extract", id, "out", "--json"]).expect(2);
    assert_eq!(again.last()["code"], "REQUEST_INVALID", "it is not empty");

    let url = sources(&["url", id, "--expires", "60", "--json"]).expect(0).last();
    assert!(url["url"].as_str().is_some_and(|url| url.contains("X-Amz-Expires=60")), "{url}");
    assert!(url["expires_at"].as_str().is_some_and(|moment| moment.ends_with('Z')), "{url}");
}

#[test]
fn what_is_not_there_ends_with_2_and_its_code_and_makes_nothing() {
    let sandbox = Sandbox::new();
    let bucket = format!("file://{}", sandbox.path("no-programs").display());
    let cases: [(&[&str], &str); 4] = [
        (&["list"], "REQUEST_INVALID"),
        (&["list", "--bucket", "ftp://x"], "VALUE_INVALID"),
        (&["list", "--bucket", "file:///nowhere/at/all"], "REQUEST_INVALID"),
        (&["inspect", UNKNOWN, "--bucket", &bucket], "OBJECT_MISSING"),
    ];
    for (arguments, code) in cases {
        let run = sandbox.example("sources", arguments).with(&["--json"]).run().expect(2);
        assert_eq!(run.last()["code"], code, "{arguments:?}");
        assert!(run.stderr.ends_with(&format!("[{code}]\n")), "{}", run.stderr);
    }
    assert!(!sandbox.path(".chalk-deploy").exists());
    sandbox.example("sources", &["inspect", "../x"]).run().expect(2);
    sandbox.example("sources", &["url", UNKNOWN, "--expires", "0"]).run().expect(2);
    let empty = sandbox.example("sources", &["list", "--bucket", &bucket]).run().expect(0);
    assert_eq!((empty.stdout.as_str(), empty.stderr.as_str()), ("", "there is no source of any deployment\n"));
}

#[test]
fn a_syntax_error_ends_a_deployment_in_its_build_and_names_its_place() {
    let sandbox = Sandbox::new();
    sandbox.write("project/broken.py", "x = = 1\n");
    let run = sandbox.apply().with(&["--json"]).run().expect(1);
    let finding = run.events().into_iter().find(|event| event.get("finding").is_some()).expect("a finding");
    assert_eq!(finding["finding"]["check"], "syntax-check");
    assert_eq!((&finding["finding"]["file"], &finding["finding"]["line"]), (&"broken.py".into(), &1.into()));
    assert_eq!(run.last()["error"]["code"], "BUILD_FAILED", "{}", run.stdout);
}

#[test]
fn findings_of_a_linter_are_told_and_fail_the_build_only_where_that_was_asked_for() {
    let sandbox = Sandbox::new();
    let ruff = "#!/bin/sh\nprintf '[{\"code\":\"F401\",\"filename\":\"%s/chalk.yaml\",\"location\":\
                {\"row\":1,\"column\":8},\"message\":\"unused\"}]' \"$PWD\"\n";
    sandbox.write("ruff", ruff);
    fs::set_permissions(sandbox.path("ruff"), fs::Permissions::from_mode(0o755)).expect("made a program");
    let run = sandbox.apply().with(&["--json", "--lint", "ruff"]).run().expect(0);
    let found: Vec<_> = run.events().into_iter().filter(|event| event.get("finding").is_some()).collect();
    assert_eq!(found.len(), 1, "{}", run.stdout);
    assert_eq!(found[0]["finding"]["rule"], "F401");
    let skipped = |event: &serde_json::Value| {
        event["line"].as_str().is_some_and(|line| line.starts_with("type-check: skipped: there is no mypy"))
    };
    assert!(run.events().iter().any(skipped), "{}", run.stdout);
    let strict = sandbox.apply().with(&["--json", "--lint", "ruff", "--strict-checks"]).run().expect(1);
    assert_eq!(strict.last()["error"]["code"], "BUILD_FAILED", "{}", strict.stdout);
    sandbox.apply().with(&["--lint", "no/such/ruff"]).run().expect(2);
}
