//! Addresses of single objects, signed for a service account ("V4 signing process with your own program" of Google's
//! documentation).

use std::fmt::{self, Write as _};
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::KeyPair;
use aws_lc_rs::signature::RSA_PKCS1_SHA256;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use futures::TryStreamExt as _;
use http::header::{AUTHORIZATION, CONTENT_TYPE};
use http::{HeaderValue, Method, Request, StatusCode};
use serde::Deserialize;
use serde_json::json;

use crate::bucket::encoding::encoded;
use crate::bucket::moment;
use crate::bucket::validity;
use crate::cloud::{PresignedDownload, PresignedUrl};
use crate::credentials::{BearerToken, BearerTokenSource};
use crate::model::{Digest, ObjectKey, Timestamp};
use crate::runtime::Runtime;
use crate::transport::{Repeatable, RequestBody, RetryPolicy, Transport};
use crate::{Error, ErrorCode, Result};

/// The longest answer of the service that signs.
const ANSWER_MOST: usize = 64 << 10;

/// Who signs addresses for a service account: the account's key where there is one, else the IAM service, which signs for
/// whoever may (`iam.serviceAccounts.signBlob`).
#[async_trait]
pub trait GcsUrlSigner: fmt::Debug + Send + Sync + 'static {
    /// The service account, as an address of mail.
    fn account(&self) -> &str;

    /// The signature of a text: RSASSA-PKCS1-v1_5 with SHA-256.
    ///
    /// **Errors.** `PERMISSION_DENIED`, `CLOUD_UNAVAILABLE`.
    async fn sign(&self, text: &[u8]) -> Result<Vec<u8>>;
}

/// The key of a service account. Never printed.
pub struct GcsServiceAccountKey {
    account: String,
    key: KeyPair,
}

impl GcsServiceAccountKey {
    /// Reads a key as Google hands it out: JSON with `client_email` and `private_key`.
    ///
    /// # Errors
    /// [`ErrorCode::ValueInvalid`] for anything else; the error shows nothing of it.
    pub fn from_json(text: &str) -> Result<Self> {
        #[derive(Deserialize)]
        struct File {
            client_email: String,
            private_key: String,
        }
        let invalid = || {
            Error::new(ErrorCode::ValueInvalid, "this is no key of a service account")
                .with_hint("give the JSON file that Google hands out, with `client_email` and `private_key`")
        };
        let file: File = serde_json::from_str(text).map_err(|_| invalid())?;
        let is_account = |account: &str| {
            account.contains('@') && account.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'/')
        };
        if !is_account(&file.client_email) {
            return Err(invalid());
        }
        let lines = file.private_key.lines().filter(|line| !line.starts_with("-----"));
        let der = STANDARD.decode(lines.map(str::trim).collect::<String>()).map_err(|_| invalid())?;
        let key = KeyPair::from_pkcs8(&der).map_err(|_| invalid())?;
        Ok(Self { account: file.client_email, key })
    }
}

impl fmt::Debug for GcsServiceAccountKey {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "GcsServiceAccountKey({}, ***)", self.account)
    }
}

#[async_trait]
impl GcsUrlSigner for GcsServiceAccountKey {
    fn account(&self) -> &str {
        &self.account
    }

    async fn sign(&self, text: &[u8]) -> Result<Vec<u8>> {
        let mut signature = vec![0; self.key.public_modulus_len()];
        self.key
            .sign(&RSA_PKCS1_SHA256, &SystemRandom::new(), text, &mut signature)
            .map_err(|_| Error::new(ErrorCode::Internal, "the key of the service account does not sign"))?;
        Ok(signature)
    }
}

/// Has Google sign for a service account whose key is not at hand (`projects.serviceAccounts.signBlob` of the IAM Service
/// Account Credentials API).
pub struct GcsIamSigner {
    transport: Transport,
    runtime: Arc<dyn Runtime>,
    credentials: Arc<dyn BearerTokenSource>,
    account: String,
    endpoint: String,
}

impl GcsIamSigner {
    /// Signs for this account, with tokens that may.
    ///
    /// # Errors
    /// [`ErrorCode::ValueInvalid`] for an account that is none.
    pub fn new(
        transport: Transport,
        runtime: Arc<dyn Runtime>,
        credentials: Arc<dyn BearerTokenSource>,
        account: impl Into<String>,
    ) -> Result<Self> {
        let account = account.into();
        let is_usable = account.contains('@')
            && account.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"@.-_".contains(&byte));
        if !is_usable {
            return Err(Error::new(ErrorCode::ValueInvalid, "this is no service account")
                .on(crate::text::line(&account, 100))
                .with_hint("name it by its address, such as deployer@project.iam.gserviceaccount.com"));
        }
        let endpoint = "https://iamcredentials.googleapis.com".to_owned();
        Ok(Self { transport, runtime, credentials, account, endpoint })
    }
}

