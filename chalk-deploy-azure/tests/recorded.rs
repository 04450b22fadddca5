//! What has no emulator, against cases that were made from Microsoft's reference: each names its page.

mod common;

use std::collections::BTreeSet;

use chalk_deploy_azure::{Cloud, CredentialChoice};
use chalk_deploy_core::ErrorCode;
use chalk_deploy_core::credentials::BearerTokenSource as _;
use chalk_deploy_core::error::Retry;
use chalk_deploy_core::model::{Digest, ImageTag, Repository, Timestamp};
use chalk_deploy_core::provision::{BucketKeeper as _, BucketPlan, Encryption, Endpoint, ImageCatalog as _, Origin};
use chalk_deploy_core::runtime::SystemRuntime;
use chalk_deploy_testkit::recorded::Player;
use common::{CLIENT, MANAGEMENT, TENANT, ask, assert_complete, builder, cloud, player};

fn repository() -> Repository {
    Repository::new("chalkacme.azurecr.io/chalk/engine").expect("a repository")
}

fn digest(letter: &str) -> Digest {
    format!("sha256:{}", letter.repeat(64)).parse().expect("a digest")
}

fn source_plan(origins: &[&str]) -> BucketPlan {
    let origins: Vec<Origin> = origins.iter().map(|origin| origin.parse().expect("an origin")).collect();
    let [_, source, ..] = BucketPlan::five("acme", &origins).expect("a prefix");
    source
}

// --- the cluster

#[tokio::test]
async fn a_public_and_a_private_cluster_are_described_as_the_two_options() {
    let answered = player(&["aks/cluster_public"]);
    let described = cloud(&answered).describe_cluster().await.expect("described");
    assert_eq!(described.server, "https://chalk-acme-1a2b3c4d.hcp.eastus.azmk8s.io:443");
    assert_eq!((described.name.as_str(), described.version.as_str()), ("chalk", "1.31.8"));
    let allowed = vec!["192.0.2.0/24".to_owned(), "198.51.100.7/32".to_owned()];
    assert_eq!(described.endpoint, Endpoint::Public { allowed });
    assert!(described.remarks().is_empty());
    assert_complete(&answered);
    let answered = player(&["aks/cluster_private"]);
    let described = cloud(&answered).describe_cluster().await.expect("described");
    assert_eq!(described.endpoint, Endpoint::Private);
    assert!(described.server.contains("privatelink"), "{}", described.server);
}

#[tokio::test]
async fn a_cluster_that_cannot_be_used_says_why_and_what_to_do() {
    for (case, code, retry, words) in [
        ("cluster_stopped", ErrorCode::CloudUnavailable, Retry::Temporary, "az aks start --name chalk"),
        ("cluster_without_entra", ErrorCode::RequestInvalid, Retry::Permanent, "--enable-aad"),
        ("cluster_of_another_tenant", ErrorCode::PermissionDenied, Retry::Permanent, "AZURE_TENANT_ID"),
        ("cluster_missing", ErrorCode::ObjectMissing, Retry::Permanent, "correct the name"),
        (
            "cluster_forbidden",
            ErrorCode::PermissionDenied,
            Retry::Permanent,
            "grant `Microsoft.ContainerService/managedClusters/read` at `/subscriptions/",
        ),
        ("tenant_of_another", ErrorCode::PermissionDenied, Retry::Permanent, "AZURE_TENANT_ID"),
    ] {
        let answered = player(&[&format!("aks/{case}")]);
        let error = cloud(&answered).describe_cluster().await.expect_err(case);
        assert_eq!((error.code(), error.retry()), (code, retry), "{}", error.sentence());
        assert!(error.sentence().contains(words), "{}", error.sentence());
        assert!(error.subject().contains("`chalk`") && !error.sentence().contains("token-1"), "{}", error.sentence());
    }
}

