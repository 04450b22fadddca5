//! What every implementation of a trait must keep.

pub mod deployment_store;
