//! Scripts that a person runs, and the smallest service that links the library. The
//! examples stand beside this crate, which has what several of them share:
//!
//! - `apply`: deploys a Chalk project from a terminal, `cargo run --release --example apply -- PROJECT_DIR`.
//! - `build_image`: the program of the build container on Argo Workflows, and of nothing else.
//! - `embed`: a service in under a hundred lines, `cargo run --release --example embed`.
//! - `inspect_archive`: shows and unpacks a source archive, `cargo run --release --example inspect_archive -- FILE`.
//! - `provision`: makes the buckets of a data plane, `cargo run --release --example provision -- PREFIX --cloud aws`.
//! - `rebuild`: makes the images of a past deployment again, `cargo run --release --example rebuild -- DEPLOYMENT`.
//! - `sources`: lists, inspects and unpacks what was deployed, `cargo run --release --example sources -- list`.
//! - `verify_image`: whether an image's evidence is signed with a key,
//!   `cargo run --release --example verify_image -- REF --key FILE`.
//! - `validate_graph`: what is wrong with an export, `cargo run --release --example validate_graph -- EXPORT`.
//!
//! [`data_plane`] is where they all find the servers that a deployment went to, [`terminal`] how the smaller ones end.

pub mod data_plane;
pub mod terminal;
