//! ECR: passwords for the registry, repositories on demand, and what images a repository holds.
//!
//! No lifecycle policy of ECR is set: its rules know ages and counts, and would remove an image that a live or a rollback
//! deployment runs. What may go is decided in [`sweep`](chalk_deploy_core::provision::sweep), which knows them.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use chalk_deploy_core::credentials::{Lender, Lent, Renewing, Secret};
use chalk_deploy_core::model::{Digest, ImageTag, Repository};
use chalk_deploy_core::oci::{Asked, Credential, RegistryCredentials};
use chalk_deploy_core::provision::{Encryption, ImageCatalog, ImageRecord, RepositoryCreator};
use chalk_deploy_core::{Error, ErrorCode, Result, text};
use serde_json::{Value, json};

use crate::api::{Answer, Api, Ask};
use crate::settings::RegistryName;
use crate::{moment, tags};

/// How many images one call names at most (`BatchGetImage` and `BatchDeleteImage` of the ECR API reference).
const BATCH: usize = 100;
/// How many images a page holds.
const PAGE: usize = 1000;
/// No repository has more images (ECR service quotas: 100,000 a repository).
const PAGES_MOST: usize = 200;
/// What a manifest may be.
const MANIFESTS: [&str; 4] = [
    "application/vnd.oci.image.manifest.v1+json",
    "application/vnd.oci.image.index.v1+json",
    "application/vnd.docker.distribution.manifest.v2+json",
    "application/vnd.docker.distribution.manifest.list.v2+json",
];

/// How a repository is made that a push finds missing. One that is there is left as it is.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct RepositorySettings {
    /// Whether a tag cannot be moved once it was pushed.
    pub immutable_tags: bool,
    /// Whether ECR looks for known weaknesses in what is pushed (basic scanning).
    pub scan_on_push: bool,
    /// Whose key it is encrypted with. It cannot be changed later.
    pub encryption: Encryption,
}

impl Default for RepositorySettings {
    /// Tags that can be moved, scanned when pushed, ECR's own key.
    fn default() -> Self {
        Self { immutable_tags: false, scan_on_push: true, encryption: Encryption::Provider }
    }
}

impl RepositorySettings {
    /// Sets [`immutable_tags`](Self::immutable_tags).
    #[must_use]
    pub const fn with_immutable_tags(mut self, immutable: bool) -> Self {
        self.immutable_tags = immutable;
        self
    }

    /// Sets [`scan_on_push`](Self::scan_on_push).
    #[must_use]
    pub const fn with_scan_on_push(mut self, scan: bool) -> Self {
        self.scan_on_push = scan;
        self
    }

    /// Sets [`encryption`](Self::encryption).
    #[must_use]
    pub fn with_encryption(mut self, encryption: Encryption) -> Self {
        self.encryption = encryption;
        self
    }
}

/// The registry of one account in one region. Cheap to clone; clones share the password.
#[derive(Clone)]
pub(crate) struct Ecr(Arc<Inner>);

struct Inner {
    api: Api,
    name: RegistryName,
    settings: RepositorySettings,
    password: Renewing<Secret>,
}

impl Ecr {
    pub(crate) fn new(api: Api, name: RegistryName, settings: RepositorySettings) -> Self {
        let password =
            Renewing::new(Passwords { api: api.clone(), host: name.host.clone() }, api.ways().runtime.clone());
        Self(Arc::new(Inner { api, name, settings, password }))
    }

    /// Whether blobs are mounted from one repository to another, which is a setting of the account.
    pub(crate) async fn mounts_blobs(&self) -> Result<bool> {
        let ask = Ask::ecr("GetAccountSetting", &json!({"name": "BLOB_MOUNTING"}))
            .reads()
            .doing("ecr:GetAccountSetting", &self.subject(""));
        let answer = self.0.api.ask(ask).await?.accepted()?;
        Ok(answer.json()?["value"].as_str() == Some("ENABLED"))
    }

    /// The registry, or a repository of it.
    fn subject(&self, path: &str) -> String {
        let host = &self.0.name.host;
        if path.is_empty() { format!("registry `{host}`") } else { format!("repository `{host}/{path}`") }
    }

