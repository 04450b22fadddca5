//! A fake of each of the five traits, on a [`World`](crate::world::World).
//!
//! Every effect is two visible writes with a named moment between them ([`Checkpoints`]), at which a test may kill the
//! process. What such a half effect leaves is completed, without trace, by repeating the call: afterwards the world is
//! the one in which nothing was killed. Repeating a whole effect changes no byte.
//!
//! | effect | first write | second write | the moment between |
//! |---|---|---|---|
//! | [`ObjectStore`]`::put`, `copy` | the bytes | the key that makes them visible | `object-store.put/between`, `object-store.copy/between` |
//! | `ObjectStore::delete` | the key goes | the bytes go | `object-store.delete/between` |
//! | [`Registry`]`::push_blob` | the blob | its link to the repository | `registry.push_blob/between` |
//! | `Registry::put_manifest` | the manifest, then its link | the tag | `registry.put_manifest/between`, `registry.put_manifest/before-tag` |
//! | `Registry::remove_tag` | the tag goes | its history goes | `registry.remove_tag/between` |
//! | [`ClusterApi`]`::apply` | the object | the counter of resource versions | `cluster.apply/between` |
//! | `ClusterApi::delete` | the object is being deleted | counter, then the object goes | `cluster.delete/between` |
//! | [`Builder`]`::submit` | the images' contents | the build that names them | `builder.submit/between` |
//! | `Builder::stop` | the build goes | the contents that nothing names any more go | `builder.stop/between` |
//! | [`TrafficShifter`]`::shift` | the route | the generation in its history | `traffic.shift/between` |
//!
//! [`ObjectStore`]: chalk_deploy_core::cloud::ObjectStore
//! [`Registry`]: chalk_deploy_core::cloud::Registry
//! [`ClusterApi`]: chalk_deploy_core::cloud::ClusterApi
//! [`Builder`]: chalk_deploy_core::cloud::Builder
//! [`TrafficShifter`]: chalk_deploy_core::cloud::TrafficShifter
//! [`Checkpoints`]: chalk_deploy_core::checkpoint::Checkpoints

mod builder;
mod cluster;
mod object_store;
mod payload;
mod registry;
mod signer;
mod traffic;

use std::sync::Arc;
use std::time::Duration;

use chalk_deploy_core::runtime::Runtime;

pub use self::builder::{BuildBehaviour, FakeBuilder};
pub use self::cluster::{FakeCluster, PodBehaviour, PodScope};
pub use self::object_store::FakeObjectStore;
pub use self::registry::FakeRegistry;
pub use self::signer::FakeSigner;
pub use self::traffic::{FakeProbe, FakeTraffic, GatewayBehaviour, ProbeBehaviour};
pub use chalk_deploy_core::cloud::TOKEN_ANNOTATION;

/// How long a fake lets its caller wait where a real server would take its time.
#[derive(Debug, Clone)]
pub struct Pace {
    runtime: Arc<dyn Runtime>,
    step: Duration,
}

impl Pace {
    /// Waits this long a step. In virtual time that costs nothing, and lets deadlines pass.
    pub fn new(runtime: Arc<dyn Runtime>, step: Duration) -> Self {
        Self { runtime, step }
    }

    async fn wait(&self) {
        self.runtime.sleep(self.step).await;
    }
}

/// Waits a step, or gives other tasks their turn where no pace is set.
async fn pause(pace: Option<&Pace>) {
    match pace {
        Some(pace) => pace.wait().await,
        None => tokio::task::yield_now().await,
    }
}
