//! Archives of strangers.

use std::io::{Cursor, Write as _};

use flate2::Compression;
use flate2::write::GzEncoder;
use proptest::prelude::*;

use super::*;

/// An entry as a hostile program would write it: whatever is asked for, with a right checksum.
fn block(name: &str, kind: u8, size: u64, link: &str) -> Vec<u8> {
    let mut header = tar::Header::new_ustar();
    header.set_size(size);
    header.set_mode(0o644);
    header.set_entry_type(tar::EntryType::new(kind));
    header.as_old_mut().name[..name.len()].copy_from_slice(name.as_bytes());
    header.as_old_mut().linkname[..link.len()].copy_from_slice(link.as_bytes());
    header.set_cksum();
    header.as_bytes().to_vec()
}

fn entry(name: &str, kind: u8, content: &[u8]) -> Vec<u8> {
    let mut bytes = block(name, kind, content.len() as u64, "");
    bytes.extend_from_slice(content);
    bytes.resize(bytes.len().next_multiple_of(BLOCK), 0);
    bytes
}

fn file(name: &str, content: &str) -> Vec<u8> {
    entry(name, b'0', content.as_bytes())
}

fn link(name: &str, kind: u8, target: &str) -> Vec<u8> {
    block(name, kind, 0, target)
}

fn archive(entries: &[Vec<u8>]) -> Vec<u8> {
    let mut bytes = entries.concat();
    bytes.resize(bytes.len() + 2 * BLOCK, 0);
    bytes
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(bytes).expect("in memory");
    encoder.finish().expect("in memory")
}

fn read(bytes: &[u8]) -> Result<(SourceFingerprint, Vec<(ArchiveEntry, String)>)> {
    read_within(bytes, ArchiveLimits::default())
}

fn read_within(bytes: &[u8], limits: ArchiveLimits) -> Result<(SourceFingerprint, Vec<(ArchiveEntry, String)>)> {
    let mut reader = ArchiveReader::new(bytes, limits)?;
    let mut entries = Vec::new();
    while let Some(entry) = reader.next_entry()? {
        let mut content = Vec::new();
        reader
            .read_to_end(&mut content)
            .map_err(|error| crate::cloud::error_in_stream(error).expect("errors of the reader are ours"))?;
        entries.push((entry, String::from_utf8_lossy(&content).into_owned()));
    }
    Ok((reader.finish()?, entries))
}

fn refused(bytes: &[u8]) -> Error {
    read(bytes).expect_err("a hostile archive")
}

fn pax(records: &str) -> Vec<u8> {
    entry("PaxHeader", b'x', records.as_bytes())
}

#[test]
fn archives_of_other_programs_are_read_packed_and_plain() {
    let plain = archive(&[
        link("./", b'5', ""),
        link("./a/", b'5', ""),
        file("./a/b", "hello"),
        entry("pax_global_header", b'g', b"14 comment=ab\n"),
        pax("13 path=long\n20 mtime=1234567.89\n"),
        file("short", "x"),
        entry("././@LongLink", b'L', b"gnu-long\0"),
        file("gnu", "y"),
        link("s", b'2', "a/b"),
        link("h", b'1', "a/b"),
    ]);
    let (fingerprint, entries) = read(&plain).expect("a plain tar");
    let paths: Vec<_> = entries.iter().map(|(entry, _)| entry.path.as_str()).collect();
    assert_eq!(paths, ["a", "a/b", "long", "gnu-long", "s", "h"]);
    assert_eq!(entries[1].1, "hello");
    assert_eq!(entries[4].0.kind, EntryKind::Link { target: "a/b".into() });
    assert_eq!(entries[5].0.kind, EntryKind::HardLink { target: "a/b".into() });
    assert_eq!((fingerprint.entries, fingerprint.unpacked_size, fingerprint.size), (6, 7, plain.len() as u64));

    let packed = gzip(&plain);
    let (of_packed, same) = read(&packed).expect("a packed tar");
    assert_eq!(same, entries);
    assert_eq!(of_packed.sha256, Digest::of(&packed));
    assert_eq!(of_packed.source_code_hash, fingerprint.source_code_hash);
}

#[test]
fn content_that_nobody_reads_is_hashed_all_the_same() {
    let bytes = archive(&[file("a", "1"), file("b", "2")]);
    let all = read(&bytes).expect("valid").0;
    let none = ArchiveReader::new(bytes.as_slice(), ArchiveLimits::default()).expect("valid").finish().expect("valid");
    assert_eq!(none, all);
}

