//! Paths among words: tracebacks and messages.

use super::roots::{Roots, absolute, has_drive, last_part};

/// Where files of people and machines lie. An absolute path elsewhere in a message, such as `/v1/users`, may be no file
/// at all and is left alone, unless it is below the project or a library, or stands in a traceback's `File "…"`.
const PLACES_OF_FILES: [&str; 14] = [
    "/Applications/",
    "/Library/",
    "/Users/",
    "/builds/",
    "/github/",
    "/home/",
    "/mnt/",
    "/opt/",
    "/private/",
    "/root/",
    "/srv/",
    "/tmp/",
    "/usr/",
    "/var/",
];

impl Roots {
    /// Text with the paths in it made relative. Nothing when there are none.
    pub(super) fn text(&self, text: &str) -> Option<String> {
        // Every path holds one of these. Most texts hold none.
        if !text.bytes().any(|byte| matches!(byte, b'/' | b'\\')) {
            return None;
        }
        let mut made: Option<String> = None;
        let mut copied = 0;
        let mut at = 0;
        let mut previous = None;
        while let Some(rest) = text.get(at..).filter(|rest| !rest.is_empty()) {
            let length = match previous {
                Some(before) if !opens(before) => None,
                before => self.path_at_start_of(rest, before),
            };
            let Some(length) = length else {
                previous = rest.chars().next();
                at += previous.map_or(1, char::len_utf8);
                continue;
            };
            let (found, _) = rest.split_at(length);
            let before = text.get(..at).unwrap_or_default();
            if let Some(relative) = self.relative(found, before.ends_with("File \"")) {
                let made = made.get_or_insert_with(|| String::with_capacity(text.len()));
                made.push_str(text.get(copied..at).unwrap_or_default());
                made.push_str(&relative);
                copied = at + length;
            }
            previous = found.chars().next_back();
            at += length;
        }
        let mut made = made?;
        made.push_str(text.get(copied..).unwrap_or_default());
        Some(made)
    }

    fn relative(&self, found: &str, in_a_frame: bool) -> Option<String> {
        let path = absolute(found)?;
        let is_file = || has_drive(path.as_bytes()) || PLACES_OF_FILES.iter().any(|place| path.starts_with(place));
        self.inside_or_library(&path)
            .or_else(|| (in_a_frame || found.starts_with("file://") || is_file()).then(|| last_part(&path).to_owned()))
    }

    /// How long the path is that some text begins with: up to the quote that it was opened with, or to the next
    /// character that ends a word. The project's own directory may hold any character.
    fn path_at_start_of(&self, text: &str, opened_with: Option<char>) -> Option<usize> {
        let is_path = (text.starts_with('/') && !text.starts_with("//"))
            || text.starts_with("file:///")
            || text.starts_with("\\\\")
            || has_drive(text.as_bytes());
        if !is_path {
            return None;
        }
        if let Some(quote) = opened_with.filter(|symbol| is_quote(*symbol)) {
            let line = text.lines().next().unwrap_or_default();
            if let Some(length) = line.find(quote) {
                return Some(length);
            }
        }
        let certain = self.root_at_start_of(text).map_or(0, str::len);
        let rest = text.get(certain..).unwrap_or_default();
        Some(certain + rest.find(closes).unwrap_or(rest.len()))
    }
}

fn is_quote(symbol: char) -> bool {
    matches!(symbol, '"' | '\'' | '`')
}

fn opens(symbol: char) -> bool {
    symbol.is_whitespace() || is_quote(symbol) || matches!(symbol, '(' | '[' | '{' | '<' | '=' | ',' | ';' | '|' | ':')
}

fn closes(symbol: char) -> bool {
    symbol.is_whitespace() || is_quote(symbol) || matches!(symbol, ')' | ']' | '}' | '>' | ',' | ';' | '|')
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use proptest::prelude::*;

    use super::*;
    use crate::graph::portable::outline::Outline;

    fn roots(directory: &str) -> Roots {
        Roots::of(&Outline::default(), Some(Path::new(directory)))
    }

    #[test]
    fn a_traceback_keeps_its_lines_and_loses_its_machine() {
        let text = "ImportError at '/home/ada/my fraud/pkg/models.py:3':\n  File \"/home/ada/my fraud/pkg/models.py\", \
                    line 3, in <module>\n  File \"/usr/lib/python3.11/json/__init__.py\", line 346, in loads\n  File \
                    \"<frozen importlib._bootstrap>\", line 1204\n  File \"/anywhere/tools/run.py\", line 1\nImportError: \
                    cannot import name 'x' from 'y' (/venv/lib/python3.11/site-packages/y/__init__.py)\n";
        let expected = "ImportError at 'pkg/models.py:3':\n  File \"pkg/models.py\", line 3, in <module>\n  File \
                        \"json/__init__.py\", line 346, in loads\n  File \"<frozen importlib._bootstrap>\", line \
                        1204\n  File \"run.py\", line 1\nImportError: cannot import name 'x' from 'y' \
                        (y/__init__.py)\n";
        assert_eq!(roots("/home/ada/my fraud").text(text).as_deref(), Some(expected));
        assert_eq!(roots("/home/ada/my fraud").text(expected), None, "a second time changes nothing");
    }

    #[test]
    fn words_after_an_unquoted_path_stay() {
        let shown =
            roots("/home/ada/my fraud").text("  Filepath: /home/ada/my fraud/a.py\n\n  resolver a.b").expect("a path");
        assert_eq!(shown, "  Filepath: a.py\n\n  resolver a.b");
    }

    #[test]
    fn what_only_looks_like_a_path_stays() {
        for text in ["GET /v1/users failed", "https://example.com/tmp/x", "and/or", "1 / 2", "a//b", "/", "see /"] {
            assert_eq!(roots("/home/ada/fraud").text(text), None, "{text}");
        }
    }

    #[test]
    fn paths_of_people_in_messages_are_cut_to_their_name() {
        let shown = roots("/home/ada/fraud").text("[Errno 2] No such file: '/home/bo/data/x.csv'").expect("a path");
        assert_eq!(shown, "[Errno 2] No such file: 'x.csv'");
        let shown = roots("/home/ada/fraud").text(r"at C:\Users\bo\x.csv, sorry").expect("a path");
        assert_eq!(shown, "at x.csv, sorry");
    }

    proptest! {
        #[test]
        fn any_text_is_survived_and_a_second_time_changes_nothing(
            text in r#"([a-z/\\:"'`() \n.]|/home/ada/fraud|/site-packages/|File "|C:\\|file:///|é){0,60}"#
        ) {
            let roots = roots("/home/ada/fraud");
            if let Some(once) = roots.text(&text) {
                let twice = roots.text(&once);
                // What was cut off may have hidden the start of another path; it ends, though, because text only shrinks.
                prop_assert!(twice.is_none_or(|twice| twice.len() < once.len()));
            }
        }
    }

    #[test]
    fn every_place_of_files_ends_with_a_separator() {
        assert!(PLACES_OF_FILES.iter().all(|place| place.starts_with('/') && place.ends_with('/')));
    }
}