impl fmt::Debug for GcsIamSigner {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "GcsIamSigner({})", self.account)
    }
}

#[async_trait]
impl GcsUrlSigner for GcsIamSigner {
    fn account(&self) -> &str {
        &self.account
    }

    async fn sign(&self, text: &[u8]) -> Result<Vec<u8>> {
        #[derive(Deserialize)]
        #[serde(rename_all = "camelCase")]
        struct Signed {
            signed_blob: String,
        }
        let subject = format!("service account {}", self.account);
        let invalid = || {
            Error::new(ErrorCode::CloudAnswerInvalid, "the service that signs answered with something else")
                .on(subject.clone())
        };
        let address = format!("{}/v1/projects/-/serviceAccounts/{}:signBlob", self.endpoint, self.account);
        let body = json!({"payload": STANDARD.encode(text)}).to_string();
        let request = Request::builder()
            .method(Method::POST)
            .uri(address)
            .header(CONTENT_TYPE, HeaderValue::from_static("application/json; charset=UTF-8"))
            .extension(Repeatable)
            .body(RequestBody::Bytes(body.into()))
            .map_err(|error| Error::new(ErrorCode::Internal, "the account makes no address").caused_by(error))?;
        let ask = |token: BearerToken| {
            let (mut request, subject) = (request.clone(), &subject);
            async move {
                request.headers_mut().insert(AUTHORIZATION, token.authorization()?);
                let sent = self.transport.send_with_retry(request, RetryPolicy::default(), &*self.runtime).await;
                sent.map_err(|error| {
                    Error::new(ErrorCode::CloudUnavailable, "the service that signs did not answer")
                        .on(subject)
                        .caused_by(error)
                })
            }
        };
        let token = self.credentials.token().await?;
        let mut answered = ask(token.clone()).await?;
        if answered.status() == StatusCode::UNAUTHORIZED {
            // It may have been revoked before its end.
            self.credentials.refused(&token).await;
            let renewed = self.credentials.token().await?;
            if renewed != token {
                answered = ask(renewed).await?;
            }
        }
        let (parts, mut body) = answered.into_parts();
        let mut answer = Vec::new();
        while let Some(piece) = body.try_next().await.map_err(|error| invalid().caused_by(error))? {
            if answer.len() + piece.len() > ANSWER_MOST {
                return Err(invalid());
            }
            answer.extend_from_slice(&piece);
        }
        if !parts.status.is_success() {
            let refusal = crate::bucket::refusal::Refusal::read(parts.status, &parts.headers, &answer);
            return Err(refusal
                .error(&subject)
                .with_hint("grant iam.serviceAccounts.signBlob on this service account"));
        }
        let signed: Signed = serde_json::from_slice(&answer).map_err(|_| invalid())?;
        STANDARD.decode(signed.signed_blob).map_err(|_| invalid())
    }
}

/// Signs addresses of one bucket's objects.
#[derive(Debug)]
pub(super) struct Presigner {
    scheme: String,
    authority: String,
    bucket: String,
    signer: Arc<dyn GcsUrlSigner>,
    runtime: Arc<dyn Runtime>,
}

impl Presigner {
    pub(super) const fn new(
        scheme: String,
        authority: String,
        bucket: String,
        signer: Arc<dyn GcsUrlSigner>,
        runtime: Arc<dyn Runtime>,
    ) -> Self {
        Self { scheme, authority, bucket, signer, runtime }
    }
}

#[async_trait]
impl PresignedDownload for Presigner {
    fn expires_in_most(&self) -> Duration {
        validity::LONGEST
    }

    async fn presign(&self, key: &ObjectKey, expires_in: Duration) -> Result<PresignedUrl> {
        validity::check(expires_in)?;
        let now = Timestamp::from_millis(self.runtime.now().as_millis() / 1000 * 1000);
        let path = format!("/{}/{}", self.bucket, encoded(key.as_str(), true));
        let (query, text) = to_sign(&self.authority, &path, self.signer.account(), now, expires_in);
        let signature = self.signer.sign(text.as_bytes()).await?;
        let signature = signature.iter().fold(String::new(), |mut hex, byte| {
            let _ = write!(hex, "{byte:02x}");
            hex
        });
        let url = format!("{}://{}{path}?{query}&X-Goog-Signature={signature}", self.scheme, self.authority);
        Ok(PresignedUrl::new(url, now.plus(expires_in)))
    }
}

