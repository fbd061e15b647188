//! `std`'s heap. Cancelled timers stay in it until they come up.

use std::{cmp::Reverse, collections::BinaryHeap};

use super::{Queue, Slab};

pub(in super::super) struct LazyHeap {
    heap: BinaryHeap<Reverse<(u64, u64, u32)>>,
    /// The number of the timer, and its token.
    tokens: Slab<(u64, Option<u64>)>,
    armed: u64,
}

impl Queue for LazyHeap {
    type Id = (u64, u32);

    fn new() -> Self {
        Self {
            heap: BinaryHeap::new(),
            tokens: Slab::new(),
            armed: 0,
        }
    }

    #[inline]
    fn arm(&mut self, at: u64, token: u64) -> (u64, u32) {
        self.armed += 1;
        let place = self.tokens.insert((self.armed, Some(token)));
        self.heap.push(Reverse((at, self.armed, place)));
        (self.armed, place)
    }

    #[inline]
    fn cancel(&mut self, (number, place): (u64, u32)) {
        let (armed, token) = &mut self.tokens.values[place as usize];
        assert!(*armed == number && token.take().is_some());
        self.tokens.vacant.push(place);
    }

    fn look(&mut self, now: u64) -> usize {
        let mut count = 0;
        while let Some(first) = self.heap.peek_mut().filter(|first| first.0.0 <= now) {
            let Reverse((_, number, place)) = std::collections::binary_heap::PeekMut::pop(first);
            let (armed, token) = &mut self.tokens.values[place as usize];
            if *armed == number && token.take().is_some() {
                self.tokens.vacant.push(place);
                count += 1;
            }
        }
        count
    }
}
