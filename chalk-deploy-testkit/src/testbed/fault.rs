//! What goes wrong in the testbed.

use std::fmt;

use chalk_deploy_core::Result;
use chalk_deploy_core::model::Namespace;

use super::Testbed;

/// A server of the testbed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
#[non_exhaustive]
pub enum Part {
    /// The store of the API server.
    Etcd,
    /// The API server.
    KubeApiserver,
    /// The controllers.
    KubeControllerManager,
    /// The scheduler.
    KubeScheduler,
    /// The node's agent.
    Kubelet,
    /// The gateway's control plane. What carries the requests goes on without it.
    EnvoyGateway,
    /// Argo Workflows' controller.
    ArgoController,
    /// The registry.
    Registry,
    /// The bucket that speaks S3.
    Versitygw,
    /// The database.
    Postgres,
}

impl Part {
    /// Its name.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Etcd => "etcd",
            Self::KubeApiserver => "kube-apiserver",
            Self::KubeControllerManager => "kube-controller-manager",
            Self::KubeScheduler => "kube-scheduler",
            Self::Kubelet => "kubelet",
            Self::EnvoyGateway => "envoy-gateway",
            Self::ArgoController => "argo-controller",
            Self::Registry => "registry",
            Self::Versitygw => "versitygw",
            Self::Postgres => "postgres",
        }
    }
}

impl fmt::Display for Part {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.as_str())
    }
}

/// An end of a connection.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum End {
    /// A server.
    Part(Part),
    /// This machine, outside the testbed; connects only.
    Host,
    /// The gateway's address; is connected to only.
    Gateway,
    /// A pod.
    Pod(Namespace, String),
}

impl fmt::Display for End {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Part(part) => part.fmt(formatter),
            Self::Host => formatter.write_str("host"),
            Self::Gateway => formatter.write_str("gateway"),
            Self::Pod(namespace, name) => write!(formatter, "{namespace}/{name}"),
        }
    }
}

impl Testbed {
    /// Lets a server stand still; its connections stay open.
    ///
    /// # Errors
    /// As [`start`](Self::start); so too below.
    pub async fn freeze(&self, part: Part) -> Result<()> {
        self.disturb(&["stop", part.as_str()]).await
    }

    /// Lets it go on.
    ///
    /// # Errors
    /// As [`start`](Self::start).
    pub async fn thaw(&self, part: Part) -> Result<()> {
        self.disturb(&["continue", part.as_str()]).await
    }

    /// Kills a server. It stays away until it is started again.
    ///
    /// # Errors
    /// As [`start`](Self::start).
    pub async fn kill(&self, part: Part) -> Result<()> {
        self.disturb(&["kill", part.as_str()]).await
    }

    /// Starts a server that was killed.
    ///
    /// # Errors
    /// As [`start`](Self::start).
    pub async fn start_again(&self, part: Part) -> Result<()> {
        self.disturb(&["start", part.as_str()]).await
    }

    /// Cuts the network between who connects and who is connected to.
    ///
    /// # Errors
    /// As [`start`](Self::start).
    pub async fn cut(&self, from: &End, to: &End) -> Result<()> {
        self.disturb(&["cut", &from.to_string(), &to.to_string()]).await
    }

    /// Undoes every cut.
    ///
    /// # Errors
    /// As [`start`](Self::start).
    pub async fn heal(&self) -> Result<()> {
        self.disturb(&["heal"]).await
    }

    /// Kills the processes of a pod's containers.
    ///
    /// # Errors
    /// As [`start`](Self::start).
    pub async fn kill_pod(&self, namespace: &Namespace, pod: &str) -> Result<()> {
        self.disturb(&["kill-pod", &format!("{namespace}/{pod}")]).await
    }

    async fn disturb(&self, arguments: &[&str]) -> Result<()> {
        self.run("fault", arguments).await.map(drop)
    }
}
