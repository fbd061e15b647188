//! The deadlines of a group's tasks: at most one for each place of the slab.

use std::time::Instant;

use crate::timer::{
    heap::{Heap, Node},
    tick::{Tick, Timeline},
};

/// The index of a place that has no deadline.
const NONE: u32 = u32::MAX;

pub(super) struct Deadlines {
    timeline: Timeline,
    heap: Heap,
    /// The index of each place's node in the heap.
    indexes: Vec<u32>,
    /// Makes the order of the nodes unique: among equal deadlines the one set first comes first.
    order: u64,
}

impl Deadlines {
    pub(super) fn new(origin: Instant) -> Self {
        Self {
            timeline: Timeline::from(origin),
            heap: Heap::new(),
            indexes: Vec::new(),
            order: 0,
        }
    }

    /// Sets the deadline of a place, or removes it.
    pub(super) fn set(&mut self, place: u32, deadline: Option<Instant>) {
        let Self {
            timeline,
            heap,
            indexes,
            order,
        } = self;
        let at = place as usize;
        if at >= indexes.len() {
            if deadline.is_none() {
                return;
            }
            indexes.resize(at + 1, NONE);
        }
        let index = indexes[at];
        let deadline = deadline.map(|deadline| timeline.tick(deadline));
        // A deadline that is never reached is none.
        let deadline = deadline.filter(|&deadline| deadline != Tick::NEVER);
        let moved = |indexes: &mut Vec<u32>, place: u32, index: usize| {
            indexes[place as usize] = u32::try_from(index).expect("a heap has fewer than 2^31");
        };
        match (index, deadline) {
            (NONE, None) => {}
            (index, None) => {
                heap.remove(index as usize, |place, index| moved(indexes, place, index));
                indexes[at] = NONE;
            }
            (index, Some(deadline)) => {
                let is_same = index != NONE
                    && heap
                        .node(index as usize)
                        .is_some_and(|node| node.deadline == deadline);
                if is_same {
                    return;
                }
                *order += 1;
                let node = Node {
                    deadline,
                    order: *order,
                    place,
                };
                if index == NONE {
                    heap.push(node, |place, index| moved(indexes, place, index));
                } else {
                    let at = index as usize;
                    heap.replace(at, node, |place, index| moved(indexes, place, index));
                }
            }
        }
    }

    /// Returns the earliest deadline.
    pub(super) fn first(&self) -> Option<Instant> {
        self.timeline.instant(self.heap.first()?.deadline)
    }

    /// Removes and returns the place with the earliest deadline, and that deadline, if it is not
    /// after `now`.
    pub(super) fn pop(&mut self, now: Instant) -> Option<(u32, Instant)> {
        let first = self.heap.first()?;
        let deadline = self.timeline.instant(first.deadline)?;
        if deadline > now {
            return None;
        }
        let place = first.place;
        self.set(place, None);
        Some((place, deadline))
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn places_are_popped_by_deadline_then_by_order() {
        let origin = Instant::now();
        let at = |ms| origin + Duration::from_millis(ms);
        let mut deadlines = Deadlines::new(origin);
        for (place, ms) in [(3, 5), (1, 2), (2, 5), (0, 9)] {
            deadlines.set(place, Some(at(ms)));
        }
        deadlines.set(0, Some(at(1)));
        deadlines.set(1, None);
        assert_eq!(deadlines.first(), Some(at(1)));
        assert_eq!(deadlines.pop(at(0)), None);
        let popped: Vec<_> = std::iter::from_fn(|| deadlines.pop(at(5))).collect();
        assert_eq!(popped, [(0, at(1)), (3, at(5)), (2, at(5))]);
        assert_eq!(deadlines.first(), None);
    }
}
