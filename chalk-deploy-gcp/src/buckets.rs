//! Buckets of Cloud Storage, made and set up by the JSON API.
//!
//! A setting is changed only where it is not as the plan says, under the condition that nobody has changed the bucket
//! since it was read (`ifMetagenerationMatch`). What is there beside the plan stays: other rules, other origins, other
//! labels.
//!
//! | the plan says | the bucket has |
//! |---|---|
//! | always | uniform bucket-level access, public access prevention, the label of `tags` |
//! | origins | a CORS entry for GET |
//! | encryption | `encryption.defaultKmsKeyName`; Google's own keys are the default |
//! | versioned | `versioning` |
//! | retention | `retentionPolicy`; with versions, which exclude one, `objectRetention` |
//! | leftovers | lifecycle rules `AbortIncompleteMultipartUpload` and `Delete` of noncurrent versions |
//!
//! What is removed stays restorable for a week (`softDeletePolicy`, at creation). Requests without TLS cannot be
//! refused by a setting of a bucket; none is ever sent from here.

use std::time::Duration;

use async_trait::async_trait;
use chalk_deploy_core::provision::{BucketKeeper, BucketPlan, Encryption, KeptBucket, Origin};
use chalk_deploy_core::{Error, ErrorCode, Result, text};
use http::{Method, StatusCode};
use serde_json::{Map, Value, json};

use crate::api::{Answer, Api, Call};
use crate::permissions::{BUCKET_CREATE, BUCKET_GET, BUCKET_LIST, BUCKET_RETENTION, BUCKET_UPDATE};
use crate::tags::{LABEL, is_marked, labels};

/// How often a bucket is read again because somebody else has changed it.
const ATTEMPTS: u32 = 4;
/// The least that a soft-delete policy can keep ("Soft delete").
const RESTORABLE: Duration = Duration::from_hours(7 * 24);
/// A browser asks again for leave after this.
const CORS_AGE: u32 = 3600;

/// The buckets of one project in one location.
#[derive(Debug, Clone)]
pub(crate) struct Buckets {
    api: Api,
    project: String,
    location: String,
}

/// What is to be changed at a bucket, and what cannot be.
#[derive(Debug, Default)]
struct Change {
    patch: Map<String, Value>,
    changed: Vec<&'static str>,
    cannot: Vec<String>,
}

impl Buckets {
    pub(crate) const fn new(api: Api, project: String, location: String) -> Self {
        Self { api, project, location }
    }

    async fn get(&self, name: &str, subject: &str) -> Result<Option<Value>> {
        let call = Call::new(Method::GET, format!("/storage/v1/b/{name}"), subject).needs(BUCKET_GET);
        let answer = self.api.ask(call).await?;
        match answer.status {
            StatusCode::NOT_FOUND => Ok(None),
            StatusCode::FORBIDDEN => Err(foreign(answer.refusal().error(subject, Some(BUCKET_GET)))),
            _ => answer.document().map(Some),
        }
    }

    /// Whether a bucket is the project's own. Names are the whole world's: whoever takes one first, and lets us in,
    /// would be given what is written there.
    async fn check_owner(&self, name: &str, subject: &str) -> Result<()> {
        let call = Call::new(Method::GET, "/storage/v1/b", subject)
            .query("project", &self.project)
            .query("prefix", name)
            .query("fields", "items(name)")
            .needs(BUCKET_LIST);
        let listed: Value = self.api.ask(call).await?.document()?;
        let items = listed["items"].as_array().map(Vec::as_slice).unwrap_or_default();
        if items.iter().any(|item| item["name"] == *name) {
            return Ok(());
        }
        Err(Error::new(ErrorCode::PermissionDenied, format!("the bucket is not in the project {}", self.project))
            .on(subject)
            .with_hint("choose another prefix: the name is taken by another project"))
    }

