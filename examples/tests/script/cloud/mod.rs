//! `apply --cloud`: names, a control plane that knows them, and the simulated servers behind it.

mod aws;
mod azure;
mod google;

use std::net::SocketAddr;
use std::sync::Arc;

use chalk_deploy_testkit::simulated::closure::Answering;
use chalk_deploy_testkit::simulated::http::{Listening, Server, serve};
use rcgen::CertifiedKey;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _, copy, split};
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::{Builder, Runtime};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::pki_types::PrivateKeyDer;
use tokio_rustls::rustls::{ServerConfig, crypto};

use crate::program::Sandbox;
use crate::servers::Servers;

/// What runs what stands before the servers of a test, until the test ends.
fn executor() -> Runtime {
    Builder::new_multi_thread().worker_threads(1).enable_all().build().expect("a runtime")
}

/// A server of the test on loopback.
pub(crate) struct Loopback {
    address: SocketAddr,
    _listening: Listening,
    _executor: Runtime,
}

impl Loopback {
    pub(crate) fn start(server: impl Server) -> Self {
        let executor = executor();
        let listening = executor.block_on(serve(Arc::new(server), 0)).expect("a free port");
        Self { address: listening.address(), _listening: listening, _executor: executor }
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.address)
    }
}

/// A control plane that is a closure, and what it was asked.
struct ControlPlane {
    at: Loopback,
    answering: Answering,
}

impl ControlPlane {
    fn start(answering: Answering) -> Self {
        Self { at: Loopback::start(answering.clone()), answering }
    }
}

/// The simulated API server as a cloud has it: behind TLS, and letting in who shows a token of the cloud. The simulated one
/// knows no such token, so it is shown none.
struct Front {
    address: SocketAddr,
    /// The certificate that it is to be trusted by, as PEM.
    authority: String,
    _executor: Runtime,
}

impl Front {
    /// Stands before these servers' API server. `token` is what the cloud's tokens begin with.
    fn before(servers: &Servers, token: &'static str) -> Self {
        let kubeconfig = std::fs::read_to_string(&servers.lines["KUBECONFIG"]).expect("a kubeconfig");
        let server = kubeconfig.lines().find_map(|line| line.trim().strip_prefix("server: http://"));
        Self::at(server.expect("an address").parse().expect("an address"), Some(token))
    }

    /// Stands before any server, which asks for a token itself where none is named.
    #[expect(clippy::disallowed_methods, reason = "a proxy that shares nothing with what it stands before")]
    fn at(behind: SocketAddr, token: Option<&'static str>) -> Self {
        let CertifiedKey { cert, signing_key } =
            rcgen::generate_simple_self_signed(["127.0.0.1".to_owned()]).expect("a certificate");
        let key = PrivateKeyDer::try_from(signing_key.serialize_der()).expect("a key");
        let configuration = ServerConfig::builder_with_provider(Arc::new(crypto::aws_lc_rs::default_provider()))
            .with_safe_default_protocol_versions()
            .expect("the usual versions")
            .with_no_client_auth()
            .with_single_cert(vec![cert.der().clone()], key)
            .expect("a certificate with its key");
        let acceptor = TlsAcceptor::from(Arc::new(configuration));
        let executor = executor();
        let listener = executor.block_on(TcpListener::bind("127.0.0.1:0")).expect("a free port");
        let address = listener.local_addr().expect("an address");
        executor.spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let acceptor = acceptor.clone();
                tokio::spawn(async move {
                    let Ok(client) = acceptor.accept(stream).await else { return };
                    let Ok(server) = TcpStream::connect(behind).await else { return };
                    let (mut from_client, mut to_client) = split(client);
                    let (mut from_server, mut to_server) = server.into_split();
                    let forth = async {
                        match token {
                            Some(token) => let_in(&mut from_client, &mut to_server, token).await,
                            None => copy(&mut from_client, &mut to_server).await.map(drop),
                        }
                    };
                    // Whichever side ends, the other has nothing more to say.
                    let _ = tokio::join!(forth, copy(&mut from_server, &mut to_client));
                });
            }
        });
        Self { address, authority: cert.pem(), _executor: executor }
    }
}

/// Copies requests, without the header that holds a token: it gets a name of the same length that means nothing. A head is
/// written at once, so it is read at once.
async fn let_in(
    from: &mut (impl AsyncRead + Unpin),
    to: &mut (impl AsyncWrite + Unpin),
    token: &str,
) -> std::io::Result<()> {
    const HEAD: &[u8] = b" HTTP/1.1\r\n";
    const CHECKED: &[u8] = b"x-was-checked";
    let shown = format!("authorization: Bearer {token}");
    let mut piece = vec![0; 64 << 10];
    loop {
        let read = from.read(&mut piece).await?;
        if read == 0 {
            return to.shutdown().await;
        }
        let bytes = &mut piece[..read];
        if let Some(at) = bytes.windows(shown.len()).position(|part| part.eq_ignore_ascii_case(shown.as_bytes())) {
            bytes[at..at + CHECKED.len()].copy_from_slice(CHECKED);
        } else if bytes.windows(HEAD.len()).any(|part| part == HEAD) {
            // A cloud lets nobody in without one.
            return Err(std::io::Error::other("a request without a token of the cloud"));
        }
        to.write_all(bytes).await?;
    }
}

/// The servers, and the front before their API server.
fn servers(sandbox: &Sandbox, token: &'static str) -> (Servers, Front) {
    let servers = Servers::start(sandbox);
    let front = Front::before(&servers, token);
    (servers, front)
}
