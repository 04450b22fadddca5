//! [`TrafficShifter`] on Gateway API.

use std::sync::Arc;

use async_trait::async_trait;
use kube::api::{GetParams, PostParams};

use super::probe::GatewayProbe;
use super::rule::{RouteSettings, new_route, read_division, route_name, write_division};
use super::settlement;
use crate::cloud::{
    FIELD_MANAGER, FencingToken, ObservedTraffic, RouteReference, Settlement, TOKEN_ANNOTATION, TrafficChange,
    TrafficProbe, TrafficShifter,
};
use crate::kubernetes::{Asked, Connection, Failure, HTTP_ROUTE, Verb, ready_endpoints};
use crate::manifests::http_route::HttpRoute;
use crate::model::{ObjectReference, TrafficSplit};
use crate::{Error, ErrorCode, Result, text};

/// So often a write is prepared anew because only the route's status has changed since it was read.
const PREPARATIONS: u32 = 5;

/// The routes behind one gateway.
///
/// The version of a division is the route's uid and `generation`: the gateway's own words about the route
/// (`status`), which change its `resourceVersion`, are no change of the division. The write itself is guarded by the
/// `resourceVersion` that uid, generation and token were read at.
#[derive(Debug, Clone)]
pub struct GatewayTraffic {
    connection: Connection,
    settings: RouteSettings,
    controller: Option<String>,
    probe: Option<Arc<GatewayProbe>>,
}

impl GatewayTraffic {
    /// Routes of this kind. Nobody may ask who answers.
    pub const fn new(connection: Connection, settings: RouteSettings) -> Self {
        Self { connection, settings, controller: None, probe: None }
    }

    /// Believes only this controller (`spec.controllerName` of the gateway's class) about routes. Needed where several
    /// controllers write about one gateway.
    #[must_use]
    pub fn with_controller(mut self, name: impl Into<String>) -> Self {
        self.controller = Some(name.into());
        self
    }

    /// Asks through the gateway who answers.
    #[must_use]
    pub fn with_probe(mut self, probe: GatewayProbe) -> Self {
        self.probe = Some(Arc::new(probe));
        self
    }

    async fn read(&self, reference: &RouteReference) -> Result<Option<HttpRoute>> {
        let request =
            HTTP_ROUTE.requests(&reference.namespace).get(&route_name(&reference.environment), &GetParams::default());
        match self.connection.json(request).await {
            Ok(route) => Ok(Some(route)),
            Err(failure) if failure.is_not_found() => Ok(None),
            Err(failure) => Err(failure.error(&asked(Verb::Get, reference))),
        }
    }

    fn observed(&self, route: &HttpRoute, reference: &RouteReference) -> Result<ObservedTraffic> {
        let token = match route.metadata.annotations.get(TOKEN_ANNOTATION) {
            None => FencingToken::default(),
            Some(text) => text.parse().map(FencingToken).map_err(|_| {
                Error::new(ErrorCode::ObjectConflict, format!("its annotation `{TOKEN_ANNOTATION}` is no token"))
                    .on(reference)
                    .with_hint("someone has edited it; write the owner's token, or remove the annotation")
            })?,
        };
        Ok(ObservedTraffic {
            split: read_division(route, reference, &self.settings)?,
            version: version(route).map_err(|failure| failure.error(&asked(Verb::Get, reference)))?,
            token,
        })
    }

    /// Refuses traffic to a deployment that nobody could answer for.
    async fn refuse_unready(&self, reference: &RouteReference, split: &TrafficSplit) -> Result<()> {
        let services: Vec<_> = split.serving().map(|deployment| self.settings.service(deployment)).collect();
        if services.is_empty() {
            return Ok(());
        }
        let (ready, _) =
            ready_endpoints(&self.connection, &reference.namespace, &services).await.map_err(|failure| {
                failure.error(&Asked::about(Verb::List, crate::kubernetes::ENDPOINT_SLICE, &reference.namespace))
            })?;
        for (deployment, service) in split.serving().zip(&services) {
            if ready.get(service).copied().unwrap_or_default() == 0 {
                return Err(Error::new(
                    ErrorCode::TrafficRefused,
                    format!("the deployment {deployment} would get traffic and has no ready endpoint"),
                )
                .on(reference)
                .with_hint("wait until its pods are ready"));
            }
        }
        Ok(())
    }

    /// One write of the whole route, guarded by the version that it was read at.
    async fn write(&self, route: &HttpRoute, reference: &RouteReference, creates: bool) -> Result<HttpRoute, Failure> {
        // Plain data with text keys: writing it cannot fail.
        let body = serde_json::to_vec(route).unwrap_or_default();
        let parameters = PostParams { field_manager: Some(FIELD_MANAGER.to_owned()), ..PostParams::default() };
        let requests = HTTP_ROUTE.requests(&reference.namespace);
        let request = if creates {
            requests.create(&parameters, body)
        } else {
            requests.replace(&route_name(&reference.environment), &parameters, body)
        };
        self.connection.json(request).await
    }
}

