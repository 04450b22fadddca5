//! Trees on disk to archives and back.

use std::fs;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::sync::Mutex;

use futures::StreamExt as _;
use proptest::prelude::*;

use super::*;
use crate::cloud::{ByteStream, PayloadSource as _};
use crate::store::STATE_MARKER;

pub(super) fn folder() -> (tempfile::TempDir, PathBuf) {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let path = folder.path().canonicalize().expect("it exists").join("project");
    fs::create_dir(&path).expect("writable");
    (folder, path)
}

fn write(root: &Path, path: &str, content: impl AsRef<[u8]>) {
    let path = root.join(path);
    fs::create_dir_all(path.parent().expect("a parent")).expect("writable");
    fs::write(path, content).expect("writable");
}

fn tree(files: &[(&str, &str)]) -> (tempfile::TempDir, PathBuf) {
    let (folder, root) = folder();
    for (path, content) in files {
        write(&root, path, content);
    }
    (folder, root)
}

/// Without the asynchronous shell, so that a test can be an ordinary one.
fn collect(root: &Path, options: &CollectOptions) -> Result<SourceArchive> {
    SourceArchive::collect_here(root, options, &CancellationToken::new())
}

fn paths(archive: &SourceArchive) -> Vec<&str> {
    archive.entries().iter().map(|entry| entry.path.as_str()).collect()
}

fn collected_paths(root: &Path, options: &CollectOptions) -> Vec<String> {
    let archive = collect(root, options).expect("a tree that can be archived");
    paths(&archive).into_iter().map(str::to_owned).collect()
}

async fn drain(mut stream: ByteStream) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    while let Some(chunk) = stream.next().await {
        bytes.extend_from_slice(&chunk?);
    }
    Ok(bytes)
}

fn packed(archive: &SourceArchive) -> Vec<u8> {
    let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
    runtime.block_on(async { drain(archive.open().await.expect("opens")).await }).expect("the tree is unchanged")
}

/// Path, content and mode of each file, and the target of each link.
type Content = Vec<(String, Vec<u8>, u32)>;

fn unpacked(bytes: &[u8]) -> (SourceFingerprint, Content) {
    use std::io::Read as _;
    let mut reader = ArchiveReader::new(bytes, ArchiveLimits::default()).expect("an archive");
    let mut content = Vec::new();
    while let Some(entry) = reader.next_entry().expect("an archive of ours") {
        let mut bytes = Vec::new();
        reader.read_to_end(&mut bytes).expect("readable");
        if let EntryKind::Link { target } = &entry.kind {
            bytes = target.clone().into_bytes();
        }
        if entry.kind != EntryKind::Directory {
            content.push((entry.path, bytes, entry.mode));
        }
    }
    (reader.finish().expect("nothing follows"), content)
}

fn error(root: &Path) -> Error {
    collect(root, &CollectOptions::new()).expect_err("a tree that cannot be archived")
}

#[tokio::test]
async fn what_is_collected_is_what_is_sent_and_what_is_read_back() {
    let (_folder, root) =
        tree(&[("chalk.yaml", "project: a"), ("models.py", "x = 1"), ("sql/a.chalk.sql", "select 1")]);
    symlink("models.py", root.join("alias.py")).expect("writable");
    let archive = SourceArchive::collect(&root, CollectOptions::new()).await.expect("a plain tree");
    assert_eq!(paths(&archive), ["alias.py", "chalk.yaml", "models.py", "sql", "sql/a.chalk.sql"]);
    let fingerprint = archive.fingerprint();
    assert_eq!((fingerprint.entries, fingerprint.unpacked_size), (5, 10 + 5 + 8));

    let bytes = archive.payload().bytes().await.expect("digest and length agree");
    assert_eq!(bytes.len() as u64, fingerprint.size);
    let seen = Arc::new(Mutex::new(Vec::new()));
    let sink = Arc::clone(&seen);
    let visitor = move |entry: &ArchiveEntry, content: &mut dyn io::Read| {
        let mut text = String::new();
        content.read_to_string(&mut text).expect("text");
        sink.lock().expect("no panic").push((entry.clone(), text));
        Ok(())
    };
    let stream = archive.open().await.expect("opens");
    let (read, _) = read_archive(stream, ArchiveLimits::default(), visitor).await.expect("our own archive");
    assert_eq!(read, *fingerprint, "reading back gives the same fingerprint");
    let seen = seen.lock().expect("no panic");
    let entries: Vec<_> = seen.iter().map(|(entry, _)| entry.clone()).collect();
    assert_eq!(entries, archive.entries());
    assert_eq!(seen[2].1, "x = 1");
}

