//! What is asked of Google, request by request, and what its answers mean: cases made from its published reference.

mod common;

use std::sync::{Arc, Mutex};

use chalk_deploy_core::cloud::{ClusterApi as _, ObjectStore as _};
use chalk_deploy_core::credentials::BearerToken;
use chalk_deploy_core::kubernetes::{ClusterAccess, OpenTransport};
use chalk_deploy_core::model::{Digest, Namespace, ObjectReference, Repository};
use chalk_deploy_core::provision::{BucketPlan, Encryption, Endpoint, ImageRetention, KeptBucket, Origin, sweep};
use chalk_deploy_core::transport::{RequestBody, Transport};
use chalk_deploy_core::{ErrorCode, Result};
use chalk_deploy_gcp::permissions::{Purpose, needed};
use chalk_deploy_gcp::{Cloud, CloudBuilder, ControlPlane};
use chalk_deploy_testkit::VirtualRuntime;
use chalk_deploy_testkit::recorded::{Case, CaseRequest, Player};
use chalk_deploy_testkit::simulated::closure::{Answering, Reply, Seen};
use common::policy::Policy;
use common::{assert_error, case, folder};
use serde_json::json;

const HOST: &str = "us-central1-docker.pkg.dev";
const KEY: &str = "projects/acme-prod/locations/us-central1/keyRings/chalk/cryptoKeys/buckets";

fn player(api: &str, cases: &[&str]) -> Player {
    Player::new(cases.iter().map(|name| case(api, name)))
}

fn builder(player: &Player) -> CloudBuilder {
    Cloud::builder()
        .with_transport(player.transport())
        .with_runtime(VirtualRuntime::new(1))
        .with_credentials(BearerToken::new("token-1"))
        .with_project("acme-prod")
        .with_location("us-central1")
        .with_cluster("chalk")
        .with_bucket("chalk-acme-source")
        .with_registry("us-central1-docker.pkg.dev/acme-prod/chalk")
}

fn cloud(player: &Player) -> Cloud {
    builder(player).build().expect("valid settings")
}

#[track_caller]
fn assert_played(player: &Player) {
    assert!(player.complaints().is_empty(), "{:?}", player.complaints());
}

// --- GKE ------------------------------------------------------------------------------------------------------------

/// An address, and the authority that is trusted there.
type Address = (String, Option<String>);

/// Notes which access was opened, and leads to a cluster that has nothing.
#[derive(Debug, Clone, Default)]
struct Opened(Arc<Mutex<Vec<Address>>>);

impl OpenTransport for Opened {
    fn open(&self, access: &ClusterAccess) -> Result<Transport> {
        let opened = (access.server(), access.trust().authority.clone());
        self.0.lock().expect("not poisoned").push(opened);
        let answer = |seen: &Seen| {
            assert_eq!(seen.token(), "token-1");
            Reply::json(404, json!({"kind": "Status", "status": "Failure", "reason": "NotFound", "code": 404}))
        };
        Ok(Answering::by(answer).transport())
    }
}

async fn located(recorded: &str, cluster: &str, control_plane: ControlPlane) -> Address {
    let (player, opened) = (player("container", &[recorded]), Opened::default());
    let builder = builder(&player).with_cluster(cluster).with_control_plane(control_plane);
    let cloud = builder.with_cluster_transports(opened.clone()).build().expect("valid settings");
    let reference = ObjectReference {
        api_version: "v1".to_owned(),
        kind: "Service".to_owned(),
        namespace: Namespace::new("ns").expect("a namespace"),
        name: "engine".to_owned(),
    };
    assert_eq!(cloud.cluster().expect("set").get(&reference).await.expect("answered"), None);
    assert_played(&player);
    let opened = opened.0.lock().expect("not poisoned").clone();
    assert_eq!(opened.len(), 1);
    opened.into_iter().next().expect("one")
}

#[tokio::test(start_paused = true)]
async fn a_cluster_is_found_by_name_in_a_region_or_a_zone_at_the_address_that_was_chosen() {
    let (server, authority) = located("public", "chalk", ControlPlane::PublicAddress).await;
    assert_eq!(server, "https://34.118.7.9");
    assert!(authority.expect("its own").starts_with("-----BEGIN CERTIFICATE-----"));
    let (server, authority) = located("private", "us-central1-a/chalk", ControlPlane::PrivateAddress).await;
    assert_eq!((server.as_str(), authority.is_some()), ("https://10.128.0.2", true));
    let full = "projects/acme-prod/locations/us-central1/clusters/chalk";
    let (server, authority) = located("by-name", full, ControlPlane::Name).await;
    // The name is vouched for by the authorities of the system.
    assert_eq!((server.as_str(), authority), ("https://gke-0f1e2d-123456789012.us-central1.gke.goog", None));
}

