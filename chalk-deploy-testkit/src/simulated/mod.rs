//! Servers that behave like the real ones: a distribution registry, a Kubernetes API with the controllers that a
//! rollout depends on, a gateway and a bucket.
//!
//! Each is a [`Server`](http::Server): a function from a request to an answer. [`http::in_process`] makes it a
//! [`Transport`](chalk_deploy_core::transport::Transport) for the adapters of the core, in the process and in virtual
//! time; [`http::serve`] puts the same value on a loopback socket for foreign clients. What they acknowledge lies in a
//! [`World`](crate::World) and outlives the process.
//!
//! - [`base_image`]: an image to build on, made in code.
//! - [`builder_image`]: what the container of a build on Argo Workflows does.
//! - [`registry`]: the OCI distribution specification.
//! - [`bucket`]: the part of S3 that object_store speaks, buckets of Google, and storage accounts of Azure.
//! - [`kubernetes`]: API server, controllers and kubelet.
//! - [`gateway`]: routes requests by weight and header, as Envoy Gateway does.
//! - [`closure`]: servers of a few lines, and ways to servers by their hosts.
//! - [`fault`]: what networks and servers do to requests.
//! - [`seam`]: how they reach each other.
//! - [`stage`]: the whole pipeline over a cloud's own adapters.

pub mod base_image;
pub mod bucket;
pub mod builder_image;
pub mod checkpointed;
pub mod closure;
mod executor;
pub mod fault;
pub mod gateway;
pub mod http;
pub mod kubernetes;
pub mod plane;
pub mod registry;
pub mod seam;
pub mod share;
pub mod stage;
