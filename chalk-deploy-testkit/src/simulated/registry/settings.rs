//! What kind of registry it is.
//!
//! The presets are the registries of the clouds as far as public sources describe them; each quirk names its source.
//! What no source says is marked as a guess.

use std::collections::BTreeSet;
use std::time::Duration;

use super::account::Account;

/// The settings of a [`RegistryServer`](super::RegistryServer). Begin with a preset and change what matters.
#[derive(Debug, Clone)]
#[expect(clippy::struct_excessive_bools, reason = "each is a property that registries have or lack")]
pub struct RegistrySettings {
    /// The hosts under which nodes reach it, such as `registry.embedded`; empty for any.
    pub names: BTreeSet<String>,
    /// How clients prove who they are.
    pub access: Access,
    /// Who may do what. Ignored by [`Access::Open`].
    pub accounts: Vec<Account>,
    /// Whether anyone may pull.
    pub anonymous_pull: bool,
    /// Whether the nodes of the cluster hold credentials that may pull.
    pub nodes_may_pull: bool,
    /// How blobs are uploaded.
    pub uploads: UploadSettings,
    /// Whether blobs are mounted from other repositories.
    pub mounts: Mounts,
    /// Where downloads of blobs come from.
    pub downloads: Downloads,
    /// Whether a push makes the repository.
    pub creates_repositories: bool,
    /// What is done with a second push to a tag.
    pub tags: TagRule,
    /// What can be deleted.
    pub deletions: Deletions,
    /// Whether the list of repositories is served.
    pub catalog: bool,
    /// Whether the referrers API is served. Without it clients keep an index under the tag `sha256-…`.
    pub referrers: bool,
    /// Whether a manifest whose blobs or children are missing is refused with 404; otherwise with 400.
    pub missing_parts_are_not_found: bool,
    /// The most entries on one page of any list.
    pub largest_page: usize,
    /// The largest blob; longer uploads are refused.
    pub largest_blob: u64,
    /// How many requests are answered in which time.
    pub rate_limit: Option<RateLimit>,
}

/// How clients prove who they are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Access {
    /// They do not.
    Open,
    /// With a name and a password in every request.
    Basic,
    /// With a token that they fetch from a realm, with a name and a password or with a refresh token.
    Token(TokenSettings),
}

/// The token service, which is part of the same server (Docker's "Token Authentication Specification").
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TokenSettings {
    /// Its path.
    pub path: String,
    /// The name that tokens are made for.
    pub service: String,
    /// How long a token is good for.
    pub lifetime: Duration,
    /// What challenges name instead of the own address: a realm on another host, or a hostile one.
    pub realm: Option<String>,
    /// Whether a name and a password are also taken without a token.
    pub basic_too: bool,
    /// Where a token of the cloud is exchanged for a refresh token, as ACR does.
    pub exchange: Option<String>,
}

impl Default for TokenSettings {
    fn default() -> Self {
        Self {
            path: "/token".to_owned(),
            service: "registry.simulated".to_owned(),
            lifetime: Duration::from_mins(5),
            realm: None,
            basic_too: false,
            exchange: None,
        }
    }
}

/// How blobs are uploaded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UploadSettings {
    /// Whether a `POST` with a digest and the bytes is a whole upload. Otherwise it begins one, which the
    /// specification allows.
    pub single_post: bool,
    /// How many `PATCH` requests an upload may have; `None` for any number.
    pub chunks: Option<usize>,
    /// The least length of a chunk that is not the last, told in `OCI-Chunk-Min-Length`.
    pub least_chunk: u64,
    /// Whether a chunk is answered with 201 instead of 202.
    pub chunk_is_created: bool,
    /// Whether the bytes of every chunk but the first are thrown away, though it is answered as if they were not.
    pub drops_later_chunks: bool,
    /// Where the next request of an upload goes.
    pub location: UploadLocation,
}

/// Where the next request of an upload goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum UploadLocation {
    /// `/v2/<name>/blobs/uploads/<id>`.
    Relative,
    /// The same with the scheme and the host before it.
    Absolute,
    /// Another path, with a state in the query that every next request must carry as the last answer gave it.
    Elsewhere,
}

/// Whether a blob is mounted from another repository.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mounts {
    /// Never: 202 and an upload.
    Never,
    /// From a repository that the request names and its sender may pull from.
    FromNamed,
    /// From that, or, where it names none, from any in which the sender may pull.
    FromAny,
}

/// Where downloads of blobs come from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Downloads {
    /// From here.
    Here,
    /// From a storage that trusts a signature in the query. On another host it refuses a request that brings any other
    /// credential along, as S3 does; on the own host clients rightly send theirs.
    Storage {
        /// The host of the storage, as in `storage.example`; `None` for the own one.
        host: Option<String>,
    },
}

/// What is done with a second push to a tag.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TagRule {
    /// The tag moves.
    Movable,
    /// Refused, unless it is the same manifest.
    Immutable,
    /// Refused, even for the same manifest.
    PushedOnce,
}

/// What can be deleted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(clippy::struct_excessive_bools, reason = "each is a property that registries have or lack")]
pub struct Deletions {
    /// Blobs.
    pub blobs: bool,
    /// Manifests, by digest.
    pub manifests: bool,
    /// Tags. They leave the manifest.
    pub tags: bool,
    /// A manifest under a tag only after its tags.
    pub tags_first: bool,
}

/// How many requests are answered in which time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RateLimit {
    /// So many,
    pub requests: u32,
    /// in each window, which begins with its first request.
    pub window: Duration,
}

