//! The rules of a route: what is matched, and what becomes of it.

use std::collections::BTreeSet;
use std::time::Duration;

use http::StatusCode;

use super::super::document;
use super::super::filter::{HeaderEdit, PathRewrite, Redirect, Rewrite};
use super::super::matching::Matcher;
use super::condition::Condition;
use super::services::{self, Services};
use super::{
    Action, Backend, BackendConfiguration, MirrorConfiguration, ObjectName, RetryConfiguration, RuleConfiguration,
};

/// Envoy's answer to a rule with `retry` that does not say how often.
const RETRIES: u32 = 2;
/// The first wait between two attempts, as Envoy's.
const RETRY_BACKOFF: Duration = Duration::from_millis(25);
/// More than this is never waited for or tried, whatever a document asks for.
const MOST_RETRIES: u32 = 10;

/// All rules of a route, with what is wrong with them.
#[derive(Debug, Default)]
pub(super) struct Translated {
    pub(super) rules: Vec<RuleConfiguration>,
    count: usize,
    /// Rules that match nothing valid, with the reason.
    dropped: Vec<(usize, String)>,
    /// What is wrong with filters. One of them keeps the whole route from being served.
    invalid_filters: Vec<String>,
    /// References that are not resolved: reason and message.
    unresolved: Vec<(&'static str, String)>,
    /// Services that exist and have no endpoint.
    without_endpoints: Vec<String>,
}

impl Translated {
    /// Why no parent takes the route, whatever it would say itself.
    pub(super) fn rejection(&self) -> Option<Condition> {
        let all_dropped = || self.dropped.first().filter(|_| self.dropped.len() == self.count);
        let message = self.invalid_filters.last().or_else(|| Some(&all_dropped()?.1))?;
        Some(Condition::fails("Accepted", "UnsupportedValue", message.clone()))
    }

    /// Accepted, with `PartiallyInvalid` beside it when some rules are dropped.
    pub(super) fn acceptance(&self) -> Vec<Condition> {
        let accepted = Condition::holds("Accepted", "Accepted", "Route is accepted");
        let Some((_, first)) = self.dropped.first() else { return vec![accepted] };
        let which: Vec<_> = self.dropped.iter().map(|(index, _)| index.to_string()).collect();
        let message = format!("dropped rules {}: {first}", which.join(", "));
        vec![accepted, Condition::holds("PartiallyInvalid", "UnsupportedValue", message)]
    }

    /// Whether references fail for different reasons. Envoy Gateway 1.6 joins them to one reason, which the API refuses
    /// for its comma; so such a route keeps the status that it had.
    pub(super) fn has_no_status(&self) -> bool {
        self.unresolved.iter().any(|(reason, _)| *reason != self.unresolved[0].0)
    }

    pub(super) fn references(&self) -> Vec<Condition> {
        let messages: Vec<_> = self.unresolved.iter().map(|(_, message)| message.as_str()).collect();
        let resolved = "Resolved all the Object references for the Route";
        let mut conditions = vec![if let Some((reason, _)) = self.unresolved.first() {
            Condition::fails("ResolvedRefs", reason, messages.join("\n"))
        } else {
            Condition::holds("ResolvedRefs", "ResolvedRefs", resolved)
        }];
        // A condition of Envoy Gateway's own. A service without endpoints is a resolved reference.
        if !self.without_endpoints.is_empty() {
            let message = self.without_endpoints.join("\n");
            conditions.push(Condition::fails("BackendsAvailable", "EndpointsNotFound", message));
        }
        conditions
    }
}

pub(super) fn translate(rules: &[document::Rule], route: &ObjectName, services: &Services) -> Translated {
    let mut translated = Translated { count: rules.len(), ..Translated::default() };
    for (index, rule) in rules.iter().enumerate() {
        let any = [document::Match::default()];
        let wanted = rule.matches.as_deref().filter(|matches| !matches.is_empty()).unwrap_or(&any);
        let matches = match wanted.iter().map(Matcher::new).collect::<Result<Vec<_>, String>>() {
            Ok(matches) => matches,
            Err(message) => {
                translated.dropped.push((index, message));
                continue;
            }
        };
        let (action, has_invalid_backend) = translated.action(index, rule, route, services);
        let mut configuration = RuleConfiguration {
            index,
            matches,
            action,
            has_invalid_backend,
            request: HeaderEdit::default(),
            response: HeaderEdit::default(),
            rewrite: Rewrite::default(),
            mirrors: Vec::new(),
            timeout: timeout(rule),
            retry: rule.retry.as_ref().map(retry),
        };
        match translated.filters(&mut configuration, &rule.filters, route, services) {
            Ok(true) => translated.rules.push(configuration),
            Ok(false) => {}
            Err(message) => translated.invalid_filters.push(message),
        }
    }
    translated
}

impl Translated {
    fn action(
        &mut self,
        rule_index: usize,
        rule: &document::Rule,
        route: &ObjectName,
        services: &Services,
    ) -> (Action, bool) {
        let references = rule.backend_refs.iter().enumerate();
        let backends = references.map(|(index, wanted)| {
            let place = format!("Failed to process route rule {rule_index} backendRef {index}");
            let backend = self.backend(&place, wanted, route, services);
            if backend.weight > 0 && lacks_endpoints(&backend, services) {
                let ObjectName { namespace, name } = &backend.backend.service;
                let message =
                    format!("Failed to find endpoints: no ready endpoints for the related Service {namespace}/{name}.");
                self.without_endpoints.push(message);
            }
            backend
        });
        let backends: Vec<_> = backends.collect();
        let has_invalid = backends.iter().any(|backend| backend.invalid);
        let mut carrying: Vec<_> = backends.into_iter().filter(|backend| backend.weight > 0).collect();
        let filtered = rule.backend_refs.iter().any(|wanted| !wanted.filters.is_empty());
        if !has_invalid && !filtered {
            // One cluster of Envoy, which knows an address once: of one service named twice, only the first counts.
            let mut known = BTreeSet::new();
            carrying.retain(|backend| known.insert(backend.backend.clone()));
        }
        // Without backends, with none that carries weight, and with invalid ones only.
        if carrying.iter().all(|backend| backend.invalid) {
            return (Action::Answer(StatusCode::INTERNAL_SERVER_ERROR), has_invalid);
        }
        (Action::Forward(carrying), has_invalid)
    }

