use std::io;
use std::net::{Ipv4Addr, SocketAddr};

use async_trait::async_trait;
use bytes::Bytes;
use futures::{StreamExt as _, TryStreamExt as _};
use http::{Method, Request};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::TcpListener;
use tokio::sync::{Notify, mpsc};
use tokio::task::JoinHandle;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::pki_types::pem::PemObject as _;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::rustls::server::WebPkiClientVerifier;
use tokio_rustls::rustls::{RootCertStore, ServerConfig, crypto};

use super::*;
use crate::cloud::{ByteStream, Payload, PayloadSource};
use crate::model::{Digest, Timestamp};
use crate::transport::{Delivery, RequestBody, TransportError};
use crate::{Error, ErrorCode};

/// A server on loopback that reads one request a connection, whole by its Content-Length, and answers with fixed bytes.
struct FixedServer {
    address: SocketAddr,
    requests: mpsc::UnboundedReceiver<String>,
    task: JoinHandle<()>,
}

impl Drop for FixedServer {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// What the server does once it has read the request.
#[derive(Clone, Copy)]
enum Then {
    /// Answers and closes.
    Answer(&'static str),
    /// Answers, and then keeps the connection open without another byte.
    AnswerAndStall(&'static str),
    /// Closes without having read the body.
    CutBeforeTheBody,
}

impl FixedServer {
    async fn plain(then: Then) -> Self {
        Self::start(None, then).await
    }

    async fn tls(settings: ServerConfig, then: Then) -> Self {
        Self::start(Some(TlsAcceptor::from(Arc::new(settings))), then).await
    }

    async fn start(acceptor: Option<TlsAcceptor>, then: Then) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.expect("a free port");
        let address = listener.local_addr().expect("an address");
        let (sender, requests) = mpsc::unbounded_channel();
        let task = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let (sender, acceptor) = (sender.clone(), acceptor.clone());
                tokio::spawn(async move {
                    match acceptor {
                        None => converse(stream, then, sender).await,
                        Some(acceptor) => match acceptor.accept(stream).await {
                            Ok(stream) => converse(stream, then, sender).await,
                            Err(_) => Ok(()),
                        },
                    }
                });
            }
        });
        Self { address, requests, task }
    }

    async fn received(&mut self) -> String {
        self.requests.recv().await.expect("a request was received")
    }
}

async fn converse<S>(mut stream: S, then: Then, seen: mpsc::UnboundedSender<String>) -> io::Result<()>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let mut received = Vec::new();
    let head = loop {
        if stream.read_buf(&mut received).await? == 0 {
            return Ok(());
        }
        if let Some(at) = received.windows(4).position(|window| window == b"\r\n\r\n") {
            break at + 4;
        }
    };
    let text = String::from_utf8_lossy(&received[..head]).into_owned();
    let length = text
        .lines()
        .find_map(|line| line.strip_prefix("content-length: "))
        .map_or(0, |length| length.parse::<usize>().expect("a length is a number"));
    if let Then::CutBeforeTheBody = then {
        let _ = seen.send(text);
        return Ok(());
    }
    while received.len() < head + length {
        if stream.read_buf(&mut received).await? == 0 {
            return Ok(());
        }
    }
    let _ = seen.send(String::from_utf8_lossy(&received).into_owned());
    let (Then::Answer(answer) | Then::AnswerAndStall(answer)) = then else { return Ok(()) };
    stream.write_all(answer.as_bytes()).await?;
    stream.flush().await?;
    if let Then::AnswerAndStall(_) = then {
        std::future::pending::<()>().await;
    }
    stream.shutdown().await
}

const OK: &str = "HTTP/1.1 200 OK\r\ncontent-length: 2\r\nx-one: 1\r\n\r\nok";

/// A certificate with its key for a name or address, signed by itself.
struct SelfSigned {
    certificate: String,
    key: String,
}

impl SelfSigned {
    fn of(name: &str) -> Self {
        let made = rcgen::generate_simple_self_signed([name.to_owned()]).expect("a certificate");
        Self { certificate: made.cert.pem(), key: made.signing_key.serialize_pem() }
    }

    fn server(&self) -> ServerConfig {
        self.configured(None)
    }

