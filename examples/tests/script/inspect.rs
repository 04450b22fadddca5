//! What is in an archive, shown by the script.

use std::fs;
use std::path::Path;

use chalk_deploy_core::model::Digest;
use chalk_deploy_testkit::sample;
use rustix::process::Signal;
use serde_json::json;

use crate::program::{Finished, Sandbox};

type File = (&'static str, &'static [u8]);

const CONFIG: File = ("chalk.yaml", b"project: fraud\n");

fn inspect(sandbox: &Sandbox, files: &[(&str, &[u8])], arguments: &[&str]) -> Finished {
    sandbox.write("source.tar", sample::archive(files));
    sandbox.example("inspect_archive", &["source.tar"]).with(arguments).run()
}

/// What lies in the sandbox's own folder.
fn names(sandbox: &Sandbox) -> Vec<String> {
    let listed = fs::read_dir(sandbox.path("")).expect("readable");
    let mut names: Vec<_> =
        listed.map(|entry| entry.expect("readable").file_name().into_string().expect("text")).collect();
    names.sort();
    names
}

#[test]
fn a_person_sees_the_entries_with_sizes_and_the_totals() {
    let sandbox = Sandbox::new();
    let run = inspect(&sandbox, &[CONFIG, ("models/a.py", &[b'x'; 2000])], &[]).expect(0);
    let lines: Vec<_> = run.stdout.lines().collect();
    assert_eq!(lines[..2], ["f       15 B  chalk.yaml", "f    2.0 KiB  models/a.py"]);
    assert_eq!(lines[3], "2 files; 2.0 KiB, packed 4.5 KiB");
    assert!(lines[4].starts_with("archive           sha256:"), "{}", run.stdout);
    assert!(lines[5].starts_with("source code hash  sha256:"), "{}", run.stdout);
    assert_eq!(run.stderr, "");
}

#[test]
fn a_program_gets_one_object_for_each_entry() {
    let sandbox = Sandbox::new();
    let run = inspect(&sandbox, &[CONFIG, (".env", b"TOKEN=x")], &["--json"]).expect(0);
    let events = run.events();
    assert_eq!(events.len(), 2);
    let sha256 = Digest::of(CONFIG.1).hex();
    let first = json!({"path": "chalk.yaml", "kind": "file", "size": 15, "mode": "0644", "sha256": sha256});
    assert_eq!(events[0], first);
    assert!(run.stderr.contains("2 files; 22 B, packed 3.0 KiB\n"), "{}", run.stderr);
    assert!(run.stderr.contains("warning: .env: the file has a name under which secrets are kept\n"), "{}", run.stderr);
    let strict = inspect(&sandbox, &[CONFIG, (".env", b"TOKEN=x")], &["--json", "--strict"]).expect(2);
    assert_eq!(strict.last()["code"], "ARCHIVE_SECRET");
}

#[test]
fn what_may_not_be_deployed_ends_with_2_and_its_code_and_unpacks_nothing() {
    let sandbox = Sandbox::new();
    let cases: [(&[File], &str); 4] = [
        (&[CONFIG, ("good.py", b"x"), ("../bad.py", b"x")], "ARCHIVE_PATH_ESCAPE"),
        (&[CONFIG, ("a", b"1"), ("a", b"2")], "ARCHIVE_DUPLICATE_PATH"),
        (&[("models.py", b"x = 1")], "PROJECT_CONFIG_MISSING"),
        (&[], "PROJECT_CONFIG_MISSING"),
    ];
    let before = {
        sandbox.write("source.tar", "");
        names(&sandbox)
    };
    for (files, code) in cases {
        let run = inspect(&sandbox, files, &["--json", "--extract", "out"]).expect(2);
        assert_eq!(run.events().len(), 1, "no entry of a refused archive is told: {}", run.stdout);
        assert_eq!(run.last()["code"], code);
        assert!(run.stderr.ends_with(&format!("[{code}]\n")), "{}", run.stderr);
        assert_eq!(names(&sandbox), before, "nothing is left");
        let words = inspect(&sandbox, files, &[]).expect(2);
        assert_eq!(words.stdout, "");
        assert!(words.stderr.starts_with("error: ") && words.stderr.ends_with(&format!("[{code}]\n")), "{words:?}");
    }
    inspect(&sandbox, &[("models.py", b"x = 1")], &["--any-tree"]).expect(0);
}

#[test]
fn the_directory_is_made_and_holds_what_was_packed() {
    let sandbox = Sandbox::new();
    let run = inspect(&sandbox, &[CONFIG, ("a/b.py", b"x = 1")], &["--extract", "out"]).expect(0);
    assert_eq!(run.stderr, "unpacked into out\n");
    assert_eq!(fs::read(sandbox.path("out/a/b.py")).expect("unpacked"), b"x = 1");
    let again = inspect(&sandbox, &[CONFIG], &["--extract", "out", "--json"]).expect(2);
    assert_eq!(again.last()["code"], "REQUEST_INVALID");
    assert!(Path::exists(&sandbox.path("out/a/b.py")), "what was there stays");
}

