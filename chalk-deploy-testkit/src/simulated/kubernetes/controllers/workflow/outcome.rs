//! How a node stands.

/// How a node stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Outcome {
    /// It was not begun: the workflow is suspended, or what it waits for is not over.
    Waiting,
    Pending,
    Running,
    Succeeded,
    Skipped,
    Omitted,
    Failed,
    Error,
}

impl Outcome {
    pub(super) const fn is_over(self) -> bool {
        !matches!(self, Self::Waiting | Self::Pending | Self::Running)
    }

    pub(super) const fn is_bad(self) -> bool {
        matches!(self, Self::Failed | Self::Error)
    }

    pub(super) const fn phase(self) -> &'static str {
        match self {
            Self::Waiting | Self::Running => "Running",
            Self::Pending => "Pending",
            Self::Succeeded => "Succeeded",
            Self::Skipped => "Skipped",
            Self::Omitted => "Omitted",
            Self::Failed => "Failed",
            Self::Error => "Error",
        }
    }

    pub(super) fn of(phase: &str) -> Self {
        match phase {
            "Pending" => Self::Pending,
            "Succeeded" => Self::Succeeded,
            "Skipped" => Self::Skipped,
            "Omitted" => Self::Omitted,
            "Failed" => Self::Failed,
            "Error" => Self::Error,
            _ => Self::Running,
        }
    }
}
