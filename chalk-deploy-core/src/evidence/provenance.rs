//! Where an image came from (SLSA provenance v1).

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use super::inventory::Inventory;
use super::package_url;
use crate::Result;
use crate::model::{BuildPlace, Component, DataPlane, DeploymentId, DeploymentPlan, Digest, ProjectName, Repository};

/// The predicate type.
pub const PROVENANCE: &str = "https://slsa.dev/provenance/v1";

/// What `buildType` says: how the parameters are to be read is explained there.
pub const BUILD_TYPE: &str = "https://github.com/chalk-ai/chalk-deploy/blob/main/docs/evidence.md#build-type-v1";

/// The default of `builder.id`, with the place of the build behind it.
const BUILDER: &str = "https://github.com/chalk-ai/chalk-deploy/blob/main/docs/evidence.md#builder-";

/// What an image was made from, and by whom.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Origin {
    /// The deployment that it was made for.
    pub deployment: DeploymentId,
    /// The project.
    pub project: ProjectName,
    /// The component that the image runs.
    pub component: Component,
    /// The digest of the source archive.
    pub archive: Digest,
    /// The digest of the feature graph's export.
    pub graph: Digest,
    /// The commit that the client says the source is of.
    pub git_commit: Option<String>,
    /// Whether files differed from it.
    pub git_dirty: bool,
    /// Where base images lie, as far as it is known.
    pub base_repositories: BTreeMap<Digest, Repository>,
    /// Who built it: a URI.
    pub builder: String,
}

impl Origin {
    /// Of a deployment. `builder` is the URI of whoever runs builds; by default one of ours for each place of a build,
    /// because places differ in what they protect a build from.
    ///
    /// # Errors
    /// `REQUEST_INVALID` when the plane's builder cannot build the project.
    pub fn of(plan: &DeploymentPlan, plane: &DataPlane, component: Component, builder: Option<&str>) -> Result<Self> {
        let runs_in = match plane.cloud.builder.place(&plan.settings)? {
            BuildPlace::DataPlane => "data-plane",
            BuildPlace::MetadataPlane => "metadata-plane",
            BuildPlace::ThisProcess => "in-process",
        };
        Ok(Self {
            deployment: plan.id.clone(),
            project: plan.project.clone(),
            component,
            archive: plan.source.sha256,
            graph: plan.graph,
            git_commit: plan.git.commit.clone().filter(|commit| is_commit(commit)),
            git_dirty: plan.git.dirty,
            base_repositories: plane.base_images.iter().map(|base| (base.digest, base.repository.clone())).collect(),
            builder: builder.map_or_else(|| format!("{BUILDER}{runs_in}"), str::to_owned),
        })
    }
}

/// A commit comes from the client's repository; anything else than an object id could be anything.
fn is_commit(text: &str) -> bool {
    matches!(text.len(), 40 | 64) && text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
}

/// How an image was made. No SLSA level is claimed: that is for those to judge who know what protects the builder named.
pub fn provenance(inventory: &Inventory, origin: &Origin) -> Value {
    json!({
        "buildDefinition": {
            "buildType": BUILD_TYPE,
            "externalParameters": parameters(inventory, origin),
            "resolvedDependencies": dependencies(inventory, origin),
        },
        "runDetails": {
            "builder": {"id": origin.builder, "version": {"chalk-deploy": env!("CARGO_PKG_VERSION")}},
            "metadata": {"invocationId": origin.deployment.as_str()},
        },
    })
}

fn parameters(inventory: &Inventory, origin: &Origin) -> Value {
    let mut parameters = Map::new();
    let mut set = |name: &str, value: Value| parameters.insert(name.to_owned(), value);
    set("archive", origin.archive.to_string().into());
    set("component", origin.component.to_string().into());
    set("graph", origin.graph.to_string().into());
    set("project", origin.project.as_str().into());
    if !inventory.platforms.is_empty() {
        set("platforms", inventory.platforms.iter().cloned().collect());
    }
    if let Some(commit) = &origin.git_commit {
        set("gitCommit", commit.as_str().into());
        set("gitDirty", origin.git_dirty.into());
    }
    Value::Object(parameters)
}

fn dependencies(inventory: &Inventory, origin: &Origin) -> Vec<Value> {
    let mut dependencies = vec![json!({"name": "source archive", "digest": {"sha256": origin.archive.hex()}})];
    for base in &inventory.bases {
        let mut dependency = json!({"name": "base image", "digest": {"sha256": base.hex()}});
        if let Some(repository) = origin.base_repositories.get(base) {
            dependency["uri"] = package_url::of_image(repository, base).into();
        }
        dependencies.push(dependency);
    }
    for package in inventory.packages.iter().flatten() {
        let url = package_url::of_distribution(&package.name, Some(&package.version));
        if package.files.is_empty() {
            dependencies.push(json!({"uri": url}));
        }
        // One for each file: a descriptor has one digest of an algorithm.
        dependencies.extend(package.files.iter().map(|file| json!({"uri": url, "digest": {"sha256": file.hex()}})));
    }
    dependencies
}
