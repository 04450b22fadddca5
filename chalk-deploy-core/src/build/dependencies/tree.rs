//! What an installer has left in a folder, made the same wherever and with whatever it was installed.
//!
//! A wheel's own files are the same everywhere. What an installer adds is not: who it is, where the files came from, the
//! path of its Python in scripts, caches. That is taken out, or written anew from what the wheel says (the recording of
//! installed projects of the packaging specifications, and its entry points).

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsStr;
use std::fmt::Write as _;
use std::fs::{self, OpenOptions};
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;

use super::requirement::checked_name;
use crate::{Error, ErrorCode, Result, text};

/// More is no set of packages.
const ENTRIES_MOST: u64 = 500_000;
const DEPTH_MOST: usize = 100;
/// The longest file of metadata. pyarrow's record, with some thousand files, has less than one.
const METADATA_MOST: u64 = 16 << 20;

/// What an installer writes about itself.
const OF_THE_INSTALLER: &[&str] = &["INSTALLER", "REQUESTED", "direct_url.json", "uv_cache.json", "uv_build.json"];
/// What uv leaves in the folder.
const LOCK_FILE: &str = ".lock";
const CACHE: &str = "__pycache__";
const SCRIPTS: &str = "bin";
const PYTHON: &str = "#!/usr/bin/env python3\n";

/// A distribution that was installed.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Installed {
    /// As PEP 503 normalizes it.
    pub(super) name: String,
    pub(super) version: String,
    /// What its wheel says that it was made for.
    pub(super) tags: BTreeSet<String>,
}

/// Makes the folder the same as everyone's. What was installed, by name.
///
/// Files are replaced and never written into: an installer may have linked them to its cache.
pub(super) fn normalize(folder: &Path, unpacked_most: u64) -> Result<Vec<Installed>> {
    let mut counted = Counted { entries: 0, bytes: 0, unpacked_most };
    let lock = folder.join(LOCK_FILE);
    if lock.symlink_metadata().is_ok() {
        fs::remove_file(&lock).map_err(|error| failed(&lock, error))?;
    }
    counted.clean(folder, 0)?;
    let mut installed = Vec::new();
    let mut scripts = BTreeMap::new();
    for name in names(folder)? {
        if Path::new(&name).extension() == Some(OsStr::new("dist-info")) {
            let (found, own) = record(&folder.join(&name), &name)?;
            installed.push(found);
            scripts.extend(own);
        }
    }
    let place = folder.join(SCRIPTS);
    if place.is_dir() {
        for name in names(&place)? {
            script(&place.join(&name), scripts.get(&name))?;
        }
    }
    installed.sort_by(|one, other| one.name.cmp(&other.name));
    Ok(installed)
}

struct Counted {
    entries: u64,
    bytes: u64,
    unpacked_most: u64,
}

impl Counted {
    /// Takes caches and empty folders out, and counts what is there. Whether anything is left.
    fn clean(&mut self, folder: &Path, depth: usize) -> Result<bool> {
        let mut left = false;
        for name in names(folder)? {
            let path = folder.join(&name);
            let metadata = path.symlink_metadata().map_err(|error| failed(&path, error))?;
            self.entries += 1;
            self.bytes += metadata.len();
            if self.entries > ENTRIES_MOST || self.bytes > self.unpacked_most || depth > DEPTH_MOST {
                let most = text::bytes(self.unpacked_most);
                return Err(Error::new(
                    ErrorCode::BuildFailed,
                    format!("the packages have more than {most} or too many files"),
                )
                .on("dependencies")
                .with_hint("ask for fewer packages, or bring them in the base image"));
            }
            if !metadata.is_dir() {
                left = true;
            } else if name == CACHE {
                fs::remove_dir_all(&path).map_err(|error| failed(&path, error))?;
            } else if self.clean(&path, depth + 1)? {
                left = true;
            } else {
                fs::remove_dir(&path).map_err(|error| failed(&path, error))?;
            }
        }
        Ok(left)
    }
}

