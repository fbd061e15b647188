//! Publications from one publisher to subscribers, through the hub.

use std::{
    sync::{
        atomic::{AtomicU64, Ordering},
        mpsc::{Sender as Channel, channel},
    },
    thread,
    time::{Duration, Instant},
};

use serde_json::{Value as Json, json};
use ump_router::{
    Bytes, Pattern, Topic,
    link::{
        session::{Credit, Event, Publication},
        wire::Codec,
    },
};

use super::{Options, joined, statistics::rate};
use crate::{
    client::{Link, Sender, Step, status_error},
    exit::{Error, Exit},
};

/// How long the publisher waits to be told of the subscribers.
const TOLD: Duration = Duration::from_secs(10);

/// How long subscribers wait for a last message.
const QUIET: Duration = Duration::from_secs(2);

/// How many bytes wait at the publisher.
const MAX_QUEUED: usize = 256 << 10;

const CREDIT: Credit = Credit {
    messages: 16 << 10,
    bytes: 16 << 20,
};

/// What a subscriber has received.
#[derive(Debug)]
struct Received {
    messages: u64,
    missed: u64,
    last: Instant,
}

pub(super) fn run(options: &Options, topic: &Topic, count: &AtomicU64) -> Result<Json, Error> {
    thread::scope(|scope| {
        let (ready, is_ready) = channel();
        let subscribers: Vec<_> = (0..options.subscribers)
            .map(|_| {
                let ready = ready.clone();
                scope.spawn(move || receive(options, topic, count, ready))
            })
            .collect();
        drop(ready);
        let stops: Vec<_> = is_ready.iter().take(options.subscribers as usize).collect();
        let begun = Instant::now();
        // If a subscriber has failed, its error follows.
        let published = if stops.len() == subscribers.len() {
            publish(options, topic)
        } else {
            Err(Error::new(Exit::Lost, "a subscriber has ended"))
        };
        for stop in &stops {
            stop.send(published.as_ref().map_or(0, |it| it.0));
        }
        let (mut messages, mut missed, mut last) = (0, 0, begun);
        for subscriber in subscribers {
            let received = joined(subscriber.join())?;
            messages += received.messages;
            missed += received.missed;
            last = last.max(received.last);
        }
        let (published, time) = published?;
        Ok(json!({
            "subscribers": options.subscribers,
            "published": published,
            "published_per_second": rate(published, time),
            "delivered": messages,
            "delivered_per_second": rate(messages, last - begun),
            "missed": missed,
        }))
    })
}

/// Publishes until the time is over. Returns how many messages, and the time they took.
fn publish(options: &Options, topic: &Topic) -> Result<(u64, Duration), Error> {
    let mut link: Link<()> = options.server.open()?;
    let pattern = Pattern::from(topic);
    let told = Instant::now() + TOLD;
    while link.known.interested(&pattern).is_empty() {
        if let Step::Deadline = link.next(Some(told))? {
            let text = "the hub does not tell of the subscribers: does it relay?";
            return Err(Error::new(Exit::TimedOut, text));
        }
    }
    let size = u64::from(options.size);
    let payload = Bytes::from(vec![0; options.size as usize]);
    let publication = Publication::new(pattern.clone(), Codec::Raw, payload);
    let begun = Instant::now();
    let end = begun + options.time;
    let mut published = 0;
    'time: loop {
        let to = link.known.interested(&pattern);
        // The clock and the socket are looked at now and then.
        for _ in 0..64 {
            if !to.iter().all(|id| link.session.has_credit(*id, size)) {
                link.flush();
                link.pause(Instant::now() + Duration::from_millis(1)); // for credit
                break;
            }
            published += 1;
            link.session.publish(&publication, &to)?;
        }
        loop {
            if link.try_next()?.is_some() {
                continue;
            }
            if Instant::now() >= end {
                break 'time;
            }
            if link.session.buffered() < MAX_QUEUED {
                break;
            }
            link.pause(end);
        }
    }
    let time = begun.elapsed();
    link.close(TOLD)?;
    Ok((published, time))
}

/// Receives until the publisher has ended, and all its messages are accounted for.
fn receive(
    options: &Options,
    topic: &Topic,
    count: &AtomicU64,
    ready: Channel<Sender<u64>>,
) -> Result<Received, Error> {
    let mut link: Link<u64> = options.server.open()?;
    let id = link
        .session
        .subscribe(&Pattern::from(topic), CREDIT, false)?;
    let mut ready = Some(ready);
    let (mut messages, mut missed, mut last) = (0, 0, Instant::now());
    let mut published = None;
    while published.is_none_or(|published| messages + missed < published) {
        let quiet = published.map(|_| Instant::now() + QUIET);
        match link.next(quiet)? {
            Step::Event(Event::Subscribed { status, text, .. }) => {
                if let Some(error) = status_error(topic.as_str(), status, &text) {
                    return Err(error);
                }
                if let Some(ready) = ready.take() {
                    // An error if the command has given up.
                    let _ = ready.send(link.sender());
                }
            }
            Step::Event(Event::Message { payload, .. }) => {
                link.session.consumed(id, 1, payload.len() as u64)?;
                messages += 1;
                last = Instant::now();
                // ORDERING: pairs with nothing; a count.
                count.fetch_add(1, Ordering::Relaxed);
            }
            Step::Event(Event::Gap { missed: more, .. }) => missed += more,
            Step::Input(all) => published = Some(all),
            Step::Deadline => break,
            Step::Event(_) | Step::Told => {}
        }
    }
    link.leave();
    Ok(Received {
        messages,
        missed,
        last,
    })
}
