//! What object_store's interface asks of a store, on Google Cloud Storage.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use futures::stream::BoxStream;
use futures::{StreamExt as _, TryStreamExt as _};
use http::header::{CONTENT_LENGTH, CONTENT_TYPE, HeaderMap, HeaderValue};
use http::{Method, StatusCode};
use object_store::list::{PaginatedListOptions, PaginatedListResult, PaginatedListStore};
use object_store::path::Path;
use object_store::{
    Attribute, Attributes, CopyMode, CopyOptions, Error as StoreError, GetOptions, GetResult, GetResultPayload,
    ListResult, MultipartUpload, ObjectMeta, ObjectStore, PutMode, PutMultipartOptions, PutOptions, PutPayload,
    PutResult,
};
use serde::Deserialize;
use serde_json::{Value, json};

use super::client::{About, Client, StoreResult, broken, document, malformed};
use super::upload::GcsUpload;
use crate::bucket::encoding::encoded;
use crate::bucket::upload::OntoFreeKey;
use crate::model::Digest;

/// The most objects of one page ("Objects: list" of the JSON API).
const PAGE_MOST: usize = 1_000;

/// A server may answer with pages that hold nothing new, but not for ever.
const EMPTY_PAGES_MOST: u32 = 100;

/// Google copies in several calls where the bytes have to move; a call moves 1 MiB or more, of 5 TiB at most.
const REWRITES_MOST: u32 = 5 << 20;

const METADATA: &str = "x-goog-meta-";

/// A bucket of Google Cloud Storage.
#[derive(Debug)]
pub(super) struct GcsStore {
    client: Arc<Client>,
}

impl GcsStore {
    pub(super) const fn new(client: Arc<Client>) -> Self {
        Self { client }
    }
}

/// An object's resource in the JSON API, as far as it is of use.
#[derive(Deserialize)]
struct Resource {
    #[serde(default)]
    name: String,
    size: String,
    #[serde(default)]
    metadata: BTreeMap<String, String>,
}

