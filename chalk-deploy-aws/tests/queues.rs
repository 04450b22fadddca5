//! The seven queues of the Metadata Plane: what SQS is asked for, case by case, and on a few lines that behave as it does.

mod common;
mod policy;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use chalk_deploy_aws::{Cloud, KeptQueue, PERMISSIONS, QueuePlan, QueueRole, Reach};
use chalk_deploy_core::ErrorCode;
use chalk_deploy_core::error::Retry;
use chalk_deploy_core::provision::Encryption;
use chalk_deploy_core::runtime::Runtime as _;
use chalk_deploy_testkit::VirtualRuntime;
use chalk_deploy_testkit::recorded::Player;
use chalk_deploy_testkit::simulated::closure::{Answering, Reply, Seen};
use common::{ACCOUNT, assert_played, builder, player};
use policy::Asked;
use serde_json::{Map, Value, json};

const KEY: &str = "arn:aws:kms:us-east-1:123456789012:key/11111111-2222-3333-4444-555555555555";

fn plan(role: QueueRole) -> QueuePlan {
    let mut plans = QueuePlan::seven("acme").expect("a prefix").into_iter();
    plans.find(|plan| plan.role == role).expect("one of the seven")
}

/// A cloud on the identity of our account and these cases of SQS.
fn on(cases: &[&str]) -> (Player, Arc<VirtualRuntime>, Cloud) {
    let names: Vec<_> = cases.iter().map(|case| format!("sqs/{case}")).collect();
    let names: Vec<_> = std::iter::once("sts/get_caller_identity").chain(names.iter().map(String::as_str)).collect();
    let (player, runtime) = (player(&names), VirtualRuntime::new(1));
    let cloud = builder(player.transport(), runtime.clone()).build().expect("a cloud");
    (player, runtime, cloud)
}

async fn keep(cases: &[&str], plan: &QueuePlan) -> chalk_deploy_core::Result<KeptQueue> {
    let (player, _, cloud) = on(cases);
    let kept = cloud.queues().keep(plan).await;
    assert_played(&player);
    kept
}

// --- case by case -------------------------------------------------------------------------------------------------------

#[tokio::test(start_paused = true)]
async fn a_queue_is_made_in_one_request_after_the_one_of_its_dead_letters() {
    let cases = [
        "get_queue_url_missing_letters",
        "create_queue_letters",
        "get_queue_url_missing_builds",
        "create_queue_builds",
    ];
    let (player, runtime, cloud) = on(&cases);
    let kept = cloud.queues().keep(&plan(QueueRole::ArgoBuilds)).await.expect("made");
    assert_eq!(player.served()[1..], cases);
    assert_played(&player);
    assert!(kept.created && kept.changed.is_empty(), "{kept:?}");
    assert_eq!(kept.arn, "arn:aws:sqs:us-east-1:123456789012:chalk-acme-argo-builds");
    let letters = kept.dead_letters.expect("planned");
    assert_eq!((letters.name.as_str(), letters.created), ("chalk-acme-argo-builds-dead-letters", true));
    // A queue that names another one is refused in the second in which that one was made.
    assert!(runtime.monotonic() >= Duration::from_secs(1), "{:?}", runtime.monotonic());
}

#[tokio::test(start_paused = true)]
async fn a_queue_that_is_as_planned_is_only_read() {
    let cases = [
        "get_queue_url_letters",
        "list_queue_tags_letters",
        "get_queue_attributes_letters",
        "get_queue_url_builds",
        "list_queue_tags_builds",
        "get_queue_attributes_builds",
    ];
    let (player, runtime, cloud) = on(&cases);
    let kept = cloud.queues().keep(&plan(QueueRole::ArgoBuilds)).await.expect("there");
    assert_eq!(player.served()[1..], cases);
    assert_played(&player);
    let letters = kept.dead_letters.as_deref().expect("planned");
    for kept in [&kept, letters] {
        assert!(!kept.created && kept.changed.is_empty(), "{kept:?}");
    }
    assert_eq!(runtime.monotonic(), Duration::ZERO, "nothing is waited for");
}

#[tokio::test(start_paused = true)]
async fn messages_are_encrypted_with_the_customers_key_where_the_plan_names_one() {
    let plan = plan(QueueRole::Heartbeat).with_encryption(Encryption::CustomerKey(KEY.to_owned()));
    let kept = keep(&["get_queue_url_missing_heartbeat", "create_queue_with_key"], &plan).await.expect("made");
    assert!(kept.created && kept.dead_letters.is_none(), "{kept:?}");
}

