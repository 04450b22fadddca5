//! Simulated servers as functions from a request to an answer, and the two ways to reach them.

mod body;
mod loopback;
mod process;

use std::fmt;

use async_trait::async_trait;
use chalk_deploy_core::cloud::ByteStream;
use http::{Request, Response};

pub use self::body::{empty, full, json, read_body, text};
pub use self::loopback::{Listening, serve};
pub use self::process::in_process;

/// A server. It takes any number of requests at once, and knows nothing of sockets.
#[async_trait]
pub trait Server: fmt::Debug + Send + Sync + 'static {
    /// Its name in faults, checkpoints and logs, such as `registry`.
    fn name(&self) -> &'static str;

    /// Answers one request. The request's URI holds at least a path; its body is read as it arrives.
    ///
    /// # Errors
    /// [`Severed`] when the connection ends without an answer.
    async fn answer(&self, request: Request<ByteStream>) -> Result<Response<ByteStream>, Severed>;
}

/// The connection ends without an answer; what the request asked for may have been done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Severed;
