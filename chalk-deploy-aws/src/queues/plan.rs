//! What the seven queues are for, and how they are to be set up.

use std::fmt;
use std::time::Duration;

use chalk_deploy_core::provision::Encryption;
use chalk_deploy_core::{Error, ErrorCode, Result, text};

/// What is behind the name of a queue with the messages that nobody could work on.
const DEAD_LETTERS: &str = "-dead-letters";
/// "Message quotas" and "Queue quotas" of the developer guide.
const NAME_MOST: usize = 80;
const RETENTION: (Duration, Duration) = (Duration::from_mins(1), Duration::from_hours(14 * 24));
const VISIBILITY_MOST: Duration = Duration::from_hours(12);
const RECEIVES_MOST: u16 = 1000;

/// What a queue of the Metadata Plane is for (seed 001).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum QueueRole {
    /// Validation of metrics.
    MetricCheckTrigger,
    /// Scheduled resolvers.
    ScheduledResolverTrigger,
    /// Scheduled queries.
    ScheduledQueryTrigger,
    /// What batches are at.
    BatchStatus,
    /// What builds are at.
    ArgoBuilds,
    /// What batches have come to.
    BatchReport,
    /// Signs of life.
    Heartbeat,
}

impl QueueRole {
    /// All seven, as the seed lists them.
    pub const ALL: [Self; 7] = [
        Self::MetricCheckTrigger,
        Self::ScheduledResolverTrigger,
        Self::ScheduledQueryTrigger,
        Self::BatchStatus,
        Self::ArgoBuilds,
        Self::BatchReport,
        Self::Heartbeat,
    ];

    /// The name in the seed.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::MetricCheckTrigger => "metric-check-trigger",
            Self::ScheduledResolverTrigger => "scheduled-resolver-trigger",
            Self::ScheduledQueryTrigger => "scheduled-query-trigger",
            Self::BatchStatus => "batch-status",
            Self::ArgoBuilds => "argo-builds",
            Self::BatchReport => "batch-report",
            Self::Heartbeat => "heartbeat",
        }
    }
}

impl fmt::Display for QueueRole {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.as_str())
    }
}

/// Where messages go that were received again and again and never deleted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct DeadLetters {
    /// How often a message is received before it goes there.
    pub receives: u16,
    /// How long it is kept there. It counts from when the message was sent first, so that it must be longer than the
    /// queue's own ("Dead-letter queues" of the developer guide).
    pub retention: Duration,
}

impl Default for DeadLetters {
    /// Five times: a consumer that was replaced, or had a bad moment, has several more tries. Kept for 14 days, the longest
    /// that SQS does.
    fn default() -> Self {
        Self { receives: 5, retention: RETENTION.1 }
    }
}

impl DeadLetters {
    /// After so many times.
    #[must_use]
    pub const fn after(mut self, receives: u16) -> Self {
        self.receives = receives;
        self
    }
}

/// How one queue is to be set up.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct QueuePlan {
    /// What it is for.
    pub role: QueueRole,
    /// Its name, such as `chalk-acme-argo-builds`. The scoped role of seed 003 reaches only names that begin with `chalk`.
    pub name: String,
    /// Whose key messages are encrypted with.
    pub encryption: Encryption,
    /// How long a message that was received is shown to nobody else. Longer than working on one takes, or two do it.
    pub visibility: Duration,
    /// How long a message is kept that nobody takes. It is never shortened where a queue is there.
    pub retention: Duration,
    /// Where messages go that nobody could work on.
    pub dead_letters: Option<DeadLetters>,
}

impl QueuePlan {
    /// Five minutes: the consumers only begin or note something.
    pub const VISIBILITY: Duration = Duration::from_mins(5);
    /// Four days, as SQS has it by itself: a weekend's outage loses nothing.
    pub const RETENTION: Duration = Duration::from_hours(4 * 24);
    /// A sign of life is seen at once or not at all, and an old one says nothing: half a minute, an hour, and no dead letters.
    const HEARTBEAT: (Duration, Duration) = (Duration::from_secs(30), Duration::from_hours(1));

    /// The seven queues `chalk-PREFIX-ROLE`.
    ///
    /// # Errors
    /// [`ErrorCode::ValueInvalid`] for a prefix that is more than 34 lower-case letters, digits and inner hyphens: SQS takes names
    /// of 80, and the longest is that of a queue of dead letters.
    pub fn seven(prefix: &str) -> Result<[Self; 7]> {
        const LONGEST: &str = "chalk--scheduled-resolver-trigger";
        let usable = !prefix.is_empty()
            && prefix.len() <= NAME_MOST - LONGEST.len() - DEAD_LETTERS.len()
            && prefix.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-')
            && !prefix.starts_with('-')
            && !prefix.ends_with('-');
        if !usable {
            return Err(Error::new(ErrorCode::ValueInvalid, "no queue can be named after this")
                .on(format!("queue prefix `{}`", text::line(prefix, 80)))
                .with_hint("use up to 34 lower-case letters, digits and inner hyphens, such as the name of the team"));
        }
        Ok(QueueRole::ALL.map(|role| {
            let heartbeat = role == QueueRole::Heartbeat;
            let (visibility, retention) = if heartbeat { Self::HEARTBEAT } else { (Self::VISIBILITY, Self::RETENTION) };
            Self {
                role,
                name: format!("chalk-{prefix}-{role}"),
                encryption: Encryption::Provider,
                visibility,
                retention,
                dead_letters: (!heartbeat).then(DeadLetters::default),
            }
        }))
    }

