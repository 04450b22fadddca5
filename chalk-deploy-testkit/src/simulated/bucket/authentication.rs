//! Signatures of version 4, verified: in headers, in presigned addresses, and the seeds of bodies in chunks.
//!
//! Written from "Authenticating Requests (AWS Signature Version 4)" of the S3 API reference, and not from the signing of
//! our own adapter, which it tests.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::time::Duration;

use aws_lc_rs::hmac::{HMAC_SHA256, Key, sign};
use chalk_deploy_core::model::{Digest, Timestamp};
use http::request::Parts;
use http::{HeaderMap, StatusCode};

use super::error::S3Error;
use super::moment;
use super::request::{decoded, host};
use super::settings::{AccessKey, BucketSettings};

/// Presigned addresses are valid for a week at most.
const EXPIRES_MOST: u64 = 7 * 24 * 3600;

/// What the signature of a request says of its body.
#[derive(Debug)]
pub(super) enum SignedBody {
    /// Nothing.
    Unsigned,
    /// The digest of the whole.
    Whole(String),
    /// Chunks, each signed after the one before; or not signed, with a checksum at the end.
    Chunks(Option<ChunkKey>),
}

/// What signs the chunks of one body.
#[derive(Debug, Clone)]
pub(super) struct ChunkKey {
    key: Vec<u8>,
    time: String,
    scope: String,
    previous: String,
}

impl ChunkKey {
    /// Whether this is the signature of the next chunk.
    pub(super) fn verify(&mut self, chunk: &[u8], signature: &str) -> bool {
        let empty = Digest::of("").hex();
        let text = format!(
            "AWS4-HMAC-SHA256-PAYLOAD\n{}\n{}\n{}\n{empty}\n{}",
            self.time,
            self.scope,
            self.previous,
            Digest::of(chunk).hex()
        );
        let expected = hex(&keyed(&self.key, &text));
        let equal = expected == signature;
        self.previous = expected;
        equal
    }
}

/// Verifies who asks. With no key in the settings everyone may.
pub(super) fn verify(
    parts: &Parts,
    query: &[(String, String)],
    settings: &BucketSettings,
    now: Timestamp,
) -> Result<SignedBody, S3Error> {
    let content = header(&parts.headers, "x-amz-content-sha256").unwrap_or("UNSIGNED-PAYLOAD");
    if settings.keys.is_empty() {
        return Ok(body_of(content, None));
    }
    if let Some(authorization) = header(&parts.headers, "authorization") {
        let claim = Claim::in_header(authorization, &parts.headers)?;
        let key = claim.verify(parts, query, content, settings)?;
        if now.since(claim.at).max(claim.at.since(now)) > settings.clock_skew {
            return Err(S3Error::new(
                StatusCode::FORBIDDEN,
                "RequestTimeTooSkewed",
                "the difference between the request time and the current time is too large",
            ));
        }
        let token = header(&parts.headers, "x-amz-security-token");
        check_session(key, token, now)?;
        let chunks = ChunkKey {
            key: claim.signing_key(key),
            time: claim.time.clone(),
            scope: claim.scope(),
            previous: claim.signature.clone(),
        };
        return Ok(body_of(content, Some(chunks)));
    }
    if query.iter().any(|(name, _)| name == "X-Amz-Algorithm") {
        let claim = Claim::in_query(query)?;
        let key = claim.verify(parts, query, "UNSIGNED-PAYLOAD", settings)?;
        let expires =
            value(query, "X-Amz-Expires")?.parse::<u64>().ok().filter(|seconds| (1..=EXPIRES_MOST).contains(seconds));
        let expires = expires.ok_or_else(|| malformed("X-Amz-Expires is a number of seconds up to a week"))?;
        if claim.at > now.plus(settings.clock_skew) {
            return Err(S3Error::denied("Request is not yet valid"));
        }
        if claim.at.plus(Duration::from_secs(expires)) < now {
            return Err(S3Error::denied("Request has expired"));
        }
        check_session(key, value(query, "X-Amz-Security-Token").ok(), now)?;
        return Ok(SignedBody::Unsigned);
    }
    Err(S3Error::denied("the request is not signed"))
}

fn body_of(content: &str, chunks: Option<ChunkKey>) -> SignedBody {
    match content {
        "UNSIGNED-PAYLOAD" => SignedBody::Unsigned,
        "STREAMING-UNSIGNED-PAYLOAD-TRAILER" => SignedBody::Chunks(None),
        content if content.starts_with("STREAMING-") => SignedBody::Chunks(chunks),
        content => SignedBody::Whole(content.to_owned()),
    }
}

