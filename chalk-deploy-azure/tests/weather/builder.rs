//! What a cloud is made from: methods, variables, and what contradicts itself.

use chalk_deploy_azure::{Cloud, CredentialChoice, NationalCloud};
use chalk_deploy_core::ErrorCode;
use chalk_deploy_core::model::Repository;
use chalk_deploy_core::provision::ImageCatalog as _;
use chalk_deploy_core::runtime::SystemRuntime;
use chalk_deploy_testkit::recorded::Player;
use chalk_deploy_testkit::simulated::closure::Hosts;

use crate::common::{Bank, SUBSCRIPTION, TENANT, builder, repeated};

/// A builder that has read these variables.
fn told(variables: &[(&str, &str)]) -> chalk_deploy_azure::CloudBuilder {
    let variables: Vec<_> = variables.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
    Cloud::builder()
        .from_variables(move |wanted| variables.iter().find(|(name, _)| name == wanted).map(|(_, value)| value.clone()))
}

#[test]
fn what_is_set_stays_whether_the_variables_are_read_before_or_after() {
    let variables = [
        ("AZURE_AUTHORITY_HOST", "https://login.microsoftonline.us"),
        ("AZURE_TOKEN_CREDENTIALS", "EnvironmentCredential"),
        ("AZURE_TENANT_ID", "not/one"),
        ("AZURE_CONTAINER_REGISTRY_ENDPOINT", "not one"),
        ("AZURE_RESOURCE_MANAGER_ENDPOINT", "not one"),
    ];
    let set = |builder: chalk_deploy_azure::CloudBuilder| {
        builder
            .with_tenant(TENANT)
            .with_national_cloud(NationalCloud::Public)
            .with_credentials(CredentialChoice::Chain)
            .with_registry("chalkacme.azurecr.io")
            .with_management_endpoint("https://management.azure.com")
    };
    let read = |name: &str| variables.iter().find(|(known, _)| *known == name).map(|(_, value)| (*value).to_owned());
    set(Cloud::builder()).from_variables(read).build().expect("nothing of the variables was taken");
    set(told(&variables)).build().expect("nothing of the variables was kept");
}

#[test]
fn what_is_wrong_is_told_by_build_with_the_variable_or_the_method() {
    for (name, value, word) in [
        ("AZURE_TENANT_ID", "common", "AZURE_TENANT_ID"),
        ("AZURE_TENANT_ID", "a/b", "AZURE_TENANT_ID"),
        ("AZURE_CLIENT_ID", "me", "AZURE_CLIENT_ID"),
        ("AZURE_STORAGE_ACCOUNT", "Not_One", "AZURE_STORAGE_ACCOUNT"),
        ("AZURE_AUTHORITY_HOST", "https://user:hidden@h", "AZURE_AUTHORITY_HOST"),
        ("AZURE_AUTHORITY_HOST", "http://127.0.0.1:1", "TLS alone"),
        ("AZURE_RESOURCE_MANAGER_ENDPOINT", "http://manager.example", "over plain http"),
        ("AZURE_CONTAINER_REGISTRY_ENDPOINT", "http://registry.example", "over plain http"),
        ("AZURE_CONTAINER_REGISTRY_ENDPOINT", "evil.example", "AZURE_CONTAINER_REGISTRY_ENDPOINT"),
        ("AZURE_TOKEN_CREDENTIALS", "EnvironmentCredential", "AZURE_TOKEN_CREDENTIALS"),
        ("AZURE_TOKEN_CREDENTIALS", "WorkloadIdentityCredential", "AZURE_FEDERATED_TOKEN_FILE"),
    ] {
        let error = told(&[(name, value)]).build().expect_err(value);
        assert!(error.sentence().contains(word) && !error.sentence().contains("hidden"), "{}", error.sentence());
    }
    let cluster = Cloud::builder().with_cluster("chalk").build().expect_err("where?");
    assert!(cluster.hint().contains("AZURE_RESOURCE_GROUP"), "{}", cluster.sentence());
    let bucket = Cloud::builder().with_bucket("chalk-a").build().expect_err("where?");
    assert!(bucket.hint().contains("AZURE_STORAGE_ACCOUNT"), "{}", bucket.sentence());
    let bucket = Cloud::builder().with_storage_account("chalkacme").with_bucket("a--b").build().expect_err("no name");
    assert!(bucket.subject().contains("with_bucket"), "{}", bucket.sentence());
}