#[tokio::test(start_paused = true)]
async fn a_description_says_which_of_the_two_options_it_is_and_who_is_let_in() {
    for (recorded, cluster, control_plane, expected) in [
        (
            "public",
            "chalk",
            ControlPlane::PublicAddress,
            Endpoint::Public { allowed: vec!["198.51.100.0/24".to_owned(), "203.0.113.7/32".to_owned()] },
        ),
        ("public", "chalk", ControlPlane::Name, Endpoint::Private),
        ("private", "us-central1-a/chalk", ControlPlane::PrivateAddress, Endpoint::Private),
        ("by-name", "chalk", ControlPlane::Name, Endpoint::Public { allowed: Vec::new() }),
    ] {
        let player = player("container", &[recorded]);
        let cloud = builder(&player).with_cluster(cluster).with_control_plane(control_plane).build().expect("valid");
        let description = cloud.describe_cluster().await.expect("described");
        assert_eq!(description.endpoint, expected, "{recorded}");
        assert_eq!((description.name.as_str(), description.version.as_str()), ("chalk", "1.33.5-gke.1080000"));
        assert_played(&player);
    }
}

#[tokio::test(start_paused = true)]
async fn a_cluster_that_cannot_be_used_says_why_and_what_to_do() {
    for (recorded, code, words) in [
        ("missing", ErrorCode::ObjectMissing, ["GKE cluster `chalk` in us-central1", "zone"]),
        ("forbidden", ErrorCode::PermissionDenied, ["grant container.clusters.get", "then resume"]),
        ("disabled", ErrorCode::PermissionDenied, ["enable container.googleapis.com", "gcloud services enable"]),
        ("provisioning", ErrorCode::CloudUnavailable, ["being made", "resume"]),
    ] {
        let player = player("container", &[recorded]);
        let error = cloud(&player).describe_cluster().await.expect_err(recorded);
        assert_error(&error, code, &words);
        assert_played(&player);
    }
    for (recorded, cluster, control_plane, word) in [
        ("private", "us-central1-a/chalk", ControlPlane::PublicAddress, "no public address"),
        ("private", "us-central1-a/chalk", ControlPlane::Name, "no name"),
        ("by-name", "chalk", ControlPlane::PrivateAddress, "no private address"),
        ("by-name", "chalk", ControlPlane::PublicAddress, "no public address"),
    ] {
        let player = player("container", &[recorded]);
        let cloud = builder(&player).with_cluster(cluster).with_control_plane(control_plane).build().expect("valid");
        let error = cloud.describe_cluster().await.expect_err(recorded);
        assert_error(&error, ErrorCode::RequestInvalid, &[word, "as the control plane"]);
    }
}

// --- Artifact Registry ----------------------------------------------------------------------------------------------

#[tokio::test(start_paused = true)]
async fn a_repository_is_made_with_our_label_and_without_a_policy_that_removes_anything() {
    let player = player("artifactregistry", &["create", "operation-running", "operation-done"]);
    let repositories = cloud(&player).repositories().expect("set");
    repositories.create(HOST, "acme-prod/chalk/engine-prod").await.expect("made");
    assert_eq!(player.served(), ["create", "operation-running", "operation-done"]);
    assert_played(&player);
}

#[tokio::test(start_paused = true)]
async fn a_repository_that_is_there_is_left_as_it_is_if_it_holds_images() {
    let player = player("artifactregistry", &["create-conflict", "get"]);
    cloud(&player).repositories().expect("set").create(HOST, "acme-prod/chalk/engine-prod").await.expect("left");
    assert_played(&player);
    let player = self::player("artifactregistry", &["create-conflict", "get-python"]);
    let error =
        cloud(&player).repositories().expect("set").create(HOST, "acme-prod/chalk/x").await.expect_err("wheels");
    assert_error(&error, ErrorCode::ValueInvalid, &["holds PYTHON", "another repository"]);
}

#[tokio::test(start_paused = true)]
async fn a_repository_that_cannot_be_made_says_why() {
    let player = player("artifactregistry", &["create-forbidden"]);
    let error =
        cloud(&player).repositories().expect("set").create(HOST, "acme-prod/chalk/x").await.expect_err("forbidden");
    assert_error(&error, ErrorCode::PermissionDenied, &["grant artifactregistry.repositories.create"]);
    let player = self::player("artifactregistry", &["create", "operation-failed"]);
    let error = cloud(&player).repositories().expect("set").create(HOST, "acme-prod/chalk/x").await.expect_err("quota");
    assert_error(&error, ErrorCode::CloudUnavailable, &["quota exceeded"]);
    let none = self::player("artifactregistry", &[]);
    let repositories = cloud(&none).repositories().expect("set");
    for (host, path, code) in [
        (HOST, "other-project/chalk/x", ErrorCode::PermissionDenied),
        (HOST, "acme-prod/Chalk/x", ErrorCode::ValueInvalid),
        (HOST, "acme-prod", ErrorCode::ValueInvalid),
        (HOST, "acme-prod/..%2f/x", ErrorCode::ValueInvalid),
        ("gcr.io", "acme-prod/chalk/x", ErrorCode::ValueInvalid),
        ("evil.example", "acme-prod/chalk/x", ErrorCode::ValueInvalid),
    ] {
        assert_eq!(repositories.create(host, path).await.expect_err(path).code(), code, "{host}/{path}");
    }
    assert_played(&none);
}