#[tokio::test(start_paused = true)]
async fn a_queue_of_others_is_tagged_and_set_up_and_their_statements_and_their_longer_retention_stay() {
    let cases = [
        "get_queue_url_heartbeat",
        "list_queue_tags_none",
        "tag_queue",
        "get_queue_attributes_of_others",
        "set_queue_attributes",
    ];
    let (player, _, cloud) = on(&cases);
    let kept = cloud.queues().keep(&plan(QueueRole::Heartbeat)).await.expect("set up");
    // The tag goes first: without it the scoped role may do nothing else.
    assert_eq!(player.served()[1..], cases);
    assert_played(&player);
    assert!(!kept.created);
    assert_eq!(kept.changed, ["tags", "encryption", "policy"]);
}

#[tokio::test(start_paused = true)]
async fn a_name_that_others_take_in_between_is_set_up_and_one_that_they_give_up_again_is_a_conflict() {
    let taken = ["get_queue_url_missing_heartbeat", "create_queue_name_exists"];
    let then = ["get_queue_url_heartbeat", "list_queue_tags_heartbeat", "get_queue_attributes_heartbeat"];
    let plan = plan(QueueRole::Heartbeat);
    let kept = keep(&[&taken[..], &then].concat(), &plan).await.expect("there by now");
    assert!(!kept.created && kept.changed.is_empty(), "{kept:?}");
    let error = keep(&[&taken[..], &taken[..1]].concat(), &plan).await.expect_err("neither there nor free");
    assert_eq!(error.code(), ErrorCode::ObjectConflict, "{error}");
    assert!(error.hint().contains("same time"), "{}", error.hint());
}

#[tokio::test(start_paused = true)]
async fn why_a_queue_cannot_be_kept_is_told_with_the_next_step() {
    let missing = "get_queue_url_missing_heartbeat";
    let there = ["get_queue_url_heartbeat", "list_queue_tags_heartbeat"];
    let throttled = "get_queue_url_throttled";
    for (cases, code, retry, hint) in [
        (
            &[missing, "create_queue_deleted_recently"][..],
            ErrorCode::CloudUnavailable,
            Retry::Temporary,
            "resume in 60 s",
        ),
        (
            &[missing, "create_queue_denied"],
            ErrorCode::PermissionDenied,
            Retry::Permanent,
            "`sqs:CreateQueue` and `sqs:TagQueue` where `aws:RequestTag/chalk.ai/managed-by` is `chalk`",
        ),
        (
            &["get_queue_url_denied"],
            ErrorCode::PermissionDenied,
            Retry::Permanent,
            "`sqs:GetQueueUrl` on it whatever its tags",
        ),
        (&[throttled, throttled, throttled], ErrorCode::CloudUnavailable, Retry::Temporary, "resume"),
        (
            &[there[0], there[1], "get_queue_attributes_of_another"],
            ErrorCode::CloudAnswerInvalid,
            Retry::Permanent,
            "address",
        ),
        (
            &[there[0], there[1], "get_queue_attributes_unreadable"],
            ErrorCode::CloudAnswerInvalid,
            Retry::Permanent,
            "left as it is",
        ),
    ] {
        let error = keep(cases, &plan(QueueRole::Heartbeat)).await.expect_err(hint);
        assert_eq!((error.code(), error.retry()), (code, retry), "{}", error.sentence());
        assert_eq!(error.subject(), "queue `chalk-acme-heartbeat`");
        assert!(error.hint().contains(hint), "{}", error.hint());
    }
}

#[tokio::test(start_paused = true)]
async fn a_request_that_sqs_throttles_is_sent_again() {
    let cases = [
        "get_queue_url_throttled",
        "get_queue_url_throttled",
        "get_queue_url_heartbeat",
        "list_queue_tags_heartbeat",
        "get_queue_attributes_heartbeat",
    ];
    let kept = keep(&cases, &plan(QueueRole::Heartbeat)).await.expect("the third time");
    assert!(!kept.created && kept.changed.is_empty(), "{kept:?}");
}

#[tokio::test(start_paused = true)]
async fn credentials_of_another_account_than_the_one_that_was_named_make_nothing() {
    let player = player(&["sts/get_caller_identity"]);
    let cloud = builder(player.transport(), VirtualRuntime::new(1)).with_account("210987654321").build();
    let error = cloud.expect("a cloud").queues().keep(&plan(QueueRole::Heartbeat)).await.expect_err("another account");
    assert_eq!(error.code(), ErrorCode::PermissionDenied);
    assert!(error.message().contains(ACCOUNT) && error.hint().contains("with_account"), "{}", error.sentence());
    assert_played(&player);
}

