//! What stands in the state folder, and which folders are refused.

use futures::future::join_all;

use super::*;
use crate::store::STATE_MARKER;
use crate::store::sqlite::STATE_FORMAT;
use crate::{Error, ErrorCode};

async fn refused(directory: &Path, code: ErrorCode) -> Error {
    let error = SqliteStore::open(directory).await.expect_err("the folder is refused");
    assert_eq!(error.code(), code, "{}", error.sentence());
    let name = directory.display().to_string();
    assert!(error.subject().starts_with(&name), "{} does not name {name}", error.sentence());
    assert!(!error.hint().is_empty(), "{}", error.sentence());
    error
}

#[tokio::test]
async fn a_new_folder_is_marked_and_ignored_by_git() {
    let directory = tempfile::tempdir().expect("a directory");
    let deep = directory.path().join("a/b/ü c%?#/state");
    let store = SqliteStore::open(&deep).await.expect("the store opens");
    assert_eq!(store.directory(), deep);
    assert_eq!(fs::read_to_string(deep.join(".gitignore")).expect("a file"), "*\n");
    let marker = fs::read_to_string(deep.join(STATE_MARKER)).expect("the marker");
    assert!(marker.lines().any(|line| line == format!("format: {STATE_FORMAT}")), "{marker}");
    let leftovers: Vec<_> =
        contents(&deep).into_keys().filter(|path| path.to_string_lossy().contains("state.")).collect();
    assert!(leftovers.is_empty(), "{leftovers:?}");
    drop(store);
    let files: Vec<_> = contents(&deep).into_keys().collect();
    let expected = [STATE_MARKER, ".gitignore", "creation.lock", DATABASE, "leases"].map(|name| deep.join(name));
    assert_eq!(files, expected, "closing removes the log");
}

#[tokio::test]
async fn an_empty_folder_and_one_whose_making_was_interrupted_are_taken() {
    let directory = tempfile::tempdir().expect("a directory");
    let empty = directory.path().join("empty");
    fs::create_dir(&empty).expect("a folder");
    SqliteStore::open(&empty).await.expect("an empty folder is taken");
    let begun = directory.path().join("begun");
    fs::create_dir(&begun).expect("a folder");
    fs::write(begun.join(format!("{STATE_MARKER}.1-0")), "This fol").expect("a file");
    SqliteStore::open(&begun).await.expect("a folder that was begun is taken");
    for removed in [".gitignore", DATABASE] {
        fs::remove_file(begun.join(removed)).expect("a file");
    }
    fs::write(begun.join(DATABASE), "").expect("a file");
    let store = SqliteStore::open(&begun).await.expect("a folder with its marker is taken");
    assert!(begun.join(".gitignore").exists());
    super::begun(&store).await;
}

#[tokio::test]
async fn many_may_open_a_new_folder_at_the_same_moment() {
    let directory = tempfile::tempdir().expect("a directory");
    for round in 0..5 {
        let path = directory.path().join(round.to_string());
        let stores = join_all((0..8).map(|_| SqliteStore::open(&path))).await;
        for store in stores {
            let store = store.expect("the store opens");
            store.create(&plan(), &graph()).await.expect("it is created");
        }
    }
}

#[tokio::test]
async fn a_folder_that_holds_other_things_is_refused_and_left_as_it_is() {
    let directory = tempfile::tempdir().expect("a directory");
    fs::write(directory.path().join("chalk.yaml"), "project: fraud\n").expect("a file");
    let before = contents(directory.path());
    let error = refused(directory.path(), ErrorCode::RequestInvalid).await;
    assert!(error.message().contains("chalk.yaml"), "{}", error.sentence());
    assert_eq!(contents(directory.path()), before);
}

#[tokio::test]
async fn a_folder_whose_marker_has_a_newer_or_no_format_is_refused_byte_for_byte_unchanged() {
    let (directory, store) = opened().await;
    begun(&store).await;
    drop(store);
    let state = state(&directory);
    fs::remove_file(state.join(".gitignore")).expect("a file");
    for marker in ["format: 2\n", "format: 99999999999999999999\n", "format: one\u{1b}\n", "", "\u{0}format: 1"] {
        fs::write(state.join(STATE_MARKER), marker).expect("a file");
        let before = contents(&state);
        let error = refused(&state, ErrorCode::JournalIncompatible).await;
        assert!(!error.sentence().contains('\u{1b}'), "{:?}", error.sentence());
        assert_eq!(contents(&state), before, "{marker:?}");
    }
    fs::write(state.join(STATE_MARKER), [0xff, 0xfe]).expect("a file");
    refused(&state, ErrorCode::JournalIncompatible).await;
}

