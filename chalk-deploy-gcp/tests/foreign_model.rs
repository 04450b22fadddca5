//! Each recorded case against a foreign model of Google: the discovery documents that google-api-python-client ships.
//!
//! `tests/foreign_model.py` checks host, method, path, parameters, masks of fields, bodies and scopes. It runs in a
//! virtual environment below `target/`, which is made here; where there is no Python or no package to be had, one line
//! on stderr says that this was skipped.

mod common;

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use chalk_deploy_testkit::recorded::Case;

const PACKAGE: &str = "google-api-python-client==2.202.0";

/// The interpreter of the environment with the package, or why there is none.
fn interpreter() -> Result<PathBuf, String> {
    let manifest = PathBuf::from(env!("CARGO_MANIFEST_DIR"));
    let target = std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| manifest.join("..").join("target"), PathBuf::from);
    let folder = target.join("foreign-model").join("google");
    let python = folder.join("bin").join("python");
    let has_package = || run(Command::new(&python).args(["-c", "import googleapiclient.discovery_cache"])).is_ok();
    if has_package() {
        return Ok(python);
    }
    run(Command::new("python3").args(["-m", "venv"]).arg(&folder))?;
    let install = ["-m", "pip", "install", "--quiet", "--retries", "1", "--timeout", "20", PACKAGE];
    run(Command::new(&python).args(install))?;
    Ok(python)
}

fn run(command: &mut Command) -> Result<Output, String> {
    let output = command.stdin(Stdio::null()).output().map_err(|error| error.to_string())?;
    if output.status.success() {
        return Ok(output);
    }
    let last = String::from_utf8_lossy(&output.stderr).lines().last().unwrap_or_default().to_owned();
    Err(last)
}

fn check(python: &Path, folder: &Path) -> (bool, String) {
    let script = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests").join("foreign_model.py");
    let output = Command::new(python).arg(script).arg(folder).output().expect("the interpreter was found above");
    let text = String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
    (output.status.success(), text)
}

#[test]
fn googles_own_documents_bear_out_each_recorded_case() {
    let python = match interpreter() {
        Ok(python) => python,
        Err(why) => {
            let _ = writeln!(std::io::stderr(), "skipped: no model of Google to check the recorded cases by ({why})");
            return;
        }
    };
    let recorded = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests").join("recorded");
    let modelled: usize = ["artifactregistry", "container", "iamcredentials", "oauth2", "registry", "storage", "sts"]
        .map(|api| Case::all(&recorded.join(api)).expect("cases").iter().filter(|case| case.model.is_some()).count())
        .into_iter()
        .sum();
    let (is_right, text) = check(&python, &recorded);
    assert!(is_right, "{text}");
    assert!(text.contains(&format!("checked {modelled}")) && modelled > 30, "{text}");

    // That it can fail: a case with one thing wrong each.
    let good = std::fs::read_to_string(recorded.join("storage").join("insert.json")).expect("a case");
    for (from, to, word) in [
        ("\"storage.googleapis.com\"", "\"storage.example\"", "the host is"),
        ("\"POST\"", "\"PUT\"", "the method is"),
        ("/storage/v1/b\"", "/storage/v1/buckets\"", "the path is"),
        ("\"enableObjectRetention\"", "\"enableRetention\"", "enableRetention is not known"),
        ("\"project\": \"acme-prod\"", "\"projection\": \"full\"", "the parameter project is missing"),
        ("\"retentionDurationSeconds\": \"604800\"", "\"retentionDurationSeconds\": \"a week\"", "is no number"),
        ("\"publicAccessPrevention\"", "\"publicAccess\"", "publicAccess is not known"),
        ("storage.v1 buckets.insert", "storage.v1 buckets.make", "no method"),
    ] {
        let folder = tempfile::tempdir().expect("a folder");
        std::fs::create_dir(folder.path().join("storage")).expect("made");
        assert!(good.contains(from), "{from}");
        std::fs::write(folder.path().join("storage").join("case.json"), good.replace(from, to)).expect("written");
        let (is_right, text) = check(&python, folder.path());
        assert!(!is_right && text.contains(word), "{word}: {text}");
    }
}
