//! The rules of a route: what is matched, and what becomes of it.

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
    /// Rules that are not accepted, with the reason.
    refused: Vec<(usize, String)>,
    /// The first reference that is not resolved: reason and message.
    unresolved: Option<(&'static str, String)>,
    /// A service that exists and has no endpoint.
    without_endpoints: Option<String>,
}

impl Translated {
    /// Accepted, unless every rule is refused; with `PartiallyInvalid` beside it when some are.
    pub(super) fn acceptance(&self) -> Vec<Condition> {
        let accepted = Condition::holds("Accepted", "Accepted", "the route is accepted");
        let Some((_, first)) = self.refused.first() else { return vec![accepted] };
        if self.refused.len() == self.count {
            return vec![Condition::fails("Accepted", "UnsupportedValue", first.clone())];
        }
        let which: Vec<_> = self.refused.iter().map(|(index, _)| index.to_string()).collect();
        let message = format!("dropped rules {}: {first}", which.join(", "));
        vec![accepted, Condition::holds("PartiallyInvalid", "UnsupportedValue", message)]
    }

    pub(super) fn references(&self) -> Vec<Condition> {
        let mut conditions = vec![match &self.unresolved {
            Some((reason, message)) => Condition::fails("ResolvedRefs", reason, message.clone()),
            None => Condition::holds("ResolvedRefs", "ResolvedRefs", "all references are resolved"),
        }];
        // A condition of Envoy Gateway's own. A service without endpoints is a resolved reference.
        if let Some(message) = &self.without_endpoints {
            conditions.push(Condition::fails("BackendsAvailable", "EndpointsNotFound", message.clone()));
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
                translated.refused.push((index, message));
                continue;
            }
        };
        let action = translated.action(rule, route, services);
        let mut configuration = RuleConfiguration {
            index,
            matches,
            action,
            request: HeaderEdit::default(),
            response: HeaderEdit::default(),
            rewrite: Rewrite::default(),
            mirrors: Vec::new(),
            timeout: timeout(rule),
            retry: rule.retry.as_ref().map(retry),
        };
        if let Err(message) = translated.filters(&mut configuration, &rule.filters, route, services) {
            // The rule still matches: a request must not fall through to a broader one.
            configuration.action = Action::Answer(StatusCode::INTERNAL_SERVER_ERROR);
            translated.refused.push((index, message));
        }
        translated.rules.push(configuration);
    }
    translated
}

impl Translated {
    fn action(&mut self, rule: &document::Rule, route: &ObjectName, services: &Services) -> Action {
        let backends: Vec<_> = rule.backend_refs.iter().map(|wanted| self.backend(wanted, route, services)).collect();
        let carrying: Vec<_> = backends.into_iter().filter(|backend| backend.weight > 0).collect();
        // Without backends, with none that carries weight, and with invalid ones only.
        if carrying.iter().all(|backend| backend.invalid) {
            return Action::Answer(StatusCode::INTERNAL_SERVER_ERROR);
        }
        Action::Forward(carrying)
    }

    /// Resolves a reference. One of weight 0 is looked at like any other, as Envoy Gateway does.
    fn backend(
        &mut self,
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
                self.unresolved.get_or_insert((reason, message));
                return configuration;
            }
        }
        for filter in &wanted.filters {
            let modified =
                match (filter.form.as_str(), &filter.request_header_modifier, &filter.response_header_modifier) {
                    ("RequestHeaderModifier", Some(wanted), _) => configuration.request.extend(wanted),
                    ("ResponseHeaderModifier", _, Some(wanted)) => configuration.response.extend(wanted),
                    (other, ..) => Err(format!("the filter {other} is not supported within a backend reference")),
                };
            if let Err(message) = modified {
                configuration.invalid = true;
                self.unresolved.get_or_insert(("UnsupportedRefValue", message));
            }
        }
        if weight > 0 && !services.has_endpoints(&service) {
            let message = format!("the service {}/{} has no endpoints", service.namespace, service.name);
            self.without_endpoints.get_or_insert(message);
        }
        configuration
    }

    fn filters(
        &mut self,
        rule: &mut RuleConfiguration,
        filters: &[document::Filter],
        route: &ObjectName,
        services: &Services,
    ) -> Result<(), String> {
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
                    let backend = self.backend(&wanted.backend_ref, route, services);
                    let fraction = wanted.fraction.as_ref();
                    let share = match (wanted.percent, fraction) {
                        (Some(percent), _) => (percent, 100),
                        (None, Some(fraction)) => (fraction.numerator, fraction.denominator.unwrap_or(100)),
                        (None, None) => (1, 1),
                    };
                    rule.mirrors.push(MirrorConfiguration { backend, share });
                }
                other => return Err(format!("the filter {other} is not supported")),
            }
        }
        Ok(())
    }
}

/// The name of the service's port that a reference names, or the reason why there is none.
fn resolve(
    wanted: &document::BackendReference,
    route: &ObjectName,
    service: &ObjectName,
    services: &Services,
) -> Result<String, (&'static str, String)> {
    let ObjectName { namespace, name } = service;
    if wanted.group.as_deref().is_some_and(|group| !group.is_empty())
        || wanted.kind.as_deref().is_some_and(|kind| kind != "Service")
    {
        return Err(("InvalidKind", "only services are supported as backends".to_owned()));
    }
    // The simulated cluster serves no ReferenceGrant, so nothing can permit another namespace.
    if *namespace != route.namespace {
        return Err(("RefNotPermitted", format!("no ReferenceGrant permits the service {namespace}/{name}")));
    }
    let Some(number) = wanted.port else {
        return Err(("PortNotSpecified", format!("the reference to the service {namespace}/{name} has no port")));
    };
    let Some(found) = services.get(service) else {
        return Err(("BackendNotFound", format!("the service {namespace}/{name} does not exist")));
    };
    if found.r#type.as_deref() == Some("ExternalName") {
        return Err(("UnsupportedValue", format!("the service {namespace}/{name} is but another name")));
    }
    match services::port(found, number) {
        Some(port) => Ok(port.name.clone()),
        None => Err(("PortNotFound", format!("the service {namespace}/{name} has no TCP port {number}"))),
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