#[tokio::test]
async fn the_kubeconfig_names_the_authority_and_its_program_is_not_run() {
    let answered = player(&["aks/cluster_public", "aks/user_credentials"]);
    let connection = cloud(&answered).connection().expect("a cluster is configured");
    assert_eq!(connection.server(), "AKS cluster `chalk` in chalk-acme");
    // The API server itself is no case: that it is asked shows that the cluster was found.
    let error = ask(&connection).await.expect_err("there is no API server");
    assert!(error.sentence().contains("chalk-acme-1a2b3c4d.hcp.eastus.azmk8s.io"), "{}", error.sentence());
    let served: BTreeSet<_> = answered.served().into_iter().collect();
    assert_eq!(served, BTreeSet::from(["cluster_public".to_owned(), "user_credentials".to_owned()]));
}

#[tokio::test]
async fn a_kubeconfig_that_leads_elsewhere_is_shown_no_token() {
    let answered = player(&["aks/cluster_public", "aks/user_credentials_elsewhere"]);
    let error = ask(&cloud(&answered).connection().expect("a cluster")).await.expect_err("another host");
    assert!(error.sentence().contains("none of its addresses"), "{}", error.sentence());
    assert_complete(&answered);
}

#[tokio::test]
async fn without_a_cluster_a_registry_or_a_bucket_the_next_step_is_named() {
    let nothing = Cloud::builder()
        .with_transport(Player::default().transport())
        .with_runtime(SystemRuntime::new())
        .build()
        .expect("nothing is needed");
    for (error, method) in [
        (nothing.bucket().expect_err("none"), "with_storage_account"),
        (nothing.registry().expect_err("none"), "with_registry"),
        (nothing.connection().map(drop).expect_err("none"), "with_cluster"),
        (nothing.images().map(drop).expect_err("none"), "with_registry"),
        (nothing.describe_cluster().await.expect_err("none"), "with_cluster"),
    ] {
        assert_eq!(error.code(), ErrorCode::RequestInvalid);
        assert!(error.hint().contains(method), "{}", error.sentence());
    }
}

// --- Entra ID and the metadata service

/// A cloud whose chain has these links.
fn chained(answered: &Player, choice: CredentialChoice, variables: &[(&str, &str)]) -> Cloud {
    let variables: Vec<_> = variables.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
    Cloud::builder()
        .from_variables(move |wanted| variables.iter().find(|(name, _)| name == wanted).map(|(_, value)| value.clone()))
        .with_credentials(choice)
        .with_transport(answered.transport())
        .with_runtime(SystemRuntime::new())
        .build()
        .expect("valid settings")
}

fn in_a_pod(answered: &Player) -> (Cloud, tempfile::TempDir) {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("token");
    std::fs::write(&file, "token-of-the-service-account\n").expect("written");
    let file = file.to_string_lossy().into_owned();
    let variables =
        [("AZURE_TENANT_ID", TENANT), ("AZURE_CLIENT_ID", CLIENT), ("AZURE_FEDERATED_TOKEN_FILE", file.as_str())];
    (chained(answered, CredentialChoice::Chain, &variables), folder)
}

#[tokio::test]
async fn a_pod_changes_its_service_accounts_token_for_one_of_entra_id_once_for_all() {
    let answered = player(&["entra/token"]);
    let (cloud, _folder) = in_a_pod(&answered);
    let tokens = cloud.credentials().of(MANAGEMENT);
    let all = futures::future::join_all((0..50).map(|_| tokens.token())).await;
    assert!(all.into_iter().all(|token| token.expect("a token").expose() == "token-1"));
    assert_complete(&answered);
}

#[tokio::test]
async fn each_refusal_of_entra_id_has_its_code_and_its_next_step() {
    for (case, words) in [
        ("application_unknown", "AZURE_CLIENT_ID"),
        ("tenant_unknown", "AZURE_TENANT_ID"),
        ("user_of_another_tenant", "AZURE_TENANT_ID"),
        ("assertion_out_of_time", "Azure Sat, 21 Nov 2026 19:00:00 GMT"),
        ("no_federation", "federated credential"),
        ("secret_expired", "renew the credential"),
        ("secret_wrong", "correct the credential"),
    ] {
        let answered = player(&[&format!("entra/{case}")]);
        let (cloud, _folder) = in_a_pod(&answered);
        let error = cloud.credentials().of(MANAGEMENT).token().await.expect_err(case);
        assert_eq!(error.code(), ErrorCode::PermissionDenied, "{}", error.sentence());
        assert!(error.hint().contains(words), "{case}: {}", error.sentence());
        assert!(error.subject().contains(CLIENT) && error.message().contains("AADSTS"), "{}", error.sentence());
        assert!(!error.sentence().contains("token-of-the-service-account"), "{}", error.sentence());
        // A pod that is refused does not become its node: no other link was asked.
        assert_complete(&answered);
    }
}

