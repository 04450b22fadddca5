//! What those who test a deployment need: an outside world that outlives the killed process, faults where a test wants
//! them, virtual time, and the suites that hold every implementation of the five traits to their contracts.
//!
//! - [`embedded`]: all five fakes on one [`world`], in memory or durably under a directory; the embedded default.
//! - [`fake`]: the fakes themselves, with the behaviour that a test chooses.
//! - [`fault`]: faults at (trait, method, n-th call), and a log of all calls.
//! - [`crash`]: a switch that kills the own process at a named moment.
//! - [`virtual_time`]: a runtime in which hours pass in milliseconds and the same seed gives the same run.
//! - [`sample`]: a request that can be deployed.
//! - [`conformance`]: one suite per trait.
//! - `simulated` (feature `simulated`): servers that behave like the real ones, for the real adapters.
//! - `distribution` (feature `simulated`): the distribution project's own registry with the authentication of each cloud.
//! - `foreign` (feature `simulated`): strangers' programs, and what is done where one is not at hand.
//! - `recorded` (feature `simulated`): cases of APIs that have no emulator, and what plays them.
//! - `testbed` (feature `testbed`): the real servers of the folder `testbed/`, as an API.
//! - `mock` (feature `mock`): mockall mocks.

mod comparison;
pub mod conformance;
pub mod crash;
#[cfg(feature = "simulated")]
pub mod distribution;
pub mod embedded;
pub mod fake;
pub mod fault;
pub mod following;
#[cfg(feature = "simulated")]
pub mod foreign;
#[cfg(feature = "mock")]
pub mod mock;
#[cfg(feature = "simulated")]
pub mod recorded;
pub mod sample;
#[cfg(feature = "simulated")]
pub mod simulated;
#[cfg(feature = "testbed")]
pub mod testbed;
pub mod virtual_time;
pub mod world;

pub use crash::CrashSwitch;
pub use embedded::{EmbeddedEnvironments, EmbeddedWorld};
pub use fault::{Fault, FaultPlan, faulty_cloud};
pub use virtual_time::VirtualRuntime;
pub use world::World;
