//! Pulls as a node makes them.

use super::*;
use crate::simulated::registry::storage;
use crate::simulated::seam::ImageSource as _;

#[tokio::test(start_paused = true)]
async fn a_node_pulls_by_tag_and_by_digest_and_reads_the_config() {
    let registry = plain();
    let image = image(&registry, "chalk/engine", "one").await;
    put_manifest(&registry, "chalk/engine/manifests/v1", IMAGE, &image).await.is(201);
    let expected = digest(image.to_string().as_bytes());
    for reference in [
        "registry.test:5000/chalk/engine:v1".to_owned(),
        format!("registry.test/chalk/engine@{expected}"),
        format!("registry.test/chalk/engine:other@{expected}"),
    ] {
        let pulled = registry.pull(&reference).await.expect("a whole image");
        assert_eq!(pulled.digest.to_string(), expected);
        assert_eq!((pulled.command.join(" "), pulled.environment.join(" ")), ("run one".to_owned(), "A=b".to_owned()));
    }
    for (reference, words) in [
        ("registry.test/chalk/engine", "manifest unknown"),
        ("registry.test/chalk/other:v1", "repository name not known"),
        ("chalk", "invalid reference format"),
        ("registry.test/Chalk:v1", "invalid reference format"),
        ("registry.test/chalk@sha256:x", "invalid reference format"),
    ] {
        let error = registry.pull(reference).await.expect_err(reference);
        assert!(error.contains(words), "{error}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_node_picks_its_platform_from_an_index() {
    let registry = plain();
    let mut children = Vec::new();
    for architecture in ["arm64", "amd64"] {
        let image = image(&registry, "a", architecture).await.to_string();
        let place = format!("/v2/a/manifests/{}", digest(image.as_bytes()));
        send(&registry, "PUT", &place, &[("content-type", IMAGE)], full(image.clone())).await.is(201);
        children.push(json!({
            "mediaType": IMAGE, "digest": digest(image.as_bytes()), "size": image.len(),
            "platform": {"os": "linux", "architecture": architecture},
        }));
    }
    let index = |children: &[Value]| json!({"schemaVersion": 2, "mediaType": INDEX, "manifests": children});
    put_manifest(&registry, "a/manifests/both", INDEX, &index(&children)).await.is(201);
    put_manifest(&registry, "a/manifests/arm", INDEX, &index(&children[..1])).await.is(201);
    let pulled = registry.pull("x/a:both").await.expect("an image");
    assert_eq!(pulled.command, ["run", "amd64"]);
    assert_eq!(pulled.digest.to_string(), digest(index(&children).to_string().as_bytes()));
    let error = registry.pull("x/a:arm").await.expect_err("no image for the node");
    assert!(error.contains("no match for platform"), "{error}");
}

#[tokio::test(start_paused = true)]
async fn a_node_does_not_run_an_image_whose_layer_is_gone_or_whose_config_is_damaged() {
    let world = World::memory();
    let registry = on(&world, 1);
    let image = image(&registry, "a", "one").await;
    put_manifest(&registry, "a/manifests/v1", IMAGE, &image).await.is(201);
    registry.pull("x/a:v1").await.expect("it is whole");
    let config = ContentDigest::of(&config_bytes("one"), Algorithm::Sha256);
    let room = world.room("distribution");
    let mut damaged = config_bytes("one");
    damaged[0] ^= 1;
    room.exclusively(|writer| writer.write(&storage::blob(&config), &damaged)).expect("written");
    let error = registry.pull("x/a:v1").await.expect_err("damaged");
    assert!(error.contains("damaged"), "{error}");
    ask(&registry, "DELETE", &format!("/v2/a/blobs/{}", digest(b"one"))).await.is(202);
    let error = registry.pull("x/a:v1").await.expect_err("a layer is gone");
    assert!(error.contains("blob unknown"), "{error}");
}

#[tokio::test(start_paused = true)]
async fn a_node_reaches_the_registry_by_its_names_and_needs_credentials() {
    let settings = RegistrySettings { names: ["registry.embedded".to_owned()].into(), ..RegistrySettings::plain() };
    let error = registry(settings).pull("other/a:v1").await.expect_err("another host");
    assert!(error.contains("no such host"), "{error}");
    let settings = RegistrySettings { nodes_may_pull: false, ..RegistrySettings::plain().with_basic_user("a", "b") };
    let error = registry(settings).pull("other/a:v1").await.expect_err("no credentials");
    assert!(error.contains("unauthorized"), "{error}");
}
