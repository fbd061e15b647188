//! The entries of a queue and the gaps between them: what its lock protects.

use std::{collections::VecDeque, fmt, mem, task::Waker, vec};

use super::{
    End, MemberId, QueueCounters,
    entry::{Entry, INTERRUPTED, Slot, join_gaps},
    latest::{Latest, Place},
    sleepers::Sleepers,
    wait_queue::{WaitQueue, WaiterKey},
};
use crate::{
    deferred::DeferredWakes,
    publish::{deferred::Deferred, received::Received, recv_error::RecvError},
};

pub(super) struct State<M> {
    /// The first one, if there is one, is a message.
    pub(super) slots: VecDeque<Slot<M>>,
    rare: Option<Box<Rare<M>>>,
    /// Publishers that wait for room.
    pub(super) waiters: WaitQueue<M>,
    /// How many messages are missing after the last entry and the last waiter.
    pub(super) missed: u64,
    /// Present if only the latest message of each topic is kept.
    pub(super) latest: Option<Box<Latest>>,
    /// The wakers of the members that sleep.
    pub(super) sleepers: Sleepers,
    pub(super) end: Option<End>,
    pub(super) counters: QueueCounters,
}

/// What few queues have. Boxed, so that the others take fewer cache lines: a publisher to a
/// thousand of them waits for memory. Present while it is not empty.
struct Rare<M> {
    /// The messages that were retained before the subscription began. They come first, and take no
    /// room.
    backlog: vec::IntoIter<Received<M>>,
    /// The members of a shared subscription that were ended while others stay, until they are
    /// dropped.
    left: Vec<MemberId>,
}

impl<M> Default for Rare<M> {
    fn default() -> Self {
        Self {
            backlog: Vec::new().into_iter(),
            left: Vec::new(),
        }
    }
}

impl<M> State<M> {
    pub(super) fn new(keeps_latest: bool) -> Self {
        Self {
            slots: VecDeque::new(),
            rare: None,
            waiters: WaitQueue::new(),
            missed: 0,
            latest: keeps_latest.then(Box::default),
            sleepers: Sleepers::default(),
            end: None,
            counters: QueueCounters::default(),
        }
    }

    /// Whether a subscriber has something to receive: a message, a gap or the end.
    pub(super) fn is_ready(&self) -> bool {
        let has_message = !self.slots.is_empty() || self.backlog() > 0;
        has_message || self.missed > 0 || self.end.is_some()
    }

    /// How many messages of the backlog were not received yet.
    #[inline]
    pub(super) fn backlog(&self) -> usize {
        self.rare.as_ref().map_or(0, |rare| rare.backlog.len())
    }

    pub(super) fn set_backlog(&mut self, messages: Vec<Received<M>>) {
        self.counters.queued += messages.len() as u64;
        if !messages.is_empty() {
            self.rare.get_or_insert_default().backlog = messages.into_iter();
        }
    }

    /// Takes the next message of the backlog.
    #[inline]
    pub(super) fn take_from_backlog(&mut self) -> Option<Received<M>> {
        let next = self.rare.as_mut()?.backlog.next();
        self.drop_empty_rare();
        next
    }

    #[inline]
    pub(super) fn has_left(&self, member: MemberId) -> bool {
        let rare = self.rare.as_ref();
        rare.is_some_and(|rare| rare.left.contains(&member))
    }

    /// Notes that a member was ended while others stay.
    pub(super) fn leave(&mut self, member: MemberId) {
        self.rare.get_or_insert_default().left.push(member);
    }

    /// Forgets that a member was ended. Returns whether it was.
    pub(super) fn forget(&mut self, member: MemberId) -> bool {
        let Some(rare) = &mut self.rare else {
            return false;
        };
        let place = rare.left.iter().position(|left| *left == member);
        if let Some(at) = place {
            rare.left.swap_remove(at);
        }
        self.drop_empty_rare();
        place.is_some()
    }

