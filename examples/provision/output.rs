//! What is shown: a line a bucket or queue, or an object of JSON.

use chalk_deploy_aws::{KeptQueue, QueuePlan};
use chalk_deploy_core::provision::{BucketPlan, Encryption, KeptBucket};
use chalk_deploy_core::text;
use chalk_deploy_examples::terminal::{print, say};
use serde_json::json;

pub(super) fn queue_plan(plan: &QueuePlan, as_json: bool) {
    let (days, receives) = (plan.retention.as_secs_f64() / 86_400.0, plan.dead_letters.map(|letters| letters.receives));
    if as_json {
        let object = json!({
            "queue": plan.name, "role": plan.role.as_str(), "retention_seconds": plan.retention.as_secs(),
            "visibility_seconds": plan.visibility.as_secs(), "receives": receives,
        });
        return print(&object.to_string());
    }
    let letters = receives.map_or_else(|| "none".to_owned(), |receives| format!("after {receives} receives"));
    let seconds = plan.visibility.as_secs();
    print(&format!("{}  kept for {days:.2} days; hidden for {seconds} s; dead letters: {letters}", plan.name));
}

pub(super) fn queue(plan: &QueuePlan, kept: &KeptQueue, as_json: bool) {
    for kept in kept.dead_letters.as_deref().into_iter().chain([kept]) {
        if as_json {
            let object = json!({
                "queue": kept.name, "role": plan.role.as_str(), "arn": kept.arn, "created": kept.created,
                "changed": kept.changed,
            });
            print(&object.to_string());
        } else {
            print(&format!("{}  {}", kept.name, done(kept.created, &kept.changed)));
        }
    }
}

pub(super) fn bucket_plan(plan: &BucketPlan, as_json: bool) {
    let (name, role) = (&plan.name, plan.role);
    let origins: Vec<_> = plan.origins.iter().map(ToString::to_string).collect();
    let key = match &plan.encryption {
        Encryption::CustomerKey(key) => Some(text::line(key, 300)),
        _ => None,
    };
    let days = plan.retention.map(|retention| retention.as_secs() / 86_400);
    if as_json {
        let object = json!({
            "bucket": name, "role": role.as_str(), "origins": origins, "encryption_key": key,
            "versioned": plan.versioned, "retention_days": days,
        });
        return print(&object.to_string());
    }
    let mut settings = vec![format!("encrypted with {}", key.unwrap_or_else(|| "the provider's key".to_owned()))];
    settings.extend(plan.versioned.then(|| "versioned".to_owned()));
    settings.extend(days.map(|days| format!("kept for {days} days")));
    settings.push(format!("read from {}", origins.join(", ")));
    print(&format!("{name}  {}", settings.join("; ")));
}

pub(super) fn bucket(plan: &BucketPlan, kept: &KeptBucket, as_json: bool) {
    if as_json {
        let object = json!({
            "bucket": kept.name, "role": plan.role.as_str(), "created": kept.created, "changed": kept.changed,
            "cannot": kept.cannot,
        });
        return print(&object.to_string());
    }
    print(&format!("{}  {}", kept.name, done(kept.created, &kept.changed)));
    for cannot in &kept.cannot {
        say(&format!("note: {}: {}", kept.name, text::line(cannot, 300)));
    }
}

fn done(created: bool, changed: &[&str]) -> String {
    match (created, changed) {
        (true, _) => "made".to_owned(),
        (false, []) => "as planned".to_owned(),
        (false, changed) => format!("changed: {}", changed.join(", ")),
    }
}
