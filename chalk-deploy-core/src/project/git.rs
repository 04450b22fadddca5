//! The state of the git repository around a project.
//!
//! Asked from the `git` program, because repositories come in more shapes than a small reader knows. The repository is
//! a stranger's: nothing that its own configuration names is run. Hooks, file system monitors and signature checks are
//! switched off, submodules are not entered, nothing is fetched, and filters that the repository itself configures are
//! emptied before its files are compared.

use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use tokio::io::AsyncReadExt as _;
use tokio::process::Command;

use crate::model::GitMetadata;
use crate::runtime::{Runtime, RuntimeExt as _};
use crate::text;

/// For each question; a cold repository on a slow disk takes seconds.
const LIMIT: Duration = Duration::from_secs(10);
/// Answers are a few short lines; more of one is not read.
const LONGEST: u64 = 64 << 10;
const LONGEST_VALUE: usize = 200;

/// What git says about the directory. Without git, a repository or a commit there is nothing to say, which is no error.
///
/// `dirty` is true as well when git did not say in time whether files differ: not known to be clean.
pub async fn git_metadata(directory: &Path, runtime: &dyn Runtime) -> GitMetadata {
    let git = Git { directory, runtime, emptied: Vec::new() };
    let format = "--format=%H%x00%an <%ae>%x00%s";
    let Some(head) = git.ask(&["log", "-1", "--no-show-signature", "--no-decorate", "--no-color", format]).await else {
        return GitMetadata::default();
    };
    let mut fields = head.split('\0').map(value);
    let (commit, author, subject) = (fields.next(), fields.next(), fields.next());
    let branch = git.ask(&["symbolic-ref", "--quiet", "--short", "HEAD"]).await;
    let tags = ["for-each-ref", "--points-at=HEAD", "--sort=-version:refname", "--count=1"];
    let tag = git.ask(&[tags.as_slice(), &["--format=%(refname:lstrip=2)", "refs/tags"]].concat()).await;
    GitMetadata {
        commit: commit.flatten(),
        branch: branch.as_deref().and_then(value),
        tag: tag.as_deref().and_then(value),
        author: author.flatten(),
        subject: subject.flatten(),
        dirty: git.differs().await,
    }
}

/// One printable line; `None` for nothing.
fn value(text: &str) -> Option<String> {
    let shown = text::line(text.trim(), LONGEST_VALUE);
    (!shown.is_empty()).then_some(shown)
}

struct Git<'a> {
    directory: &'a Path,
    runtime: &'a dyn Runtime,
    /// Keys of the configuration that are overridden with nothing.
    emptied: Vec<String>,
}

