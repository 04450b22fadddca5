//! How the process ends.

use chalk_deploy_core::error::Retry;
use chalk_deploy_core::machine::Outcome;
use chalk_deploy_core::model::DeploymentStatus;
use chalk_deploy_core::{Error, ErrorCode};

/// `SUCCESS`, or detached.
pub(super) const DONE: u8 = 0;
/// Any other terminal status, and an operation that failed.
pub(super) const FAILED: u8 = 1;
/// Bad input or a graph with errors; nothing was created.
pub(super) const BAD_INPUT: u8 = 2;
/// The answer was no.
pub(super) const DECLINED: u8 = 3;
/// A second Ctrl-C, or one before there was anything to cancel.
pub(super) const INTERRUPTED: u8 = 130;

/// Why it came to no outcome.
#[derive(Debug)]
pub(super) enum Stop {
    /// An error, to be shown, before anything was created.
    Refused(Error),
    /// An error, to be shown, when there was a deployment already.
    Broken(Error),
    /// The person said no.
    Declined,
    /// The person would not wait.
    Interrupted,
}

impl Stop {
    /// The code that the process ends with.
    pub(super) fn exit_code(&self) -> u8 {
        match self {
            Self::Refused(error) => refused(error.code(), error.retry()),
            Self::Broken(_) => FAILED,
            Self::Declined => DECLINED,
            Self::Interrupted => INTERRUPTED,
        }
    }
}

impl From<Error> for Stop {
    fn from(error: Error) -> Self {
        Self::Refused(error)
    }
}

/// The code for a deployment that has ended.
pub(super) const fn ended(outcome: &Outcome) -> u8 {
    match outcome.status {
        DeploymentStatus::Success => DONE,
        _ => FAILED,
    }
}

/// The code for an error before anything was created: whether the person must change what they gave, or whether
/// something else stood in the way.
const fn refused(code: ErrorCode, retry: Retry) -> u8 {
    use ErrorCode as Code;
    match code {
        Code::ProjectConfigMissing
        | Code::ProjectConfigInvalid
        | Code::ProjectConfigUnknownKey
        | Code::ProjectDirectoryInvalid
        | Code::ProjectFileMissing
        | Code::IgnoreFileInvalid
        | Code::EnvironmentUnknown
        | Code::ValueInvalid
        | Code::RequestInvalid
        | Code::IdempotencyKeyReused
        | Code::SourceUnreadable
        | Code::SourceChanged
        | Code::ArchivePathEscape
        | Code::ArchiveLinkEscape
        | Code::ArchiveEntryType
        | Code::ArchiveEntryName
        | Code::ArchiveDuplicatePath
        | Code::ArchiveTooLarge
        | Code::ArchiveHeaderMismatch
        | Code::ArchiveSecret
        | Code::GraphMissing
        | Code::GraphUndecodable
        | Code::GraphInvalid
        | Code::GraphExportFailed
        | Code::RequirementDenied
        | Code::BoundaryViolation
        | Code::JournalIncompatible => BAD_INPUT,
        // A state folder that cannot be one, such as a file.
        Code::StoreUnavailable if matches!(retry, Retry::Permanent) => BAD_INPUT,
        _ => FAILED,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Written from the other side than the code: what is not the fault of the input.
    const NOT_THE_INPUT: [&str; 31] = [
        "SOURCE_MISSING",
        "ARCHIVE_CORRUPT",
        "DIGEST_MISMATCH",
        "STORE_UNAVAILABLE",
        "VERSION_CONFLICT",
        "LEASE_LOST",
        "LEASE_HELD",
        "JOURNAL_CORRUPT",
        "DEPLOYMENT_UNKNOWN",
        "DEPLOYMENT_FINAL",
        "CLOUD_UNAVAILABLE",
        "CLOUD_ANSWER_INVALID",
        "PERMISSION_DENIED",
        "OBJECT_MISSING",
        "OBJECT_EXISTS",
        "BUILD_FAILED",
        "BUILD_LOST",
        "IMAGE_MISMATCH",
        "EVIDENCE_MISSING",
        "EVIDENCE_INVALID",
        "REGISTRY_UNTRUSTED",
        "OBJECT_REFUSED",
        "OBJECT_CONFLICT",
        "IMAGE_PULL_FAILED",
        "CONTAINER_CRASHED",
        "NEVER_READY",
        "UNSCHEDULABLE",
        "DEADLINE_EXCEEDED",
        "VERIFICATION_FAILED",
        "TRAFFIC_REFUSED",
        "CANCELLED",
    ];

    #[test]
    fn every_code_is_either_bad_input_or_a_failure() {
        for code in ErrorCode::ALL {
            let ours = matches!(code, ErrorCode::Internal | ErrorCode::UndoFailed);
            let expected = if ours || NOT_THE_INPUT.contains(&code.as_str()) { FAILED } else { BAD_INPUT };
            assert_eq!(Stop::Refused(Error::new(*code, "x")).exit_code(), expected, "{code}");
            assert_eq!(Stop::Broken(Error::new(*code, "x")).exit_code(), FAILED, "{code}");
        }
    }

    #[test]
    fn a_state_folder_that_cannot_be_one_is_bad_input_and_a_store_that_is_away_is_not() {
        let error = || Error::new(ErrorCode::StoreUnavailable, "x");
        assert_eq!(Stop::Refused(error().with_retry(Retry::Permanent)).exit_code(), BAD_INPUT);
        assert_eq!(Stop::Refused(error()).exit_code(), FAILED);
    }

    #[test]
    fn only_success_is_zero() {
        for status in DeploymentStatus::ALL {
            let outcome = Outcome {
                status,
                images: std::collections::BTreeMap::new(),
                archive: None,
                traffic: None,
                stages: Vec::new(),
                error: None,
                residue: Vec::new(),
            };
            assert_eq!(ended(&outcome) == DONE, status == DeploymentStatus::Success, "{status}");
        }
    }

    #[test]
    fn a_refusal_by_the_person_has_codes_of_its_own() {
        assert_eq!(Stop::Declined.exit_code(), 3);
        assert_eq!(Stop::Interrupted.exit_code(), 130);
    }
}
