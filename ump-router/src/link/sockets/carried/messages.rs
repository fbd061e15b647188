//! A type of messages that travels.

use std::{
    sync::Arc,
    task::{Context, Poll, Waker, ready},
};

use super::{CarriedMessages, Outbox, Outgoing, OwnChange};
use crate::{
    error::Error,
    link::{session::Replica, sockets::codec::Coder, wire::Codec},
    protocol::Message,
    publish::{self, Bus, LinkChange, OutboxItem, StampClock},
    topic::{Pattern, Topic},
};

pub(super) struct MessagesOf<M: Message> {
    pub(super) bus: Arc<Bus<M>>,
    pub(super) coder: Coder<M>,
}

impl<M: Message> CarriedMessages for MessagesOf<M> {
    fn prefix(&self) -> &'static str {
        M::PREFIX
    }

    fn codec(&self) -> Codec {
        self.coder.codec
    }

    fn local_patterns(&self) -> Vec<Pattern> {
        self.bus.local_patterns()
    }

    fn publish(
        &self,
        topic: &Pattern,
        (codec, payload): (Codec, &[u8]),
        is_meant: &dyn Fn(&Pattern) -> bool,
    ) -> bool {
        let Ok(message) = self.coder.decode(codec, payload) else {
            return false;
        };
        self.bus.publish_from_link(topic, message, is_meant);
        true
    }

    fn begin_changes(&self, clock: Arc<StampClock>, waker: Waker) {
        self.bus.begin_changes(clock, waker);
    }

    fn take_changes(&self) -> Vec<OwnChange> {
        let codec = self.coder.codec;
        let changes = self.bus.take_changes().into_iter();
        let encoded = changes.map(|change| OwnChange {
            topic: change.topic,
            stamp: change.stamp,
            codec,
            message: change.message.map(|(message, expires_at)| {
                let payload = self.coder.encode(codec, &message);
                // Perhaps the last reference to it.
                ump::internal::catch_user_panic(|| drop(message));
                (payload, expires_at)
            }),
        });
        encoded.collect()
    }

    fn apply(&self, topic: &Topic, replica: &Replica) -> bool {
        let decode = || self.coder.decode(replica.codec, &replica.payload).ok();
        let message = (!replica.removed).then(decode).flatten();
        let is_missed = message.is_none() && !replica.removed;
        let change = LinkChange {
            stamp: replica.stamp,
            is_old: replica.retained,
            expires_at: replica.expires_at,
            message,
        };
        let is_newer = self.bus.apply_from_link(topic, change);
        !(is_missed && is_newer)
    }

    fn miss(&self, count: u64, is_link_lost: bool, is_meant: &dyn Fn(&Pattern) -> bool) {
        self.bus.miss_from_link(count, is_link_lost, is_meant);
    }

    fn outbox(&self, link: &Arc<str>) -> Box<dyn Outbox> {
        let bus = Arc::clone(&self.bus);
        Box::new(OutboxOf {
            outbox: publish::Outbox::new(bus, Arc::clone(link)),
            coder: self.coder,
        })
    }
}

struct OutboxOf<M: Message> {
    outbox: publish::Outbox<M>,
    coder: Coder<M>,
}

impl<M: Message> Outbox for OutboxOf<M> {
    fn set_patterns(&mut self, patterns: Vec<Pattern>) -> Result<(), Error> {
        self.outbox.set_patterns(patterns)
    }

    fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Option<Outgoing>> {
        let Some(item) = ready!(self.outbox.poll_next(cx)) else {
            return Poll::Ready(None);
        };
        let message = match item {
            OutboxItem::Message(message) => message,
            OutboxItem::Missed(count) => return Poll::Ready(Some(Outgoing::Missed(count))),
        };
        let topic = message.topic().clone();
        let codec = self.coder.codec;
        let outgoing = match self.coder.encode(codec, &message) {
            Some(payload) => Outgoing::Message {
                topic,
                codec,
                payload,
                retention: message.retention(),
            },
            None => Outgoing::Malformed { topic },
        };
        // Perhaps the last reference to it.
        ump::internal::catch_user_panic(|| drop(message));
        Poll::Ready(Some(outgoing))
    }
}
