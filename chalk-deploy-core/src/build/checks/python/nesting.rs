//! How deep a Python file nests, before it is parsed: the tree that a parser makes is as deep, and to drop a tree is a
//! recursion too. Only tokens are looked at, which takes no stack.
//!
//! Two bounds are Python's own (`MAXLEVEL` and `MAXINDENT` of its tokenizer): what goes beyond them is an error of the
//! file. The third counts what makes trees deep without brackets, such as `not not not x`, `1 + 1 + 1` and
//! `lambda: lambda: x`. Python has such bounds too, elsewhere in each version; so beyond ours a file is not wrong, only
//! not checked.

use ruff_python_ast::token::TokenKind;
use ruff_python_parser::{Mode, lexer};

/// Brackets within brackets.
const BRACKETS_MOST: usize = 199;
/// Blocks within blocks.
const INDENTS_MOST: usize = 99;
/// How much of one expression may hang on each other.
const CHAIN_MOST: usize = 3000;

/// How far a file is looked at behind something that is no token.
const BEYOND_MOST: usize = 200;

/// What may be done with a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Nesting {
    /// All of it may be parsed.
    Bounded,
    /// Something in it is no token. So much of its beginning may be parsed, and holds that place.
    Broken(usize),
    /// Something in it is no token, and where cannot be told.
    Unlocated,
    /// It is wrong, at this byte.
    Wrong(usize, &'static str),
    /// It may be right, and is too deep to be parsed.
    TooDeep,
}

/// Looks at the tokens of a file.
pub(super) fn measure(source: &str) -> Nesting {
    match walk(source) {
        Walk::Bounded => Nesting::Bounded,
        Walk::TooDeep => Nesting::TooDeep,
        Walk::Wrong(token, message) => {
            locate(source, token).map_or(Nesting::Unlocated, |end| Nesting::Wrong(end.saturating_sub(1), message))
        }
        Walk::Broken(None) => Nesting::Broken(source.len()),
        // Only a beginning that proves to be bounded itself is worth its name.
        Walk::Broken(Some(token)) => match locate(source, token) {
            Some(end) if matches!(walk(&source[..end]), Walk::Broken(found) if found.is_none_or(|found| found == token)) => {
                Nesting::Broken(end)
            }
            _ => Nesting::Unlocated,
        },
    }
}

/// A token by its number and its kind; the lexer does not tell where it stands.
type Token = (usize, TokenKind);