    /// The repository's path, if it is one of this registry.
    fn own<'a>(&self, repository: &'a Repository) -> Result<&'a str> {
        let (host, path) = repository.as_str().split_once('/').unwrap_or_default();
        self.is_own(host)?;
        Ok(path)
    }

    fn is_own(&self, host: &str) -> Result<()> {
        if host.eq_ignore_ascii_case(&self.0.name.host) {
            return Ok(());
        }
        Err(Error::new(ErrorCode::PermissionDenied, "this is a registry of another account or region")
            .on(format!("registry `{}`", text::line(host, 100)))
            .with_hint(format!("use `{}`, or credentials of the account that the other one is of", self.0.name.host)))
    }

    /// The parameters of an operation on a repository. The account is named where it is known: a repository of another
    /// account cannot answer by mistake then.
    fn about(&self, path: &str, more: Value) -> Value {
        let mut parameters = json!({"repositoryName": path});
        if let Some(parameters) = parameters.as_object_mut() {
            if let Some(account) = &self.0.name.account {
                parameters.insert("registryId".to_owned(), json!(account));
            }
            if let Value::Object(more) = more {
                parameters.extend(more);
            }
        }
        parameters
    }

    async fn ask(&self, operation: &str, action: &'static str, path: &str, more: Value) -> Result<Answer> {
        let ask = Ask::ecr(operation, &self.about(path, more)).reads().doing(action, &self.subject(path));
        self.0.api.ask(ask).await
    }

    /// What the manifests of these images say: which images they consist of, and which one they are about.
    async fn manifests(
        &self,
        path: &str,
        images: &[Digest],
    ) -> Result<BTreeMap<Digest, (Vec<Digest>, Option<Digest>)>> {
        let mut found = BTreeMap::new();
        for batch in images.chunks(BATCH) {
            let ids: Vec<_> = batch.iter().map(|digest| json!({"imageDigest": digest})).collect();
            let more = json!({"imageIds": ids, "acceptedMediaTypes": MANIFESTS});
            let answer = self.ask("BatchGetImage", "ecr:BatchGetImage", path, more).await?.accepted()?;
            let document = answer.json()?;
            // One that went in between is no image any more.
            refuse_failures(&answer, &document, &["ImageNotFound"])?;
            for image in list(&document, "images") {
                let digest = digest_of(&image["imageId"]["imageDigest"]);
                let digest = digest.ok_or_else(|| answer.nonsense("names an image without a digest"))?;
                let manifest =
                    image["imageManifest"].as_str().and_then(|text| serde_json::from_str::<Value>(text).ok());
                // One that cannot be read may need others, which would be swept.
                let manifest = manifest.filter(Value::is_object);
                let manifest = manifest.ok_or_else(|| answer.nonsense("holds a manifest that cannot be read"))?;
                let children = list(&manifest, "manifests").filter_map(|child| digest_of(&child["digest"])).collect();
                found.insert(digest, (children, digest_of(&manifest["subject"]["digest"])));
            }
        }
        Ok(found)
    }
}

impl fmt::Debug for Ecr {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_tuple("Ecr").field(&self.0.name.host).finish()
    }
}

/// Passwords of the registry, which last twelve hours (`GetAuthorizationToken`).
struct Passwords {
    api: Api,
    host: String,
}

#[async_trait]
impl Lender<Secret> for Passwords {
    async fn lend(&self) -> Result<Lent<Secret>> {
        let ask = Ask::ecr("GetAuthorizationToken", &json!({}))
            .reads()
            .doing("ecr:GetAuthorizationToken", &format!("registry `{}`", self.host));
        let answer = self.api.ask(ask).await?.accepted()?;
        let document = answer.json()?;
        let given = list(&document, "authorizationData").next().unwrap_or(&Value::Null);
        let token = given["authorizationToken"].as_str().and_then(|token| STANDARD.decode(token).ok());
        let token = token.and_then(|token| String::from_utf8(token).ok());
        let password = token.as_deref().and_then(|token| token.strip_prefix("AWS:")).filter(|rest| !rest.is_empty());
        let password = password.ok_or_else(|| answer.nonsense("holds no password"))?;
        let expires = moment::in_json(&given["expiresAt"]).ok_or_else(|| answer.nonsense("names no end"))?;
        Ok(Lent { value: Secret::new(password), expires: Some(expires) })
    }
}

impl fmt::Debug for Passwords {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "passwords of registry `{}`", self.host)
    }
}

#[async_trait]
impl RegistryCredentials for Ecr {
    async fn credential(&self, host: &str, asked: Asked) -> Result<Credential> {
        // Nobody else is ever given it, whatever image names them.
        if !host.eq_ignore_ascii_case(&self.0.name.host) {
            return Ok(Credential::Anonymous);
        }
        let mut secret = self.0.password.get().await?;
        if asked == Asked::Refused {
            self.0.password.refused(&secret).await;
            secret = self.0.password.get().await?;
        }
        Ok(Credential::Basic { username: "AWS".to_owned(), secret })
    }
}

