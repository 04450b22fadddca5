//! Jobs: pods that come to an end.

use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};

use super::event::Tone;
use super::identifier::generated;
use super::pass::Pass;
use super::write::{Propagation, Writer, document, owned};
use super::{pod, time, view};
use crate::simulated::kubernetes::api::admission::within_quotas;
use crate::simulated::kubernetes::objects::Key;
use crate::simulated::kubernetes::resource::{JOB, POD};

const WRITER: Writer = Writer::ControllerManager;

/// What the API server puts where nothing is said.
const DEFAULT_RETRIES: u32 = 6;

/// Looks at every job.
pub(super) fn reconcile(pass: &Pass<'_>) {
    for job in pass.list(JOB, None) {
        if view::is_deleting(&job) {
            continue;
        }
        let pods: Vec<_> = pass
            .list(POD, Some(view::namespace(&job)))
            .into_iter()
            .filter(|pod| view::is_controlled_by(pod, view::uid(&job)))
            .collect();
        if view::holds(&job, "Complete") || view::holds(&job, "Failed") {
            clear_away(pass, &job, &pods);
        } else {
            advance(pass, &job, &pods);
        }
    }
}

/// A job that is over: nothing of it runs, and it goes when its time has passed.
fn clear_away(pass: &Pass<'_>, job: &Value, pods: &[Arc<Value>]) {
    stop(pass, pods);
    let Some(seconds) = view::number(job, "/spec/ttlSecondsAfterFinished") else { return };
    let over = ["Complete", "Failed"].iter().find_map(|kind| view::condition(job, kind));
    let over = over.map(|condition| view::text(condition, "/lastTransitionTime")).unwrap_or_default();
    if pass.has_passed_since(Duration::from_secs(seconds.into()), over) {
        pass.delete(WRITER, JOB, job, Propagation::Background);
    }
}

fn stop(pass: &Pass<'_>, pods: &[Arc<Value>]) {
    for pod in pods.iter().filter(|pod| pod::is_active(pod)) {
        pass.delete(WRITER, POD, pod, Propagation::Background);
    }
}

fn advance(pass: &Pass<'_>, job: &Arc<Value>, pods: &[Arc<Value>]) {
    let in_phase = |phase: &str| count(pods.iter().filter(|pod| view::text(pod, "/status/phase") == phase).count());
    // A pod that somebody has deleted in between is counted still.
    let succeeded = in_phase("Succeeded").max(view::count(job, "/status/succeeded"));
    let failed = in_phase("Failed").max(view::count(job, "/status/failed"));
    let mut active = count(pods.iter().filter(|pod| pod::is_active(pod)).count());
    let parallel = view::number(job, "/spec/parallelism").unwrap_or(1);
    let wanted = view::number(job, "/spec/completions").unwrap_or(1);
    let suspended = view::flag(job, "/spec/suspend");
    let started = match view::text(job, "/status/startTime") {
        "" if suspended => String::new(),
        "" => pass.stamp(),
        started => started.to_owned(),
    };
    let verdict = failure(pass, job, pods, failed, &started)
        .map(|(reason, message)| ("Failed", reason, message))
        .or_else(|| (succeeded >= wanted).then(|| ("Complete", "CompletionsReached", COMPLETED.to_owned())));
    let mut conditions = view::items(job, "/status/conditions").to_vec();
    let mut set = |kind: &str, status: &str, reason: &str, message: &str| {
        let condition = json!({
            "type": kind, "status": status, "reason": reason, "message": message, "lastProbeTime": pass.stamp(),
        });
        let said = |old: &Value| old["type"] == kind && old["status"] == status && old["reason"] == reason;
        if !conditions.iter().any(said) {
            view::set_condition(&mut conditions, condition, &pass.stamp());
        }
    };
    let mut completed = Value::Null;
    match verdict {
        Some((kind, reason, message)) => {
            stop(pass, pods);
            active = 0;
            // The field's readers wait for the criterion first, then for the end.
            let criterion = if kind == "Complete" { "SuccessCriteriaMet" } else { "FailureTarget" };
            set(criterion, "True", reason, &message);
            set(kind, "True", reason, &message);
            if kind == "Complete" {
                completed = pass.stamp().into();
                pass.tell(WRITER, Tone::Normal, (JOB, job), "Completed", "Job completed");
            } else {
                pass.tell(WRITER, Tone::Warning, (JOB, job), reason, &message);
            }
        }
        None if suspended => {
            stop(pass, pods);
            active = 0;
            set("Suspended", "True", "JobSuspended", "Job suspended");
        }
        None => {
            if view::holds(job, "Suspended") {
                set("Suspended", "False", "JobResumed", "Job resumed");
            }
            let missing = parallel.min(wanted.saturating_sub(succeeded)).saturating_sub(active);
            if missing > 0 && may_try_again(pass, pods, failed) {
                active += fill(pass, job, missing);
            }
        }
    }
    let ready = pods.iter().filter(|pod| pod::is_active(pod) && view::holds(pod, "Ready")).count();
    let mut status = view::without_nothing(json!({
        "startTime": started,
        "completionTime": completed,
        "active": active,
        "succeeded": succeeded,
        "failed": failed,
        "conditions": conditions,
    }));
    status["ready"] = ready.into();
    status["terminating"] = pods.iter().filter(|pod| view::is_deleting(pod)).count().into();
    status["uncountedTerminatedPods"] = json!({});
    pass.set_status(WRITER, JOB, job, status);
}