#[test]
fn the_same_tree_gives_the_same_bytes_whoever_made_it_and_when() {
    let files = [("b.py", "2"), ("a/x.py", "1"), ("a-b/y.py", "3"), ("run.sh", "#!/bin/sh"), ("empty", "")];
    let (_first, one) = tree(&files);
    let (_second, two) = folder();
    for (path, content) in files.iter().rev() {
        write(&two, path, content);
        let file = fs::File::open(two.join(path)).expect("it exists");
        file.set_modified(std::time::UNIX_EPOCH).expect("ours");
    }
    let mode = |root: &Path, path: &str, mode| {
        fs::set_permissions(root.join(path), fs::Permissions::from_mode(mode)).expect("ours");
    };
    mode(&one, "run.sh", 0o755);
    mode(&two, "run.sh", 0o700);
    mode(&one, "b.py", 0o664);
    mode(&two, "b.py", 0o600);
    mode(&two, "a", 0o700);
    fs::create_dir(two.join("empty-directory")).expect("writable");
    let (one, two) = (collect(&one, &CollectOptions::new()), collect(&two, &CollectOptions::new()));
    let (one, two) = (one.expect("a plain tree"), two.expect("a plain tree"));
    assert_eq!(one.fingerprint(), two.fingerprint());
    assert_eq!(packed(&one), packed(&two));
    assert_eq!(paths(&one), ["a", "a-b", "a-b/y.py", "a/x.py", "b.py", "empty", "run.sh"]);
    let modes: Vec<_> = one.entries().iter().map(|entry| entry.mode).collect();
    assert_eq!(modes, [0o755, 0o755, 0o644, 0o644, 0o644, 0o644, 0o755]);
}

#[test]
fn golden_the_bytes_do_not_change_from_one_version_of_the_library_to_the_next() {
    let long = format!("{}/{}.py", "directory".repeat(8), "ä".repeat(60));
    let (_folder, root) = tree(&[("chalk.yaml", "project: golden\n"), ("a/b.py", "print(1)\n"), (&long, "x")]);
    symlink("a/b.py", root.join("link")).expect("writable");
    let archive = collect(&root, &CollectOptions::new()).expect("a plain tree");
    let bytes = packed(&archive);
    assert_eq!(bytes[..10], [0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 255], "no name, no time, no system");
    let fingerprint = archive.fingerprint();
    assert_eq!(fingerprint.sha256.hex(), "ffef203e06b42b5dcdad68f5c7c265ed0d6a1a70392b380bc86bed3c4dce29c9");
    assert_eq!(fingerprint.source_code_hash.hex(), "c94a524a64e6f73bc8a92fbb49787d27251f4ccec95f2e180c5288c75cc205d5");
}

#[cfg(feature = "zstd")]
#[tokio::test]
async fn between_two_of_us_an_archive_may_be_packed_with_zstd() {
    let (_folder, root) = tree(&[("chalk.yaml", "project: a"), ("models.py", &"x = 1\n".repeat(1000))]);
    let options = || CollectOptions::new().with_packing(Packing::Zstd);
    let (one, two) = (collect(&root, &options()).expect("a plain tree"), collect(&root, &options()).expect("the same"));
    assert_eq!(one.fingerprint(), two.fingerprint());
    let bytes = one.payload().bytes().await.expect("unchanged");
    assert_eq!(bytes[..4], [0x28, 0xb5, 0x2f, 0xfd]);
    assert_eq!(unpacked(&bytes).0, *one.fingerprint());
    let gzip = collect(&root, &CollectOptions::new()).expect("a plain tree");
    assert_eq!(gzip.fingerprint().source_code_hash, one.fingerprint().source_code_hash, "packing does not count");
}

