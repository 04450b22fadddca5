//! Where a server is.

use http::Uri;

use crate::{Error, ErrorCode, Result};

/// An address without credentials and query.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Endpoint {
    pub(super) scheme: String,
    pub(super) authority: String,
    /// Empty, or with a slash at the beginning and none at the end.
    pub(super) path: String,
}

/// Whether an endpoint may have a path.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum PathOf {
    /// No.
    None,
    /// The account, which emulators of Azure have there.
    Account,
}

impl Endpoint {
    pub(super) fn parse(text: &str, path: PathOf) -> Result<Self> {
        let rule = match path {
            PathOf::None => "an endpoint is http(s)://host[:port], without path and credentials",
            PathOf::Account => "an endpoint is http(s)://host[:port][/account], without credentials",
        };
        // What it holds is not shown: it may be a password that stands in the wrong place.
        let wrong = || Error::new(ErrorCode::ValueInvalid, rule).with_hint("correct the endpoint of the bucket");
        let uri: Uri = text.parse().map_err(|_| wrong())?;
        let (Some(scheme @ ("http" | "https")), Some(authority)) = (uri.scheme_str(), uri.authority()) else {
            return Err(wrong());
        };
        let place = uri.path().strip_suffix('/').unwrap_or(uri.path());
        let is_account = place.strip_prefix('/').is_some_and(|name| is_word(name, 63));
        if authority.as_str().contains('@')
            || uri.query().is_some()
            || !(place.is_empty() || (path == PathOf::Account && is_account))
        {
            return Err(wrong());
        }
        Ok(Self { scheme: scheme.to_owned(), authority: authority.to_string(), path: place.to_owned() })
    }
}

/// Whether a text is a name that cannot lead a request elsewhere: letters, digits and inner `-`, `.` and `_`.
pub(super) fn is_word(text: &str, most: usize) -> bool {
    (1..=most).contains(&text.len())
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_'))
        && !text.contains("..")
        && text.starts_with(|first: char| first.is_ascii_alphanumeric())
}
