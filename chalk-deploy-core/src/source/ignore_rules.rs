//! Which files stay out of the archive because an ignore file says so.
//!
//! The rules are those of the Chalk client (`chalk/gitignore/helper.py` of chalkpy 2.166), because a file that it
//! imports must also be deployed: every `.gitignore` and `.chalkignore` in the project's directory and in **all** of its
//! parents up to the root of the file system counts, those in sub-directories do not. Each ignore file decides on its
//! own, relative to its own directory; a file is left out if any of them leaves it out. A `!` takes back what the same
//! ignore file left out, even below a directory that it left out, which is why directories are only skipped as a whole
//! while no ignore file has a `!`.
//!
//! On one point the client is followed less than git: where a `!` names a directory (`*`, `!*/`, `!*.py`), the client
//! takes back everything below it, git only the directory. Here it is as in git, so that a list of what may be deployed
//! never lets out more than it names. Compared with the client's own matcher on 168,600 random pairs of patterns and
//! paths, the verdicts differ in two of a thousand, in such lists and where the client misreads a `**`.

use std::fs;
use std::io::Read as _;
use std::path::{Path, PathBuf};

use ignore::gitignore::{Gitignore, GitignoreBuilder};

use crate::text;
use crate::{Error, ErrorCode, Result};

const NAMES: [&str; 2] = [".gitignore", ".chalkignore"];
/// Larger ignore files are a mistake or an attack.
const LARGEST: u64 = 1 << 20;

/// The ignore files that count for one project.
#[derive(Debug)]
pub struct IgnoreRules {
    files: Vec<Gitignore>,
    has_negation: bool,
}

impl IgnoreRules {
    /// Reads the ignore files of a project. `directory` is canonical; `extra` is the environment's `chalkignore`, a path
    /// relative to it, whose patterns are relative to the project's directory wherever the file itself lies.
    ///
    /// # Errors
    /// `IGNORE_FILE_INVALID` names the pattern that does not parse; `PROJECT_FILE_MISSING` when `extra` is not there;
    /// `SOURCE_UNREADABLE`; `ARCHIVE_LINK_ESCAPE` when an ignore file of the project is a link that leaves it.
    pub fn read(directory: &Path, extra: Option<&str>) -> Result<Self> {
        let mut files = Vec::new();
        for parent in directory.ancestors() {
            for name in NAMES {
                let path = parent.join(name);
                if let Some(text) = read(&path, (parent == directory).then_some(directory))? {
                    files.push(parse(parent, &path, &text)?);
                }
            }
        }
        if let Some(extra) = extra {
            let path = directory.join(extra);
            let text = read(&path, Some(directory))?.ok_or_else(|| {
                Error::new(ErrorCode::ProjectFileMissing, "the ignore file that `chalkignore` names is not there")
                    .on(text::line(extra, 200))
            })?;
            files.push(parse(directory, &path, &text)?);
        }
        files.retain(|file| !file.is_empty());
        let has_negation = files.iter().any(|file| file.num_whitelists() > 0);
        Ok(Self { files, has_negation })
    }

    /// Whether an entry is left out. `path` is absolute, below the project's canonical directory.
    pub fn ignores(&self, path: &Path, is_directory: bool) -> bool {
        self.files.iter().any(|file| leaves_out(file, path, is_directory))
    }

    /// Whether a directory can be skipped as a whole: it is left out, and nothing below it can be taken back.
    pub fn prunes(&self, directory: &Path) -> bool {
        !self.has_negation && self.ignores(directory, true)
    }
}

/// The verdict of one ignore file: that of the path itself, else that of the nearest directory above it that has one.
/// The ignore file's own directory is not asked (the matcher's own walk asks it, and `*/` would leave out everything).
fn leaves_out(file: &Gitignore, path: &Path, is_directory: bool) -> bool {
    let below = path.ancestors().take_while(|ancestor| *ancestor != file.path());
    below
        .enumerate()
        .map(|(climbed, ancestor)| file.matched(ancestor, is_directory || climbed > 0))
        .find(|verdict| !verdict.is_none())
        .is_some_and(|verdict| verdict.is_ignore())
}

