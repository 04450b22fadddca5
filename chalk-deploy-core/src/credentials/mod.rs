//! What the credentials of all clouds have in common: text that is never shown, bearer tokens, and values that expire and
//! are fetched anew.
//!
//! How they are found is each cloud's own, and stands in its crate.

mod bearer;
mod renewing;
mod secret;

pub use bearer::{BearerToken, BearerTokenSource};
pub use renewing::{Lender, Lent, Renewing};
pub use secret::Secret;
