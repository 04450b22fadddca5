//! `cargo run --release --example apply -- PROJECT_DIR`: takes a Chalk project through the five stages.
//!
//! - [`arguments`]: the command line.
//! - [`evidence`]: the keys that images' evidence is signed and verified with.
//! - [`input`]: from the project's directory to a request.
//! - [`data_plane`](chalk_deploy_examples::data_plane): where it goes, and what builds it; other scripts share it.
//! - [`checks`]: which tools look at it before.
//! - [`session`]: one run, on [`follow`] (events, Ctrl-C) and [`confirm`] (the question).
//! - [`view`]: what is shown.
//! - [`exit`]: how the process ends.

mod arguments;
mod checks;
mod confirm;
mod evidence;
mod exit;
mod follow;
mod input;
mod interrupt;
mod logging;
mod session;
mod view;

use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use chalk_deploy_core::runtime::{Runtime, SystemRuntime};
use chalk_deploy_core::{Error, ErrorCode, text};

use self::arguments::{Arguments, Asked};
use self::exit::Stop;
use self::interrupt::Interrupts;
use self::session::Session;

/// For what still blocks a thread when the end is known.
const PATIENCE: Duration = Duration::from_secs(1);

fn main() -> ExitCode {
    let code = match start() {
        Ok(code) => code,
        Err(stop) => {
            if let Stop::Refused(error) | Stop::Broken(error) = &stop {
                view::say(&sentence(error));
            }
            stop.exit_code()
        }
    };
    ExitCode::from(code)
}

fn start() -> Result<u8, Stop> {
    let arguments = match Arguments::read(std::env::args_os())? {
        Asked::Run(arguments) => arguments,
        Asked::Show(text) => {
            view::show(&text);
            return Ok(exit::DONE);
        }
    };
    let evidence = evidence::policy(&arguments)?;
    let is_logging = logging::start()?;
    let executor = tokio::runtime::Builder::new_multi_thread().enable_all().build().map_err(broken)?;
    let runtime: Arc<dyn Runtime> = SystemRuntime::new();
    let mut view = view::choose(arguments.json, is_logging, &runtime);
    let ended = executor.block_on(async {
        let mut interrupts = Interrupts::listen().map_err(broken)?;
        let mut session =
            Session { arguments: &arguments, view: view.as_mut(), interrupts: &mut interrupts, runtime, evidence };
        session.run().await
    });
    executor.shutdown_timeout(PATIENCE);
    ended
}

/// An error as it stands on stderr: one line.
fn sentence(error: &Error) -> String {
    let sentence = error.sentence();
    let sentence = sentence.lines().map(str::trim).filter(|line| !line.is_empty()).collect::<Vec<_>>().join(" ");
    format!("error: {} [{}]", text::printable(&sentence), error.code())
}

fn broken(error: std::io::Error) -> Stop {
    let error =
        Error::new(ErrorCode::Internal, "the operating system refuses what every program needs").caused_by(error);
    Stop::Broken(error)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_is_one_printable_line_that_ends_with_its_code() {
        let error = Error::new(ErrorCode::GraphExportFailed, "chalkpy failed\n  Traceback:\n\u{1b}[31mboom\n");
        let line = sentence(&error.with_hint("look"));
        assert_eq!(line, "error: chalkpy failed Traceback: \u{fffd}[31mboom ; look [GRAPH_EXPORT_FAILED]");
    }
}
