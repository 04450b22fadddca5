//! The test projects in tests/projects: what the checks find in exports of the real chalkpy.
//!
//! `expected.txt` beside each export lists what is found, a line for each finding: severity, code and subject. Lines
//! that begin with `reported` are what the export itself says; without them, the same must come from the graph alone. An
//! export whose graph chalkpy could not make says `no graph` in the first line: from such a one nothing can come.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use bytes::Bytes;
use prost::Message as _;

use super::proto::Export;
use super::{Diagnostic, DiagnosticCode, FeatureGraph, Severity, validate};
use crate::ErrorCode;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/projects")
}

/// Every project, by name.
fn projects() -> Vec<(String, PathBuf)> {
    let entries = std::fs::read_dir(root()).expect("the projects are there");
    let mut projects: Vec<_> = entries
        .map(|entry| entry.expect("an entry").path())
        .filter(|path| path.is_dir())
        .map(|path| (path.file_name().expect("a name").to_string_lossy().into_owned(), path))
        .collect();
    projects.sort();
    projects
}

fn export_of(directory: &Path) -> Bytes {
    std::fs::read(directory.join("export.pb")).expect("an export, made by remake.sh").into()
}

/// The graph of a project.
pub(super) fn graph_of_project(name: &str) -> FeatureGraph {
    FeatureGraph::decode(export_of(&root().join(name)), None).expect("an export decodes")
}

/// The export without what it reports itself; nothing when there is no graph in it.
fn silenced(bytes: &Bytes) -> Option<Bytes> {
    let mut export = Export::decode(bytes.clone()).expect("an export");
    export.failed.clear();
    export.logs.clear();
    export.conversion_errors.clear();
    export.lsp = None;
    export.graph.as_ref()?;
    Some(export.encode_to_vec().into())
}

fn lines(findings: &[Diagnostic]) -> Vec<String> {
    findings
        .iter()
        .map(|found| format!("{} {} {}", found.severity, found.code, found.subject).trim_end().to_owned())
        .collect()
}

/// What `expected.txt` would say.
fn written(bytes: &Bytes) -> String {
    let graph = |bytes: &Bytes| FeatureGraph::decode(bytes.clone(), None).expect("an export decodes");
    let all = lines(&validate(&graph(bytes)));
    let Some(silenced) = silenced(bytes) else {
        return all.iter().fold("no graph\n".to_owned(), |text, line| text + "reported " + line + "\n");
    };
    let mut alone = lines(&validate(&graph(&silenced)));
    let mut text = String::new();
    for line in all {
        match alone.iter().position(|found| *found == line) {
            Some(place) => {
                alone.remove(place);
                text.push_str(&(line + "\n"));
            }
            None => text.push_str(&("reported ".to_owned() + &line + "\n")),
        }
    }
    assert!(alone.is_empty(), "found only without the reports: {alone:?}");
    text
}

#[test]
fn every_project_shows_what_its_expected_txt_says_with_and_without_the_reports_of_the_export() {
    for (name, directory) in projects() {
        let expected = std::fs::read_to_string(directory.join("expected.txt")).expect("expected.txt");
        assert_eq!(written(&export_of(&directory)), expected, "{name}");
    }
}

#[test]
fn no_export_holds_a_path_of_the_machine_that_made_it() {
    for (name, directory) in projects() {
        let bytes = export_of(&directory);
        let graph = FeatureGraph::decode(bytes.clone(), None).expect("an export decodes");
        assert_eq!(graph.bytes(), &bytes, "{name} is not portable: run remake.sh");
        let text = String::from_utf8_lossy(&bytes);
        for path in super::testing::ABSOLUTE_PATH {
            assert!(!text.contains(path), "{path} is in the export of {name}");
        }
    }
}

#[test]
fn an_export_without_a_graph_that_keeps_quiet_about_it_is_refused() {
    let mut seen = 0;
    for (name, directory) in projects() {
        let mut export = Export::decode(export_of(&directory)).expect("an export");
        if export.graph.is_none() {
            seen += 1;
            export.failed.clear();
            let error = FeatureGraph::decode(export.encode_to_vec().into(), None).expect_err("nothing to deploy");
            assert_eq!(error.code(), ErrorCode::GraphUndecodable, "{name}");
        }
    }
    assert!(seen > 0);
}

