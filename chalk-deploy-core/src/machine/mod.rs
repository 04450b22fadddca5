//! The durable machine: pure, without I/O, clock or tokio.
//!
//! [`fold`] turns a journal into a [`State`]; [`State::advance`] is one step of that fold and refuses what is not in the
//! transition table; [`decide`] says what is to be done in a state. Whoever stops anywhere folds the journal again and
//! goes on.

mod decide;
mod event;
mod outcome;
mod state;
mod step;

pub use decide::{Command, decide};
pub use event::{Event, JOURNAL_FORMAT, JOURNAL_FORMATS, RecordedEvent, StepOutput, TrafficReport, Verification};
pub use outcome::{ArchiveOutcome, Outcome, StageOutcome, TrafficOutcome, outcome};
pub use state::{Finish, IllegalTransition, State, StepProgress, StepState, fold};
pub use step::{Stage, Step, StepRow};
