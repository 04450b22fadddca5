//! Faults of a registry.

use std::sync::Arc;

use async_trait::async_trait;
use chalk_deploy_core::Result;
use chalk_deploy_core::cloud::{ByteStream, ImageManifest, ManifestLocator, Payload, Referrer, Referrers, Registry};
use chalk_deploy_core::model::{Digest, ImageTag, Repository};

super::faulty! {
    /// A [`Registry`] under a plan, as `registry`.
    FaultyRegistry of Registry
}

#[deny(clippy::missing_trait_methods)]
#[async_trait]
impl Registry for FaultyRegistry {
    async fn has_blob(&self, repository: &Repository, digest: &Digest) -> Result<bool> {
        let subject = format!("{repository}@{digest}");
        self.plan.run("registry", "has_blob", subject, || self.inner.has_blob(repository, digest)).await
    }

    async fn push_blob(&self, repository: &Repository, payload: &Payload) -> Result<()> {
        let subject = format!("{repository}@{}", payload.sha256());
        self.plan.run("registry", "push_blob", subject, || self.inner.push_blob(repository, payload)).await
    }

    async fn pull_blob(&self, repository: &Repository, digest: &Digest) -> Result<ByteStream> {
        let subject = format!("{repository}@{digest}");
        self.plan.run("registry", "pull_blob", subject, || self.inner.pull_blob(repository, digest)).await
    }

    async fn put_manifest(
        &self,
        repository: &Repository,
        manifest: &ImageManifest,
        tag: Option<ImageTag>,
    ) -> Result<Digest> {
        let subject = format!("{repository}@{}", manifest.digest());
        let put = || self.inner.put_manifest(repository, manifest, tag.clone());
        self.plan.run("registry", "put_manifest", subject, put).await
    }

    async fn manifest(&self, repository: &Repository, locator: &ManifestLocator) -> Result<Option<ImageManifest>> {
        let subject = match locator {
            ManifestLocator::Digest(digest) => format!("{repository}@{digest}"),
            ManifestLocator::Tag(tag) => format!("{repository}:{tag}"),
        };
        self.plan.run("registry", "manifest", subject, || self.inner.manifest(repository, locator)).await
    }

    async fn remove_tag(&self, repository: &Repository, tag: &ImageTag) -> Result<()> {
        let subject = format!("{repository}:{tag}");
        self.plan.run("registry", "remove_tag", subject, || self.inner.remove_tag(repository, tag)).await
    }

    fn referrers(&self) -> Option<Arc<dyn Referrers>> {
        let inner = self.inner.referrers()?;
        Some(Arc::new(FaultyReferrers::new(inner, self.plan.clone())))
    }
}

super::faulty! {
    /// [`Referrers`] under a plan, as `referrers`.
    FaultyReferrers of Referrers
}

#[deny(clippy::missing_trait_methods)]
#[async_trait]
impl Referrers for FaultyReferrers {
    async fn list_referrers(&self, repository: &Repository, subject: &Digest) -> Result<Vec<Referrer>> {
        let named = format!("{repository}@{subject}");
        self.plan.run("referrers", "list_referrers", named, || self.inner.list_referrers(repository, subject)).await
    }

    async fn attach(&self, repository: &Repository, subject: &Digest, manifests: &[ImageManifest]) -> Result<()> {
        let named = format!("{repository}@{subject}");
        self.plan.run("referrers", "attach", named, || self.inner.attach(repository, subject, manifests)).await
    }
}
