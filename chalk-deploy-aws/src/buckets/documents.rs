//! The documents of a bucket's settings: what would have to be written so that a bucket is as the plan says. Pure.
//!
//! A document is written as a whole, so that what is not repeated is lost: whatever others have set in it is repeated.

use std::time::Duration;

use chalk_deploy_core::Result;
use chalk_deploy_core::provision::{BucketPlan, Encryption};
use serde_json::json;

use crate::resource_policy::refusing_plain;
use crate::settings::Region;
use crate::tags;
use crate::xml::{blocks, escaped, text};

pub(super) const NAMESPACE: &str = "http://s3.amazonaws.com/doc/2006-03-01/";
/// The ids of our own rules among those of others.
const CORS_RULE: &str = "chalk-read";
const LIFECYCLE_RULE: &str = "chalk-leftovers";
/// How long a browser may remember what CORS allows.
const REMEMBERED: u32 = 3600;
const DAY: u64 = 24 * 3600;

/// What is to be done with a setting.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Change {
    Put(String),
    Delete,
}

/// What has to change, seen from the document that is there; nothing where it is as planned.
pub(super) fn change(query: &str, document: &str, plan: &BucketPlan, region: &Region) -> Result<Option<Change>> {
    Ok(match query {
        "publicAccessBlock" => public_access(document),
        "encryption" => encryption(document, &plan.encryption),
        "versioning" => versioning(document, plan),
        "object-lock" => retention(document, plan),
        "policy" => return policy(document, plan, region),
        "tagging" => tagging(document),
        "lifecycle" => lifecycle(document, plan),
        "cors" => cors(document, plan),
        _ => None,
    })
}

fn public_access(document: &str) -> Option<Change> {
    const ALL: [&str; 4] = ["BlockPublicAcls", "IgnorePublicAcls", "BlockPublicPolicy", "RestrictPublicBuckets"];
    if ALL.iter().all(|name| text(document, name).as_deref() == Some("true")) {
        return None;
    }
    let all = ALL.map(|name| format!("<{name}>true</{name}>")).concat();
    Some(put("PublicAccessBlockConfiguration", &all))
}

fn encryption(document: &str, wanted: &Encryption) -> Option<Change> {
    let is = (text(document, "SSEAlgorithm"), text(document, "KMSMasterKeyID"));
    let default = match wanted {
        Encryption::CustomerKey(key) => {
            // Twice with the same key is no less than once.
            let algorithm = matches!(is.0.as_deref(), Some("aws:kms" | "aws:kms:dsse"));
            if algorithm && is.1.as_ref() == Some(key) {
                return None;
            }
            let key = escaped(key);
            format!("<SSEAlgorithm>aws:kms</SSEAlgorithm><KMSMasterKeyID>{key}</KMSMasterKeyID>")
        }
        // Whatever a customer has set is no less than what S3 does by itself.
        _ if is.0.is_some() => return None,
        _ => "<SSEAlgorithm>AES256</SSEAlgorithm>".to_owned(),
    };
    // What the account has forbidden clients, such as keys of their own, stays forbidden.
    let blocked = blocks(document, "BlockedEncryptionTypes").concat();
    // A bucket's own key spares most requests to KMS.
    let rule = format!(
        "<Rule><ApplyServerSideEncryptionByDefault>{default}</ApplyServerSideEncryptionByDefault>\
         <BucketKeyEnabled>true</BucketKeyEnabled>{blocked}</Rule>"
    );
    Some(put("ServerSideEncryptionConfiguration", &rule))
}

fn versioning(document: &str, plan: &BucketPlan) -> Option<Change> {
    // Object lock keeps versions.
    let wanted = plan.versioned || plan.retention.is_some();
    let is = text(document, "Status").as_deref() == Some("Enabled");
    // Versions that somebody else has wanted are never given up.
    (wanted && !is).then(|| put("VersioningConfiguration", "<Status>Enabled</Status>"))
}

