//! Roles and their bindings.

use super::super::build::{STRING, list};
use super::meta::{LABEL_SELECTOR, OBJECT_META};

objects! {
    AGGREGATION_RULE "io.k8s.api.rbac.v1.AggregationRule" {
        clusterRoleSelectors: list(&LABEL_SELECTOR),
    }

    CLUSTER_ROLE "io.k8s.api.rbac.v1.ClusterRole" {
        aggregationRule: AGGREGATION_RULE, apiVersion: STRING, kind: STRING, metadata: OBJECT_META,
        rules: list(&POLICY_RULE),
    }

    CLUSTER_ROLE_BINDING "io.k8s.api.rbac.v1.ClusterRoleBinding" requires(["roleRef"]) {
        apiVersion: STRING, kind: STRING, metadata: OBJECT_META, roleRef: ROLE_REF, subjects: list(&SUBJECT),
    }

    POLICY_RULE "io.k8s.api.rbac.v1.PolicyRule" requires(["verbs"]) {
        apiGroups: list(&STRING), nonResourceURLs: list(&STRING), resourceNames: list(&STRING),
        resources: list(&STRING), verbs: list(&STRING),
    }

    ROLE "io.k8s.api.rbac.v1.Role" {
        apiVersion: STRING, kind: STRING, metadata: OBJECT_META, rules: list(&POLICY_RULE),
    }

    ROLE_BINDING "io.k8s.api.rbac.v1.RoleBinding" requires(["roleRef"]) {
        apiVersion: STRING, kind: STRING, metadata: OBJECT_META, roleRef: ROLE_REF, subjects: list(&SUBJECT),
    }

    ROLE_REF "io.k8s.api.rbac.v1.RoleRef" atomic() requires(["kind", "name"]) {
        apiGroup: STRING, kind: STRING, name: STRING,
    }

    SUBJECT "io.k8s.api.rbac.v1.Subject" atomic() requires(["kind", "name"]) {
        apiGroup: STRING, kind: STRING, name: STRING, namespace: STRING,
    }
}
