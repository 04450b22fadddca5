//! Uploads of blobs: in one request, in two, or in many.

mod receive;
mod session;

use chalk_deploy_core::cloud::ByteStream;
use futures::StreamExt as _;
use http::header::{CONTENT_LENGTH, LOCATION, RANGE};
use http::{HeaderName, Response, StatusCode};

use self::receive::range;
pub(super) use self::session::Hashers;
use self::session::{Session, digest_of};
use super::access::Caller;
use super::account::Action;
use super::digest::{Algorithm, ContentDigest, hex};
use super::grammar::is_repository;
use super::refusal::{self, Answer, Refusal};
use super::route::UPLOADS_ELSEWHERE;
use super::settings::{Mounts, UploadLocation};
use super::{CONTENT_DIGEST, Incoming, RegistryServer, answer, set, storage};

/// `Docker-Upload-UUID`.
const UPLOAD_ID: HeaderName = HeaderName::from_static("docker-upload-uuid");

impl RegistryServer {
    pub(super) async fn begin_upload(
        &self,
        request: &Incoming,
        caller: &Caller,
        repository: &str,
        body: ByteStream,
    ) -> Answer {
        if !self.settings.creates_repositories && !self.storage.has_repository(repository)? {
            return Err(refusal::name_unknown(format!(
                "The repository with name '{repository}' does not exist in the registry"
            )));
        }
        if let Some(mounted) = request.query.get("mount") {
            let digest = parse_digest(mounted)?;
            if let Some(size) = self.mountable(caller, &digest, request.query.get("from"))? {
                self.storage.room.exclusively(|writer| storage::write_link(writer, repository, &digest, size))?;
                return Ok(created(&self.place_of(request, &format!("/v2/{repository}/blobs/{digest}")), &digest));
            }
        }
        let digest = match request.query.get("digest") {
            Some(text) if self.settings.uploads.single_post => Some(parse_digest(text)?),
            _ => None,
        };
        let id = self.upload_id();
        let session = Session::new(repository.to_owned());
        self.storage.room.exclusively(|writer| session.write(writer, &id))?;
        let Some(digest) = digest else {
            let mut response = self.accepted(request, StatusCode::ACCEPTED, &id, &session);
            let least = self.settings.uploads.least_chunk;
            if least > 0 {
                set(&mut response, "oci-chunk-min-length", &least.to_string());
            }
            return Ok(response);
        };
        let outcome = self.finish(request, &id, session, &digest, body).await;
        if outcome.is_err() {
            // The client does not know the session and cannot go on with it.
            self.forget(&id)?;
        }
        outcome
    }

    pub(super) fn upload_status(&self, request: &Incoming, repository: &str, id: &str) -> Answer {
        let session = self.session(request, repository, id, OldLocation::Allowed)?;
        Ok(self.accepted(request, StatusCode::NO_CONTENT, id, &session))
    }

    pub(super) async fn upload_chunk(
        &self,
        request: &Incoming,
        repository: &str,
        id: &str,
        body: ByteStream,
    ) -> Answer {
        let session = self.session(request, repository, id, OldLocation::Refused)?;
        if self.settings.uploads.chunks.is_some_and(|most| session.chunks >= most) {
            return Err(refusal::unsupported("chunked uploads are not supported"));
        }
        let arrived = self.receive(request, id, session, true, body).await?;
        self.hashers.keep(id, arrived.session.offset(), arrived.hasher);
        if !arrived.whole {
            return Err(refusal::upload_invalid("the chunk broke off"));
        }
        let created = self.settings.uploads.chunk_is_created;
        let status = if created { StatusCode::CREATED } else { StatusCode::ACCEPTED };
        Ok(self.accepted(request, status, id, &arrived.session))
    }

