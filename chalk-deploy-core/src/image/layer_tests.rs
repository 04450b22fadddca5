use std::collections::BTreeMap;
use std::fs;
use std::io::Read as _;
use std::os::unix::fs::{PermissionsExt as _, symlink};

use proptest::prelude::*;

use super::super::packer::PIECE;
use super::*;

fn folder() -> tempfile::TempDir {
    tempfile::tempdir().expect("a folder")
}

fn write(folder: &Path, path: &str, content: &[u8], mode: u32) {
    let path = folder.join(path);
    fs::create_dir_all(path.parent().expect("a parent")).expect("made");
    fs::write(&path, content).expect("written");
    fs::set_permissions(&path, fs::Permissions::from_mode(mode)).expect("set");
}

fn pack(folder: &Path, path: &str, compression: Compression) -> Result<Layer> {
    Layer::of_folder(folder, path, compression, &std::env::temp_dir())
}

/// The unpacked bytes, which must be the ones that the layer's digests speak of.
fn unpacked(layer: &Layer) -> Vec<u8> {
    let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
    let packed = runtime.block_on(layer.payload().bytes()).expect("the bytes that were declared");
    let mut tar = Vec::new();
    if layer.descriptor().media_type.ends_with("gzip") {
        flate2::read::GzDecoder::new(&packed[..]).read_to_end(&mut tar).expect("gzip");
    } else {
        #[cfg(feature = "zstd")]
        zstd::stream::copy_decode(&packed[..], &mut tar).expect("zstd");
    }
    assert_eq!((Digest::of(&tar), tar.len() as u64), (layer.diff(), layer.unpacked()));
    tar
}

/// `type path mode owner time -> content or target` of each entry, as another reader sees them.
fn listed(layer: &Layer) -> Vec<String> {
    let tar = unpacked(layer);
    let mut archive = tar::Archive::new(&tar[..]);
    let entries = archive.entries().expect("a tar").map(|entry| {
        let mut entry = entry.expect("an entry");
        let path = entry.path().expect("a path").display().to_string();
        let mut content = String::new();
        entry.read_to_string(&mut content).expect("text");
        let header = entry.header();
        assert_eq!((header.uid().expect("uid"), header.gid().expect("gid"), header.mtime().expect("mtime")), (0, 0, 0));
        let target = entry.link_name().expect("a name").map(|target| target.display().to_string()).unwrap_or_default();
        format!("{:o} {path} {content}{target}", header.mode().expect("a mode"))
    });
    entries.collect()
}

#[test]
fn a_folder_is_packed_in_order_without_owners_and_times_and_another_reader_sees_it() {
    let folder = folder();
    write(folder.path(), "b.py", b"b", 0o600);
    write(folder.path(), "a/run", b"#!", 0o700);
    write(folder.path(), "a/empty", b"", 0o644);
    fs::create_dir(folder.path().join("c")).expect("made");
    symlink("../b.py", folder.path().join("a/link")).expect("linked");
    let long = format!("{}/{}", "d".repeat(90), "e".repeat(90));
    write(folder.path(), &long, b"long", 0o644);
    let expected = [
        "755 opt/app/ ".to_owned(),
        "755 opt/app/a/ ".to_owned(),
        "644 opt/app/a/empty ".to_owned(),
        "755 opt/app/a/link ../b.py".to_owned(),
        "755 opt/app/a/run #!".to_owned(),
        "644 opt/app/b.py b".to_owned(),
        "755 opt/app/c/ ".to_owned(),
        format!("755 opt/app/{}/ ", "d".repeat(90)),
        format!("644 opt/app/{long} long"),
    ];
    let gzip = pack(folder.path(), "/opt/app/", Compression::Gzip).expect("packed");
    assert_eq!(listed(&gzip), expected);
    assert_eq!(gzip.entries(), 9);
    #[cfg(feature = "zstd")]
    {
        let zstd = pack(folder.path(), "/opt/app", Compression::Zstd).expect("packed");
        assert_eq!(listed(&zstd), expected);
        assert_eq!(zstd.diff(), gzip.diff());
    }
    let at_the_root = pack(folder.path(), "/", Compression::Gzip).expect("packed");
    assert_eq!(listed(&at_the_root)[0], "755 a/ ");
}

#[test]
fn the_same_files_give_the_same_digest_whatever_their_times_modes_and_order_of_making() {
    let (one, other) = (folder(), folder());
    for name in ["a", "b", "c/d"] {
        write(one.path(), name, name.as_bytes(), 0o644);
    }
    for name in ["c/d", "b", "a"] {
        write(other.path(), name, name.as_bytes(), 0o600);
    }
    fs::set_permissions(other.path().join("c"), fs::Permissions::from_mode(0o700)).expect("set");
    let digest = |folder: &tempfile::TempDir| {
        pack(folder.path(), "/app", Compression::Gzip).expect("packed").descriptor().digest
    };
    assert_eq!(digest(&one), digest(&other));
    write(other.path(), "a", b"a", 0o755);
    assert_ne!(digest(&one), digest(&other), "the permission to execute is part of a file");
}

