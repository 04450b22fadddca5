//! Which builder builds a project: in the process what only needs layers, in workflows what brings a Dockerfile.
//!
//! The route is a pure function of the project's settings, so that whoever comes after a crash comes to the same one, and
//! where a build runs can be told before anything of it is recorded. Nothing is remembered here: which builder holds a
//! build, the builders know.

use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;

use crate::cloud::{BuildRequest, BuildState, Builder, ImageContents};
use crate::model::{BuildPlace, DeploymentId, ProjectSettings};
use crate::{Error, ErrorCode, Result};

/// Where the build of a project goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Route {
    /// To the builder in the process.
    InProcess,
    /// To the builder that runs workflows.
    Workflow,
}

/// How projects are divided between two builders.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Routing {
    /// A project with a Dockerfile of its own goes to workflows, every other one stays in the process.
    #[default]
    Dockerfiles,
    /// All projects go to workflows.
    Everything,
}

impl Routing {
    /// Where a project with these settings is built.
    pub const fn route(self, settings: &ProjectSettings) -> Route {
        match self {
            Self::Dockerfiles if settings.dockerfile.is_none() => Route::InProcess,
            Self::Dockerfiles | Self::Everything => Route::Workflow,
        }
    }
}

/// Two builders as one.
#[derive(Clone)]
pub struct RoutedBuilder {
    in_process: Arc<dyn Builder>,
    workflows: Arc<dyn Builder>,
    routing: Routing,
}

impl RoutedBuilder {
    /// A builder in the process, and one that builds Dockerfiles, too.
    pub fn new(in_process: Arc<dyn Builder>, workflows: Arc<dyn Builder>) -> Self {
        Self { in_process, workflows, routing: Routing::default() }
    }

    /// Divides the projects in another way.
    #[must_use]
    pub const fn with_routing(mut self, routing: Routing) -> Self {
        self.routing = routing;
        self
    }

    /// The builder of a route, and the other one.
    fn builders(&self, route: Route) -> (&dyn Builder, &dyn Builder) {
        match route {
            Route::InProcess => (&*self.in_process, &*self.workflows),
            Route::Workflow => (&*self.workflows, &*self.in_process),
        }
    }
}

/// Whether a builder knows a build. One that may not be asked has none: it could not have begun any.
async fn holds(builder: &dyn Builder, deployment: &DeploymentId) -> Result<bool> {
    match builder.state(deployment, 0).await {
        Ok(_) => Ok(true),
        Err(error) if matches!(error.code(), ErrorCode::BuildLost | ErrorCode::PermissionDenied) => Ok(false),
        Err(error) => Err(error),
    }
}

#[async_trait]
impl Builder for RoutedBuilder {
    fn place(&self, settings: &ProjectSettings) -> Result<BuildPlace> {
        self.builders(self.routing.route(settings)).0.place(settings)
    }

    /// A build that the other builder holds, because the routing was another one when it began, goes on there if it runs
    /// in the place that [`place`](Builder::place) tells. If not, it is stopped and begun anew: nothing is built where the
    /// boundary was not asked about.
    async fn submit(&self, request: &BuildRequest) -> Result<()> {
        let (settings, deployment) = (&request.settings, &request.deployment);
        let (builder, other) = self.builders(self.routing.route(settings));
        let place = builder.place(settings)?;
        if !holds(builder, deployment).await? && holds(other, deployment).await? {
            if other.place(settings).is_ok_and(|elsewhere| elsewhere == place) {
                return other.submit(request).await;
            }
            other.stop(deployment).await?;
        }
        builder.submit(request).await
    }

    async fn state(&self, deployment: &DeploymentId, after: u64) -> Result<BuildState> {
        // The nearer one first: it answers without a request.
        match self.in_process.state(deployment, after).await {
            Err(error) if error.code() == ErrorCode::BuildLost => self.workflows.state(deployment, after).await,
            answered => answered,
        }
    }

    /// Stops it in both: which of them holds it need not be known.
    async fn stop(&self, deployment: &DeploymentId) -> Result<()> {
        let nearer = self.in_process.stop(deployment).await;
        let farther = match self.workflows.stop(deployment).await {
            // Who may not touch workflows has none to stop; if there is one all the same, `state` has told of it.
            Err(error) if error.code() == ErrorCode::PermissionDenied => self.unheld(deployment, error).await,
            ended => ended,
        };
        nearer.and(farther)
    }

    /// Those of the builder in the process; the other one pushes its images from where it runs.
    fn contents(&self) -> Option<Arc<dyn ImageContents>> {
        self.in_process.contents().or_else(|| self.workflows.contents())
    }
}

impl RoutedBuilder {
    /// Forgives what hinders stopping a build that workflows do not hold.
    async fn unheld(&self, deployment: &DeploymentId, error: Error) -> Result<()> {
        if holds(&*self.workflows, deployment).await? { Err(error) } else { Ok(()) }
    }
}

impl fmt::Debug for RoutedBuilder {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("RoutedBuilder")
            .field("in_process", &self.in_process)
            .field("workflows", &self.workflows)
            .field("routing", &self.routing)
            .finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_project_goes_to_workflows_for_its_dockerfile_or_because_all_do() {
        let plain = ProjectSettings::default();
        let own = ProjectSettings { dockerfile: Some("Dockerfile".to_owned()), ..ProjectSettings::default() };
        let routes = |routing: Routing| [routing.route(&plain), routing.route(&own)];
        assert_eq!(routes(Routing::Dockerfiles), [Route::InProcess, Route::Workflow]);
        assert_eq!(routes(Routing::Everything), [Route::Workflow, Route::Workflow]);
    }
}
