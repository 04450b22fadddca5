//! Who signs, and with what that is verified.

use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use sha2::Digest as _;

use crate::Result;

/// Signs. A key management service stands behind it as well as a key in memory (`LocalSigner`, feature `oci`): nothing
/// here asks for the private key.
#[async_trait]
pub trait Signer: fmt::Debug + Send + Sync + 'static {
    /// Signs a message: the pre-authentication encoding of an envelope. Whoever signs hashes, too, as the key's algorithm
    /// asks (SHA-256 with P-256, in ASN.1 form as `ECDSA_SHA_256` of a key management service gives it). The message can
    /// be longer than such a service takes; what it is sent then is the hash.
    ///
    /// **Idempotency.** Signing again gives a signature that is as good, and may be another one.
    ///
    /// **After a crash.** Nothing is left behind.
    ///
    /// **Errors.** `PERMISSION_DENIED`, `CLOUD_UNAVAILABLE`.
    async fn sign(&self, message: &[u8]) -> Result<Vec<u8>>;

    /// The public key.
    fn key(&self) -> Arc<dyn VerifyingKey>;
}

/// A public key.
pub trait VerifyingKey: fmt::Debug + Send + Sync + 'static {
    /// Its `SubjectPublicKeyInfo` (RFC 5280), in DER.
    fn subject_public_key_info(&self) -> &[u8];

    /// Whether this is a signature of this key over the message. A signature that is none of any kind is not.
    fn verifies(&self, message: &[u8], signature: &[u8]) -> bool;

    /// The name by which bundles call it: the SHA-256 of the key in base64, as sigstore's tools do.
    fn hint(&self) -> String {
        STANDARD.encode(sha2::Sha256::digest(self.subject_public_key_info()))
    }
}