#[test]
fn workload_identity_that_is_set_up_by_half_does_not_make_a_pod_its_node() {
    let half = [("AZURE_TENANT_ID", TENANT), ("AZURE_FEDERATED_TOKEN_FILE", "/var/run/token")];
    for choice in [CredentialChoice::Chain, CredentialChoice::Deployed] {
        let error = told(&half).with_credentials(choice).build().expect_err("no client id");
        assert_eq!((error.code(), error.subject()), (ErrorCode::RequestInvalid, "AZURE_CLIENT_ID"));
        assert!(error.hint().contains("annotate its service account"), "{}", error.sentence());
    }
    told(&half).with_credentials(CredentialChoice::ManagedIdentity).build().expect("it was asked to be its node");
}

#[test]
fn a_blob_endpoint_goes_with_its_account_and_a_registry_endpoint_with_its_registry() {
    let blobs = ("AZURE_STORAGE_BLOB_ENDPOINT", "https://other.blob.core.windows.net/");
    told(&[blobs]).build().expect("it is there for other programs");
    let error = told(&[blobs, ("AZURE_STORAGE_ACCOUNT", "chalkacme")]).build().expect_err("another account's");
    assert_eq!(error.code(), ErrorCode::RequestInvalid);
    assert!(error.subject().contains("AZURE_STORAGE_BLOB_ENDPOINT"), "{}", error.sentence());
    let error = Cloud::builder().with_blob_endpoint("https://h.example").build().expect_err("whose?");
    assert!(error.hint().contains("with_storage_account"), "{}", error.sentence());

    let emulator = ("AZURE_CONTAINER_REGISTRY_ENDPOINT", "http://127.0.0.1:5000");
    told(&[emulator]).with_registry("127.0.0.1:5000").build().expect("the same");
    let error = told(&[emulator]).with_registry("chalkacme.azurecr.io").build().expect_err("another one");
    assert_eq!(error.code(), ErrorCode::RequestInvalid);
    assert!(error.sentence().contains("127.0.0.1:5000") && error.subject().contains("with_registry"));
    let named = ("AZURE_CONTAINER_REGISTRY_ENDPOINT", "chalkother.azurecr.io");
    told(&[named]).build().expect("as the Azure Developer CLI writes it").registry().expect("it is the registry");
}

#[tokio::test]
async fn other_clouds_have_other_hosts() {
    let management = repeated(&["aks/cluster_public"]);
    let bank = Bank::new(SystemRuntime::new(), None);
    let cloud = told(&[
        ("AZURE_AUTHORITY_HOST", "https://login.microsoftonline.us/"),
        ("AZURE_SUBSCRIPTION_ID", SUBSCRIPTION),
        ("AZURE_RESOURCE_GROUP", "chalk-acme"),
    ])
    .with_cluster("chalk")
    .with_registry("chalkacme.azurecr.us")
    .with_credentials(bank.choice())
    .with_transport(Hosts::new().with("management.usgovcloudapi.net", management.transport()).transport())
    .build()
    .expect("valid settings");
    cloud.describe_cluster().await.expect("described");
    assert_eq!(bank.scopes(), ["https://management.usgovcloudapi.net/.default"]);
    let repository = Repository::new("chalkacme.azurecr.us/chalk/engine").expect("a repository");
    cloud.images().expect("set").images(&repository).await.expect_err("no such host");
    assert_eq!(bank.scopes()[1], "https://containerregistry.azure.us/.default");
    let error =
        builder(&Player::default()).with_national_cloud(NationalCloud::China).build().expect_err("another cloud's");
    assert!(
        error.sentence().contains(".azurecr.cn") && error.subject().contains("with_registry"),
        "{}",
        error.sentence()
    );
}
