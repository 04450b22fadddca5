//! What is asked of the services of AWS and understood of their answers, case by case.

mod common;

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use chalk_deploy_aws::{Cloud, ExternalId, RepositorySettings, StoredRoles, TenantRole};
use chalk_deploy_core::ErrorCode;
use chalk_deploy_core::error::Retry;
use chalk_deploy_core::model::{Digest, Repository, Timestamp};
use chalk_deploy_core::oci::{Asked, Credential};
use chalk_deploy_core::provision::{Encryption, Endpoint, ImageRetention, sweep};
use chalk_deploy_core::runtime::Runtime as _;
use chalk_deploy_testkit::VirtualRuntime;
use chalk_deploy_testkit::recorded::{Case, Player};
use common::{HOST, REPOSITORY, SETTINGS, assert_played, builder, cloud, folder, player};

fn repository() -> Repository {
    Repository::new(REPOSITORY).expect("a repository")
}

fn digest(number: u8) -> Digest {
    let mut bytes = [0; 32];
    bytes[31] = number;
    Digest::from_bytes(bytes)
}

// --- ECR ---------------------------------------------------------------------------------------------------------------

#[tokio::test(start_paused = true)]
async fn a_repository_is_made_with_the_tag_that_the_scoped_role_asks_for() {
    let (player, cloud) = cloud(&["ecr/create_repository"]);
    let repositories = cloud.repositories().expect("a registry was named");
    repositories.create(HOST, "chalk/engine-prod").await.expect("made");
    assert_played(&player);
}

#[tokio::test(start_paused = true)]
async fn tags_are_immutable_and_the_key_is_the_customers_where_set() {
    let player = player(&["ecr/create_repository_immutable"]);
    let key = "arn:aws:kms:us-east-1:123456789012:key/11111111-2222-3333-4444-555555555555".to_owned();
    let settings =
        RepositorySettings::default().with_immutable_tags(true).with_encryption(Encryption::CustomerKey(key));
    let cloud = builder(player.transport(), VirtualRuntime::new(1)).with_repositories(settings).build();
    let cloud = cloud.expect("a cloud");
    cloud.repositories().expect("named").create(HOST, "chalk/engine-prod").await.expect("made");
    assert_played(&player);
}

#[tokio::test(start_paused = true)]
async fn a_repository_that_is_there_is_left_as_it_is() {
    let (player, cloud) = cloud(&["ecr/create_repository_exists"]);
    cloud.repositories().expect("named").create(HOST, "chalk/engine-prod").await.expect("there");
    assert_played(&player);
}

#[tokio::test(start_paused = true)]
async fn why_a_repository_cannot_be_made_is_told_with_the_next_step() {
    for (case, code, hint) in [
        ("ecr/create_repository_denied", ErrorCode::PermissionDenied, "RequestTag/chalk.ai/managed-by"),
        (
            "ecr/create_repository_tag_denied",
            ErrorCode::PermissionDenied,
            "`ecr:CreateRepository` and `ecr:TagResource`",
        ),
        ("ecr/create_repository_full", ErrorCode::ObjectRefused, "quota"),
    ] {
        let (player, cloud) = cloud(&[case]);
        let error = cloud.repositories().expect("named").create(HOST, "chalk/engine-prod").await.expect_err(case);
        assert_eq!(error.code(), code, "{error}");
        assert!(error.hint().contains(hint), "{}", error.hint());
        assert!(error.subject().contains("chalk/engine-prod"), "{error}");
        assert_played(&player);
    }
}

#[tokio::test(start_paused = true)]
async fn a_registry_of_another_account_or_a_name_that_is_none_is_refused_before_anything_is_sent() {
    let (player, cloud) = cloud(&[]);
    let repositories = cloud.repositories().expect("named");
    for (host, path, code) in [
        ("210987654321.dkr.ecr.us-east-1.amazonaws.com", "chalk/a", ErrorCode::PermissionDenied),
        ("123456789012.dkr.ecr.us-east-1.amazonaws.com.evil.example", "chalk/a", ErrorCode::PermissionDenied),
        (HOST, "Chalk/A", ErrorCode::ValueInvalid),
    ] {
        assert_eq!(repositories.create(host, path).await.expect_err(host).code(), code);
    }
    let foreign = Repository::new("210987654321.dkr.ecr.us-east-1.amazonaws.com/chalk/a").expect("a repository");
    let error = cloud.images().expect("named").images(&foreign).await.expect_err("another account");
    assert_eq!(error.code(), ErrorCode::PermissionDenied);
    assert!(error.hint().contains(HOST), "{}", error.hint());
    assert_played(&player);
}

