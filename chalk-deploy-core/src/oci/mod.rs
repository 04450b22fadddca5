//! The [`Registry`] adapter on the OCI distribution protocol, one for every cloud.
//!
//! Read [`OciRegistry`] first; then `client`, which sends one call with the right credentials; then `upload`, the only
//! part with states of its own, and `push`, which puts a whole image together from it.
//!
//! # What is used of `oci_distribution`, and what is not
//!
//! The crate (it lives on as oci-client) gives us the naming rule of references ([`Reference`], which knows that
//! `docker.io` is served by `index.docker.io`), the media types, the manifest types and [`RegistryAuth`], which holds
//! what is sent and prints none of it. Its `Client` is not used: it opens its own sockets, so it can be driven neither in
//! virtual time nor through the one transport; it repeats nothing and resumes nothing; it never replaces credentials
//! that it has stored once, so a token of twelve hours ends a service of thirteen; it fetches tokens from whatever
//! realm a server names; and it streams a blob either as pieces of 4 MiB, which Artifact Registry does not take and
//! ECR loses, or without a way to go on after a cut.
//!
//! # Requests
//!
//! | call | requests when there is nothing to do | requests else |
//! |---|---|---|
//! | `has_blob` | 1 (HEAD) | |
//! | `push_blob` | 1 (HEAD) | 3 (HEAD, POST, PUT); 2 with a mount (HEAD, POST); one more a chunk when chunked |
//! | `put_manifest` | 1 (HEAD by digest, or by tag if one is given) | 2 (HEAD, PUT) |
//! | `manifest` | 1 (GET) | |
//! | `push_image` | 1 (HEAD by tag) where it is remembered | one mount a layer of the base, 2 a new blob (1 where one request is taken), 1 for the manifest |
//! | `push_index` | the same | the same, and 1 for each image's manifest |
//! | `remove_tag` | 2 (DELETE, HEAD) | 1 (DELETE) |
//! | `list_referrers` | 1 (GET), one more a page | 2 (GET, GET by tag) where the registry keeps no list |
//! | `attach` | 1 (HEAD) a manifest, 1 (GET) | 2 a manifest, 1; without a list 3 more (GET, PUT, GET by tag) and a wait |
//!
//! The first request to a host that wants a token costs two more (the 401 and the token), the first that needs a
//! wider scope one. A write that finds no repository costs what making it does, and itself once more
//! ([`OciSettings::with_repository_creator`]). `tests/adapter_oci` of the testkit counts them.
//!
//! # To whom credentials are given
//!
//! Only to the registry's own origin (scheme, host and port), and to a realm that keeps the rule of [`trust`]. They are
//! not sent along with redirects, nor to an upload location on another host. What a registry says is shown only
//! through [`crate::text`], with our credentials taken out.
//!
//! [`Reference`]: oci_distribution::Reference
//! [`RegistryAuth`]: oci_distribution::secrets::RegistryAuth

mod settings;
mod credentials;
mod endpoint;
pub mod trust;
mod challenge;
mod token;
mod client;
mod creation;
mod refusal;
mod checked;
mod chunks;
mod memory;
mod flights;
mod upload;
mod download;
mod blob;
mod manifest;
mod push;
mod referrers;

use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;

use crate::Result;
use crate::cloud::{ByteStream, ImageManifest, ManifestLocator, Payload, Referrer, Referrers, Registry};
use crate::model::{Digest, ImageTag, Repository};
use crate::runtime::Runtime;
use crate::transport::Transport;

pub use crate::credentials::Secret;
pub use credentials::{Anonymous, Asked, Credential, RegistryCredentials, StaticCredentials};
pub use memory::RegistryMemory;
pub use push::PushOutcome;
pub use settings::{OciSettings, UploadMode};

use client::Client;
use push::Pushed;
use upload::Session;

/// Every registry that speaks the OCI distribution protocol. A repository names its own host, so one value serves them
/// all. Cheap to clone; clones share the tokens.
#[derive(Clone)]
pub struct OciRegistry(Arc<Client>);

impl OciRegistry {
    /// Sends its requests through this transport and takes its time from this runtime.
    pub fn new(transport: Transport, runtime: Arc<dyn Runtime>, settings: OciSettings) -> Self {
        Self(Arc::new(Client::new(transport, runtime, settings)))
    }

    /// Pushes an image: its blobs beside each other, then its manifest, in as few round trips as the registry allows.
    /// What this value has seen a repository to hold is not asked for again; the registry's own check of the manifest
    /// shows when that is no longer true, and then it is pushed.
    ///
    /// **Idempotency.** By digest; an image that is there under the tag costs one request if this value, or one whose
    /// [`memory`](Self::memory) it was given, has pushed it.
    ///
    /// **After a crash.** Blobs are whole or absent; the manifest and the tag are there only with all of them.
    ///
    /// **Errors.** Those of [`push_blob`](Registry::push_blob) and [`put_manifest`](Registry::put_manifest).
    pub async fn push_image(
        &self,
        repository: &Repository,
        manifest: &ImageManifest,
        blobs: &[Payload],
        tag: Option<&ImageTag>,
    ) -> Result<PushOutcome> {
        push::push(&self.0, repository, Pushed { manifest, children: &[], blobs, tag }).await
    }

