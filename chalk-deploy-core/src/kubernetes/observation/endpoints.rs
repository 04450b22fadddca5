//! What stands behind a service.

use std::collections::{BTreeMap, BTreeSet};

use k8s_openapi::api::core::v1::{Pod, Service};
use k8s_openapi::api::discovery::v1::EndpointSlice;

use super::pods::is_ready;
use crate::kubernetes::cluster::list;
use crate::kubernetes::connection::{Connection, Failure};
use crate::kubernetes::kinds::ENDPOINT_SLICE;
use crate::model::Namespace;

/// The label by which a slice names its service (`discovery.k8s.io/v1`).
pub(crate) const SERVICE_NAME: &str = "kubernetes.io/service-name";

/// How many ready endpoints each of these services has, and the version at which this was true.
pub(crate) async fn ready_endpoints(
    connection: &Connection,
    namespace: &Namespace,
    services: &[String],
) -> Result<(BTreeMap<String, u32>, String), Failure> {
    let labels = format!("{SERVICE_NAME} in ({})", services.join(","));
    let (slices, version) = list::<EndpointSlice>(connection, ENDPOINT_SLICE, namespace, &labels).await?;
    Ok((count(&slices), version))
}

/// An endpoint may stand in several slices: one for each kind of address, and for a moment in two while it is moved.
fn count(slices: &[EndpointSlice]) -> BTreeMap<String, u32> {
    let mut ready: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    for slice in slices {
        let labels = slice.metadata.labels.as_ref();
        let Some(service) = labels.and_then(|labels| labels.get(SERVICE_NAME)) else { continue };
        for endpoint in &slice.endpoints {
            // Absent means ready (`EndpointConditions.ready`).
            let conditions = endpoint.conditions.as_ref();
            if conditions.and_then(|conditions| conditions.ready).unwrap_or(true) {
                let pod =
                    endpoint.target_ref.as_ref().and_then(|target| target.uid.as_deref().or(target.name.as_deref()));
                let who = pod.or_else(|| endpoint.addresses.first().map(String::as_str));
                ready.entry(service).or_default().extend(who);
            }
        }
    }
    let number = |pods: BTreeSet<&str>| u32::try_from(pods.len()).unwrap_or(u32::MAX);
    ready.into_iter().map(|(service, pods)| (service.to_owned(), number(pods))).collect()
}

/// The ready pods that a service selects: what its endpoints will be, where they may not be read.
pub(super) fn of_pods(service: &Service, pods: &[Pod]) -> u32 {
    let selector = service.spec.as_ref().and_then(|spec| spec.selector.as_ref());
    let Some(selector) = selector.filter(|selector| !selector.is_empty()) else { return 0 };
    let selected = |pod: &&Pod| {
        let labels = pod.metadata.labels.as_ref();
        is_ready(pod)
            && selector.iter().all(|(name, value)| labels.is_some_and(|labels| labels.get(name) == Some(value)))
    };
    u32::try_from(pods.iter().filter(selected).count()).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn an_endpoint_in_two_slices_counts_once_and_one_that_says_nothing_is_ready() {
        let slice = |endpoints: serde_json::Value| {
            let document = json!({
                "metadata": {"name": "x", "labels": {SERVICE_NAME: "a"}}, "addressType": "IPv4", "endpoints": endpoints,
            });
            serde_json::from_value::<EndpointSlice>(document).expect("a slice")
        };
        let slices = [
            slice(json!([
                {"addresses": ["10.0.0.1"], "conditions": {"ready": true}, "targetRef": {"uid": "1"}},
                {"addresses": ["10.0.0.2"], "conditions": {"ready": false}, "targetRef": {"uid": "2"}},
            ])),
            slice(json!([
                {"addresses": ["fd00::1"], "conditions": {"ready": true}, "targetRef": {"uid": "1"}},
                {"addresses": ["10.0.0.3"]},
            ])),
        ];
        assert_eq!(count(&slices), BTreeMap::from([("a".to_owned(), 2)]));
    }
}
