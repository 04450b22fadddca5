//! The seven queues of the Metadata Plane (seed 001), made and set up. Of the three clouds only AWS has them, so that the plan
//! stands here and not in the core.
//!
//! A queue is made with all its attributes and our tag in one request, so that it never stands there open or untagged. One that
//! is there is read, and only what differs is written: statements of others in its policy, other tags, a longer retention and
//! a key of the customer's stay as they are.

mod attributes;
mod plan;

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use chalk_deploy_core::provision::MANAGED_BY;
use chalk_deploy_core::{Error, ErrorCode, Result, text};
use serde_json::{Map, Value, json};

pub use self::plan::{DeadLetters, QueuePlan, QueueRole};

use self::attributes::{Redrive, Wanted};
use crate::api::{Answer, Api, Ask};
use crate::settings::account_id;
use crate::xml;

/// No address of a queue is longer.
const ADDRESS_MOST: usize = 1024;
/// How long a new queue may not be known yet (`CreateQueue` of the SQS API reference).
const SETTLING: Duration = Duration::from_secs(1);

/// What was done to a queue.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct KeptQueue {
    /// Its name.
    pub name: String,
    /// Its name among all resources of AWS.
    pub arn: String,
    /// Whether it was made now, with all its settings.
    pub created: bool,
    /// The settings that were changed at one that was there, in words: `tags`, `encryption`, `policy`, `retention`,
    /// `visibility`, `dead letters`.
    pub changed: Vec<&'static str>,
    /// What was done to the queue of its dead letters.
    pub dead_letters: Option<Box<Self>>,
}

/// Makes queues of SQS in one account and region, and sets them up. Cheap to clone.
#[derive(Debug, Clone)]
pub struct QueueKeeper(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    api: Api,
    /// The account that the credentials must be of, if it was named.
    account: Option<String>,
    /// The account that they are of.
    found: OnceLock<String>,
}

impl QueueKeeper {
    pub(crate) fn new(api: Api, account: Option<String>) -> Self {
        Self(Arc::new(Inner { api, account, found: OnceLock::new() }))
    }

    /// Makes a queue as the plan says, and the one of its dead letters, or sets up those that are there. Messages are
    /// always encrypted, and requests without TLS refused.
    ///
    /// **Idempotency.** A queue that is as the plan says is left alone: it costs three requests that only read. Settings
    /// beside those of the plan stay.
    ///
    /// **After a crash.** The queue of the dead letters may be there without the other one; the same call goes on. Nothing
    /// is removed.
    ///
    /// # Errors
    /// [`ErrorCode::ValueInvalid`] for a plan that SQS would not take; [`ErrorCode::PermissionDenied`], also when the
    /// credentials are of another account; [`ErrorCode::CloudUnavailable`], also in the minute after a queue of this name
    /// was removed; [`ErrorCode::ObjectConflict`] when others make and remove it at the same time.
    pub async fn keep(&self, plan: &QueuePlan) -> Result<KeptQueue> {
        plan.check()?;
        let account = self.account().await?;
        let region = self.0.api.region();
        let arn = |name: &str| format!("arn:{}:sqs:{}:{account}:{name}", region.partition(), region.as_str());
        let own = arn(&plan.name);
        let (mut redrive, mut letters) = (Redrive::Nothing, None);
        if let Some(wanted) = &plan.dead_letters {
            let name = plan.dead_letter_name();
            let kept = self
                .keep_one(&Wanted {
                    arn: arn(&name),
                    name,
                    encryption: &plan.encryption,
                    visibility: plan.visibility,
                    retention: wanted.retention,
                    redrive: Redrive::From(own.clone()),
                })
                .await?;
            if kept.created {
                // The other one names it, and is refused while it is not known.
                self.0.api.ways().runtime.sleep(SETTLING).await;
            }
            redrive = Redrive::To(kept.arn.clone(), wanted.receives);
            letters = Some(Box::new(kept));
        }
        let kept = self
            .keep_one(&Wanted {
                name: plan.name.clone(),
                arn: own,
                encryption: &plan.encryption,
                visibility: plan.visibility,
                retention: plan.retention,
                redrive,
            })
            .await?;
        Ok(KeptQueue { dead_letters: letters, ..kept })
    }

    async fn keep_one(&self, wanted: &Wanted<'_>) -> Result<KeptQueue> {
        let kept = |created, changed| KeptQueue {
            name: wanted.name.clone(),
            arn: wanted.arn.clone(),
            created,
            changed,
            dead_letters: None,
        };
        if let Some(address) = self.address(wanted).await? {
            return Ok(kept(false, self.set_up(wanted, &address).await?));
        }
        let answer = self.create(wanted).await?;
        if answer.refusal().is_none_or(|refusal| refusal.code != "QueueNameExists") {
            answer.accepted()?;
            return Ok(kept(true, Vec::new()));
        }
        // Somebody has made one with other settings in between. If it is gone again, that is the answer.
        match self.address(wanted).await? {
            Some(address) => Ok(kept(false, self.set_up(wanted, &address).await?)),
            None => answer.accepted().map(|_| kept(false, Vec::new())),
        }
    }

