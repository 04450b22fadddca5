//! Makes an export the same wherever it was made.
//!
//! chalkpy writes four things into an export that differ between two machines, or between two runs on one machine,
//! for the same project:
//!
//! - absolute paths, in file names, tracebacks, messages and in values that the code made from `__file__`
//!   ([`roots`], [`text`]);
//! - the entries of maps in a random order ([`sort_maps`]);
//! - a random id at every node of an expression ([`expressions`]);
//! - ids of captured values, which are digests of bytes that hold such paths ([`captured`]).
//!
//! All are changed at the level of the wire, so that fields which this library does not know stay byte for byte.
//! Doing it again changes nothing.

mod captured;
mod expressions;
mod outline;
mod roots;
mod text;

use std::borrow::Cow;
use std::path::Path;

use bytes::Bytes;
use prost::Message as _;

use super::wire::{Editor, Role, Shape, WireError, edit, sort_maps};
pub(super) use captured::{ValueIds, digests_of_values};
pub(super) use expressions::is_expression_id;

use expressions::ExpressionIds;
use outline::Outline;
use roots::Roots;

/// Why an export cannot be made portable.
#[derive(Debug, thiserror::Error)]
pub(super) enum NoExport {
    /// A message in it does not hold.
    #[error(transparent)]
    Wire(#[from] WireError),
    /// A field in it holds something else than the contract says.
    #[error(transparent)]
    Field(#[from] prost::DecodeError),
}

/// The export with every path relative to the project and every id made from content. Nothing is returned when it was
/// so.
pub(super) fn portable(bytes: &Bytes, project_directory: Option<&Path>) -> Result<Option<Bytes>, NoExport> {
    let roots = Roots::of(&Outline::decode(bytes.clone())?, project_directory);
    let mut made = Cow::Borrowed(bytes.as_ref());
    if let Some(sorted) = sort_maps(&made)? {
        made = Cow::Owned(sorted);
    }
    let rekeys = captured::ids_are_digests(&made)?;
    let mut editor = Rewriter { roots: &roots, expressions: ExpressionIds::default() };
    if let Some(rewritten) = edit(&made, Some(Shape::Export), &mut editor)? {
        made = Cow::Owned(rewritten);
    }
    if rekeys && let Some(rekeyed) = captured::rekey(&made)? {
        made = Cow::Owned(rekeyed);
    }
    Ok(match made {
        Cow::Owned(made) if made != *bytes => Some(made.into()),
        _ => None,
    })
}

struct Rewriter<'r> {
    roots: &'r Roots,
    expressions: ExpressionIds,
}

impl Editor for Rewriter<'_> {
    fn edit(&mut self, role: Role, number: u32, content: &[u8]) -> Option<Vec<u8>> {
        let rewrite: fn(&Roots, &str) -> Option<String> = match role {
            Role::Path if may_be_absolute(content) => Roots::path,
            Role::Text => Roots::text,
            Role::Opaque => {
                if let Some(id) = self.expressions.stable(number, content) {
                    return Some(id);
                }
                if !may_be_absolute(content) {
                    return None;
                }
                Roots::value
            }
            _ => return None,
        };
        rewrite(self.roots, std::str::from_utf8(content).ok()?).map(String::into_bytes)
    }
}

/// Whether bytes begin as an absolute path does. Nearly all of an export does not, and is not looked at further.
fn may_be_absolute(content: &[u8]) -> bool {
    matches!(content, [b'/' | b'\\', ..] | [_, b':', ..]) || content.starts_with(b"file:")
}

#[cfg(test)]
mod tests;
