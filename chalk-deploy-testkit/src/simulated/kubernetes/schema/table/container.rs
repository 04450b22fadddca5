//! Containers of pods.

use super::super::build::{BOOLEAN, INT_OR_STRING, INT32, INT64, QUANTITY, STRING, by, keyed, list, map, set};

objects! {
    APP_ARMOR_PROFILE "io.k8s.api.core.v1.AppArmorProfile" requires(["type"]) {
        localhostProfile: STRING, type: STRING,
    }

    CAPABILITIES "io.k8s.api.core.v1.Capabilities" {
        add: list(&STRING), drop: list(&STRING),
    }

    CONFIG_MAP_ENV_SOURCE "io.k8s.api.core.v1.ConfigMapEnvSource" {
        name: STRING, optional: BOOLEAN,
    }

    CONFIG_MAP_KEY_SELECTOR "io.k8s.api.core.v1.ConfigMapKeySelector" atomic() requires(["key"]) {
        key: STRING, name: STRING, optional: BOOLEAN,
    }

    CONTAINER "io.k8s.api.core.v1.Container" requires(["name"]) {
        args: list(&STRING), command: list(&STRING), env: by(&["name"], &ENV_VAR), envFrom: list(&ENV_FROM_SOURCE),
        image: STRING, imagePullPolicy: STRING, lifecycle: LIFECYCLE, livenessProbe: PROBE, name: STRING,
        ports: by(&["containerPort", "protocol"], &CONTAINER_PORT), readinessProbe: PROBE,
        resizePolicy: list(&CONTAINER_RESIZE_POLICY), resources: RESOURCE_REQUIREMENTS, restartPolicy: STRING,
        restartPolicyRules: list(&CONTAINER_RESTART_RULE), securityContext: SECURITY_CONTEXT, startupProbe: PROBE,
        stdin: BOOLEAN, stdinOnce: BOOLEAN, terminationMessagePath: STRING, terminationMessagePolicy: STRING,
        tty: BOOLEAN, volumeDevices: by(&["devicePath"], &VOLUME_DEVICE),
        volumeMounts: by(&["mountPath"], &VOLUME_MOUNT), workingDir: STRING,
    }

    CONTAINER_EXTENDED_RESOURCE_REQUEST "io.k8s.api.core.v1.ContainerExtendedResourceRequest" requires(["containerName", "resourceName", "requestName"]) {
        containerName: STRING, requestName: STRING, resourceName: STRING,
    }

    CONTAINER_PORT "io.k8s.api.core.v1.ContainerPort" requires(["containerPort"]) {
        containerPort: INT32, hostIP: STRING, hostPort: INT32, name: STRING, protocol: STRING => r#""TCP""#,
    }

    CONTAINER_RESIZE_POLICY "io.k8s.api.core.v1.ContainerResizePolicy" requires(["resourceName", "restartPolicy"]) {
        resourceName: STRING, restartPolicy: STRING,
    }

    CONTAINER_RESTART_RULE "io.k8s.api.core.v1.ContainerRestartRule" requires(["action"]) {
        action: STRING, exitCodes: CONTAINER_RESTART_RULE_ON_EXIT_CODES,
    }

    CONTAINER_RESTART_RULE_ON_EXIT_CODES "io.k8s.api.core.v1.ContainerRestartRuleOnExitCodes" requires(["operator"]) {
        operator: STRING, values: set(&INT32),
    }

    ENV_FROM_SOURCE "io.k8s.api.core.v1.EnvFromSource" {
        configMapRef: CONFIG_MAP_ENV_SOURCE, prefix: STRING, secretRef: SECRET_ENV_SOURCE,
    }

    ENV_VAR "io.k8s.api.core.v1.EnvVar" requires(["name"]) {
        name: STRING, value: STRING, valueFrom: ENV_VAR_SOURCE,
    }

    ENV_VAR_SOURCE "io.k8s.api.core.v1.EnvVarSource" {
        configMapKeyRef: CONFIG_MAP_KEY_SELECTOR, fieldRef: OBJECT_FIELD_SELECTOR, fileKeyRef: FILE_KEY_SELECTOR,
        resourceFieldRef: RESOURCE_FIELD_SELECTOR, secretKeyRef: SECRET_KEY_SELECTOR,
    }

    EPHEMERAL_CONTAINER "io.k8s.api.core.v1.EphemeralContainer" requires(["name"]) {
        args: list(&STRING), command: list(&STRING), env: by(&["name"], &ENV_VAR), envFrom: list(&ENV_FROM_SOURCE),
        image: STRING, imagePullPolicy: STRING, lifecycle: LIFECYCLE, livenessProbe: PROBE, name: STRING,
        ports: by(&["containerPort", "protocol"], &CONTAINER_PORT), readinessProbe: PROBE,
        resizePolicy: list(&CONTAINER_RESIZE_POLICY), resources: RESOURCE_REQUIREMENTS, restartPolicy: STRING,
        restartPolicyRules: list(&CONTAINER_RESTART_RULE), securityContext: SECURITY_CONTEXT, startupProbe: PROBE,
        stdin: BOOLEAN, stdinOnce: BOOLEAN, targetContainerName: STRING, terminationMessagePath: STRING,
        terminationMessagePolicy: STRING, tty: BOOLEAN, volumeDevices: by(&["devicePath"], &VOLUME_DEVICE),
        volumeMounts: by(&["mountPath"], &VOLUME_MOUNT), workingDir: STRING,
    }

    EXEC_ACTION "io.k8s.api.core.v1.ExecAction" {
        command: list(&STRING),
    }

    FILE_KEY_SELECTOR "io.k8s.api.core.v1.FileKeySelector" atomic() requires(["volumeName", "path", "key"]) {
        key: STRING, optional: BOOLEAN, path: STRING, volumeName: STRING,
    }

    GRPC_ACTION "io.k8s.api.core.v1.GRPCAction" requires(["port"]) {
        port: INT32, service: STRING,
    }

    HTTP_GET_ACTION "io.k8s.api.core.v1.HTTPGetAction" requires(["port"]) {
        host: STRING, httpHeaders: list(&HTTP_HEADER), path: STRING, port: INT_OR_STRING, scheme: STRING,
    }

    HTTP_HEADER "io.k8s.api.core.v1.HTTPHeader" requires(["name", "value"]) {
        name: STRING, value: STRING,
    }

    LIFECYCLE "io.k8s.api.core.v1.Lifecycle" {
        postStart: LIFECYCLE_HANDLER, preStop: LIFECYCLE_HANDLER, stopSignal: STRING,
    }

    LIFECYCLE_HANDLER "io.k8s.api.core.v1.LifecycleHandler" {
        exec: EXEC_ACTION, httpGet: HTTP_GET_ACTION, sleep: SLEEP_ACTION, tcpSocket: TCP_SOCKET_ACTION,
    }

    OBJECT_FIELD_SELECTOR "io.k8s.api.core.v1.ObjectFieldSelector" atomic() requires(["fieldPath"]) {
        apiVersion: STRING, fieldPath: STRING,
    }

    PROBE "io.k8s.api.core.v1.Probe" {
        exec: EXEC_ACTION, failureThreshold: INT32, grpc: GRPC_ACTION, httpGet: HTTP_GET_ACTION,
        initialDelaySeconds: INT32, periodSeconds: INT32, successThreshold: INT32, tcpSocket: TCP_SOCKET_ACTION,
        terminationGracePeriodSeconds: INT64, timeoutSeconds: INT32,
    }

    RESOURCE_CLAIM "io.k8s.api.core.v1.ResourceClaim" requires(["name"]) {
        name: STRING, request: STRING,
    }

    RESOURCE_FIELD_SELECTOR "io.k8s.api.core.v1.ResourceFieldSelector" atomic() requires(["resource"]) {
        containerName: STRING, divisor: QUANTITY, resource: STRING,
    }

    RESOURCE_REQUIREMENTS "io.k8s.api.core.v1.ResourceRequirements" {
        claims: keyed(&["name"], &RESOURCE_CLAIM), limits: map(&QUANTITY), requests: map(&QUANTITY),
    }

    SE_LINUX_OPTIONS "io.k8s.api.core.v1.SELinuxOptions" {
        level: STRING, role: STRING, type: STRING, user: STRING,
    }

    SECCOMP_PROFILE "io.k8s.api.core.v1.SeccompProfile" requires(["type"]) {
        localhostProfile: STRING, type: STRING,
    }

    SECRET_ENV_SOURCE "io.k8s.api.core.v1.SecretEnvSource" {
        name: STRING, optional: BOOLEAN,
    }

    SECRET_KEY_SELECTOR "io.k8s.api.core.v1.SecretKeySelector" atomic() requires(["key"]) {
        key: STRING, name: STRING, optional: BOOLEAN,
    }

    SECURITY_CONTEXT "io.k8s.api.core.v1.SecurityContext" {
        allowPrivilegeEscalation: BOOLEAN, appArmorProfile: APP_ARMOR_PROFILE, capabilities: CAPABILITIES,
        privileged: BOOLEAN, procMount: STRING, readOnlyRootFilesystem: BOOLEAN, runAsGroup: INT64,
        runAsNonRoot: BOOLEAN, runAsUser: INT64, seLinuxOptions: SE_LINUX_OPTIONS, seccompProfile: SECCOMP_PROFILE,
        windowsOptions: WINDOWS_SECURITY_CONTEXT_OPTIONS,
    }

    SLEEP_ACTION "io.k8s.api.core.v1.SleepAction" requires(["seconds"]) {
        seconds: INT64,
    }

    TCP_SOCKET_ACTION "io.k8s.api.core.v1.TCPSocketAction" requires(["port"]) {
        host: STRING, port: INT_OR_STRING,
    }

    VOLUME_DEVICE "io.k8s.api.core.v1.VolumeDevice" requires(["name", "devicePath"]) {
        devicePath: STRING, name: STRING,
    }

    VOLUME_MOUNT "io.k8s.api.core.v1.VolumeMount" requires(["name", "mountPath"]) {
        mountPath: STRING, mountPropagation: STRING, name: STRING, readOnly: BOOLEAN, recursiveReadOnly: STRING,
        subPath: STRING, subPathExpr: STRING,
    }

    WINDOWS_SECURITY_CONTEXT_OPTIONS "io.k8s.api.core.v1.WindowsSecurityContextOptions" {
        gmsaCredentialSpec: STRING, gmsaCredentialSpecName: STRING, hostProcess: BOOLEAN, runAsUserName: STRING,
    }
}
