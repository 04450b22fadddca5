//! Every error code of the library, with what follows from it. This is the only place where codes are made.
//!
//! The name on the wire never changes; a code that is no longer raised stays reserved.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::model::DeploymentStatus;

/// Whether the same call can succeed later (the three classes of `OpenDAL`'s `ErrorStatus`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Retry {
    /// Never: the input or the state must change first.
    Permanent,
    /// It may, without anyone doing anything.
    Temporary,
    /// It was temporary, and stayed so until the retries were used up.
    Persistent,
}

macro_rules! codes {
    ($($(#[$doc:meta])* $name:ident = $wire:literal, $retry:ident, $status:ident, $hint:literal;)*) => {
        /// What kind of thing went wrong. Stable: the wire name of a code never changes its meaning.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[non_exhaustive]
        pub enum ErrorCode {
            $($(#[$doc])* #[serde(rename = $wire)] $name,)*
        }

        impl ErrorCode {
            /// Every code, in the order of the file.
            pub const ALL: &'static [Self] = &[$(Self::$name,)*];

            /// The name on the wire, in JSON and in documentation.
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$name => $wire,)* }
            }

            /// Whether a retry can help, unless the place that raised it knew better.
            pub const fn retry(self) -> Retry {
                match self { $(Self::$name => Retry::$retry,)* }
            }

            /// The terminal status that a deployment ends in when this error stops it.
            pub const fn terminal_status(self) -> DeploymentStatus {
                match self { $(Self::$name => DeploymentStatus::$status,)* }
            }

            /// What to do, when the place that raised it has nothing more exact to say.
            pub const fn hint(self) -> &'static str {
                match self { $(Self::$name => $hint,)* }
            }
        }
    };
}

