//! The engine of `chalk apply`.

pub mod checkpoint;
pub mod cloud;
pub mod error;
pub mod machine;
pub mod model;
pub mod runtime;
pub mod store;
pub mod text;

pub use error::{Error, ErrorCode, Result};
