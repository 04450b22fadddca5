//! The five buckets of seed 001, made and set up.
//!
//! Each setting is read, compared and written only where it differs, and what others have put beside ours stays: rules of
//! CORS and of the lifecycle are told apart by their ids, statements of the policy by theirs, tags by their keys.

mod documents;

use async_trait::async_trait;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use chalk_deploy_core::model::Digest;
use chalk_deploy_core::provision::{BucketKeeper, BucketPlan, KeptBucket};
use chalk_deploy_core::{Error, ErrorCode, Result, text};
use http::{Method, StatusCode};

use self::documents::{Change, NAMESPACE};
use crate::api::{Answer, Api, Ask};
use crate::refusal::Refusal;
use crate::settings::Service;

/// What a lifecycle says beside its document. Written without it, it would be reset.
const TRANSITIONS: &str = "x-amz-transition-default-minimum-object-size";

/// Makes buckets of S3 in one region.
#[derive(Debug, Clone)]
pub(crate) struct S3Keeper {
    api: Api,
    /// The account that must own them, if it is known.
    account: Option<String>,
}

/// One setting of a bucket: the subresource, and the actions that read and write it.
struct Setting {
    word: &'static str,
    /// The subresource.
    query: &'static str,
    reads: &'static str,
    writes: &'static str,
    /// The codes that say that nothing was set yet.
    unset: &'static [&'static str],
}

/// A setting as it was found.
#[derive(Default)]
struct Found {
    document: String,
    transitions: Option<String>,
}

const SETTINGS: [Setting; 8] = [
    Setting {
        word: "public access",
        query: "publicAccessBlock",
        reads: "s3:GetBucketPublicAccessBlock",
        writes: "s3:PutBucketPublicAccessBlock",
        unset: &["NoSuchPublicAccessBlockConfiguration"],
    },
    Setting {
        word: "encryption",
        query: "encryption",
        reads: "s3:GetEncryptionConfiguration",
        writes: "s3:PutEncryptionConfiguration",
        unset: &["ServerSideEncryptionConfigurationNotFoundError"],
    },
    Setting {
        word: "versioning",
        query: "versioning",
        reads: "s3:GetBucketVersioning",
        writes: "s3:PutBucketVersioning",
        unset: &[],
    },
    Setting {
        word: "retention",
        query: "object-lock",
        reads: "s3:GetBucketObjectLockConfiguration",
        writes: "s3:PutBucketObjectLockConfiguration",
        unset: &["ObjectLockConfigurationNotFoundError"],
    },
    Setting {
        word: "policy",
        query: "policy",
        reads: "s3:GetBucketPolicy",
        writes: "s3:PutBucketPolicy",
        unset: &["NoSuchBucketPolicy"],
    },
    Setting {
        word: "tags",
        query: "tagging",
        reads: "s3:GetBucketTagging",
        writes: "s3:PutBucketTagging",
        unset: &["NoSuchTagSet", "NoSuchTagSetError"],
    },
    Setting {
        word: "lifecycle",
        query: "lifecycle",
        reads: "s3:GetLifecycleConfiguration",
        writes: "s3:PutLifecycleConfiguration",
        unset: &["NoSuchLifecycleConfiguration"],
    },
    Setting {
        word: "cors",
        query: "cors",
        reads: "s3:GetBucketCORS",
        writes: "s3:PutBucketCORS",
        unset: &["NoSuchCORSConfiguration"],
    },
];

impl S3Keeper {
    pub(crate) const fn new(api: Api, account: Option<String>) -> Self {
        Self { api, account }
    }

    fn ask(&self, method: Method, plan: &BucketPlan, query: &str, body: String, action: &'static str) -> Ask {
        let path = if query.is_empty() { "/".to_owned() } else { format!("/?{query}") };
        let has_body = !body.is_empty();
        let checksum = STANDARD.encode(Digest::of(&body).as_bytes());
        let mut ask = Ask::new(Service::S3, method, path, body).in_bucket(&plan.name).doing(action, &subject(plan));
        if has_body {
            let kind = if query == "policy" { "application/json" } else { "application/xml" };
            ask = ask.header("content-type", kind);
        }
        if has_body && !query.is_empty() {
            // The documents of settings want a checksum; the one of a new bucket takes none.
            ask = ask.header("x-amz-checksum-sha256", &checksum);
        }
        match (&self.account, action) {
            // Of a bucket that is not there nobody is the owner.
            (Some(account), action) if action != "s3:CreateBucket" => {
                ask.header("x-amz-expected-bucket-owner", account)
            }
            _ => ask,
        }
    }

