//! The smaller kinds of the core group.

use super::super::build::{BOOLEAN, BYTES, INT32, MICRO_TIME, QUANTITY, STRING, TIME, by, list, map};
use super::meta::OBJECT_META;
use super::pod::{LOCAL_OBJECT_REFERENCE, OBJECT_REFERENCE};

objects! {
    CONFIG_MAP "io.k8s.api.core.v1.ConfigMap" {
        apiVersion: STRING, binaryData: map(&BYTES), data: map(&STRING), immutable: BOOLEAN, kind: STRING,
        metadata: OBJECT_META,
    }

    EVENT "io.k8s.api.core.v1.Event" requires(["metadata", "involvedObject"]) {
        action: STRING, apiVersion: STRING, count: INT32, eventTime: MICRO_TIME, firstTimestamp: TIME,
        involvedObject: OBJECT_REFERENCE, kind: STRING, lastTimestamp: TIME, message: STRING, metadata: OBJECT_META,
        reason: STRING, related: OBJECT_REFERENCE, reportingComponent: STRING, reportingInstance: STRING,
        series: EVENT_SERIES, source: EVENT_SOURCE, type: STRING,
    }

    EVENT_SERIES "io.k8s.api.core.v1.EventSeries" {
        count: INT32, lastObservedTime: MICRO_TIME,
    }

    EVENT_SOURCE "io.k8s.api.core.v1.EventSource" {
        component: STRING, host: STRING,
    }

    NAMESPACE "io.k8s.api.core.v1.Namespace" {
        apiVersion: STRING, kind: STRING, metadata: OBJECT_META, spec: NAMESPACE_SPEC, status: NAMESPACE_STATUS,
    }

    NAMESPACE_CONDITION "io.k8s.api.core.v1.NamespaceCondition" requires(["type", "status"]) {
        lastTransitionTime: TIME, message: STRING, reason: STRING, status: STRING, type: STRING,
    }

    NAMESPACE_SPEC "io.k8s.api.core.v1.NamespaceSpec" {
        finalizers: list(&STRING),
    }

    NAMESPACE_STATUS "io.k8s.api.core.v1.NamespaceStatus" {
        conditions: by(&["type"], &NAMESPACE_CONDITION), phase: STRING,
    }

    RESOURCE_QUOTA "io.k8s.api.core.v1.ResourceQuota" {
        apiVersion: STRING, kind: STRING, metadata: OBJECT_META, spec: RESOURCE_QUOTA_SPEC,
        status: RESOURCE_QUOTA_STATUS,
    }

    RESOURCE_QUOTA_SPEC "io.k8s.api.core.v1.ResourceQuotaSpec" {
        hard: map(&QUANTITY), scopeSelector: SCOPE_SELECTOR, scopes: list(&STRING),
    }

    RESOURCE_QUOTA_STATUS "io.k8s.api.core.v1.ResourceQuotaStatus" {
        hard: map(&QUANTITY), used: map(&QUANTITY),
    }

    SCOPE_SELECTOR "io.k8s.api.core.v1.ScopeSelector" atomic() {
        matchExpressions: list(&SCOPED_RESOURCE_SELECTOR_REQUIREMENT),
    }

    SCOPED_RESOURCE_SELECTOR_REQUIREMENT "io.k8s.api.core.v1.ScopedResourceSelectorRequirement" requires(["scopeName", "operator"]) {
        operator: STRING, scopeName: STRING, values: list(&STRING),
    }

    SECRET "io.k8s.api.core.v1.Secret" {
        apiVersion: STRING, data: map(&BYTES), immutable: BOOLEAN, kind: STRING, metadata: OBJECT_META,
        stringData: map(&STRING), type: STRING,
    }

    SERVICE_ACCOUNT "io.k8s.api.core.v1.ServiceAccount" {
        apiVersion: STRING, automountServiceAccountToken: BOOLEAN, imagePullSecrets: list(&LOCAL_OBJECT_REFERENCE),
        kind: STRING, metadata: OBJECT_META, secrets: by(&["name"], &OBJECT_REFERENCE),
    }
}
