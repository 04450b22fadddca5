//! A request, read and let in.

use bytes::Bytes;
use chalk_deploy_core::cloud::ByteStream;
use http::header::AUTHORIZATION;
use http::request::Parts;
use http::{HeaderMap, Method, Request, StatusCode};

use super::answer::Refused;
use super::settings::AzureBucketSettings;
use crate::simulated::bucket::request::{decoded, pairs};
use crate::simulated::http::{Severed, read_body};

/// The longest body of one request here. Azure takes 4000 MiB in a block.
const BODY_MOST: usize = 128 << 20;

/// A request that may be answered.
#[derive(Debug)]
pub(super) struct Call {
    pub(super) method: Method,
    pub(super) container: String,
    pub(super) blob: Option<String>,
    pub(super) headers: HeaderMap,
    pub(super) body: Bytes,
    query: Vec<(String, String)>,
}

impl Call {
    /// # Errors
    /// [`Severed`] when the body is not as long as it was said to be: what came is not looked at.
    pub(super) async fn read(
        request: Request<ByteStream>,
        settings: &AzureBucketSettings,
    ) -> Result<Result<Self, Refused>, Severed> {
        let (parts, stream) = request.into_parts();
        let body = match read_body(stream, BODY_MOST).await {
            Ok(body) => body,
            Err(StatusCode::PAYLOAD_TOO_LARGE) => {
                let message = "a body has 128 MiB at most here; upload in blocks";
                return Ok(Err(Refused::new(StatusCode::PAYLOAD_TOO_LARGE, "RequestBodyTooLarge", message)));
            }
            Err(_) => return Err(Severed),
        };
        let announced = parts.headers.get("content-length").and_then(|length| length.to_str().ok()?.parse().ok());
        if announced.is_some_and(|length: usize| length != body.len()) {
            return Err(Severed);
        }
        Ok(Self::checked(parts, body, settings))
    }

    fn checked(parts: Parts, body: Bytes, settings: &AzureBucketSettings) -> Result<Self, Refused> {
        let_in(&parts.headers, settings)?;
        let path = parts.uri.path().strip_prefix('/').unwrap_or_default();
        let path = match &settings.account_in_path {
            Some(account) => {
                let rest = path.strip_prefix(account.as_str()).and_then(|rest| rest.strip_prefix('/'));
                rest.ok_or(Refused::new(StatusCode::BAD_REQUEST, "InvalidUri", "the address names another account"))?
            }
            None => path,
        };
        let invalid = || Refused::new(StatusCode::BAD_REQUEST, "InvalidUri", "the address cannot be decoded");
        let (container, blob) = path.split_once('/').unwrap_or((path, ""));
        let blob = decoded(blob).map_err(|_| invalid())?;
        // "Naming and referencing containers, blobs, and metadata".
        if blob.chars().count() > 1024 {
            return Err(Refused::new(StatusCode::BAD_REQUEST, "OutOfRangeInput", "a name has 1024 characters at most"));
        }
        if !is_container(container) {
            let message = "the name of the container is not valid";
            return Err(Refused::new(StatusCode::BAD_REQUEST, "InvalidResourceName", message));
        }
        Ok(Self {
            method: parts.method,
            container: container.to_owned(),
            blob: Some(blob).filter(|blob| !blob.is_empty()),
            query: pairs(parts.uri.query().unwrap_or_default()),
            headers: parts.headers,
            body,
        })
    }

    /// The value of a parameter.
    pub(super) fn query(&self, name: &str) -> Option<&str> {
        self.query.iter().find(|(found, _)| found == name).map(|(_, value)| value.as_str())
    }

    pub(super) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }
}

fn let_in(headers: &HeaderMap, settings: &AzureBucketSettings) -> Result<(), Refused> {
    if settings.tokens.is_empty() {
        return Ok(());
    }
    let refused = |code, message| Err(Refused::new(StatusCode::UNAUTHORIZED, code, message));
    let shown = headers.get(AUTHORIZATION).and_then(|value| value.to_str().ok());
    let Some(token) = shown.and_then(|value| value.strip_prefix("Bearer ")) else {
        return refused("NoAuthenticationInformation", "the request shows no token");
    };
    if !settings.tokens.iter().any(|known| known.expose() == token) {
        return refused("InvalidAuthenticationInfo", "the token is not valid");
    }
    // "Authorize with Microsoft Entra ID": tokens are taken from this version on.
    if headers.get("x-ms-version").is_none_or(|version| version.as_bytes() < b"2017-11-09".as_slice()) {
        return refused("InvalidAuthenticationInfo", "the version of the request takes no tokens");
    }
    Ok(())
}

fn is_container(name: &str) -> bool {
    let holds = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    (3..=63).contains(&name.len()) && name.bytes().all(holds) && !name.starts_with('-') && !name.contains("--")
}
