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

use std::time::Duration;

use http::header::{CONTENT_LENGTH, CONTENT_RANGE, CONTENT_TYPE, LOCATION, RANGE, RETRY_AFTER};
use http::{HeaderMap, HeaderValue, Method, StatusCode};
use url::Url;

use super::blob::{is_there, same_digest};
use super::checked::Checked;
use super::chunks::Chunks;
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

const OCTETS: HeaderValue = HeaderValue::from_static("application/octet-stream");
/// In which a registry says how short the pieces of an upload may be (OCI distribution specification 1.1).
const SHORTEST_CHUNK: &str = "oci-chunk-min-length";
const CHUNK_LEAST: u64 = 64 << 10;
const CHUNK_MOST: u64 = 64 << 20;
/// The rest of an upload that was cut: pieces that ECR takes, which wants 5 MiB and more.
const PIECE_AFTER_A_CUT: u64 = 8 << 20;
/// What is sent at once to a registry of which it is not known whether it takes that.
const SENT_TO_LEARN: u64 = 64 << 10;

/// Pushes a blob. `ask`: whether it is looked for first.
pub(super) async fn push(client: &Client, repository: &Repository, payload: &Payload, ask: bool) -> Result<()> {
    let endpoint = client.endpoint(repository)?;
    let upload = Upload { client, endpoint: &endpoint, repository, payload, digest: payload.sha256() };
    if ask && upload.is_there().await? {
        client.saw(&endpoint, upload.digest);
        return Ok(());
    }
    // Bytes of another registry come here once, for however many repositories they are.
    let _turn =
        if upload.is_foreign()? { Some(client.flights().turn(endpoint.registry(), upload.digest).await) } else { None };
    upload.send().await?;
    client.saw(&endpoint, upload.digest);
    Ok(())
}

struct Upload<'a> {
    client: &'a Client,
    endpoint: &'a Endpoint,
    repository: &'a Repository,
    payload: &'a Payload,
    digest: Digest,
}

