//! The in-process builder: its contract, what its images are, and what happens when its process is killed.

use std::collections::BTreeMap;
use std::io::{Read as _, Write as _};
use std::path::Path;
use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use chalk_deploy_core::build::{BuildFolder, InProcessBuilder, SOURCE_DIRECTORY};
use chalk_deploy_core::cloud::{
    BuildEvent, BuildRequest, BuildState, Builder, ImageManifest, ManifestLocator, ObjectDownload, ObjectMetadata,
    ObjectStore, ObjectStoreCapabilities, Payload, PutMode, Registry,
};
use chalk_deploy_core::error::Retry;
use chalk_deploy_core::model::{
    ArchiveReference, BaseImage, BuiltImage, Component, DeploymentId, Descriptor, Digest, ObjectKey, ProjectSettings,
    Repository, RequirementsFile,
};
use chalk_deploy_core::oci::OciSettings;
use chalk_deploy_core::source::ArchiveLimits;
use chalk_deploy_core::{Error, ErrorCode, Result};
use chalk_deploy_testkit::conformance::Fresh;
use chalk_deploy_testkit::conformance::builder::{BuilderHarness, suite};
use chalk_deploy_testkit::fake::{FakeObjectStore, FakeRegistry};
use chalk_deploy_testkit::fault::{FaultyObjectStore, FaultyRegistry};
use chalk_deploy_testkit::following::follow;
use chalk_deploy_testkit::simulated::base_image::{self, SimulatedBaseImage};
use chalk_deploy_testkit::simulated::seam::SIMULATED_ENGINE;
use chalk_deploy_testkit::{Fault, FaultPlan, VirtualRuntime, World};
use serde_json::{Value, json};

use super::small_registry::{Options, SmallRegistry};
use super::{adapter, repository};

/// A bucket, a registry with base images in it, and a builder on both.
#[derive(Debug)]
pub(crate) struct Shop {
    bucket: FakeObjectStore,
    pub(crate) registry: Arc<dyn Registry>,
    pub(crate) builder: InProcessBuilder,
    pub(crate) bases: Vec<BaseImage>,
    pub(crate) plan: Arc<FaultPlan>,
}

impl Shop {
    pub(crate) async fn on(folder: BuildFolder) -> Self {
        let world = World::memory();
        Self::with(&world, folder, Arc::new(FakeRegistry::new(&world)), "registry.embedded").await
    }

    pub(crate) async fn with(world: &World, folder: BuildFolder, registry: Arc<dyn Registry>, host: &str) -> Self {
        let plan = Arc::new(FaultPlan::new());
        let bucket = FakeObjectStore::new(world);
        let registry: Arc<dyn Registry> = Arc::new(FaultyRegistry::new(registry, plan.clone()));
        let repository = Repository::new(format!("{host}/chalk/base")).expect("a valid repository");
        let mut bases = Vec::new();
        for component in [Component::StreamWorker, Component::Engine] {
            bases.push(base_image::install(&*registry, &repository, component).await.expect("installed"));
        }
        let store = Arc::new(FaultyObjectStore::new(Arc::new(bucket.clone()), plan.clone()));
        let builder = InProcessBuilder::new(store, registry.clone(), folder, VirtualRuntime::new(1));
        Self { bucket, registry, builder, bases, plan }
    }

    pub(crate) async fn request(&self, letter: char, archive: Vec<u8>) -> BuildRequest {
        let key = ObjectKey::new(format!("incoming/{}", Digest::of(&archive).hex())).expect("a valid key");
        let payload = Payload::from_bytes(archive);
        self.bucket.put(&key, &payload, PutMode::WriteOnce).await.expect("uploaded");
        let repository = Repository::new("registry.embedded/chalk/engine-x").expect("a valid repository");
        BuildRequest {
            deployment: DeploymentId::new(format!("c{}", letter.to_string().repeat(24))).expect("a valid id"),
            source: ArchiveReference { key, sha256: payload.sha256(), size: payload.size() },
            repositories: vec![repository; self.bases.len()],
            base_images: self.bases.clone(),
            requirements: Vec::new(),
            settings: ProjectSettings::default(),
            platform: "linux/amd64".to_owned(),
            more_platforms: Vec::new(),
        }
    }

