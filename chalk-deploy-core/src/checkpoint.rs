//! Named moments at which a test may kill the process.
//!
//! The driver passes three of them in every durable step, `<step>/before-effect`, `<step>/after-effect` (the effect is
//! done, nothing is recorded) and `<step>/after-record`; the testkit's fakes pass one between the two visible writes
//! of every effect. In production nothing listens.

use std::fmt;

/// Is told of each moment as it is reached.
pub trait Checkpoints: fmt::Debug + Send + Sync + 'static {
    /// Called at the moment with that name. An implementation may end the process and not return.
    fn reached(&self, name: &str);
}

/// Listens to nothing.
#[derive(Debug, Clone, Copy, Default)]
pub struct NoCheckpoints;

impl Checkpoints for NoCheckpoints {
    fn reached(&self, _name: &str) {}
}
