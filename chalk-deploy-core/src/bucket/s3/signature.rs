//! AWS Signature Version 4, in headers and in a query, as "Authenticating Requests" of the S3 API reference lays it out.

use std::fmt::{self, Write as _};
use std::sync::Arc;
use std::time::Duration;

use aws_lc_rs::hmac;
use http::header::{AUTHORIZATION, CONTENT_TYPE, HOST, HeaderName};
use http::{HeaderMap, HeaderValue, Method, Uri};

use super::{S3CredentialSource, S3Credentials};
use crate::bucket::encoding::{canonical_query, encoded};
use crate::model::{Digest, Timestamp};
use crate::runtime::Runtime;
use crate::{Error, ErrorCode, Result};

const DATE: HeaderName = HeaderName::from_static("x-amz-date");
const CONTENT_SHA256: HeaderName = HeaderName::from_static("x-amz-content-sha256");
const SECURITY_TOKEN: HeaderName = HeaderName::from_static("x-amz-security-token");

/// Signs requests to one region.
pub(super) struct Signer {
    region: String,
    credentials: Option<Arc<dyn S3CredentialSource>>,
    runtime: Arc<dyn Runtime>,
}

impl Signer {
    pub(super) const fn new(
        region: String,
        credentials: Option<Arc<dyn S3CredentialSource>>,
        runtime: Arc<dyn Runtime>,
    ) -> Self {
        Self { region, credentials, runtime }
    }

    pub(super) fn now(&self) -> Timestamp {
        self.runtime.now()
    }

    /// Adds the headers that sign a request with this body, and says with which credentials. Without any it adds none.
    pub(super) async fn sign(
        &self,
        method: &Method,
        uri: &Uri,
        headers: &mut HeaderMap,
        body: Digest,
    ) -> Result<Option<S3Credentials>> {
        let Some(source) = &self.credentials else { return Ok(None) };
        let credentials = source.credentials().await?;
        sign(method, uri, headers, body, &credentials, &self.region, self.now())?;
        Ok(Some(credentials))
    }

    /// Whether there are other credentials than these, which were refused as ended.
    pub(super) async fn has_others_than(&self, refused: &S3Credentials) -> Result<bool> {
        let Some(source) = &self.credentials else { return Ok(false) };
        source.refused(refused).await;
        Ok(source.credentials().await? != *refused)
    }

    /// The address with a query that signs a GET of it.
    pub(super) async fn presign(&self, base: &str, key: &str, expires_in: Duration) -> Result<String> {
        let Some(source) = &self.credentials else {
            return Err(Error::new(ErrorCode::PermissionDenied, "there are no credentials to sign an address with")
                .with_hint("give the bucket credentials"));
        };
        let credentials = source.credentials().await?;
        presign(base, key, expires_in, &credentials, &self.region, self.now())
    }
}

impl fmt::Debug for Signer {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Signer").field("region", &self.region).finish_non_exhaustive()
    }
}

fn sign(
    method: &Method,
    uri: &Uri,
    headers: &mut HeaderMap,
    body: Digest,
    credentials: &S3Credentials,
    region: &str,
    now: Timestamp,
) -> Result<()> {
    let moment = Moment::at(now);
    let authority = uri.authority().map_or_else(String::new, ToString::to_string);
    headers.insert(HOST, header(&authority)?);
    headers.insert(DATE, header(&moment.time)?);
    headers.insert(CONTENT_SHA256, header(&body.hex())?);
    if let Some(token) = credentials.session_token() {
        let mut token = header(token)?;
        token.set_sensitive(true);
        headers.insert(SECURITY_TOKEN, token);
    }
    let is_signed = |name: &HeaderName| {
        name == HOST || name == CONTENT_TYPE || name.as_str().starts_with("x-amz-") || name.as_str().starts_with("if-")
    };
    let mut names: Vec<_> = headers.keys().filter(|name| is_signed(name)).map(HeaderName::as_str).collect();
    names.sort_unstable();
    let lines: Vec<_> = names.iter().map(|name| format!("{name}:{}\n", value_of(headers, name))).collect();
    let lines = lines.concat();
    let names = names.join(";");
    let query = canonical_query(uri.query().unwrap_or_default());
    let canonical = format!("{method}\n{}\n{query}\n{lines}\n{names}\n{}", uri.path(), body.hex());
    let scope = moment.scope(region);
    let signature = moment.signature(&canonical, credentials, region);
    let authorization = format!(
        "AWS4-HMAC-SHA256 Credential={}/{scope},SignedHeaders={names},Signature={signature}",
        credentials.access_key_id()
    );
    let mut authorization = header(&authorization)?;
    authorization.set_sensitive(true);
    headers.insert(AUTHORIZATION, authorization);
    Ok(())
}

