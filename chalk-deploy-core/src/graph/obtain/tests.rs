use std::io::Read as _;
use std::os::unix::fs::symlink;
use std::sync::Arc;

use async_trait::async_trait;
use tempfile::TempDir;

use super::super::testing::{FRAUD, LOOKOUT_OF_ADA, decoded};
use super::*;
use crate::model::Timestamp;
use crate::runtime::{RuntimeExt as _, SystemRuntime};

/// A project directory with an export for the stand-ins of chalkpy to write.
fn project() -> TempDir {
    let project = tempfile::tempdir().expect("a temporary directory");
    std::fs::write(project.path().join("source.pb"), LOOKOUT_OF_ADA).expect("a file can be written");
    project
}

/// Puts a stand-in where chalkpy is looked for.
fn install(stand_in: &str, programs: &Path) {
    std::fs::create_dir_all(programs).expect("a directory can be made");
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/graph/testdata/chalkpy").join(stand_in);
    symlink(script, programs.join("chalkpy")).expect("a link can be made");
}

/// A request that sees nothing of the machine that the test runs on.
fn request(project: &TempDir) -> ExportRequest {
    ExportRequest::new(project.path()).search_path(SearchPath {
        virtual_environment: None,
        directories: vec![project.path().join("absent"), project.path().join("programs")],
    })
}

async fn refusal(request: ExportRequest, code: ErrorCode) -> String {
    let error = obtain(request, &*SystemRuntime::new()).await.expect_err("this cannot succeed");
    assert_eq!(error.code(), code, "{error:?}");
    error.sentence()
}

#[tokio::test]
async fn the_file_that_is_named_is_used_and_nothing_is_run() {
    let project = project();
    install("fails.sh", &project.path().join("programs"));
    let file = project.path().join("mine.pb");
    std::fs::write(&file, FRAUD).expect("a file can be written");
    let obtained =
        obtain(request(&project).explicit(Some(file.clone())), &*SystemRuntime::new()).await.expect("a graph");
    assert_eq!(obtained.graph.digest(), decoded(FRAUD).digest());
    assert_eq!(obtained.origin, GraphOrigin::File { file });
    assert!(obtained.origin.to_string().ends_with("mine.pb"));
}

#[tokio::test]
async fn a_named_file_that_is_not_there_or_no_export_is_refused_with_its_name() {
    let project = project();
    std::fs::write(project.path().join(COMMITTED_EXPORT), FRAUD).expect("a file can be written");
    let absent = request(&project).explicit(Some(project.path().join("absent.pb")));
    let sentence = refusal(absent, ErrorCode::GraphMissing).await;
    assert!(sentence.contains("absent.pb") && sentence.contains("chalkpy export FILE --proto"), "{sentence}");

    let text = project.path().join("chalk.yaml");
    std::fs::write(&text, "project: fraud\n").expect("a file can be written");
    let sentence = refusal(request(&project).explicit(Some(text)), ErrorCode::GraphUndecodable).await;
    assert!(sentence.contains("chalk.yaml"), "{sentence}");

    let directory = request(&project).explicit(Some(project.path().to_path_buf()));
    refusal(directory, ErrorCode::GraphUndecodable).await;
}

#[tokio::test]
async fn chalkpy_is_run_in_the_project_without_input_and_without_leaving_bytecode() {
    let project = project();
    install("exports.sh", &project.path().join("programs"));
    let obtained = obtain(request(&project), &*SystemRuntime::new()).await.expect("a graph");
    assert_eq!(obtained.graph.digest(), decoded(LOOKOUT_OF_ADA).digest());
    assert_eq!(obtained.origin.to_string(), "the feature graph was exported by chalkpy 2.166.1");
    assert_eq!(obtained.notes, Vec::<String>::new());
    let read = |name: &str| std::fs::read_to_string(project.path().join(name)).expect("the stand-in wrote it");
    assert!(read("called").trim_end().ends_with(" 1"), "{}", read("called"));
    assert_eq!(read("input"), "");
}

#[tokio::test]
async fn the_projects_own_environment_comes_before_the_path_and_the_active_one_before_both() {
    let project = project();
    install("fails.sh", &project.path().join("programs"));
    let own = project.path().join(".venv");
    install("exports.sh", &own.join("bin"));
    std::fs::write(own.join("pyvenv.cfg"), "").expect("a file can be written");
    let called = || std::fs::read_to_string(project.path().join("called")).expect("the stand-in wrote it");

    obtain(request(&project), &*SystemRuntime::new()).await.expect("a graph");
    assert!(called().contains("/.venv/bin/chalkpy"), "{}", called());
    // chalkpy is told to skip it, or it would import the libraries in it.
    assert!(called().contains("/.venv 1"), "{}", called());

    let active = project.path().join("active");
    install("exports.sh", &active.join("bin"));
    let mut with_active = request(&project);
    with_active.search_path.virtual_environment = Some(active);
    obtain(with_active, &*SystemRuntime::new()).await.expect("a graph");
    assert!(called().contains("/active/bin/chalkpy"), "{}", called());
}

