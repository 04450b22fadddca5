//! Manifests: storing, reading and deleting them, by tag and by digest.

mod document;

use chalk_deploy_core::cloud::ByteStream;
use http::header::{ACCEPT, CONTENT_LENGTH, CONTENT_TYPE, LOCATION};
use http::{Response, StatusCode};
use serde_json::json;

pub(super) use self::document::{Document, INDEXES};
use super::digest::{Algorithm, ContentDigest};
use super::refusal::{self, Answer, Refusal};
use super::route::ManifestName;
use super::settings::TagRule;
use super::storage::{StoredManifest, manifest, referrer, tag_document, write_manifest};
use super::{CONTENT_DIGEST, Incoming, RegistryServer, answer, set};
use crate::simulated::http::{full, read_body};

/// The specification asks registries to take at least this, and real ones take no more.
pub(super) const LARGEST_MANIFEST: usize = 4 << 20;

/// What became of a change under the lock.
type Changed<T> = Result<T, Refusal>;

impl RegistryServer {
    pub(super) fn read_manifest(&self, request: &Incoming, repository: &str, name: &ManifestName) -> Answer {
        let (digest, stored) = self.find_manifest(repository, name)?;
        if !accepts(request, &stored.media_type) {
            // The answer of the distribution project to clients from before OCI.
            return Err(refusal::manifest_unknown(format!(
                "a {} was found, but the `Accept` header does not take it",
                stored.media_type
            )));
        }
        let mut response = Response::new(full(stored.bytes.clone()));
        set(&mut response, CONTENT_TYPE, &stored.media_type);
        set(&mut response, CONTENT_LENGTH, &stored.bytes.len().to_string());
        set(&mut response, CONTENT_DIGEST, digest.as_str());
        Ok(response)
    }

    pub(super) async fn put_manifest(
        &self,
        request: &Incoming,
        repository: &str,
        name: &ManifestName,
        body: ByteStream,
    ) -> Answer {
        if !self.settings.creates_repositories && !self.storage.has_repository(repository)? {
            return Err(refusal::name_unknown(format!(
                "The repository with name '{repository}' does not exist in the registry"
            )));
        }
        let bytes = read_body(body, LARGEST_MANIFEST).await.map_err(|status| match status {
            StatusCode::PAYLOAD_TOO_LARGE => refusal::manifest_too_large("the manifest is larger than 4 MiB"),
            _ => refusal::manifest_invalid("the manifest broke off"),
        })?;
        let digest = match name {
            ManifestName::Tag(_) => ContentDigest::of(&bytes, Algorithm::Sha256),
            ManifestName::Digest(digest) => {
                let actual = ContentDigest::of(&bytes, digest.algorithm());
                if actual != *digest {
                    return Err(refusal::digest_invalid(format!("the manifest has the digest {actual}")));
                }
                actual
            }
        };
        let document = Document::read(&bytes, request.header(CONTENT_TYPE)).map_err(refusal::manifest_invalid)?;
        let stored = StoredManifest { media_type: document.media_type.clone(), bytes };
        self.store_manifest(repository, name, &digest, &document, &stored)?;

        let mut response = answer(StatusCode::CREATED);
        let place = self.place_of(request, &format!("/v2/{repository}/manifests/{digest}"));
        set(&mut response, LOCATION, &place);
        set(&mut response, CONTENT_DIGEST, digest.as_str());
        if let Some(subject) = document.subject.filter(|_| self.settings.referrers) {
            set(&mut response, "oci-subject", subject.as_str());
        }
        Ok(response)
    }

    pub(super) fn delete_manifest(&self, repository: &str, name: &ManifestName) -> Answer {
        let deletions = self.settings.deletions;
        let (allowed, what) = match name {
            ManifestName::Tag(_) => (deletions.tags, "tags"),
            ManifestName::Digest(_) => (deletions.manifests, "manifests"),
        };
        if !allowed {
            return Err(refusal::unsupported(format!("{what} are not deleted here")));
        }
        let (digest, stored) = self.find_manifest(repository, name)?;
        let subject =
            Document::read(&stored.bytes, Some(&stored.media_type)).ok().and_then(|document| document.subject);
        self.change(|writer| {
            if let ManifestName::Tag(tag) = name {
                return Ok(writer.remove(&tag_document(repository, tag))?);
            }
            let tags = self.storage.tags_of(repository, &digest)?;
            if deletions.tags_first && !tags.is_empty() {
                let message = "Manifest is still referenced by one or more tags";
                return Err(Refusal::new(StatusCode::BAD_REQUEST, "GOOGLE_MANIFEST_DANGLING_TAG", message)
                    .detail(json!({"tags": tags})));
            }
            // First what points to it: a kill must not leave a tag that names nothing.
            tags.iter().try_for_each(|tag| writer.remove(&tag_document(repository, tag)))?;
            if let Some(subject) = &subject {
                writer.remove(&referrer(repository, subject, &digest))?;
            }
            Ok(writer.remove(&manifest(repository, &digest))?)
        })?;
        Ok(answer(StatusCode::ACCEPTED))
    }