#[test]
fn what_looks_like_a_secret_is_told_and_refused_where_the_policy_says_so() {
    let key = "-----BEGIN PRIVATE KEY-----\nMII\n";
    let (_folder, root) = tree(&[("chalk.yaml", "project: a"), (".env", "TOKEN=x"), ("key", key), ("a.py", "")]);
    let archive = collect(&root, &CollectOptions::new()).expect("only told");
    let found: Vec<_> = archive.findings().iter().map(|finding| finding.path.as_str()).collect();
    assert_eq!(found, [".env", "key"]);
    let strict = CollectOptions::new().with_policy(ArchivePolicy::default().with_secrets(Reaction::Refuse));
    assert_eq!(collect(&root, &strict).expect_err("a secret").code(), ErrorCode::ArchiveSecret);
    write(&root, ".chalkignore", ".env\nkey");
    collect(&root, &strict).expect("what is ignored is not sent");
}

#[test]
fn a_file_that_names_dependencies_is_never_a_link_wherever_it_lies() {
    let (_folder, root) = tree(&[("chalk.yaml", "project: a"), ("real.txt", ""), ("sub/x", "")]);
    symlink("../real.txt", root.join("sub/requirements.txt")).expect("writable");
    let refused = error(&root);
    assert_eq!((refused.code(), refused.subject()), (ErrorCode::ArchiveLinkEscape, "sub/requirements.txt"));
}

#[test]
fn only_what_is_archived_changes_the_archive() {
    let (_folder, root) = tree(&[(".gitignore", "*.log\nbuild/"), ("a.py", "1")]);
    let before = collect(&root, &CollectOptions::new()).expect("a plain tree").fingerprint().clone();
    for path in ["x.log", "logs/y.log", "build/z", "pkg/__pycache__/a.pyc", ".git/config", "venv/pyvenv.cfg", "venv/x"]
    {
        write(&root, path, "something");
    }
    write(&root, &format!(".chalk-deploy/{STATE_MARKER}"), "");
    write(&root, ".chalk-deploy/deployments.sqlite", "x");
    assert_eq!(*collect(&root, &CollectOptions::new()).expect("a plain tree").fingerprint(), before);
    write(&root, "a.py", "2");
    let after = collect(&root, &CollectOptions::new()).expect("a plain tree").fingerprint().clone();
    assert_ne!(after.sha256, before.sha256);
    assert_ne!(after.source_code_hash, before.source_code_hash);
}

#[test]
fn what_is_required_is_archived_even_where_it_is_ignored() {
    let (_folder, root) = tree(&[(".chalkignore", "*"), ("chalk.yaml", "project: a"), ("deps/req.txt", ""), ("x", "")]);
    assert_eq!(collected_paths(&root, &CollectOptions::new()), ["chalk.yaml"]);
    let options = CollectOptions::new().with_required("deps/req.txt");
    assert_eq!(collected_paths(&root, &options), ["chalk.yaml", "deps", "deps/req.txt"]);
    let absent = collect(&root, &CollectOptions::new().with_required("absent")).expect_err("not there");
    assert_eq!((absent.code(), absent.subject()), (ErrorCode::ProjectFileMissing, "absent"));
    let outside = collect(&root, &CollectOptions::new().with_required("../x")).expect_err("outside");
    assert_eq!(outside.code(), ErrorCode::ArchivePathEscape);
}

#[test]
fn a_negation_brings_back_files_below_an_ignored_directory() {
    let (_folder, root) =
        tree(&[(".chalkignore", "data/\n!data/keep.csv"), ("data/keep.csv", ""), ("data/drop.csv", "")]);
    assert_eq!(collected_paths(&root, &CollectOptions::new()), [".chalkignore", "data", "data/keep.csv"]);
}

