//! Volumes of pods.

use super::super::build::{BOOLEAN, INT32, INT64, QUANTITY, STRING, list, map};
use super::container::{OBJECT_FIELD_SELECTOR, RESOURCE_FIELD_SELECTOR};
use super::meta::{LABEL_SELECTOR, OBJECT_META};
use super::pod::LOCAL_OBJECT_REFERENCE;

objects! {
    AWS_ELASTIC_BLOCK_STORE_VOLUME_SOURCE "io.k8s.api.core.v1.AWSElasticBlockStoreVolumeSource" requires(["volumeID"]) {
        fsType: STRING, partition: INT32, readOnly: BOOLEAN, volumeID: STRING,
    }

    AZURE_DISK_VOLUME_SOURCE "io.k8s.api.core.v1.AzureDiskVolumeSource" requires(["diskName", "diskURI"]) {
        cachingMode: STRING, diskName: STRING, diskURI: STRING, fsType: STRING, kind: STRING, readOnly: BOOLEAN,
    }

    AZURE_FILE_VOLUME_SOURCE "io.k8s.api.core.v1.AzureFileVolumeSource" requires(["secretName", "shareName"]) {
        readOnly: BOOLEAN, secretName: STRING, shareName: STRING,
    }

    CSI_VOLUME_SOURCE "io.k8s.api.core.v1.CSIVolumeSource" requires(["driver"]) {
        driver: STRING, fsType: STRING, nodePublishSecretRef: LOCAL_OBJECT_REFERENCE, readOnly: BOOLEAN,
        volumeAttributes: map(&STRING),
    }

    CEPH_FS_VOLUME_SOURCE "io.k8s.api.core.v1.CephFSVolumeSource" requires(["monitors"]) {
        monitors: list(&STRING), path: STRING, readOnly: BOOLEAN, secretFile: STRING,
        secretRef: LOCAL_OBJECT_REFERENCE, user: STRING,
    }

    CINDER_VOLUME_SOURCE "io.k8s.api.core.v1.CinderVolumeSource" requires(["volumeID"]) {
        fsType: STRING, readOnly: BOOLEAN, secretRef: LOCAL_OBJECT_REFERENCE, volumeID: STRING,
    }

    CLUSTER_TRUST_BUNDLE_PROJECTION "io.k8s.api.core.v1.ClusterTrustBundleProjection" requires(["path"]) {
        labelSelector: LABEL_SELECTOR, name: STRING, optional: BOOLEAN, path: STRING, signerName: STRING,
    }

    CONFIG_MAP_PROJECTION "io.k8s.api.core.v1.ConfigMapProjection" {
        items: list(&KEY_TO_PATH), name: STRING, optional: BOOLEAN,
    }

    CONFIG_MAP_VOLUME_SOURCE "io.k8s.api.core.v1.ConfigMapVolumeSource" {
        defaultMode: INT32, items: list(&KEY_TO_PATH), name: STRING, optional: BOOLEAN,
    }

    DOWNWARD_API_PROJECTION "io.k8s.api.core.v1.DownwardAPIProjection" {
        items: list(&DOWNWARD_API_VOLUME_FILE),
    }

    DOWNWARD_API_VOLUME_FILE "io.k8s.api.core.v1.DownwardAPIVolumeFile" requires(["path"]) {
        fieldRef: OBJECT_FIELD_SELECTOR, mode: INT32, path: STRING, resourceFieldRef: RESOURCE_FIELD_SELECTOR,
    }

    DOWNWARD_API_VOLUME_SOURCE "io.k8s.api.core.v1.DownwardAPIVolumeSource" {
        defaultMode: INT32, items: list(&DOWNWARD_API_VOLUME_FILE),
    }

    EMPTY_DIR_VOLUME_SOURCE "io.k8s.api.core.v1.EmptyDirVolumeSource" {
        medium: STRING, sizeLimit: QUANTITY,
    }

    EPHEMERAL_VOLUME_SOURCE "io.k8s.api.core.v1.EphemeralVolumeSource" {
        volumeClaimTemplate: PERSISTENT_VOLUME_CLAIM_TEMPLATE,
    }

    FC_VOLUME_SOURCE "io.k8s.api.core.v1.FCVolumeSource" {
        fsType: STRING, lun: INT32, readOnly: BOOLEAN, targetWWNs: list(&STRING), wwids: list(&STRING),
    }

    FLEX_VOLUME_SOURCE "io.k8s.api.core.v1.FlexVolumeSource" requires(["driver"]) {
        driver: STRING, fsType: STRING, options: map(&STRING), readOnly: BOOLEAN, secretRef: LOCAL_OBJECT_REFERENCE,
    }

    FLOCKER_VOLUME_SOURCE "io.k8s.api.core.v1.FlockerVolumeSource" {
        datasetName: STRING, datasetUUID: STRING,
    }

    GCE_PERSISTENT_DISK_VOLUME_SOURCE "io.k8s.api.core.v1.GCEPersistentDiskVolumeSource" requires(["pdName"]) {
        fsType: STRING, partition: INT32, pdName: STRING, readOnly: BOOLEAN,
    }

    GIT_REPO_VOLUME_SOURCE "io.k8s.api.core.v1.GitRepoVolumeSource" requires(["repository"]) {
        directory: STRING, repository: STRING, revision: STRING,
    }

    GLUSTERFS_VOLUME_SOURCE "io.k8s.api.core.v1.GlusterfsVolumeSource" requires(["endpoints", "path"]) {
        endpoints: STRING, path: STRING, readOnly: BOOLEAN,
    }

    HOST_PATH_VOLUME_SOURCE "io.k8s.api.core.v1.HostPathVolumeSource" requires(["path"]) {
        path: STRING, type: STRING,
    }

    ISCSI_VOLUME_SOURCE "io.k8s.api.core.v1.ISCSIVolumeSource" requires(["targetPortal", "iqn", "lun"]) {
        chapAuthDiscovery: BOOLEAN, chapAuthSession: BOOLEAN, fsType: STRING, initiatorName: STRING, iqn: STRING,
        iscsiInterface: STRING, lun: INT32, portals: list(&STRING), readOnly: BOOLEAN,
        secretRef: LOCAL_OBJECT_REFERENCE, targetPortal: STRING,
    }

    IMAGE_VOLUME_SOURCE "io.k8s.api.core.v1.ImageVolumeSource" {
        pullPolicy: STRING, reference: STRING,
    }

    KEY_TO_PATH "io.k8s.api.core.v1.KeyToPath" requires(["key", "path"]) {
        key: STRING, mode: INT32, path: STRING,
    }

    NFS_VOLUME_SOURCE "io.k8s.api.core.v1.NFSVolumeSource" requires(["server", "path"]) {
        path: STRING, readOnly: BOOLEAN, server: STRING,
    }

    PERSISTENT_VOLUME_CLAIM_SPEC "io.k8s.api.core.v1.PersistentVolumeClaimSpec" {
        accessModes: list(&STRING), dataSource: TYPED_LOCAL_OBJECT_REFERENCE, dataSourceRef: TYPED_OBJECT_REFERENCE,
        resources: VOLUME_RESOURCE_REQUIREMENTS, selector: LABEL_SELECTOR, storageClassName: STRING,
        volumeAttributesClassName: STRING, volumeMode: STRING, volumeName: STRING,
    }

    PERSISTENT_VOLUME_CLAIM_TEMPLATE "io.k8s.api.core.v1.PersistentVolumeClaimTemplate" requires(["spec"]) {
        metadata: OBJECT_META, spec: PERSISTENT_VOLUME_CLAIM_SPEC,
    }

    PERSISTENT_VOLUME_CLAIM_VOLUME_SOURCE "io.k8s.api.core.v1.PersistentVolumeClaimVolumeSource" requires(["claimName"]) {
        claimName: STRING, readOnly: BOOLEAN,
    }

    PHOTON_PERSISTENT_DISK_VOLUME_SOURCE "io.k8s.api.core.v1.PhotonPersistentDiskVolumeSource" requires(["pdID"]) {
        fsType: STRING, pdID: STRING,
    }

    POD_CERTIFICATE_PROJECTION "io.k8s.api.core.v1.PodCertificateProjection" requires(["signerName", "keyType"]) {
        certificateChainPath: STRING, credentialBundlePath: STRING, keyPath: STRING, keyType: STRING,
        maxExpirationSeconds: INT32, signerName: STRING, userAnnotations: map(&STRING),
    }

    PORTWORX_VOLUME_SOURCE "io.k8s.api.core.v1.PortworxVolumeSource" requires(["volumeID"]) {
        fsType: STRING, readOnly: BOOLEAN, volumeID: STRING,
    }

    PROJECTED_VOLUME_SOURCE "io.k8s.api.core.v1.ProjectedVolumeSource" {
        defaultMode: INT32, sources: list(&VOLUME_PROJECTION),
    }

    QUOBYTE_VOLUME_SOURCE "io.k8s.api.core.v1.QuobyteVolumeSource" requires(["registry", "volume"]) {
        group: STRING, readOnly: BOOLEAN, registry: STRING, tenant: STRING, user: STRING, volume: STRING,
    }

    RBD_VOLUME_SOURCE "io.k8s.api.core.v1.RBDVolumeSource" requires(["monitors", "image"]) {
        fsType: STRING, image: STRING, keyring: STRING, monitors: list(&STRING), pool: STRING, readOnly: BOOLEAN,
        secretRef: LOCAL_OBJECT_REFERENCE, user: STRING,
    }

    SCALE_IO_VOLUME_SOURCE "io.k8s.api.core.v1.ScaleIOVolumeSource" requires(["gateway", "system", "secretRef"]) {
        fsType: STRING, gateway: STRING, protectionDomain: STRING, readOnly: BOOLEAN,
        secretRef: LOCAL_OBJECT_REFERENCE, sslEnabled: BOOLEAN, storageMode: STRING, storagePool: STRING,
        system: STRING, volumeName: STRING,
    }

    SECRET_PROJECTION "io.k8s.api.core.v1.SecretProjection" {
        items: list(&KEY_TO_PATH), name: STRING, optional: BOOLEAN,
    }

    SECRET_VOLUME_SOURCE "io.k8s.api.core.v1.SecretVolumeSource" {
        defaultMode: INT32, items: list(&KEY_TO_PATH), optional: BOOLEAN, secretName: STRING,
    }

    SERVICE_ACCOUNT_TOKEN_PROJECTION "io.k8s.api.core.v1.ServiceAccountTokenProjection" requires(["path"]) {
        audience: STRING, expirationSeconds: INT64, path: STRING,
    }

    STORAGE_OS_VOLUME_SOURCE "io.k8s.api.core.v1.StorageOSVolumeSource" {
        fsType: STRING, readOnly: BOOLEAN, secretRef: LOCAL_OBJECT_REFERENCE, volumeName: STRING,
        volumeNamespace: STRING,
    }

    TYPED_LOCAL_OBJECT_REFERENCE "io.k8s.api.core.v1.TypedLocalObjectReference" atomic() requires(["kind", "name"]) {
        apiGroup: STRING, kind: STRING, name: STRING,
    }

    TYPED_OBJECT_REFERENCE "io.k8s.api.core.v1.TypedObjectReference" requires(["kind", "name"]) {
        apiGroup: STRING, kind: STRING, name: STRING, namespace: STRING,
    }

    VOLUME "io.k8s.api.core.v1.Volume" requires(["name"]) {
        awsElasticBlockStore: AWS_ELASTIC_BLOCK_STORE_VOLUME_SOURCE, azureDisk: AZURE_DISK_VOLUME_SOURCE,
        azureFile: AZURE_FILE_VOLUME_SOURCE, cephfs: CEPH_FS_VOLUME_SOURCE, cinder: CINDER_VOLUME_SOURCE,
        configMap: CONFIG_MAP_VOLUME_SOURCE, csi: CSI_VOLUME_SOURCE, downwardAPI: DOWNWARD_API_VOLUME_SOURCE,
        emptyDir: EMPTY_DIR_VOLUME_SOURCE, ephemeral: EPHEMERAL_VOLUME_SOURCE, fc: FC_VOLUME_SOURCE,
        flexVolume: FLEX_VOLUME_SOURCE, flocker: FLOCKER_VOLUME_SOURCE,
        gcePersistentDisk: GCE_PERSISTENT_DISK_VOLUME_SOURCE, gitRepo: GIT_REPO_VOLUME_SOURCE,
        glusterfs: GLUSTERFS_VOLUME_SOURCE, hostPath: HOST_PATH_VOLUME_SOURCE, image: IMAGE_VOLUME_SOURCE,
        iscsi: ISCSI_VOLUME_SOURCE, name: STRING, nfs: NFS_VOLUME_SOURCE,
        persistentVolumeClaim: PERSISTENT_VOLUME_CLAIM_VOLUME_SOURCE,
        photonPersistentDisk: PHOTON_PERSISTENT_DISK_VOLUME_SOURCE, portworxVolume: PORTWORX_VOLUME_SOURCE,
        projected: PROJECTED_VOLUME_SOURCE, quobyte: QUOBYTE_VOLUME_SOURCE, rbd: RBD_VOLUME_SOURCE,
        scaleIO: SCALE_IO_VOLUME_SOURCE, secret: SECRET_VOLUME_SOURCE, storageos: STORAGE_OS_VOLUME_SOURCE,
        vsphereVolume: VSPHERE_VIRTUAL_DISK_VOLUME_SOURCE,
    }

    VOLUME_PROJECTION "io.k8s.api.core.v1.VolumeProjection" {
        clusterTrustBundle: CLUSTER_TRUST_BUNDLE_PROJECTION, configMap: CONFIG_MAP_PROJECTION,
        downwardAPI: DOWNWARD_API_PROJECTION, podCertificate: POD_CERTIFICATE_PROJECTION, secret: SECRET_PROJECTION,
        serviceAccountToken: SERVICE_ACCOUNT_TOKEN_PROJECTION,
    }

    VOLUME_RESOURCE_REQUIREMENTS "io.k8s.api.core.v1.VolumeResourceRequirements" {
        limits: map(&QUANTITY), requests: map(&QUANTITY),
    }

    VSPHERE_VIRTUAL_DISK_VOLUME_SOURCE "io.k8s.api.core.v1.VsphereVirtualDiskVolumeSource" requires(["volumePath"]) {
        fsType: STRING, storagePolicyID: STRING, storagePolicyName: STRING, volumePath: STRING,
    }
}
