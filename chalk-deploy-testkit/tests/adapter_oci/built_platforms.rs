//! The in-process builder: images for several platforms, its cache of documents, and how it packs.

use chalk_deploy_core::ErrorCode;
use chalk_deploy_core::build::BuildFolder;
use chalk_deploy_core::cloud::{BuildRequest, Builder as _, ImageManifest};
use chalk_deploy_core::image::{Compression, ImageCache};
use chalk_deploy_core::model::{BuiltImage, Component, Digest, Platform, Repository};
use serde_json::Value;

use super::builds::{Shop, archive, temporary};
use super::platforms::install_index;

fn platform(text: &str) -> Platform {
    text.parse().expect("a platform")
}

/// Asks for these platforms, on an index of base images that has two.
async fn request(shop: &Shop, letter: char, platforms: &[&str]) -> BuildRequest {
    let repository = shop.bases[0].repository.clone();
    let index = install_index(&*shop.registry, &repository, &["linux/arm64/v8", "linux/amd64"]).await;
    let mut request = shop.request(letter, archive(&[("a.py", "x = 1\n")])).await;
    for base in &mut request.base_images {
        base.digest = index;
    }
    platforms[0].clone_into(&mut request.platform);
    request.more_platforms = platforms[1..].iter().map(|text| platform(text)).collect();
    request
}

async fn manifest(shop: &Shop, image: &BuiltImage) -> Value {
    let bytes = shop.builder.contents().expect("held").manifest(&image.manifest).await.expect("held");
    assert_eq!(Digest::of(&bytes), image.manifest.digest);
    serde_json::from_slice(&bytes).expect("JSON")
}