#[tokio::test(start_paused = true)]
async fn all_images_are_listed_with_what_they_consist_of_and_are_about() {
    let (player, cloud) = cloud(&["ecr/describe_images_page_1", "ecr/describe_images_page_2", "ecr/batch_get_image"]);
    let images = cloud.images().expect("named").images(&repository()).await.expect("listed");
    let seen: Vec<_> = images.iter().map(|image| (image.digest, image.children.clone(), image.subject)).collect();
    // The fourth went between the two questions.
    let expected =
        [(digest(1), vec![digest(2)], None), (digest(2), vec![], None), (digest(3), vec![], Some(digest(1)))];
    assert_eq!(seen, expected);
    let tags: Vec<_> = images[0].tags.iter().map(ToString::to_string).collect();
    assert_eq!(tags, ["live", "v1"]);
    assert_eq!(images[0].pushed, Timestamp::from_millis(1_735_600_000_000));
    assert_played(&player);
}

#[tokio::test(start_paused = true)]
async fn a_sweep_keeps_what_a_deployment_needs_with_all_that_belongs_to_it() {
    let cases = ["ecr/describe_images_page_1", "ecr/describe_images_page_2", "ecr/batch_get_image"];
    let (player, cloud) = cloud(&cases);
    let images = cloud.images().expect("named");
    let needed = BTreeSet::from([digest(1)]);
    let none = ImageRetention::new(0, Duration::ZERO);
    let swept = sweep(&*images, &repository(), &needed, none, cloud.now()).await.expect("swept");
    assert_eq!((swept.removed.len(), swept.kept), (0, 3));
    assert_played(&player);
}

/// An index that was taken for an image without children would have its children swept.
#[tokio::test(start_paused = true)]
async fn a_manifest_that_cannot_be_read_ends_a_sweep_before_anything_goes() {
    let cases = ["ecr/describe_images_page_1", "ecr/describe_images_page_2", "ecr/batch_get_image_unreadable"];
    let (player, cloud) = cloud(&cases);
    let images = cloud.images().expect("named");
    let none = ImageRetention::new(0, Duration::ZERO);
    let error =
        sweep(&*images, &repository(), &BTreeSet::from([digest(1)]), none, cloud.now()).await.expect_err("unread");
    assert_eq!(error.code(), ErrorCode::CloudAnswerInvalid, "{error}");
    assert!(error.message().contains("manifest that cannot be read"), "{error}");
    assert_played(&player);
}

#[tokio::test(start_paused = true)]
async fn images_are_removed_with_the_index_first_and_one_that_is_gone_is_no_error() {
    let (player, cloud) = cloud(&["ecr/batch_delete_image", "ecr/batch_delete_image_again"]);
    let gone = [digest(1), digest(2), digest(9)];
    cloud.images().expect("named").remove(&repository(), &gone).await.expect("removed");
    assert_played(&player);
}

#[tokio::test(start_paused = true)]
async fn an_image_that_another_index_names_is_an_error_and_not_a_silence() {
    let (player, cloud) = cloud(&["ecr/batch_delete_image_referenced"]);
    let error = cloud.images().expect("named").remove(&repository(), &[digest(2)]).await.expect_err("named elsewhere");
    assert_eq!(error.code(), ErrorCode::ObjectConflict);
    assert_played(&player);
}

#[tokio::test(start_paused = true)]
async fn a_repository_that_is_not_there_is_missing() {
    let (player, cloud) = cloud(&["ecr/describe_images_missing"]);
    let error = cloud.images().expect("named").images(&repository()).await.expect_err("missing");
    assert_eq!(error.code(), ErrorCode::ObjectMissing, "{error}");
    assert_played(&player);
}

#[tokio::test(start_paused = true)]
async fn whether_layers_are_mounted_is_remarked_on_beside_how_the_cluster_is_reached() {
    let (player, cloud) = cloud(&["eks/describe_cluster_open", "ecr/get_account_setting"]);
    let remarks = cloud.remarks().await.expect("described").join("\n");
    assert!(remarks.contains("BLOB_MOUNTING") && remarks.contains("open to every address"), "{remarks}");
    assert_played(&player);
}

