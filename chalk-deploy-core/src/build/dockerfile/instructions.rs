//! The instructions of a Dockerfile (Docker documentation, *Dockerfile reference*), taken apart so that nobody who reads
//! the same text can come to others. Pure.
//!
//! Two programs read a project's Dockerfile: this one, which judges it, and the executor, which runs it. So what readers
//! differ in is refused (here-documents, another escape character, a doubled backslash at the end of a line), and the
//! executor is given what was understood here, an instruction a line, and never the file itself.

use super::refused;
use crate::{Result, text};

/// No Dockerfile is longer.
pub(super) const FILE_MOST: usize = 256 << 10;
/// So many instructions are taken.
const INSTRUCTIONS_MOST: usize = 1000;

/// An instruction: a word, and what follows it on its line and on those that continue it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Instruction {
    /// Where it begins, counted from 1.
    pub(super) line: usize,
    /// Its word, in upper case.
    pub(super) word: String,
    /// What follows.
    pub(super) rest: String,
}

/// Takes a Dockerfile apart.
///
/// # Errors
/// [`RequestInvalid`](crate::ErrorCode::RequestInvalid), with the line.
pub(super) fn read(name: &str, bytes: &[u8]) -> Result<Vec<Instruction>> {
    if bytes.len() > FILE_MOST {
        let most = text::bytes(FILE_MOST as u64);
        return Err(refused(
            name,
            1,
            &format!("it is longer than {most}"),
            "move commands into a script of the project",
        ));
    }
    let written = std::str::from_utf8(bytes)
        .map_err(|_| refused(name, 1, "it is no UTF-8 text", "save it as UTF-8 without a byte order mark"))?;
    let mut instructions = Vec::new();
    let mut begun: Option<(usize, String)> = None;
    for (number, line) in (1..).zip(written.split('\n')) {
        let line = line.strip_suffix('\r').unwrap_or(line);
        check_symbols(name, number, line)?;
        let bare = line.trim();
        if bare.starts_with('#') || bare.is_empty() {
            if begun.is_none() && instructions.is_empty() {
                check_directive(name, number, bare)?;
            }
            continue;
        }
        let (content, goes_on) = match bare.strip_suffix('\\') {
            Some(rest) if rest.ends_with('\\') => {
                let message = "the line ends with two backslashes, which not everyone reads alike";
                return Err(refused(name, number, message, "let it end with one, or with something else"));
            }
            // What stands before the backslash stays as it is, spaces included.
            Some(_) => (line.trim_end().strip_suffix('\\').unwrap_or_default(), true),
            None => (line.trim_end(), false),
        };
        let (from, mut whole) = begun.take().unwrap_or((number, String::new()));
        whole.push_str(content);
        if goes_on {
            begun = Some((from, whole));
            continue;
        }
        instructions.push(instruction(name, from, &whole)?);
        if instructions.len() > INSTRUCTIONS_MOST {
            let message = format!("it has more than {INSTRUCTIONS_MOST} instructions");
            return Err(refused(name, number, &message, "move commands into a script of the project"));
        }
    }
    if let Some((from, _)) = begun {
        return Err(refused(name, from, "its last instruction has no end", "remove the backslash at its end"));
    }
    Ok(instructions)
}

/// Symbols by which a line could look like another one.
fn check_symbols(name: &str, number: usize, line: &str) -> Result<()> {
    let odd = |symbol: &char| {
        let is_control = symbol.is_control() && *symbol != '\t';
        // Other spaces than these two, a byte order mark, and what turns the direction of a line.
        let is_space = symbol.is_whitespace() && !matches!(symbol, ' ' | '\t');
        is_control
            || is_space
            || matches!(symbol, '\u{feff}' | '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{2069}')
    };
    match line.chars().find(odd) {
        None => Ok(()),
        Some(symbol) => {
            let message = format!("the symbol U+{:04X} stands in it, which is not shown", u32::from(symbol));
            Err(refused(name, number, &message, "write spaces, tabs and what can be seen"))
        }
    }
}