#[tokio::test(start_paused = true)]
async fn a_plan_that_sqs_would_not_take_is_refused_before_anything_is_sent() {
    let player = player(&[]);
    let cloud = builder(player.transport(), VirtualRuntime::new(1)).build().expect("a cloud");
    let mut plan = plan(QueueRole::Heartbeat);
    plan.name = "acme-heartbeat".to_owned();
    let error = cloud.queues().keep(&plan).await.expect_err("not ours");
    assert_eq!(error.code(), ErrorCode::ValueInvalid);
    assert!(error.hint().contains("scoped role"), "{error}");
    assert_played(&player);
}

// --- on a few lines that behave as SQS does --------------------------------------------------------------------------------

/// The queues of an account, and what policies would be asked.
#[derive(Default)]
struct Sqs {
    queues: BTreeMap<String, Queue>,
    asked: Vec<Asked>,
}

/// Attributes and tags.
type Queue = (Map<String, Value>, Map<String, Value>);

impl Sqs {
    fn start() -> (Arc<Mutex<Self>>, Answering) {
        let state = Arc::new(Mutex::new(Self::default()));
        let server = state.clone();
        (state, Answering::by(move |seen| server.lock().expect("not poisoned").answer(seen)))
    }

    fn answer(&mut self, seen: &Seen) -> Reply {
        if seen.form().get("Action").is_some_and(|action| action == "GetCallerIdentity") {
            return Reply::new(200, format!("<X><Account>{ACCOUNT}</Account></X>"));
        }
        let operation = seen.header("x-amz-target").strip_prefix("AmazonSQS.").expect("an operation").to_owned();
        let body: Value = serde_json::from_slice(&seen.body).expect("JSON");
        let address = body["QueueUrl"].as_str().unwrap_or_default();
        let name = body["QueueName"].as_str().or_else(|| address.rsplit('/').next()).expect("a queue").to_owned();
        self.ask(&operation, &name, &body);
        let refused = |code: &str| Reply::json(400, json!({"__type": format!("com.amazonaws.sqs#{code}")}));
        let address = json!({"QueueUrl": format!("https://sqs.us-east-1.amazonaws.com/{ACCOUNT}/{name}")});
        let object = |value: &Value| value.as_object().cloned().unwrap_or_default();
        let found = self.queues.get_mut(&name);
        match (operation.as_str(), found) {
            ("CreateQueue", Some((attributes, tags))) => {
                let same = *attributes == object(&body["Attributes"]) && *tags == object(&body["tags"]);
                if same { Reply::json(200, address) } else { refused("QueueNameExists") }
            }
            ("CreateQueue", None) => {
                let redrive: Value = body["Attributes"]["RedrivePolicy"]
                    .as_str()
                    .map(|text| serde_json::from_str(text).expect("JSON"))
                    .unwrap_or_default();
                let target = redrive["deadLetterTargetArn"].as_str().and_then(|arn| arn.rsplit(':').next());
                if target.is_some_and(|target| !self.queues.contains_key(target)) {
                    return refused("InvalidAttributeValue");
                }
                self.queues.insert(name, (object(&body["Attributes"]), object(&body["tags"])));
                Reply::json(200, address)
            }
            (_, None) => refused("QueueDoesNotExist"),
            ("GetQueueUrl", Some(_)) => Reply::json(200, address),
            ("ListQueueTags", Some((_, tags))) => Reply::json(200, json!({"Tags": tags})),
            ("TagQueue", Some((_, tags))) => {
                tags.extend(object(&body["Tags"]));
                Reply::new(200, "")
            }
            ("GetQueueAttributes", Some((attributes, _))) => {
                let mut all = attributes.clone();
                all.insert("QueueArn".to_owned(), json!(policy::queue(&name)));
                Reply::json(200, json!({"Attributes": all}))
            }
            ("SetQueueAttributes", Some((attributes, _))) => {
                attributes.extend(object(&body["Attributes"]));
                Reply::new(200, "")
            }
            (other, _) => panic!("nobody should ask for {other}"),
        }
    }

