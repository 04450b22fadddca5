//! What each kind asks for beside.

use serde_json::{Value, json};

use super::super::{Problem, names};
use super::metadata::{selector, selects};
use super::{Part, distinct, not_negative, one_of, pod, port, port_or_name};
use crate::simulated::kubernetes::resource::Resource;

pub(in super::super) fn of_kind(resource: &Resource, object: &Value, problems: &mut Vec<Problem>) {
    let object = Part::root(object);
    let spec = object.at("spec");
    match resource.kind {
        "Pod" => pod::spec(&required(&spec, problems), problems),
        "Deployment" | "ReplicaSet" => workload(resource.kind, &spec, problems),
        "Job" => job(&spec, problems),
        "Service" => service(&spec, problems),
        "ConfigMap" => ["data", "binaryData"].iter().for_each(|name| data_keys(&object.at(name), problems)),
        "Secret" => ["data", "stringData"].iter().for_each(|name| data_keys(&object.at(name), problems)),
        "PodDisruptionBudget" => disruption_budget(&spec, problems),
        "HorizontalPodAutoscaler" => autoscaler(&spec, problems),
        "Role" | "ClusterRole" => role(&object, problems),
        "RoleBinding" | "ClusterRoleBinding" => binding(&object, problems),
        "EndpointSlice" => one_of(&object.at("addressType"), &["FQDN", "IPv4", "IPv6"], problems),
        "HTTPRoute" => http_route(&spec, problems),
        "ScaledObject" => scaled_object(&spec, problems),
        _ => {}
    }
}

fn required<'v>(spec: &Part<'v>, problems: &mut Vec<Problem>) -> Part<'v> {
    if !spec.is_there() {
        problems.push(spec.required(""));
    }
    spec.clone()
}

fn workload(kind: &str, spec: &Part<'_>, problems: &mut Vec<Problem>) {
    let (chosen, template) = (spec.at("selector"), spec.at("template"));
    not_negative(&spec.at("replicas"), problems);
    not_negative(&spec.at("minReadySeconds"), problems);
    not_negative(&spec.at("revisionHistoryLimit"), problems);
    if !spec.is_there() {
        problems.push(chosen.required(""));
    } else if chosen.is_there() && chosen.at("matchLabels").is_empty() && chosen.at("matchExpressions").is_empty() {
        problems.push(chosen.invalid(&format!("empty selector is invalid for {}", kind.to_lowercase())));
    }
    selector(&chosen, problems);
    let labels = template.path(&["metadata", "labels"]);
    // No selector selects nothing, and a template that is left out is an empty one.
    if !chosen.is_there() || !selects(&chosen, &labels) {
        problems
            .push(Part { value: labels.value, at: labels.at }.invalid("`selector` does not match template `labels`"));
    }
    if !template.is_there() || !template.at("spec").is_there() {
        problems.push(template.path(&["spec", "containers"]).required(""));
    }
    pod::template(&template, problems);
    one_of(&template.path(&["spec", "restartPolicy"]), &["Always"], problems);
    if kind == "Deployment" {
        strategy(&spec.at("strategy"), problems);
        let (deadline, settled) =
            (spec.at("progressDeadlineSeconds"), spec.at("minReadySeconds").number().unwrap_or(0));
        if deadline.number().is_some_and(|deadline| deadline <= settled) {
            problems.push(deadline.invalid("must be greater than minReadySeconds"));
        }
    }
}

fn strategy(strategy: &Part<'_>, problems: &mut Vec<Problem>) {
    one_of(&strategy.at("type"), &["Recreate", "RollingUpdate"], problems);
    let rolling = strategy.at("rollingUpdate");
    if strategy.at("type").text() == Some("Recreate") && rolling.is_there() {
        let why = "may not be specified when strategy `type` is 'Recreate'";
        problems.push(Problem::forbidden(rolling.at.as_str(), why));
    }
    let (surge, unavailable) = (rolling.at("maxSurge"), rolling.at("maxUnavailable"));
    for part in [&surge, &unavailable] {
        number_or_percentage(part, problems);
    }
    let zero = |part: &Part<'_>| part.number() == Some(0) || part.text() == Some("0%");
    if zero(&surge) && zero(&unavailable) {
        problems.push(unavailable.invalid("may not be 0 when `maxSurge` is 0"));
    }
}

