//! Tokens: what a realm gives for credentials, for a while, for some repositories.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::Deserialize;
use serde_json::Value;

use crate::credentials::Secret;
use crate::{Error, ErrorCode, Result};

/// What the distribution project's specification assumes when a realm does not say.
const USUAL: Duration = Duration::from_mins(1);
/// A token is not trusted for longer than this, whatever its realm says.
const LONGEST: Duration = Duration::from_hours(12);
/// Before it ends, a token is renewed this long, or a tenth of its life if that is shorter: a request on its way takes
/// time too.
const AHEAD: Duration = Duration::from_secs(30);
const MOST_KEPT: usize = 256;
/// No token is longer; servers refuse headers of 16 KiB and more.
const LONGEST_TOKEN: usize = 12 << 10;

/// What is done to a repository. Each includes the one before.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) enum Access {
    Pull,
    Push,
    Delete,
}

/// A repository and what is done to it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct Scope {
    pub(super) path: String,
    pub(super) access: Access,
}

impl Scope {
    /// As the parameter `scope`.
    pub(super) fn text(&self) -> String {
        let actions = match self.access {
            Access::Pull => "pull",
            Access::Push => "pull,push",
            Access::Delete => "delete,pull,push",
        };
        format!("repository:{}:{actions}", self.path)
    }
}

/// For which registry tokens are, from whom, and for which service.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Issuer {
    /// The origin of the registry.
    pub(super) registry: String,
    pub(super) realm: String,
    pub(super) service: Option<String>,
}

struct Token {
    secret: Secret,
    scopes: Vec<Scope>,
    renew_at: Duration,
}

/// The tokens that are still good.
#[derive(Default)]
pub(super) struct Tokens(BTreeMap<Issuer, Vec<Token>>);

impl Tokens {
    /// A token that is good for all of these scopes and need not be renewed yet.
    pub(super) fn find(&self, issuer: &Issuer, scopes: &[Scope], now: Duration) -> Option<&Secret> {
        let covers = |token: &&Token| {
            let allows = |scope: &Scope| {
                token.scopes.iter().any(|granted| granted.path == scope.path && granted.access >= scope.access)
            };
            now < token.renew_at && scopes.iter().all(allows)
        };
        self.0.get(issuer)?.iter().find(covers).map(|token| &token.secret)
    }

    pub(super) fn keep(&mut self, issuer: Issuer, scopes: Vec<Scope>, granted: &Granted, now: Duration) {
        for tokens in self.0.values_mut() {
            tokens.retain(|token| now < token.renew_at);
        }
        self.0.retain(|_, tokens| !tokens.is_empty());
        if self.0.values().map(Vec::len).sum::<usize>() >= MOST_KEPT {
            self.0.clear();
        }
        let renew_at = now + granted.lasts.saturating_sub(AHEAD.min(granted.lasts / 10));
        let tokens = self.0.entry(issuer).or_default();
        tokens.retain(|token| token.scopes != scopes);
        tokens.push(Token { secret: granted.secret.clone(), scopes, renew_at });
    }

    /// Forgets a token that was refused.
    pub(super) fn forget(&mut self, secret: &str) {
        for tokens in self.0.values_mut() {
            tokens.retain(|token| token.secret.expose() != secret);
        }
    }
}

/// A realm's answer.
pub(super) struct Granted {
    pub(super) secret: Secret,
    lasts: Duration,
}

