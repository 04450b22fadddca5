//! Registries whose answers have no end, are packed, go elsewhere, or are two things at once.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use chalk_deploy_core::ErrorCode;
use chalk_deploy_core::cloud::{ByteStream, ManifestLocator, Payload, PayloadSource, Registry as _};
use chalk_deploy_core::error::Retry;
use chalk_deploy_core::model::Digest;
use chalk_deploy_core::oci::{OciRegistry, OciSettings};
use chalk_deploy_core::runtime::Runtime as _;
use chalk_deploy_testkit::VirtualRuntime;
use chalk_deploy_testkit::simulated::http::{Server, Severed, in_process};
use futures::StreamExt as _;
use http::{Request, Response};

use super::small_registry::{Canned, Options, SmallRegistry};
use super::{HOST, SECRET, adapter, credentials, manifest_of, repository, tag};

const IMAGE: &str = "application/vnd.oci.image.manifest.v1+json";
const INDEX: &str = "application/vnd.oci.image.index.v1+json";

/// Answers everything with a body that never ends, in pieces of this length, each after this time.
#[derive(Debug)]
struct Endless {
    status: u16,
    piece: usize,
    pause: Duration,
    runtime: Arc<VirtualRuntime>,
    taken: Arc<AtomicUsize>,
}

#[async_trait]
impl Server for Endless {
    fn name(&self) -> &'static str {
        "endless"
    }

    async fn answer(&self, _: Request<ByteStream>) -> Result<Response<ByteStream>, Severed> {
        let (runtime, taken, piece, pause) = (self.runtime.clone(), self.taken.clone(), self.piece, self.pause);
        let body = futures::stream::unfold((), move |()| {
            let (runtime, taken) = (runtime.clone(), taken.clone());
            async move {
                runtime.sleep(pause).await;
                taken.fetch_add(piece, Ordering::Relaxed);
                Some((Ok(Bytes::from(vec![b' '; piece])), ()))
            }
        });
        Ok(Response::builder().status(self.status).body(body.boxed()).expect("a valid response"))
    }
}

fn endless(status: u16, piece: usize, pause: Duration) -> (OciRegistry, Arc<AtomicUsize>, Arc<VirtualRuntime>) {
    let (runtime, taken) = (VirtualRuntime::new(1), Arc::new(AtomicUsize::new(0)));
    let server = Endless { status, piece, pause, runtime: runtime.clone(), taken: taken.clone() };
    let settings = OciSettings::default().with_patience(Duration::from_secs(30));
    (OciRegistry::new(in_process(Arc::new(server)), runtime.clone(), settings), taken, runtime)
}

#[tokio::test(start_paused = true)]
async fn a_body_without_an_end_is_read_up_to_a_limit_and_no_further() {
    let locator = ManifestLocator::Tag(tag("t"));
    for (status, most, code) in
        [(200, 4 << 20, ErrorCode::CloudAnswerInvalid), (400, 64 << 10, ErrorCode::ObjectRefused)]
    {
        let (registry, taken, _) = endless(status, 10_000, Duration::ZERO);
        let error = registry.manifest(&repository("a"), &locator).await.expect_err("no end");
        assert_eq!(error.code(), code, "{error}");
        assert!(taken.load(Ordering::Relaxed) <= most + 30_000, "{}", taken.load(Ordering::Relaxed));
    }
    // A blob is as long as whoever wants it says.
    let (registry, taken, _) = endless(200, 10_000, Duration::ZERO);
    let blob = Payload::new(Digest::of("x"), 50_000, Arc::new(Blob { registry, digest: Digest::of("x") }));
    let error = blob.bytes().await.expect_err("no end");
    assert_eq!(error.code(), ErrorCode::DigestMismatch);
    assert!(taken.load(Ordering::Relaxed) <= 80_000);
}

/// A blob of the hostile registry, as a base image's layer is one.
struct Blob {
    registry: OciRegistry,
    digest: Digest,
}

#[async_trait]
impl PayloadSource for Blob {
    async fn open(&self) -> chalk_deploy_core::Result<ByteStream> {
        self.registry.pull_blob(&repository("a"), &self.digest).await
    }
}

#[tokio::test(start_paused = true)]
async fn an_answer_that_drips_is_given_up_in_all_and_not_only_between_two_drops() {
    let (registry, taken, runtime) = endless(200, 1, Duration::from_secs(29));
    let began = runtime.monotonic();
    let locator = ManifestLocator::Tag(tag("t"));
    let error = registry.manifest(&repository("a"), &locator).await.expect_err("too slow");
    assert_eq!((error.code(), error.retry()), (ErrorCode::CloudUnavailable, Retry::Temporary));
    assert_eq!(runtime.monotonic().saturating_sub(began), Duration::from_secs(5 * 30));
    assert_eq!(taken.load(Ordering::Relaxed), 5);
}

