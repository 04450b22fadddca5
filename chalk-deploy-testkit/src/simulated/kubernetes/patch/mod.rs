//! The three kinds of patches that say what to change rather than who wants what.
//!
//! - [`json_patch`]: RFC 6902, operations one after another.
//! - [`merge_patch`]: RFC 7386, the parts to replace.
//! - [`strategic_patch`]: the same, with lists merged by the keys of the schema, and with directives.

mod json;
mod merge;
mod refusal;
mod strategic;
#[cfg(test)]
mod tests;

pub use self::json::json_patch;
pub use self::merge::merge_patch;
pub use self::refusal::Refusal;
pub use self::strategic::strategic_patch;
