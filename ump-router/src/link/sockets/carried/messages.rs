//! A type of messages that travels.

use std::{
    sync::Arc,
    task::{Context, Poll, ready},
};

use serde::{Serialize, de::DeserializeOwned};

use super::{CarriedMessages, Malformed, Outbox, Outgoing, codec};
use crate::{
    error::Error,
    protocol::Message,
    publish::{self, Bus, OutboxItem},
    topic::Pattern,
};

pub(super) struct MessagesOf<M: Message>(pub(super) Arc<Bus<M>>);

impl<M: Message + Serialize + DeserializeOwned> CarriedMessages for MessagesOf<M> {
    fn prefix(&self) -> &'static str {
        M::PREFIX
    }

    fn local_patterns(&self) -> Vec<Pattern> {
        self.0.local_patterns()
    }

    fn publish(
        &self,
        topic: &Pattern,
        payload: &[u8],
        is_meant: &dyn Fn(&Pattern) -> bool,
    ) -> Result<(), Malformed> {
        let message = codec::decode(payload)?;
        self.0.publish_from_link(topic, message, is_meant);
        Ok(())
    }

    fn miss(&self, count: u64, is_link_lost: bool, is_meant: &dyn Fn(&Pattern) -> bool) {
        self.0.miss_from_link(count, is_link_lost, is_meant);
    }

    fn outbox(&self, link: &Arc<str>) -> Box<dyn Outbox> {
        let bus = Arc::clone(&self.0);
        Box::new(publish::Outbox::new(bus, Arc::clone(link)))
    }
}

impl<M: Message + Serialize> Outbox for publish::Outbox<M> {
    fn set_patterns(&mut self, patterns: Vec<Pattern>) -> Result<(), Error> {
        self.set_patterns(patterns)
    }

    fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Option<Outgoing>> {
        let Some(item) = ready!(self.poll_next(cx)) else {
            return Poll::Ready(None);
        };
        let message = match item {
            OutboxItem::Message(message) => message,
            OutboxItem::Missed(count) => return Poll::Ready(Some(Outgoing::Missed(count))),
        };
        let topic = message.topic().clone();
        let outgoing = match codec::encode::<M>(&message) {
            Ok(payload) => Outgoing::Message { topic, payload },
            Err(Malformed) => Outgoing::Malformed { topic },
        };
        // Perhaps the last reference to it.
        ump::internal::catch_user_panic(|| drop(message));
        Poll::Ready(Some(outgoing))
    }
}