    fn configured(&self, clients: Option<&Self>) -> ServerConfig {
        let provider = Arc::new(crypto::aws_lc_rs::default_provider());
        let builder = ServerConfig::builder_with_provider(provider.clone())
            .with_safe_default_protocol_versions()
            .expect("the usual versions");
        let builder = match clients {
            None => builder.with_no_client_auth(),
            Some(clients) => {
                let mut roots = RootCertStore::empty();
                roots.add(clients.der()).expect("a root");
                let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider);
                builder.with_client_cert_verifier(verifier.build().expect("a verifier"))
            }
        };
        let key = PrivateKeyDer::from_pem_slice(self.key.as_bytes()).expect("a key");
        builder.with_single_cert(vec![self.der()], key).expect("a certificate with its key")
    }

    fn der(&self) -> CertificateDer<'static> {
        CertificateDer::from_pem_slice(self.certificate.as_bytes()).expect("a certificate")
    }
}

/// A clock of which a sleep ends when the test says so.
#[derive(Debug, Default)]
struct HandClock(Notify);

#[async_trait]
impl Runtime for HandClock {
    fn now(&self) -> Timestamp {
        Timestamp::default()
    }

    fn monotonic(&self) -> Duration {
        Duration::ZERO
    }

    async fn sleep(&self, _: Duration) {
        self.0.notified().await;
    }

    fn fill_random(&self, bytes: &mut [u8]) {
        bytes.fill(0);
    }
}

