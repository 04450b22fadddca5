//! The bounded retry of one call.

use std::time::Duration;

use http::header::RETRY_AFTER;
use http::{Request, Response, StatusCode};

use super::{Delivery, RequestBody, Transport, TransportError};
use crate::Error;
use crate::cloud::ByteStream;
use crate::error::Retry;
use crate::runtime::{Runtime, RuntimeExt as _};

/// How often, and how long in between.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RetryPolicy {
    /// Tries in all, at least one.
    pub attempts: u32,
    /// The wait after the first try; it doubles, with jitter.
    pub backoff: Duration,
    /// The longest wait, also when the server asks for a longer one: the driver's patience begins where this ends.
    pub wait_most: Duration,
}

/// In the extensions of a request: it may be repeated whatever its method, because its sender knows that it has the same
/// effect twice, such as a POST under the condition that nothing is there.
#[derive(Debug, Clone, Copy)]
pub struct Repeatable;

impl Default for RetryPolicy {
    /// Three tries, 100 ms, no wait over 5 s: a hiccup is bridged, an outage is the driver's.
    fn default() -> Self {
        Self { attempts: 3, backoff: Duration::from_millis(100), wait_most: Duration::from_secs(5) }
    }
}

impl Transport {
    /// Sends a request, and again where that is harmless: when it never left, or when it is idempotent (RFC 9110,
    /// section 9.2.2, or [`Repeatable`]) and broke off or was answered with 429, 502, 503 or 504.
    ///
    /// # Errors
    /// The last try's.
    pub async fn send_with_retry(
        &self,
        request: Request<RequestBody>,
        policy: RetryPolicy,
        runtime: &dyn Runtime,
    ) -> Result<Response<ByteStream>, TransportError> {
        let mut wait = policy.backoff;
        let mut attempt = 1;
        // PUT and DELETE are idempotent by the RFC; POST and PATCH are not.
        let idempotent = request.method().is_idempotent() || request.extensions().get::<Repeatable>().is_some();
        loop {
            let result = self.send(request.clone()).await;
            let asked = match &result {
                Ok(response) => retry_after(response),
                Err(_) => None,
            };
            if attempt >= policy.attempts || !may_repeat(idempotent, &result) {
                return result;
            }
            attempt += 1;
            let pause = asked.unwrap_or_else(|| runtime.jittered(wait));
            runtime.sleep(pause.min(policy.wait_most)).await;
            wait = wait.saturating_mul(2);
        }
    }
}

fn may_repeat(idempotent: bool, result: &Result<Response<ByteStream>, TransportError>) -> bool {
    match result {
        Err(TransportError { delivery: Delivery::NotSent, .. }) => true,
        // A payload that is another one by now is that the next time, too.
        Err(TransportError { source: Some(source), .. })
            if source.downcast_ref::<Error>().is_some_and(|own| own.retry() == Retry::Permanent) =>
        {
            false
        }
        Err(_) => idempotent,
        Ok(response) => {
            let overloaded = matches!(
                response.status(),
                StatusCode::TOO_MANY_REQUESTS
                    | StatusCode::BAD_GATEWAY
                    | StatusCode::SERVICE_UNAVAILABLE
                    | StatusCode::GATEWAY_TIMEOUT
            );
            idempotent && overloaded
        }
    }
}

/// The delay in seconds, or in milliseconds as some of Azure's servers write it; a date is not understood, and then the
/// own backoff holds.
fn retry_after(response: &Response<ByteStream>) -> Option<Duration> {
    let number = |name: &str| response.headers().get(name)?.to_str().ok()?.trim().parse::<u64>().ok();
    let milliseconds = || number("retry-after-ms").or_else(|| number("x-ms-retry-after-ms"));
    let seconds = number(RETRY_AFTER.as_str()).map(Duration::from_secs);
    seconds.or_else(|| milliseconds().map(Duration::from_millis))
}

#[cfg(test)]
mod tests {
    use std::collections::VecDeque;
    use std::future::ready;
    use std::sync::{Arc, Mutex};

    use async_trait::async_trait;
    use futures::StreamExt as _;
    use http::Method;

    use super::*;
    use crate::model::Timestamp;

