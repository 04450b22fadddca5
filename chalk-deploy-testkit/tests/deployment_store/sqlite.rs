//! The contract on SQLite.

use std::ops::Deref;
use std::sync::Arc;

use chalk_deploy_core::store::{DeploymentStore, SqliteStore};

chalk_deploy_testkit::deployment_store_suite!(Fixture::new().await);

struct Fixture {
    store: Arc<SqliteStore>,
    _directory: tempfile::TempDir,
}

impl Fixture {
    async fn new() -> Self {
        let directory = tempfile::tempdir().expect("a directory");
        let store = SqliteStore::open(&directory.path().join("state")).await.expect("the store opens");
        Self { store, _directory: directory }
    }
}

impl Deref for Fixture {
    type Target = dyn DeploymentStore;

    fn deref(&self) -> &Self::Target {
        &*self.store
    }
}