#[tokio::test]
async fn a_machine_has_its_identity_or_one_of_several() {
    let answered = player(&["imds/token"]);
    let cloud = chained(&answered, CredentialChoice::ManagedIdentity, &[]);
    assert_eq!(cloud.credentials().of(MANAGEMENT).token().await.expect("a token").expose(), "token-1");
    assert_complete(&answered);
    let answered = player(&["imds/token_of_one_of_several"]);
    let cloud = chained(&answered, CredentialChoice::ManagedIdentity, &[("AZURE_CLIENT_ID", CLIENT)]);
    cloud.credentials().of(MANAGEMENT).token().await.expect("a token");
    assert_complete(&answered);
    let answered = player(&["imds/no_identity"]);
    let cloud = chained(&answered, CredentialChoice::ManagedIdentity, &[]);
    let error = cloud.credentials().of(MANAGEMENT).token().await.expect_err("none");
    assert_eq!(error.code(), ErrorCode::PermissionDenied);
    assert!(error.sentence().contains("Identity not found") && error.hint().contains("assign"), "{}", error.sentence());
}

#[tokio::test]
async fn a_token_file_that_is_not_there_names_the_label_of_the_pod() {
    let answered = player(&[]);
    let variables =
        [("AZURE_TENANT_ID", TENANT), ("AZURE_CLIENT_ID", CLIENT), ("AZURE_FEDERATED_TOKEN_FILE", "/nowhere/token")];
    let cloud = chained(&answered, CredentialChoice::WorkloadIdentity, &variables);
    let error = cloud.credentials().of(MANAGEMENT).token().await.expect_err("no file");
    assert!(error.sentence().contains("/nowhere/token") && error.hint().contains("azure.workload.identity/use"));
}

// --- the registry

#[tokio::test]
async fn images_are_listed_page_by_page_with_what_they_consist_of_and_are_about() {
    let answered = player(&[
        "acr/exchange",
        "acr/access_to_list",
        "acr/manifests",
        "acr/manifests_last_page",
        "acr/manifest_index",
        "acr/manifest_signature",
    ]);
    let images = cloud(&answered).images().expect("a registry").images(&repository()).await.expect("listed");
    let [index, signature] = images.as_slice() else { panic!("two images, {images:?}") };
    assert_eq!(index.children, [digest("b")]);
    assert_eq!(index.tags, BTreeSet::from([ImageTag::new("cabc").expect("a tag")]));
    assert_eq!(index.pushed, Timestamp::from_millis(1_536_214_640_000));
    assert_eq!((signature.subject, signature.tags.len()), (Some(index.digest), 0));
    assert_complete(&answered);
}

#[tokio::test]
async fn images_are_removed_and_what_is_locked_is_left_and_named() {
    let answered =
        player(&["acr/exchange", "acr/access_to_delete", "acr/delete_locked", "acr/delete", "acr/delete_gone"]);
    let catalog = cloud(&answered).images().expect("a registry");
    let error =
        catalog.remove(&repository(), &[digest("c"), digest("a"), digest("b")]).await.expect_err("one is locked");
    assert_eq!(error.code(), ErrorCode::PermissionDenied);
    assert!(error.message().contains(&digest("c").to_string()), "{}", error.sentence());
    assert!(!error.message().contains(&digest("a").to_string()), "{}", error.sentence());
    assert_complete(&answered);
}