fn number_or_percentage(part: &Part<'_>, problems: &mut Vec<Problem>) {
    not_negative(part, problems);
    let percentage = |text: &str| {
        text.strip_suffix('%')
            .is_some_and(|digits| !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit()))
    };
    if part.text().is_some_and(|text| !percentage(text)) {
        problems.push(part.invalid("a valid percent string must be a numeric string followed by an ending '%'"));
    }
}

fn job(spec: &Part<'_>, problems: &mut Vec<Problem>) {
    let spec = required(spec, problems);
    for name in ["parallelism", "completions", "backoffLimit", "activeDeadlineSeconds", "ttlSecondsAfterFinished"] {
        not_negative(&spec.at(name), problems);
    }
    let template = spec.at("template");
    pod::template(&template, problems);
    let policy = template.path(&["spec", "restartPolicy"]);
    match policy.text() {
        _ if !template.is_there() => {}
        Some("OnFailure" | "Never") => {}
        Some(text) if !text.is_empty() && text != "Always" => {}
        Some("Always") => problems.push(policy.not_supported(&["OnFailure", "Never"])),
        _ => problems.push(policy.required("valid values: \"OnFailure\", \"Never\"")),
    }
}

fn service(spec: &Part<'_>, problems: &mut Vec<Problem>) {
    one_of(&spec.at("type"), &["ClusterIP", "ExternalName", "LoadBalancer", "NodePort"], problems);
    one_of(&spec.at("sessionAffinity"), &["ClientIP", "None"], problems);
    super::metadata::labels(&spec.at("selector"), problems);
    let ports = spec.at("ports");
    let external = spec.at("type").text() == Some("ExternalName");
    if external && spec.at("externalName").is_empty() {
        problems.push(spec.at("externalName").required(""));
    }
    if ports.is_empty() && !external && spec.at("clusterIP").text() != Some("None") {
        problems.push(ports.required(""));
    }
    let ports = ports.items();
    let mut seen = std::collections::BTreeSet::new();
    for given in &ports {
        port(&given.at("port"), problems);
        port_or_name(&given.at("targetPort"), problems);
        if given.at("nodePort").number() != Some(0) {
            port(&given.at("nodePort"), problems);
        }
        one_of(&given.at("protocol"), &["SCTP", "TCP", "UDP"], problems);
        let name = given.at("name");
        if ports.len() > 1 && name.is_empty() {
            problems.push(name.required(""));
        }
        if name.text().is_some_and(|text| !text.is_empty() && !names::is_label(text)) {
            problems.push(name.invalid("must be a DNS label: lower case letters, digits and '-'"));
        }
        let identity =
            json!({"port": given.at("port").value, "protocol": given.at("protocol").text().unwrap_or("TCP")});
        if !seen.insert(identity.to_string()) {
            problems.push(Problem::duplicate(given.at.as_str(), &identity));
        }
    }
    distinct(&ports, "name", problems);
}

fn data_keys(data: &Part<'_>, problems: &mut Vec<Problem>) {
    for key in data.map().into_iter().flatten().map(|(key, _)| key).filter(|key| !names::is_data_key(key)) {
        let why = "a valid config key must consist of alphanumeric characters, '-', '_' or '.'";
        problems.push(Problem::invalid(format!("{}[{key}]", data.at), &Value::from(key.as_str()), why));
    }
}

fn disruption_budget(spec: &Part<'_>, problems: &mut Vec<Problem>) {
    let (least, most) = (spec.at("minAvailable"), spec.at("maxUnavailable"));
    if least.is_there() && most.is_there() {
        problems.push(spec.invalid("minAvailable and maxUnavailable cannot be both set"));
    }
    number_or_percentage(&least, problems);
    number_or_percentage(&most, problems);
    selector(&spec.at("selector"), problems);
}

fn autoscaler(spec: &Part<'_>, problems: &mut Vec<Problem>) {
    let (least, most) = (spec.at("minReplicas"), spec.at("maxReplicas"));
    if least.number().is_some_and(|number| number < 1) {
        problems.push(least.invalid("must be greater than or equal to 1"));
    }
    if most.number().is_some_and(|number| number < 1) {
        problems.push(most.invalid("must be greater than 0"));
    }
    if least.number().zip(most.number()).is_some_and(|(least, most)| most >= 1 && most < least) {
        problems.push(most.invalid("must be greater than or equal to `minReplicas`"));
    }
}

