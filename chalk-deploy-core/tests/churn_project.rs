//! The example project `churn`: its committed export, and what of it is sent.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use bytes::Bytes;
use chalk_deploy_core::graph::{FeatureGraph, FeatureKind, check, validate};
use chalk_deploy_core::project::Project;
use chalk_deploy_core::source::SourceArchive;

const EXPORT: &[u8] = include_bytes!("../../examples/projects/churn/chalk.export.pb");

fn directory() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../examples/projects/churn")
}

#[test]
fn it_exports_a_join_across_three_feature_classes_without_a_finding() {
    let graph = FeatureGraph::decode(Bytes::from_static(EXPORT), None).expect("chalkpy wrote it");
    assert_eq!(graph.bytes(), EXPORT, "make it portable, as examples/projects/churn/README.md says");
    check(&graph).expect("a graph without errors");
    assert_eq!(validate(&graph), []);
    assert_eq!((graph.project(), graph.chalkpy_version()), (Some("churn"), Some("2.166.1")));
    let features: BTreeSet<_> = graph.features().map(|feature| (feature.full_name(), feature.kind())).collect();
    for (name, kind) in [
        ("customer.subscriptions", FeatureKind::HasMany),
        ("subscription.customer", FeatureKind::HasOne),
        ("subscription.usage", FeatureKind::HasMany),
        ("usage_day.subscription", FeatureKind::HasOne),
    ] {
        assert!(features.contains(&(name.to_owned(), kind)), "{name} is missing among {features:?}");
    }
    let source = std::fs::read_to_string(directory().join("resolvers.py")).expect("the resolvers are there");
    assert_eq!(graph.resolvers().count(), source.matches("\ndef ").count());
    for resolver in graph.resolvers() {
        let definition = &resolver.function().expect("a function").function_definition;
        assert!(source.contains(definition.trim_end()), "{} is older than its source", resolver.full_name());
    }
}

#[tokio::test]
async fn what_is_sent_is_what_its_chalkignore_says() {
    let project = Project::open(&directory()).expect("a project");
    let environment = project.environment(None).expect("the default environment");
    let archive = SourceArchive::collect(project.directory(), environment.collect_options()).await.expect("collected");
    let paths: BTreeSet<_> = archive.entries().iter().map(|entry| entry.path.as_str()).collect();
    assert!(paths.contains("requirements.txt") && paths.contains("data/plans.csv"));
    assert!(!paths.contains("README.md") && !paths.contains("make_modules.py"));
    assert_eq!(paths.iter().filter(|path| path.starts_with("signals/")).count(), 241);
    assert_eq!(archive.findings(), []);
}