#[tokio::test(start_paused = true)]
async fn a_manifest_that_is_two_things_at_once_is_refused() {
    let image = r#"{"schemaVersion":2,"config":{},"layers":[]}"#;
    for (said, document, words) in [
        (INDEX, image.replace("{\"s", &format!("{{\"mediaType\":\"{IMAGE}\",\"s")), "says that it is"),
        (IMAGE, format!(r#"{{"schemaVersion":2,"mediaType":"{INDEX}","manifests":[]}}"#), "says that it is"),
        (INDEX, image.replace("\"layers\"", "\"manifests\":[],\"layers\""), "an image and an index at once"),
        (IMAGE, r#"{"schemaVersion":2,"config":{},"manifests":[]}"#.to_owned(), "an image and an index at once"),
        ("", r#"{"schemaVersion":2,"layers":[],"manifests":[]}"#.to_owned(), "an image and an index at once"),
    ] {
        let digest = Digest::of(&document);
        for locator in [ManifestLocator::Tag(tag("t")), ManifestLocator::Digest(digest)] {
            let server = SmallRegistry::new(Options::default());
            let headers = vec![("content-type", said.to_owned())];
            let canned = Canned { status: 200, headers, body: document.clone(), ..Canned::default() };
            server.instead("GET", canned);
            let registry = adapter(&server, OciSettings::default());
            let error = registry.manifest(&repository("a"), &locator).await.expect_err(&document);
            assert_eq!(error.code(), ErrorCode::ImageMismatch, "{error}");
            assert!(error.message().contains(words), "{error}");
        }
    }
    // Whoever does not say what it is, is believed by the document, and a remark beside the type is none of it.
    for said in ["application/json", &format!("{IMAGE}; charset=utf-8")] {
        let server = SmallRegistry::new(Options::default());
        let headers = vec![("content-type", said.to_owned())];
        let body = image.replace("{\"s", &format!("{{\"mediaType\":\"{IMAGE}\",\"s"));
        server.instead("GET", Canned { status: 200, headers, body, ..Canned::default() });
        let registry = adapter(&server, OciSettings::default());
        let found = registry.manifest(&repository("a"), &ManifestLocator::Tag(tag("t"))).await.expect("read");
        assert_eq!(found.expect("there").media_type, IMAGE, "{said}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_packed_manifest_is_refused_and_nothing_is_ever_unpacked() {
    let server = SmallRegistry::new(Options::default());
    let headers = vec![("content-encoding", "gzip".to_owned()), ("content-type", IMAGE.to_owned())];
    server.instead("GET", Canned { status: 200, headers, body: "\u{1f}...".to_owned(), always: true });
    let registry = adapter(&server, OciSettings::default());
    for locator in [ManifestLocator::Tag(tag("t")), ManifestLocator::Digest(Digest::of("x"))] {
        let error = registry.manifest(&repository("a"), &locator).await.expect_err("packed");
        assert_eq!(error.code(), ErrorCode::CloudAnswerInvalid, "{error}");
        assert!(error.message().contains("`gzip`, which was not asked for"), "{error}");
    }
    // A blob under such a header is what its digest says, or nothing.
    let stream = registry.pull_blob(&repository("a"), &Digest::of("x")).await.expect("opened");
    let read: Result<Vec<_>, _> = futures::TryStreamExt::try_collect(stream).await;
    let error = chalk_deploy_core::cloud::error_in_stream(read.expect_err("other bytes")).expect("ours");
    assert_eq!(error.code(), ErrorCode::ImageMismatch);
}

#[tokio::test(start_paused = true)]
async fn only_blobs_are_followed_elsewhere() {
    let config = Payload::from_bytes("config");
    for status in [301, 302, 303, 307, 308] {
        let options = Options { password: Some(("user".to_owned(), SECRET.to_owned())), ..Options::default() };
        let server = SmallRegistry::new(options);
        let registry = adapter(&server, OciSettings::default().with_credentials(credentials()));
        registry.push_blob(&repository("a"), &config).await.expect("pushed");
        registry.put_manifest(&repository("a"), &manifest_of(&config), Some(tag("t"))).await.expect("stored");
        server.state().seen.clear();
        let away = vec![("location", "https://evil.example/x".to_owned())];
        for holding in ["/manifests/", "/uploads/"] {
            server.instead(holding, Canned { status, headers: away.clone(), always: true, ..Canned::default() });
        }
        let locator = ManifestLocator::Tag(tag("t"));
        registry.manifest(&repository("a"), &locator).await.expect_err("reading a manifest");
        let other = manifest_of(&Payload::from_bytes("other"));
        registry.put_manifest(&repository("a"), &other, Some(tag("t"))).await.expect_err("storing a manifest");
        registry.remove_tag(&repository("a"), &tag("t")).await.expect_err("removing a tag");
        let error = registry.push_blob(&repository("a"), &Payload::from_bytes("y")).await.expect_err("opening");
        assert_eq!(error.code(), ErrorCode::CloudAnswerInvalid, "{status}: {error}");
        let seen = server.state().seen.clone();
        assert!(seen.len() >= 4 && seen.iter().all(|seen| seen.host == HOST), "{status}: {seen:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn what_is_stored_under_another_digest_than_was_sent_is_told() {
    let other = Digest::of("other").to_string();
    let lying = |status| Canned {
        status,
        headers: vec![("docker-content-digest", other.clone())],
        always: true,
        ..Canned::default()
    };
    let (config, repository) = (Payload::from_bytes("config"), repository("a"));
    for (holding, status) in [("HEAD", 200), ("PUT", 201), ("GET", 200)] {
        let server = SmallRegistry::new(Options::default());
        let registry = adapter(&server, OciSettings::default());
        server.instead(holding, lying(status));
        let error = match holding {
            "GET" => registry.pull_blob(&repository, &config.sha256()).await.err(),
            _ => registry.push_blob(&repository, &config).await.err(),
        };
        assert_eq!(error.expect(holding).code(), ErrorCode::ImageMismatch, "{holding}");
    }
}
