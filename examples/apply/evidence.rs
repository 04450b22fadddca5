//! The keys that evidence is signed and verified with.

use std::io::Read as _;
use std::path::Path;
use std::sync::Arc;

use chalk_deploy_core::evidence::{EvidencePolicy, LocalSigner, VerificationKey};
use chalk_deploy_core::{Error, ErrorCode, Result, text};

use super::arguments::Arguments;

/// No key is longer.
const LONGEST: u64 = 64 << 10;

/// What the command line asks for; without keys, that nothing is done.
///
/// # Errors
/// A file that cannot be read or holds no key.
pub(super) fn policy(arguments: &Arguments) -> Result<EvidencePolicy> {
    let mut policy = EvidencePolicy::none();
    if let Some(path) = &arguments.signing_key {
        let signer = LocalSigner::from_pem(&read(path)?).map_err(|error| named(error, path))?;
        policy = policy.signed_by(Arc::new(signer));
    }
    if let Some(path) = &arguments.verification_key {
        let key = VerificationKey::from_pem(&read(path)?).map_err(|error| named(error, path))?;
        policy = policy.verified_by(Arc::new(key));
    }
    Ok(policy)
}

fn read(path: &Path) -> Result<String> {
    let mut pem = String::new();
    let read = std::fs::File::open(path).and_then(|file| file.take(LONGEST + 1).read_to_string(&mut pem));
    read.map_err(|error| {
        named(Error::new(ErrorCode::ValueInvalid, "the file with the key cannot be read"), path)
            .with_hint("name a readable file with a key in PEM form")
            .caused_by(error)
    })?;
    Ok(pem)
}

fn named(error: Error, path: &Path) -> Error {
    error.on(text::line(&format!("key {}", path.display()), 300))
}