    /// A manifest by its name.
    pub(super) fn find_manifest(
        &self,
        repository: &str,
        name: &ManifestName,
    ) -> Result<(ContentDigest, StoredManifest), Refusal> {
        let digest = match name {
            ManifestName::Digest(digest) => Some(digest.clone()),
            ManifestName::Tag(tag) => self.storage.tag(repository, tag)?,
        };
        if let Some(digest) = digest
            && let Some(stored) = self.storage.manifest(repository, &digest)?
        {
            return Ok((digest, stored));
        }
        if self.storage.has_repository(repository)? {
            Err(refusal::manifest_unknown("manifest unknown"))
        } else {
            Err(refusal::name_unknown("repository name not known to registry"))
        }
    }

    fn store_manifest(
        &self,
        repository: &str,
        name: &ManifestName,
        digest: &ContentDigest,
        document: &Document,
        stored: &StoredManifest,
    ) -> Result<(), Refusal> {
        self.change(|writer| {
            self.check_parts(repository, document)?;
            if let ManifestName::Tag(tag) = name {
                self.check_tag(repository, tag, digest)?;
            }
            write_manifest(writer, repository, digest, stored)?;
            if let Some(subject) = &document.subject {
                let descriptor = document.descriptor(digest, stored.bytes.len());
                writer.write_json(&referrer(repository, subject, digest), &descriptor)?;
            }
            if let ManifestName::Tag(tag) = name {
                writer.write(&tag_document(repository, tag), digest.as_str().as_bytes())?;
            }
            Ok(())
        })
    }

    fn check_tag(&self, repository: &str, tag: &str, digest: &ContentDigest) -> Result<(), Refusal> {
        let Some(current) = self.storage.tag(repository, tag)? else { return Ok(()) };
        let refused = match self.settings.tags {
            TagRule::Movable => false,
            TagRule::Immutable => current != *digest,
            TagRule::PushedOnce => true,
        };
        if !refused {
            return Ok(());
        }
        // The form of ECR, quoted in osscontainertools/kaniko#204.
        Err(refusal::tag_invalid(format!(
            "The image tag '{tag}' already exists in the '{repository}' repository and cannot be overwritten because \
             the tag is immutable."
        )))
    }

    /// Refuses a manifest that names what the repository does not hold. What it is about need not be there.
    fn check_parts(&self, repository: &str, document: &Document) -> Result<(), Refusal> {
        let mut missing = Vec::new();
        for digest in &document.blobs {
            if self.storage.blob_size(repository, digest)?.is_none() {
                missing.push(digest.as_str());
            }
        }
        for digest in &document.manifests {
            if !self.storage.has_manifest(repository, digest)? {
                missing.push(digest.as_str());
            }
        }
        let Some(first) = missing.first() else { return Ok(()) };
        let not_found = self.settings.missing_parts_are_not_found;
        let status = if not_found { StatusCode::NOT_FOUND } else { StatusCode::BAD_REQUEST };
        Err(Refusal::new(status, "MANIFEST_BLOB_UNKNOWN", format!("the repository does not hold {first}"))
            .detail(json!({"digest": first})))
    }

    /// Changes the room and may refuse in the middle.
    fn change<T>(&self, change: impl FnOnce(&crate::world::Writer<'_>) -> Changed<T>) -> Changed<T> {
        self.storage.room.exclusively(|writer| Ok(change(writer)))?
    }
}

/// Whether the client takes this media type. One that names none takes all.
fn accepts(request: &Incoming, media_type: &str) -> bool {
    let mut accepted = request.headers.get_all(ACCEPT).iter().filter_map(|value| value.to_str().ok()).peekable();
    accepted.peek().is_none()
        || accepted.flat_map(|value| value.split(',')).any(|range| {
            let range = range.split(';').next().unwrap_or_default().trim();
            matches!(range, "*/*" | "application/*") || range.eq_ignore_ascii_case(media_type)
        })
}
