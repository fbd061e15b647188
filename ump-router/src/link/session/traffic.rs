//! What goes over a link, counted.

use std::ops::AddAssign;

use super::Session;
use crate::link::wire::Message;

/// What has gone over a link in one direction.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
#[non_exhaustive]
pub struct Traffic {
    /// The bytes of frames, headers included, without those of TLS.
    pub bytes: u64,
    /// The frames: those that were received whole, or encoded to be sent.
    pub frames: u64,
    /// The frames with a publication. One that is for several subscriptions counts once.
    pub messages: u64,
    /// The frames that tell a subscription of a gap.
    pub gaps: u64,
    /// The messages that are missing there. Gaps of unknown size add none.
    pub missed: u64,
}

impl Traffic {
    pub(super) fn bytes(&mut self, count: usize) {
        self.bytes = self.bytes.saturating_add(count as u64);
    }

    /// Counts a frame. There is no message if its kind is not known.
    pub(super) fn frame(&mut self, message: Option<&Message>) {
        self.frames += 1;
        match message {
            Some(Message::Publish { .. }) => self.messages += 1,
            Some(Message::Replicate(change)) => self.messages += u64::from(!change.removed),
            Some(Message::Gap { missed, .. }) => {
                self.gaps += 1;
                self.missed = self.missed.saturating_add(*missed);
            }
            _ => {}
        }
    }
}

impl Session {
    /// Returns what the peer has sent.
    #[must_use]
    pub fn received_so_far(&self) -> Traffic {
        self.received_so_far
    }

    /// Returns what was sent to the peer.
    #[must_use]
    pub fn sent_so_far(&self) -> Traffic {
        self.output.sent_so_far
    }
}

impl AddAssign for Traffic {
    fn add_assign(&mut self, more: Self) {
        self.bytes = self.bytes.saturating_add(more.bytes);
        self.frames += more.frames;
        self.messages += more.messages;
        self.gaps += more.gaps;
        self.missed = self.missed.saturating_add(more.missed);
    }
}
