//! The only source of time, sleep, randomness and ids. `clippy.toml` bans the rest, so that a whole deployment can run
//! in virtual time.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;

use crate::Result;
use crate::model::{DeploymentId, Timestamp};

/// Time, sleep and randomness. [`SystemRuntime`] is the real one; the testkit brings a virtual one.
#[async_trait]
pub trait Runtime: fmt::Debug + Send + Sync + 'static {
    /// The wall clock, for records and for people.
    fn now(&self) -> Timestamp;

    /// Time since some fixed point of this process. Never goes back; durations and deadlines are measured with it.
    fn monotonic(&self) -> Duration;

    /// Waits.
    async fn sleep(&self, duration: Duration);

    /// Fills the buffer with random bytes.
    fn fill_random(&self, bytes: &mut [u8]);
}

/// What callers derive from a [`Runtime`].
#[async_trait]
pub trait RuntimeExt: Runtime {
    /// A new deployment id: `c`, eight base-36 digits of the time, sixteen random ones.
    ///
    /// # Errors
    /// None in practice: the id is made to fit the rule that it is then checked against.
    fn deployment_id(&self) -> Result<DeploymentId> {
        let mut random = [0; 16];
        self.fill_random(&mut random);
        let mut text = String::with_capacity(25);
        text.push('c');
        let time = self.now().as_millis();
        text.extend((0..8).rev().map(|place| base36(time / 36_u64.pow(place) % 36)));
        text.extend(random.iter().map(|byte| base36(u64::from(*byte) % 36)));
        DeploymentId::new(text)
    }

    /// A duration between half of `most` and `most`, so that many who wait do not return together.
    fn jittered(&self, most: Duration) -> Duration {
        let mut random = [0; 4];
        self.fill_random(&mut random);
        let fraction = f64::from(u32::from_le_bytes(random)) / f64::from(u32::MAX);
        most.mul_f64(0.5 + fraction / 2.0)
    }

    /// Runs a future for at most `limit`. `None` when the time is up; the future is dropped.
    async fn within<F>(&self, limit: Duration, future: F) -> Option<F::Output>
    where
        F: Future + Send,
        F::Output: Send,
    {
        tokio::select! {
            biased;
            output = future => Some(output),
            () = self.sleep(limit) => None,
        }
    }
}

impl<R: Runtime + ?Sized> RuntimeExt for R {}

#[expect(clippy::cast_possible_truncation, reason = "the digit is below 36")]
fn base36(digit: u64) -> char {
    char::from_digit(digit as u32, 36).unwrap_or('0')
}

/// The clock, timer and entropy of the operating system.
#[derive(Debug)]
pub struct SystemRuntime {
    origin: std::time::Instant,
}

impl SystemRuntime {
    /// The runtime that every process but a test uses.
    #[expect(clippy::disallowed_methods, reason = "this file is the one place that reads the clock")]
    pub fn new() -> Arc<Self> {
        Arc::new(Self { origin: std::time::Instant::now() })
    }
}

#[async_trait]
impl Runtime for SystemRuntime {
    #[expect(clippy::disallowed_methods, reason = "this file is the one place that reads the clock")]
    fn now(&self) -> Timestamp {
        let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
        Timestamp::from_millis(u64::try_from(since.as_millis()).unwrap_or(u64::MAX))
    }

    #[expect(clippy::disallowed_methods, reason = "this file is the one place that reads the clock")]
    fn monotonic(&self) -> Duration {
        std::time::Instant::now().duration_since(self.origin)
    }

    #[expect(clippy::disallowed_methods, reason = "this file is the one place that sleeps")]
    async fn sleep(&self, duration: Duration) {
        tokio::time::sleep(duration).await;
    }

    #[expect(clippy::disallowed_methods, reason = "this file is the one place that reads entropy")]
    fn fill_random(&self, bytes: &mut [u8]) {
        // An operating system without entropy is one on which nothing can run safely; there is no value to go on with.
        getrandom::fill(bytes).expect("the operating system gives entropy");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_valid_distinct_and_begin_with_the_time() {
        let runtime = SystemRuntime::new();
        let first = runtime.deployment_id().expect("a valid id");
        let second = runtime.deployment_id().expect("a valid id");
        assert_ne!(first, second);
        assert_eq!(first.as_str()[..5], second.as_str()[..5]);
    }

    #[test]
    fn jitter_stays_between_half_and_the_whole() {
        let runtime = SystemRuntime::new();
        for _ in 0..100 {
            let wait = runtime.jittered(Duration::from_secs(10));
            assert!(wait >= Duration::from_secs(5) && wait <= Duration::from_secs(10), "{wait:?}");
        }
    }
}
