//! How long a presigned address may be valid.

use std::time::Duration;

use crate::{Error, ErrorCode, Result};

/// S3 and Google refuse longer ones. Azure takes them; but who holds one cannot be told to forget it.
pub(super) const LONGEST: Duration = Duration::from_hours(7 * 24);

/// Refuses a time of zero, with a fraction of a second, or longer than [`LONGEST`].
pub(super) fn check(expires_in: Duration) -> Result<()> {
    check_up_to(expires_in, LONGEST, "7 days")
}

/// Refuses a time of zero, with a fraction of a second, or longer than this, which is called so.
pub(super) fn check_up_to(expires_in: Duration, most: Duration, called: &str) -> Result<()> {
    if !expires_in.is_zero() && expires_in <= most && expires_in.subsec_nanos() == 0 {
        return Ok(());
    }
    Err(Error::new(ErrorCode::ValueInvalid, format!("a presigned address is valid for 1 s to {called}"))
        .on(format!("{expires_in:?}"))
        .with_hint("choose a whole number of seconds in between"))
}