/// A directive stands in comments above everything else.
fn check_directive(name: &str, number: usize, comment: &str) -> Result<()> {
    let Some((word, value)) = comment.trim_start_matches('#').split_once('=') else { return Ok(()) };
    if word.trim().eq_ignore_ascii_case("escape") && value.trim() != "\\" {
        return Err(refused(name, number, "it sets another escape character", "continue lines with a backslash"));
    }
    Ok(())
}

fn instruction(name: &str, line: usize, whole: &str) -> Result<Instruction> {
    let whole = whole.trim();
    let (word, rest) = whole.split_once([' ', '\t']).unwrap_or((whole, ""));
    let (word, rest) = (word.to_ascii_uppercase(), rest.trim_start().to_owned());
    if matches!(word.as_str(), "RUN" | "COPY" | "ADD") && rest.contains("<<") {
        let hint = "move the text into a file of the project, and copy it";
        return Err(refused(name, line, "here-documents (`<<`) are not taken", hint));
    }
    Ok(Instruction { line, word, rest })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(written: &str) -> Vec<(usize, String, String)> {
        let read = read("Dockerfile", written.as_bytes()).expect("a Dockerfile");
        read.into_iter().map(|Instruction { line, word, rest }| (line, word, rest)).collect()
    }

    #[test]
    fn instructions_are_joined_from_their_lines_without_comments() {
        let written = "# syntax=docker/dockerfile:1\n#escape=\\\nfrom  a AS b\r\n\n  # why\nRUN one \\\n  # not this\n\n   two \\  \n&& three\nCMD [\"x\"]";
        assert_eq!(
            words(written),
            [
                (3, "FROM".to_owned(), "a AS b".to_owned()),
                (6, "RUN".to_owned(), "one    two && three".to_owned()),
                (11, "CMD".to_owned(), "[\"x\"]".to_owned()),
            ]
        );
        assert!(words("").is_empty() && words("# only this\n").is_empty());
    }

    #[test]
    fn what_readers_differ_in_is_refused_with_its_line() {
        for (written, line, part) in [
            ("FROM a\nRUN <<EOF\nFROM evil\nEOF\n", 2, "here-documents"),
            ("FROM a\nCOPY <<x /y\nx\n", 2, "here-documents"),
            ("# escape=`\nFROM a\n", 1, "escape character"),
            ("#\n\n#  Escape = `\nFROM a\n", 3, "escape character"),
            ("FROM a\nRUN x \\\\\nFROM evil\n", 2, "two backslashes"),
            ("FROM a\nRUN x \\\n", 2, "has no end"),
            ("\u{feff}FROM a\n", 1, "U+FEFF"),
            ("FROM a\n\u{a0}FROM evil\n", 2, "U+00A0"),
            ("FROM a\u{2028}FROM evil\n", 1, "U+2028"),
            ("FROM a\u{85}FROM evil\n", 1, "U+0085"),
            ("FROM a\rFROM evil\n", 1, "U+000D"),
            ("FROM a\0\n", 1, "U+0000"),
            ("RUN \u{202e}x\n", 1, "U+202E"),
        ] {
            let error = read("Dockerfile", written.as_bytes()).expect_err(written);
            let sentence = error.sentence();
            assert!(sentence.starts_with(&format!("`Dockerfile`, line {line}: ")), "{sentence}");
            assert!(sentence.contains(part), "{sentence}");
        }
        assert!(read("x", &[0xff, 0xfe]).expect_err("no text").message().contains("no UTF-8"));
        read("x", &vec![b'#'; FILE_MOST + 1]).expect_err("too long");
        read("x", "RUN x\n".repeat(INSTRUCTIONS_MOST + 1).as_bytes()).expect_err("too many");
    }

    #[test]
    fn a_directive_below_an_instruction_is_a_comment() {
        assert_eq!(words("FROM a\n# escape=`\nRUN x\n").len(), 2);
    }
}
