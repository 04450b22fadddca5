//! Strangers' programs that tests hold ours to: what is done where one is not at hand, and a Python with a stranger's
//! packages.

use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::{Mutex, PoisonError};

/// The variable that makes every check by a stranger's program a must, where it says `required`.
pub const VARIABLE: &str = "CHALK_FOREIGN";

/// Says on stderr, past what the harness captures, that something was not checked and why; each reason once.
///
/// # Panics
/// Where `CHALK_FOREIGN=required`, which the end-to-end suite sets: there nothing may be left out without a word.
pub fn skip(why: &str) {
    static SAID: Mutex<BTreeSet<String>> = Mutex::new(BTreeSet::new());
    assert!(std::env::var_os(VARIABLE).is_none_or(|value| value != "required"), "left out, and required: {why}");
    if SAID.lock().unwrap_or_else(PoisonError::into_inner).insert(why.to_owned()) {
        // Whoever closed stderr does not want to know.
        let _ = writeln!(std::io::stderr(), "skipped: {why}");
    }
}

/// Whether a program is on the path; [`skip`]s where it is not.
///
/// # Panics
/// As [`skip`] does.
pub fn installed(program: &str) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let found = std::env::split_paths(&path).any(|folder| folder.join(program).is_file());
    if !found {
        skip(&format!("{program} is not installed"));
    }
    found
}

/// A file of a product that the testbed has built, in its newest version: `part` of `testbed/build NAME`.
pub fn product(name: &str, part: &str) -> Option<PathBuf> {
    // As `testbed/lib/places` has it.
    let cache = std::env::var_os("CHALK_TESTBED_CACHE").map(PathBuf::from).or_else(|| {
        let home = || std::env::var_os("HOME").map(|home| PathBuf::from(home).join(".cache"));
        let cache = std::env::var_os("XDG_CACHE_HOME").map(PathBuf::from).or_else(home)?;
        Some(cache.join("chalk-deploy-testbed"))
    })?;
    let versions = std::fs::read_dir(cache.join("products").join(name)).ok()?;
    let parts = versions.flatten().map(|version| version.path().join(part)).filter(|path| path.exists());
    parts.max_by_key(|path| path.metadata().and_then(|found| found.modified()).ok())
}

/// A Python with packages of its own, in a virtual environment below the folder of the build. What is there is taken as it
/// is; it is made once.
#[derive(Debug, Clone)]
pub struct Python(PathBuf);

impl Python {
    /// A Python that imports these modules from these packages, each `name==version`. `name` is the environment's.
    ///
    /// # Errors
    /// Why there is none: no `python3`, no `venv`, or no package to be had.
    pub fn with(name: &str, modules: &str, packages: &[&str]) -> Result<Self, String> {
        // Of the tests of one program, one makes it and the others find it.
        static MAKING: Mutex<()> = Mutex::new(());
        let _making = MAKING.lock().unwrap_or_else(PoisonError::into_inner);
        // An environment of other versions is another one.
        let versions: String = packages.iter().flat_map(|package| package.chars().chain(['\n'])).collect();
        let folder = built().join("foreign").join(name);
        let (python, marker) = (folder.join("bin").join("python"), folder.join("packages"));
        let is_there = std::fs::read_to_string(&marker).is_ok_and(|there| there == versions);
        let imports = format!("import {modules}");
        let imports = || run(Command::new(&python).args(["-c", &imports]));
        if !(is_there && imports().is_ok()) {
            run(Command::new("python3").args(["-m", "venv", "--clear"]).arg(&folder))?;
            let install = ["-m", "pip", "install", "--quiet", "--retries", "1", "--timeout", "20"];
            run(Command::new(&python).args(install).args(packages))?;
            imports()?;
            std::fs::write(&marker, versions).map_err(|error| error.to_string())?;
        }
        Ok(Self(python))
    }

    /// Runs a script, and gives whether it ended well, with all that it has said.
    ///
    /// # Errors
    /// When it cannot be started.
    pub fn runs(&self, script: &Path, arguments: &[&OsStr]) -> Result<(bool, String), String> {
        let output = Command::new(&self.0).arg(script).args(arguments).stdin(Stdio::null()).output();
        let output = output.map_err(|error| error.to_string())?;
        let said = [output.stdout, output.stderr].concat();
        Ok((output.status.success(), String::from_utf8_lossy(&said).into_owned()))
    }
}

/// A fault to plant into a good case: this text, what stands in its place, and what a check must say of it.
pub type Fault<'a> = (&'a str, &'a str, &'a str);

/// That a check of cases can fail: each fault, planted by itself into the case `API/NAME.json` of this folder, makes the
/// script fail and say so.
///
/// # Panics
/// For each fault that is not found, and for one that cannot be planted.
pub fn assert_finds(python: &Python, script: &Path, recorded: &Path, case: &str, faults: &[Fault<'_>]) {
    let path = recorded.join(format!("{case}.json"));
    let good = std::fs::read_to_string(&path).expect("a case");
    let (api, _) = case.split_once('/').expect("API/NAME");
    for (from, to, word) in faults {
        assert!(good.contains(from), "`{from}` is not in the case `{case}`");
        let folder = tempfile::tempdir().expect("a folder");
        std::fs::create_dir(folder.path().join(api)).expect("made");
        std::fs::write(folder.path().join(api).join("case.json"), good.replace(from, to)).expect("written");
        let (is_well, said) = python.runs(script, &[folder.path().as_os_str()]).expect("it has run before");
        assert!(!is_well && said.contains(word), "`{word}` is not said of `{to}`: {said}");
    }
}

/// The folder that cargo builds into: two above the folder of this program.
fn built() -> PathBuf {
    let program = std::env::current_exe().unwrap_or_default();
    let profile = program.ancestors().find(|folder| folder.join(".fingerprint").is_dir());
    profile.map_or_else(std::env::temp_dir, |profile| profile.join(".."))
}

fn run(command: &mut Command) -> Result<Output, String> {
    let output = command.stdin(Stdio::null()).output().map_err(|error| error.to_string())?;
    if output.status.success() {
        return Ok(output);
    }
    Err(String::from_utf8_lossy(&output.stderr).lines().last().unwrap_or_default().to_owned())
}
