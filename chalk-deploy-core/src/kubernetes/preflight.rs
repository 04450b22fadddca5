//! What is asked of a cluster before anything in it is changed.

use kube::api::GetParams;
use kube::core::Request;

use super::asked::{Asked, Verb};
use super::kinds::NAMESPACE;
use super::powers::{AccessRequest, AccessReview as _};
use super::{KubernetesCluster, kinds};
use crate::model::Namespace;
use crate::{Error, ErrorCode, Result};

/// A person reads this many lines of what is missing; the rest is counted.
const TOLD: usize = 12;

impl KubernetesCluster {
    /// Whether a deployment into this namespace can succeed: the cluster answers and knows the namespace and us, and
    /// what a deployment does is permitted. Nothing is changed.
    ///
    /// Returns what is not permitted and only makes a deployment slower: watches, in whose place the cluster is asked
    /// again and again (seed 002's role has none on deployments), and endpoint slices, in whose place ready pods count.
    ///
    /// **Idempotency.** Questions; they may be repeated.
    ///
    /// **Errors.** `OBJECT_REFUSED` if there is no such namespace; `PERMISSION_DENIED` with everything that is needed and
    /// not permitted; those of [`AccessReview::missing`](super::AccessReview::missing).
    pub async fn preflight(&self, namespace: &Namespace) -> Result<Vec<AccessRequest>> {
        self.require_namespace(namespace).await?;
        let missing = self.missing(&AccessRequest::of_a_deployment(namespace)).await?;
        let (slower, needed): (Vec<_>, Vec<_>) = missing.into_iter().partition(AccessRequest::is_replaceable);
        if needed.is_empty() {
            return Ok(slower);
        }
        let told: Vec<_> = needed.iter().take(TOLD).map(AccessRequest::permission).collect();
        let rest = needed.len().saturating_sub(TOLD);
        let rest = if rest == 0 { String::new() } else { format!(", and {rest} more") };
        let lacking = format!("what a deployment needs is not permitted: {}{rest}", told.join(", "));
        Err(Error::new(ErrorCode::PermissionDenied, lacking)
            .on(format!("namespace `{namespace}` of {}", self.connection().server()))
            .with_hint("bind a role with these rules to the identity in use"))
    }

    async fn require_namespace(&self, namespace: &Namespace) -> Result<()> {
        let resource = NAMESPACE.resource();
        let request: Request = kinds::requests(&resource, None);
        let request = request.get(namespace.as_str(), &GetParams::default());
        match self.connection().json::<serde::de::IgnoredAny>(request).await {
            Ok(_) => Ok(()),
            // It is not ours to see; whether it is there shows when something is created.
            Err(failure) if failure.is_forbidden() => Ok(()),
            Err(failure) if failure.is_not_found() => {
                Err(Error::new(ErrorCode::ObjectRefused, "the cluster has no such namespace")
                    .on(format!("namespace `{namespace}` of {}", self.connection().server()))
                    .with_hint("create it, or name another one"))
            }
            Err(failure) => Err(failure.error(&Asked::about(Verb::Get, NAMESPACE, namespace))),
        }
    }
}
