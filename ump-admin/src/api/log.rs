//! The log: its last records, a live stream of them, and its filter.
//!
//! The stream looks at the records that the program keeps, four times per second. Nothing is kept
//! for a client: one that does not read, or a log that is faster than a stream may be, loses
//! records, and the next event counts them.

use std::{convert::Infallible, sync::Arc, time::Duration};

use axum::{
    Extension, Json,
    extract::{
        Query, State,
        rejection::{JsonRejection, QueryRejection},
    },
    http::StatusCode,
    response::{
        IntoResponse, Sse,
        sse::{Event, KeepAlive},
    },
};
use futures_util::stream;
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::{
    sync::{OwnedSemaphorePermit, watch},
    time::{Interval, MissedTickBehavior, interval},
};

use super::{
    app::{App, Shared, blocking},
    events::{KEEP_ALIVE, Stopping},
    problem::Problem,
};
use crate::model::{Bounds, Level, Log, Records, SetFilterError, Wanted};

/// The least time between two events.
const INTERVAL: Duration = Duration::from_millis(250);

/// What an event is made of: the records looked at, and those that it has.
const PER_EVENT: Bounds = Bounds {
    scan: 5000,
    limit: 250,
};

/// The records of a page, unless the client says otherwise, and at most.
const DEFAULT_LIMIT: usize = 200;
const MAX_LIMIT: usize = 1000;

/// The most bytes of a filter.
const MAX_FILTER: usize = 4096;

/// Which records are asked for.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Ask {
    level: Option<Level>,
    #[serde(default)]
    target: String,
    #[serde(default)]
    text: String,
    #[serde(default = "default_limit")]
    limit: usize,
}

fn default_limit() -> usize {
    DEFAULT_LIMIT
}

impl Ask {
    fn check(self) -> Result<(Wanted, usize), Problem> {
        if !(1..=MAX_LIMIT).contains(&self.limit) {
            return Err(Problem::bad_request("limit is from 1 to 1000"));
        }
        let wanted = Wanted::new(self.level, self.target, &self.text);
        Ok((wanted, self.limit))
    }
}

pub(super) async fn state(State(app): Shared) -> Result<Json<Value>, Problem> {
    log(&app).map(|log| Json(json!(log.state())))
}

pub(super) async fn records(
    State(app): Shared,
    ask: Result<Query<Ask>, QueryRejection>,
) -> Result<Json<Records>, Problem> {
    let Query(ask) = ask?;
    let (wanted, limit) = ask.check()?;
    let log = log(&app)?;
    // All records that are kept are looked at.
    let records = blocking(move || log.last(&wanted, limit)).await?;
    records.map(Json).ok_or_else(no_records)
}

/// A new filter.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct NewFilter {
    filter: String,
}

pub(super) async fn set_filter(
    State(app): Shared,
    filter: Result<Json<NewFilter>, JsonRejection>,
) -> Result<StatusCode, Problem> {
    let Json(NewFilter { filter }) = filter?;
    if filter.len() > MAX_FILTER {
        return Err(Problem::bad_request("a filter has at most 4096 bytes"));
    }
    let log = log(&app)?;
    match blocking(move || log.set_filter(&filter)).await? {
        Ok(()) => Ok(StatusCode::NO_CONTENT),
        Err(SetFilterError::Syntax(detail)) => Err(Problem::bad_request(detail)),
        Err(SetFilterError::Ended(detail)) => {
            Err(Problem::new(StatusCode::SERVICE_UNAVAILABLE, detail))
        }
    }
}

pub(super) async fn events(
    State(app): Shared,
    Extension(Stopping(stopping)): Extension<Stopping>,
    ask: Result<Query<Ask>, QueryRejection>,
) -> Result<impl IntoResponse, Problem> {
    let Query(ask) = ask?;
    let (wanted, limit) = ask.check()?;
    let permit = app.stream()?;
    let log = log(&app)?;
    let wanted = Arc::new(wanted);
    let (asked, wants) = (Arc::clone(&log), Arc::clone(&wanted));
    let first = blocking(move || asked.last(&wants, limit)).await?;
    let first = first.ok_or_else(no_records)?;
    let mut interval = interval(INTERVAL);
    interval.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let reader = Reader {
        log,
        wanted,
        next: first.next,
        first: Some(first),
        interval,
        stopping,
        _permit: permit,
    };
    let events = stream::unfold(reader, |mut reader| async {
        let event = reader.next().await?;
        Some((Ok::<_, Infallible>(event), reader))
    });
    // No proxy is to hold events back.
    let no_buffer = [("x-accel-buffering", "no")];
    let keep_alive = KeepAlive::new().interval(KEEP_ALIVE);
    Ok((no_buffer, Sse::new(events).keep_alive(keep_alive)))
}

/// A client that reads records.
struct Reader {
    log: Arc<dyn Log>,
    wanted: Arc<Wanted>,
    first: Option<Records>,
    next: u64,
    interval: Interval,
    stopping: watch::Receiver<bool>,
    _permit: OwnedSemaphorePermit,
}

impl Reader {
    /// Returns the next event; none if the admin surface stops.
    async fn next(&mut self) -> Option<Event> {
        loop {
            tokio::select! {
                _ = self.interval.tick() => {}
                _ = self.stopping.wait_for(|stops| *stops) => return None,
            }
            let is_first = self.first.is_some();
            let records = match self.first.take() {
                Some(first) => first,
                None => self.log.after(self.next, &self.wanted, PER_EVENT)?,
            };
            self.next = records.next;
            if is_first || !records.records.is_empty() || records.missed > 0 {
                let event = Event::default().event("records");
                return event.json_data(&records).ok();
            }
        }
    }
}

fn log(app: &App) -> Result<Arc<dyn Log>, Problem> {
    let log = app.sources.log.clone();
    log.ok_or_else(|| Problem::not_found("the program shows no log"))
}

fn no_records() -> Problem {
    Problem::not_found("the program keeps no records: its log has no tail")
}