#[tokio::test]
async fn a_tag_is_made_immutable_and_a_repository_that_is_not_there_is_missing() {
    let answered = player(&["acr/exchange", "acr/access_to_lock", "acr/tag_locked"]);
    let tag = ImageTag::new("cabc").expect("a tag");
    let images = cloud(&answered).images().expect("a registry");
    images.set_tag_immutable(&repository(), &tag, true).await.expect("locked");
    assert_complete(&answered);
    let answered = player(&["acr/exchange", "acr/access_to_list", "acr/manifests_unknown"]);
    let error = cloud(&answered).images().expect("a registry").images(&repository()).await.expect_err("unknown");
    assert_eq!(error.code(), ErrorCode::ObjectMissing, "{}", error.sentence());
}

#[tokio::test]
async fn a_registry_of_another_account_takes_no_token_and_one_that_is_not_configured_is_shown_none() {
    let answered = player(&["acr/exchange_refused"]);
    let error = cloud(&answered).images().expect("a registry").images(&repository()).await.expect_err("refused");
    assert_eq!(error.code(), ErrorCode::PermissionDenied);
    assert!(error.hint().contains("AcrPush") && !error.sentence().contains("token-1"), "{}", error.sentence());
    let answered = player(&[]);
    let other = Repository::new("other.azurecr.io/chalk/engine").expect("a repository");
    let error = cloud(&answered).images().expect("a registry").images(&other).await.expect_err("another registry");
    assert_eq!(error.code(), ErrorCode::RequestInvalid);
    assert_complete(&answered);
}

#[tokio::test]
async fn a_registry_that_removes_untagged_images_is_remarked_on() {
    let answered = player(&["registry/registry"]);
    let remarks = cloud(&answered).inspect_registry().await.expect("described");
    assert!(remarks.iter().any(|remark| remark.contains("after 7 days")), "{remarks:?}");
    assert!(remarks.iter().any(|remark| remark.contains("admin user")), "{remarks:?}");
    assert_complete(&answered);
}

// --- containers

const HOSTED: [&str; 2] = BucketPlan::HOSTED_ORIGINS;

/// Without Resource Manager.
fn data_plane_alone(answered: &Player) -> Cloud {
    Cloud::builder()
        .with_storage_account("chalkacme")
        .with_credentials(CredentialChoice::Issuer(std::sync::Arc::new(
            chalk_deploy_core::credentials::BearerToken::new("token-1"),
        )))
        .with_transport(answered.transport())
        .with_runtime(SystemRuntime::new())
        .build()
        .expect("valid settings")
}

#[tokio::test]
async fn a_container_is_made_marked_and_opened_to_the_origins_beside_those_of_others() {
    let answered = player(&["blob/container_created", "blob/service", "blob/service_written"]);
    let kept =
        data_plane_alone(&answered).buckets().expect("an account").keep(&source_plan(&HOSTED)).await.expect("kept");
    assert!(kept.created);
    assert_eq!(kept.changed, ["cors"]);
    assert!(kept.cannot.iter().any(|why| why.contains("no subscription and resource group")), "{:?}", kept.cannot);
    assert_complete(&answered);
}

#[tokio::test]
async fn a_container_that_is_as_planned_is_left_alone_and_a_foreign_one_is_shut_and_marked_and_keeps_its_policies() {
    let mut plan = source_plan(&HOSTED);
    plan.versioned = false;
    let answered = player(&["blob/container_there", "blob/container_own", "blob/service_as_wanted"]);
    let kept = data_plane_alone(&answered).buckets().expect("an account").keep(&plan).await.expect("kept");
    assert_eq!((kept.created, kept.changed.len(), kept.cannot.len()), (false, 0, 0), "{kept:?}");
    assert_complete(&answered);
    let answered = player(&[
        "blob/container_there",
        "blob/container_foreign",
        "blob/container_policies",
        "blob/container_made_private",
        "blob/container_marked",
        "blob/service_as_wanted",
    ]);
    let kept = data_plane_alone(&answered).buckets().expect("an account").keep(&plan).await.expect("kept");
    assert_eq!(kept.changed, ["access", "tags"]);
    assert_complete(&answered);
    let answered = player(&[
        "storage/account",
        "blob/container_there",
        "blob/container_foreign",
        "storage/container_shut",
        "blob/container_marked",
        "blob/service_as_wanted",
    ]);
    let kept = cloud(&answered).buckets().expect("an account").keep(&plan).await.expect("kept");
    assert_eq!(kept.changed, ["access", "tags"]);
    assert_complete(&answered);
}

