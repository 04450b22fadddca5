//! Endpoint slices.

use super::super::build::{BOOLEAN, INT32, STRING, list, map, set};
use super::meta::OBJECT_META;
use super::pod::OBJECT_REFERENCE;

objects! {
    ENDPOINT "io.k8s.api.discovery.v1.Endpoint" requires(["addresses"]) {
        addresses: set(&STRING), conditions: ENDPOINT_CONDITIONS, deprecatedTopology: map(&STRING),
        hints: ENDPOINT_HINTS, hostname: STRING, nodeName: STRING, targetRef: OBJECT_REFERENCE, zone: STRING,
    }

    ENDPOINT_CONDITIONS "io.k8s.api.discovery.v1.EndpointConditions" {
        ready: BOOLEAN, serving: BOOLEAN, terminating: BOOLEAN,
    }

    ENDPOINT_HINTS "io.k8s.api.discovery.v1.EndpointHints" {
        forNodes: list(&FOR_NODE), forZones: list(&FOR_ZONE),
    }

    ENDPOINT_PORT "io.k8s.api.discovery.v1.EndpointPort" atomic() {
        appProtocol: STRING, name: STRING, port: INT32, protocol: STRING,
    }

    ENDPOINT_SLICE "io.k8s.api.discovery.v1.EndpointSlice" requires(["addressType"]) {
        addressType: STRING, apiVersion: STRING, endpoints: list(&ENDPOINT), kind: STRING, metadata: OBJECT_META,
        ports: list(&ENDPOINT_PORT),
    }

    FOR_NODE "io.k8s.api.discovery.v1.ForNode" requires(["name"]) {
        name: STRING,
    }

    FOR_ZONE "io.k8s.api.discovery.v1.ForZone" requires(["name"]) {
        name: STRING,
    }
}