fn check_session(key: &AccessKey, token: Option<&str>, now: Timestamp) -> Result<(), S3Error> {
    if key.session_token.as_deref() != token {
        let message = "the token is not the one of this key";
        return Err(S3Error::new(StatusCode::BAD_REQUEST, "InvalidToken", message));
    }
    if key.expires_at.is_some_and(|expires| expires <= now) {
        return Err(S3Error::new(StatusCode::BAD_REQUEST, "ExpiredToken", "The provided token has expired."));
    }
    Ok(())
}

/// What a request claims to be signed with.
#[derive(Debug)]
struct Claim {
    key: String,
    day: String,
    region: String,
    service: String,
    signed_headers: Vec<String>,
    signature: String,
    time: String,
    at: Timestamp,
}

impl Claim {
    fn in_header(authorization: &str, headers: &HeaderMap) -> Result<Self, S3Error> {
        let rest = authorization
            .strip_prefix("AWS4-HMAC-SHA256")
            .ok_or_else(|| S3Error::new(StatusCode::BAD_REQUEST, "InvalidRequest", "only AWS4-HMAC-SHA256 is known"))?;
        let field = |name: &str| {
            rest.split(',')
                .find_map(|field| field.trim().strip_prefix(name)?.strip_prefix('='))
                .ok_or_else(|| malformed(&format!("the Authorization header holds no {name}")))
        };
        let time = header(headers, "x-amz-date").ok_or_else(|| S3Error::denied("the request has no x-amz-date"))?;
        Self::new(field("Credential")?, field("SignedHeaders")?, field("Signature")?, time)
    }

    fn in_query(query: &[(String, String)]) -> Result<Self, S3Error> {
        if value(query, "X-Amz-Algorithm")? != "AWS4-HMAC-SHA256" {
            return Err(malformed("only AWS4-HMAC-SHA256 is known"));
        }
        Self::new(
            value(query, "X-Amz-Credential")?,
            value(query, "X-Amz-SignedHeaders")?,
            value(query, "X-Amz-Signature")?,
            value(query, "X-Amz-Date")?,
        )
    }

    fn new(credential: &str, signed_headers: &str, signature: &str, time: &str) -> Result<Self, S3Error> {
        let mut parts = credential.rsplitn(5, '/');
        let (Some("aws4_request"), Some(service), Some(region), Some(day), Some(key)) =
            (parts.next(), parts.next(), parts.next(), parts.next(), parts.next())
        else {
            return Err(malformed("the credential is not key/day/region/service/aws4_request"));
        };
        let at = moment::of_signature(time).ok_or_else(|| S3Error::denied("the date of the request is none"))?;
        if !time.starts_with(day) {
            return Err(malformed("the day of the credential is not that of the request"));
        }
        Ok(Self {
            key: key.to_owned(),
            day: day.to_owned(),
            region: region.to_owned(),
            service: service.to_owned(),
            signed_headers: signed_headers.split(';').map(str::to_owned).collect(),
            signature: signature.to_owned(),
            time: time.to_owned(),
            at,
        })
    }

    fn scope(&self) -> String {
        format!("{}/{}/{}/aws4_request", self.day, self.region, self.service)
    }

    fn signing_key(&self, key: &AccessKey) -> Vec<u8> {
        let parts = [self.day.as_str(), &self.region, &self.service, "aws4_request"];
        parts.iter().fold(format!("AWS4{}", key.secret).into_bytes(), |key, part| keyed(&key, part))
    }

