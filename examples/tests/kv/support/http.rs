//! Just enough of an HTTP client: one request per connection, read to its end.

use std::{
    io::{self, Read, Write},
    net::{SocketAddr, TcpStream},
};

use serde_json::Value;

use super::PATIENCE;

#[derive(Debug)]
pub(crate) struct Response {
    pub(crate) status: u16,
    head: String,
    pub(crate) body: Vec<u8>,
}

impl Response {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        let mut headers = self.head.lines().filter_map(|line| line.split_once(':'));
        headers
            .find(|(header, _)| header.eq_ignore_ascii_case(name))
            .map(|(_, value)| value.trim())
    }

    #[track_caller]
    pub(crate) fn json(&self) -> Value {
        assert_eq!(
            self.header("content-type"),
            Some("application/json"),
            "{self:?}"
        );
        serde_json::from_slice(&self.body).expect("the body is JSON")
    }

    /// The text of an error.
    #[track_caller]
    pub(crate) fn error(&self) -> String {
        self.json()["error"]
            .as_str()
            .expect("an error has a text")
            .to_owned()
    }
}

pub(crate) fn request(
    address: SocketAddr,
    method: &str,
    path: &str,
    body: &[u8],
) -> io::Result<Response> {
    let mut stream = send(address, method, path, body.len())?;
    // The service may answer, and close, before it has read all of a body that it refuses. The answer is what counts.
    let sent = stream.write_all(body);
    receive(&mut stream).or_else(|error| sent.and(Err(error)))
}

/// A request whose head is given but for its version, `Connection` and the end: so that it can have any headers.
#[allow(dead_code, reason = "the tests of other programs ask for less")]
pub(crate) fn ask(address: SocketAddr, line: &str, headers: &[&str]) -> io::Result<Response> {
    let mut stream = TcpStream::connect_timeout(&address, PATIENCE)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    let headers = headers.join("\r\n");
    let end = if headers.is_empty() { "" } else { "\r\n" };
    write!(
        stream,
        "{line} HTTP/1.1\r\n{headers}{end}connection: close\r\n\r\n"
    )?;
    receive(&mut stream)
}

/// Sends the head of a request whose body, if any, is still to be sent.
pub(crate) fn send(
    address: SocketAddr,
    method: &str,
    path: &str,
    length: usize,
) -> io::Result<TcpStream> {
    let mut stream = TcpStream::connect_timeout(&address, PATIENCE)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_write_timeout(Some(PATIENCE))?;
    let head = format!(
        "{method} {path} HTTP/1.1\r\nhost: {address}\r\nconnection: close\r\ncontent-length: {length}\r\n\r\n"
    );
    stream.write_all(head.as_bytes())?;
    Ok(stream)
}

pub(crate) fn receive(stream: &mut TcpStream) -> io::Result<Response> {
    let mut bytes = Vec::new();
    // An error after a whole response is no loss; one within it shows when it is taken apart.
    let read = stream.read_to_end(&mut bytes);
    match parse(&bytes) {
        Some(response) => Ok(response),
        None => Err(read
            .err()
            .unwrap_or_else(|| io::ErrorKind::UnexpectedEof.into())),
    }
}

fn parse(bytes: &[u8]) -> Option<Response> {
    let end = bytes.windows(4).position(|window| window == b"\r\n\r\n")?;
    let head = String::from_utf8(bytes[..end].to_vec()).ok()?;
    let status = head.split(' ').nth(1)?.parse().ok()?;
    let body = bytes[end + 4..].to_vec();
    let response = Response { status, head, body };
    let length = response
        .header("content-length")
        .map_or(Some(0), |length| length.parse().ok())?;
    (response.body.len() == length).then_some(response)
}
