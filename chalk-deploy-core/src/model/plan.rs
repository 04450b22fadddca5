//! What a deployment is made from, fixed when its record is created.

use serde::{Deserialize, Serialize};

use super::artifact::SourceFingerprint;
use super::digest::Digest;
use super::name::{DeploymentId, DeploymentTag, EnvironmentId, IdempotencyKey, ProjectName};
use super::time::Timestamp;

/// The state of the repository that the project was deployed from. All of it comes from strangers: shown only through
/// [`crate::text`].
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct GitMetadata {
    /// The commit's full id.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub commit: Option<String>,
    /// The branch; absent on a detached head.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub branch: Option<String>,
    /// A tag that points to the commit.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tag: Option<String>,
    /// The author of the commit, as `name <email>`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub author: Option<String>,
    /// The first line of the commit's message.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub subject: Option<String>,
    /// Whether tracked files differ from the commit.
    #[serde(default)]
    pub dirty: bool,
}

/// A requirements file as it was when the deployment was made (`RequirementsFile` of the published contract).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RequirementsFile {
    /// Path relative to the project.
    pub filename: String,
    /// Its text.
    pub contents: String,
}

/// The part of chalk.yaml that concerns the deployed environment.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct ProjectSettings {
    /// The Python runtime, such as `python311`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub runtime: Option<String>,
    /// The project's own Dockerfile, relative to the project.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub dockerfile: Option<String>,
    /// The pinned version of Chalk's platform images.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub platform_version: Option<String>,
}

/// How many replicas of a workload may run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sizing {
    /// At least this many.
    pub min_instances: u32,
    /// At most this many.
    pub max_instances: u32,
}

impl Default for Sizing {
    fn default() -> Self {
        Self { min_instances: 1, max_instances: 1 }
    }
}

impl Sizing {
    /// Checks that the range is not empty.
    ///
    /// # Errors
    /// [`crate::ErrorCode::ValueInvalid`] when the maximum is zero or below the minimum.
    pub fn new(min_instances: u32, max_instances: u32) -> crate::Result<Self> {
        if max_instances == 0 || max_instances < min_instances {
            return Err(crate::Error::new(
                crate::ErrorCode::ValueInvalid,
                "the most instances are at least one and no fewer than the least",
            )
            .on(format!("sizing {min_instances}..{max_instances}")));
        }
        Ok(Self { min_instances, max_instances })
    }
}

/// How the traffic moves.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum Strategy {
    /// All of it in one write, once the new version is ready.
    #[default]
    Immediate,
    /// In steps between the old and the new tag group.
    BlueGreen,
}

/// Whether the deployment takes the traffic.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Promotion {
    /// It does.
    #[default]
    Promote,
    /// It ends ready, at weight 0 (`--no-promote`).
    Hold,
}

/// What a deployment is made from. Recorded as its first event; nothing in it changes afterwards.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeploymentPlan {
    /// The deployment.
    pub id: DeploymentId,
    /// Where it goes.
    pub environment: EnvironmentId,
    /// The project.
    pub project: ProjectName,
    /// When the record was created.
    pub created_at: Timestamp,
    /// When it ends in `TIMEOUT` at the latest.
    pub deadline: Timestamp,
    /// What the source archive will be.
    pub source: SourceFingerprint,
    /// The digest of the serialised export of the feature graph, which the store keeps.
    pub graph: Digest,
    /// The repository's state.
    pub git: GitMetadata,
    /// The requirements files.
    pub requirements: Vec<RequirementsFile>,
    /// The settings of the environment in chalk.yaml.
    pub settings: ProjectSettings,
    /// The customer's tags.
    pub tags: Vec<DeploymentTag>,
    /// How many replicas run.
    pub sizing: Sizing,
    /// How the traffic moves.
    pub strategy: Strategy,
    /// Whether the traffic moves.
    pub promotion: Promotion,
    /// The client's key for repeating the request.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub idempotency_key: Option<IdempotencyKey>,
}

impl DeploymentPlan {
    /// The digest of what the client asked for: everything but id, times and the key itself. Two requests with one
    /// key must agree in it.
    pub fn content_digest(&self) -> Digest {
        // Destructured in full, so that a new field must be given its place here.
        let Self {
            id: _,
            created_at: _,
            deadline: _,
            idempotency_key: _,
            environment,
            project,
            source,
            graph,
            git,
            requirements,
            settings,
            tags,
            sizing,
            strategy,
            promotion,
        } = self;
        let content =
            (environment, project, source, graph, git, requirements, settings, tags, sizing, strategy, promotion);
        // Plain data with string keys: serialising it cannot fail.
        Digest::of(serde_json::to_vec(&content).unwrap_or_default())
    }
}
