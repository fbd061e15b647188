//! `GET /events?topic=kv/users/*`: changes as server-sent events, for `EventSource` in a browser and `curl -N` in a terminal.
//!
//! ```text
//! id: 1773468000123-6                              up to here nothing is missing: at the beginning, and when nothing happens
//!
//! id: 1773468000123-7
//! event: put                                       or delete, expire
//! data: {"topic":"kv/users/42","key":"users/42","bytes":5}
//!
//! event: missed                                    changes were lost here, as they came faster than they were read
//! data: {"missed":12}
//! ```
//!
//! All that is committed after the head of the answer was sent is told. A browser that lost its connection comes back with `Last-Event-ID`, and is
//! told what followed that, if it is still known; if not, the first that it is told is that it has missed something, nobody knows how much:
//! `{"missed":null}`.

use std::time::Duration;

use axum::{
    Error,
    extract::{Query, State, rejection::QueryRejection},
    http::{HeaderMap, HeaderName, StatusCode},
    response::{IntoResponse, Sse, sse::Event},
};
use futures_util::{Stream, StreamExt, stream};
use serde::Serialize;
use serde_json::json;
use tokio::time;
use ump_router::{Pattern, TopicError};

use crate::{
    changes::{Changes, NoWatch, Told, Unreadable, Watch},
    error::ApiError,
    history::{Change, What},
    http::App,
    topic,
    ttl::WallTime,
};

/// How many topics a stream can have.
const MAX_TOPICS: usize = 16;

/// Proxies that know it send each event at once.
const NO_BUFFERING: (HeaderName, &str) = (HeaderName::from_static("x-accel-buffering"), "no");

pub(crate) async fn events(
    State(app): State<App>,
    headers: HeaderMap,
    query: Result<Query<Vec<(String, String)>>, QueryRejection>,
) -> Result<impl IntoResponse, ApiError> {
    let Query(fields) = query?;
    let last = headers.get("last-event-id").map(|id| {
        let id = id.to_str().map_err(|_| Unreadable)?;
        id.parse().map_err(|_| Unreadable)
    });
    let watch = app.changes.watch(&patterns(&fields)?, last)?;
    // `Cache-Control: no-cache` is among its headers.
    let events = Sse::new(tell(watch, app.changes, app.keep_alive));
    Ok(([NO_BUFFERING], events))
}

/// Each `topic` is one.
fn patterns(fields: &[(String, String)]) -> Result<Vec<Pattern>, ApiError> {
    if let Some((name, _)) = fields.iter().find(|(name, _)| name != "topic") {
        let text = format!("unknown field `{name}`, expected `topic`");
        return Err(ApiError::bad_request(text));
    }
    match fields.len() {
        0 => Err(ApiError::bad_request("missing field `topic`")),
        1..=MAX_TOPICS => fields.iter().map(|(_, text)| pattern(text)).collect(),
        _ => Err(ApiError::bad_request(format!(
            "a stream has at most {MAX_TOPICS} topics"
        ))),
    }
}

/// When nothing happens, there is a comment now and then, by which both ends learn that the connection is gone, and an id.
fn tell(
    watch: Watch,
    changes: Changes,
    keep_alive: Duration,
) -> impl Stream<Item = Result<Event, Error>> {
    stream::unfold((watch, changes), move |(mut watch, changes)| async move {
        let event = match time::timeout(keep_alive, watch.next()).await {
            Ok(Some(told)) => event(&told, &changes),
            Ok(None) => return None,
            Err(_) => {
                let id = changes.id(watch.told()).to_string();
                Ok(Event::default().comment("").id(id))
            }
        };
        Some((event, (watch, changes)))
    })
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

fn event(told: &Told, changes: &Changes) -> Result<Event, Error> {
    match told {
        Told::Change(change) => changed(change, changes),
        Told::Missed(missed) => {
            let event = Event::default().event("missed");
            event.json_data(json!({ "missed": missed }))
        }
        // No event to a browser, as it has no data; but it remembers the id.
        Told::Until(number) => Ok(Event::default().id(changes.id(*number).to_string())),
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

fn changed(change: &Change, changes: &Changes) -> Result<Event, Error> {
    let (name, bytes, expires) = match change.what {
        What::Put { bytes, expires } => ("put", Some(bytes), expires),
        What::Deleted => ("delete", None, None),
        What::Expired => ("expire", None, None),
    };
    let data = Data {
        topic: format!("{}/{}", topic::PREFIX, topic::of(change.key.as_str())),
        key: change.key.as_str(),
        bytes,
        expires,
    };
    let id = changes.id(change.number).to_string();
    Event::default().id(id).event(name).json_data(data)
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
