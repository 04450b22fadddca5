//! Killing the own process at a named moment.

use std::collections::BTreeMap;
use std::fs::{File, OpenOptions};
use std::io::Write as _;
use std::path::Path;
use std::sync::{Mutex, MutexGuard, PoisonError};

use chalk_deploy_core::checkpoint::Checkpoints;
use chalk_deploy_core::text::printable;
use chalk_deploy_core::{Error, ErrorCode, Result};
use rustix::process::{Signal, getpid, kill_process};

/// The moment at which the process is killed: `name`, or `name#n` for the n-th time that it is reached.
pub const KILL_AT: &str = "CHALK_DEPLOY_TESTKIT_KILL_AT";

/// The file to which each moment's name is appended, one a line.
pub const CHECKPOINTS: &str = "CHALK_DEPLOY_TESTKIT_CHECKPOINTS";

/// Records the moments that are reached, and at one of them kills the process as a power failure would: by SIGKILL,
/// which nothing can catch, so that no destructor runs and no buffer is flushed.
#[derive(Debug, Default)]
pub struct CrashSwitch {
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    kill_at: Option<(String, u64)>,
    file: Option<File>,
    reached: Vec<String>,
    times: BTreeMap<String, u64>,
}

impl CrashSwitch {
    /// Records, and kills nothing.
    pub fn recording() -> Self {
        Self::default()
    }

    /// Kills the process when the moment of this name is reached for the n-th time, counted from 1.
    pub fn killing_at(name: impl Into<String>, time: u64) -> Self {
        let state = State { kill_at: Some((name.into(), time)), ..State::default() };
        Self { state: Mutex::new(state) }
    }

    /// What the variables [`KILL_AT`] and [`CHECKPOINTS`] ask for; without them it only records.
    ///
    /// # Errors
    /// [`ErrorCode::ValueInvalid`] when a variable makes no sense or the file cannot be opened.
    pub fn from_environment() -> Result<Self> {
        let switch = match std::env::var(KILL_AT) {
            Ok(text) => Self::parse(&text)?,
            Err(_) => Self::recording(),
        };
        match std::env::var_os(CHECKPOINTS) {
            Some(path) => switch.appending_to(Path::new(&path)),
            None => Ok(switch),
        }
    }

    /// Appends each moment's name to a file as well.
    ///
    /// # Errors
    /// [`ErrorCode::ValueInvalid`] when the file cannot be opened.
    pub fn appending_to(self, path: &Path) -> Result<Self> {
        let file = OpenOptions::new().create(true).append(true).open(path).map_err(|error| {
            Error::new(ErrorCode::ValueInvalid, "the file for the moments reached cannot be opened")
                .on(path.display())
                .with_hint(format!("let {CHECKPOINTS} name a file that can be written"))
                .caused_by(error)
        })?;
        self.state().file = Some(file);
        Ok(self)
    }

    /// The names of the moments that were reached, in order.
    pub fn reached_so_far(&self) -> Vec<String> {
        self.state().reached.clone()
    }

    fn parse(text: &str) -> Result<Self> {
        let (name, time) = match text.rsplit_once('#') {
            Some((name, time)) => (name, time.parse().ok().filter(|time| *time > 0)),
            None => (text, Some(1)),
        };
        match time {
            Some(time) if !name.is_empty() => Ok(Self::killing_at(name, time)),
            _ => Err(Error::new(ErrorCode::ValueInvalid, "the moment is not written as `name` or `name#number`")
                .on(format!("{KILL_AT}=`{}`", printable(text)))
                .with_hint("count from 1")),
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Checkpoints for CrashSwitch {
    fn reached(&self, name: &str) {
        let mut state = self.state();
        state.reached.push(name.to_owned());
        if let Some(file) = &mut state.file {
            // One write, so that the lines of two processes do not mix. A test that reads the file misses the line if
            // this fails, and says so.
            let _ = file.write_all(format!("{name}\n").as_bytes()).and_then(|()| file.flush());
        }
        let times = state.times.entry(name.to_owned()).or_default();
        *times += 1;
        let now = (name.to_owned(), *times);
        if state.kill_at.as_ref() == Some(&now) {
            kill_this_process();
        }
    }
}

fn kill_this_process() -> ! {
    // Sending it to oneself cannot fail; were it to, the thread would hang here and the test with it.
    let _ = kill_process(getpid(), Signal::KILL);
    loop {
        std::thread::park();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_recording_switch_keeps_the_names_in_order_and_appends_them_to_a_file() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let path = folder.path().join("reached");
        for _ in 0..2 {
            let switch = CrashSwitch::recording().appending_to(&path).expect("a file that can be written");
            switch.reached("upload/before-effect");
            switch.reached("upload/after-effect");
            assert_eq!(switch.reached_so_far(), ["upload/before-effect", "upload/after-effect"]);
        }
        assert_eq!(std::fs::read_to_string(path).expect("readable").lines().count(), 4);
    }

    #[test]
    fn a_moment_is_a_name_and_perhaps_a_number() {
        for (text, name, time) in [("a/b#3", "a/b", 3), ("a/b", "a/b", 1), ("a#b#2", "a#b", 2)] {
            let switch = CrashSwitch::parse(text).expect("a moment");
            assert_eq!(switch.state().kill_at, Some((name.to_owned(), time)));
        }
        for text in ["", "#1", "a#0", "a#x", "a#-1", "a#"] {
            assert_eq!(CrashSwitch::parse(text).expect_err(text).code(), ErrorCode::ValueInvalid);
        }
    }
}
