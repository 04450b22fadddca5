//! Services.

use super::super::build::{BOOLEAN, INT_OR_STRING, INT32, STRING, atomic_map, by, list};
use super::meta::{CONDITION, OBJECT_META};

objects! {
    CLIENT_IP_CONFIG "io.k8s.api.core.v1.ClientIPConfig" {
        timeoutSeconds: INT32,
    }

    LOAD_BALANCER_INGRESS "io.k8s.api.core.v1.LoadBalancerIngress" {
        hostname: STRING, ip: STRING, ipMode: STRING, ports: list(&PORT_STATUS),
    }

    LOAD_BALANCER_STATUS "io.k8s.api.core.v1.LoadBalancerStatus" {
        ingress: list(&LOAD_BALANCER_INGRESS),
    }

    PORT_STATUS "io.k8s.api.core.v1.PortStatus" requires(["port", "protocol"]) {
        error: STRING, port: INT32, protocol: STRING,
    }

    SERVICE "io.k8s.api.core.v1.Service" {
        apiVersion: STRING, kind: STRING, metadata: OBJECT_META, spec: SERVICE_SPEC, status: SERVICE_STATUS,
    }

    SERVICE_PORT "io.k8s.api.core.v1.ServicePort" requires(["port"]) {
        appProtocol: STRING, name: STRING, nodePort: INT32, port: INT32, protocol: STRING => r#""TCP""#,
        targetPort: INT_OR_STRING,
    }

    SERVICE_SPEC "io.k8s.api.core.v1.ServiceSpec" {
        allocateLoadBalancerNodePorts: BOOLEAN, clusterIP: STRING, clusterIPs: list(&STRING),
        externalIPs: list(&STRING), externalName: STRING, externalTrafficPolicy: STRING, healthCheckNodePort: INT32,
        internalTrafficPolicy: STRING, ipFamilies: list(&STRING), ipFamilyPolicy: STRING, loadBalancerClass: STRING,
        loadBalancerIP: STRING, loadBalancerSourceRanges: list(&STRING),
        ports: by(&["port", "protocol"], &SERVICE_PORT), publishNotReadyAddresses: BOOLEAN,
        selector: atomic_map(&STRING), sessionAffinity: STRING, sessionAffinityConfig: SESSION_AFFINITY_CONFIG,
        trafficDistribution: STRING, type: STRING,
    }

    SERVICE_STATUS "io.k8s.api.core.v1.ServiceStatus" {
        conditions: by(&["type"], &CONDITION), loadBalancer: LOAD_BALANCER_STATUS,
    }

    SESSION_AFFINITY_CONFIG "io.k8s.api.core.v1.SessionAffinityConfig" {
        clientIP: CLIENT_IP_CONFIG,
    }
}
