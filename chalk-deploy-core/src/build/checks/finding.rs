//! Something that a check found in a file, as one line.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::text;

use super::super::redaction::redacted;

/// The longest message that is kept, in characters.
const MESSAGE_MOST: usize = 500;
/// The longest path that is shown.
const PATH_MOST: usize = 300;

/// Something that a check found: `file:line:column: message [rule]`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Finding {
    /// The file, relative to the project.
    pub file: String,
    /// The line, from 1 on.
    pub line: u32,
    /// The column in characters, from 1 on.
    pub column: u32,
    /// What is wrong.
    pub message: String,
    /// The name of the rule that says so, where it has one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rule: Option<String>,
}

impl Finding {
    /// A finding of strangers' words: made printable, without what looks like a secret, and of bounded length.
    pub(super) fn new(file: &str, (line, column): (u32, u32), message: &str) -> Self {
        let message = redacted(message);
        Self {
            file: text::line(file, PATH_MOST),
            line: line.max(1),
            column: column.max(1),
            message: text::line(message.lines().next().unwrap_or_default().trim(), MESSAGE_MOST),
            rule: None,
        }
    }

    pub(super) fn with_rule(mut self, rule: Option<&str>) -> Self {
        let is_name = |rule: &&str| {
            let of_name = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
            !rule.is_empty() && rule.len() <= 80 && rule.bytes().all(of_name)
        };
        self.rule = rule.filter(is_name).map(str::to_owned);
        self
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { file, line, column, message, rule } = self;
        write!(formatter, "{file}:{line}:{column}: {message}")?;
        rule.as_ref().map_or(Ok(()), |rule| write!(formatter, " [{rule}]"))
    }
}

/// A line that is no finding.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the line is no finding")]
pub struct NoFinding;

/// Reads a line of a build back, for whoever shows findings in another form.
impl FromStr for Finding {
    type Err = NoFinding;

    fn from_str(written: &str) -> Result<Self, NoFinding> {
        // A path may hold colons: the place is the first pair of numbers between colons.
        for (at, _) in written.match_indices(':') {
            let mut parts = written[at + 1..].splitn(3, ':');
            let numbers = parts.next().zip(parts.next());
            let place = numbers.and_then(|(line, column)| line.parse().ok().zip(column.parse().ok()));
            let message = parts.next().and_then(|rest| rest.strip_prefix(' '));
            if let (Some((line, column)), Some(message), 1..) = (place, message, at) {
                let (message, rule) = match message.strip_suffix(']').and_then(|rest| rest.rsplit_once(" [")) {
                    Some((message, rule)) if !rule.contains([' ', ']']) => (message, Some(rule.to_owned())),
                    _ => (message, None),
                };
                return Ok(Self { file: written[..at].to_owned(), line, column, message: message.to_owned(), rule });
            }
        }
        Err(NoFinding)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn strangers_words_become_one_printable_line_without_secrets() {
        let finding =
            Finding::new("a\u{1b}[31m.py", (0, 0), "x\u{7}\nsecond Bearer abcdefghijklmnop").with_rule(Some("a b"));
        let line = finding.to_string();
        assert!(!line.contains(['\u{1b}', '\u{7}', '\n']), "{line}");
        assert!(line.ends_with(".py:1:1: x\u{FFFD}"), "{line}");
        let secret = Finding::new("a.py", (1, 1), "Bearer abcdefghijklmnop").to_string();
        assert!(!secret.contains("abcdefghijklmnop"), "{secret}");
    }

    #[test]
    fn other_lines_are_no_findings() {
        for line in ["", "skipped: no linter is set up", "a.py:1: x", ":1:2: x", "a:b:c: d", "a.py:1:2:x"] {
            assert_eq!(line.parse::<Finding>(), Err(NoFinding), "{line}");
        }
    }

    proptest! {
        #[test]
        fn a_finding_is_read_back_from_its_line(
            file in "[a-z:/]{0,20}\\.py", line in 1_u32.., column in 1_u32.., message in "[a-z :]{0,20}[a-z]",
            rule in proptest::option::of("[A-Z]{1,4}[0-9]{1,4}"),
        ) {
            let finding = Finding { file, line, column, message, rule };
            prop_assert_eq!(finding.to_string().parse(), Ok(finding));
        }
    }
}