#[test]
fn findings_name_the_file_and_the_line_where_the_graph_knows_them() {
    let found = validate(&graph_of_project("expression_type"));
    let source = std::fs::read_to_string(root().join("expression_type/main.py")).expect("the source");
    let line = source.lines().position(|line| line.contains("size: int")).expect("the feature") + 1;
    assert_eq!(found[0].file.as_deref(), Some("main.py"));
    assert_eq!(found[0].line, u32::try_from(line).ok());
}

/// The projects of a row, and whether one shows that something is legal: `` `cycle`, `other` (legal) ``.
fn projects_of(cell: &str) -> Vec<(&str, bool)> {
    let cells = cell.trim_end_matches('|').split(',').filter_map(|project| {
        let (name, rest) = project.trim().strip_prefix('`')?.split_once('`')?;
        Some((name, rest.trim() == "(legal)"))
    });
    cells.collect()
}

#[test]
fn the_table_in_the_documentation_lists_every_code_and_every_project() {
    let table = std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/graph-checks.md"))
        .expect("docs/graph-checks.md");
    let mut listed = BTreeSet::new();
    let mut named = BTreeSet::new();
    for row in table.lines().filter_map(|line| line.strip_prefix("| `")) {
        let cells: Vec<&str> = row.split(" | ").map(str::trim).collect();
        assert_eq!(cells.len(), 6, "{row}");
        let code = cells[0].trim_end_matches('`');
        assert!(listed.insert(code.to_owned()), "{code} is listed twice");
        named.extend(projects_of(cells[5]).into_iter().map(|(project, _)| project.to_owned()));
    }
    let known: BTreeSet<String> = DiagnosticCode::ALL.iter().map(|code| code.as_str().into_owned()).collect();
    assert_eq!(listed, known);
    let there: BTreeSet<String> = projects().into_iter().map(|(name, _)| name).collect();
    assert_eq!(named, there);
}

#[test]
fn the_table_in_the_documentation_says_what_the_projects_show() {
    let table = std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/graph-checks.md"))
        .expect("docs/graph-checks.md");
    for row in table.lines().filter_map(|line| line.strip_prefix("| `")) {
        let cells: Vec<&str> = row.split(" | ").map(str::trim).collect();
        let (code, severities) = (cells[0].trim_end_matches('`'), cells[1]);
        for (project, is_legal) in projects_of(cells[5]) {
            let expected = std::fs::read_to_string(root().join(project).join("expected.txt")).expect("expected.txt");
            let shown: Vec<&str> = expected
                .lines()
                .map(|line| line.trim_start_matches("reported "))
                .filter(|line| line.split(' ').nth(1) == Some(code))
                .collect();
            // A project beside a code shows it, or shows that it is legal and says so.
            assert!(shown.is_empty() == is_legal, "{project} and {code}: {expected}");
            assert!(
                shown.iter().all(|line| severities.contains(line.split(' ').next().unwrap_or_default())),
                "{project}: {code} is documented as {severities}"
            );
        }
    }
}

#[test]
fn projects_with_an_error_are_refused_and_the_others_are_not() {
    for (name, directory) in projects() {
        let graph = FeatureGraph::decode(export_of(&directory), None).expect("an export decodes");
        let has_error = validate(&graph).iter().any(|found| found.severity == Severity::Error);
        assert_eq!(super::check(&graph).is_err(), has_error, "{name}");
    }
}

#[test]
#[ignore = "rewrites the exports and the expected findings of tests/projects; remake.sh runs it"]
fn write_the_exports_without_paths_and_what_is_found_in_them() {
    for (name, directory) in projects() {
        let directory = directory.canonicalize().expect("the project is there");
        let graph = FeatureGraph::decode(export_of(&directory), Some(&directory)).unwrap_or_else(|error| {
            panic!("{name}: {error}");
        });
        std::fs::write(directory.join("export.pb"), graph.bytes()).expect("the export can be written");
        std::fs::write(directory.join("expected.txt"), written(graph.bytes())).expect("the findings can be written");
    }
}
