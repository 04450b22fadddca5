//! What crane and skopeo make of the simulated registry, over a socket, in every style of upload and with every kind of
//! credential. The images are made here.
#![cfg(feature = "simulated")]

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;

use chalk_deploy_core::model::Digest;
use chalk_deploy_core::runtime::SystemRuntime;
use chalk_deploy_testkit::foreign::installed;
use chalk_deploy_testkit::simulated::http::{Listening, serve};
use chalk_deploy_testkit::simulated::registry::{
    Account, Action, Downloads, RegistryServer, RegistrySettings, RequestKind, TagRule, UploadLocation,
};
use chalk_deploy_testkit::{VirtualRuntime, World};
use serde_json::{Value, json};

const IMAGE: &str = "application/vnd.oci.image.manifest.v1+json";
const LAYER: &str = "application/vnd.oci.image.layer.v1.tar+gzip";

/// A registry on a socket, and a home for its clients.
struct Shop {
    registry: Arc<RegistryServer>,
    listening: Listening,
    home: tempfile::TempDir,
    worlds: tempfile::TempDir,
}

impl Shop {
    async fn open(settings: RegistrySettings) -> Self {
        let worlds = tempfile::tempdir().expect("a temporary folder");
        let world = World::directory(worlds.path()).expect("a world");
        let registry = Arc::new(RegistryServer::new(&world, SystemRuntime::new(), settings));
        let listening = serve(registry.clone(), 0).await.expect("it listens");
        Self { registry, listening, home: tempfile::tempdir().expect("a temporary folder"), worlds }
    }

    fn host(&self) -> String {
        self.listening.address().to_string()
    }

    /// Runs a client, away from this thread, which serves it.
    async fn run(&self, program: &'static str, arguments: &[&str]) -> (bool, String) {
        let arguments: Vec<String> = arguments.iter().map(|argument| (*argument).to_owned()).collect();
        let home = self.home.path().to_owned();
        let run = tokio::task::spawn_blocking(move || {
            // No configuration of the person's own, and no credentials but ours.
            Command::new(program)
                .args(arguments)
                .env("HOME", &home)
                .env("DOCKER_CONFIG", &home)
                .env("REGISTRY_AUTH_FILE", home.join("config.json"))
                .env("TMPDIR", &home)
                .output()
        });
        let output = run.await.expect("it ran").expect("it could be started");
        let text = [output.stdout, output.stderr].map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).concat();
        (output.status.success(), text)
    }

    #[track_caller]
    fn said((good, said): (bool, String), arguments: &[&str]) -> String {
        assert!(good, "{arguments:?} failed: {said}");
        said.trim().to_owned()
    }

    async fn crane(&self, arguments: &[&str]) -> String {
        Self::said(self.run("crane", arguments).await, arguments)
    }

    async fn skopeo(&self, arguments: &[&str]) -> String {
        let arguments = [&["--insecure-policy"], arguments].concat();
        Self::said(self.run("skopeo", &arguments).await, &arguments)
    }

    /// Lets the clients know a password.
    fn log_in(&self, name: &str, password: &str) {
        use base64::Engine as _;
        let credential = base64::engine::general_purpose::STANDARD.encode(format!("{name}:{password}"));
        let configuration = json!({"auths": {self.host(): {"auth": credential}}});
        std::fs::write(self.home.path().join("config.json"), configuration.to_string()).expect("written");
    }

    fn write_image(&self, name: &str, layers: &[Vec<u8>]) -> (PathBuf, Digest) {
        let folder = self.home.path().join(name);
        let digest = write_layout(&folder, layers);
        (folder, digest)
    }
}

