//! Following a deployment to its end, and what Ctrl-C means on the way.

use chalk_deploy_core::model::DeploymentId;
use chalk_deploy_core::observe::EventStream;
use chalk_deploy_core::{Deployer, ErrorCode};
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

/// A deployment that is followed.
pub(super) struct Following<'a> {
    pub(super) deployer: &'a Deployer,
    pub(super) deployment: &'a DeploymentId,
    pub(super) events: EventStream,
}

impl Following<'_> {
    /// Shows the events until there are no more. A Ctrl-C cancels the deployment.
    ///
    /// # Errors
    /// [`Stop::Interrupted`] at the second Ctrl-C.
    pub(super) async fn show(
        &mut self,
        wish: &mut Wish,
        interrupts: &mut Interrupts,
        view: &mut dyn View,
        are_shown: bool,
    ) -> Result<(), Stop> {
        if wish.is_to_cancel() {
            cancel(self.deployer, self.deployment, view).await;
        }
        loop {
            tokio::select! {
                event = self.events.next() => match event {
                    Some(event) if are_shown => view.event(&event),
                    Some(_) => {}
                    None => return Ok(()),
                },
                () = interrupts.next() => {
                    wish.interrupted(view)?;
                    cancel(self.deployer, self.deployment, view).await;
                }
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
