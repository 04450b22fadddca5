//! The `Registry` adapter is held to its contract on the simulated registry, with every kind of it.
#![cfg(feature = "simulated")]

use std::sync::Arc;

use chalk_deploy_core::model::Repository;
use chalk_deploy_core::oci::{Credential, OciRegistry, OciSettings, Secret, StaticCredentials, UploadMode};
use chalk_deploy_testkit::conformance::registry::{RegistryHarness, suite};
use chalk_deploy_testkit::simulated::http::in_process;
use chalk_deploy_testkit::simulated::registry::{
    Account, Downloads, Mounts, RegistryServer, RegistrySettings, TagRule, UploadLocation,
};
use chalk_deploy_testkit::{VirtualRuntime, World};

const HOST: &str = "registry.example";

/// The checks that fail.
async fn failures(settings: RegistrySettings, upload: UploadMode, user: &str) -> Vec<String> {
    let runtime = VirtualRuntime::new(1);
    let server = Arc::new(RegistryServer::new(&World::memory(), runtime.clone(), settings));
    for name in ["conformance", "conformance/other"] {
        server.create_repository(name).expect("a valid name");
    }
    let credential = Credential::Basic { username: user.to_owned(), secret: Secret::new("password") };
    let credentials = Arc::new(StaticCredentials::new().with(HOST, credential));
    let settings = OciSettings::default().with_upload(upload).with_credentials(credentials);
    let registry = Arc::new(OciRegistry::new(in_process(server), runtime, settings));
    let base = Repository::new(format!("{HOST}/conformance")).expect("a valid repository");
    let report = suite(&RegistryHarness { registry, base }, "run").await;
    report.failed.iter().map(|(check, _)| format!("{check}: {report}")).collect()
}

#[tokio::test(start_paused = true)]
async fn the_adapter_passes_with_every_kind_of_registry_and_every_way_to_upload() {
    let plain = RegistrySettings::plain;
    let mut elsewhere = plain();
    elsewhere.uploads.location = UploadLocation::Elsewhere;
    let mut absolute = plain();
    absolute.uploads.location = UploadLocation::Absolute;
    absolute.uploads.single_post = false;
    let storage = Downloads::Storage { host: Some("storage.example".to_owned()) };
    let ecr = RegistrySettings { creates_repositories: true, ..RegistrySettings::ecr("password") };
    for (name, settings, user) in [
        ("plain", plain(), "user"),
        ("elsewhere", elsewhere, "user"),
        ("absolute", absolute, "user"),
        ("storage", RegistrySettings { downloads: storage, ..plain() }, "user"),
        ("immutable", RegistrySettings { tags: TagRule::Immutable, mounts: Mounts::Never, ..plain() }, "user"),
        ("basic", plain().with_basic_user("user", "password"), "user"),
        ("tokens", plain().with_tokens([Account::administrator("user", "password")]), "user"),
        ("ecr", ecr, "AWS"),
        ("artifact registry", RegistrySettings::artifact_registry("password"), "oauth2accesstoken"),
        ("acr", RegistrySettings::acr("password"), "entra"),
    ] {
        for upload in [UploadMode::TwoRequests, UploadMode::OneRequest, UploadMode::Chunked { chunk: 6 << 20 }] {
            let failed = failures(settings.clone(), upload, user).await;
            assert!(failed.is_empty(), "{name}, {upload:?}: {failed:#?}");
        }
    }
}
