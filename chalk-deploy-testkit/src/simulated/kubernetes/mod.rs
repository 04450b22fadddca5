//! A simulated Kubernetes: objects with versions and watches, the API server in front of them, the controllers and the
//! kubelet behind them.
//!
//! Everything goes through [`objects::Objects`], which is what etcd and the storage layer of an API server are: one
//! sequence of resource versions, watches that follow it, durable before it is acknowledged.

pub mod api;
mod controllers;
mod kubelet;
pub mod objects;
pub mod ownership;
pub mod patch;
pub mod resource;
pub mod schema;
pub mod status;

pub use self::controllers::{Cluster, ClusterSettings, TemplateBehaviour};
pub use self::kubelet::PodBehaviour;