#[test]
fn the_environments_ignore_file_adds_to_the_others() {
    let (_folder, root) = tree(&[(".gitignore", "a"), ("prod.ignore", "b"), ("a", ""), ("b", ""), ("c", "")]);
    let options = CollectOptions::new().with_ignore_file("prod.ignore");
    assert_eq!(collected_paths(&root, &options), [".gitignore", "c", "prod.ignore"]);
}

#[test]
fn paths_that_the_caller_excludes_stay_out_even_before_they_exist() {
    let (folder, root) = tree(&[("state/x", ""), ("a", ""), ("file", "")]);
    let options = CollectOptions::new()
        .with_excluded(root.join("state"))
        .with_excluded(root.join("file"))
        .with_excluded(root.join("not/yet"))
        .with_excluded(folder.path().join("elsewhere"));
    assert_eq!(collected_paths(&root, &options), ["a"]);
    for above in [root.clone(), folder.path().to_owned()] {
        let error = collect(&root, &CollectOptions::new().with_excluded(above)).expect_err("nothing would be left");
        assert_eq!(error.code(), ErrorCode::RequestInvalid);
    }
    write(&root, STATE_MARKER, "");
    assert_eq!(error(&root).code(), ErrorCode::RequestInvalid);
}

#[test]
fn links_stay_links_when_they_stay_inside_and_are_refused_when_they_leave() {
    let (_folder, root) = tree(&[("a/x.py", "1"), ("b/y", "")]);
    symlink("../a/x.py", root.join("b/link")).expect("writable");
    symlink("a", root.join("directory")).expect("writable");
    symlink("nowhere", root.join("dangling")).expect("writable");
    let archive = collect(&root, &CollectOptions::new()).expect("all inside");
    assert_eq!(paths(&archive), ["a", "a/x.py", "b", "b/link", "b/y", "dangling", "directory"]);
    assert_eq!(archive.entries()[3].kind, EntryKind::Link { target: "../a/x.py".into() });

    for target in ["/etc/passwd", "../outside", "a/../../outside"] {
        symlink(target, root.join("bad")).expect("writable");
        let refused = error(&root);
        assert_eq!((refused.code(), refused.subject()), (ErrorCode::ArchiveLinkEscape, "bad"), "{target}");
        fs::remove_file(root.join("bad")).expect("it was there");
    }
    symlink("/etc/passwd", root.join("ignored")).expect("writable");
    write(&root, ".chalkignore", "ignored");
    collect(&root, &CollectOptions::new()).expect("what is ignored is not looked at");
}

#[test]
fn chalk_yaml_and_required_files_are_never_links() {
    let (_folder, root) = tree(&[("real", "project: a"), ("directory/req.txt", "")]);
    symlink("real", root.join("chalk.yaml")).expect("writable");
    assert_eq!((error(&root).code(), error(&root).subject()), (ErrorCode::ArchiveLinkEscape, "chalk.yaml"));
    fs::remove_file(root.join("chalk.yaml")).expect("it was there");
    symlink("real", root.join("req.txt")).expect("writable");
    symlink("directory", root.join("linked")).expect("writable");
    let refused = collect(&root, &CollectOptions::new().with_required("req.txt")).expect_err("a link");
    assert_eq!(refused.code(), ErrorCode::ArchiveLinkEscape);
    let behind = collect(&root, &CollectOptions::new().with_required("linked/req.txt")).expect_err("behind a link");
    assert_eq!(behind.code(), ErrorCode::ProjectFileMissing);
}

