use std::path::PathBuf;
use std::time::Duration;

use super::*;
use crate::cloud::label;
use crate::model::{
    DeploymentId, Digest, EnvironmentId, GitMetadata, Namespace, ObjectReference, ProjectName, ProjectSettings,
    Promotion, Repository, SourceFingerprint, Strategy, Timestamp,
};

/// Set to write the golden files instead of comparing with them.
const REGENERATE: &str = "CHALK_DEPLOY_REGENERATE_GOLDEN";

fn plan(sizing: Sizing) -> DeploymentPlan {
    let digest = Digest::of("sample");
    DeploymentPlan {
        id: DeploymentId::new("cm9n46thy000bwe6y784y4j0l").expect("a valid id"),
        environment: EnvironmentId::new("prod").expect("a valid name"),
        project: ProjectName::new("fraud detection").expect("a valid name"),
        created_at: Timestamp::from_millis(1_735_689_600_000),
        deadline: Timestamp::from_millis(1_735_693_200_000),
        source: SourceFingerprint { sha256: digest, size: 1, unpacked_size: 1, entries: 1, source_code_hash: digest },
        graph: Digest::of("graph"),
        git: GitMetadata::default(),
        requirements: Vec::new(),
        settings: ProjectSettings {
            runtime: Some("python311".to_owned()),
            dockerfile: None,
            platform_version: Some("v1.2.3".to_owned()),
        },
        tags: Vec::new(),
        sizing,
        strategy: Strategy::default(),
        promotion: Promotion::default(),
        idempotency_key: None,
    }
}

fn generated(sizing: Sizing) -> Vec<Manifest> {
    let image = ImageReference {
        repository: Repository::new("registry.example/chalk/engine-prod").expect("a valid name"),
        digest: Digest::of("image"),
    };
    let settings =
        WorkloadSettings { service_account: Some("chalk-workload".to_owned()), ready_within: Duration::from_mins(10) };
    let images = BTreeMap::from([(Component::Engine, image)]);
    generate(&plan(sizing), &images, &settings).expect("plain data")
}

fn sizing(least: u32, most: u32) -> Sizing {
    Sizing::new(least, most).expect("a valid range")
}

fn of_kind<'a>(manifests: &'a [Manifest], kind: &str) -> &'a serde_json::Value {
    manifests.iter().find(|manifest| manifest.kind() == kind).expect("generated").document()
}

fn kinds(manifests: &[Manifest]) -> Vec<&str> {
    manifests.iter().map(Manifest::kind).collect()
}

#[test]
fn the_documents_of_a_sample_plan_are_the_golden_ones() {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("src/manifests/golden");
    let regenerate = std::env::var_os(REGENERATE).is_some();
    for (name, sizing) in [("fixed", sizing(1, 1)), ("scaled", sizing(2, 8))] {
        for manifest in generated(sizing) {
            let file = folder.join(format!("{name}.{}.json", manifest.kind()));
            let document = serde_json::to_string_pretty(manifest.document()).expect("JSON") + "\n";
            if regenerate {
                std::fs::write(&file, &document).expect("a writable source folder");
            }
            let golden = std::fs::read_to_string(&file).expect("a golden file");
            assert_eq!(document, golden, "{}: set {REGENERATE} to write it anew", file.display());
        }
    }
}

#[test]
fn one_plan_gives_one_set_of_documents_and_each_carries_the_deployment_in_name_and_labels() {
    let manifests = generated(sizing(1, 3));
    assert_eq!(manifests, generated(sizing(1, 3)));
    assert_eq!(kinds(&manifests), ["ConfigMap", "Service", "Deployment", "PodDisruptionBudget", "ScaledObject"]);
    for manifest in &manifests {
        assert_eq!(manifest.name(), "engine-cm9n46thy000bwe6y784y4j0l");
        let labels = &manifest.document()["metadata"]["labels"];
        assert_eq!(labels[label::DEPLOYMENT], "cm9n46thy000bwe6y784y4j0l");
        assert_eq!(labels[label::MANAGED_BY], "chalk-deploy");
    }
}

#[test]
fn every_component_has_names_that_a_label_can_hold() {
    let plan = plan(sizing(1, 1));
    for component in [
        Component::Engine,
        Component::QueryServer,
        Component::StreamWorker,
        Component::BatchWorker,
        Component::BackgroundPersistence,
    ] {
        assert!(object_name(&plan, component).len() <= 63);
    }
}

