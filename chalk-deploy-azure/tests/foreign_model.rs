//! Each recorded case against a foreign model of Azure: the clients that Microsoft generates from its specifications.
//!
//! `tests/foreign_model.py` checks methods, paths, parameters, versions and the fields of answers, with packages in a
//! virtual environment of their own.

use std::path::Path;

use chalk_deploy_testkit::foreign::{Python, assert_finds, skip};
use chalk_deploy_testkit::recorded::Case;

const PACKAGES: [&str; 4] = [
    "azure-containerregistry==1.2.0",
    "azure-mgmt-containerregistry==15.0.0",
    "azure-mgmt-containerservice==41.8.0",
    "azure-mgmt-storage==25.3.0",
];
const MODULES: &str =
    "azure.containerregistry, azure.mgmt.containerregistry, azure.mgmt.containerservice, azure.mgmt.storage";

#[test]
fn microsofts_own_clients_bear_out_each_recorded_case() {
    let python = match Python::with("azure", MODULES, &PACKAGES) {
        Ok(python) => python,
        Err(why) => return skip(&format!("no model of Azure to check the recorded cases by ({why})")),
    };
    let tests = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests");
    let (recorded, script) = (tests.join("recorded"), tests.join("foreign_model.py"));
    let modelled: usize = ["acr", "aks", "blob", "entra", "imds", "registry", "storage"]
        .map(|api| Case::all(&recorded.join(api)).expect("cases").iter().filter(|case| case.model.is_some()).count())
        .into_iter()
        .sum();
    let (is_right, said) = python.runs(&script, &[recorded.as_os_str()]).expect("it was found");
    assert!(is_right, "{said}");
    assert!(said.contains(&format!("{modelled} cases checked")) && modelled > 20, "{said}");
    let faults = [
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
    ];
    assert_finds(&python, &script, &recorded, "aks/cluster_public", &faults);
}
