//! A program of somebody else's, run for us: without a shell and with nothing of our environment, in a process group of
//! its own that ends with us, for a bounded time, and with a bounded memory of what it says.

use std::collections::VecDeque;
use std::ffi::OsString;
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt as _};
use tokio::process::Command;

use crate::build::process_group::ProcessGroup;
use crate::build::redaction::redacted;
use crate::runtime::{Runtime, RuntimeExt as _};
use crate::{Error, ErrorCode, Result, text};

/// The longest line that is kept of the output, in bytes.
const LINE_MOST: usize = 1000;
/// How many of the last lines an error shows.
const LINES_SHOWN: usize = 20;
/// How many lines are passed on while it runs.
const LINES_HEARD: usize = 200;
/// How long the output is waited for after the program ended: something that it started may hold it open.
const AFTER_THE_END: Duration = Duration::from_secs(1);

/// What is run.
pub(super) struct Invocation<'a> {
    pub(super) program: &'a Path,
    pub(super) arguments: Vec<OsString>,
    /// All that it sees of an environment.
    pub(super) variables: Vec<(OsString, OsString)>,
    pub(super) folder: &'a Path,
    pub(super) limit: Duration,
    /// What is never shown.
    pub(super) secrets: Vec<String>,
    /// Whether what it writes to stdout is listened to: it may be the answer once more, and no news.
    pub(super) hears_stdout: bool,
}

/// How it ended.
#[derive(Debug)]
pub(super) struct Ended {
    pub(super) success: bool,
    /// The last lines of both of its outputs, safe to show.
    pub(super) said: Vec<String>,
}

impl Invocation<'_> {
    /// Runs it to its end. Each line goes to `heard` as it comes, the first few hundred of them. Dropping this kills the
    /// program and whatever it has started.
    pub(super) async fn run(&self, runtime: &dyn Runtime, heard: &mut (dyn FnMut(&str) + Send)) -> Result<Ended> {
        let failed = |message: String| Error::new(ErrorCode::BuildFailed, message).on(self.program.display());
        let mut child = Command::new(self.program)
            .args(&self.arguments)
            .env_clear()
            .envs(self.variables.iter().map(|(name, value)| (name, value)))
            .current_dir(self.folder)
            .stdin(Stdio::null())
            .stdout(if self.hears_stdout { Stdio::piped() } else { Stdio::null() })
            .stderr(Stdio::piped())
            .process_group(0)
            .kill_on_drop(true)
            .spawn()
            .map_err(|error| failed("the program that installs cannot be started".to_owned()).caused_by(error))?;
        let _group = ProcessGroup::of(&child);
        let (stdout, stderr) = (child.stdout.take(), child.stderr.take());
        let mut said = Said { heard, secrets: &self.secrets, passed: 0, last: VecDeque::new() };
        let ended = {
            let drained = said.listen(stdout, stderr);
            tokio::pin!(drained);
            let run = async {
                tokio::select! {
                    status = child.wait() => {
                        runtime.within(AFTER_THE_END, drained.as_mut()).await;
                        status
                    }
                    () = drained.as_mut() => child.wait().await,
                }
            };
            runtime.within(self.limit, run).await
        };
        let last = || said.last.iter().cloned().collect::<Vec<_>>();
        let Some(status) = ended else {
            let minutes = self.limit.as_secs() / 60;
            return Err(failed(format!(
                "installing did not end within {minutes} min, and was stopped{}",
                shown(&last())
            ))
            .with_hint("allow more time, or look at how the index answers"));
        };
        let status = status.map_err(|error| failed("it cannot be waited for".to_owned()).caused_by(error))?;
        Ok(Ended { success: status.success(), said: last() })
    }
}

/// Lines as the end of a message.
pub(super) fn shown(lines: &[String]) -> String {
    if lines.is_empty() { " without a word".to_owned() } else { format!(":\n{}", lines.join("\n")) }
}

/// What a program says.
struct Said<'a> {
    heard: &'a mut (dyn FnMut(&str) + Send),
    secrets: &'a [String],
    passed: usize,
    last: VecDeque<String>,
}

impl Said<'_> {
    async fn listen(
        &mut self,
        mut stdout: Option<impl AsyncRead + Unpin + Send>,
        mut stderr: Option<impl AsyncRead + Unpin + Send>,
    ) {
        let (mut one, mut other) = ([0; 4096], [0; 4096]);
        let (mut of_stdout, mut of_stderr) = (Vec::new(), Vec::new());
        while stdout.is_some() || stderr.is_some() {
            tokio::select! {
                read = read(&mut stdout, &mut one), if stdout.is_some() => match read {
                    0 => stdout = None,
                    read => self.take(&mut of_stdout, &one[..read]),
                },
                read = read(&mut stderr, &mut other), if stderr.is_some() => match read {
                    0 => stderr = None,
                    read => self.take(&mut of_stderr, &other[..read]),
                },
            }
        }
        self.line(&of_stdout);
        self.line(&of_stderr);
    }

    fn take(&mut self, begun: &mut Vec<u8>, bytes: &[u8]) {
        for byte in bytes {
            match byte {
                // Progress bars write over their lines.
                b'\n' | b'\r' => {
                    self.line(begun);
                    begun.clear();
                }
                byte if begun.len() < LINE_MOST => begun.push(*byte),
                _ => {}
            }
        }
    }

    fn line(&mut self, bytes: &[u8]) {
        let mut line = String::from_utf8_lossy(bytes).into_owned();
        for secret in self.secrets {
            line = line.replace(secret, "[redacted]");
        }
        let line = text::line(redacted(&line).trim(), 300);
        if line.is_empty() {
            return;
        }
        if self.passed < LINES_HEARD {
            self.passed += 1;
            (self.heard)(&line);
        }
        self.last.push_back(line);
        if self.last.len() > LINES_SHOWN {
            self.last.pop_front();
        }
    }
}

