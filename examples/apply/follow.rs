//! Following a deployment to its end, and what Ctrl-C means on the way.

use chalk_deploy_core::machine::Step;
use chalk_deploy_core::model::DeploymentId;
use chalk_deploy_core::observe::EventKind;
use chalk_deploy_core::{Deployer, DeploymentHandle, ErrorCode, Result};
use futures::StreamExt as _;

use super::exit::Stop;
use super::interrupt::Interrupts;
use super::view::View;

/// Whether the person wants the deployment to stop.
#[derive(Debug, Default)]
pub(super) struct Wish {
    is_to_cancel: bool,
}

impl Wish {
    pub(super) const fn is_to_cancel(&self) -> bool {
        self.is_to_cancel
    }

    /// A Ctrl-C. The first one is a wish, the second one ends the process.
    fn interrupted(&mut self, view: &mut dyn View) -> Result<(), Stop> {
        if self.is_to_cancel {
            view.note("note: not waiting any longer; --resume goes on with the cancellation");
            return Err(Stop::Interrupted);
        }
        self.is_to_cancel = true;
        view.note("note: cancelling; what was done is undone (Ctrl-C again to leave it unfinished)");
        Ok(())
    }
}

/// Lets a call finish that must not be dropped in the middle, and keeps a Ctrl-C in mind meanwhile.
///
/// # Errors
/// [`Stop::Interrupted`] at the second Ctrl-C.
pub(super) async fn patiently<T>(
    call: impl Future<Output = T>,
    wish: &mut Wish,
    interrupts: &mut Interrupts,
    view: &mut dyn View,
) -> Result<T, Stop> {
    let mut call = std::pin::pin!(call);
    loop {
        tokio::select! {
            biased;
            done = &mut call => return Ok(done),
            () = interrupts.next() => wish.interrupted(view)?,
        }
    }
}

/// Shows the events of a deployment until its end. A Ctrl-C cancels it.
///
/// # Errors
/// [`Stop::Interrupted`] at the second Ctrl-C.
pub(super) async fn follow(
    deployer: &Deployer,
    handle: &DeploymentHandle,
    wish: &mut Wish,
    interrupts: &mut Interrupts,
    view: &mut dyn View,
    is_shown: bool,
) -> Result<(), Stop> {
    let mut events = handle.events();
    if wish.is_to_cancel() {
        cancel(deployer, handle.id(), view).await;
    }
    loop {
        tokio::select! {
            event = events.next() => match event {
                Some(event) if is_shown => view.event(&event),
                Some(_) => {}
                None => return Ok(()),
            },
            () = interrupts.next() => {
                wish.interrupted(view)?;
                cancel(deployer, handle.id(), view).await;
            }
        }
    }
}

async fn cancel(deployer: &Deployer, deployment: &DeploymentId, view: &mut dyn View) {
    match deployer.cancel(deployment).await {
        Ok(()) => {}
        Err(error) if error.code() == ErrorCode::DeploymentFinal => {
            view.note("note: it is too late to cancel: production runs the new version already");
        }
        Err(error) => view.note(&format!("note: the cancellation could not be noted: {}", error.sentence())),
    }
}

/// Shows the events of a deployment that was submitted: up to the arrival of its source, or its own end if it is
/// an old one, found by its idempotency key.
///
/// # Errors
/// Those of the store.
pub(super) async fn submitted_events(
    deployer: &Deployer,
    deployment: &DeploymentId,
    view: &mut dyn View,
) -> Result<()> {
    let mut events = deployer.events(deployment).await?;
    while let Some(event) = events.next().await {
        view.event(&event);
        let has_arrived = matches!(event.kind, EventKind::StepFinished { step: Step::PutArchive, .. });
        if has_arrived || matches!(event.kind, EventKind::Finished(_)) {
            break;
        }
    }
    Ok(())
}
