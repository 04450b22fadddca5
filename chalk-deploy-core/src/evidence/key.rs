//! Keys that the program holds itself: ECDSA with P-256 and SHA-256, cosign's kind of key, and Ed25519.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use async_trait::async_trait;
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_ASN1, ECDSA_P256_SHA256_ASN1_SIGNING, ED25519, EcdsaKeyPair, Ed25519KeyPair, KeyPair as _,
    UnparsedPublicKey,
};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::signer::{Signer, VerifyingKey};
use crate::{Error, ErrorCode, Result};

/// What stands before the point in the `SubjectPublicKeyInfo` of a P-256 key: the algorithm (RFC 5480, section 2).
const P256_HEAD: &[u8] = &[
    0x30, 0x59, 0x30, 0x13, 0x06, 0x07, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01, 0x06, 0x08, 0x2a, 0x86, 0x48, 0xce,
    0x3d, 0x03, 0x01, 0x07, 0x03, 0x42, 0x00,
];
/// An uncompressed point.
const P256_POINT: usize = 65;
/// The same of an Ed25519 key (RFC 8410, section 4).
const ED25519_HEAD: &[u8] = &[0x30, 0x2a, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x03, 0x21, 0x00];
const ED25519_KEY: usize = 32;

/// No file with one key is longer.
const PEM_MOST: usize = 64 << 10;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Algorithm {
    P256,
    Ed25519,
}

/// A public key, read from PEM as `cosign generate-key-pair` and `openssl pkey -pubout` write it.
#[derive(Clone, PartialEq, Eq)]
pub struct VerificationKey {
    algorithm: Algorithm,
    info: Vec<u8>,
}

impl VerificationKey {
    /// Reads a `PUBLIC KEY`.
    ///
    /// # Errors
    /// `VALUE_INVALID` for anything else, and for a key of another kind.
    pub fn from_pem(pem: &str) -> Result<Self> {
        match decode(pem)? {
            (label, der) if label == "PUBLIC KEY" => Self::from_der(&der),
            (label, _) if label.ends_with("PRIVATE KEY") => Err(invalid(
                "it is a private key, and what verifies is public",
            )
            .with_hint("write the public key with `openssl pkey -in FILE -pubout`; keep the private one to who signs")),
            _ => Err(invalid("it is no public key").with_hint("give the file with `-----BEGIN PUBLIC KEY-----`")),
        }
    }

    /// Reads a `SubjectPublicKeyInfo` in DER, as key management services hand it out.
    ///
    /// # Errors
    /// `VALUE_INVALID` for anything else, and for a key of another kind.
    pub fn from_der(info: &[u8]) -> Result<Self> {
        let has = |head: &[u8], length| info.starts_with(head) && info.len() == head.len() + length;
        let algorithm = if has(P256_HEAD, P256_POINT) {
            Algorithm::P256
        } else if has(ED25519_HEAD, ED25519_KEY) {
            Algorithm::Ed25519
        } else {
            return Err(other_kind());
        };
        Ok(Self { algorithm, info: info.to_vec() })
    }

    fn of_point(algorithm: Algorithm, point: &[u8]) -> Self {
        let head = match algorithm {
            Algorithm::P256 => P256_HEAD,
            Algorithm::Ed25519 => ED25519_HEAD,
        };
        Self { algorithm, info: [head, point].concat() }
    }

    /// As PEM, for other tools.
    pub fn to_pem(&self) -> String {
        let encoded = STANDARD.encode(&self.info);
        let mut pem = "-----BEGIN PUBLIC KEY-----\n".to_owned();
        for line in encoded.as_bytes().chunks(64) {
            pem.push_str(&String::from_utf8_lossy(line));
            pem.push('\n');
        }
        pem + "-----END PUBLIC KEY-----\n"
    }
}

impl FromStr for VerificationKey {
    type Err = Error;

    fn from_str(pem: &str) -> Result<Self> {
        Self::from_pem(pem)
    }
}

impl fmt::Debug for VerificationKey {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "VerificationKey({:?}, {})", self.algorithm, self.hint())
    }
}

impl VerifyingKey for VerificationKey {
    fn subject_public_key_info(&self) -> &[u8] {
        &self.info
    }

    fn verifies(&self, message: &[u8], signature: &[u8]) -> bool {
        match self.algorithm {
            Algorithm::P256 => {
                let key = UnparsedPublicKey::new(&ECDSA_P256_SHA256_ASN1, &self.info[P256_HEAD.len()..]);
                key.verify(message, signature).is_ok()
            }
            Algorithm::Ed25519 => {
                let key = UnparsedPublicKey::new(&ED25519, &self.info[ED25519_HEAD.len()..]);
                key.verify(message, signature).is_ok()
            }
        }
    }
}

enum Private {
    P256(EcdsaKeyPair),
    Ed25519(Ed25519KeyPair),
}

/// A signer whose private key is in this process. Nothing of the private key can be read or printed.
#[derive(Clone)]
pub struct LocalSigner {
    private: Arc<Private>,
    public: Arc<VerificationKey>,
}

