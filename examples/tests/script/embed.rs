//! The smallest service.

use rustix::process::Signal;

use crate::program::Sandbox;

#[test]
fn it_deploys_a_project_and_a_late_listener_sees_all_of_it() {
    let sandbox = Sandbox::new();
    let run = sandbox.example("embed", &["project"]).run().expect(0);
    for part in ["upload started", "rollout started", "SUCCESS", "@sha256:"] {
        assert!(run.stdout.contains(part), "{part}: {}", run.stdout);
    }
    let refused = sandbox.example("embed", &["elsewhere"]).run().expect(1);
    assert_eq!(
        refused.stderr,
        "error: elsewhere: there is no such directory; name the directory that holds chalk.yaml\n"
    );
}

#[test]
fn killed_and_started_again_it_leaves_nothing_unfinished() {
    let sandbox = Sandbox::new();
    for _ in 0..3 {
        let running = sandbox.example("embed", &["project"]).start();
        while !sandbox.path(".chalk-deploy-embed/deployments.sqlite").exists() {
            std::thread::yield_now();
        }
        running.signal(Signal::KILL);
        running.end();
    }
    sandbox.example("embed", &["project"]).run().expect(0);
    let waits = |status: &str| status == "SUCCESS" || status == "AWAITING_SOURCE";
    for record in sandbox.history(".chalk-deploy-embed") {
        // What was killed before its source had arrived waits for the client that has it.
        assert!(waits(record.status.as_str()), "{}: {}", record.plan.id, record.status);
    }
}
