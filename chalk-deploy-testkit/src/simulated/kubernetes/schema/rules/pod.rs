//! Pods.

use std::collections::BTreeSet;

use super::super::{Problem, names};
use super::{Part, container, distinct, metadata, not_negative, one_of, port_or_name};

/// The specification of a pod, or of a template of pods.
pub(super) fn spec(spec: &Part<'_>, problems: &mut Vec<Problem>) {
    let (containers, inits) = (spec.at("containers"), spec.at("initContainers"));
    if spec.is_there() && containers.is_empty() && containers.is_there() {
        problems.push(containers.required(""));
    }
    let mut all = containers.items();
    all.extend(inits.items());
    distinct(&all, "name", problems);
    let volumes = spec.at("volumes").items();
    distinct(&volumes, "name", problems);
    for volume in &volumes {
        volume_source(volume, problems);
    }
    let mounted: BTreeSet<&str> = volumes.iter().filter_map(|volume| volume.at("name").text()).collect();
    for part in &all {
        container::container(part, &mounted, problems);
    }
    ports(&containers.items(), problems);

    one_of(&spec.at("restartPolicy"), &["Always", "OnFailure", "Never"], problems);
    one_of(&spec.at("dnsPolicy"), &["ClusterFirstWithHostNet", "ClusterFirst", "Default", "None"], problems);
    not_negative(&spec.at("terminationGracePeriodSeconds"), problems);
    let account = spec.at("serviceAccountName");
    if account.text().is_some_and(|text| !text.is_empty() && !names::is_subdomain(text)) {
        problems.push(account.invalid("must be the name of a service account"));
    }
    metadata::labels(&spec.at("nodeSelector"), problems);
    for spread in spec.at("topologySpreadConstraints").items() {
        if spread.at("maxSkew").number().is_some_and(|skew| skew < 1) {
            problems.push(spread.at("maxSkew").invalid("must be greater than zero"));
        }
        one_of(&spread.at("whenUnsatisfiable"), &["DoNotSchedule", "ScheduleAnyway"], problems);
        metadata::selector(&spread.at("labelSelector"), problems);
    }
    for toleration in spec.at("tolerations").items() {
        one_of(&toleration.at("operator"), &["Equal", "Exists", "Lt", "Gt"], problems);
        one_of(&toleration.at("effect"), &["NoSchedule", "PreferNoSchedule", "NoExecute"], problems);
    }
}

fn volume_source(volume: &Part<'_>, problems: &mut Vec<Problem>) {
    let name = volume.at("name");
    if name.text().is_some_and(|text| !text.is_empty() && !names::is_label(text)) {
        problems.push(name.invalid("must be a DNS label: lower case letters, digits and '-'"));
    }
    // Everything beside the name says what the volume is, of which there is one.
    let sources = volume.map().into_iter().flatten().filter(|(key, value)| *key != "name" && !value.is_null());
    match sources.count() {
        0 => problems.push(volume.required("must specify a volume type")),
        1 => {}
        _ => problems.push(Problem::forbidden(volume.at.as_str(), "may not specify more than 1 volume type")),
    }
}

fn ports(containers: &[Part<'_>], problems: &mut Vec<Problem>) {
    for container in containers {
        let ports = container.at("ports").items();
        distinct(&ports, "name", problems);
    }
    let probes = containers
        .iter()
        .flat_map(|container| ["livenessProbe", "readinessProbe", "startupProbe"].map(|name| container.at(name)));
    for probe in probes {
        port_or_name(&probe.path(&["httpGet", "port"]), problems);
        port_or_name(&probe.path(&["tcpSocket", "port"]), problems);
    }
}

/// A template of pods, as workloads have it.
pub(super) fn template(template: &Part<'_>, problems: &mut Vec<Problem>) {
    metadata::labels(&template.path(&["metadata", "labels"]), problems);
    spec(&template.at("spec"), problems);
}