/// Pieces that arrive one after another, and perhaps an error after them.
struct Pieces(Vec<&'static str>, Option<fn() -> io::Error>);

#[async_trait]
impl PayloadSource for Pieces {
    async fn open(&self) -> Result<ByteStream> {
        let end = self.1.map(|error| Err(error()));
        let pieces = self.0.clone().into_iter().map(|piece| Ok(Bytes::from_static(piece.as_bytes())));
        let stream = futures::stream::iter(pieces.chain(end)).then(|piece| async {
            tokio::task::yield_now().await;
            piece
        });
        Ok(stream.boxed())
    }
}

fn transport() -> Transport {
    NetworkTransport::builder().build().expect("the defaults are valid")
}

fn get(url: &str) -> Request<RequestBody> {
    Request::get(url).body(RequestBody::Empty).expect("a valid request")
}

fn put(address: SocketAddr, payload: Payload) -> Request<RequestBody> {
    Request::put(format!("http://{address}/a")).body(RequestBody::Payload(payload)).expect("a valid request")
}

async fn failure(transport: &Transport, request: Request<RequestBody>) -> TransportError {
    match transport.send(request).await {
        Ok(response) => panic!("it should have failed, and was answered with {}", response.status()),
        Err(error) => error,
    }
}

async fn text(body: ByteStream) -> io::Result<String> {
    let pieces: Vec<Bytes> = body.try_collect().await?;
    Ok(String::from_utf8_lossy(&pieces.concat()).into_owned())
}

#[tokio::test]
async fn a_request_arrives_as_it_was_made_and_its_answer_is_streamed_back() {
    let mut server = FixedServer::plain(Then::Answer(OK)).await;
    let payload = Payload::new(Digest::of("hello world"), 11, Arc::new(Pieces(vec!["hello", "", " world"], None)));
    let mut request = put(server.address, payload);
    *request.uri_mut() = format!("http://{}/a%20b/c?x=%2F&y", server.address).parse().expect("an address");
    request.headers_mut().insert("x-mine", "1".parse().expect("a header"));
    let response = transport().send(request).await.expect("an answer");
    assert_eq!((response.status().as_u16(), &response.headers()["x-one"]), (200, &"1".parse().expect("a header")));
    assert_eq!(text(response.into_body()).await.expect("a whole body"), "ok");
    let received = server.received().await;
    assert!(received.starts_with("PUT /a%20b/c?x=%2F&y HTTP/1.1\r\n"), "{received}");
    for line in ["content-length: 11", "x-mine: 1", concat!("user-agent: chalk-deploy/", env!("CARGO_PKG_VERSION"))] {
        assert!(received.lines().any(|there| there == line), "`{line}` is not in {received}");
    }
    assert!(!received.contains("transfer-encoding"), "{received}");
    assert!(received.ends_with("\r\n\r\nhello world"), "{received}");
}

#[tokio::test]
async fn a_post_of_nothing_says_that_it_is_nothing() {
    let mut server = FixedServer::plain(Then::Answer(OK)).await;
    let mut request = get(&format!("http://{}/", server.address));
    *request.method_mut() = Method::POST;
    transport().send(request).await.expect("an answer");
    let received = server.received().await;
    assert!(received.contains("\r\ncontent-length: 0\r\n"), "{received}");
}

#[tokio::test]
async fn a_redirect_is_an_answer_and_is_not_followed() {
    let elsewhere = FixedServer::plain(Then::Answer(OK)).await;
    let answer = format!("HTTP/1.1 307 x\r\nlocation: http://{}/\r\ncontent-length: 0\r\n\r\n", elsewhere.address);
    let server = FixedServer::plain(Then::Answer(answer.leak())).await;
    let response = transport().send(get(&format!("http://{}/", server.address))).await.expect("an answer");
    assert_eq!(response.status().as_u16(), 307);
    assert!(elsewhere.requests.is_empty());
}

#[tokio::test]
async fn a_refused_connection_names_the_host_and_was_never_made() {
    let free = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.expect("a port").local_addr().expect("an address");
    let mut request = get(&format!("http://{free}/path?token=secret"));
    request.headers_mut().insert("authorization", "Bearer hidden".parse().expect("a header"));
    let error = failure(&transport(), request).await;
    assert_eq!(error.delivery, Delivery::NotSent);
    let sentence = Error::from(error).sentence();
    assert!(sentence.contains(&format!("{free} refused the connection")), "{sentence}");
    assert!(!sentence.contains("secret") && !sentence.contains("hidden"), "{sentence}");
}

#[tokio::test]
async fn an_unknown_host_is_named() {
    // RFC 6761: a name under `invalid` has no address.
    let error = failure(&transport(), get("https://registry.invalid/v2/?token=secret")).await;
    assert_eq!(error.delivery, Delivery::NotSent);
    assert!(error.message.starts_with("the host registry.invalid is not known"), "{}", error.message);
    assert!(!format!("{error:?}").contains("secret"), "{error:?}");
}

#[tokio::test]
async fn a_connection_cut_before_an_answer_may_have_delivered_the_request() {
    let server = FixedServer::plain(Then::CutBeforeTheBody).await;
    let error = failure(&transport(), get(&format!("http://{}/?token=secret", server.address))).await;
    assert_eq!(error.delivery, Delivery::MaybeSent);
    assert!(error.message.starts_with(&format!("the connection to {} broke off", server.address)), "{error}");
    assert!(!format!("{error:?}").contains("secret"), "{error:?}");
}

#[tokio::test]
async fn an_answer_shorter_than_it_says_ends_in_an_error() {
    let server = FixedServer::plain(Then::Answer("HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nhalf")).await;
    let response = transport().send(get(&format!("http://{}/", server.address))).await.expect("a head");
    let error = text(response.into_body()).await.expect_err("the body is cut");
    assert!(error.to_string().contains(&format!("the answer of {} broke off", server.address)), "{error}");
}

#[tokio::test]
async fn an_untrusted_certificate_is_a_clear_error_and_a_trusted_one_is_none() {
    let signed = SelfSigned::of("127.0.0.1");
    let server = FixedServer::tls(signed.server(), Then::Answer(OK)).await;
    let url = format!("https://{}/?token=secret", server.address);
    let stranger = SelfSigned::of("127.0.0.1");
    let distrusting = NetworkTransport::builder().trust_only(stranger.certificate).build().expect("valid settings");
    let error = failure(&distrusting, get(&url)).await;
    assert_eq!(error.delivery, Delivery::NotSent);
    let error = Error::from(error);
    assert_eq!(error.code(), ErrorCode::CloudAnswerInvalid);
    assert_eq!(
        error.sentence(),
        format!(
            "the certificate of {} is not signed by an authority that is trusted here; trust its authority, if it is the \
             right server, or correct the address",
            server.address
        )
    );
    let builder = NetworkTransport::builder();
    for trusting in
        [builder.trust_only(signed.certificate.clone()), NetworkTransport::builder().trust_also(signed.certificate)]
    {
        let response = trusting.build().expect("valid settings").send(get(&url)).await.expect("an answer");
        assert_eq!(text(response.into_body()).await.expect("a whole body"), "ok");
    }
}

#[tokio::test]
async fn a_certificate_for_another_name_and_a_server_without_tls_are_told_apart() {
    let signed = SelfSigned::of("registry.example");
    let server = FixedServer::tls(signed.server(), Then::Answer(OK)).await;
    let transport = NetworkTransport::builder().trust_only(signed.certificate).build().expect("valid settings");
    let error = failure(&transport, get(&format!("https://{}/", server.address))).await;
    assert_eq!(error.message, format!("the certificate of {} is for another name", server.address));
    let garbage = garbage_server().await;
    let error = failure(&transport, get(&format!("https://{}/", garbage.0))).await;
    assert_eq!((error.delivery, error.message), (Delivery::NotSent, format!("{} does not speak TLS", garbage.0)));
    garbage.1.abort();
}

/// Answers the first bytes of whatever it is sent with HTTP.
async fn garbage_server() -> (SocketAddr, JoinHandle<()>) {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.expect("a free port");
    let address = listener.local_addr().expect("an address");
    let task = tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let mut first = [0; 16];
            let _ = stream.read(&mut first).await;
            let _ = stream.write_all(b"HTTP/1.1 400 Bad Request\r\ncontent-length: 0\r\n\r\n").await;
            let _ = stream.read(&mut [0; 4096]).await;
        }
    });
    (address, task)
}