impl Git<'_> {
    async fn differs(self) -> bool {
        let filters = ["config", "--includes", "--show-scope", "-z", "--name-only", "--get-regexp", r"^filter\."];
        // No filter at all is also an answer with nothing in it.
        let configured = self.ask(&filters).await.unwrap_or_default();
        let mut words = configured.split('\0');
        let mut emptied = Vec::new();
        while let (Some(scope), Some(key)) = (words.next(), words.next()) {
            // Those of the person and the machine, such as LFS, are trusted.
            if matches!(scope, "local" | "worktree") {
                emptied.push(key.to_owned());
            }
        }
        let git = Self { emptied, ..self };
        let status = ["status", "--porcelain", "--untracked-files=no", "--ignore-submodules=all", "-z"];
        git.ask(&status).await.is_none_or(|changes| !changes.is_empty())
    }

    /// The answer to one question; `None` when git is not there, fails, or takes too long.
    async fn ask(&self, question: &[&str]) -> Option<String> {
        self.runtime.within(LIMIT, self.run(question)).await.flatten()
    }

    async fn run(&self, question: &[&str]) -> Option<String> {
        let mut command = Command::new("git");
        command.arg("-C").arg(self.directory).arg("--no-pager");
        let settings = [
            "core.fsmonitor=false",
            "core.hooksPath=/dev/null",
            "safe.bareRepository=explicit",
            "core.quotePath=false",
        ];
        for setting in settings {
            command.args(["-c", setting]);
        }
        // Set when we run inside a hook; they would lead to another repository than the project's.
        for name in ["GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE", "GIT_COMMON_DIR", "GIT_OBJECT_DIRECTORY"] {
            command.env_remove(name);
        }
        command
            .env("GIT_OPTIONAL_LOCKS", "0")
            .env("GIT_TERMINAL_PROMPT", "0")
            .env("GIT_NO_LAZY_FETCH", "1")
            .env("GIT_ALLOW_PROTOCOL", "none")
            .env("GIT_EXTERNAL_DIFF", "")
            .env("GIT_CONFIG_COUNT", self.emptied.len().to_string());
        for (position, key) in self.emptied.iter().enumerate() {
            command.env(format!("GIT_CONFIG_KEY_{position}"), key).env(format!("GIT_CONFIG_VALUE_{position}"), "");
        }
        let mut child = command
            .args(question)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .kill_on_drop(true)
            .spawn()
            .ok()?;
        let mut answer = Vec::new();
        child.stdout.take()?.take(LONGEST).read_to_end(&mut answer).await.ok()?;
        let cut = answer.len() as u64 == LONGEST;
        let succeeded = cut || child.wait().await.ok()?.success();
        succeeded.then(|| String::from_utf8_lossy(&answer).into_owned())
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;
    use crate::runtime::SystemRuntime;

    /// A repository that no setting of the machine reaches.
    fn git(directory: &Path, arguments: &[&str]) -> String {
        let output = std::process::Command::new("git")
            .arg("-C")
            .arg(directory)
            .args(["-c", "user.name=Ada", "-c", "user.email=ada@example.com", "-c", "commit.gpgSign=false"])
            .args(arguments)
            .env("GIT_CONFIG_NOSYSTEM", "1")
            .env("GIT_CONFIG_GLOBAL", "/dev/null")
            .output()
            .expect("git runs");
        assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8_lossy(&output.stdout).trim().to_owned()
    }

    /// Makes the head a commit that claims to be signed, so that a signature check would run `gpg.program`.
    fn sign_head(directory: &Path) {
        let tree = git(directory, &["rev-parse", "HEAD^{tree}"]);
        let person = "Ada <ada@example.com> 0 +0000";
        let signature = "gpgsig -----BEGIN PGP SIGNATURE-----\n \n none\n -----END PGP SIGNATURE-----";
        let commit = format!("tree {tree}\nauthor {person}\ncommitter {person}\n{signature}\n\nsigned\n");
        fs::write(directory.join("commit"), commit).expect("writable");
        let id = git(directory, &["hash-object", "-t", "commit", "-w", "commit"]);
        git(directory, &["update-ref", "HEAD", &id]);
    }

    fn repository(message: &str) -> tempfile::TempDir {
        let folder = tempfile::tempdir().expect("a temporary folder");
        git(folder.path(), &["init", "--quiet", "--initial-branch=trunk"]);
        fs::write(folder.path().join("a.py"), "1").expect("writable");
        git(folder.path(), &["add", "."]);
        git(folder.path(), &["commit", "--quiet", "-m", message]);
        folder
    }

    async fn metadata(folder: &tempfile::TempDir) -> GitMetadata {
        git_metadata(folder.path(), &*SystemRuntime::new()).await
    }

    #[tokio::test]
    async fn commit_branch_tag_author_and_subject_are_read() {
        let folder = repository("First line\n\nrest");
        git(folder.path(), &["tag", "v1.9"]);
        git(folder.path(), &["tag", "v1.10"]);
        let clean = metadata(&folder).await;
        assert_eq!(clean.commit.as_deref().map(str::len), Some(40));
        assert_eq!(clean.branch.as_deref(), Some("trunk"));
        assert_eq!(clean.tag.as_deref(), Some("v1.10"));
        assert_eq!(clean.author.as_deref(), Some("Ada <ada@example.com>"));
        assert_eq!(clean.subject.as_deref(), Some("First line"));
        assert!(!clean.dirty);

        fs::write(folder.path().join("untracked"), "").expect("writable");
        assert!(!metadata(&folder).await.dirty, "only tracked files count");
        fs::write(folder.path().join("a.py"), "22").expect("writable");
        assert!(metadata(&folder).await.dirty);

        git(folder.path(), &["checkout", "--quiet", "--detach", "--force"]);
        let detached = metadata(&folder).await;
        assert_eq!(detached.branch, None);
        assert_eq!(detached.commit, clean.commit);
    }

    #[tokio::test]
    async fn without_a_repository_or_a_commit_there_is_nothing_to_say() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        assert_eq!(metadata(&folder).await, GitMetadata::default());
        git(folder.path(), &["init", "--quiet"]);
        assert_eq!(metadata(&folder).await, GitMetadata::default());
        let absent = folder.path().join("absent");
        assert_eq!(git_metadata(&absent, &*SystemRuntime::new()).await, GitMetadata::default());
    }

    #[tokio::test]
    async fn what_a_stranger_wrote_into_a_commit_is_printable_and_short() {
        let folder = repository(&format!("\u{1b}]0;owned\u{7}{}", "x".repeat(500)));
        let subject = metadata(&folder).await.subject.expect("a subject");
        assert!(!subject.contains(['\u{1b}', '\u{7}']) && subject.chars().count() <= LONGEST_VALUE, "{subject:?}");
    }

    #[tokio::test]
    async fn nothing_that_the_repository_configures_is_run() {
        let folder = repository("x");
        let proof = folder.path().join("owned");
        let command = format!("touch {}; cat", proof.display());
        let program = folder.path().join("program");
        fs::write(&program, format!("#!/bin/sh\n{command}\n")).expect("writable");
        fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).expect("ours");
        let program = program.display().to_string();
        sign_head(folder.path());
        fs::write(folder.path().join(".gitattributes"), "*.py filter=evil\n").expect("writable");
        for (key, value) in [
            ("filter.evil.clean", command.as_str()),
            ("filter.evil.required", "true"),
            ("core.fsmonitor", command.as_str()),
            ("log.showSignature", "true"),
            ("gpg.program", program.as_str()),
            ("core.pager", command.as_str()),
        ] {
            git(folder.path(), &["config", key, value]);
        }
        // The same length and another time, so that git has to read the file.
        fs::write(folder.path().join("a.py"), "2").expect("writable");
        let found = metadata(&folder).await;
        assert!(found.dirty);
        assert_eq!(found.subject.as_deref(), Some("signed"));
        assert!(!proof.exists(), "a command of the repository's was run");
    }
}