    fn verify<'keys>(
        &self,
        parts: &Parts,
        query: &[(String, String)],
        content: &str,
        settings: &'keys BucketSettings,
    ) -> Result<&'keys AccessKey, S3Error> {
        let key = settings.keys.iter().find(|key| key.id == self.key).ok_or_else(|| {
            let message = "the access key does not exist in our records";
            S3Error::new(StatusCode::FORBIDDEN, "InvalidAccessKeyId", message)
        })?;
        if self.region != settings.region || self.service != "s3" {
            return Err(malformed(&format!("the region is wrong; expecting '{}'", settings.region)));
        }
        let signed: BTreeSet<_> = self.signed_headers.iter().map(String::as_str).collect();
        let all_signed =
            parts.headers.keys().all(|name| !name.as_str().starts_with("x-amz-") || signed.contains(name.as_str()));
        if !signed.contains("host") || !all_signed {
            return Err(S3Error::denied("there are headers in the request which were not signed"));
        }
        let canonical = self.canonical(parts, query, content)?;
        let text = format!("AWS4-HMAC-SHA256\n{}\n{}\n{}", self.time, self.scope(), Digest::of(&canonical).hex());
        if hex(&keyed(&self.signing_key(key), &text)) != self.signature {
            tracing::debug!(canonical, "a signature does not match");
            return Err(S3Error::new(
                StatusCode::FORBIDDEN,
                "SignatureDoesNotMatch",
                "the request signature we calculated does not match the signature you provided",
            ));
        }
        Ok(key)
    }

    fn canonical(&self, parts: &Parts, query: &[(String, String)], content: &str) -> Result<String, S3Error> {
        let path = encoded(&decoded(parts.uri.path())?, true);
        let mut pairs: Vec<_> = query
            .iter()
            .filter(|(name, _)| name != "X-Amz-Signature")
            .map(|(name, value)| format!("{}={}", encoded(name, false), encoded(value, false)))
            .collect();
        pairs.sort_unstable();
        let mut lines = String::new();
        for name in &self.signed_headers {
            let value = if name == "host" {
                host(&parts.uri, &parts.headers)
            } else {
                let values = parts.headers.get_all(name.as_str()).iter();
                let values: Vec<_> =
                    values.map(|value| collapsed(&String::from_utf8_lossy(value.as_bytes()))).collect();
                values.join(",")
            };
            lines.extend([name, ":", &value, "\n"]);
        }
        let names = self.signed_headers.join(";");
        Ok(format!("{}\n{path}\n{}\n{lines}\n{names}\n{content}", parts.method, pairs.join("&")))
    }
}

fn collapsed(value: &str) -> String {
    value.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// As the reference's `UriEncode`.
pub(super) fn encoded(text: &str, keep_slash: bool) -> String {
    let unreserved = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) || (keep_slash && byte == b'/');
    text.bytes()
        .map(|byte| if unreserved(byte) { char::from(byte).to_string() } else { format!("%{byte:02X}") })
        .collect()
}

fn keyed(key: &[u8], text: &str) -> Vec<u8> {
    sign(&Key::new(HMAC_SHA256, key), text.as_bytes()).as_ref().to_vec()
}

/// In small digits.
pub(super) fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::with_capacity(2 * bytes.len()), |mut hex, byte| {
        let _ = write!(hex, "{byte:02x}");
        hex
    })
}

fn header<'headers>(headers: &'headers HeaderMap, name: &str) -> Option<&'headers str> {
    headers.get(name)?.to_str().ok()
}

fn value<'query>(query: &'query [(String, String)], name: &str) -> Result<&'query str, S3Error> {
    let found = query.iter().find(|(found, _)| found == name).map(|(_, value)| value.as_str());
    found.ok_or_else(|| {
        let message = format!("the query holds no {name}");
        S3Error::new(StatusCode::BAD_REQUEST, "AuthorizationQueryParametersError", message)
    })
}

fn malformed(message: &str) -> S3Error {
    S3Error::new(StatusCode::BAD_REQUEST, "AuthorizationHeaderMalformed", message)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_published_chunks_have_the_published_signatures() {
        // "Signature Calculations for the Authorization Header: Transferring Payload in Multiple Chunks", the example.
        let claim = Claim::new(
            "AKIAIOSFODNN7EXAMPLE/20130524/us-east-1/s3/aws4_request",
            "host",
            "4f232c4386841ef735655705268965c44a0e4690baa4adea153f7db9fa80a0a9",
            "20130524T000000Z",
        )
        .expect("a claim");
        let key = AccessKey::new("AKIAIOSFODNN7EXAMPLE", "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY");
        let mut chunks = ChunkKey {
            key: claim.signing_key(&key),
            time: claim.time.clone(),
            scope: claim.scope(),
            previous: claim.signature.clone(),
        };
        let a = vec![b'a'; 65536];
        for (chunk, signature) in [
            (&a[..], "ad80c730a21e5b8d04586a2213dd63b9a0e99e0e2307b0ade35a65485a288648"),
            (&a[..1024], "0055627c9e194cb4542bae2aa5492e3c1575bbb81b612b7d234b86a503ef5497"),
            (&[], "b6c6ea8a5354eaf15b3cb7646744f4275b71ea724fed81ceb9323e279d449df9"),
        ] {
            assert!(chunks.verify(chunk, signature), "{signature}");
        }
        assert!(!chunks.verify(b"more", &claim.signature));
    }
}
