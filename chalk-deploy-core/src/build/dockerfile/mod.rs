//! A project's own Dockerfile, built in a container of a workflow.
//!
//! ```text
//!  init container, ours          init container, the executor          container, ours
//!  unpack                        dockerfile-<component>                push
//!  archive ── hardened reader ─> source, to read ─┐
//!  Dockerfile ── judge ────────> plan, to read ───┴─ build ──> a tarball, to read ── verify ──> registry, by digest
//!  bucket's credentials          none of ours                          the registry's credentials
//! ```
//!
//! The container that runs strangers' commands holds nothing that is worth stealing: no account of the cluster, no bucket,
//! no right to push. It unpacks no archive, pushes nothing, and ends before the container begins that does. What it leaves
//! is one tarball, which is read like everything that strangers write.
//!
//! - `instructions` and `plan`: what the Dockerfile says, and what of it is taken.
//! - `unpack`: the first container. `push`: the last one.
//! - `tarball`: what the executor leaves. `runnable`: which images may run.

mod instructions;
mod plan;
mod push;
mod runnable;
mod tarball;
mod unpack;

use crate::{Error, ErrorCode, text};

pub use plan::{BASE_ARGUMENT, BasePolicy};
pub use push::push;
pub use runnable::ImagePolicy;
#[cfg(feature = "kubernetes")]
pub(crate) use runnable::{CONFIG_MOST, check as check_runnable};
pub use unpack::unpack;

/// Where the source lies in the folder of the project.
pub const SOURCE: &str = "source";
/// Where the plans lie in the folder of the project.
pub const PLAN: &str = "plan";
/// The request, sealed, in the folder of the plans.
pub const PLANNED_REQUEST: &str = "request";

/// The Dockerfile of a component as it was understood, in the folder of the plans.
pub fn planned_dockerfile(component: crate::model::Component) -> String {
    format!("{component}.Dockerfile")
}

/// The image of a component, in the folder of the images.
pub fn tarball_of(component: crate::model::Component) -> String {
    format!("{component}.tar")
}

/// What is wrong with a line of a Dockerfile.
fn refused(file: &str, line: usize, message: &str, hint: &str) -> Error {
    Error::new(ErrorCode::RequestInvalid, message)
        .on(format!("`{}`, line {line}", text::line(file, 100)))
        .with_hint(hint)
}