    /// The account of the credentials, which the names of the queues hold. STS says it to everybody, without a permission.
    async fn account(&self) -> Result<String> {
        if let Some(account) = self.0.found.get() {
            return Ok(account.clone());
        }
        let ask = Ask::sts("GetCallerIdentity", &[]).doing("sts:GetCallerIdentity", "credentials of AWS");
        let answer = self.0.api.ask(ask).await?.accepted()?;
        let found = xml::text(&answer.text(), "Account").and_then(|account| account_id(&account).ok());
        let found = found.ok_or_else(|| answer.nonsense("names no account"))?;
        match &self.0.account {
            Some(named) if *named != found => {
                Err(Error::new(ErrorCode::PermissionDenied, format!("they are of account {found}, not of {named}"))
                    .on("credentials of AWS")
                    .with_hint("use credentials of the account that was named, or correct `with_account`"))
            }
            _ => Ok(self.0.found.get_or_init(|| found).clone()),
        }
    }

    /// Where the queue is, if it is there.
    async fn address(&self, wanted: &Wanted<'_>) -> Result<Option<String>> {
        let parameters = json!({"QueueName": wanted.name});
        let answer = self.ask("GetQueueUrl", "sqs:GetQueueUrl", wanted, &parameters).await?;
        if answer.refusal().is_some_and(|refusal| {
            matches!(refusal.code.as_str(), "QueueDoesNotExist" | "AWS.SimpleQueueService.NonExistentQueue")
        }) {
            return Ok(None);
        }
        let answer = answer.accepted()?;
        let address = answer.json()?["QueueUrl"].as_str().map(str::to_owned);
        let address = address.filter(|address| (1..=ADDRESS_MOST).contains(&address.len()));
        address.ok_or_else(|| answer.nonsense("names no queue")).map(Some)
    }

    async fn create(&self, wanted: &Wanted<'_>) -> Result<Answer> {
        let attributes = attributes::of_a_new_one(wanted).map_err(|error| error.on(subject(&wanted.name)))?;
        let parameters = json!({"QueueName": wanted.name, "Attributes": attributes, "tags": our_tag()});
        self.ask("CreateQueue", "sqs:CreateQueue", wanted, &parameters).await
    }

    /// Changes what is not as planned. The tag first: without it the scoped role may do nothing else.
    async fn set_up(&self, wanted: &Wanted<'_>, address: &str) -> Result<Vec<&'static str>> {
        let mut words = Vec::new();
        let about = json!({"QueueUrl": address});
        let answer = self.ask("ListQueueTags", "sqs:ListQueueTags", wanted, &about).await?.accepted()?;
        if answer.json()?["Tags"][MANAGED_BY.0] != MANAGED_BY.1 {
            let parameters = json!({"QueueUrl": address, "Tags": our_tag()});
            self.ask("TagQueue", "sqs:TagQueue", wanted, &parameters).await?.accepted()?;
            words.push("tags");
        }
        let parameters = json!({"QueueUrl": address, "AttributeNames": ["All"]});
        let answer = self.ask("GetQueueAttributes", "sqs:GetQueueAttributes", wanted, &parameters).await?.accepted()?;
        let mut document = answer.json()?;
        let Some(Value::Object(there)) = document.get_mut("Attributes").map(Value::take) else {
            return Err(answer.nonsense("names no attributes"));
        };
        is_the_one(&there, wanted, &answer)?;
        let changes = attributes::changes(&there, wanted).map_err(|error| error.on(subject(&wanted.name)))?;
        if !changes.attributes.is_empty() {
            let parameters = json!({"QueueUrl": address, "Attributes": changes.attributes});
            self.ask("SetQueueAttributes", "sqs:SetQueueAttributes", wanted, &parameters).await?.accepted()?;
        }
        words.extend(changes.words);
        Ok(words)
    }

    /// Each of these has the same effect twice.
    async fn ask(
        &self,
        operation: &str,
        action: &'static str,
        wanted: &Wanted<'_>,
        parameters: &Value,
    ) -> Result<Answer> {
        self.0.api.ask(Ask::sqs(operation, parameters).reads().doing(action, &subject(&wanted.name))).await
    }
}

/// Whether it is the queue that our statement would name: a statement about another one is refused, or says nothing.
fn is_the_one(there: &Map<String, Value>, wanted: &Wanted<'_>, answer: &Answer) -> Result<()> {
    match there.get("QueueArn").and_then(Value::as_str) {
        Some(arn) if arn == wanted.arn => Ok(()),
        Some(arn) => Err(answer.nonsense(&format!("is about `{}`", text::line(arn, 200)))),
        None => Err(answer.nonsense("does not say which queue it is about")),
    }
}

fn our_tag() -> Value {
    let (key, value) = MANAGED_BY;
    json!({key: value})
}

fn subject(name: &str) -> String {
    format!("queue `{name}`")
}
