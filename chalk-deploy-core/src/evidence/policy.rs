//! What a deployment does about evidence.

use std::sync::Arc;

use super::signer::{Signer, VerifyingKey};

/// What a deployment does about evidence, between pushing its images and rolling them out.
///
/// Without a signer and without a key nothing: the step says that it is skipped. With a signer each image gets a bill of
/// materials and a provenance statement. With a key nothing is rolled out whose evidence that key does not verify,
/// whoever attached it.
#[derive(Debug, Clone, Default)]
pub struct EvidencePolicy {
    pub(crate) signer: Option<Arc<dyn Signer>>,
    pub(crate) key: Option<Arc<dyn VerifyingKey>>,
    pub(crate) builder: Option<String>,
}

impl EvidencePolicy {
    /// Neither signs nor verifies.
    pub fn none() -> Self {
        Self::default()
    }

    /// Attaches evidence that this one signs.
    #[must_use]
    pub fn signed_by(mut self, signer: Arc<dyn Signer>) -> Self {
        self.signer = Some(signer);
        self
    }

    /// Rolls out only what this key verifies.
    #[must_use]
    pub fn verified_by(mut self, key: Arc<dyn VerifyingKey>) -> Self {
        self.key = Some(key);
        self
    }

    /// The URI that names who runs the builds (`builder.id` of SLSA provenance). It should lead to what is claimed of
    /// that builder. By default one of this library's documentation, with the place where builds run.
    #[must_use]
    pub fn built_by(mut self, uri: impl Into<String>) -> Self {
        self.builder = Some(uri.into());
        self
    }
}
