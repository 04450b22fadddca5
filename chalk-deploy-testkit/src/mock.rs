//! mockall mocks of the traits (feature `mock`), for unit tests that want to say call by call what happens.
//!
//! ```
//! use chalk_deploy_core::cloud::ObjectStore as _;
//! use chalk_deploy_core::model::ObjectKey;
//! use chalk_deploy_core::{Error, ErrorCode};
//! use chalk_deploy_testkit::mock::{MockObjectStore, predicate};
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Error> {
//! let key = ObjectKey::new("incoming/x")?;
//! let mut store = MockObjectStore::new();
//! store
//!     .expect_delete()
//!     .with(predicate::eq(key.clone()))
//!     .times(1)
//!     .returning(|_| Err(Error::new(ErrorCode::CloudUnavailable, "the bucket does not answer")));
//!
//! let error = store.delete(&key).await.unwrap_err();
//! assert_eq!(error.code(), ErrorCode::CloudUnavailable);
//! # Ok(())
//! # }
//! ```

use std::sync::Arc;

pub use chalk_deploy_core::cloud::{
    Cloud, MockBuilder, MockClusterApi, MockImageContents, MockObjectStore, MockRegistry, MockTrafficProbe,
    MockTrafficShifter,
};
pub use chalk_deploy_core::model::environment::MockEnvironments;
pub use mockall::predicate;

/// A mock of each trait, to be given its expectations and then made a [`Cloud`].
///
/// ```
/// use chalk_deploy_core::model::{BuildPlace, ProjectSettings};
/// use chalk_deploy_testkit::mock::MockCloud;
///
/// let mut mocks = MockCloud::default();
/// mocks.builder.expect_place().returning(|_| Ok(BuildPlace::DataPlane));
/// let cloud = mocks.into_cloud();
/// assert_eq!(cloud.builder.place(&ProjectSettings::default())?, BuildPlace::DataPlane);
/// # Ok::<(), chalk_deploy_core::Error>(())
/// ```
#[derive(Debug, Default)]
pub struct MockCloud {
    /// The bucket.
    pub object_store: MockObjectStore,
    /// The registry.
    pub registry: MockRegistry,
    /// The cluster.
    pub cluster: MockClusterApi,
    /// The builder.
    pub builder: MockBuilder,
    /// The traffic.
    pub traffic: MockTrafficShifter,
}

impl MockCloud {
    /// The mocks as a cloud. A call that was not expected panics in the test.
    pub fn into_cloud(self) -> Cloud {
        Cloud {
            object_store: Arc::new(self.object_store),
            registry: Arc::new(self.registry),
            cluster: Arc::new(self.cluster),
            builder: Arc::new(self.builder),
            traffic: Arc::new(self.traffic),
        }
    }
}
