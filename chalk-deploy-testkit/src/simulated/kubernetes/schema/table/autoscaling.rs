//! Autoscalers.

use super::super::build::{INT32, INT64, QUANTITY, STRING, TIME, by, list};
use super::meta::{LABEL_SELECTOR, OBJECT_META};

objects! {
    CONTAINER_RESOURCE_METRIC_SOURCE "io.k8s.api.autoscaling.v2.ContainerResourceMetricSource" requires(["name", "target", "container"]) {
        container: STRING, name: STRING, target: METRIC_TARGET,
    }

    CONTAINER_RESOURCE_METRIC_STATUS "io.k8s.api.autoscaling.v2.ContainerResourceMetricStatus" requires(["name", "current", "container"]) {
        container: STRING, current: METRIC_VALUE_STATUS, name: STRING,
    }

    CROSS_VERSION_OBJECT_REFERENCE "io.k8s.api.autoscaling.v2.CrossVersionObjectReference" requires(["kind", "name"]) {
        apiVersion: STRING, kind: STRING, name: STRING,
    }

    EXTERNAL_METRIC_SOURCE "io.k8s.api.autoscaling.v2.ExternalMetricSource" requires(["metric", "target"]) {
        metric: METRIC_IDENTIFIER, target: METRIC_TARGET,
    }

    EXTERNAL_METRIC_STATUS "io.k8s.api.autoscaling.v2.ExternalMetricStatus" requires(["metric", "current"]) {
        current: METRIC_VALUE_STATUS, metric: METRIC_IDENTIFIER,
    }

    HPA_SCALING_POLICY "io.k8s.api.autoscaling.v2.HPAScalingPolicy" requires(["type", "value", "periodSeconds"]) {
        periodSeconds: INT32, type: STRING, value: INT32,
    }

    HPA_SCALING_RULES "io.k8s.api.autoscaling.v2.HPAScalingRules" {
        policies: list(&HPA_SCALING_POLICY), selectPolicy: STRING, stabilizationWindowSeconds: INT32,
        tolerance: QUANTITY,
    }

    HORIZONTAL_POD_AUTOSCALER "io.k8s.api.autoscaling.v2.HorizontalPodAutoscaler" requires(["spec"]) {
        apiVersion: STRING, kind: STRING, metadata: OBJECT_META, spec: HORIZONTAL_POD_AUTOSCALER_SPEC,
        status: HORIZONTAL_POD_AUTOSCALER_STATUS,
    }

    HORIZONTAL_POD_AUTOSCALER_BEHAVIOR "io.k8s.api.autoscaling.v2.HorizontalPodAutoscalerBehavior" {
        scaleDown: HPA_SCALING_RULES, scaleUp: HPA_SCALING_RULES,
    }

    HORIZONTAL_POD_AUTOSCALER_CONDITION "io.k8s.api.autoscaling.v2.HorizontalPodAutoscalerCondition" requires(["type", "status"]) {
        lastTransitionTime: TIME, message: STRING, reason: STRING, status: STRING, type: STRING,
    }

    HORIZONTAL_POD_AUTOSCALER_SPEC "io.k8s.api.autoscaling.v2.HorizontalPodAutoscalerSpec" requires(["scaleTargetRef", "maxReplicas"]) {
        behavior: HORIZONTAL_POD_AUTOSCALER_BEHAVIOR, maxReplicas: INT32, metrics: list(&METRIC_SPEC),
        minReplicas: INT32, scaleTargetRef: CROSS_VERSION_OBJECT_REFERENCE,
    }

    HORIZONTAL_POD_AUTOSCALER_STATUS "io.k8s.api.autoscaling.v2.HorizontalPodAutoscalerStatus" requires(["desiredReplicas"]) {
        conditions: by(&["type"], &HORIZONTAL_POD_AUTOSCALER_CONDITION), currentMetrics: list(&METRIC_STATUS),
        currentReplicas: INT32, desiredReplicas: INT32, lastScaleTime: TIME, observedGeneration: INT64,
    }

    METRIC_IDENTIFIER "io.k8s.api.autoscaling.v2.MetricIdentifier" requires(["name"]) {
        name: STRING, selector: LABEL_SELECTOR,
    }

    METRIC_SPEC "io.k8s.api.autoscaling.v2.MetricSpec" requires(["type"]) {
        containerResource: CONTAINER_RESOURCE_METRIC_SOURCE, external: EXTERNAL_METRIC_SOURCE,
        object: OBJECT_METRIC_SOURCE, pods: PODS_METRIC_SOURCE, resource: RESOURCE_METRIC_SOURCE, type: STRING,
    }

    METRIC_STATUS "io.k8s.api.autoscaling.v2.MetricStatus" requires(["type"]) {
        containerResource: CONTAINER_RESOURCE_METRIC_STATUS, external: EXTERNAL_METRIC_STATUS,
        object: OBJECT_METRIC_STATUS, pods: PODS_METRIC_STATUS, resource: RESOURCE_METRIC_STATUS, type: STRING,
    }

    METRIC_TARGET "io.k8s.api.autoscaling.v2.MetricTarget" requires(["type"]) {
        averageUtilization: INT32, averageValue: QUANTITY, type: STRING, value: QUANTITY,
    }

    METRIC_VALUE_STATUS "io.k8s.api.autoscaling.v2.MetricValueStatus" {
        averageUtilization: INT32, averageValue: QUANTITY, value: QUANTITY,
    }

    OBJECT_METRIC_SOURCE "io.k8s.api.autoscaling.v2.ObjectMetricSource" requires(["describedObject", "target", "metric"]) {
        describedObject: CROSS_VERSION_OBJECT_REFERENCE, metric: METRIC_IDENTIFIER, target: METRIC_TARGET,
    }

    OBJECT_METRIC_STATUS "io.k8s.api.autoscaling.v2.ObjectMetricStatus" requires(["metric", "current", "describedObject"]) {
        current: METRIC_VALUE_STATUS, describedObject: CROSS_VERSION_OBJECT_REFERENCE, metric: METRIC_IDENTIFIER,
    }

    PODS_METRIC_SOURCE "io.k8s.api.autoscaling.v2.PodsMetricSource" requires(["metric", "target"]) {
        metric: METRIC_IDENTIFIER, target: METRIC_TARGET,
    }

    PODS_METRIC_STATUS "io.k8s.api.autoscaling.v2.PodsMetricStatus" requires(["metric", "current"]) {
        current: METRIC_VALUE_STATUS, metric: METRIC_IDENTIFIER,
    }

    RESOURCE_METRIC_SOURCE "io.k8s.api.autoscaling.v2.ResourceMetricSource" requires(["name", "target"]) {
        name: STRING, target: METRIC_TARGET,
    }

    RESOURCE_METRIC_STATUS "io.k8s.api.autoscaling.v2.ResourceMetricStatus" requires(["name", "current"]) {
        current: METRIC_VALUE_STATUS, name: STRING,
    }
}