#[tokio::test(start_paused = true)]
async fn what_may_not_be_remarked_on_is_remarked_on_with_the_permission_that_lacks() {
    let (player, cloud) = cloud(&["eks/describe_cluster_public", "ecr/get_account_setting_denied"]);
    let remarks = cloud.remarks().await.expect("described");
    assert_eq!(remarks.len(), 1, "{remarks:?}");
    let lacks = "is not known; allow `ecr:GetAccountSetting` on `*`, which the published scoped role does not";
    assert!(remarks[0].contains(lacks), "{remarks:?}");
    assert_played(&player);
}

#[tokio::test(start_paused = true)]
async fn a_call_that_ecr_throttles_with_400_is_sent_again_a_bounded_number_of_times() {
    let throttled = "ecr/get_authorization_token_throttled";
    let (player, cloud) = cloud(&[throttled, throttled, "ecr/get_authorization_token"]);
    let runtime = password(&cloud).await.expect("given");
    assert_eq!(runtime, "password-of-ecr");
    assert_played(&player);

    let (player, cloud) = common::cloud(&[throttled, throttled, throttled]);
    let error = password(&cloud).await.expect_err("throttled");
    assert_eq!((error.code(), error.retry()), (ErrorCode::CloudUnavailable, Retry::Temporary));
    assert_played(&player);
}

/// The password that a push would show.
async fn password(cloud: &Cloud) -> chalk_deploy_core::Result<String> {
    let credentials = cloud.registry_credentials()?;
    match credentials.credential(HOST, Asked::First).await? {
        Credential::Basic { username, secret } => {
            assert_eq!(username, "AWS");
            Ok(secret.expose().to_owned())
        }
        other => panic!("{other:?}"),
    }
}

#[tokio::test(start_paused = true)]
async fn the_password_is_fetched_once_for_all_and_given_to_no_other_host() {
    let (player, cloud) = cloud(&["ecr/get_authorization_token"]);
    let all = futures::future::join_all((0..50).map(|_| password(&cloud))).await;
    assert!(all.into_iter().all(|password| password.expect("given") == "password-of-ecr"));
    let credentials = cloud.registry_credentials().expect("named");
    for host in
        ["docker.io", "210987654321.dkr.ecr.us-east-1.amazonaws.com", "x.123456789012.dkr.ecr.us-east-1.amazonaws.com"]
    {
        assert_eq!(credentials.credential(host, Asked::First).await.expect("answered"), Credential::Anonymous);
    }
    assert_played(&player);
}

// --- refusals that all services share -----------------------------------------------------------------------------------

#[tokio::test(start_paused = true)]
async fn expired_revoked_and_skewed_credentials_are_told_apart() {
    for (case, retry, hint) in [
        ("ecr/get_authorization_token_expired", Retry::Temporary, "renew"),
        ("ecr/get_authorization_token_revoked", Retry::Permanent, "revoked"),
        ("ecr/get_authorization_token_skewed", Retry::Permanent, "that of AWS said Sat, 21 Nov 2026 17:55:00 GMT"),
    ] {
        let (player, cloud) = cloud(&[case]);
        let error = password(&cloud).await.expect_err(case);
        assert_eq!((error.code(), error.retry()), (ErrorCode::PermissionDenied, retry), "{error}");
        assert!(error.hint().contains(hint), "{}", error.hint());
        assert_played(&player);
    }
}

// --- EKS ----------------------------------------------------------------------------------------------------------------

#[tokio::test(start_paused = true)]
async fn a_cluster_is_described_as_public_to_some_to_all_or_private() {
    for (case, endpoint) in [
        ("eks/describe_cluster_public", Endpoint::Public { allowed: vec!["192.0.2.0/24".to_owned()] }),
        ("eks/describe_cluster_open", Endpoint::Public { allowed: vec!["0.0.0.0/0".to_owned()] }),
        ("eks/describe_cluster_private", Endpoint::Private),
    ] {
        let (player, cloud) = cloud(&[case]);
        let described = cloud.describe_cluster().await.expect("described");
        assert_eq!(described.endpoint, endpoint);
        assert_eq!((described.name.as_str(), described.version.as_str()), ("chalk", "1.33"));
        assert_eq!(described.server, "https://A1B2C3.gr7.us-east-1.eks.amazonaws.com");
        assert_played(&player);
    }
}

