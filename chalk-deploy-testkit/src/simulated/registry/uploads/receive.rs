//! How the bytes of an upload arrive.

use chalk_deploy_core::cloud::ByteStream;
use futures::StreamExt as _;
use http::StatusCode;
use http::header::{CONTENT_LENGTH, CONTENT_RANGE, RANGE};

use super::session::{MOST_PARTS, Session, part_document};
use crate::simulated::registry::digest::Hasher;
use crate::simulated::registry::refusal::{self, Refusal};
use crate::simulated::registry::{Incoming, RegistryServer};

/// Bytes that have arrived.
#[derive(Debug)]
pub(super) struct Arrived {
    /// The upload with them.
    pub(super) session: Session,
    /// The SHA-256 of all its bytes, if those before were known to this process.
    pub(super) hasher: Option<Hasher>,
    /// Whether the body ended as it should.
    pub(super) whole: bool,
}

/// How many bytes a request announces.
#[derive(Debug, Clone, Copy, Default)]
struct Announced {
    length: Option<u64>,
}

impl RegistryServer {
    /// Takes in a body as the next part of an upload. What arrives before a body breaks off is kept, as the
    /// distribution project keeps it; so the client can go on from there.
    pub(super) async fn receive(
        &self,
        request: &Incoming,
        id: &str,
        session: Session,
        is_chunk: bool,
        mut body: ByteStream,
    ) -> Result<Arrived, Refusal> {
        let offset = session.offset();
        let announced = self.announced(request, id, &session)?;
        let largest = self.settings.largest_blob;
        if announced.length.is_some_and(|length| offset.saturating_add(length) > largest) {
            return Err(too_large());
        }
        let drops = is_chunk && session.chunks > 0 && self.settings.uploads.drops_later_chunks;
        let mut hasher = self.hashers.at(id, offset);
        let mut receiving = None;
        let (mut length, mut whole) = (0_u64, true);
        while let Some(piece) = body.next().await {
            let Ok(piece) = piece else {
                whole = false;
                break;
            };
            if piece.is_empty() || drops {
                continue;
            }
            length += piece.len() as u64;
            if offset + length > largest || announced.length.is_some_and(|announced| length > announced) {
                return Err(too_large());
            }
            if receiving.is_none() {
                self.check_part(&session)?;
                let document = part_document(id, session.parts.len());
                receiving = Some(self.storage.room.receive(&document).await?);
            }
            if let Some(receiving) = &mut receiving {
                receiving.push(&piece)?;
            }
            if let Some(hasher) = &mut hasher {
                hasher.update(&piece);
            }
        }
        // Some clients end a body early without an error that we see.
        whole &= drops || announced.length.is_none_or(|announced| announced == length);
        let received = receiving.map(crate::world::Receiving::finish).transpose()?;
        let mut grown = session.clone();
        grown.chunks += usize::from(is_chunk);
        if received.is_some() {
            grown.parts.push(length);
        }
        let current = self.storage.room.exclusively(|writer| {
            // Another request may have been quicker; then the bytes are not the next ones any more.
            let current = Session::read(&self.storage.room, id)?;
            if current.as_ref().is_some_and(|current| current.parts == session.parts) {
                if let Some(received) = received {
                    writer.accept(received)?;
                }
                grown.write(writer, id)?;
            }
            Ok(current)
        })?;
        match current {
            Some(current) if current.parts == session.parts => Ok(Arrived { session: grown, hasher, whole }),
            Some(current) => Err(self.out_of_place(request, id, &current, "another request has written here")),
            None => Err(refusal::upload_unknown("the upload has ended")),
        }
    }

    /// Checks that the bytes are the next ones. The range of a chunk is `<first>-<last>`, without a unit.
    fn announced(&self, request: &Incoming, id: &str, session: &Session) -> Result<Announced, Refusal> {
        let number =
            |text: &str| text.bytes().all(|byte| byte.is_ascii_digit()).then(|| text.parse::<u64>().ok()).flatten();
        let length = match request.header(CONTENT_LENGTH) {
            Some(text) => Some(number(text).ok_or_else(|| refusal::size_invalid("`Content-Length` is no number"))?),
            None => None,
        };
        let Some(range) = request.header(CONTENT_RANGE) else { return Ok(Announced { length }) };
        let (first, last) = range
            .split_once('-')
            .and_then(|(first, last)| number(first).zip(number(last)))
            .ok_or_else(|| refusal::upload_invalid("`Content-Range` is not `<first>-<last>`"))?;
        let expected = session.offset();
        if first != expected {
            let message = format!("First byte of the layer part is {first} instead of {expected}");
            return Err(self.out_of_place(request, id, session, &message));
        }
        let spanned = last.checked_sub(first).and_then(|span| span.checked_add(1));
        match (spanned, length) {
            (None, _) => Err(refusal::upload_invalid("`Content-Range` ends before it begins")),
            (Some(spanned), Some(length)) if spanned != length => {
                Err(refusal::size_invalid("`Content-Range` and `Content-Length` contradict each other"))
            }
            (spanned, _) => Ok(Announced { length: spanned }),
        }
    }

    /// Checks that one more part may follow those that there are.
    fn check_part(&self, session: &Session) -> Result<(), Refusal> {
        let least = self.settings.uploads.least_chunk;
        if session.parts.last().is_some_and(|length| *length < least) {
            // The words of ECR, quoted in dotnet/sdk-container-builds#424.
            let message = format!("All layer parts except the last part should be at least {least} bytes");
            return Err(refusal::upload_invalid(message));
        }
        if session.parts.len() >= MOST_PARTS {
            return Err(refusal::upload_invalid("the upload has too many parts"));
        }
        Ok(())
    }

    /// 416 with how far the upload is.
    pub(super) fn out_of_place(&self, request: &Incoming, id: &str, session: &Session, message: &str) -> Refusal {
        Refusal::new(StatusCode::RANGE_NOT_SATISFIABLE, "BLOB_UPLOAD_INVALID", message)
            .header(RANGE, &range(session.offset()))
            .header(http::header::LOCATION, &self.location(request, id, session))
            .header(super::UPLOAD_ID, id)
    }
}

/// `0-<last>`. Nothing and one byte look the same, as they do with the distribution project.
pub(super) fn range(offset: u64) -> String {
    format!("0-{}", offset.saturating_sub(1))
}

fn too_large() -> Refusal {
    Refusal::new(StatusCode::PAYLOAD_TOO_LARGE, "SIZE_INVALID", "there are more bytes than announced or allowed")
}
