//! KEDA's scalers.

use super::super::build::{BOOLEAN, INT_OR_STRING, INT32, STRING, TIME, list, map, one_of, ranged};
use super::meta::OBJECT_META;

objects! {
    SCALER_AUTOSCALER_BEHAVIOR_SCALE_DOWN_POLICY "" requires(["periodSeconds", "type", "value"]) {
        periodSeconds: INT32, type: STRING, value: INT32,
    }

    SCALER_AUTOSCALER_BEHAVIOR_SCALE_DOWN "" {
        policies: list(&SCALER_AUTOSCALER_BEHAVIOR_SCALE_DOWN_POLICY),
        selectPolicy: STRING, stabilizationWindowSeconds: INT32, tolerance: INT_OR_STRING,
    }

    SCALER_AUTOSCALER_BEHAVIOR "" {
        scaleDown: SCALER_AUTOSCALER_BEHAVIOR_SCALE_DOWN,
        scaleUp: SCALER_AUTOSCALER_BEHAVIOR_SCALE_DOWN,
    }

    SCALER_AUTOSCALER "" {
        behavior: SCALER_AUTOSCALER_BEHAVIOR, name: STRING,
    }

    SCALED_OBJECT_SPEC_ADVANCED_SCALING_MODIFIERS "" {
        activationTarget: STRING, formula: STRING, metricType: one_of(&["AverageValue", "Value"]), target: STRING,
    }

    SCALED_OBJECT_SPEC_ADVANCED "" {
        horizontalPodAutoscalerConfig: SCALER_AUTOSCALER,
        restoreToOriginalReplicaCount: BOOLEAN, scalingModifiers: SCALED_OBJECT_SPEC_ADVANCED_SCALING_MODIFIERS,
    }

    SCALED_OBJECT_SPEC_FALLBACK "" requires(["failureThreshold", "replicas"]) {
        behavior: one_of(&["static", "currentReplicas", "currentReplicasIfHigher", "currentReplicasIfLower", "scalingModifiers"]) => r#""static""#,
        failureThreshold: ranged(0, i32::MAX), replicas: ranged(0, i32::MAX),
    }

    SCALED_OBJECT_SPEC_SCALE_TARGET_REF "" requires(["name"]) {
        apiVersion: STRING, envSourceContainerName: STRING, kind: STRING, name: STRING,
    }

    SCALED_OBJECT_SPEC_TRIGGER_AUTHENTICATION_REF "" requires(["name"]) {
        kind: one_of(&["TriggerAuthentication", "ClusterTriggerAuthentication"]), name: STRING,
    }

    SCALED_OBJECT_SPEC_TRIGGER "" requires(["metadata", "type"]) {
        authenticationRef: SCALED_OBJECT_SPEC_TRIGGER_AUTHENTICATION_REF, metadata: map(&STRING), metricType: STRING,
        name: STRING, type: STRING, useCachedMetrics: BOOLEAN,
    }

    SCALED_OBJECT_SPEC "" requires(["scaleTargetRef", "triggers"]) {
        advanced: SCALED_OBJECT_SPEC_ADVANCED, cooldownPeriod: ranged(0, i32::MAX),
        fallback: SCALED_OBJECT_SPEC_FALLBACK, idleReplicaCount: ranged(0, i32::MAX),
        initialCooldownPeriod: ranged(0, i32::MAX), maxReplicaCount: INT32,
        minReplicaCount: ranged(0, i32::MAX), pollingInterval: ranged(1, i32::MAX),
        scaleTargetRef: SCALED_OBJECT_SPEC_SCALE_TARGET_REF, triggers: list(&SCALED_OBJECT_SPEC_TRIGGER),
    }

    SCALED_OBJECT_STATUS_CONDITION "" requires(["status", "type"]) {
        message: STRING, reason: STRING, status: STRING, type: STRING,
    }

    SCALED_OBJECT_STATUS_HEALTH "" {
        numberOfFailures: INT32, status: STRING,
    }

    SCALED_OBJECT_STATUS_SCALE_TARGET_GVKR "" requires(["group", "kind", "resource", "version"]) {
        group: STRING, kind: STRING, resource: STRING, version: STRING,
    }

    SCALED_OBJECT_STATUS_TRIGGERS_ACTIVITY "" {
        isActive: BOOLEAN,
    }

    SCALED_OBJECT_STATUS "" {
        authenticationsTypes: STRING, compositeScalerName: STRING, conditions: list(&SCALED_OBJECT_STATUS_CONDITION),
        externalMetricNames: list(&STRING), health: map(&SCALED_OBJECT_STATUS_HEALTH), hpaName: STRING,
        lastActiveTime: TIME, originalReplicaCount: INT32, pausedReplicaCount: INT32,
        resourceMetricNames: list(&STRING), scaleTargetGVKR: SCALED_OBJECT_STATUS_SCALE_TARGET_GVKR,
        scaleTargetKind: STRING, triggersActivity: map(&SCALED_OBJECT_STATUS_TRIGGERS_ACTIVITY),
        triggersTypes: STRING,
    }

    SCALED_OBJECT "sh.keda.v1alpha1.ScaledObject" requires(["spec"]) {
        apiVersion: STRING, kind: STRING, metadata: OBJECT_META, spec: SCALED_OBJECT_SPEC,
        status: SCALED_OBJECT_STATUS,
    }
}