/// Retention is never shortened. GOVERNANCE, which the owner of the account can lift: the plan is about accidents, and
/// a firm lock is set on the objects that need one.
fn retention(document: &str, plan: &BucketPlan) -> Option<Change> {
    let wanted = days(plan.retention?);
    let number = |name: &str| text(document, name).and_then(|text| text.parse::<u64>().ok());
    let is = number("Days").unwrap_or(0).max(number("Years").unwrap_or(0).saturating_mul(365));
    if is >= wanted {
        return None;
    }
    let mode = text(document, "Mode").filter(|mode| mode == "COMPLIANCE").unwrap_or_else(|| "GOVERNANCE".to_owned());
    let rule = format!(
        "<ObjectLockEnabled>Enabled</ObjectLockEnabled><Rule><DefaultRetention><Mode>{mode}</Mode><Days>{wanted}</Days>\
         </DefaultRetention></Rule>"
    );
    Some(put("ObjectLockConfiguration", &rule))
}

fn tagging(document: &str) -> Option<Change> {
    let (others, is_set) = tags::of_others(document);
    (!is_set).then(|| put("Tagging", &format!("<TagSet>{}</TagSet>", tags::beside(&others))))
}

fn lifecycle(document: &str, plan: &BucketPlan) -> Option<Change> {
    let (others, ours) = told_apart(document, "Rule", LIFECYCLE_RULE);
    let days = days(plan.leftovers);
    let versions = if plan.versioned || plan.retention.is_some() {
        format!("<NoncurrentVersionExpiration><NoncurrentDays>{days}</NoncurrentDays></NoncurrentVersionExpiration>")
    } else {
        String::new()
    };
    let is = ours.is_some_and(|ours| {
        let abort = blocks(ours, "AbortIncompleteMultipartUpload");
        let days = days.to_string();
        text(ours, "Status").as_deref() == Some("Enabled")
            && abort.first().and_then(|abort| text(abort, "DaysAfterInitiation")).as_deref() == Some(&days)
            && (versions.is_empty() || text(ours, "NoncurrentDays").as_deref() == Some(&days))
    });
    if is {
        return None;
    }
    // A document is of the older form, without filters, or of the newer one, and never of both.
    let is_older = others.iter().any(|rule| blocks(rule, "Filter").is_empty() && !blocks(rule, "Prefix").is_empty());
    let all = if is_older { "<Prefix></Prefix>" } else { "<Filter><Prefix></Prefix></Filter>" };
    let rule = format!(
        "<Rule><ID>{LIFECYCLE_RULE}</ID>{all}<Status>Enabled</Status>{versions}\
         <AbortIncompleteMultipartUpload><DaysAfterInitiation>{days}</DaysAfterInitiation></AbortIncompleteMultipartUpload>\
         </Rule>"
    );
    Some(put("LifecycleConfiguration", &format!("{}{rule}", others.concat())))
}

fn cors(document: &str, plan: &BucketPlan) -> Option<Change> {
    let (others, ours) = told_apart(document, "CORSRule", CORS_RULE);
    let origins: Vec<_> = plan.origins.iter().map(|origin| escaped(origin.as_str())).collect();
    if origins.is_empty() {
        return match (ours, others.is_empty()) {
            (None, _) => None,
            (Some(_), true) => Some(Change::Delete),
            (Some(_), false) => Some(put("CORSConfiguration", &others.concat())),
        };
    }
    let allowed: Vec<_> = origins.iter().map(|origin| format!("<AllowedOrigin>{origin}</AllowedOrigin>")).collect();
    let same = |ours: &str| {
        blocks(ours, "AllowedOrigin") == allowed
            && blocks(ours, "AllowedMethod") == ["<AllowedMethod>GET</AllowedMethod>"]
            && blocks(ours, "AllowedHeader") == ["<AllowedHeader>*</AllowedHeader>"]
    };
    if ours.is_some_and(same) {
        return None;
    }
    let rule = format!(
        "<CORSRule><ID>{CORS_RULE}</ID>{}<AllowedMethod>GET</AllowedMethod><AllowedHeader>*</AllowedHeader>\
         <MaxAgeSeconds>{REMEMBERED}</MaxAgeSeconds></CORSRule>",
        allowed.concat()
    );
    Some(put("CORSConfiguration", &format!("{}{rule}", others.concat())))
}