#[test]
fn what_is_no_file_is_refused_by_name() {
    let (_folder, root) = tree(&[("a", "")]);
    let socket = std::os::unix::net::UnixListener::bind(root.join("socket")).expect("a socket");
    assert_eq!((error(&root).code(), error(&root).subject()), (ErrorCode::ArchiveEntryType, "socket"));
    drop(socket);
    fs::remove_file(root.join("socket")).expect("it was there");
    let mode = rustix::fs::Mode::from_raw_mode(0o600);
    rustix::fs::mknodat(rustix::fs::CWD, root.join("pipe"), rustix::fs::FileType::Fifo, mode, 0).expect("a pipe");
    assert_eq!((error(&root).code(), error(&root).subject()), (ErrorCode::ArchiveEntryType, "pipe"));
    assert!(error(&root).hint().contains(".chalkignore"));
}

#[test]
fn names_that_cannot_be_shown_are_refused() {
    use std::os::unix::ffi::OsStrExt as _;
    let names: [&[u8]; 4] = [b"a\nb", b"a\x1b[31m", b"\xff\xfe", b"a\x7f"];
    for name in names {
        let (_folder, root) = tree(&[("a", "")]);
        fs::write(root.join(std::ffi::OsStr::from_bytes(name)), "").expect("writable");
        let refused = error(&root);
        assert_eq!(refused.code(), ErrorCode::ArchiveEntryName, "{name:?}");
        assert!(!refused.sentence().contains(['\n', '\u{1b}', '\u{7f}']), "{refused}");
    }
}

#[test]
fn an_unreadable_file_is_named() {
    let (_folder, root) = tree(&[("a/secret", "x")]);
    fs::set_permissions(root.join("a/secret"), fs::Permissions::from_mode(0o000)).expect("ours");
    if fs::File::open(root.join("a/secret")).is_ok() {
        // Whoever runs the tests may read everything; then the archive must simply be complete.
        assert_eq!(collected_paths(&root, &CollectOptions::new()), ["a", "a/secret"]);
        return;
    }
    assert_eq!((error(&root).code(), error(&root).subject()), (ErrorCode::SourceUnreadable, "a/secret"));
}

#[test]
fn a_directory_that_is_none_is_refused() {
    let (_folder, root) = tree(&[("a", "")]);
    for path in [root.join("a"), root.join("absent")] {
        assert_eq!(error(&path).code(), ErrorCode::ProjectDirectoryInvalid);
    }
}

#[test]
fn each_limit_stops_the_collection() {
    let noise: Vec<u8> = (0..200_000_u32).flat_map(|n| Digest::of(n.to_le_bytes()).as_bytes()[..1].to_vec()).collect();
    let (_folder, root) = tree(&[("a/b", "1"), ("c", "2")]);
    write(&root, "noise", &noise);
    let limits = ArchiveLimits::default;
    let deep = format!("{}x", "d/".repeat(10));
    write(&root, &deep, "");
    let cases = [
        (limits().with_entries(5), "ArchiveLimits::entries"),
        (limits().with_packed(100_000), "ArchiveLimits::packed"),
        (limits().with_unpacked(200_001), "ArchiveLimits::unpacked"),
        (limits().with_names(20), "ArchiveLimits::names"),
        (limits().with_ratio(0, 100_000), "ArchiveLimits::ratio"),
    ];
    for (limits, setting) in cases {
        let options = CollectOptions::new().with_limits(limits);
        let refused = collect(&root, &options).expect_err(setting);
        assert_eq!(refused.code(), ErrorCode::ArchiveTooLarge);
        assert!(refused.hint().contains(setting), "{setting}: {}", refused.sentence());
    }
    collect(&root, &CollectOptions::new()).expect("the default limits are wide");
}

#[test]
fn what_the_limits_let_out_they_let_back_in() {
    let (_folder, root) = folder();
    write(&root, "zeros", vec![0; 3 << 20]);
    let tight = ArchiveLimits::default().with_ratio(200, 1 << 20);
    assert!(collect(&root, &CollectOptions::new().with_limits(tight)).is_err(), "a bomb");
    // The ratio at which the writer just lets it pass.
    let passes = |ratio: u64| {
        let limits = ArchiveLimits::default().with_ratio(ratio, 1 << 20);
        collect(&root, &CollectOptions::new().with_limits(limits.clone())).ok().map(|archive| (archive, limits))
    };
    let (mut low, mut high) = (200, 1 << 20);
    while low + 1 < high {
        let middle = u64::midpoint(low, high);
        if passes(middle).is_some() { high = middle } else { low = middle }
    }
    let (archive, limits) = passes(high).expect("found by search");
    let bytes = packed(&archive);
    let reader = ArchiveReader::new(bytes.as_slice(), limits).expect("an archive");
    assert_eq!(reader.finish().expect("the reader is no stricter"), *archive.fingerprint());
}

