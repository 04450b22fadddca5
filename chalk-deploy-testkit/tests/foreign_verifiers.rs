//! What strangers' libraries make of our evidence: sigstore's models, securesystemslib, in-toto's protocol buffers and
//! CycloneDX's strict validator (testbed/verifiers), reading it themselves from a registry on loopback: the simulated one,
//! with the referrers API and without, and the distribution project's where its binary is at hand.
//!
//! `testbed/e2e` says in `CHALK_FOREIGN_VERIFIERS` and `CHALK_FOREIGN_REGISTRY` where they are. Where they are not given, what
//! the testbed's cache has is taken, and where that has nothing, the tests say that they were skipped.
#![cfg(feature = "simulated")]

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use chalk_deploy_core::ErrorCode;
use chalk_deploy_core::cloud::{Payload, Registry as _};
use chalk_deploy_core::evidence::{
    BASE_DIGEST, Inventory, LocalSigner, Origin, PACKAGES, VerificationKey, attach, verify,
};
use chalk_deploy_core::model::{Component, Digest, ImageTag, Repository};
use chalk_deploy_core::oci::{OciRegistry, OciSettings};
use chalk_deploy_core::runtime::{Runtime as _, SystemRuntime};
use chalk_deploy_core::transport::NetworkTransport;
use chalk_deploy_testkit::World;
use chalk_deploy_testkit::foreign;
use chalk_deploy_testkit::simulated::http::{Listening, serve};
use chalk_deploy_testkit::simulated::registry::{RegistryServer, RegistrySettings};
use serde_json::{Value, json};

/// Made for this test with `openssl genpkey`; they sign nothing else.
const KEYS: [(&str, &str); 2] = [
    (
        include_str!("../../chalk-deploy-core/src/evidence/tests/p256.pem"),
        include_str!("../../chalk-deploy-core/src/evidence/tests/p256.pub"),
    ),
    (
        include_str!("../../chalk-deploy-core/src/evidence/tests/ed25519.pem"),
        include_str!("../../chalk-deploy-core/src/evidence/tests/ed25519.pub"),
    ),
];

/// A product of the testbed: where the environment says that it is, or the newest that the testbed's cache holds. Says so
/// where it is not there, because the test then claims nothing.
fn product(variable: &str, name: &str, part: &str) -> Option<PathBuf> {
    if let Some(named) = std::env::var_os(variable) {
        assert!(Path::new(&named).exists(), "{variable} leads nowhere");
        return Some(named.into());
    }
    let found = foreign::product(name, part);
    if found.is_none() {
        foreign::skip(&format!("in foreign_verifiers, {name} is not at hand (`testbed/build {name}` makes it)"));
    }
    found
}

/// Our client of all of them.
fn client() -> OciRegistry {
    let transport = NetworkTransport::builder().build().expect("a transport");
    OciRegistry::new(transport, SystemRuntime::new(), OciSettings::default())
}

/// A registry on loopback.
enum Shop {
    Simulated(Listening),
    Distribution { child: Child, host: String, _home: tempfile::TempDir },
}

impl Shop {
    async fn simulated(referrers: bool) -> Self {
        let settings = RegistrySettings { referrers, ..RegistrySettings::plain() };
        let server = Arc::new(RegistryServer::new(&World::memory(), SystemRuntime::new(), settings));
        Self::Simulated(serve(server, 0).await.expect("it listens"))
    }

    /// The distribution project's registry, which has no referrers API.
    async fn distribution(program: &Path) -> Self {
        let home = tempfile::tempdir().expect("a temporary folder");
        let host = {
            let free = std::net::TcpListener::bind("127.0.0.1:0").expect("a free port");
            free.local_addr().expect("an address").to_string()
        };
        let settings = format!(
            "version: 0.1\nlog: {{level: error, accesslog: {{disabled: true}}}}\n\
             storage: {{filesystem: {{rootdirectory: {}}}}}\nhttp: {{addr: '{host}'}}\n",
            home.path().join("data").display()
        );
        std::fs::write(home.path().join("settings.yaml"), settings).expect("written");
        let child = Command::new(program)
            .arg("serve")
            .arg(home.path().join("settings.yaml"))
            .env("OTEL_TRACES_EXPORTER", "none")
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("it could be started");
        let shop = Self::Distribution { child, host, _home: home };
        let (registry, repository) = (client(), shop.repository());
        for _ in 0..200 {
            if registry.has_blob(&repository, &Digest::of("nothing")).await.is_ok() {
                return shop;
            }
            SystemRuntime::new().sleep(Duration::from_millis(50)).await;
        }
        panic!("the registry does not answer");
    }

    fn host(&self) -> String {
        match self {
            Self::Simulated(listening) => listening.address().to_string(),
            Self::Distribution { host, .. } => host.clone(),
        }
    }

    fn repository(&self) -> Repository {
        Repository::new(format!("{}/chalk/engine", self.host())).expect("a repository")
    }