#[tokio::test(start_paused = true)]
async fn a_cluster_that_cannot_be_used_is_told_with_the_next_step() {
    for (case, code, hint) in [
        ("eks/describe_cluster_missing", ErrorCode::ObjectMissing, "name"),
        ("eks/describe_cluster_failed", ErrorCode::ObjectMissing, "repair"),
        ("eks/describe_cluster_creating", ErrorCode::CloudUnavailable, "ACTIVE"),
        ("eks/describe_cluster_denied", ErrorCode::PermissionDenied, "eks:DescribeCluster"),
    ] {
        let (player, cloud) = cloud(&[case]);
        let error = cloud.describe_cluster().await.expect_err(case);
        assert_eq!(error.code(), code, "{error}");
        assert!(error.hint().contains(hint), "{}", error.hint());
        assert_eq!(error.subject(), "EKS cluster `chalk` in us-east-1");
        assert_played(&player);
    }
}

#[tokio::test(start_paused = true)]
async fn the_wait_that_eks_asks_for_is_told_when_patience_is_over() {
    let throttled = "eks/describe_cluster_throttled";
    let (player, cloud) = cloud(&[throttled, throttled, throttled]);
    let error = cloud.describe_cluster().await.expect_err("throttled");
    assert_eq!(error.code(), ErrorCode::CloudUnavailable);
    assert!(error.hint().contains("7 s"), "{}", error.hint());
    assert_played(&player);
}

#[tokio::test(start_paused = true)]
async fn a_call_that_eks_throttles_waits_as_it_is_asked_to_and_succeeds() {
    let player = player(&["eks/describe_cluster_throttled", "eks/describe_cluster_public"]);
    let runtime = VirtualRuntime::new(1);
    let cloud = builder(player.transport(), runtime.clone()).build().expect("a cloud");
    cloud.describe_cluster().await.expect("the second time");
    // It asks for seven seconds; one call is patient for five at most.
    assert_eq!(runtime.monotonic(), Duration::from_secs(5));
    assert_played(&player);
}

#[tokio::test(start_paused = true)]
async fn an_address_or_an_authority_that_cannot_be_trusted_gets_no_token() {
    for case in ["eks/describe_cluster_plain", "eks/describe_cluster_no_authority"] {
        let (player, cloud) = cloud(&[case]);
        let cluster = cloud.cluster().expect("named");
        let namespace = chalk_deploy_core::model::Namespace::new("ns-prod").expect("a namespace");
        let error = cluster.preflight(&namespace).await.expect_err(case);
        assert!(error.sentence().contains("EKS names"), "{}", error.sentence());
        assert_played(&player);
    }
}

// --- STS ----------------------------------------------------------------------------------------------------------------

fn tenant() -> (Arc<StoredRoles>, &'static str) {
    let id = ExternalId::stored("chalk-0123456789abcdef").expect("an id");
    let role = TenantRole::new("arn:aws:iam::210987654321:role/chalk-scoped", id).expect("a role");
    (Arc::new(StoredRoles::new().with("acme", role)), "acme")
}

fn as_tenant(names: &[&str]) -> (Player, Arc<VirtualRuntime>, Cloud) {
    let (player, runtime) = (player(names), VirtualRuntime::new(1));
    let (roles, tenant) = tenant();
    let cloud = builder(player.transport(), runtime.clone()).with_tenant(roles, tenant).build().expect("a cloud");
    (player, runtime, cloud)
}

#[tokio::test(start_paused = true)]
async fn the_role_of_a_tenant_is_assumed_once_for_all_with_the_stored_external_id() {
    let (player, _, cloud) = as_tenant(&["sts/assume_role"]);
    let all = futures::future::join_all((0..50).map(|_| cloud.credentials().keys())).await;
    for keys in all {
        let keys = keys.expect("assumed");
        assert_eq!(keys.id(), "ASIAFIRST");
        assert_eq!(keys.expires(), Some(Timestamp::from_millis(1_735_693_200_000)));
        assert!(!format!("{keys:?}").contains("secret"), "{keys:?}");
    }
    assert_played(&player);
}

