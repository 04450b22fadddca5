//! Containers.

use std::collections::BTreeSet;

use super::super::{Problem, names, quantity};
use super::{Part, distinct, not_negative, one_of, port};

pub(super) fn container(container: &Part<'_>, volumes: &BTreeSet<&str>, problems: &mut Vec<Problem>) {
    let (name, image) = (container.at("name"), container.at("image"));
    if name.text().is_some_and(|text| !text.is_empty() && !names::is_label(text)) {
        problems.push(name.invalid("must be a DNS label: lower case letters, digits and '-'"));
    }
    match image.text() {
        None | Some("") => problems.push(image.required("")),
        Some(text) if text != text.trim() => {
            problems.push(image.invalid("must not have leading or trailing whitespace"));
        }
        Some(_) => {}
    }
    one_of(&container.at("imagePullPolicy"), &["Always", "IfNotPresent", "Never"], problems);
    for given in container.at("ports").items() {
        port(&given.at("containerPort"), problems);
        if given.at("hostPort").number() != Some(0) {
            port(&given.at("hostPort"), problems);
        }
        one_of(&given.at("protocol"), &["SCTP", "TCP", "UDP"], problems);
        let name = given.at("name");
        if name.text().is_some_and(|text| !text.is_empty() && !names::is_port_name(text)) {
            problems.push(name.invalid("must be a port name: at most 15 lower case letters, digits and single '-'"));
        }
    }
    environment(container, problems);
    resources(&container.at("resources"), problems);
    let mounts = container.at("volumeMounts").items();
    distinct(&mounts, "mountPath", problems);
    for mount in mounts {
        let name = mount.at("name");
        if name.text().is_some_and(|text| !volumes.contains(text)) {
            problems.push(Problem::not_found(name.at.as_str(), name.value));
        }
    }
    for name in ["livenessProbe", "readinessProbe", "startupProbe"] {
        probe(&container.at(name), problems);
    }
    for hook in ["postStart", "preStop"] {
        handler(&container.path(&["lifecycle", hook]), &["exec", "httpGet", "tcpSocket", "sleep"], problems);
    }
}

fn environment(container: &Part<'_>, problems: &mut Vec<Problem>) {
    for variable in container.at("env").items() {
        let name = variable.at("name");
        if name.text().is_some_and(|text| text.contains('=')) {
            problems.push(name.invalid("a valid environment variable name must not contain '='"));
        }
        let source = variable.at("valueFrom");
        if source.is_there() && !variable.at("value").is_empty() {
            problems.push(source.invalid("may not be specified when `value` is not empty"));
        }
        if source.is_there() && source.is_empty() {
            let why = "must specify one of: `fieldRef`, `resourceFieldRef`, `configMapKeyRef` or `secretKeyRef`";
            problems.push(source.invalid(why));
        }
    }
}

fn resources(resources: &Part<'_>, problems: &mut Vec<Problem>) {
    let (limits, requests) = (resources.at("limits"), resources.at("requests"));
    for amounts in [&limits, &requests] {
        for (name, value) in amounts.map().into_iter().flatten() {
            if quantity::parse(value).is_some_and(|amount| amount < 0) {
                problems.push(amounts.at(name).invalid("must be greater than or equal to 0"));
            }
        }
    }
    for (name, value) in requests.map().into_iter().flatten() {
        let limit = limits.at(name);
        let above =
            quantity::parse(value).zip(quantity::parse(limit.value)).is_some_and(|(amount, limit)| amount > limit);
        if above {
            let limit = limit.value.as_str().map_or_else(|| limit.value.to_string(), str::to_owned);
            // The API server places it so, without the name of the resource.
            let why = format!("must be less than or equal to {name} limit of {limit}");
            problems.push(Part { value, at: requests.at.clone() }.invalid(&why));
        }
    }
}

fn probe(probe: &Part<'_>, problems: &mut Vec<Problem>) {
    handler(probe, &["exec", "httpGet", "tcpSocket", "grpc"], problems);
    for name in ["initialDelaySeconds", "timeoutSeconds", "periodSeconds", "successThreshold", "failureThreshold"] {
        not_negative(&probe.at(name), problems);
    }
    let success = probe.at("successThreshold");
    if !probe.at.ends_with("readinessProbe") && success.number().is_some_and(|number| number > 1) {
        problems.push(success.invalid("must be 1"));
    }
    port(&probe.path(&["grpc", "port"]), problems);
    one_of(&probe.path(&["httpGet", "scheme"]), &["HTTP", "HTTPS"], problems);
}

/// One way of doing it, and only one.
fn handler(part: &Part<'_>, ways: &[&str], problems: &mut Vec<Problem>) {
    if !part.is_there() {
        return;
    }
    let mut given = ways.iter().map(|way| part.at(way)).filter(Part::is_there);
    if given.next().is_none() {
        problems.push(part.required("must specify a handler type"));
    }
    problems.extend(given.map(|more| Problem::forbidden(more.at, "may not specify more than 1 handler type")));
}
