//! What a registry answers to a request without credentials: `WWW-Authenticate` (RFC 9110, section 11.6.1). Headers of
//! servers that nobody vouches for, so everything is bounded and what is ambiguous is no challenge.

use std::collections::BTreeMap;

use http::HeaderMap;
use http::header::WWW_AUTHENTICATE;

const LONGEST: usize = 8 << 10;
const MOST: usize = 16;

/// How the registry wants to be convinced.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Challenge {
    /// By a user and a password.
    Basic,
    /// By a token of this realm.
    Bearer { realm: String, service: Option<String> },
}

impl Challenge {
    /// The one that we follow: a token where one is offered, else a password.
    pub(super) fn choose(headers: &HeaderMap) -> Option<Self> {
        let mut basic = false;
        for value in headers.get_all(WWW_AUTHENTICATE).iter().take(MOST) {
            let Some(text) = value.to_str().ok().filter(|text| text.len() <= LONGEST) else { continue };
            for (scheme, mut parameters) in parse(text).unwrap_or_default() {
                match scheme.as_str() {
                    "bearer" => {
                        if let Some(realm) = parameters.remove("realm") {
                            return Some(Self::Bearer { realm, service: parameters.remove("service") });
                        }
                    }
                    "basic" => basic = true,
                    _ => {}
                }
            }
        }
        basic.then_some(Self::Basic)
    }
}

type Parsed = Vec<(String, BTreeMap<String, String>)>;

/// Schemes with their parameters, both with their names in lower case. `None` for what is none, and for a parameter that
/// is there twice: two readers could take two different ones.
fn parse(text: &str) -> Option<Parsed> {
    let mut challenges: Parsed = Vec::new();
    let mut rest = text.trim_start_matches([' ', '\t', ',']);
    while !rest.is_empty() {
        if challenges.len() > MOST {
            return None;
        }
        let (word, after) = token(rest)?;
        let trimmed = after.trim_start_matches([' ', '\t']);
        if let Some(value) = trimmed.strip_prefix('=').filter(|_| !challenges.is_empty()) {
            let value = value.trim_start_matches([' ', '\t']);
            let (value, after) = match value.strip_prefix('"') {
                Some(quoted) => unquote(quoted)?,
                None => token(value).map(|(value, after)| (value.to_owned(), after))?,
            };
            let (_, parameters) = challenges.last_mut()?;
            if parameters.insert(word.to_ascii_lowercase(), value).is_some() {
                return None;
            }
            rest = separated(after)?;
        } else {
            challenges.push((word.to_ascii_lowercase(), BTreeMap::new()));
            // A scheme is followed by its parameters, by a comma, or by nothing.
            rest = if after.is_empty() || after.starts_with([' ', '\t', ',']) {
                trimmed.trim_start_matches([' ', '\t', ','])
            } else {
                return None;
            };
        }
    }
    Some(challenges)
}

fn token(text: &str) -> Option<(&str, &str)> {
    let holds = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
    let end = text.bytes().position(|byte| !holds(byte)).unwrap_or(text.len());
    (end > 0).then(|| text.split_at(end))
}

/// The text of a quoted string, and what follows it.
fn unquote(text: &str) -> Option<(String, &str)> {
    let mut value = String::new();
    let mut symbols = text.char_indices();
    while let Some((at, symbol)) = symbols.next() {
        match symbol {
            '"' => return Some((value, &text[at + 1..])),
            '\\' => value.push(symbols.next()?.1),
            symbol if symbol.is_control() => return None,
            symbol => value.push(symbol),
        }
    }
    None
}

/// What follows a parameter: nothing, or a comma and more.
fn separated(after: &str) -> Option<&str> {
    let trimmed = after.trim_start_matches([' ', '\t']);
    if trimmed.is_empty() || trimmed.starts_with(',') {
        Some(trimmed.trim_start_matches([' ', '\t', ',']))
    } else {
        None
    }
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;
    use proptest::prelude::*;

    use super::*;

    fn choose(values: &[&str]) -> Option<Challenge> {
        let mut headers = HeaderMap::new();
        for value in values {
            headers.append(WWW_AUTHENTICATE, HeaderValue::from_str(value).expect("a header"));
        }
        Challenge::choose(&headers)
    }

    fn bearer(realm: &str, service: Option<&str>) -> Challenge {
        Challenge::Bearer { realm: realm.to_owned(), service: service.map(str::to_owned) }
    }

    #[test]
    fn the_challenges_of_real_registries_are_understood() {
        assert_eq!(
            choose(&[r#"Bearer realm="https://auth.docker.io/token",service="registry.docker.io",scope="a,b""#]),
            Some(bearer("https://auth.docker.io/token", Some("registry.docker.io")))
        );
        assert_eq!(
            choose(&[r#"bearer Realm="https://r.example/t" , error=invalid_token"#]),
            Some(bearer("https://r.example/t", None))
        );
        assert_eq!(
            choose(&[r#"Basic realm="https://x.dkr.ecr.example/",service="ecr.amazonaws.com""#]),
            Some(Challenge::Basic)
        );
        assert_eq!(
            choose(&["Basic", r#"Bearer realm="https://r.example/t""#]),
            Some(bearer("https://r.example/t", None))
        );
        assert_eq!(
            choose(&[r#"Basic realm="r", Bearer realm="https://r.example/t",service=s"#]),
            Some(bearer("https://r.example/t", Some("s")))
        );
        assert_eq!(choose(&[r#"Bearer realm="a\"b""#]), Some(bearer("a\"b", None)));
    }

    #[test]
    fn what_is_ambiguous_broken_or_unknown_is_no_challenge() {
        for text in [
            "",
            "Bearer",
            "Bearer service=s",
            r#"Bearer realm="https://a.example",realm="https://b.example""#,
            r#"Bearer realm="https://a.example"#,
            r"Bearer realm=https://a.example",
            r#"Bearer realm="a" service="b""#,
            "realm=\"https://a.example\"",
            "Negotiate, NTLM",
            "=;=",
        ] {
            assert_eq!(choose(&[text]), None, "{text}");
        }
        assert_eq!(choose(&[&format!(r#"Bearer realm="{}""#, "a".repeat(LONGEST))]), None);
    }

    proptest! {
        #[test]
        fn no_header_makes_it_panic_or_hang(text in "[ -~]{0,200}") {
            choose(&[&text]);
        }

        #[test]
        fn every_realm_that_is_quoted_is_read_back(realm in "[ -~]{1,60}") {
            let quoted = realm.replace('\\', "\\\\").replace('"', "\\\"");
            prop_assert_eq!(choose(&[&format!("Bearer realm=\"{quoted}\", service=s")]), Some(bearer(&realm, Some("s"))));
        }
    }
}
