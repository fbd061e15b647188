//! A hierarchical timing wheel (Varghese and Lauck, 1987) with exact deadlines: what `ump-server`
//! could have instead of its heap.
//!
//! Slots of a level are 64 times as wide as those of the level below. A bit set has the occupied
//! slots, and the timers of a slot are linked. Timers that are due within the present tick, of a
//! millisecond, are in a heap. Each slot has its earliest deadline, so nothing wakes up for a
//! cascade. It has the same lock.

use std::{cmp::Reverse, collections::BinaryHeap, mem};

use parking_lot::Mutex;

use super::{Queue, Slab};

const TICK: u32 = 20;
const NONE: u32 = u32::MAX;

pub(in super::super) struct LockedWheel(Mutex<Wheel>);

impl Queue for LockedWheel {
    type Id = (u64, u32);

    fn new() -> Self {
        Self(Mutex::new(Wheel::new()))
    }

    #[inline]
    fn arm(&mut self, at: u64, token: u64) -> (u64, u32) {
        self.0.lock().arm(at, token)
    }

    #[inline]
    fn cancel(&mut self, id: (u64, u32)) {
        self.0.lock().cancel(id);
    }

    fn look(&mut self, now: u64) -> usize {
        self.0.lock().look(now)
    }
}

struct Wheel {
    timers: Slab<Timer>,
    levels: Vec<Level>,
    near: BinaryHeap<Reverse<(u64, u64, u32)>>,
    now: u64,
    armed: u64,
}

struct Timer {
    at: u64,
    number: u64,
    token: Option<u64>,
    next: u32,
    previous: u32,
    slot: Option<(u8, u8)>,
}

struct Level {
    occupied: u64,
    slots: [Slot; 64],
}

#[derive(Clone, Copy)]
struct Slot {
    first: u32,
    last: u32,
    earliest: u64,
}

impl Slot {
    const EMPTY: Self = Self {
        first: NONE,
        last: NONE,
        earliest: u64::MAX,
    };
}

impl Wheel {
    fn put(&mut self, place: u32) {
        let timer = &mut self.timers.values[place as usize];
        let (at, tick, now) = (timer.at, timer.at >> TICK, self.now >> TICK);
        if tick <= now {
            timer.slot = None;
            self.near.push(Reverse((at, timer.number, place)));
            return;
        }
        let level = (tick ^ now).ilog2() / 6;
        let index = (tick >> (6 * level)) % 64;
        while self.levels.len() <= level as usize {
            self.levels.push(Level {
                occupied: 0,
                slots: [Slot::EMPTY; 64],
            });
        }
        let Level { occupied, slots } = &mut self.levels[level as usize];
        *occupied |= 1 << index;
        let slot = &mut slots[usize::try_from(index).expect("below 64")];
        slot.earliest = slot.earliest.min(at);
        let previous = mem::replace(&mut slot.last, place);
        if previous == NONE {
            slot.first = place;
        }
        (timer.previous, timer.next) = (previous, NONE);
        let small = |number: u64| u8::try_from(number).expect("below 64");
        timer.slot = Some((small(level.into()), small(index)));
        if let Some(timer) = self.timers.values.get_mut(previous as usize) {
            timer.next = place;
        }
    }

    fn unlink(&mut self, place: u32, (level, index): (u8, u8)) {
        let Timer { next, previous, .. } = self.timers.values[place as usize];
        if let Some(timer) = self.timers.values.get_mut(previous as usize) {
            timer.next = next;
        }
        if let Some(timer) = self.timers.values.get_mut(next as usize) {
            timer.previous = previous;
        }
        let Level { occupied, slots } = &mut self.levels[level as usize];
        let slot = &mut slots[index as usize];
        if slot.first == place {
            slot.first = next;
        }
        if slot.last == place {
            slot.last = previous;
        }
        if slot.first == NONE {
            *slot = Slot::EMPTY;
            *occupied &= !(1 << index);
        }
    }

    /// Returns the start of the earliest slot with a timer, perhaps one that was cancelled.
    fn earliest(&self) -> Option<u64> {
        let level = self.levels.iter().find(|level| level.occupied != 0)?;
        Some(level.slots[level.occupied.trailing_zeros() as usize].earliest)
    }

    /// Moves the timers of the slots that have begun to lower levels.
    fn cascade(&mut self, now: u64) {
        let (before, tick) = (self.now >> TICK, now >> TICK);
        self.now = now;
        for level in 0..self.levels.len() {
            let shift = 6 * u32::try_from(level).expect("below 8");
            let is_same_turn = before >> shift >> 6 == tick >> shift >> 6;
            let begun = if is_same_turn {
                (2 << ((tick >> shift) % 64)) - 1_u64
            } else {
                u64::MAX
            };
            loop {
                let Level { occupied, slots } = &mut self.levels[level];
                let index = (*occupied & begun).trailing_zeros();
                if index == 64 {
                    break;
                }
                *occupied &= !(1 << index);
                let slot = mem::replace(&mut slots[index as usize], Slot::EMPTY);
                let mut place = slot.first;
                while place != NONE {
                    let next = self.timers.values[place as usize].next;
                    self.put(place);
                    place = next;
                }
            }
        }
    }
}

impl Wheel {
    fn new() -> Self {
        Self {
            timers: Slab::new(),
            levels: Vec::new(),
            near: BinaryHeap::new(),
            now: 0,
            armed: 0,
        }
    }

    #[inline]
    fn arm(&mut self, at: u64, token: u64) -> (u64, u32) {
        self.armed += 1;
        let number = self.armed;
        let place = self.timers.insert(Timer {
            at,
            number,
            token: Some(token),
            next: NONE,
            previous: NONE,
            slot: None,
        });
        self.put(place);
        (number, place)
    }

    #[inline]
    fn cancel(&mut self, (number, place): (u64, u32)) {
        let timer = &mut self.timers.values[place as usize];
        assert!(timer.number == number && timer.token.take().is_some());
        if let Some(slot) = timer.slot {
            self.unlink(place, slot);
        } // otherwise it stays in the heap until it comes up
        self.timers.vacant.push(place);
    }

    fn look(&mut self, now: u64) -> usize {
        let mut count = 0;
        loop {
            while let Some(&Reverse((at, number, place))) = self.near.peek() {
                if at > now {
                    return count;
                }
                self.near.pop();
                let timer = &mut self.timers.values[place as usize];
                if timer.number == number && timer.token.take().is_some() {
                    self.timers.vacant.push(place);
                    count += 1;
                }
            }
            match self.earliest() {
                Some(earliest) if earliest <= now => self.cascade(now),
                _ => return count,
            }
        }
    }
}
