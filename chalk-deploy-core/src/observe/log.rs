//! The events of one deployment, kept so that a late or second listener can follow from the start.

use std::fmt;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};

use futures::Stream;
use futures::StreamExt as _;
use futures::stream::BoxStream;
use tokio::sync::watch;

use super::event::{DeploymentEvent, EventKind};

/// Beyond this many, progress is no longer kept (it is the only kind of event without a bound of its own).
const KEPT_MOST: usize = 50_000;

/// Appended to by the driver, read by any number of listeners at their own pace.
pub(crate) struct EventLog {
    events: Mutex<Vec<DeploymentEvent>>,
    /// How many events there are, and whether the log is closed.
    news: watch::Sender<(usize, bool)>,
}

impl EventLog {
    pub(crate) fn new() -> Arc<Self> {
        Arc::new(Self { events: Mutex::default(), news: watch::Sender::new((0, false)) })
    }

    /// Adds events, in order.
    pub(crate) fn extend(&self, added: impl IntoIterator<Item = DeploymentEvent>) {
        let mut events = self.events.lock().unwrap_or_else(PoisonError::into_inner);
        for event in added {
            if events.len() < KEPT_MOST || !matches!(event.kind, EventKind::Progress { .. }) {
                events.push(event);
            }
        }
        let count = events.len();
        drop(events);
        self.news.send_modify(|news| news.0 = count);
    }

    /// No events will follow: listeners end.
    pub(crate) fn close(&self) {
        self.news.send_modify(|news| news.1 = true);
    }

    /// All events from the first on, then those to come, until the log is closed.
    pub(crate) fn follow(self: &Arc<Self>) -> EventStream {
        let start = (self.clone(), self.news.subscribe(), 0);
        let stream = futures::stream::unfold(start, |(log, mut news, next)| async move {
            loop {
                let event = log.events.lock().unwrap_or_else(PoisonError::into_inner).get(next).cloned();
                if let Some(event) = event {
                    return Some((event, (log, news, next + 1)));
                }
                let (count, closed) = *news.borrow_and_update();
                if count > next {
                    continue;
                }
                if closed || news.changed().await.is_err() {
                    return None;
                }
            }
        });
        EventStream(stream.boxed())
    }
}

impl fmt::Debug for EventLog {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "EventLog({:?})", *self.news.borrow())
    }
}

/// The events of a deployment from its creation on. Ends after its end, or when the process that drives it gives up.
pub struct EventStream(BoxStream<'static, DeploymentEvent>);

impl EventStream {
    pub(crate) fn new(stream: BoxStream<'static, DeploymentEvent>) -> Self {
        Self(stream)
    }
}

impl Stream for EventStream {
    type Item = DeploymentEvent;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<DeploymentEvent>> {
        self.0.as_mut().poll_next(context)
    }
}

impl fmt::Debug for EventStream {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("EventStream")
    }
}

#[cfg(test)]
mod tests {
    use futures::FutureExt as _;

    use super::*;
    use crate::machine::{Stage, Step};
    use crate::model::{DeploymentId, DeploymentStatus, Timestamp};
    use crate::observe::Unit;

    fn event(kind: EventKind) -> DeploymentEvent {
        let deployment_id = DeploymentId::new("caaaaaaaaaaaaaaaaaaaaaaaa").expect("a valid id");
        DeploymentEvent { kind, deployment_id, at: Timestamp::default() }
    }

    fn progress(done: u64) -> DeploymentEvent {
        event(EventKind::Progress {
            stage: Stage::Upload,
            step: Step::PutArchive,
            done,
            total: None,
            unit: Unit::Bytes,
        })
    }

    #[test]
    fn endless_progress_does_not_fill_the_memory_and_displaces_nothing_else() {
        let log = EventLog::new();
        log.extend((0..2 * KEPT_MOST as u64).map(progress));
        log.extend([event(EventKind::Status { status: DeploymentStatus::Working })]);
        log.close();
        let events: Vec<_> = log.follow().collect().now_or_never().expect("the log is closed");
        assert_eq!(events.len(), KEPT_MOST + 1);
        assert!(matches!(events.last().map(|event| &event.kind), Some(EventKind::Status { .. })));
    }

    #[test]
    fn a_listener_waits_for_what_is_to_come_and_ends_when_the_log_is_closed() {
        let log = EventLog::new();
        let mut events = log.follow();
        assert!(events.next().now_or_never().is_none(), "nothing has happened yet");
        log.extend([progress(1)]);
        assert_eq!(events.next().now_or_never(), Some(Some(progress(1))));
        log.close();
        assert_eq!(events.next().now_or_never(), Some(None));
    }
}
