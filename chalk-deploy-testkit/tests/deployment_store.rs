//! The stores of the core keep the contract of `DeploymentStore`.

#[path = "deployment_store/model.rs"]
mod model;
#[path = "deployment_store/sqlite.rs"]
mod sqlite;

mod memory {
    use chalk_deploy_core::store::MemoryStore;

    chalk_deploy_testkit::deployment_store_suite!(MemoryStore::new(), leases_end_by_term);
}