/// An upload that a registry has opened.
struct Session {
    url: Url,
    to_registry: bool,
    shortest_chunk: u64,
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
    async fn send(&self) -> Result<()> {
        let mut sessions = 0;
        loop {
            let Some(session) = self.open().await? else { return Ok(()) };
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
        let answer = self.client.send(&call).await?;
        match answer.status {
            StatusCode::ACCEPTED => self.session(&url, &answer.headers).map(Some),
            _ => Err(self.refused(answer).await),
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
        let Err(error) = self.finished(answer).await else { return Ok(Ended::Done) };
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

    /// Sends it in pieces, and goes on after an interruption with what the registry does not have yet.
    async fn pieces(&self, mut session: Session, chunk: u64, from: u64) -> Result<()> {
        let chunk = usize::try_from(chunk.clamp(CHUNK_LEAST, CHUNK_MOST)).unwrap_or(usize::MAX);
        let mut chunks = Chunks::open(self.payload).await?;
        if from > 0 {
            chunks.go_back(from).await?;
        }
        let mut interruptions = 0;
        loop {
            let start = chunks.position();
            let piece = match chunks.next(chunk).await {
                Ok(piece) if piece.is_empty() => break,
                Ok(piece) => piece,
                Err(error) => {
                    self.give_up(&session).await;
                    return Err(error);
                }
            };
            let end = chunks.position();
            let interrupted = match self.piece(&session, start, piece).await {
                Ok(answer) if answer.status.is_success() => {
                    self.follow(&mut session, &answer.headers)?;
                    match kept(&answer.headers, start) {
                        // A registry that says nothing has taken all of it.
                        None => None,
                        Some(kept) if kept == end => None,
                        Some(kept) => Some(Interruption::Behind(kept)),
                    }
                }
                Ok(answer) if answer.status == StatusCode::RANGE_NOT_SATISFIABLE => Some(Interruption::Unclear),
                Ok(answer) => {
                    let asked = retry_after(&answer.headers);
                    let error = self.refused(answer).await;
                    if error.retry() == Retry::Permanent {
                        self.give_up(&session).await;
                        return Err(error);
                    }
                    Some(Interruption::Failed(error, asked))
                }
                Err(error) if error.retry() == Retry::Permanent => return Err(error),
                Err(error) => Some(Interruption::Failed(error, None)),
            };
            let Some(interruption) = interrupted else { continue };
            interruptions += 1;
            if interruptions > self.client.settings().resumptions {
                return Err(interruption.into_error(self));
            }
            let kept = match interruption {
                Interruption::Behind(kept) => kept,
                Interruption::Unclear => match self.status(&mut session).await? {
                    // What was sent from the first byte on was not expected: `0-0` means one byte.
                    0 if start == 0 => 1,
                    kept => kept,
                },
                Interruption::Failed(_, asked) => {
                    self.pause(asked).await;
                    self.status(&mut session).await?
                }
            };
            if kept > end {
                return Err(self.nonsense(format!("the registry claims to have {kept} bytes of {end} that were sent")));
            }
            chunks.go_back(kept).await?;
        }
        let call = self
            .call(Method::PUT, self.finishing(&session))
            .header(CONTENT_LENGTH, HeaderValue::from_static("0"))
            .trusted(session.to_registry);
        self.finished(self.client.send(&call).await).await
    }

    async fn piece(&self, session: &Session, start: u64, piece: bytes::Bytes) -> Result<Answer> {
        let end = start + piece.len() as u64 - 1;
        let range = HeaderValue::from_str(&format!("{start}-{end}")).unwrap_or(OCTETS);
        let call = self
            .call(Method::PATCH, session.url.clone())
            .header(CONTENT_TYPE, OCTETS)
            .header(CONTENT_RANGE, range)
            .header(CONTENT_LENGTH, HeaderValue::from(piece.len()))
            .body(RequestBody::Bytes(piece))
            .trusted(session.to_registry);
        self.client.send(&call).await
    }

    /// How many bytes the registry has.
    async fn status(&self, session: &mut Session) -> Result<u64> {
        let call = self.call(Method::GET, session.url.clone()).trusted(session.to_registry);
        let answer = self.client.send(&call).await?;
        if !answer.status.is_success() {
            let is_gone = matches!(answer.status, StatusCode::NOT_FOUND | StatusCode::GONE);
            let error = answer.error(self.client, "say how far an upload is", self.subject()).await;
            // The driver begins again with a new session.
            return Err(if is_gone { error.with_retry(Retry::Temporary) } else { error });
        }
        self.follow(session, &answer.headers)?;
        Ok(kept(&answer.headers, 0).unwrap_or(0))
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

    /// Lets the registry forget a session whose bytes are wrong. Its own clean-up does the same, later.
    async fn give_up(&self, session: &Session) {
        let call = self.call(Method::DELETE, session.url.clone()).trusted(session.to_registry);
        if let Err(error) = self.client.send(&call).await {
            tracing::debug!(error = %error, "an upload that was given up could not be cancelled");
        }
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
        let (url, to_registry) = trust::upload(self.endpoint, from, headers.get(LOCATION), self.client.settings())?;
        let shortest = headers.get(SHORTEST_CHUNK).and_then(|value| value.to_str().ok()?.trim().parse().ok());
        Ok(Session { url, to_registry, shortest_chunk: shortest.unwrap_or(0) })
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

/// Why a piece was not taken as it was sent.
enum Interruption {
    /// The registry has this many bytes, and goes on from there.
    Behind(u64),
    /// It does not expect this piece.
    Unclear,
    /// No answer, or one that may be better later; and how long it asks us to wait.
    Failed(Error, Option<Duration>),
}

impl Interruption {
    fn into_error(self, upload: &Upload<'_>) -> Error {
        match self {
            Self::Failed(error, _) => error,
            Self::Behind(_) | Self::Unclear => Error::new(
                ErrorCode::CloudUnavailable,
                "the registry takes the pieces of the upload in another order than they are sent",
            )
            .on(upload.subject())
            .with_hint("upload to this registry in two requests instead of in pieces"),
        }
    }
}

/// The number of bytes that `Range: 0-<last>` speaks of. `0-0` is said for one byte and for none; which one, shows by
/// what was sent before.
fn kept(headers: &HeaderMap, sent_before: u64) -> Option<u64> {
    let text = headers.get(RANGE)?.to_str().ok()?.trim();
    let text = text.strip_prefix("bytes=").unwrap_or(text);
    let (first, last) = text.split_once('-')?;
    let last: u64 = last.parse().ok()?;
    (first == "0").then(|| if last == 0 && sent_before != 1 { 0 } else { last.saturating_add(1) })
}

fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    headers.get(RETRY_AFTER)?.to_str().ok()?.trim().parse().ok().map(Duration::from_secs)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_registry_has_is_read_from_its_range() {
        let kept = |text: &'static str| {
            let mut headers = HeaderMap::new();
            headers.insert(RANGE, HeaderValue::from_static(text));
            kept(&headers, 0)
        };
        assert_eq!(kept("0-99"), Some(100));
        assert_eq!(kept("bytes=0-99"), Some(100));
        assert_eq!(kept("0-0"), Some(0));
        assert_eq!(kept("0-18446744073709551615"), Some(u64::MAX));
        for text in ["", "99", "5-99", "0--1", "0-x", "a-b", "0-18446744073709551616"] {
            assert_eq!(kept(text), None, "{text}");
        }
    }
}
