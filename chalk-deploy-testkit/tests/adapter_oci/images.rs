//! Pushing whole images: how many requests, in how many round trips, and what is left when something goes wrong.
//!
//! A round trip is counted by the clock: in virtual time every answer takes one second and nothing else takes any, so
//! the seconds that a push took are the requests in its longest chain.

use std::sync::Arc;
use std::time::Duration;

use chalk_deploy_core::cloud::{ManifestLocator, Payload, Registry};
use chalk_deploy_core::image::{BaseImage, Compression, Image, ImageCache, ImageName, Layer};
use chalk_deploy_core::model::{Digest, Repository};
use chalk_deploy_core::oci::{OciRegistry, OciSettings, PushOutcome, UploadMode};
use chalk_deploy_core::runtime::Runtime as _;
use chalk_deploy_core::transport::meter::{Meter, Reading};
use chalk_deploy_core::{ErrorCode, Result};
use chalk_deploy_testkit::simulated::base_image::SimulatedBaseImage;
use chalk_deploy_testkit::simulated::fault::{ProtocolFault, ProtocolFaults, Requests, faulty};
use chalk_deploy_testkit::simulated::http::{Server, in_process};
use chalk_deploy_testkit::simulated::registry::{Account, RegistryServer, RegistrySettings};
use chalk_deploy_testkit::{VirtualRuntime, World};

use super::{HOST, SECRET, credentials, repository, tag};

const SECOND: ProtocolFault = ProtocolFault::Delay(Duration::from_secs(1));

/// A registry with a base image in it, a folder for a source and one for the cache.
struct House {
    server: Arc<RegistryServer>,
    runtime: Arc<VirtualRuntime>,
    faults: Arc<ProtocolFaults>,
    base: ImageName,
    folder: tempfile::TempDir,
}

/// What a push cost, by the registry's own count and by ours.
#[derive(Debug, PartialEq, Eq)]
struct Cost {
    requests: usize,
    round_trips: u64,
}

impl House {
    async fn new(settings: RegistrySettings) -> Self {
        let runtime = VirtualRuntime::new(1);
        let server = Arc::new(RegistryServer::new(&World::memory(), runtime.clone(), settings));
        let installer = OciRegistry::new(
            in_process(server.clone()),
            runtime.clone(),
            OciSettings::default().with_credentials(credentials()),
        );
        let digest = SimulatedBaseImage::new().install(&installer, &repository("base")).await.expect("installed");
        let base = format!("{HOST}/base@{digest}").parse().expect("a name");
        let folder = tempfile::tempdir().expect("a folder");
        std::fs::create_dir_all(folder.path().join("src/package")).expect("made");
        let faults = Arc::new(ProtocolFaults::new().from(Requests::any(), 1, SECOND));
        let house = Self { server, runtime, faults, base, folder };
        house.edit("first");
        house
    }

    fn edit(&self, text: &str) {
        std::fs::write(self.folder.path().join("src/package/module.py"), text).expect("written");
    }

    fn cache(&self) -> ImageCache {
        ImageCache::open(&self.folder.path().join("cache")).expect("a cache")
    }

    /// Pushes as a new process does that finds the cache of those before it.
    async fn push(&self, target: &str) -> (Result<PushOutcome>, Cost, Reading) {
        self.server.clear_request_log();
        let server = faulty(self.server.clone(), self.faults.clone(), self.runtime.clone());
        let meter = Meter::new();
        let settings = OciSettings::default().with_upload(UploadMode::Learned).with_credentials(credentials());
        let registry = Arc::new(OciRegistry::new(meter.around(in_process(server)), self.runtime.clone(), settings));
        let began = self.runtime.monotonic();
        let outcome = meter.watch(push(&registry, &self.base, &self.folder, &self.cache(), target)).await;
        let took = self.runtime.monotonic().saturating_sub(began).as_secs();
        self.cache().keep_memory(&registry.memory()).expect("kept");
        let cost = Cost { requests: self.server.request_log().total(), round_trips: took };
        (outcome, cost, meter.reading())
    }

    async fn pushed(&self, target: &str) -> (PushOutcome, Cost) {
        let (outcome, cost, reading) = self.push(target).await;
        let counted =
            Cost { requests: usize::try_from(reading.requests).expect("few"), round_trips: reading.round_trips };
        assert_eq!(counted, cost, "the meter of the client, and what the registry and the clock say");
        (outcome.expect("pushed"), cost)
    }