    /// Resolves a reference. One of weight 0 is looked at like any other, as Envoy Gateway does.
    fn backend(
        &mut self,
        place: &str,
        wanted: &document::BackendReference,
        route: &ObjectName,
        services: &Services,
    ) -> BackendConfiguration {
        let namespace = wanted.namespace.clone().unwrap_or_else(|| route.namespace.clone());
        let service = ObjectName::new(namespace, wanted.name.clone());
        let weight = wanted.weight.unwrap_or(1);
        let mut configuration = BackendConfiguration {
            weight,
            backend: Backend { service: service.clone(), port: wanted.port.unwrap_or_default() },
            invalid: false,
            port_name: String::new(),
            request: HeaderEdit::default(),
            response: HeaderEdit::default(),
        };
        match resolve(wanted, route, &service, services) {
            Ok(port_name) => configuration.port_name = port_name,
            Err((reason, message)) => {
                configuration.invalid = true;
                self.unresolved.push((reason, format!("{place}: {message}")));
                return configuration;
            }
        }
        for filter in &wanted.filters {
            let modified =
                match (filter.form.as_str(), &filter.request_header_modifier, &filter.response_header_modifier) {
                    ("RequestHeaderModifier", Some(wanted), _) => configuration.request.extend(wanted),
                    ("ResponseHeaderModifier", _, Some(wanted)) => configuration.response.extend(wanted),
                    _ => Err("Specific filter is not supported within BackendRef, only RequestHeaderModifier, \
                              ResponseHeaderModifier and gateway.envoyproxy.io/HTTPRouteFilter are supported."
                        .to_owned()),
                };
            if let Err(message) = modified {
                configuration.invalid = true;
                self.unresolved.push(("UnsupportedRefValue", format!("{place}: {message}")));
            }
        }
        configuration
    }