fn engine() -> Repository {
    Repository::new(format!("{HOST}/acme-prod/chalk/engine-prod")).expect("a repository")
}

#[tokio::test(start_paused = true)]
async fn the_images_of_a_repository_come_with_what_they_consist_of_and_what_they_vouch_for() {
    let cases = [
        ("artifactregistry", "images-first"),
        ("artifactregistry", "images-second"),
        ("registry", "manifest-index"),
        ("registry", "manifest-image"),
        ("registry", "manifest-signature"),
    ];
    let player = Player::new(cases.map(|(api, name)| case(api, name)));
    let images = cloud(&player).images().expect("set").images(&engine()).await.expect("listed");
    assert_played(&player);
    let [index, image, signature] = &images[..] else { panic!("{images:?}") };
    assert_eq!(index.children, [image.digest]);
    assert_eq!(signature.subject, Some(index.digest));
    assert_eq!(index.tags.iter().map(ToString::to_string).collect::<Vec<_>>(), ["cabc"]);
    assert_eq!(index.pushed.to_string(), "2026-11-01T00:00:00.250Z");
    // What the rule of the core then makes of it.
    let retention = ImageRetention::new(0, std::time::Duration::ZERO);
    let now = index.pushed.plus(std::time::Duration::from_hours(1000));
    assert!(retention.removable(&images, &[index.digest].into(), now).is_empty());
    assert_eq!(retention.removable(&images, &[].into(), now).len(), 3);
}

#[tokio::test(start_paused = true)]
async fn images_are_removed_with_their_tags_and_one_that_is_gone_is_no_error() {
    let index: Digest = digest_of("delete");
    let gone: Digest = digest_of("delete-gone");
    let player = player("artifactregistry", &["delete", "delete-gone"]);
    cloud(&player).images().expect("set").remove(&engine(), &[index, gone]).await.expect("removed");
    assert_played(&player);
    // The slashes of an image's name are escaped.
    let player = self::player("artifactregistry", &["delete-below"]);
    let below = Repository::new(format!("{HOST}/acme-prod/chalk/team/engine-prod")).expect("a repository");
    cloud(&player).images().expect("set").remove(&below, &[index]).await.expect("removed");
    assert_played(&player);
}

#[tokio::test(start_paused = true)]
async fn a_sweep_of_what_is_needed_asks_for_no_removal() {
    let names = ["manifest-index", "manifest-image", "manifest-signature"];
    let lists = ["images-first", "images-second"].map(|name| case("artifactregistry", name));
    let player = Player::new(names.map(|name| case("registry", name)).into_iter().chain(lists));
    let catalog = cloud(&player).images().expect("set");
    let retention = ImageRetention::new(0, std::time::Duration::ZERO);
    let now = chalk_deploy_core::model::Timestamp::from_millis(u64::MAX / 4);
    let swept = sweep(&*catalog, &engine(), &[digest_of("delete")].into(), retention, now).await.expect("swept");
    assert_eq!((swept.removed.len(), swept.kept), (0, 3));
    assert_played(&player);
}

fn digest_of(recorded: &str) -> Digest {
    let path = case("artifactregistry", recorded).request.path;
    path.rsplit_once('/').and_then(|(_, digest)| digest.parse().ok()).expect("a digest")
}

// --- Cloud Storage --------------------------------------------------------------------------------------------------

fn plan(role: usize) -> BucketPlan {
    let origins = BucketPlan::HOSTED_ORIGINS.map(|origin| origin.parse::<Origin>().expect("an origin"));
    BucketPlan::five("acme", &origins).expect("a prefix")[role].clone()
}

fn source() -> BucketPlan {
    plan(1).with_encryption(Encryption::CustomerKey(KEY.to_owned()))
}

async fn kept(cases: &[&str], plan: &BucketPlan) -> Result<KeptBucket> {
    let player = player("storage", cases);
    let kept = cloud(&player).buckets().expect("set").keep(plan).await;
    assert_played(&player);
    kept
}

