//! Just enough of an `EventSource`: reads the events of a stream one by one.

use std::{
    fmt,
    io::{BufRead, BufReader},
    time::Instant,
};

use serde_json::{Value, json};
use ureq::{BodyReader, http::HeaderMap};

use super::{Service, TIMEOUT, http};

#[derive(Debug, PartialEq)]
pub(crate) struct Event {
    /// The number of the change: the second part of the id.
    pub(crate) id: Option<u64>,
    pub(crate) name: String,
    pub(crate) data: Value,
}

/// The event of a change whose key is its topic.
pub(crate) fn change(id: u64, name: &str, key: &str, bytes: Option<usize>) -> Event {
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

/// A stream of events whose response head has been read: the service has subscribed it.
pub(crate) struct Events {
    body: BufReader<BodyReader<'static>>,
    pub(crate) headers: HeaderMap,
    /// The last id, whole, as a browser remembers it.
    pub(crate) last_id: Option<String>,
}

impl fmt::Debug for Events {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Events")
            .field("last_id", &self.last_id)
            .finish_non_exhaustive()
    }
}

impl Events {
    #[track_caller]
    pub(crate) fn of(service: &Service, topic: &str) -> Self {
        Self::open(service, topic, &[])
    }

    /// Reconnects after an event with this id.
    #[track_caller]
    pub(crate) fn after(service: &Service, topic: &str, id: &str) -> Self {
        Self::open(service, topic, &[("last-event-id", id)])
    }

    #[track_caller]
    fn open(service: &Service, topic: &str, headers: &[(&str, &str)]) -> Self {
        let path = format!("/events?topic={topic}");
        let response = http::open(service.address(), "GET", &path, headers, b"");
        let (head, body) = response.expect("a response").into_parts();
        assert_eq!(head.status, 200);
        assert_eq!(head.headers["content-type"], "text/event-stream");
        Self {
            body: BufReader::new(body.into_with_config().limit(u64::MAX).reader()),
            headers: head.headers,
            last_id: None,
        }
    }

    /// Reads the next event.
    #[track_caller]
    pub(crate) fn next(&mut self) -> Event {
        self.next_or_end().expect("an event, not the end")
    }

    #[track_caller]
    pub(crate) fn next_or_end(&mut self) -> Option<Event> {
        let (mut id, mut name) = (None, "message".to_owned());
        let mut data = None;
        let deadline = Instant::now() + TIMEOUT;
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
                // A blank line ends an event or a comment.
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

    /// Skips to the next comment.
    #[track_caller]
    pub(crate) fn wait_for_comment(&mut self) {
        while !is_comment(&self.line().expect("a comment, not the end")) {}
    }

    /// Skips to the next id without an event.
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
        let length = self.body.read_line(&mut line).expect("it goes on");
        (length > 0).then(|| line.trim_end_matches('\n').to_owned())
    }
}

fn is_comment(line: &str) -> bool {
    line.trim_end() == ":"
}
