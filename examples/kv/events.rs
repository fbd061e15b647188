//! `GET /events?topic=kv/users/*`: changes as server-sent events, for `EventSource` in a browser and `curl -N` in a terminal.
//!
//! ```text
//! id: 7
//! event: put                                       or delete, expire
//! data: {"topic":"kv/users/42","key":"users/42","bytes":5}
//!
//! event: missed                                    changes were lost here, as they came faster than they were read
//! data: {"missed":12}
//! ```
//!
//! All that is committed after the head of the answer was sent is told. A browser that lost its connection comes back with `Last-Event-ID`; as nothing
//! is kept for it, the first that it is told is that it has missed something, nobody knows how much: `{"missed":null}`.

use axum::{
    Error,
    extract::{Query, State, rejection::QueryRejection},
    http::{HeaderMap, StatusCode},
    response::{
        Sse,
        sse::{Event, KeepAlive},
    },
};
use futures_util::{Stream, StreamExt, stream};
use serde::{Deserialize, Serialize};
use serde_json::json;
use ump_router::{Pattern, Received, RecvError, TopicError};

use crate::{
    changes::{Change, NoWatch, What},
    error::ApiError,
    http::App,
    topic,
    ttl::WallTime,
};

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Filter {
    topic: String,
}

pub(crate) async fn events(
    State(app): State<App>,
    headers: HeaderMap,
    query: Result<Query<Filter>, QueryRejection>,
) -> Result<Sse<impl Stream<Item = Result<Event, Error>>>, ApiError> {
    let Query(Filter { topic }) = query?;
    let watch = app.changes.watch(pattern(&topic)?)?;
    let comes_back = headers.contains_key("last-event-id");
    let first = comes_back.then(|| missed(None));
    let events = stream::iter(first).chain(watch.map(event));
    // A comment now and then, by which both ends learn that the connection is gone.
    let keep_alive = KeepAlive::new().interval(app.keep_alive);
    Ok(Sse::new(events).keep_alive(keep_alive))
}

/// Without the prefix.
fn pattern(text: &str) -> Result<Pattern, ApiError> {
    let pattern: Pattern = text.parse()?;
    let own = match pattern.as_str().split_once('/') {
        Some((topic::PREFIX, own)) => own,
        None if pattern == topic::PREFIX => "",
        _ => {
            return Err(ApiError::bad_request(format!(
                "all topics here begin with kv, which {text:?} does not: kv/users/* are those of a bucket, kv/** all"
            )));
        }
    };
    Ok(own.parse()?)
}

fn event(received: Result<Received<Change>, RecvError>) -> Result<Event, Error> {
    match received {
        Ok(change) => changed(&change),
        Err(RecvError::Missed(changes)) => missed(Some(changes)),
        // The end of the stream, which is told without an event.
        Err(error) => Err(Error::new(error)),
    }
}

/// What is told of a change.
#[derive(Debug, Serialize)]
struct Data<'a> {
    topic: String,
    key: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    bytes: Option<usize>,
    #[serde(skip_serializing_if = "Option::is_none")]
    expires: Option<WallTime>,
}

fn changed(change: &Received<Change>) -> Result<Event, Error> {
    let (name, bytes, expires) = match change.what {
        What::Put { bytes, expires } => ("put", Some(bytes), expires),
        What::Deleted => ("delete", None, None),
        What::Expired => ("expire", None, None),
    };
    let data = Data {
        topic: format!("{}/{}", topic::PREFIX, change.topic()),
        key: change.key.as_str(),
        bytes,
        expires,
    };
    let event = Event::default().id(change.number.to_string()).event(name);
    event.json_data(data)
}

fn missed(changes: Option<u64>) -> Result<Event, Error> {
    let event = Event::default().event("missed");
    event.json_data(json!({ "missed": changes }))
}

impl From<TopicError> for ApiError {
    fn from(error: TopicError) -> Self {
        Self::bad_request(error.to_string()).with("position", error.position())
    }
}

impl From<NoWatch> for ApiError {
    fn from(error: NoWatch) -> Self {
        match error {
            NoWatch::TooMany(watchers) => Self::new(
                StatusCode::SERVICE_UNAVAILABLE,
                format!("{watchers} watch already, and more may not"),
            ),
            NoWatch::Router(ump_router::Error::Topic(error)) => error.into(),
            NoWatch::Router(ump_router::Error::Closed) => Self::stopping(),
            NoWatch::Router(error) => {
                Self::new(StatusCode::INTERNAL_SERVER_ERROR, error.to_string())
            }
        }
    }
}