codes! {
    // --- the project: raised before anything is created -----------------------------------------------------------
    /// No `chalk.yaml` or `chalk.yml` in the directory or above it.
    ProjectConfigMissing = "PROJECT_CONFIG_MISSING", Permanent, Failure, "create a chalk.yaml with a `project:` line, or name the directory that holds one";
    /// The project's configuration does not parse, or a field has the wrong type or value.
    ProjectConfigInvalid = "PROJECT_CONFIG_INVALID", Permanent, Failure, "correct the field named and apply again";
    /// A key of the configuration that no version of Chalk reads (a warning).
    ProjectConfigUnknownKey = "PROJECT_CONFIG_UNKNOWN_KEY", Permanent, Failure, "remove the key, or correct its spelling";
    /// The path given as a project is not a directory that can be read.
    ProjectDirectoryInvalid = "PROJECT_DIRECTORY_INVALID", Permanent, Failure, "name the directory that holds chalk.yaml";
    /// A file that the configuration names is not there.
    ProjectFileMissing = "PROJECT_FILE_MISSING", Permanent, Failure, "create the file, or correct the path in chalk.yaml";
    /// An ignore file has a pattern that does not parse.
    IgnoreFileInvalid = "IGNORE_FILE_INVALID", Permanent, Failure, "correct the pattern named";
    /// An environment that chalk.yaml or the service does not know.
    EnvironmentUnknown = "ENVIRONMENT_UNKNOWN", Permanent, Failure, "name one of the environments listed";
    /// A name, tag, digest, size or weight that breaks the rule of its kind.
    ValueInvalid = "VALUE_INVALID", Permanent, Failure, "correct the value";
    /// A request that contradicts itself, or asks for something not there yet.
    RequestInvalid = "REQUEST_INVALID", Permanent, Failure, "change the request as the message says";
    /// The same idempotency key was used with other content.
    IdempotencyKeyReused = "IDEMPOTENCY_KEY_REUSED", Permanent, Failure, "use a new key for a new request";

    // --- the source archive ----------------------------------------------------------------------------------------
    /// A file of the tree cannot be read, or is of a kind that an archive cannot hold.
    SourceUnreadable = "SOURCE_UNREADABLE", Permanent, Failure, "make the file readable, or list it in .chalkignore";
    /// The tree changed between being hashed and being uploaded, or before a resume.
    SourceChanged = "SOURCE_CHANGED", Permanent, Failure, "apply again; the files were changed while they were being deployed";
    /// The source of an unfinished deployment was never uploaded, and the resuming side does not have it.
    SourceMissing = "SOURCE_MISSING", Permanent, Failure, "resume from the machine that holds the project directory";
    /// An entry's path leaves the archive's root.
    ArchivePathEscape = "ARCHIVE_PATH_ESCAPE", Permanent, Failure, "remove the entry from the archive";
    /// A symbolic link whose target leaves the tree, or a file reached through a link.
    ArchiveLinkEscape = "ARCHIVE_LINK_ESCAPE", Permanent, Failure, "make the link point inside the project, or list it in .chalkignore";
    /// An entry that is no file, directory or symbolic link.
    ArchiveEntryType = "ARCHIVE_ENTRY_TYPE", Permanent, Failure, "remove the entry from the project, or list it in .chalkignore";
    /// An entry's name is empty, too long, not UTF-8 or holds control characters.
    ArchiveEntryName = "ARCHIVE_ENTRY_NAME", Permanent, Failure, "rename the file";
    /// Two entries with one path.
    ArchiveDuplicatePath = "ARCHIVE_DUPLICATE_PATH", Permanent, Failure, "remove one of the two entries";
    /// The archive is larger than a limit: entries, bytes packed, bytes unpacked or the ratio of the two.
    ArchiveTooLarge = "ARCHIVE_TOO_LARGE", Permanent, Failure, "list what need not be deployed in .chalkignore, or raise the limit";
    /// The archive is cut short or damaged.
    ArchiveCorrupt = "ARCHIVE_CORRUPT", Permanent, Failure, "upload the archive again";
    /// Two headers of one entry contradict each other, so that programs would read different archives.
    ArchiveHeaderMismatch = "ARCHIVE_HEADER_MISMATCH", Permanent, Failure, "make the archive again with another program";
    /// A file that looks like a secret, where secrets are refused.
    ArchiveSecret = "ARCHIVE_SECRET", Permanent, Failure, "take the secret out of the project, or list the file in .chalkignore";
    /// What was received does not have the digest that was declared.
    DigestMismatch = "DIGEST_MISMATCH", Permanent, Failure, "upload again; if it repeats, the store or the network alters bytes";

    // --- the feature graph -----------------------------------------------------------------------------------------
    /// No export of the graph: no chalkpy, no file.
    GraphMissing = "GRAPH_MISSING", Permanent, Failure, "install chalkpy in the project's venv, or pass an export made by `chalkpy export FILE --proto` with --graph FILE";
    /// The bytes are no `chalk.artifacts.v1.Export`.
    GraphUndecodable = "GRAPH_UNDECODABLE", Permanent, Failure, "make the export again with `chalkpy export FILE --proto`";
    /// The graph has errors.
    GraphInvalid = "GRAPH_INVALID", Permanent, Failure, "correct the definitions named";
    /// chalkpy ran and failed, or did not end in time.
    GraphExportFailed = "GRAPH_EXPORT_FAILED", Permanent, Failure, "run `chalkpy export FILE --proto` in the project and correct what it reports";

    // --- the store and the lease -----------------------------------------------------------------------------------
    /// The store cannot be reached or written.
    StoreUnavailable = "STORE_UNAVAILABLE", Temporary, InternalError, "check the disk or the database, then resume";
    /// Another writer appended first.
    VersionConflict = "VERSION_CONFLICT", Temporary, InternalError, "read the deployment again";
    /// The writer's lease was taken over; its token is older than the newest one.
    LeaseLost = "LEASE_LOST", Permanent, InternalError, "follow the deployment from the process that took over";
    /// A living owner holds the environment.
    LeaseHeld = "LEASE_HELD", Persistent, InternalError, "wait for the owner to finish, or stop it and resume";
    /// A journal or a state folder written by a version that this one does not know.
    JournalIncompatible = "JOURNAL_INCOMPATIBLE", Permanent, InternalError, "use the version of chalk-deploy that wrote it, or a newer one";
    /// A journal whose events contradict each other or do not parse.
    JournalCorrupt = "JOURNAL_CORRUPT", Permanent, InternalError, "restore the state from a backup";
    /// No deployment with this id.
    DeploymentUnknown = "DEPLOYMENT_UNKNOWN", Permanent, InternalError, "list the deployments of the environment with `history`";
    /// The deployment can no longer be changed that way: it is finished, or production already runs it.
    DeploymentFinal = "DEPLOYMENT_FINAL", Permanent, InternalError, "start a new deployment";

    // --- the cloud -------------------------------------------------------------------------------------------------
    /// A provider or a server did not answer, or answered that it is overloaded.
    CloudUnavailable = "CLOUD_UNAVAILABLE", Temporary, InternalError, "resume when the service answers again";
    /// The service gave an answer that makes no sense.
    CloudAnswerInvalid = "CLOUD_ANSWER_INVALID", Permanent, InternalError, "check the address of the service and what stands between";
    /// The credentials are refused, or a permission is missing.
    PermissionDenied = "PERMISSION_DENIED", Permanent, Failure, "grant the permission named";
    /// An object that should be there is not.
    ObjectMissing = "OBJECT_MISSING", Permanent, Failure, "check the bucket's lifecycle rules";
    /// A write-once key is taken by other content.
    ObjectExists = "OBJECT_EXISTS", Permanent, Failure, "the key was written by someone else; nothing was overwritten";
    /// A registry would have us send credentials or content to a host that it has no say over.
    RegistryUntrusted = "REGISTRY_UNTRUSTED", Permanent, Failure, "check the registry's address and who answers there";
    /// The boundary of the data plane forbids it.
    BoundaryViolation = "BOUNDARY_VIOLATION", Permanent, Failure, "choose a place inside the customer's cloud";

    // --- build, push -----------------------------------------------------------------------------------------------
    /// A requirement that asks for more than a distribution from the service's own index.
    RequirementDenied = "REQUIREMENT_DENIED", Permanent, Failure, "name distributions and versions only";
    /// A step of the build failed.
    BuildFailed = "BUILD_FAILED", Permanent, Failure, "read the build's log lines and correct the project";
    /// The builder no longer knows the build.
    BuildLost = "BUILD_LOST", Temporary, InternalError, "resume; the build is submitted again under the same key";
    /// The registry holds or returns something else than what was pushed.
    ImageMismatch = "IMAGE_MISMATCH", Permanent, Failure, "check the registry; nothing was rolled out";

    /// Nothing signed says what is in an image, or where it came from.
    EvidenceMissing = "EVIDENCE_MISSING", Permanent, Failure, "deploy it with a signing key; without evidence it is not taken for verified";
    /// What an image says of itself, or what is attached to it, is damaged, of somebody else, or about something else.
    EvidenceInvalid = "EVIDENCE_INVALID", Permanent, Failure, "find out who pushed it, and with which key; it is not taken for verified";

    // --- rollout ---------------------------------------------------------------------------------------------------
    /// The API server refused an object: invalid, a quota, an admission webhook.
    ObjectRefused = "OBJECT_REFUSED", Permanent, Failure, "correct the object, or raise the quota";
    /// Another field manager owns what we would change, or someone edited what we own.
    ObjectConflict = "OBJECT_CONFLICT", Permanent, Failure, "settle who owns the field; nothing was forced";
    /// A node cannot pull the image.
    ImagePullFailed = "IMAGE_PULL_FAILED", Permanent, BootErrors, "check the image's digest and the node's pull credentials";
    /// A container exits or crash-loops.
    ContainerCrashed = "CONTAINER_CRASHED", Permanent, BootErrors, "read the container's log and correct the code";
    /// The pods run but never became ready.
    NeverReady = "NEVER_READY", Permanent, Timeout, "check the readiness probe and the container's log";
    /// No node can take the pods.
    Unschedulable = "UNSCHEDULABLE", Permanent, Timeout, "add capacity, or lower the sizing";
    /// The deadline of the deployment passed.
    DeadlineExceeded = "DEADLINE_EXCEEDED", Permanent, Timeout, "raise the deadline, or find out what was slow in the step list";
    /// The new version does not answer as it should.
    VerificationFailed = "VERIFICATION_FAILED", Permanent, Failure, "the traffic went back to the previous version; read its log";
    /// The route cannot take traffic to the new version.
    TrafficRefused = "TRAFFIC_REFUSED", Permanent, Failure, "check the gateway and the route's status";

    // --- the deployment itself -------------------------------------------------------------------------------------
    /// A person asked for the cancellation.
    Cancelled = "CANCELLED", Permanent, Cancelled, "";
    /// What was done could not be undone; the residue is listed.
    UndoFailed = "UNDO_FAILED", Permanent, InternalError, "remove the objects listed by hand";
    /// A defect of ours.
    Internal = "INTERNAL", Permanent, InternalError, "report it with the deployment's id and its step list";
}

impl fmt::Display for ErrorCode {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn every_code_has_its_own_name_on_the_wire() {
        let names: BTreeSet<_> = ErrorCode::ALL.iter().map(|code| code.as_str()).collect();
        assert_eq!(names.len(), ErrorCode::ALL.len());
    }

    #[test]
    fn every_code_ends_a_deployment_in_a_terminal_status_other_than_success() {
        for code in ErrorCode::ALL {
            let status = code.terminal_status();
            assert!(status.is_terminal() && status != DeploymentStatus::Success, "{code} leads to {status}");
        }
    }
}
