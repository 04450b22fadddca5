//! Evidence in registries that keep the list of what points at an image, and in those that do not; and in hostile ones.

use std::sync::Arc;

use chalk_deploy_core::cloud::{ImageManifest, Payload, Referrers as _, Registry as _};
use chalk_deploy_core::evidence::{
    BASE_DIGEST, BUNDLE_TYPE, Bundle, EMPTY_TYPE, Inventory, Origin, PACKAGES, PROVENANCE, Signer as _, attach,
    bill_of_materials, provenance, statement, verify,
};
use chalk_deploy_core::model::{Component, Digest, Repository};
use chalk_deploy_core::oci::{OciRegistry, OciSettings};
use chalk_deploy_core::{Error, ErrorCode};
use chalk_deploy_testkit::fake::FakeSigner;
use chalk_deploy_testkit::simulated::http::in_process;
use chalk_deploy_testkit::simulated::registry::{RegistryServer, RegistrySettings};
use chalk_deploy_testkit::{VirtualRuntime, World};
use serde_json::{Value, json};

use super::small_registry::{Canned, Options, SmallRegistry};
use super::{adapter, manifest_of, repository};

pub(crate) fn origin() -> Origin {
    Origin {
        deployment: "caaaaaaaaaaaaaaaaaaaaaaaa".parse().expect("an id"),
        project: "fraud".parse().expect("a project"),
        component: Component::Engine,
        archive: Digest::of("archive"),
        graph: Digest::of("graph"),
        git_commit: Some("0123456789abcdef0123456789abcdef01234567".to_owned()),
        git_dirty: false,
        base_repositories: [(Digest::of("base"), Repository::new("r.example/engine-base").expect("a name"))].into(),
        builder: "https://builds.example/chalk".to_owned(),
    }
}

/// Pushes an image whose config tells of two packages.
pub(crate) async fn push_image(registry: &OciRegistry, repository: &Repository) -> ImageManifest {
    let packages = json!([
        {"name": "anyio", "version": "4.11.0"},
        {"name": "numpy", "version": "2.3.4", "sha256": Digest::of("wheel").hex()},
    ]);
    let labels = json!({
        BASE_DIGEST: Digest::of("base"), PACKAGES: packages.to_string(), "ai.chalk.provides": "chalkpy,pip",
    });
    let config = json!({"os": "linux", "architecture": "amd64", "config": {"Labels": labels}}).to_string();
    let config = Payload::from_bytes(config);
    registry.push_blob(repository, &config).await.expect("pushed");
    let manifest = manifest_of(&config);
    registry.put_manifest(repository, &manifest, Some(super::tag("v1"))).await.expect("stored");
    manifest
}

fn simulated(referrers: bool) -> OciRegistry {
    let settings = RegistrySettings { referrers, ..RegistrySettings::plain() };
    let server = Arc::new(RegistryServer::new(&World::memory(), VirtualRuntime::new(1), settings));
    OciRegistry::new(in_process(server), VirtualRuntime::new(2), OciSettings::default())
}

async fn attach_to(registry: &OciRegistry, image: &Digest, origin: &Origin, key: &str) -> usize {
    let inventory = Inventory::read(registry, &repository("a"), image).await.expect("read");
    attach(registry, &repository("a"), &inventory, origin, &FakeSigner::new(key)).await.expect("attached").new
}

async fn refusal(registry: &OciRegistry, image: &Digest) -> Error {
    verify(registry, &repository("a"), image, &*FakeSigner::new("key").key()).await.expect_err("it is not verified")
}