enum Walk {
    Bounded,
    /// Something is no token. A few tokens behind it is this one, if the file does not end before.
    Broken(Option<Token>),
    Wrong(Token, &'static str),
    TooDeep,
}

/// An open bracket, or the whole statement.
#[derive(Debug, Default)]
struct Level {
    /// The token that opened it, and the one that closes it.
    bracket: Option<(Token, TokenKind)>,
    /// Tokens since the last comma that may hang on each other.
    chain: usize,
    /// Lambdas whose parameters are not over: their commas separate nothing else.
    lambdas: usize,
}

fn walk(source: &str) -> Walk {
    let mut lexer = lexer::lex(source, Mode::Module);
    let mut levels = vec![Level::default()];
    let (mut indents, mut chain) = (0_usize, 0_usize);
    for number in 0.. {
        let kind = lexer.next_token();
        let token = (number, kind);
        match kind {
            TokenKind::EndOfFile => {
                return match levels.last().and_then(|level| level.bracket) {
                    Some((opening, _)) => Walk::Wrong(opening, "the bracket is never closed"),
                    None => Walk::Bounded,
                };
            }
            TokenKind::Unknown => {
                // The end of the file within brackets is no token either.
                let open =
                    levels.last().and_then(|level| level.bracket).filter(|((_, opening), _)| is_bracket(*opening));
                let is_blank = |kind: TokenKind| {
                    matches!(kind, TokenKind::Newline | TokenKind::NonLogicalNewline | TokenKind::Dedent)
                };
                let next = std::iter::repeat_with(|| lexer.next_token()).find(|kind| !is_blank(*kind));
                return match open {
                    Some((opening, _)) if next == Some(TokenKind::EndOfFile) => {
                        Walk::Wrong(opening, "the bracket is never closed")
                    }
                    _ => Walk::Broken(beyond(source, number)),
                };
            }
            TokenKind::Indent => {
                indents += 1;
                if indents > INDENTS_MOST {
                    return Walk::Wrong(token, "too many levels of indentation");
                }
            }
            TokenKind::Dedent => indents = indents.saturating_sub(1),
            TokenKind::Newline | TokenKind::Semi if levels.len() == 1 => {
                levels = vec![Level::default()];
                chain = 0;
            }
            TokenKind::Semi => return Walk::Wrong(token, "a statement ends within brackets"),
            TokenKind::Rpar | TokenKind::Rsqb | TokenKind::Rbrace | TokenKind::FStringEnd | TokenKind::TStringEnd => {
                match levels.pop() {
                    Some(Level { bracket: Some((_, closing)), chain: within, .. }) if closing == kind => {
                        chain = chain.saturating_sub(within);
                    }
                    Some(Level { bracket: Some(_), .. }) => {
                        return Walk::Wrong(token, "the bracket does not match the one it closes");
                    }
                    _ => return Walk::Wrong(token, "there is no bracket for this one to close"),
                }
            }
            TokenKind::Comma => {
                if let Some(level) = levels.last_mut().filter(|level| level.lambdas == 0) {
                    chain = chain.saturating_sub(std::mem::take(&mut level.chain));
                }
            }
            kind if counts(kind) => {
                chain += 1;
                if chain > CHAIN_MOST {
                    return Walk::TooDeep;
                }
                if let Some(level) = levels.last_mut() {
                    level.chain += 1;
                    match kind {
                        TokenKind::Lambda => level.lambdas += 1,
                        TokenKind::Colon => level.lambdas = level.lambdas.saturating_sub(1),
                        _ => {}
                    }
                }
                if let Some(closing) = closing(kind) {
                    if levels.len() > BRACKETS_MOST {
                        return Walk::Wrong(token, "too many nested brackets");
                    }
                    levels.push(Level { bracket: Some((token, closing)), ..Level::default() });
                }
            }
            _ => {}
        }
    }
    Walk::TooDeep
}

/// A token at which the file may be cut: behind something that is no token, anything that could go deep counts, and
/// nothing ends it.
fn beyond(source: &str, unknown: usize) -> Option<Token> {
    let mut lexer = lexer::lex(source, Mode::Module);
    let mut counted = 0;
    for number in 0.. {
        let kind = lexer.next_token();
        if number <= unknown {
            continue;
        }
        if kind == TokenKind::EndOfFile {
            return None;
        }
        if counts(kind) && kind != TokenKind::Unknown {
            counted += 1;
            if counted >= BEYOND_MOST {
                return Some((number, kind));
            }
        }
    }
    None
}

/// Where a token ends: at the shortest beginning of the file that has it. Only for tokens that no cut makes, and only
/// for files that are wrong.
fn locate(source: &str, (number, kind): Token) -> Option<usize> {
    let has = |end: usize| {
        let mut lexer = lexer::lex(&source[..end], Mode::Module);
        for _ in 0..number {
            if lexer.next_token() == TokenKind::EndOfFile {
                return false;
            }
        }
        lexer.next_token() == kind
    };
    let (mut without, mut with) = (0, source.len());
    while without + 1 < with {
        let middle = source.floor_char_boundary(without + (with - without) / 2);
        if middle <= without {
            // A character of several bytes: the next boundary is the only other place.
            let next = source.ceil_char_boundary(without + 1);
            if next >= with {
                break;
            }
            if has(next) { with = next } else { without = next }
        } else if has(middle) {
            with = middle;
        } else {
            without = middle;
        }
    }
    has(with).then_some(with)
}

const fn closing(kind: TokenKind) -> Option<TokenKind> {
    match kind {
        TokenKind::Lpar => Some(TokenKind::Rpar),
        TokenKind::Lsqb => Some(TokenKind::Rsqb),
        TokenKind::Lbrace => Some(TokenKind::Rbrace),
        TokenKind::FStringStart => Some(TokenKind::FStringEnd),
        TokenKind::TStringStart => Some(TokenKind::TStringEnd),
        _ => None,
    }
}

const fn is_bracket(kind: TokenKind) -> bool {
    matches!(kind, TokenKind::Lpar | TokenKind::Lsqb | TokenKind::Lbrace)
}

/// Whether a token may add to the depth. Names, numbers and strings only stand at its end.
const fn counts(kind: TokenKind) -> bool {
    !matches!(
        kind,
        TokenKind::Name
            | TokenKind::Int
            | TokenKind::Float
            | TokenKind::Complex
            | TokenKind::String
            | TokenKind::FStringMiddle
            | TokenKind::TStringMiddle
            | TokenKind::Comment
            | TokenKind::NonLogicalNewline
            | TokenKind::Newline
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_files_and_wide_expressions_are_not_deep() {
        let wide = format!("x = [{}]\n", "{'a': 1, 'b': (2, -3)}, ".repeat(20_000));
        let strings = format!("x = ({})\n", "'a' ".repeat(20_000));
        let lambdas = format!("x = [{}]\n", "lambda a, b=(1, 2): a, ".repeat(20_000));
        let long = "def f(a, b):\n    return a + b\n".repeat(20_000);
        for source in [wide, strings, lambdas, long] {
            assert_eq!(measure(&source), Nesting::Bounded, "{source:.20}");
        }
    }

    #[test]
    fn what_python_calls_too_many_is_wrong() {
        let nested = |depth: usize| format!("x = {}{}\n", "(".repeat(depth), ")".repeat(depth));
        assert_eq!(measure(&nested(199)), Nesting::Bounded);
        assert_eq!(measure(&nested(200)), Nesting::Wrong(203, "too many nested brackets"));
        assert_eq!(measure(&nested(100_000)), Nesting::Wrong(203, "too many nested brackets"));
        let blocks = |depth: usize| (0..=depth).map(|at| " ".repeat(at) + "if x:\n").collect::<String>();
        assert!(matches!(measure(&blocks(100)), Nesting::Wrong(_, "too many levels of indentation")));
        assert_eq!(measure(&blocks(99)), Nesting::Bounded);
    }

    #[test]
    fn brackets_that_do_not_match_are_told_where_they_stand() {
        assert_eq!(measure("x = (1]\n"), Nesting::Wrong(6, "the bracket does not match the one it closes"));
        assert_eq!(measure("x = 1)\n"), Nesting::Wrong(5, "there is no bracket for this one to close"));
        assert_eq!(measure("y\nx = (1\n"), Nesting::Wrong(6, "the bracket is never closed"));
    }

    #[test]
    fn of_a_file_with_something_that_is_no_token_a_bounded_beginning_is_parsed() {
        assert_eq!(measure("x = $\n"), Nesting::Broken(6));
        for source in [format!("x = $\n{}", "(".repeat(100_000)), format!("x = é?\n{}", "(]".repeat(100_000))] {
            let Nesting::Broken(end) = measure(&source) else { panic!("{:?}", measure(&source)) };
            assert!(end > 6 && end < 1000, "{end}");
        }
    }

    #[test]
    fn chains_without_brackets_are_deep() {
        for link in ["not ", "-", "lambda: ", "lambda a, b: ", "1 if x else ", "2 ** ", "x[1, 2].a(3, 4).", "1 + "] {
            let of = |count: usize| format!("x = {}x\n", link.repeat(count));
            assert_eq!(measure(&of(300)), Nesting::Bounded, "{link}");
            assert_eq!(measure(&of(100_000)), Nesting::TooDeep, "{link}");
        }
    }
}
