//! What the tests of this room have in common.

use crate::cloud::BuildRequest;
use crate::model::{
    ArchiveReference, BaseImage, Component, DeploymentId, Digest, ObjectKey, ProjectSettings, Repository,
};

/// A request for an engine and a query server.
pub(super) fn request() -> BuildRequest {
    let components = [Component::Engine, Component::QueryServer];
    let name = |text: String| Repository::new(text).expect("a repository");
    BuildRequest {
        deployment: DeploymentId::new(format!("c{}", "a".repeat(24))).expect("an id"),
        source: ArchiveReference {
            key: ObjectKey::new("incoming/a").expect("a key"),
            sha256: Digest::of("archive"),
            size: 7,
        },
        base_images: components
            .map(|component| BaseImage {
                component,
                repository: name(format!("registry.test/base/{component}")),
                digest: Digest::of("base"),
            })
            .to_vec(),
        repositories: components.map(|component| name(format!("registry.test/chalk/{component}-prod"))).to_vec(),
        requirements: Vec::new(),
        settings: ProjectSettings::default(),
        platform: "linux/amd64".to_owned(),
        more_platforms: Vec::new(),
    }
}
