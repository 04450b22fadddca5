//! Probes: how what a process answers becomes what a pod says.

use std::time::Duration;

use serde_json::Value;

use super::behaviour::Answer;
use crate::simulated::kubernetes::controllers::view;

/// How often a probe asks, and how many answers in a row count.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Probe {
    delay: Duration,
    period: Duration,
    successes: u32,
    failures: u32,
    /// After how long without a good answer the probe's owner gives up, at the pace that the pod asks for.
    patience: Duration,
}

/// What follows from an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Verdict {
    pub(super) good: bool,
    /// When to look again, in time since the start of the container.
    pub(super) again: Option<Duration>,
}

impl Probe {
    /// The probe that a container has, or `None`. `period` stands for the pod's own period and delay if it is given.
    pub(super) fn of(container: &Value, name: &str, period: Option<Duration>) -> Option<Self> {
        let probe = container.get(name).filter(|probe| probe.is_object())?;
        let number = |field: &str, default: u32| view::number(probe, field).unwrap_or(default);
        let seconds = |field: &str, default: u32| Duration::from_secs(number(field, default).into());
        let own_period = seconds("/periodSeconds", 10).max(Duration::from_secs(1));
        let own_delay = seconds("/initialDelaySeconds", 0);
        let failures = number("/failureThreshold", 3).max(1);
        Some(Self {
            delay: if period.is_some() { Duration::ZERO } else { own_delay },
            period: period.unwrap_or(own_period).max(Duration::from_millis(1)),
            successes: number("/successThreshold", 1).max(1),
            failures,
            patience: own_delay + own_period.saturating_mul(failures - 1),
        })
    }

    /// What stands in for a probe where a pod has none and a test wants its readiness to be seen.
    pub(super) const fn implied(period: Option<Duration>) -> Self {
        let period = match period {
            Some(period) => period,
            None => Duration::from_secs(1),
        };
        Self { delay: Duration::ZERO, period, successes: 1, failures: 1, patience: Duration::MAX }
    }

    /// When the first probe asks.
    pub(super) const fn first(&self) -> Duration {
        self.delay
    }

    /// What the pod says at a time after the start, when it said `stored` before.
    pub(super) fn judge(&self, stored: bool, answer: Answer, at: Duration) -> Verdict {
        if answer.good == stored {
            return Verdict { good: stored, again: answer.until };
        }
        let in_a_row = if answer.good { self.successes } else { self.failures };
        let decided = self.asked_at_or_after(answer.since) + self.period.saturating_mul(in_a_row - 1);
        if at >= decided {
            Verdict { good: answer.good, again: answer.until }
        } else {
            // The answer may change before it counts.
            Verdict { good: stored, again: Some(answer.until.map_or(decided, |until| until.min(decided))) }
        }
    }

    /// When a probe gives up on a process that has not answered well since some time. Killing a container sooner than
    /// its pod says would be wrong however fast the rest of the cluster is.
    pub(super) fn gives_up(&self, since: Duration) -> Duration {
        since.saturating_add(self.patience)
    }

    fn asked_at_or_after(&self, time: Duration) -> Duration {
        let after_delay = time.saturating_sub(self.delay);
        let count = after_delay.as_micros().div_ceil(self.period.as_micros().max(1));
        self.delay + self.period.saturating_mul(u32::try_from(count).unwrap_or(u32::MAX))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const fn seconds(count: u64) -> Duration {
        Duration::from_secs(count)
    }

    #[test]
    fn a_probe_needs_as_many_answers_in_a_row_as_its_thresholds_say() {
        let container = json!({"readinessProbe": {
            "initialDelaySeconds": 3, "periodSeconds": 5, "successThreshold": 2, "failureThreshold": 3
        }});
        let probe = Probe::of(&container, "readinessProbe", None).expect("a probe");
        let good = Answer { good: true, since: seconds(4), until: None };
        // Asked at 3, 8, 13.
        assert_eq!(probe.judge(false, good, seconds(8)), Verdict { good: false, again: Some(seconds(13)) });
        assert_eq!(probe.judge(false, good, seconds(13)), Verdict { good: true, again: None });
        let bad = Answer { good: false, since: seconds(20), until: Some(seconds(30)) };
        // Asked at 23, 28, 33: it is good again before three have failed.
        assert_eq!(probe.judge(true, bad, seconds(25)), Verdict { good: true, again: Some(seconds(30)) });
    }

    #[test]
    fn a_faster_pace_never_kills_sooner_than_the_pod_says() {
        let container = json!({"livenessProbe": {"periodSeconds": 10, "failureThreshold": 3}});
        let probe = Probe::of(&container, "livenessProbe", Some(Duration::from_millis(20))).expect("a probe");
        assert_eq!(probe.gives_up(seconds(1)), seconds(21));
        assert!(Probe::of(&container, "startupProbe", None).is_none());
    }
}