    /// Takes over what the filters ask for, and says whether the rule is served at all.
    fn filters(
        &mut self,
        rule: &mut RuleConfiguration,
        filters: &[document::Filter],
        route: &ObjectName,
        services: &Services,
    ) -> Result<bool, String> {
        for filter in filters {
            let empty = || format!("the filter {} has not its own field", filter.form);
            match filter.form.as_str() {
                "RequestHeaderModifier" => {
                    rule.request.extend(filter.request_header_modifier.as_ref().ok_or_else(empty)?)?;
                }
                "ResponseHeaderModifier" => {
                    rule.response.extend(filter.response_header_modifier.as_ref().ok_or_else(empty)?)?;
                }
                "RequestRedirect" => {
                    if matches!(rule.action, Action::Redirect(_)) {
                        return Err("a rule redirects twice".to_owned());
                    }
                    let wanted = filter.request_redirect.as_ref().ok_or_else(empty)?;
                    rule.action = Action::Redirect(Redirect::new(wanted)?);
                }
                "URLRewrite" => {
                    if rule.rewrite != Rewrite::default() {
                        return Err("a rule rewrites twice".to_owned());
                    }
                    let wanted = filter.url_rewrite.as_ref().ok_or_else(empty)?;
                    let path = wanted.path.as_ref().map(PathRewrite::new).transpose()?;
                    rule.rewrite = Rewrite { hostname: wanted.hostname.clone(), path };
                }
                "RequestMirror" => {
                    let wanted = filter.request_mirror.as_ref().ok_or_else(empty)?;
                    let place = "Failed to validate the RequestMirror filter";
                    let failed = self.unresolved.len();
                    let backend = self.backend(place, &wanted.backend_ref, route, services);
                    if lacks_endpoints(&backend, services) {
                        let ObjectName { namespace, name } = &backend.backend.service;
                        let message = format!("No ready endpoints for the related Service {namespace}/{name}.");
                        self.unresolved.push(("EndpointsNotFound", message));
                    }
                    // Envoy Gateway serves nothing of a rule whose mirror it cannot resolve.
                    if self.unresolved.len() > failed {
                        return Ok(false);
                    }
                    let fraction = wanted.fraction.as_ref();
                    let share = match (wanted.percent, fraction) {
                        (Some(percent), _) => (percent, 100),
                        (None, Some(fraction)) => (fraction.numerator, fraction.denominator.unwrap_or(100)),
                        (None, None) => (1, 1),
                    };
                    rule.mirrors.push(MirrorConfiguration { backend, share });
                }
                "ExtensionRef" => {
                    let kind = filter.extension_ref.as_ref().ok_or_else(empty)?;
                    return Err(format!("Invalid filter ExtensionRef: unknown kind {}/{}", kind.group, kind.kind));
                }
                other => return Err(format!("the filter {other} is not supported")),
            }
        }
        Ok(true)
    }
}

/// Whether a reference leads to a service that nothing stands behind, ready or not.
fn lacks_endpoints(backend: &BackendConfiguration, services: &Services) -> bool {
    !backend.invalid && !services.has_endpoints(&backend.backend.service, &backend.port_name)
}

/// The name of the service's port that a reference names, or the reason why there is none.
fn resolve(
    wanted: &document::BackendReference,
    route: &ObjectName,
    service: &ObjectName,
    services: &Services,
) -> Result<String, (&'static str, String)> {
    let ObjectName { namespace, name } = service;
    if wanted.group.as_deref().is_some_and(|group| !group.is_empty()) {
        let message = "Group is invalid, only the core API group (specified by omitting the group field or setting it \
                       to an empty string), multicluster.x-k8s.io and gateway.envoyproxy.io are supported.";
        return Err(("InvalidKind", message.to_owned()));
    }
    if wanted.kind.as_deref().is_some_and(|kind| kind != "Service") {
        let message = "Kind is invalid, only Service, MCS ServiceImport and Envoy Gateway Backend are supported.";
        return Err(("InvalidKind", message.to_owned()));
    }
    // The simulated cluster serves no ReferenceGrant, so nothing can permit another namespace.
    if *namespace != route.namespace {
        return Err((
            "RefNotPermitted",
            format!("Backend ref to Service {namespace}/{name} not permitted by any ReferenceGrant."),
        ));
    }
    let Some(number) = wanted.port else {
        return Err(("PortNotSpecified", format!("the reference to the service {namespace}/{name} has no port")));
    };
    let Some(found) = services.get(service) else {
        return Err(("BackendNotFound", format!("service {namespace}/{name} not found.")));
    };
    match services::port(found, number) {
        Some(port) => Ok(port.name.clone()),
        None => Err(("PortNotFound", format!("TCP Port {number} not found on Service {namespace}/{name}."))),
    }
}

/// The whole time of a request. Without `retry`, Envoy Gateway takes `backendRequest` for it, as there is one attempt.
fn timeout(rule: &document::Rule) -> Option<Duration> {
    let timeouts = rule.timeouts.as_ref()?;
    let backend = timeouts.backend_request.as_deref().filter(|_| rule.retry.is_none());
    backend.or(timeouts.request.as_deref()).and_then(document::duration)
}

fn retry(wanted: &document::Retry) -> RetryConfiguration {
    RetryConfiguration {
        attempts: wanted.attempts.unwrap_or(RETRIES).min(MOST_RETRIES),
        backoff: wanted.backoff.as_deref().and_then(document::duration).unwrap_or(RETRY_BACKOFF),
        codes: if wanted.codes.is_empty() { vec![503] } else { wanted.codes.clone() },
    }
}
