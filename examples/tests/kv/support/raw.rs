//! Raw sockets, for requests that an HTTP client does not send: a head without its body, a body
//! that drips, a caller that leaves or reads later, headers that are missing or contradict each
//! other.

use std::{
    io::{self, Read, Write},
    net::{SocketAddr, TcpStream},
};

use ureq::http::{HeaderMap, HeaderName, HeaderValue};

use super::{Service, TIMEOUT, http::Response};

/// Connects to the service.
pub(crate) fn connect(address: SocketAddr) -> io::Result<TcpStream> {
    let stream = TcpStream::connect_timeout(&address, TIMEOUT)?;
    stream.set_read_timeout(Some(TIMEOUT))?;
    stream.set_write_timeout(Some(TIMEOUT))?;
    Ok(stream)
}

/// Sends a request with exactly these headers, and reads the response.
pub(crate) fn request_with_headers(
    address: SocketAddr,
    line: &str,
    headers: &[&str],
) -> io::Result<Response> {
    let mut stream = connect(address)?;
    write!(stream, "{line} HTTP/1.1\r\n")?;
    for header in headers {
        write!(stream, "{header}\r\n")?;
    }
    write!(stream, "connection: close\r\n\r\n")?;
    receive(&mut stream)
}

/// Sends the head of a request whose body, if any, is still to be sent.
pub(crate) fn send_head(
    address: SocketAddr,
    method: &str,
    path: &str,
    length: usize,
) -> io::Result<TcpStream> {
    let mut stream = connect(address)?;
    let head = format!(
        "{method} {path} HTTP/1.1\r\nhost: {address}\r\nconnection: close\r\ncontent-length: {length}\r\n\r\n"
    );
    stream.write_all(head.as_bytes())?;
    Ok(stream)
}

/// Sends a whole `PUT`, whose response is to be received later.
#[track_caller]
pub(crate) fn send_put(service: &Service, path: &str) -> TcpStream {
    let mut stream = send_head(service.address(), "PUT", path, 1).expect("it listens");
    stream.write_all(b"v").expect("it reads");
    stream
}

/// Reads the response to a request that was sent.
pub(crate) fn receive(stream: &mut TcpStream) -> io::Result<Response> {
    let mut bytes = Vec::new();
    // An error after a whole response does not matter; an error within it makes `parse` fail.
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
    let head = std::str::from_utf8(&bytes[..end]).ok()?;
    let mut lines = head.split("\r\n");
    let status = lines.next()?.split(' ').nth(1)?.parse().ok()?;
    let mut headers = HeaderMap::new();
    for line in lines {
        let (name, value) = line.split_once(':')?;
        let name: HeaderName = name.parse().ok()?;
        headers.append(name, HeaderValue::from_str(value.trim()).ok()?);
    }
    let body = bytes[end + 4..].to_vec();
    let response = Response {
        status,
        headers,
        body,
    };
    let length = response
        .header("content-length")
        .map_or(Some(0), |length| length.parse().ok())?;
    (response.body.len() == length).then_some(response)
}
