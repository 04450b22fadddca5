//! Killed at every moment, the same deployment ends in the same world.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use chalk_deploy_core::machine::Step;
use rustix::process::Signal;

use crate::program::{Finished, Program, Sandbox, copy};
use crate::world::{difference, normalised};

const KILL_AT: &str = "CHALK_DEPLOY_TESTKIT_KILL_AT";
const CHECKPOINTS: &str = "CHALK_DEPLOY_TESTKIT_CHECKPOINTS";

/// Two cores: more at once would not be faster.
const AT_ONCE: usize = 2;

/// A sandbox in which nothing (or one version) is deployed in `prepared`, and what a run without a crash makes of it.
struct Scene {
    sandbox: Sandbox,
    /// Every moment that a run passes, as `name#n`.
    moments: Vec<String>,
    world: BTreeMap<String, String>,
}

impl Scene {
    fn set(deployed_before: bool) -> Self {
        let sandbox = Sandbox::new();
        if deployed_before {
            sandbox.apply().with(&["--state", "prepared"]).run().expect(0);
        } else {
            std::fs::create_dir(sandbox.path("prepared")).expect("a new folder");
        }
        let scene = Self { sandbox, moments: Vec::new(), world: BTreeMap::new() };
        let run = scene.run_on("unkilled", &[]).variable(CHECKPOINTS, scene.sandbox.path("reached")).run().expect(0);
        let reached = std::fs::read_to_string(scene.sandbox.path("reached")).expect("the moments");
        let mut times: BTreeMap<&str, u32> = BTreeMap::new();
        let moments = reached.lines().map(|name| {
            let time = times.entry(name).or_default();
            *time += 1;
            format!("{name}#{time}")
        });
        let moments = moments.collect();
        let world = scene.world("unkilled", &id(&run));
        Self { moments, world, ..scene }
    }

    /// A run on a fresh copy of what was prepared.
    fn run_on(&self, state: &str, more: &[&str]) -> Program {
        copy(&self.sandbox.path("prepared"), &self.sandbox.path(state));
        self.run_again(state, more)
    }

    fn run_again(&self, state: &str, more: &[&str]) -> Program {
        self.sandbox.program(&["project", "--json", "--state", state]).with(more)
    }

    fn world(&self, state: &str, id: &str) -> BTreeMap<String, String> {
        normalised(&self.sandbox.path(state), id)
    }

    /// Checks that the deployment which was begun in a state folder and killed is finished by a resume.
    fn check_resumed(&self, state: &str, killed: &Finished, what: &str) {
        let begun = self.sandbox.history(state);
        let resumed = self.run_again(state, &["--resume"]).run().expect(0);
        let id = id(&resumed);
        assert_eq!(resumed.last()["status"], "SUCCESS", "{what}");
        if let Some(event) = killed.stdout.lines().next() {
            assert!(event.contains(&id), "{what}: the id changed: {event} and {id}");
        }
        let history = self.sandbox.history(state);
        if begun.iter().any(|record| record.plan.id.as_str() == id) {
            assert_eq!(begun.len(), history.len(), "{what}: another deployment was begun");
        }
        let shown = difference(&self.world, &self.world(state, &id));
        assert!(shown.is_empty(), "{what}: the worlds differ\n{shown}");
    }
}

fn id(run: &Finished) -> String {
    run.last()["deployment_id"].as_str().expect("an id").to_owned()
}

/// Works on all of them, a few at once.
fn each_of<T: Send + Sync>(all: &[T], work: impl Fn(usize, &T) + Sync) {
    let next = Mutex::new(0..all.len());
    std::thread::scope(|scope| {
        for _ in 0..AT_ONCE {
            scope.spawn(|| {
                loop {
                    let position = next.lock().unwrap_or_else(PoisonError::into_inner).next();
                    let Some(position) = position else { break };
                    work(position, &all[position]);
                }
            });
        }
    });
}

fn kill_at_every_moment(deployed_before: bool) {
    let scene = Scene::set(deployed_before);
    for step in Step::FORWARD {
        for moment in ["before-effect", "after-effect", "after-record"] {
            let moment = format!("{step}/{moment}#1");
            assert!(scene.moments.contains(&moment), "{moment} is not passed: {:?}", scene.moments);
        }
    }
    each_of(&scene.moments, |position, moment| {
        let state = format!("state-{position}");
        let killed = scene.run_on(&state, &[]).variable(KILL_AT, moment).run();
        assert!(killed.was_killed(), "{moment}: {killed:?}");
        scene.check_resumed(&state, &killed, moment);
    });
}

#[test]
fn killed_at_every_moment_of_a_first_deployment_it_ends_in_the_world_of_an_unkilled_run() {
    kill_at_every_moment(false);
}

#[test]
fn killed_at_every_moment_of_a_replacement_it_ends_in_the_world_of_an_unkilled_run() {
    kill_at_every_moment(true);
}

#[test]
fn killed_again_and_again_at_every_step_it_still_ends_in_the_same_world() {
    let scene = Scene::set(true);
    copy(&scene.sandbox.path("prepared"), &scene.sandbox.path("state"));
    // The build runs beside the archive and may be done and recorded when that is killed; the tests above kill it.
    let steps = Step::FORWARD.iter().map(|step| format!("{step}/after-effect#1"));
    let steps: Vec<_> = steps.filter(|moment| !moment.starts_with("build.")).collect();
    let mut first = None;
    for moment in &steps {
        let how: &[&str] = if first.is_none() { &[] } else { &["--resume"] };
        let killed = scene.run_again("state", how).variable(KILL_AT, moment).run();
        assert!(killed.was_killed(), "{moment}: {killed:?}");
        first = first.or(Some(killed));
    }
    let first = first.expect("there are steps");
    scene.check_resumed("state", &first, "killed again and again");
}

#[test]
fn killed_from_outside_at_any_moment_it_ends_in_the_same_world() {
    let scene = Scene::set(true);
    let lines: Vec<usize> = vec![1, 3, 6, 10, 15, 21, 28, 36];
    each_of(&lines, |_, lines| {
        let state = format!("state-{lines}");
        let mut running = scene.run_on(&state, &[]).start();
        let read: Vec<_> = std::iter::from_fn(|| running.line()).take(*lines).collect();
        running.signal(Signal::KILL);
        let mut killed = running.end();
        killed.stdout = read.concat();
        scene.check_resumed(&state, &killed, &format!("killed after {lines} lines"));
    });
}
