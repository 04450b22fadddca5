//! Blobs in blocks ("Put Block", "Put Block List").

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use chalk_deploy_core::Result;
use chalk_deploy_core::model::Digest;
use http::StatusCode;

use super::answer::{Refused, done};
use super::request::Call;
use super::{Answer, AzureBucketServer};
use crate::simulated::bucket::hex;
use crate::simulated::bucket::xml::{elements, unescaped};
use crate::world::{Room, World};

/// An id has so many bytes at most, and a list so many blocks.
const ID_MOST: usize = 64;
const BLOCKS_MOST: usize = 50_000;

/// Blocks that were not committed yet, by blob and id: `CONTAINER/DIGEST OF THE NAME/ID IN HEX`.
#[derive(Debug, Clone)]
pub(super) struct Blocks(Room);

impl Blocks {
    pub(super) fn new(world: &World) -> Self {
        Self(world.room("blob-blocks"))
    }

    fn put(&self, container: &str, blob: &str, id: &[u8], bytes: &[u8]) -> Result<()> {
        self.0.exclusively(|room| room.write(&format!("{}{}", folder(container, blob), hex(id)), bytes))
    }

    fn read(&self, container: &str, blob: &str, id: &[u8]) -> Result<Option<Vec<u8>>> {
        self.0.read(&format!("{}{}", folder(container, blob), hex(id)))
    }

    /// Forgets the blocks of a blob.
    pub(super) fn forget(&self, container: &str, blob: &str) -> Result<()> {
        let folder = folder(container, blob);
        if self.0.names(&folder)?.is_empty() {
            return Ok(());
        }
        self.0.exclusively(|room| self.0.names(&folder)?.iter().try_for_each(|name| room.remove(name)))
    }
}

fn folder(container: &str, blob: &str) -> String {
    format!("{container}/{}/", Digest::of(blob.as_bytes()).hex())
}

impl AzureBucketServer {
    pub(super) fn put_block(&self, call: &Call, name: &str) -> Answer {
        let id = id(call.query("blockid").unwrap_or_default()).ok_or(Refused::query())?;
        self.blocks.put(&call.container, name, &id, &call.body)?;
        Ok(done(StatusCode::CREATED, None))
    }

    /// Makes a blob of blocks, in the order of the list. Only those that were not committed before are found.
    pub(super) fn put_block_list(&self, call: &Call, name: &str) -> Answer {
        let refused = |code, message| Refused::new(StatusCode::BAD_REQUEST, code, message);
        let document = std::str::from_utf8(&call.body).unwrap_or_default();
        let list = elements(document, "BlockList").first().copied();
        let list = list.ok_or(refused("InvalidXmlDocument", "the body holds no list of blocks"))?;
        let named: Vec<&str> = list.split("</").filter_map(|part| part.rsplit_once('>').map(|(_, id)| id)).collect();
        let named: Vec<&str> = named.into_iter().filter(|id| !id.trim().is_empty()).collect();
        if named.len() > BLOCKS_MOST {
            return Err(refused("BlockListTooLong", "a list has 50,000 blocks at most"));
        }
        let mut bytes = Vec::new();
        for block in named {
            let block = id(&unescaped(block)).map(|id| self.blocks.read(&call.container, name, &id));
            let block = block.transpose()?.flatten();
            bytes.extend(block.ok_or(refused("InvalidBlockList", "a block of the list was not uploaded"))?);
        }
        self.store(call, name, &bytes)
    }
}

fn id(text: &str) -> Option<Vec<u8>> {
    STANDARD.decode(text).ok().filter(|id| (1..=ID_MOST).contains(&id.len()))
}
