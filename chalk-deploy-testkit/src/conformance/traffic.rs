//! What every [`TrafficShifter`] does.

use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;
use chalk_deploy_core::cloud::{
    FencingToken, ObservedTraffic, RouteReference, Settlement, TrafficChange, TrafficShifter,
};
use chalk_deploy_core::model::{Backend, DeploymentId, TrafficSplit, Weight};
use chalk_deploy_core::{ErrorCode, Result};

use super::{Fresh, Verdict, Violation, ensure, refused, suite};

suite! { "traffic", dyn TrafficHarness;
    a_route_that_is_not_there_serves_nothing,
    a_shift_is_stored_and_read_back_with_a_new_version,
    repeating_a_shift_writes_nothing_whatever_the_version,
    a_shift_on_an_old_version_changes_nothing,
    of_two_shifts_on_one_version_one_wins,
    an_older_token_changes_nothing,
    a_backend_without_a_ready_endpoint_gets_no_traffic,
    a_backend_at_weight_zero_need_not_be_ready,
    backends_of_someone_else_are_a_conflict_and_stay,
    a_stored_division_settles,
    the_deployment_that_serves_answers,
    both_backends_of_a_division_answer,
}

/// How often a check asks before it gives up.
const MOST_ANSWERS: usize = 1000;

/// The gateway under test.
#[async_trait]
pub trait TrafficHarness: fmt::Debug + Send + Sync {
    /// The gateway.
    fn traffic(&self) -> Arc<dyn TrafficShifter>;

    /// A route of its own for a check, not there yet.
    async fn route(&self, fresh: &Fresh) -> Result<RouteReference>;

    /// Brings up a deployment behind the route's gateway, with a ready endpoint or without one.
    async fn bring_up(&self, route: &RouteReference, deployment: &DeploymentId, ready: bool) -> Result<()>;

    /// Puts a backend of someone else into the route's rule.
    async fn add_foreign_backend(&self, route: &RouteReference) -> Result<()>;
}

/// A route that is not there serves nothing, and has no version.
pub async fn a_route_that_is_not_there_serves_nothing(harness: &dyn TrafficHarness, fresh: &Fresh) -> Verdict {
    let check = Check::new(harness, fresh).await?;
    let seen = check.observe().await?;
    ensure!(seen.split.is_nothing() && seen.version.is_empty(), "observed {seen:?}");
    Ok(())
}

/// A shift is stored and read back, with a new version and the owner's token.
pub async fn a_shift_is_stored_and_read_back_with_a_new_version(
    harness: &dyn TrafficHarness,
    fresh: &Fresh,
) -> Verdict {
    let check = Check::new(harness, fresh).await?;
    let mut versions = vec![check.observe().await?.version];
    for shares in [&[("a", 100)][..], &[("a", 90), ("b", 10)], &[("b", 100)]] {
        let split = check.split(shares)?;
        let stored = check.shift(shares).await?;
        ensure!(stored.split == split && stored.token == FencingToken(7), "shift answered {stored:?}");
        let seen = check.observe().await?;
        ensure!(seen == stored, "observed {seen:?}");
        ensure!(!versions.contains(&stored.version), "the version {} was there before", stored.version);
        versions.push(stored.version);
    }
    Ok(())
}

/// Repeating a shift writes nothing, whatever the version.
pub async fn repeating_a_shift_writes_nothing_whatever_the_version(
    harness: &dyn TrafficHarness,
    fresh: &Fresh,
) -> Verdict {
    let check = Check::new(harness, fresh).await?;
    let before = check.observe().await?.version;
    let stored = check.shift(&[("a", 100)]).await?;
    for version in [&before, &stored.version, "nonsense"] {
        let again = check.shift_as(&[("a", 100)], version, 7).await?;
        ensure!(again == stored, "the shift repeated on `{version}` answered {again:?}");
    }
    let newer = check.shift_as(&[("a", 100)], &before, 8).await?;
    ensure!(newer.split == stored.split && newer.version == stored.version, "a newer owner's repeat wrote {newer:?}");
    ensure!(check.observe().await?.version == stored.version, "the repeats made a new version");
    Ok(())
}

