//! The dependency layer: when it is made, who shares it, what it costs when it is there, and that an image can be made
//! again when the index, the builder and the registry are gone. The installer is a script that says what uv says; uv and
//! pip themselves are in `wheels.rs`.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use chalk_deploy_core::build::checks::Tool;
use chalk_deploy_core::build::dependencies::InstallTool;
use chalk_deploy_core::build::{
    BUILDER, BuildFolder, BuildHistory, Checks, DependencySettings, InProcessBuilder, SITE_PACKAGES,
};
use chalk_deploy_core::cloud::{
    BuildEvent, BuildRequest, Builder, ImageContents, ImageManifest, ObjectStore, Payload, PutMode, Registry,
};
use chalk_deploy_core::model::{
    ArchiveReference, BaseImage, BuiltImage, Component, DeploymentId, Descriptor, Digest, ObjectKey, ProjectSettings,
    Repository, RequirementsFile,
};
use chalk_deploy_core::oci::{OciRegistry, OciSettings};
use chalk_deploy_core::runtime::SystemRuntime;
use chalk_deploy_core::{Error, ErrorCode, Result};
use chalk_deploy_testkit::World;
use chalk_deploy_testkit::fake::FakeObjectStore;
use chalk_deploy_testkit::following::follow;
use chalk_deploy_testkit::simulated::base_image;
use serde_json::{Value, json};

use super::builds::{archive, temporary};
use super::small_registry::{Options, SmallRegistry};
use super::{adapter, repository};

/// Answers as uv does, and writes down how often it was asked.
const STUB: &str = r#"#!/bin/sh
echo "$1 $2" >> "$(dirname "$0")/calls"
wanted=$1
command=$2
while [ $# -gt 0 ]; do
  [ "$1" = --output-file ] && output=$2
  [ "$1" = --target ] && target=$2
  requirements=$1
  shift
done
case "$wanted $command" in
"--version ") echo "uv 0.0.1 (a script)" ;;
"pip compile")
  if grep -q '^sources-only' "$requirements"; then
    echo "  x No solution found: sources-only has no usable wheels" >&2
    exit 1
  fi
  if grep -q '^unreachable' "$requirements"; then
    echo "error: Failed to fetch: error sending request" >&2
    exit 2
  fi
  for name in $(sed 's/[^a-z-].*//' "$requirements") leaf; do
    hash=$(printf '%s' "$name" | sha256sum | cut -c1-64)
    printf '[[packages]]\nname = "%s"\nversion = "1.0"\nwheels = [{ url = "file:///%s-1.0-py3-none-any.whl", hashes = { sha256 = "%s" } }]\n' \
      "$name" "$name" "$hash"
  done > "$output"
  echo "Resolved packages" >&2 ;;
"pip install")
  cut -d= -f1 "$requirements" | while read -r name; do
    mkdir -p "$target/$name/__pycache__" "$target/$name-1.0.dist-info"
    echo "name = '$name'" > "$target/$name/__init__.py"
    date +%N > "$target/$name/__pycache__/x.pyc"
    printf 'Metadata-Version: 2.1\nName: %s\nVersion: 1.0\n' "$name" > "$target/$name-1.0.dist-info/METADATA"
    printf 'Tag: py3-none-any\n' > "$target/$name-1.0.dist-info/WHEEL"
    printf 'uv' > "$target/$name-1.0.dist-info/INSTALLER"
    printf '%s/__init__.py,,\n%s-1.0.dist-info/RECORD,,\n' "$name" "$name" > "$target/$name-1.0.dist-info/RECORD"
  done
  echo "Installed packages" >&2 ;;
esac
"#;

/// A bucket and a registry with two components' base images, which outlive the builders on them.
pub(crate) struct Yard {
    pub(crate) bucket: FakeObjectStore,
    pub(crate) server: SmallRegistry,
    pub(crate) registry: Arc<OciRegistry>,
    bases: Vec<BaseImage>,
    tools: tempfile::TempDir,
}