impl LocalSigner {
    /// Reads an unencrypted `PRIVATE KEY` (PKCS #8), as `openssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256`
    /// writes it.
    ///
    /// # Errors
    /// `VALUE_INVALID` for anything else, and for a key of another kind. The key is never in the message.
    pub fn from_pem(pem: &str) -> Result<Self> {
        let (label, der) = decode(pem)?;
        match label.as_str() {
            "PRIVATE KEY" => Self::from_pkcs8(&der),
            "EC PARAMETERS" | "EC PRIVATE KEY" => Err(invalid("the private key is not in the form PKCS #8")
                .with_hint("convert it with `openssl pkcs8 -topk8 -nocrypt -in FILE -out NEW`")),
            label if label.starts_with("ENCRYPTED ") => Err(invalid("the private key is encrypted").with_hint(
                "give an unencrypted one, made with `openssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256`; \
                 cosign takes it over with `cosign import-key-pair`",
            )),
            "PUBLIC KEY" => Err(invalid("it is a public key, and what signs is private")
                .with_hint("give the file with `-----BEGIN PRIVATE KEY-----`")),
            _ => Err(invalid("it is no private key").with_hint("give the file with `-----BEGIN PRIVATE KEY-----`")),
        }
    }

    /// Reads a private key in DER (PKCS #8).
    ///
    /// # Errors
    /// As [`from_pem`](Self::from_pem).
    pub fn from_pkcs8(der: &[u8]) -> Result<Self> {
        // What the library says of a key that it does not take is left out: it could be about the key's bytes.
        let (private, public) = if let Ok(pair) = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_ASN1_SIGNING, der) {
            let public = VerificationKey::of_point(Algorithm::P256, pair.public_key().as_ref());
            (Private::P256(pair), public)
        } else if let Ok(pair) = Ed25519KeyPair::from_pkcs8(der) {
            let public = VerificationKey::of_point(Algorithm::Ed25519, pair.public_key().as_ref());
            (Private::Ed25519(pair), public)
        } else {
            return Err(other_kind());
        };
        Ok(Self { private: Arc::new(private), public: Arc::new(public) })
    }

    /// The public key, to be handed to those who verify.
    pub fn public(&self) -> &VerificationKey {
        &self.public
    }
}

impl FromStr for LocalSigner {
    type Err = Error;

    fn from_str(pem: &str) -> Result<Self> {
        Self::from_pem(pem)
    }
}

impl fmt::Debug for LocalSigner {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "LocalSigner({:?})", self.public)
    }
}

#[async_trait]
impl Signer for LocalSigner {
    async fn sign(&self, message: &[u8]) -> Result<Vec<u8>> {
        match &*self.private {
            Private::P256(pair) => {
                // The library's own source: a nonce of ECDSA that anybody could foresee gives the key away, so it does not
                // come from the runtime, which tests replace.
                let signature = pair
                    .sign(&SystemRandom::new(), message)
                    .map_err(|error| Error::new(ErrorCode::Internal, "the key could not sign").caused_by(error))?;
                Ok(signature.as_ref().to_vec())
            }
            Private::Ed25519(pair) => Ok(pair.sign(message).as_ref().to_vec()),
        }
    }

    fn key(&self) -> Arc<dyn VerifyingKey> {
        self.public.clone()
    }
}

/// The label and the bytes of the first block (RFC 7468).
fn decode(pem: &str) -> Result<(String, Vec<u8>)> {
    let none = || invalid("it holds no key in PEM form").with_hint("give the file with `-----BEGIN … KEY-----`");
    if pem.len() > PEM_MOST {
        return Err(invalid("it is longer than any key").with_hint("give the file with the key and nothing else"));
    }
    let (_, rest) = pem.split_once("-----BEGIN ").ok_or_else(none)?;
    let (label, rest) = rest.split_once("-----").ok_or_else(none)?;
    let (body, _) = rest.split_once(&format!("-----END {label}-----")).ok_or_else(none)?;
    // An encrypted key of the older form has headers; its label says what it is, too.
    let body: String = body.split_whitespace().collect();
    let label = if label.starts_with("ENCRYPTED") || pem.contains("Proc-Type: 4,ENCRYPTED") {
        "ENCRYPTED PRIVATE KEY".to_owned()
    } else {
        label.to_owned()
    };
    let known = ["PUBLIC KEY", "PRIVATE KEY"].contains(&label.as_str());
    match STANDARD.decode(body) {
        Ok(der) => Ok((label, der)),
        Err(_) if known => Err(none()),
        Err(_) => Ok((label, Vec::new())),
    }
}

fn invalid(message: &str) -> Error {
    Error::new(ErrorCode::ValueInvalid, message).on("key")
}

fn other_kind() -> Error {
    invalid("it is no key of a kind that is used here").with_hint(
        "use ECDSA with P-256, made with `openssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256`, or Ed25519",
    )
}
