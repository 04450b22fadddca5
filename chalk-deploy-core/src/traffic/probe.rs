//! Requests through the gateway, to learn who answers.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use http::header::HOST;
use http::{HeaderValue, Request, Uri};

use super::{DEPLOYMENT_HEADER, ENVIRONMENT_HEADER};
use crate::cloud::{RouteReference, TrafficProbe};
use crate::model::DeploymentId;
use crate::runtime::{Runtime, RuntimeExt as _};
use crate::transport::{RequestBody, Transport};
use crate::{Error, ErrorCode, Result, text};

/// How long an answer may take.
const ANSWER_WITHIN: Duration = Duration::from_secs(10);

/// Asks a gateway at an address. It shows nothing but the environment's name, and follows no redirect.
#[derive(Debug, Clone)]
pub struct GatewayProbe {
    transport: Transport,
    address: Uri,
    host: Option<HeaderValue>,
    runtime: Arc<dyn Runtime>,
}

impl GatewayProbe {
    /// A probe of the gateway at `http[s]://host[:port][/path]`.
    ///
    /// # Errors
    /// [`ErrorCode::ValueInvalid`] when this is no such address.
    pub fn new(transport: Transport, address: &str, runtime: Arc<dyn Runtime>) -> Result<Self> {
        let parsed: Option<Uri> = address.parse().ok();
        let parsed = parsed.filter(|uri| {
            matches!(uri.scheme_str(), Some("http" | "https"))
                && uri.authority().is_some_and(|authority| !authority.as_str().contains('@'))
        });
        let address = parsed.ok_or_else(|| {
            Error::new(ErrorCode::ValueInvalid, "this is no address of a gateway")
                .on(format!("address `{}`", text::line(address, 200)))
                .with_hint("name it as `http://host[:port]`")
        })?;
        Ok(Self { transport, address, host: None, runtime })
    }

    /// Asks for this host, where the gateway's listener answers for no other.
    ///
    /// # Errors
    /// [`ErrorCode::ValueInvalid`] when this is no host.
    pub fn with_host(mut self, host: &str) -> Result<Self> {
        let valid = HeaderValue::from_str(host).map_err(|_| {
            Error::new(ErrorCode::ValueInvalid, "this is no host").on(format!("host `{}`", text::line(host, 200)))
        })?;
        self.host = Some(valid);
        Ok(self)
    }
}

#[async_trait]
impl TrafficProbe for GatewayProbe {
    async fn ask(&self, route: &RouteReference) -> Result<DeploymentId> {
        let failed = |what: String| Error::new(ErrorCode::VerificationFailed, what).on(route);
        let mut request = Request::get(self.address.clone())
            .header(ENVIRONMENT_HEADER, route.environment.as_str())
            .body(RequestBody::Empty)
            .map_err(|error| Error::new(ErrorCode::Internal, "a request could not be made").caused_by(error))?;
        if let Some(host) = &self.host {
            request.headers_mut().insert(HOST, host.clone());
        }
        // Sent once: whoever asks wants to know how this very moment is.
        let unreachable =
            |what: &str| Error::new(ErrorCode::CloudUnavailable, what).on(format!("gateway {}", self.address));
        let response = match self.runtime.within(ANSWER_WITHIN, self.transport.send(request)).await {
            None => return Err(unreachable("it did not answer in time")),
            Some(Err(error)) => return Err(unreachable("it cannot be reached").caused_by(error)),
            Some(Ok(response)) => response,
        };
        let status = response.status();
        if !status.is_success() {
            return Err(failed(format!("the gateway answered {}", status.as_u16())));
        }
        let Some(header) = response.headers().get(DEPLOYMENT_HEADER) else {
            return Err(failed(format!("what answered is no engine: there is no header `{DEPLOYMENT_HEADER}`")));
        };
        let said = String::from_utf8_lossy(header.as_bytes());
        DeploymentId::new(said.trim())
            .map_err(|error| failed("what answered names no deployment".to_owned()).caused_by(error))
    }
}