#[tokio::test(start_paused = true)]
async fn a_bucket_is_made_shut_encrypted_marked_and_with_its_rules() {
    let retained = source().with_retention(std::time::Duration::from_hours(24));
    let made = kept(&["get-missing", "insert"], &retained).await.expect("made");
    assert!(made.created && made.changed.is_empty());
    assert!(made.cannot.iter().any(|what| what.contains("single objects can be retained")), "{:?}", made.cannot);
    let mut data = plan(0).with_retention(std::time::Duration::from_hours(24));
    data.origins.clear();
    let made = kept(&["get-data-missing", "insert-retained"], &data).await.expect("made");
    assert!(made.created && made.cannot.is_empty(), "{made:?}");
}

#[tokio::test(start_paused = true)]
async fn a_bucket_that_is_as_planned_is_left_alone() {
    let left = kept(&["get-as-planned", "list-own"], &source()).await.expect("left");
    assert_eq!(left, KeptBucket::new("chalk-acme-source"));
}

#[tokio::test(start_paused = true)]
async fn a_bucket_that_is_otherwise_is_set_up_beside_what_others_want_of_it() {
    // Somebody changes it between the first look and the first write.
    let cases = ["get-bare", "list-own", "patch-changed", "get-bare-changed", "patch"];
    let set_up = kept(&cases, &source()).await.expect("set up");
    assert!(!set_up.created);
    assert_eq!(set_up.changed, ["access", "cors", "encryption", "versioning", "lifecycle", "tags"]);
}

#[tokio::test(start_paused = true)]
async fn a_bucket_of_somebody_else_is_not_touched() {
    let error = kept(&["get-forbidden"], &source()).await.expect_err("shut");
    assert_error(&error, ErrorCode::PermissionDenied, &["storage.buckets.get", "another project's"]);
    // One to which its owner has let us in is worse: what is written there would be the owner's.
    let error = kept(&["get-bare", "list-foreign"], &source()).await.expect_err("not in the project");
    assert_error(&error, ErrorCode::PermissionDenied, &["not in the project acme-prod", "another prefix"]);
    // Taken between the look and the creation.
    let error = kept(&["get-missing", "insert-conflict", "get-forbidden"], &plan(1)).await.expect_err("taken");
    assert_error(&error, ErrorCode::PermissionDenied, &["another project's"]);
}

#[tokio::test(start_paused = true)]
async fn a_bucket_in_another_location_is_an_error_and_is_not_moved() {
    let player = player("storage", &["get-as-planned", "list-own"]);
    let cloud = builder(&player).with_location("europe-west1").build().expect("valid settings");
    let error = cloud.buckets().expect("set").keep(&source()).await.expect_err("elsewhere");
    assert_error(&error, ErrorCode::ValueInvalid, &["us-central1", "europe-west1", "another prefix"]);
    assert_played(&player);
}

#[tokio::test]
async fn the_calls_about_buckets_and_repositories_need_just_the_permissions_of_their_purpose() {
    let wanted = needed(&[Purpose::Provision, Purpose::Sweep]);
    let policy = Policy::new(wanted.clone());
    let transport = policy.around(Answering::by(|_| Reply::json(200, "{}")).transport());
    for recorded in ["storage", "artifactregistry"].map(|api| Case::all(&folder(api)).expect("cases")).concat() {
        let CaseRequest { method, host, path, query, .. } = &recorded.request;
        let query = url::form_urlencoded::Serializer::new(String::new()).extend_pairs(query).finish();
        let request = http::Request::builder().method(method.as_str()).uri(format!("https://{host}{path}?{query}"));
        transport.send(request.body(RequestBody::Empty).expect("a request")).await.expect("answered");
    }
    assert_eq!(policy.refused(), [""; 0]);
    assert_eq!(policy.used().iter().map(String::as_str).collect::<Vec<_>>(), wanted);
}

#[tokio::test]
async fn what_was_not_set_is_an_error_with_the_method_that_sets_it() {
    let cloud = Cloud::builder().with_transport(Player::default().transport()).build().expect("nothing is wrong");
    for (error, method) in [
        (cloud.bucket().map(drop).expect_err("none"), "with_bucket"),
        (cloud.cluster().map(drop).expect_err("none"), "with_cluster"),
        (cloud.images().map(drop).expect_err("none"), "with_registry"),
        (cloud.registry().map(drop).expect_err("none"), "with_registry"),
        (cloud.buckets().map(drop).expect_err("none"), "with_project"),
    ] {
        assert_error(&error, ErrorCode::RequestInvalid, &[method]);
    }
    let bucket = Cloud::builder().with_bucket("chalk-acme-source").build().expect("valid").bucket().expect("set");
    assert!(bucket.presigned_download().is_none(), "nobody signs");
}
