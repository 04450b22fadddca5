//! Damaged, full and unwritable databases: an error with the place and the remedy, and never a panic.

use std::io::{Seek as _, SeekFrom, Write as _};

use proptest::prelude::*;

use super::*;
use crate::ErrorCode;
use crate::store::HistoryQuery;

/// Runs a statement on the database of a store that goes on living.
fn tamper(store: &SqliteStore, statement: &str) {
    beside(store.directory()).execute_batch(statement).expect("the statement fits the tables");
}

#[tokio::test]
async fn a_full_disk_is_said_and_nothing_of_the_append_is_there() {
    let (_directory, store) = opened().await;
    let (plan, token) = begun(&store).await;
    let limit = |pages: i64| {
        let writer = store.opened.database.writer();
        writer.pragma_update_and_check(None, "max_page_count", pages, |_| Ok(())).expect("a pragma");
    };
    limit(1);
    let line = "x".repeat(100_000);
    let error = store.append(&lines(&plan, 1, token, &line)).await.expect_err("the disk is full");
    assert_eq!(error.code(), ErrorCode::StoreUnavailable);
    assert!(error.sentence().contains("full") && error.hint().contains("free some space"), "{}", error.sentence());
    assert_eq!(store.deployment(&plan.id).await.expect("it is there").version, 1);
    assert_eq!(store.events(&plan.id, 0).await.expect("its journal is there").len(), 1);
    limit(1_000_000);
    store.append(&lines(&plan, 1, token, &line)).await.expect("there is space again");
}

#[tokio::test]
async fn a_database_that_cannot_be_written_can_still_be_read() {
    let (_directory, store) = opened().await;
    let (plan, token) = begun(&store).await;
    store.opened.database.writer().pragma_update(None, "query_only", true).expect("a pragma");
    let error = store.append(&lines(&plan, 1, token, "line")).await.expect_err("it cannot be written");
    assert_eq!((error.code(), error.retry()), (ErrorCode::StoreUnavailable, crate::error::Retry::Permanent));
    assert!(error.subject().ends_with(DATABASE), "{}", error.sentence());
    store.deployment(&plan.id).await.expect("it can be read");
}

#[tokio::test]
async fn an_event_of_an_unknown_format_is_refused_and_one_that_does_not_parse_is_corrupt() {
    let (_directory, store) = opened().await;
    let (plan, token) = begun(&store).await;
    store.append(&lines(&plan, 1, token, "line")).await.expect("it fits");
    let cases = [
        ("format = 3, body = '{\"event\":\"log\"}'", ErrorCode::JournalIncompatible),
        ("format = 0", ErrorCode::JournalIncompatible),
        ("format = -1", ErrorCode::JournalCorrupt),
        ("format = 1, body = '{\"event\":\"log\"}'", ErrorCode::JournalCorrupt),
        ("body = '{\"event\":\"sung\"}'", ErrorCode::JournalCorrupt),
        ("body = 'no JSON \u{1b}'", ErrorCode::JournalCorrupt),
        ("body = ''", ErrorCode::JournalCorrupt),
        ("body = CAST(x'ff' AS TEXT)", ErrorCode::JournalCorrupt),
        ("at = -1", ErrorCode::JournalCorrupt),
    ];
    for (change, code) in cases {
        tamper(&store, &format!("UPDATE events SET {change} WHERE sequence = 2"));
        let error = store.events(&plan.id, 1).await.expect_err("the event cannot be read");
        assert_eq!(error.code(), code, "{change}: {}", error.sentence());
        assert!(!error.sentence().contains('\u{1b}'), "{:?}", error.sentence());
        store.deployment(&plan.id).await.expect("its first event is whole");
    }
    tamper(&store, "UPDATE events SET format = 7 WHERE sequence = 1");
    let error = store.history(&HistoryQuery::default()).await.expect_err("its first event cannot be read");
    assert_eq!(error.code(), ErrorCode::JournalIncompatible);
    assert!(error.subject().contains(plan.id.as_str()), "{}", error.sentence());
}

