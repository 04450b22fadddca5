//! What every object carries.

use super::super::build::{ANY, BOOLEAN, INT64, STRING, TIME, by, list, map, merged_set};

objects! {
    CONDITION "io.k8s.apimachinery.pkg.apis.meta.v1.Condition" requires(["type", "status", "lastTransitionTime", "reason", "message"]) {
        lastTransitionTime: TIME, message: STRING, observedGeneration: INT64, reason: STRING, status: STRING,
        type: STRING,
    }

    LABEL_SELECTOR "io.k8s.apimachinery.pkg.apis.meta.v1.LabelSelector" atomic() {
        matchExpressions: list(&LABEL_SELECTOR_REQUIREMENT), matchLabels: map(&STRING),
    }

    LABEL_SELECTOR_REQUIREMENT "io.k8s.apimachinery.pkg.apis.meta.v1.LabelSelectorRequirement" requires(["key", "operator"]) {
        key: STRING, operator: STRING, values: list(&STRING),
    }

    MANAGED_FIELDS_ENTRY "io.k8s.apimachinery.pkg.apis.meta.v1.ManagedFieldsEntry" {
        apiVersion: STRING, fieldsType: STRING, fieldsV1: ANY, manager: STRING, operation: STRING,
        subresource: STRING, time: TIME,
    }

    OBJECT_META "io.k8s.apimachinery.pkg.apis.meta.v1.ObjectMeta" {
        annotations: map(&STRING), creationTimestamp: TIME, deletionGracePeriodSeconds: INT64,
        deletionTimestamp: TIME, finalizers: merged_set(&STRING), generateName: STRING, generation: INT64,
        labels: map(&STRING), managedFields: list(&MANAGED_FIELDS_ENTRY), name: STRING, namespace: STRING,
        ownerReferences: by(&["uid"], &OWNER_REFERENCE), resourceVersion: STRING, selfLink: STRING, uid: STRING,
    }

    OWNER_REFERENCE "io.k8s.apimachinery.pkg.apis.meta.v1.OwnerReference" atomic() requires(["apiVersion", "kind", "name", "uid"]) {
        apiVersion: STRING, blockOwnerDeletion: BOOLEAN, controller: BOOLEAN, kind: STRING, name: STRING,
        uid: STRING,
    }
}
