//! A registry of a few lines that does what the specification says and what a test chooses, and writes down every
//! request with the credentials that it came with. The simulated registry of the testkit is the faithful one; this one
//! is for what no honest registry does.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard};

use async_trait::async_trait;
use chalk_deploy_core::cloud::ByteStream;
use chalk_deploy_core::model::Digest;
use chalk_deploy_testkit::simulated::http::{Server, Severed, empty, full};
use futures::StreamExt as _;
use http::{Method, Request, Response};
use serde_json::json;

/// What the small registry does beyond the specification, or short of it.
#[derive(Debug, Clone, Default)]
pub(crate) struct Options {
    /// Wants tokens of this realm.
    pub(crate) realm: Option<String>,
    /// Wants `Basic` with this user and password.
    pub(crate) password: Option<(String, String)>,
    /// A token is good for so many requests.
    pub(crate) token_uses: Option<u32>,
    pub(crate) expires_in: Option<u64>,
    pub(crate) tag_deletion: TagDeletion,
    /// Refuses to move a tag, with this status and these words.
    pub(crate) immutable: Option<(u16, &'static str)>,
    /// A session takes at most so many bytes of each piece.
    pub(crate) takes_of_a_piece: Option<usize>,
    /// Answers a piece with this status.
    pub(crate) piece_status: Option<u16>,
    /// Answers a POST with the whole blob with a session.
    pub(crate) ignores_one_request: bool,
    /// Never mounts.
    pub(crate) never_mounts: bool,
    /// Blobs are handed out by a redirect to this host.
    pub(crate) blobs_at: Option<String>,
    /// Hands out the rest of a blob from the byte that is asked for.
    pub(crate) ranges: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum TagDeletion {
    #[default]
    ByTag,
    /// 405 for a tag.
    ByDigestOnly,
    /// 404 for a tag that is there, as ECR answers.
    ClaimsNotFound,
    /// 405 for everything.
    Never,
    /// 404 for everything, as ECR answers.
    ClaimsNotFoundAlways,
    /// The manifest goes, the tag stays.
    KeepsTags,
}

/// A request as it came.
#[derive(Debug, Clone)]
pub(crate) struct Seen {
    pub(crate) method: String,
    pub(crate) host: String,
    pub(crate) target: String,
    pub(crate) authorization: Option<String>,
    pub(crate) range: Option<String>,
    pub(crate) body: Vec<u8>,
}

#[derive(Debug, Default)]
pub(crate) struct State {
    pub(crate) blobs: BTreeMap<(String, String), Vec<u8>>,
    pub(crate) manifests: BTreeMap<(String, String), (String, Vec<u8>)>,
    pub(crate) tags: BTreeMap<(String, String), String>,
    pub(crate) sessions: BTreeMap<String, Vec<u8>>,
    next_session: u64,
    tokens: BTreeMap<String, (Vec<String>, u32)>,
    next_token: u64,
    pub(crate) seen: Vec<Seen>,
    /// Answers that come instead of the right ones, by what the request line must hold.
    overrides: Vec<(String, Canned)>,
    done: BTreeSet<usize>,
}

/// An answer from a list.
#[derive(Debug, Clone, Default)]
pub(crate) struct Canned {
    pub(crate) status: u16,
    pub(crate) headers: Vec<(&'static str, String)>,
    pub(crate) body: String,
    /// Answers every such request like this, not only the first.
    pub(crate) always: bool,
}

#[derive(Debug, Clone)]
pub(crate) struct SmallRegistry {
    options: Arc<Options>,
    state: Arc<Mutex<State>>,
}

impl SmallRegistry {
    pub(crate) fn new(options: Options) -> Self {
        Self { options: Arc::new(options), state: Arc::default() }
    }

    pub(crate) fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("no test panics in between")
    }

    /// Answers the request whose `METHOD host/target` holds this text like this.
    pub(crate) fn instead(&self, holding: impl Into<String>, canned: Canned) {
        self.state().overrides.push((holding.into(), canned));
    }

    /// `METHOD target` of every request since the last time.
    pub(crate) fn requests(&self) -> Vec<String> {
        std::mem::take(&mut self.state().seen)
            .into_iter()
            .map(|seen| format!("{} {}", seen.method, seen.target))
            .collect()
    }

    fn overridden(&self, line: &str) -> Option<Canned> {
        let mut state = self.state();
        let found = state.overrides.iter().enumerate().find(|(at, (holding, canned))| {
            line.contains(holding.as_str()) && (canned.always || !state.done.contains(at))
        });
        let (at, canned) = found.map(|(at, (_, canned))| (at, canned.clone()))?;
        state.done.insert(at);
        Some(canned)
    }

    fn authorized(&self, authorization: Option<&str>, path: &str, action: &str) -> bool {
        if let Some((user, password)) = &self.options.password
            && self.options.realm.is_none()
        {
            return authorization == Some(basic(user, password).as_str());
        }
        if self.options.realm.is_none() {
            return true;
        }
        let Some(token) = authorization.and_then(|value| value.strip_prefix("Bearer ")) else { return false };
        let mut state = self.state();
        let Some((scopes, uses)) = state.tokens.get_mut(token) else { return false };
        *uses += 1;
        let in_time = self.options.token_uses.is_none_or(|most| *uses <= most);
        in_time
            && scopes.iter().any(|scope| {
                scope.strip_prefix(&format!("repository:{path}:")).is_some_and(|actions| actions.contains(action))
            })
    }

    fn token(&self, query: &str, authorization: Option<&str>) -> Response<ByteStream> {
        if let Some((user, password)) = &self.options.password
            && authorization != Some(basic(user, password).as_str())
        {
            return answer(401, &[], "");
        }
        let mut state = self.state();
        state.next_token += 1;
        let token = format!("token-{}", state.next_token);
        let pairs = url::form_urlencoded::parse(query.as_bytes());
        let scopes = pairs.filter(|(name, _)| name == "scope").map(|(_, value)| value.into_owned()).collect();
        state.tokens.insert(token.clone(), (scopes, 0));
        answer(200, &[], &json!({"token": token, "expires_in": self.options.expires_in.unwrap_or(300)}).to_string())
    }

    fn serve(
        &self,
        method: &Method,
        path: &str,
        query: &str,
        headers: &http::HeaderMap,
        body: &[u8],
    ) -> Response<ByteStream> {
        let parameter = |name: &str| {
            url::form_urlencoded::parse(query.as_bytes())
                .find(|(key, _)| key == name)
                .map(|(_, value)| value.into_owned())
        };
        let header =
            |name: &str| headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default().to_owned();
        let Some(rest) = path.strip_prefix("/v2/") else { return answer(404, &[], "") };
        if let Some((repository, session)) = rest.split_once("/blobs/uploads/") {
            return self.upload(
                method,
                (repository, session),
                parameter("digest"),
                parameter("mount").zip(parameter("from")),
                &header("content-range"),
                body,
            );
        }
        if rest.is_empty() {
            return answer(200, &[], "{}");
        }
        if let Some((repository, digest)) = rest.split_once("/blobs/") {
            return self.blob(method, (repository, digest), &header("range"));
        }
        let mut state = self.state();
        if let Some((repository, reference)) = rest.split_once("/manifests/") {
            let key = |reference: &str| (repository.to_owned(), reference.to_owned());
            let digest = state.tags.get(&key(reference)).cloned().unwrap_or_else(|| reference.to_owned());
            match method.as_str() {
                "GET" | "HEAD" => {
                    let Some((media_type, bytes)) = state.manifests.get(&key(&digest)) else {
                        return error(404, "MANIFEST_UNKNOWN", "manifest unknown");
                    };
                    let headers = [
                        ("content-type", media_type.clone()),
                        ("content-length", bytes.len().to_string()),
                        ("docker-content-digest", digest),
                    ];
                    return bytes_of(200, &headers, if method == Method::HEAD { Vec::new() } else { bytes.clone() });
                }
                "PUT" => {
                    let document: serde_json::Value = serde_json::from_slice(body).unwrap_or_default();
                    let layers = document["layers"].as_array().cloned().unwrap_or_default();
                    for blob in
                        [&document["config"]].into_iter().chain(&layers).filter_map(|blob| blob["digest"].as_str())
                    {
                        if !state.blobs.contains_key(&key(blob)) {
                            return error(404, "MANIFEST_BLOB_UNKNOWN", "blob unknown to registry");
                        }
                    }
                    let digest = Digest::of(body).to_string();
                    if !reference.starts_with("sha256:") {
                        if let Some((status, words)) = self.options.immutable
                            && state.tags.contains_key(&key(reference))
                        {
                            return error(status, "TAG_INVALID", words);
                        }
                        state.tags.insert(key(reference), digest.clone());
                    }
                    state.manifests.insert(key(&digest), (header("content-type"), body.to_vec()));
                    return answer(201, &[("docker-content-digest", digest)], "");
                }
                "DELETE" => {
                    let is_tag = !reference.starts_with("sha256:");
                    return match (self.options.tag_deletion, is_tag) {
                        (TagDeletion::Never, _) | (TagDeletion::ByDigestOnly | TagDeletion::KeepsTags, true) => {
                            error(405, "UNSUPPORTED", "the operation is unsupported")
                        }
                        (TagDeletion::ClaimsNotFound, true) | (TagDeletion::ClaimsNotFoundAlways, _) => {
                            answer(404, &[], "")
                        }
                        (_, true) if state.tags.remove(&key(reference)).is_none() => error(404, "MANIFEST_UNKNOWN", ""),
                        (_, true) => answer(202, &[], ""),
                        (deletion, false) => {
                            if state.manifests.remove(&key(reference)).is_none() {
                                return error(404, "MANIFEST_UNKNOWN", "");
                            }
                            if deletion == TagDeletion::KeepsTags {
                                let kept = (String::new(), Vec::new());
                                state.manifests.insert(key(reference), kept);
                            } else {
                                state.tags.retain(|(of, _), digest| of != repository || digest != reference);
                            }
                            answer(202, &[], "")
                        }
                    };
                }
                _ => {}
            }
        }
        answer(404, &[], "")
    }

    /// Reads a blob, or looks whether it is there.
    fn blob(&self, method: &Method, (repository, digest): (&str, &str), asked: &str) -> Response<ByteStream> {
        let state = self.state();
        let Some(bytes) = state.blobs.get(&(repository.to_owned(), digest.to_owned())) else {
            return error(404, "BLOB_UNKNOWN", "blob unknown to registry");
        };
        if let Some(host) = &self.options.blobs_at {
            return answer(307, &[("location", format!("https://{host}/{digest}?signature=secret"))], "");
        }
        let length = [("content-length", bytes.len().to_string()), ("docker-content-digest", digest.to_owned())];
        let body = if method == Method::HEAD { Vec::new() } else { bytes.clone() };
        let from = asked.strip_prefix("bytes=").and_then(|range| range.strip_suffix('-')?.parse::<usize>().ok());
        if let Some(from) = from.filter(|from| self.options.ranges && *from < body.len()) {
            let range = format!("bytes {from}-{}/{}", body.len() - 1, body.len());
            return bytes_of(206, &[("content-range", range)], body[from..].to_vec());
        }
        bytes_of(200, &length, body)
    }

    fn upload(
        &self,
        method: &Method,
        (repository, session): (&str, &str),
        digest: Option<String>,
        mount: Option<(String, String)>,
        range_sent: &str,
        body: &[u8],
    ) -> Response<ByteStream> {
        let mut state = self.state();
        let at = |session: &str| format!("/v2/{repository}/blobs/uploads/{session}?state=x");
        if method == Method::POST {
            if let Some((digest, from)) = mount
                && !self.options.never_mounts
                && let Some(bytes) = state.blobs.get(&(from, digest.clone())).cloned()
            {
                state.blobs.insert((repository.to_owned(), digest.clone()), bytes);
                return answer(201, &[("docker-content-digest", digest)], "");
            }
            if let Some(digest) = digest.filter(|_| !self.options.ignores_one_request) {
                if Digest::of(body).to_string() != digest {
                    return error(400, "DIGEST_INVALID", "not what was said");
                }
                state.blobs.insert((repository.to_owned(), digest.clone()), body.to_vec());
                return answer(201, &[("docker-content-digest", digest)], "");
            }
            state.next_session += 1;
            let session = format!("session-{}", state.next_session);
            state.sessions.insert(session.clone(), Vec::new());
            return answer(202, &[("location", at(&session)), ("range", "0-0".to_owned())], "");
        }
        let Some(kept) = state.sessions.get_mut(session) else { return error(404, "BLOB_UPLOAD_UNKNOWN", "") };
        let range = |kept: &[u8]| ("range", format!("0-{}", kept.len().saturating_sub(1)));
        match method.as_str() {
            "GET" => {
                let range = range(kept);
                answer(204, &[("location", at(session)), range], "")
            }
            "PATCH" if !range_sent.starts_with(&format!("{}-", kept.len())) => {
                let range = range(kept);
                answer(416, &[("location", at(session)), range], "")
            }
            "PATCH" => {
                let most = self.options.takes_of_a_piece.unwrap_or(usize::MAX).min(body.len());
                kept.extend_from_slice(&body[..most]);
                let range = range(kept);
                answer(self.options.piece_status.unwrap_or(202), &[("location", at(session)), range], "")
            }
            "DELETE" => {
                state.sessions.remove(session);
                answer(204, &[], "")
            }
            "PUT" => {
                kept.extend_from_slice(body);
                let bytes = kept.clone();
                let digest = digest.unwrap_or_default();
                if Digest::of(&bytes).to_string() != digest {
                    return error(400, "DIGEST_INVALID", "not what was said");
                }
                state.sessions.remove(session);
                state.blobs.insert((repository.to_owned(), digest.clone()), bytes);
                answer(201, &[("docker-content-digest", digest)], "")
            }
            _ => answer(405, &[], ""),
        }
    }
}

#[async_trait]
impl Server for SmallRegistry {
    fn name(&self) -> &'static str {
        "registry"
    }

    async fn answer(&self, request: Request<ByteStream>) -> Result<Response<ByteStream>, Severed> {
        let (parts, mut stream) = request.into_parts();
        let mut body = Vec::new();
        let mut broken = false;
        while let Some(piece) = stream.next().await {
            match piece {
                Ok(piece) => body.extend_from_slice(&piece),
                Err(_) => broken = true,
            }
            if broken {
                break;
            }
        }
        let path = parts.uri.path().to_owned();
        let query = parts.uri.query().unwrap_or_default().to_owned();
        let authority = parts.uri.authority().map(ToString::to_string);
        let host = authority.or_else(|| Some(parts.headers.get("host")?.to_str().ok()?.to_owned())).unwrap_or_default();
        let authorization = parts.headers.get("authorization").and_then(|value| value.to_str().ok()).map(str::to_owned);
        let target = parts.uri.path_and_query().map(ToString::to_string).unwrap_or_default();
        let line = format!("{} {host}{target}", parts.method);
        self.state().seen.push(Seen {
            method: parts.method.to_string(),
            host: host.clone(),
            target,
            authorization: authorization.clone(),
            range: parts.headers.get("range").and_then(|value| value.to_str().ok()).map(str::to_owned),
            body: body.clone(),
        });
        if let Some(canned) = self.overridden(&line) {
            return Ok(answer(canned.status, &canned.headers, &canned.body));
        }
        if Some(&host) == self.options.blobs_at.as_ref() {
            let digest = path.trim_start_matches('/');
            let bytes = self.state().blobs.iter().find(|((_, of), _)| of == digest).map(|(_, bytes)| bytes.clone());
            return Ok(bytes.map_or_else(|| answer(404, &[], ""), |bytes| bytes_of(200, &[], bytes)));
        }
        if path == "/token" {
            let form = String::from_utf8_lossy(&body).into_owned();
            return Ok(self.token(if query.is_empty() { &form } else { &query }, authorization.as_deref()));
        }
        if broken && !path.contains("/uploads/") {
            return Err(Severed);
        }
        let repository = path.strip_prefix("/v2/").unwrap_or_default();
        let repository = ["/blobs/", "/manifests/", "/referrers/"]
            .iter()
            .find_map(|part| repository.split_once(part))
            .map_or(repository, |(repository, _)| repository);
        let action = match parts.method.as_str() {
            "GET" | "HEAD" => "pull",
            "DELETE" if !path.contains("/uploads/") => "delete",
            _ => "push",
        };
        if !self.authorized(authorization.as_deref(), repository, action) {
            let challenge = self.options.realm.as_ref().map_or_else(
                || "Basic realm=\"registry\"".to_owned(),
                |realm| {
                    format!("Bearer realm=\"{realm}\",service=\"registry\",scope=\"repository:{repository}:{action}\"")
                },
            );
            let body = json!({"errors": [{"code": "UNAUTHORIZED", "message": "who are you"}]}).to_string();
            return Ok(answer(401, &[("www-authenticate", challenge)], &body));
        }
        let response = self.serve(&parts.method, &path, &query, &parts.headers, &body);
        if broken { Err(Severed) } else { Ok(response) }
    }
}

pub(crate) fn basic(user: &str, password: &str) -> String {
    use base64::Engine as _;
    format!("Basic {}", base64::engine::general_purpose::STANDARD.encode(format!("{user}:{password}")))
}

fn error(status: u16, code: &str, message: &str) -> Response<ByteStream> {
    answer(status, &[], &json!({"errors": [{"code": code, "message": message}]}).to_string())
}

fn answer(status: u16, headers: &[(&'static str, String)], body: &str) -> Response<ByteStream> {
    bytes_of(status, headers, body.as_bytes().to_vec())
}

fn bytes_of(status: u16, headers: &[(&'static str, String)], body: Vec<u8>) -> Response<ByteStream> {
    let mut response = Response::builder().status(status);
    for (name, value) in headers {
        response = response.header(*name, value);
    }
    response.body(if body.is_empty() { empty() } else { full(body) }).expect("a valid response")
}
