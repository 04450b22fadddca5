//! Objects as documents of a room.

use std::collections::BTreeMap;
use std::sync::Arc;

use chalk_deploy_core::Result;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::Key;
use crate::simulated::kubernetes::resource::RESOURCES;
use crate::world::Room;

const VERSION: &str = "version";

/// One document an object, and one that holds the version of the newest removal: the version of everything else stands
/// on the objects themselves.
#[derive(Debug)]
pub(super) struct Storage {
    room: Room,
}

#[derive(Serialize, Deserialize)]
struct Stored {
    resource: String,
    namespace: String,
    name: String,
    object: Value,
}

impl Storage {
    pub(super) const fn new(room: Room) -> Self {
        Self { room }
    }

    pub(super) fn load(&self) -> Result<(u64, BTreeMap<Key, Arc<Value>>)> {
        let mut version: u64 = self.room.read_json(VERSION)?.unwrap_or_default();
        let mut objects = BTreeMap::new();
        for document in self.room.names("objects/")? {
            let Some(stored) = self.room.read_json::<Stored>(&document)? else { continue };
            // A kind that this version of the testkit no longer serves is left where it is.
            let Some(resource) = RESOURCES.iter().find(|resource| resource.qualified() == stored.resource) else {
                continue;
            };
            let of_object = stored.object["metadata"]["resourceVersion"].as_str().and_then(|text| text.parse().ok());
            version = version.max(of_object.unwrap_or(0));
            objects.insert(Key::new(*resource, stored.namespace, stored.name), Arc::new(stored.object));
        }
        Ok((version, objects))
    }

    pub(super) fn write(&self, key: &Key, _version: u64, object: &Value) -> Result<()> {
        let stored = Stored {
            resource: key.resource.qualified(),
            namespace: key.namespace.clone(),
            name: key.name.clone(),
            object: object.clone(),
        };
        self.room.exclusively(|room| room.write_json(&document_of(key), &stored))
    }

    /// The version first: were the object gone and the version not yet written, the next change would reuse it.
    pub(super) fn remove(&self, key: &Key, version: u64) -> Result<()> {
        self.room.exclusively(|room| {
            room.write_json(VERSION, &version)?;
            room.remove(&document_of(key))
        })
    }
}

fn document_of(key: &Key) -> String {
    format!("objects/{}/{}/{}", key.resource.qualified(), key.namespace, key.name)
}
