//! Images for several platforms: an index, its images, and what they cost.

use chalk_deploy_core::ErrorCode;
use chalk_deploy_core::cloud::{ImageManifest, ManifestLocator, Payload, Registry};
use chalk_deploy_core::error::Retry;
use chalk_deploy_core::model::{Digest, Repository};
use chalk_deploy_core::oci::{OciRegistry, OciSettings};
use chalk_deploy_testkit::simulated::base_image::SimulatedBaseImage;
use chalk_deploy_testkit::simulated::fault::{ProtocolFault, ProtocolFaults, Requests};
use chalk_deploy_testkit::simulated::http::{Server as _, in_process};
use chalk_deploy_testkit::simulated::registry::{RegistrySettings, RequestKind};
use serde_json::{Value, json};

use super::images::{Cost, House, distribution};
use super::{HOST, credentials, repository, tag};

const INDEX: &str = "application/vnd.oci.image.index.v1+json";

/// Pushes a base image for each of these platforms, and an index of them.
pub(crate) async fn install_index(registry: &dyn Registry, repository: &Repository, platforms: &[&str]) -> Digest {
    let image = SimulatedBaseImage::new();
    image.install(registry, repository).await.expect("installed");
    let mut entries = Vec::new();
    for platform in platforms {
        let mut parts = platform.split('/');
        let (os, architecture, variant) = (parts.next(), parts.next(), parts.next());
        let mut config: Value = serde_json::from_slice(&image.config).expect("JSON");
        (config["os"], config["architecture"]) = (os.into(), architecture.into());
        let mut named = json!({"os": os, "architecture": architecture});
        if let Some(variant) = variant {
            config["variant"] = variant.into();
            named["variant"] = variant.into();
        }
        let config = Payload::from_bytes(config.to_string());
        registry.push_blob(repository, &config).await.expect("pushed");
        let mut manifest: Value = serde_json::from_slice(&image.manifest.bytes).expect("JSON");
        manifest["config"]["digest"] = config.sha256().to_string().into();
        manifest["config"]["size"] = config.size().into();
        let media_type = image.manifest.media_type.clone();
        let manifest = ImageManifest { media_type, bytes: manifest.to_string().into() };
        registry.put_manifest(repository, &manifest, None).await.expect("stored");
        let (digest, size) = (manifest.digest(), manifest.bytes.len());
        entries.push(json!({"mediaType": manifest.media_type, "digest": digest, "size": size, "platform": named}));
    }
    // As builders write it beside the images.
    let (of, size) = (image.digest(), image.manifest.bytes.len());
    let unknown = json!({"os": "unknown", "architecture": "unknown"});
    entries.push(json!({"mediaType": image.manifest.media_type, "digest": of, "size": size, "platform": unknown}));
    let index = json!({"schemaVersion": 2, "mediaType": INDEX, "manifests": entries});
    let index = ImageManifest { media_type: INDEX.to_owned(), bytes: index.to_string().into() };
    registry.put_manifest(repository, &index, None).await.expect("stored")
}

fn stranger(house: &House) -> OciRegistry {
    let settings = OciSettings::default().with_credentials(credentials());
    OciRegistry::new(in_process(house.server.clone()), house.runtime.clone(), settings)
}

async fn house(settings: RegistrySettings, platforms: &[&str]) -> House {
    let mut house = House::new(settings).await;
    let digest = install_index(&stranger(&house), &repository("base"), platforms).await;
    house.base = format!("{HOST}/base@{digest}").parse().expect("a name");
    house
}

/// The platforms of what the tag points to, each of whose images is there with all its blobs.
async fn whole(house: &House, path: &str) -> Vec<String> {
    let (registry, repository) = (stranger(house), repository(path));
    let index = registry.manifest(&repository, &ManifestLocator::Tag(tag("1"))).await.expect("read").expect("there");
    assert_eq!(index.media_type, INDEX);
    let document: Value = serde_json::from_slice(&index.bytes).expect("JSON");
    let mut platforms = Vec::new();
    for entry in document["manifests"].as_array().expect("images") {
        let digest = entry["digest"].as_str().expect("a digest").parse().expect("a digest");
        let locator = ManifestLocator::Digest(digest);
        let manifest = registry.manifest(&repository, &locator).await.expect("read").expect("a child of an index");
        assert_eq!(entry["size"], json!(manifest.bytes.len()));
        let manifest: Value = serde_json::from_slice(&manifest.bytes).expect("JSON");
        let mut config = Value::Null;
        for blob in manifest["layers"].as_array().expect("layers").iter().chain([&manifest["config"]]) {
            let digest: Digest = blob["digest"].as_str().expect("a digest").parse().expect("a digest");
            let stream = registry.pull_blob(&repository, &digest).await.expect("it is there");
            let pieces: Vec<_> = futures::TryStreamExt::try_collect(stream).await.expect("whole");
            config = serde_json::from_slice(&pieces.concat()).unwrap_or_default();
        }
        let platform = &entry["platform"];
        assert_eq!((&config["os"], &config["architecture"]), (&platform["os"], &platform["architecture"]));
        let written = ["os", "architecture", "variant"].map(|name| platform[name].as_str().unwrap_or_default());
        platforms.push(written.join("/").trim_end_matches('/').to_owned());
    }
    platforms
}

