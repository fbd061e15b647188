//! Just enough of an `EventSource`: reads the events of a stream one by one.

use std::{
    io::{self, BufRead, BufReader, Read, Write},
    net::TcpStream,
    time::Instant,
};

use serde_json::{Value, json};

use super::{PATIENCE, Service};

#[derive(Debug, PartialEq)]
pub(crate) struct Event {
    /// The second part of it, which is the number of a change.
    pub(crate) id: Option<u64>,
    pub(crate) name: String,
    pub(crate) data: Value,
}

/// A change that is told, of a key that is its topic.
pub(crate) fn told(id: u64, name: &str, key: &str, bytes: Option<usize>) -> Event {
    let mut data = json!({ "topic": format!("kv/{key}"), "key": key });
    if let Some(bytes) = bytes {
        data["bytes"] = json!(bytes);
    }
    Event {
        id: Some(id),
        name: name.to_owned(),
        data,
    }
}

pub(crate) fn missed(changes: Option<u64>) -> Event {
    Event {
        id: None,
        name: "missed".to_owned(),
        data: json!({ "missed": changes }),
    }
}

/// A stream of events, whose head has come: so it is subscribed.
#[derive(Debug)]
pub(crate) struct Events {
    stream: BufReader<Chunked>,
    pub(crate) head: String,
    /// The last id, whole, as a browser remembers it.
    pub(crate) last_id: Option<String>,
}

impl Events {
    #[track_caller]
    pub(crate) fn of(service: &Service, topic: &str) -> Self {
        Self::with_header(service, topic, "")
    }

    /// The same with a header line more.
    #[track_caller]
    pub(crate) fn with_header(service: &Service, topic: &str, header: &str) -> Self {
        let stream = ask(service, topic, header).expect("it listens");
        let mut stream = BufReader::new(stream);
        let mut head = String::new();
        while !head.ends_with("\r\n\r\n") {
            let read = stream.read_line(&mut head).expect("a head");
            assert_ne!(read, 0, "{head:?}");
        }
        assert!(head.starts_with("HTTP/1.1 200 OK\r\n"), "{head}");
        assert!(
            head.contains("content-type: text/event-stream\r\n"),
            "{head}"
        );
        assert!(head.contains("transfer-encoding: chunked\r\n"), "{head}");
        let (left, is_over) = (0, false);
        let chunked = Chunked {
            stream,
            left,
            is_over,
        };
        Self {
            stream: BufReader::new(chunked),
            head,
            last_id: None,
        }
    }

    /// The next event.
    #[track_caller]
    pub(crate) fn next(&mut self) -> Event {
        self.next_or_end().expect("an event, not the end")
    }

    #[track_caller]
    pub(crate) fn next_or_end(&mut self) -> Option<Event> {
        let (mut id, mut name) = (None, "message".to_owned());
        let mut data = None;
        let deadline = Instant::now() + PATIENCE;
        loop {
            let line = self.line()?;
            match line.split_once(": ") {
                Some(("id", text)) => {
                    let (_run, number) = text.split_once('-').expect("two parts");
                    id = Some(number.parse().expect("a number"));
                    self.last_id = Some(text.to_owned());
                }
                Some(("event", is)) => is.clone_into(&mut name),
                Some(("data", json)) => data = Some(serde_json::from_str(json).expect("JSON")),
                // The end of an event, or of a comment.
                None if line.is_empty() => {
                    if let Some(data) = data.take() {
                        return Some(Event { id, name, data });
                    }
                    id = None;
                }
                None | Some(("", _)) if is_comment(&line) => {
                    assert!(Instant::now() < deadline, "nothing but comments");
                }
                _ => panic!("no line of an event: {line:?}"),
            }
        }
    }

    /// Waits for a comment, whatever comes before it.
    #[track_caller]
    pub(crate) fn wait_for_comment(&mut self) {
        while !is_comment(&self.line().expect("a comment, not the end")) {}
    }

    /// Waits for an id without an event.
    #[track_caller]
    pub(crate) fn wait_for_id(&mut self) -> String {
        loop {
            let line = self.line().expect("an id, not the end");
            if let Some(id) = line.strip_prefix("id: ") {
                self.last_id = Some(id.to_owned());
                assert_eq!(self.line().as_deref(), Some(""), "an event");
                return id.to_owned();
            }
        }
    }

    #[track_caller]
    fn line(&mut self) -> Option<String> {
        let mut line = String::new();
        let length = self.stream.read_line(&mut line).expect("it goes on");
        (length > 0).then(|| line.trim_end_matches('\n').to_owned())
    }
}

fn is_comment(line: &str) -> bool {
    line.trim_end() == ":"
}

/// Asks for events, and does not read.
pub(crate) fn ask(service: &Service, topic: &str, header: &str) -> io::Result<TcpStream> {
    let mut stream = TcpStream::connect_timeout(&service.address(), PATIENCE)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    let host = service.address();
    write!(
        stream,
        "GET /events?topic={topic} HTTP/1.1\r\nhost: {host}\r\n{header}\r\n"
    )?;
    Ok(stream)
}

/// A body in chunks. That it ends without the last one is an error.
#[derive(Debug)]
struct Chunked {
    stream: BufReader<TcpStream>,
    /// Of this chunk.
    left: usize,
    is_over: bool,
}

impl Read for Chunked {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.is_over {
            return Ok(0);
        }
        if self.left == 0 {
            let size = self.line()?;
            self.left = usize::from_str_radix(&size, 16).map_err(io::Error::other)?;
        }
        if self.left == 0 {
            self.is_over = true;
            return Ok(0);
        }
        let wanted = buffer.len().min(self.left);
        let read = self.stream.read(&mut buffer[..wanted])?;
        self.left -= read;
        if self.left == 0 {
            self.line()?;
        }
        Ok(read)
    }
}

impl Chunked {
    fn line(&mut self) -> io::Result<String> {
        let mut line = String::new();
        match self.stream.read_line(&mut line)? {
            0 => Err(io::ErrorKind::UnexpectedEof.into()),
            _ => Ok(line.trim_end().to_owned()),
        }
    }
}