#[test]
fn hostile_entries_are_refused_with_their_code_and_name() {
    let cases = [
        ("../x", archive(&[file("../x", "")]), ErrorCode::ArchivePathEscape),
        ("/etc/x", archive(&[file("/etc/x", "")]), ErrorCode::ArchivePathEscape),
        ("a/../../x", archive(&[file("a/../../x", "")]), ErrorCode::ArchivePathEscape),
        ("out", archive(&[link("out", b'2', "/etc")]), ErrorCode::ArchiveLinkEscape),
        ("out", archive(&[link("out", b'2', "../x")]), ErrorCode::ArchiveLinkEscape),
        // The proof of CVE-2025-62156's failed fix: a link, then a file through it. The link alone is fine.
        ("foo/hostname", archive(&[link("foo", b'2', "bar"), file("foo/hostname", "")]), ErrorCode::ArchiveLinkEscape),
        // CVE-2026-33056: a link, then a directory of its name.
        ("foo", archive(&[link("foo", b'2', "bar"), link("foo/", b'5', "")]), ErrorCode::ArchiveDuplicatePath),
        ("hard", archive(&[link("hard", b'1', "absent")]), ErrorCode::ArchiveLinkEscape),
        ("hard", archive(&[link("hard", b'1', "../../etc/passwd")]), ErrorCode::ArchiveLinkEscape),
        ("hard", archive(&[link("s", b'2', "a"), link("hard", b'1', "s")]), ErrorCode::ArchiveLinkEscape),
        ("character device", archive(&[link("d", b'3', "")]), ErrorCode::ArchiveEntryType),
        ("block device", archive(&[link("d", b'4', "")]), ErrorCode::ArchiveEntryType),
        ("pipe", archive(&[link("d", b'6', "")]), ErrorCode::ArchiveEntryType),
        ("sparse", archive(&[link("d", b'S', "")]), ErrorCode::ArchiveEntryType),
        ("b", archive(&[file("b", "1"), file("b", "2")]), ErrorCode::ArchiveDuplicatePath),
        ("b", archive(&[file("b", "1"), file("./b", "2")]), ErrorCode::ArchiveDuplicatePath),
        ("b", archive(&[link("b", b'5', ""), link("b/", b'5', "")]), ErrorCode::ArchiveDuplicatePath),
        ("a", archive(&[file("a", ""), file("a/b", "")]), ErrorCode::ArchiveDuplicatePath),
        ("a", archive(&[file("a/b", ""), file("a", "")]), ErrorCode::ArchiveDuplicatePath),
        ("a", archive(&[file("a/b", ""), link("a", b'2', "c")]), ErrorCode::ArchiveDuplicatePath),
        ("control", archive(&[file("a\u{1b}[31m", "")]), ErrorCode::ArchiveEntryName),
        ("line feed", archive(&[file("a\nb", "")]), ErrorCode::ArchiveEntryName),
        ("dot", archive(&[file(".", "")]), ErrorCode::ArchiveEntryName),
        ("empty", archive(&[file("", "")]), ErrorCode::ArchiveEntryName),
        ("slash", archive(&[file("a/", "")]), ErrorCode::ArchiveEntryName),
        ("root", archive(&[link("/", b'5', "")]), ErrorCode::ArchivePathEscape),
        ("pax path", archive(&[pax("13 path=../x\n"), file("a", "")]), ErrorCode::ArchivePathEscape),
        ("directory", archive(&[entry("d/", b'5', b"content")]), ErrorCode::ArchiveCorrupt),
        ("link with content", archive(&[entry("l", b'2', b"content")]), ErrorCode::ArchiveCorrupt),
    ];
    for (what, bytes, code) in cases {
        let error = refused(&bytes);
        assert_eq!(error.code(), code, "{what}: {error}");
        assert_eq!(refused(&gzip(&bytes)).code(), code, "{what}, packed");
        assert!(!error.sentence().contains(['\u{1b}', '\n']), "{error}");
    }
    let invalid = {
        let mut header = tar::Header::new_ustar();
        header.set_size(0);
        header.as_old_mut().name[0] = 0xff;
        header.set_cksum();
        archive(&[header.as_bytes().to_vec()])
    };
    assert_eq!(refused(&invalid).code(), ErrorCode::ArchiveEntryName);
}

