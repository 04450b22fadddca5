//! The least that pushing an image can take: the five requests that have to be, with bytes that are ready, from a client
//! that does nothing else. What it takes is the registry's time and the network's.

use std::io::{self, BufRead as _, BufReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};

use chalk_deploy_core::model::Digest;

const LAYER: &str = "application/vnd.oci.image.layer.v1.tar+zstd";
const CONFIG: &str = "application/vnd.oci.image.config.v1+json";
const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";

/// An image of one layer that is to be pushed into the repository `floor`.
#[derive(Debug)]
pub struct FloorImage {
    layer: Vec<u8>,
    config: Vec<u8>,
    manifest: String,
}

impl FloorImage {
    /// With this layer, which need be none.
    pub fn new(layer: Vec<u8>) -> Self {
        let config = format!(r#"{{"architecture":"amd64","os":"linux","of":"{}"}}"#, Digest::of(&layer)).into_bytes();
        let described = |media_type: &str, bytes: &[u8]| {
            format!(r#"{{"mediaType":"{media_type}","digest":"{}","size":{}}}"#, Digest::of(bytes), bytes.len())
        };
        let manifest = format!(
            r#"{{"schemaVersion":2,"mediaType":"{MANIFEST}","config":{},"layers":[{}]}}"#,
            described(CONFIG, &config),
            described(LAYER, &layer)
        );
        Self { layer, config, manifest }
    }

    /// Pushes it: layer and config beside each other in two requests each, then the manifest.
    ///
    /// # Errors
    /// The connection's, and an answer that is no success.
    pub fn push(&self, registry: SocketAddr) -> io::Result<()> {
        let mut connection = Connection::open(registry)?;
        std::thread::scope(|scope| {
            let config = scope.spawn(|| Connection::open(registry)?.upload(&self.config));
            let layer = connection.upload(&self.layer);
            config.join().map_err(|_| io::Error::other("the config's thread ended"))?.and(layer)
        })?;
        let head = format!("PUT /v2/floor/manifests/latest HTTP/1.1\r\nContent-Type: {MANIFEST}\r\n");
        connection.request(&head, self.manifest.as_bytes()).map(drop)
    }
}

struct Connection {
    host: SocketAddr,
    stream: BufReader<TcpStream>,
}

impl Connection {
    #[expect(clippy::disallowed_methods, reason = "a benchmark's bare client")]
    fn open(host: SocketAddr) -> io::Result<Self> {
        let stream = TcpStream::connect(host)?;
        stream.set_nodelay(true)?;
        Ok(Self { host, stream: BufReader::new(stream) })
    }

    fn upload(&mut self, bytes: &[u8]) -> io::Result<()> {
        let location = self.request("POST /v2/floor/blobs/uploads/ HTTP/1.1\r\n", b"")?;
        let path = location.split_once("//").and_then(|(_, rest)| rest.find('/').map(|at| &rest[at..]));
        let path = path.unwrap_or(&location);
        let separator = if path.contains('?') { '&' } else { '?' };
        let digest = Digest::of(bytes);
        let head =
            format!("PUT {path}{separator}digest={digest} HTTP/1.1\r\nContent-Type: application/octet-stream\r\n");
        self.request(&head, bytes).map(drop)
    }

    /// Sends a request, and gives what its answer says of where to go on.
    fn request(&mut self, head: &str, body: &[u8]) -> io::Result<String> {
        let mut bytes = format!("{head}Host: {}\r\nContent-Length: {}\r\n\r\n", self.host, body.len()).into_bytes();
        bytes.extend_from_slice(body);
        self.stream.get_mut().write_all(&bytes)?;
        let (mut location, mut length, mut line) = (String::new(), 0, String::new());
        self.stream.read_line(&mut line)?;
        let is_success = line.split(' ').nth(1).is_some_and(|status| status.starts_with('2'));
        let status = line.trim().to_owned();
        loop {
            line.clear();
            if self.stream.read_line(&mut line)? == 0 || line.trim().is_empty() {
                break;
            }
            let (name, value) = line.split_once(':').unwrap_or_default();
            match name.to_ascii_lowercase().as_str() {
                "location" => value.trim().clone_into(&mut location),
                "content-length" => length = value.trim().parse().unwrap_or(0),
                _ => {}
            }
        }
        let mut answer = Vec::new();
        self.stream.by_ref().take(length).read_to_end(&mut answer)?;
        if is_success { Ok(location) } else { Err(io::Error::other(format!("{head}: {status}"))) }
    }
}
