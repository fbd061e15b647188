//! A small HTTP client that sends texts as they are.

use std::{
    io::{BufRead as _, BufReader, Read, Write},
    net::TcpStream,
    os::unix::net::UnixStream,
    time::Duration,
};

use serde_json::Value;
use ump_admin::{Address, AdminHandle};

/// A wait that is longer ends the test.
const PATIENCE: Duration = Duration::from_secs(60);

/// A response.
#[derive(Debug)]
pub(crate) struct Response {
    pub(crate) status: u16,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: String,
}

impl Response {
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }

    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        let found = self.headers.iter().find(|(it, _)| it == name);
        found.map(|(_, value)| value.as_str())
    }

    #[track_caller]
    pub(crate) fn expect(self, status: u16) -> Self {
        assert_eq!(self.status, status, "{self:?}");
        self
    }
}

/// A connection.
pub(crate) struct Connection(BufReader<Box<dyn Stream>>);

pub(crate) trait Stream: Read + Write + Send {}

impl<T: Read + Write + Send> Stream for T {}

impl Connection {
    pub(crate) fn open(admin: &AdminHandle) -> Self {
        Self::to(admin.address())
    }

    pub(crate) fn to(address: &Address) -> Self {
        let stream: Box<dyn Stream> = match address {
            Address::Tcp(address) => {
                let stream = TcpStream::connect(address).unwrap();
                stream.set_read_timeout(Some(PATIENCE)).unwrap();
                Box::new(stream)
            }
            Address::Unix(path) => {
                let stream = UnixStream::connect(path).unwrap();
                stream.set_read_timeout(Some(PATIENCE)).unwrap();
                Box::new(stream)
            }
            other => panic!("{other}"),
        };
        Self(BufReader::new(stream))
    }

    /// Sends a text. An error means that the other end has closed the connection.
    pub(crate) fn send(&mut self, text: &str) {
        let _ = self.0.get_mut().write_all(text.as_bytes());
    }

    /// Returns the next line without its end; none at the end of the connection.
    pub(crate) fn line(&mut self) -> Option<String> {
        let mut line = String::new();
        match self.0.read_line(&mut line) {
            Ok(0) => None,
            Ok(_) => Some(line.trim_end().to_owned()),
            Err(error) if error.kind() == std::io::ErrorKind::ConnectionReset => None,
            Err(error) => panic!("{error}"),
        }
    }

    /// Receives the head of a response; none at the end of the connection.
    pub(crate) fn head(&mut self) -> Option<Response> {
        let status = self.line()?;
        let status = status.split(' ').nth(1).unwrap().parse().unwrap();
        let mut headers = Vec::new();
        while let Some(line) = self.line().filter(|line| !line.is_empty()) {
            let (name, value) = line.split_once(": ").unwrap();
            headers.push((name.to_lowercase(), value.to_owned()));
        }
        Some(Response {
            status,
            headers,
            body: String::new(),
        })
    }

    /// Receives a response.
    pub(crate) fn receive(&mut self) -> Option<Response> {
        let mut response = self.head()?;
        let length = response
            .header("content-length")
            .map_or(0, |it| it.parse().unwrap());
        let mut body = vec![0; length];
        self.0.read_exact(&mut body).unwrap();
        response.body = String::from_utf8(body).unwrap();
        Some(response)
    }

    /// Waits for the end of the connection.
    pub(crate) fn wait_for_end(&mut self) {
        while self.line().is_some() {}
    }

    /// Returns the data of the next event of a stream in chunks; none at the end of the stream.
    pub(crate) fn event(&mut self) -> Option<Value> {
        loop {
            // The sizes of chunks are in between.
            let line = self.line()?;
            if let Some(data) = line.strip_prefix("data: ") {
                return Some(serde_json::from_str(data).unwrap());
            }
        }
    }
}

/// Sends a request with these header lines and this body, and returns the response.
pub(crate) fn request(admin: &AdminHandle, line: &str, headers: &[&str], body: &str) -> Response {
    let mut connection = Connection::open(admin);
    let mut lines = vec![format!("{line} HTTP/1.1"), "Host: localhost".to_owned()];
    lines.extend(headers.iter().map(ToString::to_string));
    if !body.is_empty() {
        lines.push(format!("Content-Length: {}", body.len()));
    }
    let head = lines.join("\r\n");
    connection.send(&format!("{head}\r\n\r\n{body}"));
    connection.receive().expect("a response")
}

pub(crate) fn get(admin: &AdminHandle, path: &str) -> Response {
    request(admin, &format!("GET {path}"), &[], "")
}