#[tokio::test(start_paused = true)]
async fn a_build_for_two_platforms_is_an_index_of_the_two_images_that_builds_for_one_make() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let open = || BuildFolder::open(folder.path()).expect("opened");
    let shop = Shop::on(open()).await;
    let both = request(&shop, 'a', &["linux/arm64", "linux/amd64"]).await;
    let images = shop.build(&both).await.1.expect("built");
    assert_eq!(
        images.iter().map(|image| image.component).collect::<Vec<_>>(),
        [Component::Engine, Component::StreamWorker]
    );
    let mut alone = Vec::new();
    for (letter, text) in [('b', "linux/amd64"), ('c', "linux/arm64")] {
        let one = request(&shop, letter, &[text]).await;
        alone.push(shop.build(&one).await.1.expect("built"));
    }
    for (at, image) in images.iter().enumerate() {
        let index = manifest(&shop, image).await;
        assert_eq!(index["mediaType"], "application/vnd.oci.image.index.v1+json");
        assert_eq!(
            index["annotations"]["org.opencontainers.image.base.digest"],
            both.base_images[0].digest.to_string()
        );
        for (child, (name, alone)) in
            image.platforms.iter().zip([("linux/amd64", &alone[0]), ("linux/arm64/v8", &alone[1])])
        {
            assert_eq!((child.platform.to_string().as_str(), &child.manifest), (name, &alone[at].manifest));
        }
        assert_eq!(index["manifests"].as_array().expect("images").len(), 2);
        // Two configs, one layer of the base and one of ours.
        assert_eq!(image.blobs.len(), 4, "{:?}", image.blobs);
    }
    // Another machine, another order of the platforms, and a builder that only finds what was built.
    let other = Shop::on(temporary()).await;
    let turned = request(&other, 'a', &["linux/amd64", "linux/arm64"]).await;
    assert_eq!(other.build(&turned).await.1.expect("built"), images);
    drop(shop);
    let shop = Shop::on(open()).await;
    assert_eq!(shop.build(&both).await.1.expect("found"), images);
    manifest(&shop, &images[0]).await;
    for request in [both, request(&shop, 'b', &["linux/amd64"]).await, request(&shop, 'c', &["linux/amd64"]).await] {
        shop.builder.stop(&request.deployment).await.expect("stopped");
    }
    assert_eq!(std::fs::read_dir(folder.path().join("contents")).expect("listed").count(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_platform_that_a_base_does_not_have_or_that_is_named_twice_fails_with_a_sentence() {
    let shop = Shop::on(temporary()).await;
    let missing = request(&shop, 'a', &["linux/amd64", "linux/riscv64"]).await;
    let error = shop.build(&missing).await.1.expect_err("not there");
    assert_eq!(error.code(), ErrorCode::BuildFailed);
    assert!(error.sentence().contains("no image for linux/riscv64; it has linux/amd64, linux/arm64/v8"), "{error}");
    let twice = request(&shop, 'b', &["linux/arm64", "linux/arm64/v8"]).await;
    let error = shop.build(&twice).await.1.expect_err("one platform");
    assert_eq!(error.code(), ErrorCode::RequestInvalid);
    assert!(error.sentence().contains("linux/arm64 and linux/arm64/v8 are one"), "{}", error.sentence());
    let nonsense = BuildRequest { platform: "amd64".to_owned(), ..request(&shop, 'c', &["linux/amd64"]).await };
    let error = shop.build(&nonsense).await.1.expect_err("no platform");
    assert_eq!(error.code(), ErrorCode::RequestInvalid);
}

#[tokio::test(start_paused = true)]
async fn a_base_image_that_the_cache_has_costs_the_builder_no_request() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let cache = || ImageCache::open(folder.path()).expect("a cache");
    let mut read = Vec::new();
    let mut built = Vec::new();
    for letter in ['a', 'b'] {
        // Another process: another builder, and the same cache.
        let mut shop = Shop::on(temporary()).await;
        shop.builder = shop.builder.clone().with_cache(cache());
        let request = request(&shop, letter, &["linux/amd64", "linux/arm64"]).await;
        let count = || shop.plan.count("registry", "manifest") + shop.plan.count("registry", "pull_blob");
        let before = count();
        built.push(shop.build(&request).await.1.expect("built"));
        read.push(count() - before);
    }
    assert!(read[0] >= 5, "an index, two manifests and two configs: {read:?}");
    assert_eq!(read[1], 0);
    assert_eq!(built[0], built[1]);
    // What someone has put there is not believed.
    for entry in std::fs::read_dir(folder.path().join("documents")).expect("a folder") {
        std::fs::write(entry.expect("an entry").path(), "{}").expect("written");
    }
    let mut shop = Shop::on(temporary()).await;
    shop.builder = shop.builder.clone().with_cache(cache());
    let request = request(&shop, 'c', &["linux/amd64", "linux/arm64"]).await;
    assert_eq!(shop.build(&request).await.1.expect("built"), built[0]);
}

#[tokio::test(start_paused = true)]
async fn a_layer_is_packed_in_the_way_that_the_target_wants() {
    let mut diffs = Vec::new();
    for (compression, media_type) in [
        (Compression::Gzip, "application/vnd.oci.image.layer.v1.tar+gzip"),
        (Compression::Zstd, "application/vnd.oci.image.layer.v1.tar+zstd"),
    ] {
        let mut shop = Shop::on(temporary()).await;
        shop.builder = shop.builder.clone().with_compression(compression);
        let request = shop.request('a', archive(&[("a.py", &"x = 1\n".repeat(100_000))])).await;
        let images = shop.build(&request).await.1.expect("built");
        let layer = images[0].blobs.last().expect("a layer");
        assert_eq!(layer.media_type, media_type);
        let contents = shop.builder.contents().expect("held");
        let packed = contents.blob(layer).await.expect("held").bytes().await.expect("whole");
        let mut tar = Vec::new();
        match compression {
            Compression::Gzip => {
                std::io::Read::read_to_end(&mut flate2::read::GzDecoder::new(&packed[..]), &mut tar).expect("gzip");
            }
            _ => assert_eq!(&packed[..4], [0x28, 0xb5, 0x2f, 0xfd], "the magic number of zstd"),
        }
        let config = contents.blob(&images[0].blobs[0]).await.expect("held").bytes().await.expect("whole");
        let config: Value = serde_json::from_slice(&config).expect("JSON");
        let diff = config["rootfs"]["diff_ids"].as_array().and_then(|diffs| diffs.last()).expect("a layer").clone();
        if !tar.is_empty() {
            assert_eq!(diff, Digest::of(&tar).to_string());
        }
        diffs.push(diff);
        // A registry takes it.
        let target = Repository::new("registry.embedded/chalk/other").expect("a valid repository");
        for blob in &images[0].blobs {
            shop.registry.push_blob(&target, &contents.blob(blob).await.expect("held")).await.expect("pushed");
        }
        let bytes = contents.manifest(&images[0].manifest).await.expect("held");
        let manifest = ImageManifest { media_type: images[0].manifest.media_type.clone(), bytes };
        shop.registry.put_manifest(&target, &manifest, None).await.expect("stored");
    }
    assert_eq!(diffs[0], diffs[1], "what is in it does not depend on how it is packed");
}