/// An OCI layout with one image for linux/amd64.
fn write_layout(folder: &Path, files: &[Vec<u8>]) -> Digest {
    let blobs = folder.join("blobs/sha256");
    std::fs::create_dir_all(&blobs).expect("a folder");
    let write = |media_type: &str, bytes: &[u8]| {
        let digest = Digest::of(bytes);
        std::fs::write(blobs.join(digest.hex()), bytes).expect("written");
        json!({"mediaType": media_type, "digest": digest, "size": bytes.len()})
    };
    let (mut layers, mut unpacked) = (Vec::new(), Vec::new());
    for (number, bytes) in files.iter().enumerate() {
        let mut archive = tar::Builder::new(Vec::new());
        let mut header = tar::Header::new_ustar();
        header.set_size(bytes.len() as u64);
        header.set_mode(0o644);
        archive.append_data(&mut header, format!("file-{number}"), bytes.as_slice()).expect("appended");
        let archive = archive.into_inner().expect("an archive");
        let mut packed = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::none());
        std::io::Write::write_all(&mut packed, &archive).expect("packed");
        unpacked.push(Digest::of(&archive));
        layers.push(write(LAYER, &packed.finish().expect("packed")));
    }
    let config = json!({
        "architecture": "amd64", "os": "linux", "config": {"Entrypoint": ["/run"]},
        "rootfs": {"type": "layers", "diff_ids": unpacked},
    });
    let config = write("application/vnd.oci.image.config.v1+json", config.to_string().as_bytes());
    let image = json!({"schemaVersion": 2, "mediaType": IMAGE, "config": config, "layers": layers}).to_string();
    let mut descriptor = write(IMAGE, image.as_bytes());
    descriptor["platform"] = json!({"architecture": "amd64", "os": "linux"});
    let index = json!({"schemaVersion": 2, "manifests": [descriptor]});
    std::fs::write(folder.join("index.json"), index.to_string()).expect("written");
    std::fs::write(folder.join("oci-layout"), r#"{"imageLayoutVersion": "1.0.0"}"#).expect("written");
    Digest::of(image)
}

/// Two layers, of which one takes several pieces on its way. Not compressible, and never the same for two seeds.
fn layers(seed: u8) -> Vec<Vec<u8>> {
    let mut state = u32::from(seed) + 1;
    let large = std::iter::repeat_with(|| {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        state.to_be_bytes()[0]
    });
    vec![large.take(700_000).collect(), vec![seed; 100]]
}

/// A name and a password.
type Credentials = (&'static str, &'static str);

/// The registries that the clients must get on with, each with a name and a password where it wants them.
fn registries() -> Vec<(&'static str, RegistrySettings, Option<Credentials>)> {
    let plain = RegistrySettings::plain;
    let at = |location| {
        let mut settings = plain();
        settings.uploads.location = location;
        settings
    };
    let user = Account::new("ci", "word").may([Action::Pull, Action::Push, Action::Delete], "chalk/");
    vec![
        ("plain", plain(), None),
        ("absolute", at(UploadLocation::Absolute), None),
        ("elsewhere", at(UploadLocation::Elsewhere), None),
        ("storage", RegistrySettings { downloads: Downloads::Storage { host: None }, ..plain() }, None),
        ("basic", plain().with_basic_user("ci", "word"), Some(("ci", "word"))),
        ("token", plain().with_tokens([user]), Some(("ci", "word"))),
        ("ecr", RegistrySettings::ecr("word"), Some(("AWS", "word"))),
        ("artifact registry", RegistrySettings::artifact_registry("word"), Some(("oauth2accesstoken", "word"))),
        // The password of an account is also taken by the token service, as ACR's own users are.
        ("acr", RegistrySettings::acr("word"), Some(("entra", "word"))),
    ]
}

async fn open(settings: RegistrySettings, credential: Option<(&str, &str)>) -> Shop {
    let shop = Shop::open(settings).await;
    if let Some((name, password)) = credential {
        shop.log_in(name, password);
    }
    for repository in ["chalk/engine", "chalk/copy"] {
        shop.registry.create_repository(repository).expect("a valid name");
    }
    shop
}

