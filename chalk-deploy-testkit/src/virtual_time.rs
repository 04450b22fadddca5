//! Virtual time: hours pass in milliseconds, and the same seed gives the same run.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use chalk_deploy_core::model::Timestamp;
use chalk_deploy_core::runtime::Runtime;

/// 2025-01-01T00:00:00Z, when every virtual world begins.
const BEGINNING: Timestamp = Timestamp::from_millis(1_735_689_600_000);

/// A [`Runtime`] on the paused clock of tokio, whose randomness comes from a seed.
///
/// Make it in a test with `#[tokio::test(start_paused = true)]`: whenever every task waits, the clock jumps to the
/// moment that the first of them waits for.
///
/// ```
/// # use std::time::Duration;
/// # use chalk_deploy_core::runtime::Runtime as _;
/// # use chalk_deploy_testkit::VirtualRuntime;
/// # #[tokio::main(flavor = "current_thread", start_paused = true)]
/// # async fn main() {
/// let runtime = VirtualRuntime::new(7);
/// runtime.sleep(Duration::from_hours(24)).await; // takes no time
/// assert_eq!(runtime.now().to_string(), "2025-01-02T00:00:00.000Z");
/// # }
/// ```
#[derive(Debug)]
pub struct VirtualRuntime {
    beginning: tokio::time::Instant,
    random: Mutex<SplitMix>,
}

impl VirtualRuntime {
    /// A runtime whose clock begins now.
    #[expect(clippy::disallowed_methods, reason = "tokio's paused clock is the virtual clock")]
    pub fn new(seed: u64) -> Arc<Self> {
        Arc::new(Self { beginning: tokio::time::Instant::now(), random: Mutex::new(SplitMix(seed)) })
    }
}

#[async_trait]
impl Runtime for VirtualRuntime {
    fn now(&self) -> Timestamp {
        BEGINNING.plus(self.monotonic())
    }

    #[expect(clippy::disallowed_methods, reason = "tokio's paused clock is the virtual clock")]
    fn monotonic(&self) -> Duration {
        tokio::time::Instant::now().duration_since(self.beginning)
    }

    #[expect(clippy::disallowed_methods, reason = "tokio's paused clock is the virtual clock")]
    async fn sleep(&self, duration: Duration) {
        tokio::time::sleep(duration).await;
    }

    fn fill_random(&self, bytes: &mut [u8]) {
        let mut random = self.random.lock().unwrap_or_else(PoisonError::into_inner);
        for chunk in bytes.chunks_mut(8) {
            chunk.copy_from_slice(&random.next().to_le_bytes()[..chunk.len()]);
        }
    }
}

/// `SplitMix64` (Steele, Lea, Flood: *Fast splittable pseudorandom number generators*, 2014): good enough to tell ids
/// apart, and the whole state is the seed.
#[derive(Debug)]
struct SplitMix(u64);

impl SplitMix {
    const fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ (mixed >> 31)
    }
}

#[cfg(test)]
mod tests {
    use chalk_deploy_core::runtime::RuntimeExt as _;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_wait_of_hours_takes_no_time_and_moves_both_clocks() {
        let runtime = VirtualRuntime::new(1);
        runtime.sleep(Duration::from_hours(10)).await;
        assert_eq!(runtime.monotonic(), Duration::from_hours(10));
        assert_eq!(runtime.now().since(BEGINNING), Duration::from_hours(10));
        assert_eq!(BEGINNING.to_string(), "2025-01-01T00:00:00.000Z");
    }

    #[tokio::test(start_paused = true)]
    async fn a_limit_ends_what_would_wait_for_ever() {
        let runtime = VirtualRuntime::new(1);
        assert_eq!(runtime.within(Duration::from_mins(5), std::future::pending::<()>()).await, None);
        assert_eq!(runtime.monotonic(), Duration::from_mins(5));
    }

    #[tokio::test(start_paused = true)]
    async fn one_seed_gives_one_sequence_and_another_seed_another() {
        let ids = |seed| {
            let runtime = VirtualRuntime::new(seed);
            [(); 3].map(|()| runtime.deployment_id().expect("a valid id"))
        };
        assert_eq!(ids(1), ids(1));
        assert_ne!(ids(1), ids(2));
        let [first, second, _] = ids(1);
        assert_ne!(first, second);
    }

    #[test]
    fn the_generator_is_the_published_one() {
        // The reference implementation's first outputs for the seed 1234567.
        let mut random = SplitMix(1_234_567);
        assert_eq!([random.next(), random.next()], [6_457_827_717_110_365_317, 3_203_168_211_198_807_973]);
    }
}
