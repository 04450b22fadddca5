//! What is shown of a deployment: JSON for programs, live lines for a terminal, plain lines for everything else.

mod board;
mod json;
mod live;
mod output;
mod paint;
mod plain;
mod words;

use std::io::{self, IsTerminal as _};
use std::sync::Arc;
use std::time::Duration;

use chalk_deploy_core::model::DeploymentId;
use chalk_deploy_core::observe::DeploymentEvent;
use chalk_deploy_core::runtime::Runtime;

use self::json::Json;
use self::live::Live;
use self::output::Output;
pub(super) use self::output::{say, show};
use self::paint::Paint;
use self::plain::Plain;
use self::words::collecting;

/// Shows what happens, as it happens. Nothing here can fail: a deployment does not stop because nobody reads.
pub(super) trait View: Send {
    /// The next event.
    fn event(&mut self, event: &DeploymentEvent);

    /// The deployment was left to someone else.
    fn detached(&mut self, deployment: &DeploymentId);

    /// The simulated gateway stays up at this address.
    fn serving(&mut self, address: &str);

    /// A remark for a person, on stderr.
    fn note(&mut self, line: &str) {
        say(line);
    }

    /// Collecting the source has taken so long already that it is worth telling. `None` when it is done.
    fn collecting(&mut self, progress: Option<Collecting>) {
        if let Some(progress) = progress {
            self.note(&collecting(progress));
        }
    }
}

/// How far collecting the source is.
#[derive(Debug, Clone, Copy)]
pub(super) struct Collecting {
    /// Bytes read.
    pub(super) done: u64,
    /// Bytes in all.
    pub(super) total: u64,
    /// Since the start.
    pub(super) elapsed: Duration,
}

/// The view for this command line and these streams.
pub(super) fn choose(json: bool, is_logging: bool, runtime: &Arc<dyn Runtime>) -> Box<dyn View> {
    let is_terminal = io::stdout().is_terminal();
    let variable = |name| std::env::var_os(name).filter(|value| !value.is_empty());
    let is_dumb = variable("TERM").is_none_or(|term| term == "dumb");
    let paint = Paint::new(is_terminal && !is_dumb && variable("NO_COLOR").is_none());
    let output = Output::new(Box::new(io::stdout()));
    if json {
        Box::new(Json::new(output))
    } else if is_terminal && !is_dumb && !is_logging {
        Box::new(Live::new(output, paint, Arc::clone(runtime)))
    } else {
        Box::new(Plain::new(output, paint))
    }
}
