//! Tokens: JSON web tokens that this server signs and nobody else reads.

use std::fmt;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use chalk_deploy_core::model::Timestamp;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use crate::simulated::registry::account::same;

/// What a token says (Docker's "Token Authentication Implementation").
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Claims {
    /// Whose it is; empty for nobody's.
    pub(super) sub: String,
    /// `access` or `refresh`: neither passes for the other.
    kind: String,
    aud: String,
    /// Seconds since the epoch.
    iat: u64,
    exp: u64,
    pub(super) access: Vec<Entry>,
}

/// What a token allows in one place.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Entry {
    #[serde(rename = "type")]
    pub(super) kind: String,
    pub(super) name: String,
    pub(super) actions: Vec<String>,
}

impl Claims {
    pub(super) fn allow(&self, kind: &str, name: &str, action: &str) -> bool {
        self.access.iter().any(|entry| {
            entry.kind == kind && entry.name == name && entry.actions.iter().any(|allowed| allowed == action)
        })
    }
}

/// Signs tokens and presigned links with a key of its own. The key ends with the process: after a restart clients are
/// asked to authenticate again.
#[derive(Clone)]
pub(in crate::simulated::registry) struct Signer([u8; 32]);

impl fmt::Debug for Signer {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Signer")
    }
}

impl Signer {
    pub(in crate::simulated::registry) const fn new(key: [u8; 32]) -> Self {
        Self(key)
    }

    /// HMAC-SHA256 (RFC 2104) in base64.
    pub(in crate::simulated::registry) fn sign(&self, message: &str) -> String {
        let padded = |with: u8| {
            let mut block = [with; 64];
            block.iter_mut().zip(self.0).for_each(|(byte, key)| *byte ^= key);
            block
        };
        let inner = Sha256::new().chain_update(padded(0x36)).chain_update(message).finalize();
        URL_SAFE_NO_PAD.encode(Sha256::new().chain_update(padded(0x5c)).chain_update(inner).finalize())
    }

    /// Whether a signature is the message's.
    pub(in crate::simulated::registry) fn is_signed(&self, message: &str, signature: &str) -> bool {
        same(self.sign(message).as_bytes(), signature.as_bytes())
    }

    pub(super) fn access(
        &self,
        name: &str,
        service: &str,
        access: Vec<Entry>,
        now: Timestamp,
        lifetime: Duration,
    ) -> String {
        self.token(name, "access", service, access, now, lifetime)
    }

    pub(super) fn refresh(&self, name: &str, service: &str, now: Timestamp) -> String {
        // ACR's live for three hours.
        self.token(name, "refresh", service, Vec::new(), now, Duration::from_hours(3))
    }

    pub(super) fn verify_access(&self, token: &str, now: Timestamp) -> Option<Claims> {
        self.verify(token, now).filter(|claims| claims.kind == "access")
    }

    pub(super) fn verify_refresh(&self, token: &str, now: Timestamp) -> Option<Claims> {
        self.verify(token, now).filter(|claims| claims.kind == "refresh")
    }

    fn token(
        &self,
        name: &str,
        kind: &str,
        service: &str,
        access: Vec<Entry>,
        now: Timestamp,
        lifetime: Duration,
    ) -> String {
        let iat = now.as_millis() / 1000;
        let claims = Claims {
            sub: name.to_owned(),
            kind: kind.to_owned(),
            aud: service.to_owned(),
            iat,
            exp: iat.saturating_add(lifetime.as_secs()),
            access,
        };
        let header = URL_SAFE_NO_PAD.encode(r#"{"typ":"JWT","alg":"HS256"}"#);
        // Plain data with text keys: writing it cannot fail.
        let payload = URL_SAFE_NO_PAD.encode(serde_json::to_vec(&claims).unwrap_or_default());
        let message = format!("{header}.{payload}");
        let signature = self.sign(&message);
        format!("{message}.{signature}")
    }

    fn verify(&self, token: &str, now: Timestamp) -> Option<Claims> {
        let (message, signature) = token.rsplit_once('.')?;
        if !self.is_signed(message, signature) {
            return None;
        }
        let payload = URL_SAFE_NO_PAD.decode(message.split_once('.')?.1).ok()?;
        let claims: Claims = serde_json::from_slice(&payload).ok()?;
        (now.as_millis() / 1000 < claims.exp).then_some(claims)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::simulated::registry::digest::hex;

    #[test]
    fn the_signature_is_the_published_one() {
        // RFC 4231, test case 2, with its key padded to our length as HMAC pads it.
        let mut key = [0; 32];
        key[..4].copy_from_slice(b"Jefe");
        let signature = URL_SAFE_NO_PAD.decode(Signer::new(key).sign("what do ya want for nothing?")).expect("base64");
        assert_eq!(hex(&signature), "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843");
    }

    #[test]
    fn a_token_of_another_key_kind_or_time_is_refused() {
        let (signer, other) = (Signer::new([1; 32]), Signer::new([2; 32]));
        let now = Timestamp::from_millis(1_000_000);
        let token = signer.access("a", "s", Vec::new(), now, Duration::from_mins(1));
        assert!(signer.verify_access(&token, now).is_some());
        assert!(other.verify_access(&token, now).is_none());
        assert!(signer.verify_refresh(&token, now).is_none());
        assert!(signer.verify_access(&token, now.plus(Duration::from_mins(1))).is_none());
        assert!(signer.verify_access(&signer.refresh("a", "s", now), now).is_none());
        for damaged in ["", ".", "..", "a.b.c", &token.replacen('.', "x.", 1)] {
            assert!(signer.verify_access(damaged, now).is_none(), "{damaged}");
        }
    }
}
