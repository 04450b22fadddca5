//! Bad input is one sentence that names file, field and remedy; nothing is created.

use std::fs;

use crate::program::Sandbox;
use crate::world::files;

struct Case {
    name: &'static str,
    /// Spoils the sandbox.
    spoil: fn(&Sandbox),
    arguments: &'static [&'static str],
    /// All of stderr, with `@` for the sandbox.
    said: &'static str,
}

fn nothing(_: &Sandbox) {}

fn cases() -> Vec<Case> {
    vec![
        Case {
            name: "no chalk.yaml",
            spoil: |sandbox| fs::remove_file(sandbox.path("project/chalk.yaml")).expect("it is there"),
            arguments: &["project"],
            said: "error: @/project: there is no chalk.yaml here or in a directory above; create a chalk.yaml with a `project:` line, or name the directory that holds one [PROJECT_CONFIG_MISSING]",
        },
        Case {
            name: "a broken chalk.yaml",
            spoil: |sandbox| sandbox.write("project/chalk.yaml", "project: [fraud\n"),
            arguments: &["project"],
            said: "error: @/project/chalk.yaml: it is not the YAML that was expected: unclosed bracket '[' at line 1, column 10; correct the line named and apply again [PROJECT_CONFIG_INVALID]",
        },
        Case {
            name: "a field of the wrong type",
            spoil: |sandbox| {
                sandbox.write("project/chalk.yaml", "project: fraud\nenvironments:\n  default:\n    runtime: 3\n")
            },
            arguments: &["project"],
            said: r#"error: @/project/chalk.yaml: `environments.default.runtime`: it must be a string and is the number `3`; put it in quotes, "3" [PROJECT_CONFIG_INVALID]"#,
        },
        Case {
            name: "a missing requirements file",
            spoil: |sandbox| {
                let config = "project: fraud\nenvironments:\n  default:\n    requirements: needed.txt\n";
                sandbox.write("project/chalk.yaml", config);
            },
            arguments: &["project"],
            said: "error: @/project/chalk.yaml: `environments.default.requirements`: the file `needed.txt` is missing; create the file, or correct its path (`environments.default.requirements` in chalk.yaml) [PROJECT_FILE_MISSING]",
        },
        Case {
            name: "no such directory",
            spoil: nothing,
            arguments: &["elsewhere"],
            said: "error: elsewhere: there is no such directory; name the directory that holds chalk.yaml [PROJECT_DIRECTORY_INVALID]",
        },
        Case {
            name: "a project that is a file",
            spoil: nothing,
            arguments: &["project/chalk.yaml"],
            said: "error: project/chalk.yaml: it is a file, not a directory; name the directory that holds chalk.yaml [PROJECT_DIRECTORY_INVALID]",
        },
        Case {
            name: "an unknown environment",
            spoil: nothing,
            arguments: &["project", "--environment", "staging"],
            said: "error: environment `staging`: @/project/chalk.yaml knows no such environment; name one of: default [ENVIRONMENT_UNKNOWN]",
        },
        Case {
            name: "a truncated export",
            spoil: |sandbox| {
                let export = fs::read(sandbox.path("project/chalk.export.pb")).expect("it is there");
                sandbox.write("cut.bin", &export[..export.len() / 2]);
            },
            arguments: &["project", "--graph", "cut.bin"],
            said: "",
        },
        Case {
            name: "another message as an export",
            // Field 1 as a length-delimited text, as in most messages; an export has something else there.
            spoil: |sandbox| sandbox.write("other.bin", b"\x0a\x05hello\x12\x05world"),
            arguments: &["project", "--graph", "other.bin"],
            said: "",
        },
        Case {
            name: "an export that is not there",
            spoil: nothing,
            arguments: &["project", "--graph", "absent.bin"],
            said: "",
        },
        Case {
            name: "blue-green",
            spoil: nothing,
            arguments: &["project", "--strategy", "blue-green"],
            said: "error: --strategy blue-green: the blue-green strategy is not available yet; use --strategy immediate [REQUEST_INVALID]",
        },
        Case {
            name: "an unknown flag",
            spoil: nothing,
            arguments: &["project", "--forse"],
            said: "error: unexpected argument '--forse' found; tip: a similar argument exists: '--force'; see --help [REQUEST_INVALID]",
        },
        Case {
            name: "a contradiction",
            spoil: nothing,
            arguments: &["project", "--resume", "--no-await"],
            said: "error: the argument '--resume' cannot be used with '--no-await'; see --help [REQUEST_INVALID]",
        },
        Case {
            name: "a tag twice",
            spoil: nothing,
            arguments: &["project", "--deployment-tag", "a", "--deployment-tag", "a"],
            said: "error: --deployment-tag a: the tag is given twice; give each tag once [REQUEST_INVALID]",
        },
        Case {
            name: "a state folder that is a file",
            spoil: |sandbox| sandbox.write("state", ""),
            arguments: &["project", "--state", "state"],
            said: "",
        },
        Case {
            name: "a state folder that holds other things",
            spoil: nothing,
            arguments: &["project", "--state", "no-programs/.."],
            said: "",
        },
        Case {
            name: "a link that leaves the project",
            spoil: |sandbox| {
                std::os::unix::fs::symlink("/etc/passwd", sandbox.path("project/passwd")).expect("a new link");
            },
            arguments: &["project"],
            said: "",
        },
    ]
}

/// What was said, with the sandbox's place taken out.
fn said(sandbox: &Sandbox, stderr: &str) -> String {
    let canonical = fs::canonicalize(sandbox.path("")).expect("it is there");
    let shown = stderr.replace(&*canonical.to_string_lossy(), "@");
    shown.replace(sandbox.path("").to_string_lossy().trim_end_matches('/'), "@")
}

#[test]
fn bad_input_is_one_sentence_with_file_field_and_remedy_and_nothing_is_created() {
    let mut wrong = Vec::new();
    for Case { name, spoil, arguments, said: expected } in cases() {
        let sandbox = Sandbox::new();
        spoil(&sandbox);
        for more in [&[][..], &["--json"], &["--resume"]] {
            // A contradiction must stay the only one.
            let more = if arguments.contains(&"--resume") { &[][..] } else { more };
            let run = sandbox.program(arguments).with(more).run();
            let found = said(&sandbox, &run.stderr);
            if run.code() != Some(2) || !run.stdout.is_empty() || found != format!("{expected}\n") {
                wrong.push(format!("{name} {more:?}: {:?}\n{found}{}", run.code(), run.stdout));
            }
            if sandbox.path(".chalk-deploy").exists() {
                wrong.push(format!("{name} {more:?}: a state folder was made"));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
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
        let expected = "error: @/.chalk-deploy/.chalk-deploy-state: the state has format 2, and this version knows format 1; \
            use the version of chalk-deploy that wrote it or a newer one, or name another state folder \
            [JOURNAL_INCOMPATIBLE]\n";
        assert_eq!((said(&sandbox, &run.stderr).as_str(), run.stdout.as_str()), (expected, ""), "{more:?}");
        assert_eq!(files(&sandbox.path(".chalk-deploy")), before, "{more:?}");
    }
}