    /// Whether the bucket is there, and ours.
    async fn is_there(&self, plan: &BucketPlan) -> Result<bool> {
        let answer = self.api.ask(self.ask(Method::HEAD, plan, "", String::new(), "s3:ListBucket")).await?;
        let region = answer.headers.get("x-amz-bucket-region").and_then(|region| region.to_str().ok());
        let ours = self.api.region().as_str();
        let elsewhere = region.filter(|region| *region != ours).map(|region| text::line(region, 40));
        let status = answer.refusal().map(|refusal| refusal.status);
        if status == Some(StatusCode::NOT_FOUND) {
            return Ok(false);
        }
        if elsewhere.is_none() && matches!(status, Some(StatusCode::BAD_REQUEST | StatusCode::FORBIDDEN)) {
            return self.is_there_with_words(plan).await;
        }
        if let Some(elsewhere) = elsewhere {
            return Err(Error::new(
                ErrorCode::ValueInvalid,
                format!("the bucket is in the region {elsewhere}, not in {ours}"),
            )
            .on(subject(plan))
            .with_hint("set the region that it is in, or use another name; a bucket cannot be moved"));
        }
        answer.accepted().map(|_| true)
    }

    /// The same question with the same permission, asked so that a refusal has words: an answer to HEAD has none, and an
    /// ended session, a clock that is off and a bucket of others would all look alike.
    async fn is_there_with_words(&self, plan: &BucketPlan) -> Result<bool> {
        let question = "list-type=2&max-keys=0";
        let answer = self.api.ask(self.ask(Method::GET, plan, question, String::new(), "s3:ListBucket")).await?;
        match answer.refusal() {
            Some(refusal) if refusal.code == "NoSuchBucket" => Ok(false),
            Some(refusal) if matches!(refusal.code.as_str(), "AccessDenied" | "AllAccessDisabled" | "") => {
                Err(Error::new(ErrorCode::PermissionDenied, "the bucket is there, and is not ours to see")
                    .on(subject(plan))
                    .with_hint(
                        "another account may have a bucket of this name: use another name; or allow `s3:*` on \
                         `arn:aws:s3:::chalk-*`",
                    ))
            }
            _ => answer.accepted().map(|_| true),
        }
    }

    /// Makes it. Returns whether somebody else of the same account was faster.
    async fn create(&self, plan: &BucketPlan) -> Result<bool> {
        let region = self.api.region().as_str();
        // The oldest region is the one that must not be named (`CreateBucket` of the S3 API reference).
        let body = if region == "us-east-1" {
            String::new()
        } else {
            format!(
                "<CreateBucketConfiguration xmlns=\"{NAMESPACE}\"><LocationConstraint>{region}</LocationConstraint>\
                 </CreateBucketConfiguration>"
            )
        };
        let mut ask = self
            .ask(Method::PUT, plan, "", body, "s3:CreateBucket")
            .header("x-amz-object-ownership", "BucketOwnerEnforced");
        if plan.retention.is_some() {
            ask = ask.header("x-amz-bucket-object-lock-enabled", "true");
        }
        let answer = self.api.ask(ask).await?;
        if answer.refusal().is_some_and(|refusal| refusal.code == "BucketAlreadyOwnedByYou") {
            return Ok(false);
        }
        answer.accepted().map(|_| true)
    }

    /// The document of a setting; empty where nothing was set. `None` where the server does not know the setting.
    async fn read(&self, plan: &BucketPlan, setting: &Setting) -> Result<Option<Found>> {
        let answer = self.api.ask(self.ask(Method::GET, plan, setting.query, String::new(), setting.reads)).await?;
        match answer.refusal() {
            Some(refusal) if setting.unset.contains(&refusal.code.as_str()) => Ok(Some(Found::default())),
            Some(refusal) if self.knows_not(refusal) => Ok(None),
            _ => {
                let answer = answer.accepted()?;
                let transitions = answer.headers.get(TRANSITIONS).and_then(|value| value.to_str().ok());
                let transitions = transitions.map(str::to_owned);
                Ok(Some(Found { document: answer.text().into_owned(), transitions }))
            }
        }
    }