impl Yard {
    pub(crate) async fn new() -> Self {
        let server = SmallRegistry::new(Options::default());
        let registry = Arc::new(adapter(&server, OciSettings::default()));
        let mut bases = Vec::new();
        for component in [Component::StreamWorker, Component::Engine] {
            bases.push(base_image::install(&*registry, &repository("chalk/base"), component).await.expect("installed"));
        }
        let tools = tempfile::tempdir().expect("a folder");
        let program = tools.path().join("uv");
        fs::write(&program, STUB).expect("written");
        fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).expect("made a program");
        Self { bucket: FakeObjectStore::new(&World::memory()), server, registry, bases, tools }
    }

    fn stub(&self) -> DependencySettings {
        DependencySettings::new(["/usr/bin", "/bin"].map(PathBuf::from))
            .with_tool(InstallTool::Uv(self.tools.path().join("uv")))
    }

    /// A set-up with which nothing can be installed.
    fn no_index() -> DependencySettings {
        DependencySettings::new([]).with_tool(InstallTool::Uv("/nonexistent/uv".into()))
    }

    /// What the installer was asked for since the last look.
    fn calls(&self) -> Vec<String> {
        let file = self.tools.path().join("calls");
        let calls = fs::read_to_string(&file).unwrap_or_default().lines().map(|line| line.trim().to_owned()).collect();
        let _ = fs::remove_file(file);
        calls
    }

    pub(crate) fn builder(&self, folder: BuildFolder, settings: DependencySettings) -> InProcessBuilder {
        let bucket = Arc::new(self.bucket.clone());
        InProcessBuilder::new(bucket, self.registry.clone(), folder, SystemRuntime::new()).with_dependencies(settings)
    }

    /// A request of the deployment with this letter, for a source with this text.
    pub(crate) async fn request(&self, letter: char, source: &str, requirements: &str) -> BuildRequest {
        let payload = Payload::from_bytes(archive(&[("chalk.yaml", "project: a\n"), ("a.py", source)]));
        let key = ObjectKey::new(format!("archives/{}", payload.sha256().hex())).expect("a valid key");
        self.bucket.put(&key, &payload, PutMode::WriteOnce).await.expect("uploaded");
        BuildRequest {
            deployment: DeploymentId::new(format!("c{}", letter.to_string().repeat(24))).expect("a valid id"),
            source: ArchiveReference { key, sha256: payload.sha256(), size: payload.size() },
            repositories: ["chalk/worker", "chalk/engine"].map(repository).to_vec(),
            base_images: self.bases.clone(),
            requirements: vec![RequirementsFile {
                filename: "requirements.txt".to_owned(),
                contents: requirements.to_owned(),
            }],
            settings: ProjectSettings { runtime: Some("python311".to_owned()), ..ProjectSettings::default() },
            platform: "linux/amd64".to_owned(),
            more_platforms: Vec::new(),
        }
    }

    /// Pushes images as stage 4 does, each into its repository and by an adapter that remembers nothing of the others.
    /// The requests that the registry saw.
    async fn push(&self, builder: &InProcessBuilder, request: &BuildRequest, images: &[BuiltImage]) -> Vec<String> {
        self.server.requests();
        let contents = builder.contents().expect("it holds its images");
        for image in images {
            let at = request.base_images.iter().position(|base| base.component == image.component).expect("asked for");
            let registry = adapter(&self.server, OciSettings::default());
            push(&registry, &*contents, &request.repositories[at], image).await.expect("pushed");
        }
        self.server.requests()
    }
}

async fn push(
    registry: &dyn Registry,
    contents: &dyn ImageContents,
    repository: &Repository,
    image: &BuiltImage,
) -> Result<()> {
    for blob in &image.blobs {
        match contents.blob(blob).await {
            Ok(payload) => registry.push_blob(repository, &payload).await?,
            Err(error) if registry.has_blob(repository, &blob.digest).await? => drop::<Error>(error),
            Err(error) => return Err(error),
        }
    }
    let bytes = contents.manifest(&image.manifest).await?;
    let manifest = ImageManifest { media_type: image.manifest.media_type.clone(), bytes };
    registry.put_manifest(repository, &manifest, None).await.map(drop)
}