#[tokio::test]
async fn a_file_that_changes_after_collecting_breaks_the_stream_and_is_named() {
    type Change = fn(&Path);
    let changes: [(&str, Change); 6] = [
        ("content", |path| fs::write(path, "2").expect("writable")),
        ("length", |path| fs::write(path, "longer").expect("writable")),
        ("gone", |path| fs::remove_file(path).expect("it was there")),
        ("a link now", |path| {
            fs::remove_file(path).expect("it was there");
            symlink("/etc/hostname", path).expect("writable");
        }),
        ("a directory now", |path| {
            fs::remove_file(path).expect("it was there");
            fs::create_dir(path).expect("writable");
        }),
        ("behind a link now", |path| {
            let above = path.parent().expect("a parent");
            fs::rename(above, above.with_extension("moved")).expect("writable");
            symlink(above.with_extension("moved"), above).expect("writable");
        }),
    ];
    for (what, change) in changes {
        let (_folder, root) = tree(&[("a/file", "1"), ("b", "x")]);
        let archive = SourceArchive::collect(&root, CollectOptions::new()).await.expect("a plain tree");
        change(&root.join("a/file"));
        let broken = drain(archive.open().await.expect("opens")).await.expect_err(what);
        let error = crate::cloud::error_in_stream(broken).expect("an error of ours");
        assert_eq!((error.code(), error.subject()), (ErrorCode::SourceChanged, "a/file"), "{what}: {error}");
    }
}

#[tokio::test]
async fn a_link_that_changes_after_collecting_breaks_the_stream() {
    let (_folder, root) = tree(&[("a", "")]);
    symlink("a", root.join("link")).expect("writable");
    let archive = SourceArchive::collect(&root, CollectOptions::new()).await.expect("a plain tree");
    fs::remove_file(root.join("link")).expect("it was there");
    symlink("b", root.join("link")).expect("writable");
    let broken = drain(archive.open().await.expect("opens")).await.expect_err("another target");
    let error = crate::cloud::error_in_stream(broken).expect("an error of ours");
    assert_eq!((error.code(), error.subject()), (ErrorCode::SourceChanged, "link"));
}

#[tokio::test]
async fn a_touched_or_additional_file_changes_nothing_that_was_collected() {
    let (_folder, root) = tree(&[("a", "1")]);
    let archive = SourceArchive::collect(&root, CollectOptions::new()).await.expect("a plain tree");
    write(&root, "new", "x");
    write(&root, "a", "1");
    archive.payload().bytes().await.expect("the archive is still the one that was collected");
    archive.payload().bytes().await.expect("and can be opened as often as needed");
}

#[tokio::test]
async fn a_reader_that_goes_away_stops_the_writer() {
    let (_folder, root) = folder();
    for number in 0..8_u32 {
        let noise: Vec<u8> =
            (0..8192_u32).flat_map(|n| *Digest::of((n + number * 8192).to_le_bytes()).as_bytes()).collect();
        write(&root, &format!("{number}"), noise);
    }
    let archive = SourceArchive::collect(&root, CollectOptions::new()).await.expect("a plain tree");
    assert!(archive.fingerprint().size > 1 << 20);
    let mut stream = archive.open().await.expect("opens");
    let first = stream.next().await.expect("a chunk").expect("no error");
    assert!(first.len() <= 256 << 10, "{}", first.len());
    drop(stream);
    // The runtime waits for its blocking threads when it ends: a writer that went on waiting would hang the test.
}

