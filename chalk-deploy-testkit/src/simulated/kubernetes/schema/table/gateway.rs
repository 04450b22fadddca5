//! Gateways and their classes.

use super::super::build::{INT32, STRING, TIME, keyed, list, map, one_of, ranged, ranged_wide};
use super::meta::OBJECT_META;

objects! {
    GATEWAY_CLASS_SPEC_PARAMETERS_REF "" requires(["group", "kind", "name"]) {
        group: STRING, kind: STRING, name: STRING, namespace: STRING,
    }

    GATEWAY_CLASS_SPEC "" requires(["controllerName"]) {
        controllerName: STRING, description: STRING, parametersRef: GATEWAY_CLASS_SPEC_PARAMETERS_REF,
    }

    GATEWAY_CLASS_STATUS_CONDITION "" requires(["lastTransitionTime", "message", "reason", "status", "type"]) {
        lastTransitionTime: TIME, message: STRING, observedGeneration: ranged_wide(0, i64::MAX), reason: STRING,
        status: one_of(&["True", "False", "Unknown"]), type: STRING,
    }

    GATEWAY_CLASS_STATUS_SUPPORTED_FEATURE "" requires(["name"]) {
        name: STRING,
    }

    GATEWAY_CLASS_STATUS "" {
        conditions: keyed(&["type"], &GATEWAY_CLASS_STATUS_CONDITION) => r#"[{"lastTransitionTime":"1970-01-01T00:00:00Z","message":"Waiting for controller","reason":"Pending","status":"Unknown","type":"Accepted"}]"#,
        supportedFeatures: keyed(&["name"], &GATEWAY_CLASS_STATUS_SUPPORTED_FEATURE),
    }

    GATEWAY_CLASS "io.k8s.networking.gateway.v1.GatewayClass" requires(["spec"]) {
        apiVersion: STRING, kind: STRING, metadata: OBJECT_META, spec: GATEWAY_CLASS_SPEC,
        status: GATEWAY_CLASS_STATUS => r#"{"conditions":[{"lastTransitionTime":"1970-01-01T00:00:00Z","message":"Waiting for controller","reason":"Pending","status":"Unknown","type":"Accepted"}]}"#,
    }

    GATEWAY_SPEC_ADDRESS "" {
        type: STRING => r#""IPAddress""#, value: STRING,
    }

    ALLOWED_NAMESPACES_SELECTOR_MATCH_EXPRESSION "" requires(["key", "operator"]) {
        key: STRING, operator: STRING, values: list(&STRING),
    }

    ALLOWED_NAMESPACES_SELECTOR "" atomic() {
        matchExpressions: list(&ALLOWED_NAMESPACES_SELECTOR_MATCH_EXPRESSION),
        matchLabels: map(&STRING),
    }

    ALLOWED_NAMESPACES "" {
        from: one_of(&["All", "Selector", "Same", "None"]) => r#""None""#,
        selector: ALLOWED_NAMESPACES_SELECTOR,
    }

    GATEWAY_SPEC_ALLOWED_LISTENERS "" {
        namespaces: ALLOWED_NAMESPACES => r#"{"from":"None"}"#,
    }

    GATEWAY_SPEC_INFRASTRUCTURE_PARAMETERS_REF "" requires(["group", "kind", "name"]) {
        group: STRING, kind: STRING, name: STRING,
    }

    GATEWAY_SPEC_INFRASTRUCTURE "" {
        annotations: map(&STRING), labels: map(&STRING), parametersRef: GATEWAY_SPEC_INFRASTRUCTURE_PARAMETERS_REF,
    }

    GATEWAY_SPEC_LISTENER_ALLOWED_ROUTES_KIND "" requires(["kind"]) {
        group: STRING => r#""gateway.networking.k8s.io""#, kind: STRING,
    }

    GATEWAY_SPEC_LISTENER_ALLOWED_ROUTES_NAMESPACES "" {
        from: one_of(&["All", "Selector", "Same"]) => r#""Same""#,
        selector: ALLOWED_NAMESPACES_SELECTOR,
    }

    GATEWAY_SPEC_LISTENER_ALLOWED_ROUTES "" {
        kinds: list(&GATEWAY_SPEC_LISTENER_ALLOWED_ROUTES_KIND),
        namespaces: GATEWAY_SPEC_LISTENER_ALLOWED_ROUTES_NAMESPACES => r#"{"from":"Same"}"#,
    }

    GATEWAY_SPEC_LISTENER_TLS_CERTIFICATE_REF "" requires(["name"]) {
        group: STRING => r#""""#, kind: STRING => r#""Secret""#, name: STRING, namespace: STRING,
    }

    GATEWAY_SPEC_LISTENER_TLS "" {
        certificateRefs: list(&GATEWAY_SPEC_LISTENER_TLS_CERTIFICATE_REF),
        mode: one_of(&["Terminate", "Passthrough"]) => r#""Terminate""#, options: map(&STRING),
    }

    GATEWAY_SPEC_LISTENER "" requires(["name", "port", "protocol"]) {
        allowedRoutes: GATEWAY_SPEC_LISTENER_ALLOWED_ROUTES => r#"{"namespaces":{"from":"Same"}}"#, hostname: STRING,
        name: STRING, port: ranged(1, 65535), protocol: STRING, tls: GATEWAY_SPEC_LISTENER_TLS,
    }

    GATEWAY_SPEC_TLS_BACKEND "" {
        clientCertificateRef: GATEWAY_SPEC_LISTENER_TLS_CERTIFICATE_REF,
    }

    GATEWAY_SPEC_TLS_FRONTEND_DEFAULT_VALIDATION "" requires(["caCertificateRefs"]) {
        caCertificateRefs: list(&GATEWAY_CLASS_SPEC_PARAMETERS_REF),
        mode: one_of(&["AllowValidOnly", "AllowInsecureFallback"]) => r#""AllowValidOnly""#,
    }

    GATEWAY_SPEC_TLS_FRONTEND_DEFAULT "" {
        validation: GATEWAY_SPEC_TLS_FRONTEND_DEFAULT_VALIDATION,
    }

    GATEWAY_SPEC_TLS_FRONTEND_PER_PORT "" requires(["port", "tls"]) {
        port: ranged(1, 65535), tls: GATEWAY_SPEC_TLS_FRONTEND_DEFAULT,
    }

    GATEWAY_SPEC_TLS_FRONTEND "" requires(["default"]) {
        default: GATEWAY_SPEC_TLS_FRONTEND_DEFAULT, perPort: keyed(&["port"], &GATEWAY_SPEC_TLS_FRONTEND_PER_PORT),
    }

    GATEWAY_SPEC_TLS "" {
        backend: GATEWAY_SPEC_TLS_BACKEND, frontend: GATEWAY_SPEC_TLS_FRONTEND,
    }

    GATEWAY_SPEC "" requires(["gatewayClassName", "listeners"]) {
        addresses: list(&GATEWAY_SPEC_ADDRESS), allowedListeners: GATEWAY_SPEC_ALLOWED_LISTENERS,
        gatewayClassName: STRING, infrastructure: GATEWAY_SPEC_INFRASTRUCTURE,
        listeners: keyed(&["name"], &GATEWAY_SPEC_LISTENER), tls: GATEWAY_SPEC_TLS,
    }

    GATEWAY_STATUS_ADDRESS "" requires(["value"]) {
        type: STRING => r#""IPAddress""#, value: STRING,
    }

    GATEWAY_STATUS_LISTENER "" requires(["attachedRoutes", "conditions", "name"]) {
        attachedRoutes: INT32, conditions: keyed(&["type"], &GATEWAY_CLASS_STATUS_CONDITION), name: STRING,
        supportedKinds: list(&GATEWAY_SPEC_LISTENER_ALLOWED_ROUTES_KIND),
    }

    GATEWAY_STATUS "" {
        addresses: list(&GATEWAY_STATUS_ADDRESS), attachedListenerSets: INT32,
        conditions: keyed(&["type"], &GATEWAY_CLASS_STATUS_CONDITION) => r#"[{"lastTransitionTime":"1970-01-01T00:00:00Z","message":"Waiting for controller","reason":"Pending","status":"Unknown","type":"Accepted"},{"lastTransitionTime":"1970-01-01T00:00:00Z","message":"Waiting for controller","reason":"Pending","status":"Unknown","type":"Programmed"}]"#,
        listeners: keyed(&["name"], &GATEWAY_STATUS_LISTENER),
    }

    GATEWAY "io.k8s.networking.gateway.v1.Gateway" requires(["spec"]) {
        apiVersion: STRING, kind: STRING, metadata: OBJECT_META, spec: GATEWAY_SPEC,
        status: GATEWAY_STATUS => r#"{"conditions":[{"lastTransitionTime":"1970-01-01T00:00:00Z","message":"Waiting for controller","reason":"Pending","status":"Unknown","type":"Accepted"},{"lastTransitionTime":"1970-01-01T00:00:00Z","message":"Waiting for controller","reason":"Pending","status":"Unknown","type":"Programmed"}]}"#,
    }
}