    /// Sets [`encryption`](Self::encryption).
    #[must_use]
    pub fn with_encryption(mut self, encryption: Encryption) -> Self {
        self.encryption = encryption;
        self
    }

    /// Sets [`visibility`](Self::visibility).
    #[must_use]
    pub const fn with_visibility(mut self, visibility: Duration) -> Self {
        self.visibility = visibility;
        self
    }

    /// Sets [`retention`](Self::retention).
    #[must_use]
    pub const fn with_retention(mut self, retention: Duration) -> Self {
        self.retention = retention;
        self
    }

    /// Sets [`dead_letters`](Self::dead_letters).
    #[must_use]
    pub const fn with_dead_letters(mut self, dead_letters: Option<DeadLetters>) -> Self {
        self.dead_letters = dead_letters;
        self
    }

    /// The name of the queue of its dead letters.
    pub fn dead_letter_name(&self) -> String {
        format!("{}{DEAD_LETTERS}", self.name)
    }

    /// Refuses what SQS would refuse, or the scoped role could not reach, before anything is sent.
    pub(super) fn check(&self) -> Result<()> {
        let refused = |why: &str, hint: &str| {
            Err(Error::new(ErrorCode::ValueInvalid, why)
                .on(format!("queue `{}`", text::line(&self.name, 80)))
                .with_hint(hint.to_owned()))
        };
        let longest = if self.dead_letters.is_some() { NAME_MOST - DEAD_LETTERS.len() } else { NAME_MOST };
        let named = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
        if self.name.len() > longest || !self.name.bytes().all(named) {
            return refused(
                "SQS takes no such name",
                "use up to 80 letters, digits, hyphens and underscores, and 67 where there are dead letters",
            );
        }
        if !self.name.starts_with("chalk-") {
            return refused(
                "the name does not begin with `chalk-`",
                "begin it so: the scoped role reaches no other queues",
            );
        }
        let kept = |retention: Duration| (RETENTION.0..=RETENTION.1).contains(&retention);
        if !kept(self.retention) || self.visibility > VISIBILITY_MOST {
            return refused(
                "SQS keeps messages for one minute to 14 days, and hides them for 12 hours at most",
                "correct the plan's retention or its visibility",
            );
        }
        match &self.dead_letters {
            Some(DeadLetters { receives, retention })
                if !(1..=RECEIVES_MOST).contains(receives) || !kept(*retention) || *retention < self.retention =>
            {
                refused(
                    "dead letters go after 1 to 1000 times, and are kept as long as the queue's own messages, or longer",
                    "correct the plan's dead letters",
                )
            }
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seven() -> [QueuePlan; 7] {
        QueuePlan::seven("acme").expect("a prefix")
    }

    #[test]
    fn the_seven_queues_are_those_of_the_seed_and_a_heartbeat_has_no_dead_letters() {
        let plans = seven();
        let names: Vec<_> = plans.iter().map(|plan| plan.name.as_str()).collect();
        let expected = [
            "chalk-acme-metric-check-trigger",
            "chalk-acme-scheduled-resolver-trigger",
            "chalk-acme-scheduled-query-trigger",
            "chalk-acme-batch-status",
            "chalk-acme-argo-builds",
            "chalk-acme-batch-report",
            "chalk-acme-heartbeat",
        ];
        assert_eq!(names, expected);
        for plan in &plans {
            plan.check().expect("SQS takes it");
            assert_eq!(plan.dead_letters.is_none(), plan.role == QueueRole::Heartbeat, "{plan:?}");
        }
    }

    #[test]
    fn a_prefix_that_makes_no_name_is_refused_and_the_longest_fits() {
        for prefix in ["", "Acme", "a_b", "-a", "a-", "a.fifo", "a\n", &"a".repeat(35)] {
            assert_eq!(QueuePlan::seven(prefix).expect_err(prefix).code(), ErrorCode::ValueInvalid, "{prefix:?}");
        }
        for plan in QueuePlan::seven(&"a".repeat(34)).expect("fits") {
            assert!(plan.dead_letter_name().len() <= NAME_MOST, "{plan:?}");
            plan.check().expect("SQS takes it");
        }
    }

    #[test]
    fn what_sqs_would_refuse_is_refused_before_anything_is_sent() {
        let [plan, ..] = seven();
        let letters = DeadLetters::default();
        let named = |name: &str| QueuePlan { name: name.to_owned(), ..plan.clone() };
        for wrong in [
            named("acme-argo-builds"),
            named("chalk-a.fifo"),
            named("chalk-a b"),
            named(&format!("chalk-{}", "a".repeat(62))),
            plan.clone().with_retention(Duration::from_secs(59)),
            plan.clone().with_retention(Duration::from_hours(15 * 24)),
            plan.clone().with_visibility(Duration::from_hours(13)),
            plan.clone().with_dead_letters(Some(letters.after(0))),
            plan.clone().with_dead_letters(Some(letters.after(1001))),
            plan.clone().with_dead_letters(Some(DeadLetters { retention: Duration::from_hours(1), ..letters })),
        ] {
            assert_eq!(wrong.check().expect_err(&wrong.name).code(), ErrorCode::ValueInvalid, "{wrong:?}");
        }
    }
}