pub(crate) async fn build(
    builder: &InProcessBuilder,
    request: &BuildRequest,
) -> (Vec<BuildEvent>, Result<Vec<BuiltImage>>) {
    match builder.submit(request).await {
        Ok(()) => follow(builder, &request.deployment).await,
        Err(error) => (Vec::new(), Err(error)),
    }
}

async fn document(builder: &InProcessBuilder, descriptor: &Descriptor) -> Value {
    let contents = builder.contents().expect("it holds its images");
    let bytes = contents.blob(descriptor).await.expect("held").bytes().await.expect("whole");
    serde_json::from_slice(&bytes).expect("JSON")
}

/// The dependency layer of an image: after the config and the base image's one layer.
fn layer_of(image: &BuiltImage) -> &Descriptor {
    assert_eq!(image.blobs.len(), 4, "config, base, dependencies, source");
    &image.blobs[2]
}

fn with<'a>(lines: &'a [String], method: &str, part: &str) -> Vec<&'a String> {
    lines.iter().filter(|line| line.starts_with(method) && line.contains(part)).collect()
}

fn digests(images: &[BuiltImage]) -> Vec<Digest> {
    images.iter().map(|image| image.manifest.digest).collect()
}

#[tokio::test]
async fn the_layer_is_made_once_for_all_components_and_sent_once_to_the_registry() {
    let yard = Yard::new().await;
    let builder = yard.builder(temporary(), yard.stub());
    let request = yard.request('a', "x = 1\n", "chalkpy\nalpha>=1 # why\n").await;
    let (events, images) = build(&builder, &request).await;
    let images = images.expect("built");
    assert_eq!(yard.calls(), ["--version", "pip compile", "pip install"], "once for two components");
    let layer = layer_of(&images[0]);
    assert_eq!(layer, layer_of(&images[1]));
    assert_eq!(images[0].blobs[3], images[1].blobs[3], "the source's layer is shared, too");
    let said: Vec<_> = events.iter().filter(|event| event.step == "dependencies").map(|event| &*event.line).collect();
    assert!(said.contains(&"Installed packages"), "{said:?}");
    assert!(said.iter().any(|line| line.starts_with("2 packages, ")), "{said:?}");
    assert!(said.iter().any(|line| line.contains("brings it: `chalkpy`")), "{said:?}");

    let config = document(&builder, &images[0].blobs[0]).await;
    let variables = config["config"]["Env"].as_array().expect("variables");
    assert!(variables.contains(&json!(format!("PYTHONPATH={SITE_PACKAGES}"))), "{variables:?}");
    let label = config["config"]["Labels"]["ai.chalk.packages"].as_str().expect("a label");
    let packages: Value = serde_json::from_str(label).expect("JSON");
    let package = |name: &str| json!({"name": name, "version": "1.0", "sha256": Digest::of(name).hex()});
    assert_eq!(packages, json!([package("alpha"), package("leaf")]));
    assert_eq!(config["rootfs"]["diff_ids"].as_array().map(Vec::len), Some(3));
    let history = config["history"].as_array().expect("a history");
    assert_eq!(history.len(), 3);
    assert!(history[1]["created_by"].as_str().is_some_and(|text| text.contains(SITE_PACKAGES)), "{history:?}");

    let seen = yard.push(&builder, &request, &images).await;
    for layer in [layer, &images[0].blobs[3]] {
        let digest = layer.digest.to_string();
        assert_eq!(
            with(&seen, "PUT", &digest.replace(':', "%3A")).len() + with(&seen, "PUT", &digest).len(),
            1,
            "{seen:#?}"
        );
        assert_eq!(with(&seen, "POST", "mount=").len(), 4, "two layers of the base, and two of ours");
    }
}