#[test]
fn extensions_that_contradict_are_refused_and_never_skipped() {
    let cases = [
        ("malformed", archive(&[pax("99 path=a\n"), file("a", "")])),
        ("two headers", archive(&[pax("10 path=a\n"), pax("10 path=b\n"), file("c", "")])),
        ("two names", archive(&[pax("10 path=a\n"), entry("././@LongLink", b'L', b"b\0"), file("c", "")])),
        ("unterminated", archive(&[entry("././@LongLink", b'L', b"b"), file("c", "")])),
        ("too long", archive(&[entry("././@LongLink", b'L', &vec![b'a'; 70_000]), file("c", "")])),
        ("nothing follows", archive(&[pax("10 path=a\n")])),
        ("global path", archive(&[entry("g", b'g', b"10 path=a\n"), file("c", "")])),
    ];
    for (what, bytes) in cases {
        assert_eq!(refused(&bytes).code(), ErrorCode::ArchiveCorrupt, "{what}");
    }
}

#[test]
fn headers_that_state_different_sizes_are_refused() {
    // CVE-2025-62518: one program skips nothing, another skips the embedded header.
    for (stated, content) in [("12 size=512\n", ""), ("10 size=0\n", "x")] {
        let error = refused(&archive(&[pax(stated), file("a", content), file("hidden", "x")]));
        assert_eq!((error.code(), error.subject()), (ErrorCode::ArchiveHeaderMismatch, "a"));
    }
}

#[test]
fn a_tar_inside_a_file_stays_content() {
    let inner = archive(&[file("../escape", "x")]);
    let bytes = archive(&[entry("inner.tar", b'0', &inner), file("after", "y")]);
    let (_, entries) = read(&bytes).expect("valid");
    assert_eq!(entries.len(), 2);
}

#[test]
fn whatever_is_cut_short_damaged_or_longer_than_it_says_is_refused() {
    let plain = archive(&[file("a", &"content".repeat(300))]);
    let packed = gzip(&plain);
    for length in (0..packed.len()).step_by(7).chain([packed.len() - 1]) {
        assert_eq!(refused(&packed[..length]).code(), ErrorCode::ArchiveCorrupt, "packed, {length}");
    }
    // One block of zeros is an end to some programs; here it takes both.
    for length in (0..plain.len()).step_by(97).chain([plain.len() - BLOCK]) {
        assert_eq!(refused(&plain[..length]).code(), ErrorCode::ArchiveCorrupt, "plain, {length}");
    }
    let mut wrong_sum = packed.clone();
    let at = wrong_sum.len() - 6;
    wrong_sum[at] ^= 1;
    let second_member = [packed.clone(), gzip(b"more")].concat();
    let garbage = [packed.as_slice(), b"x"].concat();
    let after_end = gzip(&[plain.clone(), file("b", "")].concat());
    let plain_after_end = [plain.clone(), file("b", "")].concat();
    let many_zeros = gzip(&[plain.clone(), vec![0; 2 << 20]].concat());
    for bytes in [wrong_sum, second_member, garbage, after_end, plain_after_end, many_zeros, b"no tar".to_vec()] {
        assert_eq!(refused(&bytes).code(), ErrorCode::ArchiveCorrupt);
    }
    let filled_up = [plain, vec![0; 9 * 1024]].concat();
    read(&gzip(&filled_up)).expect("tar programs fill up their last record");
}

#[cfg(feature = "zstd")]
#[test]
fn zstd_is_read_as_strictly_as_gzip() {
    let packed = |bytes: &[u8], window: u32| {
        let mut encoder = zstd::Encoder::new(Vec::new(), 3).expect("in memory");
        encoder.window_log(window).expect("a window");
        encoder.write_all(bytes).expect("in memory");
        encoder.finish().expect("in memory")
    };
    let noise: String = (0..20_000_u32).map(|n| Digest::of(n.to_le_bytes()).hex()).collect();
    let plain = archive(&[file("a", &noise), file("b", "2")]);
    let whole = packed(&plain, 20);
    let (fingerprint, entries) = read(&whole).expect("valid");
    assert_eq!((entries.len(), fingerprint.sha256), (2, Digest::of(&whole)));
    let mut damaged = whole.clone();
    let at = damaged.len() / 2;
    damaged[at..at + 64].fill(0xff);
    // A decoder that took any window would set aside what the header asks for.
    let wide = packed(&plain, 27);
    let cases = [
        whole[..whole.len() - 1].to_vec(),
        whole[..4].to_vec(),
        [whole.as_slice(), b"x"].concat(),
        [whole.clone(), whole.clone()].concat(),
        damaged,
        wide,
    ];
    for bytes in cases {
        assert_eq!(refused(&bytes).code(), ErrorCode::ArchiveCorrupt);
    }
    let mut bomb = block("zeros", b'0', 40 << 20, "");
    bomb.resize(bomb.len() + (40 << 20), 0);
    assert_eq!(refused(&packed(&bomb, 20)).code(), ErrorCode::ArchiveTooLarge);
}