/// A shift on an old version changes nothing.
pub async fn a_shift_on_an_old_version_changes_nothing(harness: &dyn TrafficHarness, fresh: &Fresh) -> Verdict {
    let check = Check::new(harness, fresh).await?;
    let old = check.observe().await?.version;
    let stored = check.shift(&[("a", 100)]).await?;
    let late = check.shift_as(&[("b", 100)], &old, 7).await;
    refused(late, ErrorCode::VersionConflict, "a shift on the version before")?;
    ensure!(check.observe().await? == stored, "the late shift has changed the route");
    Ok(())
}

/// Of two shifts on one version, one wins.
pub async fn of_two_shifts_on_one_version_one_wins(harness: &dyn TrafficHarness, fresh: &Fresh) -> Verdict {
    let check = Check::new(harness, fresh).await?;
    let version = check.shift(&[("a", 100)]).await?.version;
    let (one, two) = futures::join!(
        check.shift_as(&[("b", 100)], &version, 7),
        check.shift_as(&[("a", 50), ("b", 50)], &version, 7)
    );
    let (won, lost) = match (one, two) {
        (Ok(won), Err(lost)) | (Err(lost), Ok(won)) => (won, lost),
        (one, two) => {
            return Err(Violation::new(format!("not exactly one has won: {}, {}", one.is_ok(), two.is_ok())));
        }
    };
    ensure!(lost.code() == ErrorCode::VersionConflict, "the other failed with {}", lost.code());
    ensure!(check.observe().await? == won, "what is stored is not what won");
    Ok(())
}

/// An older token changes nothing, not even a division that is the stored one.
pub async fn an_older_token_changes_nothing(harness: &dyn TrafficHarness, fresh: &Fresh) -> Verdict {
    let check = Check::new(harness, fresh).await?;
    let stored = check.shift(&[("a", 100)]).await?;
    for shares in [&[("b", 100)][..], &[("a", 100)]] {
        let late = check.shift_as(shares, &stored.version, 6).await;
        refused(late, ErrorCode::LeaseLost, "a shift with an older token")?;
    }
    ensure!(check.observe().await? == stored, "the older owner has changed the route");
    Ok(())
}

/// A backend without a ready endpoint gets no traffic, whether its pods are not ready or there are none.
pub async fn a_backend_without_a_ready_endpoint_gets_no_traffic(
    harness: &dyn TrafficHarness,
    fresh: &Fresh,
) -> Verdict {
    let check = Check::new(harness, fresh).await?;
    harness.bring_up(&check.route, &fresh.deployment("unready")?, false).await?;
    let stored = check.shift(&[("a", 100)]).await?;
    for name in ["unready", "nowhere"] {
        for shares in [&[(name, 100)][..], &[("a", 99), (name, 1)]] {
            refused(check.shift(shares).await, ErrorCode::TrafficRefused, &format!("traffic to `{name}`"))?;
        }
    }
    ensure!(check.observe().await? == stored, "the refused shift has changed the route");
    Ok(())
}

/// A backend at weight zero need not be ready.
pub async fn a_backend_at_weight_zero_need_not_be_ready(harness: &dyn TrafficHarness, fresh: &Fresh) -> Verdict {
    let check = Check::new(harness, fresh).await?;
    harness.bring_up(&check.route, &fresh.deployment("unready")?, false).await?;
    let shares = &[("a", 100), ("unready", 0)];
    ensure!(check.shift(shares).await?.split == check.split(shares)?, "another division was stored");
    Ok(())
}

/// Backends of someone else in our rule are a conflict, and stay.
pub async fn backends_of_someone_else_are_a_conflict_and_stay(harness: &dyn TrafficHarness, fresh: &Fresh) -> Verdict {
    let check = Check::new(harness, fresh).await?;
    let stored = check.shift(&[("a", 100)]).await?;
    harness.add_foreign_backend(&check.route).await?;
    refused(check.observe().await, ErrorCode::ObjectConflict, "observing it")?;
    let shift = check.shift_as(&[("b", 100)], &stored.version, 7).await;
    ensure!(shift.is_err(), "the foreign backend was overwritten");
    refused(check.observe().await, ErrorCode::ObjectConflict, "observing it afterwards").map(drop)
}

