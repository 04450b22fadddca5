//! Pods: what became of them.

use super::super::build::{
    BOOLEAN, INT32, INT64, QUANTITY, STRING, TIME, by, by_retaining, keyed, list, map, merged_list, set,
};
use super::container::{CONTAINER_EXTENDED_RESOURCE_REQUEST, RESOURCE_REQUIREMENTS};

objects! {
    CONTAINER_STATE "io.k8s.api.core.v1.ContainerState" {
        running: CONTAINER_STATE_RUNNING, terminated: CONTAINER_STATE_TERMINATED, waiting: CONTAINER_STATE_WAITING,
    }

    CONTAINER_STATE_RUNNING "io.k8s.api.core.v1.ContainerStateRunning" {
        startedAt: TIME,
    }

    CONTAINER_STATE_TERMINATED "io.k8s.api.core.v1.ContainerStateTerminated" requires(["exitCode"]) {
        containerID: STRING, exitCode: INT32, finishedAt: TIME, message: STRING, reason: STRING, signal: INT32,
        startedAt: TIME,
    }

    CONTAINER_STATE_WAITING "io.k8s.api.core.v1.ContainerStateWaiting" {
        message: STRING, reason: STRING,
    }

    CONTAINER_STATUS "io.k8s.api.core.v1.ContainerStatus" requires(["name", "ready", "restartCount", "image", "imageID"]) {
        allocatedResources: map(&QUANTITY), allocatedResourcesStatus: by(&["name"], &RESOURCE_STATUS),
        containerID: STRING, image: STRING, imageID: STRING, lastState: CONTAINER_STATE, name: STRING,
        ready: BOOLEAN, resources: RESOURCE_REQUIREMENTS, restartCount: INT32, started: BOOLEAN,
        state: CONTAINER_STATE, stopSignal: STRING, user: CONTAINER_USER,
        volumeMounts: by(&["mountPath"], &VOLUME_MOUNT_STATUS),
    }

    CONTAINER_USER "io.k8s.api.core.v1.ContainerUser" {
        linux: LINUX_CONTAINER_USER,
    }

    HOST_IP "io.k8s.api.core.v1.HostIP" requires(["ip"]) {
        ip: STRING,
    }

    IMAGE_VOLUME_STATUS "io.k8s.api.core.v1.ImageVolumeStatus" requires(["imageRef"]) {
        imageRef: STRING,
    }

    LINUX_CONTAINER_USER "io.k8s.api.core.v1.LinuxContainerUser" requires(["uid", "gid"]) {
        gid: INT64, supplementalGroups: list(&INT64), uid: INT64,
    }

    NODE_ALLOCATABLE_RESOURCE_CLAIM_STATUS "io.k8s.api.core.v1.NodeAllocatableResourceClaimStatus" requires(["resourceClaimName", "resources"]) {
        containers: set(&STRING), resourceClaimName: STRING, resources: map(&QUANTITY),
    }

    POD_CONDITION "io.k8s.api.core.v1.PodCondition" requires(["type", "status"]) {
        lastProbeTime: TIME, lastTransitionTime: TIME, message: STRING, observedGeneration: INT64, reason: STRING,
        status: STRING, type: STRING,
    }

    POD_EXTENDED_RESOURCE_CLAIM_STATUS "io.k8s.api.core.v1.PodExtendedResourceClaimStatus" requires(["requestMappings", "resourceClaimName"]) {
        requestMappings: list(&CONTAINER_EXTENDED_RESOURCE_REQUEST), resourceClaimName: STRING,
    }

    POD_IP "io.k8s.api.core.v1.PodIP" requires(["ip"]) {
        ip: STRING,
    }

    POD_RESOURCE_CLAIM_STATUS "io.k8s.api.core.v1.PodResourceClaimStatus" requires(["name"]) {
        name: STRING, resourceClaimName: STRING,
    }

    POD_STATUS "io.k8s.api.core.v1.PodStatus" {
        allocatedResources: map(&QUANTITY), conditions: by(&["type"], &POD_CONDITION),
        containerStatuses: list(&CONTAINER_STATUS), ephemeralContainerStatuses: list(&CONTAINER_STATUS),
        extendedResourceClaimStatus: POD_EXTENDED_RESOURCE_CLAIM_STATUS, hostIP: STRING,
        hostIPs: merged_list("ip", &HOST_IP), initContainerStatuses: list(&CONTAINER_STATUS), message: STRING,
        nodeAllocatableResourceClaimStatuses: list(&NODE_ALLOCATABLE_RESOURCE_CLAIM_STATUS),
        nominatedNodeName: STRING, observedGeneration: INT64, phase: STRING, podIP: STRING,
        podIPs: by(&["ip"], &POD_IP), qosClass: STRING, reason: STRING, resize: STRING,
        resourceClaimStatuses: by_retaining(&["name"], &POD_RESOURCE_CLAIM_STATUS), resources: RESOURCE_REQUIREMENTS,
        startTime: TIME,
    }

    RESOURCE_HEALTH "io.k8s.api.core.v1.ResourceHealth" requires(["resourceID"]) {
        health: STRING, message: STRING, resourceID: STRING,
    }

    RESOURCE_STATUS "io.k8s.api.core.v1.ResourceStatus" requires(["name"]) {
        name: STRING, resources: keyed(&["resourceID"], &RESOURCE_HEALTH),
    }

    VOLUME_MOUNT_STATUS "io.k8s.api.core.v1.VolumeMountStatus" requires(["name", "mountPath"]) {
        mountPath: STRING, name: STRING, readOnly: BOOLEAN, recursiveReadOnly: STRING, volumeStatus: VOLUME_STATUS,
    }

    VOLUME_STATUS "io.k8s.api.core.v1.VolumeStatus" {
        image: IMAGE_VOLUME_STATUS,
    }
}
