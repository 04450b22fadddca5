//! The permissions that each call needs, as data: the documentation, the errors and the role below are made of it.
//!
//! Sources: "IAM permissions for JSON methods" of Cloud Storage, "Access control with IAM" of Artifact Registry, "GKE
//! IAM permissions reference", and "Roles for service account authentication" of IAM.

use serde_json::{Value, json};

/// What a permission is needed for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Purpose {
    /// Every deployment.
    Deploy,
    /// Links to objects that others may follow ([`with_signing_account`](crate::CloudBuilder::with_signing_account)).
    Sign,
    /// Acting as a service account ([`with_impersonation`](crate::CloudBuilder::with_impersonation)).
    Impersonate,
    /// Retention of single archives.
    Retain,
    /// Making and setting up buckets and repositories.
    Provision,
    /// Removing images that nobody needs. It goes with [`Deploy`](Self::Deploy): manifests are read to find out, and
    /// tags go with what they name.
    Sweep,
}

/// A permission of IAM, and the call that needs it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Permission {
    /// Its name.
    pub name: &'static str,
    /// The call, as Google's reference names it.
    pub call: &'static str,
    /// What it is needed for.
    pub purpose: Purpose,
}

const fn of(name: &'static str, call: &'static str, purpose: Purpose) -> Permission {
    Permission { name, call, purpose }
}

pub(crate) const CLUSTER_GET: Permission =
    of("container.clusters.get", "container projects.locations.clusters.get", Purpose::Deploy);
pub(crate) const SIGN: Permission =
    of("iam.serviceAccounts.signBlob", "iamcredentials projects.serviceAccounts.signBlob", Purpose::Sign);
pub(crate) const IMPERSONATE: Permission = of(
    "iam.serviceAccounts.getAccessToken",
    "iamcredentials projects.serviceAccounts.generateAccessToken",
    Purpose::Impersonate,
);
pub(crate) const BUCKET_GET: Permission = of("storage.buckets.get", "storage buckets.get", Purpose::Provision);
pub(crate) const BUCKET_LIST: Permission = of("storage.buckets.list", "storage buckets.list", Purpose::Provision);
pub(crate) const BUCKET_CREATE: Permission = of("storage.buckets.create", "storage buckets.insert", Purpose::Provision);
pub(crate) const BUCKET_RETENTION: Permission = of(
    "storage.buckets.enableObjectRetention",
    "storage buckets.insert with enableObjectRetention",
    Purpose::Provision,
);
pub(crate) const BUCKET_UPDATE: Permission = of("storage.buckets.update", "storage buckets.patch", Purpose::Provision);
pub(crate) const REPOSITORY_CREATE: Permission = of(
    "artifactregistry.repositories.create",
    "artifactregistry projects.locations.repositories.create",
    Purpose::Provision,
);
pub(crate) const REPOSITORY_GET: Permission =
    of("artifactregistry.repositories.get", "artifactregistry projects.locations.repositories.get", Purpose::Provision);
pub(crate) const IMAGES_LIST: Permission = of(
    "artifactregistry.dockerimages.list",
    "artifactregistry projects.locations.repositories.dockerImages.list",
    Purpose::Sweep,
);
pub(crate) const VERSION_DELETE: Permission = of(
    "artifactregistry.versions.delete",
    "artifactregistry projects.locations.repositories.packages.versions.delete",
    Purpose::Sweep,
);

/// All permissions: those of the calls of this crate, then those of the core's adapters on the same credentials.
pub const PERMISSIONS: &[Permission] = &[
    CLUSTER_GET,
    SIGN,
    IMPERSONATE,
    BUCKET_GET,
    BUCKET_LIST,
    BUCKET_CREATE,
    BUCKET_RETENTION,
    BUCKET_UPDATE,
    REPOSITORY_CREATE,
    REPOSITORY_GET,
    IMAGES_LIST,
    VERSION_DELETE,
    // Only where a quota project is set (`with_quota_project`), in that project.
    of("serviceusage.services.use", "calls that are counted for a project", Purpose::Deploy),
    // Only where the cluster is reached by its name (`ControlPlane::Name`).
    of("container.clusters.connect", "requests to the DNS endpoint of a cluster", Purpose::Deploy),
    of("storage.objects.create", "storage objects.insert, objects.rewrite", Purpose::Deploy),
    of("storage.objects.get", "storage objects.get, objects.rewrite", Purpose::Deploy),
    of("storage.objects.list", "storage objects.list", Purpose::Deploy),
    // Also what writing over an object needs.
    of(
        "storage.objects.delete",
        "storage objects.delete, and objects.insert onto a key that is taken",
        Purpose::Deploy,
    ),
    of("storage.objects.update", "storage objects.patch", Purpose::Retain),
    of("storage.objects.setRetention", "storage objects.patch of a retention", Purpose::Retain),
    of("artifactregistry.repositories.downloadArtifacts", "pulls of the registry", Purpose::Deploy),
    of("artifactregistry.repositories.uploadArtifacts", "pushes of the registry", Purpose::Deploy),
    of("artifactregistry.tags.create", "pushes under a new tag", Purpose::Deploy),
    of("artifactregistry.tags.update", "pushes under a tag that moves", Purpose::Deploy),
    of("artifactregistry.tags.delete", "removals of tags from the registry", Purpose::Deploy),
];