const COMPLETED: &str = "Reached expected number of succeeded pods";

/// Why a job has failed for good.
fn failure(
    pass: &Pass<'_>,
    job: &Value,
    pods: &[Arc<Value>],
    failed: u32,
    started: &str,
) -> Option<(&'static str, String)> {
    if let Some(seconds) = view::number(job, "/spec/activeDeadlineSeconds")
        && !started.is_empty()
        && pass.has_passed_since(Duration::from_secs(seconds.into()), started)
    {
        return Some(("DeadlineExceeded", "Job was active longer than specified deadline".to_owned()));
    }
    let most = view::number(job, "/spec/backoffLimit").unwrap_or(DEFAULT_RETRIES);
    let restarts: u32 = pods
        .iter()
        .filter(|pod| view::text(pod, "/spec/restartPolicy") == "OnFailure")
        .flat_map(|pod| view::items(pod, "/status/containerStatuses"))
        .map(|status| view::count(status, "/restartCount"))
        .sum();
    let too_many = failed > most || (restarts > 0 && restarts >= most.max(1));
    too_many.then(|| ("BackoffLimitExceeded", "Job has reached the specified backoff limit".to_owned()))
}

/// Whether enough time has passed since the last failure.
fn may_try_again(pass: &Pass<'_>, pods: &[Arc<Value>], failed: u32) -> bool {
    let ended = pods.iter().filter(|pod| view::text(pod, "/status/phase") == "Failed").flat_map(|pod| {
        let statuses = view::items(pod, "/status/containerStatuses").iter();
        statuses.filter_map(|status| time::parse(view::text(status, "/state/terminated/finishedAt")))
    });
    let Some(last) = ended.max() else { return true };
    let wait = pass.settings.back_off.saturating_mul(2_u32.saturating_pow(failed.saturating_sub(1)));
    pass.has_passed(wait.min(pass.settings.longest_back_off), last)
}

/// Makes so many pods. How many came to be.
fn fill(pass: &Pass<'_>, job: &Value, missing: u32) -> u32 {
    let template = &job["spec"]["template"];
    let mut labels = view::labels(template);
    for prefix in ["batch.kubernetes.io/", ""] {
        labels.insert(format!("{prefix}job-name"), view::name(job).to_owned());
        labels.insert(format!("{prefix}controller-uid"), view::uid(job).to_owned());
    }
    let prefix = format!("{}-", view::name(job));
    let mut metadata = owned(JOB, job, &labels);
    metadata["generateName"] = prefix.clone().into();
    if let Some(annotations) = template.pointer("/metadata/annotations").filter(|annotations| annotations.is_object()) {
        metadata["annotations"] = annotations.clone();
    }
    let pod = document(metadata, json!({"spec": template["spec"], "status": {"phase": "Pending"}}));
    for made in 0..missing {
        // In a refusal the name stays the same, as for replica sets.
        let asked = Key::new(POD, view::namespace(job), generated(&prefix, view::uid(job)));
        let key = pass.new_name(POD, view::namespace(job), &prefix, view::uid(job));
        match within_quotas(pass.objects, &asked, &pod, None).and_then(|()| pass.create(WRITER, &key, pod.clone())) {
            Ok(pod) => {
                let message = format!("Created pod: {}", view::name(&pod));
                pass.tell(WRITER, Tone::Normal, (JOB, job), "SuccessfulCreate", &message);
            }
            Err(status) => {
                // A quota that is changed brings the next pass; until then, this is told once.
                let message = format!("Error creating: {}", status.message);
                pass.tell_once(WRITER, Tone::Warning, (JOB, job), "FailedCreate", &message);
                return made;
            }
        }
    }
    missing
}

fn count(number: usize) -> u32 {
    u32::try_from(number).unwrap_or(u32::MAX)
}
