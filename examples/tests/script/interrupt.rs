//! Ctrl-C and SIGTERM.

use std::collections::BTreeMap;

use rustix::process::Signal;

use crate::program::{Running, Sandbox};
use crate::world::{files, serving};

const STATE: &str = ".chalk-deploy";

/// A project that is large enough for its upload to last until a signal arrives, over one that is deployed.
fn deployed_then_large() -> (Sandbox, BTreeMap<String, String>) {
    let sandbox = Sandbox::new();
    sandbox.apply().run().expect(0);
    // Cannot be packed: a linear congruential generator, and no more of it than makes the upload last.
    let mut state = 1_u64;
    let noise = std::iter::repeat_with(|| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        state.to_le_bytes()[7]
    });
    sandbox.write("project/model.bin", noise.take(24 << 20).collect::<Vec<u8>>());
    let production = production(&sandbox);
    assert!(!production.is_empty());
    (sandbox, production)
}

/// What serves: the objects and the route.
fn production(sandbox: &Sandbox) -> BTreeMap<String, String> {
    serving(&sandbox.path(STATE))
}

fn start(sandbox: &Sandbox) -> Running {
    let mut running = sandbox.apply().with(&["--json"]).start();
    assert!(running.line().expect("a first event").contains("\"created\""));
    running
}

#[test]
fn the_first_signal_cancels_and_leaves_production_as_it_was() {
    for signal in [Signal::INT, Signal::TERM] {
        let (sandbox, before) = deployed_then_large();
        let running = start(&sandbox);
        running.signal(signal);
        let end = running.end().expect(1);
        let last = end.last();
        assert_eq!((&last["event"], &last["status"]), (&"finished".into(), &"CANCELLED".into()), "{end:?}");
        assert_eq!(end.stderr.lines().filter(|line| line.starts_with("error: ")).count(), 1, "{}", end.stderr);
        assert!(end.stderr.contains("note: cancelling"), "{}", end.stderr);
        assert_eq!(production(&sandbox), before);
        let id = last["deployment_id"].as_str().expect("an id");
        let world = files(&sandbox.path(STATE).join("world"));
        let left: Vec<_> = world.keys().filter(|path| path.contains(id)).collect();
        assert!(left.is_empty(), "{left:?}");
    }
}

#[test]
fn the_second_signal_ends_the_process_and_the_cancellation_goes_on_when_it_is_resumed() {
    let (sandbox, before) = deployed_then_large();
    let mut running = start(&sandbox);
    running.signal(Signal::INT);
    running.wait_for_note("cancelling");
    running.signal(Signal::INT);
    running.end().expect(130);
    let resumed = sandbox.apply().with(&["--resume", "--json"]).run().expect(1);
    assert_eq!(resumed.last()["status"], "CANCELLED");
    assert_eq!(production(&sandbox), before);
}
