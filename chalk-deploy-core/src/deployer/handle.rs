//! A deployment under way.

use std::sync::Arc;

use tokio::sync::watch;

use crate::cloud::Payload;
use crate::driver::Task;
use crate::error::RecordedError;
use crate::machine::Outcome;
use crate::model::DeploymentId;
use crate::observe::{EventLog, EventStream};
use crate::{Error, ErrorCode, Result};

/// A deployment that a [`Deployer`](crate::Deployer) drives. Dropping it stops nothing.
#[derive(Debug, Clone)]
pub struct DeploymentHandle {
    deployment: DeploymentId,
    log: Arc<EventLog>,
    cancel: watch::Sender<bool>,
    /// `Some(Ok(None))`: driven as far as it was to go, which is not the end.
    end: watch::Sender<Option<Result<Option<Outcome>, RecordedError>>>,
}

impl DeploymentHandle {
    /// A handle, and the task that it stands for.
    pub(crate) fn new(deployment: DeploymentId, source: Option<Payload>) -> (Self, Task) {
        let (cancel, wanted) = watch::channel(false);
        let log = EventLog::new();
        let handle =
            Self { deployment: deployment.clone(), log: Arc::clone(&log), cancel, end: watch::Sender::new(None) };
        (handle, Task { deployment, source, log, cancel: wanted })
    }

    /// The deployment.
    pub const fn id(&self) -> &DeploymentId {
        &self.deployment
    }

    /// Its events from the creation on; any number of listeners, each at its own pace.
    pub fn events(&self) -> EventStream {
        self.log.follow()
    }

    /// Waits for the end.
    ///
    /// # Errors
    /// When this process can no longer drive it: `LEASE_LOST`, `STORE_UNAVAILABLE`, `INTERNAL`. The deployment is
    /// unfinished then, and can be resumed. A deployment that failed is no error; its outcome says so.
    pub async fn wait(&self) -> Result<Outcome> {
        self.stopped().await?.ok_or_else(|| {
            Error::new(ErrorCode::RequestInvalid, "it was only submitted")
                .on(format!("deployment {}", self.deployment))
                .with_hint("resume it to see its end")
        })
    }

    async fn stopped(&self) -> Result<Option<Outcome>> {
        let mut end = self.end.subscribe();
        match end.wait_for(Option::is_some).await.map(|end| end.clone()) {
            Ok(Some(Ok(outcome))) => Ok(outcome),
            Ok(Some(Err(error))) => Err(error.into()),
            // The sender lives in this handle.
            _ => Err(Error::new(ErrorCode::Internal, "the deployment's task is gone")),
        }
    }

    pub(crate) fn notify_cancel(&self) {
        self.cancel.send_replace(true);
    }

    pub(crate) fn finish(&self, result: Result<Option<Outcome>>) {
        self.end.send_replace(Some(result.map_err(|error| error.record())));
        self.log.close();
    }
}

/// A deployment whose source is being uploaded, and whose rest is left to others.
#[derive(Debug, Clone)]
pub struct Submission(DeploymentHandle);

impl Submission {
    pub(crate) const fn new(handle: DeploymentHandle) -> Self {
        Self(handle)
    }

    /// The deployment.
    pub const fn id(&self) -> &DeploymentId {
        self.0.id()
    }

    /// Its events from the creation on, until the source has arrived.
    pub fn events(&self) -> EventStream {
        self.0.events()
    }

    /// Waits until the source has arrived: `None`, and the deployment goes on when a deployer drives its environment.
    /// One whose upload failed for good has ended, with that outcome.
    ///
    /// # Errors
    /// As [`DeploymentHandle::wait`].
    pub async fn arrived(&self) -> Result<Option<Outcome>> {
        self.0.stopped().await
    }
}