    /// Reads an image back as a stranger, and all its blobs.
    async fn assert_whole(&self, path: &str, digest: Digest) {
        let settings = OciSettings::default().with_credentials(credentials());
        let registry = OciRegistry::new(in_process(self.server.clone()), self.runtime.clone(), settings);
        let repository = repository(path);
        let manifest = registry.manifest(&repository, &ManifestLocator::Tag(tag("1"))).await.expect("read");
        let manifest = manifest.expect("it is there");
        assert_eq!(manifest.digest(), digest);
        let document: serde_json::Value = serde_json::from_slice(&manifest.bytes).expect("JSON");
        let layers = document["layers"].as_array().expect("layers").clone();
        assert_eq!(layers.len(), 2);
        for blob in layers.iter().chain([&document["config"]]) {
            let blob = blob["digest"].as_str().expect("a digest").parse().expect("a digest");
            let stream = registry.pull_blob(&repository, &blob).await.expect("it is there");
            let pieces: Vec<_> = futures::TryStreamExt::try_collect(stream).await.expect("whole");
            assert_eq!(Digest::of(pieces.concat()), blob);
        }
    }
}

async fn push(
    registry: &Arc<OciRegistry>,
    base: &ImageName,
    folder: &tempfile::TempDir,
    cache: &ImageCache,
    target: &str,
) -> Result<PushOutcome> {
    registry.remember(cache.memory());
    let layer = Layer::of_folder(&folder.path().join("src"), "/app", Compression::Gzip, folder.path())?;
    let source: Arc<dyn Registry> = registry.clone();
    let base = BaseImage::read(&source, base, "linux/amd64", Some(cache)).await?;
    let image = Image::new(&base, &source, &[("/app".to_owned(), &layer)]);
    registry.push_image(&repository(target), &image.manifest, &image.blobs, Some(&tag("1"))).await
}

/// As the distribution project's registry does it: a POST with the whole blob opens a session.
fn distribution() -> RegistrySettings {
    let mut settings = RegistrySettings::plain();
    settings.uploads.single_post = false;
    settings
}

#[tokio::test(start_paused = true)]
async fn a_changed_layer_on_a_known_base_takes_six_requests_at_most_and_three_round_trips() {
    let house = House::new(distribution()).await;
    let (first, _) = house.pushed("app").await;
    house.assert_whole("app", first.digest).await;

    // Into the repository that holds the base's layers since the first push, …
    house.edit("second");
    let (second, cost) = house.pushed("app").await;
    assert_eq!(cost, Cost { requests: 5, round_trips: 3 });
    assert!(!second.was_there && second.digest != first.digest);
    // … and into one that nobody knows: the layer of the base is mounted.
    house.edit("third");
    let (third, cost) = house.pushed("other").await;
    assert_eq!(cost, Cost { requests: 6, round_trips: 3 });

    house.assert_whole("app", second.digest).await;
    house.assert_whole("other", third.digest).await;
}

#[tokio::test(start_paused = true)]
async fn where_the_registry_takes_uploads_in_one_request_it_is_two_round_trips() {
    let house = House::new(RegistrySettings::plain()).await;
    // The config, which is small, has shown it.
    house.pushed("app").await;
    house.edit("second");
    let (_, cost) = house.pushed("app").await;
    assert_eq!(cost, Cost { requests: 3, round_trips: 2 });
}

#[tokio::test(start_paused = true)]
async fn an_image_that_is_there_takes_one_request() {
    for settings in [distribution(), RegistrySettings::plain()] {
        let house = House::new(settings).await;
        let (first, _) = house.pushed("app").await;
        let (again, cost) = house.pushed("app").await;
        assert_eq!(cost, Cost { requests: 1, round_trips: 1 });
        assert!(again.was_there && again.digest == first.digest);
    }
}

#[tokio::test(start_paused = true)]
async fn a_tag_that_was_moved_is_moved_back_with_two_requests() {
    let house = House::new(distribution()).await;
    let (first, _) = house.pushed("app").await;
    house.edit("second");
    house.pushed("app").await;
    house.edit("first");
    let (back, cost) = house.pushed("app").await;
    assert_eq!(cost.requests, 2);
    assert!(!back.was_there && back.digest == first.digest);
    house.assert_whole("app", first.digest).await;
}

