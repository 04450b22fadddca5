//! What a client asks for.

use std::collections::BTreeSet;

use crate::cloud::Payload;
use crate::graph::{FeatureGraph, Validation};
use crate::model::{
    DeploymentTag, EnvironmentId, GitMetadata, IdempotencyKey, ProjectName, ProjectSettings, Promotion,
    RequirementsFile, Sizing, SourceFingerprint, Strategy,
};
use crate::{Error, ErrorCode, Result, text};

/// A project to be deployed into an environment.
///
/// Made with [`ApplyRequest::new`] and the `with_*` methods. Nothing is created before all of it was checked.
#[derive(Debug, Clone)]
pub struct ApplyRequest {
    pub(crate) environment: EnvironmentId,
    pub(crate) project: ProjectName,
    pub(crate) fingerprint: SourceFingerprint,
    pub(crate) source: Payload,
    pub(crate) graph: FeatureGraph,
    pub(crate) git: GitMetadata,
    pub(crate) requirements: Vec<RequirementsFile>,
    pub(crate) settings: ProjectSettings,
    pub(crate) tags: Vec<DeploymentTag>,
    pub(crate) sizing: Sizing,
    pub(crate) strategy: Strategy,
    pub(crate) promotion: Promotion,
    pub(crate) idempotency_key: Option<IdempotencyKey>,
}

impl ApplyRequest {
    /// A request with what none can do without: where to, what it is called, the source with its fingerprint
    /// (`SourceArchive` gives both), and the feature graph.
    pub fn new(
        environment: EnvironmentId,
        project: ProjectName,
        fingerprint: SourceFingerprint,
        source: Payload,
        graph: FeatureGraph,
    ) -> Self {
        Self {
            environment,
            project,
            fingerprint,
            source,
            graph,
            git: GitMetadata::default(),
            requirements: Vec::new(),
            settings: ProjectSettings::default(),
            tags: Vec::new(),
            sizing: Sizing::default(),
            strategy: Strategy::default(),
            promotion: Promotion::default(),
            idempotency_key: None,
        }
    }

    /// The state of the repository.
    #[must_use]
    pub fn with_git(mut self, git: GitMetadata) -> Self {
        self.git = git;
        self
    }

    /// The requirements files.
    #[must_use]
    pub fn with_requirements(mut self, requirements: Vec<RequirementsFile>) -> Self {
        self.requirements = requirements;
        self
    }

    /// The settings of the environment in chalk.yaml.
    #[must_use]
    pub fn with_settings(mut self, settings: ProjectSettings) -> Self {
        self.settings = settings;
        self
    }

    /// One more tag.
    #[must_use]
    pub fn with_tag(mut self, tag: DeploymentTag) -> Self {
        self.tags.push(tag);
        self
    }

    /// How many replicas run.
    #[must_use]
    pub fn with_sizing(mut self, sizing: Sizing) -> Self {
        self.sizing = sizing;
        self
    }

    /// How the traffic moves.
    #[must_use]
    pub fn with_strategy(mut self, strategy: Strategy) -> Self {
        self.strategy = strategy;
        self
    }

    /// Whether the traffic moves.
    #[must_use]
    pub fn with_promotion(mut self, promotion: Promotion) -> Self {
        self.promotion = promotion;
        self
    }

    /// A key under which the request may be repeated: the same key and content is the same deployment; the same key
    /// with other content is an error.
    #[must_use]
    pub fn with_idempotency_key(mut self, key: IdempotencyKey) -> Self {
        self.idempotency_key = Some(key);
        self
    }

    /// Everything that can be known to be wrong without asking anyone. `apply` and `submit` begin with it; a caller that
    /// makes something of its own first (a state folder, a question) asks before that.
    ///
    /// # Errors
    /// `REQUEST_INVALID`, or `GRAPH_INVALID` for a graph with errors or of another project.
    pub fn check(&self) -> Result<()> {
        self.check_with(Validation::default())
    }

    /// The same, for a [`Deployer`](super::Deployer) that validates graphs in its own way.
    ///
    /// # Errors
    /// As [`check`](Self::check).
    pub fn check_with(&self, validation: Validation) -> Result<()> {
        if self.strategy != Strategy::Immediate {
            return Err(Error::new(ErrorCode::RequestInvalid, "the blue-green strategy is not available yet")
                .with_hint("use the immediate strategy"));
        }
        if self.source.sha256() != self.fingerprint.sha256 || self.source.size() != self.fingerprint.size {
            return Err(Error::new(ErrorCode::RequestInvalid, "the source is not the one that the fingerprint names"));
        }
        let mut seen = BTreeSet::new();
        if let Some(twice) = self.tags.iter().find(|tag| !seen.insert(*tag)) {
            return Err(Error::new(ErrorCode::RequestInvalid, "the tag is given twice").on(format!("tag `{twice}`")));
        }
        if let Some(exported) = self.graph.project().filter(|exported| *exported != self.project.as_str()) {
            let message = format!("it is of project `{}`, and this is `{}`", text::line(exported, 100), self.project);
            return Err(Error::new(ErrorCode::GraphInvalid, message)
                .on("feature graph")
                .with_hint("export the graph of this project with `chalkpy export FILE --proto`"));
        }
        validation.check(&self.graph).map(drop)
    }
}
