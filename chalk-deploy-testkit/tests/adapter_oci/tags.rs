//! Tags and manifests.

use chalk_deploy_core::ErrorCode;
use chalk_deploy_core::cloud::{ImageManifest, ManifestLocator, Payload, Referrers as _, Registry as _};
use chalk_deploy_core::model::Digest;
use chalk_deploy_core::oci::OciSettings;
use serde_json::json;

use super::small_registry::{Canned, Options, SmallRegistry, TagDeletion};
use super::{adapter, manifest_of, repository, tag};

#[tokio::test(start_paused = true)]
async fn a_registry_that_deletes_nothing_is_told_so_and_the_tag_stays_where_it_was() {
    for deletion in [TagDeletion::Never, TagDeletion::ClaimsNotFoundAlways, TagDeletion::KeepsTags] {
        let server = SmallRegistry::new(Options { tag_deletion: deletion, ..Options::default() });
        let registry = adapter(&server, OciSettings::default());
        let (repository, config) = (repository("a"), Payload::from_bytes("config"));
        registry.push_blob(&repository, &config).await.expect("pushed");
        let manifest = manifest_of(&config);
        registry.put_manifest(&repository, &manifest, Some(tag("t"))).await.expect("tagged");
        let error = registry.remove_tag(&repository, &tag("t")).await.expect_err("it cannot");
        assert_eq!(error.code(), ErrorCode::PermissionDenied, "{error}");
        assert!(
            error.sentence().contains("registry.example/a:t: the registry removes neither"),
            "{}",
            error.sentence()
        );
        let left = registry.manifest(&repository, &ManifestLocator::Digest(manifest.digest())).await.expect("answered");
        assert_eq!(left, Some(manifest.clone()), "the image is never touched");
        if deletion != TagDeletion::KeepsTags {
            let at = registry.manifest(&repository, &ManifestLocator::Tag(tag("t"))).await.expect("answered");
            assert_eq!(at, Some(manifest));
        }
    }
}

#[tokio::test(start_paused = true)]
async fn where_only_digests_are_deleted_other_tags_of_the_image_stay() {
    let server = SmallRegistry::new(Options { tag_deletion: TagDeletion::ByDigestOnly, ..Options::default() });
    let registry = adapter(&server, OciSettings::default());
    let (repository, config) = (repository("a"), Payload::from_bytes("config"));
    registry.push_blob(&repository, &config).await.expect("pushed");
    let manifest = manifest_of(&config);
    for name in ["gone", "kept"] {
        registry.put_manifest(&repository, &manifest, Some(tag(name))).await.expect("tagged");
    }
    registry.remove_tag(&repository, &tag("gone")).await.expect("removed");
    let state = server.state();
    assert_eq!(state.tags.keys().map(|(_, name)| name.as_str()).collect::<Vec<_>>(), ["kept"]);
    assert_eq!(state.manifests.len(), 1, "the tombstone is gone too");
}

#[tokio::test(start_paused = true)]
async fn an_immutable_tag_that_points_there_already_is_left_alone_and_another_one_is_not_moved() {
    let server = SmallRegistry::new(Options { immutable: Some((400, "is immutable")), ..Options::default() });
    let registry = adapter(&server, OciSettings::default());
    let repository = repository("a");
    let (one, two) = (Payload::from_bytes("one"), Payload::from_bytes("two"));
    for config in [&one, &two] {
        registry.push_blob(&repository, config).await.expect("pushed");
    }
    registry.put_manifest(&repository, &manifest_of(&one), Some(tag("t"))).await.expect("tagged");
    registry.put_manifest(&repository, &manifest_of(&one), Some(tag("t"))).await.expect("it points there");
    let error = registry.put_manifest(&repository, &manifest_of(&two), Some(tag("t"))).await.expect_err("immutable");
    assert_eq!(error.code(), ErrorCode::ObjectExists);
    assert!(error.message().contains(&manifest_of(&one).digest().to_string()), "{error}");
}

