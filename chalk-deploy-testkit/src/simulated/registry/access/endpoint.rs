//! The token service: `GET` with a name and a password (Docker's "Token Authentication Specification"), `POST` with an
//! `OAuth2` form, and the exchange of a cloud's token for a refresh token, as ACR does.

use chalk_deploy_core::cloud::ByteStream;
use http::header::{AUTHORIZATION, WWW_AUTHENTICATE};
use http::{Method, StatusCode};
use serde_json::json;

use super::token::Entry;
use super::{basic, scopes};
use crate::simulated::http::{json as json_answer, read_body};
use crate::simulated::registry::account::{Account, Action};
use crate::simulated::registry::refusal::{self, Answer, Refusal};
use crate::simulated::registry::route::{Place, Query};
use crate::simulated::registry::settings::TokenSettings;
use crate::simulated::registry::{Incoming, RegistryServer};

/// A form is never longer.
const LONGEST_FORM: usize = 64 * 1024;

/// The name with which a refresh token is given as a password.
const REFRESH_TOKEN_NAME: &str = "00000000-0000-0000-0000-000000000000";

impl RegistryServer {
    pub(in crate::simulated::registry) async fn token(&self, request: &Incoming, body: ByteStream) -> Answer {
        let Some(tokens) = self.settings.tokens() else { return Err(refusal::not_found("there are no tokens here")) };
        let exchange = matches!(&request.place, Place::Other(path) if tokens.exchange.as_ref() == Some(path));
        match (&request.method, exchange) {
            (&Method::GET, false) => self.token_for_password(request, tokens),
            (&Method::POST, exchange) => {
                let form = read_body(body, LONGEST_FORM)
                    .await
                    .map_err(|status| Refusal::new(status, "UNAUTHORIZED", "the form cannot be read"))?;
                let form = Query::form(&form);
                if exchange { self.exchange(tokens, &form) } else { self.token_for_form(tokens, &form) }
            }
            _ => Err(refusal::unsupported("the token service takes GET and POST")),
        }
    }

    fn token_for_password(&self, request: &Incoming, tokens: &TokenSettings) -> Answer {
        let account = match request.headers.get(AUTHORIZATION) {
            None => None,
            Some(header) => {
                let credential = header.to_str().ok().and_then(|text| text.split_once(' '));
                let (name, password) = credential
                    .filter(|(scheme, _)| scheme.eq_ignore_ascii_case("basic"))
                    .and_then(|(_, credential)| basic(credential))
                    .ok_or_else(|| Self::wrong_password(request))?;
                let known = if name == REFRESH_TOKEN_NAME {
                    self.account_of_refresh_token(&password)
                } else {
                    self.account(&name, &password)
                };
                Some(known.ok_or_else(|| Self::wrong_password(request))?)
            }
        };
        let offline = request.query.get("offline_token") == Some("true");
        Ok(self.granted(tokens, account.as_ref(), &scopes(&request.query), offline))
    }

    fn token_for_form(&self, tokens: &TokenSettings, form: &Query) -> Answer {
        let field = |name| form.get(name).unwrap_or_default();
        let account = match field("grant_type") {
            "password" => self.account(field("username"), field("password")),
            "refresh_token" => self.account_of_refresh_token(field("refresh_token")),
            _ => return Err(Refusal::new(StatusCode::BAD_REQUEST, "UNSUPPORTED", "the grant type is not supported")),
        };
        let account =
            account.ok_or_else(|| Refusal::new(StatusCode::UNAUTHORIZED, "UNAUTHORIZED", "authentication required"))?;
        let offline = field("access_type") == "offline" || field("grant_type") == "refresh_token";
        Ok(self.granted(tokens, Some(&account), &scopes(form), offline))
    }

    fn exchange(&self, tokens: &TokenSettings, form: &Query) -> Answer {
        let field = |name| form.get(name).unwrap_or_default();
        let account = match field("grant_type") {
            "access_token" | "access_token_refresh_token" => {
                self.settings.accounts.iter().find(|account| account.password.is(field("access_token")))
            }
            _ => return Err(Refusal::new(StatusCode::BAD_REQUEST, "UNSUPPORTED", "the grant type is not supported")),
        };
        let account =
            account.ok_or_else(|| Refusal::new(StatusCode::UNAUTHORIZED, "UNAUTHORIZED", "authentication required"))?;
        let token = self.signer.refresh(&account.name, &tokens.service, self.runtime.now());
        Ok(json_answer(StatusCode::OK, &json!({"refresh_token": token})))
    }

    /// An answer with a token for what of the scopes the account may do, which can be less than was asked for.
    fn granted(
        &self,
        tokens: &TokenSettings,
        account: Option<&Account>,
        scopes: &[String],
        offline: bool,
    ) -> http::Response<ByteStream> {
        let now = self.runtime.now();
        let access: Vec<_> = scopes.iter().filter_map(|scope| self.entry(account, scope)).collect();
        let name = account.map_or("", |account| &account.name);
        let token = self.signer.access(name, &tokens.service, access, now, tokens.lifetime);
        let mut answer = json!({
            "token": token, "access_token": token, "expires_in": tokens.lifetime.as_secs(), "issued_at": now.to_string(),
        });
        if let (Some(account), true, Some(answer)) = (account, offline, answer.as_object_mut()) {
            let refresh = self.signer.refresh(&account.name, &tokens.service, now);
            answer.insert("refresh_token".to_owned(), refresh.into());
        }
        json_answer(StatusCode::OK, &answer)
    }

    /// What an account gets of one scope: `repository:<name>:<actions>` or `registry:catalog:*`.
    fn entry(&self, account: Option<&Account>, scope: &str) -> Option<Entry> {
        let (kind, rest) = scope.split_once(':')?;
        let (name, actions) = rest.rsplit_once(':')?;
        // Of old, a kind may have a class: `repository(plugin)`.
        let kind = kind.split('(').next()?;
        let allowed = |action: &str| match (kind, Action::named(action)) {
            ("repository", Some(action)) => {
                action == Action::Pull && self.settings.anonymous_pull
                    || account.is_some_and(|account| account.is_allowed(action, name))
            }
            _ => false,
        };
        let actions: Vec<String> = match (kind, name, actions) {
            ("registry", "catalog", "*") if account.is_some_and(Account::may_list_repositories) => vec!["*".to_owned()],
            ("repository", _, "*") => {
                ["pull", "push", "delete"].into_iter().filter(|action| allowed(action)).map(str::to_owned).collect()
            }
            _ => actions.split(',').filter(|action| allowed(action)).map(str::to_owned).collect(),
        };
        (!actions.is_empty()).then(|| Entry { kind: kind.to_owned(), name: name.to_owned(), actions })
    }

    fn account_of_refresh_token(&self, token: &str) -> Option<Account> {
        let claims = self.signer.verify_refresh(token, self.runtime.now())?;
        self.settings.accounts.iter().find(|account| account.name == claims.sub).cloned()
    }

    fn wrong_password(request: &Incoming) -> Refusal {
        Refusal::new(StatusCode::UNAUTHORIZED, "UNAUTHORIZED", "the name or the password is wrong")
            .header(WWW_AUTHENTICATE, &format!("Basic realm=\"{}/\"", request.origin))
    }
}