#[test]
fn an_error_is_final() {
    let bytes = archive(&[file("../x", ""), file("b", "")]);
    let mut reader = ArchiveReader::new(bytes.as_slice(), ArchiveLimits::default()).expect("it begins well");
    assert_eq!(reader.next_entry().expect_err("hostile").code(), ErrorCode::ArchivePathEscape);
    assert_eq!(reader.next_entry().expect_err("still").code(), ErrorCode::ArchiveCorrupt);
    assert!(reader.read(&mut [0; 8]).is_err());
    assert!(reader.finish().is_err());
}

#[test]
fn each_limit_holds_while_reading() {
    let noise: String = (0..2000_u32).map(|n| Digest::of(n.to_le_bytes()).hex()).collect();
    let bytes = gzip(&archive(&[file("a", &noise), file("b", ""), file("long-name", "")]));
    let limits = ArchiveLimits::default;
    let cases = [
        (limits().with_entries(2), "ArchiveLimits::entries"),
        (limits().with_packed(bytes.len() as u64 - 1), "ArchiveLimits::packed"),
        (limits().with_unpacked(noise.len() as u64 - 1), "ArchiveLimits::unpacked"),
        (limits().with_names(10), "ArchiveLimits::names"),
        (limits().with_ratio(1, 1000), "ArchiveLimits::ratio"),
    ];
    for (limits, setting) in cases {
        let error = read_within(&bytes, limits).expect_err(setting);
        assert_eq!(error.code(), ErrorCode::ArchiveTooLarge, "{setting}");
        assert!(error.hint().contains(setting), "{}", error.hint());
    }
    read(&bytes).expect("the default limits are wide");
}

#[test]
fn a_bomb_is_refused_before_it_is_unpacked() {
    struct Zeros {
        left: u64,
    }
    impl Read for Zeros {
        fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
            let length = buffer.len().min(usize::try_from(self.left).unwrap_or(usize::MAX));
            buffer[..length].fill(0);
            self.left -= length as u64;
            Ok(length)
        }
    }
    let size = 40 << 20;
    let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
    encoder.write_all(&block("zeros", b'0', size, "")).expect("in memory");
    io::copy(&mut Zeros { left: size + 1024 }, &mut encoder).expect("in memory");
    let bomb = encoder.finish().expect("in memory");
    let mut reader = ArchiveReader::new(bomb.as_slice(), ArchiveLimits::default()).expect("it begins well");
    reader.next_entry().expect("the header is fine");
    let error = reader.next_entry().expect_err("a ratio of about a thousand");
    assert_eq!(error.code(), ErrorCode::ArchiveTooLarge);
    assert!(reader.input.expanded < 25 << 20, "{}", reader.input.expanded);

    let declared = archive(&[block("huge", b'0', 1 << 50, "")]);
    assert_eq!(refused(&declared).code(), ErrorCode::ArchiveTooLarge, "refused by what it declares");
    let overflowing = archive(&[file("a", "x"), block("huge", b'0', u64::MAX >> 1, "")]);
    assert_eq!(refused(&overflowing).code(), ErrorCode::ArchiveTooLarge);
}

#[tokio::test]
async fn a_stream_is_read_in_chunks_of_any_length_and_its_own_error_comes_through() {
    let bytes = gzip(&archive(&[file("a", "1"), file("b", "2")]));
    let expected = read(&bytes).expect("valid").0;
    let ignore = |_: &ArchiveEntry, _: &mut dyn Read| Ok(());
    for length in [1, 7, 4096] {
        let chunks: Vec<_> = bytes.chunks(length).map(|chunk| Ok(Bytes::copy_from_slice(chunk))).collect();
        let stream = futures::stream::iter(chunks).boxed();
        let (found, _) = read_archive(stream, ArchiveLimits::default(), ignore).await.expect("valid");
        assert_eq!(found, expected);
    }

    let start = Bytes::copy_from_slice(&bytes[..20]);
    let reset = io::Error::from(io::ErrorKind::UnexpectedEof);
    let changed = io::Error::other(Error::new(ErrorCode::SourceChanged, "it changed"));
    for (failure, code) in [(reset, ErrorCode::CloudUnavailable), (changed, ErrorCode::SourceChanged)] {
        let stream = futures::stream::iter([Ok(start.clone()), Err(failure)]).boxed();
        let error = read_archive(stream, ArchiveLimits::default(), ignore).await.err().expect("the stream broke");
        assert_eq!(error.code(), code);
    }
}

