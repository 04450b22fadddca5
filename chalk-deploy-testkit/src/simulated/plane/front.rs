//! A front of the gateway for one environment: what a customer's own ingress does for clients that name none.

use async_trait::async_trait;
use chalk_deploy_core::cloud::ByteStream;
use chalk_deploy_core::model::EnvironmentId;
use chalk_deploy_core::traffic::ENVIRONMENT_HEADER;
use chalk_deploy_core::transport::{RequestBody, Transport};
use http::header::{CONTENT_LENGTH, HOST, TRANSFER_ENCODING};
use http::{HeaderValue, Request, Response, StatusCode, Uri};

use super::{Adapters, host};
use crate::simulated::http::{Server, Severed, empty, read_body};

/// No request has a longer body.
const LARGEST_BODY: usize = 8 << 20;

/// Hands every request on to the gateway, for its environment unless the request names another one.
#[derive(Debug)]
pub struct EnvironmentFront {
    gateway: Transport,
    environment: HeaderValue,
}

impl EnvironmentFront {
    /// The front of an environment.
    pub fn new(adapters: &Adapters, environment: &EnvironmentId) -> Self {
        // An environment is a DNS label, which a header can hold.
        let value = HeaderValue::from_str(environment.as_str()).unwrap_or(HeaderValue::from_static(""));
        Self { gateway: adapters.gateway().clone(), environment: value }
    }
}

#[async_trait]
impl Server for EnvironmentFront {
    fn name(&self) -> &'static str {
        "front"
    }

    async fn answer(&self, request: Request<ByteStream>) -> Result<Response<ByteStream>, Severed> {
        let (mut parts, body) = request.into_parts();
        let body = match read_body(body, LARGEST_BODY).await {
            Ok(body) if body.is_empty() => RequestBody::Empty,
            Ok(body) => RequestBody::Bytes(body),
            Err(status) => return Ok(refused(status)),
        };
        let path = parts.uri.path_and_query().map_or("/", |path| path.as_str());
        let Ok(uri) = format!("http://{}{path}", host::GATEWAY).parse::<Uri>() else {
            return Ok(refused(StatusCode::BAD_REQUEST));
        };
        parts.uri = uri;
        for name in [HOST, CONTENT_LENGTH, TRANSFER_ENCODING] {
            parts.headers.remove(name);
        }
        parts.headers.entry(ENVIRONMENT_HEADER).or_insert_with(|| self.environment.clone());
        self.gateway.send(Request::from_parts(parts, body)).await.map_err(|_| Severed)
    }
}

fn refused(status: StatusCode) -> Response<ByteStream> {
    let mut response = Response::new(empty());
    *response.status_mut() = status;
    response
}
