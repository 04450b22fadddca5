//! A request, read and verified.

use bytes::Bytes;
use chalk_deploy_core::cloud::ByteStream;
use chalk_deploy_core::runtime::Runtime;
use http::header::HOST;
use http::{HeaderMap, Method, Request, StatusCode, Uri};
use url::form_urlencoded;

use super::error::S3Error;
use super::settings::BucketSettings;
use super::{authentication, body};

/// Parameters that name another resource than the bucket or the object itself, or another view of it.
const SUBRESOURCES: [&str; 21] = [
    "acl",
    "attributes",
    "cors",
    "encryption",
    "legal-hold",
    "lifecycle",
    "location",
    "logging",
    "notification",
    "object-lock",
    "ownershipControls",
    "partNumber",
    "policy",
    "publicAccessBlock",
    "replication",
    "restore",
    "retention",
    "select",
    "tagging",
    "versioning",
    "versionId",
];

/// A request that may be answered.
#[derive(Debug)]
pub(super) struct Call {
    pub(super) method: Method,
    pub(super) bucket: Option<String>,
    pub(super) key: Option<String>,
    pub(super) headers: HeaderMap,
    pub(super) body: Bytes,
    query: Vec<(String, String)>,
}

impl Call {
    pub(super) async fn read(
        request: Request<ByteStream>,
        settings: &BucketSettings,
        runtime: &dyn Runtime,
    ) -> Result<Self, S3Error> {
        let (parts, stream) = request.into_parts();
        let query = pairs(parts.uri.query().unwrap_or_default());
        let signed = authentication::verify(&parts, &query, settings, runtime.now())?;
        let body = body::read(stream, &parts.headers, &signed).await?;
        let (bucket, key) = place(&parts.uri, &parts.headers)?;
        Ok(Self { method: parts.method, bucket, key, headers: parts.headers, body, query })
    }

    /// The value of a parameter; empty for one without a value.
    pub(super) fn query(&self, name: &str) -> Option<&str> {
        self.query.iter().find(|(found, _)| found == name).map(|(_, value)| value.as_str())
    }

    pub(super) fn has_subresource(&self) -> bool {
        self.query.iter().any(|(name, _)| SUBRESOURCES.contains(&name.as_str()))
    }

    pub(super) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }

    /// The body of a request that holds XML.
    pub(super) fn xml(&self) -> Result<&str, S3Error> {
        std::str::from_utf8(&self.body).map_err(|_| S3Error::malformed_xml())
    }
}

pub(super) fn pairs(query: &str) -> Vec<(String, String)> {
    form_urlencoded::parse(query.as_bytes()).into_owned().collect()
}

/// Decodes a path, in which `+` stands for itself.
pub(super) fn decoded(text: &str) -> Result<String, S3Error> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((&first, after)) = rest.split_first() {
        rest = after;
        if first == b'%' {
            let digits = rest.get(..2).filter(|digits| digits.iter().all(u8::is_ascii_hexdigit));
            let byte = digits.and_then(|digits| u8::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok());
            bytes.push(byte.ok_or_else(invalid_uri)?);
            rest = &rest[2..];
        } else {
            bytes.push(first);
        }
    }
    String::from_utf8(bytes).map_err(|_| invalid_uri())
}

pub(super) fn host(uri: &Uri, headers: &HeaderMap) -> String {
    let named = headers.get(HOST).and_then(|host| host.to_str().ok().map(str::to_owned));
    named.or_else(|| uri.authority().map(ToString::to_string)).unwrap_or_default()
}

/// Bucket and key, which stand in the path, or with a host of AWS in host and path.
fn place(uri: &Uri, headers: &HeaderMap) -> Result<(Option<String>, Option<String>), S3Error> {
    let path = uri.path().strip_prefix('/').unwrap_or_default();
    let host = host(uri, headers);
    let in_host = host.split_once(".s3.").filter(|(_, rest)| rest.contains("amazonaws.com")).map(|(bucket, _)| bucket);
    let (bucket, key) = if let Some(bucket) = in_host {
        (bucket.to_owned(), path)
    } else {
        let (bucket, key) = path.split_once('/').unwrap_or((path, ""));
        (decoded(bucket)?, key)
    };
    let bucket = Some(bucket).filter(|bucket| !bucket.is_empty());
    if let Some(bucket) = &bucket
        && !is_bucket(bucket)
    {
        return Err(S3Error::new(StatusCode::BAD_REQUEST, "InvalidBucketName", "the name of the bucket is not valid"));
    }
    let key = decoded(key)?;
    if key.len() > 1024 {
        return Err(S3Error::new(StatusCode::BAD_REQUEST, "KeyTooLongError", "a key has 1024 bytes at most"));
    }
    Ok((bucket, Some(key).filter(|key| !key.is_empty())))
}

pub(super) fn is_bucket(name: &str) -> bool {
    let holds = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || matches!(byte, b'-' | b'.' | b'_');
    (1..=63).contains(&name.len()) && name.bytes().all(holds) && !name.starts_with('.') && !name.contains("..")
}

fn invalid_uri() -> S3Error {
    S3Error::new(StatusCode::BAD_REQUEST, "InvalidURI", "the address cannot be decoded")
}