/// A stored division settles.
pub async fn a_stored_division_settles(harness: &dyn TrafficHarness, fresh: &Fresh) -> Verdict {
    let check = Check::new(harness, fresh).await?;
    let stored = check.shift(&[("a", 100)]).await?;
    check.settle(&stored).await
}

/// The deployment that serves answers, where asking is allowed.
pub async fn the_deployment_that_serves_answers(harness: &dyn TrafficHarness, fresh: &Fresh) -> Verdict {
    let check = Check::new(harness, fresh).await?;
    let Some(probe) = check.traffic.probe() else { return Ok(()) };
    let nobody = probe.ask(&check.route).await;
    refused(nobody, ErrorCode::VerificationFailed, "asking a route that is not there")?;
    for name in ["a", "b"] {
        let stored = check.shift(&[(name, 100)]).await?;
        check.settle(&stored).await?;
        for _ in 0..10 {
            let answered = probe.ask(&check.route).await?;
            ensure!(answered == check.fresh.deployment(name)?, "{answered} answered for `{name}`");
        }
    }
    Ok(())
}

/// Both backends of a division answer, where asking is allowed.
pub async fn both_backends_of_a_division_answer(harness: &dyn TrafficHarness, fresh: &Fresh) -> Verdict {
    let check = Check::new(harness, fresh).await?;
    let Some(probe) = check.traffic.probe() else { return Ok(()) };
    let stored = check.shift(&[("a", 50), ("b", 50)]).await?;
    check.settle(&stored).await?;
    let mut answers = std::collections::BTreeSet::new();
    for _ in 0..100 {
        answers.insert(probe.ask(&check.route).await?);
    }
    let expected = [check.fresh.deployment("a")?, check.fresh.deployment("b")?].into();
    ensure!(answers == expected, "the answers came from {answers:?}");
    Ok(())
}

/// What one check works with: a fresh route, and the ready deployments `a` and `b`.
#[derive(Debug)]
struct Check {
    traffic: Arc<dyn TrafficShifter>,
    route: RouteReference,
    fresh: Fresh,
}

impl Check {
    async fn new(harness: &dyn TrafficHarness, fresh: &Fresh) -> Result<Self> {
        let route = harness.route(fresh).await?;
        for name in ["a", "b"] {
            harness.bring_up(&route, &fresh.deployment(name)?, true).await?;
        }
        Ok(Self { traffic: harness.traffic(), route, fresh: fresh.clone() })
    }

    fn split(&self, shares: &[(&str, i64)]) -> Result<TrafficSplit> {
        let mut backends = Vec::new();
        for (name, percent) in shares {
            let deployment = self.fresh.deployment(name)?;
            backends.push(Backend { deployment, weight: Weight::new(*percent)? });
        }
        TrafficSplit::new(backends)
    }

    async fn observe(&self) -> Result<ObservedTraffic> {
        self.traffic.observe(&self.route).await
    }

    async fn shift(&self, shares: &[(&str, i64)]) -> Result<ObservedTraffic> {
        let version = self.observe().await?.version;
        self.shift_as(shares, &version, 7).await
    }

    async fn shift_as(&self, shares: &[(&str, i64)], version: &str, token: u64) -> Result<ObservedTraffic> {
        let (split, token) = (self.split(shares)?, FencingToken(token));
        let change = TrafficChange { split, expected_version: version.to_owned(), token };
        self.traffic.shift(&self.route, &change).await
    }

    async fn settle(&self, stored: &ObservedTraffic) -> Verdict {
        for _ in 0..MOST_ANSWERS {
            match self.traffic.settlement(&self.route, stored).await? {
                Settlement::Settled => return Ok(()),
                Settlement::Refused(reason) => return Err(Violation::new(format!("the gateway refuses: {reason}"))),
                Settlement::Pending | Settlement::Unresolved(_) => tokio::task::yield_now().await,
            }
        }
        Err(Violation::new("the division never settles"))
    }
}