#[tokio::test]
async fn a_database_of_a_newer_format_is_refused_byte_for_byte_unchanged() {
    let (directory, store) = opened().await;
    begun(&store).await;
    drop(store);
    let state = state(&directory);
    beside(&state).pragma_update(None, "user_version", STATE_FORMAT + 1).expect("a pragma");
    let before = contents(&state);
    let error = refused(&state, ErrorCode::JournalIncompatible).await;
    assert!(error.message().contains(&(STATE_FORMAT + 1).to_string()), "{}", error.sentence());
    assert_eq!(contents(&state), before);
}

#[tokio::test]
async fn a_newer_format_that_still_stands_in_the_log_is_refused_with_database_and_log_unchanged() {
    let (directory, store) = opened().await;
    begun(&store).await;
    drop(store);
    let state = state(&directory);
    let newer = beside(&state);
    newer.pragma_update(None, "user_version", STATE_FORMAT + 1).expect("a pragma");
    // As if the newer version had been killed: its log stays.
    let kept = directory.path().join("kept");
    fs::create_dir(&kept).expect("a folder");
    fs::create_dir(kept.join("leases")).expect("a folder");
    for (path, bytes) in contents(&state).into_iter().filter(|(path, _)| !path.is_dir()) {
        let name = path.file_name().expect("a file has a name").to_owned();
        if !name.to_string_lossy().ends_with("-shm") {
            fs::write(kept.join(name), bytes).expect("a file");
        }
    }
    let without_index = |directory: &Path| {
        let mut contents = contents(directory);
        contents.retain(|path, _| !path.to_string_lossy().ends_with("-shm"));
        contents
    };
    let before = without_index(&kept);
    assert!(before.keys().any(|path| path.to_string_lossy().ends_with("-wal")));
    refused(&kept, ErrorCode::JournalIncompatible).await;
    assert_eq!(without_index(&kept), before);
}

#[tokio::test]
async fn the_database_of_another_program_is_refused_and_left_as_it_is() {
    let directory = tempfile::tempdir().expect("a directory");
    let state = state(&directory);
    drop(SqliteStore::open(&state).await.expect("the store opens"));
    fs::remove_file(state.join(DATABASE)).expect("a file");
    let other = Connection::open(state.join(DATABASE)).expect("the database opens");
    other.execute_batch("CREATE TABLE songs (title TEXT)").expect("a table");
    drop(other);
    let before = contents(&state);
    refused(&state, ErrorCode::JournalIncompatible).await;
    assert_eq!(contents(&state), before);
}

#[tokio::test]
async fn a_file_in_the_place_of_the_folder_or_of_a_parent_is_refused() {
    let directory = tempfile::tempdir().expect("a directory");
    let file = directory.path().join("file");
    fs::write(&file, "text").expect("a file");
    let error = refused(&file, ErrorCode::StoreUnavailable).await;
    assert!(error.hint().contains("name a folder"), "{}", error.sentence());
    refused(&file.join("state"), ErrorCode::StoreUnavailable).await;
    assert_eq!(fs::read_to_string(&file).expect("a file"), "text");
}

#[tokio::test]
async fn folders_in_the_place_of_files_are_refused() {
    for name in [DATABASE, STATE_MARKER, "creation.lock"] {
        let directory = tempfile::tempdir().expect("a directory");
        let state = state(&directory);
        drop(SqliteStore::open(&state).await.expect("the store opens"));
        fs::remove_file(state.join(name)).expect("a file");
        fs::create_dir(state.join(name)).expect("a folder");
        if name == "creation.lock" {
            fs::remove_file(state.join(DATABASE)).expect("a file");
        }
        let error = refused(&state, ErrorCode::StoreUnavailable).await;
        assert!(error.subject().ends_with(name), "{}", error.sentence());
    }
}

#[tokio::test]
async fn appends_leave_the_log_alone_and_the_next_creation_moves_it() {
    let (directory, store) = opened().await;
    let log = || fs::metadata(state(&directory).join(format!("{DATABASE}-wal"))).expect("the log").len();
    let database = || fs::metadata(state(&directory).join(DATABASE)).expect("the database").len();
    let (plan, token) = begun(&store).await;
    let line = "x".repeat(1 << 20);
    for version in 1..=20 {
        store.append(&lines(&plan, version, token, &line)).await.expect("it fits");
    }
    assert!(log() > 20 << 20 && database() < 1 << 20, "{} in the log, {} in the database", log(), database());
    store.create(&super::plan(), &graph()).await.expect("it is created");
    assert!(log() < 1 << 20 && database() > 20 << 20, "{} in the log, {} in the database", log(), database());
    assert_eq!(store.events(&plan.id, 0).await.expect("its journal is there").len(), 21);
}
