//! The distribution project's registry, the real program, behind what a cloud has in front of its own registry: a page that
//! gives tokens or passwords. Program and pages share one address on loopback, as in the clouds.
//!
//! - [`Distribution`]: the program, from `CHALK_FOREIGN_REGISTRY`, and the front before it, which counts and can wait.
//! - [`TokenServer`]: the realms of Artifact Registry and of Azure Container Registry, whose tokens the program verifies.
//! - [`Image`]: something to push, and what is done with it in every cloud; beside it, what is expected of tokens.
#![expect(clippy::missing_panics_doc, reason = "a check panics when the contract is broken; that is its purpose")]

mod cases;
mod front;
mod image;
mod tokens;

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use chalk_deploy_core::runtime::{Runtime as _, SystemRuntime};
use chalk_deploy_core::transport::{NetworkTransport, RequestBody};
use futures::future::BoxFuture;
use serde_json::{Value, json};

pub use self::cases::{assert_a_token_that_ends_is_renewed_once, assert_few_tokens_are_asked_for};
pub use self::front::{Desk, Passed, header};
pub use self::image::Image;
pub use self::tokens::{Flow, TokenServer};

use self::front::Front;
use crate::foreign;
use crate::simulated::http::{Listening, serve};

/// Where the program is: `CHALK_FOREIGN_REGISTRY`. Without it one line on stderr says that a target was skipped, because its
/// tests then claim nothing.
pub fn program(target: &str) -> Option<PathBuf> {
    if let Some(named) = std::env::var_os("CHALK_FOREIGN_REGISTRY") {
        assert!(Path::new(&named).is_file(), "CHALK_FOREIGN_REGISTRY leads nowhere");
        return Some(named.into());
    }
    foreign::skip(&format!("{target} wants a registry in CHALK_FOREIGN_REGISTRY"));
    None
}

/// How the program finds out who asks.
#[derive(Debug, Clone)]
pub enum Authentication {
    /// By a user and a password: a line of `htpasswd`, whose password is hashed by bcrypt. The program reads the file again
    /// when it has changed.
    Passwords(String),
    /// By tokens of a realm.
    Tokens {
        /// The realm's path on the front.
        realm: &'static str,
        /// Whose signatures count: an X.509 certificate as DER.
        certificate: Vec<u8>,
    },
}

/// The registry and its front, which end with the test.
#[derive(Debug)]
pub struct Distribution {
    child: Child,
    front: Arc<Front>,
    listening: Listening,
    home: tempfile::TempDir,
}

impl Distribution {
    /// Starts the program with an empty store, and this desk in the front before it.
    pub async fn start(program: &Path, authentication: &Authentication, desk: Arc<dyn Desk>) -> Self {
        let home = tempfile::tempdir().expect("a temporary folder");
        let behind = {
            let free = std::net::TcpListener::bind("127.0.0.1:0").expect("a free port");
            free.local_addr().expect("an address").to_string()
        };
        let front = Arc::new(Front::new(behind.clone(), desk));
        let listening = serve(front.clone(), 0).await.expect("it listens");
        let host = listening.address().to_string();
        let settings = json!({
            "version": 0.1,
            "log": {"level": "error", "accesslog": {"disabled": true}},
            "storage": {"filesystem": {"rootdirectory": home.path().join("data")}},
            "http": {"addr": behind, "host": format!("http://{host}")},
            "auth": authentication.settings(home.path(), &host),
        });
        // YAML holds JSON.
        let file = home.path().join("settings.yaml");
        std::fs::write(&file, settings.to_string()).expect("written");
        let log = std::fs::File::create(home.path().join("log")).expect("a file");
        let child = Command::new(program)
            .arg("serve")
            .arg(file)
            .env("OTEL_TRACES_EXPORTER", "none")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()
            .expect("it could be started");
        let started = Self { child, front, listening, home };
        started.wait_until_it_answers(&behind).await;
        started
    }

    /// Starts the program, if it is at hand, behind this realm, whose tokens it verifies. `target` is who wants it.
    pub async fn behind(realm: &Arc<TokenServer>, target: &str) -> Option<Self> {
        let program = program(target)?;
        Some(Self::start(&program, &realm.authentication(), realm.clone()).await)
    }

    async fn wait_until_it_answers(&self, behind: &str) {
        let (transport, runtime) = (NetworkTransport::builder().build().expect("a transport"), SystemRuntime::new());
        for _ in 0..400 {
            let request = http::Request::get(format!("http://{behind}/v2/")).body(RequestBody::Empty);
            if transport.send(request.expect("a request")).await.is_ok() {
                return;
            }
            runtime.sleep(Duration::from_millis(25)).await;
        }
        let log = std::fs::read_to_string(self.home.path().join("log")).unwrap_or_default();
        panic!("the registry does not answer: {log}");
    }

    /// Where clients find it, `host:port`.
    pub fn host(&self) -> String {
        self.listening.address().to_string()
    }

    /// Where clients find it, as a URL without a path.
    pub fn endpoint(&self) -> String {
        format!("http://{}", self.host())
    }

    /// The file of passwords.
    pub fn password_file(&self) -> PathBuf {
        password_file(self.home.path())
    }

    /// What was passed on to the program since this was asked last, and with what outcome.
    pub fn passed(&self) -> Vec<Passed> {
        self.front.take_passed()
    }

    /// Lets this happen before the `number`-th request from now that ends the upload of a blob is passed on, counted from 1.
    pub fn before_upload(&self, number: usize, happening: impl Future<Output = ()> + Send + 'static) {
        let happening: BoxFuture<'static, ()> = Box::pin(happening);
        self.front.hold(number, happening);
    }
}

impl Drop for Distribution {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Authentication {
    fn settings(&self, home: &Path, host: &str) -> Value {
        match self {
            Self::Passwords(line) => {
                let path = password_file(home);
                std::fs::write(&path, line).expect("written");
                json!({"htpasswd": {"realm": "registry", "path": path}})
            }
            Self::Tokens { realm, certificate } => {
                let bundle = home.join("issuers.pem");
                std::fs::write(&bundle, pem(certificate)).expect("written");
                json!({"token": {
                    "realm": format!("http://{host}{realm}"), "service": host, "issuer": tokens::ISSUER,
                    "rootcertbundle": bundle,
                }})
            }
        }
    }
}

fn password_file(home: &Path) -> PathBuf {
    home.join("passwords")
}

/// A certificate as text (RFC 7468).
fn pem(certificate: &[u8]) -> String {
    let text = STANDARD.encode(certificate);
    let lines: Vec<_> = text.as_bytes().chunks(64).map(String::from_utf8_lossy).collect();
    format!("-----BEGIN CERTIFICATE-----\n{}\n-----END CERTIFICATE-----\n", lines.join("\n"))
}
