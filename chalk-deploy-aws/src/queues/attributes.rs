//! The attributes of a queue: with which it is made, and which of those that are there have to change. Pure.
//!
//! Names and values as `SetQueueAttributes` of the SQS API reference has them; every value is text.

use std::collections::BTreeMap;
use std::time::Duration;

use chalk_deploy_core::Result;
use chalk_deploy_core::provision::Encryption;
use serde_json::{Map, Value, json};

use crate::resource_policy::{refusing_plain, says_the_same};

/// One queue as it is to be.
#[derive(Debug)]
pub(super) struct Wanted<'a> {
    pub(super) name: String,
    pub(super) arn: String,
    pub(super) encryption: &'a Encryption,
    pub(super) visibility: Duration,
    pub(super) retention: Duration,
    pub(super) redrive: Redrive,
}

/// What a queue has to do with dead letters.
#[derive(Debug)]
pub(super) enum Redrive {
    /// Nothing.
    Nothing,
    /// Its messages go there after so many receives.
    To(String, u16),
    /// It takes those of this queue and of no other.
    From(String),
}

/// What has to change, and in which words that is told.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Changes {
    pub(super) attributes: BTreeMap<&'static str, String>,
    pub(super) words: Vec<&'static str>,
}

impl Changes {
    fn set(&mut self, word: &'static str, name: &'static str, value: String) {
        self.attributes.insert(name, value);
        self.words.push(word);
    }
}

