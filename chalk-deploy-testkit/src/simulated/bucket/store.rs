//! What the server keeps, as documents of a room of the world.
//!
//! `bucket/<bucket>`, and `resource/<bucket>` where one has a description; `object/<bucket>/<key>`, which names the bytes; `data/<bucket>/<key>/<digest>`;
//! `lock/<bucket>/<key>`; `upload/<bucket>/<id>`; `part/<bucket>/<id>/<number>` and `chunk/<bucket>/<id>/<number>/<digest>`. Bytes are written
//! before what names them, and removed after.

use std::collections::BTreeMap;

use chalk_deploy_core::Result;
use chalk_deploy_core::cloud::{ByteStream, RetentionMode};
use chalk_deploy_core::model::{Digest, Timestamp};
use futures::TryStreamExt as _;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::world::{Received, Room, World, Writer};

/// An object without its bytes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Object {
    /// The name of its bytes.
    pub(super) sha256: Digest,
    pub(super) size: u64,
    /// Without quotes.
    pub(super) tag: String,
    pub(super) modified: Timestamp,
    pub(super) about: About,
}

/// What a client says about an object: headers that are given back.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct About(pub(super) BTreeMap<String, String>);

/// An upload in parts.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Upload {
    pub(super) key: String,
    pub(super) begun: Timestamp,
    pub(super) about: About,
}

/// A part without its bytes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Part {
    pub(super) sha256: Digest,
    pub(super) size: u64,
    pub(super) tag: String,
}

/// How an object is kept.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Lock {
    pub(super) until: Option<(Timestamp, RetentionMode)>,
    /// Whether there is a legal hold, once that was said.
    pub(super) held: Option<bool>,
}

#[derive(Debug, Serialize, Deserialize)]
struct MadeBucket {
    made: Timestamp,
}

/// The room. Clones are the same room.
#[derive(Debug, Clone)]
pub(super) struct Store {
    room: Room,
}

impl Store {
    pub(super) fn new(world: &World) -> Self {
        Self { room: world.room("s3") }
    }

    /// The room of Google's buckets, which are others than those of S3.
    pub(super) fn of_google(world: &World) -> Self {
        Self { room: world.room("gcs") }
    }

    /// The room of Azure's containers, which are others than the buckets of S3.
    pub(super) fn of_azure(world: &World) -> Self {
        Self { room: world.room("blob") }
    }

    pub(super) fn has_bucket(&self, bucket: &str) -> Result<bool> {
        self.room.holds(&format!("bucket/{bucket}"))
    }

    pub(super) fn buckets(&self) -> Result<Vec<(String, Timestamp)>> {
        let mut found = Vec::new();
        for document in self.room.names("bucket/")? {
            if let (Some(name), Some(made)) =
                (document.strip_prefix("bucket/"), self.room.read_json::<MadeBucket>(&document)?)
            {
                found.push((name.to_owned(), made.made));
            }
        }
        Ok(found)
    }

    /// False when it is there already.
    pub(super) fn make_bucket(&self, bucket: &str, now: Timestamp) -> Result<bool> {
        let document = format!("bucket/{bucket}");
        self.room.exclusively(|room| {
            if self.room.holds(&document)? {
                return Ok(false);
            }
            room.write_json(&document, &MadeBucket { made: now })?;
            Ok(true)
        })
    }

    /// Makes a bucket with a description of it. False when it is there already.
    pub(super) fn make_resource(&self, bucket: &str, resource: &Value, now: Timestamp) -> Result<bool> {
        let document = format!("bucket/{bucket}");
        self.room.exclusively(|room| {
            if self.room.holds(&document)? {
                return Ok(false);
            }
            room.write_json(&format!("resource/{bucket}"), resource)?;
            room.write_json(&document, &MadeBucket { made: now })?;
            Ok(true)
        })
    }

    /// The description of a bucket, if it was made with one or changed.
    pub(super) fn resource(&self, bucket: &str) -> Result<Option<Value>> {
        self.room.read_json(&format!("resource/{bucket}"))
    }