fn role(role: &Part<'_>, problems: &mut Vec<Problem>) {
    for rule in role.at("rules").items() {
        if rule.at("verbs").is_empty() {
            problems.push(rule.at("verbs").required("verbs must contain at least one value"));
        }
        let (groups, resources, paths) = (rule.at("apiGroups"), rule.at("resources"), rule.at("nonResourceURLs"));
        if paths.is_empty() && groups.is_empty() {
            problems.push(groups.required("resource rules must supply at least one api group"));
        }
        if paths.is_empty() && resources.is_empty() {
            problems.push(resources.required("resource rules must supply at least one resource"));
        }
    }
}

fn binding(binding: &Part<'_>, problems: &mut Vec<Problem>) {
    let kinds: &[&str] =
        if binding.at("kind").text() == Some("RoleBinding") { &["Role", "ClusterRole"] } else { &["ClusterRole"] };
    one_of(&binding.path(&["roleRef", "kind"]), kinds, problems);
    for subject in binding.at("subjects").items() {
        one_of(&subject.at("kind"), &["ServiceAccount", "User", "Group"], problems);
        if subject.at("kind").text() == Some("ServiceAccount") && subject.at("namespace").is_empty() {
            problems.push(subject.at("namespace").required(""));
        }
    }
}

/// What the Gateway API's CRD says in expressions.
fn http_route(spec: &Part<'_>, problems: &mut Vec<Problem>) {
    for (name, most) in [("parentRefs", 32), ("hostnames", 16), ("rules", 16)] {
        at_most(&spec.at(name), most, problems);
    }
    for rule in spec.at("rules").items() {
        at_most(&rule.at("matches"), 64, problems);
        at_most(&rule.at("backendRefs"), 16, problems);
        at_most(&rule.at("filters"), 16, problems);
        for backend in rule.at("backendRefs").items() {
            service_port(&backend, problems);
            route_filters(&backend.at("filters"), problems);
        }
        route_filters(&rule.at("filters"), problems);
        for matched in rule.at("matches").items() {
            let path = matched.at("path");
            let exact = matches!(path.at("type").text(), None | Some("Exact" | "PathPrefix"));
            if exact && path.at("value").text().is_some_and(|text| !text.starts_with('/')) {
                problems.push(path.invalid(
                    "value must be an absolute path and start with '/' when type one of ['Exact', 'PathPrefix']",
                ));
            }
        }
    }
}

fn route_filters(filters: &Part<'_>, problems: &mut Vec<Problem>) {
    for kind in ["RequestHeaderModifier", "ResponseHeaderModifier", "RequestRedirect", "URLRewrite"] {
        let of_kind = filters.items().iter().filter(|filter| filter.at("type").text() == Some(kind)).count();
        if of_kind > 1 {
            problems.push(filters.invalid(&format!("{kind} filter cannot be repeated")));
        }
    }
    for filter in filters.items() {
        let mirror = filter.at("requestMirror");
        if mirror.is_there() {
            service_port(&mirror.at("backendRef"), problems);
        }
    }
}

fn service_port(backend: &Part<'_>, problems: &mut Vec<Problem>) {
    let service = backend.at("group").is_empty() && matches!(backend.at("kind").text(), None | Some("Service"));
    if service && !backend.at("port").is_there() {
        problems.push(backend.invalid("Must have port for Service reference"));
    }
}

fn at_most(list: &Part<'_>, most: usize, problems: &mut Vec<Problem>) {
    let count = list.items().len();
    if count > most {
        problems.push(Problem::invalid(list.at.as_str(), &count.into(), &format!("must have at most {most} items")));
    }
}

fn scaled_object(spec: &Part<'_>, problems: &mut Vec<Problem>) {
    let (least, most) = (spec.at("minReplicaCount"), spec.at("maxReplicaCount"));
    if least.number().zip(most.number()).is_some_and(|(least, most)| least > most) {
        problems.push(least.invalid("must not be greater than maxReplicaCount"));
    }
}
