//! Getting a blob into a registry.
//!
//! ```text
//! HEAD ── there ──────────────────────────────────────────────────────────────────> done
//!   └─ absent ── known elsewhere in this registry: POST ?mount&from ── 201 ───────> done
//!                │                                       └─ 202, a session ┐
//!                └─ POST ── 202, a session ────────────────────────────────┴─ PUT ─> done
//!                                                   PATCH, PATCH, … PUT ───┘
//! ```
//!
//! A PUT is idempotent by its digest, but not one with a body: the session has kept what came before the cut, and a
//! second body would be appended to it. So only the empty PUT is repeated by the transport. Whenever a PUT has no good
//! answer, HEAD tells whether it had its effect. If it had not and was cut, the session is asked how much it has, and
//! the rest follows in pieces; a registry that cannot say is sent all of it in a new session. What was answered with an
//! error is left to the caller to repeat.

mod pieces;

use std::time::Duration;

use http::header::{CONTENT_LENGTH, CONTENT_TYPE, LOCATION};
use http::{HeaderMap, HeaderValue, Method, StatusCode};
use url::Url;

use super::blob::{is_there, same_digest};
use super::checked::Checked;
use super::client::{Answer, Call, Client};
use super::endpoint::Endpoint;
use super::settings::UploadMode;
use super::token::{Access, Scope};
use super::trust;
use crate::cloud::Payload;
use crate::error::Retry;
use crate::model::{Digest, Repository};
use crate::transport::RequestBody;
use crate::{Error, ErrorCode, Result};

use pieces::{CHUNK_MOST, retry_after};

const OCTETS: HeaderValue = HeaderValue::from_static("application/octet-stream");
/// In which a registry says how short the pieces of an upload may be (OCI distribution specification 1.1).
const SHORTEST_CHUNK: &str = "oci-chunk-min-length";
/// The rest of an upload that was cut: pieces that ECR takes, which wants 5 MiB and more.
const PIECE_AFTER_A_CUT: u64 = 8 << 20;
/// What is sent at once to a registry of which it is not known whether it takes that.
const SENT_TO_LEARN: u64 = 64 << 10;

/// Pushes a blob. `ask`: whether it is looked for first. `opened`: a session that was opened for it before.
pub(super) async fn push(
    client: &Client,
    repository: &Repository,
    payload: &Payload,
    ask: bool,
    opened: Option<Session>,
) -> Result<()> {
    let endpoint = client.endpoint(repository)?;
    let upload = Upload { client, endpoint: &endpoint, repository, payload, digest: payload.sha256() };
    if ask && upload.is_there().await? {
        client.saw(&endpoint, upload.digest);
        return Ok(());
    }
    // Bytes of another registry come here once, for however many repositories they are.
    let _turn = if upload.is_foreign()? {
        let (registry, path) = (endpoint.registry(), endpoint.path());
        let holds = || client.memory().holds(&registry, path, &upload.digest, client.runtime().now());
        let held = holds();
        let turn = client.flights().turn(registry.clone(), upload.digest).await;
        // Someone else has brought it, into this same repository.
        if !held && holds() {
            return Ok(());
        }
        Some(turn)
    } else {
        None
    };
    upload.send(opened).await?;
    client.saw(&endpoint, upload.digest);
    Ok(())
}

/// Opens a session for bytes that are yet to come. `None` where the registry takes uploads in one request, which needs
/// none.
pub(super) async fn open(client: &Client, repository: &Repository) -> Result<Option<Session>> {
    let endpoint = client.endpoint(repository)?;
    let in_one = match client.settings().upload {
        UploadMode::OneRequest => true,
        UploadMode::Learned => client.memory().takes_one_request(&endpoint.registry()) != Some(false),
        UploadMode::TwoRequests | UploadMode::Chunked { .. } => false,
    };
    if in_one {
        return Ok(None);
    }
    let url = endpoint.at("blobs/uploads/")?;
    let call = Call::new(&endpoint, Method::POST, url.clone(), Access::Push)
        .header(CONTENT_LENGTH, HeaderValue::from_static("0"));
    let answer = client.send(&call).await?;
    match answer.status {
        StatusCode::ACCEPTED => Session::read(client, &endpoint, &url, &answer.headers).map(Some),
        _ => Err(answer.error(client, Upload::DOING, repository).await),
    }
}