    /// Whether this server has no such setting: one that only speaks like AWS. AWS itself says the same to who is of another
    /// account than the bucket.
    fn knows_not(&self, refusal: &Refusal) -> bool {
        refusal.is_unknown_here() && !self.api.is_of_aws(Service::S3)
    }

    async fn write(
        &self,
        plan: &BucketPlan,
        setting: &Setting,
        change: Change,
        transitions: Option<&str>,
    ) -> Result<Answer> {
        let (method, body) = match change {
            Change::Put(document) => (Method::PUT, document),
            Change::Delete => (Method::DELETE, String::new()),
        };
        let mut ask = self.ask(method, plan, setting.query, body, setting.writes);
        if let Some(transitions) = transitions {
            ask = ask.header(TRANSITIONS, transitions);
        }
        self.api.ask(ask).await
    }

    async fn set(&self, plan: &BucketPlan, setting: &Setting, kept: &mut KeptBucket) -> Result<()> {
        if setting.query == "object-lock" && plan.retention.is_none() {
            return Ok(());
        }
        let unknown =
            |kept: &mut KeptBucket| kept.cannot.push(format!("this server has no setting for {}", setting.word));
        let Some(Found { document, transitions }) = self.read(plan, setting).await? else {
            unknown(kept);
            return Ok(());
        };
        let change = documents::change(setting.query, &document, plan, self.api.region())
            .map_err(|error| error.on(subject(plan)))?;
        let Some(change) = change else { return Ok(()) };
        let answer = self.write(plan, setting, change, transitions.as_deref()).await?;
        match answer.refusal() {
            Some(refusal) if self.knows_not(refusal) => unknown(kept),
            Some(refusal) if setting.query == "object-lock" && refusal.code == "InvalidBucketState" => {
                kept.cannot
                    .push("this bucket was made without object lock, and cannot be given a retention".to_owned());
            }
            _ => {
                answer.accepted()?;
                kept.changed.push(setting.word);
            }
        }
        Ok(())
    }
}

#[async_trait]
impl BucketKeeper for S3Keeper {
    async fn keep(&self, plan: &BucketPlan) -> Result<KeptBucket> {
        check_name(&plan.name)?;
        let mut kept = KeptBucket::new(&plan.name);
        if !self.is_there(plan).await? {
            kept.created = self.create(plan).await?;
        }
        // Shut first; the tag, by which it is found again, before what is only convenient.
        for setting in &SETTINGS {
            self.set(plan, setting, &mut kept).await?;
        }
        Ok(kept)
    }
}

fn subject(plan: &BucketPlan) -> String {
    format!("bucket `{}`", text::line(&plan.name, 80))
}

/// "General purpose bucket naming rules" of the user guide, and seed 003: the scoped role reaches `chalk-*` alone.
fn check_name(name: &str) -> Result<()> {
    let usable = (3..=63).contains(&name.len())
        && name.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-')
        && !name.ends_with('-')
        && !["--x-s3", "-s3alias", "--ol-s3", "--table-s3", "-an"].iter().any(|end| name.ends_with(end));
    let refused = |why: &str, hint: &str| {
        Err(Error::new(ErrorCode::ValueInvalid, why)
            .on(format!("bucket `{}`", text::line(name, 80)))
            .with_hint(hint.to_owned()))
    };
    if !usable {
        return refused("S3 takes no such name", "use 3 to 63 lower-case letters, digits and hyphens");
    }
    if !name.starts_with("chalk-") {
        return refused(
            "the name does not begin with `chalk-`",
            "begin it so: the scoped role reaches no other buckets",
        );
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_one_that_s3_takes_and_the_scoped_role_reaches() {
        check_name("chalk-acme-source").expect("a name");
        for name in
            ["", "acme-source", "chalk-", "chalk-A", "chalk-a.b", "chalk-a/b", "chalk-a--x-s3", "chalk-a-s3alias"]
        {
            assert_eq!(check_name(name).expect_err(name).code(), ErrorCode::ValueInvalid);
        }
    }
}
