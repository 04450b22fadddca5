//! The engine of `chalk apply`.

pub mod checkpoint;
pub mod cloud;
pub mod error;
pub mod model;
pub mod project;
pub mod runtime;
pub mod source;
pub mod text;

pub use error::{Error, ErrorCode, Result};
