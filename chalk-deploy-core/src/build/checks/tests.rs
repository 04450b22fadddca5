use std::io::Write as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::*;
use crate::build::image::{self, Added};
use crate::build::{BuildFolder, InProcessBuilder, Workshop, layer, testing};
use crate::cloud::{BuildState, MockObjectStore, MockRegistry};
use crate::model::{Digest, Platform, Repository};
use crate::runtime::SystemRuntime;
use crate::source::{headers, padding};

/// A plain tar of files, and of hard links where a content begins with `=>`.
fn archive(files: &[(&str, &str)]) -> Vec<u8> {
    let mut bytes = Vec::new();
    for (path, content) in files {
        if let Some(target) = content.strip_prefix("=>") {
            bytes.extend_from_slice(&headers(tar::EntryType::Link, path, Some(target), 0, 0o644));
            continue;
        }
        let size = content.len() as u64;
        bytes.extend_from_slice(&headers(tar::EntryType::Regular, path, None, size, 0o644));
        bytes.extend_from_slice(content.as_bytes());
        bytes.resize(bytes.len() + padding(size), 0);
    }
    bytes.resize(bytes.len() + 1024, 0);
    bytes
}

fn request(runtime: Option<&str>) -> BuildRequest {
    let mut request = testing::request();
    request.settings.runtime = runtime.map(str::to_owned);
    request
}

struct Checked {
    lines: Vec<String>,
    result: Result<Option<Compiled>>,
    workshop: Workshop,
    archive: File,
    digest: Digest,
}

impl Checked {
    fn step(&self, step: &str) -> Vec<&str> {
        let prefix = format!("{step}: ");
        self.lines.iter().filter_map(|line| line.strip_prefix(&prefix)).collect()
    }

    fn error(&self) -> &Error {
        self.result.as_ref().expect_err("it fails")
    }

    /// The layer and the config that come of it.
    async fn image(&self, request: &BuildRequest) -> (Vec<String>, Digest, serde_json::Value) {
        let compiled = self.result.as_ref().expect("it was checked").as_ref();
        let layer = layer::make(&self.workshop, &self.archive, &self.digest, compiled).await.expect("a layer");
        let file = layer.file.reopen().expect("readable");
        let mut entries = tar::Archive::new(flate2::read::GzDecoder::new(file));
        let names = entries.entries().expect("a tar").map(|entry| {
            let entry = entry.expect("an entry");
            assert_eq!(entry.header().mtime().expect("a time"), 0);
            entry.path().expect("a path").display().to_string()
        });
        let base = Base {
            repository: Repository::new("registry.test/base").expect("a valid repository"),
            digest: Digest::of("base"),
            platform: Platform::linux_amd64(),
            layers: Vec::new(),
            config: serde_json::json!({"config": {"Labels": {"chalk.ai/bytecode": "of the base"}}}),
        };
        let names = names.collect();
        let added = Added { dependencies: None, source: &layer };
        let config = image::config(&base, crate::model::Component::Engine, &added, request);
        (names, layer.descriptor.digest, serde_json::from_slice(&config).expect("JSON"))
    }
}

async fn checked(files: &[(&str, &str)], checks: Checks, request: &BuildRequest) -> Checked {
    let bytes = archive(files);
    let mut archive = tempfile::tempfile().expect("a file");
    archive.write_all(&bytes).expect("written");
    let (bucket, registry) = (Arc::new(MockObjectStore::new()), Arc::new(MockRegistry::new()));
    let folder = BuildFolder::temporary().expect("a folder");
    let builder = InProcessBuilder::new(bucket, registry, folder, SystemRuntime::new()).with_checks(checks);
    let workshop = Workshop::clone(&builder.workshop);
    let running = Running::default();
    let result = run(&workshop, &archive, request, &[], &running).await;
    let lines = match running.state(0) {
        Some(BuildState::Running { events }) => {
            events.into_iter().map(|event| format!("{}: {}", event.step, event.line)).collect()
        }
        None => Vec::new(),
        other => panic!("{other:?}"),
    };
    Checked { lines, result, workshop, archive, digest: Digest::of(&bytes) }
}