impl Resource {
    fn meta(&self, location: Path) -> StoreResult<ObjectMeta> {
        let size = self.size.parse().map_err(|_| malformed("the server names a size that is none"))?;
        Ok(meta(location, size))
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Page {
    #[serde(default)]
    items: Vec<Resource>,
    next_page_token: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Rewritten {
    done: bool,
    rewrite_token: Option<String>,
}

#[async_trait]
impl ObjectStore for GcsStore {
    async fn put_opts(&self, location: &Path, payload: PutPayload, options: PutOptions) -> StoreResult<PutResult> {
        let bytes = Bytes::from(payload);
        let resource = resource(location, &options.attributes).to_string();
        // No content holds its own digest.
        let boundary = format!("chalk-{}", Digest::of(&bytes).hex());
        let mut body = Vec::with_capacity(bytes.len() + resource.len() + 400);
        let head = format!("--{boundary}\r\ncontent-type: application/json; charset=UTF-8\r\n\r\n{resource}\r\n");
        body.extend_from_slice(head.as_bytes());
        body.extend_from_slice(format!("--{boundary}\r\ncontent-type: application/octet-stream\r\n\r\n").as_bytes());
        body.extend_from_slice(&bytes);
        body.extend_from_slice(format!("\r\n--{boundary}--\r\n").as_bytes());
        let condition = match options.mode {
            PutMode::Overwrite => "",
            PutMode::Create => "&ifGenerationMatch=0",
            PutMode::Update(_) => return Err(unsupported("an update under a condition")),
        };
        let address = format!("{}?uploadType=multipart{condition}", self.client.uploads());
        let mut headers = HeaderMap::new();
        let content_type = HeaderValue::from_str(&format!("multipart/related; boundary={boundary}"));
        headers.insert(CONTENT_TYPE, content_type.map_err(broken)?);
        let response = self.client.send(Method::POST, &address, headers, body.into()).await?;
        let response = self.client.successful(response, About::Key(location)).await?;
        let stored: Resource = document(response).await?;
        if stored.meta(location.clone())?.size != bytes.len() as u64 {
            return Err(malformed("the server has stored another length than was sent"));
        }
        Ok(PutResult { e_tag: None, version: None, extensions: http::Extensions::default() })
    }

    async fn put_multipart_opts(
        &self,
        location: &Path,
        options: PutMultipartOptions,
    ) -> StoreResult<Box<dyn MultipartUpload>> {
        let onto_free_key = options.extensions.get::<OntoFreeKey>().is_some();
        let resource = resource(location, &options.attributes);
        Ok(Box::new(GcsUpload::begin(self.client.clone(), location, &resource, onto_free_key).await?))
    }

    async fn get_opts(&self, location: &Path, options: GetOptions) -> StoreResult<GetResult> {
        if options.range.is_some() || options.version.is_some() {
            return Err(unsupported("a part or a version of an object"));
        }
        let about = About::Object(location);
        if options.head {
            let address = format!("{}?fields=size,metadata", self.client.object(location));
            let response = self.client.send(Method::GET, &address, HeaderMap::new(), Bytes::new()).await?;
            let found: Resource = document(self.client.successful(response, about).await?).await?;
            let attributes = found.metadata.iter().map(|(name, value)| (name.clone(), value.clone()));
            return Ok(result(found.meta(location.clone())?, attributes, futures::stream::empty().boxed()));
        }
        let address = self.client.media(location);
        let response = self.client.send(Method::GET, &address, HeaderMap::new(), Bytes::new()).await?;
        let response = self.client.successful(response, about).await?;
        let length = response.headers().get(CONTENT_LENGTH).and_then(|length| length.to_str().ok()?.parse().ok());
        let length = length.ok_or_else(|| malformed("the server names no length of the object"))?;
        let attributes: Vec<_> = response
            .headers()
            .iter()
            .filter_map(|(name, value)| {
                Some((name.as_str().strip_prefix(METADATA)?.to_owned(), value.to_str().ok()?.to_owned()))
            })
            .collect();
        let pieces = response.into_body().map_err(broken).boxed();
        Ok(result(meta(location.clone(), length), attributes, pieces))
    }

    fn delete_stream(&self, locations: BoxStream<'static, StoreResult<Path>>) -> BoxStream<'static, StoreResult<Path>> {
        let client = self.client.clone();
        let delete = move |location: Path| {
            let client = client.clone();
            async move {
                let address = client.object(&location);
                let response = client.send(Method::DELETE, &address, HeaderMap::new(), Bytes::new()).await?;
                client.successful(response, About::Object(&location)).await?;
                Ok(location)
            }
        };
        locations.and_then(delete).boxed()
    }

    fn list(&self, prefix: Option<&Path>) -> BoxStream<'static, StoreResult<ObjectMeta>> {
        let prefix = prefix.map(|prefix| format!("{prefix}/"));
        let pages = futures::stream::try_unfold((self.client.clone(), Some(None)), move |(client, token)| {
            let prefix = prefix.clone();
            async move {
                let Some(token) = token else { return Ok(None) };
                let page = page(&client, prefix.as_deref(), None, token, PAGE_MOST).await?;
                let objects = futures::stream::iter(objects(page.items)?.into_iter().map(Ok));
                Ok::<_, StoreError>(Some((objects, (client, page.next_page_token.map(Some)))))
            }
        });
        pages.try_flatten().boxed()
    }

    async fn list_with_delimiter(&self, _: Option<&Path>) -> StoreResult<ListResult> {
        Err(unsupported("a list by folders"))
    }

    async fn copy_opts(&self, from: &Path, to: &Path, options: CopyOptions) -> StoreResult<()> {
        let condition = match options.mode {
            CopyMode::Create => "&ifGenerationMatch=0",
            CopyMode::Overwrite => "",
        };
        let address =
            format!("{}/rewriteTo{}", self.client.object(from), &self.client.object(to)["/storage/v1".len()..]);
        let mut token = String::new();
        for _ in 0..REWRITES_MOST {
            let asked = format!("{address}?fields=done,rewriteToken{condition}{token}");
            let response = self.client.send(Method::POST, &asked, HeaderMap::new(), Bytes::new()).await?;
            if response.status() == StatusCode::PRECONDITION_FAILED {
                return Err(self.client.refused(response, About::Key(to)).await);
            }
            let rewritten: Rewritten = document(self.client.successful(response, About::Object(from)).await?).await?;
            match rewritten {
                Rewritten { done: true, .. } => return Ok(()),
                Rewritten { rewrite_token: Some(next), .. } => {
                    token = format!("&rewriteToken={}", encoded(&next, false));
                }
                Rewritten { rewrite_token: None, .. } => break,
            }
        }
        Err(malformed("the server does not come to the end of a copy"))
    }
}

#[async_trait]
impl PaginatedListStore for GcsStore {
    async fn list_paginated(
        &self,
        prefix: Option<&str>,
        options: PaginatedListOptions,
    ) -> StoreResult<PaginatedListResult> {
        let offset = options.offset.as_deref();
        // The offset itself is listed too.
        let most = options.max_keys.unwrap_or(PAGE_MOST).saturating_add(usize::from(offset.is_some())).min(PAGE_MOST);
        let mut token = options.page_token;
        for _ in 0..EMPTY_PAGES_MOST {
            let page = page(&self.client, prefix, offset, token, most).await?;
            token = page.next_page_token;
            let mut objects = objects(page.items)?;
            objects.retain(|object| offset.is_none_or(|offset| object.location.as_ref() > offset));
            if !objects.is_empty() || token.is_none() {
                let result =
                    ListResult { common_prefixes: Vec::new(), objects, extensions: http::Extensions::default() };
                return Ok(PaginatedListResult { result, page_token: token });
            }
        }
        Err(malformed("the server does not come to the end of a list"))
    }
}

impl fmt::Display for GcsStore {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("GcsStore")
    }
}

async fn page(
    client: &Client,
    prefix: Option<&str>,
    offset: Option<&str>,
    token: Option<String>,
    most: usize,
) -> StoreResult<Page> {
    let mut address = format!("{}?fields=items(name,size),nextPageToken&maxResults={most}", client.objects());
    for (name, value) in [("prefix", prefix), ("startOffset", offset), ("pageToken", token.as_deref())] {
        if let Some(value) = value {
            address = format!("{address}&{name}={}", encoded(value, false));
        }
    }
    let response = client.send(Method::GET, &address, HeaderMap::new(), Bytes::new()).await?;
    document(client.successful(response, About::Bucket).await?).await
}

/// The objects of a page. What no key of ours can name, such as the placeholder of a folder, is none of ours.
fn objects(items: Vec<Resource>) -> StoreResult<Vec<ObjectMeta>> {
    items
        .into_iter()
        .filter_map(|item| {
            Path::parse(&item.name).ok().filter(|path| path.as_ref() == item.name).map(|path| item.meta(path))
        })
        .collect()
}

/// The resource that an upload makes.
fn resource(location: &Path, attributes: &Attributes) -> Value {
    let metadata: BTreeMap<_, _> = attributes
        .iter()
        .filter_map(|(name, value)| match name {
            Attribute::Metadata(name) => Some((name.as_ref(), value.as_ref())),
            _ => None,
        })
        .collect();
    json!({"name": location.as_ref(), "metadata": metadata})
}

#[expect(clippy::default_trait_access, reason = "the type is one of object_store's own dependencies")]
fn meta(location: Path, size: u64) -> ObjectMeta {
    ObjectMeta { location, last_modified: Default::default(), size, e_tag: None, version: None }
}

fn result(
    meta: ObjectMeta,
    metadata: impl IntoIterator<Item = (String, String)>,
    pieces: BoxStream<'static, StoreResult<Bytes>>,
) -> GetResult {
    let attributes = metadata.into_iter().map(|(name, value)| (Attribute::Metadata(name.into()), value));
    GetResult {
        payload: GetResultPayload::Stream(pieces),
        range: 0..meta.size,
        meta,
        attributes: attributes.collect(),
        extensions: http::Extensions::default(),
    }
}

fn unsupported(what: &str) -> StoreError {
    StoreError::NotSupported { source: format!("{what} is not supported").into() }
}
