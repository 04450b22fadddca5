//! What the controllers do together.

mod rollout;
mod stage;
