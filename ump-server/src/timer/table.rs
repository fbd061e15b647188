//! The table of a loop's timers, ordered by deadline. It uses no clock: the time is an argument.
//!
//! Entries are in a slab. A heap has one node per entry and is ordered by the exact deadline. The
//! loop handles timers in **rounds**: a round covers all ticks up to its `now`, which is read once.
//!
//! ```text
//!                  deadline after what the round covers
//!   arm, reschedule ─────────────────────────────────► heap ──── covered by a round ───► popped
//!         │                                             ▲  ▲                              │ once, or for the last time:
//!         │ deadline covered already                    │  └── again, next period ────────┤ removed
//!         └─────────────────────────► later ────────────┘                                 │ again, but covered already
//!                                       ▲        the next round begins                    │
//!                                       └─────────────────────────────────────────────────┘
//! ```
//!
//! # Invariants
//!
//! 1. Each entry has one node, in the heap or in `later`, and `positions` says where. (The
//!    positions are separate from the entries, so that moving a node does not wait for an entry
//!    that is not in the cache. With a million timers that halves the time.)
//! 2. A timer that is due in the heap was armed before the round began. A timer that is armed, or
//!    armed again, during a round and is covered by the round waits for the next one. So a round
//!    ends, whatever the handlers arm.
//! 3. `order` and the serial number of an entry come from one counter that is never reset. So
//!    timers with equal deadlines fire in the order of arming, and the id of a removed timer
//!    matches no other.
//! 4. Only between [`pop`](TimerTable::pop) and [`give_back`](TimerTable::give_back) is an entry
//!    without its token.
//!
//! Every operation takes at most logarithmic time in the number of timers, with two exceptions. To
//! begin a round takes logarithmic time for each timer that waited for the round. And when there
//! are more timers than ever before, or only a quarter of what the memory can hold, an array of 24
//! bytes per timer may have to move.

use std::{mem, num::NonZeroU64};

use super::{
    heap::{Heap, Node},
    periodic::Repeat,
    slab::Slab,
    tick::Tick,
};

/// The id of a timer. It stays the same when the timer is rescheduled or periodic, and is never
/// reused for another timer.
///
/// It is valid only for the [`Timers`](super::Timers) that created it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct TimerId {
    serial: NonZeroU64,
    place: u32,
}

impl TimerId {
    /// The id of a timer that has never existed.
    pub(super) const NONE: Self = Self {
        serial: NonZeroU64::MAX,
        place: u32::MAX,
    };
}

pub(super) struct TimerTable<T> {
    entries: Slab<Entry<T>>,
    /// The position of each entry's node, by the entry's place in the slab.
    positions: Vec<Position>,
    heap: Heap,
    /// Nodes that were covered by the round that armed them, for the next round.
    later: Vec<Node>,
    /// The tick up to which the latest round goes.
    covered: Tick,
    /// How often a timer has been armed.
    armed: u64,
}

pub(super) struct Entry<T> {
    serial: NonZeroU64,
    token: Option<T>,
    repeat: Option<Box<Repeat<T>>>,
}

/// A timer that has come due.
pub(super) struct Popped<T> {
    pub(super) token: T,
    /// Set for a periodic timer that continues: it is armed again, and needs a copy of the token by
    /// [`TimerTable::give_back`].
    pub(super) next_period: Option<NextPeriod<T>>,
}

pub(super) struct NextPeriod<T> {
    pub(super) id: TimerId,
    pub(super) copy: fn(&T) -> T,
}

impl<T> Default for TimerTable<T> {
    fn default() -> Self {
        Self {
            entries: Slab::new(),
            positions: Vec::new(),
            heap: Heap::new(),
            later: Vec::new(),
            covered: Tick::FIRST,
            armed: 0,
        }
    }
}

impl<T> TimerTable<T> {
    pub(super) fn len(&self) -> usize {
        self.entries.len()
    }

    pub(super) fn arm(
        &mut self,
        deadline: Tick,
        token: T,
        repeat: Option<Box<Repeat<T>>>,
    ) -> TimerId {
        let order = self.next_order();
        let serial = NonZeroU64::new(order).expect("serial numbers begin at one");
        let place = self.entries.insert(Entry {
            serial,
            token: Some(token),
            repeat,
        });
        if place as usize >= self.positions.len() {
            self.positions.resize(place as usize + 1, Position::heap(0));
        }
        self.link(Node {
            deadline,
            order,
            place,
        });
        TimerId { serial, place }
    }

    /// Removes a timer. Returns its token; `None` if the token is being copied, or if the timer is
    /// gone.
    pub(super) fn cancel(&mut self, id: TimerId) -> Option<T> {
        self.find(id)?;
        self.unlink(self.positions[id.place as usize]);
        self.remove(id.place).token
    }

    pub(super) fn reschedule(&mut self, id: TimerId, deadline: Tick) -> bool {
        let is_armed = self.find(id).is_some();
        if is_armed {
            self.move_to(id.place, deadline);
        }
        is_armed
    }

    pub(super) fn deadline(&self, id: TimerId) -> Option<Tick> {
        self.find(id)?;
        let node = match self.positions[id.place as usize].list() {
            List::Heap(index) => self.heap.node(index),
            List::Later(index) => self.later.get(index),
        };
        Some(node?.deadline)
    }

