//! Deployment statuses, with the wire names of `chalk.server.v1.DeploymentStatus`.

use std::fmt;

use serde::{Deserialize, Serialize};

/// Where a deployment is. The order of the variants is the order in which a deployment passes through them; it never
/// goes back, and one of the terminal ones is reached exactly once.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum DeploymentStatus {
    /// The record exists; the source archive has not arrived.
    AwaitingSource,
    /// The source has arrived; nobody works on it yet.
    Pending,
    /// Waits for another rollout of the same environment.
    Queued,
    /// Is being built, archived and pushed.
    Working,
    /// Is being rolled out.
    Deploying,
    /// The cluster serves this deployment as it was asked to.
    Success,
    /// Wrong input, a failed build step, an object refused by quota, admission or conflict.
    Failure,
    /// A defect of ours, or a store that stays away.
    InternalError,
    /// The image cannot be pulled, or the container exits.
    BootErrors,
    /// Never ready, unschedulable, or past the deadline.
    Timeout,
    /// Cancelled on request.
    Cancelled,
}

impl DeploymentStatus {
    /// Every status, in order.
    pub const ALL: [Self; 11] = [
        Self::AwaitingSource,
        Self::Pending,
        Self::Queued,
        Self::Working,
        Self::Deploying,
        Self::Success,
        Self::Failure,
        Self::InternalError,
        Self::BootErrors,
        Self::Timeout,
        Self::Cancelled,
    ];

    /// Whether a deployment stays in this status for ever.
    pub const fn is_terminal(self) -> bool {
        matches!(
            self,
            Self::Success | Self::Failure | Self::InternalError | Self::BootErrors | Self::Timeout | Self::Cancelled
        )
    }

    /// Whether an observer may see `next` after this status.
    pub fn may_become(self, next: Self) -> bool {
        !self.is_terminal() && next > self
    }

    /// The name on the wire.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::AwaitingSource => "AWAITING_SOURCE",
            Self::Pending => "PENDING",
            Self::Queued => "QUEUED",
            Self::Working => "WORKING",
            Self::Deploying => "DEPLOYING",
            Self::Success => "SUCCESS",
            Self::Failure => "FAILURE",
            Self::InternalError => "INTERNAL_ERROR",
            Self::BootErrors => "BOOT_ERRORS",
            Self::Timeout => "TIMEOUT",
            Self::Cancelled => "CANCELLED",
        }
    }

    /// The number in the published enumeration, for services that speak its protobuf.
    pub const fn number(self) -> i32 {
        match self {
            Self::Pending => 2,
            Self::Queued => 3,
            Self::Working => 4,
            Self::Success => 5,
            Self::Failure => 6,
            Self::InternalError => 7,
            Self::Timeout => 8,
            Self::Cancelled => 9,
            Self::BootErrors => 11,
            Self::AwaitingSource => 12,
            Self::Deploying => 13,
        }
    }
}

impl fmt::Display for DeploymentStatus {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.as_str())
    }
}

impl std::str::FromStr for DeploymentStatus {
    type Err = crate::Error;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::ALL.into_iter().find(|status| status.as_str() == text).ok_or_else(|| {
            crate::Error::new(crate::ErrorCode::JournalCorrupt, format!("`{text}` is not a deployment status"))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_serialised_name_is_the_name_on_the_wire() {
        for status in DeploymentStatus::ALL {
            let json = serde_json::to_string(&status).expect("a status is plain data");
            assert_eq!(json, format!("\"{status}\""));
            assert_eq!(status.as_str().parse::<DeploymentStatus>().expect("its own name"), status);
        }
    }

    #[test]
    fn no_status_follows_a_terminal_one_and_none_goes_back() {
        for from in DeploymentStatus::ALL {
            for to in DeploymentStatus::ALL {
                assert_eq!(from.may_become(to), !from.is_terminal() && to > from, "{from} -> {to}");
            }
        }
    }
}
