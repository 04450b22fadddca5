//! One entry of an archive, and the rules that its path and its target keep.

use super::limits::ArchiveLimits;
use crate::text;
use crate::{Error, ErrorCode, Result};

/// A file, link or directory of an archive.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ArchiveEntry {
    /// Path relative to the project, with `/` between its components.
    pub path: String,
    /// What it is.
    pub kind: EntryKind,
    /// Length of a file's content in bytes; 0 for everything else.
    pub size: u64,
    /// Permissions: `0o755` for directories, links and files that their owner may execute, `0o644` for other files.
    pub mode: u32,
}

/// What an entry is.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum EntryKind {
    /// A regular file.
    File,
    /// A directory.
    Directory,
    /// A symbolic link whose target stays inside the tree.
    Link {
        /// The target as it is written in the link.
        target: String,
    },
    /// A second name of a file that stands before it in the archive. We never write one; other programs do.
    HardLink {
        /// The path of the first name.
        target: String,
    },
}

/// The path as an error shows it.
pub(super) fn shown(path: &str) -> String {
    text::line(path, 200)
}

/// Checks the path of an entry: relative, normal and of printable components.
pub(super) fn check_path(path: &str, limits: &ArchiveLimits) -> Result<()> {
    let name_error = |message: String| Error::new(ErrorCode::ArchiveEntryName, message).on(shown(path));
    if path.is_empty() {
        return Err(Error::new(ErrorCode::ArchiveEntryName, "an entry of the archive has an empty name"));
    }
    if path.starts_with('/') {
        return Err(Error::new(ErrorCode::ArchivePathEscape, "the path is absolute").on(shown(path)));
    }
    if path.len() > limits.path {
        return Err(name_error(format!("the path is longer than {} bytes", limits.path)));
    }
    if path.chars().any(char::is_control) {
        return Err(name_error("the path holds control characters".to_owned()));
    }
    for component in path.split('/') {
        match component {
            "" | "." => return Err(name_error("the path has an empty or `.` component".to_owned())),
            ".." => {
                return Err(Error::new(ErrorCode::ArchivePathEscape, "the path has a `..` component").on(shown(path)));
            }
            long if long.len() > limits.component => {
                return Err(name_error(format!("a component of the path is longer than {} bytes", limits.component)));
            }
            _ => {}
        }
    }
    Ok(())
}

/// Checks that a symbolic link at `path` can only lead to something inside the tree.
///
/// A `..` is allowed only in front: there it climbs through the real directories that hold the link. After a name it
/// would climb from wherever that name leads, which may be another link.
pub(super) fn check_target(path: &str, target: &str, limits: &ArchiveLimits) -> Result<()> {
    let refused = |message: &str| {
        Error::new(ErrorCode::ArchiveLinkEscape, format!("the link's target `{}` {message}", shown(target)))
            .on(shown(path))
    };
    if target.is_empty() || target.chars().any(char::is_control) || target.len() > limits.path {
        return Err(Error::new(
            ErrorCode::ArchiveEntryName,
            "the link's target is empty, too long or holds control characters",
        )
        .on(shown(path)));
    }
    if target.starts_with('/') {
        return Err(refused("is absolute"));
    }
    let mut depth = path.split('/').count() - 1;
    let mut descended = false;
    for component in target.split('/') {
        match component {
            "" | "." => {}
            ".." if descended => return Err(refused("climbs out of a directory that may itself be a link")),
            ".." => depth = depth.checked_sub(1).ok_or_else(|| refused("leaves the project"))?,
            _ => descended = true,
        }
    }
    Ok(())
}

/// The directories above a path, outermost first.
pub(super) fn ancestors(path: &str) -> impl Iterator<Item = &str> {
    path.match_indices('/').map(|(at, _)| &path[..at])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_that_leave_the_tree_or_cannot_be_shown_are_refused_with_their_code() {
        let limits = ArchiveLimits::default();
        let long = "x".repeat(256);
        let longer = "abc/".repeat(1024) + "x";
        let cases = [
            ("../x", ErrorCode::ArchivePathEscape),
            ("a/../../x", ErrorCode::ArchivePathEscape),
            ("/etc/x", ErrorCode::ArchivePathEscape),
            ("", ErrorCode::ArchiveEntryName),
            ("a//b", ErrorCode::ArchiveEntryName),
            ("a/./b", ErrorCode::ArchiveEntryName),
            ("a\nb", ErrorCode::ArchiveEntryName),
            ("a\u{1b}[31m", ErrorCode::ArchiveEntryName),
            ("a\0b", ErrorCode::ArchiveEntryName),
            (&long, ErrorCode::ArchiveEntryName),
            (&longer, ErrorCode::ArchiveEntryName),
        ];
        for (path, code) in cases {
            assert_eq!(check_path(path, &limits).expect_err("refused").code(), code, "{path:?}");
        }
        for path in ["a", "a/b", "..a", "a..", "ä/ß", &"x".repeat(255)] {
            check_path(path, &limits).expect("a usable path");
        }
    }

    #[test]
    fn link_targets_may_climb_only_inside_the_tree_and_only_in_front() {
        let limits = ArchiveLimits::default();
        for (path, target) in [("a", "b"), ("a/b", "../c"), ("a/b/c", "../../d/e"), ("a", "./b"), ("a/b", "..")] {
            check_target(path, target, &limits).expect("inside");
        }
        for (path, target) in
            [("a", "/etc"), ("a", ".."), ("a", "../x"), ("a/b", "../../x"), ("a", "b/.."), ("a/b", "../c/../d")]
        {
            let error = check_target(path, target, &limits).expect_err("outside");
            assert_eq!(error.code(), ErrorCode::ArchiveLinkEscape, "{path} -> {target}");
        }
        assert!(check_target("a", "b\nc", &limits).is_err());
    }

    #[test]
    fn ancestors_come_outermost_first() {
        assert_eq!(ancestors("a/b/c").collect::<Vec<_>>(), ["a", "a/b"]);
        assert_eq!(ancestors("a").count(), 0);
    }
}
