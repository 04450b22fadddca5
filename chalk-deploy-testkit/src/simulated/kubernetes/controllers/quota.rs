//! Quotas: what of them is used. Whether something is allowed is decided where it is asked for.

use std::collections::BTreeSet;

use super::pass::Pass;
use super::view;
use crate::simulated::kubernetes::api::admission::count_quotas;
use crate::simulated::kubernetes::resource::RESOURCE_QUOTA;

/// Counts what is used in every namespace that has a quota.
pub(super) fn reconcile(pass: &Pass<'_>) {
    let quotas = pass.list(RESOURCE_QUOTA, None);
    let namespaces: BTreeSet<&str> = quotas.iter().map(|quota| view::namespace(quota)).collect();
    for namespace in namespaces {
        count_quotas(pass.objects, namespace);
    }
}
