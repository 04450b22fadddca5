//! Why an apply is refused, in the words of the API server.

use http::StatusCode;

use super::path::Path;
use crate::simulated::kubernetes::status::Status;

/// A field that somebody else owns and would change.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Conflict {
    /// Who owns it: `"kubectl" using apps/v1`.
    pub manager: String,
    /// Which.
    pub path: Path,
}

/// Why an apply is refused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Conflicts {
    /// Others own what would change; in order of manager, and never empty. `force` would take it from them.
    Owned(Vec<Conflict>),
    /// The document claims to know who owns what.
    ManagedFields,
    /// The document is not of its type: an unknown field, a wrong type, an item without or with another's key.
    Untyped {
        /// The object, as messages name it: `default/engine; apps/v1, Kind=Deployment`.
        object: String,
        /// Path and reason of each.
        reasons: Vec<String>,
    },
}

impl Conflicts {
    /// The answer of the API server.
    pub fn status(&self) -> Status {
        match self {
            Self::Owned(conflicts) => {
                let mut status = Status::new(StatusCode::CONFLICT, "Conflict", describe(conflicts));
                status.causes = conflicts
                    .iter()
                    .map(|conflict| {
                        let message = format!("conflict with {}", conflict.manager);
                        ("FieldManagerConflict".to_owned(), message, conflict.path.to_string())
                    })
                    .collect();
                status
            }
            Self::ManagedFields => {
                Status::new(StatusCode::BAD_REQUEST, "BadRequest", "metadata.managedFields must be nil")
            }
            Self::Untyped { object, reasons } => {
                let reasons = match &reasons[..] {
                    [reason] => reason.clone(),
                    reasons => format!("errors:\n  {}", reasons.join("\n  ")),
                };
                // The API server gives no reason.
                let message = format!("failed to create typed patch object ({object}): {reasons}");
                Status::new(StatusCode::INTERNAL_SERVER_ERROR, "", message)
            }
        }
    }
}

fn describe(conflicts: &[Conflict]) -> String {
    if let [conflict] = conflicts {
        return format!("Apply failed with 1 conflict: conflict with {}: {}", conflict.manager, conflict.path);
    }
    let mut lines = Vec::new();
    let mut manager = None;
    for conflict in conflicts {
        if manager != Some(&conflict.manager) {
            lines.push(format!("conflicts with {}:", conflict.manager));
            manager = Some(&conflict.manager);
        }
        lines.push(format!("- {}", conflict.path));
    }
    format!("Apply failed with {} conflicts: {}", conflicts.len(), lines.join("\n"))
}
