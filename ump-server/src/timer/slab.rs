//! Values at fixed places, in chunks: nothing is copied when there are more of them, and a chunk that becomes empty is given back.
//!
//! ```text
//!             first value             last vacancy taken
//!   absent ─────────────► with room ────────────────────► full
//!      ▲                   │  ▲  └───────────────────────────┘
//!      └─ emptied, while ──┘  └── emptied: kept                a value is removed
//!         another is
//! ```
//!
//! # Invariants
//!
//! 1. Every chunk that is not full is in `roomy` exactly once, absent ones too. Values go only into the last one there, so only that one becomes full.
//! 2. At most one chunk is kept empty (`spare`), the one that became so last: one timer that comes and goes costs no allocation.
//! 3. After a burst at most one chunk in as many as there are values is left, and the spare one; when none is left, only that.

/// Values in a chunk: small enough that the survivors of a burst hold on to little, large enough that the chunks cost little.
const CHUNK: u32 = 64;

/// No place: the end of a list of vacancies.
const NONE: u32 = u32::MAX;

pub(super) struct Slab<V> {
    chunks: Vec<Chunk<V>>,
    roomy: Vec<u32>,
    spare: Option<u32>,
    len: usize,
}

struct Chunk<V> {
    /// Grows up to `CHUNK`, in memory that is taken at once.
    places: Vec<Place<V>>,
    /// The first vacancy among `places`.
    vacancy: u32,
    taken: u32,
}

enum Place<V> {
    Taken(V),
    /// The next vacancy in the chunk.
    Vacant(u32),
}

impl<V> Slab<V> {
    /// What a value takes, with its share of a full chunk.
    #[cfg(test)]
    pub(super) const BYTES: usize =
        size_of::<Place<V>>() + size_of::<Chunk<V>>().div_ceil(CHUNK as usize);

    pub(super) const fn new() -> Self {
        Self {
            chunks: Vec::new(),
            roomy: Vec::new(),
            spare: None,
            len: 0,
        }
    }

    pub(super) fn len(&self) -> usize {
        self.len
    }

    /// Puts a value into a vacant place and tells which.
    ///
    /// # Panics
    /// If there are 2³¹ places.
    pub(super) fn insert(&mut self, value: V) -> u32 {
        let number = match self.roomy.last() {
            Some(&number) => number,
            None => self.add_chunk(),
        };
        let chunk = &mut self.chunks[number as usize];
        let offset = chunk.insert(value);
        if chunk.taken == CHUNK {
            self.roomy.pop();
        }
        if self.spare == Some(number) {
            self.spare = None;
        }
        self.len += 1;
        number * CHUNK + offset
    }

    pub(super) fn get(&self, place: u32) -> Option<&V> {
        let chunk = self.chunks.get((place / CHUNK) as usize)?;
        match chunk.places.get((place % CHUNK) as usize)? {
            Place::Taken(value) => Some(value),
            Place::Vacant(_) => None,
        }
    }

    pub(super) fn get_mut(&mut self, place: u32) -> Option<&mut V> {
        let chunk = self.chunks.get_mut((place / CHUNK) as usize)?;
        match chunk.places.get_mut((place % CHUNK) as usize)? {
            Place::Taken(value) => Some(value),
            Place::Vacant(_) => None,
        }
    }

    pub(super) fn remove(&mut self, place: u32) -> Option<V> {
        let number = place / CHUNK;
        let chunk = self.chunks.get_mut(number as usize)?;
        let value = chunk.remove(place % CHUNK)?;
        self.len -= 1;
        if chunk.taken == CHUNK - 1 {
            self.roomy.push(number);
        }
        if chunk.taken == 0 {
            self.keep_spare(number);
        }
        Some(value)
    }

    fn add_chunk(&mut self) -> u32 {
        let number = u32::try_from(self.chunks.len())
            .ok()
            .filter(|&number| number < (1 << 31) / CHUNK)
            .expect("there are fewer than 2^31 timers");
        self.chunks.push(Chunk::ABSENT);
        self.roomy.push(number);
        number
    }

