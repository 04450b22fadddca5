//! What the smaller scripts say, and how they end. Whoever has closed a stream knows it, so that writing is never an error.

use std::io::{self, Write as _};
use std::process::ExitCode;

use chalk_deploy_core::{Error, ErrorCode, Result, text};
use serde_json::{Value, json};
use tokio::runtime::Builder;

/// The exit code for an operation that failed.
pub const FAILED: u8 = 1;
/// The exit code for bad input.
pub const BAD_INPUT: u8 = 2;
/// The exit code after Ctrl-C.
pub const INTERRUPTED: u8 = 130;

/// Runs a script's work on one thread beside this one, until it ends or Ctrl-C comes; `None` is Ctrl-C.
///
/// # Errors
/// Those of the work; `INTERNAL` when no threads can be started.
pub fn run<T>(work: impl Future<Output = Result<T>>) -> Result<Option<T>> {
    let executor = Builder::new_multi_thread().worker_threads(1).enable_all().build();
    let executor =
        executor.map_err(|error| Error::new(ErrorCode::Internal, "no threads can be started").caused_by(error))?;
    let ended = executor.block_on(async {
        tokio::select! {
            ended = work => ended.map(Some),
            _ = tokio::signal::ctrl_c() => Ok(None),
        }
    });
    executor.shutdown_background();
    ended
}

/// Writes one line to stdout.
pub fn print(line: &str) {
    let _ = writeln!(io::stdout(), "{line}");
}

/// Writes one line to stderr.
pub fn say(line: &str) {
    let _ = writeln!(io::stderr(), "{line}");
}

/// Tells why nothing came of it: a sentence on stderr, and with `--json` an object on stdout. `is_input` is whether the
/// person must change what they gave.
pub fn refuse(error: &Error, as_json: bool, is_input: bool) -> ExitCode {
    if as_json {
        print(&object(error).to_string());
    }
    say(&format!("error: {} [{}]", text::printable(&error.sentence()), error.code()));
    ExitCode::from(if is_input { BAD_INPUT } else { FAILED })
}

fn object(error: &Error) -> Value {
    json!({
        "code": error.code(),
        "message": text::line(error.message(), 500),
        "subject": text::line(error.subject(), 500),
        "hint": error.hint(),
    })
}
