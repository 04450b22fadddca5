//! Addresses of single blobs, signed for the holder of a token: "Get User Delegation Key" and "Create a user delegation
//! SAS" of Azure's REST reference, in the writing of version 2020-12-06 and later, which is that of the version that is
//! spoken here.

use std::fmt;
use std::time::Duration;

use async_trait::async_trait;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::Request;
use http::header::CONTENT_TYPE;
use object_store::Error as StoreError;
use tokio::sync::Mutex;

use super::connector::Connector;
use super::presigner::Blobs;
use super::signature::{VERSION, signed_with};
use crate::bucket::connector::read;
use crate::bucket::encoding::{decoded, encoded};
use crate::bucket::refusal::element;
use crate::bucket::{failure, moment, validity};
use crate::cloud::{PresignedDownload, PresignedUrl};
use crate::model::{ObjectKey, Timestamp};
use crate::transport::{Repeatable, RequestBody};
use crate::{Error, ErrorCode, Result};

/// Azure gives a key for at most seven days by its own clock, and an address ends with its key. An hour is left for
/// clocks that differ.
const LONGEST: Duration = Duration::from_hours(7 * 24 - 1);

/// What the holder of the token has to be allowed.
const PERMISSION: &str = "Microsoft.Storage/storageAccounts/blobServices/generateUserDelegationKey/action";

/// Signs with a key that the account has given, and asks for another one when that ends before an address would.
#[derive(Debug)]
pub(super) struct DelegatedPresigner {
    blobs: Blobs,
    /// The account's address.
    server: String,
    connector: Connector,
    key: Mutex<Option<DelegatedKey>>,
}

/// A key, with what an address says of it. Never printed.
#[derive(Clone)]
struct DelegatedKey {
    bytes: Vec<u8>,
    ends: Timestamp,
    /// `SignedOid`, `SignedTid`, `SignedStart`, `SignedExpiry`, `SignedService`, `SignedVersion`.
    said: [String; 6],
}

impl DelegatedPresigner {
    pub(super) fn new(blobs: Blobs, server: String, connector: Connector) -> Self {
        Self { blobs, server, connector, key: Mutex::default() }
    }

    /// A key that lives until then at least. Held over the request, so that there is one for all who wait.
    async fn key(&self, now: Timestamp, until: Timestamp) -> Result<DelegatedKey> {
        let mut held = self.key.lock().await;
        if let Some(key) = held.as_ref().filter(|key| key.ends >= until) {
            return Ok(key.clone());
        }
        let key = self.fetch(now).await?;
        if key.ends < until {
            return Err(Error::new(ErrorCode::CloudAnswerInvalid, format!("the key for addresses ends at {}", key.ends))
                .on(self.subject())
                .with_hint("check this machine's clock, or ask for an address that is valid for less long"));
        }
        *held = Some(key.clone());
        Ok(key)
    }

    async fn fetch(&self, now: Timestamp) -> Result<DelegatedKey> {
        let (start, expiry) = (moment::in_seconds(now), moment::in_seconds(now.plus(LONGEST)));
        let body = format!(
            "<?xml version=\"1.0\" encoding=\"utf-8\"?><KeyInfo><Start>{start}</Start><Expiry>{expiry}</Expiry></KeyInfo>"
        );
        let failed = |cause: Box<dyn std::error::Error + Send + Sync>| {
            let error = failure::mapped(&StoreError::Generic { store: "Azure", source: cause }, &self.subject());
            // A refusal without this permission does not name it.
            let is_denied = error.code() == ErrorCode::PermissionDenied && error.hint().starts_with("allow");
            if is_denied {
                error.with_hint(format!("grant `{PERMISSION}`, which the role Storage Blob Delegator has"))
            } else {
                error
            }
        };
        let request = Request::post(format!("{}/?restype=service&comp=userdelegationkey", self.server))
            .header(CONTENT_TYPE, "application/xml")
            // It gives a key, and changes nothing.
            .extension(Repeatable)
            .body(())
            .map_err(|error| failed(error.into()))?;
        let sent = self.connector.exchange(request.into_parts().0, RequestBody::Bytes(body.into())).await;
        let response = sent.map_err(|error| failed(error.into()))?;
        let answer = read(response.into_body()).await.map_err(|error| failed(error.into()))?;
        DelegatedKey::read(&String::from_utf8_lossy(&answer)).ok_or_else(|| {
            // Never what it holds.
            Error::new(ErrorCode::CloudAnswerInvalid, "the server answered with no key for addresses").on(self.subject())
        })
    }

    fn subject(&self) -> String {
        format!("storage account `{}`", self.blobs.signer.account())
    }
}

#[async_trait]
impl PresignedDownload for DelegatedPresigner {
    fn expires_in_most(&self) -> Duration {
        LONGEST
    }

    async fn presign(&self, key: &ObjectKey, expires_in: Duration) -> Result<PresignedUrl> {
        validity::check_up_to(expires_in, LONGEST, "an hour less than 7 days")?;
        let Blobs { base, path, signer } = &self.blobs;
        let now = Timestamp::from_millis(signer.runtime().now().as_millis() / 1000 * 1000);
        let ends = now.plus(expires_in);
        let delegated = self.key(now, ends).await?;
        let blob = encoded(key.as_str(), true);
        let place = Place { account: signer.account(), path: &format!("{path}/{blob}") };
        let query = delegated.presigned(&place, base.starts_with("https:"), ends);
        Ok(PresignedUrl::new(format!("{base}/{blob}?{query}"), ends))
    }
}

