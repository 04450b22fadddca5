//! Runs a command of the testbed.

use std::path::Path;
use std::process::Stdio;

use chalk_deploy_core::{Error, ErrorCode, Result, text};
use tokio::process::Command;

/// The exit code of a command that lacks a right or a tool.
const LACKING: i32 = 3;
/// As many lines of what a command said are told when it fails.
const TOLD: usize = 6;

/// Runs it to its end; what it wrote to stdout.
pub(super) async fn run(folder: &Path, command: &str, arguments: &[&str]) -> Result<String> {
    let path = folder.join(command);
    let failed = |code, message: String| Error::new(code, message).on(format!("command {}", path.display()));
    let ran = Command::new(&path)
        .args(arguments)
        .stdin(Stdio::null())
        .kill_on_drop(true)
        .output()
        .await
        .map_err(|error| failed(ErrorCode::ValueInvalid, "it cannot be run".to_owned()).caused_by(error))?;
    if ran.status.success() {
        return String::from_utf8(ran.stdout)
            .map_err(|error| failed(ErrorCode::CloudAnswerInvalid, "it says no text".to_owned()).caused_by(error));
    }
    let words = String::from_utf8_lossy(&ran.stderr);
    let lines: Vec<_> = words.lines().map(|line| text::line(line, 200)).collect();
    let last = lines[lines.len().saturating_sub(TOLD)..].join("; ");
    match ran.status.code() {
        Some(LACKING) => Err(failed(ErrorCode::PermissionDenied, last).with_hint("run the tests where it is there")),
        _ => Err(failed(ErrorCode::CloudUnavailable, format!("{}: {last}", ran.status))),
    }
}