/// What is needed for these purposes, each name once.
pub fn needed(purposes: &[Purpose]) -> Vec<&'static str> {
    let mut names: Vec<_> = PERMISSIONS.iter().filter(|it| purposes.contains(&it.purpose)).map(|it| it.name).collect();
    names.sort_unstable();
    names.dedup();
    names
}

/// A custom role with just these permissions, as `gcloud iam roles create ID --project=PROJECT --file=FILE` takes it
/// (`projects.roles` of the IAM reference).
///
/// `iam.serviceAccounts.*` are left out: they belong on the one service account
/// ([`service_account_role`]), because in a project they would hold for all of its accounts.
pub fn role(title: &str, purposes: &[Purpose]) -> Value {
    let (_, of_project) = split(purposes);
    json!({
        "title": title,
        "description": "What chalk-deploy calls, and nothing else",
        "stage": "GA",
        "includedPermissions": of_project,
    })
}

/// A custom role to be granted on one service account, or `None` where the purposes need none.
pub fn service_account_role(title: &str, purposes: &[Purpose]) -> Option<Value> {
    let (of_account, _) = split(purposes);
    (!of_account.is_empty()).then(|| {
        json!({
            "title": title,
            "description": "What chalk-deploy does as this service account",
            "stage": "GA",
            "includedPermissions": of_account,
        })
    })
}

fn split(purposes: &[Purpose]) -> (Vec<&'static str>, Vec<&'static str>) {
    needed(purposes).into_iter().partition(|name| name.starts_with("iam.serviceAccounts."))
}

/// The condition under which a binding of the role reaches only buckets whose names begin with this prefix ("Resource
/// attributes for IAM Conditions"). IAM has no condition on labels, so names stand for the tag that seed 003's role
/// asks for. `storage.buckets.list` and `storage.buckets.create` are asked of the project, which is of another type.
pub fn bucket_condition(prefix: &str) -> Value {
    let literal = serde_json::to_string(&format!("projects/_/buckets/{prefix}")).unwrap_or_default();
    json!({
        "title": "chalk buckets only",
        "expression": format!(
            "(resource.type != \"storage.googleapis.com/Bucket\" && resource.type != \
             \"storage.googleapis.com/Object\") || resource.name.startsWith({literal})"
        ),
    })
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn every_permission_is_listed_once_and_is_a_name_of_iam() {
        let names: BTreeSet<_> = PERMISSIONS.iter().map(|permission| permission.name).collect();
        assert_eq!(names.len(), PERMISSIONS.len());
        for Permission { name, call, .. } in PERMISSIONS {
            let parts: Vec<_> = name.split('.').collect();
            assert!(parts.len() == 3 && parts.iter().all(|part| part.bytes().all(|byte| byte.is_ascii_alphabetic())));
            assert!(!call.is_empty());
        }
    }

    #[test]
    fn a_role_for_deployments_may_neither_remove_images_nor_make_buckets_nor_act_as_anyone() {
        let role = role("chalk deployer", &[Purpose::Deploy]);
        let included = role["includedPermissions"].as_array().expect("a list");
        assert!(included.contains(&json!("container.clusters.get")));
        assert!(included.contains(&json!("artifactregistry.repositories.uploadArtifacts")));
        for name in ["artifactregistry.versions.delete", "storage.buckets.update", "iam.serviceAccounts.getAccessToken"]
        {
            assert!(!included.contains(&json!(name)), "{name}");
        }
        assert_eq!(service_account_role("x", &[Purpose::Deploy]), None);
        let account = service_account_role("x", &[Purpose::Impersonate]).expect("one");
        assert_eq!(account["includedPermissions"], json!(["iam.serviceAccounts.getAccessToken"]));
        assert_eq!(super::role("x", &[Purpose::Impersonate])["includedPermissions"], json!([]));
    }

    #[test]
    fn a_prefix_cannot_end_the_text_that_it_stands_in() {
        let condition = bucket_condition("chalk-\" || true || \"");
        let expression = condition["expression"].as_str().expect("text");
        assert!(expression.ends_with(r#"startsWith("projects/_/buckets/chalk-\" || true || \"")"#), "{expression}");
    }
}