/// All attributes of a queue that is made now, so that it never stands there half set up.
pub(super) fn of_a_new_one(wanted: &Wanted<'_>) -> Result<BTreeMap<&'static str, String>> {
    // What SQS sets by itself in the meantime is named all the same: it belongs to the plan.
    Ok(changes(&Map::new(), wanted)?.attributes)
}

/// What has to change, seen from the attributes that are there.
pub(super) fn changes(there: &Map<String, Value>, wanted: &Wanted<'_>) -> Result<Changes> {
    let mut changes = Changes::default();
    let text = |name: &str| there.get(name).and_then(Value::as_str);
    let seconds = |name: &str| text(name).and_then(|text| text.parse::<u64>().ok());
    let document =
        |name: &str| text(name).and_then(|text| serde_json::from_str::<Value>(text).ok()).unwrap_or_default();
    if let Encryption::CustomerKey(key) = wanted.encryption {
        if text("KmsMasterKeyId") != Some(key) {
            changes.set("encryption", "KmsMasterKeyId", key.clone());
        }
    } else if text("KmsMasterKeyId").is_none_or(str::is_empty) && text("SqsManagedSseEnabled") != Some("true") {
        // Whatever key a customer has set is no less than SQS's own.
        changes.set("encryption", "SqsManagedSseEnabled", "true".to_owned());
    }
    let policy = text("Policy").unwrap_or_default();
    if let Some(policy) = refusing_plain(policy, "sqs:*", &json!(wanted.arn))? {
        changes.set("policy", "Policy", policy);
    }
    // A shorter one would remove messages that somebody still counts on.
    if seconds("MessageRetentionPeriod").is_none_or(|there| there < wanted.retention.as_secs()) {
        changes.set("retention", "MessageRetentionPeriod", wanted.retention.as_secs().to_string());
    }
    if seconds("VisibilityTimeout") != Some(wanted.visibility.as_secs()) {
        changes.set("visibility", "VisibilityTimeout", wanted.visibility.as_secs().to_string());
    }
    let (name, redrive) = match &wanted.redrive {
        Redrive::Nothing => return Ok(changes),
        Redrive::To(arn, receives) => {
            ("RedrivePolicy", json!({"deadLetterTargetArn": arn, "maxReceiveCount": receives}))
        }
        Redrive::From(arn) => ("RedriveAllowPolicy", json!({"redrivePermission": "byQueue", "sourceQueueArns": [arn]})),
    };
    if !says_the_same(&document(name), &redrive) {
        changes.set("dead letters", name, redrive.to_string());
    }
    Ok(changes)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const KEY: &str = "arn:aws:kms:us-east-1:123456789012:key/a";

    fn wanted(encryption: &Encryption, redrive: Redrive) -> Wanted<'_> {
        Wanted {
            name: "chalk-acme-argo-builds".to_owned(),
            arn: "arn:aws:sqs:us-east-1:123456789012:chalk-acme-argo-builds".to_owned(),
            encryption,
            visibility: Duration::from_mins(5),
            retention: Duration::from_hours(96),
            redrive,
        }
    }

    fn to_letters() -> Redrive {
        Redrive::To("arn:aws:sqs:us-east-1:123456789012:letters".to_owned(), 5)
    }

    fn as_found(attributes: &BTreeMap<&'static str, String>) -> Map<String, Value> {
        attributes.iter().map(|(name, value)| ((*name).to_owned(), json!(value))).collect()
    }

    fn words(there: &Map<String, Value>, wanted: &Wanted<'_>) -> Vec<&'static str> {
        changes(there, wanted).expect("readable").words
    }

    #[test]
    fn a_queue_that_was_made_as_planned_is_left_alone() {
        for encryption in [Encryption::Provider, Encryption::CustomerKey(KEY.to_owned())] {
            for redrive in [Redrive::Nothing, to_letters(), Redrive::From("arn:b".to_owned())] {
                let wanted = wanted(&encryption, redrive);
                let made = of_a_new_one(&wanted).expect("attributes");
                assert_eq!(changes(&as_found(&made), &wanted).expect("readable"), Changes::default(), "{made:?}");
            }
        }
    }

    #[test]
    fn each_setting_that_was_changed_by_hand_is_set_again_and_alone() {
        let wanted = wanted(&Encryption::Provider, to_letters());
        let made = of_a_new_one(&wanted).expect("attributes");
        for (name, value, word) in [
            ("SqsManagedSseEnabled", "false", "encryption"),
            ("Policy", "", "policy"),
            ("MessageRetentionPeriod", "60", "retention"),
            ("VisibilityTimeout", "30", "visibility"),
            ("RedrivePolicy", r#"{"deadLetterTargetArn":"arn:other","maxReceiveCount":5}"#, "dead letters"),
            ("RedrivePolicy", "{", "dead letters"),
        ] {
            let mut there = as_found(&made);
            there.insert(name.to_owned(), json!(value));
            let changes = changes(&there, &wanted).expect("readable");
            assert_eq!((changes.words, changes.attributes.len()), (vec![word], 1), "{name}");
        }
    }

    #[test]
    fn nothing_is_ever_loosened() {
        let plain = wanted(&Encryption::Provider, to_letters());
        let mut there = as_found(&of_a_new_one(&plain).expect("attributes"));
        there.insert("MessageRetentionPeriod".to_owned(), json!("1209600"));
        there.insert("SqsManagedSseEnabled".to_owned(), json!("false"));
        there.insert("KmsMasterKeyId".to_owned(), json!("alias/theirs"));
        assert_eq!(words(&there, &plain), Vec::<&str>::new(), "a longer retention, and a key of their own");
        // The count comes back as text.
        let redrive = r#"{"maxReceiveCount":"5","deadLetterTargetArn":"arn:aws:sqs:us-east-1:123456789012:letters"}"#;
        there.insert("RedrivePolicy".to_owned(), json!(redrive));
        assert_eq!(words(&there, &plain), Vec::<&str>::new());
        let key = Encryption::CustomerKey(KEY.to_owned());
        assert_eq!(words(&there, &wanted(&key, to_letters())), ["encryption"]);
        let kept = there.clone();
        assert_eq!(words(&kept, &wanted(&Encryption::Provider, Redrive::Nothing)), Vec::<&str>::new());
    }

    proptest! {
        #[test]
        fn whatever_the_attributes_are_nothing_panics(value in "\\PC{0,40}") {
            let there: Map<String, Value> = ["Policy", "MessageRetentionPeriod", "VisibilityTimeout", "RedrivePolicy"]
                .into_iter()
                .map(|name| (name.to_owned(), json!(value)))
                .collect();
            let _ = changes(&there, &wanted(&Encryption::Provider, to_letters()));
        }
    }
}
