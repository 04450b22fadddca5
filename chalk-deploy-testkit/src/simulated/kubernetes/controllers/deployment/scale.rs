//! A changed number of replicas, in the middle of a rollout or outside of one.

use super::history::{DESIRED, scale};
use super::{Seen, replicas};
use crate::simulated::kubernetes::controllers::pass::Pass;
use crate::simulated::kubernetes::controllers::view;

/// Whether the number of replicas differs from the one that the replica sets were last scaled for.
pub(super) fn is_wanted(seen: &Seen) -> bool {
    seen.all().filter(|set| replicas(set) > 0).any(|set| {
        let desired = view::annotation(set, DESIRED);
        !desired.is_empty() && desired != seen.plan.replicas.to_string()
    })
}

/// Spreads the number of replicas over the replica sets that have pods, each in its share, so that a rollout in the
/// middle does not begin anew. Whether something was written.
pub(super) fn proportionally(pass: &Pass<'_>, seen: &Seen) -> bool {
    let active: Vec<_> = seen.all().filter(|set| replicas(set) > 0).collect();
    // One alone gets everything; with none, the newest does.
    if let [only] = active[..] {
        return scale(pass, seen, only, seen.plan.replicas);
    }
    if active.is_empty() {
        let newest = seen.new.as_ref().or_else(|| seen.old.last());
        return newest.is_some_and(|set| scale(pass, seen, set, seen.plan.replicas));
    }
    if let Some(new) = &seen.new
        && replicas(new) == seen.plan.replicas
        && view::count(new, "/status/availableReplicas") == seen.plan.replicas
    {
        let mut written = scale(pass, seen, new, seen.plan.replicas);
        for set in seen.old.iter().filter(|set| replicas(set) > 0) {
            written |= scale(pass, seen, set, 0);
        }
        return written;
    }
    if seen.plan.recreate {
        // The strategy empties the old ones; what it is scaled for is noted, so that it comes to its turn.
        return active.into_iter().fold(false, |written, set| scale(pass, seen, set, replicas(set)) | written);
    }
    let allowed = if seen.plan.replicas > 0 { seen.plan.most() } else { 0 };
    let mut sizes: Vec<_> = active.iter().map(|set| replicas(set)).collect();
    spread(&mut sizes, allowed);
    let mut written = false;
    for (set, size) in active.into_iter().zip(sizes) {
        written |= scale(pass, seen, set, size);
    }
    written
}

/// Changes the sizes so that their sum is `allowed` and their shares stay, as far as whole numbers let them. What is
/// left by rounding goes to, or is taken from, the last ones: the newest.
fn spread(sizes: &mut [u32], allowed: u32) {
    let sum: u64 = sizes.iter().copied().map(u64::from).sum();
    if sum == 0 {
        return;
    }
    for size in sizes.iter_mut() {
        let share = u64::from(*size) * u64::from(allowed) / sum;
        *size = u32::try_from(share).unwrap_or(u32::MAX);
    }
    let mut rest = allowed.saturating_sub(sizes.iter().sum());
    for size in sizes.iter_mut().rev() {
        if rest == 0 {
            break;
        }
        *size += 1;
        rest -= 1;
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn the_sizes_sum_up_to_what_is_allowed(mut sizes in prop::collection::vec(1..50_u32, 1..6), allowed in 0..500_u32) {
            let before = sizes.clone();
            spread(&mut sizes, allowed);
            prop_assert_eq!(sizes.iter().sum::<u32>(), allowed);
            let (sum, allowed) = (f64::from(before.iter().sum::<u32>()), f64::from(allowed));
            for (before, after) in before.iter().zip(&sizes) {
                let exact = f64::from(*before) * allowed / sum;
                prop_assert!((f64::from(*after) - exact).abs() <= 1.0);
            }
        }
    }
}
