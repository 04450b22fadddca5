//! Services: an address for each that has none.

use serde_json::{Value, json};

use super::identifier::address;
use super::pass::Pass;
use super::view;
use super::write::Writer;
use crate::simulated::kubernetes::resource::SERVICE;

/// Gives cluster addresses to the services that lack one.
pub(super) fn reconcile(pass: &Pass<'_>) {
    let services = pass.list(SERVICE, None);
    for service in &services {
        let lacks = view::text(service, "/spec/clusterIP").is_empty();
        if !lacks || view::text(service, "/spec/type") == "ExternalName" || view::is_deleting(service) {
            continue;
        }
        let mut number = pass.objects.version();
        let taken = |candidate: &str| {
            let has = |service: &Value| view::text(service, "/spec/clusterIP") == candidate;
            pass.list(SERVICE, None).iter().any(|service| has(service))
        };
        while taken(&address(96, 20, number)) {
            number += 1;
        }
        let address = address(96, 20, number);
        pass.update(Writer::ControllerManager, SERVICE, service, |service| {
            let spec = view::map(service, "spec");
            spec.insert("clusterIPs".to_owned(), json!([address]));
            spec.insert("clusterIP".to_owned(), address.into());
        });
    }
}