/// How much was read; nothing at the end, or when it cannot be read.
async fn read(from: &mut Option<impl AsyncRead + Unpin>, buffer: &mut [u8]) -> usize {
    match from {
        Some(from) => from.read(buffer).await.unwrap_or_default(),
        None => 0,
    }
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use super::*;
    use crate::runtime::SystemRuntime;

    fn shell(script: &str, folder: &Path) -> Invocation<'static> {
        let folder: &'static Path = Box::leak(folder.to_owned().into_boxed_path());
        Invocation {
            program: Path::new("/bin/sh"),
            arguments: vec!["-c".into(), script.into()],
            variables: vec![("PATH".into(), "/usr/bin:/bin".into())],
            folder,
            limit: Duration::from_secs(20),
            secrets: vec!["hush-hush".to_owned()],
            hears_stdout: true,
        }
    }

    fn is_alive(id: &str) -> bool {
        PathBuf::from(format!("/proc/{id}/stat"))
            .exists()
            // What nobody has waited for yet is no longer alive.
            && std::fs::read_to_string(format!("/proc/{id}/stat")).is_ok_and(|stat| !stat.contains(") Z "))
    }

    async fn dies(id: &str, runtime: &dyn Runtime) -> bool {
        for _ in 0..200 {
            if !is_alive(id) {
                return true;
            }
            runtime.sleep(Duration::from_millis(10)).await;
        }
        false
    }

    #[tokio::test]
    async fn its_lines_are_heard_as_they_come_and_the_last_ones_kept_without_secrets() {
        let (folder, runtime) = (tempfile::tempdir().expect("a folder"), SystemRuntime::new());
        let script = "for n in $(seq 300); do echo line $n; done; printf 'hush-hush \\033[31m https://u:p@x/\\r' >&2; env; exit 3";
        let mut heard = Vec::new();
        let ended =
            shell(script, folder.path()).run(&*runtime, &mut |line| heard.push(line.to_owned())).await.expect("it ran");
        assert!(!ended.success);
        assert_eq!(heard.len(), LINES_HEARD);
        assert_eq!(ended.said.len(), LINES_SHOWN);
        let all = ended.said.join("\n");
        assert!(!all.contains("hush") && !all.contains('\u{1b}') && !all.contains("u:p@"), "{all}");
        assert!(all.contains("line 300") && all.contains("PATH=/usr/bin:/bin") && !all.contains("HOME"), "{all}");
    }

    #[tokio::test]
    async fn what_takes_too_long_is_killed_with_all_that_it_started() {
        let (folder, runtime) = (tempfile::tempdir().expect("a folder"), SystemRuntime::new());
        let file = folder.path().join("id");
        let script = format!("sleep 1000 & echo $! > {}; wait", file.display());
        let invocation = Invocation { limit: Duration::from_millis(300), ..shell(&script, folder.path()) };
        let error = invocation.run(&*runtime, &mut |_| {}).await.expect_err("too long");
        assert!(error.message().contains("did not end within"), "{error}");
        let id = std::fs::read_to_string(&file).expect("it began");
        assert!(dies(id.trim(), &*runtime).await, "what it started lives on");
    }

    #[tokio::test]
    async fn what_is_given_up_is_killed_with_all_that_it_started() {
        let (folder, runtime) = (tempfile::tempdir().expect("a folder"), SystemRuntime::new());
        let file = folder.path().join("id");
        let script = format!("sleep 1000 & echo $! > {}.new; mv {0}.new {0}; wait", file.display());
        let invocation = shell(&script, folder.path());
        let begun = async {
            while !file.exists() {
                runtime.sleep(Duration::from_millis(5)).await;
            }
        };
        let mut hear = |_: &str| {};
        tokio::select! {
            _ = invocation.run(&*runtime, &mut hear) => panic!("it ended"),
            () = begun => {}
        }
        let id = std::fs::read_to_string(&file).expect("it began");
        assert!(dies(id.trim(), &*runtime).await, "what it started lives on");
    }

    #[tokio::test]
    async fn an_output_that_is_held_open_does_not_hold_the_build() {
        let (folder, runtime) = (tempfile::tempdir().expect("a folder"), SystemRuntime::new());
        let file = folder.path().join("id");
        let script = format!("sleep 1000 & echo $! > {}; echo done", file.display());
        let ended = shell(&script, folder.path()).run(&*runtime, &mut |_| {}).await.expect("it ran");
        assert!(ended.success && ended.said == ["done"], "{ended:?}");
        let id = std::fs::read_to_string(&file).expect("it began");
        assert!(dies(id.trim(), &*runtime).await, "what it started lives on");
    }
}
