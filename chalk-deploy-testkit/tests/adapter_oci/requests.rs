//! What each call costs.

use chalk_deploy_core::cloud::{ManifestLocator, Payload, Registry as _};
use chalk_deploy_core::oci::{OciSettings, UploadMode};

use super::small_registry::{Options, SmallRegistry};
use super::{adapter, blob, credentials, manifest_of, repository, tag};

fn methods(server: &SmallRegistry) -> Vec<String> {
    server.requests().iter().filter_map(|line| line.split(' ').next().map(str::to_owned)).collect()
}

#[tokio::test(start_paused = true)]
async fn a_push_of_what_is_there_costs_one_head_for_each_blob_and_manifest() {
    let server = SmallRegistry::new(Options::default());
    let registry = adapter(&server, OciSettings::default());
    let (repository, config) = (repository("a"), Payload::from_bytes("config"));
    let manifest = manifest_of(&config);

    registry.push_blob(&repository, &config).await.expect("pushed");
    assert_eq!(methods(&server), ["HEAD", "POST", "PUT"]);
    registry.put_manifest(&repository, &manifest, None).await.expect("put");
    assert_eq!(methods(&server), ["HEAD", "PUT"]);
    registry.put_manifest(&repository, &manifest, Some(tag("t"))).await.expect("tagged");
    assert_eq!(methods(&server), ["HEAD", "PUT"]);

    registry.push_blob(&repository, &config).await.expect("there");
    registry.put_manifest(&repository, &manifest, None).await.expect("there");
    registry.put_manifest(&repository, &manifest, Some(tag("t"))).await.expect("there");
    assert_eq!(methods(&server), ["HEAD"; 3]);
    assert!(registry.has_blob(&repository, &config.sha256()).await.expect("answered"));
    registry.manifest(&repository, &ManifestLocator::Tag(tag("t"))).await.expect("answered").expect("there");
    assert_eq!(methods(&server), ["HEAD", "GET"]);
    registry.remove_tag(&repository, &tag("t")).await.expect("removed");
    assert_eq!(methods(&server), ["DELETE"]);
    registry.remove_tag(&repository, &tag("t")).await.expect("removed before");
    assert_eq!(methods(&server), ["DELETE", "HEAD"]);
}

#[tokio::test(start_paused = true)]
async fn a_blob_of_another_repository_of_the_registry_is_mounted_and_its_bytes_are_not_read() {
    struct Unreadable;
    #[async_trait::async_trait]
    impl chalk_deploy_core::cloud::PayloadSource for Unreadable {
        async fn open(&self) -> chalk_deploy_core::Result<chalk_deploy_core::cloud::ByteStream> {
            panic!("the bytes of a mounted blob are not read")
        }
    }
    let server = SmallRegistry::new(Options::default());
    let registry = adapter(&server, OciSettings::default());
    let (base, target, layer) = (repository("base"), repository("target"), Payload::from_bytes("layer"));
    registry.push_blob(&base, &layer).await.expect("pushed");
    server.requests();
    let known =
        Payload::new(layer.sha256(), layer.size(), std::sync::Arc::new(Unreadable)).with_origin(Some(base.clone()));
    registry.push_blob(&target, &known).await.expect("mounted");
    assert_eq!(methods(&server), ["HEAD", "POST"]);
    assert!(registry.has_blob(&target, &layer.sha256()).await.expect("answered"));
}

#[tokio::test(start_paused = true)]
async fn a_registry_that_does_not_mount_is_sent_the_blob_in_the_session_that_it_opened() {
    let server = SmallRegistry::new(Options { never_mounts: true, ..Options::default() });
    let registry = adapter(&server, OciSettings::default());
    let layer = Payload::from_bytes("layer").with_origin(Some(repository("base")));
    registry.push_blob(&repository("target"), &layer).await.expect("pushed");
    assert_eq!(methods(&server), ["HEAD", "POST", "PUT"]);
}

#[tokio::test(start_paused = true)]
async fn no_mount_is_asked_for_across_registries_or_within_one_repository() {
    let server = SmallRegistry::new(Options::default());
    let registry = adapter(&server, OciSettings::default());
    for origin in ["other.example/base", "registry.example/target", "registry.example:444/base"] {
        let origin = chalk_deploy_core::model::Repository::new(origin).expect("a valid repository");
        let layer = Payload::from_bytes(origin.to_string()).with_origin(Some(origin));
        registry.push_blob(&repository("target"), &layer).await.expect("pushed");
    }
    assert!(!server.requests().iter().any(|line| line.contains("mount=")));
}

#[tokio::test(start_paused = true)]
async fn a_mount_that_a_token_does_not_allow_becomes_an_upload() {
    let options = Options { realm: Some("https://registry.example/token".to_owned()), ..Options::default() };
    let server = SmallRegistry::new(options);
    server.instead("mount=", super::small_registry::Canned { status: 403, always: true, ..Default::default() });
    let registry = adapter(&server, OciSettings::default().with_credentials(credentials()));
    let layer = Payload::from_bytes("layer").with_origin(Some(repository("base")));
    registry.push_blob(&repository("target"), &layer).await.expect("pushed all the same");
}

#[tokio::test(start_paused = true)]
async fn each_way_to_upload_sends_as_many_requests_as_its_name_says() {
    for (upload, expected) in [
        (UploadMode::OneRequest, &["HEAD", "POST"][..]),
        (UploadMode::TwoRequests, &["HEAD", "POST", "PUT"]),
        (UploadMode::Chunked { chunk: 100_000 }, &["HEAD", "POST", "PATCH", "PATCH", "PATCH", "PUT"]),
    ] {
        let server = SmallRegistry::new(Options::default());
        let registry = adapter(&server, OciSettings::default().with_upload(upload));
        registry.push_blob(&repository("a"), &blob(250_000)).await.expect("pushed");
        assert_eq!(methods(&server), expected);
        assert!(server.state().sessions.is_empty());
    }
    let server = SmallRegistry::new(Options { ignores_one_request: true, ..Options::default() });
    let registry = adapter(&server, OciSettings::default().with_upload(UploadMode::OneRequest));
    registry.push_blob(&repository("a"), &blob(250_000)).await.expect("pushed");
    assert_eq!(methods(&server), ["HEAD", "POST", "PUT"]);
}

#[tokio::test(start_paused = true)]
async fn a_token_is_fetched_once_for_what_it_is_good_for() {
    let realm = "https://registry.example/token".to_owned();
    let server = SmallRegistry::new(Options { realm: Some(realm), ..Options::default() });
    let registry = adapter(&server, OciSettings::default().with_credentials(credentials()));
    registry.push_blob(&repository("a"), &Payload::from_bytes("one")).await.expect("pushed");
    // The first is refused, a token is fetched, and it is good for all that follows.
    assert_eq!(methods(&server), ["HEAD", "GET", "HEAD", "POST", "PUT"]);
    registry.push_blob(&repository("a"), &Payload::from_bytes("two")).await.expect("pushed");
    registry.has_blob(&repository("a"), &Payload::from_bytes("two").sha256()).await.expect("answered");
    assert_eq!(methods(&server), ["HEAD", "POST", "PUT", "HEAD"]);
}
