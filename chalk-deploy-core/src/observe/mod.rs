//! What a deployment tells while it goes on: a stream of events, metrics, spans. Nothing here prints.

mod event;
mod log;
mod metrics;
mod projection;

pub use event::{DeploymentEvent, EventKind, Unit};
pub(crate) use log::EventLog;
pub use log::EventStream;
pub use metrics::{Metrics, NoMetrics, metric};
pub(crate) use projection::Projection;
