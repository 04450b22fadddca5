//! Faults of a bucket.

use std::sync::Arc;

use async_trait::async_trait;
use chalk_deploy_core::Result;
use chalk_deploy_core::cloud::{
    ObjectDownload, ObjectMetadata, ObjectRetention, ObjectStore, ObjectStoreCapabilities, Payload, PresignedDownload,
    PutMode,
};
use chalk_deploy_core::model::ObjectKey;

super::faulty! {
    /// An [`ObjectStore`] under a plan, as `object_store`.
    FaultyObjectStore of ObjectStore
}

#[deny(clippy::missing_trait_methods)]
#[async_trait]
impl ObjectStore for FaultyObjectStore {
    fn capabilities(&self) -> ObjectStoreCapabilities {
        self.inner.capabilities()
    }

    async fn put(&self, key: &ObjectKey, payload: &Payload, mode: PutMode) -> Result<ObjectMetadata> {
        self.plan.run("object_store", "put", key, || self.inner.put(key, payload, mode)).await
    }

    async fn head(&self, key: &ObjectKey) -> Result<Option<ObjectMetadata>> {
        self.plan.run("object_store", "head", key, || self.inner.head(key)).await
    }

    async fn get(&self, key: &ObjectKey) -> Result<ObjectDownload> {
        self.plan.run("object_store", "get", key, || self.inner.get(key)).await
    }

    async fn copy(&self, from: &ObjectKey, to: &ObjectKey, mode: PutMode) -> Result<ObjectMetadata> {
        let subject = format!("{from} -> {to}");
        self.plan.run("object_store", "copy", subject, || self.inner.copy(from, to, mode)).await
    }

    async fn delete(&self, key: &ObjectKey) -> Result<()> {
        self.plan.run("object_store", "delete", key, || self.inner.delete(key)).await
    }

    async fn list(&self, prefix: &str, after: Option<ObjectKey>, most: usize) -> Result<Vec<ObjectMetadata>> {
        self.plan.run("object_store", "list", prefix, || self.inner.list(prefix, after.clone(), most)).await
    }

    fn presigned_download(&self) -> Option<Arc<dyn PresignedDownload>> {
        self.inner.presigned_download()
    }

    fn retention(&self) -> Option<Arc<dyn ObjectRetention>> {
        self.inner.retention()
    }
}