fn script(folder: &Path, name: &str, body: &str) -> PathBuf {
    let path = folder.join(name);
    std::fs::write(&path, format!("#!/bin/sh\n{body}\n")).expect("written");
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).expect("made a program");
    path
}

const PROJECT: [(&str, &str); 3] =
    [("chalk.yaml", "project: a\n"), ("pkg/__init__.py", ""), ("pkg/models.py", "import os\n\nx = 1\n")];

#[tokio::test]
async fn without_tools_the_syntax_is_checked_and_the_other_steps_say_that_they_are_skipped() {
    let found = checked(&PROJECT, Checks::new(), &request(Some("python311"))).await;
    assert!(found.result.as_ref().expect("nothing is wrong").is_none());
    assert_eq!(
        found.lines,
        [
            "syntax-check: 2 files checked for Python 3.11",
            "lint: skipped: it is not set up",
            "type-check: skipped: it is not set up",
            "bytecode-compile: skipped: it is not set up",
        ]
    );
}

#[tokio::test]
async fn an_error_of_the_syntax_ends_the_build_and_names_the_first_ten_places() {
    let broken = "x = = 1\n";
    let names: Vec<_> = (0..12).map(|number| format!("m{number:02}.py")).collect();
    let files: Vec<_> = names.iter().map(|name| (name.as_str(), broken)).collect();
    let found = checked(&files, Checks::new(), &request(None)).await;
    let error = found.error();
    assert_eq!((error.code(), error.subject()), (ErrorCode::BuildFailed, "step syntax-check"));
    assert!(error.message().starts_with("12 findings: m00.py:1:5: Expected an expression; m01.py:1:5"), "{error}");
    assert!(error.message().ends_with("; and 2 more") && !error.message().contains("m10.py"), "{error}");
    assert_eq!(found.step("syntax-check").len(), 12);
    let newer = checked(&[("a.py", "type X = int\n")], Checks::new(), &request(Some("python311"))).await;
    assert!(newer.error().message().contains("a.py:1:1"), "{}", newer.error());
}

#[tokio::test]
async fn what_is_no_python_file_is_not_parsed_and_a_link_is_its_targets() {
    let files =
        [("a.txt", "x = = 1"), (".py", "= ="), ("b.py.txt", "= ="), ("ok.py", "x = 1\n"), ("more.py", "=>ok.py")];
    let found = checked(&files, Checks::new(), &request(None)).await;
    assert_eq!(found.step("syntax-check"), ["2 files checked for any version of Python 3"]);
}

#[tokio::test]
async fn compiled_files_that_came_with_the_source_reach_neither_tools_nor_images() {
    let files = [("__pycache__/x.cpython-311.pyc", "stale"), ("a/__pycache__/b.py", "= ="), ("x.py", "x = 1\n")];
    let found = checked(&files, Checks::new(), &request(None)).await;
    assert_eq!(found.image(&request(None)).await.0, ["app/", "app/x.py"]);
    let second = [("__pycache__/x.pyc", ""), ("y.py", "=>__pycache__/x.pyc")];
    let second = checked(&second, Checks::new(), &request(None)).await;
    assert_eq!(second.error().code(), ErrorCode::ArchiveEntryType);
}