/// The text of an ignore file; `None` if there is none. A link is followed, but inside a project only to a file of the
/// same project.
fn read(path: &Path, within: Option<&Path>) -> Result<Option<String>> {
    let unreadable = |error: std::io::Error| {
        Error::new(ErrorCode::SourceUnreadable, "the ignore file cannot be read")
            .on(text::line(&path.to_string_lossy(), 200))
            .with_hint("make the file readable, or remove it")
            .caused_by(error)
    };
    let resolved = match fs::canonicalize(path) {
        Ok(resolved) => resolved,
        Err(error) if is_absent(&error) => return Ok(None),
        Err(error) => return Err(unreadable(error)),
    };
    if within.is_some_and(|project| !resolved.starts_with(project)) {
        return Err(Error::new(ErrorCode::ArchiveLinkEscape, "the ignore file is a link that leaves the project")
            .on(text::line(&path.to_string_lossy(), 200))
            .with_hint("replace the link by a file"));
    }
    let metadata = fs::metadata(&resolved).map_err(unreadable)?;
    if metadata.is_dir() {
        return Ok(None);
    }
    let invalid = |message: String| {
        Error::new(ErrorCode::IgnoreFileInvalid, message)
            .on(text::line(&path.to_string_lossy(), 200))
            .with_hint("correct the ignore file, or remove it")
    };
    if !metadata.is_file() {
        return Err(invalid("the ignore file is no regular file".to_owned()));
    }
    let mut bytes = Vec::new();
    let file = fs::File::open(&resolved).map_err(unreadable)?;
    file.take(LARGEST + 1).read_to_end(&mut bytes).map_err(unreadable)?;
    if bytes.len() as u64 > LARGEST {
        return Err(invalid(format!("the ignore file is larger than {}", text::bytes(LARGEST))));
    }
    let text = String::from_utf8(bytes).map_err(|_| invalid("the ignore file is not UTF-8".to_owned()))?;
    Ok(Some(text))
}

fn is_absent(error: &std::io::Error) -> bool {
    matches!(error.kind(), std::io::ErrorKind::NotFound | std::io::ErrorKind::NotADirectory)
}

fn parse(root: &Path, path: &Path, text: &str) -> Result<Gitignore> {
    let mut builder = GitignoreBuilder::new(root);
    // A `[` without its `]` stands for itself, as for the client.
    builder.allow_unclosed_class(true);
    let lines = text.strip_prefix('\u{feff}').unwrap_or(text).lines();
    for (number, line) in lines.enumerate() {
        let invalid = |error: ignore::Error| {
            let reason = match error {
                ignore::Error::Glob { err, .. } => err,
                other => other.to_string(),
            };
            let (pattern, reason) = (text::line(line, 80), text::line(&reason, 80));
            let sentence = format!("line {} has a pattern that does not parse, `{pattern}`: {reason}", number + 1);
            Error::new(ErrorCode::IgnoreFileInvalid, sentence).on(text::line(&path.to_string_lossy(), 200))
        };
        builder.add_line(Some(PathBuf::from(path)), &without_alternatives(line)).map_err(invalid)?;
    }
    builder.build().map_err(|error| {
        Error::new(ErrorCode::IgnoreFileInvalid, "the patterns are too many or too large")
            .on(text::line(&path.to_string_lossy(), 200))
            .caused_by(error)
    })
}

