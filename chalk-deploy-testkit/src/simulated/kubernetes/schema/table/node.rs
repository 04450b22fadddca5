//! Nodes.

use super::super::build::{BOOLEAN, INT32, INT64, QUANTITY, STRING, TIME, by, list, map, merged_set};
use super::meta::OBJECT_META;

objects! {
    ATTACHED_VOLUME "io.k8s.api.core.v1.AttachedVolume" requires(["name", "devicePath"]) {
        devicePath: STRING, name: STRING,
    }

    CONFIG_MAP_NODE_CONFIG_SOURCE "io.k8s.api.core.v1.ConfigMapNodeConfigSource" requires(["namespace", "name", "kubeletConfigKey"]) {
        kubeletConfigKey: STRING, name: STRING, namespace: STRING, resourceVersion: STRING, uid: STRING,
    }

    CONTAINER_IMAGE "io.k8s.api.core.v1.ContainerImage" {
        names: list(&STRING), sizeBytes: INT64,
    }

    DAEMON_ENDPOINT "io.k8s.api.core.v1.DaemonEndpoint" requires(["Port"]) {
        Port: INT32,
    }

    NODE "io.k8s.api.core.v1.Node" {
        apiVersion: STRING, kind: STRING, metadata: OBJECT_META, spec: NODE_SPEC, status: NODE_STATUS,
    }

    NODE_ADDRESS "io.k8s.api.core.v1.NodeAddress" requires(["type", "address"]) {
        address: STRING, type: STRING,
    }

    NODE_CONDITION "io.k8s.api.core.v1.NodeCondition" requires(["type", "status"]) {
        lastHeartbeatTime: TIME, lastTransitionTime: TIME, message: STRING, reason: STRING, status: STRING,
        type: STRING,
    }

    NODE_CONFIG_SOURCE "io.k8s.api.core.v1.NodeConfigSource" {
        configMap: CONFIG_MAP_NODE_CONFIG_SOURCE,
    }

    NODE_CONFIG_STATUS "io.k8s.api.core.v1.NodeConfigStatus" {
        active: NODE_CONFIG_SOURCE, assigned: NODE_CONFIG_SOURCE, error: STRING, lastKnownGood: NODE_CONFIG_SOURCE,
    }

    NODE_DAEMON_ENDPOINTS "io.k8s.api.core.v1.NodeDaemonEndpoints" {
        kubeletEndpoint: DAEMON_ENDPOINT,
    }

    NODE_FEATURES "io.k8s.api.core.v1.NodeFeatures" {
        supplementalGroupsPolicy: BOOLEAN,
    }

    NODE_RUNTIME_HANDLER "io.k8s.api.core.v1.NodeRuntimeHandler" {
        features: NODE_RUNTIME_HANDLER_FEATURES, name: STRING,
    }

    NODE_RUNTIME_HANDLER_FEATURES "io.k8s.api.core.v1.NodeRuntimeHandlerFeatures" {
        recursiveReadOnlyMounts: BOOLEAN, userNamespaces: BOOLEAN,
    }

    NODE_SPEC "io.k8s.api.core.v1.NodeSpec" {
        configSource: NODE_CONFIG_SOURCE, externalID: STRING, podCIDR: STRING, podCIDRs: merged_set(&STRING),
        providerID: STRING, taints: list(&TAINT), unschedulable: BOOLEAN,
    }

    NODE_STATUS "io.k8s.api.core.v1.NodeStatus" {
        addresses: by(&["type"], &NODE_ADDRESS), allocatable: map(&QUANTITY), capacity: map(&QUANTITY),
        conditions: by(&["type"], &NODE_CONDITION), config: NODE_CONFIG_STATUS,
        daemonEndpoints: NODE_DAEMON_ENDPOINTS, declaredFeatures: list(&STRING), features: NODE_FEATURES,
        images: list(&CONTAINER_IMAGE), nodeInfo: NODE_SYSTEM_INFO, phase: STRING,
        runtimeHandlers: list(&NODE_RUNTIME_HANDLER), volumesAttached: list(&ATTACHED_VOLUME),
        volumesInUse: list(&STRING),
    }

    NODE_SWAP_STATUS "io.k8s.api.core.v1.NodeSwapStatus" {
        capacity: INT64,
    }

    NODE_SYSTEM_INFO "io.k8s.api.core.v1.NodeSystemInfo" requires(["machineID", "systemUUID", "bootID", "kernelVersion", "osImage", "containerRuntimeVersion", "kubeletVersion", "kubeProxyVersion", "operatingSystem", "architecture"]) {
        architecture: STRING, bootID: STRING, containerRuntimeVersion: STRING, kernelVersion: STRING,
        kubeProxyVersion: STRING, kubeletVersion: STRING, machineID: STRING, operatingSystem: STRING,
        osImage: STRING, swap: NODE_SWAP_STATUS, systemUUID: STRING,
    }

    TAINT "io.k8s.api.core.v1.Taint" requires(["key", "effect"]) {
        effect: STRING, key: STRING, timeAdded: TIME, value: STRING,
    }
}
