//! Our rule of a route: what it says of the traffic's division, and how a division is written into it. Pure.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::ENVIRONMENT_HEADER;
use crate::cloud::{FIELD_MANAGER, RouteReference, label};
use crate::manifests::http_route::{
    API_VERSION, BackendReference, HeaderMatch, HttpRoute, KIND, ParentReference, RouteMatch, RouteMetadata, RouteRule,
    RouteSpec, RouteStatus,
};
use crate::model::{Backend, Component, DeploymentId, EnvironmentId, TrafficSplit, Weight};
use crate::{Error, ErrorCode, Result, text};

/// What all routes of a gateway have in common.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RouteSettings {
    /// The gateway that takes the requests.
    pub gateway: GatewayReference,
    /// The hosts that it answers for; none: all of the gateway's.
    pub hostnames: Vec<String>,
    /// The component that the requests go to.
    pub component: Component,
    /// The port of its services.
    pub port: u16,
    /// The environment that also takes the requests which name none, or one without a route on this gateway.
    pub default_environment: Option<EnvironmentId>,
}

/// A gateway, or one of its listeners.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct GatewayReference {
    /// Its namespace.
    pub namespace: String,
    /// Its name.
    pub name: String,
    /// The listener; all of them, if none is named.
    pub section: Option<String>,
}

impl RouteSettings {
    /// Requests to the engine behind all listeners of a gateway.
    pub fn engine_behind(gateway: GatewayReference) -> Self {
        Self { gateway, hostnames: Vec::new(), component: Component::Engine, port: 80, default_environment: None }
    }

    /// Lets an environment also take the requests that name none.
    #[must_use]
    pub fn with_default_environment(mut self, environment: EnvironmentId) -> Self {
        self.default_environment = Some(environment);
        self
    }

    /// The service of a deployment, as [`manifests`](crate::manifests) names it.
    pub fn service(&self, deployment: &DeploymentId) -> String {
        format!("{}-{deployment}", self.component)
    }
}

/// The name of an environment's route.
pub fn route_name(environment: &EnvironmentId) -> String {
    format!("chalk-{environment}")
}

/// A route whose rule has no backends yet.
pub fn new_route(reference: &RouteReference, settings: &RouteSettings) -> HttpRoute {
    let labels = [(label::MANAGED_BY, FIELD_MANAGER), (label::ENVIRONMENT, reference.environment.as_str())];
    let GatewayReference { namespace, name, section } = &settings.gateway;
    HttpRoute {
        api_version: API_VERSION.to_owned(),
        kind: KIND.to_owned(),
        metadata: RouteMetadata {
            name: route_name(&reference.environment),
            namespace: Some(reference.namespace.to_string()),
            labels: labels.map(|(name, value)| (name.to_owned(), value.to_owned())).into(),
            ..RouteMetadata::default()
        },
        spec: RouteSpec {
            parent_refs: vec![ParentReference {
                namespace: Some(namespace.clone()),
                name: name.clone(),
                section_name: section.clone(),
                ..ParentReference::default()
            }],
            hostnames: settings.hostnames.clone(),
            rules: vec![new_rule(&reference.environment, settings)],
            ..RouteSpec::default()
        },
        status: RouteStatus::default(),
        other: serde_json::Map::new(),
    }
}

/// The division that a route says. A route without our rule says that nothing is served.
///
/// # Errors
/// [`ErrorCode::ObjectConflict`] when our rule was edited so that it says no division of deployments.
pub fn read_division(route: &HttpRoute, reference: &RouteReference, settings: &RouteSettings) -> Result<TrafficSplit> {
    let Some(place) = our_rule(route, reference)? else { return Ok(TrafficSplit::nothing()) };
    let mut backends = Vec::new();
    for backend in &route.spec.rules[place].backend_refs {
        let deployment = deployment_of(backend, reference, settings)?;
        let weight = Weight::new(i64::from(backend.weight.unwrap_or(1)))
            .map_err(|error| edited(reference, "a weight in our rule is no percentage").caused_by(error))?;
        backends.push(Backend { deployment, weight });
    }
    TrafficSplit::new(backends)
        .map_err(|error| edited(reference, "the backends in our rule are no division").caused_by(error))
}