#[tokio::test]
async fn the_end_of_chalkpys_output_is_shown_when_it_fails() {
    let project = project();
    install("fails.sh", &project.path().join("programs"));
    // The committed export does not hide the failure.
    std::fs::write(project.path().join(COMMITTED_EXPORT), FRAUD).expect("a file can be written");
    let sentence = refusal(request(&project), ErrorCode::GraphExportFailed).await;
    assert!(sentence.contains("exit code 3") && sentence.contains("ModuleNotFoundError") && sentence.contains("numpy"));
    assert!(sentence.contains("\n20000\n") && !sentence.contains("\n19000\n"), "{sentence}");
    assert!(!sentence.contains('\u{1b}'), "{sentence:?}");
}

#[tokio::test]
async fn chalkpy_is_killed_when_its_time_is_up() {
    let project = project();
    install("hangs.sh", &project.path().join("programs"));
    let fifo = project.path().join("fifo");
    let made = std::process::Command::new("mkfifo").arg(&fifo).status().expect("mkfifo runs");
    assert!(made.success());
    // Opening waits for the stand-in to open its end; reading waits for it to be gone.
    let (gone, end) = tokio::sync::oneshot::channel();
    std::thread::spawn(move || {
        let mut nothing = Vec::new();
        let ended = std::fs::File::open(fifo).and_then(|mut fifo| fifo.read_to_end(&mut nothing));
        gone.send(ended.is_ok()).expect("the test still waits");
    });
    let limited = request(&project).time_limit(Duration::from_millis(700));
    let sentence = refusal(limited, ErrorCode::GraphExportFailed).await;
    assert!(sentence.contains("did not end within 700ms") && sentence.contains("waiting"), "{sentence}");
    let gone = SystemRuntime::new().within(Duration::from_secs(20), end).await;
    assert_eq!(gone.and_then(Result::ok), Some(true), "the process is still there");
}

#[tokio::test]
async fn what_is_no_export_or_nothing_is_refused_as_chalkpys_failure() {
    for (stand_in, said) in
        [("writes-text.sh", "wrote no export of a graph"), ("writes-nothing.sh", "wrote no export:\ndone")]
    {
        let project = project();
        install(stand_in, &project.path().join("programs"));
        let sentence = refusal(request(&project), ErrorCode::GraphExportFailed).await;
        assert!(sentence.contains(said), "{sentence}");
    }
}

/// Real, but for short waits, which are over at once.
#[derive(Debug)]
struct Hasty(Arc<SystemRuntime>);

#[async_trait]
impl Runtime for Hasty {
    fn now(&self) -> Timestamp {
        self.0.now()
    }

    fn monotonic(&self) -> Duration {
        self.0.monotonic()
    }

    async fn sleep(&self, duration: Duration) {
        if duration > Duration::from_secs(1) {
            self.0.sleep(duration).await;
        }
    }

    fn fill_random(&self, bytes: &mut [u8]) {
        self.0.fill_random(bytes);
    }
}

#[tokio::test]
async fn a_process_that_chalkpy_left_behind_is_not_waited_for() {
    let project = project();
    install("leaves-a-child.sh", &project.path().join("programs"));
    let runtime = Hasty(SystemRuntime::new());
    let before = runtime.monotonic();
    obtain(request(&project), &runtime).await.expect("a graph");
    assert!(runtime.monotonic().saturating_sub(before) < Duration::from_secs(4));
}

#[tokio::test]
async fn without_chalkpy_the_committed_export_is_used_and_said_so() {
    let project = project();
    std::fs::write(project.path().join(COMMITTED_EXPORT), FRAUD).expect("a file can be written");
    let obtained = obtain(request(&project), &*SystemRuntime::new()).await.expect("a graph");
    assert_eq!(obtained.graph.bytes(), FRAUD);
    assert_eq!(obtained.origin, GraphOrigin::Committed { version: Some("2.166.1".to_owned()) });
    assert!(obtained.origin.to_string().contains(COMMITTED_EXPORT));
    let [note] = obtained.notes.as_slice() else { panic!("one note, and not {:?}", obtained.notes) };
    assert!(note.contains("chalkpy 2.166.1") && note.contains("cannot be told"), "{note}");
}

#[tokio::test]
async fn without_any_export_the_remedy_is_named() {
    let sentence = refusal(request(&project()), ErrorCode::GraphMissing).await;
    assert!(sentence.contains(COMMITTED_EXPORT) && sentence.contains("--graph FILE"), "{sentence}");
}

#[tokio::test]
async fn a_chalkpy_that_cannot_be_executed_is_passed_over() {
    let project = project();
    let programs = project.path().join("programs");
    std::fs::create_dir_all(&programs).expect("a directory can be made");
    std::fs::write(programs.join("chalkpy"), "#!/bin/sh\n").expect("a file can be written");
    refusal(request(&project), ErrorCode::GraphMissing).await;
}
