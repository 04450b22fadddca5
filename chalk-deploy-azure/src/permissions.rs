//! The permissions that each call needs, as data: the documentation, the errors and the role below are made of it.
//!
//! Sources: "Authorize access to blobs using Microsoft Entra ID" and the pages of each call in the Blob Storage REST
//! reference, "Azure permissions for Containers" and "Azure permissions for Storage" of the Azure RBAC documentation, and
//! "Azure Container Registry roles and permissions".
//!
//! A registry whose role assignments are bounded by repositories ("RBAC Registry + ABAC Repository Permissions") goes by
//! data actions of its own (`Microsoft.ContainerRegistry/registries/repositories/content/…`) instead of those named
//! here. A cluster with "Azure RBAC for Kubernetes authorization" goes by the data actions
//! `Microsoft.ContainerService/managedClusters/…`; elsewhere the roles of Kubernetes, such as those that this library
//! generates, decide what a token may do in a cluster.

use serde_json::{Value, json};

/// What a permission is needed for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Purpose {
    /// Every deployment.
    Deploy,
    /// Links to objects that others may follow.
    Sign,
    /// Retention of single archives.
    Retain,
    /// Making and setting up containers, and looking at what surrounds them.
    Provision,
    /// Removing images that nobody needs, and locking those that somebody does.
    Sweep,
}

/// In which list of a role a permission stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Plane {
    /// `actions`.
    Control,
    /// `dataActions`.
    Data,
}

/// A permission of Azure RBAC, and the call that needs it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Permission {
    /// Its name.
    pub name: &'static str,
    /// Where it stands.
    pub plane: Plane,
    /// The call, as Microsoft's reference names it.
    pub call: &'static str,
    /// What it is needed for.
    pub purpose: Purpose,
}

macro_rules! permissions {
    ($($plane:ident $purpose:ident $constant:ident = $name:literal, $call:literal;)*) => {
        $(pub(crate) const $constant: Permission =
            Permission { name: $name, plane: Plane::$plane, call: $call, purpose: Purpose::$purpose };)*

        /// All permissions that this crate's calls need, by purpose.
        pub const PERMISSIONS: &[Permission] = &[$($constant,)*];
    };
}

permissions! {
    Data Deploy BLOB_READ = "Microsoft.Storage/storageAccounts/blobServices/containers/blobs/read", "Get Blob, Get Blob Properties, List Blobs, Copy Blob";
    Data Deploy BLOB_WRITE = "Microsoft.Storage/storageAccounts/blobServices/containers/blobs/write", "Put Blob, Put Block, Put Block List, Copy Blob";
    Data Deploy BLOB_DELETE = "Microsoft.Storage/storageAccounts/blobServices/containers/blobs/delete", "Delete Blob";
    Control Deploy IMAGE_PULL = "Microsoft.ContainerRegistry/registries/pull/read", "pulling manifests and blobs";
    Control Deploy IMAGE_PUSH = "Microsoft.ContainerRegistry/registries/push/write", "pushing manifests and blobs";
    Control Deploy CLUSTER_READ = "Microsoft.ContainerService/managedClusters/read", "Managed Clusters - Get";
    Control Deploy CLUSTER_USER = "Microsoft.ContainerService/managedClusters/listClusterUserCredential/action", "Managed Clusters - List Cluster User Credentials";
    Control Sign DELEGATION_KEY = "Microsoft.Storage/storageAccounts/blobServices/generateUserDelegationKey/action", "Get User Delegation Key";
    Data Retain IMMUTABLE_BLOB = "Microsoft.Storage/storageAccounts/blobServices/containers/blobs/immutableStorage/runAsSuperUser/action", "Set Blob Immutability Policy, Set Blob Legal Hold";
    Control Provision CONTAINER_READ = "Microsoft.Storage/storageAccounts/blobServices/containers/read", "Get Container Properties, Blob Containers - Get";
    Control Provision CONTAINER_WRITE = "Microsoft.Storage/storageAccounts/blobServices/containers/write", "Create Container, Set Container Metadata, Blob Containers - Create, Blob Containers - Update";
    Control Provision CONTAINER_ACL_READ = "Microsoft.Storage/storageAccounts/blobServices/containers/getAcl/action", "Get Container ACL, where no Resource Manager is configured";
    Control Provision CONTAINER_ACL = "Microsoft.Storage/storageAccounts/blobServices/containers/setAcl/action", "Set Container ACL, where no Resource Manager is configured";
    Control Provision SERVICE_READ = "Microsoft.Storage/storageAccounts/blobServices/read", "Get Blob Service Properties, Blob Services - Get Service Properties";
    Control Provision SERVICE_WRITE = "Microsoft.Storage/storageAccounts/blobServices/write", "Set Blob Service Properties, Blob Services - Set Service Properties";
    Control Provision POLICY_READ = "Microsoft.Storage/storageAccounts/blobServices/containers/immutabilityPolicies/read", "Blob Containers - Get Immutability Policy";
    Control Provision POLICY_WRITE = "Microsoft.Storage/storageAccounts/blobServices/containers/immutabilityPolicies/write", "Blob Containers - Create Or Update Immutability Policy";
    Control Provision LIFECYCLE_READ = "Microsoft.Storage/storageAccounts/managementPolicies/read", "Management Policies - Get";
    Control Provision LIFECYCLE_WRITE = "Microsoft.Storage/storageAccounts/managementPolicies/write", "Management Policies - Create Or Update";
    Control Provision ACCOUNT_READ = "Microsoft.Storage/storageAccounts/read", "Storage Accounts - Get Properties";
    Control Provision REGISTRY_READ = "Microsoft.ContainerRegistry/registries/read", "Registries - Get";
    Control Sweep IMAGE_LIST = "Microsoft.ContainerRegistry/registries/metadata/read", "Manifests - Get List";
    Control Sweep IMAGE_LOCK = "Microsoft.ContainerRegistry/registries/metadata/write", "Manifests - Update Attributes, Tag - Update Attributes";
    Control Sweep IMAGE_DELETE = "Microsoft.ContainerRegistry/registries/artifacts/delete", "Manifests - Delete";
}

