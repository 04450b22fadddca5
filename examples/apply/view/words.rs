//! The words of the two views for people.

use std::time::Duration;

use chalk_deploy_core::error::RecordedError;
use chalk_deploy_core::machine::{Outcome, Stage};
use chalk_deploy_core::model::{DeploymentId, DeploymentStatus};
use chalk_deploy_core::observe::Unit;
use chalk_deploy_core::text;

use super::Collecting;
use super::board::{Progress, StageBoard};

/// Below this a rate says more about the clock than about the network.
const RATE_FROM: Duration = Duration::from_millis(100);

/// The name of a stage, as wide as the longest.
pub(super) fn name(stage: Stage) -> String {
    format!("{:<7}", stage.as_str())
}

/// A duration for people: `0.42 s`, `12 s`, `3 m 05 s`, `1 h 02 m`.
pub(super) fn elapsed(duration: Duration) -> String {
    let seconds = duration.as_secs();
    if seconds < 10 {
        format!("{:.2} s", duration.as_secs_f64())
    } else if seconds < 60 {
        format!("{seconds} s")
    } else if seconds < 3600 {
        format!("{} m {:02} s", seconds / 60, seconds % 60)
    } else {
        format!("{} h {:02} m", seconds / 3600, seconds / 60 % 60)
    }
}

/// A size, and the rate where there is one: `1.5 MiB, 3.0 MiB/s`.
pub(super) fn size(bytes: u64, elapsed: Duration) -> String {
    let size = text::bytes(bytes);
    match rate(bytes, elapsed) {
        Some(rate) => format!("{size}, {rate}"),
        None => size,
    }
}

/// A rate, where the time was long enough for one.
pub(super) fn rate(bytes: u64, elapsed: Duration) -> Option<String> {
    if elapsed < RATE_FROM {
        return None;
    }
    let each_second = u128::from(bytes) * 1000 / elapsed.as_millis().max(1);
    Some(format!("{}/s", text::bytes(u64::try_from(each_second).unwrap_or(u64::MAX))))
}

/// How far a step is: `1.0 MiB of 3.0 MiB`, `2 of 4 pods`.
pub(super) fn progress(progress: Progress) -> String {
    let Progress { done, total, unit } = progress;
    let count = |count: u64| if unit == Unit::Bytes { text::bytes(count) } else { count.to_string() };
    let done = match total {
        Some(total) => format!("{} of {}", count(done), count(total)),
        None => count(done),
    };
    match unit {
        Unit::Objects => format!("{done} objects"),
        Unit::Pods => format!("{done} pods"),
        _ => done,
    }
}

/// What a stage tells when it is done.
pub(super) fn done(stage: &StageBoard, elapsed_ms: u64) -> String {
    let took = Duration::from_millis(elapsed_ms);
    if stage.bytes == 0 { elapsed(took) } else { format!("{}, {}", elapsed(took), size(stage.bytes, took)) }
}

/// How far collecting the source is.
pub(in super::super) fn collecting(progress: Collecting) -> String {
    let Collecting { done, total, elapsed } = progress;
    let rate = rate(done, elapsed).map(|rate| format!(", {rate}")).unwrap_or_default();
    format!("collecting the source: {} of {}{rate}", text::bytes(done), text::bytes(total))
}

/// Why there will be another attempt, and when.
pub(super) fn retry(attempt: u32, error: &RecordedError, wait_ms: u64) -> String {
    let wait = elapsed(Duration::from_millis(wait_ms));
    format!("attempt {attempt} failed, the next one follows in {wait}: {}", text::printable(&error.to_string()))
}

/// The end of a deployment, a line each. The error itself is told on stderr.
pub(super) fn summary(deployment: &DeploymentId, outcome: &Outcome) -> Vec<String> {
    let mut lines = vec![format!("deployment  {deployment}")];
    for (component, image) in &outcome.images {
        lines.push(format!("image       {component}  {image}"));
    }
    if let Some(archive) = &outcome.archive {
        lines.push(format!("archive     {}  ({})", archive.key, text::bytes(archive.size)));
    }
    if let Some(traffic) = &outcome.traffic {
        let shares = traffic.backends.iter().map(|backend| {
            let whose = if backend.deployment == *deployment { " (this deployment)" } else { "" };
            format!("{} {}{whose}", backend.weight, backend.deployment)
        });
        let shares = shares.collect::<Vec<_>>().join(", ");
        lines.push(format!("traffic     {}", if shares.is_empty() { "none yet" } else { &shares }));
    }
    for left in &outcome.residue {
        lines.push(format!("left over   {}", text::printable(left)));
    }
    if let Some(next) = next(outcome) {
        lines.push(format!("next        {next}"));
    }
    lines
}