#[tokio::test]
async fn a_warm_key_costs_one_head_and_no_program() {
    let yard = Yard::new().await;
    let builder = yard.builder(temporary(), yard.stub());
    let first = yard.request('a', "x = 1\n", "alpha\n").await;
    let images = build(&builder, &first).await.1.expect("built");
    yard.push(&builder, &first, &images).await;
    yard.calls();

    // Another source, and requirements that are written differently.
    let second = yard.request('b', "x = 2\n", "# the same\nAlpha   # again\n\n").await;
    let again = build(&builder, &second).await.1.expect("built");
    assert_eq!(yard.calls(), [""; 0], "nothing is installed");
    assert_eq!(layer_of(&again[0]), layer_of(&images[0]));
    assert_ne!(digests(&again), digests(&images));
    let engine: Vec<_> = again.iter().filter(|image| image.component == Component::Engine).cloned().collect();
    let seen = yard.push(&builder, &second, &engine).await;
    let digest = layer_of(&engine[0]).digest.to_string();
    let about: Vec<_> = seen.iter().filter(|line| line.contains(&digest)).collect();
    assert_eq!(about.len(), 1, "{seen:#?}");
    assert!(about[0].starts_with("HEAD "), "{about:?}");

    // Other requirements are another key.
    let third = yard.request('c', "x = 2\n", "alpha\nbeta\n").await;
    build(&builder, &third).await.1.expect("built");
    assert_eq!(yard.calls(), ["--version", "pip compile", "pip install"]);
}

#[tokio::test]
async fn another_builder_takes_what_the_first_one_resolved_and_installs_nothing() {
    let yard = Yard::new().await;
    let first = yard.request('a', "x = 1\n", "alpha\n").await;
    let images = build(&yard.builder(temporary(), yard.stub()), &first).await.1.expect("built");
    // The layer comes from the bucket.
    let elsewhere = yard.builder(temporary(), Yard::no_index());
    let again = yard.request('b', "x = 1\n", "alpha\n").await;
    let (events, found) = build(&elsewhere, &again).await;
    assert_eq!(digests(&found.expect("built")), digests(&images));
    assert!(events.iter().any(|event| event.line.contains("was fetched from the bucket")), "{events:?}");
    // Without it there is nothing that could install.
    let alone = Yard::new().await;
    let request = alone.request('a', "x = 1\n", "alpha\n").await;
    let error = build(&alone.builder(temporary(), Yard::no_index()), &request).await.1.expect_err("nothing installs");
    assert!(error.sentence().contains("neither uv nor a Python with pip"), "{error:?}");
}

#[tokio::test]
async fn a_layer_that_the_folder_has_lost_is_left_where_the_registry_has_it() {
    let (yard, folder) = (Yard::new().await, tempfile::tempdir().expect("a folder"));
    let open = || BuildFolder::open(folder.path()).expect("opened");
    let first = yard.request('a', "x = 1\n", "alpha\n").await;
    let builder = yard.builder(open(), yard.stub());
    let images = build(&builder, &first).await.1.expect("built");
    yard.push(&builder, &first, &images).await;
    yard.calls();
    let lose = || fs::remove_file(folder.path().join("contents").join(layer_of(&images[0]).digest.hex()));
    lose().expect("it was there");
    let builder = yard.builder(open(), yard.stub());
    yard.server.requests();
    let second = yard.request('b', "x = 2\n", "alpha\n").await;
    let again = build(&builder, &second).await.1.expect("built");
    let seen = yard.server.requests();
    assert_eq!(with(&seen, "HEAD", &layer_of(&again[0]).digest.to_string()).len(), 2, "one for each repository");
    lose().expect_err("it was not fetched");
    yard.push(&builder, &second, &again).await;

    // Neither does a builder fetch it that begins with nothing, such as a container.
    let fresh = yard.builder(temporary(), Yard::no_index());
    let third = yard.request('c', "x = 2\n", "alpha\n").await;
    let (events, found) = build(&fresh, &third).await;
    assert_eq!(digests(&found.expect("built")), digests(&again));
    assert!(events.iter().any(|event| event.line.contains("is where it goes")), "{events:?}");

    // A registry that has lost it gets it from the bucket.
    let digest = layer_of(&again[0]).digest.to_string();
    yard.server.state().blobs.retain(|(_, blob), _| *blob != digest);
    let seen = yard.push(&builder, &second, &again).await;
    assert_eq!(yard.server.state().blobs.keys().filter(|(_, blob)| *blob == digest).count(), 2, "{seen:#?}");
    assert_eq!(yard.calls(), [""; 0], "nothing was installed");
}

