//! `apply` as a person runs it, on the real servers of the folder `testbed/`. `testbed/e2e` runs this.

#![cfg(unix)]

#[path = "script/http.rs"]
mod http;
#[path = "script/program.rs"]
#[expect(dead_code, reason = "other tests use the rest")]
mod program;

use std::path::Path;
use std::process::Command;

use chalk_deploy_core::runtime::{Runtime as _, SystemRuntime};
use chalk_deploy_testkit::testbed::Testbed;

use self::program::{Finished, Program, Sandbox};

/// What the pipeline has applied.
const OURS: &str = "app.kubernetes.io/managed-by=chalk-deploy";

/// `apply project --force --json` with the flags for a testbed and what it needs to know of it.
fn apply(sandbox: &Sandbox, testbed: &Testbed) -> Program {
    let value = |name| testbed.value(name).expect("up says so");
    let flags = [
        ("--kubeconfig", value("PIPELINE_KUBECONFIG")),
        ("--registry", value("REGISTRY")),
        ("--bucket", value("BUCKET")),
        ("--base-image", value("BASE_IMAGE")),
        ("--gateway-address", value("GATEWAY")),
    ];
    let flags: Vec<_> = flags.iter().flat_map(|(flag, value)| [*flag, *value]).collect();
    let mut program = sandbox.apply().with(&["--json"]).with(&flags);
    for name in ["AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"] {
        program = program.variable(name, value(name));
    }
    program
}

/// Checks who answers at the gateway, by a request that names no environment.
fn assert_answers(testbed: &Testbed, deployment: &str) {
    let answer = http::get(testbed.value("GATEWAY").expect("an address"));
    assert!(answer.starts_with("HTTP/1.1 200 ") && answer.contains(deployment), "not {deployment}: {answer}");
}

/// Whatever an earlier run has left: this one's store is new, and knows nothing of it.
fn clear(testbed: &Testbed) {
    let cleared = Command::new(testbed.value("KUBECTL").expect("a path"))
        .args(["--kubeconfig", testbed.value("KUBECONFIG").expect("a path"), "--namespace", "ns-default", "delete"])
        .args(["httproutes,deployments,services,configmaps,poddisruptionbudgets,scaledobjects"])
        .args(["--selector", OURS])
        .output()
        .expect("kubectl runs");
    assert!(cleared.status.success(), "{}", String::from_utf8_lossy(&cleared.stderr));
}

fn id(finished: &Finished) -> String {
    let last = finished.last();
    assert_eq!(last["status"], "SUCCESS", "{finished:?}");
    last["deployment_id"].as_str().expect("an id").to_owned()
}

#[tokio::test]
async fn apply_deploys_the_project_a_changed_one_and_the_old_one_again() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../testbed");
    let testbed = Testbed::start(folder).await.expect("the testbed comes up");
    clear(&testbed);
    let (sandbox, clock) = (Sandbox::new(), SystemRuntime::new());
    let features = std::fs::read_to_string(sandbox.path("project/features.py")).expect("a file of the project");
    let mut ids = Vec::new();
    for (what, content) in
        [("the project", None), ("one changed file", Some("\n# changed\n")), ("the old one", Some(""))]
    {
        if let Some(more) = content {
            sandbox.write("project/features.py", format!("{features}{more}"));
        }
        let begin = clock.monotonic();
        let deployed = id(&apply(&sandbox, &testbed).run().expect(0));
        report(&format!(
            "apply of {what} to SUCCESS in {:.1} s",
            clock.monotonic().saturating_sub(begin).as_secs_f64()
        ));
        assert_answers(&testbed, &deployed);
        ids.push(deployed);
    }
    ids.dedup();
    assert_eq!(ids.len(), 3);
    // What was retired is gone, but for pods that end.
    let left = Command::new(testbed.value("KUBECTL").expect("a path"))
        .args(["--kubeconfig", testbed.value("KUBECONFIG").expect("a path"), "--namespace", "ns-default"])
        .args(["get", "deployments,services,configmaps", "-o", "name", "--selector", OURS])
        .output()
        .expect("kubectl runs");
    let left = String::from_utf8_lossy(&left.stdout).into_owned();
    assert!(left.contains(&ids[2]) && !left.contains(&ids[0]) && !left.contains(&ids[1]), "{left}");
}

#[expect(clippy::print_stderr, reason = "the figures of the suite are for a person")]
fn report(line: &str) {
    eprintln!("e2e: {line}");
}
