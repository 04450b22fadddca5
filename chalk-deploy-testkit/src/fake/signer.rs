//! A signer without cryptography.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use async_trait::async_trait;
use chalk_deploy_core::Result;
use chalk_deploy_core::evidence::{Signer, VerifyingKey};
use chalk_deploy_core::model::Digest;

/// Signs so that the same message has the same signature, and counts how often. Whoever knows the name of the key can
/// sign: it is for tests.
#[derive(Debug, Clone)]
pub struct FakeSigner {
    key: Arc<FakeKey>,
    signed: Arc<AtomicUsize>,
}

#[derive(Debug)]
struct FakeKey(String);

impl FakeSigner {
    /// A signer with a key of this name. Two of one name have one key.
    pub fn new(name: impl Into<String>) -> Self {
        Self { key: Arc::new(FakeKey(name.into())), signed: Arc::default() }
    }

    /// How often it has signed.
    pub fn signed(&self) -> usize {
        self.signed.load(Ordering::Relaxed)
    }
}

impl FakeKey {
    fn signature(&self, message: &[u8]) -> Digest {
        Digest::of([self.0.as_bytes(), b"\0", message].concat())
    }
}

impl VerifyingKey for FakeKey {
    fn subject_public_key_info(&self) -> &[u8] {
        self.0.as_bytes()
    }

    fn verifies(&self, message: &[u8], signature: &[u8]) -> bool {
        self.signature(message).as_bytes() == signature
    }
}

#[async_trait]
impl Signer for FakeSigner {
    async fn sign(&self, message: &[u8]) -> Result<Vec<u8>> {
        self.signed.fetch_add(1, Ordering::Relaxed);
        Ok(self.key.signature(message).as_bytes().to_vec())
    }

    fn key(&self) -> Arc<dyn VerifyingKey> {
        self.key.clone()
    }
}