#[test]
fn limits_are_settings() {
    let sandbox = Sandbox::new();
    let files: &[(&str, &[u8])] = &[CONFIG, ("a.py", &[b'x'; 5000])];
    for (flag, most) in [("--entries", "1"), ("--packed", "3000"), ("--unpacked", "5000")] {
        let run = inspect(&sandbox, files, &["--json", flag, most]).expect(2);
        assert_eq!(run.last()["code"], "ARCHIVE_TOO_LARGE", "{flag}");
    }
}

#[test]
fn what_cannot_be_read_is_told() {
    let sandbox = Sandbox::new();
    let run = sandbox.example("inspect_archive", &["absent.tar.gz", "--json"]).run().expect(2);
    assert_eq!(run.last()["code"], "SOURCE_UNREADABLE");
    let run = sandbox.example("inspect_archive", &["project", "--json"]).run();
    assert!(matches!(run.code(), Some(1 | 2)), "{run:?}");
    assert!(run.last()["code"].is_string());
}

#[test]
fn a_signal_in_the_middle_leaves_nothing_that_looks_whole() {
    for signal in [Signal::INT, Signal::TERM, Signal::KILL] {
        let sandbox = Sandbox::new();
        // The half of an archive comes through a pipe that never ends.
        let whole = sample::archive(&[CONFIG, ("a.py", &vec![b'x'; 1 << 20])]);
        sandbox.write("half", &whole[..whole.len() / 2]);
        let fifo = sandbox.path("pipe");
        let mode = rustix::fs::Mode::from_raw_mode(0o600);
        rustix::fs::mknodat(rustix::fs::CWD, &fifo, rustix::fs::FileType::Fifo, mode, 0).expect("a pipe");
        let mut running = sandbox.example("inspect_archive", &["pipe", "--extract", "out"]).start();
        let mut pipe = fs::OpenOptions::new().write(true).open(&fifo).expect("the script reads it");
        std::io::copy(&mut fs::File::open(sandbox.path("half")).expect("there"), &mut pipe).expect("it is read");
        running.signal(signal);
        if signal != Signal::KILL {
            // Then the end of the pipe is no end of the archive, but of the script.
            running.wait_for_note("stopping");
        }
        drop(pipe);
        let run = running.end();
        assert!(!sandbox.path("out").exists(), "{signal:?}");
        if signal == Signal::KILL {
            assert!(run.was_killed());
        } else {
            assert_eq!(run.code(), Some(130), "{run:?}");
            let left: Vec<_> = names(&sandbox).into_iter().filter(|name| name.contains("unpacking")).collect();
            assert_eq!(left, Vec::<String>::new(), "{signal:?}");
        }
    }
}

#[test]
fn a_real_project_with_a_few_hundred_modules_goes_in_and_comes_out() {
    let sandbox = Sandbox::new();
    let churn = Path::new(env!("CARGO_MANIFEST_DIR")).join("projects/churn");
    let executor = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
    let archive = executor.block_on(async {
        let project = chalk_deploy_core::project::Project::open(&churn).expect("a project");
        let environment = project.environment(None).expect("the default environment");
        let archive =
            chalk_deploy_core::source::SourceArchive::collect(project.directory(), environment.collect_options());
        archive.await.expect("collected").payload().bytes().await.expect("unchanged")
    });
    sandbox.write("churn.tar.gz", &archive);
    let run = sandbox.example("inspect_archive", &["churn.tar.gz", "--json", "--extract", "out"]).run().expect(0);
    let paths: Vec<_> = run.events().iter().map(|entry| entry["path"].as_str().expect("a path").to_owned()).collect();
    assert!(paths.iter().filter(|path| path.starts_with("signals/")).count() > 240);
    for absent in ["README.md", "make_modules.py"] {
        assert!(!paths.iter().any(|path| path == absent), "{absent} is listed in .chalkignore");
    }
    assert!(paths.iter().any(|path| path == "data/plans.csv"), "the negation brings it back");
    let same = |name: &str| {
        fs::read(churn.join(name)).expect("there") == fs::read(sandbox.path("out").join(name)).expect("there")
    };
    assert!(same("features.py") && same("signals/minutes_7d_trend.py"));
}

/// The archive that is dearest to keep in mind: as many entries as the limit lets in, each below directories of its own.
#[test]
fn the_largest_archive_of_the_default_limits_is_read_in_256_mebibytes() {
    let sandbox = Sandbox::new();
    let mut names: Vec<String> = vec!["chalk.yaml".to_owned()];
    names.extend((0..199_999).map(|number| format!("{number:x}/{}", "n".repeat(93))));
    let files: Vec<(&str, &[u8])> = names.iter().map(|name| (name.as_str(), b"".as_slice())).collect();
    sandbox.write("source.tar", sample::archive(&files));
    let program = crate::program::executable("inspect_archive");
    let limited = format!("ulimit -d 262144 && exec {} source.tar --json", program.display());
    let run = sandbox.shell(&limited).run().expect(0);
    assert_eq!(run.stdout.lines().count(), 200_000);
}