#[tokio::test]
async fn a_client_identity_is_shown_to_a_server_that_asks_for_one() {
    let (signed, client) = (SelfSigned::of("127.0.0.1"), SelfSigned::of("client"));
    let server = FixedServer::tls(signed.configured(Some(&client)), Then::Answer(OK)).await;
    let url = format!("https://{}/", server.address);
    let trusting = || NetworkTransport::builder().trust_only(signed.certificate.clone());
    let known = trusting().identity(format!("{}{}", client.certificate, client.key)).build().expect("valid settings");
    assert_eq!(known.send(get(&url)).await.expect("an answer").status().as_u16(), 200);
    let error = failure(&trusting().build().expect("valid settings"), get(&url)).await;
    assert_eq!(Error::from(error).code(), ErrorCode::PermissionDenied);
}

#[tokio::test]
async fn plain_http_to_another_machine_is_refused_unless_it_is_allowed() {
    for url in ["http://registry.invalid/", "http://127.evil.invalid/", "http://localhost.invalid:80/"] {
        let error = failure(&transport(), get(url)).await;
        assert_eq!(error.delivery, Delivery::NotSent);
        assert!(error.message.contains("over plain http"), "{}", error.message);
        assert_eq!(Error::from(error).code(), ErrorCode::RequestInvalid);
    }
    let allowing = NetworkTransport::builder().allow_plain_http("Registry.Invalid").build().expect("valid settings");
    let error = failure(&allowing, get("http://registry.invalid/")).await;
    assert!(error.message.contains("is not known"), "{}", error.message);
}

#[tokio::test]
async fn an_address_with_credentials_or_one_that_would_be_changed_is_refused_without_showing_it() {
    let server = FixedServer::plain(Then::Answer(OK)).await;
    for path in ["user:hidden@HOST/", "HOST/a/../b", "HOST/a/%2e%2e/b"] {
        let url = format!("http://{}", path.replace("HOST", &server.address.to_string()));
        let error = failure(&transport(), get(&url)).await;
        assert!(!format!("{error:?}").contains("hidden"), "{error:?}");
        assert_eq!(Error::from(error).code(), ErrorCode::RequestInvalid, "{path}");
    }
    assert!(server.requests.is_empty());
}

#[tokio::test]
async fn a_payload_keeps_its_own_error() {
    let server = FixedServer::plain(Then::Answer(OK)).await;
    let changed = || io::Error::other(Error::new(ErrorCode::SourceChanged, "a file was changed"));
    let payload = Payload::new(Digest::of("x"), 10, Arc::new(Pieces(vec!["half"], Some(changed))));
    let error = Error::from(failure(&transport(), put(server.address, payload)).await);
    assert_eq!((error.code(), error.message()), (ErrorCode::SourceChanged, "a file was changed"));

    let lost = || io::Error::other("the disk went away");
    let payload = Payload::new(Digest::of("x"), 10, Arc::new(Pieces(vec!["half"], Some(lost))));
    let error = Error::from(failure(&transport(), put(server.address, payload)).await);
    assert_eq!(error.code(), ErrorCode::SourceUnreadable);
    assert!(error.sentence().contains("the disk went away"), "{}", error.sentence());
}

