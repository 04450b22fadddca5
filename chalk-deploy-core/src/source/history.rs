//! The sources of past deployments, as their bucket keeps them: listed, inspected, unpacked and handed out.
//!
//! `deployments/<deployment id>` leads to `archives/<sha256>`. Both are enough by themselves: no journal is read, so the
//! source of a deployment can be looked at from wherever the bucket can be read.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use futures::{StreamExt as _, TryStreamExt as _};
use serde::{Deserialize, Serialize};

use super::inspected::{ArchiveRules, InspectedArchive};
use super::policy::ArchiveFinding;
use super::{ArchiveEntry, ArchiveVisitor, Extraction, read_archive_within};
use crate::cloud::{ByteStream, ObjectRetention, ObjectStore, Payload, PayloadSource, PresignedUrl, Retention};
use crate::model::{DeploymentId, Digest, EnvironmentId, ObjectKey, ProjectName, SourceFingerprint, Timestamp};
use crate::{Error, ErrorCode, Result};

/// Where the index entries lie.
const PREFIX: &str = "deployments/";
/// Index entries that are read at once.
const AT_ONCE: usize = 8;
/// The longest index entry that is read.
const ENTRY_MOST: u64 = 64 << 10;

/// The way from a deployment to its source: what `deployments/<deployment id>` holds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SourceRecord {
    /// The deployment.
    pub deployment: DeploymentId,
    /// Where it was deployed.
    pub environment: EnvironmentId,
    /// The project.
    pub project: ProjectName,
    /// When the deployment was created.
    pub created_at: Timestamp,
    /// The key of its archive, which equal archives share.
    pub archive: ObjectKey,
    /// What the archive is.
    pub source: SourceFingerprint,
    /// The digest of the feature graph.
    pub graph: Digest,
    /// The commit that it was made of, where there was one.
    pub git_commit: Option<String>,
}

impl SourceRecord {
    /// The permanent key of an archive.
    pub(crate) fn archive_key(sha256: Digest) -> Result<ObjectKey> {
        ObjectKey::new(format!("archives/{}", sha256.hex()))
    }

    /// The key of a deployment's record.
    pub(crate) fn key(deployment: &DeploymentId) -> Result<ObjectKey> {
        ObjectKey::new(format!("{PREFIX}{deployment}"))
    }

    /// The record as it is stored.
    pub(crate) fn to_bytes(&self) -> Result<Vec<u8>> {
        serde_json::to_vec(self)
            .map_err(|error| Error::new(ErrorCode::Internal, "the index entry could not be written").caused_by(error))
    }
}

/// The sources of past deployments in one bucket.
#[derive(Debug, Clone)]
pub struct SourceHistory {
    bucket: Arc<dyn ObjectStore>,
    rules: ArchiveRules,
}

/// What an archive turned out to hold.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Inspection {
    /// What identifies it.
    pub fingerprint: SourceFingerprint,
    /// Its entries, in their order in the archive.
    pub entries: Vec<ArchiveEntry>,
    /// What someone should look at.
    pub findings: Vec<ArchiveFinding>,
}

impl SourceHistory {
    /// The sources in this bucket.
    pub fn new(bucket: Arc<dyn ObjectStore>) -> Self {
        Self { bucket, rules: ArchiveRules::new() }
    }

    /// Sets what archives must keep to be read.
    #[must_use]
    pub fn with_rules(mut self, rules: ArchiveRules) -> Self {
        self.rules = rules;
        self
    }