#[tokio::test]
async fn versions_retention_and_lifecycle_are_set_through_resource_manager() {
    let answered = player(&[
        "storage/account",
        "storage/service",
        "storage/service_versioned",
        "storage/container_missing",
        "storage/container_created",
        "storage/container",
        "storage/policy",
        "storage/policy_written",
        "storage/lifecycle",
        "storage/lifecycle_written",
    ]);
    let plan = source_plan(&[]).with_retention(std::time::Duration::from_hours(30 * 24));
    let kept = cloud(&answered).buckets().expect("an account").keep(&plan).await.expect("kept");
    assert!(kept.created && kept.cannot.is_empty(), "{kept:?}");
    assert_eq!(kept.changed, ["versioning", "retention", "lifecycle"]);
    assert_complete(&answered);
}

#[tokio::test]
async fn what_azure_cannot_do_any_more_is_said_and_the_rest_is_done() {
    let answered = player(&[
        "storage/account",
        "storage/service",
        "storage/service_versioned",
        "storage/container_without_locks",
        "blob/container_there",
        "blob/container_own",
        "storage/container_without_locks",
        "storage/lifecycle_missing",
        "storage/lifecycle_written_alone",
    ]);
    let month = std::time::Duration::from_hours(30 * 24);
    let plan = source_plan(&[]).with_retention(month).with_encryption(Encryption::CustomerKey("acme-scope".to_owned()));
    let kept = cloud(&answered).buckets().expect("an account").keep(&plan).await.expect("kept");
    assert_eq!((kept.created, kept.changed), (false, vec!["versioning", "lifecycle"]));
    let [scope, locks] = kept.cannot.as_slice() else { panic!("two things, {:?}", kept.cannot) };
    assert!(scope.contains("`acme-scope`") && locks.contains("version-level immutability"), "{scope} {locks}");
    assert_complete(&answered);
}

#[tokio::test]
async fn what_is_as_planned_is_left_alone_and_a_locked_retention_too() {
    let month = std::time::Duration::from_hours(30 * 24);
    for (policy, cannot) in [("storage/policy_as_wanted", 0), ("storage/policy_locked", 1)] {
        let answered = player(&[
            "storage/account",
            "storage/service_as_wanted",
            "storage/container",
            "blob/container_there",
            "blob/container_own",
            "blob/service_as_wanted",
            "storage/container",
            policy,
            "storage/lifecycle_as_wanted",
        ]);
        let plan = source_plan(&HOSTED).with_retention(month);
        let kept = cloud(&answered).buckets().expect("an account").keep(&plan).await.expect("kept");
        assert_eq!((kept.created, kept.changed.len(), kept.cannot.len()), (false, 0, cannot), "{kept:?}");
        assert!(kept.cannot.iter().all(|why| why.contains("locked at 3 days")), "{kept:?}");
        assert_complete(&answered);
    }
}

#[tokio::test]
async fn a_missing_permission_and_a_wrong_clock_are_named() {
    let answered = player(&["blob/mismatch"]);
    let keeper = data_plane_alone(&answered).buckets().expect("an account");
    let error = keeper.keep(&source_plan(&[])).await.expect_err("refused");
    assert!(error.hint().contains("blobServices/containers/write`"), "{}", error.sentence());
    let answered = player(&["blob/clock"]);
    let keeper = data_plane_alone(&answered).buckets().expect("an account");
    let error = keeper.keep(&source_plan(&[])).await.expect_err("refused");
    assert!(error.message().contains("Request date header too old"), "{}", error.sentence());
    assert!(error.hint().contains("Azure Sat, 21 Nov 2026 19:00:00 GMT"), "{}", error.sentence());
    for name in ["Chalk-a", "a--b", "ab", "$root", "a/b"] {
        let mut plan = source_plan(&[]);
        name.clone_into(&mut plan.name);
        let keeper = builder(&player(&[])).build().expect("valid").buckets().expect("an account");
        assert_eq!(keeper.keep(&plan).await.expect_err(name).code(), ErrorCode::ValueInvalid);
    }
}
