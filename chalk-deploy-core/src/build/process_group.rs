//! A program with all that it starts: a process group that ends with whoever waits for it.

use rustix::process::{Pid, Signal, kill_process_group};
use tokio::process::Child;

/// Kills the group that a child leads when it is dropped: also after the leader has ended, because what it started may
/// live on. The number of a group stays taken as long as one of its processes does; where none does, nothing is ended.
#[derive(Debug)]
pub(super) struct ProcessGroup(Option<Pid>);

impl ProcessGroup {
    /// Of a child that was started with `process_group(0)`.
    pub(super) fn of(child: &Child) -> Self {
        Self(child.id().and_then(|id| Pid::from_raw(i32::try_from(id).ok()?)))
    }
}

impl Drop for ProcessGroup {
    fn drop(&mut self) {
        if let Some(leader) = self.0 {
            // Gone already, perhaps.
            let _ = kill_process_group(leader, Signal::KILL);
        }
    }
}