#[tokio::test]
async fn a_journal_of_the_first_format_is_read_and_goes_on_in_the_newest() {
    let (_directory, store) = opened().await;
    let (plan, token) = begun(&store).await;
    store.append(&lines(&plan, 1, token, "of an older version")).await.expect("it fits");
    let written = store.events(&plan.id, 0).await.expect("readable");
    tamper(&store, "UPDATE events SET format = 1");
    assert_eq!(store.events(&plan.id, 0).await.expect("it is known"), written);
    store.append(&lines(&plan, 2, token, "of this one")).await.expect("it goes on");
    assert_eq!(store.events(&plan.id, 0).await.expect("readable").len(), 3);
    assert_eq!(store.history(&HistoryQuery::default()).await.expect("readable").len(), 1);
}

#[tokio::test]
async fn a_journal_with_a_gap_or_without_its_end_is_corrupt() {
    for missing in 1..=4 {
        let (_directory, store) = opened().await;
        let (plan, token) = begun(&store).await;
        for version in 1..4 {
            store.append(&lines(&plan, version, token, "line")).await.expect("it fits");
        }
        tamper(&store, &format!("DELETE FROM events WHERE sequence = {missing}"));
        let error = store.events(&plan.id, 0).await.expect_err("an event is missing");
        assert_eq!(error.code(), ErrorCode::JournalCorrupt, "{missing}");
        assert!(error.sentence().contains(plan.id.as_str()), "{}", error.sentence());
        if missing == 1 {
            let error = store.deployment(&plan.id).await.expect_err("the plan is missing");
            assert_eq!(error.code(), ErrorCode::JournalCorrupt);
        }
    }
}

#[tokio::test]
async fn values_that_no_version_of_ours_wrote_are_corrupt() {
    let changes = [
        "UPDATE deployments SET status = 'SINGING'",
        "UPDATE deployments SET version = -1",
        "UPDATE deployments SET updated_at = -1",
        "UPDATE deployments SET id = 'x'",
        "UPDATE events SET body = (SELECT replace(body, '\"environment\":\"prod\"', '\"environment\":\"../x\"') FROM events)",
        "DROP TABLE events",
        "ALTER TABLE deployments RENAME COLUMN version TO edition",
    ];
    for change in changes {
        let (_directory, store) = opened().await;
        begun(&store).await;
        tamper(&store, change);
        let error = store.history(&HistoryQuery::default()).await.expect_err("the history cannot be read");
        assert_eq!(error.code(), ErrorCode::JournalCorrupt, "{change}: {}", error.sentence());
    }
}

#[tokio::test]
async fn a_graph_whose_bytes_were_changed_is_not_handed_out() {
    let (_directory, store) = opened().await;
    let (plan, _) = begun(&store).await;
    tamper(&store, "UPDATE graphs SET bytes = x'00'");
    let error = store.graph(&plan.graph).await.expect_err("the bytes have another digest");
    assert_eq!(error.code(), ErrorCode::JournalCorrupt);
    assert!(error.subject().contains(&plan.graph.hex()), "{}", error.sentence());
}

#[tokio::test]
async fn a_lease_row_of_nonsense_is_corrupt_and_gives_no_lease() {
    let want = async |store: &SqliteStore| {
        let holder = LeaseHolder { name: "other".to_owned(), process: 2, started_at: Timestamp::from_millis(1) };
        let now = Timestamp::from_millis(1);
        store.acquire_lease(&environment(), &holder, Duration::ZERO, now).await.map_err(|error| error.code())
    };
    // The next token cannot be counted, so a free environment is not given out.
    for change in ["token = -5", "token = 9223372036854775807"] {
        let (directory, store) = opened().await;
        let (plan, token) = begun(&store).await;
        tamper(&store, &format!("UPDATE leases SET {change}"));
        assert!(store.append(&lines(&plan, 1, token, "line")).await.is_err(), "{change}");
        drop(store);
        let store = SqliteStore::open(&state(&directory)).await.expect("the store opens");
        assert_eq!(want(&store).await, Err(ErrorCode::JournalCorrupt), "{change}");
        tamper(&store, "UPDATE leases SET token = 41");
        assert_eq!(
            want(&store).await.map(|lease| lease.token),
            Ok(FencingToken(42)),
            "the failed attempt kept no lock"
        );
    }
    // The owner of one that is held cannot be named.
    for change in ["process = -1", "process = 4294967296", "started_at = -1"] {
        let (_directory, store) = opened().await;
        begun(&store).await;
        tamper(&store, &format!("UPDATE leases SET {change}"));
        assert_eq!(want(&store).await, Err(ErrorCode::JournalCorrupt), "{change}");
    }
}