#[tokio::test]
async fn crane_pushes_pulls_copies_and_validates_with_every_registry() {
    if !installed("crane") {
        return;
    }
    for (name, settings, credential) in registries() {
        let shop = open(settings, credential).await;
        let (layout, digest) = shop.write_image("image", &layers(1));
        let layout = layout.to_str().expect("text");
        let (engine, copy) = (format!("{}/chalk/engine", shop.host()), format!("{}/chalk/copy", shop.host()));

        shop.crane(&["push", layout, &format!("{engine}:v1")]).await;
        assert_eq!(shop.crane(&["digest", &format!("{engine}:v1")]).await, digest.to_string(), "{name}");
        // It unpacks every layer and compares it with the config.
        let valid = shop.crane(&["validate", "--remote", &format!("{engine}@{digest}")]).await;
        assert!(valid.contains("PASS"), "{name}: {valid}");
        shop.crane(&["copy", &format!("{engine}:v1"), &format!("{copy}:v2")]).await;
        shop.crane(&["tag", &format!("{copy}:v2"), "v3"]).await;
        assert_eq!(shop.crane(&["ls", &copy]).await, "v2\nv3", "{name}");
        let pulled = shop.home.path().join("pulled");
        shop.crane(&["pull", "--format=oci", &format!("{copy}:v3"), pulled.to_str().expect("text")]).await;
        let index: Value =
            serde_json::from_slice(&std::fs::read(pulled.join("index.json")).expect("a layout")).expect("an index");
        assert_eq!(index["manifests"][0]["digest"], json!(digest), "{name}");
        assert_eq!(shop.registry.manifests("chalk/copy").expect("readable"), [digest], "{name}");
        assert_eq!(shop.registry.blobs().expect("readable").len(), 3, "{name}");
        assert!(shop.registry.uploads().expect("readable").is_empty(), "{name}");
    }
}

#[tokio::test]
async fn skopeo_copies_inspects_and_lists_with_every_registry() {
    if !installed("skopeo") {
        return;
    }
    for (name, settings, credential) in registries() {
        let shop = open(settings, credential).await;
        let (layout, digest) = shop.write_image("image", &layers(2));
        let engine = format!("docker://{}/chalk/engine", shop.host());
        let copy = format!("docker://{}/chalk/copy", shop.host());

        let from = format!("oci:{}", layout.display());
        shop.skopeo(&["copy", "--dest-tls-verify=false", &from, &format!("{engine}:v1")]).await;
        let inspected = shop.skopeo(&["inspect", "--tls-verify=false", &format!("{engine}:v1")]).await;
        let inspected: Value = serde_json::from_str(&inspected).expect("JSON");
        assert_eq!((&inspected["Digest"], &inspected["Architecture"]), (&json!(digest), &json!("amd64")), "{name}");
        shop.skopeo(&[
            "copy",
            "--src-tls-verify=false",
            "--dest-tls-verify=false",
            &format!("{engine}:v1"),
            &format!("{copy}:v2"),
        ])
        .await;
        let folder = shop.home.path().join("folder");
        let folder = format!("dir:{}", folder.display());
        shop.skopeo(&["copy", "--src-tls-verify=false", &format!("{copy}@{digest}"), &folder]).await;
        shop.skopeo(&["copy", "--dest-tls-verify=false", &folder, &format!("{copy}:v3")]).await;
        let listed = shop.skopeo(&["list-tags", "--tls-verify=false", &copy]).await;
        let listed: Value = serde_json::from_str(&listed).expect("JSON");
        assert_eq!(listed["Tags"], json!(["v2", "v3"]), "{name}");
        assert_eq!(shop.registry.manifests("chalk/copy").expect("readable"), [digest], "{name}");
    }
}