    async fn insert(&self, plan: &BucketPlan, subject: &str) -> Result<Answer> {
        let mut bucket = json!({
            "name": plan.name,
            "location": self.location,
            "labels": labels(),
            "iamConfiguration": access(),
            "softDeletePolicy": {"retentionDurationSeconds": RESTORABLE.as_secs().to_string()},
            "lifecycle": {"rule": rules(plan)},
        });
        if !plan.origins.is_empty() {
            bucket["cors"] = json!([cors(plan, |_| true)]);
        }
        if let Encryption::CustomerKey(key) = &plan.encryption {
            bucket["encryption"] = json!({"defaultKmsKeyName": key});
        }
        if plan.versioned {
            bucket["versioning"] = json!({"enabled": true});
        }
        let mut call = Call::new(Method::POST, "/storage/v1/b", subject).query("project", &self.project);
        call = match plan.retention {
            Some(_) if plan.versioned => call.query("enableObjectRetention", "true").needs(BUCKET_RETENTION),
            Some(retention) => {
                bucket["retentionPolicy"] = json!({"retentionPeriod": whole_seconds(retention).to_string()});
                call.needs(BUCKET_CREATE)
            }
            None => call.needs(BUCKET_CREATE),
        };
        self.api.ask(call.json(bucket)).await
    }

    async fn patch(&self, name: &str, bucket: &Value, patch: &Map<String, Value>, subject: &str) -> Result<Answer> {
        let generation = bucket["metageneration"].as_str().unwrap_or_default();
        let call = Call::new(Method::PATCH, format!("/storage/v1/b/{name}"), subject)
            .query("ifMetagenerationMatch", generation)
            .needs(BUCKET_UPDATE)
            .json(Value::Object(patch.clone()));
        self.api.ask(call).await
    }

    fn check_location(&self, bucket: &Value, subject: &str) -> Result<()> {
        let location = bucket["location"].as_str().unwrap_or_default();
        if location.eq_ignore_ascii_case(&self.location) {
            return Ok(());
        }
        let found = text::line(&location.to_ascii_lowercase(), 60);
        Err(Error::new(ErrorCode::ValueInvalid, format!("the bucket lies in {found}, and not in {}", self.location))
            .on(subject)
            .with_hint("set the location of the bucket, or choose another prefix; a bucket is never moved from here"))
    }
}

#[async_trait]
impl BucketKeeper for Buckets {
    async fn keep(&self, plan: &BucketPlan) -> Result<KeptBucket> {
        check(plan)?;
        let subject = format!("bucket `{}`", plan.name);
        let mut kept = KeptBucket::new(&plan.name);
        let mut is_ours = false;
        for _ in 0..ATTEMPTS {
            let Some(bucket) = self.get(&plan.name, &subject).await? else {
                let answer = self.insert(plan, &subject).await?;
                // Somebody else was first, or an answer was lost: what is there is looked at.
                if answer.status != StatusCode::CONFLICT {
                    let made: Value = answer.document().map_err(|error| keyed(error, plan))?;
                    kept.created = true;
                    kept.cannot = Change::of(&made, plan).cannot;
                    return Ok(kept);
                }
                continue;
            };
            if !is_ours {
                self.check_owner(&plan.name, &subject).await?;
                is_ours = true;
            }
            self.check_location(&bucket, &subject)?;
            let change = Change::of(&bucket, plan);
            kept.cannot = change.cannot;
            if change.patch.is_empty() {
                return Ok(kept);
            }
            let answer = self.patch(&plan.name, &bucket, &change.patch, &subject).await?;
            let is_raced = answer.status == StatusCode::PRECONDITION_FAILED;
            if !is_raced || answer.refusal().is_forbidden_by_policy() {
                answer.document::<Value>().map_err(|error| keyed(error, plan))?;
                kept.changed = change.changed;
                return Ok(kept);
            }
        }
        Err(Error::new(ErrorCode::CloudUnavailable, "somebody else changes the bucket at the same time")
            .on(subject)
            .with_hint("resume when they are done"))
    }
}