    /// An image with evidence of this key.
    async fn attested(&self, pem: &str) -> Digest {
        const TYPE: &str = "application/vnd.oci.image.manifest.v1+json";
        let (registry, repository) = (client(), self.repository());
        let packages = json!([
            {"name": "anyio", "version": "4.11.0"},
            {"name": "Typing_Extensions", "version": "4.15.0", "sha256": Digest::of("wheel").hex()},
            {"name": "torch", "version": "2.9.0+cu128", "sha256": Digest::of("torch").hex()},
        ]);
        let labels = json!({
            BASE_DIGEST: Digest::of("base"), PACKAGES: packages.to_string(), "ai.chalk.provides": "chalkpy,pip",
        });
        let config = json!({"os": "linux", "architecture": "amd64", "config": {"Labels": labels}}).to_string();
        let config = Payload::from_bytes(config);
        registry.push_blob(&repository, &config).await.expect("pushed");
        let described = json!({
            "mediaType": "application/vnd.oci.image.config.v1+json", "digest": config.sha256(), "size": config.size(),
        });
        let document = json!({"schemaVersion": 2, "mediaType": TYPE, "config": described, "layers": []}).to_string();
        let manifest = chalk_deploy_core::cloud::ImageManifest { media_type: TYPE.to_owned(), bytes: document.into() };
        let tag = ImageTag::new("v1").expect("a tag");
        let image = registry.put_manifest(&repository, &manifest, Some(tag)).await.expect("stored");
        let inventory = Inventory::read(&registry, &repository, &image).await.expect("read");
        let base = Repository::new("r.example/chalk/engine-base").expect("a name");
        let origin = Origin {
            deployment: "caaaaaaaaaaaaaaaaaaaaaaaa".parse().expect("an id"),
            project: "fraud".parse().expect("a project"),
            component: Component::Engine,
            archive: Digest::of("archive"),
            graph: Digest::of("graph"),
            git_commit: Some("0123456789abcdef0123456789abcdef01234567".to_owned()),
            git_dirty: true,
            base_repositories: [(Digest::of("base"), base)].into(),
            builder: "https://builds.example/chalk".to_owned(),
        };
        let signer = LocalSigner::from_pem(pem).expect("a key");
        let attached = attach(&registry, &repository, &inventory, &origin, &signer).await.expect("attached");
        assert_eq!(attached.new, 3);
        image
    }
}

impl Drop for Shop {
    fn drop(&mut self) {
        if let Self::Distribution { child, .. } = self {
            // It may have ended by itself.
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

/// Runs the verifier, away from this thread, which serves it. What it said, on which stream.
async fn strangers(libraries: &Path, shop: &Shop, image: &Digest, public: &str) -> Result<Value, String> {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let key = folder.path().join("key.pub");
    std::fs::write(&key, public).expect("written");
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../testbed/verifiers/verify.py");
    let mut command = Command::new("python3");
    command.arg(script).env("PYTHONPATH", libraries).env("PYTHONDONTWRITEBYTECODE", "1");
    command.args([shop.host(), "chalk/engine".to_owned(), image.to_string()]).arg(key);
    let run = tokio::task::spawn_blocking(move || command.output());
    let output = run.await.expect("it ran").expect("it could be started");
    if output.status.success() {
        return Ok(serde_json::from_slice(&output.stdout).expect("one JSON object"));
    }
    Err(String::from_utf8_lossy(&output.stderr).into_owned())
}

#[tokio::test]
async fn strangers_verify_our_evidence_in_every_registry_and_refuse_a_changed_byte() {
    let Some(libraries) = product("CHALK_FOREIGN_VERIFIERS", "verifiers", "share/python") else { return };
    let mut shops = vec![Shop::simulated(true).await, Shop::simulated(false).await];
    if let Some(program) = product("CHALK_FOREIGN_REGISTRY", "registry", "bin/registry") {
        shops.push(Shop::distribution(&program).await);
    }
    for (shop, (private, public)) in shops.iter().zip(KEYS.iter().cycle()) {
        let image = shop.attested(private).await;
        let mut told = strangers(&libraries, shop, &image, public).await.expect("verified");
        // Each byte that they changed was refused, or they would have said so.
        let refused = told["refused_changes"].take().as_u64().expect("a number");
        assert!(refused > 100, "{refused} changes were tried");
        let expected = json!({
            "builder": "https://builds.example/chalk", "components": 4, "plain_bills": 1, "refused_changes": null,
        });
        assert_eq!(told, expected);
        let key = VerificationKey::from_pem(public).expect("a key");
        verify(&client(), &shop.repository(), &image, &key).await.expect("and so do we");

        let other = KEYS.iter().find(|(_, other)| other != public).expect("two keys").1;
        let said = strangers(&libraries, shop, &image, other).await.expect_err("another key");
        assert!(said.starts_with("refused: VerificationError"), "{said}");
        let key = VerificationKey::from_pem(other).expect("a key");
        let error = verify(&client(), &shop.repository(), &image, &key).await.expect_err("another key");
        assert_eq!(error.code(), ErrorCode::EvidenceInvalid);
    }
    let (shop, (_, public)) = (&shops[0], KEYS[0]);
    let said = strangers(&libraries, shop, &Digest::of("other"), public).await.expect_err("no such image");
    assert!(said.starts_with("refused"), "{said}");
}