    fn drop_empty_rare(&mut self) {
        let is_empty = |rare: &mut Box<Rare<M>>| rare.backlog.len() == 0 && rare.left.is_empty();
        self.rare.take_if(is_empty);
    }

    /// Wakes another member if there is something to receive still.
    #[inline]
    pub(super) fn pass_on(&mut self, wakers: &mut DeferredWakes) {
        if !self.sleepers.is_empty() && self.is_ready() {
            self.sleepers.take_for_message(wakers);
        }
    }

    /// How many messages are in the queue.
    #[inline]
    pub(super) fn depth(&self) -> usize {
        let holes = self.latest.as_ref().map_or(0, |latest| latest.holes());
        self.slots.len() - holes
    }

    /// Notes that the newest message is missed.
    pub(super) fn miss_newest(&mut self) {
        self.missed += 1;
        self.counters.missed += 1;
    }

    /// Notes a gap at the end.
    #[cfg(all(feature = "link", unix, not(any(loom, shuttle))))]
    pub(super) fn miss(&mut self, count: u64, is_link_lost: bool) {
        let interrupted = if is_link_lost { INTERRUPTED } else { 0 };
        // The other end of a link may say anything.
        let count = count.min(super::entry::MAX_GAP);
        self.missed = join_gaps(self.missed, count | interrupted);
        self.counters.missed = self.counters.missed.saturating_add(count);
    }

    #[inline]
    pub(super) fn append(&mut self, message: Received<M>) {
        if let Some(latest) = &mut self.latest {
            latest.insert(&message, self.slots.len());
        }
        let entry = self.entry(message);
        self.push_back(entry);
    }

    pub(super) fn wait(&mut self, message: Received<M>) -> WaiterKey {
        let entry = self.entry(message);
        self.waiters.push(entry)
    }

    /// Gives the room that was made to the first waiter. Its publisher is to be woken.
    #[inline]
    pub(super) fn admit_first(&mut self) -> Option<Waker> {
        if self.waiters.is_empty() {
            return None;
        }
        let (entry, publisher) = self.waiters.admit_first()?;
        self.push_back(entry);
        publisher
    }

    /// Makes an entry that comes last: the gap at the end is before it.
    fn entry(&mut self, message: Received<M>) -> Entry<M> {
        let missed = mem::take(&mut self.missed);
        Entry { missed, message }
    }

    fn push_back(&mut self, entry: Entry<M>) {
        self.slots.push_back(Slot::Message(entry));
        self.counters.queued += 1;
    }

    /// Takes the next message of the queue. A gap before it is reported first, once.
    #[inline]
    pub(super) fn take_first(&mut self) -> Result<Option<Received<M>>, RecvError> {
        let Some(missed) = self.gap_before_first() else {
            return match (self.missed, self.end) {
                (0, None) => Ok(None),
                (0, Some(End::Disconnected)) => Err(RecvError::Disconnected),
                (0, Some(End::Unsubscribed)) => Err(RecvError::Unsubscribed),
                (0, Some(End::Closed | End::Dropped)) => Err(RecvError::Closed),
                (_, _) => Err(take_gap(&mut self.missed)),
            };
        };
        if *missed > 0 {
            return Err(take_gap(missed));
        }
        Ok(self.pop_front().map(|first| first.message))
    }

    /// Returns the gap before the first message, if there is a message.
    fn gap_before_first(&mut self) -> Option<&mut u64> {
        let (Slot::Message(Entry { missed, .. }) | Slot::Hole(missed)) = self.slots.front_mut()?;
        Some(missed)
    }

    #[inline]
    fn pop_front(&mut self) -> Option<Entry<M>> {
        let Some(Slot::Message(first)) = self.slots.pop_front() else {
            return None; // there is none, because the first slot is never a hole
        };
        if let Some(latest) = &mut self.latest {
            latest.remove_first(&first.message);
            self.skip_holes();
        }
        Some(first)
    }

