//! Realms: who shows the right credential gets a token for what he asks, signed so that the registry can tell
//! (distribution's "Token Authentication Implementation": a JWT whose header holds the certificate).

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair};
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use chalk_deploy_core::cloud::ByteStream;
use chalk_deploy_core::model::Timestamp;
use chalk_deploy_core::runtime::{Runtime as _, SystemRuntime};
use http::request::Parts;
use http::{Method, Response, StatusCode};
use serde_json::{Value, json};

use super::Authentication;
use super::front::{Desk, header};
use crate::simulated::http::json as answer;

pub(super) const ISSUER: &str = "registry-tokens.example";
/// How long the program takes a token after its end (`Leeway` of its `registry/auth/token`).
const LEEWAY: Duration = Duration::from_mins(1);
/// How long every token is said to last.
const LIFE: Duration = Duration::from_mins(5);

/// What tokens are signed with: a certificate and its P-256 key, as DER and as DER of PKCS #8.
struct TokenKey {
    certificate: Vec<u8>,
    private_key: Vec<u8>,
}

/// How a client shows who it is.
#[derive(Debug, Clone)]
pub enum Flow {
    /// Artifact Registry: an access token of Google as the password of `oauth2accesstoken`, at `/v2/token`.
    AccessToken(String),
    /// Azure Container Registry: an access token of Entra ID is changed at `/oauth2/exchange` for a refresh token, and that at
    /// `/oauth2/token`.
    RefreshToken(String),
}

/// A realm.
pub struct TokenServer {
    key: TokenKey,
    flow: Flow,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    refresh_tokens: Vec<String>,
    /// The scopes of each token that was given.
    given: Vec<Vec<String>>,
    signed: u64,
    /// How long the next token is taken, if not for the usual time.
    short: Option<Duration>,
    /// When the short one is taken no more.
    ends: Option<Timestamp>,
}

impl TokenServer {
    /// Lets in who has the credential of this flow, by tokens that a key of its own signs.
    pub fn new(flow: Flow) -> Arc<Self> {
        let made = rcgen::generate_simple_self_signed(["127.0.0.1".to_owned()]).expect("a certificate");
        let key = TokenKey { certificate: made.cert.der().to_vec(), private_key: made.signing_key.serialize_der() };
        Arc::new(Self { key, flow, state: Mutex::default() })
    }

    /// How the registry is told of this realm.
    pub fn authentication(&self) -> Authentication {
        Authentication::Tokens { realm: self.realm(), certificate: self.key.certificate.clone() }
    }

    /// The scopes of each token that was given since this was asked last.
    pub fn given(&self) -> Vec<Vec<String>> {
        std::mem::take(&mut self.state().given)
    }

    /// How many refresh tokens were given so far.
    pub fn exchanges(&self) -> usize {
        self.state().refresh_tokens.len()
    }

    /// Makes the next token end sooner than is said of it, as one does whose realm has another clock than the registry.
    pub fn shorten_the_next(&self, life: Duration) {
        self.state().short = Some(life);
    }

    /// Waits until the registry takes the shortened token no more.
    pub async fn end_of_the_short_one(&self) {
        let runtime = SystemRuntime::new();
        let ends = self.state().ends.expect("it was given");
        runtime.sleep(ends.since(runtime.now()) + Duration::from_millis(50)).await;
    }

