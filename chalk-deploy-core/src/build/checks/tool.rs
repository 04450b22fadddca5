//! Programs that look at a project: found, run without a shell and with almost nothing of our environment, and gone with
//! all that they started when they are no longer waited for.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWriteExt as _};
use tokio::process::Command;

use crate::build::process_group::ProcessGroup;
use crate::runtime::{Runtime, RuntimeExt as _};
use crate::text;

/// What is read of a program's output; more of it ends the program.
const OUTPUT_MOST: usize = 16 << 20;
const ERRORS_MOST: usize = 64 << 10;
/// How long the output is waited for after the end of a program: something that it started may hold it open for ever.
const AFTER_THE_END: Duration = Duration::from_secs(1);

/// Where a program is taken from.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Tool {
    /// From nowhere: the step is skipped.
    #[default]
    Off,
    /// This one, by its absolute path.
    At(PathBuf),
    /// The first of its name in these directories, as in `PATH`. Relative ones are left out.
    In(Vec<PathBuf>),
}

impl Tool {
    /// The programs on the `PATH` of this process.
    pub fn on_path() -> Self {
        let path = std::env::var_os("PATH").unwrap_or_default();
        Self::In(std::env::split_paths(&path).filter(|directory| directory.is_absolute()).collect())
    }

    /// The programs to try, in order. Empty with the reason.
    pub(super) fn candidates(&self, what: &str, names: &[&str]) -> Result<Vec<PathBuf>, String> {
        let found: Vec<_> = match self {
            Self::Off => return Err(format!("no {what} is set up")),
            Self::At(path) if !path.is_absolute() => {
                return Err(format!("the {what} is not named by an absolute path"));
            }
            Self::At(path) => vec![path.clone()],
            Self::In(directories) => directories
                .iter()
                .filter(|directory| directory.is_absolute())
                .flat_map(|directory| names.iter().map(move |name| directory.join(name)))
                .collect(),
        };
        let found: Vec<_> = found.into_iter().filter(|path| is_program(path)).collect();
        match (found.is_empty(), self) {
            (false, _) => Ok(found),
            (true, Self::At(path)) => Err(format!("there is no program {}", shown(path))),
            (true, _) => Err(format!("there is no {} on the path", names.join(" or "))),
        }
    }
}

fn is_program(path: &Path) -> bool {
    use std::os::unix::fs::PermissionsExt as _;
    std::fs::metadata(path).is_ok_and(|metadata| metadata.is_file() && metadata.permissions().mode() & 0o111 != 0)
}

pub(super) fn shown(path: &Path) -> String {
    text::line(&path.to_string_lossy(), 200)
}

/// One run of a program.
#[derive(Debug)]
pub(super) struct Run<'run> {
    pub(super) program: &'run Path,
    pub(super) arguments: Vec<OsString>,
    /// Where it stands.
    pub(super) directory: &'run Path,
    /// An empty directory: its home, and where its temporary files lie.
    pub(super) home: &'run Path,
    pub(super) input: Vec<u8>,
    pub(super) limit: Duration,
}

/// How a program ended.
#[derive(Debug)]
pub(super) struct Ran {
    pub(super) code: Option<i32>,
    pub(super) output: Vec<u8>,
    pub(super) errors: Vec<u8>,
}

impl Ran {
    /// How it ended, with the first lines of its errors.
    pub(super) fn failure(&self, what: &str) -> String {
        let end = self.code.map_or_else(|| "was ended by a signal".to_owned(), |code| format!("ended with {code}"));
        let errors = String::from_utf8_lossy(&self.errors);
        let mut lines = errors.lines().map(str::trim).filter(|line| !line.is_empty());
        let first = match lines.next().unwrap_or_default() {
            // Of a traceback, the end says what it was.
            line if line.starts_with("Traceback") => lines.next_back().unwrap_or_default().to_owned(),
            // Ruff says only then which file it could not read; further lines would show what is in it.
            line => line.to_owned() + &lines.next().map(|next| format!("; {next}")).unwrap_or_default(),
        };
        let first = text::line(&super::super::redaction::redacted(&first), 300);
        if first.is_empty() { format!("{what} {end}") } else { format!("{what} {end}: {first}") }
    }
}