#[test]
fn replicas_are_ours_only_where_no_autoscaler_decides() {
    let fixed = generated(sizing(3, 3));
    assert_eq!(of_kind(&fixed, "Deployment")["spec"]["replicas"], 3);
    assert!(!kinds(&fixed).contains(&"ScaledObject"));
    let scaled = generated(sizing(2, 8));
    assert!(of_kind(&scaled, "Deployment")["spec"].get("replicas").is_none());
    let bounds = &of_kind(&scaled, "ScaledObject")["spec"];
    assert_eq!((&bounds["minReplicaCount"], &bounds["maxReplicaCount"]), (&2.into(), &8.into()));
}

#[test]
fn nothing_is_scaled_to_nothing_because_nothing_would_wake_it() {
    let scaled = generated(sizing(0, 4));
    assert_eq!(of_kind(&scaled, "ScaledObject")["spec"]["minReplicaCount"], 1);
    let fixed = generated(sizing(0, 1));
    assert_eq!(of_kind(&fixed, "Deployment")["spec"]["replicas"], 1);
    assert!(!kinds(&fixed).contains(&"ScaledObject"));
}

#[test]
fn a_pod_leaves_the_endpoints_before_its_process_ends() {
    let manifests = generated(sizing(1, 1));
    let pod = &of_kind(&manifests, "Deployment")["spec"]["template"]["spec"];
    let leave = pod["containers"][0]["lifecycle"]["preStop"]["sleep"]["seconds"].as_u64().expect("a number");
    let grace = pod["terminationGracePeriodSeconds"].as_u64().expect("a number");
    assert!(leave >= 5 && grace >= leave + 15, "{leave} {grace}");
}

/// The level `restricted` of the Pod Security Standards, rule by rule, as far as a pod without volumes meets it.
#[test]
fn a_pod_passes_the_strictest_pod_security_standard_and_names_its_image_by_digest() {
    let manifests = generated(sizing(1, 1));
    let pod = &of_kind(&manifests, "Deployment")["spec"]["template"]["spec"];
    for forbidden in ["hostNetwork", "hostPID", "hostIPC", "volumes", "initContainers"] {
        assert!(pod.get(forbidden).is_none(), "{forbidden}");
    }
    assert_eq!(pod["securityContext"]["runAsNonRoot"], true);
    assert_ne!(pod["securityContext"]["runAsUser"], 0);
    assert_eq!(pod["securityContext"]["seccompProfile"]["type"], "RuntimeDefault");
    let container = &pod["containers"][0];
    let security = &container["securityContext"];
    assert_eq!(security["allowPrivilegeEscalation"], false);
    assert_eq!(security["capabilities"]["drop"], serde_json::json!(["ALL"]));
    assert!(security.get("privileged").is_none() && security["capabilities"].get("add").is_none());
    assert!(container["ports"][0].get("hostPort").is_none());
    assert!(container["image"].as_str().expect("a text").contains("@sha256:"));
}

#[test]
fn other_settings_make_other_pods_and_a_later_owner_does_not() {
    let checksum = |plan: &DeploymentPlan| config_map::config_map(plan, Component::Engine).checksum();
    let one = plan(sizing(1, 1));
    let mut other = one.clone();
    other.settings.platform_version = Some("v2".to_owned());
    assert_ne!(checksum(&one), checksum(&other));
    let mut later = one.clone();
    later.deadline = Timestamp::from_millis(0);
    assert_eq!(checksum(&one), checksum(&later));
}

#[test]
fn a_scaler_is_removed_before_its_target_and_what_pods_need_after_them() {
    let namespace = Namespace::new("prod").expect("a valid name");
    let mut objects: Vec<_> = generated(sizing(1, 3))
        .iter()
        .map(|manifest| ObjectIdentity { reference: manifest.reference(&namespace), uid: manifest.kind().to_owned() })
        .collect();
    let route = ObjectReference {
        api_version: "gateway.networking.k8s.io/v1".to_owned(),
        kind: "HTTPRoute".to_owned(),
        namespace,
        name: "own".to_owned(),
    };
    objects.push(ObjectIdentity { reference: route, uid: "HTTPRoute".to_owned() });
    removal_order(&mut objects);
    let order: Vec<_> = objects.iter().map(|object| object.uid.as_str()).collect();
    assert_eq!(order, ["HTTPRoute", "ScaledObject", "PodDisruptionBudget", "Deployment", "Service", "ConfigMap"]);
}
