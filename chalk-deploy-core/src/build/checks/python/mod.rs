//! The grammar of Python, checked in this process. Nothing is run, and no file can make it deep or long.
//!
//! The parser is Ruff's (`ruff_python_parser`), which knows what each version of Python added; what only a compiler
//! notices, such as a `return` outside of a function, is left to the bytecode compiler.

mod encoding;
mod nesting;

use ruff_python_ast::PythonVersion;
use ruff_python_parser::{Mode, ParseErrorType, ParseOptions, parse_unchecked};
use ruff_text_size::{Ranged as _, TextRange};

use super::finding::Finding;
use super::target::Target;
use encoding::Decoded;
use nesting::Nesting;

/// A larger file is not parsed.
pub(super) const FILE_MOST: u64 = 2 << 20;
/// Findings of one file that are kept.
const FINDINGS_MOST: usize = 20;
/// A tree as deep as [`nesting`] lets it become needs a tenth of this.
const STACK: usize = 32 << 20;

/// What came of a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Syntax {
    /// It is Python.
    Right,
    /// It is not.
    Wrong(Vec<Finding>),
    /// It was not looked at, because of this.
    Unchecked(String),
}

/// Checks one file.
pub(super) fn check(file: &str, bytes: &[u8], target: Option<Target>) -> Syntax {
    let wrong = |place, message: &str| Syntax::Wrong(vec![Finding::new(file, place, message)]);
    let source = match encoding::decode(bytes) {
        Decoded::Text(source) => source,
        Decoded::Foreign(name) => return Syntax::Unchecked(format!("its encoding is `{name}`")),
        Decoded::Undecodable(at) => {
            let before = String::from_utf8_lossy(&bytes[..at.min(bytes.len())]);
            return wrong(place(&before, before.len()), "it is not UTF-8, and it declares no other encoding");
        }
    };
    if let Some(at) = source.find('\0') {
        return wrong(place(&source, at), "source code cannot contain null bytes");
    }
    match nesting::measure(&source) {
        Nesting::Bounded => {}
        Nesting::Broken(end) => {
            let part = source.get(..end).unwrap_or_default();
            let mut findings = parse(file, part, target, |error| matches!(error, ParseErrorType::Lexical(_)));
            findings.truncate(1);
            return if findings.is_empty() { wrong((1, 1), "it is not Python") } else { Syntax::Wrong(findings) };
        }
        Nesting::Unlocated => return wrong((1, 1), "it is not Python"),
        Nesting::Wrong(at, message) => return wrong(place(&source, at), message),
        Nesting::TooDeep => return Syntax::Unchecked("one of its expressions is too deep".to_owned()),
    }
    let findings = parse(file, &source, target, |_| true);
    if findings.is_empty() { Syntax::Right } else { Syntax::Wrong(findings) }
}

/// The errors of a source that is known to nest within bounds, in the order of the file.
fn parse(file: &str, source: &str, target: Option<Target>, wanted: impl Fn(&ParseErrorType) -> bool) -> Vec<Finding> {
    // The parser grows its stack where it recurses; dropping what it made does not.
    stacker::grow(STACK, || {
        let mut options = ParseOptions::from(Mode::Module);
        if let Some(Target { minor }) = target {
            options = options.with_target_version(PythonVersion { major: 3, minor });
        }
        let parsed = parse_unchecked(source, options);
        let mut errors: Vec<(TextRange, String)> = Vec::new();
        for error in parsed.errors().iter().filter(|error| wanted(&error.error)) {
            errors.push((error.range(), error.error.to_string()));
        }
        // Without a target, what is too new for some version is not wrong.
        if target.is_some() {
            errors.extend(parsed.unsupported_syntax_errors().iter().map(|error| (error.range(), error.to_string())));
        }
        errors.sort_by_key(|(range, _)| range.start());
        errors.truncate(FINDINGS_MOST);
        let found = |(range, message): (TextRange, String)| {
            Finding::new(file, place(source, range.start().to_usize()), &message)
        };
        errors.into_iter().map(found).collect()
    })
}

/// Line and column of a byte, from 1 on; columns are characters.
fn place(source: &str, at: usize) -> (u32, u32) {
    let before = source.get(..source.floor_char_boundary(at.min(source.len()))).unwrap_or_default();
    let lines = before.matches('\n').count() + before.replace("\r\n", "\n").matches('\r').count();
    let start = before.rfind(['\n', '\r']).map_or(0, |newline| newline + 1);
    let count = |number: usize| u32::try_from(number).unwrap_or(u32::MAX).saturating_add(1);
    (count(lines), count(before[start..].chars().count()))
}

#[cfg(test)]
mod tests;
