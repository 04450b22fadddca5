//! Reading the small files that make up a project, without following a link and without trusting their size.

use std::fs;
use std::io::{self, Read as _};
use std::path::Path;

use rustix::fs::{Mode, OFlags};

use crate::text;

/// Larger ones are no configuration.
pub(super) const LARGEST: u64 = 1 << 20;

/// Why a file was not read.
#[derive(Debug)]
pub(super) enum Refusal {
    Missing,
    Link,
    NoRegularFile,
    TooLarge,
    NotText,
    Unreadable(io::Error),
}

impl Refusal {
    /// What follows "the file" in a sentence, and what to do about it.
    pub(super) fn explain(&self) -> (String, &'static str) {
        match self {
            Self::Missing => ("is missing".to_owned(), "create the file, or correct its path"),
            Self::Link => (
                "is, or lies behind, a symbolic link".to_owned(),
                "put the file itself there: what is deployed must not depend on what a link leads to",
            ),
            Self::NoRegularFile => ("is no regular file".to_owned(), "replace it by a regular file"),
            Self::TooLarge => (format!("is larger than {}", text::bytes(LARGEST)), "make the file smaller"),
            Self::NotText => ("is not UTF-8 text".to_owned(), "save the file as UTF-8"),
            Self::Unreadable(_) => ("cannot be read".to_owned(), "make the file readable"),
        }
    }

    pub(super) fn into_source(self) -> Option<io::Error> {
        match self {
            Self::Unreadable(error) => Some(error),
            _ => None,
        }
    }
}

/// Reads a text file at a normal relative path below a canonical directory.
pub(super) fn read_text(directory: &Path, relative: &str) -> Result<String, Refusal> {
    let file = open(directory, relative)?;
    let mut bytes = Vec::new();
    file.take(LARGEST + 1).read_to_end(&mut bytes).map_err(Refusal::Unreadable)?;
    if bytes.len() as u64 > LARGEST {
        return Err(Refusal::TooLarge);
    }
    String::from_utf8(bytes).map_err(|_| Refusal::NotText)
}

/// Opens a regular file, none of whose components is a link.
pub(super) fn open(directory: &Path, relative: &str) -> Result<fs::File, Refusal> {
    let mut path = directory.to_owned();
    for component in Path::new(relative).components() {
        path.push(component);
        match fs::symlink_metadata(&path) {
            Ok(metadata) if metadata.is_symlink() => return Err(Refusal::Link),
            Ok(_) => {}
            Err(error) => return Err(refusal(error)),
        }
    }
    // Without NONBLOCK a pipe of that name would hold us for ever.
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
    let file = match rustix::fs::open(&path, flags, Mode::empty()) {
        Ok(file) => fs::File::from(file),
        Err(rustix::io::Errno::LOOP) => return Err(Refusal::Link),
        // A socket, or a device without a driver.
        Err(rustix::io::Errno::NXIO | rustix::io::Errno::NODEV) => return Err(Refusal::NoRegularFile),
        Err(error) => return Err(refusal(error.into())),
    };
    let metadata = file.metadata().map_err(Refusal::Unreadable)?;
    if metadata.is_file() { Ok(file) } else { Err(Refusal::NoRegularFile) }
}

fn refusal(error: io::Error) -> Refusal {
    match error.kind() {
        io::ErrorKind::NotFound | io::ErrorKind::NotADirectory => Refusal::Missing,
        _ => Refusal::Unreadable(error),
    }
}
