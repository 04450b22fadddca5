//! The pipeline against the real servers of the folder `testbed/`, which must be at hand: `testbed/e2e` runs this.

mod argo;
mod conformance;
mod cutover;
mod dockerfile;
#[path = "../common/engine.rs"]
mod engine;
mod house;
mod load;
#[path = "../common/patient.rs"]
mod patient;
mod statuses;
