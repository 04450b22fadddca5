//! What the smaller scripts say, and how they end. Whoever has closed a stream knows it, so that writing is never an error.

use std::io::{self, Write as _};
use std::process::ExitCode;

use chalk_deploy_core::{Error, text};
use serde_json::{Value, json};

/// The exit code for an operation that failed.
pub const FAILED: u8 = 1;
/// The exit code for bad input.
pub const BAD_INPUT: u8 = 2;
/// The exit code after Ctrl-C.
pub const INTERRUPTED: u8 = 130;

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
