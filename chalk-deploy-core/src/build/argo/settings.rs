//! What a cluster must have for a build, and who the build is there.

use std::collections::BTreeSet;
use std::fmt;
use std::time::Duration;

use super::identity::CloudIdentity;
use crate::build::dockerfile::{BasePolicy, ImagePolicy};
use crate::kubernetes::{AccessRequest, POD, Secret, WORKFLOW};
use crate::model::{BuildPlace, ImageReference, Namespace};

/// Where and as whom the workflows of builds run.
///
/// No secret stands in a workflow: anybody who may read workflows could read it, and Argo keeps them in its archive. The
/// build container reads the bucket and writes the repositories as its own identity: that of its service account, or
/// that of a Secret which whoever set up the namespace has put there, and which we only name.
#[derive(Clone)]
pub struct ArgoSettings {
    /// The namespace of the workflows.
    pub namespace: Namespace,
    /// The image of the builder, by digest.
    pub image: ImageReference,
    /// The address of the source bucket, as the build reaches it: `s3://…`, `gs://…`.
    pub bucket: String,
    /// Which cluster it is: the customer's own, or the metadata plane's.
    pub place: BuildPlace,
    /// The service account of the build's pods.
    pub service_account: String,
    /// By which means of its cloud that account is somebody there.
    pub identity: CloudIdentity,
    /// What builds projects that bring a Dockerfile. Without it they are refused.
    pub dockerfiles: Option<DockerfileSettings>,
    /// A Secret whose entries become the build container's environment: credentials of the bucket, where the service
    /// account has none of its own.
    pub bucket_secret: Option<String>,
    /// A Secret of the type `kubernetes.io/dockerconfigjson` with the credentials of the registries.
    pub registry_secret: Option<String>,
    /// Hosts that the build may reach without TLS: registries and buckets of a test.
    pub plain_http: BTreeSet<String>,
    /// How long a build may take in all; Argo ends it then.
    pub deadline: Duration,
    /// For how long an ended workflow is kept with its pod and its log, should nobody stop it before.
    pub kept_for: Duration,
    /// What the build container reserves and may use.
    pub resources: BuildResources,
    /// Texts that must not get into a log: credentials that the build is given. Each is taken out as it is, in base64
    /// and percent-encoded.
    pub secrets: Vec<Secret>,
}

/// What builds a project's own Dockerfile: an executor that runs strangers' commands.
///
/// Its pod needs a namespace whose Pod Security level is *baseline* or *privileged*: the executor is root in its
/// container. What its commands reach over the network is what the namespace's network policies let them reach; the
/// metadata service of the cloud should not be among it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DockerfileSettings {
    /// The image of kaniko's executor, by digest, or of a program that takes its arguments at its place,
    /// `/kaniko/executor`.
    pub image: ImageReference,
    /// Which images a Dockerfile may build on.
    pub bases: BasePolicy,
    /// Which images may come out of it.
    pub policy: ImagePolicy,
    /// A Secret of the type `kubernetes.io/dockerconfigjson` with which the executor pulls. Whatever the Dockerfile runs
    /// can read it: it should not permit more than pulling base images.
    pub base_secret: Option<String>,
    /// What the executor reserves and may use; the disk is that of the source, and again that of the image.
    pub resources: BuildResources,
}

impl DockerfileSettings {
    /// Base images by digest, no image for root, no credentials; half a processor, 2 GiB of memory, 16 GiB of disk.
    pub fn new(image: ImageReference) -> Self {
        Self {
            image,
            bases: BasePolicy::by_digest(),
            policy: ImagePolicy::default(),
            base_secret: None,
            resources: BuildResources {
                processors: "500m".to_owned(),
                memory: "2Gi".to_owned(),
                disk: "16Gi".to_owned(),
            },
        }
    }
}

/// What a build container reserves and may use, as quantities of Kubernetes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BuildResources {
    /// The processors that it reserves.
    pub processors: String,
    /// The memory that it reserves, and may use at most.
    pub memory: String,
    /// The disk that it works on, at most.
    pub disk: String,
}

impl Default for BuildResources {
    /// A quarter of a processor, half a GiB of memory, 8 GiB of disk: a source layer on a base image needs less.
    fn default() -> Self {
        Self { processors: "250m".to_owned(), memory: "512Mi".to_owned(), disk: "8Gi".to_owned() }
    }
}

impl ArgoSettings {
    /// Builds in a namespace of the data plane's cluster, as its default service account, for at most half an hour; an
    /// ended workflow is kept for a day.
    pub fn new(namespace: Namespace, image: ImageReference, bucket: impl Into<String>) -> Self {
        Self {
            namespace,
            image,
            bucket: bucket.into(),
            place: BuildPlace::DataPlane,
            service_account: "default".to_owned(),
            identity: CloudIdentity::None,
            dockerfiles: None,
            bucket_secret: None,
            registry_secret: None,
            plain_http: BTreeSet::new(),
            deadline: Duration::from_mins(30),
            kept_for: Duration::from_hours(24),
            resources: BuildResources::default(),
            secrets: Vec::new(),
        }
    }

    /// What the builder needs to be permitted in the namespace: less than seed 003's `argo-workflows-role` grants, and
    /// `get` on `pods/log` of the management role beside it. Without the latter it builds and tells no lines.
    pub fn permissions(&self) -> Vec<AccessRequest> {
        let ask = |kind: (&str, &str), subresource: &str, verb: &str| AccessRequest {
            verb: verb.to_owned(),
            group: kind.0.to_owned(),
            resource: kind.1.to_owned(),
            subresource: subresource.to_owned(),
            namespace: self.namespace.clone(),
        };
        let (workflow, pod) = ((WORKFLOW.group, WORKFLOW.plural), (POD.group, POD.plural));
        let mut requests: Vec<_> = ["get", "watch", "create", "delete"].map(|verb| ask(workflow, "", verb)).to_vec();
        requests.extend(["list", "watch"].map(|verb| ask(pod, "", verb)));
        requests.push(ask(pod, "log", "get"));
        requests
    }
}

/// Without the secrets, and without the bucket's address, which may hold a user.
impl fmt::Debug for ArgoSettings {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("ArgoSettings")
            .field("namespace", &self.namespace)
            .field("image", &self.image)
            .field("place", &self.place)
            .field("service_account", &self.service_account)
            .field("identity", &self.identity)
            .field("dockerfiles", &self.dockerfiles)
            .finish_non_exhaustive()
    }
}
