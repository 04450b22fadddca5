//! What may stand in the path of a request.

use crate::model::ObjectReference;
use crate::{Error, ErrorCode, Result, text};

/// Refuses a name that would lead the request to another place. Whether it is a good name is the API server's to say.
pub(super) fn check(reference: &ObjectReference) -> Result<()> {
    if is_path_segment(&reference.name) {
        return Ok(());
    }
    Err(Error::new(ErrorCode::ObjectRefused, "this cannot be the name of an object")
        .on(text::line(&reference.to_string(), 400)))
}

/// Letters, digits and `-._:`, at most 253 of them, and no way up.
pub(super) fn is_path_segment(name: &str) -> bool {
    let holds = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b':');
    (1..=253).contains(&name.len()) && name.bytes().all(holds) && name != "." && name != ".."
}