#[tokio::test]
async fn progress_grows_to_the_total() {
    let (_folder, root) = tree(&[("a", "12345"), ("b", "678")]);
    let seen = Arc::new(Mutex::new(Vec::new()));
    let sink = Arc::clone(&seen);
    let options = CollectOptions::new().with_progress(move |progress| sink.lock().expect("no panic").push(progress));
    SourceArchive::collect(&root, options).await.expect("a plain tree");
    let expected = [CollectProgress { done: 5, total: 8 }, CollectProgress { done: 8, total: 8 }];
    assert_eq!(*seen.lock().expect("no panic"), expected);
}

#[test]
fn dropping_the_future_cancels_the_work() {
    let (_folder, root) = tree(&[("a", "1")]);
    let cancelled = CancellationToken::new();
    cancelled.cancel();
    let error = SourceArchive::collect_here(&root, &CollectOptions::new(), &cancelled).expect_err("cancelled");
    assert_eq!(error.code(), ErrorCode::Cancelled);
}

#[test]
fn hard_links_are_files_like_any_other() {
    let (_folder, root) = tree(&[("a", "same")]);
    fs::hard_link(root.join("a"), root.join("b")).expect("writable");
    let archive = collect(&root, &CollectOptions::new()).expect("a plain tree");
    let (_, content) = unpacked(&packed(&archive));
    assert_eq!(content, [("a".into(), b"same".to_vec(), 0o644), ("b".into(), b"same".to_vec(), 0o644)]);
}

/// Paths of three levels with few names, so that files, directories and long names meet.
fn random_tree() -> impl Strategy<Value = std::collections::BTreeMap<String, (Vec<u8>, bool)>> {
    let name = prop_oneof!["[a-c]", "[a-z.-]{1,3}x", "[a-zä ]{40,60}y".prop_map(|name| name.trim().to_owned())];
    let path = prop::collection::vec(name, 1..4).prop_map(|names| format!("f-{}", names.join("/f-")));
    let content = prop_oneof![
        prop::collection::vec(any::<u8>(), 0..20),
        (any::<u8>(), 500..1600_usize).prop_map(|(byte, length)| vec![byte; length])
    ];
    prop::collection::btree_map(path, (content, any::<bool>()), 0..12)
}

fn make(root: &Path, files: &[(&String, &(Vec<u8>, bool))]) -> Content {
    let mut made = Vec::new();
    for (path, (content, executable)) in files {
        let target = root.join(path);
        let above = target.parent().expect("a parent");
        // What another path already made a file or a directory of is left out.
        if fs::create_dir_all(above).is_err() || target.exists() || fs::write(&target, content).is_err() {
            continue;
        }
        let permissions = if *executable { 0o755 } else { 0o644 };
        fs::set_permissions(&target, fs::Permissions::from_mode(permissions)).expect("ours");
        made.push(((*path).clone(), content.clone(), permissions));
    }
    made.sort();
    made
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(40))]

    #[test]
    fn any_tree_comes_back_as_it_was_and_its_copy_has_the_same_bytes(files in random_tree()) {
        let (_first, root) = folder();
        let made = make(&root, &files.iter().collect::<Vec<_>>());
        let archive = collect(&root, &CollectOptions::new()).expect("a tree that can be archived");
        let bytes = packed(&archive);
        let (fingerprint, mut content) = unpacked(&bytes);
        content.sort();
        prop_assert_eq!(&content, &made);
        prop_assert_eq!(&fingerprint, archive.fingerprint());
        prop_assert_eq!(Digest::of(&bytes), fingerprint.sha256);

        let (_second, copy) = folder();
        let made: std::collections::BTreeMap<_, _> =
            made.into_iter().map(|(path, content, mode)| (path, (content, mode == 0o755))).collect();
        make(&copy, &made.iter().rev().collect::<Vec<_>>());
        let again = collect(&copy, &CollectOptions::new()).expect("a tree that can be archived");
        prop_assert_eq!(again.fingerprint(), archive.fingerprint());
        prop_assert_eq!(packed(&again), bytes);
    }
}
