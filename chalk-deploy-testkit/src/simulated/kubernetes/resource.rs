//! The kinds that the server serves.

/// A kind, and under which names it is served.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Resource {
    /// The API group; empty for the core group.
    pub group: &'static str,
    /// The version.
    pub version: &'static str,
    /// The kind.
    pub kind: &'static str,
    /// The name in paths.
    pub plural: &'static str,
    /// The name of one.
    pub singular: &'static str,
    /// What people type.
    pub short_names: &'static [&'static str],
    /// What `kubectl get all` and its like gather.
    pub categories: &'static [&'static str],
    /// Whether its objects live in namespaces.
    pub namespaced: bool,
    /// `status`, `scale`, `log` and the like, where it has them.
    pub subresources: &'static [&'static str],
}

impl Resource {
    /// `v1` or `apps/v1`.
    pub fn api_version(&self) -> String {
        if self.group.is_empty() { self.version.to_owned() } else { format!("{}/{}", self.group, self.version) }
    }

    /// `deployments` or `deployments.apps`.
    pub fn qualified(&self) -> String {
        if self.group.is_empty() { self.plural.to_owned() } else { format!("{}.{}", self.plural, self.group) }
    }

    /// Whether it is served from a `CustomResourceDefinition`: no strategic merge patches, and lists name the kind of
    /// every item.
    pub fn is_custom(&self) -> bool {
        matches!(self.group, GATEWAY | "keda.sh" | "argoproj.io")
    }

    /// Whether its server counts the changes of its objects in `metadata.generation`. Those of the core group that have
    /// no such count, and the autoscalers and roles, carry none at all.
    pub fn has_generation(&self) -> bool {
        match self.group {
            "" => self.kind == "Pod",
            RBAC | "autoscaling" => false,
            _ => true,
        }
    }

    /// Whether it has a subresource of this name.
    pub fn has(&self, subresource: &str) -> bool {
        self.subresources.contains(&subresource)
    }

    /// The resource of a kind.
    pub fn of_kind(api_version: &str, kind: &str) -> Option<&'static Self> {
        RESOURCES.iter().find(|resource| resource.kind == kind && resource.api_version() == api_version)
    }

    /// The resource of a path.
    pub fn of_path(group: &str, version: &str, plural: &str) -> Option<&'static Self> {
        RESOURCES
            .iter()
            .find(|resource| resource.group == group && resource.version == version && resource.plural == plural)
    }
}

const fn core(kind: &'static str, plural: &'static str, singular: &'static str) -> Resource {
    grouped("", "v1", kind, plural, singular)
}

const fn grouped(
    group: &'static str,
    version: &'static str,
    kind: &'static str,
    plural: &'static str,
    singular: &'static str,
) -> Resource {
    Resource {
        group,
        version,
        kind,
        plural,
        singular,
        short_names: &[],
        categories: &[],
        namespaced: true,
        subresources: &[],
    }
}

impl Resource {
    const fn short(mut self, short_names: &'static [&'static str]) -> Self {
        self.short_names = short_names;
        self
    }

    const fn in_all(mut self) -> Self {
        self.categories = &["all"];
        self
    }

    const fn of_cluster(mut self) -> Self {
        self.namespaced = false;
        self
    }

    const fn with(mut self, subresources: &'static [&'static str]) -> Self {
        self.subresources = subresources;
        self
    }
}

const RBAC: &str = "rbac.authorization.k8s.io";
const GATEWAY: &str = "gateway.networking.k8s.io";

/// All of them. The names of constants below are for the controllers.
pub static RESOURCES: &[Resource] = &[
    NAMESPACE,
    NODE,
    POD,
    SERVICE,
    CONFIG_MAP,
    SECRET,
    SERVICE_ACCOUNT,
    EVENT,
    RESOURCE_QUOTA,
    DEPLOYMENT,
    REPLICA_SET,
    JOB,
    ENDPOINT_SLICE,
    POD_DISRUPTION_BUDGET,
    HORIZONTAL_POD_AUTOSCALER,
    ROLE,
    ROLE_BINDING,
    CLUSTER_ROLE,
    CLUSTER_ROLE_BINDING,
    GATEWAY_CLASS,
    GATEWAYS,
    HTTP_ROUTE,
    SCALED_OBJECT,
    WORKFLOW,
];

/// Namespaces.
pub const NAMESPACE: Resource =
    core("Namespace", "namespaces", "namespace").short(&["ns"]).of_cluster().with(&["status", "finalize"]);
