//! Each recorded case against a foreign model of Google: the discovery documents that google-api-python-client ships.
//!
//! `tests/foreign_model.py` checks host, method, path, parameters, masks of fields, bodies and scopes.

use std::path::PathBuf;

use chalk_deploy_testkit::foreign::{Python, assert_finds, skip};
use chalk_deploy_testkit::recorded::Case;

const PACKAGE: &str = "google-api-python-client==2.202.0";

#[test]
fn googles_own_documents_bear_out_each_recorded_case() {
    let python = match Python::with("google", "googleapiclient.discovery_cache", &[PACKAGE]) {
        Ok(python) => python,
        Err(why) => return skip(&format!("no model of Google to check the recorded cases by ({why})")),
    };
    let tests = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests");
    let (script, recorded) = (tests.join("foreign_model.py"), tests.join("recorded"));
    let modelled: usize = ["artifactregistry", "container", "iamcredentials", "oauth2", "registry", "storage", "sts"]
        .map(|api| Case::all(&recorded.join(api)).expect("cases").iter().filter(|case| case.model.is_some()).count())
        .into_iter()
        .sum();
    let (is_right, said) = python.runs(&script, &[recorded.as_os_str()]).expect("it was found above");
    assert!(is_right, "{said}");
    assert!(said.contains(&format!("checked {modelled}")) && modelled > 30, "{said}");
    let faults = [
        ("\"storage.googleapis.com\"", "\"storage.example\"", "the host is"),
        ("\"POST\"", "\"PUT\"", "the method is"),
        ("/storage/v1/b\"", "/storage/v1/buckets\"", "the path is"),
        ("\"enableObjectRetention\"", "\"enableRetention\"", "enableRetention is not known"),
        ("\"project\": \"acme-prod\"", "\"projection\": \"full\"", "the parameter project is missing"),
        ("\"retentionDurationSeconds\": \"604800\"", "\"retentionDurationSeconds\": \"a week\"", "is no number"),
        ("\"publicAccessPrevention\"", "\"publicAccess\"", "publicAccess is not known"),
        ("storage.v1 buckets.insert", "storage.v1 buckets.make", "no method"),
    ];
    assert_finds(&python, &script, &recorded, "storage/insert", &faults);
}