#[tokio::test(start_paused = true)]
async fn an_index_is_pushed_after_its_images_and_costs_one_request_when_nothing_has_changed() {
    let house = house(distribution(), &["linux/s390x", "linux/arm64/v8", "linux/amd64"]).await;
    let platforms = ["linux/arm64", "linux/amd64"];
    let (first, _, _) = house.push_for("app", &platforms, &["src"]).await;
    let first = first.expect("pushed");
    assert_eq!(whole(&house, "app").await, ["linux/amd64", "linux/arm64/v8"]);

    house.edit("second");
    let (second, cost, reading) = house.push_for("app", &platforms, &["src"]).await;
    let second = second.expect("pushed");
    assert!(!second.was_there && second.digest != first.digest);
    // One layer for both, two configs, two images, the index.
    assert_eq!(cost, Cost { requests: 2 + 2 * 2 + 2 + 1, round_trips: 4 });
    assert_eq!((reading.requests, reading.round_trips), (9, 4));
    let log = house.server.request_log();
    let puts: Vec<_> = log.requests.iter().filter(|request| request.kind == RequestKind::ManifestPut).collect();
    assert_eq!(puts.len(), 3);
    assert!(puts[..2].iter().all(|put| put.path.contains("/manifests/sha256:")), "{puts:?}");
    assert!(puts[2].path.ends_with("/manifests/1"), "{puts:?}");
    whole(&house, "app").await;

    let (again, cost, _) = house.push_for("app", &platforms, &["src"]).await;
    let again = again.expect("there");
    assert!(again.was_there && again.digest == second.digest);
    assert_eq!(cost, Cost { requests: 1, round_trips: 1 });
    // In whichever order the platforms are named.
    let (turned, cost, _) = house.push_for("app", &["linux/amd64", "linux/arm64/v8"], &["src"]).await;
    assert_eq!((turned.expect("there").digest, cost.requests), (second.digest, 1));
}

#[tokio::test(start_paused = true)]
async fn a_platform_that_the_base_does_not_have_is_told_with_those_that_it_has() {
    let index = house(distribution(), &["linux/s390x", "linux/amd64", "linux/arm/v6"]).await;
    let single = House::new(distribution()).await;
    for (house, platforms, says) in [
        (
            &index,
            &["linux/amd64", "linux/arm64"][..],
            "has no image for linux/arm64; it has linux/amd64, linux/arm/v6, linux/s390x",
        ),
        (&index, &["linux/arm/v7", "linux/amd64"], "has no image for linux/arm/v7; it has"),
        (&single, &["linux/amd64", "linux/arm64"], "the base image is for linux/amd64 and not for linux/arm64"),
    ] {
        let (outcome, _, _) = house.push_for("app", platforms, &["src"]).await;
        let error = outcome.expect_err("not there");
        assert_eq!(error.code(), ErrorCode::BuildFailed);
        assert!(error.sentence().contains(says), "{}", error.sentence());
        assert!(error.sentence().contains("name another base image"), "{}", error.sentence());
        assert!(house.server.tags("app").unwrap_or_default().is_empty());
    }
    let (outcome, _, _) = index.push_for("app", &["linux/arm/v6", "linux/arm/v6"], &["src"]).await;
    let error = outcome.expect_err("twice");
    assert_eq!(error.code(), ErrorCode::ValueInvalid);
    assert!(error.sentence().contains("linux/arm/v6"), "{}", error.sentence());
}

#[tokio::test(start_paused = true)]
async fn one_platform_of_an_index_is_an_image_and_no_index() {
    let house = house(distribution(), &["linux/arm64/v8", "linux/amd64"]).await;
    house.push_for("app", &["linux/arm64"], &["src"]).await.0.expect("pushed");
    let manifest = stranger(&house).manifest(&repository("app"), &ManifestLocator::Tag(tag("1"))).await;
    assert_eq!(manifest.expect("read").expect("there").media_type, "application/vnd.oci.image.manifest.v1+json");
}

#[tokio::test(start_paused = true)]
async fn an_index_is_whole_or_absent_whatever_happens_to_whichever_request() {
    let platforms = ["linux/amd64", "linux/arm64"];
    for fault in [
        ProtocolFault::SeverBefore,
        ProtocolFault::SeverAfter,
        ProtocolFault::status(500),
        ProtocolFault::busy(429, 2),
        ProtocolFault::AnswerAfter { status: 503, headers: Vec::new(), body: String::new() },
    ] {
        for nth in 1..=16 {
            let place = format!("{fault:?} at request {nth}");
            let house = house(distribution(), &platforms).await;
            let faults = std::sync::Arc::new(ProtocolFaults::new().at(Requests::any(), nth, fault.clone()));
            let house = House { faults, ..house };
            let (outcome, _, _) = house.push_for("app", &platforms, &["src"]).await;
            if !house.server.tags("app").unwrap_or_default().is_empty() {
                whole(&house, "app").await;
            }
            if let Err(error) = outcome {
                assert!(error.retry() != Retry::Permanent, "{place}: {error}");
                house.push_for("app", &platforms, &["src"]).await.0.expect(&place);
            }
            assert_eq!(whole(&house, "app").await, platforms, "{place}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn images_of_an_index_that_were_collected_are_put_again_whatever_was_remembered() {
    let house = house(distribution(), &["linux/amd64", "linux/arm64"]).await;
    let platforms = ["linux/amd64", "linux/arm64"];
    let (first, _, _) = house.push_for("app", &platforms, &["src"]).await;
    let first = first.expect("pushed");
    for digest in house.server.manifests("app").expect("readable") {
        let request = http::Request::delete(format!("https://{HOST}/v2/app/manifests/{digest}"));
        let request = request.body(futures::StreamExt::boxed(futures::stream::empty())).expect("a request");
        assert!(house.server.answer(request).await.expect("answered").status().is_success());
    }
    house.server.garbage_collect().expect("collected");
    let (again, _, _) = house.push_for("app", &platforms, &["src"]).await;
    let again = again.expect("pushed again");
    assert!(!again.was_there && again.digest == first.digest);
    whole(&house, "app").await;
}
