//! What a request asks for.

use http::{Method, Uri};

use super::digest::ContentDigest;
use super::grammar::{is_repository, is_tag};
use super::refusal::{self, Refusal};

/// Which manifest.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum ManifestName {
    Tag(String),
    Digest(ContentDigest),
}

/// A place below `/v2/`, or beside it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Place {
    /// `/v2/`
    Base,
    /// `/v2/_catalog`
    Catalog,
    /// `/v2/<name>/tags/list`
    Tags { repository: String },
    /// `/v2/<name>/manifests/<reference>`
    Manifest { repository: String, name: ManifestName },
    /// `/v2/<name>/blobs/<digest>`
    Blob { repository: String, digest: ContentDigest },
    /// `/v2/<name>/blobs/uploads/`
    Uploads { repository: String },
    /// `/v2/<name>/blobs/uploads/<id>`, or wherever else uploads were sent.
    Upload { repository: String, id: String },
    /// `/v2/<name>/referrers/<digest>`
    Referrers { repository: String, digest: ContentDigest },
    /// `/storage/<name>/<digest>`, the storage that downloads are redirected to.
    Storage { repository: String, digest: ContentDigest },
    /// Any other path, which may be the token endpoint's.
    Other(String),
}

/// Where uploads go on when they go on elsewhere.
pub(super) const UPLOADS_ELSEWHERE: &str = "upload-sessions";

/// Where downloads are redirected to.
pub(super) const STORAGE: &str = "storage";

impl Place {
    /// Reads the path.
    ///
    /// A repository may be called `tags/list` or `blobs`; so a path is read from its end.
    pub(super) fn of(path: &str) -> Result<Self, Refusal> {
        // Decoded one by one: an escaped slash separates nothing.
        let decoded: Option<Vec<_>> = path.split('/').skip(1).map(percent_decode).collect();
        let decoded = decoded.ok_or_else(|| refusal::not_found("the path is not UTF-8"))?;
        let segments: Vec<&str> = decoded.iter().map(String::as_str).collect();
        match segments.as_slice() {
            ["v2"] | ["v2", ""] => Ok(Self::Base),
            ["v2", "_catalog"] => Ok(Self::Catalog),
            ["v2", name @ .., "tags", "list"] => Ok(Self::Tags { repository: repository(name)? }),
            ["v2", name @ .., "blobs", "uploads"] | ["v2", name @ .., "blobs", "uploads", ""] => {
                Ok(Self::Uploads { repository: repository(name)? })
            }
            ["v2", name @ .., "blobs", "uploads", id] | [UPLOADS_ELSEWHERE, name @ .., id] => {
                Ok(Self::Upload { repository: repository(name)?, id: upload(id)? })
            }
            ["v2", name @ .., "manifests", reference] => {
                Ok(Self::Manifest { repository: repository(name)?, name: manifest(reference)? })
            }
            ["v2", name @ .., "blobs", digest] => {
                Ok(Self::Blob { repository: repository(name)?, digest: content_digest(digest)? })
            }
            ["v2", name @ .., "referrers", digest] => {
                Ok(Self::Referrers { repository: repository(name)?, digest: content_digest(digest)? })
            }
            [STORAGE, name @ .., digest] => {
                Ok(Self::Storage { repository: repository(name)?, digest: content_digest(digest)? })
            }
            _ => Ok(Self::Other(path.to_owned())),
        }
    }

    /// The repository that it lies in.
    pub(super) fn repository(&self) -> Option<&str> {
        match self {
            Self::Tags { repository }
            | Self::Manifest { repository, .. }
            | Self::Blob { repository, .. }
            | Self::Uploads { repository }
            | Self::Upload { repository, .. }
            | Self::Referrers { repository, .. }
            | Self::Storage { repository, .. } => Some(repository),
            Self::Base | Self::Catalog | Self::Other(_) => None,
        }
    }
}

fn repository(segments: &[&str]) -> Result<String, Refusal> {
    let name = segments.join("/");
    if is_repository(&name) { Ok(name) } else { Err(refusal::name_invalid(format!("`{name}` is no repository name"))) }
}

fn content_digest(text: &str) -> Result<ContentDigest, Refusal> {
    ContentDigest::parse(text).ok_or_else(|| refusal::digest_invalid(format!("`{text}` is no digest")))
}

fn manifest(reference: &str) -> Result<ManifestName, Refusal> {
    if reference.contains(':') {
        return content_digest(reference).map(ManifestName::Digest);
    }
    if is_tag(reference) {
        Ok(ManifestName::Tag(reference.to_owned()))
    } else {
        Err(refusal::tag_invalid(format!("`{reference}` is no tag")))
    }
}

fn upload(id: &str) -> Result<String, Refusal> {
    // Our own: 32 hex digits in five groups. Nothing else may become the name of a document.
    let valid = id.len() == 36 && id.bytes().all(|byte| byte.is_ascii_hexdigit() || byte == b'-');
    if valid { Ok(id.to_owned()) } else { Err(refusal::upload_unknown("there is no such upload")) }
}