/// Makes the record of one distribution. What it is, and the scripts that its entry points ask for.
fn record(folder: &Path, name: &str) -> Result<(Installed, BTreeMap<String, String>)> {
    for file in OF_THE_INSTALLER {
        let path = folder.join(file);
        if path.symlink_metadata().is_ok() {
            fs::remove_file(&path).map_err(|error| failed(&path, error))?;
        }
    }
    let path = folder.join("RECORD");
    if let Some(record) = read(&path)? {
        replace(&path, &recorded(&record, name), 0o644)?;
    }
    let headers = read(&folder.join("METADATA"))?.unwrap_or_default();
    let found = checked_name(&header(&headers, "Name")).ok_or_else(|| {
        Error::new(ErrorCode::BuildFailed, "an installed package does not say what it is called")
            .on(text::line(name, 200))
    })?;
    let wheel = read(&folder.join("WHEEL"))?.unwrap_or_default();
    let tags = wheel.lines().filter_map(|line| line.strip_prefix("Tag:")).map(|tag| tag.trim().to_owned()).collect();
    let installed = Installed { name: found, version: header(&headers, "Version"), tags };
    let points = read(&folder.join("entry_points.txt"))?.unwrap_or_default();
    Ok((installed, entry_points(&points)))
}

/// The lines of a RECORD in the order of the paths, without what was taken out, and without the digests of scripts, which
/// are written anew.
fn recorded(record: &str, folder: &str) -> String {
    let mut lines = BTreeSet::new();
    for line in record.lines() {
        let (path, rest) = field(line);
        let path = path.trim_start_matches("../");
        let own = path.strip_prefix(folder).and_then(|rest| rest.strip_prefix('/'));
        if own.is_some_and(|own| OF_THE_INSTALLER.contains(&own)) || path.split('/').any(|part| part == CACHE) {
            continue;
        }
        let rest = if path.starts_with("bin/") { ",," } else { rest };
        if path.contains([',', '"']) {
            lines.insert(format!("\"{}\"{rest}", path.replace('"', "\"\"")));
        } else if !path.is_empty() {
            lines.insert(format!("{path}{rest}"));
        }
    }
    lines.iter().fold(String::new(), |mut text, line| {
        // Writing into a string cannot fail.
        let _ = writeln!(text, "{line}");
        text
    })
}

/// The first field of a line with commas, and the rest with its comma.
fn field(line: &str) -> (String, &str) {
    let Some(quoted) = line.strip_prefix('"') else {
        let end = line.find(',').unwrap_or(line.len());
        return (line[..end].to_owned(), &line[end..]);
    };
    let mut path = String::new();
    let mut symbols = quoted.char_indices().peekable();
    while let Some((at, symbol)) = symbols.next() {
        if symbol != '"' {
            path.push(symbol);
        } else if symbols.next_if(|(_, next)| *next == '"').is_some() {
            path.push('"');
        } else {
            return (path, &quoted[at + 1..]);
        }
    }
    (path, "")
}

/// The programs of an `entry_points.txt`, by name.
fn entry_points(text: &str) -> BTreeMap<String, String> {
    let mut programs = BTreeMap::new();
    let mut is_program = false;
    for line in text.lines().map(str::trim) {
        if let Some(section) = line.strip_prefix('[') {
            is_program = matches!(section.trim_end_matches(']').trim(), "console_scripts" | "gui_scripts");
        } else if is_program
            && let Some((name, object)) = line.split_once('=')
            && let Some(program) = program(object)
        {
            programs.insert(name.trim().to_owned(), program);
        }
    }
    programs
}

/// A program that calls an object, such as `package.module:name.attribute [extra]`.
fn program(object: &str) -> Option<String> {
    let (module, attribute) = object.split('[').next()?.trim().split_once(':')?;
    let is_dotted = |text: &str| {
        text.split('.').all(|part| {
            !part.starts_with(|symbol: char| symbol.is_ascii_digit())
                && !part.is_empty()
                && part.chars().all(|symbol| symbol.is_alphanumeric() || symbol == '_')
        })
    };
    let (module, attribute) = (module.trim(), attribute.trim());
    let first = attribute.split('.').next()?;
    (is_dotted(module) && is_dotted(attribute)).then(|| {
        format!("{PYTHON}import sys\nfrom {module} import {first}\nif __name__ == \"__main__\":\n    sys.exit({attribute}())\n")
    })
}

