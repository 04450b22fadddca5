//! Pods: what is asked for.

use super::super::build::{BOOLEAN, INT32, INT64, QUANTITY, STRING, atomic_map, by, by_retaining, list, map};
use super::container::{
    APP_ARMOR_PROFILE, CONTAINER, EPHEMERAL_CONTAINER, RESOURCE_REQUIREMENTS, SE_LINUX_OPTIONS, SECCOMP_PROFILE,
    WINDOWS_SECURITY_CONTEXT_OPTIONS,
};
use super::meta::{LABEL_SELECTOR, OBJECT_META};
use super::pod_status::POD_STATUS;
use super::volume::VOLUME;

objects! {
    AFFINITY "io.k8s.api.core.v1.Affinity" {
        nodeAffinity: NODE_AFFINITY, podAffinity: POD_AFFINITY, podAntiAffinity: POD_ANTI_AFFINITY,
    }

    HOST_ALIAS "io.k8s.api.core.v1.HostAlias" requires(["ip"]) {
        hostnames: list(&STRING), ip: STRING,
    }

    LOCAL_OBJECT_REFERENCE "io.k8s.api.core.v1.LocalObjectReference" atomic() {
        name: STRING,
    }

    NODE_AFFINITY "io.k8s.api.core.v1.NodeAffinity" {
        preferredDuringSchedulingIgnoredDuringExecution: list(&PREFERRED_SCHEDULING_TERM),
        requiredDuringSchedulingIgnoredDuringExecution: NODE_SELECTOR,
    }

    NODE_SELECTOR "io.k8s.api.core.v1.NodeSelector" atomic() requires(["nodeSelectorTerms"]) {
        nodeSelectorTerms: list(&NODE_SELECTOR_TERM),
    }

    NODE_SELECTOR_REQUIREMENT "io.k8s.api.core.v1.NodeSelectorRequirement" requires(["key", "operator"]) {
        key: STRING, operator: STRING, values: list(&STRING),
    }

    NODE_SELECTOR_TERM "io.k8s.api.core.v1.NodeSelectorTerm" atomic() {
        matchExpressions: list(&NODE_SELECTOR_REQUIREMENT), matchFields: list(&NODE_SELECTOR_REQUIREMENT),
    }

    OBJECT_REFERENCE "io.k8s.api.core.v1.ObjectReference" atomic() {
        apiVersion: STRING, fieldPath: STRING, kind: STRING, name: STRING, namespace: STRING,
        resourceVersion: STRING, uid: STRING,
    }

    POD "io.k8s.api.core.v1.Pod" {
        apiVersion: STRING, kind: STRING, metadata: OBJECT_META, spec: POD_SPEC, status: POD_STATUS,
    }

    POD_AFFINITY "io.k8s.api.core.v1.PodAffinity" {
        preferredDuringSchedulingIgnoredDuringExecution: list(&WEIGHTED_POD_AFFINITY_TERM),
        requiredDuringSchedulingIgnoredDuringExecution: list(&POD_AFFINITY_TERM),
    }

    POD_AFFINITY_TERM "io.k8s.api.core.v1.PodAffinityTerm" requires(["topologyKey"]) {
        labelSelector: LABEL_SELECTOR, matchLabelKeys: list(&STRING), mismatchLabelKeys: list(&STRING),
        namespaceSelector: LABEL_SELECTOR, namespaces: list(&STRING), topologyKey: STRING,
    }

    POD_ANTI_AFFINITY "io.k8s.api.core.v1.PodAntiAffinity" {
        preferredDuringSchedulingIgnoredDuringExecution: list(&WEIGHTED_POD_AFFINITY_TERM),
        requiredDuringSchedulingIgnoredDuringExecution: list(&POD_AFFINITY_TERM),
    }

    POD_DNS_CONFIG "io.k8s.api.core.v1.PodDNSConfig" {
        nameservers: list(&STRING), options: list(&POD_DNS_CONFIG_OPTION), searches: list(&STRING),
    }

    POD_DNS_CONFIG_OPTION "io.k8s.api.core.v1.PodDNSConfigOption" {
        name: STRING, value: STRING,
    }

    POD_OS "io.k8s.api.core.v1.PodOS" requires(["name"]) {
        name: STRING,
    }

    POD_READINESS_GATE "io.k8s.api.core.v1.PodReadinessGate" requires(["conditionType"]) {
        conditionType: STRING,
    }

    POD_RESOURCE_CLAIM "io.k8s.api.core.v1.PodResourceClaim" requires(["name"]) {
        name: STRING, resourceClaimName: STRING, resourceClaimTemplateName: STRING,
    }

    POD_SCHEDULING_GATE "io.k8s.api.core.v1.PodSchedulingGate" requires(["name"]) {
        name: STRING,
    }

    POD_SCHEDULING_GROUP "io.k8s.api.core.v1.PodSchedulingGroup" {
        podGroupName: STRING,
    }

    POD_SECURITY_CONTEXT "io.k8s.api.core.v1.PodSecurityContext" {
        appArmorProfile: APP_ARMOR_PROFILE, fsGroup: INT64, fsGroupChangePolicy: STRING, runAsGroup: INT64,
        runAsNonRoot: BOOLEAN, runAsUser: INT64, seLinuxChangePolicy: STRING, seLinuxOptions: SE_LINUX_OPTIONS,
        seccompProfile: SECCOMP_PROFILE, supplementalGroups: list(&INT64), supplementalGroupsPolicy: STRING,
        sysctls: list(&SYSCTL), windowsOptions: WINDOWS_SECURITY_CONTEXT_OPTIONS,
    }

    POD_SPEC "io.k8s.api.core.v1.PodSpec" requires(["containers"]) {
        activeDeadlineSeconds: INT64, affinity: AFFINITY, automountServiceAccountToken: BOOLEAN,
        containers: by(&["name"], &CONTAINER), dnsConfig: POD_DNS_CONFIG, dnsPolicy: STRING,
        enableServiceLinks: BOOLEAN, ephemeralContainers: by(&["name"], &EPHEMERAL_CONTAINER),
        hostAliases: by(&["ip"], &HOST_ALIAS), hostIPC: BOOLEAN, hostNetwork: BOOLEAN, hostPID: BOOLEAN,
        hostUsers: BOOLEAN, hostname: STRING, hostnameOverride: STRING,
        imagePullSecrets: by(&["name"], &LOCAL_OBJECT_REFERENCE), initContainers: by(&["name"], &CONTAINER),
        nodeName: STRING, nodeSelector: atomic_map(&STRING), os: POD_OS, overhead: map(&QUANTITY),
        preemptionPolicy: STRING, priority: INT32, priorityClassName: STRING,
        readinessGates: list(&POD_READINESS_GATE), resourceClaims: by_retaining(&["name"], &POD_RESOURCE_CLAIM),
        resources: RESOURCE_REQUIREMENTS, restartPolicy: STRING, runtimeClassName: STRING, schedulerName: STRING,
        schedulingGates: by(&["name"], &POD_SCHEDULING_GATE), schedulingGroup: POD_SCHEDULING_GROUP,
        securityContext: POD_SECURITY_CONTEXT, serviceAccount: STRING, serviceAccountName: STRING,
        setHostnameAsFQDN: BOOLEAN, shareProcessNamespace: BOOLEAN, subdomain: STRING,
        terminationGracePeriodSeconds: INT64, tolerations: list(&TOLERATION),
        topologySpreadConstraints: by(&["topologyKey", "whenUnsatisfiable"], &TOPOLOGY_SPREAD_CONSTRAINT),
        volumes: by_retaining(&["name"], &VOLUME),
    }

    POD_TEMPLATE_SPEC "io.k8s.api.core.v1.PodTemplateSpec" {
        metadata: OBJECT_META, spec: POD_SPEC,
    }

    PREFERRED_SCHEDULING_TERM "io.k8s.api.core.v1.PreferredSchedulingTerm" requires(["weight", "preference"]) {
        preference: NODE_SELECTOR_TERM, weight: INT32,
    }

    SYSCTL "io.k8s.api.core.v1.Sysctl" requires(["name", "value"]) {
        name: STRING, value: STRING,
    }

    TOLERATION "io.k8s.api.core.v1.Toleration" {
        effect: STRING, key: STRING, operator: STRING, tolerationSeconds: INT64, value: STRING,
    }

    TOPOLOGY_SPREAD_CONSTRAINT "io.k8s.api.core.v1.TopologySpreadConstraint" requires(["maxSkew", "topologyKey", "whenUnsatisfiable"]) {
        labelSelector: LABEL_SELECTOR, matchLabelKeys: list(&STRING), maxSkew: INT32, minDomains: INT32,
        nodeAffinityPolicy: STRING, nodeTaintsPolicy: STRING, topologyKey: STRING, whenUnsatisfiable: STRING,
    }

    WEIGHTED_POD_AFFINITY_TERM "io.k8s.api.core.v1.WeightedPodAffinityTerm" requires(["weight", "podAffinityTerm"]) {
        podAffinityTerm: POD_AFFINITY_TERM, weight: INT32,
    }
}