    /// Changes the description of a bucket, unless `change` refuses; that of one without any is `first`.
    pub(super) fn change_resource<E: From<chalk_deploy_core::Error>>(
        &self,
        bucket: &str,
        first: Value,
        change: impl FnOnce(&mut Value) -> Result<(), E>,
    ) -> Result<Value, E> {
        let changed = self.room.exclusively(|room| {
            let mut resource = self.resource(bucket)?.unwrap_or(first);
            if let Err(refusal) = change(&mut resource) {
                return Ok(Err(refusal));
            }
            room.write_json(&format!("resource/{bucket}"), &resource)?;
            Ok(Ok(resource))
        });
        changed?
    }

    /// False when it holds something.
    pub(super) fn remove_bucket(&self, bucket: &str) -> Result<bool> {
        self.room.exclusively(|room| {
            if !self.room.names(&format!("object/{bucket}/"))?.is_empty() {
                return Ok(false);
            }
            room.remove(&format!("bucket/{bucket}"))?;
            Ok(true)
        })
    }

    pub(super) fn object(&self, bucket: &str, key: &str) -> Result<Option<Object>> {
        self.room.read_json(&format!("object/{bucket}/{key}"))
    }

    /// The keys of a bucket in order.
    pub(super) fn keys(&self, bucket: &str, prefix: &str) -> Result<Vec<String>> {
        let folder = format!("object/{bucket}/");
        let names = self.room.names(&format!("{folder}{prefix}"))?;
        Ok(names.iter().filter_map(|name| name.strip_prefix(&folder).map(str::to_owned)).collect())
    }

    pub(super) fn open(&self, bucket: &str, key: &str, object: &Object) -> Result<Option<ByteStream>> {
        self.room.open(&data(bucket, key, object.sha256))
    }

    /// Puts an object with these bytes, if `may` allows it over what is there.
    pub(super) fn put<E: From<chalk_deploy_core::Error>>(
        &self,
        (bucket, key): (&str, &str),
        bytes: &[u8],
        object: &Object,
        may: impl FnOnce(Option<&Object>) -> Result<(), E>,
    ) -> Result<(), E> {
        self.replace((bucket, key), object, may, |room| room.write(&data(bucket, key, object.sha256), bytes))
    }

    /// Puts an object whose bytes were received.
    pub(super) fn put_received<E: From<chalk_deploy_core::Error>>(
        &self,
        place: (&str, &str),
        received: Received,
        object: &Object,
        may: impl FnOnce(Option<&Object>) -> Result<(), E>,
    ) -> Result<(), E> {
        self.replace(place, object, may, |room| room.accept(received))
    }

