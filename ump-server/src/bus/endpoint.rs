//! The end-points of a bus.

use std::fmt;

use super::{Channel, MailboxStats, NotSent, mailbox::Mailbox, subscriptions::Subscriptions};
use crate::sync::Arc;

/// A bus between a fixed number of end-points. See the [module](super). Clones are of the same bus.
pub struct Bus<M> {
    shared: Arc<Shared<M>>,
}

struct Shared<M> {
    mailboxes: Vec<Mailbox<M>>,
    subscriptions: Subscriptions,
}

impl<M> Bus<M> {
    /// Creates a bus with this many end-points, each with room for `capacity` messages.
    #[must_use]
    pub fn new(endpoints: usize, capacity: usize) -> Self {
        Self {
            shared: Arc::new(Shared {
                mailboxes: (0..endpoints).map(|_| Mailbox::new(capacity)).collect(),
                subscriptions: Subscriptions::default(),
            }),
        }
    }

    /// Returns an end-point. All end-points with the same number are the same one.
    ///
    /// # Panics
    /// Panics if there is no end-point with this number.
    #[must_use]
    #[track_caller]
    pub fn endpoint(&self, number: usize) -> Endpoint<M> {
        assert!(
            number < self.len(),
            "the bus has no end-point with this number"
        );
        Endpoint {
            bus: self.clone(),
            number,
        }
    }

    /// Returns the number of end-points.
    #[must_use]
    pub fn len(&self) -> usize {
        self.shared.mailboxes.len()
    }

    /// Returns whether there is no end-point.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

impl<M> Clone for Bus<M> {
    fn clone(&self) -> Self {
        Self {
            shared: Arc::clone(&self.shared),
        }
    }
}

impl<M> fmt::Debug for Bus<M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Bus")
            .field("endpoints", &self.len())
            .finish_non_exhaustive()
    }
}

/// An end-point of a [`Bus`]: it sends to the others, and has a mailbox of its own.
///
/// Any thread can use it, but its messages should be taken by one.
pub struct Endpoint<M> {
    bus: Bus<M>,
    number: usize,
}

/// How many copies of a message were delivered.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[must_use]
pub struct Delivery {
    /// The number of end-points that have got it.
    pub delivered: usize,
    /// The number of end-points that have not, because they were full or closed.
    pub dropped: usize,
}

impl<M> Endpoint<M> {
    /// Sends a message to one end-point, which may be this one.
    ///
    /// # Errors
    /// Returns the message if the receiver is full or closed, or if there is none with this number.
    pub fn send(&self, to: usize, message: M) -> Result<(), NotSent<M>> {
        match self.bus.shared.mailboxes.get(to) {
            Some(mailbox) => mailbox.add(message),
            None => Err(NotSent::Closed(message)),
        }
    }

    /// Sends messages to one end-point, as many as it has room for, and removes these from
    /// `messages`. Returns how many.
    pub fn send_all(&self, to: usize, messages: &mut Vec<M>) -> usize {
        let mailbox = self.bus.shared.mailboxes.get(to);
        mailbox.map_or(0, |mailbox| mailbox.add_all(messages))
    }

    /// Sends a copy of a message to each other end-point.
    pub fn broadcast(&self, message: M) -> Delivery
    where
        M: Clone,
    {
        let others = (0..self.bus.len()).filter(|&endpoint| endpoint != self.number);
        self.send_copies(others, message)
    }

    /// Sends a copy of a message to each other end-point that subscribes to a channel.
    pub fn publish(&self, channel: Channel, message: M) -> Delivery
    where
        M: Clone,
    {
        self.send_copies(self.subscribers(channel).into_iter(), message)
    }

    /// Returns the numbers of the other end-points that subscribe to a channel.
    #[must_use]
    pub fn subscribers(&self, channel: Channel) -> Vec<usize> {
        self.bus.shared.subscriptions.of(channel, self.number)
    }

    /// Subscribes to a channel. Returns whether it was not subscribed.
    #[expect(clippy::must_use_candidate, reason = "most do not need to know")]
    pub fn subscribe(&self, channel: Channel) -> bool {
        self.bus.shared.subscriptions.add(channel, self.number)
    }

    /// Ends the subscription to a channel. Returns whether there was one. Messages that were
    /// published before may still arrive.
    #[expect(clippy::must_use_candidate, reason = "most do not need to know")]
    pub fn unsubscribe(&self, channel: Channel) -> bool {
        self.bus.shared.subscriptions.remove(channel, self.number)
    }

    /// Takes all messages of this end-point. They replace the content of `into`, whose memory the
    /// mailbox uses further.
    pub fn take(&self, into: &mut Vec<M>) {
        into.clear();
        self.mailbox().take(into);
    }

    /// Sets the callback for new messages. It is called once, and again after a
    /// [`take`](Self::take). It is called at once if there are messages.
    ///
    /// It runs on the sender's thread, while no lock is held. It must not block.
    pub fn on_message(&self, call: impl Fn() + Send + Sync + 'static) {
        self.mailbox().on_message(Some(std::sync::Arc::new(call)));
    }

    /// Closes this end-point: its subscriptions end, its messages are dropped, and further messages
    /// come back to their senders.
    pub fn close(&self) {
        self.bus.shared.subscriptions.remove_all(self.number);
        drop(self.mailbox().close());
    }

    /// Opens this end-point again.
    pub fn open(&self) {
        self.mailbox().open();
    }

    /// Returns whether this end-point is closed.
    #[must_use]
    pub fn is_closed(&self) -> bool {
        self.mailbox().is_closed()
    }

    /// Returns the counters of this end-point's mailbox.
    #[must_use]
    pub fn stats(&self) -> MailboxStats {
        self.mailbox().stats()
    }

    /// Returns the number of end-points of the bus.
    #[expect(clippy::len_without_is_empty, reason = "there is at least this one")]
    #[must_use]
    pub fn len(&self) -> usize {
        self.bus.len()
    }

    /// Returns the number of this end-point.
    #[must_use]
    pub fn number(&self) -> usize {
        self.number
    }

    fn send_copies(&self, to: impl Iterator<Item = usize>, message: M) -> Delivery
    where
        M: Clone,
    {
        let mut delivery = Delivery::default();
        let mut count = |sent: Result<(), NotSent<M>>| match sent {
            Ok(()) => delivery.delivered += 1,
            Err(_) => delivery.dropped += 1,
        };
        let mut to = to.peekable();
        while let Some(endpoint) = to.next() {
            if to.peek().is_none() {
                count(self.send(endpoint, message));
                break;
            }
            count(self.send(endpoint, message.clone()));
        }
        delivery
    }

    fn mailbox(&self) -> &Mailbox<M> {
        &self.bus.shared.mailboxes[self.number]
    }
}

impl<M> Clone for Endpoint<M> {
    fn clone(&self) -> Self {
        Self {
            bus: self.bus.clone(),
            number: self.number,
        }
    }
}

impl<M> fmt::Debug for Endpoint<M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Endpoint")
            .field("number", &self.number)
            .field("stats", &self.stats())
            .finish_non_exhaustive()
    }
}
