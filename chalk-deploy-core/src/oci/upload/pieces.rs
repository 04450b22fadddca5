//! An upload in pieces, which goes on after an interruption with what the registry does not have yet.

use std::time::Duration;

use http::header::{CONTENT_LENGTH, CONTENT_RANGE, CONTENT_TYPE, RANGE, RETRY_AFTER};
use http::{HeaderMap, HeaderValue, Method, StatusCode};

use super::{OCTETS, Session, Upload};
use crate::error::Retry;
use crate::oci::chunks::Chunks;
use crate::oci::client::Answer;
use crate::transport::RequestBody;
use crate::{Error, ErrorCode, Result};

const CHUNK_LEAST: u64 = 64 << 10;
pub(super) const CHUNK_MOST: u64 = 64 << 20;

impl Upload<'_> {
    /// Sends it in pieces, and goes on after an interruption with what the registry does not have yet.
    pub(super) async fn pieces(&self, mut session: Session, chunk: u64, from: u64) -> Result<()> {
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
    pub(super) async fn status(&self, session: &mut Session) -> Result<u64> {
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

pub(super) fn retry_after(headers: &HeaderMap) -> Option<Duration> {
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