#[tokio::test]
async fn a_file_that_is_no_database_is_corrupt_and_left_as_it_is() {
    for garbage in [b"not a database".repeat(1000), vec![0; 4096], b"SQLite format 3\0".to_vec()] {
        let (directory, store) = opened().await;
        drop(store);
        let path = state(&directory).join(DATABASE);
        fs::write(&path, &garbage).expect("a file");
        let error = SqliteStore::open(&state(&directory)).await.expect_err("it is no database");
        assert_eq!(error.code(), ErrorCode::JournalCorrupt, "{}", error.sentence());
        assert_eq!(error.subject(), path.display().to_string());
        assert_eq!(fs::read(&path).expect("a file"), garbage);
    }
}

/// A state folder with a few deployments, closed.
fn written() -> tempfile::TempDir {
    let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
    runtime.block_on(async {
        let (directory, store) = opened().await;
        let (plan, token) = begun(&store).await;
        for version in 1..20 {
            store.append(&lines(&plan, version, token, &"line ".repeat(200))).await.expect("it fits");
        }
        directory
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn overwritten_bytes_anywhere_never_cause_a_panic(
        holes in proptest::collection::vec((any::<prop::sample::Index>(), proptest::collection::vec(any::<u8>(), 1..64)), 1..8),
        cut in proptest::option::of(any::<prop::sample::Index>()),
    ) {
        static WRITTEN: std::sync::OnceLock<tempfile::TempDir> = std::sync::OnceLock::new();
        let original = WRITTEN.get_or_init(written);
        let directory = tempfile::tempdir().expect("a directory");
        let state = state(&directory);
        fs::create_dir(&state).expect("a folder");
        let from = super::state(original);
        for name in [crate::store::STATE_MARKER, ".gitignore", DATABASE] {
            fs::copy(from.join(name), state.join(name)).expect("a file");
        }
        let mut file = fs::OpenOptions::new().write(true).open(state.join(DATABASE)).expect("a file");
        let length = usize::try_from(file.metadata().expect("a file").len()).expect("a small file");
        for (place, bytes) in holes {
            file.seek(SeekFrom::Start(place.index(length) as u64)).expect("a place");
            file.write_all(&bytes).expect("bytes");
        }
        if let Some(cut) = cut {
            file.set_len(cut.index(length) as u64).expect("a shorter file");
        }
        drop(file);
        let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
        runtime.block_on(async {
            // Whatever is still readable may be told; what is not is an error of ours with the right code.
            let Ok(store) = SqliteStore::open(&state).await.map_err(damaged) else { return };
            let _ = store.history(&HistoryQuery::default()).await.map_err(damaged);
            let plan = plan();
            let _ = store.graph(&plan.graph).await.map_err(damaged);
            if store.create(&plan, &graph()).await.map_err(damaged).is_ok() {
                let _ = store.events(&plan.id, 0).await.map_err(damaged);
                let _ = store.request_cancel(&plan.id).await.map_err(damaged);
            }
        });
    }
}

#[expect(clippy::needless_pass_by_value, reason = "it stands in map_err")]
fn damaged(error: crate::Error) {
    use ErrorCode::{DeploymentUnknown, JournalCorrupt, JournalIncompatible, StoreUnavailable};
    let expected = [JournalCorrupt, JournalIncompatible, StoreUnavailable, DeploymentUnknown];
    assert!(expected.contains(&error.code()), "{}: {}", error.code(), error.sentence());
}
