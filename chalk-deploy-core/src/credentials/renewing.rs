//! A value that expires: fetched once for all who want it, kept, and fetched anew in good time.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use tokio::sync::Mutex;

use crate::error::RecordedError;
use crate::model::Timestamp;
use crate::runtime::Runtime;
use crate::{Error, ErrorCode, Result};

/// So long before its end a value is fetched anew, or in the last quarter of its life if that is shorter: what is begun
/// with it takes time too.
const EARLY: Duration = Duration::from_mins(5);
/// So long nobody asks again after a failure, while the old value still holds.
const PAUSE: Duration = Duration::from_secs(10);

/// A value for a while.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lent<T> {
    /// The value.
    pub value: T,
    /// When it ends; never unless said.
    pub expires: Option<Timestamp>,
}

/// Where a value that expires comes from.
#[async_trait]
pub trait Lender<T>: fmt::Debug + Send + Sync + 'static {
    /// Fetches one.
    ///
    /// **Errors.** `PERMISSION_DENIED` when there is none to be had; `CLOUD_UNAVAILABLE` when there is none now.
    async fn lend(&self) -> Result<Lent<T>>;
}

/// Keeps what a lender gives until shortly before it expires.
///
/// Many may ask at once: one of them fetches, the others wait and get the same value, or the same error. While the
/// old value holds, a failure to renew it is nobody's error. Whoever stops waiting leaves the fetching to the next. Clones
/// share the value.
pub struct Renewing<T> {
    lender: Arc<dyn Lender<T>>,
    runtime: Arc<dyn Runtime>,
    state: Arc<Mutex<State<T>>>,
}

struct State<T> {
    held: Option<Held<T>>,
    /// The last attempt, if it failed, and when it ended.
    failed: Option<(RecordedError, Duration)>,
}

struct Held<T> {
    value: T,
    /// When it is due to be fetched anew, and when it ends.
    ends: Option<(Timestamp, Timestamp)>,
}

impl<T: Clone + PartialEq + Send + Sync + 'static> Renewing<T> {
    /// Holds nothing yet, and asks for nothing until it is asked.
    pub fn new(lender: impl Lender<T>, runtime: Arc<dyn Runtime>) -> Self {
        let state = State { held: None, failed: None };
        Self { lender: Arc::new(lender), runtime, state: Arc::new(Mutex::new(state)) }
    }

    /// A value that is valid now.
    ///
    /// # Errors
    /// The lender's; [`ErrorCode::PermissionDenied`] for what it gives when that has expired already.
    pub async fn get(&self) -> Result<T> {
        let asked = self.runtime.monotonic();
        let mut state = self.state.lock().await;
        let now = self.runtime.now();
        let valid = state.held.as_ref().filter(|held| held.ends.is_none_or(|(_, end)| now < end));
        if let Some(held) = valid
            && held.ends.is_none_or(|(due, _)| now < due)
        {
            return Ok(held.value.clone());
        }
        let valid = valid.map(|held| held.value.clone());
        if let Some((error, at)) = &state.failed {
            match &valid {
                Some(value) if self.runtime.monotonic() < *at + PAUSE => return Ok(value.clone()),
                // Somebody failed while this one waited: that is the answer for all who did.
                None if *at > asked => return Err(error.clone().into()),
                _ => {}
            }
        }
        match self.fetch().await {
            Ok(held) => {
                let value = held.value.clone();
                *state = State { held: Some(held), failed: None };
                Ok(value)
            }
            Err(error) => {
                state.failed = Some((error.record(), self.runtime.monotonic()));
                valid.ok_or(error)
            }
        }
    }

    /// Says that a value was refused: it is not given again. Another one that was fetched since is kept.
    pub async fn refused(&self, value: &T) {
        let mut state = self.state.lock().await;
        if state.held.as_ref().is_some_and(|held| held.value == *value) {
            state.held = None;
        }
    }

    async fn fetch(&self) -> Result<Held<T>> {
        let Lent { value, expires } = self.lender.lend().await?;
        let now = self.runtime.now();
        let Some(end) = expires else { return Ok(Held { value, ends: None }) };
        if end <= now {
            return Err(Error::new(ErrorCode::PermissionDenied, format!("what was given has expired at {end}"))
                .on(format!("{:?}", self.lender))
                .with_hint(format!("check the clock of this machine, which says {now}, and renew the credentials")));
        }
        let early = EARLY.min(end.since(now) / 4);
        Ok(Held { value, ends: Some((Timestamp::from_millis(end.as_millis() - millis(early)), end)) })
    }
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

impl<T> Clone for Renewing<T> {
    fn clone(&self) -> Self {
        Self { lender: self.lender.clone(), runtime: self.runtime.clone(), state: self.state.clone() }
    }
}