impl Run<'_> {
    /// Runs it to its end. What cannot be told of its end is the reason why not.
    pub(super) async fn ended(self, what: &str, runtime: &dyn Runtime) -> Result<Ran, String> {
        let limit = self.limit;
        match runtime.within(limit, self.run(runtime)).await {
            Some(Ok(Some(ran))) => Ok(ran),
            Some(Ok(None)) => Err(format!("{what} wrote more than {}", text::bytes(OUTPUT_MOST as u64))),
            Some(Err(error)) => Err(format!("{what} cannot be run: {error}")),
            None => Err(format!("{what} did not end within {} s, and was stopped", limit.as_secs())),
        }
    }

    /// `None` when it wrote too much.
    async fn run(self, runtime: &dyn Runtime) -> std::io::Result<Option<Ran>> {
        let own = self.program.parent().map(Path::to_owned).into_iter();
        let path = std::env::join_paths(own.chain(["/usr/bin".into(), "/bin".into()])).unwrap_or_default();
        let mut command = Command::new(self.program);
        command
            .args(&self.arguments)
            .current_dir(self.directory)
            .env_clear()
            .env("PATH", path)
            .env("HOME", self.home)
            .env("TMPDIR", self.home)
            .env("LC_ALL", "C.UTF-8")
            .env("NO_COLOR", "1")
            // For programs in Python: the same bytes each time, and nothing imported from where they stand.
            .env("PYTHONHASHSEED", "0")
            .env("PYTHONDONTWRITEBYTECODE", "1")
            .env("PYTHONSAFEPATH", "1")
            .env("PYTHONUTF8", "1")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .process_group(0)
            .kill_on_drop(true);
        let mut child = command.spawn()?;
        let _group = ProcessGroup::of(&child);
        let (stdin, stdout, stderr) = (child.stdin.take(), child.stdout.take(), child.stderr.take());
        let (mut output, mut errors) = (Vec::new(), Vec::new());
        let (status, whole) = {
            let feed = async {
                if let Some(mut stdin) = stdin {
                    // Who does not read its input does not want it.
                    let _ = stdin.write_all(&self.input).await;
                }
            };
            let drain = async {
                let (output, errors) = (&mut output, &mut errors);
                let ((), whole, _) =
                    tokio::join!(feed, fill(stdout, output, OUTPUT_MOST), fill(stderr, errors, ERRORS_MOST));
                whole
            };
            tokio::pin!(drain);
            tokio::select! {
                status = child.wait() => {
                    (status?, runtime.within(AFTER_THE_END, drain.as_mut()).await.unwrap_or(Ok(true)))
                }
                whole = drain.as_mut() => {
                    if matches!(whole, Ok(false)) {
                        return Ok(None);
                    }
                    (child.wait().await?, whole)
                }
            }
        };
        if !whole? {
            return Ok(None);
        }
        Ok(Some(Ran { code: status.code(), output, errors }))
    }
}

