//! The image that an executor has left: a tarball of a config and of packed layers, as `docker save` writes them. It comes
//! from a container in which strangers' commands have run as root.
//!
//! Nothing in it is believed but its bytes: digests and sizes are taken of what is there, media types from how it begins,
//! and the list of the layers only as names of entries of the tarball itself.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{Read, Seek as _, SeekFrom};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use async_trait::async_trait;
use bytes::BytesMut;
use futures::StreamExt as _;
use serde::Deserialize;
use serde_json::Value;

use super::runnable::{CONFIG_MOST, LAYERS_MOST};
use crate::cloud::{ByteStream, Payload, PayloadSource};
use crate::model::{Descriptor, Digest, DigestHasher};
use crate::{Error, ErrorCode, Result, text};

/// More entries no image has: its layers, its config and a list.
const ENTRIES_MOST: usize = 2 * LAYERS_MOST + 16;
/// The list of what is in the tarball.
const LIST: &str = "manifest.json";
const LIST_MOST: u64 = 1 << 20;
const PIECE: usize = 128 << 10;

/// An image in a tarball.
#[derive(Debug)]
pub(super) struct Tarball {
    path: PathBuf,
    /// The config, read.
    pub(super) config: Value,
    /// The layers, lowest first.
    pub(super) layers: Vec<Layer>,
}

/// A layer in a tarball.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Layer {
    pub(super) descriptor: Descriptor,
    /// Where it begins.
    at: u64,
}

#[derive(Deserialize)]
struct Listed {
    #[serde(rename = "Config")]
    config: String,
    #[serde(rename = "Layers")]
    layers: Vec<String>,
}

fn refused(path: &Path, message: &str) -> Error {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    Error::new(ErrorCode::BuildFailed, message)
        .on(format!("image in `{}`", text::line(&name, 100)))
        .with_hint("find out in the lines of the build what its executor has left")
}

impl Tarball {
    /// Reads what is in it, and takes the digest of each layer. Blocks.
    ///
    /// # Errors
    /// [`ErrorCode::BuildFailed`] for what is no image.
    pub(super) fn open(path: &Path) -> Result<Self> {
        let unreadable = |error: std::io::Error| refused(path, "it cannot be read").caused_by(error);
        let is_file = std::fs::symlink_metadata(path).map_err(unreadable)?.is_file();
        if !is_file {
            return Err(refused(path, "it is no file"));
        }
        let file = File::open(path).map_err(unreadable)?;
        let entries = entries(&file).map_err(|error| refused(path, "it is no sound tarball").caused_by(error))?;
        let document = |name: &str, most: u64| {
            let &(at, size) = entries.get(name).ok_or_else(|| refused(path, "it lacks a document that it names"))?;
            if size > most {
                return Err(refused(path, "a document in it is too long"));
            }
            let mut bytes = Vec::new();
            section(&file, at, size).and_then(|mut part| part.read_to_end(&mut bytes)).map_err(unreadable)?;
            Ok(bytes)
        };
        let parse = |error: serde_json::Error| refused(path, "a document in it does not parse").caused_by(error);
        let listed: Vec<Listed> = serde_json::from_slice(&document(LIST, LIST_MOST)?).map_err(parse)?;
        let [listed] = listed.as_slice() else { return Err(refused(path, "it does not hold one image")) };
        let config = serde_json::from_slice(&document(&listed.config, CONFIG_MOST)?).map_err(parse)?;
        if listed.layers.len() > LAYERS_MOST {
            return Err(refused(path, &format!("it has more than {LAYERS_MOST} layers")));
        }
        let mut layers = Vec::new();
        for name in &listed.layers {
            let &(at, size) =
                entries.get(name.as_str()).ok_or_else(|| refused(path, "it lacks a layer that it names"))?;
            let part = section(&file, at, size).map_err(unreadable)?;
            let (media_type, digest) = layer(part).map_err(unreadable)?;
            let media_type = media_type.ok_or_else(|| refused(path, "a layer is packed in no known way"))?.to_owned();
            layers.push(Layer { descriptor: Descriptor { media_type, digest, size }, at });
        }
        Ok(Self { path: path.to_owned(), config, layers })
    }

    /// The bytes of a layer.
    pub(super) fn payload(&self, layer: &Layer) -> Payload {
        let part = Part { path: self.path.clone(), at: layer.at, size: layer.descriptor.size };
        Payload::new(layer.descriptor.digest, layer.descriptor.size, Arc::new(part))
    }
}

