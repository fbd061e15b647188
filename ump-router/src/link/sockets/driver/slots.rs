//! Requests by their ids, each in a slot that has a waker.
//!
//! The waker is that of the slot: it is made once, and used by all requests that are in the slot
//! one after the other. So a wake-up may be for a former one. Then the poll finds nothing.

use std::{collections::BTreeMap, task::Waker};

/// How many slots are kept when they are all free.
const KEPT: usize = 64;

pub(super) struct Slots<T> {
    by_id: BTreeMap<u64, usize>,
    all: Vec<Slot<T>>,
    free: Vec<usize>,
}

struct Slot<T> {
    /// The request with its id, unless the slot is free.
    request: Option<(u64, T)>,
    waker: Waker,
}

impl<T> Default for Slots<T> {
    fn default() -> Self {
        Self {
            by_id: BTreeMap::new(),
            all: Vec::new(),
            free: Vec::new(),
        }
    }
}

impl<T> Slots<T> {
    pub(super) fn len(&self) -> usize {
        self.by_id.len()
    }

    pub(super) fn contains(&self, id: u64) -> bool {
        self.by_id.contains_key(&id)
    }

    /// Adds a request. Returns the number of its slot, which gets a waker if it is new.
    pub(super) fn insert(
        &mut self,
        id: u64,
        request: T,
        waker: impl FnOnce(usize) -> Waker,
    ) -> usize {
        let request = Some((id, request));
        let slot = if let Some(slot) = self.free.pop() {
            self.all[slot].request = request;
            slot
        } else {
            let slot = self.all.len();
            let waker = waker(slot);
            self.all.push(Slot { request, waker });
            slot
        };
        self.by_id.insert(id, slot);
        slot
    }

    /// Returns the request in a slot with its id, and the waker of the slot.
    pub(super) fn at(&mut self, slot: usize) -> Option<(u64, &mut T, &Waker)> {
        let Slot { request, waker } = self.all.get_mut(slot)?;
        let (id, request) = request.as_mut()?;
        Some((*id, request, waker))
    }

    pub(super) fn remove(&mut self, id: u64) -> Option<T> {
        let slot = self.by_id.remove(&id)?;
        let (_, request) = self.all[slot].request.take()?;
        if self.by_id.is_empty() && self.all.len() > KEPT {
            *self = Self::default();
        } else {
            self.free.push(slot);
        }
        Some(request)
    }

    /// Returns the request with its id, if it is the only one.
    pub(super) fn only(&self) -> Option<(u64, &T)> {
        if self.len() != 1 {
            return None;
        }
        let slot = self.by_id.values().next()?;
        let (id, request) = self.all[*slot].request.as_ref()?;
        Some((*id, request))
    }

    /// Takes all requests.
    pub(super) fn into_requests(self) -> impl Iterator<Item = T> {
        let requests = self.all.into_iter().filter_map(|slot| slot.request);
        requests.map(|(_, request)| request)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slot_and_its_waker_are_used_again() {
        let mut slots = Slots::default();
        let mut wakers = 0;
        for id in 1..=3 {
            let slot = slots.insert(id, "request", |_| {
                wakers += 1;
                Waker::noop().clone()
            });
            assert_eq!(slots.at(slot).map(|(at, _, _)| at), Some(id));
            assert_eq!(slots.only(), Some((id, &"request")));
            assert_eq!(slots.remove(id), Some("request"));
            assert!(slots.at(slot).is_none() && slots.remove(id).is_none());
        }
        assert_eq!(wakers, 1);
    }

    #[test]
    fn many_free_slots_are_given_back() {
        let mut slots = Slots::default();
        let all = 0..=KEPT as u64;
        for id in all.clone() {
            assert_eq!(slots.insert(id, (), |_| Waker::noop().clone()) as u64, id);
        }
        assert!(slots.only().is_none());
        assert_eq!(all.filter_map(|id| slots.remove(id)).count(), KEPT + 1);
        assert!(slots.all.is_empty() && slots.free.is_empty());
    }
}