    /// Removes the holes before the first message.
    fn skip_holes(&mut self) {
        while let Some(&Slot::Hole(gap)) = self.slots.front() {
            self.slots.pop_front();
            if let Some(latest) = &mut self.latest {
                latest.remove_first_hole();
            }
            let front = self.gap_at_front();
            *front = join_gaps(*front, gap);
        }
    }

    /// The gap before the next message, or after the last one.
    fn gap_at_front(&mut self) -> &mut u64 {
        match self.slots.front_mut() {
            Some(Slot::Message(Entry { missed, .. }) | Slot::Hole(missed)) => missed,
            None => &mut self.missed,
        }
    }

    /// Drops the first message, to make room. The gap is noted with the next one.
    pub(super) fn evict_first(&mut self, deferred: &mut Deferred<M>) {
        if let Some(Entry { missed, message }) = self.pop_front() {
            deferred.messages.push(message);
            self.counters.missed += 1;
            let front = self.gap_at_front();
            *front = join_gaps(*front, missed + 1);
        }
    }

    /// Replaces the older message of the same topic, if there is one and only the latest is kept.
    #[inline]
    pub(super) fn replace(&mut self, message: &Received<M>, deferred: &mut Deferred<M>) -> bool {
        self.latest.is_some() && self.replace_older(message, deferred)
    }

    fn replace_older(&mut self, message: &Received<M>, deferred: &mut Deferred<M>) -> bool {
        let latest = self.latest.as_mut();
        let place = latest.and_then(|latest| latest.place(message, &self.slots));
        let older = match place {
            None => return false,
            Some(Place::Of(position)) => {
                let Slot::Message(entry) = &mut self.slots[position] else {
                    return false; // never: a topic is known only while its message is in the queue
                };
                entry.missed += 1;
                self.counters.queued += 1;
                mem::replace(&mut entry.message, message.clone())
            }
            Some(Place::LastInsteadOf(position)) => self.move_last(position, message.clone()),
        };
        deferred.messages.push(older);
        self.counters.missed += 1;
        true
    }

    /// Puts a message behind all others, and a hole in the place of the older one of its topic.
    /// Returns the older one.
    fn move_last(&mut self, position: usize, message: Received<M>) -> Received<M> {
        let hole = mem::replace(&mut self.slots[position], Slot::Hole(0));
        let Slot::Message(Entry {
            missed,
            message: older,
        }) = hole
        else {
            unreachable!("a topic is known only while its message is in the queue");
        };
        self.slots[position] = Slot::Hole(missed + 1);
        if let Some(latest) = &mut self.latest {
            latest.dig(&older, position);
        }
        self.append(message);
        self.skip_holes();
        if let Some(latest) = &mut self.latest {
            latest.fill_holes(&mut self.slots);
        }
        older
    }

    /// Removes all messages.
    pub(super) fn clear(&mut self) -> impl Iterator<Item = Received<M>> + '_ {
        self.latest = None;
        let backlog = self.rare.as_mut().map(|rare| mem::take(&mut rare.backlog));
        self.drop_empty_rare();
        let queued = self.slots.drain(..).filter_map(|slot| match slot {
            Slot::Message(entry) => Some(entry.message),
            Slot::Hole(_) => None,
        });
        backlog.into_iter().flatten().chain(queued)
    }
}

/// Takes what is told of a gap next.
#[cold]
fn take_gap(gap: &mut u64) -> RecvError {
    if *gap & INTERRUPTED != 0 {
        *gap &= !INTERRUPTED;
        return RecvError::Interrupted;
    }
    RecvError::Missed(mem::take(gap))
}

impl<M> fmt::Debug for State<M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("State")
            .field("backlog", &self.backlog())
            .field("depth", &self.depth())
            .field("end", &self.end)
            .finish_non_exhaustive()
    }
}
