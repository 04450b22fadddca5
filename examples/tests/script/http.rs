//! One request, as the simplest of clients makes it.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;

/// What answers at `http://HOST:PORT/`: the whole answer.
#[expect(clippy::disallowed_methods, reason = "a client that shares nothing with what it looks at")]
pub(crate) fn get(address: &str) -> String {
    let host = address.trim_start_matches("http://").trim_end_matches('/');
    let mut stream = TcpStream::connect(host).expect("it listens");
    write!(stream, "GET / HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n").expect("it reads");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).expect("text");
    answer
}