    const fn realm(&self) -> &'static str {
        match self.flow {
            Flow::AccessToken(_) => "/v2/token",
            Flow::RefreshToken(_) => "/oauth2/token",
        }
    }

    /// A refresh token for a token of Entra ID.
    fn exchange(&self, host: &str, form: &Asked, entra: &str) -> Response<ByteStream> {
        let wanted = [("grant_type", "access_token"), ("service", host), ("access_token", entra)];
        if !holds(form, &wanted) {
            return refusal();
        }
        let mut state = self.state();
        let end = seconds(SystemRuntime::new().now()) + LIFE.as_secs();
        let token = self.sign(&mut state, end, &json!({"aud": host, "grant_type": "refresh_token"}));
        state.refresh_tokens.push(token.clone());
        answer(StatusCode::OK, &json!({"refresh_token": token}))
    }

    /// A token for what is asked for.
    fn give(&self, host: &str, asked: &Asked) -> Response<ByteStream> {
        if !holds(asked, &[("service", host)]) {
            return answer(StatusCode::BAD_REQUEST, &json!({"error": "invalid_request"}));
        }
        let scopes: Vec<String> = all(asked, "scope").map(str::to_owned).collect();
        let access: Vec<Value> = scopes.iter().filter_map(|scope| access(scope)).collect();
        let mut state = self.state();
        let now = SystemRuntime::new().now();
        let end = if let Some(short) = state.short.take() {
            let taken_until = seconds(now.plus(short));
            state.ends = Some(Timestamp::from_millis(taken_until * 1000));
            taken_until - LEEWAY.as_secs()
        } else {
            seconds(now) + LIFE.as_secs()
        };
        let token = self.sign(&mut state, end, &json!({"aud": host, "sub": "deployer", "access": access}));
        state.given.push(scopes);
        let field = if matches!(self.flow, Flow::AccessToken(_)) { "token" } else { "access_token" };
        answer(StatusCode::OK, &json!({field: token, "expires_in": LIFE.as_secs()}))
    }

    /// Signs these claims with those that every token has (RFC 7515, RFC 7518 section 3.4).
    fn sign(&self, state: &mut State, end: u64, claims: &Value) -> String {
        state.signed += 1;
        let begin = end - LIFE.as_secs();
        let mut claims = claims.clone();
        for (name, value) in [
            ("iss", json!(ISSUER)),
            ("exp", json!(end)),
            ("nbf", json!(begin)),
            ("iat", json!(begin)),
            ("jti", json!(state.signed.to_string())),
        ] {
            claims[name] = value;
        }
        let head = json!({"typ": "JWT", "alg": "ES256", "x5c": [STANDARD.encode(&self.key.certificate)]});
        let [head, claims] = [head, claims].map(|part| URL_SAFE_NO_PAD.encode(part.to_string()));
        let signed = format!("{head}.{claims}");
        let key =
            EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &self.key.private_key).expect("a P-256 key");
        let signature = key.sign(&SystemRandom::new(), signed.as_bytes()).expect("signed");
        format!("{signed}.{}", URL_SAFE_NO_PAD.encode(signature))
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Desk for TokenServer {
    fn answer(&self, request: &Parts, body: &[u8]) -> Option<Response<ByteStream>> {
        let host = header(request, "host");
        let is_realm = request.uri.path() == self.realm();
        match (&self.flow, &request.method) {
            (Flow::AccessToken(token), &Method::GET) if is_realm => {
                let expected = format!("Basic {}", STANDARD.encode(format!("oauth2accesstoken:{token}")));
                if header(request, "authorization") != expected {
                    return Some(refusal());
                }
                Some(self.give(host, &pairs(request.uri.query().unwrap_or_default().as_bytes())))
            }
            (Flow::RefreshToken(_), &Method::POST) if is_realm => {
                let form = pairs(body);
                let shown = all(&form, "refresh_token").next().unwrap_or_default();
                let is_known = self.state().refresh_tokens.iter().any(|known| known == shown);
                if !is_known || !holds(&form, &[("grant_type", "refresh_token")]) {
                    return Some(refusal());
                }
                Some(self.give(host, &form))
            }
            (Flow::RefreshToken(entra), &Method::POST) if request.uri.path() == "/oauth2/exchange" => {
                Some(self.exchange(host, &pairs(body), entra))
            }
            _ => None,
        }
    }
}

impl fmt::Debug for TokenServer {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "realm {}", self.realm())
    }
}

impl fmt::Debug for TokenKey {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("TokenKey")
    }
}

/// What a form or a query holds.
type Asked = Vec<(String, String)>;

fn pairs(text: &[u8]) -> Asked {
    url::form_urlencoded::parse(text).into_owned().collect()
}

fn all<'a>(asked: &'a Asked, name: &str) -> impl Iterator<Item = &'a str> {
    asked.iter().filter(move |(key, _)| key == name).map(|(_, value)| value.as_str())
}

fn holds(asked: &Asked, wanted: &[(&str, &str)]) -> bool {
    wanted.iter().all(|(name, value)| all(asked, name).eq([*value]))
}

/// `repository:path:pull,push` as the claim has it.
fn access(scope: &str) -> Option<Value> {
    let (kind, rest) = scope.split_once(':')?;
    let (name, actions) = rest.rsplit_once(':')?;
    Some(json!({"type": kind, "name": name, "actions": actions.split(',').collect::<Vec<_>>()}))
}

fn refusal() -> Response<ByteStream> {
    let error = json!({"code": "UNAUTHORIZED", "message": "authentication required"});
    answer(StatusCode::UNAUTHORIZED, &json!({"errors": [error]}))
}

const fn seconds(time: Timestamp) -> u64 {
    time.as_millis() / 1000
}
