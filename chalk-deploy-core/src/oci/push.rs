//! Pushing a whole image in as few round trips as the registry allows.
//!
//! ```text
//! remembered as pushed: HEAD manifest ── the same ─────────────────────────────> done, one request
//!        │ not
//!        ├─ config ───────────── POST ── PUT ─┐
//!        ├─ each new layer ───── POST ── PUT ─┼── PUT manifest ── 201 ─────────> done, three round trips
//!        ├─ each layer of a base POST mount ──┤        │
//!        └─ remembered as held ───────────────┘        └─ a blob is missing: what was remembered is asked for,
//!                                                          pushed, and the manifest put once more
//! ```
//!
//! Of an index, the images' manifests are put beside each other before it: one round trip more.
//!
//! The order is what the specification asks for, blobs before manifests, and all else is at once. What is small is sent
//! without asking whether it is there, because asking costs a round trip and sending hardly more.

use std::collections::BTreeSet;

use futures::future::BoxFuture;
use futures::{FutureExt as _, StreamExt as _};

use super::client::Client;
use super::endpoint::Endpoint;
use super::upload::Session;
use super::{manifest, upload};
use crate::cloud::{ImageManifest, Payload};
use crate::error::Retry;
use crate::model::{Digest, ImageTag, Repository};
use crate::transport::meter::branch;
use crate::{Error, ErrorCode, Result};

/// From this length on a blob is asked for before it is sent.
const ASKED_FOR: u64 = 8 << 20;
/// Blobs under way at once.
const AT_ONCE: usize = 6;

/// How a push ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PushOutcome {
    /// The image's digest.
    pub digest: Digest,
    /// Whether the repository held it already, under the tag if one was given.
    pub was_there: bool,
}

/// What is pushed.
#[derive(Clone, Copy)]
pub(super) struct Pushed<'a> {
    /// An image, or an index.
    pub(super) manifest: &'a ImageManifest,
    /// The images that an index names.
    pub(super) children: &'a [ImageManifest],
    /// The blobs of all images.
    pub(super) blobs: &'a [Payload],
    pub(super) tag: Option<&'a ImageTag>,
}

pub(super) async fn push(client: &Client, repository: &Repository, pushed: Pushed<'_>) -> Result<PushOutcome> {
    let endpoint = client.endpoint(repository)?;
    let push = Push { client, endpoint: &endpoint, repository };
    let digest = pushed.manifest.digest();
    let mut seen = BTreeSet::new();
    let (held, new): (Vec<_>, Vec<_>) =
        pushed.blobs.iter().filter(|blob| seen.insert(blob.sha256())).partition(|blob| push.holds(&blob.sha256()));
    let bulk = new.iter().filter(|blob| !push.can_mount(blob)).map(|blob| blob.size()).sum::<u64>();
    if (push.holds(&digest) || bulk >= ASKED_FOR)
        && manifest::is_there(client, &endpoint, pushed.manifest, pushed.tag).await?
    {
        return Ok(PushOutcome { digest, was_there: true });
    }
    push.blobs(&new, false).await?;
    match push.store(pushed, false).await {
        Err(error) if error.code() == ErrorCode::ObjectMissing && !(held.is_empty() && pushed.children.is_empty()) => {
            // Collected meanwhile, or what was remembered was never true.
            tracing::debug!(%error, "what was remembered of the registry is asked for");
            for blob in &held {
                client.memory().forget(&endpoint.registry(), endpoint.path(), &blob.sha256());
            }
            push.blobs(&held, true).await?;
            push.store(pushed, true).await?;
        }
        stored => stored?,
    }
    for digest in pushed.blobs.iter().map(Payload::sha256).chain(pushed.children.iter().map(ImageManifest::digest)) {
        client.saw(&endpoint, digest);
    }
    client.saw(&endpoint, digest);
    Ok(PushOutcome { digest, was_there: false })
}