#[async_trait]
impl RepositoryCreator for Ecr {
    async fn create(&self, host: &str, path: &str) -> Result<()> {
        self.is_own(host)?;
        if !is_repository_name(path) {
            return Err(Error::new(ErrorCode::ValueInvalid, "ECR takes no such name of a repository")
                .on(format!("repository `{}`", text::line(path, 200)))
                .with_hint("use 2 to 256 lower-case letters, digits and single `.`, `_`, `-`, in parts between `/`"));
        }
        let RepositorySettings { immutable_tags, scan_on_push, encryption } = &self.0.settings;
        let encryption = match encryption {
            Encryption::CustomerKey(key) => json!({"encryptionType": "KMS", "kmsKey": key}),
            _ => json!({"encryptionType": "AES256"}),
        };
        let more = json!({
            "tags": tags::in_json(),
            "imageTagMutability": if *immutable_tags { "IMMUTABLE" } else { "MUTABLE" },
            "imageScanningConfiguration": {"scanOnPush": scan_on_push},
            "encryptionConfiguration": encryption,
        });
        // A second one is refused as there already.
        let answer = self.ask("CreateRepository", "ecr:CreateRepository", path, more).await?;
        if answer.refusal().is_some_and(|refusal| refusal.code == "RepositoryAlreadyExistsException") {
            return Ok(());
        }
        answer.accepted().map(drop)
    }
}

#[async_trait]
impl ImageCatalog for Ecr {
    async fn images(&self, repository: &Repository) -> Result<Vec<ImageRecord>> {
        let path = self.own(repository)?;
        let mut records = Vec::new();
        let mut page = Value::Null;
        for _ in 0..PAGES_MOST {
            let mut more = json!({"maxResults": PAGE});
            if page.is_string() {
                more["nextToken"] = page.take();
            }
            let answer = self.ask("DescribeImages", "ecr:DescribeImages", path, more).await?.accepted()?;
            let mut document = answer.json()?;
            for image in list(&document, "imageDetails") {
                records.push(record(image).ok_or_else(|| answer.nonsense("describes something else than an image"))?);
            }
            page = document.get_mut("nextToken").map(Value::take).unwrap_or_default();
            if !page.is_string() {
                break;
            }
        }
        if page.is_string() {
            let many = PAGES_MOST * PAGE;
            return Err(Error::new(ErrorCode::CloudAnswerInvalid, format!("the list of images goes on after {many}"))
                .on(self.subject(path)));
        }
        let digests: Vec<_> = records.iter().map(|record| record.digest).collect();
        let mut manifests = self.manifests(path, &digests).await?;
        records.retain_mut(|record| {
            let Some((children, subject)) = manifests.remove(&record.digest) else { return false };
            record.children = children;
            record.subject = subject;
            true
        });
        Ok(records)
    }

    async fn remove(&self, repository: &Repository, images: &[Digest]) -> Result<()> {
        let path = self.own(repository)?;
        for batch in images.chunks(BATCH) {
            let ids: Vec<_> = batch.iter().map(|digest| json!({"imageDigest": digest})).collect();
            let answer = self.ask("BatchDeleteImage", "ecr:BatchDeleteImage", path, json!({"imageIds": ids})).await?;
            let answer = answer.accepted()?;
            let mut document = answer.json()?;
            // Indexes come first; what they consist of may be in the same call, and is refused then until they are gone.
            let referenced: Vec<_> = list(&document, "failures")
                .filter(|failure| failure["failureCode"] == "ImageReferencedByManifestList")
                .map(|failure| json!({"imageDigest": failure["imageId"]["imageDigest"]}))
                .collect();
            if !referenced.is_empty() && referenced.len() < batch.len() {
                let more = json!({"imageIds": referenced});
                let again = self.ask("BatchDeleteImage", "ecr:BatchDeleteImage", path, more).await?.accepted()?;
                if let Some(failures) = document.get_mut("failures").and_then(Value::as_array_mut) {
                    failures.retain(|failure| failure["failureCode"] != "ImageReferencedByManifestList");
                }
                refuse_failures(&again, &again.json()?, &["ImageNotFound"])?;
            }
            refuse_failures(&answer, &document, &["ImageNotFound"])?;
        }
        Ok(())
    }
}

