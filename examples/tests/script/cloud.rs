//! `apply --cloud aws`: names, a control plane that knows them, and the simulated servers behind it.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use rcgen::CertifiedKey;
use serde_json::{Value, json};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _, copy, split};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::pki_types::PrivateKeyDer;
use tokio_rustls::rustls::{ServerConfig, crypto};

use crate::http::get;
use crate::program::{Finished, Sandbox};
use crate::servers::Servers;

/// What EKS and ECR are asked for here.
struct ControlPlane {
    address: SocketAddr,
    asked: Arc<Mutex<Vec<String>>>,
}

impl ControlPlane {
    /// Knows one cluster, `chalk`, at this address.
    fn start(server: &str, authority: &str) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let address = listener.local_addr().expect("an address");
        let asked: Arc<Mutex<Vec<String>>> = Arc::default();
        let cluster = json!({"cluster": {
            "name": "chalk", "version": "1.33", "status": "ACTIVE", "endpoint": server,
            "certificateAuthority": {"data": STANDARD.encode(authority)},
            "resourcesVpcConfig": {
                "endpointPublicAccess": false, "endpointPrivateAccess": true, "publicAccessCidrs": [],
            },
        }});
        let seen = asked.clone();
        // Ends with the process of the tests.
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                answer(stream, &cluster, &seen);
            }
        });
        Self { address, asked }
    }

    fn asked(&self) -> Vec<String> {
        self.asked.lock().expect("not poisoned").clone()
    }
}

fn answer(mut stream: TcpStream, cluster: &Value, asked: &Mutex<Vec<String>>) {
    let mut request = Vec::new();
    let mut piece = [0; 4096];
    while !request.windows(4).any(|end| end == b"\r\n\r\n") {
        match stream.read(&mut piece) {
            Ok(read) if read > 0 => request.extend_from_slice(&piece[..read]),
            _ => return,
        }
    }
    let head = String::from_utf8_lossy(&request).into_owned();
    let header = |name: &str| {
        let line = head.lines().find(|line| line.to_ascii_lowercase().starts_with(&format!("{name}: ")));
        line.map(|line| line[name.len() + 2..].to_owned()).unwrap_or_default()
    };
    let path = head.split(' ').take(2).collect::<Vec<_>>().join(" ");
    let target = header("x-amz-target");
    let what = target.rsplit_once('.').map_or(path.clone(), |(_, action)| action.to_owned());
    let is_signed = header("authorization").starts_with("AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/");
    asked.lock().expect("not poisoned").push(what.clone());
    let (status, body) = match what.as_str() {
        _ if !is_signed => (403, json!({"message": "Missing Authentication Token"})),
        "GET /clusters/chalk" => (200, cluster.clone()),
        "GetAccountSetting" => (200, json!({"name": "BLOB_MOUNTING", "value": "ENABLED"})),
        _ => (404, json!({"message": "No cluster found for name: other.", "clusterName": "other"})),
    };
    let body = body.to_string();
    let kind = if status == 404 { "x-amzn-errortype: ResourceNotFoundException\r\n" } else { "" };
    let length = body.len();
    // A client that has gone needs no answer.
    let _ = write!(
        stream,
        "HTTP/1.1 {status} X\r\ncontent-type: application/json\r\n{kind}content-length: {length}\r\nconnection: close\r\n\r\n{body}"
    );
}

/// The API server as EKS has it: behind TLS, and letting in who shows a token of EKS. The simulated one knows no such token,
/// so it is shown none.
struct Front {
    address: SocketAddr,
    authority: String,
    _executor: tokio::runtime::Runtime,
}

impl Front {
    #[expect(clippy::disallowed_methods, reason = "a proxy that shares nothing with what it stands before")]
    fn before(server: &str) -> Self {
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
        let executor =
            tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().expect("a runtime");
        let behind: SocketAddr = server.trim_start_matches("http://").parse().expect("an address");
        let listener = executor.block_on(tokio::net::TcpListener::bind("127.0.0.1:0")).expect("a free port");
        let address = listener.local_addr().expect("an address");
        executor.spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let acceptor = acceptor.clone();
                tokio::spawn(async move {
                    let Ok(client) = acceptor.accept(stream).await else { return };
                    let Ok(server) = tokio::net::TcpStream::connect(behind).await else { return };
                    let (mut from_client, mut to_client) = split(client);
                    let (mut from_server, mut to_server) = server.into_split();
                    // Whichever side ends, the other has nothing more to say.
                    let _ =
                        tokio::join!(let_in(&mut from_client, &mut to_server), copy(&mut from_server, &mut to_client));
                });
            }
        });
        Self { address, authority: cert.pem(), _executor: executor }
    }
}