impl RegistrySettings {
    /// A registry that does all that the specification describes, for anyone.
    pub fn plain() -> Self {
        Self {
            names: BTreeSet::new(),
            access: Access::Open,
            accounts: Vec::new(),
            anonymous_pull: false,
            nodes_may_pull: true,
            uploads: UploadSettings {
                single_post: true,
                chunks: None,
                least_chunk: 0,
                chunk_is_created: false,
                drops_later_chunks: false,
                location: UploadLocation::Relative,
            },
            mounts: Mounts::FromAny,
            downloads: Downloads::Here,
            creates_repositories: true,
            tags: TagRule::Movable,
            deletions: Deletions { blobs: true, manifests: true, tags: true, tags_first: false },
            catalog: true,
            referrers: true,
            missing_parts_are_not_found: true,
            largest_page: 1000,
            largest_blob: 1 << 40,
            rate_limit: None,
        }
    }

    /// Elastic Container Registry: the account is `AWS` with a password that lasts twelve hours.
    ///
    /// - `PATCH` is answered with 201 (dotnet/sdk-container-builds#279, openai/tart#273).
    /// - Every part but the last has at least 5 MiB, layers at most 52,000 MiB (ECR service quotas;
    ///   dotnet/sdk-container-builds#424).
    /// - A chunk in the wrong place is 416 (apple/containerization#790).
    /// - The repository must be there (dotnet/sdk-container-builds#279).
    /// - Mounts are off unless an account setting turns them on (ECR user guide, "blob mounting").
    /// - Manifests can be deleted since 2023 (aws/containers-roadmap#1229); blobs and the catalog are guesses.
    /// - That chunks after the first are lost (aws/containers-roadmap#2831) is one open report, contradicted by
    ///   others; [`UploadSettings::drops_later_chunks`] turns it on.
    /// - An immutable tag refuses even the same manifest (aws/containers-roadmap#2380): [`TagRule::PushedOnce`].
    /// - A `POST` that is a whole upload is not documented: it begins one (a guess).
    pub fn ecr(password: impl Into<String>) -> Self {
        let plain = Self::plain();
        Self {
            access: Access::Basic,
            accounts: vec![Account::administrator("AWS", password)],
            uploads: UploadSettings {
                single_post: false,
                least_chunk: 5 << 20,
                chunk_is_created: true,
                location: UploadLocation::Absolute,
                ..plain.uploads
            },
            mounts: Mounts::Never,
            downloads: Downloads::Storage { host: None },
            creates_repositories: false,
            deletions: Deletions { blobs: false, ..plain.deletions },
            catalog: false,
            missing_parts_are_not_found: false,
            largest_blob: 52_000 << 20,
            ..plain
        }
    }

    /// Artifact Registry: the account is `oauth2accesstoken` with an access token that lasts one hour.
    ///
    /// - No chunked uploads (its Docker API reference, quoted in dotnet/sdk-container-builds#287): one `PATCH` with all
    ///   bytes is taken, as crane and docker send, and no second one. How the second is refused is a guess.
    /// - Uploads go on below another path, with a long state (podman-container-tools/skopeo#1101).
    /// - Challenges name `/v2/token` (oras-project/oras#157), and the account works without a token too.
    /// - A manifest can be deleted only after its tags (fluxcd/pkg#328).
    pub fn artifact_registry(password: impl Into<String>) -> Self {
        let plain = Self::plain();
        Self {
            access: Access::Token(TokenSettings {
                path: "/v2/token".to_owned(),
                service: "us-docker.pkg.dev".to_owned(),
                lifetime: Duration::from_hours(1),
                basic_too: true,
                ..TokenSettings::default()
            }),
            accounts: vec![Account::administrator("oauth2accesstoken", password)],
            uploads: UploadSettings {
                single_post: false,
                chunks: Some(1),
                location: UploadLocation::Elsewhere,
                ..plain.uploads
            },
            mounts: Mounts::FromNamed,
            downloads: Downloads::Storage { host: None },
            deletions: Deletions { blobs: false, tags_first: true, ..plain.deletions },
            ..plain
        }
    }

    /// Azure Container Registry: a token of Entra ID is exchanged for a refresh token at `/oauth2/exchange`, and that
    /// for an access token at `/oauth2/token` (azure.github.io/acr/AAD-OAuth.html). It is the password of the account.
    ///
    /// - A tag cannot be deleted by itself, only a manifest by digest (fluxcd/pkg#328).
    /// - The name with which a refresh token is a password is the zero GUID (Microsoft's guide on service accounts).
    pub fn acr(entra_token: impl Into<String>) -> Self {
        let plain = Self::plain();
        Self {
            access: Access::Token(TokenSettings {
                path: "/oauth2/token".to_owned(),
                service: "simulated.azurecr.io".to_owned(),
                exchange: Some("/oauth2/exchange".to_owned()),
                ..TokenSettings::default()
            }),
            accounts: vec![Account::administrator("entra", entra_token)],
            uploads: UploadSettings { location: UploadLocation::Relative, ..plain.uploads },
            mounts: Mounts::FromNamed,
            downloads: Downloads::Storage { host: None },
            deletions: Deletions { tags: false, ..plain.deletions },
            missing_parts_are_not_found: false,
            ..plain
        }
    }

    /// These settings with one account that may do everything, and a password in every request.
    #[must_use]
    pub fn with_basic_user(mut self, name: impl Into<String>, password: impl Into<String>) -> Self {
        self.access = Access::Basic;
        self.accounts = vec![Account::administrator(name, password)];
        self
    }

    /// These settings with a token service and these accounts.
    #[must_use]
    pub fn with_tokens(mut self, accounts: impl IntoIterator<Item = Account>) -> Self {
        self.access = Access::Token(TokenSettings::default());
        self.accounts = accounts.into_iter().collect();
        self
    }
}