impl<T> fmt::Debug for Renewing<T> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Never the value.
        formatter.debug_tuple("Renewing").field(&self.lender).finish()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::VecDeque;
    use std::sync::Mutex as Lock;

    use super::*;

    /// A clock that a test sets, and sleeps that yield.
    #[derive(Debug, Default)]
    struct Clock(Lock<Duration>);

    impl Clock {
        fn pass(&self, duration: Duration) {
            *self.0.lock().expect("not poisoned") += duration;
        }
    }

    #[async_trait]
    impl Runtime for Clock {
        fn now(&self) -> Timestamp {
            Timestamp::from_millis(1_000_000).plus(self.monotonic())
        }

        fn monotonic(&self) -> Duration {
            *self.0.lock().expect("not poisoned")
        }

        async fn sleep(&self, _: Duration) {
            tokio::task::yield_now().await;
        }

        fn fill_random(&self, bytes: &mut [u8]) {
            bytes.fill(7);
        }
    }

    /// Gives what it was told to, with lives in seconds, and lets others run in between.
    #[derive(Debug)]
    struct Bank {
        clock: Arc<Clock>,
        answers: Lock<VecDeque<Result<u64>>>,
        asked: Lock<u32>,
    }

    #[async_trait]
    impl Lender<u32> for Arc<Bank> {
        async fn lend(&self) -> Result<Lent<u32>> {
            tokio::task::yield_now().await;
            // A fetch takes time.
            self.clock.pass(Duration::from_millis(1));
            let answer = self.answers.lock().expect("not poisoned").pop_front().expect("an answer is left");
            let mut asked = self.asked.lock().expect("not poisoned");
            *asked += 1;
            let seconds = answer?;
            let expires = (seconds > 0).then(|| self.clock.now().plus(Duration::from_secs(seconds)));
            Ok(Lent { value: *asked, expires })
        }
    }

    fn bank(answers: impl IntoIterator<Item = Result<u64>>) -> (Arc<Clock>, Arc<Bank>, Renewing<u32>) {
        let clock = Arc::new(Clock::default());
        let answers = Lock::new(answers.into_iter().collect());
        let bank = Arc::new(Bank { clock: clock.clone(), answers, asked: Lock::default() });
        (clock.clone(), bank.clone(), Renewing::new(bank, clock))
    }

    fn away() -> Result<u64> {
        Err(Error::new(ErrorCode::CloudUnavailable, "away"))
    }

    #[tokio::test]
    async fn nothing_is_fetched_before_it_is_wanted_and_once_for_all_who_want_it() {
        let (_, bank, token) = bank([Ok(3600)]);
        assert_eq!(*bank.asked.lock().expect("not poisoned"), 0);
        let all = futures::future::join_all((0..50).map(|_| token.get())).await;
        assert!(all.into_iter().all(|value| value.expect("given") == 1));
        assert_eq!(*bank.asked.lock().expect("not poisoned"), 1);
    }

    #[tokio::test]
    async fn it_is_fetched_anew_five_minutes_early_or_in_the_last_quarter_of_a_short_life() {
        for (life, kept, due) in [(3600, 3298, 3301), (60, 44, 46)] {
            let (clock, _, token) = bank([Ok(life), Ok(life)]);
            assert_eq!(token.get().await.expect("given"), 1);
            clock.pass(Duration::from_secs(kept));
            assert_eq!(token.get().await.expect("kept"), 1, "{life}");
            clock.pass(Duration::from_secs(due - kept));
            assert_eq!(token.get().await.expect("renewed"), 2, "{life}");
        }
    }

    #[tokio::test]
    async fn what_never_ends_is_kept_until_it_is_refused() {
        let (clock, _, token) = bank([Ok(0), Ok(0)]);
        assert_eq!(token.get().await.expect("given"), 1);
        clock.pass(Duration::from_hours(10_000));
        assert_eq!(token.get().await.expect("kept"), 1);
        token.refused(&1).await;
        assert_eq!(token.get().await.expect("fetched anew"), 2);
        token.refused(&1).await;
        assert_eq!(token.get().await.expect("another one, which nobody refused"), 2);
    }

    #[tokio::test]
    async fn a_failure_is_told_to_all_who_waited_and_the_next_asks_again() {
        let (_, bank, token) = bank([away(), Ok(3600)]);
        let all = futures::future::join_all((0..50).map(|_| token.get())).await;
        assert!(all.into_iter().all(|value| value.expect_err("away").code() == ErrorCode::CloudUnavailable));
        assert_eq!(*bank.asked.lock().expect("not poisoned"), 1);
        assert_eq!(token.get().await.expect("back"), 2);
    }

    #[tokio::test]
    async fn while_the_old_one_holds_a_failure_is_nobodys_error_and_is_not_repeated_at_once() {
        let (clock, bank, token) = bank([Ok(3600), away(), away(), away()]);
        assert_eq!(token.get().await.expect("given"), 1);
        clock.pass(Duration::from_secs(3400));
        for _ in 0..5 {
            assert_eq!(token.get().await.expect("holds"), 1);
        }
        assert_eq!(*bank.asked.lock().expect("not poisoned"), 2);
        clock.pass(Duration::from_secs(11));
        assert_eq!(token.get().await.expect("holds"), 1);
        assert_eq!(*bank.asked.lock().expect("not poisoned"), 3);
        clock.pass(Duration::from_secs(200));
        assert_eq!(token.get().await.expect_err("has ended").code(), ErrorCode::CloudUnavailable);
    }

    #[tokio::test]
    async fn what_has_expired_when_it_is_given_is_an_error_that_names_the_clock() {
        #[derive(Debug)]
        struct Late;

        #[async_trait]
        impl Lender<u32> for Late {
            async fn lend(&self) -> Result<Lent<u32>> {
                Ok(Lent { value: 1, expires: Some(Timestamp::from_millis(5)) })
            }
        }

        let error = Renewing::new(Late, Arc::new(Clock::default())).get().await.expect_err("expired");
        assert_eq!(error.code(), ErrorCode::PermissionDenied);
        assert!(error.hint().contains("clock"), "{error:?}");
    }

    #[tokio::test]
    async fn whoever_stops_waiting_leaves_the_fetching_to_the_next() {
        let (_, _, token) = bank([Ok(3600)]);
        {
            let fetching = token.get();
            futures::pin_mut!(fetching);
            assert!(futures::poll!(&mut fetching).is_pending());
        }
        assert_eq!(token.get().await.expect("given"), 1);
    }
}