    pub(crate) async fn build(&self, request: &BuildRequest) -> (Vec<BuildEvent>, Result<Vec<BuiltImage>>) {
        match self.builder.submit(request).await {
            Ok(()) => follow(&self.builder, &request.deployment).await,
            Err(error) => (Vec::new(), Err(error)),
        }
    }

    async fn json(&self, descriptor: &Descriptor) -> Value {
        let contents = self.builder.contents().expect("it holds its images");
        let bytes = contents.blob(descriptor).await.expect("held").bytes().await.expect("whole");
        serde_json::from_slice(&bytes).expect("JSON")
    }
}

#[async_trait]
impl BuilderHarness for Shop {
    fn builder(&self) -> Arc<dyn Builder> {
        Arc::new(self.builder.clone())
    }

    async fn upload(&self, key: &ObjectKey, content: &str) -> Result<ArchiveReference> {
        let payload = Payload::from_bytes(archive(&[("a.py", content)]));
        self.bucket.put(key, &payload, PutMode::WriteOnce).await?;
        Ok(ArchiveReference { key: key.clone(), sha256: payload.sha256(), size: payload.size() })
    }

    fn base_images(&self) -> Vec<BaseImage> {
        self.bases.clone()
    }

    fn repository(&self, fresh: &Fresh) -> Result<Repository> {
        Repository::new(format!("registry.embedded/{}", fresh.prefix()))
    }
}

pub(crate) fn temporary() -> BuildFolder {
    BuildFolder::temporary().expect("a temporary folder")
}

/// A plain tar of files.
pub(crate) fn archive(files: &[(&str, &str)]) -> Vec<u8> {
    let mut archive = tar::Builder::new(Vec::new());
    for (path, text) in files {
        let mut header = tar::Header::new_ustar();
        header.set_size(text.len() as u64);
        header.set_mode(0o644);
        archive.append_data(&mut header, path, text.as_bytes()).expect("appended");
    }
    archive.into_inner().expect("finished")
}

#[tokio::test(start_paused = true)]
async fn the_builder_passes_its_suite() {
    suite(&Shop::on(temporary()).await, "run").await.assert_passed();
}

#[tokio::test(start_paused = true)]
async fn the_builder_passes_its_suite_in_a_folder_that_is_opened_anew_for_every_call() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    for run in ["one", "two"] {
        let open = BuildFolder::open(folder.path().join("builds")).expect("opened");
        suite(&Shop::on(open).await, run).await.assert_passed();
    }
}