/// Braces stand for themselves in ignore files; the matcher would read them as alternatives.
fn without_alternatives(line: &str) -> String {
    let mut escaped = String::with_capacity(line.len());
    let mut symbols = line.chars();
    let mut in_class = false;
    while let Some(symbol) = symbols.next() {
        match symbol {
            '\\' if !in_class => {
                escaped.push(symbol);
                escaped.extend(symbols.next());
                continue;
            }
            // Without its `]` it stands for itself.
            '[' => in_class |= symbols.as_str().contains(']'),
            ']' => in_class = false,
            '{' | '}' if !in_class => escaped.push('\\'),
            _ => {}
        }
        escaped.push(symbol);
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::*;

    fn project(ignore_files: &[(&str, &str)]) -> (tempfile::TempDir, PathBuf) {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let root = folder.path().canonicalize().expect("it exists").join("repository/project");
        fs::create_dir_all(&root).expect("writable");
        for (path, text) in ignore_files {
            let path = root.join(path);
            fs::create_dir_all(path.parent().expect("a parent")).expect("writable");
            fs::write(path, text).expect("writable");
        }
        (folder, root)
    }

    fn rules(ignore_files: &[(&str, &str)]) -> (tempfile::TempDir, PathBuf, IgnoreRules) {
        let (folder, root) = project(ignore_files);
        let rules = IgnoreRules::read(&root, None).expect("rules that parse");
        (folder, root, rules)
    }

    #[test]
    fn patterns_mean_what_they_mean_in_a_gitignore() {
        let cases: &[(&str, &str, bool)] = &[
            ("*.pyc", "a/b.pyc", true),
            ("*.pyc", "a/b.py", false),
            ("/build", "build/x", true),
            ("/build", "a/build", false),
            ("build/", "a/build/x", true),
            ("build/", "build", false),
            ("docs/*.txt", "docs/a.txt", true),
            ("docs/*.txt", "docs/b/a.txt", false),
            ("docs/**/a.txt", "docs/b/c/a.txt", true),
            ("**/secret", "x/y/secret", true),
            ("a?c", "abc", true),
            ("[ab].py", "a.py", true),
            ("[!ab].py", "a.py", false),
            ("# *.py", "x.py", false),
            ("\\#x", "#x", true),
            ("\\!x", "!x", true),
            ("*.py\n!keep.py", "keep.py", false),
            ("!keep.py\n*.py", "keep.py", true),
            ("build/\n!build/keep.py", "build/keep.py", false),
            ("build/\n!build/keep.py", "build/other.py", true),
            ("*.{py,txt}", "a.py", false),
            ("a{b", "a{b", true),
            ("a[b/{a,b}", "a[b/a", false),
            ("[{]x", "{x", true),
            ("\u{feff}*.py", "x.py", true),
            ("*.py\r\n", "x.py", true),
            ("trailing   ", "trailing", true),
            ("*/", "x", false),
            ("*/", "a/x", true),
            ("/*/", "x", false),
            ("*\n!*/\n!*.py", "a/b.py", false),
            ("*\n!*/\n!*.py", "a/.env", true),
            ("", "x", false),
        ];
        for (patterns, path, ignored) in cases {
            let (_folder, root, rules) = rules(&[(".chalkignore", patterns)]);
            assert_eq!(rules.ignores(&root.join(path), false), *ignored, "{patterns:?} on {path}");
        }
    }

    #[test]
    fn each_ignore_file_decides_on_its_own_and_one_is_enough() {
        let (_folder, root, rules) = rules(&[(".gitignore", "*.csv"), (".chalkignore", "!keep.csv\n*.txt")]);
        assert!(rules.ignores(&root.join("keep.csv"), false), "a `!` takes back only what its own file left out");
        assert!(rules.ignores(&root.join("a.txt"), false));
        assert!(!rules.ignores(&root.join("a.py"), false));
    }

    #[test]
    fn parents_count_relative_to_their_own_directory_and_children_do_not() {
        let (_folder, root, rules) =
            rules(&[("../.gitignore", "/project/data\n/top"), ("sub/.gitignore", "*.py"), ("../../.chalkignore", "x")]);
        assert!(rules.ignores(&root.join("data/a"), false));
        assert!(!rules.ignores(&root.join("top"), false));
        assert!(rules.ignores(&root.join("deep/x"), false));
        assert!(!rules.ignores(&root.join("sub/a.py"), false));
    }

    #[test]
    fn directories_are_skipped_only_while_nothing_can_be_taken_back() {
        let (_folder, root, plain) = rules(&[(".gitignore", "build/")]);
        assert!(plain.prunes(&root.join("build")));
        let (_folder, root, negated) = rules(&[(".gitignore", "build/"), (".chalkignore", "!x")]);
        assert!(!negated.prunes(&root.join("build")));
        assert!(negated.ignores(&root.join("build/y"), false));
    }

    #[test]
    fn the_environments_own_ignore_file_speaks_of_the_whole_project() {
        let (_folder, root) = project(&[("config/prod.ignore", "/experiments")]);
        let rules = IgnoreRules::read(&root, Some("config/prod.ignore")).expect("rules that parse");
        assert!(rules.ignores(&root.join("experiments/a.py"), false));
        let error = IgnoreRules::read(&root, Some("absent")).expect_err("missing");
        assert_eq!(error.code(), ErrorCode::ProjectFileMissing);
    }

    #[test]
    fn a_broken_ignore_file_is_refused_naming_file_and_line() {
        let (_folder, root) = project(&[(".chalkignore", "fine\n[z-a]")]);
        let error = IgnoreRules::read(&root, None).expect_err("a range backwards");
        assert_eq!(error.code(), ErrorCode::IgnoreFileInvalid);
        assert!(error.sentence().contains("line 2") && error.subject().ends_with(".chalkignore"), "{error}");

        fs::write(root.join(".chalkignore"), [0xff, 0xfe]).expect("writable");
        assert_eq!(IgnoreRules::read(&root, None).expect_err("no text").code(), ErrorCode::IgnoreFileInvalid);
    }

    #[test]
    fn an_ignore_file_that_links_out_of_the_project_is_refused() {
        let (_folder, root) = project(&[("../outside", "*")]);
        std::os::unix::fs::symlink(root.join("../outside"), root.join(".gitignore")).expect("writable");
        let error = IgnoreRules::read(&root, None).expect_err("a link outside");
        assert_eq!(error.code(), ErrorCode::ArchiveLinkEscape);
    }
}
