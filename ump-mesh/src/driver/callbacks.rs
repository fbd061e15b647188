//! What zenoh calls, on its own threads.

use std::sync::Arc;

use ump_router::Pattern;
use zenoh::{
    Result, Session, Wait as _,
    pubsub::Subscriber,
    query::Queryable,
    sample::{Locality, Sample, SampleKind},
};

use super::wire::codec;
use crate::{
    envelope::{MessageHead, Tell, decode_beat},
    keys::{self, Token},
    numbers::Verdict,
    shared::{Event, Shared},
};

/// What others tell this participant.
pub(super) fn inbox(session: &Session, shared: &Arc<Shared>) -> Result<Subscriber<()>> {
    let inbox = keys::inbox(shared.own);
    let shared = Arc::clone(shared);
    let subscriber = session.declare_subscriber(inbox);
    let subscriber = subscriber.allowed_origin(Locality::Remote);
    let subscriber = subscriber.callback(move |sample| on_told(&shared, &sample));
    subscriber.wait()
}

fn on_told(shared: &Shared, sample: &Sample) {
    let attachment = sample.attachment().map(zenoh::bytes::ZBytes::to_bytes);
    let Some((from, told)) = attachment.and_then(|bytes| Tell::decode(&bytes)) else {
        return; // it is of another version, or no participant's
    };
    match told {
        // In its place among the messages.
        Tell::Gap { within, count } => shared.bridge.miss(&within, Some(count)),
        Tell::Seen { numbers } => {
            shared.receiver.lock().on_seen(from, &numbers);
            shared.progress.notify();
        }
        told => {
            let payload = sample.payload().clone();
            let length = payload.len();
            let event = Event::Told {
                from,
                told,
                payload,
            };
            shared.queue.push(event, length);
        }
    }
}

/// How many messages others have sent.
pub(super) fn beats(session: &Session, shared: &Arc<Shared>) -> Result<Subscriber<()>> {
    let shared = Arc::clone(shared);
    let subscriber = session.declare_subscriber(keys::ALL_BEATS);
    let subscriber = subscriber.allowed_origin(Locality::Remote);
    let subscriber = subscriber.callback(move |sample| {
        let Some((source, counts)) = decode_beat(&sample.payload().to_bytes()) else {
            return;
        };
        for count in counts {
            let missed = shared.receiver.lock().on_count(source, &count);
            if missed > 0 {
                shared.bridge.miss(&count.topic, Some(missed));
            }
        }
    });
    subscriber.wait()
}

/// The tokens of all participants.
pub(super) fn tokens(session: &Session, shared: &Arc<Shared>) -> Result<Subscriber<()>> {
    let shared = Arc::clone(shared);
    let liveliness = session.liveliness();
    let subscriber = liveliness.declare_subscriber(keys::TOKENS).history(true);
    let subscriber = subscriber.callback(move |sample| {
        if let Some(token) = Token::parse(sample.key_expr().as_str()) {
            let is_there = sample.kind() == SampleKind::Put;
            shared.queue.push(Event::Token { token, is_there }, 0);
        }
    });
    subscriber.wait()
}

/// The messages for a subscription of this process.
pub(super) fn messages(
    session: &Session,
    shared: &Arc<Shared>,
    pattern: &Pattern,
    number: u64,
) -> Result<Subscriber<()>> {
    let shared = Arc::clone(shared);
    let subscriber = session.declare_subscriber(keys::key(pattern));
    let subscriber = subscriber.allowed_origin(Locality::Remote);
    let subscriber = subscriber.callback(move |sample| on_message(&shared, number, &sample));
    subscriber.wait()
}

/// A message comes once for each subscriber of zenoh that it matches. It is published once.
fn on_message(shared: &Shared, number: u64, sample: &Sample) {
    let Some(topic) = keys::name(sample.key_expr().as_str()) else {
        return;
    };
    if sample.kind() != SampleKind::Put {
        return;
    }
    let attachment = sample.attachment().map(zenoh::bytes::ZBytes::to_bytes);
    let payload = sample.payload().to_bytes();
    let Some(head) = attachment.and_then(|bytes| MessageHead::decode(&bytes)) else {
        // Of a plain zenoh program: without a number, so the first of the subscribers takes it.
        if shared.receiver.lock().first_match(&topic) == Some(number) {
            shared
                .bridge
                .publish(&topic, codec(sample.encoding()), &payload);
        }
        return;
    };
    let numbers = (head.number, head.base);
    let verdict = shared
        .receiver
        .lock()
        .on_message(head.source, &topic, numbers);
    if let Verdict::New { missed } = verdict {
        if missed > 0 {
            shared.bridge.miss(&topic, Some(missed));
        }
        shared.bridge.publish(&topic, head.codec, &payload);
    }
}

/// The queries of plain zenoh programs for a topic.
pub(super) fn queries(
    session: &Session,
    shared: &Arc<Shared>,
    topic: &Pattern,
) -> Result<Queryable<()>> {
    let shared = Arc::clone(shared);
    let queryable = session.declare_queryable(keys::key(topic)).complete(true);
    let queryable = queryable.allowed_origin(Locality::Remote);
    let queryable = queryable.callback(move |query| {
        let length = query.payload().map_or(0, zenoh::bytes::ZBytes::len);
        shared.queue.push(Event::Query(query), length);
    });
    queryable.wait()
}
