//! Bad input is one sentence that names file, field and remedy; nothing is created.

use std::fmt::Write as _;
use std::fs;

use chalk_deploy_core::graph::proto::{Export, FailedImport};
use prost::Message as _;

use crate::program::Sandbox;
use crate::world::files;

/// What each case says, `@` for the sandbox: `# case`, then all of stderr.
const GOLDEN: &str = include_str!("../golden/bad_input.txt");

struct Case {
    name: &'static str,
    /// Spoils the sandbox.
    spoil: fn(&Sandbox),
    arguments: &'static [&'static str],
}

const fn case(name: &'static str, arguments: &'static [&'static str], spoil: fn(&Sandbox)) -> Case {
    Case { name, spoil, arguments }
}

fn nothing(_: &Sandbox) {}

/// Lets `chalk.yaml` say this of the default environment.
fn setting(sandbox: &Sandbox, setting: &str) {
    sandbox.write("project/chalk.yaml", format!("project: fraud\nenvironments:\n  default:\n    {setting}\n"));
}

/// What every data plane in a cloud is named with.
const R: [&str; 6] = ["--registry", "r.example/x", "--bucket", "b", "--base-image", "r.example/base:1"];

const CASES: &[Case] = &[
    case("no chalk.yaml", &["project"], |sandbox| {
        fs::remove_file(sandbox.path("project/chalk.yaml")).expect("it is there");
    }),
    case("a broken chalk.yaml", &["project"], |sandbox| sandbox.write("project/chalk.yaml", "project: [fraud\n")),
    case("a field of the wrong type", &["project"], |sandbox| setting(sandbox, "runtime: 3")),
    case("a missing requirements file", &["project"], |sandbox| setting(sandbox, "requirements: needed.txt")),
    case("a Dockerfile of its own", &["project"], |sandbox| {
        sandbox.write("project/Dockerfile", "FROM ${CHALK_BASE_IMAGE}\n");
        setting(sandbox, "dockerfile: Dockerfile");
    }),
    case("workflows without a cluster", &["project", "--builder", "argo"], nothing),
    case("a namespace of workflows without workflows", &["project", "--builder-namespace", "builds"], nothing),
    case("no such directory", &["elsewhere"], nothing),
    case("a project that is a file", &["project/chalk.yaml"], nothing),
    case("an unknown environment", &["project", "--environment", "staging"], nothing),
    case("a truncated export", &["project", "--graph", "cut.bin"], |sandbox| {
        let export = fs::read(sandbox.path("project/chalk.export.pb")).expect("it is there");
        sandbox.write("cut.bin", &export[..export.len() / 2]);
    }),
    // Fields 1 and 2 are texts, as in most messages; an export has other things there.
    case("another message as an export", &["project", "--graph", "other.bin"], |sandbox| {
        sandbox.write("other.bin", b"\x0a\x05hello\x12\x05world");
    }),
    case("an empty export", &["project", "--graph", "empty.bin"], |sandbox| sandbox.write("empty.bin", "")),
    case("an export that is not there", &["project", "--graph", "absent.bin"], nothing),
    case("no export at all", &["project"], |sandbox| {
        fs::remove_file(sandbox.path("project/chalk.export.pb")).expect("it is there");
    }),
    case("an export of another project", &["project"], |sandbox| {
        sandbox.write("project/chalk.yaml", "project: another\n");
    }),
    case("a graph with errors", &["project"], |sandbox| {
        let path = "project/chalk.export.pb";
        let mut export = Export::decode(&*fs::read(sandbox.path(path)).expect("it is there")).expect("an export");
        let traceback = "Traceback (most recent call last):\n  File \"features.py\", line 3\nNameError: no such name\n";
        let failed = FailedImport {
            file_name: "features.py".to_owned(),
            traceback: traceback.to_owned(),
            ..FailedImport::default()
        };
        export.failed.push(failed);
        sandbox.write(path, export.encode_to_vec());
    }),
    case("a link that leaves the project", &["project"], |sandbox| {
        std::os::unix::fs::symlink("/etc/passwd", sandbox.path("project/passwd")).expect("a new link");
    }),
    case("a state folder that is a file", &["project", "--state", "state"], |sandbox| sandbox.write("state", "")),
    case("a state folder that holds other things", &["project", "--state", "full"], |sandbox| {
        fs::create_dir(sandbox.path("full")).expect("a new folder");
        sandbox.write("full/diary.txt", "");
    }),
    case("a state folder around the project", &["project", "--state", "."], nothing),
    case("blue-green", &["project", "--strategy", "blue-green"], nothing),
    case("an unknown flag", &["project", "--forse"], nothing),
    case("a contradiction", &["project", "--await", "--no-await"], nothing),
    case("a cloud without what lies in it", &["project", "--cloud", "aws"], nothing),
    case("a name in a cloud without the cloud", &["project", "--cluster", "chalk"], nothing),
    case(
        "a cloud and a kubeconfig",
        &["project", "--cloud", "aws", "--kubeconfig", "k", "--cluster", "c", R[0], R[1], R[2], R[3], R[4], R[5]],
        nothing,
    ),
    case(
        "a flag of another cloud",
        &["project", "--cloud", "aws", "--cluster", "c", "--tenant", "t", R[0], R[1], R[2], R[3], R[4], R[5]],
        nothing,
    ),
    case(
        "Azure without a subscription",
        &["project", "--cloud", "azure", "--cluster", "c", R[0], R[1], R[2], R[3], R[4], R[5]],
        nothing,
    ),
    case(
        "AWS without a region",
        &["project", "--cloud", "aws", "--cluster", "c", R[0], R[1], R[2], R[3], R[4], R[5]],
        nothing,
    ),
    case(
        "a role without its external id",
        &[
            "project",
            "--cloud",
            "aws",
            "--cluster",
            "c",
            "--region",
            "us-east-1",
            "--role",
            "arn:aws:iam::123456789012:role/chalk",
            R[0],
            R[1],
            R[2],
            R[3],
            R[4],
            R[5],
        ],
        nothing,
    ),
    case(
        "a registry that is not the cloud's",
        &["project", "--cloud", "aws", "--cluster", "c", "--region", "us-east-1", R[0], R[1], R[2], R[3], R[4], R[5]],
        nothing,
    ),
    case("a tag twice", &["project", "--deployment-tag", "a", "--deployment-tag", "a"], nothing),
    case("no project", &[], nothing),
];

/// What was said, with the sandbox's place taken out.
fn said(sandbox: &Sandbox, stderr: &str) -> String {
    let canonical = fs::canonicalize(sandbox.path("")).expect("it is there");
    let shown = stderr.replace(&*canonical.to_string_lossy(), "@");
    shown.replace(sandbox.path("").to_string_lossy().trim_end_matches('/'), "@")
}

#[test]
fn bad_input_is_one_sentence_with_file_field_and_remedy_and_nothing_is_created() {
    let mut all = String::new();
    for Case { name, spoil, arguments } in CASES {
        let sandbox = Sandbox::new();
        spoil(&sandbox);
        let before = files(&sandbox.path(""));
        let plain = sandbox.program(arguments).run().expect(2);
        let found = said(&sandbox, &plain.stderr);
        assert_eq!(found.lines().count(), 1, "{name}: {found}");
        for more in ["--json", "--resume", "--force"] {
            let run = sandbox.program(arguments).with(&[more]).run().expect(2);
            assert_eq!((said(&sandbox, &run.stderr), run.stdout.as_str()), (found.clone(), ""), "{name} {more}");
        }
        assert!(plain.stdout.is_empty(), "{name}: {}", plain.stdout);
        assert!(files(&sandbox.path("")) == before, "{name}: something was created");
        assert!(!sandbox.path(".chalk-deploy").exists(), "{name}: the state folder was created");
        write!(all, "# {name}\n{found}").expect("a String takes all");
    }
    assert!(all == GOLDEN, "tests/golden/bad_input.txt holds something else than what is said:\n{all}");
}

#[test]
fn a_state_folder_of_a_newer_format_is_refused_and_left_as_it_is() {
    let sandbox = Sandbox::new();
    sandbox.apply().run().expect(0);
    let marker = ".chalk-deploy/.chalk-deploy-state";
    let text = fs::read_to_string(sandbox.path(marker)).expect("the marker");
    assert!(text.contains("format: 1"), "{text}");
    sandbox.write(marker, text.replace("format: 1", "format: 2"));
    let before = files(&sandbox.path(".chalk-deploy"));
    for more in [&[][..], &["--json"], &["--resume"], &["--no-await"]] {
        let run = sandbox.apply().with(more).run().expect(2);
        let expected = "error: @/.chalk-deploy/.chalk-deploy-state: the state has format 2, and this version knows \
            format 1; use the version of chalk-deploy that wrote it or a newer one, or name another state folder \
            [JOURNAL_INCOMPATIBLE]\n";
        assert_eq!((said(&sandbox, &run.stderr).as_str(), run.stdout.as_str()), (expected, ""), "{more:?}");
        assert!(files(&sandbox.path(".chalk-deploy")) == before, "{more:?}: the folder was changed");
    }
}
