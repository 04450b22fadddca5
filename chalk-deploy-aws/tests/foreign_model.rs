//! The recorded cases against a foreign model of AWS: botocore's service files, which the SDK for Python and the command
//! line are made from.
//!
//! Runs where `CHALK_FOREIGN_BOTOCORE` names a Python that has botocore, or `python3` does; prints one line elsewhere.

use std::path::Path;
use std::process::Command;

#[test]
#[expect(clippy::print_stderr, reason = "that a check was skipped is for the person who runs it")]
fn every_recorded_case_is_one_that_botocore_could_have_sent_and_understands() {
    let tests = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests");
    let python = std::env::var("CHALK_FOREIGN_BOTOCORE").unwrap_or_else(|_| "python3".to_owned());
    let has_botocore = Command::new(&python).args(["-c", "import botocore"]).output();
    if !has_botocore.is_ok_and(|output| output.status.success()) {
        eprintln!("skipped: no botocore; `pip install botocore`, and name that Python in CHALK_FOREIGN_BOTOCORE");
        return;
    }
    let checked = Command::new(&python)
        .arg(tests.join("foreign_model.py"))
        .arg(tests.join("recorded"))
        .output()
        .expect("the check runs");
    let said = String::from_utf8_lossy(&checked.stdout);
    assert!(checked.status.success(), "{said}\n{}", String::from_utf8_lossy(&checked.stderr));
    let count: usize = said
        .lines()
        .last()
        .and_then(|line| line.strip_prefix("checked ")?.strip_suffix(" cases")?.parse().ok())
        .expect("a count");
    assert!(count >= 60, "{said}");
}