/// Nodes.
pub const NODE: Resource = core("Node", "nodes", "node").short(&["no"]).of_cluster().with(&["status"]);
/// Pods.
pub const POD: Resource = core("Pod", "pods", "pod").short(&["po"]).in_all().with(&["status", "log", "eviction"]);
/// Services.
pub const SERVICE: Resource = core("Service", "services", "service").short(&["svc"]).in_all().with(&["status"]);
/// Config maps.
pub const CONFIG_MAP: Resource = core("ConfigMap", "configmaps", "configmap").short(&["cm"]);
/// Secrets.
pub const SECRET: Resource = core("Secret", "secrets", "secret");
/// Service accounts.
pub const SERVICE_ACCOUNT: Resource = core("ServiceAccount", "serviceaccounts", "serviceaccount").short(&["sa"]);
/// Events.
pub const EVENT: Resource = core("Event", "events", "event").short(&["ev"]);
/// Quotas.
pub const RESOURCE_QUOTA: Resource =
    core("ResourceQuota", "resourcequotas", "resourcequota").short(&["quota"]).with(&["status"]);
/// Deployments.
pub const DEPLOYMENT: Resource = grouped("apps", "v1", "Deployment", "deployments", "deployment")
    .short(&["deploy"])
    .in_all()
    .with(&["status", "scale"]);
/// Replica sets.
pub const REPLICA_SET: Resource =
    grouped("apps", "v1", "ReplicaSet", "replicasets", "replicaset").short(&["rs"]).in_all().with(&["status", "scale"]);
/// Jobs.
pub const JOB: Resource = grouped("batch", "v1", "Job", "jobs", "job").in_all().with(&["status"]);
/// Endpoint slices.
pub const ENDPOINT_SLICE: Resource =
    grouped("discovery.k8s.io", "v1", "EndpointSlice", "endpointslices", "endpointslice");
/// Disruption budgets.
pub const POD_DISRUPTION_BUDGET: Resource =
    grouped("policy", "v1", "PodDisruptionBudget", "poddisruptionbudgets", "poddisruptionbudget")
        .short(&["pdb"])
        .with(&["status"]);
/// Autoscalers.
pub const HORIZONTAL_POD_AUTOSCALER: Resource =
    grouped("autoscaling", "v2", "HorizontalPodAutoscaler", "horizontalpodautoscalers", "horizontalpodautoscaler")
        .short(&["hpa"])
        .in_all()
        .with(&["status"]);
/// Roles.
pub const ROLE: Resource = grouped(RBAC, "v1", "Role", "roles", "role");
/// Bindings of roles.
pub const ROLE_BINDING: Resource = grouped(RBAC, "v1", "RoleBinding", "rolebindings", "rolebinding");
/// Roles of the whole cluster.
pub const CLUSTER_ROLE: Resource = grouped(RBAC, "v1", "ClusterRole", "clusterroles", "clusterrole").of_cluster();
/// Bindings of them.
pub const CLUSTER_ROLE_BINDING: Resource =
    grouped(RBAC, "v1", "ClusterRoleBinding", "clusterrolebindings", "clusterrolebinding").of_cluster();
/// Classes of gateways.
pub const GATEWAY_CLASS: Resource = grouped(GATEWAY, "v1", "GatewayClass", "gatewayclasses", "gatewayclass")
    .short(&["gc"])
    .of_cluster()
    .with(&["status"]);
/// Gateways.
pub const GATEWAYS: Resource =
    grouped(GATEWAY, "v1", "Gateway", "gateways", "gateway").short(&["gtw"]).with(&["status"]);
/// Routes of HTTP.
pub const HTTP_ROUTE: Resource = grouped(GATEWAY, "v1", "HTTPRoute", "httproutes", "httproute").with(&["status"]);
/// KEDA's scalers.
pub const SCALED_OBJECT: Resource =
    grouped("keda.sh", "v1alpha1", "ScaledObject", "scaledobjects", "scaledobject").short(&["so"]).with(&["status"]);
/// Argo's workflows.
pub const WORKFLOW: Resource =
    grouped("argoproj.io", "v1alpha1", "Workflow", "workflows", "workflow").short(&["wf"]).with(&["status"]);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_kind_is_found_by_what_a_manifest_and_by_what_a_path_calls_it() {
        assert_eq!(Resource::of_kind("apps/v1", "Deployment"), Some(&DEPLOYMENT));
        assert_eq!(Resource::of_path("", "v1", "pods"), Some(&POD));
        assert_eq!(Resource::of_kind("v1", "Deployment"), None);
        assert_eq!(DEPLOYMENT.qualified(), "deployments.apps");
    }
}