/// Reads to the end, or until it is too much: then false.
async fn fill(from: Option<impl AsyncRead + Unpin>, into: &mut Vec<u8>, most: usize) -> std::io::Result<bool> {
    let Some(from) = from else { return Ok(true) };
    from.take(most as u64 + 1).read_to_end(into).await?;
    let whole = into.len() <= most;
    into.truncate(most);
    Ok(whole)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;
    use crate::runtime::SystemRuntime;

    fn script(folder: &Path, name: &str, body: &str) -> PathBuf {
        let path = folder.join(name);
        std::fs::write(&path, format!("#!/bin/sh\n{body}\n")).expect("written");
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).expect("made a program");
        path
    }

    async fn run(folder: &Path, body: &str, limit: Duration) -> Result<Ran, String> {
        let program = script(folder, "tool", body);
        let run = Run {
            program: &program,
            arguments: vec!["a b".into(), "$(id)".into()],
            directory: folder,
            home: folder,
            input: b"input".to_vec(),
            limit,
        };
        run.ended("the tool", &*SystemRuntime::new()).await
    }

    #[tokio::test]
    async fn a_program_gets_its_arguments_as_they_are_and_nothing_of_our_environment() {
        let folder = tempfile::tempdir().expect("a folder");
        let body = "printf '%s|' \"$@\"; cat; echo; env | cut -d= -f1 | sort | tr '\\n' ' '; echo words >&2; exit 3";
        let ran = run(folder.path(), body, Duration::from_secs(20)).await.expect("it ended");
        let output = String::from_utf8(ran.output.clone()).expect("text");
        let (first, variables) = output.split_once('\n').expect("two lines");
        assert_eq!(first, "a b|$(id)|input");
        let known = [
            "HOME",
            "LC_ALL",
            "NO_COLOR",
            "OLDPWD",
            "PATH",
            "PWD",
            "PYTHONDONTWRITEBYTECODE",
            "PYTHONHASHSEED",
            "PYTHONSAFEPATH",
            "PYTHONUTF8",
            "SHLVL",
            "TMPDIR",
            "_",
        ];
        assert!(variables.split_whitespace().all(|name| known.contains(&name)), "{variables}");
        assert_eq!(ran.failure("the tool"), "the tool ended with 3: words");
    }

    #[tokio::test]
    async fn a_program_that_does_not_end_is_stopped_with_what_it_started() {
        let folder = tempfile::tempdir().expect("a folder");
        let body = "sleep 300 & echo $! > started; echo $$ > leader; wait";
        let error = run(folder.path(), body, Duration::from_millis(500)).await.expect_err("it waits");
        assert!(error.contains("did not end within"), "{error}");
        for name in ["started", "leader"] {
            let id = std::fs::read_to_string(folder.path().join(name)).expect("it began");
            gone(id.trim()).await;
        }
    }

    #[tokio::test]
    async fn what_a_program_leaves_running_ends_with_it_and_is_not_waited_for() {
        let folder = tempfile::tempdir().expect("a folder");
        let ran = run(folder.path(), "sleep 300 & echo $!", Duration::from_secs(20)).await.expect("it ended");
        gone(String::from_utf8(ran.output).expect("a number").trim()).await;
    }

    #[tokio::test]
    async fn a_program_that_writes_without_end_is_stopped() {
        let folder = tempfile::tempdir().expect("a folder");
        let error = run(folder.path(), "exec yes", Duration::from_mins(1)).await.expect_err("too much");
        assert_eq!(error, "the tool wrote more than 16.0 MiB");
    }

    /// Waits until a process is no longer there, or only its remains.
    async fn gone(id: &str) {
        for _ in 0..1000 {
            let state = std::fs::read_to_string(format!("/proc/{id}/stat")).unwrap_or_default();
            if state.is_empty() || state.contains(") Z ") {
                return;
            }
            tokio::task::yield_now().await;
            std::thread::yield_now();
        }
        SystemRuntime::new().sleep(Duration::from_secs(1)).await;
        let state = std::fs::read_to_string(format!("/proc/{id}/stat")).unwrap_or_default();
        assert!(state.is_empty() || state.contains(") Z "), "{state}");
    }

    #[test]
    fn a_tool_is_looked_for_only_where_it_may_be() {
        let folder = tempfile::tempdir().expect("a folder");
        let program = script(folder.path(), "ruff", "");
        std::fs::write(folder.path().join("mypy"), "no program").expect("written");
        let on = Tool::In(vec!["relative".into(), folder.path().to_owned()]);
        assert_eq!(on.candidates("linter", &["ruff"]), Ok(vec![program.clone()]));
        assert_eq!(on.candidates("type checker", &["mypy"]), Err("there is no mypy on the path".to_owned()));
        assert_eq!(Tool::Off.candidates("linter", &["ruff"]), Err("no linter is set up".to_owned()));
        assert_eq!(Tool::At(program.clone()).candidates("linter", &["x"]), Ok(vec![program]));
        assert!(Tool::At("ruff".into()).candidates("linter", &["x"]).is_err());
        assert!(Tool::At("/nowhere/ruff".into()).candidates("linter", &["x"]).is_err());
    }
}
