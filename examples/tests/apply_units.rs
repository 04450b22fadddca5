//! Runs the unit tests inside the modules of the `apply` example. Cargo would run them by itself if the example were
//! marked as a test, but would then no longer build the program that the other tests start.

#[path = "../apply/main.rs"]
#[allow(dead_code, reason = "`main` is called in the example; here its parts are")]
mod apply;
