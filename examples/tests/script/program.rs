//! The program under test, and a folder for it to work in.

use std::ffi::OsString;
use std::fs::{self, File};
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::os::unix::ffi::OsStringExt as _;
use std::os::unix::process::ExitStatusExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, ExitStatus, Stdio};
use std::time::SystemTime;

use chalk_deploy_core::store::{DeploymentRecord, DeploymentStore as _, HistoryQuery, SqliteStore};
use rustix::process::{Pid, Signal, kill_process};
use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use rustix::termios::{Winsize, tcsetwinsize};
use serde_json::Value;
use tempfile::TempDir;

/// A folder with a copy of the sample project in `project`, removed at the end.
pub(crate) struct Sandbox {
    folder: TempDir,
}

impl Sandbox {
    pub(crate) fn new() -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let sample = Path::new(env!("CARGO_MANIFEST_DIR")).join("projects/fraud");
        copy(&sample, &folder.path().join("project"));
        fs::create_dir(folder.path().join("no-programs")).expect("a new folder");
        Self { folder }
    }

    /// A file or folder inside.
    pub(crate) fn path(&self, relative: &str) -> PathBuf {
        self.folder.path().join(relative)
    }

    /// Writes a file inside.
    pub(crate) fn write(&self, relative: &str, content: impl AsRef<[u8]>) {
        fs::write(self.path(relative), content).expect("a file that can be written");
    }

    /// `apply project --force`, to be run here.
    pub(crate) fn apply(&self) -> Program {
        self.program(&["project", "--force"])
    }

    /// `apply` with these arguments, to be run here.
    pub(crate) fn program(&self, arguments: &[&str]) -> Program {
        self.example("apply", arguments)
    }

    /// An example with these arguments, to be run here.
    pub(crate) fn example(&self, name: &str, arguments: &[&str]) -> Program {
        let mut command = Command::new(executable(name));
        command.args(arguments).current_dir(self.folder.path()).stdin(Stdio::null());
        // Neither the log of whoever runs the tests nor a chalkpy of theirs may change what is seen.
        for cloud in ["AWS_REGION", "AWS_DEFAULT_REGION", "AWS_ENDPOINT_URL", "CHALK_DEPLOY_EXTERNAL_ID"] {
            command.env_remove(cloud);
        }
        for azure in ["AUTHORITY_HOST", "CLIENT_ID", "FEDERATED_TOKEN_FILE", "TENANT_ID", "TOKEN_CREDENTIALS"] {
            command.env_remove(format!("AZURE_{azure}"));
        }
        command.env_remove("RUST_LOG").env_remove("CHALK_DEPLOY_LOG").env("PATH", self.path("no-programs"));
        Program(command)
    }

    /// A line of the shell, to be run here.
    pub(crate) fn shell(&self, line: &str) -> Program {
        let mut command = Command::new("/bin/sh");
        command.args(["-c", line]).current_dir(self.folder.path()).stdin(Stdio::null());
        Program(command)
    }

    /// The deployments in a state folder, newest first.
    pub(crate) fn history(&self, state: &str) -> Vec<DeploymentRecord> {
        self.with_store(state, async |store| store.history(&HistoryQuery::default()).await.expect("a readable store"))
    }

    /// Does something with the store of a state folder.
    pub(crate) fn with_store<T>(&self, state: &str, work: impl AsyncFnOnce(&SqliteStore) -> T) -> T {
        let executor = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a tokio runtime");
        executor.block_on(async {
            let store = SqliteStore::open(&self.path(state)).await.expect("a state folder");
            work(&store).await
        })
    }
}

/// A command that was not started yet.
pub(crate) struct Program(Command);

impl Program {
    pub(crate) fn with(mut self, arguments: &[&str]) -> Self {
        self.0.args(arguments);
        self
    }

    pub(crate) fn variable(mut self, name: &str, value: impl AsRef<std::ffi::OsStr>) -> Self {
        self.0.env(name, value);
        self
    }

