//! Azure Container Registry: who we are there, and what lies in it.
//!
//! Repositories appear by themselves with the first push, so that nobody creates them.

mod catalog;
mod exchange;
mod policies;

pub use self::catalog::AcrImages;
pub(crate) use self::exchange::{AcrCredentials, RefreshTokens};
pub(crate) use self::policies::remarks;
