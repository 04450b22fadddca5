//! Evidence of an image: what is in it and where it came from, signed, and attached to it in its own registry.
//!
//! ```text
//!  Inventory ── bill_of_materials ─┐                            ┌ PAE ── Signer ─┐
//!  (labels of the config)          ├─ statement ─ payload ──────┤                ├─ envelope ─ bundle ─ artifact ─> attach
//!  Origin ───── provenance ────────┘   (subject: the digest)    └────────────────┘
//!
//!  referrers ─> artifact ─> bundle ─ VerifyingKey ─ payload ─> statement, its subject compared ─> Verified, or an error
//! ```
//!
//! | document | specification |
//! |---|---|
//! | bill of materials | CycloneDX 1.6, JSON |
//! | provenance | SLSA provenance v1 (<https://slsa.dev/provenance/v1>); no SLSA level is claimed |
//! | statement | in-toto Statement v1 |
//! | envelope | DSSE v1, `application/vnd.in-toto+json` |
//! | bundle | Sigstore bundle v0.3 with the hint of a public key |
//! | artifact | an OCI image manifest with a `subject`, as cosign's bundle specification lays it out |
//!
//! There is no entry in a transparency log: it would publish the customer's image digests, and what is a customer's does
//! not leave the customer's cloud. What a verifier trusts is the key alone, so a time of signing is not proven.
//!
//! The documents are pure functions of what they say. They hold no time and nothing random, so the same image gives the
//! same documents; only a signature may differ from one time to the next (ECDSA is randomised). `docs/evidence.md`
//! explains the fields to those who verify.

mod artifact;
mod attach;
mod bill_of_materials;
mod bundle;
mod collect;
mod envelope;
mod inventory;
#[cfg(feature = "oci")]
mod key;
mod package_url;
mod policy;
mod provenance;
mod read;
mod signer;
mod statement;
mod strict;
mod verify;

#[cfg(all(test, feature = "oci"))]
mod tests;

pub use artifact::{BILL_TYPE, BUNDLE_TYPE, EMPTY_TYPE};
pub use attach::{Attached, attach};
pub use bill_of_materials::{CYCLONEDX, bill_of_materials};
pub use bundle::{Bundle, BundleSignature};
pub use envelope::{STATEMENT_PAYLOAD, pre_authentication_encoding};
pub use inventory::{BASE_DIGEST, Inventory, PACKAGES, Package};
#[cfg(feature = "oci")]
pub use key::{LocalSigner, VerificationKey};
pub use policy::EvidencePolicy;
pub use provenance::{BUILD_TYPE, Origin, PROVENANCE, provenance};
pub use signer::{Signer, VerifyingKey};
pub use statement::{STATEMENT, statement};
pub use verify::{Rejected, Verified, VerifiedStatement, verify};

/// Members in the order of their names, whatever order this program's maps keep.
pub(crate) use crate::build::image::bytes as ordered_bytes;
