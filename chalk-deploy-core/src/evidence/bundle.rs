//! The file in which an envelope travels (Sigstore bundle v0.3, the JSON of its protocol buffer).

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use super::artifact::BUNDLE_TYPE;
use super::envelope::{STATEMENT_PAYLOAD, pre_authentication_encoding};
use super::signer::{Signer, VerifyingKey};
use super::{ordered_bytes, strict};
use crate::{Error, ErrorCode, Result};

/// The most signatures that are tried.
const SIGNATURES_MOST: usize = 16;
/// The longest signature that any of our kinds of keys makes is far shorter.
const SIGNATURE_MOST: usize = 4 << 10;

/// An envelope with a statement, and the hint of the key that it may be verified with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Bundle {
    /// The bytes that are signed, as they are.
    pub payload: Vec<u8>,
    /// The signatures.
    pub signatures: Vec<BundleSignature>,
    /// Which key it is; nothing is believed because of it.
    pub hint: String,
}

/// A signature over the pre-authentication encoding.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BundleSignature {
    /// Which key it is; nothing is believed because of it.
    pub key_id: String,
    /// The signature.
    pub bytes: Vec<u8>,
}

impl Bundle {
    /// Signs a statement.
    ///
    /// # Errors
    /// Those of the signer, and `EVIDENCE_INVALID` if its own key does not verify what it signed.
    pub async fn sign(statement: &Value, signer: &dyn Signer) -> Result<Self> {
        let payload = ordered_bytes(statement);
        let message = pre_authentication_encoding(STATEMENT_PAYLOAD, &payload);
        let bytes = signer.sign(&message).await?;
        let key = signer.key();
        if !key.verifies(&message, &bytes) {
            return Err(Error::new(ErrorCode::EvidenceInvalid, "the signer's own key does not verify what it signed")
                .on(format!("key `{}`", crate::text::line(&key.hint(), 100)))
                .with_hint("give the signer the public key of the key that it signs with"));
        }
        let signatures = vec![BundleSignature { key_id: key.hint(), bytes }];
        Ok(Self { payload, signatures, hint: key.hint() })
    }

    /// The file.
    pub fn to_bytes(&self) -> Vec<u8> {
        let signature = |one: &BundleSignature| json!({"keyid": one.key_id, "sig": STANDARD.encode(&one.bytes)});
        let signatures: Vec<_> = self.signatures.iter().map(signature).collect();
        ordered_bytes(&json!({
            "mediaType": BUNDLE_TYPE,
            // No entry in a transparency log, said in so many words: some readers ask for the list.
            "verificationMaterial": {"publicKey": {"hint": self.hint}, "tlogEntries": []},
            "dsseEnvelope": {
                "payload": STANDARD.encode(&self.payload),
                "payloadType": STATEMENT_PAYLOAD,
                "signatures": signatures,
            },
        }))
    }

    /// Reads a file, or says why it is none that can be verified with a key.
    pub(super) fn read(bytes: &[u8]) -> Result<Self, &'static str> {
        let document = strict::parse(bytes).map_err(|_| "it is no JSON that has one reading only")?;
        let text = |value: Option<&Value>| value.and_then(Value::as_str).map(str::to_owned);
        if document.get("mediaType").and_then(Value::as_str) != Some(BUNDLE_TYPE) {
            return Err("it is no Sigstore bundle of version 0.3");
        }
        let envelope =
            document.get("dsseEnvelope").filter(|envelope| envelope.is_object()).ok_or("it holds no DSSE envelope")?;
        if envelope.get("payloadType").and_then(Value::as_str) != Some(STATEMENT_PAYLOAD) {
            return Err("its payload has another type than in-toto statements have");
        }
        let decoded = |value: Option<&Value>| value.and_then(Value::as_str).and_then(|text| STANDARD.decode(text).ok());
        let payload = decoded(envelope.get("payload")).ok_or("its payload is no base64")?;
        let signatures = envelope.get("signatures").and_then(Value::as_array).ok_or("it has no signatures")?;
        if signatures.is_empty() {
            return Err("its list of signatures is empty");
        }
        if signatures.len() > SIGNATURES_MOST {
            return Err("it has more signatures than are tried");
        }
        let signatures = signatures.iter().map(|signature| {
            let bytes = decoded(signature.get("sig")).filter(|bytes| bytes.len() <= SIGNATURE_MOST)?;
            Some(BundleSignature { key_id: text(signature.get("keyid")).unwrap_or_default(), bytes })
        });
        let signatures = signatures.collect::<Option<_>>().ok_or("a signature of it is no base64")?;
        let key = document.get("verificationMaterial").and_then(|material| material.get("publicKey"));
        let hint = text(key.and_then(|key| key.get("hint"))).unwrap_or_default();
        Ok(Self { payload, signatures, hint })
    }

    /// Whether one of the signatures is of this key.
    pub fn is_signed_by(&self, key: &dyn VerifyingKey) -> bool {
        let message = pre_authentication_encoding(STATEMENT_PAYLOAD, &self.payload);
        self.signatures.iter().any(|signature| key.verifies(&message, &signature.bytes))
    }
}