/// A custom role for these purposes, assignable at these scopes, such as `/subscriptions/ID/resourceGroups/NAME`. It
/// grants exactly what the calls need.
pub fn role_definition(name: &str, purposes: &[Purpose], scopes: &[&str]) -> Value {
    let of = |plane: Plane| -> Vec<&str> {
        let wanted = |permission: &&Permission| permission.plane == plane && purposes.contains(&permission.purpose);
        PERMISSIONS.iter().filter(wanted).map(|permission| permission.name).collect()
    };
    json!({"properties": {
        "roleName": name,
        "description": "What chalk-deploy does in a data plane",
        "permissions": [{
            "actions": of(Plane::Control),
            "notActions": [],
            "dataActions": of(Plane::Data),
            "notDataActions": [],
        }],
        "assignableScopes": scopes,
    }})
}

/// Whether a pattern of a role grants an action. `*` stands for any text, and case does not count ("Understand Azure role
/// definitions").
pub fn grants(pattern: &str, action: &str) -> bool {
    let (pattern, action) = (pattern.to_ascii_lowercase(), action.to_ascii_lowercase());
    let mut parts = pattern.split('*');
    let first = parts.next().unwrap_or_default();
    let Some(mut rest) = action.strip_prefix(first) else { return false };
    let Some(last) = parts.next_back() else { return rest.is_empty() };
    for part in parts {
        let Some((_, after)) = rest.split_once(part) else { return false };
        rest = after;
    }
    rest.ends_with(last)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The lists of the role "Chalk Platform Manager" (seed 004) that concern storage, registries and clusters.
    const SEED_ACTIONS: [&str; 5] = [
        "Microsoft.ContainerService/managedClusters/*",
        "Microsoft.ContainerRegistry/registries/*",
        "Microsoft.ContainerRegistry/locations/*",
        "Microsoft.Storage/storageAccounts/*",
        "Microsoft.Authorization/roleAssignments/read",
    ];
    const SEED_DATA_ACTIONS: [&str; 1] = ["Microsoft.Storage/storageAccounts/blobServices/containers/*"];

    #[test]
    fn the_role_of_the_seed_covers_every_call() {
        for permission in PERMISSIONS {
            let granted: &[&str] = match permission.plane {
                Plane::Control => &SEED_ACTIONS,
                Plane::Data => &SEED_DATA_ACTIONS,
            };
            assert!(granted.iter().any(|pattern| grants(pattern, permission.name)), "{}", permission.name);
        }
    }

    #[test]
    fn the_role_of_the_seed_does_not_cover_what_other_modes_of_registries_and_clusters_take() {
        for action in [
            "Microsoft.ContainerRegistry/registries/repositories/content/read",
            "Microsoft.ContainerService/managedClusters/apps/deployments/write",
        ] {
            assert!(!SEED_DATA_ACTIONS.iter().any(|pattern| grants(pattern, action)), "{action}");
        }
    }

    #[test]
    fn a_pattern_grants_what_it_leaves_open_and_nothing_else() {
        for (pattern, action, granted) in [
            ("A/b/read", "a/B/READ", true),
            ("A/b/read", "A/b/reader", false),
            ("A/b/*", "A/b/c/read", true),
            ("A/b/*", "A/bc", false),
            ("*/read", "A/b/read", true),
            ("*/read", "A/read/write", false),
            ("A/*/keys/*", "A/v/keys/k", true),
            ("*", "anything", true),
        ] {
            assert_eq!(grants(pattern, action), granted, "{pattern} {action}");
        }
    }

    #[test]
    fn a_role_holds_what_its_purposes_take_and_nothing_twice() {
        let role = role_definition("r", &[Purpose::Deploy], &["/subscriptions/s"]);
        let actions = role.pointer("/properties/permissions/0/actions").and_then(Value::as_array).expect("a list");
        assert_eq!(actions.len(), 4);
        assert!(!role.to_string().contains("delete\"") || role.to_string().contains("blobs/delete"));
        let mut names: Vec<_> = PERMISSIONS.iter().map(|permission| permission.name).collect();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), PERMISSIONS.len());
    }
}
