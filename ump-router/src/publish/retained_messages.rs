//! Reading the retained messages without a subscription.

use std::{collections::VecDeque, fmt, sync::Arc};

use super::{bus::Bus, received::Received};
use crate::{error::Error, protocol::Message, topic::Pattern};

/// Reads the retained messages whose topics match a pattern, in the order in which they were
/// published. From [`Router::read_retained`](crate::Router::read_retained).
///
/// It is an iterator, which looks at some hundred messages at a time. So publishers do not wait for
/// a reader that is slow. To read a page, `take` it:
///
/// ```
/// # use ump_router::{Bytes, Router};
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let router = Router::new();
/// for room in ["attic", "bath", "cellar"] {
///     router.publish(format!("light/{room}"), Bytes::from(*b"off")).retain().wait()?;
/// }
/// let mut lights = router.read_retained::<Bytes>("light/*")?;
/// let page: Vec<_> = lights.by_ref().take(2).map(|light| light.topic().to_string()).collect();
/// assert_eq!(page, ["light/attic", "light/bath"]);
///
/// // Later, or in another thread:
/// let next = router.read_retained::<Bytes>("light/*")?.after(lights.position());
/// assert_eq!(next.count(), 1);
/// # Ok(())
/// # }
/// ```
///
/// - A message that is retained all the while is read once.
/// - One that is replaced meanwhile is read, and so is the new one, later; unless the reader had
///   not come to the old one. So a table of last values that is filled in this order ends with the
///   last ones.
/// - A message that is removed or expires meanwhile may be read still.
/// - After the end, the reader continues with what has been retained since. When the router is
///   closed, it ends after the messages that it has read ahead.
///
/// A pattern without wildcards takes one look-up. One with wildcards looks at all retained messages
/// of the type.
#[must_use = "iterators are lazy"]
pub struct RetainedMessages<M: Message> {
    bus: Arc<Bus<M>>,
    pattern: Pattern,
    /// The number of the message that was read last.
    position: u64,
    /// Where to go on, above the numbers of what is read ahead.
    looked_at: u64,
    ahead: VecDeque<(u64, Received<M>)>,
}

impl<M: Message> RetainedMessages<M> {
    pub(crate) fn open(bus: &Arc<Bus<M>>, pattern: Pattern) -> Result<Self, Error> {
        bus.check_read(&pattern)?;
        Ok(Self {
            bus: Arc::clone(bus),
            pattern,
            position: 0,
            looked_at: 0,
            ahead: VecDeque::new(),
        })
    }

    /// Continues after a [position](Self::position) of this or another reader of the same router
    /// and type.
    pub fn after(mut self, position: u64) -> Self {
        self.position = position;
        self.looked_at = position;
        self.ahead.clear();
        self
    }

    /// Returns the position of the message that was read last, zero before the first one. Retained
    /// messages of a type are numbered in the order in which they are published.
    #[must_use]
    pub fn position(&self) -> u64 {
        self.position
    }
}

impl<M: Message> Iterator for RetainedMessages<M> {
    type Item = Received<M>;

    fn next(&mut self) -> Option<Received<M>> {
        loop {
            if let Some((number, message)) = self.ahead.pop_front() {
                self.position = number;
                return Some(message);
            }
            let from = self.looked_at.max(self.position);
            let next = self.bus.read_retained(&self.pattern, from, &mut self.ahead);
            match next {
                Some(next) => self.looked_at = next,
                None if self.ahead.is_empty() => return None,
                None => {}
            }
        }
    }
}

impl<M: Message> fmt::Debug for RetainedMessages<M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RetainedMessages")
            .field("pattern", &self.pattern)
            .field("position", &self.position)
            .finish_non_exhaustive()
    }
}
