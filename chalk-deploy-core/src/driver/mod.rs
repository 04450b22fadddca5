//! The only loop: loads a journal, decides, runs effects, records. The only place that retries a step.
//!
//! ```text
//!            ┌────────────────────────────── flush: one durable append ◄──────────────┐
//!            ▼                                                                        │
//! load ─► decide ─► intents staged ─► flush ─► effects run ─► result staged ─► decide ┘
//! ```
//! A result and the intents that follow from it go into the journal in one append, so that a step costs one durable
//! write, and two at most.

mod drive;
mod engine;
mod journal;
mod lane;

pub(crate) use drive::{Extent, Task, drive};
pub(crate) use engine::Engine;
pub(crate) use journal::load_state;
pub(crate) use lane::Lanes;
