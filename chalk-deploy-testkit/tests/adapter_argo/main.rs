//! The builder on Argo Workflows, against a simulated API server with a simulated controller, in virtual time. The
//! build container runs the very build that our builder's image does.

#![cfg(feature = "simulated")]

mod cancel;
mod contract;
mod crash;
mod dockerfile;
mod hostile;
mod pipeline;
mod routing;
mod troubles;
mod yard;
