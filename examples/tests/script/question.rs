//! The question before a changed feature graph replaces the one that serves.

use chalk_deploy_core::graph::proto::{Export, NamedQuery};
use prost::Message as _;
use rustix::process::Signal;

use crate::program::{OnTerminal, Program, Sandbox};

const STATE: &str = ".chalk-deploy";
const QUESTION: &str = "Deploy this to environment default? [y/N] ";

/// A sandbox in which the project is deployed and its graph has another named query since.
fn changed() -> Sandbox {
    let sandbox = Sandbox::new();
    sandbox.program(&["project"]).run().expect(0);
    let path = sandbox.path("project/chalk.export.pb");
    let mut export = Export::decode(&*std::fs::read(path).expect("it is there")).expect("an export");
    let query = NamedQuery { name: "just_added".to_owned(), ..NamedQuery::default() };
    export.graph.as_mut().expect("a graph").named_queries.push(query);
    sandbox.write("project/chalk.export.pb", export.encode_to_vec());
    sandbox
}

fn apply(sandbox: &Sandbox) -> Program {
    sandbox.program(&["project"])
}

/// Starts it on a terminal, and waits for the question.
fn asked(sandbox: &Sandbox) -> OnTerminal {
    let mut running = apply(sandbox).start_on_terminal();
    running.wait_for(QUESTION);
    running
}

#[test]
fn where_nobody_can_answer_it_ends_with_the_flag_that_helps_and_creates_nothing() {
    let sandbox = changed();
    for more in [&[][..], &["--json"], &["--no-await"]] {
        let run = apply(&sandbox).with(more).run().expect(2);
        assert!(run.stdout.is_empty(), "{}", run.stdout);
        assert!(run.stderr.contains("+ named query just_added"), "{}", run.stderr);
        let last = run.stderr.lines().last().expect("an error");
        assert!(last.starts_with("error: ") && last.contains("--force"), "{last}");
    }
    assert_eq!(sandbox.history(STATE).len(), 1);
    apply(&sandbox).with(&["--force"]).run().expect(0);
    assert_eq!(sandbox.history(STATE).len(), 2);
}

#[test]
fn a_yes_deploys_and_everything_else_does_not() {
    let sandbox = changed();
    for no in ["", "n", "perhaps"] {
        let mut running = asked(&sandbox);
        running.answer(no);
        let (code, shown) = running.end();
        assert_eq!(code, Some(3), "{shown}");
        assert!(!shown.contains("error:"), "{shown}");
    }
    assert_eq!(sandbox.history(STATE).len(), 1);

    let mut running = asked(&sandbox);
    running.answer("y");
    let (code, shown) = running.end();
    assert_eq!(code, Some(0), "{shown}");
    assert!(shown.contains("+ named query just_added") && shown.contains("SUCCESS"), "{shown}");
    assert_eq!(sandbox.history(STATE).len(), 2);

    let (code, shown) = apply(&sandbox).start_on_terminal().end();
    assert_eq!(code, Some(0), "{shown}");
    assert!(!shown.contains(QUESTION), "the graph is the deployed one now: {shown}");
}

#[test]
fn a_first_deployment_asks_nothing() {
    let sandbox = Sandbox::new();
    let (code, shown) = apply(&sandbox).start_on_terminal().end();
    assert_eq!(code, Some(0), "{shown}");
    assert!(!shown.contains("[y/N]"), "{shown}");
}

#[test]
fn a_signal_at_the_question_ends_it_with_nothing_created() {
    let sandbox = changed();
    let running = asked(&sandbox);
    running.signal(Signal::INT);
    let (code, shown) = running.end();
    assert_eq!(code, Some(130), "{shown}");
    assert_eq!(sandbox.history(STATE).len(), 1);
}

#[test]
fn risky_changes_are_shown_first_with_their_reasons_and_counted_in_the_question() {
    let sandbox = changed();
    let path = sandbox.path("project/chalk.export.pb");
    let mut export = Export::decode(&*std::fs::read(path).expect("it is there")).expect("an export");
    let query = export.graph.as_mut().expect("a graph").named_queries.remove(0);
    sandbox.write("project/chalk.export.pb", export.encode_to_vec());

    let run = apply(&sandbox).run().expect(2);
    let place = |text: &str| run.stderr.find(text).unwrap_or_else(|| panic!("{text}: {}", run.stderr));
    let gone = place(&format!("- named query {}", query.name));
    assert!(place("1 risky change:") < gone && gone < place("risk: clients that call it fail"));
    assert!(place("risk: clients that call it fail") < place("+ named query just_added"));
    assert!(run.stderr.lines().last().is_some_and(|last| last.contains("in 1 risky change")), "{}", run.stderr);

    let mut running = apply(&sandbox).start_on_terminal();
    running.wait_for("Deploy this, with 1 risky change, to environment default? [y/N] ");
    running.answer("n");
    let (code, shown) = running.end();
    assert_eq!(code, Some(3), "{shown}");
    assert_eq!(sandbox.history(STATE).len(), 1);
}
