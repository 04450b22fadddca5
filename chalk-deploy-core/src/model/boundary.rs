//! Where a build runs, who holds which credential there, and what the customer's boundary says to it (seed 002).
//!
//! ```text
//!                         source archive    base images       images            workflows
//!  DataPlane, Metadata    Builder           Builder           Builder           Deployer
//!  ThisProcess            Deployer          Deployer          Deployer          nobody
//! ```

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::{Error, ErrorCode, Result};

/// Where a build runs: what sees the source and the bytes of the images.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum BuildPlace {
    /// In the customer's cluster.
    DataPlane,
    /// In the metadata plane's cluster.
    MetadataPlane,
    /// In the process that runs the `Deployer`.
    ThisProcess,
}

impl BuildPlace {
    /// Every place.
    pub const ALL: [Self; 3] = [Self::DataPlane, Self::MetadataPlane, Self::ThisProcess];

    /// Who holds a credential while something is built here; nobody where none is needed.
    ///
    /// In a cluster the deployer can start a build and read its lines, and cannot read a source or push an image: those
    /// belong to the identity of the build's own pod.
    pub const fn holder(self, credential: BuildCredential) -> Option<Identity> {
        match (self, credential) {
            (Self::ThisProcess, BuildCredential::RunWorkflows) => None,
            (Self::ThisProcess, _) | (_, BuildCredential::RunWorkflows) => Some(Identity::Deployer),
            (Self::DataPlane | Self::MetadataPlane, _) => Some(Identity::Builder),
        }
    }
}

impl fmt::Display for BuildPlace {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::DataPlane => "the data plane's cluster",
            Self::MetadataPlane => "the metadata plane's cluster",
            Self::ThisProcess => "this process",
        })
    }
}

/// What a build must be allowed to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum BuildCredential {
    /// Read source archives from the source bucket.
    ReadSource,
    /// Pull base images from the release registry.
    PullBaseImages,
    /// Push images into the environment's repositories.
    PushImages,
    /// Create, read and delete workflows, and read their pods (seed 003, `argo-workflows-role`).
    RunWorkflows,
}

impl BuildCredential {
    /// Every credential.
    pub const ALL: [Self; 4] = [Self::ReadSource, Self::PullBaseImages, Self::PushImages, Self::RunWorkflows];
}

/// Who acts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Identity {
    /// Whoever runs the `Deployer`.
    Deployer,
    /// A build's own pod.
    Builder,
    /// The pods of a deployment.
    Workload,
}

/// The names of the identities in the customer's cloud, so that it can be shown and checked who holds what.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Identities {
    /// The role that the metadata side assumes.
    pub deployer: String,
    /// The identity of a build.
    pub builder: String,
    /// The service account of the workloads, by which nodes pull images (seed 000: IRSA, Workload Identity, Managed
    /// Identity).
    pub workload: String,
}

impl Identities {
    /// The name of an identity.
    pub fn name(&self, identity: Identity) -> &str {
        match identity {
            Identity::Deployer => &self.deployer,
            Identity::Builder => &self.builder,
            Identity::Workload => &self.workload,
        }
    }
}

/// What may leave the customer's cloud, and what stands inside of it (seed 002). The default is the strictest: only the
/// data plane is inside.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Boundary {
    /// Whether the metadata plane's cluster stands inside the customer's cloud.
    pub metadata_inside: bool,
    /// What is known of the process that runs the `Deployer`.
    #[serde(default)]
    pub this_process: ProcessPlace,
}

/// Where the process that runs the `Deployer` stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ProcessPlace {
    /// Nobody has said it, and so it is taken to be outside, even where the metadata plane's cluster is inside.
    #[default]
    Outside,
    /// At the terminal of a person who has the source there already: inside that person's boundary.
    Terminal,
    /// Inside the customer's cloud, as whoever runs the service has said.
    Allowed,
}

impl Boundary {
    /// That of a person at a terminal: builds in this process are inside.
    pub const fn of_a_terminal() -> Self {
        Self { metadata_inside: false, this_process: ProcessPlace::Terminal }
    }