    pub(crate) fn inside(mut self, folder: &Path) -> Self {
        self.0.current_dir(folder);
        self
    }

    /// Runs it to its end.
    pub(crate) fn run(mut self) -> Finished {
        let output = self.0.output().expect("the example was built before");
        Finished {
            status: output.status,
            stdout: String::from_utf8(output.stdout).expect("text"),
            stderr: String::from_utf8(output.stderr).expect("text"),
        }
    }

    /// Runs it in the background.
    pub(crate) fn start(mut self) -> Running {
        let mut child =
            self.0.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("the example was built before");
        let stdout = BufReader::new(child.stdout.take().expect("it is piped"));
        Running { child, stdout: Some(stdout) }
    }

    /// Runs it in the background on a terminal of its own, 100 columns wide.
    pub(crate) fn start_on_terminal(self) -> OnTerminal {
        self.on_terminal_with("TERM", "xterm-256color")
    }

    /// The same, with this variable.
    pub(crate) fn on_terminal_with(mut self, name: &str, value: &str) -> OnTerminal {
        let screen = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).expect("a pseudo-terminal");
        grantpt(&screen).and_then(|()| unlockpt(&screen)).expect("it is ours");
        let size = Winsize { ws_row: 30, ws_col: 100, ws_xpixel: 0, ws_ypixel: 0 };
        tcsetwinsize(&screen, size).expect("it is a terminal");
        let other = ptsname(&screen, Vec::new()).expect("it has a name");
        let path = PathBuf::from(OsString::from_vec(other.into_bytes()));
        let open = || File::options().read(true).write(true).open(&path).expect("the other side");
        self.0
            .stdin(open())
            .stdout(open())
            .stderr(open())
            .env("TERM", "xterm-256color")
            .env_remove("NO_COLOR")
            .env(name, value);
        let child = self.0.spawn().expect("the example was built before");
        // Only the child may hold the other side: when it ends, the screen does.
        drop(self);
        OnTerminal { child, screen: File::from(screen), shown: String::new() }
    }
}

/// A run under way on a terminal.
pub(crate) struct OnTerminal {
    child: Child,
    screen: File,
    shown: String,
}

impl OnTerminal {
    /// Reads until this was shown.
    pub(crate) fn wait_for(&mut self, text: &str) {
        while !self.shown.contains(text) {
            assert!(self.read(), "`{text}` was never shown: {}", self.shown);
        }
    }

    /// Types a line.
    pub(crate) fn answer(&mut self, line: &str) {
        self.screen.write_all(format!("{line}\n").as_bytes()).expect("the terminal takes it");
    }

    pub(crate) fn signal(&self, signal: Signal) {
        send(&self.child, signal);
    }

    /// Waits for the end. Gives the exit code and all that was shown.
    pub(crate) fn end(mut self) -> (Option<i32>, String) {
        while self.read() {}
        (self.child.wait().expect("a child of ours").code(), self.shown)
    }

    fn read(&mut self) -> bool {
        let mut bytes = [0; 4096];
        // Linux says EIO when the other side is closed.
        let read = self.screen.read(&mut bytes).unwrap_or(0);
        self.shown.push_str(&String::from_utf8_lossy(&bytes[..read]));
        read > 0
    }
}

fn send(child: &Child, signal: Signal) {
    let pid = i32::try_from(child.id()).ok().and_then(Pid::from_raw).expect("a process id");
    // It may have ended meanwhile; its status tells.
    let _ = kill_process(pid, signal);
}

