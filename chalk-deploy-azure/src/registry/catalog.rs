//! The images of a registry, by its own API ("Azure Container Registry REST API", version 2021-07-01 of the data plane).

use std::collections::BTreeSet;
use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;
use chalk_deploy_core::cloud::{ManifestLocator, Registry};
use chalk_deploy_core::model::{Digest, ImageTag, Repository, Timestamp};
use chalk_deploy_core::oci::OciRegistry;
use chalk_deploy_core::provision::{ImageCatalog, ImageRecord};
use chalk_deploy_core::{Error, ErrorCode, Result, text};
use futures::{StreamExt as _, TryStreamExt as _};
use http::header::LINK;
use http::{Method, StatusCode};
use serde_json::{Value, json};

use super::exchange::RefreshTokens;
use crate::api::{Api, Authorization, Call};
use crate::permissions;
use crate::settings::RegistryName;

/// What a page holds at most.
const PAGE: usize = 100;
/// A repository of more pages, or of more images, is nobody's.
const PAGES_MOST: usize = 1_000;
const IMAGES_MOST: usize = PAGE * PAGES_MOST;
/// How many manifests are read at once.
const AT_ONCE: usize = 8;

/// The images of one registry.
#[derive(Clone)]
pub struct AcrImages {
    registry: RegistryName,
    refresh: RefreshTokens,
    api: Api,
    manifests: OciRegistry,
}

impl AcrImages {
    pub(crate) const fn new(registry: RegistryName, refresh: RefreshTokens, api: Api, manifests: OciRegistry) -> Self {
        Self { registry, refresh, api, manifests }
    }

    /// Lets a tag move no more, or again (`writeEnabled` of its changeable attributes).
    ///
    /// # Errors
    /// `OBJECT_MISSING` when there is no such tag, `PERMISSION_DENIED`, `CLOUD_UNAVAILABLE`.
    pub async fn set_tag_immutable(&self, repository: &Repository, tag: &ImageTag, immutable: bool) -> Result<()> {
        self.set_attributes(repository, &format!("_tags/{tag}"), &json!({"writeEnabled": !immutable})).await
    }

    /// Lets an image be removed no more, or again (`deleteEnabled` of its changeable attributes). What is locked is left
    /// alone by [`remove`](ImageCatalog::remove), which says so.
    ///
    /// # Errors
    /// `OBJECT_MISSING` when there is no such image, `PERMISSION_DENIED`, `CLOUD_UNAVAILABLE`.
    pub async fn set_locked(&self, repository: &Repository, image: &Digest, locked: bool) -> Result<()> {
        self.set_attributes(repository, &format!("_manifests/{image}"), &json!({"deleteEnabled": !locked})).await
    }

    async fn set_attributes(&self, repository: &Repository, tail: &str, attributes: &Value) -> Result<()> {
        let path = self.path_in(repository)?;
        let address = format!("{}/acr/v1/{path}/{tail}", self.registry.endpoint);
        let call = Call::new(Method::PATCH, address, format!("{repository} {tail}"))
            .with_json(attributes)
            // The same attributes twice are the same.
            .reading()
            .needing(permissions::IMAGE_LOCK.name);
        self.allowed_to(path, "metadata_read,metadata_write").send(&call).await.map(drop)
    }