#[tokio::test]
async fn an_early_error_does_not_wait_for_the_rest_of_the_stream() {
    let start = Bytes::from(archive(&[file("../x", "")]));
    let endless = futures::stream::iter([Ok(start)]).chain(futures::stream::pending()).boxed();
    let stop = |_: &ArchiveEntry, _: &mut dyn Read| Ok(());
    let error = read_archive(endless, ArchiveLimits::default(), stop).await.err().expect("hostile");
    assert_eq!(error.code(), ErrorCode::ArchivePathEscape);

    let bytes = Bytes::from(archive(&[file("a", "")]));
    let refuse = |_: &ArchiveEntry, _: &mut dyn Read| Err(Error::new(ErrorCode::RequestInvalid, "seen enough"));
    let endless = futures::stream::iter([Ok(bytes)]).chain(futures::stream::pending()).boxed();
    let error = read_archive(endless, ArchiveLimits::default(), refuse).await.err().expect("refused by the visitor");
    assert_eq!(error.code(), ErrorCode::RequestInvalid);
}

/// What the tar crate reads, where it reads anything: an independent second opinion.
fn by_the_tar_crate(bytes: &[u8]) -> io::Result<Vec<(String, Vec<u8>)>> {
    let mut archive = tar::Archive::new(bytes);
    let mut files = Vec::new();
    for entry in archive.entries()? {
        let mut entry = entry?;
        let path = String::from_utf8_lossy(&entry.path_bytes()).into_owned();
        let mut content = Vec::new();
        entry.read_to_end(&mut content)?;
        if entry.header().entry_type().is_file() {
            files.push((path.strip_prefix("./").unwrap_or(&path).to_owned(), content));
        }
    }
    Ok(files)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn damage_never_panics_and_what_is_accepted_is_what_another_reader_sees(
        flips in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..4),
        cut in any::<prop::sample::Index>(),
        fix_sums in any::<bool>(),
    ) {
        let mut bytes = archive(&[
            link("d/", b'5', ""),
            pax("13 path=d/aa\n"),
            file("x", "content of x"),
            entry("././@LongLink", b'L', b"d/bb\0"),
            file("y", &"y".repeat(600)),
            link("l", b'2', "d/aa"),
        ]);
        for (at, value) in &flips {
            let at = at.index(bytes.len());
            bytes[at] = *value;
        }
        if cut.index(4) == 0 {
            bytes.truncate(cut.index(bytes.len()));
        }
        if fix_sums {
            // With right checksums the damage gets further.
            for block in bytes.chunks_exact_mut(BLOCK).filter(|block| block[257..262] == *b"ustar") {
                let mut header = tar::Header::new_ustar();
                header.as_mut_bytes().copy_from_slice(block);
                header.set_cksum();
                block.copy_from_slice(header.as_bytes());
            }
        }
        if let Ok((_, entries)) = read(&bytes) {
            let ours: Vec<_> = entries
                .into_iter()
                .filter(|(entry, _)| entry.kind == EntryKind::File)
                .map(|(entry, content)| (entry.path, content))
                .collect();
            let theirs: Vec<_> = by_the_tar_crate(&bytes)
                .expect("we are the stricter reader")
                .into_iter()
                .map(|(path, content)| (path, String::from_utf8_lossy(&content).into_owned()))
                .collect();
            prop_assert_eq!(ours, theirs);
        }
    }

    #[test]
    fn bytes_of_any_kind_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..2000), packed in any::<bool>()) {
        let bytes = if packed { gzip(&bytes) } else { bytes };
        let Ok(mut reader) = ArchiveReader::new(Cursor::new(bytes), ArchiveLimits::default()) else { return Ok(()) };
        while let Ok(Some(_)) = reader.next_entry() {}
    }
}