#[tokio::test(start_paused = true)]
async fn evidence_is_attached_found_and_not_attached_twice_with_and_without_the_registrys_list() {
    for referrers in [true, false] {
        let registry = simulated(referrers);
        let image = push_image(&registry, &repository("a")).await.digest();
        assert_eq!(refusal(&registry, &image).await.code(), ErrorCode::EvidenceMissing);
        assert_eq!(attach_to(&registry, &image, &origin(), "key").await, 3);
        assert_eq!(attach_to(&registry, &image, &origin(), "key").await, 0);
        let again = Origin { deployment: "cbbbbbbbbbbbbbbbbbbbbbbbb".parse().expect("an id"), ..origin() };
        assert_eq!(attach_to(&registry, &image, &again, "key").await, 0, "another deployment of the same inputs");
        let other = Origin { git_commit: None, ..origin() };
        assert_eq!(attach_to(&registry, &image, &other, "key").await, 1, "provenance of other inputs");

        let key = FakeSigner::new("key").key();
        let verified = verify(&registry, &repository("a"), &image, &*key).await.expect("verified");
        assert_eq!((verified.provenance.len(), verified.bills.len(), verified.rejected.len()), (2, 1, 0));
        let inventory = Inventory::read(&registry, &repository("a"), &image).await.expect("read");
        assert_eq!(verified.provenance[0].predicate, provenance(&inventory, &origin()));
        assert_eq!(verified.bills[0].predicate, bill_of_materials(&inventory, &origin()));
        assert_eq!(verified.bills[0].predicate["components"].as_array().map(Vec::len), Some(3));
    }
}

#[tokio::test(start_paused = true)]
async fn evidence_of_another_key_is_invalid_and_hides_nothing() {
    let registry = simulated(true);
    let image = push_image(&registry, &repository("a")).await.digest();
    attach_to(&registry, &image, &origin(), "stranger").await;
    let error = refusal(&registry, &image).await;
    assert_eq!(error.code(), ErrorCode::EvidenceInvalid);
    assert!(error.sentence().contains("signed with another key"), "{}", error.sentence());
    assert!(!error.hint().is_empty());
    attach_to(&registry, &image, &origin(), "key").await;
    let key = FakeSigner::new("key").key();
    let verified = verify(&registry, &repository("a"), &image, &*key).await.expect("verified");
    assert_eq!(verified.rejected.len(), 2);
}

#[tokio::test(start_paused = true)]
async fn evidence_of_one_image_does_not_count_for_another_one_that_it_is_attached_to() {
    let registry = simulated(true);
    let image = push_image(&registry, &repository("a")).await;
    let signer = FakeSigner::new("key");
    // Signed by the right key, about another image, in a manifest that points at this one.
    let about_other = statement(&repository("a"), &Digest::of("other"), PROVENANCE, &json!({"buildDefinition": {}}));
    let bundle = Bundle::sign(&about_other, &signer).await.expect("signed").to_bytes();
    attach_bundle(&registry, &image, bundle).await;
    let error = refusal(&registry, &image.digest()).await;
    assert_eq!(error.code(), ErrorCode::EvidenceInvalid);
    assert!(error.sentence().contains("about another image"), "{}", error.sentence());
}

#[tokio::test(start_paused = true)]
async fn one_half_of_the_evidence_is_not_enough() {
    for (kind, lacking) in
        [(PROVENANCE, "no bill of materials"), (chalk_deploy_core::evidence::CYCLONEDX, "no provenance statement")]
    {
        let registry = simulated(true);
        let image = push_image(&registry, &repository("a")).await;
        let inventory = Inventory::read(&registry, &repository("a"), &image.digest()).await.expect("read");
        let predicate = if kind == PROVENANCE {
            provenance(&inventory, &origin())
        } else {
            bill_of_materials(&inventory, &origin())
        };
        let statement = statement(&repository("a"), &image.digest(), kind, &predicate);
        let bundle = Bundle::sign(&statement, &FakeSigner::new("key")).await.expect("signed").to_bytes();
        attach_bundle(&registry, &image, bundle).await;
        let error = refusal(&registry, &image.digest()).await;
        assert_eq!(error.code(), ErrorCode::EvidenceMissing);
        assert!(error.sentence().contains(lacking), "{}", error.sentence());
    }
}

