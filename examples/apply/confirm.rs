//! The question before a changed feature graph replaces the one that serves.

use std::io::{self, BufRead as _, IsTerminal as _, Write as _};

use chalk_deploy_core::graph::GraphDiff;
use chalk_deploy_core::model::EnvironmentId;
use chalk_deploy_core::{Error, ErrorCode};
use tokio::sync::oneshot;

use super::exit::Stop;
use super::interrupt::Interrupts;

/// Asks whether a change that was shown may be deployed, where someone can answer. The question says how much of it is
/// risky.
///
/// # Errors
/// [`Stop::Declined`] for any answer but yes, and bad input where no one can answer.
pub(super) async fn confirm(
    environment: &EnvironmentId,
    diff: &GraphDiff,
    interrupts: &mut Interrupts,
) -> Result<(), Stop> {
    let risky = diff.risky().count();
    if !(io::stdin().is_terminal() && io::stderr().is_terminal()) {
        return Err(nobody(environment, risky).into());
    }
    let mut stderr = io::stderr();
    // What cannot be shown cannot be agreed to.
    write!(stderr, "{}", question(environment, risky)).and_then(|()| stderr.flush()).map_err(|_| Stop::Declined)?;
    let (tell, told) = oneshot::channel();
    // A thread of its own, because reading cannot be given up: the process may end while it waits.
    std::thread::spawn(move || {
        let mut answer = String::new();
        let read = io::stdin().lock().read_line(&mut answer);
        tell.send(read.map(|_| answer))
    });
    let answer = tokio::select! {
        answer = told => answer,
        () = interrupts.next() => return Err(Stop::Interrupted),
    };
    match answer {
        Ok(Ok(answer)) if is_yes(&answer) => Ok(()),
        _ => Err(Stop::Declined),
    }
}

fn question(environment: &EnvironmentId, risky: usize) -> String {
    match in_words(risky) {
        None => format!("Deploy this to environment {environment}? [y/N] "),
        Some(changes) => format!("Deploy this, with {changes}, to environment {environment}? [y/N] "),
    }
}

fn nobody(environment: &EnvironmentId, risky: usize) -> Error {
    let with = in_words(risky).map(|changes| format!(" in {changes}")).unwrap_or_default();
    let message = format!("the feature graph differs from the deployed one{with}, and no one can be asked");
    Error::new(ErrorCode::RequestInvalid, message)
        .on(format!("environment `{environment}`"))
        .with_hint("pass --force to deploy without the question, or run in a terminal")
}

fn in_words(risky: usize) -> Option<String> {
    (risky > 0).then(|| format!("{risky} risky change{}", if risky == 1 { "" } else { "s" }))
}

fn is_yes(answer: &str) -> bool {
    matches!(answer.trim().to_ascii_lowercase().as_str(), "y" | "yes")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_clear_yes_is_a_yes() {
        for yes in ["y\n", "Y\n", " yes \n", "YES"] {
            assert!(is_yes(yes), "{yes:?}");
        }
        for no in ["", "\n", "n\n", "no\n", "yy\n", "yep\n", "ja\n", "y n\n"] {
            assert!(!is_yes(no), "{no:?}");
        }
    }

    #[test]
    fn who_cannot_be_asked_is_told_of_the_flag() {
        let environment = EnvironmentId::new("prod").expect("an environment");
        let stop = Stop::from(nobody(&environment, 2));
        assert_eq!(stop.exit_code(), 2);
        let Stop::Refused(error) = stop else { panic!("it is refused") };
        assert!(error.sentence().contains("--force"), "{}", error.sentence());
        assert!(error.sentence().contains("in 2 risky changes"), "{}", error.sentence());
    }

    #[test]
    fn the_question_says_how_much_is_risky() {
        let environment = EnvironmentId::new("prod").expect("an environment");
        assert_eq!(question(&environment, 0), "Deploy this to environment prod? [y/N] ");
        assert_eq!(question(&environment, 1), "Deploy this, with 1 risky change, to environment prod? [y/N] ");
    }
}