/// Writes a division into our rule, and adds the rule where it is not there. Everything else stays as it is, the
/// filters of a backend that stays included.
///
/// # Errors
/// [`ErrorCode::ObjectConflict`] when the rule holds backends of someone else, which are not overwritten.
pub fn write_division(
    route: &mut HttpRoute,
    reference: &RouteReference,
    settings: &RouteSettings,
    split: &TrafficSplit,
) -> Result<()> {
    let place = if let Some(place) = our_rule(route, reference)? {
        place
    } else {
        route.spec.rules.push(new_rule(&reference.environment, settings));
        route.spec.rules.len() - 1
    };
    let rule = &mut route.spec.rules[place];
    if is_default(&reference.environment, settings) && !rule.matches.iter().any(takes_all) {
        rule.matches.push(RouteMatch::default());
    }
    for backend in &rule.backend_refs {
        deployment_of(backend, reference, settings)?;
    }
    let before = std::mem::take(&mut rule.backend_refs);
    rule.backend_refs = split
        .backends()
        .map(|(deployment, weight)| {
            let name = settings.service(deployment);
            let known = before.iter().find(|backend| backend.name == name).cloned();
            let backend = known.unwrap_or_else(|| BackendReference {
                group: Some(String::new()),
                kind: Some("Service".to_owned()),
                name,
                port: Some(settings.port),
                ..BackendReference::default()
            });
            BackendReference { weight: Some(u32::from(weight.percent())), ..backend }
        })
        .collect();
    Ok(())
}

fn new_rule(environment: &EnvironmentId, settings: &RouteSettings) -> RouteRule {
    let header = HeaderMatch {
        kind: Some("Exact".to_owned()),
        name: ENVIRONMENT_HEADER.to_owned(),
        value: environment.to_string(),
        ..HeaderMatch::default()
    };
    let mut matches = vec![RouteMatch { headers: vec![header], ..RouteMatch::default() }];
    // Gateway API prefers the match with more headers, so other environments keep their requests.
    matches.extend(is_default(environment, settings).then(RouteMatch::default));
    RouteRule { matches, ..RouteRule::default() }
}

fn is_default(environment: &EnvironmentId, settings: &RouteSettings) -> bool {
    settings.default_environment.as_ref() == Some(environment)
}

/// Where our rule is: the one that takes the requests which name the environment, and no others unless it takes all.
fn our_rule(route: &HttpRoute, reference: &RouteReference) -> Result<Option<usize>> {
    let is_ours = |rule: &RouteRule| {
        let is_named = |condition: &RouteMatch| names(condition, &reference.environment);
        rule.matches.iter().any(is_named)
            && rule.matches.iter().all(|condition| is_named(condition) || takes_all(condition))
    };
    let mut ours = route.spec.rules.iter().enumerate().filter(|(_, rule)| is_ours(rule)).map(|(place, _)| place);
    let first = ours.next();
    if ours.next().is_some() {
        return Err(edited(reference, "two rules take the requests of the environment"));
    }
    Ok(first)
}

fn names(condition: &RouteMatch, environment: &EnvironmentId) -> bool {
    condition.headers.iter().any(|header| {
        header.kind.as_deref().unwrap_or("Exact") == "Exact"
            && header.name.eq_ignore_ascii_case(ENVIRONMENT_HEADER)
            && header.value == environment.as_str()
    })
}

/// Whether a match takes every request, as it is written or as an API server completes it.
fn takes_all(condition: &RouteMatch) -> bool {
    let every_path = |path: &Value| {
        path["type"].as_str().unwrap_or("PathPrefix") == "PathPrefix" && path["value"].as_str().unwrap_or("/") == "/"
    };
    condition.headers.is_empty() && condition.other.iter().all(|(name, value)| name == "path" && every_path(value))
}