/// Copies requests, without the header that holds a token of EKS: it gets a name of the same length that means nothing. A head
/// is written at once, so it is read at once.
async fn let_in(from: &mut (impl AsyncRead + Unpin), to: &mut (impl AsyncWrite + Unpin)) -> std::io::Result<()> {
    const SHOWN: &[u8] = b"authorization: Bearer k8s-aws-v1.";
    const CHECKED: &[u8] = b"x-eks-checked";
    const HEAD: &[u8] = b" HTTP/1.1\r\n";
    let mut piece = vec![0; 64 << 10];
    loop {
        let read = from.read(&mut piece).await?;
        if read == 0 {
            return to.shutdown().await;
        }
        let bytes = &mut piece[..read];
        if let Some(at) = bytes.windows(SHOWN.len()).position(|part| part.eq_ignore_ascii_case(SHOWN)) {
            bytes[at..at + CHECKED.len()].copy_from_slice(CHECKED);
        } else if bytes.windows(HEAD.len()).any(|part| part == HEAD) {
            // EKS lets nobody in without one.
            return Err(std::io::Error::other("a request without a token of EKS"));
        }
        to.write_all(bytes).await?;
    }
}

/// The servers, a front and a control plane before them.
fn cloud(sandbox: &Sandbox) -> (Servers, Front, ControlPlane) {
    let servers = Servers::start(sandbox);
    let kubeconfig = std::fs::read_to_string(&servers.lines["KUBECONFIG"]).expect("a kubeconfig");
    let server = kubeconfig.lines().find_map(|line| line.trim().strip_prefix("server: ")).expect("an address");
    let front = Front::before(server);
    let plane = ControlPlane::start(&format!("https://{}", front.address), &front.authority);
    (servers, front, plane)
}

fn apply(sandbox: &Sandbox, servers: &Servers, plane: &ControlPlane, cluster: &str) -> Finished {
    let control = format!("http://{}", plane.address);
    let bucket = servers.lines["BUCKET"].trim_start_matches("http://");
    let (bucket_server, bucket) = bucket.split_once('/').expect("a server and a name");
    let program = sandbox.apply().with(&["--json", "--cloud", "aws", "--region", "us-east-1", "--cluster", cluster]);
    program
        .with(&["--registry", &servers.lines["REGISTRY"], "--bucket", bucket])
        .with(&["--base-image", &servers.lines["BASE_IMAGE"], "--gateway-address", &servers.lines["GATEWAY"]])
        .variable("AWS_ACCESS_KEY_ID", "AKIDEXAMPLE")
        .variable("AWS_SECRET_ACCESS_KEY", "secret-of-the-tests")
        .variable("AWS_ENDPOINT_URL", control)
        .variable("AWS_ENDPOINT_URL_S3", format!("http://{bucket_server}"))
        .run()
}

#[test]
fn apply_finds_a_cluster_by_its_name_in_aws_deploys_there_and_remarks_on_its_endpoint() {
    let sandbox = Sandbox::new();
    let (servers, _front, plane) = cloud(&sandbox);
    let finished = apply(&sandbox, &servers, &plane, "chalk").expect(0);
    assert_eq!(finished.last()["status"], "SUCCESS");
    let id = finished.last()["deployment_id"].as_str().expect("an id").to_owned();
    let answer = get(&servers.lines["GATEWAY"]);
    assert!(answer.starts_with("HTTP/1.1 200 ") && answer.contains(&id), "{answer}");
    assert!(finished.stderr.contains("cluster `chalk` has a private endpoint"), "{}", finished.stderr);
    assert!(!finished.stderr.contains("secret-of-the-tests") && !finished.stdout.contains("secret-of-the-tests"));
    let asked = plane.asked();
    // Once to get there, and once for the remark.
    assert_eq!(asked.iter().filter(|what| *what == "GET /clusters/chalk").count(), 2, "{asked:?}");
    servers.stop().expect(0);
}

#[test]
fn a_cluster_that_aws_does_not_know_is_told_before_a_deployment_begins() {
    let sandbox = Sandbox::new();
    let (servers, _front, plane) = cloud(&sandbox);
    let finished = apply(&sandbox, &servers, &plane, "other").expect(1);
    assert!(finished.stderr.contains("OBJECT_MISSING") && finished.stderr.contains("other"), "{}", finished.stderr);
    assert!(sandbox.history(".chalk-deploy").is_empty());
    servers.stop().expect(0);
}