impl Change {
    fn of(bucket: &Value, plan: &BucketPlan) -> Self {
        let mut change = Self::default();
        change.access(bucket);
        change.cors(bucket, plan);
        if let Encryption::CustomerKey(key) = &plan.encryption
            && bucket["encryption"]["defaultKmsKeyName"] != **key
        {
            change.set("encryption", "encryption", json!({"defaultKmsKeyName": key}));
        }
        change.versioning_and_retention(bucket, plan);
        change.lifecycle(bucket, plan);
        if !bucket["labels"].as_object().is_some_and(is_marked) {
            // A patch of a map leaves the other keys.
            change.set("labels", "tags", json!({LABEL.0: LABEL.1}));
        }
        change
    }

    fn set(&mut self, field: &str, word: &'static str, value: Value) {
        self.patch.insert(field.to_owned(), value);
        self.changed.push(word);
    }

    fn access(&mut self, bucket: &Value) {
        let found = &bucket["iamConfiguration"];
        let is_uniform = found["uniformBucketLevelAccess"]["enabled"] == true;
        if !is_uniform || found["publicAccessPrevention"] != "enforced" {
            self.set("iamConfiguration", "access", access());
        }
    }

    fn cors(&mut self, bucket: &Value, plan: &BucketPlan) {
        let entries = bucket["cors"].as_array().map(Vec::as_slice).unwrap_or_default();
        let lists = |entry: &Value, field: &str, word: &str| {
            entry[field].as_array().is_some_and(|listed| listed.iter().any(|it| it == word))
        };
        let is_there =
            |origin: &str| entries.iter().any(|entry| lists(entry, "method", "GET") && lists(entry, "origin", origin));
        if plan.origins.iter().all(|origin| is_there(origin.as_str())) {
            return;
        }
        let mut entries = entries.to_vec();
        entries.push(cors(plan, |origin| !is_there(origin)));
        self.set("cors", "cors", Value::Array(entries));
    }

    fn versioning_and_retention(&mut self, bucket: &Value, plan: &BucketPlan) {
        let is_versioned = bucket["versioning"]["enabled"] == true;
        let policy = &bucket["retentionPolicy"];
        let period = policy["retentionPeriod"].as_str().and_then(|seconds| seconds.parse::<u64>().ok());
        if plan.versioned && !is_versioned {
            if period.is_some() {
                self.cannot.push(
                    "versions: the bucket has a retention policy, and Google keeps no versions beside one".to_owned(),
                );
            } else {
                self.set("versioning", "versioning", json!({"enabled": true}));
            }
        }
        let Some(wanted) = plan.retention.map(whole_seconds) else { return };
        if plan.versioned || is_versioned {
            if bucket["objectRetention"]["mode"] == "Enabled" {
                self.cannot.push(format!(
                    "retention of every object for {wanted} s: Google has none beside versions; single objects can be \
                     retained"
                ));
            } else {
                self.cannot.push(format!(
                    "retention for {wanted} s: Google has none beside versions, and single objects can be retained only \
                     in a bucket that was made for it"
                ));
            }
            return;
        }
        match period {
            // A longer one may be locked, and is somebody's decision.
            Some(period) if period > wanted => {
                self.cannot.push(format!("retention for {wanted} s: the bucket keeps its objects for {period} s"));
            }
            Some(period) if period == wanted => {}
            _ => self.set("retentionPolicy", "retention", json!({"retentionPeriod": wanted.to_string()})),
        }
    }

    fn lifecycle(&mut self, bucket: &Value, plan: &BucketPlan) {
        let found = bucket["lifecycle"]["rule"].as_array().map(Vec::as_slice).unwrap_or_default();
        let wanted = rules(plan);
        if wanted.iter().all(|rule| found.iter().any(|it| same_rule(it, rule))) {
            return;
        }
        // Ours with other days are replaced, those of others stay.
        let others = found.iter().filter(|rule| !wanted.iter().any(|it| same_kind(it, rule))).cloned();
        let rule: Vec<_> = others.chain(wanted.iter().cloned()).collect();
        self.set("lifecycle", "lifecycle", json!({"rule": rule}));
    }
}

fn access() -> Value {
    json!({"uniformBucketLevelAccess": {"enabled": true}, "publicAccessPrevention": "enforced"})
}