#[tokio::test(start_paused = true)]
async fn a_session_is_renewed_before_it_ends() {
    let (player, runtime, cloud) = as_tenant(&["sts/assume_role", "sts/assume_role_again"]);
    assert_eq!(cloud.credentials().keys().await.expect("assumed").id(), "ASIAFIRST");
    runtime.sleep(Duration::from_mins(50)).await;
    assert_eq!(cloud.credentials().keys().await.expect("kept").id(), "ASIAFIRST");
    runtime.sleep(Duration::from_mins(6)).await;
    assert_eq!(cloud.credentials().keys().await.expect("renewed").id(), "ASIASECOND");
    assert_played(&player);
}

#[tokio::test(start_paused = true)]
async fn a_session_that_was_refused_as_ended_is_renewed_and_the_call_sent_once_more() {
    let (player, _, cloud) = as_tenant(&[
        "sts/assume_role",
        "ecr/get_authorization_token_expired",
        "sts/assume_role_again",
        "ecr/get_authorization_token",
    ]);
    assert_eq!(password(&cloud).await.expect("renewed"), "password-of-ecr");
    assert_played(&player);
}

#[tokio::test(start_paused = true)]
async fn a_role_that_may_not_be_assumed_is_told_with_what_its_owner_has_to_do() {
    let (player, runtime) = (player(&["sts/assume_role_denied"]), VirtualRuntime::new(1));
    let (roles, tenant) = tenant();
    let slow = common::slow(player.transport(), runtime.clone());
    let cloud = builder(slow, runtime).with_tenant(roles, tenant).build().expect("a cloud");
    let all = futures::future::join_all((0..20).map(|_| cloud.credentials().keys())).await;
    for error in all.into_iter().map(|keys| keys.expect_err("denied")) {
        assert_eq!(error.code(), ErrorCode::PermissionDenied);
        assert!(error.hint().contains("trust policy") && error.hint().contains("external id"), "{}", error.hint());
        assert!(error.subject().contains("role/chalk-scoped"), "{error}");
    }
    assert_played(&player);
}

#[tokio::test(start_paused = true)]
async fn a_session_that_is_too_long_for_the_role_is_a_wrong_value() {
    let (player, _, cloud) = as_tenant(&["sts/assume_role_too_long"]);
    let error = cloud.credentials().keys().await.expect_err("too long");
    assert_eq!(error.code(), ErrorCode::ValueInvalid);
    assert!(error.message().contains("MaxSessionDuration"), "{error}");
    assert_played(&player);
}

#[tokio::test(start_paused = true)]
async fn a_tenant_without_a_stored_role_is_refused_before_anything_is_sent() {
    let (player, runtime) = (player(&[]), VirtualRuntime::new(1));
    let (roles, _) = tenant();
    let cloud = builder(player.transport(), runtime).with_tenant(roles, "another").build().expect("a cloud");
    let error = cloud.credentials().keys().await.expect_err("unknown");
    assert_eq!(error.code(), ErrorCode::PermissionDenied);
    assert!(error.subject().contains("another"), "{error}");
    assert_played(&player);
}

// --- the cases themselves -----------------------------------------------------------------------------------------------

#[test]
fn every_case_is_played_by_a_test() {
    let sources = [
        include_str!("buckets.rs"),
        include_str!("queues.rs"),
        include_str!("recorded.rs"),
        include_str!("sources.rs"),
        include_str!("weather.rs"),
    ];
    let sources = sources.concat();
    for api in ["ecr", "eks", "local", "s3", "sqs", "sts"] {
        for case in Case::all(&folder().join(api)).expect("the cases can be read") {
            let name = &case.name;
            // The settings of a bucket are named by their words.
            let word = name.strip_prefix("get_").or_else(|| name.strip_prefix("put_")).unwrap_or_default();
            let word = word.strip_suffix("_unset").or_else(|| word.strip_suffix("_of_others")).unwrap_or(word);
            let setting = api == "s3" && SETTINGS.contains(&word);
            let named = ["\"".to_owned(), format!("{api}/")]
                .iter()
                .any(|before| sources.contains(&format!("{before}{name}\"")));
            assert!(setting || named, "nobody plays {api}/{name}");
        }
    }
}
