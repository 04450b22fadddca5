//! Who asks, and whether they may.

mod endpoint;
mod token;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::header::{AUTHORIZATION, WWW_AUTHENTICATE};
use http::{HeaderMap, Method, StatusCode};

use self::token::Claims;
pub(super) use self::token::Signer;
use super::account::{Account, Action};
use super::refusal::{self, Refusal};
use super::route::{Place, Query};
use super::settings::{Access, RegistrySettings};
use super::{Incoming, RegistryServer};

/// Who sent a request.
#[derive(Debug, Clone)]
pub(super) enum Caller {
    /// Anyone, in a registry that asks nobody.
    Anyone,
    /// Nobody that is known.
    Anonymous,
    /// An account.
    Known(Account),
    /// The bearer of a token.
    Bearer(Claims),
}

impl RegistryServer {
    /// Finds out who asks, and refuses what they may not do.
    pub(super) fn admit(&self, request: &Incoming) -> Result<Caller, Refusal> {
        let caller = self.caller(&request.headers).map_err(|reason| self.challenge(request, Some(reason)))?;
        let allowed = match &request.place {
            Place::Base => !matches!(caller, Caller::Anonymous),
            Place::Catalog => Self::may_list_repositories(&caller),
            place => match place.repository() {
                Some(repository) => {
                    needed(&request.method, place).iter().all(|action| self.is_allowed(&caller, *action, repository))
                }
                None => true,
            },
        };
        if allowed {
            return Ok(caller);
        }
        match caller {
            Caller::Anyone | Caller::Known(_) => Err(refusal::denied("the account may not do this in this repository")),
            Caller::Anonymous => Err(self.challenge(request, None)),
            Caller::Bearer(_) => Err(self.challenge(request, Some("insufficient_scope"))),
        }
    }

    pub(super) fn is_allowed(&self, caller: &Caller, action: Action, repository: &str) -> bool {
        let anonymous = action == Action::Pull && self.settings.anonymous_pull;
        match caller {
            Caller::Anyone => true,
            Caller::Anonymous => anonymous,
            Caller::Known(account) => anonymous || account.is_allowed(action, repository),
            Caller::Bearer(claims) => claims.allow("repository", repository, action.name()),
        }
    }

    fn may_list_repositories(caller: &Caller) -> bool {
        match caller {
            Caller::Anyone => true,
            Caller::Anonymous => false,
            Caller::Known(account) => account.may_list_repositories(),
            Caller::Bearer(claims) => claims.allow("registry", "catalog", "*"),
        }
    }

    /// Who sent it; an error names what is wrong with the credential in the words of RFC 6750.
    fn caller(&self, headers: &HeaderMap) -> Result<Caller, &'static str> {
        let tokens = match &self.settings.access {
            Access::Open => return Ok(Caller::Anyone),
            Access::Basic => None,
            Access::Token(tokens) => Some(tokens),
        };
        let Some(header) = headers.get(AUTHORIZATION) else { return Ok(Caller::Anonymous) };
        let header = header.to_str().map_err(|_| "invalid_request")?;
        let (scheme, credential) = header.split_once(' ').ok_or("invalid_request")?;
        if scheme.eq_ignore_ascii_case("bearer") && tokens.is_some() {
            let claims = self.signer.verify_access(credential.trim(), self.runtime.now()).ok_or("invalid_token")?;
            return Ok(Caller::Bearer(claims));
        }
        if scheme.eq_ignore_ascii_case("basic") && tokens.is_none_or(|tokens| tokens.basic_too) {
            let (name, password) = basic(credential).ok_or("invalid_request")?;
            return self.account(&name, &password).map(Caller::Known).ok_or("invalid_token");
        }
        Err("invalid_request")
    }

    fn account(&self, name: &str, password: &str) -> Option<Account> {
        self.settings.accounts.iter().find(|account| account.name == name && account.password.is(password)).cloned()
    }

    /// A 401 that tells how to prove who one is, and for what.
    fn challenge(&self, request: &Incoming, error: Option<&str>) -> Refusal {
        let refusal = Refusal::new(StatusCode::UNAUTHORIZED, "UNAUTHORIZED", "authentication required");
        let challenge = match &self.settings.access {
            Access::Open => return refusal,
            Access::Basic => format!("Basic realm=\"{}/\",service=\"ecr.amazonaws.com\"", request.origin),
            Access::Token(tokens) => {
                let own = format!("{}{}", request.origin, tokens.path);
                let mut challenge = format!(
                    "Bearer realm=\"{}\",service=\"{}\"",
                    tokens.realm.as_ref().unwrap_or(&own),
                    tokens.service
                );
                if let Some(scope) = scope(&request.method, &request.place) {
                    challenge = format!("{challenge},scope=\"{scope}\"");
                }
                if let Some(error) = error {
                    challenge = format!("{challenge},error=\"{error}\"");
                }
                challenge
            }
        };
        let refusal = refusal.header(WWW_AUTHENTICATE, &challenge);
        match &request.place {
            place if place.repository().is_some() => {
                let actions: Vec<_> = needed(&request.method, place).iter().map(|action| action.name()).collect();
                refusal
                    .detail(serde_json::json!([{"Type": "repository", "Name": place.repository(), "Actions": actions}]))
            }
            _ => refusal,
        }
    }
}

impl RegistrySettings {
    pub(super) const fn tokens(&self) -> Option<&super::settings::TokenSettings> {
        match &self.access {
            Access::Token(tokens) => Some(tokens),
            Access::Open | Access::Basic => None,
        }
    }
}

/// What a request needs. To push is also to pull, as the distribution project asks; an upload is pushed in any method.
fn needed(method: &Method, place: &Place) -> &'static [Action] {
    match (place, method.as_str()) {
        // The signature is its credential.
        (Place::Storage { .. }, _) => &[],
        (Place::Upload { .. } | Place::Uploads { .. }, _) | (_, "PUT" | "POST" | "PATCH") => {
            &[Action::Pull, Action::Push]
        }
        (_, "DELETE") => &[Action::Delete],
        _ => &[Action::Pull],
    }
}

fn scope(method: &Method, place: &Place) -> Option<String> {
    if *place == Place::Catalog {
        return Some("registry:catalog:*".to_owned());
    }
    let actions: Vec<_> = needed(method, place).iter().map(|action| action.name()).collect();
    Some(format!("repository:{}:{}", place.repository()?, actions.join(",")))
}

fn basic(credential: &str) -> Option<(String, String)> {
    let decoded = String::from_utf8(STANDARD.decode(credential.trim()).ok()?).ok()?;
    decoded.split_once(':').map(|(name, password)| (name.to_owned(), password.to_owned()))
}

/// Where a request of the token service begins.
pub(super) fn is_token_request(settings: &RegistrySettings, place: &Place) -> bool {
    let Place::Other(path) = place else { return false };
    settings.tokens().is_some_and(|tokens| tokens.path == *path || tokens.exchange.as_ref() == Some(path))
}

/// The scopes that a token request names: several parameters, or several in one with spaces between them.
fn scopes(query: &Query) -> Vec<String> {
    query.all("scope").flat_map(|scope| scope.split(' ')).filter(|scope| !scope.is_empty()).map(str::to_owned).collect()
}
