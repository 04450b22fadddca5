//! Artifact Registry: who we are to it, repositories on demand, and which images a repository has.
//!
//! Images are pushed and pulled by the core's adapter; blobs go in one request each, because it takes no chunks
//! ("Docker API support" of Artifact Registry's documentation).

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use chalk_deploy_core::cloud::{ImageManifest, ManifestLocator, Registry};
use chalk_deploy_core::credentials::{BearerToken, BearerTokenSource, Secret};
use chalk_deploy_core::model::{Digest, ImageTag, Repository};
use chalk_deploy_core::oci::{Asked, Credential, OciRegistry, RegistryCredentials};
use chalk_deploy_core::provision::{ImageCatalog, ImageRecord, RepositoryCreator};
use chalk_deploy_core::{Error, ErrorCode, Result, text};
use futures::{StreamExt as _, TryStreamExt as _};
use http::{Method, StatusCode};
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::sync::Mutex;

use crate::api::{Api, Call};
use crate::moment;
use crate::permissions::{IMAGES_LIST, REPOSITORY_CREATE, REPOSITORY_GET, VERSION_DELETE};
use crate::settings::{Hosts, RegistryPlace, is_project};
use crate::tags::labels;

/// The user whose password is an access token ("Authenticate to Artifact Registry for Docker").
const USER: &str = "oauth2accesstoken";
/// How long an operation may take, and how long is waited between two looks at it.
const PATIENCE: Duration = Duration::from_mins(3);
const PAUSE: Duration = Duration::from_millis(500);
const PAUSE_MOST: Duration = Duration::from_secs(5);
/// Images of a page, and pages; who has more of them has never swept.
const PAGE: u32 = 1000;
const PAGES_MOST: usize = 200;
/// How many manifests are read at once.
const AT_ONCE: usize = 8;

/// Gives an access token to the registry's own hosts, and to nobody else.
#[derive(Debug)]
pub(crate) struct RegistryTokens {
    tokens: Arc<dyn BearerTokenSource>,
    hosts: Hosts,
    /// What each host was given last, so that it can be said to be refused. One that refuses an old token says nothing
    /// of the new one that another host has been given since.
    given: Mutex<BTreeMap<String, BearerToken>>,
}

impl RegistryTokens {
    pub(crate) fn new(tokens: Arc<dyn BearerTokenSource>, hosts: Hosts) -> Self {
        Self { tokens, hosts, given: Mutex::default() }
    }
}

#[async_trait]
impl RegistryCredentials for RegistryTokens {
    async fn credential(&self, host: &str, asked: Asked) -> Result<Credential> {
        if !self.hosts.may_have_a_token(host) {
            return Ok(Credential::Anonymous);
        }
        // Held over the fetch, so that many who were refused at once renew once.
        let mut given = self.given.lock().await;
        if let (Asked::Refused, Some(token)) = (asked, given.remove(host)) {
            self.tokens.refused(&token).await;
        }
        let token = self.tokens.token().await?;
        let secret = Secret::new(token.expose());
        given.insert(host.to_owned(), token);
        Ok(Credential::Basic { username: USER.to_owned(), secret })
    }
}

/// The repositories of one project, made on demand.
#[derive(Debug, Clone)]
pub(crate) struct Repositories {
    api: Api,
    place: RegistryPlace,
    hosts: Hosts,
    immutable_tags: bool,
}

/// The images of these repositories, listed and removed.
#[derive(Debug)]
pub(crate) struct Images {
    repositories: Repositories,
    /// Which tells what a manifest holds.
    registry: OciRegistry,
}

/// A repository of Artifact Registry, and what lies behind its name in a path.
#[derive(Debug, PartialEq, Eq)]
struct Located {
    /// `projects/P/locations/L/repositories/R`.
    name: String,
    parent: String,
    id: String,
    /// The image, if the path goes so far.
    package: String,
}

/// A long-running operation.
#[derive(Deserialize, Default)]
#[serde(default)]
struct Operation {
    name: String,
    done: bool,
    error: Option<Status>,
}

