//! Blobs of another registry on their way to the target: once for each digest, whoever wants them, and never longer than
//! they were declared.

use std::sync::Arc;

use chalk_deploy_core::ErrorCode;
use chalk_deploy_core::cloud::{ByteStream, Payload, PayloadSource, Registry};
use chalk_deploy_core::model::Repository;
use chalk_deploy_core::oci::{Credential, OciRegistry, OciSettings, Secret, StaticCredentials};
use chalk_deploy_testkit::VirtualRuntime;
use chalk_deploy_testkit::simulated::fault::{ProtocolFault, ProtocolFaults, Requests, faulty};
use chalk_deploy_testkit::simulated::http::{Server, Severed, in_process};

use super::small_registry::{Canned, Options, SmallRegistry};
use super::{HOST, SECRET, blob, repository};

const TARGET: &str = "target.example";
const TARGETS_SECRET: &str = "target-target";

/// The release registry and the environment's behind one transport.
#[derive(Debug)]
struct Both {
    release: Arc<dyn Server>,
    target: SmallRegistry,
}

#[async_trait::async_trait]
impl Server for Both {
    fn name(&self) -> &'static str {
        "registries"
    }

    async fn answer(&self, request: http::Request<ByteStream>) -> Result<http::Response<ByteStream>, Severed> {
        let host = request.uri().host().unwrap_or_default().to_owned();
        if host.ends_with(TARGET) { self.target.answer(request).await } else { self.release.answer(request).await }
    }
}

struct Place {
    release: SmallRegistry,
    target: SmallRegistry,
    faults: Arc<ProtocolFaults>,
    registry: Arc<OciRegistry>,
}

impl Place {
    fn new(release: Options, target: Options) -> Self {
        let runtime = VirtualRuntime::new(1);
        let faults = Arc::new(ProtocolFaults::new());
        let (release, target) = (SmallRegistry::new(release), SmallRegistry::new(target));
        let between = faulty(Arc::new(release.clone()), faults.clone(), runtime.clone());
        let both = Both { release: between, target: target.clone() };
        let user = |secret: &str| Credential::Basic { username: "user".to_owned(), secret: Secret::new(secret) };
        let credentials = StaticCredentials::new().with(HOST, user(SECRET)).with(TARGET, user(TARGETS_SECRET));
        let settings = OciSettings::default().with_credentials(Arc::new(credentials));
        let registry = Arc::new(OciRegistry::new(in_process(Arc::new(both)), runtime, settings));
        Self { release, target, faults, registry }
    }

    /// A layer in the release registry, as a base image's is named.
    async fn layer(&self, bytes: usize) -> Payload {
        let layer = blob(bytes);
        self.registry.push_blob(&repository("base"), &layer).await.expect("in the release registry");
        self.release.state().seen.clear();
        self.of_release(layer.sha256(), layer.size())
    }

    fn of_release(&self, digest: chalk_deploy_core::model::Digest, size: u64) -> Payload {
        let source: Arc<dyn Registry> = self.registry.clone();
        let lying = Lying { registry: source, payload: (repository("base"), digest) };
        Payload::new(digest, size, Arc::new(lying)).with_origin(Some(repository("base")))
    }
}

struct Lying {
    registry: Arc<dyn Registry>,
    payload: (Repository, chalk_deploy_core::model::Digest),
}

#[async_trait::async_trait]
impl PayloadSource for Lying {
    async fn open(&self) -> chalk_deploy_core::Result<ByteStream> {
        self.registry.pull_blob(&self.payload.0, &self.payload.1).await
    }
}

fn of_target(path: &str) -> Repository {
    Repository::new(format!("{TARGET}/{path}")).expect("a valid repository")
}

fn reads(server: &SmallRegistry) -> usize {
    server.state().seen.iter().filter(|seen| seen.method == "GET" && seen.target.contains("/blobs/")).count()
}

fn with_password(secret: &str) -> Options {
    Options { password: Some(("user".to_owned(), secret.to_owned())), ..Options::default() }
}

