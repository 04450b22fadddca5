//! The first link: keys in variables.

use chalk_deploy_core::credentials::Lent;
use chalk_deploy_core::{Error, ErrorCode, Result};

use super::{AccessKeys, Variables};

/// `AWS_ACCESS_KEY_ID` and `AWS_SECRET_ACCESS_KEY`, with `AWS_SESSION_TOKEN` for a session. They have no end that is
/// known.
pub(super) fn lend(variables: &Variables) -> Result<Option<Lent<AccessKeys>>> {
    let (id, secret) = match (variables.get("AWS_ACCESS_KEY_ID"), variables.get("AWS_SECRET_ACCESS_KEY")) {
        (None, None) => return Ok(None),
        (Some(id), Some(secret)) => (id, secret),
        (id, _) => {
            let (is, lacks) = if id.is_some() {
                ("ACCESS_KEY_ID", "SECRET_ACCESS_KEY")
            } else {
                ("SECRET_ACCESS_KEY", "ACCESS_KEY_ID")
            };
            return Err(Error::new(ErrorCode::PermissionDenied, format!("AWS_{is} is set and AWS_{lacks} is not"))
                .on("credentials of AWS")
                .with_hint("set both, or neither to let the next source be asked"));
        }
    };
    let keys = AccessKeys::new(id, secret);
    let keys = match variables.get("AWS_SESSION_TOKEN") {
        Some(token) => keys.with_session_token(token),
        None => keys,
    };
    Ok(Some(Lent { value: keys.checked()?, expires: None }))
}