fn presign(
    base: &str,
    key: &str,
    expires_in: Duration,
    credentials: &S3Credentials,
    region: &str,
    now: Timestamp,
) -> Result<String> {
    let moment = Moment::at(now);
    let url = format!("{base}/{}", encoded(key, true));
    let uri: Uri = url
        .parse()
        .map_err(|error| Error::new(ErrorCode::ValueInvalid, "the key makes no address").caused_by(error))?;
    let mut pairs = vec![
        ("X-Amz-Algorithm", "AWS4-HMAC-SHA256".to_owned()),
        ("X-Amz-Credential", format!("{}/{}", credentials.access_key_id(), moment.scope(region))),
        ("X-Amz-Date", moment.time.clone()),
        ("X-Amz-Expires", expires_in.as_secs().to_string()),
        ("X-Amz-SignedHeaders", "host".to_owned()),
    ];
    if let Some(token) = credentials.session_token() {
        pairs.push(("X-Amz-Security-Token", token.to_owned()));
    }
    pairs.sort_unstable();
    let query: Vec<_> = pairs.iter().map(|(name, value)| format!("{name}={}", encoded(value, false))).collect();
    let query = query.join("&");
    let authority = uri.authority().map_or_else(String::new, ToString::to_string);
    let canonical = format!("GET\n{}\n{query}\nhost:{authority}\n\nhost\nUNSIGNED-PAYLOAD", uri.path());
    let signature = moment.signature(&canonical, credentials, region);
    Ok(format!("{url}?{query}&X-Amz-Signature={signature}"))
}

/// The moment of a signature: `20130524T000000Z`, and its day.
struct Moment {
    time: String,
}

impl Moment {
    fn at(now: Timestamp) -> Self {
        // 2013-05-24T00:00:00.000Z without its marks and its fraction.
        let shown = now.to_string();
        let seconds = shown.split('.').next().unwrap_or_default();
        Self { time: format!("{}Z", seconds.replace(['-', ':'], "")) }
    }

    fn day(&self) -> &str {
        self.time.split('T').next().unwrap_or_default()
    }

    fn scope(&self, region: &str) -> String {
        format!("{}/{region}/s3/aws4_request", self.day())
    }

    fn signature(&self, canonical: &str, credentials: &S3Credentials, region: &str) -> String {
        let signed =
            format!("AWS4-HMAC-SHA256\n{}\n{}\n{}", self.time, self.scope(region), Digest::of(canonical).hex());
        let mut key = format!("AWS4{}", credentials.secret_access_key()).into_bytes();
        for part in [self.day(), region, "s3", "aws4_request"] {
            key = keyed(&key, part).as_ref().to_vec();
        }
        keyed(&key, &signed).as_ref().iter().fold(String::with_capacity(64), |mut hex, byte| {
            let _ = write!(hex, "{byte:02x}");
            hex
        })
    }
}

fn keyed(key: &[u8], text: &str) -> hmac::Tag {
    hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, key), text.as_bytes())
}

/// The values of a header, joined, with runs of spaces as one.
fn value_of(headers: &HeaderMap, name: &str) -> String {
    let values = headers.get_all(name).iter().map(|value| {
        let text = String::from_utf8_lossy(value.as_bytes());
        text.split(' ').filter(|word| !word.is_empty()).collect::<Vec<_>>().join(" ")
    });
    values.collect::<Vec<_>>().join(",")
}

fn header(text: &str) -> Result<HeaderValue> {
    HeaderValue::from_str(text).map_err(|error| {
        // Never the text: it may be the token.
        Error::new(ErrorCode::ValueInvalid, "the credentials of the bucket cannot stand in a request").caused_by(error)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    // The credentials, the moment and the signatures of the examples in the S3 API reference, "Signature Calculations
    // for the Authorization Header" and "Authenticating Requests: Using Query Parameters".
    const NOW: Timestamp = Timestamp::from_millis(1_369_353_600_000);

    fn credentials() -> S3Credentials {
        S3Credentials::new("AKIAIOSFODNN7EXAMPLE", "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY")
    }

    #[test]
    fn the_published_list_request_has_the_published_signature() {
        let uri = "https://examplebucket.s3.amazonaws.com/?max-keys=2&prefix=J".parse().expect("an address");
        let mut headers = HeaderMap::new();
        sign(&Method::GET, &uri, &mut headers, Digest::of(""), &credentials(), "us-east-1", NOW).expect("signed");
        assert_eq!(
            headers[AUTHORIZATION],
            "AWS4-HMAC-SHA256 Credential=AKIAIOSFODNN7EXAMPLE/20130524/us-east-1/s3/aws4_request,\
             SignedHeaders=host;x-amz-content-sha256;x-amz-date,\
             Signature=34b48302e7b5fa45bde8084f4b7868a86f0a534bc59db6670ed5711ef69dc6f7"
        );
        assert!(!format!("{headers:?}").contains("34b48302"), "a signature is not printed");
    }

    #[test]
    fn the_published_presigned_address_has_the_published_signature() {
        let base = "https://examplebucket.s3.amazonaws.com";
        let day = Duration::from_hours(24);
        let url = presign(base, "test.txt", day, &credentials(), "us-east-1", NOW).expect("signed");
        assert!(
            url.ends_with("X-Amz-Signature=aeeed9bbccd4d02ee5c0109b86d86835f995330da4c265957d157751f604d404"),
            "{url}"
        );
    }
}
