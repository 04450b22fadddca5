//! Where the servers listen.

use std::collections::BTreeMap;
use std::net::SocketAddr;

use chalk_deploy_core::transport::RequestBody;
use chalk_deploy_core::{Error, ErrorCode, Result};
use http::header::HOST;
use http::uri::{Authority, Scheme};
use http::{HeaderValue, Request, Uri};
use serde::{Deserialize, Serialize};

/// The loopback address of each server, by its name.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Addresses {
    /// The process that hosts them.
    pub process: u32,
    /// The addresses.
    pub servers: BTreeMap<String, SocketAddr>,
}

impl Addresses {
    /// The address of a server.
    ///
    /// # Errors
    /// [`ErrorCode::CloudAnswerInvalid`] when the host has no such server.
    pub fn of(&self, server: &str) -> Result<SocketAddr> {
        self.servers.get(server).copied().filter(|address| address.ip().is_loopback()).ok_or_else(|| {
            Error::new(ErrorCode::CloudAnswerInvalid, "the process that hosts the simulated servers has no such server")
                .on(format!("server `{server}` of process {}", self.process))
                .with_hint("end that process, which may be of another version, and try again")
        })
    }

    /// The same request to where the server listens. It still names the host that it was made for, which may be signed.
    pub(super) fn rewrite(&self, server: &str, request: &Request<RequestBody>) -> Result<Request<RequestBody>> {
        let invalid = || Error::new(ErrorCode::Internal, "a request names no valid target").on(request.uri().path());
        let authority = Authority::try_from(self.of(server)?.to_string()).map_err(|_| invalid())?;
        let mut there = request.clone();
        if let Some(host) = request.uri().authority() {
            let host = HeaderValue::from_str(host.as_str()).map_err(|_| invalid())?;
            there.headers_mut().entry(HOST).or_insert(host);
        }
        let mut parts = request.uri().clone().into_parts();
        parts.scheme = Some(Scheme::HTTP);
        parts.authority = Some(authority);
        *there.uri_mut() = Uri::from_parts(parts).map_err(|_| invalid())?;
        Ok(there)
    }
}
