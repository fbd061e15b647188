//! The contenders. Each keeps a token of eight bytes for each timer.

pub(super) mod btree;
pub(super) mod delay_queue;
pub(super) mod lazy_heap;
pub(super) mod sleep;
pub(super) mod ump;
pub(super) mod wheel;

/// A set of timers, with time in nanoseconds since it was made.
pub(super) trait Queue {
    type Id;

    /// Makes an empty set, within a tokio runtime whose clock is advanced by hand.
    fn new() -> Self;

    fn arm(&mut self, at: u64, token: u64) -> Self::Id;

    fn cancel(&mut self, id: Self::Id);

    /// Takes the timers that are due at `now`. Returns their number.
    fn look(&mut self, now: u64) -> usize;
}

/// A slab of values, in which the simple contenders keep their tokens.
struct Slab<V> {
    values: Vec<V>,
    vacant: Vec<u32>,
}

impl<V> Slab<V> {
    fn new() -> Self {
        Self {
            values: Vec::new(),
            vacant: Vec::new(),
        }
    }

    fn insert(&mut self, value: V) -> u32 {
        if let Some(place) = self.vacant.pop() {
            self.values[place as usize] = value;
            return place;
        }
        self.values.push(value);
        u32::try_from(self.values.len() - 1).expect("not so many")
    }
}