#[tokio::test(start_paused = true)]
async fn an_image_is_its_base_with_the_project_on_top() {
    let shop = Shop::on(temporary()).await;
    let long = format!("{}/deep.py", "folder".repeat(30));
    let request =
        shop.request('a', archive(&[("chalk.yaml", "project: a\n"), ("src/a.py", "x = 1\n"), (&long, "")])).await;
    let (events, images) = shop.build(&request).await;
    let images = images.expect("built");
    let steps: Vec<_> = events.iter().map(|event| event.step.as_str()).collect();
    assert_eq!(
        steps,
        ["fetch", "base", "base", "syntax-check", "lint", "type-check", "bytecode-compile", "layer", "image", "image"]
    );
    assert_eq!(events[3].line, "2 files checked for any version of Python 3");
    assert!(events[7].line.starts_with("/app has 3 entries with "), "{}", events[7].line);

    let base = SimulatedBaseImage::new();
    let config = shop.json(&images[0].blobs[0]).await;
    let inner = &config["config"];
    assert_eq!(inner["Entrypoint"], json!([SIMULATED_ENGINE]));
    assert_eq!(inner["User"], "65532:65532");
    assert!(inner["Env"].as_array().expect("variables").contains(&json!("CHALK_SOURCE_DIRECTORY=/app")));
    assert_eq!(inner["Labels"]["org.opencontainers.image.base.digest"], base.digest().to_string());
    assert_eq!(inner["Labels"]["chalk.ai/source-digest"], request.source.sha256.to_string());
    assert_eq!(inner["Labels"]["chalk.ai/component"], "engine");
    assert_eq!(config["rootfs"]["diff_ids"][0], base.diff.to_string());
    assert_eq!(config["history"].as_array().expect("a history").len(), 2);

    let contents = shop.builder.contents().expect("it holds its images");
    let layer = contents.blob(&images[0].blobs[2]).await.expect("held").bytes().await.expect("whole");
    let mut unpacked = Vec::new();
    flate2::read::GzDecoder::new(&layer[..]).read_to_end(&mut unpacked).expect("gzip");
    assert_eq!(config["rootfs"]["diff_ids"][1], Digest::of(&unpacked).to_string());
    let mut files = BTreeMap::new();
    for entry in tar::Archive::new(&unpacked[..]).entries().expect("a tar") {
        let mut entry = entry.expect("an entry");
        let header = entry.header().clone();
        assert_eq!((header.mtime().expect("a time"), header.uid().expect("an owner")), (0, 0));
        let path = entry.path().expect("a path").to_string_lossy().into_owned();
        let mut text = String::new();
        entry.read_to_string(&mut text).expect("text");
        files.insert(path, text);
    }
    let root = SOURCE_DIRECTORY.trim_start_matches('/');
    let expected = ["app/"].map(|path| (path.to_owned(), String::new()));
    let mut expected: BTreeMap<_, _> = expected.into();
    for (path, text) in [("chalk.yaml", "project: a\n"), ("src/a.py", "x = 1\n"), (long.as_str(), "")] {
        expected.insert(format!("{root}/{path}"), text.to_owned());
    }
    assert_eq!(files, expected);
}

#[tokio::test(start_paused = true)]
async fn the_same_inputs_give_the_same_digest_on_every_machine() {
    let mut digests = Vec::new();
    for letter in ['a', 'b'] {
        let shop = Shop::on(temporary()).await;
        let request = shop.request(letter, archive(&[("chalk.yaml", "project: a\n"), ("a.py", "x = 1\n")])).await;
        let images = shop.build(&request).await.1.expect("built");
        digests.push(images.iter().map(|image| image.manifest.digest.to_string()).collect::<Vec<_>>());
    }
    assert_eq!(digests[0], digests[1]);
    // Written down: another compressor, another order of members or a time that crept in would change it.
    assert_eq!(digests[0][0], "sha256:22af75e589bd283fc7ceb70fe83ccd4b3bdc3e67363623e850da51825319da41");
}

#[tokio::test(start_paused = true)]
async fn the_layers_of_the_base_image_are_named_and_not_read() {
    let shop = Shop::on(temporary()).await;
    let request = shop.request('a', archive(&[("a.py", "")])).await;
    let images = shop.build(&request).await.1.expect("built");
    let base = Digest::of(SimulatedBaseImage::new().layer).to_string();
    let pulled =
        shop.plan.calls().into_iter().filter(|call| call.method == "pull_blob" && call.subject.contains(&base));
    assert_eq!(pulled.count(), 0);
    let blob = shop.builder.contents().expect("held").blob(&images[0].blobs[1]).await.expect("named");
    assert_eq!(blob.origin().map(Repository::as_str), Some("registry.embedded/chalk/base"));
    blob.bytes().await.expect("and can be read where it has to be");
}

#[tokio::test(start_paused = true)]
async fn a_build_whose_process_was_killed_goes_on_and_ends_the_same() {
    let directory = tempfile::tempdir().expect("a temporary folder");
    let open = || BuildFolder::open(directory.path()).expect("opened");
    let expected = {
        let shop = Shop::on(temporary()).await;
        let request = shop.request('a', archive(&[("a.py", "x")])).await;
        shop.build(&request).await
    };
    // Killed: the builder is dropped right after it was told to begin.
    let request = {
        let shop = Shop::on(open()).await;
        let request = shop.request('a', archive(&[("a.py", "x")])).await;
        shop.builder.submit(&request).await.expect("submitted");
        request
    };
    let shop = Shop::on(open()).await;
    shop.request('a', archive(&[("a.py", "x")])).await;
    let (events, images) = follow(&shop.builder, &request.deployment).await;
    assert_eq!((events, images.expect("built")), (expected.0.clone(), expected.1.expect("built")));
    // And a third one finds it finished.
    drop(shop);
    let shop = Shop::on(open()).await;
    assert_eq!(follow(&shop.builder, &request.deployment).await.0, expected.0);
    assert_eq!(shop.plan.count("object_store", "get"), 0);
    let work: Vec<_> = std::fs::read_dir(directory.path().join("work")).expect("listed").collect();
    assert_eq!(work.len(), 1, "what the others have left in their work folders is gone");
}