/// How a run ended.
#[derive(Debug)]
pub(crate) struct Finished {
    status: ExitStatus,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Finished {
    pub(crate) fn code(&self) -> Option<i32> {
        self.status.code()
    }

    pub(crate) fn was_killed(&self) -> bool {
        self.status.signal() == Some(9)
    }

    /// The lines on stdout, each of which must be a JSON object.
    pub(crate) fn events(&self) -> Vec<Value> {
        let read = |line: &str| -> Value {
            let value = serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"));
            assert!(matches!(value, Value::Object(_)), "{line}");
            value
        };
        self.stdout.lines().map(read).collect()
    }

    /// The last line, of a run that ended well.
    pub(crate) fn last(&self) -> Value {
        self.events().pop().unwrap_or_else(|| panic!("there is no event: {self:?}"))
    }

    /// Checks the exit code; shows everything if it is another.
    #[track_caller]
    pub(crate) fn expect(self, code: i32) -> Self {
        assert_eq!(self.code(), Some(code), "{self:#?}");
        self
    }
}

/// A run under way.
pub(crate) struct Running {
    child: Child,
    stdout: Option<BufReader<ChildStdout>>,
}

impl Running {
    pub(crate) fn signal(&self, signal: Signal) {
        send(&self.child, signal);
    }

    /// The next line on stdout; `None` at the end.
    pub(crate) fn line(&mut self) -> Option<String> {
        let mut line = String::new();
        let stdout = self.stdout.as_mut().expect("it was not closed");
        (stdout.read_line(&mut line).expect("text") > 0).then_some(line)
    }

    /// Nobody reads stdout any more.
    pub(crate) fn close_stdout(&mut self) {
        self.stdout = None;
    }

    /// Reads stderr until a line holds this text.
    pub(crate) fn wait_for_note(&mut self, text: &str) {
        let mut read = String::new();
        let stderr = self.child.stderr.as_mut().expect("it is piped");
        let mut byte = [0];
        while !read.contains(text) {
            assert!(stderr.read(&mut byte).expect("readable") > 0, "`{text}` was never said: {read}");
            read.push(char::from(byte[0]));
        }
    }

    /// Waits for the end; what was read before is not part of it.
    pub(crate) fn end(mut self) -> Finished {
        let mut stdout = String::new();
        if let Some(reader) = &mut self.stdout {
            reader.read_to_string(&mut stdout).expect("text");
        }
        let mut stderr = String::new();
        self.child.stderr.take().expect("it is piped").read_to_string(&mut stderr).expect("text");
        Finished { status: self.child.wait().expect("a child of ours"), stdout, stderr }
    }
}

/// `target/<profile>/examples/<name>`, beside the folder of this test. `cargo test` builds it; `cargo test --test script`
/// alone does not, and an old program would test nothing.
pub(crate) fn executable(name: &str) -> PathBuf {
    let this = std::env::current_exe().expect("a path");
    let profile = this.parent().and_then(Path::parent).expect("target/<profile>/deps/<this>");
    let path = profile.join("examples").join(name);
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    let source = [here.join(name), here.join(format!("{name}.rs"))].into_iter().filter_map(|path| newest(&path)).max();
    let is_fresh = fs::metadata(&path).and_then(|found| found.modified()).is_ok_and(|built| source <= Some(built));
    assert!(is_fresh, "build it first: cargo build -p chalk-deploy-examples --example {name}");
    path
}

/// When a file, or the newest of a folder, was written; `None` if there is none.
fn newest(path: &Path) -> Option<SystemTime> {
    if path.is_dir() {
        let entries = fs::read_dir(path).expect("readable").map(|entry| entry.expect("readable").path());
        entries.filter_map(|path| newest(&path)).max()
    } else {
        fs::metadata(path).and_then(|found| found.modified()).ok()
    }
}

/// Copies a folder with all that is in it.
pub(crate) fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).expect("a new folder");
    for entry in fs::read_dir(from).unwrap_or_else(|error| panic!("{}: {error}", from.display())) {
        let entry = entry.expect("a readable folder");
        let target = to.join(entry.file_name());
        if entry.file_type().expect("a kind").is_dir() {
            copy(&entry.path(), &target);
        } else {
            fs::copy(entry.path(), &target).expect("a file that can be copied");
        }
    }
}