/// A blob as a signature names it.
struct Place<'a> {
    account: &'a str,
    /// In the request, without the account of an emulator.
    path: &'a str,
}

impl DelegatedKey {
    fn read(answer: &str) -> Option<Self> {
        let names = ["SignedOid", "SignedTid", "SignedStart", "SignedExpiry", "SignedService", "SignedVersion"];
        let mut said = names.map(|_| String::new());
        for (name, said) in names.iter().zip(&mut said) {
            // They become lines of what is signed, so none may be several.
            *said = element(answer, name).filter(|text| text.len() <= 100 && text.bytes().all(|b| b.is_ascii_graphic()))?;
        }
        let ends = moment::read(&said[3])?;
        let bytes = STANDARD.decode(element(answer, "Value")?.trim()).ok().filter(|key| !key.is_empty())?;
        Some(Self { bytes, ends, said })
    }

    /// The query that lets whoever has it read one blob until then.
    fn presigned(&self, place: &Place<'_>, over_tls: bool, ends: Timestamp) -> String {
        // Over plain HTTP a signature that is for HTTPS alone reads nothing; only an emulator is asked that way.
        let protocol = if over_tls { "https" } else { "" };
        let ends = moment::in_seconds(ends);
        let plain = decoded(place.path).unwrap_or_else(|| place.path.to_owned());
        let resource = format!("/blob/{}{plain}", place.account);
        let [object, tenant, start, expiry, service, version] = self.said.each_ref().map(String::as_str);
        // Permissions, start, end, resource, and the key.
        let mut lines = vec!["r", "", &ends, &resource, object, tenant, start, expiry, service, version];
        // Who may use it, who may not, correlation id, addresses, protocol, version, kind, snapshot, scope of encryption,
        // and the five headers of an answer that can be set.
        lines.extend(["", "", "", "", protocol, VERSION, "b", "", "", "", "", "", "", ""]);
        let signature = signed_with(&self.bytes, &lines.join("\n"));
        let mut pairs = vec![("sp", "r"), ("se", ends.as_str()), ("sv", VERSION), ("sr", "b")];
        if over_tls {
            pairs.push(("spr", protocol));
        }
        pairs.extend([("skoid", object), ("sktid", tenant), ("skt", start), ("ske", expiry)]);
        pairs.extend([("sks", service), ("skv", version), ("sig", &signature)]);
        pairs.iter().map(|(name, value)| format!("{name}={}", encoded(value, false))).collect::<Vec<_>>().join("&")
    }
}

impl fmt::Debug for DelegatedKey {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("DelegatedKey").field("ends", &self.ends).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The answer that the page "Get User Delegation Key" lays out, with values of our own.
    const ANSWER: &str = "\u{feff}<?xml version=\"1.0\" encoding=\"utf-8\"?><UserDelegationKey>\
        <SignedOid>f81d4fae-7dec-11d0-a765-00a0c91e6bf6</SignedOid>\
        <SignedTid>72f988bf-86f1-41af-91ab-2d7cd011db47</SignedTid>\
        <SignedStart>2030-01-01T00:00:00Z</SignedStart><SignedExpiry>2030-01-07T00:00:00Z</SignedExpiry>\
        <SignedService>b</SignedService><SignedVersion>2023-11-03</SignedVersion>\
        <Value>aGlkZGVuIGtleSBvZiBhIGRlbGVnYXRpb24=</Value></UserDelegationKey>";

    #[test]
    fn an_address_is_signed_as_microsofts_own_client_of_this_version_signs_it() {
        let key = DelegatedKey::read(ANSWER).expect("a key");
        let place = Place { account: "chalk", path: "/archives/a%20b/%C3%A4" };
        let ends = moment::read("2030-01-02T03:04:05Z").expect("a moment");
        let query = key.presigned(&place, true, ends);
        // `generate_blob_sas` of azure-storage-blob 12.19.0, which speaks 2023-11-03, for the same key, blob and end.
        let signature = "hZ/uTVM8OxKJJJCse2KknrJdyIES+ETsuLWGt0HtMDY=";
        assert!(query.ends_with(&format!("&sig={}", encoded(signature, false))), "{query}");
        let pairs = "sp=r&se=2030-01-02T03%3A04%3A05Z&sv=2023-11-03&sr=b&spr=https&\
                     skoid=f81d4fae-7dec-11d0-a765-00a0c91e6bf6&sktid=72f988bf-86f1-41af-91ab-2d7cd011db47&\
                     skt=2030-01-01T00%3A00%3A00Z&ske=2030-01-07T00%3A00%3A00Z&sks=b&skv=2023-11-03&sig=";
        assert!(query.starts_with(pairs), "{query}");
    }

    #[test]
    fn an_answer_that_is_no_key_or_would_add_lines_to_what_is_signed_is_none() {
        assert!(DelegatedKey::read(ANSWER).is_some());
        for (part, other) in [
            ("<SignedTid>", "<Other>"),
            ("2030-01-07T00:00:00Z", "soon"),
            ("<SignedService>b", "<SignedService>b\nr"),
            ("aGlkZGVu", "!"),
            ("<Value>aGlkZGVuIGtleSBvZiBhIGRlbGVnYXRpb24=", "<Value>"),
        ] {
            assert!(DelegatedKey::read(&ANSWER.replace(part, other)).is_none(), "{part}");
        }
        let shown = format!("{:?}", DelegatedKey::read(ANSWER));
        assert!(!shown.contains("hidden") && !shown.contains("aGlk"), "{shown}");
    }
}
