//! One suite per trait, which every implementation passes.

pub mod deployment_store;