    /// The records of at most `most` deployments after `after`, ordered by deployment id. Fewer than `most` are the last
    /// ones.
    ///
    /// # Errors
    /// As [`find`](Self::find), and `PERMISSION_DENIED`, `CLOUD_UNAVAILABLE`.
    pub async fn list(&self, after: Option<&DeploymentId>, most: usize) -> Result<Vec<SourceRecord>> {
        let mut after = after.map(SourceRecord::key).transpose()?;
        let mut records = Vec::new();
        while records.len() < most {
            let wanted = most - records.len();
            let page = self.bucket.list(PREFIX, after, wanted).await?;
            let is_last = page.len() < wanted;
            after = page.last().map(|object| object.key.clone());
            // What has another name is no record, and counts for nothing.
            let deployments = page.iter().filter_map(|object| {
                object.key.as_str().strip_prefix(PREFIX).and_then(|id| DeploymentId::new(id).ok())
            });
            let deployments: Vec<_> = deployments.collect();
            let found = futures::stream::iter(deployments)
                .map(|deployment| async move { self.find(&deployment).await })
                .buffered(AT_ONCE);
            records.extend(found.try_collect::<Vec<_>>().await?);
            if is_last {
                break;
            }
        }
        Ok(records)
    }

    /// The record of a deployment.
    ///
    /// # Errors
    /// `OBJECT_MISSING` when none was archived under this id; `CLOUD_ANSWER_INVALID` when what lies there is no record, or
    /// another deployment's; `PERMISSION_DENIED`; `CLOUD_UNAVAILABLE`.
    pub async fn find(&self, deployment: &DeploymentId) -> Result<SourceRecord> {
        let key = SourceRecord::key(deployment)?;
        let object = self.bucket.get(&key).await?;
        let invalid = || {
            Error::new(ErrorCode::CloudAnswerInvalid, "the bucket holds something else than a record of a source")
                .on(format!("object `{key}`"))
                .with_hint("check who writes to the bucket")
        };
        if object.metadata.size > ENTRY_MOST {
            return Err(invalid());
        }
        let bytes = crate::cloud::collect(object.body, ENTRY_MOST).await?;
        let record: SourceRecord = serde_json::from_slice(&bytes).map_err(|error| invalid().caused_by(error))?;
        let is_its_own = record.deployment == *deployment
            && SourceRecord::archive_key(record.source.sha256).is_ok_and(|key| key == record.archive);
        if is_its_own { Ok(record) } else { Err(invalid()) }
    }

    /// The archive of a deployment, to be opened as often as needed. Its digest is compared by whoever reads it.
    pub fn archive(&self, record: &SourceRecord) -> Payload {
        stored(&self.bucket, &record.archive, &record.source)
    }

    /// Reads an archive to its end: what is in it, if it is the one that was deployed.
    ///
    /// # Errors
    /// `DIGEST_MISMATCH` when it is another one; `OBJECT_MISSING`; those of [`ArchiveReader`](super::ArchiveReader).
    pub async fn inspect(&self, record: &SourceRecord) -> Result<Inspection> {
        let entries = Vec::new();
        let visit = |entries: &mut Vec<ArchiveEntry>, entry: &ArchiveEntry, _: &mut dyn std::io::Read| {
            entries.push(entry.clone());
            Ok(())
        };
        let (fingerprint, findings, entries) = self.read(record, entries, visit).await?;
        Ok(Inspection { fingerprint, entries, findings })
    }

    /// Unpacks an archive into a directory, which is made ([`Extraction`]).
    ///
    /// # Errors
    /// As [`inspect`](Self::inspect), and those of [`Extraction`]. The directory is not there then.
    pub async fn extract(&self, record: &SourceRecord, directory: &Path) -> Result<SourceFingerprint> {
        let extraction = Extraction::begin(directory)?;
        let (fingerprint, _, extraction) = self.read(record, extraction, Extraction::entry).await?;
        extraction.finish()?;
        Ok(fingerprint)
    }

    /// A URL from which a deployment's archive can be read for a while (`GetDeploymentSource` of the published contract).
    ///
    /// # Errors
    /// As [`find`](Self::find); those of [`PresignedDownload::presign`](crate::cloud::PresignedDownload::presign);
    /// `REQUEST_INVALID` where the bucket has no such URLs.
    pub async fn download_url(&self, deployment: &DeploymentId, expires_in: Duration) -> Result<PresignedUrl> {
        let record = self.find(deployment).await?;
        let Some(presigned) = self.bucket.presigned_download() else {
            return Err(Error::new(ErrorCode::RequestInvalid, "this bucket gives no URLs for single objects")
                .on(format!("deployment {deployment}"))
                .with_hint("read the archive through the service, or give the bucket credentials that can sign"));
        };
        presigned.presign(&record.archive, expires_in).await
    }