/// Pushes some of an image's blobs beside each other; what is remembered as held is not sent.
pub(super) async fn begin(client: &Client, repository: &Repository, blobs: &[Payload]) -> Result<()> {
    let endpoint = client.endpoint(repository)?;
    let push = Push { client, endpoint: &endpoint, repository };
    let mut seen = BTreeSet::new();
    let new: Vec<_> = blobs.iter().filter(|blob| seen.insert(blob.sha256()) && !push.holds(&blob.sha256())).collect();
    push.blobs(&new, false).await
}

/// Pushes one blob, into a session that was opened for it if there is one. What is remembered as held is not sent.
pub(super) async fn push_blob(
    client: &Client,
    repository: &Repository,
    blob: &Payload,
    opened: Option<Session>,
) -> Result<()> {
    let endpoint = client.endpoint(repository)?;
    let push = Push { client, endpoint: &endpoint, repository };
    if push.holds(&blob.sha256()) {
        if let Some(opened) = opened {
            upload::give_up(client, &endpoint, &opened).await;
        }
        return Ok(());
    }
    push.blob(blob, false, opened).await
}

struct Push<'a> {
    client: &'a Client,
    endpoint: &'a Endpoint,
    repository: &'a Repository,
}

impl Push<'_> {
    fn holds(&self, digest: &Digest) -> bool {
        let now = self.client.runtime().now();
        self.client.memory().holds(&self.endpoint.registry(), self.endpoint.path(), digest, now)
    }

    fn can_mount(&self, blob: &Payload) -> bool {
        let origin = blob.origin().and_then(|origin| self.client.endpoint(origin).ok());
        origin.is_some_and(|origin| self.endpoint.is_origin_of(origin.base()))
    }

    /// Puts the manifests, children first. Those that are remembered are put only where `all` are.
    async fn store(&self, pushed: Pushed<'_>, all: bool) -> Result<()> {
        let children = pushed.children.iter().filter(|child| all || !self.holds(&child.digest()));
        let mut begun: Vec<BoxFuture<'_, Result<()>>> = Vec::new();
        for child in children {
            begun.push(branch(self.put(child, None)).boxed());
        }
        at_once(begun).await?;
        self.put(pushed.manifest, pushed.tag).await
    }

    async fn put(&self, manifest: &ImageManifest, tag: Option<&ImageTag>) -> Result<()> {
        manifest::store(self.client, self.endpoint, self.repository, manifest, tag).await.map(drop)
    }

    /// Pushes blobs beside each other.
    async fn blobs(&self, blobs: &[&Payload], ask: bool) -> Result<()> {
        let mut begun: Vec<BoxFuture<'_, Result<()>>> = Vec::with_capacity(blobs.len());
        for blob in blobs {
            begun.push(branch(self.blob(blob, ask, None)).boxed());
        }
        at_once(begun).await
    }

    /// Pushes one blob, and again where that may help. The driver repeats steps; this is no step of its.
    async fn blob(&self, blob: &Payload, ask: bool, mut opened: Option<Session>) -> Result<()> {
        let is_foreign = blob.origin().is_some() && !self.can_mount(blob);
        let mut ask = ask || (!self.can_mount(blob) && (is_foreign || blob.size() >= ASKED_FOR));
        let policy = self.client.settings().retry;
        let mut wait = policy.backoff;
        for attempt in 1.. {
            match upload::push(self.client, self.repository, blob, ask, opened.take()).await {
                Err(error) if error.retry() != Retry::Permanent && attempt < policy.attempts => {
                    tracing::debug!(%error, attempt, "a blob is pushed once more");
                    self.client.pause(wait).await;
                    wait = wait.saturating_mul(2);
                    ask = true;
                }
                ended => return ended,
            }
        }
        Ok(())
    }
}

/// Does all of it, some of it at a time. All are let come to their ends: one that was dropped in the middle would be
/// begun from the start next time.
async fn at_once(begun: Vec<BoxFuture<'_, Result<()>>>) -> Result<()> {
    let mut running = futures::stream::iter(begun).buffer_unordered(AT_ONCE);
    let mut failed: Option<Error> = None;
    while let Some(ended) = running.next().await {
        if let Err(error) = ended {
            failed.get_or_insert(error);
        }
    }
    failed.map_or(Ok(()), Err)
}
