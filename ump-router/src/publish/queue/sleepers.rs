//! The members of a subscription that sleep until there is a message. A subscription that is not
//! shared has one member.
//!
//! # Invariants
//!
//! 1. A member is here at most once, with the waker of its last poll. Whoever takes a waker out
//!    wakes it, or drops it after the lock is released.
//! 2. For each message one member is woken that *takes or passes on*: it receives, or wakes another
//!    one when it stops waiting. A member that is polled by hand or as a stream can stop without a
//!    word; it is woken as well, but does not count. So a message never stays in the queue while a
//!    member sleeps that would receive it.

use std::{collections::VecDeque, task::Waker};

use super::MemberId;

#[derive(Default)]
pub(super) struct Sleepers {
    /// The first one. So a subscription that is not shared needs no other memory.
    first: Option<Sleeper>,
    others: VecDeque<Sleeper>,
}

struct Sleeper {
    member: MemberId,
    waker: Waker,
    passes_on: bool,
}

impl Sleepers {
    pub(super) fn is_empty(&self) -> bool {
        self.first.is_none()
    }

    /// Adds a member, or replaces its waker. Returns the former one, which is to be dropped after
    /// the lock is released.
    pub(super) fn insert(
        &mut self,
        member: MemberId,
        waker: Waker,
        passes_on: bool,
    ) -> Option<Waker> {
        let sleeper = Sleeper {
            member,
            waker,
            passes_on,
        };
        let mut all = self.first.iter_mut().chain(&mut self.others);
        if let Some(known) = all.find(|known| known.member == member) {
            return Some(std::mem::replace(known, sleeper).waker);
        }
        if self.first.is_none() {
            self.first = Some(sleeper);
        } else {
            self.others.push_back(sleeper);
        }
        None
    }

    /// Takes out a member. Returns `None` if it was woken, or was never here.
    pub(super) fn remove(&mut self, member: MemberId) -> Option<Waker> {
        if self.first.as_ref()?.member == member {
            return self.pop_first().map(|sleeper| sleeper.waker);
        }
        let is_it = |sleeper: &Sleeper| sleeper.member == member;
        let at = self.others.iter().position(is_it)?;
        self.others.remove(at).map(|sleeper| sleeper.waker)
    }

    fn pop_first(&mut self) -> Option<Sleeper> {
        let next = self.others.pop_front();
        std::mem::replace(&mut self.first, next)
    }

    /// Takes out the members that are to be woken for one message.
    #[inline]
    pub(super) fn take_for_message(&mut self, wakers: &mut impl Extend<Waker>) {
        if !self.is_empty() {
            self.take_until_one_passes_on(wakers);
        }
    }

    fn take_until_one_passes_on(&mut self, wakers: &mut impl Extend<Waker>) {
        while let Some(sleeper) = self.pop_first() {
            wakers.extend(Some(sleeper.waker));
            if sleeper.passes_on {
                return;
            }
        }
    }

    /// Takes out all members.
    pub(super) fn take_all(&mut self, wakers: &mut impl Extend<Waker>) {
        while let Some(sleeper) = self.pop_first() {
            wakers.extend(Some(sleeper.waker));
        }
    }
}
