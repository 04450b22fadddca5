//! Resumable uploads: parts in their order, each acknowledged by how much the server has kept ("Resumable uploads" of
//! Google's documentation).

use std::collections::VecDeque;
use std::sync::{Arc, Mutex as Lock, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use bytes::{Bytes, BytesMut};
use http::header::{CONTENT_RANGE, CONTENT_TYPE, HeaderMap, HeaderValue, LOCATION, RANGE};
use http::{Method, Response, StatusCode, Uri};
use object_store::path::Path;
use object_store::{MultipartUpload, PutPayload, PutResult, UploadPart};
use serde_json::Value;
use tokio::sync::Mutex;

use super::client::{About, Client, StoreResult, broken, malformed};
use crate::cloud::ByteStream;
use crate::runtime::RuntimeExt as _;
use crate::{Error, ErrorCode};

/// Every part but the last is a multiple of this.
const QUANTUM: usize = 256 << 10;

/// How often in a row the server may be asked what it has kept before it is given up.
const SETBACKS_MOST: u32 = 3;

const BACKOFF: Duration = Duration::from_millis(200);

/// "Client closed request", with which Google confirms that an upload was given up.
const GIVEN_UP: u16 = 499;

/// An upload under way.
#[derive(Debug)]
pub(super) struct GcsUpload {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    /// What was handed over and is not sent, in its order.
    waiting: Lock<VecDeque<Bytes>>,
    session: Mutex<Session>,
}

#[derive(Debug)]
struct Session {
    client: Arc<Client>,
    location: Path,
    /// Path and query, which say who may go on with the upload.
    address: String,
    /// How many bytes the server has kept.
    kept: u64,
}

/// What the server says about an upload.
enum Progress {
    Kept(u64),
    Complete,
    /// It knows of none.
    Forgotten,
}

impl GcsUpload {
    pub(super) async fn begin(
        client: Arc<Client>,
        location: &Path,
        resource: &Value,
        onto_free_key: bool,
    ) -> StoreResult<Self> {
        let condition = if onto_free_key { "&ifGenerationMatch=0" } else { "" };
        let address = format!("{}?uploadType=resumable{condition}", client.uploads());
        let mut headers = HeaderMap::new();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json; charset=UTF-8"));
        headers.insert("x-upload-content-type", HeaderValue::from_static("application/octet-stream"));
        let response = client.send(Method::POST, &address, headers, resource.to_string().into()).await?;
        let response = client.successful(response, About::Key(location)).await?;
        let session = response.headers().get(LOCATION).and_then(|address| address.to_str().ok()?.parse::<Uri>().ok());
        // Path and query alone: neither bytes nor the token go to another host, whatever the server says.
        let address = session
            .as_ref()
            .and_then(|address| address.path_and_query())
            .filter(|address| address.path().starts_with("/upload/"))
            .ok_or_else(|| malformed("the server names no place for an upload"))?
            .to_string();
        let session = Session { client, location: location.clone(), address, kept: 0 };
        Ok(Self { shared: Arc::new(Shared { waiting: Lock::default(), session: Mutex::new(session) }) })
    }
}

#[async_trait]
impl MultipartUpload for GcsUpload {
    fn put_part(&mut self, part: PutPayload) -> UploadPart {
        self.shared.waiting().push_back(part.into());
        let shared = self.shared.clone();
        // Whichever of these futures comes first sends what was handed over until then.
        Box::pin(async move {
            let mut session = shared.session.lock().await;
            let whole = shared.take_whole();
            if whole.is_empty() { Ok(()) } else { session.send(whole, None).await }
        })
    }

    async fn complete(&mut self) -> StoreResult<PutResult> {
        let mut session = self.shared.session.lock().await;
        let rest = joined(self.shared.waiting().drain(..));
        let total = session.kept + rest.len() as u64;
        session.send(rest, Some(total)).await?;
        Ok(PutResult { e_tag: None, version: None, extensions: http::Extensions::default() })
    }

    async fn abort(&mut self) -> StoreResult<()> {
        let session = self.shared.session.lock().await;
        let response = session.client.once(Method::DELETE, &session.address, HeaderMap::new(), Bytes::new()).await?;
        let gone = matches!(response.status(), StatusCode::NOT_FOUND | StatusCode::GONE);
        if gone || response.status().as_u16() == GIVEN_UP {
            return Ok(());
        }
        session.client.successful(response, About::Bucket).await.map(drop)
    }
}

impl Shared {
    fn waiting(&self) -> std::sync::MutexGuard<'_, VecDeque<Bytes>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The waiting bytes as far as they can be a part. At least one stays, because the last request must bring some.
    fn take_whole(&self) -> Bytes {
        let mut waiting = self.waiting();
        let length: usize = waiting.iter().map(Bytes::len).sum();
        let mut left = length.saturating_sub(1) / QUANTUM * QUANTUM;
        let mut taken = Vec::new();
        while left > 0
            && let Some(mut first) = waiting.pop_front()
        {
            let piece = first.split_to(left.min(first.len()));
            left -= piece.len();
            taken.push(piece);
            if !first.is_empty() {
                waiting.push_front(first);
            }
        }
        joined(taken)
    }
}

fn joined(pieces: impl IntoIterator<Item = Bytes>) -> Bytes {
    let mut pieces: Vec<_> = pieces.into_iter().collect();
    if pieces.len() == 1 {
        return pieces.swap_remove(0);
    }
    let mut joined = BytesMut::with_capacity(pieces.iter().map(Bytes::len).sum());
    for piece in pieces {
        joined.extend_from_slice(&piece);
    }
    joined.freeze()
}

impl Session {
    /// Sends bytes until the server has kept them all, and with the total until the object is there.
    async fn send(&mut self, bytes: Bytes, total: Option<u64>) -> StoreResult<()> {
        let begin = self.kept;
        let end = begin + bytes.len() as u64;
        let mut setbacks = 0;
        let mut result = self.send_from(&bytes, begin, total).await;
        loop {
            let before = self.kept;
            match result {
                Ok(Progress::Complete) if total.is_some() => {
                    self.kept = end;
                    return Ok(());
                }
                Ok(Progress::Kept(kept)) if (begin..=end).contains(&kept) => {
                    self.kept = kept;
                    if kept == end && total.is_none() {
                        return Ok(());
                    }
                    setbacks = if kept > before { 0 } else { setbacks + 1 };
                }
                Ok(Progress::Forgotten) => {
                    let forgotten = Error::new(ErrorCode::CloudUnavailable, "the server has forgotten an upload");
                    return Err(broken(forgotten.with_hint("resume; the object is sent again from its beginning")));
                }
                Ok(Progress::Kept(_) | Progress::Complete) => {
                    return Err(malformed("the server has kept other bytes than were sent"));
                }
                Err(error) if !is_passing(&error) => return Err(error),
                Err(error) if setbacks >= SETBACKS_MOST => return Err(error),
                Err(_) => {
                    setbacks += 1;
                    let runtime = &*self.client.runtime;
                    runtime.sleep(runtime.jittered(BACKOFF * (1 << setbacks))).await;
                    result = self.ask(total).await;
                    continue;
                }
            }
            if setbacks > SETBACKS_MOST {
                let gave_up = Error::new(ErrorCode::CloudUnavailable, "the server does not keep what is uploaded");
                return Err(broken(gave_up));
            }
            result = self.send_from(&bytes, begin, total).await;
        }
    }

    /// Sends what the server has not kept yet. Once: what has become of a request that broke off is asked first.
    async fn send_from(&self, bytes: &Bytes, begin: u64, total: Option<u64>) -> StoreResult<Progress> {
        let skipped = usize::try_from(self.kept - begin).unwrap_or(usize::MAX).min(bytes.len());
        let rest = bytes.slice(skipped..);
        let total = total.map_or_else(|| "*".to_owned(), |total| total.to_string());
        let range = match rest.len() as u64 {
            0 => format!("bytes */{total}"),
            length => format!("bytes {}-{}/{total}", self.kept, self.kept + length - 1),
        };
        self.put(&range, rest).await
    }

    /// Asks how much the server has kept.
    async fn ask(&self, total: Option<u64>) -> StoreResult<Progress> {
        let total = total.map_or_else(|| "*".to_owned(), |total| total.to_string());
        self.put(&format!("bytes */{total}"), Bytes::new()).await
    }

    async fn put(&self, range: &str, body: Bytes) -> StoreResult<Progress> {
        let mut headers = HeaderMap::new();
        headers.insert(CONTENT_RANGE, HeaderValue::from_str(range).map_err(broken)?);
        let response = self.client.once(Method::PUT, &self.address, headers, body).await?;
        match response.status() {
            StatusCode::PERMANENT_REDIRECT => kept(&response).map(Progress::Kept),
            status if status.is_success() => Ok(Progress::Complete),
            StatusCode::NOT_FOUND | StatusCode::GONE => Ok(Progress::Forgotten),
            _ => Err(self.client.refused(response, About::Key(&self.location)).await),
        }
    }
}

/// `Range: bytes=0-42` says that 43 bytes are kept; without the header none are.
fn kept(response: &Response<ByteStream>) -> StoreResult<u64> {
    let Some(range) = response.headers().get(RANGE) else { return Ok(0) };
    let last = range.to_str().ok().and_then(|range| range.strip_prefix("bytes=0-")?.parse::<u64>().ok());
    let count = last.and_then(|last| last.checked_add(1));
    count.ok_or_else(|| malformed("the server does not say how much of an upload it has kept"))
}

/// Whether asking again may help.
fn is_passing(error: &object_store::Error) -> bool {
    crate::bucket::failure::mapped(error, "").code() == ErrorCode::CloudUnavailable
}