    fn keep_spare(&mut self, number: u32) {
        if let Some(earlier) = self.spare.replace(number) {
            self.chunks[earlier as usize] = Chunk::ABSENT;
        }
        if self.len == 0 && self.chunks.len() > CHUNK as usize {
            *self = Self::new();
        }
    }
}

impl<V> Chunk<V> {
    const ABSENT: Self = Self {
        places: Vec::new(),
        vacancy: NONE,
        taken: 0,
    };

    fn insert(&mut self, value: V) -> u32 {
        self.taken += 1;
        if let Some(place) = self.places.get_mut(self.vacancy as usize) {
            let offset = self.vacancy;
            if let Place::Vacant(next) = std::mem::replace(place, Place::Taken(value)) {
                self.vacancy = next;
            }
            return offset;
        }
        if self.places.is_empty() {
            self.places.reserve_exact(CHUNK as usize);
        }
        self.places.push(Place::Taken(value));
        self.taken - 1 // no vacancy: all the places before are taken
    }

    fn remove(&mut self, offset: u32) -> Option<V> {
        let place = self.places.get_mut(offset as usize)?;
        match std::mem::replace(place, Place::Vacant(self.vacancy)) {
            Place::Taken(value) => {
                self.vacancy = offset;
                self.taken -= 1;
                Some(value)
            }
            vacant @ Place::Vacant(_) => {
                *place = vacant;
                None
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chunks_present<V>(slab: &Slab<V>) -> usize {
        let is_present = |chunk: &&Chunk<V>| chunk.places.capacity() > 0;
        slab.chunks.iter().filter(is_present).count()
    }

    #[test]
    fn a_value_is_found_at_its_place_until_it_is_removed() {
        let mut slab = Slab::new();
        let places: Vec<u32> = (0..1_000).map(|n| slab.insert(n)).collect();
        for (&place, n) in places.iter().zip(0..) {
            assert_eq!(slab.get(place), Some(&n));
        }
        for (&place, n) in places.iter().zip(0..) {
            assert_eq!(slab.remove(place), Some(n));
            assert_eq!(slab.remove(place), None);
            assert_eq!(slab.get(place), None);
            assert_eq!(slab.get_mut(place), None);
        }
        assert_eq!(slab.len(), 0);
    }

    #[test]
    fn vacant_places_are_used_again() {
        let mut slab = Slab::new();
        let places: Vec<u32> = (0..1_000).map(|n| slab.insert(n)).collect();
        for round in 0..10 {
            for &place in places.iter().skip(round).step_by(3) {
                slab.remove(place).unwrap();
            }
            while slab.len() < 1_000 {
                assert!(slab.insert(0) < 1_024);
            }
        }
    }

    #[test]
    fn the_memory_of_a_burst_is_given_back() {
        let mut slab = Slab::new();
        let places: Vec<u32> = (0..100_000).map(|n| slab.insert(n)).collect();
        let (survivors, gone): (Vec<u32>, Vec<u32>) =
            places.into_iter().partition(|place| place % 10_000 == 0);
        for &place in &gone {
            slab.remove(place).unwrap();
        }
        assert!(chunks_present(&slab) <= survivors.len() + 1);
        for &place in &survivors {
            slab.remove(place).unwrap();
        }
        assert!(chunks_present(&slab) <= 1);
        assert!(slab.chunks.capacity() <= CHUNK as usize);
    }

    #[test]
    fn one_value_that_comes_and_goes_stays_in_the_same_memory() {
        let mut slab = Slab::new();
        let place = slab.insert(0);
        slab.remove(place).unwrap();
        let memory = slab.chunks[0].places.as_ptr();
        for n in 0..10 {
            let place = slab.insert(n);
            slab.remove(place).unwrap();
            assert_eq!(slab.chunks[0].places.as_ptr(), memory);
        }
    }
}
