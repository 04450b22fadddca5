//! Authorization of requests, as "Authorize with Shared Key" and "Create a service SAS" of Azure's REST reference lay it
//! out.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use aws_lc_rs::hmac;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::header::{
    AUTHORIZATION, CONTENT_ENCODING, CONTENT_LANGUAGE, CONTENT_TYPE, DATE, HeaderName, IF_MATCH, IF_MODIFIED_SINCE,
    IF_NONE_MATCH, IF_UNMODIFIED_SINCE, RANGE,
};
use http::{HeaderMap, HeaderValue, Method, Uri};

use super::credentials::{AzureCredentials, AzureSharedKey};
use crate::bucket::encoding::{decoded, encoded};
use crate::bucket::moment;
use crate::credentials::BearerToken;
use crate::model::Timestamp;
use crate::runtime::Runtime;
use crate::{Error, ErrorCode, Result};

/// The version of the service that is spoken, which is object_store's too.
pub(super) const VERSION: &str = "2023-11-03";

/// Authorizes requests to one account: those about blobs, which a [`Bucket`](crate::bucket::Bucket) sends, and those
/// about containers and the account itself, which whoever sets them up sends.
pub struct AzureSigner {
    account: String,
    credentials: AzureCredentials,
    runtime: Arc<dyn Runtime>,
}

impl AzureSigner {
    /// Signs for this account, by the runtime's clock.
    pub fn new(account: impl Into<String>, credentials: AzureCredentials, runtime: Arc<dyn Runtime>) -> Self {
        Self { account: account.into(), credentials, runtime }
    }

    /// How addresses of single blobs are signed, where they can be.
    pub(super) const fn signs_addresses(&self) -> Option<SignedBy> {
        match self.credentials {
            AzureCredentials::SharedKey(_) => Some(SignedBy::AccountKey),
            AzureCredentials::Bearer(_) => Some(SignedBy::DelegatedKey),
            AzureCredentials::Anonymous => None,
        }
    }

    pub(super) fn account(&self) -> &str {
        &self.account
    }

    pub(super) const fn runtime(&self) -> &Arc<dyn Runtime> {
        &self.runtime
    }

    /// Says that a request that this has authorized was answered with 401. Whether there may be another token now.
    pub async fn refused(&self, headers: &HeaderMap) -> bool {
        let AzureCredentials::Bearer(source) = &self.credentials else { return false };
        let shown = headers.get(AUTHORIZATION).and_then(|value| value.to_str().ok());
        let Some(token) = shown.and_then(|value| value.strip_prefix("Bearer ")) else { return false };
        let refused = BearerToken::new(token);
        source.refused(&refused).await;
        source.token().await.is_ok_and(|token| token != refused)
    }

    /// Adds date, version and authorization to a request with so many bytes.
    ///
    /// # Errors
    /// The credentials' own; [`ErrorCode::ValueInvalid`] for an account or a token that no header can hold.
    pub async fn authorize(
        &self,
        method: &Method,
        uri: &Uri,
        headers: &mut HeaderMap,
        length: u64,
    ) -> Result<()> {
        headers.remove(DATE);
        headers.insert("x-ms-date", header(&http_date(self.runtime.now()))?);
        headers.insert("x-ms-version", HeaderValue::from_static(VERSION));
        headers.remove(AUTHORIZATION);
        let authorization = match &self.credentials {
            AzureCredentials::Anonymous => return Ok(()),
            AzureCredentials::Bearer(source) => source.token().await?.authorization()?,
            AzureCredentials::SharedKey(source) => {
                let signed = string_to_sign(method, uri, headers, length, &self.account);
                let mut value =
                    header(&format!("SharedKey {}:{}", self.account, keyed(&source.key().await?, &signed)))?;
                value.set_sensitive(true);
                value
            }
        };
        headers.insert(AUTHORIZATION, authorization);
        Ok(())
    }

    /// The query that lets whoever has it read one blob, and when it ends. `path` is the blob's in the request, without
    /// the account of an emulator.
    pub(super) async fn presign(
        &self,
        path: &str,
        over_tls: bool,
        expires_in: Duration,
    ) -> Result<(String, Timestamp)> {
        let AzureCredentials::SharedKey(source) = &self.credentials else {
            return Err(Error::new(ErrorCode::PermissionDenied, "there is no key to sign an address with")
                .with_hint("give the bucket the key of its account"));
        };
        let now = Timestamp::from_millis(self.runtime.now().as_millis() / 1000 * 1000);
        let ends = now.plus(expires_in);
        Ok((presigned(&self.account, path, over_tls, ends, &source.key().await?), ends))
    }
}

/// What an address of a single blob is signed with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum SignedBy {
    /// The account's key: a service SAS.
    AccountKey,
    /// A key that the account gives to the holder of a token: a user delegation SAS.
    DelegatedKey,
}

impl fmt::Debug for AzureSigner {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("AzureSigner").field("account", &self.account).finish_non_exhaustive()
    }
}

fn string_to_sign(method: &Method, uri: &Uri, headers: &HeaderMap, length: u64, account: &str) -> String {
    let value = |name: &HeaderName| headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default();
    // Since version 2015-02-21 no length is signed as nothing.
    let length = if length == 0 { String::new() } else { length.to_string() };
    let mut lines = vec![method.as_str(), value(&CONTENT_ENCODING), value(&CONTENT_LANGUAGE), &length, ""];
    // The date stands in x-ms-date.
    lines.extend([value(&CONTENT_TYPE), "", value(&IF_MODIFIED_SINCE), value(&IF_MATCH), value(&IF_NONE_MATCH)]);
    lines.extend([value(&IF_UNMODIFIED_SINCE), value(&RANGE)]);
    let mut own: Vec<_> = headers
        .iter()
        .filter(|(name, _)| name.as_str().starts_with("x-ms-"))
        .map(|(name, value)| format!("{name}:{}\n", String::from_utf8_lossy(value.as_bytes()).trim()))
        .collect();
    own.sort_unstable();
    format!("{}\n{}/{account}{}{}", lines.join("\n"), own.concat(), uri.path(), canonical_query(uri))
}

