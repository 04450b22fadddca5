//! Any bytes are refused as an export, or decoded and checked; what is decoded stays the same when it is decoded again.
//!
//! `tests/projects/*/export.pb` are a good corpus to begin with.

#![no_main]

use chalk_deploy_core::graph::{FeatureGraph, diff, validate};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let Ok(graph) = FeatureGraph::decode(bytes.to_vec().into(), None) else { return };
    for finding in validate(&graph) {
        let _ = finding.to_string();
    }
    let again = FeatureGraph::decode(graph.bytes().clone(), None).expect("what was decoded decodes");
    assert_eq!(again.digest(), graph.digest());
    assert!(diff(Some(&graph), &again).is_empty());
});
