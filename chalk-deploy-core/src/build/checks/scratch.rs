//! The folder of one build's checks: the project unpacked, and nothing of this machine above it that a tool could take
//! for the project's.
//!
//! ```text
//! ruff.toml     empty: a tool that looks for settings above the project stops here
//! home/         the tools' home and temporary files
//! source/       the project
//! driver/       the compiler's program
//! bytecode/     what it made
//! ```

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use tempfile::TempDir;

use super::super::folder::failed;
use crate::Result;

#[derive(Debug)]
pub(super) struct Scratch {
    folder: TempDir,
    root: PathBuf,
}

impl Scratch {
    pub(super) fn begin(folder: TempDir) -> Result<Self> {
        let path = folder.path().to_owned();
        let failed = |error: io::Error| failed("make", &path)(error);
        // Without links, so that what tools say of a file begins with it.
        let root = fs::canonicalize(&path).map_err(failed)?;
        fs::write(root.join("ruff.toml"), "").map_err(failed)?;
        for name in ["home", "driver", "bytecode"] {
            fs::create_dir(root.join(name)).map_err(failed)?;
        }
        Ok(Self { folder, root })
    }

    pub(super) fn source(&self) -> PathBuf {
        self.root.join("source")
    }

    pub(super) fn home(&self) -> PathBuf {
        self.root.join("home")
    }

    pub(super) fn driver(&self) -> PathBuf {
        self.root.join("driver")
    }

    pub(super) fn bytecode(&self) -> PathBuf {
        self.root.join("bytecode")
    }

    /// The path of a file of the project as the project names it; nothing for any other.
    pub(super) fn relative(&self, path: &str) -> Option<String> {
        let path = Path::new(path);
        let inside = if path.is_absolute() { path.strip_prefix(self.source()).ok()? } else { path };
        let inside = inside.strip_prefix(".").unwrap_or(inside);
        Some(inside.to_string_lossy().into_owned())
    }

    /// The folder, which is removed with it.
    pub(super) fn into_folder(self) -> TempDir {
        self.folder
    }
}
