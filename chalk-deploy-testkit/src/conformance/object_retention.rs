//! What every [`ObjectRetention`] does, of a bucket that is set up for it.
//!
//! Moments are far in the future: a server's clock is its own. What is kept to the end of a suite stays there, so a
//! shared server needs a bucket that may be thrown away; compliance, which nobody can take back, is asked for by
//! nothing here.

use std::sync::Arc;
use std::time::Duration;

use chalk_deploy_core::ErrorCode;
use chalk_deploy_core::cloud::{ObjectRetention, ObjectStore, Payload, PutMode, RetentionMode};
use chalk_deploy_core::model::{ObjectKey, Timestamp};

use super::{Fresh, Verdict, Violation, ensure, refused, suite};

/// A bucket, and a moment by its server's clock.
#[derive(Debug)]
pub struct KeepingBucket {
    /// The bucket.
    pub store: Arc<dyn ObjectStore>,
    /// Now, as its server sees it.
    pub now: Timestamp,
}

suite! { "object_retention", KeepingBucket;
    an_object_that_nobody_keeps_is_free,
    an_object_is_kept_until_a_moment_and_never_shorter,
    a_legal_hold_is_set_and_lifted_and_both_may_be_repeated,
    a_retention_and_a_legal_hold_do_not_touch_each_other,
    what_is_not_there_cannot_be_kept,
    what_is_kept_can_be_read_and_keeps_its_bytes,
}

/// An object that nobody keeps is free.
pub async fn an_object_that_nobody_keeps_is_free(bucket: &KeepingBucket, fresh: &Fresh) -> Verdict {
    let (key, keeper) = (bucket.stored(fresh, "free").await?, bucket.keeper()?);
    let kept = keeper.retention(&key).await?;
    ensure!(kept.until.is_none() && !kept.held, "it is kept: {kept:?}");
    Ok(())
}

/// An object is kept until a moment, and never shorter.
pub async fn an_object_is_kept_until_a_moment_and_never_shorter(bucket: &KeepingBucket, fresh: &Fresh) -> Verdict {
    let (key, keeper) = (bucket.stored(fresh, "kept").await?, bucket.keeper()?);
    let (soon, later) = (bucket.after(1), bucket.after(2));
    keeper.retain(&key, soon, RetentionMode::Governance).await?;
    let kept = keeper.retention(&key).await?;
    ensure!(kept.covers(soon, RetentionMode::Governance), "it is not kept as long: {kept:?}");
    ensure!(!kept.covers(later, RetentionMode::Governance), "it is kept longer: {kept:?}");
    keeper.retain(&key, later, RetentionMode::Governance).await?;
    for until in [later, soon] {
        keeper.retain(&key, until, RetentionMode::Governance).await?;
        let kept = keeper.retention(&key).await?;
        ensure!(kept.covers(later, RetentionMode::Governance), "it is kept shorter than before: {kept:?}");
    }
    Ok(())
}

/// A legal hold is set and lifted, and both may be repeated.
pub async fn a_legal_hold_is_set_and_lifted_and_both_may_be_repeated(bucket: &KeepingBucket, fresh: &Fresh) -> Verdict {
    let (key, keeper) = (bucket.stored(fresh, "held").await?, bucket.keeper()?);
    for held in [true, true, false, false] {
        keeper.set_legal_hold(&key, held).await?;
        let kept = keeper.retention(&key).await?;
        ensure!(kept.held == held && kept.until.is_none(), "after {held}: {kept:?}");
    }
    Ok(())
}

/// A retention and a legal hold do not touch each other.
pub async fn a_retention_and_a_legal_hold_do_not_touch_each_other(bucket: &KeepingBucket, fresh: &Fresh) -> Verdict {
    let (key, keeper) = (bucket.stored(fresh, "both").await?, bucket.keeper()?);
    let until = bucket.after(1);
    keeper.set_legal_hold(&key, true).await?;
    keeper.retain(&key, until, RetentionMode::Governance).await?;
    let kept = keeper.retention(&key).await?;
    ensure!(kept.held && kept.covers(until, RetentionMode::Governance), "one has taken the other away: {kept:?}");
    keeper.set_legal_hold(&key, false).await?;
    let kept = keeper.retention(&key).await?;
    ensure!(!kept.held && kept.covers(until, RetentionMode::Governance), "both went: {kept:?}");
    Ok(())
}

/// What is not there cannot be kept.
pub async fn what_is_not_there_cannot_be_kept(bucket: &KeepingBucket, fresh: &Fresh) -> Verdict {
    let (key, keeper) = (fresh.key("nothing")?, bucket.keeper()?);
    let retained = keeper.retain(&key, bucket.after(1), RetentionMode::Governance).await;
    refused(retained, ErrorCode::ObjectMissing, "keeping nothing")?;
    refused(keeper.set_legal_hold(&key, true).await, ErrorCode::ObjectMissing, "holding nothing")?;
    refused(keeper.retention(&key).await, ErrorCode::ObjectMissing, "asking about nothing")?;
    Ok(())
}

/// What is kept can be read, and keeps its bytes.
pub async fn what_is_kept_can_be_read_and_keeps_its_bytes(bucket: &KeepingBucket, fresh: &Fresh) -> Verdict {
    let (key, keeper) = (bucket.stored(fresh, "read").await?, bucket.keeper()?);
    keeper.retain(&key, bucket.after(1), RetentionMode::Governance).await?;
    let again = bucket.store.put(&key, &Payload::from_bytes("other"), PutMode::WriteOnce).await;
    refused(again, ErrorCode::ObjectExists, "putting other bytes")?;
    bucket.store.put(&key, &Payload::from_bytes("text"), PutMode::WriteOnce).await?;
    let download = bucket.store.get(&key).await?;
    ensure!(super::read(download.body).await? == b"text", "it holds other bytes");
    Ok(())
}

impl KeepingBucket {
    async fn stored(&self, fresh: &Fresh, name: &str) -> Result<ObjectKey, Violation> {
        let key = fresh.key(name)?;
        self.store.put(&key, &Payload::from_bytes("text"), PutMode::WriteOnce).await?;
        Ok(key)
    }

    fn keeper(&self) -> Result<Arc<dyn ObjectRetention>, Violation> {
        self.store.retention().ok_or_else(|| Violation::new("the bucket hands out no retention"))
    }

    /// A moment so many hours from now, to the second.
    fn after(&self, hours: u64) -> Timestamp {
        let moment = self.now.plus(Duration::from_hours(hours));
        Timestamp::from_millis(moment.as_millis() / 1000 * 1000)
    }
}