    pub(super) async fn finish_upload(
        &self,
        request: &Incoming,
        repository: &str,
        id: &str,
        body: ByteStream,
    ) -> Answer {
        let session = self.session(request, repository, id, OldLocation::Refused)?;
        let digest = request.query.get("digest").ok_or_else(|| refusal::digest_invalid("`digest` is missing"))?;
        let digest = parse_digest(digest)?;
        self.finish(request, id, session, &digest, body).await
    }

    pub(super) fn cancel_upload(&self, repository: &str, id: &str) -> Answer {
        let session = Session::read(&self.storage.room, id)?;
        session.filter(|session| session.repository == repository).ok_or_else(unknown)?;
        self.forget(id)?;
        Ok(answer(StatusCode::NO_CONTENT))
    }

    /// Takes in the last bytes, compares the digest and puts the blob in its place.
    async fn finish(
        &self,
        request: &Incoming,
        id: &str,
        session: Session,
        digest: &ContentDigest,
        body: ByteStream,
    ) -> Answer {
        let arrived = self.receive(request, id, session, false, body).await?;
        let session = arrived.session;
        let offset = session.offset();
        if !arrived.whole {
            self.hashers.keep(id, offset, arrived.hasher);
            return Err(refusal::upload_invalid("the last bytes broke off"));
        }
        let known = arrived.hasher.filter(|_| digest.algorithm() == Algorithm::Sha256);
        let actual = match known {
            Some(hasher) => hasher.finish(),
            None => {
                if let Some(bytes) = session.open(&self.storage.room, id)? {
                    digest_of(bytes, digest.algorithm()).await.map_err(unreadable)?
                } else {
                    self.forget(id)?;
                    return Err(unknown());
                }
            }
        };
        if actual != *digest {
            // As the distribution project does: nothing can make these bytes right.
            self.forget(id)?;
            return Err(refusal::digest_invalid(format!("the bytes have the digest {actual}"))
                .detail(serde_json::json!({"digest": digest.as_str()})));
        }
        self.place(id, &session, digest).await?;
        self.hashers.keep(id, 0, None);
        let place = self.place_of(request, &format!("/v2/{}/blobs/{digest}", session.repository));
        Ok(created(&place, digest))
    }

    /// Makes a blob of an upload whose digest is right. One part is moved into its place, several are copied together.
    async fn place(&self, id: &str, session: &Session, digest: &ContentDigest) -> Result<(), Refusal> {
        let room = &self.storage.room;
        let document = storage::blob(digest);
        let received = if session.parts.len() > 1 && !room.holds(&document)? {
            let mut bytes = session.open(room, id)?.ok_or_else(unknown)?;
            let mut receiving = room.receive(&document).await?;
            while let Some(piece) = bytes.next().await {
                receiving.push(&piece.map_err(unreadable)?)?;
            }
            Some(receiving.finish()?)
        } else {
            None
        };
        let placed = room.exclusively(|writer| {
            if let Some(received) = received {
                writer.accept(received)?;
            } else if !room.holds(&document)? {
                match session.parts.len() {
                    0 => writer.write(&document, b"")?,
                    1 => {
                        writer.rename(&session::part_document(id, 0), &document)?;
                    }
                    _ => {}
                }
            }
            if !room.holds(&document)? {
                return Ok(false);
            }
            storage::write_link(writer, &session.repository, digest, session.offset())?;
            session.remove(writer, id)?;
            Ok(true)
        })?;
        if placed { Ok(()) } else { Err(unknown()) }
    }

    /// The size of a blob that may be mounted.
    fn mountable(&self, caller: &Caller, digest: &ContentDigest, from: Option<&str>) -> Result<Option<u64>, Refusal> {
        let sources = match (self.settings.mounts, from) {
            (Mounts::FromNamed | Mounts::FromAny, Some(from)) if is_repository(from) => vec![from.to_owned()],
            (Mounts::FromAny, None) => self.storage.repositories()?,
            _ => Vec::new(),
        };
        for source in sources.iter().filter(|source| self.is_allowed(caller, Action::Pull, source)) {
            if let Some(size) = self.storage.blob_size(source, digest)? {
                return Ok(Some(size));
            }
        }
        Ok(None)
    }

