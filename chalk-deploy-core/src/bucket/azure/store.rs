//! object_store's store, but for what it does in a way that is not ours: it deletes by batches, whose parts it would have
//! to sign itself.

use std::fmt;

use async_trait::async_trait;
use futures::stream::BoxStream;
use futures::{StreamExt as _, TryStreamExt as _};
use http::Uri;
use object_store::azure::MicrosoftAzure;
use object_store::list::{PaginatedListOptions, PaginatedListResult, PaginatedListStore};
use object_store::path::Path;
use object_store::{
    CopyOptions, Error as StoreError, GetOptions, GetResult, ListResult, MultipartUpload, ObjectMeta, ObjectStore,
    PutMultipartOptions, PutOptions, PutPayload, PutResult, Result,
};

use super::connector::{Connector, UnderPrefix};
use crate::bucket::encoding::encoded;

/// A server may answer with pages that hold nothing new, but not for ever.
const EMPTY_PAGES_MOST: u32 = 100;

/// A container of Azure Blob Storage.
#[derive(Debug)]
pub(super) struct AzureStore {
    pub(super) inner: MicrosoftAzure,
    pub(super) connector: Connector,
    /// The container's address, without a slash at the end.
    pub(super) base: String,
}

#[async_trait]
impl ObjectStore for AzureStore {
    async fn put_opts(&self, location: &Path, payload: PutPayload, options: PutOptions) -> Result<PutResult> {
        self.inner.put_opts(location, payload, options).await
    }

    async fn put_multipart_opts(
        &self,
        location: &Path,
        options: PutMultipartOptions,
    ) -> Result<Box<dyn MultipartUpload>> {
        self.inner.put_multipart_opts(location, options).await
    }

    async fn get_opts(&self, location: &Path, options: GetOptions) -> Result<GetResult> {
        self.inner.get_opts(location, options).await
    }

    fn delete_stream(&self, locations: BoxStream<'static, Result<Path>>) -> BoxStream<'static, Result<Path>> {
        let (connector, base) = (self.connector.clone(), self.base.clone());
        let delete = move |location: Path| {
            let connector = connector.clone();
            let address = format!("{base}/{}", encoded(location.as_ref(), true)).parse::<Uri>();
            async move {
                let address = address.map_err(broken)?;
                if connector.delete(&address).await.map_err(broken)? {
                    Ok(location)
                } else {
                    Err(StoreError::NotFound { path: location.to_string(), source: "there is no such object".into() })
                }
            }
        };
        locations.and_then(delete).boxed()
    }

    fn list(&self, prefix: Option<&Path>) -> BoxStream<'static, Result<ObjectMeta>> {
        self.inner.list(prefix)
    }

    async fn list_with_delimiter(&self, prefix: Option<&Path>) -> Result<ListResult> {
        self.inner.list_with_delimiter(prefix).await
    }

    async fn copy_opts(&self, from: &Path, to: &Path, options: CopyOptions) -> Result<()> {
        self.inner.copy_opts(from, to, options).await
    }
}

/// Goes through the pages from the first: a list that begins at a key (`startFrom`, service version 2026-02-06) is younger
/// than the version that is spoken here.
#[async_trait]
impl PaginatedListStore for AzureStore {
    async fn list_paginated(
        &self,
        prefix: Option<&str>,
        mut options: PaginatedListOptions,
    ) -> Result<PaginatedListResult> {
        if let Some(prefix) = prefix {
            options.extensions.insert(UnderPrefix(prefix.to_owned()));
        }
        let offset = options.offset.take();
        if offset.is_some() {
            // What is wanted may lie many pages behind the first.
            options.max_keys = None;
        }
        let mut empty = 0;
        loop {
            let mut page = self.inner.list_paginated(None, options.clone()).await?;
            let listed = page.result.objects.len();
            page.result
                .objects
                .retain(|object| offset.as_deref().is_none_or(|offset| object.location.as_ref() > offset));
            if !page.result.objects.is_empty() || page.page_token.is_none() {
                return Ok(page);
            }
            empty = if listed == 0 { empty + 1 } else { 0 };
            if empty > EMPTY_PAGES_MOST || page.page_token == options.page_token {
                return Err(broken(crate::Error::new(
                    crate::ErrorCode::CloudAnswerInvalid,
                    "the server does not come to the end of a list",
                )));
            }
            options.page_token = page.page_token;
        }
    }
}

impl fmt::Display for AzureStore {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("AzureStore")
    }
}

fn broken(cause: impl std::error::Error + Send + Sync + 'static) -> StoreError {
    StoreError::Generic { store: "Azure", source: Box::new(cause) }
}
