//! Blobs on their way from one registry to another, each at most once at a time: who comes second waits, and then mounts
//! what the first has brought.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use crate::model::Digest;

type Key = (String, Digest);

/// The blobs that are under way.
#[derive(Debug, Default)]
pub(super) struct Flights(Mutex<BTreeMap<Key, Arc<tokio::sync::Mutex<()>>>>);

impl Flights {
    /// Waits until nobody else brings this blob to this registry. The turn ends when what is returned is dropped.
    pub(super) async fn turn(&self, registry: String, digest: Digest) -> tokio::sync::OwnedMutexGuard<()> {
        let flight = {
            let mut flights = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            // Those that nobody holds or waits for have ended.
            flights.retain(|_, flight| Arc::strong_count(flight) > 1);
            flights.entry((registry, digest)).or_default().clone()
        };
        flight.lock_owned().await
    }
}