fn list<'a>(document: &'a Value, name: &str) -> impl Iterator<Item = &'a Value> + use<'a> {
    document[name].as_array().map(Vec::as_slice).unwrap_or_default().iter()
}

fn digest_of(value: &Value) -> Option<Digest> {
    value.as_str()?.parse().ok()
}

fn record(image: &Value) -> Option<ImageRecord> {
    Some(ImageRecord {
        digest: digest_of(&image["imageDigest"])?,
        tags: list(image, "imageTags").filter_map(|tag| ImageTag::new(tag.as_str()?).ok()).collect(),
        pushed: moment::in_json(&image["imagePushedAt"])?,
        children: Vec::new(),
        subject: None,
    })
}

/// An answer may be a success and name what failed.
fn refuse_failures(answer: &Answer, document: &Value, but: &[&str]) -> Result<()> {
    let code = |failure: &Value| failure["failureCode"].as_str().unwrap_or("no code").to_owned();
    let Some(failure) = list(document, "failures").find(|failure| !but.contains(&code(failure).as_str())) else {
        return Ok(());
    };
    let said = format!("failed with {}: {}", code(failure), failure["failureReason"].as_str().unwrap_or_default());
    let error = answer.nonsense(&text::line(&said, 300));
    let again = |code| Error::new(code, error.message().to_owned()).on(error.subject());
    Err(match code(failure).as_str() {
        "ImageReferencedByManifestList" => {
            again(ErrorCode::ObjectConflict).with_hint("remove the index that names the image first")
        }
        "KmsError" => again(ErrorCode::PermissionDenied).with_hint("check the repository's key of KMS"),
        "UpstreamAccessDenied" => again(ErrorCode::PermissionDenied)
            .with_hint("correct the credentials that the pull through cache rule has for the registry behind it"),
        "UpstreamTooManyRequests" | "UpstreamUnavailable" => again(ErrorCode::CloudUnavailable),
        "ImageInaccessible" => again(ErrorCode::ObjectMissing)
            .with_hint("restore the image, which was archived in between, or leave it out"),
        _ => error,
    })
}

/// `CreateRepository` of the ECR API reference.
fn is_repository_name(name: &str) -> bool {
    let is_word = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    let part = |part: &str| {
        let bytes = part.as_bytes();
        let ends = bytes.first().zip(bytes.last());
        ends.is_some_and(|(first, last)| is_word(*first) && is_word(*last))
            && bytes.iter().all(|byte| is_word(*byte) || matches!(byte, b'.' | b'_' | b'-'))
            && bytes.windows(2).all(|pair| is_word(pair[0]) || is_word(pair[1]))
    };
    (2..=256).contains(&name.len()) && name.split('/').all(part)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_fails_within_an_answer_has_a_code_and_a_next_step_of_its_own() {
        for (failure, code, hint) in [
            ("ImageReferencedByManifestList", ErrorCode::ObjectConflict, "index"),
            ("KmsError", ErrorCode::PermissionDenied, "KMS"),
            ("UpstreamAccessDenied", ErrorCode::PermissionDenied, "pull through cache"),
            ("UpstreamTooManyRequests", ErrorCode::CloudUnavailable, "resume"),
            ("UpstreamUnavailable", ErrorCode::CloudUnavailable, "resume"),
            ("ImageInaccessible", ErrorCode::ObjectMissing, "restore"),
            ("InvalidImageDigest", ErrorCode::CloudAnswerInvalid, "address"),
        ] {
            let document = json!({"failures": [{"failureCode": failure, "failureReason": "why"}]});
            let answer = Answer::about("ecr:BatchGetImage", "repository `a`");
            let error = refuse_failures(&answer, &document, &["ImageNotFound"]).expect_err(failure);
            assert_eq!((error.code(), error.subject()), (code, "repository `a`"), "{error}");
            assert!(error.message().contains(failure) && error.hint().contains(hint), "{}", error.sentence());
            refuse_failures(&answer, &document, &[failure]).expect("it does not count");
        }
    }

    #[test]
    fn names_of_repositories_are_those_that_ecr_takes() {
        for name in ["ab", "chalk/engine-prod", "a.b_c-d/e0"] {
            assert!(is_repository_name(name), "{name}");
        }
        for name in ["", "a", "A/b", "/a", "a/", "a//b", "a--b", "-ab", "ab-", "a b", &"a".repeat(257)] {
            assert!(!is_repository_name(name), "{name}");
        }
    }
}