#[tokio::test(start_paused = true)]
async fn what_a_registry_no_longer_holds_is_pushed_again_whatever_was_remembered() {
    let house = House::new(distribution()).await;
    let (first, _) = house.pushed("app").await;
    // All of it is lost: the tag, the manifest, and with a collection the blobs.
    let registry = OciRegistry::new(
        in_process(house.server.clone()),
        house.runtime.clone(),
        OciSettings::default().with_credentials(credentials()),
    );
    registry.remove_tag(&repository("app"), &tag("1")).await.expect("removed");
    let request = http::Request::delete(format!("https://{HOST}/v2/app/manifests/{}", first.digest));
    let request = request.body(futures::StreamExt::boxed(futures::stream::empty())).expect("a request");
    assert!(house.server.answer(request).await.expect("answered").status().is_success());
    assert!(house.server.garbage_collect().expect("collected").blobs > 0);
    let (again, _) = house.pushed("app").await;
    assert!(!again.was_there && again.digest == first.digest);
    house.assert_whole("app", first.digest).await;
}

#[tokio::test(start_paused = true)]
async fn an_image_is_whole_or_absent_whatever_happens_to_whichever_request() {
    let faults = [
        ProtocolFault::SeverBefore,
        ProtocolFault::SeverAfter,
        ProtocolFault::CutRequest { after: 1 },
        ProtocolFault::CutRequest { after: 100 },
        ProtocolFault::CutAnswer { after: 1 },
        ProtocolFault::status(500),
        ProtocolFault::status(503),
        ProtocolFault::busy(429, 2),
        ProtocolFault::AnswerAfter { status: 503, headers: Vec::new(), body: String::new() },
        ProtocolFault::Stall,
        ProtocolFault::Delay(Duration::from_secs(20)),
    ];
    for settings in [distribution(), RegistrySettings::plain()] {
        for fault in &faults {
            for nth in 1..=8 {
                let house = House::new(settings.clone()).await;
                let faults = Arc::new(ProtocolFaults::new().at(Requests::any(), nth, fault.clone()));
                let house = House { faults, ..house };
                let (outcome, _, _) = house.push("app").await;
                let place = format!("{fault:?} at request {nth}");
                if let Err(error) = &outcome {
                    // Only what no repetition inside one call may answer for; whoever calls again succeeds.
                    assert!(error.retry() != chalk_deploy_core::error::Retry::Permanent, "{place}: {error}");
                }
                let outcome = match outcome {
                    Ok(outcome) => outcome,
                    Err(_) => house.push("app").await.0.expect(&place),
                };
                house.assert_whole("app", outcome.digest).await;
            }
        }
    }
}

#[tokio::test(start_paused = true)]
async fn with_tokens_a_rebuild_costs_the_challenge_and_one_token_more_however_much_is_at_once() {
    let settings = distribution().with_tokens([Account::administrator("user", SECRET)]);
    let house = House::new(settings).await;
    house.pushed("app").await;
    house.edit("second");
    let (outcome, cost, _) = house.push("app").await;
    outcome.expect("pushed");
    // Both uploads are refused at once, and share the token that is fetched then.
    assert_eq!(cost, Cost { requests: 5 + 2 + 1, round_trips: 3 + 2 });
}

#[tokio::test(start_paused = true)]
async fn a_damaged_cache_costs_requests_and_nothing_else() {
    let house = House::new(distribution()).await;
    let (first, _) = house.pushed("app").await;
    for entry in std::fs::read_dir(house.cache().folder().join("documents")).expect("a folder") {
        std::fs::write(entry.expect("an entry").path(), "{}").expect("written");
    }
    std::fs::write(house.cache().folder().join("registries.json"), "nonsense").expect("written");
    let (again, cost) = house.pushed("app").await;
    assert!(again.digest == first.digest && cost.requests > 5);
    assert_eq!(house.pushed("app").await.1.requests, 1);
}

#[tokio::test(start_paused = true)]
async fn the_manifest_is_the_last_that_is_put_and_is_not_put_when_a_blob_is_refused() {
    let house = House { faults: Arc::default(), ..House::new(distribution()).await };
    house.faults.next(Requests::any().method("PUT").containing("blobs/uploads"), ProtocolFault::status(403));
    let (outcome, _, _) = house.push("app").await;
    assert_eq!(outcome.expect_err("refused").code(), ErrorCode::PermissionDenied);
    assert_eq!(house.faults.count(&Requests::any().method("PUT").containing("manifests")), 0);
    assert!(house.server.tags("app").unwrap_or_default().is_empty());
}