/// A manifest with one layer that points at the image, as a stranger may push it.
fn artifact(image: &ImageManifest, layer: &Payload, size: u64) -> ImageManifest {
    let document = json!({
        "schemaVersion": 2,
        "mediaType": image.media_type,
        "artifactType": BUNDLE_TYPE,
        "config": {"mediaType": EMPTY_TYPE, "digest": Digest::of("{}"), "size": 2},
        "layers": [{"mediaType": BUNDLE_TYPE, "digest": layer.sha256(), "size": size}],
        "subject": {"mediaType": image.media_type, "digest": image.digest(), "size": image.bytes.len()},
    });
    ImageManifest { media_type: image.media_type.clone(), bytes: document.to_string().into() }
}

async fn attach_bundle(registry: &OciRegistry, image: &ImageManifest, bundle: Vec<u8>) {
    let layer = Payload::from_bytes(bundle);
    for blob in [&Payload::from_bytes("{}"), &layer] {
        registry.push_blob(&repository("a"), blob).await.expect("pushed");
    }
    let manifest = artifact(image, &layer, layer.size());
    registry.attach(&repository("a"), &image.digest(), &[manifest]).await.expect("attached");
}

/// A registry that lists what it likes, and an image with good evidence in it.
async fn hostile() -> (SmallRegistry, OciRegistry, ImageManifest) {
    let server = SmallRegistry::new(Options::default());
    let registry = adapter(&server, OciSettings::default());
    let image = push_image(&registry, &repository("a")).await;
    attach_to(&registry, &image.digest(), &origin(), "key").await;
    (server, registry, image)
}

fn index(entries: &[Value]) -> String {
    let index =
        json!({"schemaVersion": 2, "mediaType": "application/vnd.oci.image.index.v1+json", "manifests": entries});
    index.to_string()
}

