//! Counting what goes through a transport: requests, bytes, and round trips.
//!
//! A round trip is a request that could not be sent before the answer to another one was there. So how many there were
//! is not how many requests there were, but how many stand in the longest chain of such waits. A meter knows the chains
//! because whoever works on several things at once says so, with [`branch`]; all else is taken to be done one after the
//! other.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use http::{Request, Response};

use super::{RequestBody, Transport, TransportError};
use crate::cloud::ByteStream;

tokio::task_local! {
    /// How many requests had to be answered, one after the other, before the code that runs now could run.
    static DEPTH: Arc<AtomicU64>;
}

/// Does something beside other things: its requests wait for what was answered before it began, and for each other.
/// Outside of [`Meter::watch`] it does nothing but that.
pub async fn branch<F: Future>(future: F) -> F::Output {
    let Ok(parent) = DEPTH.try_with(Arc::clone) else { return future.await };
    let own = Arc::new(AtomicU64::new(parent.load(Ordering::Relaxed)));
    let output = DEPTH.scope(own.clone(), future).await;
    // Whoever waited for this branch has waited for all of it.
    parent.fetch_max(own.load(Ordering::Relaxed), Ordering::Relaxed);
    output
}

/// How many round trips led to where the code stands that runs now.
pub(crate) fn depth() -> u64 {
    DEPTH.try_with(|depth| depth.load(Ordering::Relaxed)).unwrap_or_default()
}

/// Says that the code that runs now has waited for something that another branch did and that was done at this depth,
/// such as a token that both use.
pub(crate) fn has_waited_for(reached: u64) {
    let _ = DEPTH.try_with(|depth| depth.fetch_max(reached, Ordering::Relaxed));
}

/// Counts the requests of the transports that it is laid around.
#[derive(Debug, Default)]
pub struct Meter {
    requests: AtomicU64,
    bytes_sent: AtomicU64,
    longest: AtomicU64,
}

/// What a [`Meter`] has counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Reading {
    /// Requests, repetitions included.
    pub requests: u64,
    /// Requests in the longest chain in which each waited for the one before.
    pub round_trips: u64,
    /// Bytes of the requests' bodies, as they were declared.
    pub bytes_sent: u64,
}

impl Meter {
    /// A meter that has seen nothing.
    pub fn new() -> Arc<Self> {
        Arc::default()
    }

    /// The same transport, with its requests counted.
    pub fn around(self: &Arc<Self>, transport: Transport) -> Transport {
        let meter = self.clone();
        Transport::from_fn(move |request| meter.clone().send(transport.clone(), request))
    }

    async fn send(
        self: Arc<Self>,
        transport: Transport,
        request: Request<RequestBody>,
    ) -> Result<Response<ByteStream>, TransportError> {
        self.requests.fetch_add(1, Ordering::Relaxed);
        self.bytes_sent.fetch_add(request.body().length(), Ordering::Relaxed);
        let depth = DEPTH.try_with(Arc::clone).unwrap_or_default();
        let reached = depth.load(Ordering::Relaxed) + 1;
        let answer = transport.send(request).await;
        depth.fetch_max(reached, Ordering::Relaxed);
        self.longest.fetch_max(reached, Ordering::Relaxed);
        answer
    }

    /// Runs something whose round trips are counted.
    pub async fn watch<F: Future>(&self, future: F) -> F::Output {
        DEPTH.scope(Arc::default(), future).await
    }

    /// What was counted so far.
    pub fn reading(&self) -> Reading {
        Reading {
            requests: self.requests.load(Ordering::Relaxed),
            round_trips: self.longest.load(Ordering::Relaxed),
            bytes_sent: self.bytes_sent.load(Ordering::Relaxed),
        }
    }
}

#[cfg(test)]
mod tests {
    use futures::StreamExt as _;

    use super::*;

    fn silent() -> Transport {
        Transport::from_fn(|_| async {
            tokio::task::yield_now().await;
            Ok(Response::new(futures::stream::empty().boxed()))
        })
    }

    async fn send(transport: &Transport, times: usize) {
        for _ in 0..times {
            let request = Request::post("/").body(RequestBody::Bytes("four".into())).expect("a valid request");
            transport.send(request).await.expect("answered");
        }
    }

    #[tokio::test]
    async fn what_runs_beside_each_other_counts_by_its_longest_branch() {
        let meter = Meter::new();
        let transport = meter.around(silent());
        meter
            .watch(async {
                send(&transport, 1).await;
                // The short branch ends first, and is no part of what the long one waits for.
                futures::join!(branch(send(&transport, 3)), branch(send(&transport, 1)), branch(send(&transport, 2)));
                send(&transport, 1).await;
            })
            .await;
        assert_eq!(meter.reading(), Reading { requests: 8, round_trips: 5, bytes_sent: 32 });
    }

    #[tokio::test]
    async fn a_branch_in_a_branch_reaches_the_one_around_it() {
        let meter = Meter::new();
        let transport = meter.around(silent());
        let inner = || async {
            futures::join!(branch(send(&transport, 2)), branch(send(&transport, 4)));
            send(&transport, 1).await;
        };
        meter
            .watch(async {
                futures::join!(branch(inner()), branch(send(&transport, 1)));
                send(&transport, 1).await;
            })
            .await;
        assert_eq!(meter.reading().round_trips, 6);
    }
}
