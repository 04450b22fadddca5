//! The whole pipeline over the real adapters and the simulated servers, in virtual time: what the fakes promise, on the
//! code that production runs, with the faults at the protocol.

mod crash;
mod faults;
mod house;
mod load;
mod statuses;
mod success;
mod time;