/// What the person may do now.
fn next(outcome: &Outcome) -> Option<&'static str> {
    if !outcome.residue.is_empty() {
        return Some("remove what is left over by hand, then apply again");
    }
    let is_held_back = outcome.traffic.as_ref().is_some_and(|traffic| !traffic.promoted);
    match outcome.status {
        DeploymentStatus::Success if is_held_back => {
            Some("the new version is ready and takes no traffic (--no-promote)")
        }
        DeploymentStatus::Success => None,
        DeploymentStatus::Cancelled => Some("production is as it was"),
        DeploymentStatus::InternalError => Some("production is as it was; apply again when the cause is gone"),
        _ => Some("production is as it was; correct the cause and apply again"),
    }
}

#[cfg(test)]
mod tests {
    use chalk_deploy_core::model::{Backend, Weight};

    use super::super::board::tests::{failure, finished, id};
    use super::*;

    #[test]
    fn durations_are_as_exact_as_a_person_needs() {
        let cases =
            [(420, "0.42 s"), (9_999, "10.00 s"), (12_900, "12 s"), (185_000, "3 m 05 s"), (3_725_000, "1 h 02 m")];
        for (millis, text) in cases {
            assert_eq!(elapsed(Duration::from_millis(millis)), text);
        }
    }

    #[test]
    fn a_rate_is_told_only_after_some_time() {
        assert_eq!(size(2048, Duration::from_millis(3)), "2.0 KiB");
        assert_eq!(size(2048, Duration::from_secs(2)), "2.0 KiB, 1.0 KiB/s");
    }

    #[test]
    fn collecting_tells_how_much_of_how_much_and_how_fast() {
        let progress = Collecting { done: 1024, total: 4096, elapsed: Duration::from_secs(1) };
        assert_eq!(collecting(progress), "collecting the source: 1.0 KiB of 4.0 KiB, 1.0 KiB/s");
    }

    #[test]
    fn progress_is_told_in_its_unit() {
        let told = |done, total, unit| progress(Progress { done, total, unit });
        assert_eq!(told(1024, Some(2048), Unit::Bytes), "1.0 KiB of 2.0 KiB");
        assert_eq!(told(1, Some(4), Unit::Pods), "1 of 4 pods");
        assert_eq!(told(3, None, Unit::Objects), "3 objects");
    }

    #[test]
    fn a_success_says_what_runs_where() {
        let lines = summary(&id('a'), &finished());
        assert_eq!(lines[0], format!("deployment  {}", id('a')));
        assert!(lines[1].starts_with("image       engine  r.example/engine@sha256:bbb"), "{lines:?}");
        assert!(lines[2].starts_with("archive     archives/ccc") && lines[2].ends_with("(2.0 KiB)"), "{lines:?}");
        assert_eq!(lines[3], format!("traffic     100% {} (this deployment)", id('a')));
        assert_eq!(lines.len(), 4);
    }

    #[test]
    fn a_version_that_is_held_back_says_so() {
        let mut outcome = finished();
        let traffic = outcome.traffic.as_mut().expect("there is traffic");
        traffic.promoted = false;
        traffic.backends = vec![
            Backend { deployment: id('b'), weight: Weight::ALL },
            Backend { deployment: id('a'), weight: Weight::NONE },
        ];
        let lines = summary(&id('a'), &outcome);
        assert!(lines[3].contains(&format!("0% {} (this deployment)", id('a'))), "{lines:?}");
        assert!(lines[4].contains("takes no traffic"), "{lines:?}");
    }

    #[test]
    fn every_end_but_a_plain_success_says_what_to_do_next() {
        for status in DeploymentStatus::ALL.into_iter().filter(|status| status.is_terminal()) {
            let outcome = Outcome { status, ..finished() };
            assert_eq!(next(&outcome).is_none(), status == DeploymentStatus::Success, "{status}");
        }
        let outcome = Outcome { status: DeploymentStatus::Failure, residue: vec!["a\u{1b}b".to_owned()], ..finished() };
        let lines = summary(&id('a'), &outcome).join("\n");
        assert!(lines.contains("left over") && lines.contains("by hand") && !lines.contains('\u{1b}'), "{lines}");
    }

    #[test]
    fn a_retry_tells_what_failed_and_when_it_goes_on() {
        let text = retry(2, &failure(), 500);
        assert_eq!(text, "attempt 2 failed, the next one follows in 0.50 s: bucket `source`: no answer");
    }
}