fn cors(plan: &BucketPlan, wanted: impl Fn(&str) -> bool) -> Value {
    let origins: Vec<_> = plan.origins.iter().map(Origin::as_str).filter(|origin| wanted(origin)).collect();
    json!({
        "origin": origins,
        "method": ["GET"],
        "responseHeader": ["Content-Type", "Content-Length", "Content-Range", "ETag"],
        "maxAgeSeconds": CORS_AGE,
    })
}

fn rules(plan: &BucketPlan) -> [Value; 2] {
    let days = plan.leftovers.as_secs().div_ceil(86_400).max(1);
    [
        json!({"action": {"type": "AbortIncompleteMultipartUpload"}, "condition": {"age": days}}),
        json!({"action": {"type": "Delete"}, "condition": {"daysSinceNoncurrentTime": days, "isLive": false}}),
    ]
}

fn same_rule(one: &Value, other: &Value) -> bool {
    one["action"]["type"] == other["action"]["type"] && one["condition"] == other["condition"]
}

/// The same action under a condition on the same things.
fn same_kind(one: &Value, other: &Value) -> bool {
    let keys = |rule: &Value| rule["condition"].as_object().map(|it| it.keys().cloned().collect::<Vec<_>>());
    one["action"]["type"] == other["action"]["type"] && keys(one) == keys(other)
}

fn whole_seconds(duration: Duration) -> u64 {
    duration.as_secs() + u64::from(duration.subsec_nanos() > 0)
}

/// "Bucket naming" of Google's documentation, for names without dots.
fn check(plan: &BucketPlan) -> Result<()> {
    let name = &plan.name;
    let wrong = |why: &str| {
        Error::new(ErrorCode::ValueInvalid, why)
            .on(format!("bucket `{}`", text::line(name, 100)))
            .with_hint("use 3 to 63 lower-case letters, digits and inner hyphens")
    };
    let named = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    if !(3..=63).contains(&name.len()) || !name.bytes().all(named) || name.starts_with('-') || name.ends_with('-') {
        return Err(wrong("no bucket can have this name"));
    }
    if name.contains("google") || name.starts_with("goog") {
        return Err(wrong("Google keeps such names to itself"));
    }
    let years = 100 * 365 * 24 * 3600;
    if plan.retention.is_some_and(|retention| retention.is_zero() || whole_seconds(retention) > years) {
        return Err(wrong("a retention lasts between a second and a hundred years").with_hint("set another retention"));
    }
    if let Encryption::CustomerKey(key) = &plan.encryption {
        let parts: Vec<_> = key.split('/').collect();
        let is_key = matches!(parts[..], ["projects", _, "locations", _, "keyRings", _, "cryptoKeys", _]);
        if !is_key || parts.iter().any(|part| part.is_empty()) {
            let shown = text::line(key, 200);
            return Err(Error::new(ErrorCode::ValueInvalid, "this is no key of Cloud KMS")
                .on(format!("key `{shown}`"))
                .with_hint("write projects/P/locations/L/keyRings/R/cryptoKeys/K"));
        }
    }
    Ok(())
}

/// A 403 of a name: it may be somebody else's.
fn foreign(error: Error) -> Error {
    if error.code() != ErrorCode::PermissionDenied {
        return error;
    }
    let hint = format!("{}; or the name is another project's, then choose another prefix", error.hint());
    error.with_hint(hint)
}

/// A 403 about a key is about the agent of Cloud Storage, and not about us.
fn keyed(error: Error, plan: &BucketPlan) -> Error {
    let says = |word: &str| error.message().to_ascii_lowercase().contains(word);
    let is_about_key = matches!(plan.encryption, Encryption::CustomerKey(_)) && (says("cryptokey") || says("kms key"));
    if !is_about_key {
        return error;
    }
    error.with_hint(
        "grant roles/cloudkms.cryptoKeyEncrypterDecrypter on the key to the service agent of Cloud Storage, and use a key \
         in the location of the bucket",
    )
}
