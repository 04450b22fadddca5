//! The adapters on kube and Gateway API, held to the suites against the simulated API server, controllers and gateway:
//! in the process in virtual time, and over loopback sockets. Then what the protocol does to them.

#![cfg(feature = "simulated")]

mod contract;
#[path = "../common/engine.rs"]
mod engine;
mod faults;
mod harness;
#[path = "../common/patient.rs"]
mod patient;
mod permissions;
mod routes;
