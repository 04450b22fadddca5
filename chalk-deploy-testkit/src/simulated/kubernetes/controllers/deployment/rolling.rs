//! The next step from the old replica sets to the new one.

use super::history::scale;
use super::{Seen, available, replicas};
use crate::simulated::kubernetes::controllers::pass::Pass;

/// With how many pods a new replica set begins.
pub(super) fn beginning(seen: &Seen) -> u32 {
    if seen.plan.recreate { seen.plan.replicas } else { room_for_new(seen, 0) }
}

/// Takes the next step. Whether something was scaled: what follows is then decided on what is stored.
pub(super) fn advance(pass: &Pass<'_>, seen: &Seen) -> bool {
    if seen.plan.recreate { recreate(pass, seen) } else { roll(pass, seen) }
}

fn recreate(pass: &Pass<'_>, seen: &Seen) -> bool {
    let mut scaled = false;
    for set in seen.old.iter().filter(|set| replicas(set) > 0) {
        scaled |= scale(pass, seen, set, 0);
    }
    if scaled {
        return true;
    }
    if super::recreate_must_wait(pass, seen) {
        return false;
    }
    seen.new.as_ref().is_some_and(|set| scale(pass, seen, set, seen.plan.replicas))
}

fn roll(pass: &Pass<'_>, seen: &Seen) -> bool {
    let Some(new) = &seen.new else { return false };
    let wanted = match replicas(new) {
        now if now > seen.plan.replicas => seen.plan.replicas,
        now => now + room_for_new(seen, now),
    };
    if scale(pass, seen, new, wanted) {
        return true;
    }
    take_from_old(pass, seen)
}

/// How many pods the new replica set may have more than `now`.
fn room_for_new(seen: &Seen, now: u32) -> u32 {
    let room = seen.plan.most().saturating_sub(seen.asked());
    room.min(seen.plan.replicas.saturating_sub(now))
}

/// Scales old replica sets down as far as enough pods stay available: first what is not available anyway, then the
/// rest, the oldest first.
fn take_from_old(pass: &Pass<'_>, seen: &Seen) -> bool {
    let new_unavailable = seen.new.as_ref().map_or(0, |set| replicas(set) - available(set));
    let most = seen.asked().saturating_sub(seen.plan.least_available()).saturating_sub(new_unavailable);
    let mut left_to_clean = most;
    let mut surplus = seen.available().saturating_sub(seen.plan.least_available());
    let mut scaled = false;
    for set in &seen.old {
        let idle = (replicas(set) - available(set)).min(left_to_clean);
        left_to_clean -= idle;
        // What may be taken is bounded by what is asked for as well, so that a status which is behind cannot make it
        // more.
        let serving = available(set).min(surplus).min(left_to_clean);
        surplus -= serving;
        left_to_clean -= serving;
        if idle + serving > 0 {
            scaled |= scale(pass, seen, set, replicas(set) - idle - serving);
        }
    }
    scaled
}
