//! Secrets taken out of lines that strangers wrote, before anything is kept or shown.
//!
//! No list of forms is complete, so this is the last of three lines of defence: a build is given no secret that it need
//! not have, the program that runs it prints none, and what still looks like one does not get into a journal. What goes
//! for one here: the value of whatever is called a password, a token or a signature; what follows `Bearer` and `Basic`;
//! the user of a URL; tokens that announce themselves by their first letters (AWS, GitHub, GitLab, Google, Slack, JSON
//! web tokens); private keys; and long runs of letters and digits as random as only keys are. Digests are hexadecimal,
//! and stay.

/// What stands in the place of a secret.
pub(super) const REDACTED: &str = "[redacted]";

/// What the names of secrets end with, in small letters and without what joins words.
const NAMES: &[&str] = &[
    "password",
    "passwd",
    "passphrase",
    "secret",
    "token",
    "apikey",
    "accesskey",
    "accesskeyid",
    "accountkey",
    "privatekey",
    "secretkey",
    "credential",
    "credentials",
    "signature",
    "authorization",
    "sharedaccesssignature",
];

/// Names that are secrets only when they are the whole name.
const WHOLE_NAMES: &[&str] = &["sig", "pwd", "auth", "pass"];

/// What parsers complain about by the same words.
const WORDS: &[&str] = &["token", "signature"];

/// The first letters of tokens, and how many more letters a token has at least.
const PREFIXES: &[(&str, usize)] = &[
    ("AKIA", 16),
    ("ASIA", 16),
    ("ghp_", 20),
    ("gho_", 20),
    ("ghu_", 20),
    ("ghs_", 20),
    ("ghr_", 20),
    ("github_pat_", 20),
    ("glpat-", 16),
    ("xoxb-", 10),
    ("xoxp-", 10),
    ("xapp-", 10),
    ("AIza", 30),
    ("ya29.", 20),
    ("eyJ", 20),
    ("sk-", 20),
];

/// Shorter runs are no keys, or cannot be told from words.
const RANDOM_LEAST: usize = 40;

/// So much of a text is looked at; the rest is left out.
const TEXT_MOST: usize = 16 << 10;

/// The beginning of a text without what looks like a secret.
pub(super) fn redacted(text: &str) -> String {
    let text = &text[..text.floor_char_boundary(TEXT_MOST)];
    let mut kept = String::with_capacity(text.len());
    let mut rest = text;
    // A run with slashes is looked at once, and its words each for itself: names and paths stand in it. Up to this
    // length of the rest it was.
    let mut looked_to = usize::MAX;
    while let Some(first) = rest.chars().next() {
        let at_word = !kept.chars().next_back().is_some_and(is_word);
        if let Some(begin) = rest.strip_prefix("-----BEGIN ")
            && begin.split('\n').next().is_some_and(|line| line.contains("PRIVATE KEY"))
        {
            kept.push_str(REDACTED);
            rest = match rest.find("-----END ") {
                Some(end) => {
                    let end = &rest[end + "-----END ".len()..];
                    end.find("-----").map_or("", |at| &end[at + 5..])
                }
                None => "",
            };
        } else if let Some(after) = user_of_url(rest) {
            kept.push_str("://");
            kept.push_str(REDACTED);
            rest = after;
        } else if at_word && let Some((scheme, after)) = scheme(rest) {
            kept.push_str(scheme);
            kept.push_str(REDACTED);
            rest = after;
        } else if at_word && let Some(after) = announced(rest) {
            kept.push_str(REDACTED);
            rest = after;
        } else if at_word && let Some((name, after)) = named(rest) {
            kept.push_str(name);
            kept.push_str(REDACTED);
            rest = after;
        } else if at_word && is_word(first) {
            let mut run = run_of(rest, is_word);
            if rest.len() <= looked_to {
                let longer = run_of(rest, |symbol| is_word(symbol) || "+/=".contains(symbol));
                looked_to = rest.len() - longer.len();
                if is_random(longer) {
                    run = longer;
                }
            }
            kept.push_str(if is_random(run) { REDACTED } else { run });
            rest = &rest[run.len()..];
        } else {
            kept.push(first);
            rest = &rest[first.len_utf8()..];
        }
    }
    kept
}