fn percent_decode(segment: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(segment.len());
    let mut rest = segment.as_bytes();
    while let Some((&first, after)) = rest.split_first() {
        rest = after;
        if first == b'%' {
            let (digits, after) = rest.split_at_checked(2)?;
            let digits = std::str::from_utf8(digits).ok()?;
            bytes.push(u8::from_str_radix(digits, 16).ok()?);
            rest = after;
        } else {
            bytes.push(first);
        }
    }
    String::from_utf8(bytes).ok()
}

/// The parameters of a query, in order.
#[derive(Debug, Clone)]
pub(super) struct Query(Vec<(String, String)>);

impl Query {
    pub(super) fn of(uri: &Uri) -> Self {
        Self::form(uri.query().unwrap_or_default().as_bytes())
    }

    pub(super) fn form(bytes: &[u8]) -> Self {
        Self(url::form_urlencoded::parse(bytes).into_owned().collect())
    }

    pub(super) fn get(&self, name: &str) -> Option<&str> {
        self.0.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
    }

    pub(super) fn all<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a str> {
        self.0.iter().filter(move |(key, _)| key == name).map(|(_, value)| value.as_str())
    }
}

/// The kinds of requests that a registry takes, for the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum RequestKind {
    /// `GET /v2/`
    Base,
    /// A token, in any of its flows.
    Token,
    /// `HEAD` of a blob.
    BlobHead,
    /// `GET` of a blob.
    BlobGet,
    /// `DELETE` of a blob.
    BlobDelete,
    /// `POST` that begins an upload, or is one.
    UploadStart,
    /// `POST` that asks for a mount.
    UploadMount,
    /// `GET` of an upload: how far it is.
    UploadStatus,
    /// `PATCH` with a chunk.
    UploadChunk,
    /// `PUT` that ends an upload.
    UploadFinish,
    /// `DELETE` of an upload.
    UploadCancel,
    /// `HEAD` of a manifest.
    ManifestHead,
    /// `GET` of a manifest.
    ManifestGet,
    /// `PUT` of a manifest.
    ManifestPut,
    /// `DELETE` of a manifest or a tag.
    ManifestDelete,
    /// The list of tags.
    Tags,
    /// The list of repositories.
    Catalog,
    /// The list of what refers to a manifest.
    Referrers,
    /// A download from the storage that a blob was redirected to.
    Storage,
    /// Anything else.
    Other,
}

impl RequestKind {
    /// The kind of a request to `place`.
    pub(super) fn of(method: &Method, place: &Place, query: &Query) -> Self {
        match (place, method.as_str()) {
            (Place::Base, _) => Self::Base,
            (Place::Catalog, _) => Self::Catalog,
            (Place::Tags { .. }, _) => Self::Tags,
            (Place::Referrers { .. }, _) => Self::Referrers,
            (Place::Storage { .. }, _) => Self::Storage,
            (Place::Blob { .. }, "HEAD") => Self::BlobHead,
            (Place::Blob { .. }, "GET") => Self::BlobGet,
            (Place::Blob { .. }, "DELETE") => Self::BlobDelete,
            (Place::Uploads { .. }, "POST") if query.get("mount").is_some() => Self::UploadMount,
            (Place::Uploads { .. }, "POST") => Self::UploadStart,
            (Place::Upload { .. }, "GET") => Self::UploadStatus,
            (Place::Upload { .. }, "PATCH") => Self::UploadChunk,
            (Place::Upload { .. }, "PUT") => Self::UploadFinish,
            (Place::Upload { .. }, "DELETE") => Self::UploadCancel,
            (Place::Manifest { .. }, "HEAD") => Self::ManifestHead,
            (Place::Manifest { .. }, "GET") => Self::ManifestGet,
            (Place::Manifest { .. }, "PUT") => Self::ManifestPut,
            (Place::Manifest { .. }, "DELETE") => Self::ManifestDelete,
            (Place::Other(path), _) if path.contains("token") || path.starts_with("/oauth2/") => Self::Token,
            _ => Self::Other,
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_repository_may_be_called_like_a_part_of_the_protocol() {
        let digest = format!("sha256:{}", "a".repeat(64));
        let name = "v2/blobs/uploads/tags/list/manifests/x/referrers";
        let expected = Some(name);
        for path in [
            format!("/v2/{name}/tags/list"),
            format!("/v2/{name}/manifests/latest"),
            format!("/v2/{name}/manifests/{}", digest.replace(':', "%3A")),
            format!("/v2/{name}/blobs/{digest}"),
            format!("/v2/{name}/blobs/uploads/"),
            format!("/v2/{name}/blobs/uploads"),
            format!("/v2/{name}/blobs/uploads/{}", "0".repeat(36)),
            format!("/v2/{name}/referrers/{digest}"),
        ] {
            let place = Place::of(&path).unwrap_or_else(|refusal| panic!("{path}: {refusal:?}"));
            assert_eq!(place.repository(), expected, "{path}");
        }
    }

    #[test]
    fn a_path_that_leaves_its_repository_is_refused() {
        for path in
            ["/v2/a/../b/tags/list", "/v2/a/blobs/..%2f..%2fsecret", "/v2/a/blobs/uploads/..%2fx", "/v2/A/tags/list"]
        {
            Place::of(path).expect_err(path);
        }
    }

    proptest! {
        #[test]
        fn no_path_makes_it_panic(path in "/(v2|storage|upload-sessions)?(/|%|[a-z:0-9]|.){0,60}") {
            let _ = Place::of(&path);
        }
    }
}