    fn replace<E: From<chalk_deploy_core::Error>>(
        &self,
        (bucket, key): (&str, &str),
        object: &Object,
        may: impl FnOnce(Option<&Object>) -> Result<(), E>,
        write: impl FnOnce(&Writer<'_>) -> Result<()>,
    ) -> Result<(), E> {
        let changed = self.room.exclusively(|room| {
            let before = self.object(bucket, key)?;
            if let Err(refusal) = may(before.as_ref()) {
                return Ok(Err(refusal));
            }
            write(room)?;
            room.write_json(&format!("object/{bucket}/{key}"), object)?;
            self.sweep(room, bucket, key, Some(object.sha256))?;
            Ok(Ok(()))
        });
        changed?
    }

    /// Receives what an object will be made of.
    pub(super) async fn receive(
        &self,
        (bucket, key): (&str, &str),
        sha256: Digest,
        mut bytes: ByteStream,
    ) -> Result<Option<Received>> {
        let mut receiving = self.room.receive(&data(bucket, key, sha256)).await?;
        loop {
            match bytes.try_next().await {
                Ok(Some(piece)) => receiving.push(&piece)?,
                Ok(None) => return receiving.finish().map(Some),
                Err(_) => return Ok(None),
            }
        }
    }

    /// How an object is kept.
    pub(super) fn lock(&self, bucket: &str, key: &str) -> Result<Lock> {
        Ok(self.room.read_json(&format!("lock/{bucket}/{key}"))?.unwrap_or_default())
    }

    /// Changes how an object is kept, unless `change` refuses.
    pub(super) fn change_lock<E: From<chalk_deploy_core::Error>>(
        &self,
        bucket: &str,
        key: &str,
        change: impl FnOnce(&mut Lock) -> Result<(), E>,
    ) -> Result<(), E> {
        let changed = self.room.exclusively(|room| {
            let mut lock = self.lock(bucket, key)?;
            if let Err(refusal) = change(&mut lock) {
                return Ok(Err(refusal));
            }
            room.write_json(&format!("lock/{bucket}/{key}"), &lock)?;
            Ok(Ok(()))
        });
        changed?
    }

    pub(super) fn delete(&self, bucket: &str, key: &str) -> Result<()> {
        self.room.exclusively(|room| {
            room.remove(&format!("object/{bucket}/{key}"))?;
            room.remove(&format!("lock/{bucket}/{key}"))?;
            self.sweep(room, bucket, key, None)
        })
    }

    /// Removes bytes of a key that it no longer names, those that a killed write has left included.
    fn sweep(&self, room: &Writer<'_>, bucket: &str, key: &str, kept: Option<Digest>) -> Result<()> {
        let folder = format!("data/{bucket}/{key}/");
        let kept = kept.map(|sha256| data(bucket, key, sha256));
        for name in self.room.names(&folder)? {
            // The bytes of a key below this one lie deeper.
            if !name[folder.len()..].contains('/') && kept.as_ref() != Some(&name) {
                room.remove(&name)?;
            }
        }
        Ok(())
    }

    pub(super) fn upload(&self, bucket: &str, id: &str) -> Result<Option<Upload>> {
        self.room.read_json(&format!("upload/{bucket}/{id}"))
    }

    pub(super) fn uploads(&self, bucket: &str) -> Result<Vec<(String, Upload)>> {
        let folder = format!("upload/{bucket}/");
        let mut found = Vec::new();
        for name in self.room.names(&folder)? {
            if let Some(upload) = self.room.read_json(&name)? {
                found.push((name[folder.len()..].to_owned(), upload));
            }
        }
        Ok(found)
    }

    pub(super) fn begin_upload(&self, bucket: &str, id: &str, upload: &Upload) -> Result<()> {
        self.room.exclusively(|room| room.write_json(&format!("upload/{bucket}/{id}"), upload))
    }

    /// False when there is no such upload any more.
    pub(super) fn put_part(&self, bucket: &str, id: &str, number: u16, part: &Part, bytes: &[u8]) -> Result<bool> {
        self.room.exclusively(|room| {
            if !self.room.holds(&format!("upload/{bucket}/{id}"))? {
                return Ok(false);
            }
            let before: Option<Part> = self.room.read_json(&format!("part/{bucket}/{id}/{number:05}"))?;
            room.write(&chunk(bucket, id, number, part.sha256), bytes)?;
            room.write_json(&format!("part/{bucket}/{id}/{number:05}"), part)?;
            match before {
                Some(before) if before.sha256 != part.sha256 => room.remove(&chunk(bucket, id, number, before.sha256)),
                _ => Ok(()),
            }?;
            Ok(true)
        })
    }

    pub(super) fn parts(&self, bucket: &str, id: &str) -> Result<BTreeMap<u16, Part>> {
        let folder = format!("part/{bucket}/{id}/");
        let mut found = BTreeMap::new();
        for name in self.room.names(&folder)? {
            if let (Ok(number), Some(part)) = (name[folder.len()..].parse(), self.room.read_json(&name)?) {
                found.insert(number, part);
            }
        }
        Ok(found)
    }

    pub(super) fn open_part(&self, bucket: &str, id: &str, number: u16, part: &Part) -> Result<Option<ByteStream>> {
        self.room.open(&chunk(bucket, id, number, part.sha256))
    }

    /// Forgets an upload and its parts.
    pub(super) fn end_upload(&self, bucket: &str, id: &str) -> Result<()> {
        self.room.exclusively(|room| {
            room.remove(&format!("upload/{bucket}/{id}"))?;
            for kind in ["part", "chunk"] {
                for name in self.room.names(&format!("{kind}/{bucket}/{id}/"))? {
                    room.remove(&name)?;
                }
            }
            Ok(())
        })
    }
}

fn data(bucket: &str, key: &str, sha256: Digest) -> String {
    format!("data/{bucket}/{key}/{}", sha256.hex())
}

fn chunk(bucket: &str, id: &str, number: u16, sha256: Digest) -> String {
    format!("chunk/{bucket}/{id}/{number:05}/{}", sha256.hex())
}