/// The query without its signature, and the text to be signed.
fn to_sign(authority: &str, path: &str, account: &str, now: Timestamp, expires_in: Duration) -> (String, String) {
    let time = moment::basic(now);
    let day = time.split('T').next().unwrap_or_default();
    let scope = format!("{day}/auto/storage/goog4_request");
    let query = format!(
        "X-Goog-Algorithm=GOOG4-RSA-SHA256&X-Goog-Credential={}&X-Goog-Date={time}&X-Goog-Expires={}\
         &X-Goog-SignedHeaders=host",
        encoded(&format!("{account}/{scope}"), false),
        expires_in.as_secs()
    );
    let canonical = format!("GET\n{path}\n{query}\nhost:{authority}\n\nhost\nUNSIGNED-PAYLOAD");
    let text = format!("GOOG4-RSA-SHA256\n{time}\n{scope}\n{}", Digest::of(canonical).hex());
    (query, text)
}

#[cfg(test)]
mod tests {
    use aws_lc_rs::encoding::{AsDer as _, Pkcs8V1Der};
    use aws_lc_rs::rsa::KeySize;
    use aws_lc_rs::signature::{KeyPair as _, RSA_PKCS1_2048_8192_SHA256, UnparsedPublicKey};

    use super::*;
    use crate::bucket::recorded::Recorded;
    use crate::bucket::{Bucket, GcsSettings};
    use crate::cloud::ObjectStore as _;
    use crate::runtime::SystemRuntime;

    const ACCOUNT: &str = "test-iam-credentials@dummy-project-id.iam.gserviceaccount.com";

    #[test]
    fn the_text_to_sign_is_the_one_of_googles_conformance_tests() {
        // "Simple GET" of the storage conformance tests: 2019-02-01T09:00:00Z, ten seconds.
        let now = Timestamp::from_millis(1_549_011_600_000);
        let ten = Duration::from_secs(10);
        let (_, text) = to_sign("storage.googleapis.com", "/test-bucket/test-object", ACCOUNT, now, ten);
        assert_eq!(
            text,
            "GOOG4-RSA-SHA256\n20190201T090000Z\n20190201/auto/storage/goog4_request\n\
             00e2fb794ea93d7adb703edaebdd509821fcc7d4f1a79ac5c8d2b394df109320"
        );
    }

    fn key() -> (GcsServiceAccountKey, Vec<u8>) {
        let pair = KeyPair::generate(KeySize::Rsa2048).expect("a key");
        let public = pair.public_key().as_ref().to_vec();
        let der: Pkcs8V1Der<'_> = pair.as_der().expect("it can be written");
        let pem =
            format!("-----BEGIN PRIVATE KEY-----\n{}\n-----END PRIVATE KEY-----\n", STANDARD.encode(der.as_ref()));
        let file = json!({"type": "service_account", "client_email": ACCOUNT, "private_key": pem});
        (GcsServiceAccountKey::from_json(&file.to_string()).expect("a key"), public)
    }

    #[tokio::test]
    async fn an_address_is_signed_by_the_accounts_key_and_expires() {
        let (key, public) = key();
        assert_eq!(format!("{key:?}"), format!("GcsServiceAccountKey({ACCOUNT}, ***)"));
        let (transport, recorded) = Recorded::answering(Vec::new());
        let settings = GcsSettings::new("archives").with_url_signer(key);
        let bucket = Bucket::gcs(transport, settings, SystemRuntime::new()).expect("valid settings");
        let presigned = bucket.presigned_download().expect("there is a signer");
        let object = ObjectKey::new("archives/a b").expect("a valid key");
        let url = presigned.presign(&object, Duration::from_mins(5)).await.expect("signed");
        assert!(recorded.lines().is_empty(), "the key is at hand");
        let (address, signature) = url.expose().split_once("&X-Goog-Signature=").expect("a signature");
        let (base, query) = address.split_once('?').expect("a query");
        assert_eq!(base, "https://storage.googleapis.com/archives/archives/a%20b");
        let canonical =
            format!("GET\n/archives/archives/a%20b\n{query}\nhost:storage.googleapis.com\n\nhost\nUNSIGNED-PAYLOAD");
        let value = |name: &str| {
            let mut pairs = query.split('&').filter_map(|pair| pair.split_once('='));
            pairs.find(|(found, _)| *found == name).expect("it is there").1.to_owned()
        };
        let (time, scope) = (value("X-Goog-Date"), value("X-Goog-Credential"));
        let scope = scope.split_once("%2F").expect("account and scope").1.replace("%2F", "/");
        let text = format!("GOOG4-RSA-SHA256\n{time}\n{scope}\n{}", Digest::of(canonical).hex());
        let bytes: Vec<u8> = (0..signature.len() / 2)
            .map(|at| u8::from_str_radix(&signature[2 * at..2 * at + 2], 16).expect("hex"))
            .collect();
        let public = UnparsedPublicKey::new(&RSA_PKCS1_2048_8192_SHA256, public);
        public.verify(text.as_bytes(), &bytes).expect("Google would take it");
        for wrong in [Duration::ZERO, Duration::from_millis(1500), validity::LONGEST + Duration::from_secs(1)] {
            let refused = presigned.presign(&object, wrong).await.expect_err("no such time");
            assert_eq!(refused.code(), ErrorCode::ValueInvalid);
        }
    }

