//! Manifests, tags and what refers to them.

use super::*;
use crate::simulated::registry::{Deletions, TagRule};

#[tokio::test(start_paused = true)]
async fn a_manifest_is_read_by_tag_and_by_digest_as_the_bytes_that_were_sent() {
    let registry = plain();
    let image = image(&registry, "a", "one").await;
    let stored = put_manifest(&registry, "a/manifests/v1", IMAGE, &image).await.is(201);
    let digest = digest(image.to_string().as_bytes());
    assert_eq!(stored.header("docker-content-digest"), digest);
    assert_eq!(stored.location(), format!("/v2/a/manifests/{digest}"));
    for name in ["v1", &digest] {
        let target = format!("/v2/a/manifests/{name}");
        let got = ask(&registry, "GET", &target).await.is(200);
        assert_eq!(got.body, image.to_string());
        let head = ask(&registry, "HEAD", &target).await.is(200);
        for reply in [got, head] {
            assert_eq!(reply.header("content-type"), IMAGE);
            assert_eq!(reply.header("docker-content-digest"), digest);
            assert_eq!(reply.header("content-length"), image.to_string().len().to_string());
        }
    }
    ask(&registry, "GET", "/v2/a/manifests/v2").await.is_refused(404, "MANIFEST_UNKNOWN");
    ask(&registry, "GET", "/v2/b/manifests/v1").await.is_refused(404, "NAME_UNKNOWN");
    ask(&registry, "GET", "/v2/a/manifests/.v1").await.is_refused(400, "TAG_INVALID");
    ask(&registry, "GET", "/v2/A/manifests/v1").await.is_refused(400, "NAME_INVALID");
}

#[tokio::test(start_paused = true)]
async fn a_manifest_under_a_sha512_digest_is_read_by_it() {
    let registry = plain();
    let image = image(&registry, "a", "one").await;
    let digest = ContentDigest::of(image.to_string().as_bytes(), Algorithm::Sha512);
    put_manifest(&registry, &format!("a/manifests/{digest}"), IMAGE, &image).await.is(201);
    let got = ask(&registry, "GET", &format!("/v2/a/manifests/{digest}")).await.is(200);
    assert_eq!((got.header("docker-content-digest"), &got.body[..]), (digest.as_str(), image.to_string().as_bytes()));
}

#[tokio::test(start_paused = true)]
async fn a_manifest_whose_parts_are_missing_is_refused_and_nothing_is_stored() {
    for (not_found, status) in [(true, 404), (false, 400)] {
        let settings = RegistrySettings { missing_parts_are_not_found: not_found, ..RegistrySettings::plain() };
        let registry = registry(settings);
        let image = image(&registry, "elsewhere", "one").await;
        put_manifest(&registry, "elsewhere/manifests/v1", IMAGE, &image).await.is(201);
        push(&registry, "a", &config_bytes("one")).await;
        let refused = put_manifest(&registry, "a/manifests/v1", IMAGE, &image).await;
        let refused = refused.is_refused(status, "MANIFEST_BLOB_UNKNOWN");
        assert_eq!(refused.json()["errors"][0]["detail"]["digest"], digest(b"one"));
        let child = json!({"mediaType": IMAGE, "digest": digest(image.to_string().as_bytes()), "size": 1});
        let index = json!({"schemaVersion": 2, "mediaType": INDEX, "manifests": [child]});
        put_manifest(&registry, "a/manifests/v1", INDEX, &index).await.is_refused(status, "MANIFEST_BLOB_UNKNOWN");
        assert!(registry.manifests("a").expect("readable").is_empty());
        put_manifest(&registry, "elsewhere/manifests/v2", INDEX, &index).await.is(201);
    }
}

