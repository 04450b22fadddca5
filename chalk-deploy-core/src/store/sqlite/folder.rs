//! The state folder: its marker, its `.gitignore`, and whose it is.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read as _, Write as _};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use super::failure;
use crate::store::STATE_MARKER;
use crate::{Error, ErrorCode, Result};

/// The version of the folder's and the tables' format. It stands in the marker and in the database's `user_version`; a
/// later version of this library raises the marker before it changes anything else.
pub const STATE_FORMAT: u32 = 1;

/// The database inside the folder.
pub(super) const DATABASE: &str = "deployments.sqlite";

/// The folder of the lock files, one an environment.
pub(super) const LEASES: &str = "leases";

/// Held by the process that makes the tables.
pub(super) const CREATION_LOCK: &str = "creation.lock";

/// Makes a state folder with its marker and its `.gitignore`, or checks that it is one of this format. A folder of
/// another format, and one that holds other things, is refused and left as it is.
pub(super) fn prepare(directory: &Path) -> Result<()> {
    match fs::metadata(directory) {
        Ok(found) if !found.is_dir() => {
            return Err(failure::file(directory, "used as the state folder", io::ErrorKind::NotADirectory.into()));
        }
        Ok(_) => {}
        Err(error) if error.kind() == io::ErrorKind::NotFound => create(directory)?,
        Err(error) => return Err(failure::file(directory, "looked at", error)),
    }
    let marker = directory.join(STATE_MARKER);
    match File::open(&marker) {
        Ok(file) => check_format(&marker, file)?,
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            refuse_foreign(directory)?;
            let text =
                format!("This folder holds the state of chalk-deploy; do not edit it.\nformat: {STATE_FORMAT}\n");
            write_whole(directory, &marker, &text)?;
        }
        Err(error) => return Err(failure::file(&marker, "read", error)),
    }
    let ignore = directory.join(".gitignore");
    match fs::symlink_metadata(&ignore) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => write_whole(directory, &ignore, "*\n")?,
        Err(error) => return Err(failure::file(&ignore, "looked at", error)),
        Ok(_) => {}
    }
    let leases = directory.join(LEASES);
    fs::create_dir_all(&leases).map_err(|error| failure::file(&leases, "created", error))
}

/// The refusal of a format that this version does not know.
pub(super) fn unknown_format(path: &Path, found: &str) -> Error {
    let found = crate::text::line(found, 40);
    let message = format!("the state has format {found}, and this version knows format {STATE_FORMAT}");
    Error::new(ErrorCode::JournalIncompatible, message)
        .on(path.display())
        .with_hint("use the version of chalk-deploy that wrote it or a newer one, or name another state folder")
}

fn check_format(marker: &Path, file: File) -> Result<()> {
    let mut bytes = Vec::new();
    // The marker is two lines; whatever else stands there under its name is not read whole.
    file.take(4096).read_to_end(&mut bytes).map_err(|error| failure::file(marker, "read", error))?;
    let text = String::from_utf8_lossy(&bytes);
    let format = text.lines().find_map(|line| line.strip_prefix("format: ")).unwrap_or("unknown").trim();
    if format.parse() == Ok(STATE_FORMAT) { Ok(()) } else { Err(unknown_format(marker, format)) }
}

/// A folder without a marker may only be filled when it is empty: a mistyped path must not turn somebody's project into
/// a state folder, which git and the source archive then ignore.
fn refuse_foreign(directory: &Path) -> Result<()> {
    let entries = fs::read_dir(directory).map_err(|error| failure::file(directory, "listed", error))?;
    for entry in entries {
        let entry = entry.map_err(|error| failure::file(directory, "listed", error))?;
        // Another process may be making the same folder, or have died on it.
        if !entry.file_name().to_string_lossy().starts_with(STATE_MARKER) {
            let name = entry.file_name();
            let message = format!(
                "the folder holds `{}` and no `{STATE_MARKER}`, so it is not a state folder",
                crate::text::line(&name.to_string_lossy(), 80)
            );
            // Another process may have finished making it meanwhile.
            if directory.join(STATE_MARKER).exists() {
                return Ok(());
            }
            return Err(Error::new(ErrorCode::RequestInvalid, message)
                .on(directory.display())
                .with_hint("name a new or an empty folder for the state"));
        }
    }
    Ok(())
}

/// Creates the folder and makes its name durable in every parent that had to be created with it.
fn create(directory: &Path) -> Result<()> {
    let mut parents: Vec<PathBuf> = Vec::new();
    for created in directory.ancestors().take_while(|ancestor| !ancestor.exists()) {
        parents.extend(created.parent().map(Path::to_path_buf));
    }
    fs::create_dir_all(directory).map_err(|error| failure::file(directory, "created", error))?;
    parents.iter().try_for_each(|parent| synchronise(parent))
}

/// Writes a file under its name whole or not at all.
fn write_whole(directory: &Path, path: &Path, text: &str) -> Result<()> {
    static NUMBER: AtomicU64 = AtomicU64::new(0);
    let number = NUMBER.fetch_add(1, Ordering::Relaxed);
    let unfinished = directory.join(format!("{STATE_MARKER}.{}-{number}", std::process::id()));
    let write = || -> io::Result<()> {
        let mut file = OpenOptions::new().write(true).create(true).truncate(true).open(&unfinished)?;
        file.write_all(text.as_bytes())?;
        file.sync_all()?;
        fs::rename(&unfinished, path)
    };
    write().map_err(|error| {
        // Best effort: the folder is not usable, and the first error is the one to tell.
        let _ = fs::remove_file(&unfinished);
        failure::file(path, "written", error)
    })?;
    synchronise(directory)
}

/// Makes the names in a directory durable. Only Unix lets a directory be opened for this.
fn synchronise(directory: &Path) -> Result<()> {
    if cfg!(unix) {
        let synchronised = File::open(directory).and_then(|opened| opened.sync_all());
        synchronised.map_err(|error| failure::file(directory, "made durable", error))?;
    }
    Ok(())
}
