//! The [`ClusterApi`](crate::cloud::ClusterApi) adapter on kube.
//!
//! [`Connection`] reaches one API server: a `kube::Client` whose requests go out through our
//! [`Transport`](crate::transport::Transport), with the credentials of a [`Kubeconfig`] or of the pod that we run in.
//! [`KubernetesCluster`] stands on it, and has two powers beyond the trait: [`PodLogs`] and [`AccessReview`].
//!
//! There is no rate limit and no retry here: the transport repeats an idempotent request a bounded number of times, the
//! driver repeats steps. No type of kube's is in a public signature.
//!
//! # Fencing, as far as an API server allows it
//! An API server knows no tokens. An update carries the `resourceVersion` that the token was read at, so nothing comes
//! between comparison and write. A create has nothing to compare; it is inert, because names hold the deployment's id.

mod connection;
mod kinds;
mod name;
mod refusal;
mod asked;
mod cluster;
mod ownership;
mod observation;
mod watching;
mod powers;
mod preflight;

pub(crate) use self::asked::{Asked, Verb};
pub use self::cluster::KubernetesCluster;
#[cfg(feature = "network")]
pub use self::connection::NetworkTransports;
pub use self::connection::{
    ClusterAccess, ClusterLocator, Connection, ConnectionLimits, Credentials, ExecPlugin, ExecPolicy, Kubeconfig,
    KubeconfigPolicy, OpenTransport, Secret, Trust,
};
pub(crate) use self::connection::{Failure, List};
pub(crate) use self::kinds::{ENDPOINT_SLICE, HTTP_ROUTE, POD, WORKFLOW};
pub(crate) use self::observation::ready_endpoints;
pub use self::powers::{AccessRequest, AccessReview, LogRequest, PodLogs};
pub(crate) use self::watching::{News as WatchNews, follow};