#[tokio::test(start_paused = true)]
async fn blobs_of_another_registry_come_once_for_all_repositories_and_go_on_after_a_cut() {
    // The release registry, with credentials of its own, and the environment's.
    let runtime = VirtualRuntime::new(1);
    let settings = RegistrySettings::plain().with_basic_user("user", SECRET);
    let release = Arc::new(RegistryServer::new(&World::memory(), runtime.clone(), settings));
    let target = Arc::new(RegistryServer::new(&World::memory(), runtime.clone(), distribution()));
    let faults = Arc::new(ProtocolFaults::new());
    let both = in_process(Arc::new(ByHost {
        release: faulty(release.clone(), faults.clone(), runtime.clone()),
        target: target.clone(),
    }));
    let settings = OciSettings::default().with_credentials(credentials());
    let registry = Arc::new(OciRegistry::new(both, runtime.clone(), settings));
    let layer = super::blob(900_000);
    registry.push_blob(&repository("base"), &layer).await.expect("in the release registry");

    let source: Arc<dyn Registry> = registry.clone();
    let origin = repository("base");
    let blob = chalk_deploy_core::cloud::Payload::new(
        layer.sha256(),
        layer.size(),
        Arc::new(Lying { registry: source, repository: origin.clone(), digest: layer.sha256() }),
    )
    .with_origin(Some(origin));
    faults.clear();
    release.clear_request_log();
    let get = Requests::any().method("GET").containing("blobs");
    // The first answer breaks off in the middle, and so does the next.
    faults.nth(get.clone(), 1, ProtocolFault::CutAnswer { after: 300_000 });
    faults.nth(get.clone(), 2, ProtocolFault::CutAnswer { after: 200_000 });
    let (engine, worker) = (other_repository("engine"), other_repository("worker"));
    let (one, two) = futures::join!(registry.push_blob(&engine, &blob), registry.push_blob(&worker, &blob));
    one.expect("pushed");
    two.expect("pushed");
    for repository in [&engine, &worker] {
        assert!(registry.has_blob(repository, &layer.sha256()).await.expect("answered"));
    }
    assert_eq!(faults.count(&get), 3, "once, taken up again twice");
    let moved = target.request_log();
    let uploads = moved.requests.iter().filter(|request| request.method == "PUT").count();
    assert_eq!(uploads, 1, "the second repository has it mounted: {:?}", moved.requests);
}

fn other_repository(path: &str) -> Repository {
    Repository::new(format!("target.example/{path}")).expect("a valid repository")
}

/// A blob that lies in a registry.
struct Lying {
    registry: Arc<dyn Registry>,
    repository: Repository,
    digest: Digest,
}

#[async_trait::async_trait]
impl chalk_deploy_core::cloud::PayloadSource for Lying {
    async fn open(&self) -> Result<chalk_deploy_core::cloud::ByteStream> {
        self.registry.pull_blob(&self.repository, &self.digest).await
    }
}

/// Two registries behind one transport.
#[derive(Debug)]
struct ByHost {
    release: Arc<dyn Server>,
    target: Arc<RegistryServer>,
}

#[async_trait::async_trait]
impl Server for ByHost {
    fn name(&self) -> &'static str {
        "registries"
    }

    async fn answer(
        &self,
        request: http::Request<chalk_deploy_core::cloud::ByteStream>,
    ) -> std::result::Result<
        http::Response<chalk_deploy_core::cloud::ByteStream>,
        chalk_deploy_testkit::simulated::http::Severed,
    > {
        let host = request.uri().host().unwrap_or_default().to_owned();
        if host == "target.example" {
            assert!(!request.headers().contains_key("authorization"), "the release registry's password went elsewhere");
            return self.target.answer(request).await;
        }
        self.release.answer(request).await
    }
}

#[tokio::test(start_paused = true)]
async fn what_is_declared_longer_than_the_registry_has_it_is_refused() {
    let house = House::new(distribution()).await;
    let settings = OciSettings::default().with_credentials(credentials());
    let registry = OciRegistry::new(in_process(house.server.clone()), house.runtime.clone(), settings);
    let blob = Payload::from_bytes("four");
    registry.push_blob(&repository("a"), &blob).await.expect("pushed");
    let longer = Payload::new(blob.sha256(), 5, Arc::new(Never));
    let error = registry.push_blob(&repository("a"), &longer).await.expect_err("another length");
    assert_eq!(error.code(), ErrorCode::ImageMismatch);
}

struct Never;

#[async_trait::async_trait]
impl chalk_deploy_core::cloud::PayloadSource for Never {
    async fn open(&self) -> Result<chalk_deploy_core::cloud::ByteStream> {
        panic!("what is there is not read")
    }
}
