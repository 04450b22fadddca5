//! Becoming the host, or finding it.

use std::collections::BTreeMap;
use std::fs::{self, File, OpenOptions, TryLockError};
use std::io;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use chalk_deploy_core::transport::Transport;
use chalk_deploy_core::{Error, ErrorCode, Result};

use super::{Addresses, Start};
use crate::simulated::http::{Listening, Server, in_process, serve};

/// Held by the host for as long as it lives.
const LOCK: &str = "servers.lock";

/// Where the host listens.
const ADDRESSES: &str = "servers.json";

/// What an election came to.
pub(super) enum Election {
    /// This process is the host.
    Won(Host),
    /// Another one is; it listens there, if it has come that far.
    Lost(Option<Addresses>),
}

/// The servers in this process. The lock goes last.
pub(super) struct Host {
    servers: BTreeMap<&'static str, Arc<dyn Server>>,
    _listening: Vec<Listening>,
    addresses: Addresses,
    _lock: File,
}

impl Host {
    pub(super) const fn addresses(&self) -> &Addresses {
        &self.addresses
    }

    pub(super) fn transport(&self, server: &str) -> Result<Transport> {
        self.servers.get(server).map(|server| in_process(server.clone())).ok_or_else(|| {
            Error::new(ErrorCode::Internal, "there is no such simulated server").on(format!("server `{server}`"))
        })
    }
}

/// Takes the lock and starts the servers, if nobody holds it.
pub(super) async fn elect(directory: &Path, start: &Start, first_port: u16) -> Result<Election> {
    fs::create_dir_all(directory).map_err(failed("make", directory))?;
    let path = directory.join(LOCK);
    let lock =
        OpenOptions::new().create(true).truncate(false).write(true).open(&path).map_err(failed("open", &path))?;
    match lock.try_lock() {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => return Ok(Election::Lost(read(directory)?)),
        Err(TryLockError::Error(error)) => return Err(failed("lock", &path)(error)),
    }
    // What an earlier host has left: nobody must go there any more.
    let written = directory.join(ADDRESSES);
    match fs::remove_file(&written) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(failed("remove", &written)(error)),
        _ => {}
    }
    let servers: BTreeMap<_, _> = start()?.into_iter().map(|server| (server.name(), server)).collect();
    let (mut listening, mut addresses) = (Vec::new(), BTreeMap::new());
    for (place, (name, server)) in (0..).zip(&servers) {
        let port = if first_port == 0 { 0 } else { first_port.saturating_add(place) };
        let served = serve(server.clone(), port).await?;
        addresses.insert((*name).to_owned(), served.address());
        listening.push(served);
    }
    let addresses = Addresses { process: std::process::id(), servers: addresses };
    write(directory, &addresses)?;
    Ok(Election::Won(Host { servers, _listening: listening, addresses, _lock: lock }))
}

pub(super) fn nobody_answers(directory: &Path) -> Error {
    Error::new(ErrorCode::CloudUnavailable, "another process holds the simulated servers and does not answer")
        .on(directory.display())
        .with_hint("end that process, or use another state directory")
}

fn read(directory: &Path) -> Result<Option<Addresses>> {
    let path = directory.join(ADDRESSES);
    match fs::read(&path) {
        // Half-written it cannot be; written by another version it may be.
        Ok(bytes) => serde_json::from_slice(&bytes).map(Some).map_err(|error| {
            Error::new(ErrorCode::CloudAnswerInvalid, "the addresses of the simulated servers cannot be read")
                .on(path.display())
                .with_hint("end the process that hosts them, which may be of another version")
                .caused_by(error)
        }),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(failed("read", &path)(error)),
    }
}

fn write(directory: &Path, addresses: &Addresses) -> Result<()> {
    let path = directory.join(ADDRESSES);
    let bytes = serde_json::to_vec(addresses).unwrap_or_default();
    write_private(&path, &bytes).map_err(failed("write", &path))
}

/// Puts a file that only its owner may read into its place, whole or not at all.
pub(super) fn write_private(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let beside = beside(path);
    let mut options = OpenOptions::new();
    let mut file = options.create(true).truncate(true).write(true).mode(0o600).open(&beside)?;
    io::Write::write_all(&mut file, bytes)?;
    fs::rename(&beside, path)
}

/// A name beside a file that no other process uses.
pub(super) fn beside(path: &Path) -> PathBuf {
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(format!(".{}", std::process::id()));
    path.with_file_name(name)
}

pub(super) fn failed<'a>(what: &'a str, path: &'a Path) -> impl Fn(io::Error) -> Error + 'a {
    move |error| {
        Error::new(ErrorCode::CloudUnavailable, format!("the simulated servers could not {what} a file"))
            .on(path.display())
            .with_hint("check the disk that holds the state directory")
            .caused_by(error)
    }
}