#[tokio::test(start_paused = true)]
async fn another_digest_anywhere_is_an_image_mismatch() {
    let other = Digest::of("other").to_string();
    let lie =
        |status: u16| Canned { status, headers: vec![("docker-content-digest", other.clone())], ..Canned::default() };
    let (config, repository) = (Payload::from_bytes("config"), repository("a"));
    let manifest = manifest_of(&config);
    let locator = ManifestLocator::Digest(manifest.digest());

    let server = SmallRegistry::new(Options::default());
    let registry = adapter(&server, OciSettings::default());
    server.instead("HEAD registry.example/v2/a/blobs/", lie(200));
    let error = registry.has_blob(&repository, &config.sha256()).await.expect_err("another one");
    assert_eq!(error.code(), ErrorCode::ImageMismatch);
    server.instead("PUT registry.example/v2/a/blobs/", lie(201));
    let error = registry.push_blob(&repository, &config).await.expect_err("another one");
    assert_eq!(error.code(), ErrorCode::ImageMismatch);
    server.instead("PUT registry.example/v2/a/manifests/", lie(201));
    let error = registry.put_manifest(&repository, &manifest, None).await.expect_err("another one");
    assert_eq!(error.code(), ErrorCode::ImageMismatch);

    server.instead(
        "GET registry.example/v2/a/manifests/",
        Canned { status: 200, body: "{}".to_owned(), ..Canned::default() },
    );
    let error = registry.manifest(&repository, &locator).await.expect_err("other bytes");
    assert_eq!(error.code(), ErrorCode::ImageMismatch);
    let lying = Canned {
        status: 200,
        headers: vec![("docker-content-digest", other.clone())],
        body: "{}".to_owned(),
        always: false,
    };
    server.instead("GET registry.example/v2/a/manifests/t", lying);
    let error = registry.manifest(&repository, &ManifestLocator::Tag(tag("t"))).await.expect_err("other bytes");
    assert_eq!(error.code(), ErrorCode::ImageMismatch);

    server.instead(
        "GET registry.example/v2/a/blobs/",
        Canned { status: 200, body: "lawyer".to_owned(), ..Canned::default() },
    );
    let stream = registry.pull_blob(&repository, &config.sha256()).await.expect("opened");
    let broken = futures::TryStreamExt::try_collect::<Vec<_>>(stream).await.expect_err("other bytes");
    let error = chalk_deploy_core::cloud::error_in_stream(broken).expect("an error of ours");
    assert_eq!(error.code(), ErrorCode::ImageMismatch);
}

#[tokio::test(start_paused = true)]
async fn a_manifest_that_is_too_large_is_refused_in_both_directions() {
    let server = SmallRegistry::new(Options::default());
    let registry = adapter(&server, OciSettings::default());
    let large = ImageManifest { media_type: "application/json".to_owned(), bytes: vec![b' '; (4 << 20) + 1].into() };
    let error = registry.put_manifest(&repository("a"), &large, None).await.expect_err("too large");
    assert_eq!(error.code(), ErrorCode::ValueInvalid);
    assert!(server.requests().is_empty());
    let body = String::from_utf8(large.bytes.to_vec()).expect("spaces");
    server.instead("GET", Canned { status: 200, body, ..Canned::default() });
    let error = registry.manifest(&repository("a"), &ManifestLocator::Tag(tag("t"))).await.expect_err("too large");
    assert_eq!(error.code(), ErrorCode::CloudAnswerInvalid);
}

#[tokio::test(start_paused = true)]
async fn referrers_are_listed_by_the_registry_or_read_from_the_tag_that_stands_for_them() {
    let server = SmallRegistry::new(Options::default());
    let registry = adapter(&server, OciSettings::default());
    let (repository, subject) = (repository("a"), Digest::of("subject"));
    assert_eq!(registry.list_referrers(&repository, &subject).await.expect("none"), []);
    let digest = Digest::of("sbom");
    let index = json!({"schemaVersion": 2, "mediaType": "application/vnd.oci.image.index.v1+json", "manifests": [
        {"mediaType": "application/vnd.oci.image.manifest.v1+json", "digest": digest, "size": 7, "artifactType": "text/spdx"},
    ]});
    let bytes = index.to_string();
    let manifest =
        ImageManifest { media_type: "application/vnd.oci.image.index.v1+json".to_owned(), bytes: bytes.clone().into() };
    registry.put_manifest(&repository, &manifest, Some(tag(&format!("sha256-{}", subject.hex())))).await.expect("put");
    let by_tag = registry.list_referrers(&repository, &subject).await.expect("listed");
    server.instead("/referrers/", Canned { status: 200, body: bytes, ..Canned::default() });
    let by_list = registry.list_referrers(&repository, &subject).await.expect("listed");
    assert_eq!(by_tag, by_list);
    assert_eq!((by_tag[0].manifest.digest, by_tag[0].artifact_type.as_deref()), (digest, Some("text/spdx")));
    for body in ["[]", r#"{"schemaVersion":2,"manifests":[{"mediaType":"a","digest":"md5:1","size":1}]}"#] {
        server.instead("/referrers/", Canned { status: 200, body: body.to_owned(), ..Canned::default() });
        let error = registry.list_referrers(&repository, &subject).await.expect_err("no index");
        assert_eq!(error.code(), ErrorCode::CloudAnswerInvalid);
    }
}
