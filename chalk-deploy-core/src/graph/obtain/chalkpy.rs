//! Runs `chalkpy export`.

use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use bytes::Bytes;
use tokio::io::{AsyncRead, AsyncReadExt as _};
use tokio::process::Command;

use super::{SearchPath, read, shown};
use crate::runtime::{Runtime, RuntimeExt as _};
use crate::{Error, ErrorCode, Result, text};

/// So much of the end of chalkpy's output is kept, and so many lines of it are shown.
const KEPT_BYTES: usize = 16 << 10;
const SHOWN_LINES: usize = 20;
/// How long the output is waited for after chalkpy ended: something that it started may hold it open for ever.
const AFTER_THE_END: Duration = Duration::from_secs(1);

/// Where projects keep their virtual environment.
const OWN_ENVIRONMENTS: [&str; 2] = [".venv", "venv"];

#[cfg(windows)]
const PROGRAM: [&str; 2] = ["Scripts", "chalkpy.exe"];
#[cfg(not(windows))]
const PROGRAM: [&str; 2] = ["bin", "chalkpy"];

/// The chalkpy to run: that of the active virtual environment, of the project's own, of the path.
pub(super) async fn find(project_directory: &Path, search_path: &SearchPath) -> Option<PathBuf> {
    let [programs, name] = PROGRAM;
    let homes = search_path.virtual_environment.iter().cloned();
    let own = OWN_ENVIRONMENTS.map(|home| project_directory.join(home));
    let candidates = homes
        .chain(own)
        .map(|home| home.join(programs).join(name))
        .chain(search_path.directories.iter().map(|directory| directory.join(name)));
    for candidate in candidates {
        // Absolute, because it is run in another directory.
        let Ok(candidate) = std::path::absolute(candidate) else { continue };
        if tokio::fs::metadata(&candidate).await.is_ok_and(|metadata| is_program(&metadata)) {
            return Some(candidate);
        }
    }
    None
}

#[cfg(unix)]
fn is_program(metadata: &std::fs::Metadata) -> bool {
    use std::os::unix::fs::PermissionsExt as _;
    metadata.is_file() && metadata.permissions().mode() & 0o111 != 0
}

#[cfg(not(unix))]
fn is_program(metadata: &std::fs::Metadata) -> bool {
    metadata.is_file()
}

/// What chalkpy exports.
pub(super) async fn export(
    program: &Path,
    project_directory: &Path,
    time_limit: Duration,
    runtime: &dyn Runtime,
) -> Result<Bytes> {
    let failed = |message: String| Error::new(ErrorCode::GraphExportFailed, message).on(shown(program));
    let home = tempfile::tempdir().map_err(|error| {
        failed("no temporary directory could be made for the export".to_owned())
            .with_hint("make room in the directory for temporary files")
            .caused_by(error)
    })?;
    let file = home.path().join("export.pb");
    // chalkpy goes into the directory and then looks at it again, so that a relative one leads nowhere.
    let directory = tokio::fs::canonicalize(project_directory).await.map_err(|error| {
        Error::new(ErrorCode::ProjectDirectoryInvalid, "the project cannot be entered")
            .on(shown(project_directory))
            .caused_by(error)
    })?;
    let mut command = Command::new(program);
    if let Some(home) = environment_to_skip(program, &directory).await {
        command.env("VIRTUAL_ENV", home);
    }
    let mut child = command
        .arg("export")
        .arg(&file)
        .arg("--proto")
        .arg("--directory")
        .arg(&directory)
        .current_dir(&directory)
        // What is imported must not change the tree that is about to be archived.
        .env("PYTHONDONTWRITEBYTECODE", "1")
        .env("PYTHONUNBUFFERED", "1")
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .map_err(|error| failed("chalkpy cannot be started".to_owned()).caused_by(error))?;
    let mut output = Tail::default();
    let mut errors = Tail::default();
    let (stdout, stderr) = (child.stdout.take(), child.stderr.take());
    let status = {
        let drained = async { tokio::join!(output.fill(stdout), errors.fill(stderr)) };
        tokio::pin!(drained);
        let run = async {
            tokio::select! {
                status = child.wait() => {
                    runtime.within(AFTER_THE_END, drained.as_mut()).await;
                    status
                }
                _ = drained.as_mut() => child.wait().await,
            }
        };
        runtime.within(time_limit, run).await
    };
    // On a time-out the drop of the child kills it.
    let said = || said(&output, &errors);
    let status = status
        .ok_or_else(|| {
            failed(format!("chalkpy did not end within {time_limit:?}{}", said()))
                .with_hint("allow more time, or look for code that waits while it is imported")
        })?
        .map_err(|error| failed("chalkpy cannot be waited for".to_owned()).caused_by(error))?;
    if !status.success() {
        return Err(failed(format!("chalkpy failed ({}){}", ended(status), said())));
    }
    match read(&file).await? {
        Some(bytes) => Ok(bytes),
        None => Err(failed(format!("chalkpy ended well, and wrote no export{}", said()))),
    }
}

/// chalkpy imports every file below the project but those of the virtual environment that `VIRTUAL_ENV` names; without
/// it a `.venv` in the project would be imported too, and fail.
async fn environment_to_skip(program: &Path, project_directory: &Path) -> Option<PathBuf> {
    let own = OWN_ENVIRONMENTS.map(|home| project_directory.join(home));
    let of_program = program.ancestors().nth(2).map(Path::to_path_buf);
    for home in own.into_iter().chain(of_program) {
        if tokio::fs::metadata(home.join("pyvenv.cfg")).await.is_ok() {
            return Some(home);
        }
    }
    None
}

fn ended(status: ExitStatus) -> String {
    status.code().map_or_else(|| "ended by a signal".to_owned(), |code| format!("exit code {code}"))
}

/// The end of what a program wrote.
#[derive(Debug, Default)]
struct Tail {
    bytes: Vec<u8>,
}

impl Tail {
    async fn fill(&mut self, from: Option<impl AsyncRead + Unpin>) {
        let Some(mut from) = from else { return };
        let mut buffer = [0; 4096];
        while let Ok(read) = from.read(&mut buffer).await {
            if read == 0 {
                return;
            }
            self.bytes.extend_from_slice(buffer.get(..read).unwrap_or_default());
            let surplus = self.bytes.len().saturating_sub(KEPT_BYTES);
            self.bytes.drain(..surplus);
        }
    }
}

/// The last lines of both outputs, made safe to show.
fn said(output: &Tail, errors: &Tail) -> String {
    let mut lines: Vec<String> = Vec::new();
    for tail in [output, errors] {
        let text = String::from_utf8_lossy(&tail.bytes);
        lines.extend(text.lines().map(|line| text::line(line, 300)).filter(|line| !line.trim().is_empty()));
    }
    let surplus = lines.len().saturating_sub(SHOWN_LINES);
    if lines.is_empty() { " without a word".to_owned() } else { format!(":\n{}", lines.split_off(surplus).join("\n")) }
}
