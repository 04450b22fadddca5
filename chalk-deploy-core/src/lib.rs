//! The engine of `chalk apply`.

pub mod checkpoint;
pub mod cloud;
pub mod error;
pub mod graph;
pub mod model;
pub mod runtime;
pub mod text;

pub use error::{Error, ErrorCode, Result};