#[tokio::test(start_paused = true)]
async fn what_was_built_and_is_gone_is_lost_and_built_again() {
    let directory = tempfile::tempdir().expect("a temporary folder");
    let shop = Shop::on(BuildFolder::open(directory.path()).expect("opened")).await;
    let request = shop.request('a', archive(&[("a.py", "x")])).await;
    let first = shop.build(&request).await.1.expect("built");
    drop(shop);
    let contents = directory.path().join("contents");
    std::fs::remove_dir_all(&contents).expect("removed");
    let shop = Shop::on(BuildFolder::open(directory.path()).expect("opened")).await;
    shop.request('a', archive(&[("a.py", "x")])).await;
    let error = shop.builder.state(&request.deployment, 0).await.expect_err("it is gone");
    assert_eq!((error.code(), error.retry()), (ErrorCode::BuildLost, Retry::Temporary));
    let error = shop.builder.contents().expect("held").manifest(&first[0].manifest).await.expect_err("it is gone");
    assert_eq!(error.code(), ErrorCode::BuildLost);
    assert_eq!(shop.build(&request).await.1.expect("built again"), first);
    // Half a file is as good as none.
    let ours = contents.join(first[0].blobs[2].digest.hex());
    std::fs::File::options().append(true).open(&ours).and_then(|mut file| file.write_all(b"x")).expect("damaged");
    let error = shop.builder.contents().expect("held").blob(&first[0].blobs[2]).await.expect_err("damaged");
    assert_eq!(error.code(), ErrorCode::BuildLost);
}

#[tokio::test(start_paused = true)]
async fn stopping_a_build_removes_what_only_it_had_made() {
    let directory = tempfile::tempdir().expect("a temporary folder");
    let shop = Shop::on(BuildFolder::open(directory.path()).expect("opened")).await;
    let files = |of: &Path| std::fs::read_dir(of).expect("listed").count();
    let contents = directory.path().join("contents");
    let (one, two) =
        (shop.request('a', archive(&[("a.py", "x")])).await, shop.request('b', archive(&[("b.py", "x")])).await);
    let images = shop.build(&one).await.1.expect("built");
    let before = files(&contents);
    shop.build(&two).await.1.expect("built");
    assert!(files(&contents) > before);
    shop.builder.stop(&two.deployment).await.expect("stopped");
    assert_eq!(files(&contents), before);
    shop.builder.contents().expect("held").manifest(&images[0].manifest).await.expect("still held");
    shop.builder.stop(&one.deployment).await.expect("stopped");
    assert_eq!(files(&contents), 0);
    assert_eq!(files(&directory.path().join("builds")), 0);
}

