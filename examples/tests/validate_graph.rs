//! Runs the `validate_graph` example on the test projects of the core.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use chalk_deploy_core::graph::FeatureGraph;
use serde_json::Value;

/// `target/<profile>/examples/validate_graph`, which `cargo test` builds; `cargo test --test validate_graph` alone does
/// not.
fn program() -> PathBuf {
    let this = std::env::current_exe().expect("a path");
    let profile = this.parent().and_then(Path::parent).expect("target/<profile>/deps/<this>");
    let program = profile.join("examples").join("validate_graph");
    assert!(program.exists(), "build it first: cargo build -p chalk-deploy-examples --example validate_graph");
    program
}

fn project(name: &str) -> String {
    format!("{}/../chalk-deploy-core/tests/projects/{name}/export.pb", env!("CARGO_MANIFEST_DIR"))
}

fn run(arguments: &[&str]) -> Output {
    Command::new(program()).args(arguments).output().expect("the program runs")
}

fn shown(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).expect("text")
}

fn objects(output: &Output) -> Vec<Value> {
    shown(output).lines().map(|line| serde_json::from_str(line).expect("one object a line")).collect()
}

#[test]
fn a_cycle_is_one_line_of_json_with_its_chain_and_ends_with_1() {
    let output = run(&[&project("resolver_cycle"), "--json"]);
    assert_eq!(output.status.code(), Some(1));
    let expected = serde_json::json!({
        "type": "diagnostic",
        "severity": "error",
        "code": "RESOLVER_CYCLE",
        "message": "2 features need each other, and nothing outside the cycle produces one of them",
        "subject": "user.a",
        "chain": ["user.a", "main.get_a", "user.b", "main.get_b", "user.a"],
        "file": "main.py",
        "line": 12,
    });
    assert_eq!(objects(&output), [expected]);
    assert!(output.stderr.is_empty());
}

#[test]
fn a_graph_without_an_error_ends_with_0_whatever_else_was_found() {
    let output = run(&[&project("query_without_rows"), "--json"]);
    assert_eq!(output.status.code(), Some(0));
    assert!(objects(&output).iter().all(|finding| finding["severity"] == "warning"));
    assert_eq!(run(&[&project("shop")]).status.code(), Some(0));
}

#[test]
fn chalkpys_own_number_is_the_code_where_it_has_one() {
    let output = run(&[&project("primary_type"), "--json"]);
    assert_eq!(objects(&output)[0]["code"], "23");
    assert_eq!(objects(&output)[0]["chain"], serde_json::json!([]));
}

#[test]
fn changes_from_the_deployed_graph_are_lines_of_their_own() {
    let output = run(&[&project("unreachable"), "--json", "--deployed", &project("input_unproduced")]);
    assert_eq!(output.status.code(), Some(0));
    let all = objects(&output);
    let changes: Vec<_> = all.iter().filter(|line| line["type"] == "change").collect();
    assert!(changes.iter().any(|change| change["name"] == "user.score"), "{changes:?}");
    assert!(all.iter().all(|line| line["type"] == "change" || line["type"] == "diagnostic"));
}

#[test]
fn people_see_findings_by_file_and_a_sum() {
    let output = run(&[&project("expression_cycle")]);
    assert_eq!(output.status.code(), Some(1));
    assert_eq!(
        shown(&output),
        "main.py\n  8: error[EXPRESSION_CYCLE] user.height: 3 expressions need each other\n      user.height\n      \
         <- expression of user.height\n      <- user.width\n      <- expression of user.width\n      <- user.depth\n      \
         <- expression of user.depth\n      <- user.height\n\n1 error, 0 warnings, 0 remarks in 1 feature set, 4 features, \
         0 resolvers, 0 named queries\n"
    );
}

#[test]
fn what_is_no_export_ends_with_2_and_a_sentence() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = |name: &str, bytes: &[u8]| {
        let path = folder.path().join(name);
        std::fs::write(&path, bytes).expect("a file");
        path.to_string_lossy().into_owned()
    };
    let zeros = folder.path().join("zeros");
    std::fs::File::create(&zeros).and_then(|file| file.set_len(1 << 30)).expect("a sparse file");
    let whole = std::fs::read(project("shop")).expect("an export");
    for (what, path) in [
        ("nothing", file("empty", b"")),
        ("text", file("text", b"project: shop\n")),
        ("half an export", file("half", &whole[..whole.len() / 2])),
        ("a gibibyte of zeros", zeros.to_string_lossy().into_owned()),
        ("a folder", folder.path().to_string_lossy().into_owned()),
        ("no file", folder.path().join("nowhere").to_string_lossy().into_owned()),
    ] {
        for flags in [[].as_slice(), &["--json"]] {
            let output = run(&[&[path.as_str()], flags].concat());
            assert_eq!(output.status.code(), Some(2), "{what}");
            assert!(output.stdout.is_empty(), "{what}");
            let said = String::from_utf8(output.stderr).expect("text");
            assert!(said.contains("export") && said.lines().count() == 1, "{what}: {said}");
        }
        let output = run(&[&project("shop"), "--deployed", &path]);
        assert_eq!(output.status.code(), Some(2), "{what} as the deployed graph");
    }
    assert_eq!(run(&[]).status.code(), Some(2), "no export at all");
}

#[test]
fn the_library_says_what_the_program_says() {
    let bytes = std::fs::read(project("metadata")).expect("an export");
    let found = chalk_deploy_core::graph::validate(&FeatureGraph::decode(bytes.into(), None).expect("an export"));
    assert_eq!(objects(&run(&[&project("metadata"), "--json"])).len(), found.len());
}
