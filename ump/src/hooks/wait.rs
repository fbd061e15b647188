//! What a caller waits for, and the names of requests and channels.

use std::time::Instant;

use crate::{options::Lane, time::clock::Clock};

/// What a caller waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Goal {
    /// The reply to a request.
    Reply,
    /// Room for a request in the queue of a bounded channel. The request is not there yet.
    Room,
    /// The end of what serves a channel: all its workers have ended.
    End,
}

/// What a caller is about to wait for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Wait {
    pub(crate) request: RequestId,
    pub(crate) channel: ChannelId,
    pub(crate) deadline: Option<Instant>,
    /// Which clock tells that: see `Clock::id`.
    pub(crate) clock: usize,
    pub(crate) goal: Goal,
    /// Where it waits for room.
    pub(crate) lane: Lane,
    pub(crate) is_first: bool,
}

/// The clock of a deadline that may be told by either of two.
const EITHER_CLOCK: usize = usize::MAX;

impl Wait {
    /// A wait for the end of what serves `channel`. `reply` names it, as no other wait has that
    /// name meanwhile: it is the request that is answered at the end.
    #[must_use]
    pub fn for_end(channel: ChannelId, reply: RequestId) -> Self {
        Self {
            request: reply,
            channel,
            deadline: None,
            clock: Clock::system().id(),
            goal: Goal::End,
            lane: Lane::Normal,
            is_first: true,
        }
    }

    /// The same, that ends by itself at this time at the latest.
    #[must_use]
    pub fn until(mut self, deadline: Option<Instant>, clock: &Clock) -> Self {
        let (ours, theirs) = (self.deadline, deadline);
        if ours.is_none() {
            self.clock = clock.id();
        } else if theirs.is_some() && self.clock != clock.id() {
            self.clock = EITHER_CLOCK;
        }
        self.deadline = match (ours, theirs) {
            (Some(ours), Some(theirs)) => Some(ours.min(theirs)),
            _ => ours.or(theirs),
        };
        self
    }

    /// The same, which has or has not left word for it before: see [`is_first`](Self::is_first).
    #[must_use]
    pub fn again(mut self, has_registered: bool) -> Self {
        self.is_first = !has_registered;
        self
    }

    /// Returns what it waits for.
    #[must_use]
    pub fn goal(&self) -> Goal {
        self.goal
    }

    /// Returns the request; of a wait for an end, the one that is answered at the end.
    #[must_use]
    pub fn request(&self) -> RequestId {
        self.request
    }

    /// Returns the channel on which it was made; of a wait for an end, the one that is served until
    /// then.
    #[must_use]
    pub fn channel(&self) -> ChannelId {
        self.channel
    }

    /// Returns when the wait ends by itself, by the clock of the channel; none if it does not.
    #[must_use]
    pub fn deadline(&self) -> Option<Instant> {
        self.deadline
    }

    /// Returns whether the deadlines of both are told by the same clock, so that they can be
    /// compared.
    #[must_use]
    pub fn shares_clock(&self, other: &Self) -> bool {
        self.clock == other.clock && self.clock != EITHER_CLOCK
    }

    /// Returns whether it waits for room in the queue, so that the request is not there yet.
    #[must_use]
    pub fn is_for_room(&self) -> bool {
        self.goal == Goal::Room
    }

    /// Returns whether no word has been left for this yet: that of a task that is
    /// [polled](crate::hooks::Watcher::polled) again has. A [`RequestId`] that was known before is
    /// that of another request then.
    #[must_use]
    pub fn is_first(&self) -> bool {
        self.is_first
    }
}

/// A request under way: the same at both ends. Another one may have it after that.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RequestId(pub(crate) usize);

/// Not zero, and not that of another request under way.
impl From<RequestId> for usize {
    fn from(RequestId(id): RequestId) -> Self {
        id
    }
}

/// A channel: the same at all its ends, as long as there is any of them or a request under way.
/// Another one may have it after that.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ChannelId(pub(crate) usize);