#[tokio::test(start_paused = true)]
async fn manifests_of_another_digest_type_or_size_are_refused() {
    let registry = plain();
    let image = image(&registry, "a", "one").await;
    let other = digest(b"other");
    put_manifest(&registry, &format!("a/manifests/{other}"), IMAGE, &image).await.is_refused(400, "DIGEST_INVALID");
    put_manifest(&registry, "a/manifests/v1", INDEX, &image).await.is_refused(400, "MANIFEST_INVALID");
    let large =
        json!({"schemaVersion": 2, "mediaType": INDEX, "manifests": [], "annotations": {"x": "x".repeat(4 << 20)}});
    put_manifest(&registry, "a/manifests/v1", INDEX, &large).await.is_refused(413, "SIZE_INVALID");
    let torn = futures::StreamExt::boxed(futures::stream::iter([Err(std::io::ErrorKind::ConnectionReset.into())]));
    send(&registry, "PUT", "/v2/a/manifests/v1", &[("content-type", IMAGE)], torn).await.is(400);
    assert!(registry.tags("a").expect("readable").is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_client_gets_only_what_it_accepts() {
    let registry = plain();
    let image = image(&registry, "a", "one").await;
    put_manifest(&registry, "a/manifests/v1", IMAGE, &image).await.is(201);
    let get = |accept: &'static str| async {
        let registry = &registry;
        send(registry, "GET", "/v2/a/manifests/v1", &[("accept", accept)], empty()).await.status.as_u16()
    };
    assert_eq!(get("application/vnd.docker.distribution.manifest.v2+json").await, 404);
    assert_eq!(get("text/html, application/vnd.oci.image.manifest.v1+json; q=0.5").await, 200);
    assert_eq!(get("*/*").await, 200);
}

#[tokio::test(start_paused = true)]
async fn a_tag_is_moved_or_not_as_the_settings_say() {
    for (tags, same, other) in
        [(TagRule::Movable, 201, 201), (TagRule::Immutable, 201, 400), (TagRule::PushedOnce, 400, 400)]
    {
        let registry = registry(RegistrySettings { tags, ..RegistrySettings::plain() });
        let (one, two) = (image(&registry, "a", "one").await, image(&registry, "a", "two").await);
        put_manifest(&registry, "a/manifests/v1", IMAGE, &one).await.is(201);
        put_manifest(&registry, "a/manifests/v1", IMAGE, &one).await.is(same);
        let moved = put_manifest(&registry, "a/manifests/v1", IMAGE, &two).await.is(other);
        if other == 400 {
            moved.is_refused(400, "TAG_INVALID");
            assert_eq!(ask(&registry, "GET", "/v2/a/manifests/v1").await.body, one.to_string());
            assert_eq!(registry.manifests("a").expect("readable").len(), 1);
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_deleted_tag_leaves_its_manifest_and_a_deleted_manifest_takes_its_tags() {
    let registry = plain();
    let image = image(&registry, "a", "one").await;
    let place = format!("/v2/a/manifests/{}", digest(image.to_string().as_bytes()));
    for tag in ["v1", "v2", "v3"] {
        put_manifest(&registry, &format!("a/manifests/{tag}"), IMAGE, &image).await.is(201);
    }
    ask(&registry, "DELETE", "/v2/a/manifests/v1").await.is(202);
    ask(&registry, "DELETE", "/v2/a/manifests/v1").await.is_refused(404, "MANIFEST_UNKNOWN");
    ask(&registry, "GET", &place).await.is(200);
    assert_eq!(registry.tags("a").expect("readable"), ["v2", "v3"]);
    ask(&registry, "DELETE", &place).await.is(202);
    assert!(registry.tags("a").expect("readable").is_empty());
    ask(&registry, "GET", "/v2/a/manifests/v2").await.is_refused(404, "MANIFEST_UNKNOWN");

    let nothing = Deletions { blobs: false, manifests: false, tags: false, tags_first: false };
    let strict = super::registry(RegistrySettings { deletions: nothing, ..RegistrySettings::plain() });
    for place in ["manifests/v1".to_owned(), format!("manifests/{}", digest(b"")), format!("blobs/{}", digest(b""))] {
        ask(&strict, "DELETE", &format!("/v2/a/{place}")).await.is_refused(405, "UNSUPPORTED");
    }
}

#[tokio::test(start_paused = true)]
async fn garbage_is_what_no_manifest_names() {
    let registry = plain();
    let kept = image(&registry, "a", "kept").await;
    put_manifest(&registry, "a/manifests/v1", IMAGE, &kept).await.is(201);
    push(&registry, "b", b"kept").await;
    push(&registry, "b", b"garbage").await;
    ask(&registry, "POST", "/v2/b/blobs/uploads/").await.is(202);
    let collected = registry.garbage_collect().expect("the disk works");
    assert_eq!((collected.blobs, collected.uploads), (1, 1));
    ask(&registry, "GET", &format!("/v2/a/blobs/{}", digest(b"kept"))).await.is(200);
    ask(&registry, "GET", &format!("/v2/b/blobs/{}", digest(b"kept"))).await.is_refused(404, "BLOB_UNKNOWN");
    assert_eq!(registry.garbage_collect().expect("the disk works").blobs, 0);
}

#[tokio::test(start_paused = true)]
async fn what_a_server_acknowledged_is_there_for_the_next_one() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let world = || World::directory(folder.path()).expect("the world");
    let first = on(&world(), 1);
    let image = image(&first, "a/b", "one").await;
    put_manifest(&first, "a/b/manifests/V.1", IMAGE, &image).await.is(201);
    drop(first);
    let second = on(&world(), 2);
    assert_eq!(ask(&second, "GET", "/v2/a/b/manifests/V.1").await.is(200).body, image.to_string());
    assert_eq!(ask(&second, "GET", &format!("/v2/a/b/blobs/{}", digest(b"one"))).await.is(200).body, "one");
    assert_eq!(second.repositories().expect("readable"), ["a/b"]);
    assert_eq!(second.tags("a/b").expect("readable"), ["V.1"]);
    assert_eq!(second.tags("a").expect("readable"), [""; 0]);
}