    type Answer = Result<(u16, Option<&'static str>), Delivery>;

    /// Answers from a list.
    #[derive(Clone)]
    struct Script(Arc<Mutex<VecDeque<Answer>>>);

    impl Script {
        fn transport(&self) -> Transport {
            let script = self.clone();
            Transport::from_fn(move |_| ready(script.answer()))
        }

        fn answer(&self) -> Result<Response<ByteStream>, TransportError> {
            match self.0.lock().expect("one test, one thread").pop_front().expect("an answer is left") {
                Err(delivery) => Err(TransportError::new(delivery, "cut")),
                Ok((status, retry_after)) => {
                    let mut response = Response::builder().status(status);
                    if let Some(after) = retry_after {
                        response = response.header(RETRY_AFTER, after);
                    }
                    Ok(response.body(futures::stream::empty().boxed()).expect("a valid response"))
                }
            }
        }
    }

    /// Notes the waits instead of waiting.
    #[derive(Debug, Default)]
    struct Waits(Mutex<Vec<Duration>>);

    #[async_trait]
    impl Runtime for Waits {
        fn now(&self) -> Timestamp {
            Timestamp::default()
        }

        fn monotonic(&self) -> Duration {
            Duration::ZERO
        }

        async fn sleep(&self, duration: Duration) {
            self.0.lock().expect("one test, one thread").push(duration);
        }

        fn fill_random(&self, bytes: &mut [u8]) {
            bytes.fill(0xff);
        }
    }

    async fn send(method: Method, answers: &[Answer]) -> (Result<u16, Delivery>, usize, Vec<Duration>) {
        let script = Script(Arc::new(Mutex::new(answers.iter().copied().collect())));
        let waits = Waits::default();
        let request = Request::builder().method(method).uri("/").body(RequestBody::Empty).expect("a valid request");
        let transport = script.transport();
        let result = transport.send_with_retry(request, RetryPolicy::default(), &waits).await;
        let left = script.0.lock().expect("one test, one thread").len();
        let waited = waits.0.lock().expect("one test, one thread").clone();
        (
            result.map(|response| response.status().as_u16()).map_err(|error| error.delivery),
            answers.len() - left,
            waited,
        )
    }

    #[tokio::test]
    async fn an_idempotent_request_is_repeated_a_bounded_number_of_times_with_growing_waits() {
        let answers = [Ok((503, None)), Err(Delivery::MaybeSent), Ok((503, None)), Ok((200, None))];
        let (result, sent, waits) = send(Method::PUT, &answers).await;
        assert_eq!((result, sent), (Ok(503), 3));
        assert_eq!(waits, [Duration::from_millis(100), Duration::from_millis(200)]);
    }

    #[tokio::test]
    async fn a_request_that_is_not_idempotent_is_repeated_only_if_it_never_left() {
        assert_eq!(send(Method::POST, &[Err(Delivery::MaybeSent), Ok((200, None))]).await.1, 1);
        assert_eq!(send(Method::POST, &[Ok((503, None)), Ok((200, None))]).await.1, 1);
        let (result, sent, _) = send(Method::POST, &[Err(Delivery::NotSent), Ok((201, None))]).await;
        assert_eq!((result, sent), (Ok(201), 2));
    }

    #[test]
    fn a_payload_that_fails_for_good_is_not_sent_again() {
        let failed = |code| {
            let source: Option<Box<dyn std::error::Error + Send + Sync>> = Some(Box::new(Error::new(code, "why")));
            may_repeat(true, &Err(TransportError { delivery: Delivery::MaybeSent, message: "cut".to_owned(), source }))
        };
        assert!(!failed(crate::ErrorCode::SourceChanged));
        assert!(failed(crate::ErrorCode::CloudUnavailable));
    }

    #[tokio::test]
    async fn the_servers_own_wait_is_kept_up_to_a_limit() {
        let (_, _, waits) = send(Method::GET, &[Ok((429, Some("2"))), Ok((429, Some("3600"))), Ok((200, None))]).await;
        assert_eq!(waits, [Duration::from_secs(2), Duration::from_secs(5)]);
    }

    #[tokio::test]
    async fn a_refusal_is_an_answer_and_is_not_repeated() {
        for status in [400, 401, 403, 404, 409, 412, 500] {
            assert_eq!(send(Method::GET, &[Ok((status, None)), Ok((200, None))]).await.1, 1, "{status}");
        }
    }
}