/// Gives a script the Python of the image.
fn script(path: &Path, program: Option<&String>) -> Result<()> {
    if let Some(program) = program {
        return replace(path, program, 0o755);
    }
    // A program of another kind may lie there, too, and is left as it is.
    let Some(contents) = read(path).unwrap_or_default() else { return Ok(()) };
    let body = if let Some(rest) = contents.strip_prefix("#!/bin/sh\n'''exec' ") {
        // How long paths are written: three lines, of which Python skips the last two.
        rest.splitn(3, '\n').nth(2)
    } else if contents.starts_with("#!") {
        contents.split_once('\n').filter(|(first, _)| first.contains("python")).map(|(_, body)| body)
    } else {
        None
    };
    body.map_or(Ok(()), |body| replace(path, &format!("{PYTHON}{body}"), 0o755))
}

fn header(text: &str, name: &str) -> String {
    let headers = text.lines().take_while(|line| !line.is_empty());
    let mut values = headers.filter_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
    values.next().unwrap_or_default().trim().to_owned()
}

fn names(folder: &Path) -> Result<Vec<String>> {
    let mut names = Vec::new();
    for entry in fs::read_dir(folder).map_err(|error| failed(folder, error))? {
        let name = entry.map_err(|error| failed(folder, error))?.file_name();
        names.push(name.into_string().map_err(|name| {
            Error::new(ErrorCode::BuildFailed, "a package has a file whose name is not UTF-8")
                .on(text::line(&name.to_string_lossy(), 200))
        })?);
    }
    names.sort_unstable();
    Ok(names)
}

/// A text file; nothing where there is none.
fn read(path: &Path) -> Result<Option<String>> {
    match path.symlink_metadata() {
        Ok(metadata) if metadata.is_file() && metadata.len() <= METADATA_MOST => {}
        Ok(_) => {
            return Err(Error::new(ErrorCode::BuildFailed, "what a package says of itself is no file, or too long")
                .on(text::line(&path.to_string_lossy(), 200)));
        }
        Err(_) => return Ok(None),
    }
    let mut contents = String::new();
    let file = fs::File::open(path).map_err(|error| failed(path, error))?;
    file.take(METADATA_MOST).read_to_string(&mut contents).map_err(|error| failed(path, error))?;
    Ok(Some(contents))
}

fn replace(path: &Path, contents: &str, mode: u32) -> Result<()> {
    let write = || -> io::Result<()> {
        fs::remove_file(path)?;
        OpenOptions::new().write(true).create_new(true).mode(mode).open(path)?.write_all(contents.as_bytes())
    };
    write().map_err(|error| failed(path, error))
}