#[tokio::test]
async fn a_past_build_is_made_again_with_nothing_but_the_bucket_and_the_base_images() {
    let yard = Yard::new().await;
    let request = yard.request('a', "x = 1\n", "alpha\n").await;
    let images = build(&yard.builder(temporary(), yard.stub()), &request).await.1.expect("built");
    yard.calls();
    let history = BuildHistory::new(Arc::new(yard.bucket.clone()));
    let record = history.find(&request.deployment).await.expect("kept");
    assert_eq!((record.builder.as_str(), record.dependencies.len()), (BUILDER, 1));
    let later = yard.builder(temporary(), Yard::no_index());
    let rebuilt = later.rebuild(&record).await.expect("made again");
    assert_eq!(digests(&rebuilt.images), digests(&images));
    assert_eq!(rebuilt.other_builder, None);
    yard.push(&later, &request, &rebuilt.images).await;

    // Another version that comes to the same is told; one that does not is refused with both names.
    let mut other = record.clone();
    "chalk-deploy 0.0.9, images 1".clone_into(&mut other.builder);
    let rebuilt = later.rebuild(&other).await.expect("it comes to the same");
    assert_eq!(rebuilt.other_builder.as_deref(), Some("chalk-deploy 0.0.9, images 1"));
    other.images.insert(Component::Engine, Digest::of("another"));
    let error = later.rebuild(&other).await.expect_err("another image");
    assert_eq!(error.code(), ErrorCode::ImageMismatch);
    let sentence = error.sentence();
    assert!(sentence.contains("chalk-deploy 0.0.9") && sentence.contains(BUILDER), "{sentence}");

    // With the layer gone it is installed from the lock; with the record gone nothing is guessed.
    let gone = layer_of(&images[0]).digest.hex();
    yard.bucket.delete(&ObjectKey::new(format!("layers/{gone}")).expect("a key")).await.expect("removed");
    let rebuilt = yard.builder(temporary(), yard.stub()).rebuild(&record).await.expect("installed from its lock");
    assert_eq!(digests(&rebuilt.images), digests(&images));
    assert_eq!(yard.calls(), ["--version", "pip install"], "nothing is resolved");
    let key = record.dependencies.first().expect("one").hex();
    yard.bucket.delete(&ObjectKey::new(format!("dependencies/{key}")).expect("a key")).await.expect("removed");
    let error = yard.builder(temporary(), yard.stub()).rebuild(&record).await.expect_err("nothing to go by");
    assert_eq!(error.code(), ErrorCode::ObjectMissing);
    assert_eq!(yard.calls(), [""; 0]);
}