/// The deployment that a backend of our rule stands for.
fn deployment_of(
    backend: &BackendReference,
    reference: &RouteReference,
    settings: &RouteSettings,
) -> Result<DeploymentId> {
    let is_service = backend.group.as_deref().unwrap_or_default().is_empty()
        && backend.kind.as_deref().unwrap_or("Service") == "Service"
        && backend.namespace.as_deref().is_none_or(|namespace| namespace == reference.namespace.as_str())
        && backend.port == Some(settings.port);
    let deployment = backend.name.strip_prefix(settings.component.as_str()).and_then(|rest| rest.strip_prefix('-'));
    match deployment.map(DeploymentId::new) {
        Some(Ok(deployment)) if is_service => Ok(deployment),
        _ => Err(edited(
            reference,
            &format!("someone has put the backend `{}` into our rule", text::line(&backend.name, 253)),
        )),
    }
}

fn edited(reference: &RouteReference, what: &str) -> Error {
    Error::new(ErrorCode::ObjectConflict, what)
        .on(reference)
        .with_hint("take it out of the route, or give it a rule of its own; nothing was overwritten")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::model::Namespace;

    fn reference() -> RouteReference {
        RouteReference {
            environment: EnvironmentId::new("prod").expect("an environment"),
            namespace: Namespace::new("ns-prod").expect("a namespace"),
        }
    }

    fn settings() -> RouteSettings {
        let gateway = GatewayReference { namespace: "gateways".to_owned(), name: "public".to_owned(), section: None };
        RouteSettings::engine_behind(gateway)
    }

    fn deployment(letter: char) -> DeploymentId {
        DeploymentId::new(format!("c{}", letter.to_string().repeat(24))).expect("an id")
    }

    fn split(shares: &[(char, i64)]) -> TrafficSplit {
        let backend = |(letter, percent): &(char, i64)| Backend {
            deployment: deployment(*letter),
            weight: Weight::new(*percent).expect("a weight"),
        };
        TrafficSplit::new(shares.iter().map(backend)).expect("a division")
    }

    #[test]
    fn a_division_that_was_written_is_read_back_and_both_weights_change_together() {
        let mut route = new_route(&reference(), &settings());
        assert!(read_division(&route, &reference(), &settings()).expect("no backends").is_nothing());
        for shares in [&[('a', 100)][..], &[('a', 90), ('b', 10)], &[('a', 0), ('b', 100)], &[('b', 100)], &[]] {
            write_division(&mut route, &reference(), &settings(), &split(shares)).expect("only ours");
            assert_eq!(read_division(&route, &reference(), &settings()).expect("ours"), split(shares));
            assert_eq!(route.spec.rules.len(), 1);
        }
    }

    #[test]
    fn rules_filters_and_labels_of_others_stay() {
        let mut route = new_route(&reference(), &settings());
        write_division(&mut route, &reference(), &settings(), &split(&[('a', 100)])).expect("only ours");
        let mut document = serde_json::to_value(&route).expect("plain data");
        document["metadata"]["labels"]["team"] = json!("platform");
        document["spec"]["rules"][0]["filters"] = json!([{"type": "RequestMirror"}]);
        document["spec"]["rules"][0]["backendRefs"][0]["filters"] = json!([{"type": "RequestHeaderModifier"}]);
        let foreign = json!({"matches": [{"path": {"value": "/health"}}], "backendRefs": [{"name": "x", "port": 1}]});
        document["spec"]["rules"].as_array_mut().expect("rules").insert(0, foreign);
        let mut route: HttpRoute = serde_json::from_value(document.clone()).expect("a route");
        write_division(&mut route, &reference(), &settings(), &split(&[('a', 50), ('b', 50)])).expect("only ours");
        document["spec"]["rules"][1]["backendRefs"][0]["weight"] = json!(50);
        let second = json!({"group": "", "kind": "Service", "name": settings().service(&deployment('b')), "port": 80, "weight": 50});
        document["spec"]["rules"][1]["backendRefs"].as_array_mut().expect("backends").push(second);
        assert_eq!(serde_json::to_value(&route).expect("plain data"), document);
    }

    #[test]
    fn what_someone_else_has_put_into_our_rule_is_a_conflict_and_is_not_overwritten() {
        let changes: [fn(&mut BackendReference); 6] = [
            |backend| backend.name = "someone-elses".to_owned(),
            |backend| backend.name = format!("engine-{}", "x".repeat(25)),
            |backend| backend.namespace = Some("elsewhere".to_owned()),
            |backend| backend.kind = Some("Backend".to_owned()),
            |backend| backend.group = Some("gateway.envoyproxy.io".to_owned()),
            |backend| backend.port = Some(81),
        ];
        for change in changes {
            let mut route = new_route(&reference(), &settings());
            write_division(&mut route, &reference(), &settings(), &split(&[('a', 100)])).expect("only ours");
            change(&mut route.spec.rules[0].backend_refs[0]);
            let before = route.clone();
            let error = read_division(&route, &reference(), &settings()).expect_err("not ours");
            assert_eq!(error.code(), ErrorCode::ObjectConflict);
            let error =
                write_division(&mut route, &reference(), &settings(), &split(&[('b', 100)])).expect_err("not ours");
            assert_eq!((error.code(), &route), (ErrorCode::ObjectConflict, &before));
        }
    }

    #[test]
    fn weights_that_do_not_sum_to_100_and_two_rules_of_ours_are_conflicts() {
        let mut route = new_route(&reference(), &settings());
        write_division(&mut route, &reference(), &settings(), &split(&[('a', 100)])).expect("only ours");
        for weight in [None, Some(99), Some(1_000_000)] {
            route.spec.rules[0].backend_refs[0].weight = weight;
            let error = read_division(&route, &reference(), &settings()).expect_err("no division");
            assert_eq!(error.code(), ErrorCode::ObjectConflict);
        }
        route.spec.rules[0].backend_refs[0].weight = Some(100);
        route.spec.rules.push(route.spec.rules[0].clone());
        let error = read_division(&route, &reference(), &settings()).expect_err("two rules");
        assert_eq!(error.code(), ErrorCode::ObjectConflict);
    }

    #[test]
    fn the_default_environment_also_takes_the_requests_that_name_none_and_no_other_does() {
        let prod = settings().with_default_environment(reference().environment);
        let mut route = new_route(&reference(), &settings());
        write_division(&mut route, &reference(), &prod, &split(&[('a', 100)])).expect("only ours");
        assert_eq!(route.spec.rules[0].matches, new_route(&reference(), &prod).spec.rules[0].matches);
        assert_eq!(route.spec.rules[0].matches.len(), 2);
        // As an API server completes it.
        let path = json!({"path": {"type": "PathPrefix", "value": "/"}});
        route.spec.rules[0].matches[1] = serde_json::from_value(path).expect("a match");
        write_division(&mut route, &reference(), &prod, &split(&[('b', 100)])).expect("only ours");
        assert_eq!((route.spec.rules.len(), route.spec.rules[0].matches.len()), (1, 2));
        assert_eq!(read_division(&route, &reference(), &settings()).expect("ours"), split(&[('b', 100)]));

        let other = settings().with_default_environment("staging".parse().expect("an environment"));
        assert_eq!(new_route(&reference(), &other).spec.rules[0].matches.len(), 1);
    }

    #[test]
    fn a_rule_for_another_environment_or_for_more_requests_than_ours_is_not_ours() {
        let mut route = new_route(&reference(), &settings());
        for change in [
            |rule: &mut RouteRule| rule.matches[0].headers[0].value = "staging".to_owned(),
            |rule: &mut RouteRule| {
                let path = json!({"path": {"type": "PathPrefix", "value": "/health"}});
                rule.matches.push(serde_json::from_value(path).expect("a match"));
            },
            |rule: &mut RouteRule| rule.matches = vec![RouteMatch::default()],
            |rule: &mut RouteRule| rule.matches.clear(),
        ] {
            let mut rule = new_rule(&reference().environment, &settings());
            rule.backend_refs = vec![BackendReference { name: "theirs".to_owned(), ..BackendReference::default() }];
            change(&mut rule);
            route.spec.rules = vec![rule];
            assert!(read_division(&route, &reference(), &settings()).expect("not ours").is_nothing());
        }
    }
}