#[derive(Deserialize)]
struct Status {
    #[serde(default)]
    code: i64,
    #[serde(default)]
    message: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Page {
    #[serde(default)]
    docker_images: Vec<DockerImage>,
    next_page_token: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct DockerImage {
    uri: String,
    #[serde(default)]
    tags: Vec<String>,
    #[serde(default)]
    upload_time: String,
}

impl Repositories {
    pub(crate) const fn new(api: Api, place: RegistryPlace, hosts: Hosts, immutable_tags: bool) -> Self {
        Self { api, place, hosts, immutable_tags }
    }

    /// Where a path of a host lies.
    fn locate(&self, host: &str, path: &str) -> Result<Located> {
        let wrong = |why: &str, hint: &str| {
            Error::new(ErrorCode::ValueInvalid, why)
                .on(format!("repository `{}`", text::line(&format!("{host}/{path}"), 200)))
                .with_hint(hint)
        };
        let location = match host.strip_suffix(crate::settings::HOST_SUFFIX) {
            Some(location) if !self.hosts.is_emulator(host) => location,
            _ if host == self.place.host => self.place.location.as_str(),
            _ => return Err(wrong("this is no host of Artifact Registry", "write LOCATION-docker.pkg.dev")),
        };
        let mut parts = path.split('/');
        let first = parts.next().unwrap_or_default();
        // A project of an old organization, `example.com:project`, has two segments.
        let project = if first.contains('.') {
            format!("{first}:{}", parts.next().unwrap_or_default())
        } else {
            first.to_owned()
        };
        let id = parts.next().unwrap_or_default();
        let named = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
        let is_id = (1..=63).contains(&id.len())
            && id.bytes().all(named)
            && id.starts_with(|it: char| it.is_ascii_lowercase())
            && !id.ends_with('-');
        if !is_id {
            let hint =
                "write HOST/PROJECT/REPOSITORY/IMAGE; a repository is lower-case letters, digits and inner hyphens";
            return Err(wrong("Artifact Registry takes no repository of this name", hint));
        }
        if project != self.place.project {
            let hint = format!("push into the project {}, or set another registry", self.place.project);
            return Err(Error::new(ErrorCode::PermissionDenied, "the repository is of another project")
                .on(format!("repository `{}`", text::line(&format!("{host}/{path}"), 200)))
                .with_hint(hint));
        }
        let parent = format!("projects/{project}/locations/{location}");
        let package = parts.collect::<Vec<_>>().join("/");
        Ok(Located { name: format!("{parent}/repositories/{id}"), parent, id: id.to_owned(), package })
    }

    fn of(&self, repository: &Repository) -> Result<Located> {
        let (host, path) = repository.as_str().split_once('/').unwrap_or_default();
        self.locate(host, path)
    }

    /// Waits until an operation is done.
    async fn finish(&self, mut operation: Operation, parent: &str, subject: &str) -> Result<()> {
        let runtime = self.api.runtime().clone();
        let begin = runtime.monotonic();
        let mut pause = PAUSE;
        let is_name = |name: &str| is_operation(name, parent);
        while !operation.done {
            if !is_name(&operation.name) {
                return Err(
                    Error::new(ErrorCode::CloudAnswerInvalid, "Google names an operation that is none").on(subject)
                );
            }
            if runtime.monotonic().saturating_sub(begin) >= PATIENCE {
                return Err(Error::new(ErrorCode::CloudUnavailable, format!("Google was not done in {PATIENCE:?}"))
                    .on(subject)
                    .with_hint("resume; what is done by then is left as it is"));
            }
            runtime.sleep(pause).await;
            pause = (pause * 2).min(PAUSE_MOST);
            let path = format!("/v1/{}", operation.name);
            operation = self.api.ask(Call::new(Method::GET, path, subject)).await?.document()?;
        }
        operation.error.map_or(Ok(()), |status| Err(status.error(subject)))
    }
}

impl Images {
    pub(crate) const fn new(repositories: Repositories, registry: OciRegistry) -> Self {
        Self { repositories, registry }
    }

    /// What an image consists of, and what it is about. Immutable, because it is asked for by its digest.
    async fn relations(&self, repository: &Repository, mut record: ImageRecord) -> Result<Option<ImageRecord>> {
        let locator = ManifestLocator::Digest(record.digest);
        // Somebody else has removed it since it was listed.
        let Some(manifest) = self.registry.manifest(repository, &locator).await? else { return Ok(None) };
        // What is not understood must not count as nothing: whatever an image consists of is kept with it.
        let (children, subject) = related(&manifest).ok_or_else(|| {
            Error::new(ErrorCode::CloudAnswerInvalid, "what an image consists of cannot be read")
                .on(format!("image `{repository}@{}`", record.digest))
                .with_hint("nothing was removed; remove the image by hand if nobody needs it")
        })?;
        record.children = children;
        record.subject = subject.or(record.subject);
        Ok(Some(record))
    }
}

#[async_trait]
impl RepositoryCreator for Repositories {
    async fn create(&self, host: &str, path: &str) -> Result<()> {
        let located = self.locate(host, path)?;
        let subject = format!("repository `{}`", located.name);
        // No cleanup policy: Google removes nothing by itself, and what is needed is known here alone.
        let body = json!({
            "format": "DOCKER",
            "description": "Images of Chalk deployments",
            "labels": labels(),
            "dockerConfig": {"immutableTags": self.immutable_tags},
        });
        let call = Call::new(Method::POST, format!("/v1/{}/repositories", located.parent), &subject)
            .query("repositoryId", &located.id)
            .json(body)
            .needs(REPOSITORY_CREATE);
        let answer = self.api.ask(call).await?;
        if answer.status != StatusCode::CONFLICT {
            let result = self.finish(answer.document()?, &located.parent, &subject).await;
            match result {
                Err(error) if error.code() == ErrorCode::ObjectExists => {}
                other => return other,
            }
        }
        let call = Call::new(Method::GET, format!("/v1/{}", located.name), &subject).needs(REPOSITORY_GET);
        let found: Value = self.api.ask(call).await?.document()?;
        if found["format"] == "DOCKER" {
            return Ok(());
        }
        let format = text::line(found["format"].as_str().unwrap_or("unknown"), 40);
        Err(Error::new(ErrorCode::ValueInvalid, format!("it is there, and holds {format} instead of images"))
            .on(subject)
            .with_hint("set a registry with another repository"))
    }
}

#[async_trait]
impl ImageCatalog for Images {
    async fn images(&self, repository: &Repository) -> Result<Vec<ImageRecord>> {
        let Self { repositories, .. } = self;
        let located = repositories.of(repository)?;
        let subject = format!("repository `{repository}`");
        let mut records = Vec::new();
        let mut token: Option<String> = None;
        for _ in 0..PAGES_MOST {
            let mut call = Call::new(Method::GET, format!("/v1/{}/dockerImages", located.name), &subject)
                .query("pageSize", &PAGE.to_string())
                .needs(IMAGES_LIST);
            if let Some(token) = &token {
                call = call.query("pageToken", token);
            }
            let page: Page = repositories.api.ask(call).await?.document()?;
            for image in page.docker_images {
                // The list is of all images of the repository of Artifact Registry.
                if let Some(record) = record(&image, repository).ok_or_else(|| {
                    Error::new(ErrorCode::CloudAnswerInvalid, "Google lists an image that is none").on(&subject)
                })? {
                    records.push(record);
                }
            }
            token = page.next_page_token.filter(|token| !token.is_empty());
            if token.is_none() {
                // The list does not tell what an image consists of by digest, and what it vouches for at all.
                let read = futures::stream::iter(records)
                    .map(|record| self.relations(repository, record))
                    .buffered(AT_ONCE)
                    .try_filter_map(|record| std::future::ready(Ok(record)));
                return read.try_collect().await;
            }
        }
        Err(Error::new(ErrorCode::CloudAnswerInvalid, "Google does not come to the end of a list").on(subject))
    }

    async fn remove(&self, repository: &Repository, images: &[Digest]) -> Result<()> {
        let Self { repositories, .. } = self;
        let located = repositories.of(repository)?;
        if located.package.is_empty() {
            return Err(Error::new(ErrorCode::ValueInvalid, "it names no image below its repository")
                .on(format!("repository `{repository}`"))
                .with_hint("write HOST/PROJECT/REPOSITORY/IMAGE"));
        }
        // "If the package ID part contains slashes, the slashes are escaped" (packages of the reference).
        let package = located.package.replace('/', "%2F");
        for digest in images {
            let subject = format!("image `{repository}@{digest}`");
            let path = format!("/v1/{}/packages/{package}/versions/{digest}", located.name);
            let call = Call::new(Method::DELETE, path, &subject).query("force", "true").needs(VERSION_DELETE);
            let answer = repositories.api.ask(call).await?;
            if answer.status == StatusCode::NOT_FOUND {
                continue;
            }
            let finished = match answer.document() {
                Ok(operation) => repositories.finish(operation, &located.parent, &subject).await,
                Err(refused) => Err(refused),
            };
            match finished {
                Err(error) if error.code() == ErrorCode::ObjectMissing => {}
                Err(error) if error.code() == ErrorCode::ValueInvalid => return Err(error.with_hint(
                    "an image stays while an index consists of it, and while it has a tag in a repository whose tags \
                     are immutable",
                )),
                other => other?,
            }
        }
        Ok(())
    }
}

impl Status {
    /// The error of an operation (`google.rpc.Code`).
    fn error(&self, subject: &str) -> Error {
        let code = match self.code {
            3 | 9 => ErrorCode::ValueInvalid,
            5 => ErrorCode::ObjectMissing,
            6 => ErrorCode::ObjectExists,
            7 | 16 => ErrorCode::PermissionDenied,
            4 | 8 | 10 | 13 | 14 => ErrorCode::CloudUnavailable,
            _ => ErrorCode::CloudAnswerInvalid,
        };
        Error::new(code, format!("Google gave up: {}", text::line(&self.message, 300))).on(subject)
    }
}

/// Whether this is the name of an operation in the location of a parent. Google may write the project by its number.
fn is_operation(name: &str, parent: &str) -> bool {
    let named = |id: &str| {
        (1..=200).contains(&id.len()) && id.bytes().all(|it| it.is_ascii_alphanumeric() || b"-_.".contains(&it))
    };
    let location = parent.rsplit('/').next().unwrap_or_default();
    match name.split('/').collect::<Vec<_>>()[..] {
        ["projects", project, "locations", found, "operations", id] => {
            is_project(project) && found == location && named(id) && !id.starts_with('.')
        }
        _ => false,
    }
}

/// A record of the list; the inner `None` for an image of another repository.
#[expect(clippy::option_option, reason = "the outer one is an answer that makes no sense")]
fn record(image: &DockerImage, repository: &Repository) -> Option<Option<ImageRecord>> {
    let (name, digest) = image.uri.split_once('@')?;
    if name != repository.as_str() {
        return Some(None);
    }
    let digest: Digest = digest.parse().ok()?;
    let tags: BTreeSet<ImageTag> = image.tags.iter().filter_map(|tag| ImageTag::new(tag.as_str()).ok()).collect();
    // Signatures of cosign, and indexes of referrers where the registry keeps none, name their subject in their tag.
    let subject = image.tags.iter().find_map(|tag| {
        let hex = tag.strip_prefix("sha256-")?.get(..64)?;
        Digest::from_hex(hex).ok()
    });
    let pushed = moment::read(&image.upload_time)?;
    Some(Some(ImageRecord { digest, tags, pushed, children: Vec::new(), subject }))
}

/// The images that a manifest names, and the one that it is about (OCI image specification, "image index" and
/// "subject"). `None` for one that is not understood.
fn related(manifest: &ImageManifest) -> Option<(Vec<Digest>, Option<Digest>)> {
    let document: serde_json::Map<String, Value> = serde_json::from_slice(&manifest.bytes).ok()?;
    let digest = |descriptor: &Value| descriptor.get("digest")?.as_str()?.parse().ok();
    let listed = match document.get("manifests") {
        None | Some(Value::Null) => &[][..],
        Some(listed) => listed.as_array()?,
    };
    let subject = match document.get("subject") {
        None | Some(Value::Null) => None,
        Some(subject) => Some(digest(subject)?),
    };
    Some((listed.iter().map(digest).collect::<Option<_>>()?, subject))
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex as Lock;

    use super::*;

    /// Gives `token-1`, `token-2`, …: another one after each that was refused.
    #[derive(Debug, Default)]
    struct Source(Lock<u32>);

    #[async_trait]
    impl BearerTokenSource for Source {
        async fn token(&self) -> Result<BearerToken> {
            Ok(BearerToken::new(format!("token-{}", self.0.lock().expect("not poisoned"))))
        }

        async fn refused(&self, token: &BearerToken) {
            let mut refused = self.0.lock().expect("not poisoned");
            if token.expose() == format!("token-{refused}") {
                *refused += 1;
            }
        }
    }

    #[tokio::test]
    async fn a_token_that_one_host_has_renewed_is_not_refused_by_another_that_had_the_old_one() {
        let source = Arc::new(Source::default());
        let tokens = RegistryTokens::new(source.clone(), Hosts::default());
        let given = async |host: &str, asked| match tokens.credential(host, asked).await.expect("given") {
            Credential::Basic { secret, .. } => secret.expose().to_owned(),
            other => panic!("{other:?}"),
        };
        for host in ["us-docker.pkg.dev", "europe-docker.pkg.dev"] {
            assert_eq!(given(host, Asked::First).await, "token-0");
        }
        for host in ["us-docker.pkg.dev", "europe-docker.pkg.dev"] {
            assert_eq!(given(host, Asked::Refused).await, "token-1", "{host}");
        }
        assert_eq!(given("us-docker.pkg.dev", Asked::Refused).await, "token-2", "its new one is refused too");
    }

    #[test]
    fn what_a_manifest_does_not_say_clearly_is_not_taken_for_nothing() {
        let read = |text: &str| {
            let bytes = text.to_owned().into();
            related(&ImageManifest { media_type: "application/vnd.oci.image.index.v1+json".to_owned(), bytes })
        };
        let one = Digest::of("one");
        let listed = format!(r#"{{"manifests": [{{"digest": "{one}"}}], "subject": {{"digest": "{one}"}}}}"#);
        assert_eq!(read(&listed), Some((vec![one], Some(one))));
        assert_eq!(read(r#"{"layers": [], "subject": null}"#), Some((Vec::new(), None)));
        for text in [
            "",
            "[]",
            "{",
            r#"{"manifests": {}}"#,
            r#"{"manifests": [{"digest": "sha512:00"}]}"#,
            r#"{"manifests": [{}]}"#,
            r#"{"subject": {"digest": 7}}"#,
        ] {
            assert_eq!(read(text), None, "{text}");
        }
    }

    #[test]
    fn an_operation_is_one_of_the_location_whichever_way_its_project_is_written() {
        let parent = "projects/acme-prod/locations/us-central1";
        for name in [
            "projects/acme-prod/locations/us-central1/operations/0f1e-2d",
            "projects/123456789012/locations/us-central1/operations/0f1e-2d",
        ] {
            assert!(is_operation(name, parent), "{name}");
        }
        for name in [
            "",
            "projects/../secrets",
            "projects/acme-prod/locations/eu/operations/1",
            "projects/acme-prod/locations/us-central1/operations/",
            "projects/acme-prod/locations/us-central1/operations/..",
            "projects/acme-prod/locations/us-central1/operations/1?x",
            "projects/acme-prod/locations/us-central1/operations/1/2",
            "projects/a/../locations/us-central1/operations/1",
        ] {
            assert!(!is_operation(name, parent), "{name}");
        }
    }
}