    /// The path of a repository inside of this registry.
    fn path_in<'a>(&self, repository: &'a Repository) -> Result<&'a str> {
        let (host, path) = repository.as_str().split_once('/').unwrap_or((repository.as_str(), ""));
        if host.eq_ignore_ascii_case(&self.registry.host) {
            return Ok(path);
        }
        Err(Error::new(ErrorCode::RequestInvalid, "the repository lies in another registry than the configured one")
            .on(repository)
            .with_hint(format!("name a repository of `{}`, or configure its own registry", self.registry.host)))
    }

    fn allowed_to(&self, path: &str, actions: &str) -> Api {
        let tokens = self.refresh.access(&self.registry, format!("repository:{path}:{actions}"), &self.api);
        Api { authorization: Authorization::Token(Arc::new(tokens)), ..self.api.clone() }
    }

    /// What the list says of each image.
    async fn listed(&self, repository: &Repository) -> Result<Vec<ImageRecord>> {
        let path = self.path_in(repository)?;
        let api = self.allowed_to(path, "metadata_read");
        let list = format!("/acr/v1/{path}/_manifests");
        let mut query = format!("n={PAGE}");
        let mut records = Vec::new();
        for _ in 0..PAGES_MOST {
            let address = format!("{}{list}?{query}", self.registry.endpoint);
            let call = Call::new(Method::GET, address, repository.to_string()).needing(permissions::IMAGE_LIST.name);
            let answer = api.send(&call).await?;
            let page = answer.json(&call.subject)?;
            // A repository without images has no list.
            let manifests = page.get("manifests").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
            for manifest in manifests {
                records.push(record(manifest).ok_or_else(|| {
                    Error::new(ErrorCode::CloudAnswerInvalid, "the registry lists something that is no image")
                        .on(repository)
                })?);
            }
            let Some(link) = answer.header(LINK.as_str()).and_then(following) else { return Ok(records) };
            // It is about the same list, and only its query is taken.
            match link.split_once('?') {
                Some((of, next)) if is_path(of, &list) && next != query && records.len() <= IMAGES_MOST => {
                    next.clone_into(&mut query);
                }
                _ => break,
            }
        }
        Err(Error::new(ErrorCode::CloudAnswerInvalid, "the registry does not come to the end of a list").on(repository))
    }

    /// What an image consists of and what it is about, which its manifest says.
    async fn explained(&self, repository: &Repository, mut record: ImageRecord) -> Result<ImageRecord> {
        let found = self.manifests.manifest(repository, &ManifestLocator::Digest(record.digest)).await?;
        // Removed since it was listed.
        let Some(manifest) = found else { return Ok(record) };
        // What is not understood must not count as nothing: whatever an image consists of is kept with it.
        let odd = || {
            Error::new(ErrorCode::CloudAnswerInvalid, "what an image consists of cannot be read")
                .on(format!("{repository}@{}", record.digest))
        };
        let document: Value = serde_json::from_slice(&manifest.bytes).map_err(|_| odd())?;
        let digest = |value: &Value| value.get("digest")?.as_str()?.parse::<Digest>().ok();
        let parts = document.get("manifests").and_then(Value::as_array);
        let children = parts.into_iter().flatten().map(|part| digest(part).ok_or_else(odd)).collect::<Result<_>>()?;
        let subject = document.get("subject").filter(|subject| !subject.is_null());
        let subject = subject.map(|subject| digest(subject).ok_or_else(odd)).transpose()?;
        record.children = children;
        record.subject = subject;
        Ok(record)
    }
}

#[async_trait]
impl ImageCatalog for AcrImages {
    async fn images(&self, repository: &Repository) -> Result<Vec<ImageRecord>> {
        let listed = self.listed(repository).await?;
        let explained = listed.into_iter().map(|record| self.explained(repository, record));
        futures::stream::iter(explained).buffered(AT_ONCE).try_collect().await
    }

    async fn remove(&self, repository: &Repository, images: &[Digest]) -> Result<()> {
        let path = self.path_in(repository)?;
        let api = self.allowed_to(path, "delete,metadata_read");
        let mut locked = Vec::new();
        for image in images {
            let address = format!("{}/v2/{path}/manifests/{image}", self.registry.endpoint);
            let call = Call::new(Method::DELETE, address, format!("{repository}@{image}"))
                .needing(permissions::IMAGE_DELETE.name);
            let answer = api.exchange(&call).await?;
            match answer.status {
                status if status.is_success() || status == StatusCode::NOT_FOUND => {}
                StatusCode::METHOD_NOT_ALLOWED => locked.push(image.to_string()),
                _ => return Err(api.refused(&call, &answer)),
            }
        }
        if locked.is_empty() {
            return Ok(());
        }
        let shown = text::line(&locked.join(", "), 300);
        Err(Error::new(ErrorCode::PermissionDenied, format!("all but these were removed, which are locked: {shown}"))
            .on(repository)
            .with_hint("unlock them (`deleteEnabled`), or count them as needed"))
    }
}