#[async_trait]
impl TrafficShifter for GatewayTraffic {
    async fn observe(&self, reference: &RouteReference) -> Result<ObservedTraffic> {
        match self.read(reference).await? {
            Some(route) => self.observed(&route, reference),
            None => Ok(nothing()),
        }
    }

    async fn shift(&self, reference: &RouteReference, change: &TrafficChange) -> Result<ObservedTraffic> {
        let TrafficChange { split, expected_version, token } = change;
        let mut endpoints_are_ready = false;
        for _ in 0..PREPARATIONS {
            let route = self.read(reference).await?;
            let stored = match &route {
                Some(route) => self.observed(route, reference)?,
                None => nothing(),
            };
            if *token < stored.token {
                return Err(Error::new(
                    ErrorCode::LeaseLost,
                    format!("the route carries the token {}, and this owner has {token}", stored.token),
                )
                .on(reference));
            }
            if stored.split == *split {
                return Ok(stored);
            }
            if stored.version != *expected_version {
                return Err(version_conflict(reference, &stored.version, expected_version));
            }
            if !endpoints_are_ready {
                self.refuse_unready(reference, split).await?;
                endpoints_are_ready = true;
            }
            let creates = route.is_none();
            let mut route = route.unwrap_or_else(|| new_route(reference, &self.settings));
            write_division(&mut route, reference, &self.settings, split)?;
            route.metadata.annotations.insert(TOKEN_ANNOTATION.to_owned(), token.to_string());
            let asked = asked(if creates { Verb::Create } else { Verb::Update }, reference);
            match self.write(&route, reference, creates).await {
                Ok(written) => return self.observed(&written, reference),
                // Perhaps only the gateway has said something; perhaps this very write was done, and its answer lost
                // and the request repeated. A fresh look tells.
                Err(failure) if failure.is_conflict() => {}
                Err(failure) => return Err(failure.error(&asked)),
            }
        }
        Err(Error::new(ErrorCode::VersionConflict, "the route changes faster than it can be written").on(reference))
    }

    async fn settlement(&self, reference: &RouteReference, stored: &ObservedTraffic) -> Result<Settlement> {
        let asked = asked(Verb::Get, reference);
        let Some(route) = self.read(reference).await? else {
            return Ok(Settlement::Refused("the route was removed".to_owned()));
        };
        if version(&route).map_err(|failure| failure.error(&asked))? != stored.version {
            return Ok(Settlement::Refused("the route was changed since".to_owned()));
        }
        let Some(gateway) = new_route(reference, &self.settings).spec.parent_refs.pop() else {
            return Ok(Settlement::Pending);
        };
        if !route.spec.parent_refs.iter().any(|parent| parent.name == gateway.name) {
            let name = text::line(&gateway.name, 253);
            return Ok(Settlement::Refused(format!("the route is not attached to the gateway `{name}`")));
        }
        Ok(settlement::judge(&route, &gateway, self.controller.as_deref()))
    }

    fn probe(&self) -> Option<Arc<dyn TrafficProbe>> {
        self.probe.clone().map(|probe| -> Arc<dyn TrafficProbe> { probe })
    }
}

const fn nothing() -> ObservedTraffic {
    ObservedTraffic { split: TrafficSplit::nothing(), version: String::new(), token: FencingToken(0) }
}

fn version(route: &HttpRoute) -> Result<String, Failure> {
    match (&route.metadata.uid, route.metadata.generation) {
        (Some(uid), Some(generation)) => Ok(format!("{generation}-{}", text::line(uid, 100))),
        _ => Err(Failure::Nonsense("a stored route without uid or generation".to_owned())),
    }
}

fn version_conflict(reference: &RouteReference, stored: &str, expected: &str) -> Error {
    let shown = |version: &str| if version.is_empty() { "none".to_owned() } else { text::line(version, 100) };
    let message = format!("the route is at version `{}`, and was read at `{}`", shown(stored), shown(expected));
    Error::new(ErrorCode::VersionConflict, message).on(reference)
}

fn asked(verb: Verb, reference: &RouteReference) -> Asked {
    let object = ObjectReference {
        api_version: crate::manifests::http_route::API_VERSION.to_owned(),
        kind: crate::manifests::http_route::KIND.to_owned(),
        namespace: reference.namespace.clone(),
        name: route_name(&reference.environment),
    };
    Asked::object(verb, &HTTP_ROUTE.resource(), &object)
}