#[test]
fn what_has_no_place_in_a_layer_is_refused_by_its_own_code() {
    type Make = fn(&Path);
    let cases: [(&str, ErrorCode, Make); 8] = [
        ("absolute link", ErrorCode::ArchiveLinkEscape, |folder| {
            symlink("/etc/passwd", folder.join("x")).expect("made");
        }),
        ("link outside", ErrorCode::ArchiveLinkEscape, |folder| symlink("../x", folder.join("x")).expect("made")),
        ("link through", ErrorCode::ArchiveLinkEscape, |folder| {
            fs::create_dir(folder.join("d")).expect("made");
            symlink("a/../../../x", folder.join("d/x")).expect("made");
        }),
        ("whiteout", ErrorCode::ArchiveEntryName, |folder| write(folder, "d/.wh.x", b"", 0o644)),
        ("opaque", ErrorCode::ArchiveEntryName, |folder| write(folder, ".wh..wh..opq", b"", 0o644)),
        ("line break", ErrorCode::ArchiveEntryName, |folder| write(folder, "a\nb", b"", 0o644)),
        ("pipe", ErrorCode::ArchiveEntryType, |folder| {
            rustix::fs::mknodat(rustix::fs::CWD, folder.join("x"), FileType::Fifo, Mode::RUSR, 0).expect("made");
        }),
        ("deep", ErrorCode::ArchiveEntryName, |folder| {
            fs::create_dir_all(folder.join(vec!["d"; DEEPEST + 2].join("/"))).expect("made");
        }),
    ];
    for (name, code, make) in cases {
        let folder = folder();
        make(folder.path());
        let error = pack(folder.path(), "/app", Compression::Gzip).expect_err(name);
        assert_eq!(error.code(), code, "{name}: {error}");
    }
    let folder = folder();
    for path in ["app", "", "/a/../b", "//a", "/a//b", "/./a", "/a\u{1b}", "/.wh.a", "/.."] {
        let error = pack(folder.path(), path, Compression::Gzip).expect_err(path);
        assert_eq!(error.code(), ErrorCode::ValueInvalid, "{path}");
    }
    let error = pack(&folder.path().join("missing"), "/app", Compression::Gzip).expect_err("missing");
    assert_eq!(error.code(), ErrorCode::SourceUnreadable);
}

#[test]
fn files_around_every_buffer_are_packed_to_the_byte() {
    let folder = folder();
    let mut expected = BTreeMap::new();
    for size in [0, 1, 511, 512, 513, PIECE - 513, PIECE - 512, PIECE - 1, PIECE, PIECE + 1, 3 * PIECE + 7] {
        let content: Vec<u8> = (0..size).map(|at| u8::try_from((at * 31 + size) % 251).expect("small")).collect();
        write(folder.path(), &format!("{size:08}"), &content, 0o644);
        expected.insert(format!("a/{size:08}"), content);
    }
    let layer = pack(folder.path(), "/a", Compression::Gzip).expect("packed");
    let tar = unpacked(&layer);
    let mut found = BTreeMap::new();
    for entry in tar::Archive::new(&tar[..]).entries().expect("a tar") {
        let mut entry = entry.expect("an entry");
        let path = entry.path().expect("a path").display().to_string();
        let mut content = Vec::new();
        entry.read_to_end(&mut content).expect("read");
        if !path.ends_with('/') {
            found.insert(path, content);
        }
    }
    assert!(found == expected);
}

proptest! {
    #[test]
    fn no_target_that_is_let_pass_leads_out_of_the_folder(
        above in prop::collection::vec("[a-c]", 0..4),
        target in prop::collection::vec(prop_oneof!["[a-c]", Just("..".to_owned()), Just(".".to_owned()), Just(String::new())], 1..8),
    ) {
        let path = [&["app".to_owned()], &above[..], &["x".to_owned()]].concat().join("/");
        let target = target.join("/");
        // What a resolver of links does, from the link's own directory.
        let mut depth = i64::try_from(above.len()).expect("few");
        let mut leaves = target.starts_with('/') || target.is_empty();
        for component in target.split('/') {
            depth += match component { "" | "." => 0, ".." => -1, _ => 1 };
            leaves |= depth < 0;
        }
        prop_assert_eq!(check_target(&path, 4, &target).is_err(), leaves, "{} -> {}", path, target);
    }
}
