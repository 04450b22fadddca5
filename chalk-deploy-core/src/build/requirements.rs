//! What of a project's requirements its base images bring, and what must be installed.

use std::collections::BTreeSet;

use super::Workshop;
use super::base::{Base, subject};
use super::dependencies::requirement::{Requirement, normal};
use super::dependencies::target::Target;
use super::dependencies::{PythonVersion, listing};
use crate::cloud::BuildRequest;
use crate::model::{Component, Digest};
use crate::{Error, ErrorCode, Result, text};

/// The label in which a base image lists the Python distributions that it brings, by name and between commas. An image
/// without it brings chalkpy: that is what a platform image is for.
pub const PROVIDES: &str = "ai.chalk.provides";

/// The label in which a base image says which Python it has, such as `3.11`. Without it, it is the runtime of chalk.yaml.
pub const PYTHON: &str = "ai.chalk.python";

const CHALKPY: &str = "chalkpy";

/// Components for which the same is to be installed.
#[derive(Debug)]
pub(super) struct Group {
    pub(super) components: BTreeSet<Component>,
    pub(super) bases: BTreeSet<Digest>,
    pub(super) python: PythonVersion,
    /// What their base images bring.
    pub(super) provided: BTreeSet<String>,
    /// What is asked for and not brought.
    pub(super) wanted: BTreeSet<Requirement>,
}

/// What must be installed.
#[derive(Debug, Default)]
pub(super) struct Needed {
    pub(super) groups: Vec<Group>,
    pub(super) notes: Vec<String>,
}

/// Refuses a project whose requirements cannot be read, or ask for more than this builder can install. Nothing is
/// installed yet.
pub(super) async fn check(workshop: &Workshop, request: &BuildRequest) -> Result<()> {
    if listing::read(&request.requirements)?.requirements.is_empty() {
        return Ok(());
    }
    let mut bases = Vec::new();
    for image in &request.base_images {
        let base = Base::read(&*workshop.documents, &image.repository, image.digest, &request.platform).await?;
        bases.push((image.component, base));
    }
    let needed = needed(request, &bases, workshop.dependencies.is_some())?;
    for group in &needed.groups {
        Target::new(group.python, &request.platform)?;
    }
    Ok(())
}

/// What must be installed on these base images. Of what they bring only names are compared: a base image is pinned by
/// digest, and with it the versions that it brings.
pub(super) fn needed(request: &BuildRequest, bases: &[(Component, Base)], can_install: bool) -> Result<Needed> {
    let asked = listing::read(&request.requirements)?;
    let mut needed = Needed { groups: Vec::new(), notes: asked.notes };
    for (component, base) in bases {
        let provided = provided(base);
        let (brought, wanted): (BTreeSet<_>, BTreeSet<_>) =
            asked.requirements.iter().cloned().partition(|asked| provided.contains(&asked.name));
        if wanted.is_empty() {
            continue;
        }
        if !can_install {
            return Err(nothing_installed(request, *component, &wanted));
        }
        let python = python(request, base)?;
        let brought: BTreeSet<_> = brought.iter().map(|brought| format!("`{}`", brought.name)).collect();
        if !brought.is_empty() {
            let names = brought.into_iter().collect::<Vec<_>>().join(", ");
            let note = format!("not installed, because the base image of {component} brings it: {names}");
            needed.notes.push(text::line(&note, 500));
        }
        let found = needed.groups.iter_mut().find(|group| group.python == python && group.provided == provided);
        if let Some(group) = found {
            group.components.insert(*component);
            group.bases.insert(base.digest);
        } else {
            let (components, bases) = ([*component].into(), [base.digest].into());
            needed.groups.push(Group { components, bases, python, provided, wanted });
        }
    }
    Ok(needed)
}

fn provided(base: &Base) -> BTreeSet<String> {
    let listed = base.label(PROVIDES).unwrap_or(CHALKPY);
    listed.split(',').map(normal).filter(|name| !name.is_empty()).collect()
}

/// The Python of a base image.
fn python(request: &BuildRequest, base: &Base) -> Result<PythonVersion> {
    let of_project = request.settings.runtime.as_deref().and_then(PythonVersion::of_runtime);
    let label = base.label(PYTHON).map(|label| {
        label.parse::<PythonVersion>().map_err(|error| {
            Error::new(ErrorCode::BuildFailed, format!("the label {PYTHON} of the base image names no version"))
                .on(subject(&base.repository, &base.digest))
                .with_hint("name a version such as 3.11 there, or use another base image")
                .caused_by(error)
        })
    });
    match (label.transpose()?, of_project) {
        (Some(label), Some(project)) if label != project => {
            let message = format!("the base image has Python {label}, and chalk.yaml asks for {project}");
            Err(Error::new(ErrorCode::RequestInvalid, message)
                .on(subject(&base.repository, &base.digest))
                .with_hint("correct `runtime` in chalk.yaml, or name another base image"))
        }
        (Some(python), _) | (None, Some(python)) => Ok(python),
        (None, None) => Err(Error::new(
            ErrorCode::RequestInvalid,
            "nothing says for which Python its requirements are to be installed",
        )
        .on(format!("build of {}", request.deployment))
        .with_hint("name the `runtime` in chalk.yaml, such as python311")),
    }
}

fn nothing_installed(request: &BuildRequest, component: Component, wanted: &BTreeSet<Requirement>) -> Error {
    let missing: Vec<_> = wanted.iter().take(10).map(|wanted| format!("`{}`", wanted.name)).collect();
    let files: Vec<_> = request.requirements.iter().map(|file| file.filename.as_str()).collect();
    let missing = missing.join(", ");
    let message = format!("the base image of {component} does not bring {missing}, and this builder installs nothing");
    Error::new(ErrorCode::RequestInvalid, message)
        .on(text::line(&files.join(", "), 200))
        .with_hint("use a base image that brings it, or a builder that is set up with uv or pip")
}
