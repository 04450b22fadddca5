//! A server on a loopback socket.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;

use chalk_deploy_core::cloud::ByteStream;
use chalk_deploy_core::{Error, ErrorCode, Result};
use futures::{StreamExt as _, TryStreamExt as _};
use http::Request;
use http_body_util::{BodyDataStream, StreamBody};
use hyper::body::{Frame, Incoming};
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

use super::Server;

/// A server that listens. Dropping it closes the socket and every connection.
#[derive(Debug)]
pub struct Listening {
    address: SocketAddr,
    task: JoinHandle<()>,
}

impl Listening {
    /// Where it listens.
    pub const fn address(&self) -> SocketAddr {
        self.address
    }
}

impl Drop for Listening {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// Listens on a port of 127.0.0.1 (0: any free one) and answers HTTP/1.1.
///
/// # Errors
/// [`ErrorCode::CloudUnavailable`] when the port cannot be had.
pub async fn serve(server: Arc<dyn Server>, port: u16) -> Result<Listening> {
    let wanted = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
    let failed = |error: std::io::Error| {
        Error::new(ErrorCode::CloudUnavailable, "the simulated server cannot listen")
            .on(format!("{wanted}"))
            .with_hint("choose another port, or 0 for any free one")
            .caused_by(error)
    };
    let listener = TcpListener::bind(wanted).await.map_err(failed)?;
    let address = listener.local_addr().map_err(failed)?;
    let task = tokio::spawn(accept(server, listener));
    Ok(Listening { address, task })
}

async fn accept(server: Arc<dyn Server>, listener: TcpListener) {
    // Dropped with this task, and every connection with it.
    let mut connections = tokio::task::JoinSet::new();
    loop {
        tokio::select! {
            accepted = listener.accept() => match accepted {
                Ok((stream, _)) => { connections.spawn(connection(server.clone(), stream)); }
                // Out of descriptors, or the peer is gone already: the next one may do better.
                Err(error) => {
                    tracing::debug!(%error, "a connection could not be accepted");
                    tokio::task::yield_now().await;
                }
            },
            Some(_) = connections.join_next() => {}
        }
    }
}

async fn connection(server: Arc<dyn Server>, stream: TcpStream) {
    // Small answers must not wait for an acknowledgement of the last one.
    let _ = stream.set_nodelay(true);
    let service = service_fn(move |request: Request<Incoming>| {
        let server = server.clone();
        async move {
            let request =
                request.map(|body| -> ByteStream { BodyDataStream::new(body).map_err(std::io::Error::other).boxed() });
            // An error here makes hyper close the connection without an answer, which is what it means.
            let response = server.answer(request).await.map_err(|_| std::io::Error::other("severed"))?;
            Ok::<_, std::io::Error>(response.map(|body| StreamBody::new(body.map_ok(Frame::data))))
        }
    });
    let outcome = hyper::server::conn::http1::Builder::new()
        .half_close(true)
        .serve_connection(TokioIo::new(stream), service)
        .await;
    if let Err(error) = outcome {
        tracing::debug!(%error, "a connection ended early");
    }
}