#[tokio::test(start_paused = true)]
async fn whoever_wants_a_blob_of_another_registry_at_once_its_bytes_come_once() {
    let place = Place::new(with_password(SECRET), with_password(TARGETS_SECRET));
    // Each registry has its own password; the first requests learn which registry wants one.
    let layer = place.layer(300_000).await;
    place.registry.has_blob(&of_target("engine"), &layer.sha256()).await.expect("answered");
    // Three components, and two deployments of one of them.
    let repositories = ["engine", "worker", "query", "engine", "engine"].map(of_target);
    let pushes = repositories.iter().map(|repository| place.registry.push_blob(repository, &layer));
    for pushed in futures::future::join_all(pushes).await {
        pushed.expect("pushed");
    }
    assert_eq!(reads(&place.release), 1);
    let state = place.target.state();
    let bodies: usize = state.seen.iter().map(|seen| seen.body.len()).sum();
    assert_eq!(bodies, 300_000, "sent once, mounted else");
    assert_eq!(state.blobs.len(), 3);
    assert!(state.sessions.is_empty());
    drop(state);
    let passwords = |server: &SmallRegistry| -> Vec<String> {
        let state = server.state();
        let mut sent: Vec<_> = state.seen.iter().filter_map(|seen| seen.authorization.clone()).collect();
        sent.dedup();
        sent
    };
    assert_eq!(passwords(&place.release), [super::small_registry::basic("user", SECRET)]);
    assert_eq!(passwords(&place.target), [super::small_registry::basic("user", TARGETS_SECRET)]);
}

#[tokio::test(start_paused = true)]
async fn a_token_that_ends_while_a_blob_streams_is_renewed_where_it_was_cut() {
    let release = Options {
        realm: Some(format!("https://{HOST}/token")),
        token_uses: Some(1),
        ranges: true,
        ..with_password(SECRET)
    };
    let place = Place::new(release, with_password(TARGETS_SECRET));
    let layer = place.layer(300_000).await;
    let get = Requests::any().method("GET").containing("/blobs/");
    for nth in 1..=2 {
        place.faults.nth(get.clone(), nth, ProtocolFault::CutAnswer { after: 90_000 });
    }
    place.registry.push_blob(&of_target("engine"), &layer).await.expect("pushed");
    let state = place.target.state();
    assert_eq!(state.blobs.values().map(Vec::len).collect::<Vec<_>>(), [300_000]);
    assert_eq!(state.seen.iter().filter(|seen| seen.method == "POST").count(), 1, "one session");
    drop(state);
    let state = place.release.state();
    assert!(state.seen.iter().filter(|seen| seen.target.contains("/token")).count() >= 2, "renewed in the middle");
    assert!(state.seen.iter().any(|seen| seen.range.is_some()), "gone on, not begun anew");
}

#[tokio::test(start_paused = true)]
async fn bytes_that_another_registry_sends_beyond_their_length_or_instead_of_them_reach_no_image() {
    for body in ["x".repeat(200_000), "y".repeat(100_000), "x".repeat(99_999)] {
        let place = Place::new(with_password(SECRET), with_password(TARGETS_SECRET));
        place.release.instead("GET", Canned { status: 200, body, always: true, ..Canned::default() });
        let declared = chalk_deploy_core::model::Digest::of("x".repeat(100_000));
        let layer = place.of_release(declared, 100_000);
        let error = place.registry.push_blob(&of_target("engine"), &layer).await.expect_err("not these");
        assert!(matches!(error.code(), ErrorCode::ImageMismatch | ErrorCode::DigestMismatch), "{error}");
        let state = place.target.state();
        assert!(state.blobs.is_empty() && state.sessions.is_empty());
        assert!(state.seen.iter().map(|seen| seen.body.len()).sum::<usize>() <= 100_000);
    }
}

#[tokio::test(start_paused = true)]
async fn a_target_with_too_much_to_do_is_given_the_time_that_it_asks_for() {
    for method in ["POST", "PUT"] {
        let place = Place::new(with_password(SECRET), Options::default());
        let layer = place.layer(100_000).await;
        let busy = vec![("retry-after", "3".to_owned())];
        place.target.instead(method, Canned { status: 429, headers: busy, ..Canned::default() });
        let began = now();
        place.registry.push_blob(&of_target("engine"), &layer).await.expect("pushed within the call");
        assert!(now() - began >= std::time::Duration::from_secs(3), "{method}");
        assert_eq!(place.target.state().blobs.len(), 1);
    }
}

#[expect(clippy::disallowed_methods, reason = "tokio's paused clock is the virtual clock")]
fn now() -> tokio::time::Instant {
    tokio::time::Instant::now()
}
