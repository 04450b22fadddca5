//! Jobs.

use super::super::build::{BOOLEAN, INT32, INT64, STRING, TIME, list, merged_list, set};
use super::meta::{LABEL_SELECTOR, OBJECT_META};
use super::pod::POD_TEMPLATE_SPEC;

objects! {
    JOB "io.k8s.api.batch.v1.Job" {
        apiVersion: STRING, kind: STRING, metadata: OBJECT_META, spec: JOB_SPEC, status: JOB_STATUS,
    }

    JOB_CONDITION "io.k8s.api.batch.v1.JobCondition" requires(["type", "status"]) {
        lastProbeTime: TIME, lastTransitionTime: TIME, message: STRING, reason: STRING, status: STRING, type: STRING,
    }

    JOB_SPEC "io.k8s.api.batch.v1.JobSpec" requires(["template"]) {
        activeDeadlineSeconds: INT64, backoffLimit: INT32, backoffLimitPerIndex: INT32, completionMode: STRING,
        completions: INT32, managedBy: STRING, manualSelector: BOOLEAN, maxFailedIndexes: INT32, parallelism: INT32,
        podFailurePolicy: POD_FAILURE_POLICY, podReplacementPolicy: STRING, selector: LABEL_SELECTOR,
        successPolicy: SUCCESS_POLICY, suspend: BOOLEAN, template: POD_TEMPLATE_SPEC, ttlSecondsAfterFinished: INT32,
    }

    JOB_STATUS "io.k8s.api.batch.v1.JobStatus" {
        active: INT32, completedIndexes: STRING, completionTime: TIME,
        conditions: merged_list("type", &JOB_CONDITION), failed: INT32, failedIndexes: STRING, ready: INT32,
        startTime: TIME, succeeded: INT32, terminating: INT32, uncountedTerminatedPods: UNCOUNTED_TERMINATED_PODS,
    }

    POD_FAILURE_POLICY "io.k8s.api.batch.v1.PodFailurePolicy" requires(["rules"]) {
        rules: list(&POD_FAILURE_POLICY_RULE),
    }

    POD_FAILURE_POLICY_ON_EXIT_CODES_REQUIREMENT "io.k8s.api.batch.v1.PodFailurePolicyOnExitCodesRequirement" requires(["operator", "values"]) {
        containerName: STRING, operator: STRING, values: set(&INT32),
    }

    POD_FAILURE_POLICY_ON_POD_CONDITIONS_PATTERN "io.k8s.api.batch.v1.PodFailurePolicyOnPodConditionsPattern" requires(["type"]) {
        status: STRING, type: STRING,
    }

    POD_FAILURE_POLICY_RULE "io.k8s.api.batch.v1.PodFailurePolicyRule" requires(["action"]) {
        action: STRING, onExitCodes: POD_FAILURE_POLICY_ON_EXIT_CODES_REQUIREMENT,
        onPodConditions: list(&POD_FAILURE_POLICY_ON_POD_CONDITIONS_PATTERN),
    }

    SUCCESS_POLICY "io.k8s.api.batch.v1.SuccessPolicy" requires(["rules"]) {
        rules: list(&SUCCESS_POLICY_RULE),
    }

    SUCCESS_POLICY_RULE "io.k8s.api.batch.v1.SuccessPolicyRule" {
        succeededCount: INT32, succeededIndexes: STRING,
    }

    UNCOUNTED_TERMINATED_PODS "io.k8s.api.batch.v1.UncountedTerminatedPods" {
        failed: set(&STRING), succeeded: set(&STRING),
    }
}