/// The files of a tarball by their names, each with where it begins and its length.
fn entries(file: &File) -> std::io::Result<BTreeMap<String, (u64, u64)>> {
    let mut found = BTreeMap::new();
    let whole = file.metadata()?.len();
    let mut archive = tar::Archive::new(file);
    for (number, entry) in archive.entries_with_seek()?.enumerate() {
        let entry = entry?;
        let odd = |message: &str| std::io::Error::new(std::io::ErrorKind::InvalidData, message.to_owned());
        if number == ENTRIES_MOST {
            return Err(odd("too many entries"));
        }
        let (at, size) = (entry.raw_file_position(), entry.size());
        if !entry.header().entry_type().is_file() || at.checked_add(size).is_none_or(|end| end > whole) {
            return Err(odd("an entry that is no whole file"));
        }
        let name = String::from_utf8(entry.path_bytes().into_owned()).map_err(|_| odd("a name that is no text"))?;
        if found.insert(name, (at, size)).is_some() {
            return Err(odd("two entries of one name"));
        }
    }
    Ok(found)
}

fn section(file: &File, at: u64, size: u64) -> std::io::Result<std::io::Take<File>> {
    let mut file = file.try_clone()?;
    file.seek(SeekFrom::Start(at))?;
    Ok(file.take(size))
}

/// How a layer is packed, by how it begins, and its digest.
fn layer(mut part: impl Read) -> std::io::Result<(Option<&'static str>, Digest)> {
    let (mut hasher, mut piece, mut kind) = (DigestHasher::new(), vec![0; PIECE], None);
    let mut begun = Vec::with_capacity(4);
    loop {
        let read = part.read(&mut piece)?;
        if read == 0 {
            return Ok((kind, hasher.finish()));
        }
        if begun.len() < 4 {
            begun.extend_from_slice(&piece[..read.min(4 - begun.len())]);
            kind = match begun.as_slice() {
                [0x1f, 0x8b, ..] => Some("application/vnd.oci.image.layer.v1.tar+gzip"),
                [0x28, 0xb5, 0x2f, 0xfd] => Some("application/vnd.oci.image.layer.v1.tar+zstd"),
                _ => None,
            };
        }
        hasher.update(&piece[..read]);
    }
}

/// A part of a file as a source of bytes.
struct Part {
    path: PathBuf,
    at: u64,
    size: u64,
}

#[async_trait]
impl PayloadSource for Part {
    async fn open(&self) -> Result<ByteStream> {
        let lost = |error: std::io::Error| refused(&self.path, "it can no longer be read").caused_by(error);
        let part = File::open(&self.path).and_then(|file| section(&file, self.at, self.size)).map_err(lost)?;
        let stream = futures::stream::unfold(Some(part), |part| async move {
            let mut part = part?;
            let mut piece = BytesMut::zeroed(PIECE);
            match part.read(&mut piece) {
                Ok(0) => None,
                Ok(read) => {
                    piece.truncate(read);
                    Some((Ok(piece.freeze()), Some(part)))
                }
                Err(error) => Some((Err(error), None)),
            }
        });
        Ok(stream.boxed())
    }
}

#[cfg(test)]
pub(super) mod tests {
    use serde_json::json;

    use super::*;

    /// A tarball of these files, as `docker save` writes one.
    pub(in super::super) fn tarball(files: &[(&str, &[u8])]) -> tempfile::NamedTempFile {
        let mut archive = tar::Builder::new(Vec::new());
        for (name, bytes) in files {
            let mut header = tar::Header::new_ustar();
            header.set_size(bytes.len() as u64);
            header.set_mode(0o644);
            archive.append_data(&mut header, name, *bytes).expect("memory takes all");
        }
        written(&archive.into_inner().expect("memory takes all"))
    }

    fn written(bytes: &[u8]) -> tempfile::NamedTempFile {
        let file = tempfile::NamedTempFile::new().expect("a file");
        std::fs::write(file.path(), bytes).expect("written");
        file
    }

    pub(in super::super) fn gzip(content: &[u8]) -> Vec<u8> {
        use std::io::Write as _;
        let mut packed = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        packed.write_all(content).expect("memory takes all");
        packed.finish().expect("memory takes all")
    }

