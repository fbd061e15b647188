//! Changes, as server-sent events.
//!
//! Each second, if a stream is read, its changes since its last event are sent: of the components
//! those that are different, of topics and links all, if any is different. A stream that is not
//! read makes no events, so that nothing queues up for it and it misses nothing: its next event has
//! all that has changed meanwhile. If it does not read for the time of a request, its connection is
//! closed. The first event has everything, also after a connection is made anew.

use std::{
    convert::Infallible,
    sync::Arc,
    time::{Duration, SystemTime},
};

use axum::{
    Extension,
    extract::State,
    response::{
        IntoResponse, Sse,
        sse::{Event, KeepAlive},
    },
};
use futures_util::stream;
use serde::Serialize;
use tokio::{
    sync::{OwnedSemaphorePermit, watch},
    time::{Interval, MissedTickBehavior, interval},
};

use super::{
    app::{App, Shared},
    problem::Problem,
    time::unix_seconds,
};
use crate::model::{Component, Link, RouterState, Topic};

/// The least time between two events.
const INTERVAL: Duration = Duration::from_secs(1);

/// The time between comments, if nothing changes.
pub(super) const KEEP_ALIVE: Duration = Duration::from_secs(15);

/// The most topics in an event: those that have missed most, and that have most in their queues.
const MAX_TOPICS: usize = 200;

/// Whether the admin surface stops.
#[derive(Clone)]
pub(super) struct Stopping(pub(super) watch::Receiver<bool>);

pub(super) async fn events(
    State(app): Shared,
    Extension(Stopping(stopping)): Extension<Stopping>,
) -> Result<impl IntoResponse, Problem> {
    let permit = app.stream()?;
    let mut interval = interval(INTERVAL);
    interval.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let reader = Reader {
        app,
        stopping,
        interval,
        number: 0,
        sent: Sent::default(),
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

/// A client that reads events.
struct Reader {
    app: Arc<App>,
    stopping: watch::Receiver<bool>,
    interval: Interval,
    number: u64,
    sent: Sent,
    _permit: OwnedSemaphorePermit,
}

/// What the client has.
#[derive(Default)]
struct Sent {
    components: Arc<Vec<Component>>,
    topics: Option<Arc<RouterState>>,
    links: Option<Arc<Vec<Link>>>,
}

/// What has changed.
#[derive(Serialize)]
struct Changes<'a> {
    /// The time, in seconds since 1970.
    at_s: f64,
    /// The number of all components.
    total: usize,
    /// Those that are new or different.
    components: Vec<&'a Component>,
    topics: Option<TopTopics>,
    links: Option<&'a [Link]>,
}

#[derive(Serialize)]
struct TopTopics {
    total: usize,
    subscriptions: usize,
    retained: usize,
    items: Vec<Topic>,
}

impl Reader {
    /// Returns the next event; none if the admin surface stops.
    async fn next(&mut self) -> Option<Event> {
        loop {
            tokio::select! {
                _ = self.interval.tick() => {}
                _ = self.stopping.wait_for(|stops| *stops) => return None,
            }
            if let Some(event) = self.changes().await {
                return Some(event);
            }
        }
    }

    async fn changes(&mut self) -> Option<Event> {
        let components = self.app.components();
        let topics = self.app.topics();
        let links = self.app.links().await.ok();
        let sent = &self.sent;
        let new_topics = sent
            .topics
            .as_ref()
            .is_none_or(|sent| !sent.is_same(&topics));
        let new_links = links.as_ref().filter(|links| {
            sent.links
                .as_ref()
                .is_none_or(|sent| !same_links(sent, links))
        });
        let changes = Changes {
            at_s: unix_seconds(SystemTime::now()),
            total: components.len(),
            components: different(&components, &sent.components),
            topics: new_topics.then(|| top(&topics)),
            links: new_links.map(|links| &links[..]),
        };
        let is_empty =
            changes.components.is_empty() && changes.topics.is_none() && changes.links.is_none();
        let event = Event::default()
            .event("changes")
            .id(self.number.to_string())
            .json_data(&changes)
            .ok()?;
        let is_first = self.number == 0;
        self.sent = Sent {
            components,
            topics: Some(topics),
            links: links.or(self.sent.links.take()),
        };
        if is_empty && !is_first {
            return None;
        }
        self.number += 1;
        Some(event)
    }
}

/// Returns the components that are not as they were sent.
fn different<'a>(all: &'a [Component], sent: &[Component]) -> Vec<&'a Component> {
    // Their order never changes.
    let sent = sent.iter().map(Some).chain(std::iter::repeat(None));
    let pairs = all.iter().zip(sent);
    let new = pairs.filter(|(now, sent)| sent.is_none_or(|sent| !now.is_same(sent)));
    new.map(|(now, _)| now).collect()
}

fn top(topics: &RouterState) -> TopTopics {
    let mut items: Vec<&Topic> = topics.topics.iter().collect();
    // Stable, so that they are by name otherwise.
    items.sort_by_key(|topic| std::cmp::Reverse((topic.missed, topic.depth)));
    items.truncate(MAX_TOPICS);
    TopTopics {
        total: topics.topics.len(),
        subscriptions: topics.subscriptions.len(),
        retained: topics.retained.len(),
        items: items.into_iter().cloned().collect(),
    }
}

fn same_links(a: &[Link], b: &[Link]) -> bool {
    a.len() == b.len() && a.iter().zip(b).all(|(a, b)| a.is_same(b))
}
