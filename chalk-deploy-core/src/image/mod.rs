//! An image made of a base image and of layers from folders, and pushed in as few round trips as the registry allows.
//!
//! ```text
//!  folder ── Layer::of_folder ─────────> layer, digests ┐
//!  base ──── BaseImage::read ──> manifest, config ──────┴── Image::new ──> OciRegistry::push_image
//!                   └── ImageCache, between processes ──────────────────────────┘
//! ```
//!
//! [`Delivery`] does all of it at once: what can be sent while layers are still being packed, is. An image for several
//! platforms is an [`ImageIndex`] of one image for each, on base images that an index has.
//!
//! The base image's layers are never read here: where the target's registry does not hold them, they are mounted, and
//! where they lie in another registry, they stream from there to the target, once for each digest.
//!
//! The same folders on the same base give the same digest, on every machine and at every time.

#[cfg(feature = "oci")]
mod assembled;
#[cfg(feature = "oci")]
mod base;
#[cfg(feature = "oci")]
mod cache;
mod compression;
#[cfg(feature = "oci")]
mod delivery;
#[cfg(feature = "oci")]
mod document;
mod layer;
mod packer;
#[cfg(feature = "oci")]
mod reference;
mod spool;

#[cfg(feature = "oci")]
pub use assembled::{Image, ImageIndex};
#[cfg(feature = "oci")]
pub use base::BaseImage;
#[cfg(feature = "oci")]
pub(crate) use base::CachedDocuments;
#[cfg(feature = "oci")]
pub use cache::ImageCache;
pub use compression::Compression;
#[cfg(feature = "zstd")]
pub(crate) use compression::ZSTD_LEVEL;
#[cfg(feature = "oci")]
pub use delivery::{Delivered, Delivery};
pub use layer::{Layer, PackingLayer};
#[cfg(feature = "oci")]
pub use reference::{ImageName, Pointer};
