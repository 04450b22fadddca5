//! How many requests are answered in which time.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use http::StatusCode;
use http::header::RETRY_AFTER;

use super::refusal::Refusal;
use super::settings::RateLimit;

/// The window that is open, by when it began, and how many requests came in it.
#[derive(Debug, Default)]
pub(super) struct Rate(Mutex<Option<(Duration, u32)>>);

impl Rate {
    /// Counts a request, and refuses it when there were too many. `Retry-After` is when the window ends, in whole
    /// seconds, rounded up.
    pub(super) fn admit(&self, limit: Option<RateLimit>, now: Duration) -> Result<(), Refusal> {
        let Some(limit) = limit else { return Ok(()) };
        let mut window = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let (began, count) = window.filter(|(began, _)| now.saturating_sub(*began) < limit.window).unwrap_or((now, 0));
        if count < limit.requests {
            *window = Some((began, count + 1));
            return Ok(());
        }
        let left = limit.window.saturating_sub(now.saturating_sub(began));
        let seconds = left.as_secs() + u64::from(left.subsec_nanos() > 0);
        Err(Refusal::new(StatusCode::TOO_MANY_REQUESTS, "TOOMANYREQUESTS", "too many requests")
            .header(RETRY_AFTER, &seconds.to_string()))
    }
}
