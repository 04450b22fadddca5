//! Faults of a builder, and of the images that it holds.

use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use chalk_deploy_core::Result;
use chalk_deploy_core::cloud::{BuildRequest, BuildState, Builder, ImageContents, Payload};
use chalk_deploy_core::model::{BuildPlace, DeploymentId, Descriptor, ProjectSettings};

super::faulty! {
    /// A [`Builder`] under a plan, as `builder`.
    FaultyBuilder of Builder
}

super::faulty! {
    /// [`ImageContents`] under a plan, as `image_contents`.
    FaultyImageContents of ImageContents
}

#[deny(clippy::missing_trait_methods)]
#[async_trait]
impl Builder for FaultyBuilder {
    fn place(&self, settings: &ProjectSettings) -> Result<BuildPlace> {
        self.inner.place(settings)
    }

    async fn submit(&self, request: &BuildRequest) -> Result<()> {
        self.plan.run("builder", "submit", &request.deployment, || self.inner.submit(request)).await
    }

    async fn state(&self, deployment: &DeploymentId, after: u64) -> Result<BuildState> {
        self.plan.run("builder", "state", deployment, || self.inner.state(deployment, after)).await
    }

    async fn stop(&self, deployment: &DeploymentId) -> Result<()> {
        self.plan.run("builder", "stop", deployment, || self.inner.stop(deployment)).await
    }

    fn contents(&self) -> Option<Arc<dyn ImageContents>> {
        let inner = self.inner.contents()?;
        Some(Arc::new(FaultyImageContents::new(inner, self.plan.clone())))
    }
}

#[deny(clippy::missing_trait_methods)]
#[async_trait]
impl ImageContents for FaultyImageContents {
    async fn blob(&self, descriptor: &Descriptor) -> Result<Payload> {
        self.plan.run("image_contents", "blob", descriptor.digest, || self.inner.blob(descriptor)).await
    }

    async fn manifest(&self, descriptor: &Descriptor) -> Result<Bytes> {
        self.plan.run("image_contents", "manifest", descriptor.digest, || self.inner.manifest(descriptor)).await
    }
}
