//! What foreign clients make of the images that we build and push.

use std::path::Path;
use std::process::Command;
use std::sync::Arc;

use chalk_deploy_core::cloud::{Builder as _, ImageManifest, Registry};
use chalk_deploy_core::image::{BaseImage, Compression, Delivery, PackingLayer};
use chalk_deploy_core::model::Repository;
use chalk_deploy_core::oci::{OciRegistry, OciSettings, UploadMode};
use chalk_deploy_core::runtime::SystemRuntime;
use chalk_deploy_core::transport::NetworkTransport;
use chalk_deploy_testkit::World;
use chalk_deploy_testkit::foreign::installed;
use chalk_deploy_testkit::simulated::http::serve;

use super::builds::{Shop, archive, temporary};
use super::small_registry::{Options, SmallRegistry};

/// Runs a client, away from this thread, which serves it.
async fn run(program: &'static str, arguments: Vec<String>, home: &Path) -> (bool, String) {
    let home = home.to_owned();
    let run = tokio::task::spawn_blocking(move || {
        // No configuration of the person's own, and no credentials.
        Command::new(program).args(arguments).env("HOME", &home).env("DOCKER_CONFIG", &home).output()
    });
    let output = run.await.expect("it ran").expect("it could be started");
    let text = [output.stdout, output.stderr].map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).concat();
    (output.status.success(), text)
}

#[tokio::test]
async fn crane_validates_and_skopeo_copies_an_image_that_we_built_and_pushed() {
    let (crane, skopeo) = (installed("crane"), installed("skopeo"));
    if !crane && !skopeo {
        return;
    }
    let listening = serve(Arc::new(SmallRegistry::new(Options::default())), 0).await.expect("it listens");
    let host = listening.address().to_string();
    let transport = NetworkTransport::builder().build().expect("a transport");
    let settings = OciSettings::default().with_upload(UploadMode::Chunked { chunk: 65_536 });
    let registry = Arc::new(OciRegistry::new(transport, SystemRuntime::new(), settings));
    let shop = Shop::with(&World::memory(), temporary(), registry.clone(), &host).await;
    let source =
        archive(&[("chalk.yaml", "project: a\n"), (&format!("{}a.py", "deep/".repeat(30)), &"x".repeat(300_000))]);
    let images = shop.build(&shop.request('a', source).await).await.1.expect("built");

    let target = Repository::new(format!("{host}/chalk/target")).expect("a valid repository");
    let contents = shop.builder.contents().expect("held");
    for blob in &images[0].blobs {
        registry.push_blob(&target, &contents.blob(blob).await.expect("held")).await.expect("pushed");
    }
    let bytes = contents.manifest(&images[0].manifest).await.expect("held");
    let manifest = ImageManifest { media_type: images[0].manifest.media_type.clone(), bytes };
    let digest = registry.put_manifest(&target, &manifest, Some(super::tag("t"))).await.expect("stored");

    let home = tempfile::tempdir().expect("a temporary folder");
    if crane {
        // It unpacks every layer and compares it with the config.
        let (good, said) =
            run("crane", vec!["validate".into(), "--remote".into(), format!("{target}:t")], home.path()).await;
        assert!(good && said.contains("PASS"), "{said}");
        let (good, said) = run("crane", vec!["digest".into(), format!("{target}:t")], home.path()).await;
        assert!(good && said.trim() == digest.to_string(), "{said}");
    }
    if skopeo {
        let folder = home.path().join("image");
        let arguments = [
            "--insecure-policy",
            "copy",
            "--src-tls-verify=false",
            &format!("docker://{target}@{digest}"),
            &format!("dir:{}", folder.display()),
        ];
        let (good, said) = run("skopeo", arguments.map(str::to_owned).into(), home.path()).await;
        assert!(good, "{said}");
        let copied = std::fs::read(folder.join("manifest.json")).expect("copied");
        assert_eq!(chalk_deploy_core::model::Digest::of(copied), digest);
    }
}