fn failed(path: &Path, error: io::Error) -> Error {
    super::super::folder::failed("tidy", path)(error)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What uv or pip makes of one wheel.
    fn installed(folder: &Path, installer: &str, python: &str, up: &str) {
        let write = |path: &str, contents: &str| {
            let path = folder.join(path);
            fs::create_dir_all(path.parent().expect("a parent")).expect("made");
            fs::write(path, contents).expect("written");
        };
        write("a/__init__.py", "x = 1\n");
        write("a/__pycache__/__init__.cpython-311.pyc", installer);
        write("empty/__pycache__/x.pyc", "");
        write(".lock", "");
        write("a-1.0.dist-info/METADATA", "Metadata-Version: 2.1\nName: A_\nName: A\nVersion: 1.0\n\nName: other\n");
        write("a-1.0.dist-info/METADATA", "Metadata-Version: 2.1\nName: A.b\nVersion: 1.0\n\nName: other\n");
        write("a-1.0.dist-info/WHEEL", "Wheel-Version: 1.0\nTag: py2-none-any\nTag: py3-none-any\n");
        write("a-1.0.dist-info/INSTALLER", installer);
        write("a-1.0.dist-info/REQUESTED", "");
        write("a-1.0.dist-info/uv_cache.json", "{}");
        write("a-1.0.dist-info/direct_url.json", "{}");
        write("a-1.0.dist-info/entry_points.txt", "[console_scripts]\nrun = a.sub:Main.go [x]\n[other]\nno = a:b\n");
        write("bin/run", &format!("#!{python}\nimport re # {installer}\n"));
        write("bin/own", &format!("#!{python}\nprint(1)\n"));
        write("bin/long", &format!("#!/bin/sh\n'''exec' \"{python}\" \"$0\" \"$@\"\n' '''\nprint(2)\n"));
        write("bin/native", "\u{7f}ELF");
        let mut lines = [
            format!("{up}bin/run,sha256={installer},7"),
            format!("a-1.0.dist-info/INSTALLER,sha256={installer},2"),
            "a/__init__.py,sha256=abc,6".to_owned(),
            "a/__pycache__/__init__.cpython-311.pyc,,".to_owned(),
            "\"a/with, \"\"quotes\"\".txt\",sha256=def,1".to_owned(),
            "a-1.0.dist-info/RECORD,,".to_owned(),
        ];
        if installer == "pip" {
            lines.reverse();
        }
        write("a-1.0.dist-info/RECORD", &lines.join(if installer == "pip" { "\r\n" } else { "\n" }));
    }

    fn contents(folder: &Path) -> BTreeMap<String, String> {
        let mut found = BTreeMap::new();
        let mut folders = vec![folder.to_owned()];
        while let Some(next) = folders.pop() {
            for name in names(&next).expect("listed") {
                let path = next.join(name);
                let shown = path.strip_prefix(folder).expect("below").to_string_lossy().into_owned();
                if path.is_dir() {
                    folders.push(path);
                } else {
                    found.insert(shown, fs::read_to_string(&path).expect("text"));
                }
            }
        }
        found
    }

    #[test]
    fn two_installers_leave_the_same_tree_and_nothing_of_themselves() {
        let (one, other) = (tempfile::tempdir().expect("a folder"), tempfile::tempdir().expect("a folder"));
        installed(one.path(), "uv", "/home/a/bin/python", "");
        installed(other.path(), "pip", "/usr/bin/python3.11", "../../");
        let tags = ["py2-none-any", "py3-none-any"].map(str::to_owned).into();
        let expected = vec![Installed { name: "a-b".to_owned(), version: "1.0".to_owned(), tags }];
        assert_eq!(normalize(one.path(), 1 << 20).expect("tidied"), expected);
        normalize(other.path(), 1 << 20).expect("tidied");
        let found = contents(one.path());
        assert_eq!(found, contents(other.path()));
        assert_eq!(
            found["a-1.0.dist-info/RECORD"],
            "\"a/with, \"\"quotes\"\".txt\",sha256=def,1\na-1.0.dist-info/RECORD,,\na/__init__.py,sha256=abc,6\nbin/run,,\n"
        );
        assert_eq!(
            found["bin/run"],
            "#!/usr/bin/env python3\nimport sys\nfrom a.sub import Main\nif __name__ == \"__main__\":\n    sys.exit(Main.go())\n"
        );
        assert_eq!(found["bin/own"], "#!/usr/bin/env python3\nprint(1)\n");
        assert_eq!(found["bin/long"], "#!/usr/bin/env python3\nprint(2)\n");
        let names: Vec<_> = found.keys().map(String::as_str).collect();
        assert_eq!(
            names,
            [
                "a-1.0.dist-info/METADATA",
                "a-1.0.dist-info/RECORD",
                "a-1.0.dist-info/WHEEL",
                "a-1.0.dist-info/entry_points.txt",
                "a/__init__.py",
                "bin/long",
                "bin/native",
                "bin/own",
                "bin/run"
            ]
        );
        assert!(!one.path().join("empty").exists(), "a folder of caches alone goes with them");
    }

    #[test]
    fn a_file_that_is_linked_into_a_cache_is_replaced_and_not_changed() {
        let folder = tempfile::tempdir().expect("a folder");
        installed(folder.path(), "uv", "/usr/bin/python3", "");
        let cached = tempfile::tempdir().expect("a folder");
        let cached = cached.path().join("own");
        fs::hard_link(folder.path().join("bin/own"), &cached).expect("linked");
        normalize(folder.path(), 1 << 20).expect("tidied");
        assert_eq!(fs::read_to_string(cached).expect("kept"), "#!/usr/bin/python3\nprint(1)\n");
    }

    #[test]
    fn more_than_is_allowed_is_refused() {
        let folder = tempfile::tempdir().expect("a folder");
        fs::write(folder.path().join("a"), "x".repeat(100)).expect("written");
        let error = normalize(folder.path(), 99).expect_err("too much");
        assert_eq!(error.code(), ErrorCode::BuildFailed);
        normalize(folder.path(), 100).expect("just enough");
    }

    #[test]
    fn entry_points_that_are_no_names_make_no_program() {
        for object in ["a", "a:", ":b", "a:b;import os", "a b:c", "1a:b", "a..b:c", "a:b\u{0}"] {
            assert_eq!(program(object), None, "{object}");
        }
    }
}