#[tokio::test]
async fn a_past_build_is_compiled_again_only_if_it_was_and_else_the_python_is_named() {
    let yard = Yard::new().await;
    let history = BuildHistory::new(Arc::new(yard.bucket.clone()));
    let plain = yard.builder(temporary(), yard.stub());
    let compiling = yard.builder(temporary(), yard.stub()).with_checks(Checks::new().with_bytecode(Tool::on_path()));
    let (first, second) = (yard.request('a', "x = 1\n", "").await, yard.request('b', "x = 1\n", "").await);
    let images = build(&plain, &first).await.1.expect("built");
    let compiled = build(&compiling, &second).await.1.expect("built");
    let (first, second) = (history.find(&first.deployment).await, history.find(&second.deployment).await);
    let (first, second) = (first.expect("kept"), second.expect("kept"));
    assert_eq!(first.bytecode, None);
    let Some(python) = second.bytecode.clone() else {
        skipped("it takes a python3.11 on the PATH");
        return;
    };
    assert_ne!(digests(&compiled), digests(&images));
    assert_eq!(digests(&compiling.rebuild(&first).await.expect("made again").images), digests(&images));
    assert_eq!(digests(&compiling.rebuild(&second).await.expect("made again").images), digests(&compiled));
    let error = plain.rebuild(&second).await.expect_err("nothing compiles here");
    assert_eq!(error.code(), ErrorCode::ImageMismatch);
    assert!(error.hint().contains(&python), "{error:?}");
}

#[tokio::test]
async fn what_an_installer_refuses_is_told_with_what_to_do() {
    let yard = Yard::new().await;
    let builder = yard.builder(temporary(), yard.stub());
    let request = yard.request('a', "x", "sources-only\n").await;
    let error = build(&builder, &request).await.1.expect_err("no wheel");
    assert_eq!(error.code(), ErrorCode::BuildFailed);
    let sentence = error.sentence();
    assert!(sentence.contains("has no usable wheels") && sentence.contains("only wheels are installed"), "{sentence}");
    let request = yard.request('b', "x", "unreachable\n").await;
    let error = build(&builder, &request).await.1.expect_err("no index");
    assert_eq!(error.code(), ErrorCode::CloudUnavailable, "which may pass: {error}");
}

#[tokio::test]
async fn projects_that_cannot_be_installed_for_are_refused_before_anything_is_built() {
    let yard = Yard::new().await;
    let builder = yard.builder(temporary(), yard.stub());
    let plain = yard.request('a', "x", "alpha\n").await;
    let mut no_python = plain.clone();
    no_python.settings.runtime = None;
    let hostile = yard.request('a', "x", "alpha\n--index-url https://x.example\n").await;
    for (request, code, part) in [
        (no_python, ErrorCode::RequestInvalid, "name the `runtime`"),
        (hostile, ErrorCode::RequirementDenied, "`--index-url https://x.example` is refused"),
    ] {
        let error = builder.submit(&request).await.expect_err(part);
        assert_eq!(error.code(), code);
        assert!(error.sentence().contains(part), "{error:?}");
    }
    assert_eq!(yard.calls(), [""; 0]);
}

#[tokio::test]
async fn a_falsified_layer_in_the_bucket_is_refused() {
    let yard = Yard::new().await;
    let request = yard.request('a', "x", "alpha\n").await;
    let images = build(&yard.builder(temporary(), yard.stub()), &request).await.1.expect("built");
    let key = ObjectKey::new(format!("layers/{}", layer_of(&images[0]).digest.hex())).expect("a key");
    let size = usize::try_from(layer_of(&images[0]).size).expect("small");
    yard.bucket.put(&key, &Payload::from_bytes(vec![7; size]), PutMode::Replace).await.expect("falsified");
    let again = yard.request('b', "x", "alpha\n").await;
    let error = build(&yard.builder(temporary(), Yard::no_index()), &again).await.1.expect_err("refused");
    assert_eq!(error.code(), ErrorCode::DigestMismatch);
}

/// The programs of this machine, if it has them.
pub(crate) fn search_path() -> Vec<PathBuf> {
    std::env::var_os("PATH").map(|path| std::env::split_paths(&path).collect()).unwrap_or_default()
}

pub(crate) fn skipped(why: &str) {
    chalk_deploy_testkit::foreign::skip(why);
}

pub(crate) fn program(name: &str) -> Option<PathBuf> {
    search_path().into_iter().map(|folder| folder.join(name)).find(|path| Path::is_file(path))
}