fn is_word(symbol: char) -> bool {
    symbol.is_ascii_alphanumeric() || matches!(symbol, '_' | '-')
}

fn run_of(text: &str, holds: impl Fn(char) -> bool) -> &str {
    &text[..text.find(|symbol| !holds(symbol)).unwrap_or(text.len())]
}

/// `://user:password@host` from the colon on.
fn user_of_url(text: &str) -> Option<&str> {
    let rest = text.strip_prefix("://")?;
    let authority = run_of(rest, |symbol| !symbol.is_whitespace() && !"/?#\"'".contains(symbol));
    let at = authority.rfind('@')?;
    Some(&rest[at..])
}

/// `Bearer …` and `Basic …`.
fn scheme(text: &str) -> Option<(&str, &str)> {
    for scheme in ["bearer ", "basic "] {
        if text.get(..scheme.len()).is_some_and(|begin| begin.eq_ignore_ascii_case(scheme)) {
            let rest = &text[scheme.len()..];
            let credential = run_of(rest, |symbol| is_word(symbol) || ".+/=~%".contains(symbol));
            if credential.len() >= 8 {
                return Some((&text[..scheme.len()], &rest[credential.len()..]));
            }
        }
    }
    None
}

/// A token that announces itself: what follows it.
fn announced(text: &str) -> Option<&str> {
    PREFIXES.iter().find_map(|(prefix, least)| {
        let rest = text.strip_prefix(prefix)?;
        let run = run_of(rest, |symbol| is_word(symbol) || symbol == '.');
        (run.len() >= *least).then(|| &rest[run.len()..])
    })
}

/// A name with its value: up to the value, and what follows it.
fn named(text: &str) -> Option<(&str, &str)> {
    let name = run_of(text, is_word);
    let plain: String =
        name.chars().filter(char::is_ascii_alphanumeric).map(|symbol| symbol.to_ascii_lowercase()).collect();
    if !NAMES.iter().any(|ending| plain.ends_with(ending)) && !WHOLE_NAMES.contains(&plain.as_str()) {
        return None;
    }
    let joined = run_of(&text[name.len()..], |symbol| "\"'\\ ".contains(symbol));
    let after = &text[name.len() + joined.len()..];
    let separator = after.chars().next().filter(|symbol| "=:".contains(*symbol))?;
    // `==` and `:=` compare and assign as well.
    let begin = run_of(after, |symbol| "=: ".contains(symbol));
    let quotes = run_of(&after[begin.len()..], |symbol| "\"'\\`".contains(symbol));
    let value_at = name.len() + joined.len() + begin.len() + quotes.len();
    let mut value = match quotes.chars().next_back() {
        Some(quote) if quote != '\\' => run_of(&text[value_at..], |symbol| symbol != quote && symbol != '\\'),
        _ => run_of(&text[value_at..], |symbol| !symbol.is_whitespace() && !"&,;\"'`".contains(symbol)),
    };
    // The credential follows its scheme.
    if ["bearer", "basic", "aws4-hmac-sha256", "negotiate"].iter().any(|scheme| value.eq_ignore_ascii_case(scheme)) {
        value = &text[value_at..];
    }
    let is_prose = separator == ':'
        && quotes.is_empty()
        && WORDS.contains(&plain.as_str())
        && value.chars().all(|symbol| symbol.is_ascii_lowercase());
    (!value.is_empty() && !is_prose).then(|| text.split_at(value_at)).map(|(name, rest)| (name, &rest[value.len()..]))
}

