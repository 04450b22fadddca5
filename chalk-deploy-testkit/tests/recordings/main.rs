//! What real servers answered, against what the simulated ones answer to the same requests.
//!
//! `testbed/record` starts the real servers and runs the ignored test `record` of each module, which sends sequences
//! made from seeds and writes requests and answers to a file `<module>.jsonl.gz` beside this one.
//! The tests of the replay take the requests from there, so that what makes them may change later. What is random in an
//! answer (uids, times, addresses, absolute versions) has been replaced when it was recorded, by the same rules as in
//! the replay. A difference is a defect of the simulation, or stands with its reason in a list of accepted ones.

#![cfg(feature = "simulated")]

mod exchange;
mod file;
mod gateway;
mod kubernetes;
mod random;
mod registry;
