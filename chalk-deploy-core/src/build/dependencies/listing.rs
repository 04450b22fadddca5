//! What a project asks for: its requirements files, whichever kind they are, as one list.
//!
//! | file | what is read of it |
//! |---|---|
//! | `requirements.txt`, or any other name | pip's format, without all options that lead out of the index |
//! | `poetry.lock` | each package that is not optional, by its exact version and its hashes |
//! | `pyproject.toml` | `project.dependencies`, else `tool.poetry.dependencies`; nothing beside a `poetry.lock` |

use std::collections::{BTreeMap, BTreeSet};

use super::poetry;
use super::requirement::Requirement;
use crate::model::RequirementsFile;
use crate::{Error, ErrorCode, Result, text};

/// More is no project's.
const REQUIREMENTS_MOST: usize = 5000;
const FILE_MOST: usize = 4 << 20;
/// Files that include each other, one in the other.
const DEPTH_MOST: usize = 10;

/// Options of a whole file that change nothing here: wheels only, and hashes, are what we ask for anyway.
const WITHOUT_EFFECT: &[&str] = &["--require-hashes", "--prefer-binary", "--only-binary"];

/// What a project asks for.
#[derive(Debug, Default, PartialEq, Eq)]
pub(in crate::build) struct Asked {
    /// Sorted, each once.
    pub(in crate::build) requirements: BTreeSet<Requirement>,
    /// What someone may want to know.
    pub(in crate::build) notes: Vec<String>,
}

impl Asked {
    pub(super) fn add(&mut self, requirement: Requirement) -> Result<(), &'static str> {
        self.requirements.insert(requirement);
        if self.requirements.len() > REQUIREMENTS_MOST { Err("it is one requirement too many") } else { Ok(()) }
    }
}

/// Reads the files of a project.
///
/// # Errors
/// [`ErrorCode::RequirementDenied`] with the file and what in it is refused.
pub(in crate::build) fn read(files: &[RequirementsFile]) -> Result<Asked> {
    let mut asked = Asked::default();
    let has_lock = files.iter().any(|file| base_name(&file.filename) == "poetry.lock");
    let included: BTreeSet<_> = files.iter().flat_map(includes).collect();
    for file in files {
        if file.contents.len() > FILE_MOST {
            return Err(denied(&file.filename, "it is larger than any list of requirements".to_owned()));
        }
        match base_name(&file.filename) {
            "poetry.lock" => poetry::lock(file, &mut asked)?,
            "pyproject.toml" if has_lock => {}
            "pyproject.toml" => poetry::project(file, &mut asked)?,
            name @ ("uv.lock" | "pdm.lock" | "Pipfile" | "Pipfile.lock" | "setup.py" | "setup.cfg" | "pylock.toml") => {
                return Err(denied(&file.filename, format!("`{name}` is of a kind that is not read"))
                    .with_hint("export it as requirements.txt with hashes, and name that file in chalk.yaml"));
            }
            // What another file includes is read with that one.
            _ if included.contains(&file.filename) => {}
            _ => text_file(file, files, 0, &mut asked)?,
        }
    }
    Ok(asked)
}

pub(super) fn denied(file: &str, message: String) -> Error {
    Error::new(ErrorCode::RequirementDenied, message).on(text::line(file, 200))
}

pub(super) fn base_name(path: &str) -> &str {
    path.rsplit('/').next().unwrap_or(path)
}

fn text_file(file: &RequirementsFile, files: &[RequirementsFile], depth: usize, asked: &mut Asked) -> Result<()> {
    let by_name: BTreeMap<_, _> = files.iter().map(|file| (file.filename.as_str(), file)).collect();
    for line in lines(&file.contents) {
        let refused = |why: &str| {
            denied(&file.filename, format!("`{}` is refused: {why}", text::line(&line, 100)))
                .with_hint("name distributions and versions only; which index is asked, the service decides")
        };
        if let Some(path) = included_path(&line) {
            let resolved = beside(&file.filename, path);
            match resolved.as_deref().and_then(|path| by_name.get(path)) {
                Some(_) if depth >= DEPTH_MOST => return Err(refused("files include each other without an end")),
                Some(included) => text_file(included, files, depth + 1, asked)?,
                None => return Err(refused("the file is not one of the environment's requirements files")),
            }
        } else if line.starts_with('-') {
            let name = line.split(|symbol: char| symbol == '=' || symbol.is_whitespace()).next().unwrap_or_default();
            if !WITHOUT_EFFECT.contains(&name) {
                return Err(refused("it is an option, and a project's options are not followed"));
            }
        } else {
            let requirement = Requirement::parse(&line).map_err(refused)?;
            asked.add(requirement).map_err(refused)?;
        }
    }
    Ok(())
}

/// The files that a file includes.
fn includes(file: &RequirementsFile) -> Vec<String> {
    let lines = lines(&file.contents);
    lines.iter().filter_map(|line| beside(&file.filename, included_path(line)?)).collect()
}