#[tokio::test]
async fn findings_of_tools_are_told_with_their_places_and_fail_the_build_only_where_that_is_set() {
    let folder = tempfile::tempdir().expect("a folder");
    let ruff = script(
        folder.path(),
        "ruff",
        r#"test -f pkg/models.py && test -f ../ruff.toml || exit 2
printf '[{"code":"F401","filename":"%s/pkg/models.py","location":{"row":1,"column":8},"message":"`os` imported but unused"},
{"code":"X","filename":"/etc/passwd","location":{"row":1,"column":1},"message":"outside"}]' "$PWD""#,
    );
    let mypy = script(
        folder.path(),
        "mypy",
        "echo 'pkg/models.py:3:1: error: Incompatible types: x  [assignment]'; echo 'pkg/models.py:3: note: more'; exit 1",
    );
    let checks = Checks::new().with_linter(Tool::At(ruff)).with_type_checker(Tool::At(mypy));
    let found = checked(&PROJECT, checks.clone(), &request(None)).await;
    assert!(found.result.is_ok(), "findings are told");
    assert_eq!(found.step("lint"), ["pkg/models.py:1:8: `os` imported but unused [F401]", "ruff: 1 finding"]);
    assert_eq!(found.step("type-check"), ["pkg/models.py:3:1: Incompatible types: x [assignment]", "mypy: 1 finding"]);
    let strict = checks.clone().with_lint_findings(OnFindings::Fail);
    let failed = checked(&PROJECT, strict, &request(None)).await;
    assert_eq!((failed.error().code(), failed.error().subject()), (ErrorCode::BuildFailed, "step lint"));
    let strict = checks.with_type_findings(OnFindings::Fail);
    assert_eq!(checked(&PROJECT, strict, &request(None)).await.error().subject(), "step type-check");
}

#[tokio::test]
async fn a_tool_that_fails_or_is_not_there_skips_its_step_with_the_reason() {
    let folder = tempfile::tempdir().expect("a folder");
    let ruff = script(
        folder.path(),
        "ruff",
        "echo 'ruff failed' >&2; echo '  Cause: a.toml' >&2; echo '1 | content' >&2; exit 2",
    );
    let python = script(folder.path(), "python3.11", "echo hello");
    let checks = Checks::new()
        .with_linter(Tool::At(ruff))
        .with_type_checker(Tool::In(vec![folder.path().to_owned()]))
        .with_bytecode(Tool::At(python.clone()));
    let found = checked(&PROJECT, checks.clone(), &request(Some("python311"))).await;
    assert!(found.result.as_ref().expect("it goes on").is_none());
    assert_eq!(found.step("lint"), ["skipped: ruff ended with 2: ruff failed; Cause: a.toml"]);
    assert_eq!(found.step("type-check"), ["skipped: there is no mypy or pyright on the path"]);
    let reason = format!("skipped: {} is no Python that tells its version", python.display());
    assert_eq!(found.step("bytecode-compile"), [reason.as_str()]);
    let unknown = checked(&PROJECT, checks, &request(None)).await;
    assert!(unknown.step("bytecode-compile")[0].contains("says which version of Python"), "{:?}", unknown.lines);
    let slow = script(folder.path(), "mypy", "sleep 60");
    let checks = Checks::new().with_type_checker(Tool::At(slow)).with_time_limit(Duration::from_secs(1));
    let found = checked(&PROJECT, checks, &request(None)).await;
    assert_eq!(found.step("type-check"), ["skipped: mypy did not end within 1 s, and was stopped"]);
}

/// A Python of this version on the path; without one the tests below say so.
fn python(minor: u8) -> Option<PathBuf> {
    let Tool::In(mut directories) = Tool::on_path() else { return None };
    directories.extend(["/usr/bin".into(), "/usr/local/bin".into()]);
    let found = directories.iter().map(|directory| directory.join(format!("python3.{minor}"))).find(|program| {
        let version = std::process::Command::new(program).env_clear().args(["-I", "-S", "--version"]).output();
        version.is_ok_and(|output| output.stdout.starts_with(format!("Python 3.{minor}.").as_bytes()))
    });
    if found.is_none() {
        let _ = writeln!(std::io::stderr(), "SKIPPED: there is no python3.{minor} on the path");
    }
    found
}