fn list(body: String, headers: Vec<(&'static str, String)>) -> Canned {
    Canned { status: 200, body, headers, always: true }
}

fn entry(digest: &Digest, size: u64) -> Value {
    json!({"mediaType": "application/vnd.oci.image.manifest.v1+json", "digest": digest, "size": size, "artifactType": BUNDLE_TYPE})
}

#[tokio::test(start_paused = true)]
async fn a_list_of_ten_thousand_is_not_read_to_its_end() {
    let (server, registry, image) = hostile().await;
    let many = |count: u32| index(&(0..count).map(|at| entry(&Digest::of(at.to_be_bytes()), 500)).collect::<Vec<_>>());
    server.instead("/referrers/", list(many(10_000), Vec::new()));
    server.requests();
    let error = refusal(&registry, &image.digest()).await;
    assert_eq!(error.code(), ErrorCode::CloudAnswerInvalid, "{}", error.sentence());
    assert!(server.requests().len() <= 2, "none of them is asked for");

    // Fewer, but still more than are read.
    let (server, registry, image) = hostile().await;
    server.instead("/referrers/", list(many(300), Vec::new()));
    server.requests();
    let error = refusal(&registry, &image.digest()).await;
    assert_eq!(error.code(), ErrorCode::EvidenceInvalid, "{}", error.sentence());
    assert!(server.requests().len() <= 2, "none of them is asked for");

    // Pages without an end.
    let (server, registry, image) = hostile().await;
    let next = format!("</v2/a/referrers/{}?last=x>; rel=\"next\"", image.digest());
    server.instead("/referrers/", list(index(&[]), vec![("link", next)]));
    server.requests();
    let error = refusal(&registry, &image.digest()).await;
    assert_eq!(error.code(), ErrorCode::CloudAnswerInvalid);
    assert!(server.requests().len() <= 102);
}

#[tokio::test(start_paused = true)]
async fn a_list_that_goes_on_elsewhere_is_not_followed() {
    for next in [
        "<https://evil.example/v2/a/referrers/x>; rel=\"next\"",
        "</v2/b/referrers/sha256:00>; rel=\"next\"",
        "<//evil.example/v2/a>; rel=next",
    ] {
        let (server, registry, image) = hostile().await;
        server.instead("/referrers/", list(index(&[]), vec![("link", next.to_owned())]));
        let error = refusal(&registry, &image.digest()).await;
        assert_eq!(error.code(), ErrorCode::CloudAnswerInvalid, "{next}");
        assert!(server.state().seen.iter().all(|seen| !seen.host.contains("evil")), "{next}");
    }
}

#[tokio::test(start_paused = true)]
async fn bundles_that_are_huge_damaged_or_not_there_are_refused_one_by_one() {
    let (server, registry, image) = hostile().await;
    let good = registry.list_referrers(&repository("a"), &image.digest()).await.expect("listed");
    let good: Vec<_> = good.iter().map(|one| {
        let kind = one.artifact_type.clone();
        json!({"mediaType": one.manifest.media_type, "digest": one.manifest.digest, "size": one.manifest.size, "artifactType": kind})
    }).collect();
    let mut bad = Vec::new();
    let put = |manifest: ImageManifest| {
        let (registry, media_type) = (registry.clone(), manifest.media_type.clone());
        async move {
            let size = manifest.bytes.len() as u64;
            assert!(!media_type.is_empty());
            let digest = registry.put_manifest(&repository("a"), &manifest, None).await.expect("stored");
            entry(&digest, size)
        }
    };
    let small = Payload::from_bytes("{\"mediaType\": 1}");
    registry.push_blob(&repository("a"), &small).await.expect("pushed");
    bad.push(put(artifact(&image, &small, 1 << 40)).await);
    bad.push(put(artifact(&image, &small, small.size() + 1)).await);
    bad.push(put(artifact(&image, &small, small.size() - 1)).await);
    bad.push(put(artifact(&image, &small, small.size())).await);
    bad.push(entry(&Digest::of("not there"), 500));
    // Another length than the list says.
    let mut shorter = put(artifact(&image, &small, 3)).await;
    shorter["size"] = json!(1);
    bad.push(shorter);
    let count = bad.len();
    server.instead("/referrers/", list(index(&bad.iter().chain(&good).cloned().collect::<Vec<_>>()), Vec::new()));
    let key = FakeSigner::new("key").key();
    let verified = verify(&registry, &repository("a"), &image.digest(), &*key).await.expect("the good ones count");
    assert_eq!(verified.rejected.len(), count, "{:#?}", verified.rejected);

    server.instead("/referrers/", list(String::new(), Vec::new()));
    let only_bad = list(index(&bad), Vec::new());
    let fresh = SmallRegistry::new(Options::default());
    fresh.instead("/referrers/", only_bad);
    let registry = adapter(&fresh, OciSettings::default());
    let image = push_image(&registry, &repository("a")).await;
    assert_eq!(refusal(&registry, &image.digest()).await.code(), ErrorCode::EvidenceInvalid);
}

#[tokio::test(start_paused = true)]
async fn an_image_that_is_not_what_its_digest_says_is_not_verified() {
    let (server, registry, image) = hostile().await;
    let other = manifest_of(&Payload::from_bytes("other"));
    let body = String::from_utf8(other.bytes.to_vec()).expect("text");
    server.instead(format!("/manifests/{}", image.digest()), Canned { status: 200, body, ..Canned::default() });
    assert_eq!(refusal(&registry, &image.digest()).await.code(), ErrorCode::ImageMismatch);
    let missing = Digest::of("no image");
    assert_eq!(refusal(&registry, &missing).await.code(), ErrorCode::ImageMismatch);
}

#[tokio::test(start_paused = true)]
async fn a_registry_that_refuses_or_does_not_answer_is_no_proof_of_anything() {
    for (status, code) in [(403, ErrorCode::PermissionDenied), (503, ErrorCode::CloudUnavailable)] {
        let (server, registry, image) = hostile().await;
        server.instead("/referrers/", Canned { status, always: true, ..Canned::default() });
        assert_eq!(refusal(&registry, &image.digest()).await.code(), code);
        let (server, registry, image) = hostile().await;
        server.instead("/blobs/sha256:", Canned { status, always: true, ..Canned::default() });
        assert_eq!(refusal(&registry, &image.digest()).await.code(), code, "of a bundle");
    }
}