    /// What a policy is asked about the request. What is made with tags needs the right to tag, too.
    fn ask(&mut self, operation: &str, name: &str, body: &Value) {
        let tagged = self.queues.get(name).is_some_and(|(_, tags)| tags["chalk.ai/managed-by"] == "chalk");
        let asked = |action: &str| {
            let asked = Asked::on(&format!("sqs:{action}"), &policy::queue(name));
            if tagged { asked.tagged() } else { asked }
        };
        let requested = |tags: &Value| tags["chalk.ai/managed-by"].as_str().expect("our tag").to_owned();
        match operation {
            "CreateQueue" => {
                let value = requested(&body["tags"]);
                self.asked.extend(
                    ["CreateQueue", "TagQueue"].map(|action| asked(action).requesting("chalk.ai/managed-by", &value)),
                );
            }
            "TagQueue" => {
                self.asked.push(asked("TagQueue").requesting("chalk.ai/managed-by", &requested(&body["Tags"])));
            }
            other => self.asked.push(asked(other)),
        }
    }
}

async fn keep_all(cloud: &Cloud) -> Vec<KeptQueue> {
    let mut all = Vec::new();
    for plan in QueuePlan::seven("acme").expect("a prefix") {
        all.push(cloud.queues().keep(&plan).await.expect("kept"));
    }
    all
}

#[tokio::test(start_paused = true)]
async fn many_who_keep_the_seven_at_once_make_each_once_and_agree_on_it() {
    let (state, server) = Sqs::start();
    let cloud = builder(server.transport(), VirtualRuntime::new(1)).build().expect("a cloud");
    futures::future::join_all((0..20).map(|_| keep_all(&cloud))).await;
    {
        let state = state.lock().expect("not poisoned");
        // A heartbeat alone has no dead letters.
        assert_eq!(state.queues.len(), 13, "{:?}", state.queues.keys());
        for (name, (attributes, tags)) in &state.queues {
            assert!(name.starts_with("chalk-acme-"), "{name}");
            assert_eq!(tags["chalk.ai/managed-by"], "chalk");
            assert_eq!(attributes["SqsManagedSseEnabled"], "true");
            let policy = attributes["Policy"].as_str().expect("a policy");
            assert!(policy.contains(&policy::queue(name)) && policy.contains("aws:SecureTransport"), "{policy}");
        }
    }
    let before = server.seen().len();
    let again = keep_all(&cloud).await;
    assert!(again.iter().all(|kept| !kept.created && kept.changed.is_empty()), "{again:?}");
    assert_eq!(server.seen().len() - before, 3 * 13, "three requests for each, and the account is known");
}

#[tokio::test(start_paused = true)]
async fn the_published_scoped_role_covers_queues_that_are_there_and_cannot_make_them() {
    let (state, server) = Sqs::start();
    let cloud = builder(server.transport(), VirtualRuntime::new(1)).build().expect("a cloud");
    keep_all(&cloud).await;
    let making = std::mem::take(&mut state.lock().expect("not poisoned").asked);
    let role = policy::published();
    let uncovered: BTreeSet<_> =
        making.iter().filter(|asked| !role.allows(asked)).map(|asked| &*asked.action).collect();
    assert_eq!(uncovered, ["sqs:CreateQueue", "sqs:GetQueueUrl", "sqs:TagQueue"].into());

    // Somebody turns one setting around; the role may set it right, because the tag is there.
    state.lock().expect("not poisoned").queues.values_mut().for_each(|(attributes, _)| {
        attributes.insert("VisibilityTimeout".to_owned(), json!("0"));
    });
    let kept = keep_all(&cloud).await;
    assert!(kept.iter().all(|kept| kept.changed == ["visibility"]), "{kept:?}");
    let keeping = std::mem::take(&mut state.lock().expect("not poisoned").asked);
    assert!(keeping.iter().any(|asked| asked.action == "sqs:SetQueueAttributes"));
    for asked in &keeping {
        assert!(role.allows(asked), "{asked:?}");
        assert!(!role.allows(&asked.clone().untagged()), "{asked:?}");
    }
    for action in making.iter().chain(&keeping).map(|asked| &*asked.action) {
        let known = PERMISSIONS.iter().find(|permission| permission.action == action);
        let known = known.unwrap_or_else(|| panic!("{action} is not listed"));
        // What is looked for has no tag before it is there.
        let beyond = uncovered.contains(action) && action != "sqs:GetQueueUrl";
        assert_eq!(known.reach == Reach::Beyond, beyond, "{action}");
    }
}
