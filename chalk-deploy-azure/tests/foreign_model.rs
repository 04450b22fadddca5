//! Each recorded case against a foreign model of Azure: the clients that Microsoft generates from its specifications.
//!
//! `tests/foreign_model.py` checks methods, paths, parameters, versions and the fields of answers. It runs in a virtual
//! environment below `target/`, which is made here; where there is no Python or no package to be had, one line on stderr
//! says that this was skipped.

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use chalk_deploy_testkit::recorded::Case;

const PACKAGES: [&str; 4] = [
    "azure-containerregistry==1.2.0",
    "azure-mgmt-containerregistry==15.0.0",
    "azure-mgmt-containerservice==41.8.0",
    "azure-mgmt-storage==25.3.0",
];

/// The interpreter of the environment with the packages, or why there is none.
fn interpreter() -> Result<PathBuf, String> {
    let manifest = PathBuf::from(env!("CARGO_MANIFEST_DIR"));
    let target = std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| manifest.join("..").join("target"), PathBuf::from);
    let folder = target.join("foreign-model").join("azure");
    let python = folder.join("bin").join("python");
    let imports =
        "import azure.containerregistry, azure.mgmt.containerregistry, azure.mgmt.containerservice, azure.mgmt.storage";
    if run(Command::new(&python).args(["-c", imports])).is_ok() {
        return Ok(python);
    }
    run(Command::new("python3").args(["-m", "venv"]).arg(&folder))?;
    let install = ["-m", "pip", "install", "--quiet", "--retries", "1", "--timeout", "20"];
    run(Command::new(&python).args(install).args(PACKAGES))?;
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
fn microsofts_own_clients_bear_out_each_recorded_case() {
    let python = match interpreter() {
        Ok(python) => python,
        Err(why) => {
            let _ = writeln!(std::io::stderr(), "skipped: no model of Azure to check the recorded cases by ({why})");
            return;
        }
    };
    let recorded = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests").join("recorded");
    let modelled: usize = ["acr", "aks", "blob", "entra", "imds", "registry", "storage"]
        .map(|api| Case::all(&recorded.join(api)).expect("cases").iter().filter(|case| case.model.is_some()).count())
        .into_iter()
        .sum();
    let (is_right, text) = check(&python, &recorded);
    assert!(is_right, "{text}");
    assert!(text.contains(&format!("{modelled} cases checked")) && modelled > 20, "{text}");

    // That it can fail: a case with one thing wrong each.
    let good = std::fs::read_to_string(recorded.join("aks").join("cluster_public.json")).expect("a case");
    for (from, to, word) in [
        ("\"GET\"", "\"PUT\"", "the operation is a GET"),
        ("/managedClusters/chalk\",", "/clusters/chalk\",", "the path is"),
        ("\"api-version\": \"2024-09-01\"", "\"version\": \"2024-09-01\"", "the query has no version"),
        ("\"api-version\": \"2024-09-01\"", "\"api-version\": \"2024-09-02-preview\"", "no stable version"),
        (
            "\"authorizedIPRanges\"",
            "\"authorizedIpRanges\"",
            "no field $.properties.apiServerAccessProfile.authorizedIpRanges",
        ),
        ("\"aadProfile\"", "\"aad\"", "no field $.properties.aad"),
    ] {
        let folder = tempfile::tempdir().expect("a folder");
        std::fs::create_dir(folder.path().join("aks")).expect("made");
        assert!(good.contains(from), "{from}");
        std::fs::write(folder.path().join("aks").join("case.json"), good.replace(from, to)).expect("written");
        let (is_right, text) = check(&python, folder.path());
        assert!(!is_right && text.contains(word), "{word}: {text}");
    }
}
