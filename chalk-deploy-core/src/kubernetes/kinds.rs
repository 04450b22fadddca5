//! The kinds that we apply and read, with the names under which an API server serves them.

use kube::Resource as _;
use kube::api::{ApiResource, DynamicObject};
use kube::core::{GroupVersionKind, Request};

use crate::model::Namespace;

/// A kind.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(clippy::struct_field_names, reason = "the words of Kubernetes")]
pub(crate) struct Kind {
    pub(crate) group: &'static str,
    pub(crate) version: &'static str,
    pub(crate) kind: &'static str,
    pub(crate) plural: &'static str,
}

const fn kind(group: &'static str, version: &'static str, kind: &'static str, plural: &'static str) -> Kind {
    Kind { group, version, kind, plural }
}

pub(crate) const POD: Kind = kind("", "v1", "Pod", "pods");
pub(crate) const NAMESPACE: Kind = kind("", "v1", "Namespace", "namespaces");
pub(crate) const SERVICE: Kind = kind("", "v1", "Service", "services");
pub(crate) const CONFIG_MAP: Kind = kind("", "v1", "ConfigMap", "configmaps");
pub(crate) const DEPLOYMENT: Kind = kind("apps", "v1", "Deployment", "deployments");
pub(crate) const ENDPOINT_SLICE: Kind = kind("discovery.k8s.io", "v1", "EndpointSlice", "endpointslices");
pub(crate) const DISRUPTION_BUDGET: Kind = kind("policy", "v1", "PodDisruptionBudget", "poddisruptionbudgets");
pub(crate) const SCALED_OBJECT: Kind = kind("keda.sh", "v1alpha1", "ScaledObject", "scaledobjects");
pub(crate) const HTTP_ROUTE: Kind = kind("gateway.networking.k8s.io", "v1", "HTTPRoute", "httproutes");
/// Argo Workflows' own.
pub(crate) const WORKFLOW: Kind = kind("argoproj.io", "v1alpha1", "Workflow", "workflows");
pub(crate) const ACCESS_REVIEW: Kind =
    kind("authorization.k8s.io", "v1", "SelfSubjectAccessReview", "selfsubjectaccessreviews");

/// Every kind that a deployment is made of: what is listed, and removed again.
pub(crate) const APPLIED: &[Kind] = &[DEPLOYMENT, SERVICE, CONFIG_MAP, DISRUPTION_BUDGET, SCALED_OBJECT, HTTP_ROUTE];

impl Kind {
    pub(crate) fn resource(self) -> ApiResource {
        ApiResource::from_gvk_with_plural(&GroupVersionKind::gvk(self.group, self.version, self.kind), self.plural)
    }

    /// Requests to this kind's objects in a namespace.
    pub(crate) fn requests(self, namespace: &Namespace) -> Request {
        requests(&self.resource(), Some(namespace))
    }
}

/// Requests to a resource, in a namespace or in none.
pub(crate) fn requests(resource: &ApiResource, namespace: Option<&Namespace>) -> Request {
    Request::new(DynamicObject::url_path(resource, namespace.map(Namespace::as_str)))
}

/// The resource of what a manifest calls its kind. A kind of which we know nothing is in the plural what English makes
/// of it.
pub(super) fn resource_of(api_version: &str, kind: &str) -> ApiResource {
    let (group, version) = api_version.split_once('/').unwrap_or(("", api_version));
    let known = APPLIED.iter().chain(&[POD, ENDPOINT_SLICE]).find(|known| known.group == group && known.kind == kind);
    let named = GroupVersionKind::gvk(group, version, kind);
    match known {
        Some(known) => ApiResource::from_gvk_with_plural(&named, known.plural),
        None => ApiResource::from_gvk(&named),
    }
}