    /// Returns when the loop has to look next: the earliest deadline, or a tick that has passed if
    /// a timer waits for the next round. `None` if no timer will ever fire.
    pub(super) fn next(&self) -> Option<Tick> {
        let first = self.heap.first().map_or(Tick::NEVER, |node| node.deadline);
        let next = if self.later.is_empty() {
            first
        } else {
            first.min(self.covered)
        };
        (next != Tick::NEVER).then_some(next)
    }

    /// Begins a round, which covers all ticks up to `now`. Returns whether a timer is due.
    pub(super) fn begin_round(&mut self, now: Tick) -> bool {
        self.covered = self.covered.max(now);
        for node in mem::take(&mut self.later) {
            self.heap.push(node, follow(&mut self.positions));
        }
        let covered = self.covered;
        self.heap
            .first()
            .is_some_and(|node| node.deadline <= covered)
    }

    /// Takes the earliest timer that the round covers.
    pub(super) fn pop(&mut self) -> Option<Popped<T>> {
        let due = *self.heap.first()?;
        if due.deadline > self.covered {
            return None;
        }
        let entry = self.entries.get_mut(due.place).expect(HAS_ENTRY);
        let token = entry
            .token
            .take()
            .expect("the token was given back before the next pop");
        let again = entry.repeat.as_mut().and_then(|repeat| {
            let next = repeat.next(due.deadline, self.covered)?;
            Some((next, repeat.copy))
        });
        let Some((next, copy)) = again else {
            self.unlink(Position::heap(0));
            self.remove(due.place);
            return Some(Popped {
                token,
                next_period: None,
            });
        };
        let id = TimerId {
            serial: entry.serial,
            place: due.place,
        };
        self.move_to(due.place, next);
        Some(Popped {
            token,
            next_period: Some(NextPeriod { id, copy }),
        })
    }

    /// Returns the token for the next period to a timer that continues.
    ///
    /// # Errors
    /// The token, if the timer was cancelled meanwhile.
    pub(super) fn give_back(&mut self, id: TimerId, token: T) -> Result<(), T> {
        match self.entries.get_mut(id.place) {
            Some(entry) if entry.serial == id.serial => {
                entry.token = Some(token);
                Ok(())
            }
            _ => Err(token),
        }
    }

    /// Returns all entries, in no particular order.
    pub(super) fn into_entries(self) -> impl Iterator<Item = Entry<T>> {
        self.entries.into_values()
    }

    fn find(&self, id: TimerId) -> Option<&Entry<T>> {
        let entry = self.entries.get(id.place)?;
        (entry.serial == id.serial).then_some(entry)
    }

    fn next_order(&mut self) -> u64 {
        self.armed += 1; // at one a nanosecond it lasts for 584 years
        self.armed
    }

    /// Moves the node of an entry. The entry counts as armed anew, so it comes after those with the
    /// same deadline.
    fn move_to(&mut self, place: u32, deadline: Tick) {
        let node = Node {
            deadline,
            order: self.next_order(),
            place,
        };
        let position = self.positions[place as usize];
        match position.list() {
            List::Heap(index) if deadline > self.covered => {
                self.heap.replace(index, node, follow(&mut self.positions));
            }
            _ => {
                self.unlink(position);
                self.link(node);
            }
        }
    }

    fn link(&mut self, node: Node) {
        if node.deadline > self.covered {
            self.heap.push(node, follow(&mut self.positions));
        } else {
            let position = Position::later(self.later.len());
            self.later.push(node);
            self.positions[node.place as usize] = position;
        }
    }

    fn unlink(&mut self, position: Position) {
        match position.list() {
            List::Heap(index) => self.heap.remove(index, follow(&mut self.positions)),
            List::Later(index) => {
                self.later.swap_remove(index);
                if let Some(moved) = self.later.get(index) {
                    self.positions[moved.place as usize] = position;
                }
            }
        }
    }

    /// Removes an entry whose node has been removed.
    fn remove(&mut self, place: u32) -> Entry<T> {
        let entry = self.entries.remove(place).expect(HAS_ENTRY);
        if self.entries.len() == 0 && self.positions.capacity() > MANY {
            self.positions = Vec::new();
        }
        entry
    }
}

/// The number of timers up to which a table keeps its memory when it is empty.
const MANY: usize = 1_024;

const HAS_ENTRY: &str = "each node has its entry";

/// Returns a callback that records where the heap moves its nodes.
fn follow(positions: &mut [Position]) -> impl FnMut(u32, usize) {
    |place, index| positions[place as usize] = Position::heap(index)
}

/// The position of an entry's node: an index, and the list that it belongs to.
#[derive(Clone, Copy)]
struct Position(u32);

enum List {
    Heap(usize),
    Later(usize),
}

impl Position {
    /// The bit that stands for `later`. It is free because there are fewer than 2³¹ entries.
    const LATER: u32 = 1 << 31;

    #[expect(clippy::cast_possible_truncation, reason = "see LATER")]
    fn heap(index: usize) -> Self {
        Self(index as u32)
    }

    #[expect(clippy::cast_possible_truncation, reason = "see LATER")]
    fn later(index: usize) -> Self {
        Self(index as u32 | Self::LATER)
    }

    fn list(self) -> List {
        let index = (self.0 & !Self::LATER) as usize;
        if self.0 & Self::LATER == 0 {
            List::Heap(index)
        } else {
            List::Later(index)
        }
    }
}

#[cfg(test)]
mod tests;