#[tokio::test]
async fn a_payload_of_another_length_than_declared_is_never_delivered_as_whole() {
    for size in [3, 5, 9] {
        let server = FixedServer::plain(Then::Answer(OK)).await;
        let payload = Payload::new(Digest::of("x"), size, Arc::new(Pieces(vec!["123", "4"], None)));
        let error = Error::from(failure(&transport(), put(server.address, payload)).await);
        assert_eq!(error.code(), ErrorCode::DigestMismatch, "{size}");
        assert!(server.requests.is_empty(), "{size}");
    }
}

#[tokio::test]
async fn an_answer_that_stands_still_is_given_up_by_the_runtimes_clock() {
    let head = "HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nhalf";
    let server = FixedServer::plain(Then::AnswerAndStall(head)).await;
    let clock = Arc::new(HandClock::default());
    let transport = NetworkTransport::builder().runtime(clock.clone()).build().expect("valid settings");
    let response = transport.send(get(&format!("http://{}/", server.address))).await.expect("a head");
    let mut body = response.into_body();
    assert_eq!(body.try_next().await.expect("the first bytes"), Some(Bytes::from_static(b"half")));
    clock.0.notify_one();
    let error = body.try_next().await.expect_err("nothing more comes");
    assert_eq!(error.kind(), io::ErrorKind::TimedOut);
    assert_eq!(error.to_string(), format!("the answer of {} stood still for 60 s", server.address));
}

#[tokio::test]
async fn a_server_that_never_answers_is_given_up_after_the_requests_own_limit() {
    let mut server = FixedServer::plain(Then::AnswerAndStall("")).await;
    let clock = Arc::new(HandClock::default());
    let transport = NetworkTransport::builder().runtime(clock.clone()).build().expect("valid settings");
    let mut request = get(&format!("http://{}/", server.address));
    request.extensions_mut().insert(IdleTimeout(Duration::from_mins(5)));
    let (error, ()) = futures::join!(failure(&transport, request), async {
        server.received().await;
        clock.0.notify_one();
    });
    assert_eq!(error.delivery, Delivery::MaybeSent);
    assert!(error.message.ends_with("nothing moved for 300 s"), "{}", error.message);
}

#[tokio::test]
async fn no_more_requests_are_under_way_than_allowed_until_a_body_is_dropped() {
    let server = FixedServer::plain(Then::AnswerAndStall("HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nhalf")).await;
    let clock = Arc::new(HandClock::default());
    let builder = NetworkTransport::builder().runtime(clock.clone()).max_connections(1);
    let transport = builder.build().expect("valid settings");
    let url = format!("http://{}/", server.address);
    let open = transport.send(get(&url)).await.expect("a head");
    clock.0.notify_one();
    let error = failure(&transport, get(&url)).await;
    assert_eq!(error.delivery, Delivery::NotSent);
    assert!(error.message.contains("no connection to"), "{}", error.message);
    drop(open);
    transport.send(get(&url)).await.expect("a head");
}

#[test]
fn certificates_that_are_none_are_refused_when_the_transport_is_built() {
    for pem in ["", "nonsense", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"] {
        let error = NetworkTransport::builder().trust_only(pem).build().expect_err("no certificate");
        assert_eq!(error.code(), ErrorCode::ValueInvalid, "{pem}");
    }
    let error = NetworkTransport::builder().identity("nonsense").build().expect_err("no identity");
    assert_eq!(error.code(), ErrorCode::ValueInvalid);
}

#[test]
fn settings_do_not_print_the_private_key() {
    let signed = SelfSigned::of("client");
    let builder = NetworkTransport::builder().identity(signed.key.clone());
    let secret = signed.key.lines().nth(1).expect("a line of the key");
    let shown = format!("{builder:?}");
    assert!(!shown.contains(secret) && shown.contains("identity: true"), "{shown}");
}