    /// Pushes an image for several platforms as [`push_image`](Self::push_image) does one for one: the blobs of all, then
    /// the manifests of the images, then the index that names them.
    ///
    /// **Idempotency.** By digest; an index that is there under the tag costs one request if this value, or one whose
    /// [`memory`](Self::memory) it was given, has pushed it.
    ///
    /// **After a crash.** Blobs are whole or absent; the index and the tag are there only with all of the images.
    ///
    /// **Errors.** Those of [`push_image`](Self::push_image).
    pub async fn push_index(
        &self,
        repository: &Repository,
        index: &ImageManifest,
        images: &[ImageManifest],
        blobs: &[Payload],
        tag: Option<&ImageTag>,
    ) -> Result<PushOutcome> {
        push::push(&self.0, repository, Pushed { manifest: index, children: images, blobs, tag }).await
    }

    /// Opens an upload before its bytes are known, so that the session is there when they are. `None` where none is
    /// needed, because the registry takes uploads in one request or may turn out to.
    ///
    /// **Idempotency.** Each call opens another one.
    ///
    /// **After a crash.** A session without an end is the registry's to forget.
    ///
    /// **Errors.** Those of [`push_blob`](Registry::push_blob).
    pub async fn open_upload(&self, repository: &Repository) -> Result<Option<OpenedUpload>> {
        let session = upload::open(&self.0, repository).await?;
        Ok(session.map(|session| OpenedUpload { repository: repository.clone(), session }))
    }

    /// Pushes a blob without asking whether it is there, into an upload that was opened for it if there is one. One that
    /// the repository is remembered to hold is not sent, and its upload is cancelled.
    ///
    /// **Idempotency**, **After a crash**, **Errors.** As with [`push_blob`](Registry::push_blob).
    pub async fn push_opened(
        &self,
        repository: &Repository,
        payload: &Payload,
        opened: Option<OpenedUpload>,
    ) -> Result<()> {
        let session = opened.filter(|opened| opened.repository == *repository).map(|opened| opened.session);
        push::push_blob(&self.0, repository, payload, session).await
    }

    /// Pushes blobs of an image whose other blobs are yet to come. What the repository is remembered to hold is not sent.
    pub(crate) async fn begin_push(&self, repository: &Repository, blobs: &[Payload]) -> Result<()> {
        push::begin(&self.0, repository, blobs).await
    }

    /// Cancels an upload that was opened in vain. Best effort: what is left is the registry's to forget.
    pub async fn cancel_upload(&self, opened: OpenedUpload) {
        if let Ok(endpoint) = self.0.endpoint(&opened.repository) {
            upload::give_up(&self.0, &endpoint, &opened.session).await;
        }
    }

    /// Whether a repository is remembered to hold this content. Costs no request.
    pub fn remembers(&self, repository: &Repository, digest: &Digest) -> bool {
        let Ok(endpoint) = self.0.endpoint(repository) else { return false };
        let now = self.0.runtime().now();
        self.0.memory().holds(&endpoint.registry(), endpoint.path(), digest, now)
    }

    /// Remembers that a repository holds a layer whose unpacked bytes have this digest.
    pub(crate) fn saw_unpacked(&self, repository: &Repository, diff: Digest) {
        if let Ok(endpoint) = self.0.endpoint(repository) {
            self.0.saw(&endpoint, diff);
        }
    }

    /// What was learned of registries so far.
    pub fn memory(&self) -> RegistryMemory {
        self.0.memory().clone()
    }

    /// Remembers what another value has learned, in another process perhaps.
    pub fn remember(&self, memory: RegistryMemory) {
        let now = self.0.runtime().now();
        self.0.memory().merge(memory, now);
    }
}

/// An upload that a registry has opened and that is yet to get its bytes.
#[must_use = "a session that is not used is the registry's to clean up"]
pub struct OpenedUpload {
    repository: Repository,
    session: Session,
}

impl fmt::Debug for OpenedUpload {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Whoever has the session's address may write to it.
        formatter.debug_struct("OpenedUpload").field("repository", &self.repository).finish_non_exhaustive()
    }
}

impl fmt::Debug for OciRegistry {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_tuple("OciRegistry").field(self.0.settings()).finish()
    }
}

#[async_trait]
impl Registry for OciRegistry {
    async fn has_blob(&self, repository: &Repository, digest: &Digest) -> Result<bool> {
        blob::has(&self.0, repository, digest).await
    }

    async fn push_blob(&self, repository: &Repository, payload: &Payload) -> Result<()> {
        upload::push(&self.0, repository, payload, true, None).await
    }

    async fn pull_blob(&self, repository: &Repository, digest: &Digest) -> Result<ByteStream> {
        blob::pull(&self.0, repository, digest).await
    }

    async fn put_manifest(
        &self,
        repository: &Repository,
        manifest: &ImageManifest,
        tag: Option<ImageTag>,
    ) -> Result<Digest> {
        manifest::put(&self.0, repository, manifest, tag.as_ref()).await
    }

    async fn manifest(&self, repository: &Repository, locator: &ManifestLocator) -> Result<Option<ImageManifest>> {
        manifest::get(&self.0, repository, locator).await
    }

    async fn remove_tag(&self, repository: &Repository, tag: &ImageTag) -> Result<()> {
        manifest::remove_tag(&self.0, repository, tag).await
    }

    fn referrers(&self) -> Option<Arc<dyn Referrers>> {
        Some(Arc::new(self.clone()))
    }
}

#[async_trait]
impl Referrers for OciRegistry {
    async fn list_referrers(&self, repository: &Repository, subject: &Digest) -> Result<Vec<Referrer>> {
        referrers::list(&self.0, repository, subject).await
    }

    async fn attach(&self, repository: &Repository, subject: &Digest, manifests: &[ImageManifest]) -> Result<()> {
        referrers::attach(&self.0, repository, subject, manifests).await
    }
}
