//! How the process in a container behaves, as a function of the time since it was started.

use std::collections::BTreeMap;
use std::time::Duration;

use chalk_deploy_core::cloud::label;
use serde_json::Value;

use crate::fake::PodScope;
use crate::simulated::kubernetes::controllers::view;

/// How the pods of a workload behave. All times count from the start of the container.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum PodBehaviour {
    /// Ready after the time that the settings give a process, if the registry holds the image; else as
    /// [`ImagePullFailed`](Self::ImagePullFailed).
    #[default]
    ByImage,
    /// Ready so much later, whatever the image.
    Ready {
        /// How much later.
        after: Duration,
    },
    /// The image cannot be pulled.
    ImagePullFailed,
    /// The process exits with code 1.
    Crash {
        /// How long it runs each time.
        after: Duration,
        /// After so many restarts it stays up; `None`: never.
        restarts: Option<u32>,
    },
    /// The process runs and never becomes ready.
    NeverReady,
    /// No node can take the pod.
    Unschedulable,
    /// The process is ready for one period, not ready for the next, and so on.
    Flapping {
        /// How long it is ready, and how long not.
        period: Duration,
    },
    /// The process answers nothing before it is ready: a liveness probe kills it if no startup probe holds that back.
    SlowStart {
        /// How long it takes.
        after: Duration,
    },
    /// The process becomes ready, and later answers nothing any more, until a liveness probe kills it.
    Hang {
        /// When it stops answering.
        after: Duration,
    },
    /// The process was asked to end and does not: it serves until its grace period is over.
    SlowEnd,
}

/// What can be asked of a process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Question {
    /// Has it begun? The startup probe.
    Begun,
    /// Can it take requests? The readiness probe.
    Ready,
    /// Does it answer at all? The liveness probe.
    Alive,
}

/// The answer at some time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Answer {
    pub(super) good: bool,
    /// Since when it is this one.
    pub(super) since: Duration,
    /// When it will be another one.
    pub(super) until: Option<Duration>,
}

impl PodBehaviour {
    /// When the process exits by itself, in its run number `restarts`.
    pub(super) fn exits_at(&self, restarts: u32) -> Option<Duration> {
        match self {
            Self::Crash { after, restarts: most } if most.is_none_or(|most| restarts < most) => Some(*after),
            _ => None,
        }
    }

    /// What the process answers at a time after its start. `boot` is how long a process takes until it is ready.
    pub(super) fn answer(&self, question: Question, at: Duration, boot: Duration) -> Answer {
        let begins = match self {
            Self::Ready { after } | Self::SlowStart { after } => *after,
            _ => boot,
        };
        match (self, question) {
            (Self::NeverReady, Question::Ready) => Answer { good: false, since: Duration::ZERO, until: None },
            (Self::Flapping { period }, Question::Ready) if at >= begins => {
                flapping(at.saturating_sub(begins), *period, begins)
            }
            (Self::Hang { after }, _) if at >= *after => Answer { good: false, since: *after, until: None },
            (Self::Hang { after }, Question::Alive) => {
                Answer { good: true, since: Duration::ZERO, until: Some(*after) }
            }
            (Self::Hang { after }, _) if at >= begins => Answer { good: true, since: begins, until: Some(*after) },
            (Self::SlowStart { .. }, Question::Alive) | (_, Question::Begun | Question::Ready) => {
                if at >= begins {
                    Answer { good: true, since: begins, until: None }
                } else {
                    Answer { good: false, since: Duration::ZERO, until: Some(begins) }
                }
            }
            (_, Question::Alive) => Answer { good: true, since: Duration::ZERO, until: None },
        }
    }
}

fn flapping(at: Duration, period: Duration, begins: Duration) -> Answer {
    let period = period.max(Duration::from_millis(1));
    let turn = u32::try_from(at.as_millis() / period.as_millis()).unwrap_or(u32::MAX);
    let since = begins + period.saturating_mul(turn);
    Answer { good: turn % 2 == 0, since, until: Some(since + period) }
}

/// The behaviours that tests have chosen.
#[derive(Debug, Default)]
pub(crate) struct Behaviours(BTreeMap<PodScope, PodBehaviour>);

impl Behaviours {
    pub(crate) fn set(&mut self, scope: PodScope, behaviour: PodBehaviour) {
        self.0.insert(scope, behaviour);
    }

    /// That of a container of a pod with this image.
    pub(crate) fn of(&self, pod: &Value, image: &str) -> PodBehaviour {
        let labels = view::labels(pod);
        let label = |name: &str| labels.get(name).map(String::as_str).unwrap_or_default();
        // The scopes are ordered from the most exact one to the widest.
        let fits = |scope: &PodScope| match scope {
            PodScope::Deployment(id) => id.as_str() == label(label::DEPLOYMENT),
            PodScope::Image(reference) => reference == image,
            PodScope::Component(of) => of.as_str() == label(label::COMPONENT),
            PodScope::All => true,
        };
        self.0.iter().find(|(scope, _)| fits(scope)).map(|(_, behaviour)| behaviour.clone()).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BOOT: Duration = Duration::from_secs(2);

    fn at(behaviour: &PodBehaviour, question: Question, seconds: u64) -> bool {
        behaviour.answer(question, Duration::from_secs(seconds), BOOT).good
    }

    #[test]
    fn every_answer_holds_from_its_beginning_to_its_end_and_changes_there() {
        use PodBehaviour as Pods;
        let second = Duration::from_secs(1);
        for behaviour in [
            Pods::ByImage,
            Pods::Ready { after: 3 * second },
            Pods::NeverReady,
            Pods::Flapping { period: 3 * second },
            Pods::SlowStart { after: 5 * second },
            Pods::Hang { after: 4 * second },
            Pods::Hang { after: second },
        ] {
            for question in [Question::Begun, Question::Ready, Question::Alive] {
                for millis in (0..20_000).step_by(250) {
                    let time = Duration::from_millis(millis);
                    let answer = behaviour.answer(question, time, BOOT);
                    assert!(answer.since <= time, "{behaviour:?} {question:?} {time:?} {answer:?}");
                    let begin = behaviour.answer(question, answer.since, BOOT);
                    assert_eq!(begin.good, answer.good, "{behaviour:?} {question:?} {time:?}");
                    if let Some(until) = answer.until {
                        assert!(until > time, "{behaviour:?} {question:?} {time:?} {answer:?}");
                        let next = behaviour.answer(question, until, BOOT);
                        assert!(
                            next.good != answer.good || matches!(behaviour, Pods::Hang { .. }),
                            "{behaviour:?} {question:?} {time:?} {answer:?} {next:?}"
                        );
                    }
                }
            }
        }
    }

    #[test]
    fn a_process_that_starts_slowly_does_not_even_live_before() {
        let slow = PodBehaviour::SlowStart { after: Duration::from_secs(5) };
        assert!(!at(&slow, Question::Alive, 4) && at(&slow, Question::Alive, 5));
        assert!(at(&PodBehaviour::NeverReady, Question::Alive, 4) && at(&PodBehaviour::NeverReady, Question::Begun, 4));
    }

    #[test]
    fn a_crash_ends_when_the_restarts_are_used_up() {
        let crash = PodBehaviour::Crash { after: BOOT, restarts: Some(2) };
        assert_eq!([0, 1, 2].map(|run| crash.exits_at(run)), [Some(BOOT), Some(BOOT), None]);
    }
}