/// The parameters, decoded, each on a line of its own.
fn canonical_query(uri: &Uri) -> String {
    let plain = |text: &str| decoded(&text.replace('+', " ")).unwrap_or_else(|| text.to_owned());
    let mut pairs: Vec<_> = uri
        .query()
        .unwrap_or_default()
        .split('&')
        .filter(|pair| !pair.is_empty())
        .map(|pair| pair.split_once('=').unwrap_or((pair, "")))
        .map(|(name, value)| (plain(name).to_lowercase(), plain(value)))
        .collect();
    pairs.sort_unstable();
    pairs.iter().flat_map(|(name, value)| ["\n", name, ":", value]).collect()
}

fn presigned(account: &str, path: &str, over_tls: bool, ends: Timestamp, key: &AzureSharedKey) -> String {
    // Over plain HTTP a signature that is for HTTPS alone reads nothing; only an emulator is asked that way.
    let protocol = if over_tls { "https" } else { "" };
    let ends = moment::in_seconds(ends);
    let plain = decoded(path).unwrap_or_else(|| path.to_owned());
    let resource = format!("/blob/{account}{plain}");
    // Permissions, start, end, resource, policy, addresses, protocol, version, kind, snapshot, scope of encryption, and
    // the five headers of an answer that can be set.
    let signed = ["r", "", &ends, &resource, "", "", protocol, VERSION, "b", "", "", "", "", "", "", ""].join("\n");
    let mut pairs = vec![("sp", "r"), ("se", &ends), ("sv", VERSION), ("sr", "b")];
    if over_tls {
        pairs.push(("spr", protocol));
    }
    let signature = keyed(key, &signed);
    pairs.push(("sig", &signature));
    pairs.iter().map(|(name, value)| format!("{name}={}", encoded(value, false))).collect::<Vec<_>>().join("&")
}

fn keyed(key: &AzureSharedKey, text: &str) -> String {
    signed_with(key.bytes(), text)
}

pub(super) fn signed_with(key: &[u8], text: &str) -> String {
    STANDARD.encode(hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, key), text.as_bytes()))
}

/// `Fri, 24 May 2013 00:00:00 GMT` (RFC 9110, section 5.6.7).
pub(super) fn http_date(now: Timestamp) -> String {
    const DAYS: [&str; 7] = ["Thu", "Fri", "Sat", "Sun", "Mon", "Tue", "Wed"];
    const MONTHS: [&str; 12] = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
    const DAY: i64 = 24 * 60 * 60 * 1000;
    // 1970 began on a Thursday.
    let days = i64::try_from(now.as_millis()).unwrap_or_default().div_euclid(DAY).rem_euclid(7);
    let day = DAYS.get(usize::try_from(days).unwrap_or_default()).unwrap_or(&"Thu");
    // 2013-05-24T00:00:00.000Z
    let shown = now.to_string();
    let part = |range: std::ops::Range<usize>| shown.get(range).unwrap_or_default();
    let month = part(5..7).parse::<usize>().ok().and_then(|month| MONTHS.get(month.checked_sub(1)?)).unwrap_or(&"Jan");
    format!("{day}, {} {month} {} {} GMT", part(8..10), part(0..4), part(11..19))
}

fn header(text: &str) -> Result<HeaderValue> {
    HeaderValue::from_str(text).map_err(|error| {
        Error::new(ErrorCode::ValueInvalid, "the account of the bucket cannot stand in a request").caused_by(error)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_are_those_of_http() {
        for (millis, date) in [
            (0, "Thu, 01 Jan 1970 00:00:00 GMT"),
            (784_111_777_000, "Sun, 06 Nov 1994 08:49:37 GMT"),
            (1_709_164_800_999, "Thu, 29 Feb 2024 00:00:00 GMT"),
        ] {
            assert_eq!(http_date(Timestamp::from_millis(millis)), date);
        }
    }

    #[test]
    fn a_list_is_signed_as_the_reference_shows_it() {
        // "Authorize with Shared Key": the examples of the string to sign and of the canonical resource.
        let uri = "https://myaccount.blob.core.windows.net/mycontainer?restype=container&comp=metadata&timeout=20";
        let uri = uri.parse().expect("an address");
        let mut headers = HeaderMap::new();
        headers.insert("x-ms-date", HeaderValue::from_static("Fri, 26 Jun 2015 23:39:12 GMT"));
        headers.insert("x-ms-version", HeaderValue::from_static("2015-02-21"));
        assert_eq!(
            string_to_sign(&Method::GET, &uri, &headers, 0, "myaccount"),
            "GET\n\n\n\n\n\n\n\n\n\n\n\nx-ms-date:Fri, 26 Jun 2015 23:39:12 GMT\nx-ms-version:2015-02-21\n\
             /myaccount/mycontainer\ncomp:metadata\nrestype:container\ntimeout:20"
        );
    }

    #[test]
    fn a_parameter_is_signed_decoded() {
        let uri = "http://h/a/c?prefix=a%2Fb+c&Marker=%C3%A4&comp".parse().expect("an address");
        assert_eq!(canonical_query(&uri), "\ncomp:\nmarker:ä\nprefix:a/b c");
    }
}