/// Lets the registry forget a session. Its own clean-up does the same, later.
pub(super) async fn give_up(client: &Client, endpoint: &Endpoint, session: &Session) {
    let call = Call::new(endpoint, Method::DELETE, session.url.clone(), Access::Push).trusted(session.to_registry);
    if let Err(error) = client.send(&call).await {
        tracing::debug!(error = %error, "an upload that was given up could not be cancelled");
    }
}

struct Upload<'a> {
    client: &'a Client,
    endpoint: &'a Endpoint,
    repository: &'a Repository,
    payload: &'a Payload,
    digest: Digest,
}

/// An upload that a registry has opened.
pub(super) struct Session {
    url: Url,
    to_registry: bool,
    shortest_chunk: u64,
}

impl Session {
    fn read(client: &Client, endpoint: &Endpoint, from: &Url, headers: &HeaderMap) -> Result<Self> {
        let (url, to_registry) = trust::upload(endpoint, from, headers.get(LOCATION), client.settings())?;
        let shortest = headers.get(SHORTEST_CHUNK).and_then(|value| value.to_str().ok()?.trim().parse().ok());
        Ok(Self { url, to_registry, shortest_chunk: shortest.unwrap_or(0) })
    }
}

impl Upload<'_> {
    const DOING: &'static str = "take a blob";

    async fn is_there(&self) -> Result<bool> {
        let expected = Some(self.payload.size());
        is_there(self.client, self.endpoint, self.repository, &self.digest, expected, Access::Push).await
    }

    /// Whether the bytes lie in another registry.
    fn is_foreign(&self) -> Result<bool> {
        let Some(origin) = self.payload.origin() else { return Ok(false) };
        Ok(!self.endpoint.is_origin_of(self.client.endpoint(origin)?.base()))
    }

    /// Gets the blob there, in the way that is set.
    async fn send(&self, mut opened: Option<Session>) -> Result<()> {
        let mut sessions = 0;
        loop {
            let session = match opened.take() {
                Some(session) => session,
                None => match self.open().await? {
                    Some(session) => session,
                    None => return Ok(()),
                },
            };
            let ended = match self.client.settings().upload {
                UploadMode::Chunked { chunk } => {
                    let chunk = chunk.max(session.shortest_chunk);
                    if chunk > CHUNK_MOST {
                        self.whole(session).await?
                    } else {
                        self.pieces(session, chunk, 0).await.map(|()| Ended::Done)?
                    }
                }
                UploadMode::OneRequest | UploadMode::TwoRequests | UploadMode::Learned => self.whole(session).await?,
            };
            match ended {
                Ended::Done => return Ok(()),
                // The session is lost: from the start, in a new one.
                Ended::Cut(error) if sessions >= self.client.settings().resumptions => return Err(error),
                Ended::Cut(_) => sessions += 1,
            }
        }
    }

    /// Opens a session. `None` when the blob is there already: mounted, or taken with the first request.
    async fn open(&self) -> Result<Option<Session>> {
        if let Some(source) = self.source()? {
            match self.mount(&source).await {
                Ok(Mounted::Yes) => return Ok(None),
                Ok(Mounted::Session(session)) => return Ok(Some(session)),
                Ok(Mounted::No) => {}
                Err(error) if error.retry() == Retry::Permanent && error.code() == ErrorCode::PermissionDenied => {
                    // We may not read the other repository, or the registry does not let one token do both.
                }
                Err(error) => return Err(error),
            }
        }
        let url = self.endpoint.at("blobs/uploads/")?;
        if self.sends_at_once() {
            match self.one_request(url.clone()).await? {
                Attempt::Done => return Ok(None),
                Attempt::Session(session) => return Ok(Some(session)),
                Attempt::Refused => {}
            }
        }
        let call = self.call(Method::POST, url.clone()).header(CONTENT_LENGTH, HeaderValue::from_static("0"));
        let mut attempts = 1;
        loop {
            let answer = self.client.send(&call).await?;
            match (answer.status, busy(&answer)) {
                (StatusCode::ACCEPTED, _) => return self.session(&url, &answer.headers).map(Some),
                (_, Some(asked)) if attempts < self.client.settings().retry.attempts => {
                    attempts += 1;
                    self.pause(Some(asked)).await;
                }
                _ => return Err(self.refused(answer).await),
            }
        }
    }

    /// Whether the blob goes with the first request. A small one may, to learn whether the registry takes it: one that
    /// does not has opened a session with the same request, and little was sent in vain.
    fn sends_at_once(&self) -> bool {
        match self.client.settings().upload {
            UploadMode::OneRequest => true,
            UploadMode::Learned => {
                let known = self.client.memory().takes_one_request(&self.endpoint.registry());
                known.unwrap_or(self.payload.size() <= SENT_TO_LEARN)
            }
            UploadMode::TwoRequests | UploadMode::Chunked { .. } => false,
        }
    }

    /// The repository of the same registry, by its path, in which the payload is known to lie, or was seen to.
    fn source(&self) -> Result<Option<String>> {
        if let Some(origin) = self.payload.origin() {
            let source = self.client.endpoint(origin)?;
            if self.endpoint.is_origin_of(source.base()) {
                return Ok(Some(source.path().to_owned()).filter(|path| path != self.endpoint.path()));
            }
        }
        let now = self.client.runtime().now();
        Ok(self.client.memory().holder(&self.endpoint.registry(), self.endpoint.path(), &self.digest, now))
    }

    async fn mount(&self, source: &str) -> Result<Mounted> {
        let url = self.endpoint.at("blobs/uploads/")?;
        let mut asked = url.clone();
        asked.query_pairs_mut().append_pair("mount", &self.digest.to_string()).append_pair("from", source);
        let mut call = self.call(Method::POST, asked).header(CONTENT_LENGTH, HeaderValue::from_static("0"));
        call.scopes.push(Scope { path: source.to_owned(), access: Access::Pull });
        let answer = self.client.send(&call).await?;
        match answer.status {
            StatusCode::CREATED => {
                same_digest(&answer.headers, &self.digest, self.repository)?;
                Ok(Mounted::Yes)
            }
            StatusCode::ACCEPTED => self.session(&url, &answer.headers).map(Mounted::Session),
            status if status.is_client_error() && status != StatusCode::TOO_MANY_REQUESTS => Ok(Mounted::No),
            _ => Err(self.refused(answer).await),
        }
    }

    async fn one_request(&self, mut url: Url) -> Result<Attempt> {
        let opened = url.clone();
        url.query_pairs_mut().append_pair("digest", &self.digest.to_string());
        let checked = Checked::new(self.payload);
        let call = self.with_body(Method::POST, url, &checked);
        let answer = self.client.send(&call).await;
        if let Some(failure) = checked.failure() {
            return Err(failure);
        }
        let answer = match answer {
            Ok(answer) => answer,
            Err(error) => return self.unless_there(error).await.map(|()| Attempt::Done),
        };
        let learn = |taken| self.client.memory().learn_one_request(&self.endpoint.registry(), taken);
        match answer.status {
            StatusCode::CREATED => {
                learn(true);
                same_digest(&answer.headers, &self.digest, self.repository).map(|()| Attempt::Done)
            }
            StatusCode::ACCEPTED => {
                learn(false);
                self.session(&opened, &answer.headers).map(Attempt::Session)
            }
            // Whoever does not know the way may refuse it in any of these words.
            StatusCode::BAD_REQUEST
            | StatusCode::NOT_FOUND
            | StatusCode::METHOD_NOT_ALLOWED
            | StatusCode::LENGTH_REQUIRED
            | StatusCode::UNSUPPORTED_MEDIA_TYPE
            | StatusCode::NOT_IMPLEMENTED
                if self.client.settings().upload == UploadMode::Learned =>
            {
                learn(false);
                Ok(Attempt::Refused)
            }
            _ => {
                let error = self.refused(answer).await;
                self.unless_there(error).await.map(|()| Attempt::Done)
            }
        }
    }

    /// Streams all of it with the last request. What was cut goes on where the registry has it, if it says where that
    /// is; the rest then goes in pieces.
    async fn whole(&self, mut session: Session) -> Result<Ended> {
        let checked = Checked::new(self.payload);
        let call = self.with_body(Method::PUT, self.finishing(&session), &checked).trusted(session.to_registry);
        let answer = self.client.send(&call).await;
        if let Some(failure) = checked.failure() {
            self.give_up(&session).await;
            return Err(failure);
        }
        let was_cut = answer.is_err();
        let asked = answer.as_ref().ok().and_then(busy);
        let Err(error) = self.finished(answer).await else { return Ok(Ended::Done) };
        if let Some(asked) = asked {
            // What the session has taken in of the body nobody knows: another one, after the wait that is asked for.
            self.pause(Some(asked)).await;
            return Ok(Ended::Cut(error));
        }
        if error.retry() == Retry::Permanent || !was_cut || self.client.settings().resumptions == 0 {
            return Err(error);
        }
        self.pause(None).await;
        match self.status(&mut session).await {
            Ok(kept) if kept > 0 && kept <= self.payload.size() => {
                tracing::debug!(kept, "an upload that was cut goes on");
                self.pieces(session, PIECE_AFTER_A_CUT, kept).await.map(|()| Ended::Done)
            }
            Err(lured) if lured.code() == ErrorCode::RegistryUntrusted => Err(lured),
            // It has nothing, or cannot say.
            _ => Ok(Ended::Cut(error)),
        }
    }

    /// Judges the answer to the last request.
    async fn finished(&self, answer: Result<Answer>) -> Result<()> {
        let error = match answer {
            Ok(answer) if answer.status.is_success() && answer.status != StatusCode::ACCEPTED => {
                return same_digest(&answer.headers, &self.digest, self.repository);
            }
            Ok(answer) => self.refused(answer).await,
            Err(error) => error,
        };
        self.unless_there(error).await
    }

    /// The answer of an effect may be lost, and a session be gone because it was finished: then the blob is there.
    async fn unless_there(&self, error: Error) -> Result<()> {
        let may_have_happened = error.retry() != Retry::Permanent || error.code() == ErrorCode::ObjectMissing;
        if may_have_happened && self.is_there().await.unwrap_or(false) {
            return Ok(());
        }
        Err(error)
    }

    /// Lets the registry forget a session whose bytes are wrong.
    async fn give_up(&self, session: &Session) {
        give_up(self.client, self.endpoint, session).await;
    }

    async fn pause(&self, asked: Option<Duration>) {
        let policy = self.client.settings().retry;
        match asked {
            Some(asked) => self.client.runtime().sleep(asked.min(policy.wait_most)).await,
            None => self.client.pause(policy.backoff).await,
        }
    }

    fn call(&self, method: Method, url: Url) -> Call<'_> {
        Call::new(self.endpoint, method, url, Access::Push)
    }

    fn with_body(&self, method: Method, url: Url, checked: &Checked) -> Call<'_> {
        let mut call = self
            .call(method, url)
            .header(CONTENT_TYPE, OCTETS)
            .header(CONTENT_LENGTH, HeaderValue::from(self.payload.size()))
            .body(RequestBody::Payload(checked.payload()))
            .once();
        call.taken = Some(checked.taken());
        call
    }

    fn session(&self, from: &Url, headers: &HeaderMap) -> Result<Session> {
        Session::read(self.client, self.endpoint, from, headers)
    }

    /// Each answer may say anew where the session goes on.
    fn follow(&self, session: &mut Session, headers: &HeaderMap) -> Result<()> {
        if headers.contains_key(LOCATION) {
            (session.url, session.to_registry) =
                trust::upload(self.endpoint, &session.url, headers.get(LOCATION), self.client.settings())?;
        }
        Ok(())
    }

    fn finishing(&self, session: &Session) -> Url {
        let mut url = session.url.clone();
        // Appended by hand: the registry's own part of the query must stay as it is, to the byte.
        let query = url.query().filter(|query| !query.is_empty()).map(|query| format!("{query}&")).unwrap_or_default();
        url.set_query(Some(&format!("{query}digest={}", self.digest)));
        url
    }

    fn subject(&self) -> String {
        format!("{}@{}", self.repository, self.digest)
    }

    async fn refused(&self, answer: Answer) -> Error {
        let refusal = answer.refusal(self.client).await;
        // A session that is gone, such as with a registry's restart: the driver begins again with a new one.
        let is_gone = refusal.code.starts_with("BLOB_UPLOAD_");
        let error = refusal.into_error(Self::DOING, self.subject());
        if is_gone { error.with_retry(Retry::Temporary) } else { error }
    }

    fn nonsense(&self, message: String) -> Error {
        Error::new(ErrorCode::CloudAnswerInvalid, message).on(self.subject())
    }
}

/// What came of an upload in one request.
enum Attempt {
    Done,
    /// It was taken for the opening of a session.
    Session(Session),
    /// The registry does not know the way.
    Refused,
}

/// How an upload ended that was not refused.
enum Ended {
    Done,
    /// It was cut, and its session is of no more use.
    Cut(Error),
}

enum Mounted {
    Yes,
    No,
    Session(Session),
}

/// How long a registry that has too much to do asks us to wait. What it asks for twice, two sessions or one, is all the
/// same to it.
fn busy(answer: &Answer) -> Option<Duration> {
    let too_much = matches!(answer.status, StatusCode::TOO_MANY_REQUESTS | StatusCode::SERVICE_UNAVAILABLE);
    retry_after(&answer.headers).filter(|_| too_much)
}