#[tokio::test]
async fn compiled_files_are_the_same_bytes_in_another_folder_and_stand_beside_their_source() {
    let Some(python) = python(11) else { return };
    let files = [
        ("chalk.yaml", "project: a\n"),
        ("b.py", "def f(x):\n    return x in {'a', 'b', None, 3}\n\nprint(\"it ran\", file=open('/tmp/ran', 'w'))\n"),
        ("pkg/__init__.py", ""),
        ("pkg/a.b.py", "\"\"\"Words.\"\"\"\nassert __debug__, 'kept at level 0'\n"),
        ("pkg/__pycache__/a.b.cpython-311.pyc", "stale"),
    ];
    let request = request(Some("python311"));
    let checks = Checks::new().with_bytecode(Tool::At(python));
    let first = checked(&files, checks.clone(), &request).await;
    let (names, digest, config) = first.image(&request).await;
    assert_eq!(
        names,
        [
            "app/",
            "app/chalk.yaml",
            "app/b.py",
            "app/pkg/__init__.py",
            "app/pkg/a.b.py",
            "app/__pycache__/",
            "app/__pycache__/b.cpython-311.pyc",
            "app/pkg/__pycache__/",
            "app/pkg/__pycache__/__init__.cpython-311.pyc",
            "app/pkg/__pycache__/a.b.cpython-311.pyc",
        ]
    );
    let second = checked(&files, checks, &request).await;
    let (_, again, config_again) = second.image(&request).await;
    assert_eq!((digest, &config), (again, &config_again), "the same anywhere");
    let compiled = first.result.as_ref().expect("compiled").as_ref().expect("compiled");
    let (mut file, _) = compiled.open("__pycache__/b.cpython-311.pyc").expect("there");
    let mut bytes = Vec::new();
    file.read_to_end(&mut bytes).expect("readable");
    assert_eq!(bytes[4..8], [1, 0, 0, 0], "hash-based, and not compared (PEP 552)");
    let holds = |part: &[u8]| bytes.windows(part.len()).any(|window| window == part);
    assert!(holds(b"/app/b.py"), "tracebacks name the path in the image");
    assert!(!holds(first.workshop.folder.work_directory().expect("a folder").path().as_os_str().as_encoded_bytes()));
    // What it says of itself, and that the same source without compiled files is another content.
    let label = &config["config"]["Labels"]["chalk.ai/bytecode"];
    assert!(label.as_str().is_some_and(|label| label.starts_with("cpython-311, magic a70d0d0a, made by Python 3.11.")));
    let plain = checked(&files, Checks::new(), &request).await;
    let (_, other, without) = plain.image(&request).await;
    assert_ne!(digest, other);
    assert!(without["config"]["Labels"]["chalk.ai/bytecode"].is_null(), "the base image's word is not ours");
    let content = |config: &serde_json::Value| config["config"]["Labels"]["chalk.ai/content-digest"].clone();
    assert_eq!(content(&without), request.content_digest().to_string());
    assert_ne!(content(&config), content(&without));
}

#[tokio::test]
async fn the_python_of_the_image_takes_the_compiled_files_at_any_time_of_the_source() {
    let Some(python) = python(11) else { return };
    let found = checked(
        &[("pkg/models.py", "value = 41 + 1\n")],
        Checks::new().with_bytecode(Tool::At(python.clone())),
        &request(Some("python311")),
    )
    .await;
    let compiled = found.result.as_ref().expect("compiled").as_ref().expect("compiled");
    let folder = tempfile::tempdir().expect("a folder");
    std::fs::create_dir_all(folder.path().join("pkg/__pycache__")).expect("made");
    // Another source: Python would notice that it is newer and longer, if it looked.
    std::fs::write(folder.path().join("pkg/models.py"), "value = 'of the source, and not of the compiled file'\n")
        .expect("written");
    let (mut file, _) = compiled.open(&compiled.paths()[0]).expect("there");
    let mut to = File::create(folder.path().join(&compiled.paths()[0])).expect("made");
    std::io::copy(&mut file, &mut to).expect("copied");
    let output = std::process::Command::new(python)
        .args(["-B", "-c", "import pkg.models; print(pkg.models.value, pkg.models.__cached__)"])
        .current_dir(folder.path())
        .output()
        .expect("it runs");
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(said.starts_with("42 ") && said.contains("models.cpython-311.pyc"), "{output:?}");
}