/// Requests without TLS are refused, in a statement beside those of others.
fn policy(document: &str, plan: &BucketPlan, region: &Region) -> Result<Option<Change>> {
    let bucket = format!("arn:{}:s3:::{}", region.partition(), plan.name);
    let resource = json!([bucket, format!("{bucket}/*")]);
    Ok(refusing_plain(document, "s3:*", &resource)?.map(Change::Put))
}

/// The elements of others, and ours.
fn told_apart<'a>(document: &'a str, name: &str, id: &str) -> (Vec<&'a str>, Option<&'a str>) {
    let is_ours = |block: &&str| text(block, "ID").as_deref() == Some(id);
    let (ours, others): (Vec<_>, Vec<_>) = blocks(document, name).into_iter().partition(is_ours);
    (others, ours.first().copied())
}

fn put(name: &str, inner: &str) -> Change {
    Change::Put(format!("<{name} xmlns=\"{NAMESPACE}\">{inner}</{name}>"))
}

/// Whole days, at least one.
fn days(duration: Duration) -> u64 {
    duration.as_secs().div_ceil(DAY).max(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALL: [&str; 8] =
        ["publicAccessBlock", "encryption", "versioning", "object-lock", "policy", "tagging", "lifecycle", "cors"];

    fn plan() -> BucketPlan {
        let origins = BucketPlan::HOSTED_ORIGINS.map(|origin| origin.parse().expect("an origin"));
        let [_, source, ..] = BucketPlan::five("acme", &origins).expect("a prefix");
        source.with_retention(Duration::from_hours(24 * 30))
    }

    fn changed(query: &str, document: &str, plan: &BucketPlan) -> Option<Change> {
        let region = Region::new("eu-west-1").expect("a region");
        change(query, document, plan, &region).expect("readable")
    }

    fn document(query: &str, before: &str, plan: &BucketPlan) -> String {
        match changed(query, before, plan) {
            Some(Change::Put(document)) => document,
            other => panic!("{query}: {other:?}"),
        }
    }

    #[test]
    fn what_was_written_is_as_planned_and_is_not_written_again() {
        for encryption in [Encryption::Provider, Encryption::CustomerKey("arn:aws:kms:x:1:key/a&b".to_owned())] {
            let plan = plan().with_encryption(encryption);
            for query in ALL {
                let written = document(query, "", &plan);
                assert_eq!(changed(query, &written, &plan), None, "{query}: {written}");
            }
        }
    }

    #[test]
    fn what_others_have_put_there_stays() {
        let plan = plan();
        for (query, list, other) in [
            ("tagging", "Tagging", "<Tag><Key>team</Key><Value>risk</Value></Tag>"),
            ("lifecycle", "LifecycleConfiguration", "<Rule><ID>old</ID><Status>Enabled</Status></Rule>"),
            ("cors", "CORSConfiguration", "<CORSRule><ID>app</ID><AllowedMethod>PUT</AllowedMethod></CORSRule>"),
        ] {
            let before = format!("<{list}>{other}</{list}>");
            let written = document(query, &before, &plan);
            assert!(written.contains(other), "{query}: {written}");
            assert_eq!(changed(query, &written, &plan), None, "{query}");
        }
        let other = r#"{"Statement":{"Sid":"Audit","Effect":"Allow","Action":"s3:GetObject","Resource":"*"}}"#;
        let written = document("policy", other, &plan);
        assert!(written.contains("Audit") && written.contains("arn:aws:s3:::chalk-acme-source/*"), "{written}");
    }

    #[test]
    fn rules_of_a_lifecycle_are_all_of_the_older_form_or_all_of_the_newer() {
        let plan = plan();
        for (other, ours) in [
            ("<Rule><ID>a</ID><Prefix>logs/</Prefix><Status>Enabled</Status></Rule>", "</ID><Prefix></Prefix>"),
            ("<Rule><ID>a</ID><Filter><Prefix>l</Prefix></Filter><Status>Enabled</Status></Rule>", "</ID><Filter>"),
            ("<Rule><ID>a</ID><Filter/><Status>Enabled</Status></Rule>", "</ID><Filter>"),
        ] {
            let written = document("lifecycle", &format!("<X>{other}</X>"), &plan);
            assert!(written.contains(other) && written.contains(&format!("{LIFECYCLE_RULE}{ours}")), "{written}");
            assert_eq!(changed("lifecycle", &written, &plan), None);
        }
    }

    #[test]
    fn nothing_is_ever_loosened() {
        let plan = plan();
        let longer = "<ObjectLockConfiguration><Rule><DefaultRetention><Mode>COMPLIANCE</Mode><Years>1</Years>\
                      </DefaultRetention></Rule></ObjectLockConfiguration>";
        assert_eq!(changed("object-lock", longer, &plan), None);
        let shorter = longer.replace("<Years>1</Years>", "<Days>7</Days>");
        assert!(document("object-lock", &shorter, &plan).contains("<Mode>COMPLIANCE</Mode><Days>30</Days>"));
        let kms = "<SSEAlgorithm>aws:kms</SSEAlgorithm>";
        assert_eq!(changed("encryption", kms, &plan), None);
        let blocked = "<BlockedEncryptionTypes><EncryptionType>SSE-C</EncryptionType></BlockedEncryptionTypes>";
        let key = plan.clone().with_encryption(Encryption::CustomerKey("key".to_owned()));
        let before = format!("<Rule><X><SSEAlgorithm>AES256</SSEAlgorithm></X>{blocked}</Rule>");
        assert!(document("encryption", &before, &key).contains(blocked), "what clients may not do they still may not");
        let twice = "<SSEAlgorithm>aws:kms:dsse</SSEAlgorithm><KMSMasterKeyID>key</KMSMasterKeyID>";
        assert_eq!(changed("encryption", twice, &key), None);
        let [data, ..] = BucketPlan::five("acme", &[]).expect("a prefix");
        assert_eq!(changed("versioning", "<Status>Enabled</Status>", &data), None);
        assert_eq!(changed("versioning", "", &data), None);
        assert_eq!(changed("object-lock", "", &data), None);
    }

    #[test]
    fn without_origins_our_own_rule_goes_and_no_other() {
        let ours = document("cors", "", &plan());
        let [data, ..] = BucketPlan::five("acme", &[]).expect("a prefix");
        assert_eq!(changed("cors", &ours, &data), Some(Change::Delete));
        assert_eq!(changed("cors", "", &data), None);
        let other = "<CORSRule><ID>app</ID></CORSRule>";
        let both = ours.replace("<CORSRule><ID>chalk", &format!("{other}<CORSRule><ID>chalk"));
        let left = document("cors", &both, &data);
        assert!(left.contains(other) && !left.contains(CORS_RULE), "{left}");
    }

    #[test]
    fn every_setting_is_written_anew_where_its_rule_was_changed_by_hand() {
        let plan = plan();
        for (query, from, to) in [
            ("publicAccessBlock", "<BlockPublicAcls>true", "<BlockPublicAcls>false"),
            ("lifecycle", "<Status>Enabled", "<Status>Disabled"),
            ("lifecycle", "<DaysAfterInitiation>7", "<DaysAfterInitiation>9"),
            ("cors", "https://chalk.ai", "https://evil.example"),
            ("cors", ">GET<", ">PUT<"),
            ("cors", "<AllowedHeader>*</AllowedHeader>", ""),
            ("policy", "\"false\"", "\"true\""),
            ("tagging", "<Value>chalk<", "<Value>x<"),
            ("versioning", "Enabled", "Suspended"),
        ] {
            let written = document(query, "", &plan);
            let edited = written.replace(from, to);
            assert_ne!(edited, written, "{query}");
            assert_eq!(document(query, &edited, &plan), written, "{query}");
        }
    }
}
