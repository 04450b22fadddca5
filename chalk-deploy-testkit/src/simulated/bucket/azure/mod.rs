//! A storage account of Azure: the part of Blob Storage that a deployment speaks (version 2023-11-03 of its REST
//! reference).
//!
//! Block blobs with metadata, ranges and conditions, whole and in blocks; copies inside of the account; lists by pages;
//! deletions. It asks for a token, where its settings name some, and verifies no signature of an account's key. What
//! it does not know (snapshots, versions, leases, tags, batches, settings of containers and of the account) is
//! answered with 400.
//!
//! What it has answered is in its [`World`] and outlives the process. The body of one request is held in memory.

mod answer;
mod blob;
mod block;
mod list;
mod request;
mod settings;
#[cfg(test)]
mod tests;

use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;
use chalk_deploy_core::Result;
use chalk_deploy_core::cloud::ByteStream;
use chalk_deploy_core::runtime::Runtime;
use http::{HeaderValue, Method, Request, Response, StatusCode};

use self::answer::Refused;
use self::block::Blocks;
use self::request::Call;
use super::hex;
use super::store::Store;
use crate::World;
use crate::simulated::http::{Server, Severed, empty};

pub use self::settings::AzureBucketSettings;

type Answer = Result<Response<ByteStream>, Refused>;

/// The server. Clones are the same server.
#[derive(Clone)]
pub struct AzureBucketServer {
    store: Store,
    blocks: Blocks,
    settings: Arc<AzureBucketSettings>,
    runtime: Arc<dyn Runtime>,
}

impl AzureBucketServer {
    /// The server of a world, with the containers that its settings name.
    ///
    /// # Errors
    /// [`CloudUnavailable`](chalk_deploy_core::ErrorCode::CloudUnavailable) when the world cannot be written.
    pub fn new(world: &World, runtime: Arc<dyn Runtime>, settings: AzureBucketSettings) -> Result<Self> {
        let store = Store::of_azure(world);
        for container in &settings.containers {
            store.make_bucket(container, runtime.now())?;
        }
        Ok(Self { store, blocks: Blocks::new(world), settings: Arc::new(settings), runtime })
    }

    /// The names of the blobs of a container, in order.
    ///
    /// # Errors
    /// [`CloudUnavailable`](chalk_deploy_core::ErrorCode::CloudUnavailable) when the world cannot be read.
    pub fn names(&self, container: &str) -> Result<Vec<String>> {
        self.store.keys(container, "")
    }

    async fn respond(&self, request: Request<ByteStream>) -> Result<Answer, Severed> {
        let call = match Call::read(request, &self.settings).await? {
            Ok(call) => call,
            Err(refused) => return Ok(Err(refused)),
        };
        Ok(self.dispatch(&call).await)
    }

    async fn dispatch(&self, call: &Call) -> Answer {
        if !self.store.has_bucket(&call.container)? {
            return Err(Refused::new(StatusCode::NOT_FOUND, "ContainerNotFound", "the container does not exist"));
        }
        let (component, resource) = (call.query("comp"), call.query("restype"));
        let Some(name) = &call.blob else {
            return match (&call.method, resource, component) {
                (&Method::GET, Some("container"), Some("list")) => self.list(call),
                _ => Err(Refused::unknown()),
            };
        };
        match (&call.method, resource, component) {
            (&Method::PUT, None, Some("block")) => self.put_block(call, name),
            (&Method::PUT, None, Some("blocklist")) => self.put_block_list(call, name),
            (&Method::PUT, None, None) if call.header("x-ms-copy-source").is_some() => self.copy(call, name).await,
            (&Method::PUT, None, None) => self.put(call, name),
            (&Method::GET, None, None) => self.get(call, name),
            (&Method::HEAD, None, None) => self.head(call, name),
            (&Method::DELETE, None, None) => self.delete(call, name),
            _ => Err(Refused::unknown()),
        }
    }

    /// An entity tag that no other write has had.
    fn tag(&self) -> String {
        let mut random = [0; 8];
        self.runtime.fill_random(&mut random);
        format!("0x{}", hex(&random).to_uppercase())
    }
}

#[async_trait]
impl Server for AzureBucketServer {
    fn name(&self) -> &'static str {
        "blob"
    }

    async fn answer(&self, request: Request<ByteStream>) -> Result<Response<ByteStream>, Severed> {
        let is_head = request.method() == Method::HEAD;
        let mut response = match self.respond(request).await? {
            Ok(response) => response,
            Err(refused) => refused.response(),
        };
        if is_head {
            *response.body_mut() = empty();
        }
        response.headers_mut().insert("x-ms-version", HeaderValue::from_static("2023-11-03"));
        Ok(response)
    }
}

impl fmt::Debug for AzureBucketServer {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("AzureBucketServer").field("settings", &self.settings).finish_non_exhaustive()
    }
}
