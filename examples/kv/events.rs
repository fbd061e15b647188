//! `GET /events?topic=kv/users/*`: changes as server-sent events, for `EventSource` and `curl -N`.
//!
//! ```text
//! id: 1773468000123-6                              all changes up to here were sent: at the start and when idle
//!
//! id: 1773468000123-7
//! event: put                                       or delete, expire
//! data: {"topic":"kv/users/42","key":"users/42","bytes":5}
//!
//! event: missed                                    changes are missing here: the client reads too slowly
//! data: {"missed":12}
//! ```
//!
//! A stream has all changes that are committed after its response head was sent. A browser that
//! reconnects sends `Last-Event-ID`, and gets the changes after that, if they are still in the
//! history. Otherwise the first event is `missed` with an unknown number: `{"missed":null}`.

use std::time::Duration;

use axum::{
    Error,
    http::{HeaderMap, HeaderName, StatusCode},
    response::{IntoResponse, Sse, sse::Event},
};
use futures_util::{Stream, StreamExt, stream};
use serde::Serialize;
use serde_json::json;
use tokio::time;
use ump_router::{Pattern, TopicError};

use crate::{
    changes::{BadId, Changes, Notification, WatchError, Watcher},
    error::ApiError,
    history::{Change, ChangeKind},
    topic,
    ttl::WallTime,
};

/// The largest number of topics of a stream.
const MAX_TOPICS: usize = 16;

/// Asks proxies to forward each event at once.
const NO_BUFFERING: (HeaderName, &str) = (HeaderName::from_static("x-accel-buffering"), "no");

/// Subscribes the client to the topics in the query, and returns the stream.
pub(crate) fn stream(
    changes: Changes,
    keep_alive: Duration,
    headers: &HeaderMap,
    query: &[(String, String)],
) -> Result<impl IntoResponse + use<>, ApiError> {
    let last = headers.get("last-event-id").map(|id| {
        let id = id.to_str().map_err(|_| BadId)?;
        id.parse().map_err(|_| BadId)
    });
    let watcher = changes.watch(&patterns(query)?, last)?;
    // `Sse` sets `Cache-Control: no-cache`.
    let events = Sse::new(events(watcher, changes, keep_alive));
    Ok(([NO_BUFFERING], events))
}

/// Parses the `topic` fields of the query.
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

/// Makes the events. While nothing changes, it sends comments with an id, so that both ends notice
/// a broken connection.
fn events(
    watcher: Watcher,
    changes: Changes,
    keep_alive: Duration,
) -> impl Stream<Item = Result<Event, Error>> {
    stream::unfold(
        (watcher, changes),
        move |(mut watcher, changes)| async move {
            let event = match time::timeout(keep_alive, watcher.next()).await {
                Ok(Some(notification)) => event(&notification, &changes),
                Ok(None) => return None,
                Err(_) => {
                    let id = changes.id(watcher.covered()).to_string();
                    Ok(Event::default().comment("").id(id))
                }
            };
            Some((event, (watcher, changes)))
        },
    )
}

/// Parses a pattern and removes the prefix.
fn pattern(text: &str) -> Result<Pattern, ApiError> {
    let pattern: Pattern = text.parse()?;
    let own = match pattern.as_str().split_once('/') {
        Some((topic::PREFIX, own)) => own,
        None if pattern == topic::PREFIX => "",
        _ => {
            return Err(ApiError::bad_request(format!(
                "{text:?} does not begin with kv: kv/users/* matches the keys of a bucket, kv/** all keys"
            )));
        }
    };
    Ok(own.parse()?)
}

fn event(notification: &Notification, changes: &Changes) -> Result<Event, Error> {
    match notification {
        Notification::Change(change) => change_event(change, changes),
        Notification::Missed(missed) => {
            let event = Event::default().event("missed");
            event.json_data(json!({ "missed": missed }))
        }
        // Without data a browser dispatches no event, but it remembers the id.
        Notification::UpTo(number) => Ok(Event::default().id(changes.id(*number).to_string())),
    }
}

/// The data of a change event.
#[derive(Debug, Serialize)]
struct Data<'a> {
    topic: String,
    key: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    bytes: Option<usize>,
    #[serde(skip_serializing_if = "Option::is_none")]
    expires: Option<WallTime>,
}

fn change_event(change: &Change, changes: &Changes) -> Result<Event, Error> {
    let (name, bytes, expires) = match change.kind {
        ChangeKind::Put { bytes, expires } => ("put", Some(bytes), expires),
        ChangeKind::Deleted => ("delete", None, None),
        ChangeKind::Expired => ("expire", None, None),
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

impl From<WatchError> for ApiError {
    fn from(error: WatchError) -> Self {
        match error {
            WatchError::TooMany(watchers) => Self::new(
                StatusCode::SERVICE_UNAVAILABLE,
                format!("there are {watchers} watchers, and no more are allowed"),
            ),
            WatchError::Router(ump_router::Error::Topic(error)) => error.into(),
            WatchError::Router(ump_router::Error::Closed) => Self::stopping(),
            WatchError::Router(error) => {
                Self::new(StatusCode::INTERNAL_SERVER_ERROR, error.to_string())
            }
        }
    }
}