#[tokio::test]
async fn crane_and_skopeo_read_each_platform_of_an_index_that_we_pushed() {
    let (crane, skopeo) = (installed("crane"), installed("skopeo"));
    if !crane && !skopeo {
        return;
    }
    let listening = serve(Arc::new(SmallRegistry::new(Options::default())), 0).await.expect("it listens");
    let host = listening.address().to_string();
    let transport = NetworkTransport::builder().build().expect("a transport");
    let settings = OciSettings::default().with_upload(UploadMode::Learned);
    let registry = Arc::new(OciRegistry::new(transport, SystemRuntime::new(), settings));
    let named = |path: &str| Repository::new(format!("{host}/{path}")).expect("a valid repository");
    let digest = super::platforms::install_index(&*registry, &named("base"), &["linux/amd64", "linux/arm64/v8"]).await;

    let home = tempfile::tempdir().expect("a temporary folder");
    let source = home.path().join("source");
    std::fs::create_dir(&source).expect("made");
    std::fs::write(source.join("module.py"), "x = 1\n".repeat(300_000)).expect("written");
    let platforms = ["linux/amd64", "linux/arm64"].map(|text| text.parse().expect("a platform"));
    let base = format!("{host}/base@{digest}").parse().expect("a name");
    let readable: Arc<dyn Registry> = registry.clone();
    let bases = BaseImage::read_all(&readable, &base, &platforms, None).await.expect("read");
    for (compression, name) in [(Compression::Gzip, "gzip"), (Compression::Zstd, "zstd")] {
        let layer = PackingLayer::of_folder(&source, "/app", compression, home.path()).expect("read");
        let diff = layer.diff();
        let (registry, tag) = (registry.clone(), Some(super::tag(name)));
        let delivery = Delivery { registry, repository: named("app"), tag };
        let delivered = delivery.run(&bases, vec![("/app".to_owned(), layer)]).await.expect("pushed");
        let index: serde_json::Value = serde_json::from_slice(&delivered.manifest.bytes).expect("JSON");
        let child = |at: usize| index["manifests"][at]["digest"].as_str().expect("a digest").to_owned();
        let app = format!("{host}/app:{name}");
        if crane {
            for (at, platform) in platforms.iter().enumerate() {
                let platform = format!("--platform={platform}");
                let arguments = vec!["digest".to_owned(), platform.clone(), app.clone()];
                let (good, said) = run("crane", arguments, home.path()).await;
                assert!(good && said.trim() == child(at), "{platform}: {said}");
                // It unpacks every layer and compares it with the config.
                let image = format!("{host}/app@{}", child(at));
                let arguments = vec!["validate".to_owned(), "--remote".to_owned(), image];
                let (good, said) = run("crane", arguments, home.path()).await;
                // It knows layers of gzip alone.
                assert!(compression != Compression::Gzip || good && said.contains("PASS"), "{platform}: {said}");
                let (good, said) = run("crane", vec!["manifest".to_owned(), platform, app.clone()], home.path()).await;
                assert!(good && said.contains("application/vnd.oci.image.manifest.v1+json"), "{said}");
            }
            let (good, said) = run("crane", vec!["digest".to_owned(), app.clone()], home.path()).await;
            assert!(good && said.trim() == delivered.outcome.digest.to_string(), "{said}");
            let arguments = vec!["validate".to_owned(), "--remote".to_owned(), app.clone()];
            let (good, said) = run("crane", arguments, home.path()).await;
            assert!(compression != Compression::Gzip || good && said.contains("PASS"), "{said}");
            let arguments = ["digest", "--platform=linux/s390x", &app].map(str::to_owned).into();
            assert!(!run("crane", arguments, home.path()).await.0, "there is no such platform");
        }
        if skopeo {
            let address = format!("docker://{app}");
            let arguments = ["inspect", "--tls-verify=false", "--raw", &address].map(str::to_owned).into();
            let (good, said) = run("skopeo", arguments, home.path()).await;
            assert!(good && said.as_bytes() == &delivered.manifest.bytes[..], "{said}");
            let arguments = ["--override-arch=arm64", "inspect", "--no-tags", "--tls-verify=false", &address];
            let (good, said) = run("skopeo", arguments.map(str::to_owned).into(), home.path()).await;
            assert!(good && said.contains(r#""Architecture": "arm64""#), "{said}");
            // It unpacks the layers, in as many frames as there are.
            let one = home.path().join(format!("one-{name}"));
            let (flags, to) = (["--src-tls-verify=false", "--dest-decompress"], format!("dir:{}", one.display()));
            let arguments = ["--insecure-policy", "copy", flags[0], flags[1], &address, &to];
            let (good, said) = run("skopeo", arguments.map(str::to_owned).into(), home.path()).await;
            assert!(good, "{said}");
            let unpacked = std::fs::read(one.join(diff.hex())).expect("a layer by its unpacked digest");
            assert_eq!(chalk_deploy_core::model::Digest::of(unpacked), diff);
            let all = format!("dir:{}", home.path().join(format!("all-{name}")).display());
            let arguments = ["--insecure-policy", "copy", "--all", "--src-tls-verify=false", &address, &all];
            let (good, said) = run("skopeo", arguments.map(str::to_owned).into(), home.path()).await;
            assert!(good, "{said}");
        }
    }
}