    #[tokio::test]
    async fn without_the_key_google_signs() {
        let answer = json!({"keyId": "1", "signedBlob": STANDARD.encode([0xab, 0x01])}).to_string();
        let refusal = json!({"error": {"code": 403, "message": "Permission denied", "status": "PERMISSION_DENIED"}});
        let answers = vec![(200, Vec::new(), answer), (403, Vec::new(), refusal.to_string())];
        let (transport, recorded) = Recorded::answering(answers);
        let token = Arc::new(BearerToken::new("ya29.hidden"));
        let signer = GcsIamSigner::new(transport, SystemRuntime::new(), token, ACCOUNT).expect("an account");
        assert_eq!(signer.sign(b"text").await.expect("signed"), [0xab, 0x01]);
        let refused = signer.sign(b"text").await.expect_err("not allowed");
        assert_eq!(refused.code(), ErrorCode::PermissionDenied);
        assert!(refused.hint().contains("signBlob"));
        let sent = recorded.sent();
        assert_eq!(
            sent[0].uri,
            format!("https://iamcredentials.googleapis.com/v1/projects/-/serviceAccounts/{ACCOUNT}:signBlob")
        );
        assert_eq!(sent[0].header("authorization"), "Bearer ya29.hidden");
        assert_eq!(sent[0].body, json!({"payload": STANDARD.encode("text")}).to_string());
    }

    #[tokio::test]
    async fn a_token_that_the_service_refuses_is_fetched_anew_once() {
        /// Gives another token after one that was refused.
        #[derive(Debug, Default)]
        struct Renewed(std::sync::atomic::AtomicBool);

        #[async_trait]
        impl BearerTokenSource for Renewed {
            async fn token(&self) -> Result<BearerToken> {
                let is_new = self.0.load(std::sync::atomic::Ordering::Relaxed);
                Ok(BearerToken::new(if is_new { "new" } else { "revoked" }))
            }

            async fn refused(&self, _: &BearerToken) {
                self.0.store(true, std::sync::atomic::Ordering::Relaxed);
            }
        }

        let answer = (200, Vec::new(), json!({"signedBlob": STANDARD.encode("s")}).to_string());
        let refused = (401, Vec::new(), String::new());
        let (transport, recorded) = Recorded::answering(vec![refused.clone(), answer, refused]);
        let source = Arc::new(Renewed::default());
        let signer = GcsIamSigner::new(transport, SystemRuntime::new(), source, ACCOUNT).expect("an account");
        assert_eq!(signer.sign(b"text").await.expect("signed with the second one"), b"s");
        let tokens: Vec<_> = recorded.sent().iter().map(|sent| sent.header("authorization").to_owned()).collect();
        assert_eq!(tokens, ["Bearer revoked", "Bearer new"]);
        assert_eq!(
            signer.sign(b"text").await.expect_err("refused, and there is no other").code(),
            ErrorCode::PermissionDenied
        );
        assert_eq!(recorded.sent().len(), 3, "the same one is not sent again");
    }

    #[test]
    fn what_is_no_key_or_no_account_is_refused_without_being_shown() {
        for text in ["", "{}", r#"{"client_email": "a@b", "private_key": "hidden"}"#] {
            let error = GcsServiceAccountKey::from_json(text).expect_err("no key");
            assert_eq!(error.code(), ErrorCode::ValueInvalid);
            assert!(!error.sentence().contains("hidden"));
        }
        let (transport, _) = Recorded::answering(Vec::new());
        let token = Arc::new(BearerToken::new("x"));
        for account in ["", "nobody", "a@b/../c", "a@b?c"] {
            assert!(GcsIamSigner::new(transport.clone(), SystemRuntime::new(), token.clone(), account).is_err());
        }
    }
}
