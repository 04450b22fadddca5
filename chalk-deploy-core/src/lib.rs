//! The engine of `chalk apply`.

pub mod checkpoint;
pub mod cloud;
pub mod deployer;
mod driver;
pub mod error;
pub mod graph;
pub mod machine;
pub mod manifests;
pub mod model;
pub mod observe;
pub mod runtime;
mod stages;
pub mod store;
pub mod text;
pub mod transport;

pub use deployer::{ApplyRequest, Deployer, DeploymentHandle};
pub use error::{Error, ErrorCode, Result};