#[tokio::test]
async fn crane_makes_an_index_lists_repositories_and_deletes() {
    if !installed("crane") {
        return;
    }
    let shop = open(RegistrySettings::plain(), None).await;
    let engine = format!("{}/chalk/engine", shop.host());
    let (layout, digest) = shop.write_image("image", &layers(3));
    shop.crane(&["push", layout.to_str().expect("text"), &format!("{engine}:v1")]).await;
    shop.crane(&["index", "append", "--manifest", &format!("{engine}:v1"), "--tag", &format!("{engine}:all")]).await;
    let index = shop.crane(&["manifest", &format!("{engine}:all")]).await;
    let index: Value = serde_json::from_str(&index).expect("JSON");
    assert_eq!(index["manifests"][0]["digest"], json!(digest));
    assert_eq!(shop.crane(&["digest", "--platform=linux/amd64", &format!("{engine}:all")]).await, digest.to_string());
    assert_eq!(shop.crane(&["catalog", &shop.host()]).await, "chalk/copy\nchalk/engine");

    shop.crane(&["delete", &format!("{engine}:all")]).await;
    assert_eq!(shop.crane(&["ls", &engine]).await, "v1");
    shop.crane(&["delete", &format!("{engine}@{digest}")]).await;
    assert_eq!(shop.crane(&["ls", &engine]).await, "");
    let (good, said) = shop.run("crane", &["manifest", &format!("{engine}:v1")]).await;
    assert!(!good && said.contains("MANIFEST_UNKNOWN"), "{said}");
}

#[tokio::test]
async fn skopeo_deletes_and_synchronises() {
    if !installed("skopeo") {
        return;
    }
    let shop = open(RegistrySettings::plain(), None).await;
    let (layout, _) = shop.write_image("image", &layers(4));
    let host = shop.host();
    let from = format!("oci:{}", layout.display());
    for tag in ["v1", "v2"] {
        shop.skopeo(&["copy", "--dest-tls-verify=false", &from, &format!("docker://{host}/chalk/engine:{tag}")]).await;
    }
    let source = format!("{host}/chalk/engine");
    let target = format!("{host}/mirror");
    let tls = ["--src-tls-verify=false", "--dest-tls-verify=false"];
    shop.skopeo(&["sync", tls[0], tls[1], "--src", "docker", "--dest", "docker", &source, &target]).await;
    assert_eq!(shop.registry.tags("mirror/engine").expect("readable"), ["v1", "v2"]);
    // skopeo looks up the digest of the tag and deletes the manifest, and so both tags.
    shop.skopeo(&["delete", "--tls-verify=false", &format!("docker://{host}/chalk/engine:v1")]).await;
    assert!(shop.registry.tags("chalk/engine").expect("readable").is_empty());
    assert_eq!(shop.registry.manifests("mirror/engine").expect("readable").len(), 1);
}

#[tokio::test]
async fn a_layer_that_is_there_is_mounted_and_not_sent() {
    if !installed("crane") {
        return;
    }
    let user = Account::administrator("ci", "word");
    let shop = open(RegistrySettings::plain().with_tokens([user]), Some(("ci", "word"))).await;
    let (layout, _) = shop.write_image("image", &layers(5));
    let (engine, copy) = (format!("{}/chalk/engine:v1", shop.host()), format!("{}/chalk/copy:v1", shop.host()));
    shop.crane(&["push", layout.to_str().expect("text"), &engine]).await;
    let pushed = shop.registry.request_log();
    assert_eq!((pushed.count(RequestKind::UploadChunk), pushed.count(RequestKind::UploadFinish)), (3, 3));
    shop.registry.clear_request_log();
    shop.crane(&["copy", &engine, &copy]).await;
    let copied = shop.registry.request_log();
    assert!(copied.count(RequestKind::UploadMount) > 0, "{copied:?}");
    assert_eq!((copied.count(RequestKind::UploadChunk), copied.count(RequestKind::UploadFinish)), (0, 0));
}

