//! Routes of HTTP.

use super::super::build::{BOOLEAN, INT64, STRING, TIME, keyed, list, one_of, ranged, ranged_wide, set};
use super::meta::OBJECT_META;

objects! {
    HTTP_ROUTE_SPEC_PARENT_REF "" requires(["name"]) {
        group: STRING => r#""gateway.networking.k8s.io""#, kind: STRING => r#""Gateway""#, name: STRING,
        namespace: STRING, port: ranged(1, 65535), sectionName: STRING,
    }

    HTTP_ROUTE_FILTER_CORS "" {
        allowCredentials: BOOLEAN, allowHeaders: set(&STRING),
        allowMethods: set(&one_of(&["GET", "HEAD", "POST", "PUT", "DELETE", "CONNECT", "OPTIONS", "TRACE", "PATCH", "*"])),
        allowOrigins: set(&STRING), exposeHeaders: set(&STRING), maxAge: ranged(1, i32::MAX) => "5",
    }

    HTTP_ROUTE_FILTER_EXTENSION_REF "" requires(["group", "kind", "name"]) {
        group: STRING, kind: STRING, name: STRING,
    }

    HTTP_ROUTE_FILTER_REQUEST_HEADER_MODIFIER_ADD "" requires(["name", "value"]) {
        name: STRING, value: STRING,
    }

    HTTP_ROUTE_FILTER_REQUEST_HEADER_MODIFIER "" {
        add: keyed(&["name"], &HTTP_ROUTE_FILTER_REQUEST_HEADER_MODIFIER_ADD),
        remove: set(&STRING),
        set: keyed(&["name"], &HTTP_ROUTE_FILTER_REQUEST_HEADER_MODIFIER_ADD),
    }

    HTTP_ROUTE_FILTER_REQUEST_MIRROR_BACKEND_REF "" requires(["name"]) {
        group: STRING => r#""""#, kind: STRING => r#""Service""#, name: STRING, namespace: STRING,
        port: ranged(1, 65535),
    }

    HTTP_ROUTE_FILTER_REQUEST_MIRROR_FRACTION "" requires(["numerator"]) {
        denominator: ranged(1, i32::MAX) => "100", numerator: ranged(0, i32::MAX),
    }

    HTTP_ROUTE_FILTER_REQUEST_MIRROR "" requires(["backendRef"]) {
        backendRef: HTTP_ROUTE_FILTER_REQUEST_MIRROR_BACKEND_REF,
        fraction: HTTP_ROUTE_FILTER_REQUEST_MIRROR_FRACTION, percent: ranged(0, 100),
    }

    HTTP_ROUTE_FILTER_REQUEST_REDIRECT_PATH "" requires(["type"]) {
        replaceFullPath: STRING, replacePrefixMatch: STRING,
        type: one_of(&["ReplaceFullPath", "ReplacePrefixMatch"]),
    }

    HTTP_ROUTE_FILTER_REQUEST_REDIRECT "" {
        hostname: STRING, path: HTTP_ROUTE_FILTER_REQUEST_REDIRECT_PATH,
        port: ranged(1, 65535), scheme: one_of(&["http", "https"]), statusCode: INT64 => "302",
    }

    HTTP_ROUTE_FILTER_URL_REWRITE "" {
        hostname: STRING, path: HTTP_ROUTE_FILTER_REQUEST_REDIRECT_PATH,
    }

    HTTP_ROUTE_FILTER "" requires(["type"]) {
        cors: HTTP_ROUTE_FILTER_CORS,
        extensionRef: HTTP_ROUTE_FILTER_EXTENSION_REF,
        requestHeaderModifier: HTTP_ROUTE_FILTER_REQUEST_HEADER_MODIFIER,
        requestMirror: HTTP_ROUTE_FILTER_REQUEST_MIRROR,
        requestRedirect: HTTP_ROUTE_FILTER_REQUEST_REDIRECT,
        responseHeaderModifier: HTTP_ROUTE_FILTER_REQUEST_HEADER_MODIFIER,
        type: one_of(&["RequestHeaderModifier", "ResponseHeaderModifier", "RequestMirror", "RequestRedirect", "URLRewrite", "ExtensionRef", "CORS"]),
        urlRewrite: HTTP_ROUTE_FILTER_URL_REWRITE,
    }

    HTTP_ROUTE_RULE_BACKEND_REF "" requires(["name"]) {
        filters: list(&HTTP_ROUTE_FILTER), group: STRING => r#""""#,
        kind: STRING => r#""Service""#, name: STRING, namespace: STRING, port: ranged(1, 65535),
        weight: ranged(0, 1_000_000) => "1",
    }

    HTTP_ROUTE_RULE_MATCH_HEADER "" requires(["name", "value"]) {
        name: STRING, type: one_of(&["Exact", "RegularExpression"]) => r#""Exact""#, value: STRING,
    }

    HTTP_ROUTE_RULE_MATCH_PATH "" {
        type: one_of(&["Exact", "PathPrefix", "RegularExpression"]) => r#""PathPrefix""#, value: STRING => r#""/""#,
    }

    HTTP_ROUTE_RULE_MATCH "" {
        headers: keyed(&["name"], &HTTP_ROUTE_RULE_MATCH_HEADER),
        method: one_of(&["GET", "HEAD", "POST", "PUT", "DELETE", "CONNECT", "OPTIONS", "TRACE", "PATCH"]),
        path: HTTP_ROUTE_RULE_MATCH_PATH => r#"{"type":"PathPrefix","value":"/"}"#,
        queryParams: keyed(&["name"], &HTTP_ROUTE_RULE_MATCH_HEADER),
    }

    HTTP_ROUTE_RULE_TIMEOUTS "" {
        backendRequest: STRING, request: STRING,
    }

    HTTP_ROUTE_RULE "" {
        backendRefs: list(&HTTP_ROUTE_RULE_BACKEND_REF),
        filters: list(&HTTP_ROUTE_FILTER),
        matches: list(&HTTP_ROUTE_RULE_MATCH) => r#"[{"path":{"type":"PathPrefix","value":"/"}}]"#,
        name: STRING, timeouts: HTTP_ROUTE_RULE_TIMEOUTS,
    }

    HTTP_ROUTE_SPEC "" {
        hostnames: list(&STRING), parentRefs: list(&HTTP_ROUTE_SPEC_PARENT_REF),
        rules: list(&HTTP_ROUTE_RULE) => r#"[{"matches":[{"path":{"type":"PathPrefix","value":"/"}}]}]"#,
    }

    HTTP_ROUTE_STATUS_PARENT_CONDITION "" requires(["lastTransitionTime", "message", "reason", "status", "type"]) {
        lastTransitionTime: TIME, message: STRING, observedGeneration: ranged_wide(0, i64::MAX), reason: STRING,
        status: one_of(&["True", "False", "Unknown"]), type: STRING,
    }

    HTTP_ROUTE_STATUS_PARENT "" requires(["conditions", "controllerName", "parentRef"]) {
        conditions: keyed(&["type"], &HTTP_ROUTE_STATUS_PARENT_CONDITION), controllerName: STRING,
        parentRef: HTTP_ROUTE_SPEC_PARENT_REF,
    }

    HTTP_ROUTE_STATUS "" requires(["parents"]) {
        parents: list(&HTTP_ROUTE_STATUS_PARENT),
    }

    HTTP_ROUTE "io.k8s.networking.gateway.v1.HTTPRoute" requires(["spec"]) {
        apiVersion: STRING, kind: STRING, metadata: OBJECT_META, spec: HTTP_ROUTE_SPEC, status: HTTP_ROUTE_STATUS,
    }
}
