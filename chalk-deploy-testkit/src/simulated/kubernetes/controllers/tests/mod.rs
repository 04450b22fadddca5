//! What the controllers do together.

mod endpoints;
mod jobs;
mod kubectl;
mod ownership;
mod pods;
mod restart;
mod rollout;
mod safety;
mod scaling;
mod stage;
mod workflows;
