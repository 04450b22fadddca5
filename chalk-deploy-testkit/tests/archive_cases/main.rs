//! The archives that no deployment survives, one by one: each is refused with its code by the reader, while it is
//! unpacked, and by a whole deployment, which stores nothing of it.

mod bytes;

use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::path::Path;
use std::sync::Arc;

use bytes::{Entry, bomb, config, entry, file, gzip, link, pax, tar};
use chalk_deploy_core::cloud::{ObjectStore as _, Payload, PutMode};
use chalk_deploy_core::model::{DeploymentId, DeploymentStatus, ObjectKey, ProjectName, SourceFingerprint};
use chalk_deploy_core::source::{
    ArchiveLimits, ArchivePolicy, ArchiveReader, ArchiveRules, EntryKind, Extraction, FindingKind, InspectedArchive,
    Reaction,
};
use chalk_deploy_core::store::MemoryStore;
use chalk_deploy_core::{ApplyRequest, Deployer, ErrorCode, Result};
use chalk_deploy_testkit::{EmbeddedEnvironments, EmbeddedWorld, sample};
use futures::TryStreamExt as _;

/// A hostile archive: the number of the case, what it does, and the code with which it is refused.
type Case = (u32, &'static str, Vec<u8>, ErrorCode);

fn with_config(entries: &[Entry]) -> Vec<u8> {
    tar(&[&[config()], entries].concat())
}

fn cases() -> Vec<Case> {
    use ErrorCode as Code;
    let packed = gzip(&with_config(&[file("a.py", "x = 1\n".repeat(200))]));
    let damaged_sum = {
        let mut bytes = packed.clone();
        let at = bytes.len() - 6;
        bytes[at] ^= 1;
        bytes
    };
    // A header that would be an entry to whoever skips as the PAX record says.
    let smuggled = tar(&[file("smuggled", "x")]);
    let huge = entry("huge", b'0', "").stating(1 << 50);
    let case = |number, what, entries: &[Entry], code| (number, what, with_config(entries), code);
    vec![
        case(1, "a path that climbs", &[file("../x", "")], Code::ArchivePathEscape),
        case(2, "an absolute path", &[file("/etc/x", "")], Code::ArchivePathEscape),
        case(3, "a path that climbs in the middle", &[file("a/../../x", "")], Code::ArchivePathEscape),
        case(
            4,
            "a link out and a file through it (CVE-2025-62156)",
            &[link("./work/foo", b'2', "/etc"), file("work/foo/hostname", "")],
            Code::ArchiveLinkEscape,
        ),
        case(
            4,
            "a link inside and a file through it",
            &[link("work/foo", b'2', "bar"), file("work/foo/hostname", "")],
            Code::ArchiveLinkEscape,
        ),
        case(
            5,
            "a link, then a directory of its name (CVE-2026-33056)",
            &[link("foo", b'2', "bar"), entry("foo/", b'5', "").with_mode(0o777)],
            Code::ArchiveDuplicatePath,
        ),
        case(6, "a hard link out (CVE-2026-50163)", &[link("hard", b'1', "../../etc/passwd")], Code::ArchiveLinkEscape),
        case(6, "a hard link to what is not in it", &[link("hard", b'1', "passwd")], Code::ArchiveLinkEscape),
        case(
            7,
            "a PAX size beside a size of nothing (CVE-2025-62518)",
            &[pax("13 size=1536\n"), entry("a", b'0', smuggled.clone()).stating(0)],
            Code::ArchiveHeaderMismatch,
        ),
        case(8, "a PAX record of a wrong length", &[pax("99 path=a\n"), file("b", "")], Code::ArchiveCorrupt),
        case(8, "a PAX record without a value", &[pax("8 path=\n\n"), file("b", "")], Code::ArchiveCorrupt),
        case(9, "a long name without its end", &[entry("L", b'L', "name"), file("b", "")], Code::ArchiveCorrupt),
        case(9, "a long name with two ends", &[entry("L", b'L', "a\0b\0"), file("b", "")], Code::ArchiveCorrupt),
        case(10, "a character device", &[entry("d", b'3', "")], Code::ArchiveEntryType),
        case(10, "a block device", &[entry("d", b'4', "")], Code::ArchiveEntryType),
        case(10, "a pipe", &[entry("d", b'6', "")], Code::ArchiveEntryType),
        case(12, "one path, two contents", &[file("a", "1"), file("./a", "2")], Code::ArchiveDuplicatePath),
        case(12, "a file that is a directory, too", &[file("a", ""), file("a/b", "")], Code::ArchiveDuplicatePath),
        (
            14,
            "a bomb",
            bomb(&tar(&[config(), entry("z", b'0', "").stating(40 << 20)])[..3 * 512], 41),
            Code::ArchiveTooLarge,
        ),
        case(15, "a size that no disk holds", &[huge], Code::ArchiveTooLarge),
        case(15, "a sparse file", &[entry("s", b'S', "").stating(0)], Code::ArchiveEntryType),
        (16, "a cut gzip", packed[..packed.len() / 2].to_vec(), Code::ArchiveCorrupt),
        (16, "a cut tar", with_config(&[])[..1024].to_vec(), Code::ArchiveCorrupt),
        (16, "a wrong sum", damaged_sum, Code::ArchiveCorrupt),
        (16, "something behind the end", [packed.as_slice(), b"x"].concat(), Code::ArchiveCorrupt),
        (16, "a second member", [packed.clone(), packed.clone()].concat(), Code::ArchiveCorrupt),
        (16, "entries behind the end", [with_config(&[]), tar(&[file("b", "")])].concat(), Code::ArchiveCorrupt),
        case(17, "a line feed in a name", &[file("a\nb", "")], Code::ArchiveEntryName),
        case(17, "an escape in a name", &[file("a\u{1b}[31m", "")], Code::ArchiveEntryName),
        case(17, "a name that is no UTF-8", &[entry([b'a', 0xff], b'0', "")], Code::ArchiveEntryName),
        case(17, "a NUL in a name", &[entry("a\0b", b'0', "")], Code::ArchiveCorrupt),
        case(17, "a NUL in a long name", &[pax("12 path=a\0b\n"), file("b", "")], Code::ArchiveCorrupt),
        (19, "nothing", tar(&[]), Code::ProjectConfigMissing),
        (19, "no bytes", Vec::new(), Code::ArchiveCorrupt),
        (19, "no chalk.yaml", tar(&[file("a/chalk.yaml", "project: a\n")]), Code::ProjectConfigMissing),
        (25, "a chalk.yaml that is a link", tar(&[link("chalk.yaml", b'2', "a.yaml")]), Code::ArchiveLinkEscape),
        case(
            25,
            "a lock file that is a link (CVE-2025-53547)",
            &[link("requirements.txt", b'2', "real.txt")],
            Code::ArchiveLinkEscape,
        ),
        case(
            25,
            "a lock file that is a hard link",
            &[file("real", ""), link("sub/poetry.lock", b'1', "real")],
            Code::ArchiveLinkEscape,
        ),
    ]
}

/// The cases that have tests of their own below, because they are told rather than refused, or are about more than one
/// archive; with the code of each.
const APART: [(u32, ErrorCode); 8] = [
    (11, ErrorCode::ArchiveEntryType),
    (13, ErrorCode::ArchiveDuplicatePath),
    (18, ErrorCode::ArchivePathEscape),
    (20, ErrorCode::ArchiveSecret),
    (21, ErrorCode::DigestMismatch),
    (22, ErrorCode::DeploymentUnknown),
    (23, ErrorCode::ObjectExists),
    (24, ErrorCode::ValueInvalid),
];

#[test]
fn all_twenty_five_cases_are_here() {
    let numbers: BTreeSet<u32> =
        cases().iter().map(|(number, ..)| *number).chain(APART.map(|(number, _)| number)).collect();
    assert_eq!(numbers, (1..=25).collect());
    // A case that is refused stands in the list, and one that is not stands apart.
    assert!(cases().iter().all(|(number, ..)| APART.iter().all(|(apart, _)| apart != number)));
}

fn read(bytes: &[u8], policy: ArchivePolicy) -> Result<SourceFingerprint> {
    ArchiveReader::new(bytes, ArchiveLimits::default())?.with_policy(policy).finish()
}

fn unpack(bytes: &[u8], target: &Path) -> Result<()> {
    let mut extraction = Extraction::begin(target)?;
    let mut reader = ArchiveReader::new(bytes, ArchiveLimits::default())?.with_policy(ArchivePolicy::default());
    while let Some(entry) = reader.next_entry()? {
        extraction.entry(&entry, &mut reader)?;
    }
    reader.finish()?;
    extraction.finish()
}

fn code<T: std::fmt::Debug>(result: Result<T>, what: &str) -> ErrorCode {
    let error = result.expect_err(what);
    assert!(!error.sentence().contains(['\u{1b}', '\n', '\0']), "{what}: {error}");
    error.code()
}

#[test]
fn the_reader_refuses_each_with_its_code() {
    for (number, what, bytes, expected) in cases() {
        assert_eq!(code(read(&bytes, ArchivePolicy::default()), what), expected, "case {number}: {what}");
    }
}

#[test]
fn unpacking_leaves_nothing_of_any_of_them_inside_or_outside() {
    for (number, what, bytes, expected) in cases() {
        let folder = tempfile::tempdir().expect("a folder");
        let inside = folder.path().join("deep/inside");
        fs::create_dir_all(&inside).expect("made");
        assert_eq!(code(unpack(&bytes, &inside.join("out")), what), expected, "case {number}: {what}");
        assert_eq!(fs::read_dir(&inside).expect("readable").count(), 0, "case {number}: {what}");
        assert_eq!(fs::read_dir(folder.path().join("deep")).expect("readable").count(), 1, "case {number}: {what}");
        assert_eq!(fs::read_dir(folder.path()).expect("readable").count(), 1, "case {number}: {what}");
    }
}

/// A request for an archive whose sender states whatever it likes about it.
fn request(bytes: Vec<u8>) -> ApplyRequest {
    let payload = Payload::from_bytes(bytes);
    let claimed = SourceFingerprint {
        sha256: payload.sha256(),
        size: payload.size(),
        unpacked_size: 1,
        entries: 1,
        source_code_hash: payload.sha256(),
    };
    let project = ProjectName::new("fraud").expect("a valid name");
    let (environment, graph) = (sample::environment(), sample::graph());
    ApplyRequest::new(environment.expect("valid"), project, claimed, payload, graph.expect("a real export"))
}

fn deployer(world: &EmbeddedWorld) -> Deployer {
    let environments = EmbeddedEnvironments::any(world.clone());
    Deployer::builder(Arc::new(environments), MemoryStore::new()).build().expect("a deployer")
}

async fn keys(world: &EmbeddedWorld) -> Vec<String> {
    let listed = world.object_store().list("", None, 100).await.expect("the bucket can be read");
    listed.into_iter().map(|object| object.key.to_string()).collect()
}

#[tokio::test]
async fn a_deployment_of_any_of_them_ends_with_its_code_and_the_bucket_stays_empty() {
    let world = EmbeddedWorld::memory();
    let deployer = deployer(&world);
    for (number, what, bytes, expected) in cases() {
        let handle = deployer.apply(request(bytes)).await.expect("the record is made before the source is sent");
        let outcome = handle.wait().await.expect("it ends");
        assert_eq!(outcome.status, DeploymentStatus::Failure, "case {number}: {what}");
        let error = outcome.error.expect("a reason");
        assert_eq!(error.code, expected, "case {number}: {what}: {error:?}");
        assert_eq!(keys(&world).await, Vec::<String>::new(), "case {number}: {what}");
    }
}

#[test]
fn case_11_special_bits_are_taken_off() {
    use std::os::unix::fs::PermissionsExt as _;

    let bytes = with_config(&[file("tool", "x").with_mode(0o6755), file("plain", "x").with_mode(0o4666)]);
    let mut reader = ArchiveReader::new(bytes.as_slice(), ArchiveLimits::default()).expect("it begins well");
    let mut modes = Vec::new();
    while let Some(entry) = reader.next_entry().expect("harmless") {
        modes.push((entry.path, entry.mode));
    }
    assert_eq!(modes[1..], [("tool".to_owned(), 0o755), ("plain".to_owned(), 0o644)]);

    let folder = tempfile::tempdir().expect("a folder");
    unpack(&bytes, &folder.path().join("out")).expect("harmless");
    let mode = |name: &str| fs::metadata(folder.path().join("out").join(name)).expect("there").permissions().mode();
    assert_eq!((mode("tool") & 0o7000, mode("plain") & 0o7111), (0, 0));
}

#[test]
fn case_13_twins_are_told_and_refused_where_the_policy_says_so() {
    for (one, other) in [("Models.py", "models.py"), ("caf\u{e9}.py", "cafe\u{301}.py")] {
        let bytes = with_config(&[file(one, "1"), file(other, "2")]);
        let reader = ArchiveReader::new(bytes.as_slice(), ArchiveLimits::default()).expect("it begins well");
        let (_, findings) = reader.with_policy(ArchivePolicy::default()).finish_with_findings().expect("only told");
        assert_eq!(findings.len(), 1);
        assert_eq!((&findings[0].kind, findings[0].path.as_str()), (&FindingKind::Twin { of: one.to_owned() }, other));
        let strict = ArchivePolicy::default().with_twins(Reaction::Refuse);
        assert_eq!(code(read(&bytes, strict), one), ErrorCode::ArchiveDuplicatePath);
    }
}

#[test]
fn case_18_a_tar_in_a_tar_stays_opaque() {
    let inner = tar(&[file("../escape", "x"), file("hidden", "y")]);
    let bytes = with_config(&[file("inner.tar", inner.clone()), file("after", "z")]);
    let mut reader = ArchiveReader::new(bytes.as_slice(), ArchiveLimits::default()).expect("it begins well");
    let mut found = Vec::new();
    while let Some(entry) = reader.next_entry().expect("harmless") {
        let mut content = Vec::new();
        io::Read::read_to_end(&mut reader, &mut content).expect("readable");
        assert_eq!(entry.kind, EntryKind::File);
        found.push((entry.path, content.len()));
    }
    // An independent reader agrees.
    let mut theirs = tar::Archive::new(bytes.as_slice());
    let theirs: Vec<_> = theirs
        .entries()
        .expect("a tar")
        .map(|entry| {
            let entry = entry.expect("an entry");
            (entry.path().expect("a path").display().to_string(), usize::try_from(entry.size()).expect("small"))
        })
        .collect();
    assert_eq!(found, theirs);
    assert_eq!(found[1], ("inner.tar".to_owned(), inner.len()));
}

#[test]
fn case_20_secrets_are_told_and_refused_where_the_policy_says_so() {
    let key = "-----BEGIN OPENSSH PRIVATE KEY-----\nb3BlbnNzaC1rZXktdjEA\n";
    let bytes = with_config(&[file(".env", "TOKEN=x"), file("deploy/key", key), file(".git/config", "[remote]")]);
    let reader = ArchiveReader::new(bytes.as_slice(), ArchiveLimits::default()).expect("it begins well");
    let (_, findings) = reader.with_policy(ArchivePolicy::default()).finish_with_findings().expect("only told");
    let kinds: Vec<_> = findings.into_iter().map(|finding| finding.kind).collect();
    assert_eq!(kinds, [FindingKind::SecretName, FindingKind::PrivateKey, FindingKind::GitDirectory]);
    for (name, content) in [(".env", ""), ("key", key), (".git/HEAD", "")] {
        let strict = ArchivePolicy::default().with_secrets(Reaction::Refuse);
        let refused = read(&with_config(&[file(name, content)]), strict);
        assert_eq!(code(refused, name), ErrorCode::ArchiveSecret, "{name}");
    }
}

#[tokio::test]
async fn case_21_what_is_not_what_was_declared_is_refused_and_not_stored() {
    let world = EmbeddedWorld::memory();
    let (right, wrong) = (with_config(&[file("a", "1")]), with_config(&[file("a", "2")]));
    let expected = read(&right, ArchivePolicy::default()).expect("harmless");
    let inspected = InspectedArchive::expecting(Payload::from_bytes(wrong.clone()), expected, ArchiveRules::new());
    let key = ObjectKey::new("incoming/x").expect("a valid key");
    let refused = world.object_store().put(&key, &inspected.payload(), PutMode::WriteOnce).await;
    assert_eq!(code(refused, "another archive"), ErrorCode::DigestMismatch);

    // A sender that claims things about an archive which are not so.
    let outcome = deployer(&world).apply(request(right)).await.expect("admitted").wait().await.expect("it ends");
    assert_eq!(outcome.error.expect("a reason").code, ErrorCode::DigestMismatch);
    assert_eq!(keys(&world).await, Vec::<String>::new());
}

#[tokio::test]
async fn case_22_an_upload_for_a_deployment_that_is_not_there_is_refused() {
    let unknown = DeploymentId::new("cm9n46thy000bwe6y784y4j0l").expect("a valid id");
    let refused = deployer(&EmbeddedWorld::memory()).resume(&unknown, Some(sample::source("x"))).await;
    assert_eq!(code(refused.map(|_| ()), "unknown"), ErrorCode::DeploymentUnknown);
}

#[tokio::test]
async fn case_22_a_deployment_of_other_people_is_as_unknown_as_one_that_never_was() {
    let (ours, theirs) = (EmbeddedWorld::memory(), EmbeddedWorld::memory());
    let there = deployer(&theirs).apply(request(with_config(&[]))).await.expect("admitted");
    let sentence = |id: &DeploymentId, error: chalk_deploy_core::Error| error.sentence().replace(id.as_str(), "");
    let ours = deployer(&ours);
    let foreign = ours.resume(there.id(), Some(sample::source("x"))).await.map(|_| ()).expect_err("foreign");
    let never = DeploymentId::new("cm9n46thy000bwe6y784y4j0l").expect("a valid id");
    let unknown = ours.resume(&never, Some(sample::source("x"))).await.map(|_| ()).expect_err("unknown");
    assert_eq!(foreign.code(), ErrorCode::DeploymentUnknown);
    assert_eq!(sentence(there.id(), foreign), sentence(&never, unknown), "no detail tells the two apart");
}

#[tokio::test]
async fn case_23_a_second_upload_with_other_bytes_is_refused() {
    let store = EmbeddedWorld::memory().object_store().clone();
    let key = ObjectKey::new("incoming/cm9n46thy000bwe6y784y4j0l").expect("a valid key");
    for _ in 0..2 {
        store.put(&key, &sample::source("one"), PutMode::WriteOnce).await.expect("the same bytes");
    }
    let refused = store.put(&key, &sample::source("two"), PutMode::WriteOnce).await;
    assert_eq!(code(refused, "other bytes"), ErrorCode::ObjectExists);
    // What the first upload stored is what is there.
    let there: Vec<_> = store.get(&key).await.expect("there").body.try_collect().await.expect("whole");
    assert_eq!(there.concat(), sample::source("one").bytes().await.expect("in memory"));
}

#[test]
fn case_24_names_that_are_places_are_no_names() {
    for name in [".", "..", "a/b", "", "a\0b"] {
        assert_eq!(code(ProjectName::new(name), name), ErrorCode::ValueInvalid, "{name:?}");
    }
}

#[test]
fn what_is_harmless_is_read_unpacked_and_given_back_as_it_was() {
    let folder = tempfile::tempdir().expect("a folder");
    let entries = [
        entry("sql/", b'5', ""),
        file("sql/a.chalk.sql", "select 1"),
        link("sql/alias", b'2', "../models.py"),
        file("models.py", "x = 1"),
        link("copy.py", b'1', "models.py"),
        link("dangling", b'2', "nowhere"),
    ];
    for (number, bytes) in [with_config(&entries), gzip(&with_config(&entries))].iter().enumerate() {
        let out = folder.path().join(number.to_string());
        unpack(bytes, &out).expect("harmless");
        for (path, content) in [("sql/a.chalk.sql", "select 1"), ("sql/alias", "x = 1"), ("copy.py", "x = 1")] {
            assert_eq!(fs::read_to_string(out.join(path)).expect("there"), content);
        }
        assert_eq!(fs::read_link(out.join("dangling")).expect("a link"), Path::new("nowhere"));
    }
}