impl Granted {
    /// Reads `{"token" or "access_token": …, "expires_in": seconds}`.
    pub(super) fn read(body: &[u8], realm: &str) -> Result<Self> {
        #[derive(Deserialize)]
        struct Answer {
            token: Option<String>,
            access_token: Option<String>,
            expires_in: Option<Value>,
        }
        let invalid = |message: &str| Error::new(ErrorCode::CloudAnswerInvalid, message).on(format!("realm {realm}"));
        // The parser's error may quote what it read, and so a token.
        let answer: Answer = serde_json::from_slice(body).map_err(|_| invalid("the realm's answer is no token"))?;
        let token = answer
            .token
            .filter(|token| !token.is_empty())
            .or(answer.access_token)
            .ok_or_else(|| invalid("the realm's answer holds no token"))?;
        if token.is_empty() || token.len() > LONGEST_TOKEN || !token.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err(invalid("the realm's answer holds something that cannot be a token"));
        }
        let lasts = answer.expires_in.as_ref().and_then(Value::as_u64).map_or(USUAL, Duration::from_secs);
        Ok(Self { secret: Secret::new(token), lasts: lasts.min(LONGEST) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scope(path: &str, access: Access) -> Scope {
        Scope { path: path.to_owned(), access }
    }

    fn granted(text: &str) -> Granted {
        Granted::read(text.as_bytes(), "r").expect("a token")
    }

    #[test]
    fn a_token_serves_what_it_was_granted_for_and_less_until_shortly_before_it_ends() {
        let mut tokens = Tokens::default();
        let issuer = Issuer {
            registry: "https://r.example".to_owned(),
            realm: "https://r.example/".to_owned(),
            service: Some("s".to_owned()),
        };
        let start = Duration::from_secs(100);
        let granted = granted(r#"{"token":"t","expires_in":300}"#);
        tokens.keep(issuer.clone(), vec![scope("a", Access::Push), scope("b", Access::Pull)], &granted, start);
        let has =
            |scopes: &[Scope], after: u64| tokens.find(&issuer, scopes, start + Duration::from_secs(after)).is_some();
        assert!(has(&[scope("a", Access::Pull)], 0) && has(&[scope("a", Access::Push), scope("b", Access::Pull)], 0));
        assert!(!has(&[scope("b", Access::Push)], 0) && !has(&[scope("a", Access::Delete)], 0));
        assert!(!has(&[scope("c", Access::Pull)], 0));
        assert!(has(&[scope("a", Access::Pull)], 269) && !has(&[scope("a", Access::Pull)], 270));
        for other in [
            Issuer { service: None, ..issuer.clone() },
            Issuer { registry: "https://evil.example".to_owned(), ..issuer.clone() },
            Issuer { realm: "https://evil.example/".to_owned(), ..issuer.clone() },
        ] {
            assert!(tokens.find(&other, &[scope("a", Access::Pull)], start).is_none());
        }
        tokens.forget("t");
        assert!(tokens.find(&issuer, &[scope("a", Access::Pull)], start).is_none());
    }

    #[test]
    fn lives_that_make_no_sense_are_made_to() {
        let lasts = |text: &str| granted(text).lasts.as_secs();
        assert_eq!(lasts(r#"{"token":"t"}"#), 60);
        assert_eq!(lasts(r#"{"access_token":"t","expires_in":-5}"#), 60);
        assert_eq!(lasts(r#"{"token":"t","expires_in":"soon"}"#), 60);
        assert_eq!(lasts(r#"{"token":"t","expires_in":18446744073709551615}"#), 12 * 3600);
    }

    #[test]
    fn an_answer_without_a_usable_token_is_refused_and_not_quoted() {
        for text in [
            "",
            "[]",
            "{}",
            r#"{"token":""}"#,
            r#"{"token":"sec ret"}"#,
            r#"{"token":"sec\r\nret"}"#,
            r#"{"token":7,"x":"secret"}"#,
        ] {
            let error = Granted::read(text.as_bytes(), "r").err().expect("no token");
            assert_eq!(error.code(), ErrorCode::CloudAnswerInvalid);
            assert!(!error.sentence().contains("ret"), "{}", error.sentence());
        }
        assert!(Granted::read(format!(r#"{{"token":"{}"}}"#, "a".repeat(LONGEST_TOKEN + 1)).as_bytes(), "r").is_err());
    }

    #[test]
    fn the_cache_does_not_grow_without_end() {
        let mut tokens = Tokens::default();
        for number in 0..2000 {
            let granted = granted(r#"{"token":"t","expires_in":300}"#);
            let issuer = Issuer { registry: "r".to_owned(), realm: format!("{number}"), service: None };
            tokens.keep(issuer, Vec::new(), &granted, Duration::ZERO);
        }
        assert!(tokens.0.len() <= MOST_KEPT);
    }
}
