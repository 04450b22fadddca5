//! Faults at the protocol: what networks and servers do to requests, at (server, method, path, n-th request); and a log
//! of every request.
//!
//! ```
//! # use std::sync::Arc;
//! # use async_trait::async_trait;
//! # use chalk_deploy_core::cloud::ByteStream;
//! # use chalk_deploy_core::transport::{Delivery, RequestBody};
//! # use chalk_deploy_testkit::VirtualRuntime;
//! # use chalk_deploy_testkit::simulated::fault::{ProtocolFault, ProtocolFaults, Requests, faulty};
//! # use chalk_deploy_testkit::simulated::http::{Server, Severed, full, in_process};
//! # use http::{Request, Response};
//! # #[derive(Debug)]
//! # struct Bucket;
//! # #[async_trait]
//! # impl Server for Bucket {
//! #     fn name(&self) -> &'static str { "bucket" }
//! #     async fn answer(&self, _: Request<ByteStream>) -> Result<Response<ByteStream>, Severed> {
//! #         Ok(Response::new(full("done")))
//! #     }
//! # }
//! # #[tokio::main(flavor = "current_thread", start_paused = true)]
//! # async fn main() {
//! // The first object is stored, and the connection ends before the bucket says so.
//! let put = Requests::to("bucket").method("PUT");
//! let faults = Arc::new(ProtocolFaults::new().at(put.clone(), 1, ProtocolFault::SeverAfter));
//! let transport = in_process(faulty(Arc::new(Bucket), faults.clone(), VirtualRuntime::new(1)));
//!
//! let request = Request::put("/key").body(RequestBody::Bytes("x".into())).expect("a request");
//! let error = transport.send(request.clone()).await.err().expect("the answer is lost");
//! assert_eq!(error.delivery, Delivery::MaybeSent);
//! assert!(transport.send(request).await.is_ok());
//! assert_eq!(faults.count(&put), 2);
//! # }
//! ```

mod body;
mod plan;

use std::sync::Arc;

use async_trait::async_trait;
use chalk_deploy_core::cloud::ByteStream;
use chalk_deploy_core::runtime::Runtime;
use http::{HeaderValue, Request, Response, StatusCode};

pub use self::plan::{LoggedRequest, ProtocolFault, ProtocolFaults, Requests};
use super::http::{Server, Severed, full};

/// A server whose requests run into the faults of a plan, and are logged by it.
pub fn faulty(server: Arc<dyn Server>, faults: Arc<ProtocolFaults>, runtime: Arc<dyn Runtime>) -> Arc<dyn Server> {
    Arc::new(Faulty { server, faults, runtime })
}

#[derive(Debug)]
struct Faulty {
    server: Arc<dyn Server>,
    faults: Arc<ProtocolFaults>,
    runtime: Arc<dyn Runtime>,
}

#[async_trait]
impl Server for Faulty {
    fn name(&self) -> &'static str {
        self.server.name()
    }

    async fn answer(&self, request: Request<ByteStream>) -> Result<Response<ByteStream>, Severed> {
        let (place, fault) = self.faults.arrive(self.server.name(), request.method(), request.uri());
        let answer = self.meet(request, fault).await;
        self.faults.answered(place, answer.as_ref().map_or(None, |response| Some(response.status())));
        answer
    }
}

impl Faulty {
    async fn meet(
        &self,
        request: Request<ByteStream>,
        fault: Option<ProtocolFault>,
    ) -> Result<Response<ByteStream>, Severed> {
        match fault {
            None => self.server.answer(request).await,
            Some(ProtocolFault::SeverBefore) => Err(Severed),
            Some(ProtocolFault::SeverAfter) => {
                self.server.answer(request).await?;
                Err(Severed)
            }
            Some(ProtocolFault::CutRequest { after }) => {
                // The server sees the beginning; whatever it makes of it, nobody hears.
                self.server.answer(request.map(|body| body::cut(body, after))).await?;
                Err(Severed)
            }
            Some(ProtocolFault::Answer { status, headers, body }) => Ok(answer(status, &headers, body)),
            Some(ProtocolFault::AnswerAfter { status, headers, body }) => {
                self.server.answer(request).await?;
                Ok(answer(status, &headers, body))
            }
            Some(ProtocolFault::Headers(headers)) => {
                let mut response = self.server.answer(request).await?;
                set(&mut response, &headers);
                Ok(response)
            }
            Some(ProtocolFault::CutAnswer { after }) => {
                Ok(self.server.answer(request).await?.map(|body| body::cut(body, after)))
            }
            Some(ProtocolFault::SlowAnswer { pause }) => {
                let runtime = self.runtime.clone();
                Ok(self.server.answer(request).await?.map(|body| body::slow(body, pause, runtime)))
            }
            Some(ProtocolFault::Delay(pause)) => {
                self.runtime.sleep(pause).await;
                self.server.answer(request).await
            }
            Some(ProtocolFault::Stall) => std::future::pending().await,
        }
    }
}

fn answer(status: u16, headers: &[(&'static str, String)], body: String) -> Response<ByteStream> {
    let mut response = Response::new(full(body));
    // A status that is none would make the test say nothing: it becomes one that nobody mistakes.
    *response.status_mut() = StatusCode::from_u16(status).unwrap_or(StatusCode::IM_A_TEAPOT);
    set(&mut response, headers);
    response
}

fn set(response: &mut Response<ByteStream>, headers: &[(&'static str, String)]) {
    for (name, value) in headers {
        if let Ok(value) = HeaderValue::from_str(value) {
            response.headers_mut().insert(*name, value);
        }
    }
}

#[cfg(test)]
mod tests;
