//! Who the pod of a build is in its cloud. Pure.

use serde_json::{Map, Value};

/// By which means of its cloud the pod of a build is somebody there. The service account says who; what stands here is
/// only what the pod itself must carry for that.
///
/// Containers that run strangers' commands are left out wherever the cloud can leave a container out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum CloudIdentity {
    /// By none: credentials come from the Secrets that the settings name.
    #[default]
    None,
    /// IAM roles for service accounts (Amazon EKS): the service account has the annotation `eks.amazonaws.com/role-arn`.
    Eks,
    /// Workload Identity Federation (GKE): the service account has the annotation `iam.gke.io/gcp-service-account`. The
    /// metadata server of the node answers every container of a pod alike, so that no Dockerfile can be built by it.
    Gke,
    /// Microsoft Entra Workload ID (AKS): the service account has the annotation `azure.workload.identity/client-id`.
    Aks,
}

impl CloudIdentity {
    /// Whether every container of the pod is this identity, whatever is done.
    pub const fn reaches_every_container(self) -> bool {
        matches!(self, Self::Gke)
    }

    /// Labels and annotations of the pod (Argo, `WorkflowSpec.podMetadata`), `None` where there are none. `strangers` are
    /// the containers that must not get the identity.
    pub(super) fn pod_metadata(self, strangers: &[String]) -> Option<Value> {
        // Argo's own containers have nothing to do in a cloud.
        let left_out = |separator: &str| {
            let names = ["init", "wait"].into_iter().chain(strangers.iter().map(String::as_str));
            Value::from(names.collect::<Vec<_>>().join(separator))
        };
        let mut metadata = Map::new();
        let mut add = |kind: &str, name: &str, value: Value| {
            let entries = metadata.entry(kind).or_insert_with(|| Value::Object(Map::new()));
            entries[name] = value;
        };
        match self {
            Self::None | Self::Gke => return None,
            // amazon-eks-pod-identity-webhook, README.
            Self::Eks => add("annotations", "eks.amazonaws.com/skip-containers", left_out(",")),
            // azure-workload-identity, Service Account Labels and Annotations.
            Self::Aks => {
                add("labels", "azure.workload.identity/use", "true".into());
                add("annotations", "azure.workload.identity/skip-containers", left_out(";"));
            }
        }
        Some(metadata.into())
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn an_identity_adds_labels_and_annotations_and_leaves_strangers_out() {
        let strangers = ["dockerfile-engine".to_owned()];
        assert_eq!(CloudIdentity::None.pod_metadata(&strangers), None);
        assert_eq!(CloudIdentity::Gke.pod_metadata(&strangers), None);
        assert_eq!(
            CloudIdentity::Eks.pod_metadata(&strangers),
            Some(json!({"annotations": {"eks.amazonaws.com/skip-containers": "init,wait,dockerfile-engine"}}))
        );
        assert_eq!(
            CloudIdentity::Aks.pod_metadata(&[]),
            Some(json!({
                "labels": {"azure.workload.identity/use": "true"},
                "annotations": {"azure.workload.identity/skip-containers": "init;wait"},
            }))
        );
    }
}