    /// Says that the metadata plane's cluster stands inside the customer's cloud.
    #[must_use]
    pub const fn with_metadata_inside(mut self) -> Self {
        self.metadata_inside = true;
        self
    }

    /// Says that a service's own process stands inside the customer's cloud, and may build.
    #[must_use]
    pub const fn allowing_this_process(mut self) -> Self {
        self.this_process = ProcessPlace::Allowed;
        self
    }

    /// Whether a place stands inside.
    pub const fn is_inside(&self, place: BuildPlace) -> bool {
        match place {
            BuildPlace::DataPlane => true,
            BuildPlace::MetadataPlane => self.metadata_inside,
            BuildPlace::ThisProcess => !matches!(self.this_process, ProcessPlace::Outside),
        }
    }

    /// Refuses a build whose place would take source and image bytes out of the customer's cloud. It is asked when a
    /// deployment is asked for, before anything is recorded or sent, and again before each build.
    ///
    /// # Errors
    /// [`ErrorCode::BoundaryViolation`] for a place outside.
    pub fn permits(&self, place: BuildPlace) -> Result<()> {
        if self.is_inside(place) {
            return Ok(());
        }
        let hint = match place {
            BuildPlace::ThisProcess => {
                "use a builder that runs in the data plane's cluster, or allow this process if it runs inside"
            }
            _ => "use a builder that runs in the data plane's cluster",
        };
        Err(Error::new(
            ErrorCode::BoundaryViolation,
            "this builder would take source and image bytes out of the customer's cloud",
        )
        .on(format!("a build in {place}"))
        .with_hint(hint))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_but_the_data_plane_is_inside_unless_someone_says_so() {
        let inside = |boundary: Boundary| BuildPlace::ALL.map(|place| boundary.is_inside(place));
        assert_eq!(inside(Boundary::default()), [true, false, false]);
        assert_eq!(inside(Boundary::default().with_metadata_inside()), [true, true, false]);
        assert_eq!(inside(Boundary::default().allowing_this_process()), [true, false, true]);
        assert_eq!(inside(Boundary::of_a_terminal()), [true, false, true]);
        assert_eq!(inside(Boundary::of_a_terminal().with_metadata_inside()), [true, true, true]);
    }

    #[test]
    fn a_place_outside_is_refused_with_a_sentence_that_names_it() {
        for place in [BuildPlace::MetadataPlane, BuildPlace::ThisProcess] {
            let error = Boundary::default().permits(place).expect_err("outside");
            assert_eq!(error.code(), ErrorCode::BoundaryViolation);
            assert!(error.sentence().starts_with(&format!("a build in {place}: ")), "{}", error.sentence());
        }
        Boundary::default().permits(BuildPlace::DataPlane).expect("inside");
    }

    #[test]
    fn in_a_cluster_only_the_builds_own_identity_can_read_sources_and_push_images() {
        for place in [BuildPlace::DataPlane, BuildPlace::MetadataPlane] {
            let held: Vec<_> = BuildCredential::ALL
                .into_iter()
                .filter(|credential| place.holder(*credential) == Some(Identity::Deployer))
                .collect();
            assert_eq!(held, [BuildCredential::RunWorkflows], "{place}");
        }
        let here = BuildCredential::ALL.map(|credential| BuildPlace::ThisProcess.holder(credential));
        assert_eq!(here, [Some(Identity::Deployer), Some(Identity::Deployer), Some(Identity::Deployer), None]);
        let identities = Identities { builder: "builds".to_owned(), ..Identities::default() };
        let holder = BuildPlace::DataPlane.holder(BuildCredential::PushImages).expect("somebody");
        assert_eq!(identities.name(holder), "builds");
    }

    #[test]
    fn a_boundary_of_an_older_version_says_nothing_of_this_process() {
        let read: Boundary = serde_json::from_str(r#"{"metadata_inside": true}"#).expect("a boundary");
        assert_eq!(read, Boundary::default().with_metadata_inside());
    }
}