/// Whether a run is as mixed as only random letters are. Paths and names change between capitals, small letters and
/// digits far less often.
fn is_random(run: &str) -> bool {
    if run.len() < RANDOM_LEAST {
        return false;
    }
    let class = |symbol: char| match symbol {
        'a'..='z' => 0,
        'A'..='Z' => 1,
        '0'..='9' => 2,
        _ => 3,
    };
    let classes: Vec<_> = run.chars().map(class).collect();
    let changes = classes.windows(2).filter(|pair| pair[0] != pair[1]).count();
    // One letter in 64 of base64 is a slash; of a path it is about one in eight.
    let is_path = run.matches('/').count() * 16 > run.len();
    !is_path && (0..3).all(|class| classes.contains(&class)) && changes * 3 >= run.len()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn what_looks_like_a_secret_is_taken_out() {
        let key = "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY";
        for (line, secret) in [
            ("Authorization: Bearer abc.def-ghi_jkl", "abc.def"),
            ("authorization: basic dXNlcjpwYXNz", "dXNlcjpwYXNz"),
            ("PGPASSWORD=hunter2 psql", "hunter2"),
            ("password: hunter2", "hunter2"),
            ("{\"password\": \"hunter two\", \"user\": \"me\"}", "hunter two"),
            ("{\\\"client_secret\\\":\\\"hunter2\\\"}", "hunter2"),
            ("AWS_SECRET_ACCESS_KEY=short", "short"),
            ("export API_KEY='hunter2'", "hunter2"),
            ("https://me:hunter2@index.example/simple", "hunter2"),
            ("https://hunter2@index.example/simple", "hunter2"),
            ("GET /a?X-Amz-Credential=abc&X-Amz-Signature=0123456789abcdef&x=1", "0123456789abcdef"),
            ("GET https://a.blob.example/x?sv=2024&sig=abc%2Bdef", "abc%2Bdef"),
            ("X-Amz-Security-Token=FwoGZXIvYXdzEBY&b", "FwoGZXIvYXdzEBY"),
            ("found AKIAIOSFODNN7EXAMPLE in it", "AKIAIOSFODNN7EXAMPLE"),
            ("ghp_abcdefghijklmnopqrstuvwxyz0123456789", "abcdefghijkl"),
            ("eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.c2lnbmF0dXJl", "c2lnbmF0dXJl"),
            ("-----BEGIN RSA PRIVATE KEY-----\nabc\n-----END RSA PRIVATE KEY----- and more", "abc"),
            ("-----BEGIN PRIVATE KEY----- MIIEvQ", "MIIEvQ"),
            (key, key),
            ("token=abc", "abc"),
        ] {
            let shown = redacted(line);
            assert!(!shown.contains(secret) && shown.contains(REDACTED), "{line}: {shown}");
        }
    }

    #[test]
    fn what_stands_beside_a_secret_is_left() {
        assert_eq!(
            redacted("GET /a?X-Amz-Signature=0123&x=1 done, password='a b' user=me"),
            "GET /a?X-Amz-Signature=[redacted]&x=1 done, password='[redacted]' user=me"
        );
        assert_eq!(redacted("https://me:pw@host/a"), "https://[redacted]@host/a");
        assert_eq!(redacted("-----BEGIN PRIVATE KEY-----x-----END PRIVATE KEY----- end"), "[redacted] end");
    }

    #[test]
    fn words_paths_digests_and_addresses_are_left() {
        let digest = "sha256:9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08";
        for line in [
            "",
            "the source archive is 1.5 KiB, sha256:9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08",
            digest,
            "SyntaxError: unexpected token: expected",
            "/usr/local/lib/python3.11/dist-packages/VeryLongPackageName/SubPackage2/AnotherModule/SomeFile.py:12",
            "https://registry.example:5000/v2/chalk/engine/manifests/sha256:00",
            "a@example.org wrote it",
            "10 tokens were read; the secretary signed it",
            "über-länge \u{1F980}",
        ] {
            assert_eq!(redacted(line), line);
        }
    }

    proptest! {
        #[test]
        fn no_text_is_too_odd(text in "\\PC{0,200}") {
            redacted(&text);
        }

        #[test]
        fn a_named_secret_is_found_wherever_it_stands(before in "[a-z ]{0,20}", secret in "[A-Za-z0-9]{4,30}[0-9]") {
            for line in [
                format!("{before} password={secret} after"),
                format!("{before} \"access_token\": \"{secret}\"}}"),
                format!("{before} https://user:{secret}@host/x"),
            ] {
                let shown = redacted(&line);
                prop_assert!(!shown.contains(&secret), "{line}: {shown}");
            }
        }

        #[test]
        fn redacting_again_changes_nothing(text in "[ -~]{0,120}") {
            let once = redacted(&text);
            prop_assert_eq!(redacted(&once), once);
        }
    }
}
