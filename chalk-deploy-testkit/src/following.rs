//! A build, followed to its end.

use chalk_deploy_core::cloud::{BuildEvent, Builder};
use chalk_deploy_core::model::{BuiltImage, DeploymentId};
use chalk_deploy_core::{Error, ErrorCode, Result};

/// No build of a test has more to say.
const MOST_ANSWERS: usize = 10_000;

/// Follows a build to its end: all that it said, and what came of it. One that gives too many answers without an end is
/// [`ErrorCode::DeadlineExceeded`].
pub async fn follow(builder: &dyn Builder, deployment: &DeploymentId) -> (Vec<BuildEvent>, Result<Vec<BuiltImage>>) {
    let mut seen: Vec<BuildEvent> = Vec::new();
    for _ in 0..MOST_ANSWERS {
        let state = match builder.state(deployment, seen.len() as u64).await {
            Ok(state) => state,
            Err(error) => return (seen, Err(error)),
        };
        let (events, end) = state.into_parts();
        seen.extend(events);
        if let Some(end) = end {
            return (seen, end);
        }
    }
    (seen, Err(Error::new(ErrorCode::DeadlineExceeded, "the build does not end").on(deployment)))
}