fn included_path(line: &str) -> Option<&str> {
    let rest = line.strip_prefix("--requirement").or_else(|| line.strip_prefix("-r"))?;
    let path = rest.strip_prefix('=').unwrap_or(rest).trim();
    (!path.is_empty()).then_some(path)
}

/// A path that a file names, relative to where the file lies. None that leads out of the tree.
fn beside(file: &str, path: &str) -> Option<String> {
    let mut parts: Vec<&str> = file.split('/').collect();
    parts.pop();
    for part in path.split('/') {
        match part {
            "." => {}
            ".." => {
                parts.pop()?;
            }
            "" => return None,
            part => parts.push(part),
        }
    }
    Some(parts.join("/"))
}

/// The lines with something on them: comments taken out, and what follows a backslash put behind it, as pip does.
fn lines(contents: &str) -> Vec<String> {
    let mut lines = Vec::new();
    let mut whole = String::new();
    for line in contents.trim_start_matches('\u{feff}').lines() {
        let line = line.trim_end();
        let (part, goes_on) = match line.strip_suffix('\\') {
            // A comment does not go on.
            Some(part) if !line.trim_start().starts_with('#') => (part, true),
            _ => (line, false),
        };
        whole.push_str(part);
        if goes_on {
            whole.push(' ');
            continue;
        }
        let bare = without_comment(&whole).trim();
        if !bare.is_empty() {
            lines.push(bare.to_owned());
        }
        whole.clear();
    }
    let bare = without_comment(&whole).trim();
    if !bare.is_empty() {
        lines.push(bare.to_owned());
    }
    lines
}

fn without_comment(line: &str) -> &str {
    if line.trim_start().starts_with('#') {
        return "";
    }
    let at = line
        .char_indices()
        .find(|(at, symbol)| *symbol == '#' && line[..*at].chars().next_back().is_some_and(char::is_whitespace));
    at.map_or(line, |(at, _)| &line[..at])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(filename: &str, contents: &str) -> RequirementsFile {
        RequirementsFile { filename: filename.to_owned(), contents: contents.to_owned() }
    }

    fn names(files: &[RequirementsFile]) -> Vec<String> {
        read(files).expect("understood").requirements.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn comments_options_without_effect_and_continued_lines_are_read_as_pip_reads_them() {
        let hash = "0".repeat(64);
        let text = format!(
            "\u{feff}# nothing\n\n   # more \\\nchalkpy[runtime] >= 2.0, <3 ; python_version > '3.10'  # why\n\
             Num_Py==1.2 \\\n    --hash=sha256:{hash}\n--only-binary :all:\n--require-hashes\nzope.interface#x\\\n"
        );
        let error = read(&[file("requirements.txt", &text)]).expect_err("`#` within a word begins no comment");
        assert_eq!(error.code(), ErrorCode::RequirementDenied);
        assert_eq!(
            names(&[file("requirements.txt", &text.replace("#x", " #x"))]),
            ["chalkpy[runtime]<3,>=2.0 ; python_version > \"3.10\"", "num-py==1.2", "zope-interface"]
        );
    }

    #[test]
    fn what_leads_out_of_the_index_is_refused_with_its_line() {
        for line in [
            "-r ../../etc/passwd",
            "-r other.txt",
            "-r /etc/passwd",
            "-c constraints.txt",
            "-e .",
            "--editable=.",
            "--index-url https://x.example",
            "-i https://x.example",
            "--extra-index-url=https://x.example",
            "--find-links ../wheels",
            "-f .",
            "--no-index",
            "--trusted-host x.example",
            "--no-binary :all:",
            "git+https://x.example/a.git",
            "./wheel.whl",
            "a @ file:///etc/passwd",
            "a; rm -rf /",
        ] {
            let error = read(&[file("requirements.txt", &format!("chalkpy\n{line}\n"))]).expect_err(line);
            assert_eq!(error.code(), ErrorCode::RequirementDenied, "{line}");
            assert!(error.sentence().starts_with(&format!("requirements.txt: `{line}` is refused: ")), "{error:?}");
        }
    }

    #[test]
    fn a_file_of_the_list_may_be_included_and_is_read_once() {
        let files = [
            file("deploy/requirements.txt", "-r ./base.txt\n--requirement=../more.txt\na\n"),
            file("deploy/base.txt", "b\n"),
            file("more.txt", "c\n"),
        ];
        assert_eq!(names(&files), ["a", "b", "c"]);
        let circle = [file("x.txt", "a\n"), file("a.txt", "-r b.txt"), file("b.txt", "-r a.txt")];
        assert_eq!(names(&circle), ["a"], "nothing but each other leads to them");
        let itself = [file("y.txt", "-r a.txt"), file("a.txt", "-r a.txt")];
        let error = read(&itself).expect_err("without an end");
        assert!(error.message().contains("without an end"), "{error}");
    }

    #[test]
    fn locks_of_other_tools_are_told_apart() {
        for name in ["uv.lock", "sub/Pipfile.lock"] {
            let error = read(&[file(name, "")]).expect_err(name);
            assert!(error.sentence().contains("is of a kind that is not read"), "{error:?}");
        }
    }
}