#[tokio::test(start_paused = true)]
async fn a_build_that_is_stopped_while_it_runs_records_nothing() {
    let directory = tempfile::tempdir().expect("a temporary folder");
    let shop = Shop::on(BuildFolder::open(directory.path()).expect("opened")).await;
    let request = shop.request('a', archive(&[("a.py", "x")])).await;
    for turns in 0..12 {
        shop.builder.submit(&request).await.expect("submitted");
        for _ in 0..turns {
            tokio::task::yield_now().await;
        }
        shop.builder.stop(&request.deployment).await.expect("stopped");
        for _ in 0..20 {
            tokio::task::yield_now().await;
        }
        let error = shop.builder.state(&request.deployment, 0).await.expect_err("forgotten");
        assert_eq!(error.code(), ErrorCode::BuildLost, "after {turns} turns");
        assert_eq!(std::fs::read_dir(directory.path().join("contents")).expect("listed").count(), 0, "{turns}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_failure_that_may_pass_is_tried_again_and_one_that_may_not_is_kept() {
    let shop = Shop::on(temporary()).await;
    let request = shop.request('a', archive(&[("a.py", "x")])).await;
    let away = Error::new(ErrorCode::CloudUnavailable, "no answer");
    for (part, method) in [("object_store", "get"), ("registry", "manifest"), ("registry", "pull_blob")] {
        shop.plan.at_next(part, method, Fault::before(&away));
        let error = shop.build(&request).await.1.expect_err("no answer");
        assert_eq!((error.code(), error.retry()), (ErrorCode::CloudUnavailable, Retry::Temporary));
    }
    shop.build(&request).await.1.expect("built in the end");

    let request = shop.request('b', b"no archive".to_vec()).await;
    for _ in 0..2 {
        let error = shop.build(&request).await.1.expect_err("no archive");
        assert_eq!(error.code(), ErrorCode::ArchiveCorrupt);
    }
    assert_eq!(shop.plan.count("object_store", "get"), 5, "it was looked into once");
}

#[tokio::test(start_paused = true)]
async fn projects_that_need_more_than_a_layer_are_refused_with_a_sentence() {
    let shop = Shop::on(temporary()).await;
    let plain = shop.request('a', archive(&[("a.py", "x")])).await;
    let with = |contents: &str| BuildRequest {
        requirements: vec![RequirementsFile { filename: "requirements.txt".to_owned(), contents: contents.to_owned() }],
        ..plain.clone()
    };
    let error = shop.builder.submit(&with("chalkpy\nnumpy==2.0\n")).await.expect_err("refused");
    assert_eq!(error.code(), ErrorCode::RequestInvalid);
    assert_eq!(
        error.sentence(),
        "requirements.txt: the base image of stream-worker does not bring `numpy`, and this builder installs nothing; \
         use a base image that brings it, or a builder that is set up with uv or pip"
    );
    let error = shop.builder.submit(&with("-r more.txt")).await.expect_err("refused");
    assert_eq!(error.code(), ErrorCode::RequirementDenied);
    assert!(error.sentence().contains("`-r more.txt` is refused"), "{}", error.sentence());
    let dockerfile = ProjectSettings { dockerfile: Some("Dockerfile".to_owned()), ..ProjectSettings::default() };
    let error =
        shop.builder.submit(&BuildRequest { settings: dockerfile, ..plain.clone() }).await.expect_err("refused");
    assert_eq!(error.code(), ErrorCode::RequestInvalid);
    assert_eq!(shop.builder.state(&plain.deployment, 0).await.expect_err("never begun").code(), ErrorCode::BuildLost);
    for provided in ["# comments only\n", "ChalkPy[all] >= 2 # with a reason\n"] {
        shop.build(&with(provided)).await.1.expect(provided);
        shop.builder.stop(&plain.deployment).await.expect("stopped");
    }
}

#[tokio::test(start_paused = true)]
async fn hostile_archives_are_refused_with_their_own_codes() {
    let shop = Shop::on(temporary()).await;
    let mut escaping = archive(&[("aaa.py", "x")]);
    // The name by hand: the crate refuses to write it.
    escaping[..6].copy_from_slice(b"../x\0\0");
    let sum: u32 = escaping[..512]
        .iter()
        .enumerate()
        .map(|(at, byte)| if (148..156).contains(&at) { 32 } else { u32::from(*byte) })
        .sum();
    escaping[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
    for (letter, bytes, code) in [
        ('a', escaping, ErrorCode::ArchivePathEscape),
        ('b', archive(&[("a/.wh.passwd", "")]), ErrorCode::ArchiveEntryName),
        ('c', archive(&[("a", ""), ("a", "")]), ErrorCode::ArchiveDuplicatePath),
        ('d', archive(&[("a", "text")])[..600].to_vec(), ErrorCode::ArchiveCorrupt),
    ] {
        let request = shop.request(letter, bytes).await;
        let error = shop.build(&request).await.1.expect_err("hostile");
        assert_eq!(error.code(), code, "{error}");
    }
}

#[tokio::test(start_paused = true)]
async fn an_archive_other_than_the_declared_one_is_refused() {
    let shop = Shop::on(temporary()).await;
    let mut request = shop.request('a', archive(&[("a.py", "x")])).await;
    request.source.sha256 = Digest::of("another");
    let error = shop.build(&request).await.1.expect_err("another one");
    assert_eq!(error.code(), ErrorCode::DigestMismatch);
    let mut request = shop.request('b', archive(&[("a.py", "x")])).await;
    request.source.size += 1;
    assert_eq!(shop.build(&request).await.1.expect_err("another one").code(), ErrorCode::DigestMismatch);
}

#[tokio::test(start_paused = true)]
async fn base_images_that_cannot_be_built_on_are_refused() {
    let shop = Shop::on(temporary()).await;
    let image = SimulatedBaseImage::new();
    let repository = shop.bases[0].repository.clone();
    let manifest: Value = serde_json::from_slice(&image.manifest.bytes).expect("JSON");
    let push = async |document: Value| {
        let bytes: Bytes = document.to_string().into();
        let manifest = ImageManifest { media_type: image.manifest.media_type.clone(), bytes };
        shop.registry.put_manifest(&repository, &manifest, None).await.expect("stored")
    };
    let config_of = async |change: &dyn Fn(&mut Value)| {
        let mut config: Value = serde_json::from_slice(&image.config).expect("JSON");
        change(&mut config);
        let config = Payload::from_bytes(config.to_string());
        shop.registry.push_blob(&repository, &config).await.expect("pushed");
        let mut manifest = manifest.clone();
        manifest["config"]["digest"] = config.sha256().to_string().into();
        manifest["config"]["size"] = config.size().into();
        push(manifest).await
    };
    let mut foreign = manifest.clone();
    foreign["layers"][0]["urls"] = json!(["https://evil.example/layer"]);
    let mut typed = manifest.clone();
    typed["layers"][0]["mediaType"] = "application/vnd.docker.image.rootfs.foreign.diff.tar.gzip".into();
    let mut short = manifest.clone();
    short["layers"] = json!([]);
    let cases = [
        ("lies outside its registry", push(foreign).await),
        ("lies outside its registry", push(typed).await),
        ("does not list its layers", push(short).await),
        ("for linux/arm64 and not for linux/amd64", config_of(&|config| config["architecture"] = "arm64".into()).await),
        (
            "directory of the kernel's",
            config_of(&|config| config["config"]["WorkingDir"] = "/proc/self/fd/7".into()).await,
        ),
        ("names no config or no layers", push(json!({"schemaVersion": 2})).await),
        ("has no image for linux/amd64", push(json!({"schemaVersion": 2, "manifests": []})).await),
        (
            "another length than its manifest has",
            push(json!({"schemaVersion": 2, "manifests": [{
                "mediaType": "m", "digest": image.digest(), "size": 1,
                "platform": {"os": "linux", "architecture": "amd64"},
            }]}))
            .await,
        ),
        (
            "another media type than its manifest has",
            push(json!({"schemaVersion": 2, "manifests": [{
                "mediaType": "m", "digest": image.digest(), "size": image.manifest.bytes.len(),
                "platform": {"os": "linux", "architecture": "amd64"},
            }]}))
            .await,
        ),
    ];
    let mut letters = 'a'..='z';
    for (words, digest) in cases {
        let mut request = shop.request(letters.next().expect("enough"), archive(&[("a.py", "x")])).await;
        request.base_images[0].digest = digest;
        let error = shop.build(&request).await.1.expect_err(words);
        assert_eq!(error.code(), ErrorCode::BuildFailed, "{error}");
        assert!(error.message().contains(words), "{error}");
    }
    let mut request = shop.request(letters.next().expect("enough"), archive(&[("a.py", "x")])).await;
    request.base_images[0].digest = Digest::of("nothing");
    assert_eq!(shop.build(&request).await.1.expect_err("not there").code(), ErrorCode::ObjectMissing);

    // An index leads to the image of the platform.
    let arm = config_of(&|config| config["architecture"] = "arm64".into()).await;
    let platform = |architecture: &str| json!({"os": "linux", "architecture": architecture});
    let index = push(json!({"schemaVersion": 2, "manifests": [
        {"mediaType": "m", "digest": arm, "size": 1, "platform": platform("arm64")},
        {
            "mediaType": image.manifest.media_type, "digest": image.digest(), "size": image.manifest.bytes.len(),
            "platform": platform("amd64"),
        },
    ]}))
    .await;
    let mut request = shop.request(letters.next().expect("enough"), archive(&[("a.py", "x")])).await;
    request.base_images[0].digest = index;
    shop.build(&request).await.1.expect("built on the image for its platform");
}

#[tokio::test(start_paused = true)]
async fn an_image_is_pushed_into_another_repository_and_into_another_registry() {
    // The fake registry knows nothing of mounts, so the base image's layers stream through.
    let shop = Shop::on(temporary()).await;
    let request = shop.request('a', archive(&[("a.py", "x")])).await;
    let images = shop.build(&request).await.1.expect("built");
    let contents = shop.builder.contents().expect("held");
    for target in ["registry.embedded/chalk/target", "other.embedded/target"] {
        let target = Repository::new(target).expect("a valid repository");
        for blob in &images[0].blobs {
            shop.registry.push_blob(&target, &contents.blob(blob).await.expect("held")).await.expect("pushed");
        }
        let bytes = contents.manifest(&images[0].manifest).await.expect("held");
        let manifest = ImageManifest { media_type: images[0].manifest.media_type.clone(), bytes };
        shop.registry.put_manifest(&target, &manifest, None).await.expect("all of it is there");
        let locator = ManifestLocator::Digest(images[0].manifest.digest);
        assert_eq!(shop.registry.manifest(&target, &locator).await.expect("answered"), Some(manifest));
    }
}

#[tokio::test(start_paused = true)]
async fn state_waits_a_moment_for_news_and_not_for_ever() {
    let shop = Shop::on(temporary()).await;
    let request = shop.request('a', archive(&[("a.py", "x")])).await;
    // A bucket that never answers: nothing is said.
    let stuck = InProcessBuilder::new(
        Arc::new(Stuck { bucket: shop.bucket.clone(), panics: false }),
        shop.registry.clone(),
        temporary(),
        VirtualRuntime::new(1),
    );
    stuck.submit(&request).await.expect("submitted");
    let waited = stuck.state(&request.deployment, 0).await.expect("running");
    assert!(matches!(waited, BuildState::Running { events } if events.is_empty()));
    let (one, two) = (stuck.clone(), request.deployment.clone());
    let asked = tokio::spawn(async move { one.state(&two, 0).await });
    tokio::task::yield_now().await;
    stuck.stop(&request.deployment).await.expect("stopped");
    assert_eq!(asked.await.expect("it ran").expect_err("stopped").code(), ErrorCode::BuildLost);
}

#[tokio::test(start_paused = true)]
async fn a_built_image_is_pushed_with_its_base_mounted_and_pushed_again_for_one_head_a_blob() {
    let server = SmallRegistry::new(Options::default());
    let adapter: Arc<dyn Registry> = Arc::new(adapter(&server, OciSettings::default()));
    let shop = Shop::with(&World::memory(), temporary(), adapter.clone(), "registry.example").await;
    let request = shop.request('a', archive(&[("a.py", "x")])).await;
    let images = shop.build(&request).await.1.expect("built");
    let contents = shop.builder.contents().expect("held");
    let target = repository("chalk/target");
    let push = async || {
        server.requests();
        for blob in &images[0].blobs {
            adapter.push_blob(&target, &contents.blob(blob).await.expect("held")).await.expect("pushed");
        }
        let bytes = contents.manifest(&images[0].manifest).await.expect("held");
        let manifest = ImageManifest { media_type: images[0].manifest.media_type.clone(), bytes };
        adapter.put_manifest(&target, &manifest, None).await.expect("stored");
        let lines = server.requests();
        lines.iter().filter_map(|line| line.split(' ').next().map(str::to_owned)).collect::<Vec<_>>()
    };
    // Config, the base image's layer, ours, and the manifest.
    assert_eq!(push().await, ["HEAD", "POST", "PUT", "HEAD", "POST", "HEAD", "POST", "PUT", "HEAD", "PUT"]);
    assert_eq!(push().await, ["HEAD"; 4]);
}

#[tokio::test(start_paused = true)]
async fn a_build_that_panics_has_failed_and_is_not_waited_for() {
    let shop = Shop::on(temporary()).await;
    let request = shop.request('a', archive(&[("a.py", "x")])).await;
    let bucket = Stuck { bucket: shop.bucket.clone(), panics: true };
    let builder = InProcessBuilder::new(Arc::new(bucket), shop.registry.clone(), temporary(), VirtualRuntime::new(1));
    builder.submit(&request).await.expect("submitted");
    let error = follow(&builder, &request.deployment).await.1.expect_err("it panicked");
    assert_eq!(error.code(), ErrorCode::Internal);
}

#[tokio::test(start_paused = true)]
async fn the_newest_builds_are_kept_and_the_oldest_go() {
    let directory = tempfile::tempdir().expect("a temporary folder");
    let shop = Shop::on(BuildFolder::open(directory.path()).expect("opened").keeping(3)).await;
    let template = shop.request('a', archive(&[("a.py", "x")])).await;
    let id = |number: usize| DeploymentId::new(format!("c{number:024}")).expect("a valid id");
    for number in 0..5 {
        let request = BuildRequest { deployment: id(number), ..template.clone() };
        shop.build(&request).await.1.expect("built");
    }
    assert_eq!(std::fs::read_dir(directory.path().join("builds")).expect("listed").count(), 3);
    assert_eq!(follow(&shop.builder, &id(0)).await.1.expect_err("it went").code(), ErrorCode::BuildLost);
    let images = follow(&shop.builder, &id(4)).await.1.expect("kept");
    shop.builder.contents().expect("held").manifest(&images[0].manifest).await.expect("what it made is kept too");
}

#[tokio::test(start_paused = true)]
async fn the_limits_of_an_archive_are_the_ones_that_were_set() {
    let shop = Shop::on(temporary()).await;
    let request = shop.request('a', archive(&[("a.py", "x"), ("b.py", "x")])).await;
    let builder = shop.builder.clone().with_limits(ArchiveLimits::default().with_entries(1));
    builder.submit(&request).await.expect("submitted");
    let error = follow(&builder, &request.deployment).await.1.expect_err("too many");
    assert_eq!(error.code(), ErrorCode::ArchiveTooLarge);
}

/// A bucket that has everything and hands nothing out.
#[derive(Debug)]
struct Stuck {
    bucket: FakeObjectStore,
    panics: bool,
}

#[async_trait]
impl ObjectStore for Stuck {
    fn capabilities(&self) -> ObjectStoreCapabilities {
        self.bucket.capabilities()
    }

    async fn put(&self, key: &ObjectKey, payload: &Payload, mode: PutMode) -> Result<ObjectMetadata> {
        self.bucket.put(key, payload, mode).await
    }

    async fn head(&self, key: &ObjectKey) -> Result<Option<ObjectMetadata>> {
        self.bucket.head(key).await
    }

    async fn get(&self, _key: &ObjectKey) -> Result<ObjectDownload> {
        assert!(!self.panics, "as a defect would");
        std::future::pending().await
    }

    async fn copy(&self, from: &ObjectKey, to: &ObjectKey, mode: PutMode) -> Result<ObjectMetadata> {
        self.bucket.copy(from, to, mode).await
    }

    async fn delete(&self, key: &ObjectKey) -> Result<()> {
        self.bucket.delete(key).await
    }

    async fn list(&self, prefix: &str, after: Option<ObjectKey>, most: usize) -> Result<Vec<ObjectMetadata>> {
        self.bucket.list(prefix, after, most).await
    }
}