#[tokio::test]
async fn what_only_a_compiler_notices_ends_the_build_with_its_place() {
    let Some(python) = python(11) else { return };
    let files = [("a.py", "x = 1\nreturn x\n"), ("b.py", "def f():\n    global x\n    nonlocal y\n")];
    let found = checked(&files, Checks::new().with_bytecode(Tool::At(python)), &request(Some("python311"))).await;
    assert_eq!(found.step("bytecode-compile")[0], "a.py:2:1: 'return' outside function");
    assert_eq!(found.error().subject(), "step bytecode-compile");
    assert_eq!(found.error().code(), ErrorCode::BuildFailed);
}

#[tokio::test]
async fn a_python_of_another_version_compiles_nothing() {
    let Some(python) = python(11) else { return };
    let found = checked(&PROJECT, Checks::new().with_bytecode(Tool::At(python)), &request(Some("python312"))).await;
    assert!(found.step("bytecode-compile")[0].contains("and not 3.12"), "{:?}", found.lines);
    assert!(found.result.as_ref().expect("it goes on").is_none());
}

/// A program on the path; without one the test below says so.
fn installed(name: &str) -> Option<Tool> {
    let found = Tool::on_path().candidates(name, &[name]).ok().map(|mut found| Tool::At(found.swap_remove(0)));
    if found.is_none() {
        let _ = writeln!(std::io::stderr(), "SKIPPED: there is no {name} on the path");
    }
    found
}

#[tokio::test]
async fn the_real_ruff_finds_what_is_there_and_obeys_nothing_that_reaches_beyond_it() {
    let Some(ruff) = installed("ruff") else { return };
    let folder = tempfile::tempdir().expect("a folder");
    let outside = folder.path().join("outside");
    let settings = format!("[tool.ruff]\nfix = true\ncache-dir = {outside:?}\n[tool.ruff.lint]\nselect = [\"F\"]\n");
    let files = [("pyproject.toml", settings.as_str()), (".gitignore", "*"), ("build/a.py", "import os\nx=1\n")];
    let found = checked(&files, Checks::new().with_linter(ruff.clone()), &request(Some("python311"))).await;
    assert_eq!(found.step("lint"), ["build/a.py:1:8: `os` imported but unused [F401]", "ruff: 1 finding"]);
    assert!(!outside.exists());
    let files = [("ruff.toml", "extend = \"/etc/passwd\"\n"), ("a.py", "x = 1\n")];
    let found = checked(&files, Checks::new().with_linter(ruff), &request(None)).await;
    let told = found.lines.join("\n");
    assert!(told.contains("lint: skipped: ruff ended with 2") && !told.contains("root:"), "{told}");
}

#[tokio::test]
async fn the_real_mypy_finds_what_is_there_and_runs_no_plugin_of_the_project() {
    let Some(mypy) = installed("mypy") else { return };
    let folder = tempfile::tempdir().expect("a folder");
    let outside = folder.path().join("outside");
    let plugin = format!("open({outside:?}, 'w')\ndef plugin(version):\n    raise SystemExit(3)\n");
    let settings = "[mypy]\nplugins = ./evil.py\n[tool.mypy]\nplugins = ['./evil.py']\n";
    let files = [
        ("mypy.ini", settings),
        ("setup.cfg", settings),
        ("evil.py", plugin.as_str()),
        ("pkg/a.py", "# mypy: plugins=./evil.py\nimport numpy\n\n\ndef f(x: int) -> str:\n    return x\n"),
    ];
    let found = checked(&files, Checks::new().with_type_checker(mypy), &request(Some("python311"))).await;
    let told = found.step("type-check");
    assert!(told.iter().any(|line| line.starts_with("pkg/a.py:6:12: Incompatible return value type")), "{told:?}");
    assert!(told.last().is_some_and(|line| line.starts_with("mypy: ")), "{told:?}");
    assert!(!outside.exists(), "the plugin ran");
}
