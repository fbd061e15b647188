//! Descriptions of waits, and the ids of requests and channels.

use std::time::Instant;

use crate::{options::Lane, time::clock::Clock};

/// The thing that a caller waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Goal {
    /// The reply to a request.
    Reply,
    /// Room for a request in the queue of a bounded channel. The request is not in the queue yet.
    Room,
    /// The end of the loop that serves a channel: all its workers have ended.
    End,
}

/// A wait that a caller is about to begin.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Wait {
    pub(crate) request: RequestId,
    pub(crate) channel: ChannelId,
    pub(crate) deadline: Option<Instant>,
    /// The clock of the deadline: see `Clock::id`.
    pub(crate) clock: usize,
    pub(crate) goal: Goal,
    /// The lane in which the request waits for room.
    pub(crate) lane: Lane,
    pub(crate) is_first: bool,
}

/// The clock of a deadline that may belong to either of two clocks.
const EITHER_CLOCK: usize = usize::MAX;

impl Wait {
    /// Creates a wait for the end of the loop that serves `channel`. The id of `reply`, the request
    /// that is answered at the end, identifies the wait: no other wait has that id meanwhile.
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

    /// Bounds the wait: it ends by itself at `deadline` at the latest, by `clock`.
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

    /// Sets whether a waker was registered for this wait before: see [`is_first`](Self::is_first).
    #[must_use]
    pub fn again(mut self, has_registered: bool) -> Self {
        self.is_first = !has_registered;
        self
    }

    /// Returns what the caller waits for.
    #[must_use]
    pub fn goal(&self) -> Goal {
        self.goal
    }

    /// Returns the id of the request. For a wait for an end, this is the request that is answered
    /// at the end.
    #[must_use]
    pub fn request(&self) -> RequestId {
        self.request
    }

    /// Returns the id of the channel on which the request was made. For a wait for an end, this is
    /// the channel that is served until then.
    #[must_use]
    pub fn channel(&self) -> ChannelId {
        self.channel
    }

    /// Returns when the wait ends by itself, by the clock of the channel; `None` if it does not.
    #[must_use]
    pub fn deadline(&self) -> Option<Instant> {
        self.deadline
    }

    /// Returns whether the deadlines of both waits belong to the same clock, so that they can be
    /// compared.
    #[must_use]
    pub fn shares_clock(&self, other: &Self) -> bool {
        self.clock == other.clock && self.clock != EITHER_CLOCK
    }

    /// Returns whether this is a wait for room in the queue, so that the request is not in the
    /// queue yet.
    #[must_use]
    pub fn is_for_room(&self) -> bool {
        self.goal == Goal::Room
    }

    /// Returns whether no waker was registered for this wait yet. If a task is
    /// [polled](crate::hooks::Watcher::polled) again, its waker was registered. So if this is true
    /// and the watcher knows the [`RequestId`] already, the id now belongs to another request.
    #[must_use]
    pub fn is_first(&self) -> bool {
        self.is_first
    }
}

/// The id of a request under way, which is the same at both ends. After the request has ended,
/// another request may have the same id.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RequestId(pub(crate) usize);

/// Returns a number that is not zero, and not that of another request under way.
impl From<RequestId> for usize {
    fn from(RequestId(id): RequestId) -> Self {
        id
    }
}

/// The id of a channel, which is the same at all its ends. The id is unique as long as an end of
/// the channel or a request under way exists. After that, another channel may have the same id.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ChannelId(pub(crate) usize);