impl fmt::Debug for AcrImages {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("AcrImages").field("registry", &self.registry.host).finish_non_exhaustive()
    }
}

fn record(manifest: &Value) -> Option<ImageRecord> {
    let moment = |name: &str| {
        let parsed = azure_core::time::parse_rfc3339(manifest.get(name)?.as_str()?).ok()?;
        u64::try_from(parsed.unix_timestamp()).ok().map(|seconds| Timestamp::from_millis(seconds.saturating_mul(1000)))
    };
    let tags = manifest.get("tags").and_then(Value::as_array);
    // A tag that we cannot name is one that we did not give; the image has it all the same.
    let tags: BTreeSet<ImageTag> =
        tags.into_iter().flatten().filter_map(|tag| ImageTag::new(tag.as_str()?).ok()).collect();
    Some(ImageRecord {
        digest: manifest.get("digest")?.as_str()?.parse().ok()?,
        tags,
        // A tag that it was given later makes it young again: somebody has just asked for it.
        pushed: moment("createdTime")?.max(moment("lastUpdateTime").unwrap_or_default()),
        children: Vec::new(),
        subject: None,
    })
}

/// The target of `<…>; rel="next"` (RFC 8288), which registries write as a path.
fn following(link: &str) -> Option<&str> {
    let (target, parameters) = link.trim().strip_prefix('<')?.split_once('>')?;
    let is_next = parameters.split(';').any(|parameter| matches!(parameter.trim(), "rel=\"next\"" | "rel=next"));
    is_next.then_some(target)
}

/// Whether a path is this one, however much of it is encoded.
fn is_path(written: &str, path: &str) -> bool {
    written.replace("%2F", "/").replace("%2f", "/") == path
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_link_to_the_next_page_is_followed() {
        assert_eq!(
            following("</acr/v1/a/_manifests?last=b&n=1>; rel=\"next\""),
            Some("/acr/v1/a/_manifests?last=b&n=1")
        );
        for link in ["", "<", "</a>", "</a>; rel=\"prev\"", "/a; rel=\"next\""] {
            assert_eq!(following(link), None, "{link}");
        }
    }

    #[test]
    fn the_next_page_is_one_of_the_same_list_however_its_path_is_written() {
        assert!(is_path("/acr/v1/chalk%2Fengine/_manifests", "/acr/v1/chalk/engine/_manifests"));
        for path in ["https://evil.example/acr/v1/a/_manifests", "/acr/v1/b/_manifests", "//acr/v1/a/_manifests", ""] {
            assert!(!is_path(path, "/acr/v1/a/_manifests"), "{path}");
        }
    }

    #[test]
    fn what_is_no_image_is_none() {
        let image = json!({"digest": format!("sha256:{}", "a".repeat(64)), "createdTime": "2018-09-06T06:17:20.9983915Z",
                           "lastUpdateTime": "2018-09-07T00:00:00Z", "tags": ["latest", "odd tag"]});
        let read = record(&image).expect("an image");
        assert_eq!((read.pushed.to_string().as_str(), read.tags.len()), ("2018-09-07T00:00:00.000Z", 1));
        for (name, value) in [("digest", json!("sha256:x")), ("digest", json!(7)), ("createdTime", json!("soon"))] {
            let mut broken = image.clone();
            broken[name] = value;
            assert_eq!(record(&broken), None, "{name}");
        }
    }
}
