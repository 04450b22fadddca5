//! Deployments and replica sets.

use super::super::build::{BOOLEAN, INT_OR_STRING, INT32, INT64, STRING, TIME, by};
use super::meta::{LABEL_SELECTOR, OBJECT_META};
use super::pod::POD_TEMPLATE_SPEC;

objects! {
    DEPLOYMENT "io.k8s.api.apps.v1.Deployment" {
        apiVersion: STRING, kind: STRING, metadata: OBJECT_META, spec: DEPLOYMENT_SPEC, status: DEPLOYMENT_STATUS,
    }

    DEPLOYMENT_CONDITION "io.k8s.api.apps.v1.DeploymentCondition" requires(["type", "status"]) {
        lastTransitionTime: TIME, lastUpdateTime: TIME, message: STRING, reason: STRING, status: STRING,
        type: STRING,
    }

    DEPLOYMENT_SPEC "io.k8s.api.apps.v1.DeploymentSpec" requires(["selector", "template"]) {
        minReadySeconds: INT32, paused: BOOLEAN, progressDeadlineSeconds: INT32, replicas: INT32,
        revisionHistoryLimit: INT32, selector: LABEL_SELECTOR, strategy: DEPLOYMENT_STRATEGY,
        template: POD_TEMPLATE_SPEC,
    }

    DEPLOYMENT_STATUS "io.k8s.api.apps.v1.DeploymentStatus" {
        availableReplicas: INT32, collisionCount: INT32, conditions: by(&["type"], &DEPLOYMENT_CONDITION),
        observedGeneration: INT64, readyReplicas: INT32, replicas: INT32, terminatingReplicas: INT32,
        unavailableReplicas: INT32, updatedReplicas: INT32,
    }

    DEPLOYMENT_STRATEGY "io.k8s.api.apps.v1.DeploymentStrategy" retain_keys() {
        rollingUpdate: ROLLING_UPDATE_DEPLOYMENT, type: STRING,
    }

    REPLICA_SET "io.k8s.api.apps.v1.ReplicaSet" {
        apiVersion: STRING, kind: STRING, metadata: OBJECT_META, spec: REPLICA_SET_SPEC, status: REPLICA_SET_STATUS,
    }

    REPLICA_SET_CONDITION "io.k8s.api.apps.v1.ReplicaSetCondition" requires(["type", "status"]) {
        lastTransitionTime: TIME, message: STRING, reason: STRING, status: STRING, type: STRING,
    }

    REPLICA_SET_SPEC "io.k8s.api.apps.v1.ReplicaSetSpec" requires(["selector"]) {
        minReadySeconds: INT32, replicas: INT32, selector: LABEL_SELECTOR, template: POD_TEMPLATE_SPEC,
    }

    REPLICA_SET_STATUS "io.k8s.api.apps.v1.ReplicaSetStatus" requires(["replicas"]) {
        availableReplicas: INT32, conditions: by(&["type"], &REPLICA_SET_CONDITION), fullyLabeledReplicas: INT32,
        observedGeneration: INT64, readyReplicas: INT32, replicas: INT32, terminatingReplicas: INT32,
    }

    ROLLING_UPDATE_DEPLOYMENT "io.k8s.api.apps.v1.RollingUpdateDeployment" {
        maxSurge: INT_OR_STRING, maxUnavailable: INT_OR_STRING,
    }
}