#[tokio::test]
async fn a_storage_on_another_host_gets_no_credentials_of_the_registry() {
    if !installed("crane") {
        return;
    }
    let world = World::memory();
    // The same seed gives the same key: the storage knows the signatures of the registry.
    let server = |settings| Arc::new(RegistryServer::new(&world, VirtualRuntime::new(1), settings));
    let here = Downloads::Storage { host: Some("localhost".to_owned()) };
    let storage = server(RegistrySettings { downloads: here, ..RegistrySettings::plain() });
    let elsewhere = serve(storage.clone(), 0).await.expect("it listens");
    let there = Downloads::Storage { host: Some(format!("localhost:{}", elsewhere.address().port())) };
    let tokens = RegistrySettings::plain().with_tokens([Account::administrator("ci", "word")]);
    let mut shop = open(RegistrySettings::plain(), None).await;
    shop.registry = server(RegistrySettings { downloads: there, ..tokens });
    shop.listening = serve(shop.registry.clone(), 0).await.expect("it listens");
    shop.log_in("ci", "word");

    let (layout, _) = shop.write_image("image", &layers(7));
    let target = format!("{}/chalk/engine:v1", shop.host());
    shop.crane(&["push", layout.to_str().expect("text"), &target]).await;
    assert!(shop.crane(&["validate", "--remote", &target]).await.contains("PASS"));
    let downloads = storage.request_log().requests;
    let good = downloads.iter().filter(|request| request.kind == RequestKind::Storage && request.status == 200).count();
    assert!(good >= 3 && good == downloads.len(), "{downloads:?}");
}

#[tokio::test]
async fn what_a_client_may_not_do_it_is_told() {
    if !installed("crane") {
        return;
    }
    let pull_only = || Account::new("ci", "word").may([Action::Pull], "");
    let mut basic = RegistrySettings::plain().with_basic_user("ci", "word");
    basic.accounts = vec![pull_only()];
    let immutable = RegistrySettings { tags: TagRule::PushedOnce, ..RegistrySettings::plain() };
    for (settings, password, pushes, words) in [
        (RegistrySettings::plain().with_tokens([pull_only()]), "word", 1, "UNAUTHORIZED"),
        (RegistrySettings::plain().with_tokens([pull_only()]), "wrong", 1, "UNAUTHORIZED"),
        (basic, "word", 1, "DENIED"),
        (RegistrySettings { creates_repositories: false, ..RegistrySettings::plain() }, "", 1, "NAME_UNKNOWN"),
        (immutable, "", 2, "TAG_INVALID"),
    ] {
        let shop = Shop::open(settings).await;
        if !password.is_empty() {
            shop.log_in("ci", password);
        }
        let target = format!("{}/other/engine:v1", shop.host());
        let mut last = (true, String::new());
        for seed in 0..pushes {
            let (layout, _) = shop.write_image(&format!("image-{seed}"), &layers(seed));
            last = shop.run("crane", &["push", layout.to_str().expect("text"), &target]).await;
        }
        assert!(!last.0 && last.1.contains(words), "{words}: {}", last.1);
    }
}

#[tokio::test]
async fn what_crane_pushed_to_one_server_is_pulled_from_another_on_the_same_world() {
    if !installed("crane") {
        return;
    }
    let mut shop = open(RegistrySettings::plain(), None).await;
    let (layout, digest) = shop.write_image("image", &layers(6));
    shop.crane(&["push", layout.to_str().expect("text"), &format!("{}/chalk/engine:v1", shop.host())]).await;
    let world = World::directory(shop.worlds.path()).expect("the world");
    shop.registry = Arc::new(RegistryServer::new(&world, SystemRuntime::new(), RegistrySettings::plain()));
    shop.listening = serve(shop.registry.clone(), 0).await.expect("it listens");
    let target = format!("{}/chalk/engine:v1", shop.host());
    assert!(shop.crane(&["validate", "--remote", &target]).await.contains("PASS"));
    assert_eq!(shop.crane(&["digest", &target]).await, digest.to_string());
}