    /// How the archive of a deployment is kept.
    ///
    /// # Errors
    /// `REQUEST_INVALID` where the bucket keeps nothing; those of [`ObjectRetention`].
    pub async fn retention(&self, record: &SourceRecord) -> Result<Retention> {
        self.locks(record)?.retention(&record.archive).await
    }

    /// Keeps the archive of a deployment until it is let go, or lets it go. Equal archives are one object.
    ///
    /// **Idempotency.** Asking for what is so already succeeds.
    ///
    /// # Errors
    /// As [`retention`](Self::retention).
    pub async fn set_legal_hold(&self, record: &SourceRecord, held: bool) -> Result<()> {
        self.locks(record)?.set_legal_hold(&record.archive, held).await
    }

    fn locks(&self, record: &SourceRecord) -> Result<Arc<dyn ObjectRetention>> {
        self.bucket.retention().ok_or_else(|| {
            Error::new(ErrorCode::RequestInvalid, "this bucket keeps nothing from being removed")
                .on(format!("deployment {}", record.deployment))
                .with_hint("use a bucket with Object Lock, or one of Google or Azure with retention")
        })
    }

    async fn read<T: Send + 'static>(
        &self,
        record: &SourceRecord,
        kept: T,
        visit: impl Fn(&mut T, &ArchiveEntry, &mut dyn std::io::Read) -> Result<()> + Send + 'static,
    ) -> Result<(SourceFingerprint, Vec<ArchiveFinding>, T)> {
        struct Visiting<T, F>(T, F);
        impl<T, F> ArchiveVisitor for Visiting<T, F>
        where
            T: Send + 'static,
            F: Fn(&mut T, &ArchiveEntry, &mut dyn std::io::Read) -> Result<()> + Send + 'static,
        {
            fn visit(&mut self, entry: &ArchiveEntry, content: &mut dyn std::io::Read) -> Result<()> {
                (self.1)(&mut self.0, entry, content)
            }
        }
        let stream = self.archive(record).open().await?;
        let (fingerprint, findings, Visiting(kept, _)) =
            read_archive_within(stream, self.rules.clone(), Visiting(kept, visit)).await?;
        if fingerprint != record.source {
            return Err(Error::new(ErrorCode::DigestMismatch, "the bucket holds another archive than was deployed")
                .on(format!("object `{}`", record.archive)));
        }
        Ok((fingerprint, findings, kept))
    }
}

/// Reads what lies at a key to its end, and compares it with what it must be.
pub(crate) async fn verify(
    bucket: &Arc<dyn ObjectStore>,
    key: &ObjectKey,
    source: &SourceFingerprint,
    rules: ArchiveRules,
) -> Result<()> {
    let inspected = InspectedArchive::expecting(stored(bucket, key, source), source.clone(), rules);
    let mut stream = inspected.open().await?;
    loop {
        match stream.try_next().await {
            Ok(Some(_)) => {}
            Ok(None) => return Ok(()),
            Err(error) => {
                return Err(crate::cloud::error_in_stream(error).unwrap_or_else(|error| {
                    Error::new(ErrorCode::CloudUnavailable, "reading the object back broke off")
                        .on(key)
                        .caused_by(error)
                }));
            }
        }
    }
}

fn stored(bucket: &Arc<dyn ObjectStore>, key: &ObjectKey, source: &SourceFingerprint) -> Payload {
    struct Stored(Arc<dyn ObjectStore>, ObjectKey);

    #[async_trait]
    impl PayloadSource for Stored {
        async fn open(&self) -> Result<ByteStream> {
            Ok(self.0.get(&self.1).await?.body)
        }
    }

    Payload::new(source.sha256, source.size, Arc::new(Stored(bucket.clone(), key.clone())))
}