    /// The upload that a request goes on with.
    fn session(&self, request: &Incoming, repository: &str, id: &str, old: OldLocation) -> Result<Session, Refusal> {
        let session = Session::read(&self.storage.room, id)?;
        let session = session.filter(|session| session.repository == repository).ok_or_else(unknown)?;
        if self.settings.uploads.location == UploadLocation::Elsewhere {
            let state = request.query.get("state").unwrap_or_default();
            let (offset, signature) = state.split_once('~').unwrap_or_default();
            if !self.signer.is_signed(&state_of(id, offset), signature) {
                return Err(refusal::upload_invalid("the location is not the one that the last answer gave"));
            }
            if old == OldLocation::Refused && offset != session.offset().to_string() {
                return Err(self.out_of_place(request, id, &session, "the location is not that of the last answer"));
            }
        }
        Ok(session)
    }

    /// An answer that says how far an upload is and where it goes on.
    fn accepted(&self, request: &Incoming, status: StatusCode, id: &str, session: &Session) -> Response<ByteStream> {
        let mut response = answer(status);
        if status == StatusCode::NO_CONTENT {
            response.headers_mut().remove(CONTENT_LENGTH);
        }
        set(&mut response, LOCATION, &self.location(request, id, session));
        set(&mut response, RANGE, &range(session.offset()));
        set(&mut response, UPLOAD_ID, id);
        response
    }

    fn location(&self, request: &Incoming, id: &str, session: &Session) -> String {
        let path = format!("/v2/{}/blobs/uploads/{id}", session.repository);
        match self.settings.uploads.location {
            UploadLocation::Relative => path,
            UploadLocation::Absolute => format!("{}{path}", request.origin),
            UploadLocation::Elsewhere => {
                let offset = session.offset().to_string();
                let signature = self.signer.sign(&state_of(id, &offset));
                format!("/{UPLOADS_ELSEWHERE}/{}/{id}?state={offset}~{signature}", session.repository)
            }
        }
    }

    fn forget(&self, id: &str) -> Result<(), Refusal> {
        self.hashers.keep(id, 0, None);
        let room = &self.storage.room;
        Ok(room.exclusively(|writer| match Session::read(room, id)? {
            Some(session) => session.remove(writer, id),
            None => Ok(()),
        })?)
    }

    /// An id in the form of a version 4 UUID.
    fn upload_id(&self) -> String {
        let mut bytes = [0; 16];
        self.runtime.fill_random(&mut bytes);
        bytes[6] = bytes[6] & 0x0f | 0x40;
        bytes[8] = bytes[8] & 0x3f | 0x80;
        let digits = hex(&bytes);
        [&digits[..8], &digits[8..12], &digits[12..16], &digits[16..20], &digits[20..]].join("-")
    }
}

/// Whether a location from before the last answer is taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum OldLocation {
    Allowed,
    Refused,
}

fn created(place: &str, digest: &ContentDigest) -> Response<ByteStream> {
    let mut response = answer(StatusCode::CREATED);
    set(&mut response, LOCATION, place);
    set(&mut response, CONTENT_DIGEST, digest.as_str());
    response
}

fn parse_digest(text: &str) -> Result<ContentDigest, Refusal> {
    ContentDigest::parse(text).ok_or_else(|| refusal::digest_invalid(format!("`{text}` is no digest")))
}

fn state_of(id: &str, offset: &str) -> String {
    format!("upload {id} {offset}")
}

fn unknown() -> Refusal {
    refusal::upload_unknown("there is no such upload")
}

#[expect(clippy::needless_pass_by_value, reason = "it is handed to map_err")]
fn unreadable(error: std::io::Error) -> Refusal {
    Refusal::new(StatusCode::INTERNAL_SERVER_ERROR, "UNKNOWN", format!("the upload cannot be read: {error}"))
}