    /// A file of a tarball.
    type Named<'name> = (&'name str, Vec<u8>);

    fn list(layers: &[&str]) -> Vec<u8> {
        json!([{"Config": "sha256:c", "RepoTags": ["x"], "Layers": layers}]).to_string().into_bytes()
    }

    #[tokio::test]
    async fn layers_are_described_by_their_bytes_and_handed_out() {
        let (one, two) = (gzip(b"one"), [0x28, 0xb5, 0x2f, 0xfd, 9, 9]);
        let list = list(&["a.tar.gz", "b.tar.gz", "a.tar.gz"]);
        let file =
            tarball(&[("sha256:c", b"{\"os\":\"linux\"}"), ("a.tar.gz", &one), ("b.tar.gz", &two), (LIST, &list)]);
        let read = Tarball::open(file.path()).expect("an image");
        assert_eq!(read.config["os"], "linux");
        let digests: Vec<_> = read.layers.iter().map(|layer| layer.descriptor.digest).collect();
        assert_eq!(digests, [Digest::of(&one), Digest::of(two), Digest::of(&one)]);
        assert!(read.layers[1].descriptor.media_type.ends_with("zstd"));
        assert_eq!(read.payload(&read.layers[0]).bytes().await.expect("whole"), one);
        assert_eq!(read.payload(&read.layers[1]).bytes().await.expect("whole").as_ref(), two);
    }

    #[test]
    fn what_is_no_image_is_refused() {
        let layer = gzip(b"x");
        let config: &[u8] = b"{}";
        let cases: Vec<(&str, Vec<Named<'_>>)> = vec![
            ("no list", vec![("sha256:c", config.to_vec())]),
            ("no config", vec![(LIST, list(&[]))]),
            ("no layer", vec![("sha256:c", config.to_vec()), (LIST, list(&["a"]))]),
            ("plain layer", vec![("sha256:c", config.to_vec()), ("a", b"tar".to_vec()), (LIST, list(&["a"]))]),
            ("empty layer", vec![("sha256:c", config.to_vec()), ("a", vec![]), (LIST, list(&["a"]))]),
            (
                "two images",
                vec![
                    ("sha256:c", config.to_vec()),
                    (
                        LIST,
                        b"[{\"Config\":\"sha256:c\",\"Layers\":[]},{\"Config\":\"sha256:c\",\"Layers\":[]}]".to_vec(),
                    ),
                ],
            ),
            ("no JSON", vec![("sha256:c", b"{".to_vec()), (LIST, list(&[]))]),
            ("twice", vec![("sha256:c", config.to_vec()), ("sha256:c", config.to_vec()), (LIST, list(&[]))]),
            (
                "many",
                (0..=LAYERS_MOST)
                    .map(|_| ("a", layer.clone()))
                    .chain([(LIST, list(&vec!["a"; LAYERS_MOST + 1]))])
                    .collect(),
            ),
            (
                "long list",
                vec![("sha256:c", config.to_vec()), (LIST, vec![b' '; usize::try_from(LIST_MOST).expect("small") + 1])],
            ),
        ];
        for (why, files) in cases {
            let files: Vec<_> = files.iter().map(|(name, bytes)| (*name, bytes.as_slice())).collect();
            let error = Tarball::open(tarball(&files).path()).expect_err(why);
            assert_eq!(error.code(), ErrorCode::BuildFailed, "{why}: {error}");
        }
        for bytes in
            [&b""[..], b"no tarball at all, but words, and more of them than a header has".repeat(20).as_slice()]
        {
            Tarball::open(written(bytes).path()).expect_err("no tarball");
        }
        let folder = tempfile::tempdir().expect("a folder");
        Tarball::open(folder.path()).expect_err("a folder");
        Tarball::open(&folder.path().join("none")).expect_err("nothing");
        let link = folder.path().join("link");
        std::os::unix::fs::symlink("/etc/passwd", &link).expect("a link");
        assert!(Tarball::open(&link).expect_err("a link").message().contains("no file"));
    }

    #[test]
    fn a_cut_tarball_and_one_that_promises_more_than_it_has_are_refused() {
        let list = list(&["a"]);
        let whole = tarball(&[("sha256:c", b"{}"), ("a", &gzip(&[7; 5000])), (LIST, &list)]);
        let bytes = std::fs::read(whole.path()).expect("there");
        Tarball::open(written(&bytes).path()).expect("whole");
        // What follows the last byte of the last file is filling.
        let end = bytes.len() - 1024 - 512 + list.len();
        for length in (0..end).step_by(97).chain([end - 1]) {
            Tarball::open(written(&bytes[..length]).path()).expect_err("cut");
        }
        let mut header = tar::Header::new_ustar();
        header.set_path("a").expect("a name");
        header.set_size(u64::MAX >> 1);
        header.set_entry_type(tar::EntryType::Regular);
        header.set_cksum();
        Tarball::open(written(&[header.as_bytes(), &[0; 2048][..]].concat()).path()).expect_err("a promise");
        let mut link = tar::Header::new_ustar();
        link.set_path(LIST).expect("a name");
        link.set_entry_type(tar::EntryType::Symlink);
        link.set_link_name("/etc/passwd").expect("a name");
        link.set_size(0);
        link.set_cksum();
        Tarball::open(written(&[link.as_bytes(), &[0; 1024][..]].concat()).path()).expect_err("a link");
    }
}
