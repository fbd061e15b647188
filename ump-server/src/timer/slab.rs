//! A slab: values at fixed places, in chunks. Growth copies nothing, and an empty chunk is freed.
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
//! 1. Every chunk that is not full is in `roomy` exactly once, absent chunks too. Values are
//!    inserted only into the last chunk of `roomy`, so only that one becomes full.
//! 2. At most one chunk is kept empty (`spare`): the one that became empty last. So one timer that
//!    is armed and removed again and again costs no allocation.
//! 3. The vacancies of a chunk that is not full are linked, beginning with the one in its book.
//! 4. After a burst at most one chunk per remaining value is left, and the spare one. If no value
//!    is left, only the spare chunk is.

use std::mem;

/// The number of places in a chunk: few enough that the survivors of a burst retain little memory,
/// and enough that the pointers to the chunks of a million values fit into a core's L1 cache.
const CHUNK: usize = 256;

/// The end of a list of vacancies.
const NONE: u32 = u32::MAX;

pub(crate) struct Slab<V> {
    chunks: Vec<Option<Chunk<V>>>,
    /// The book of each chunk.
    books: Vec<Book>,
    roomy: Vec<u32>,
    spare: Option<u32>,
    len: usize,
}

type Chunk<V> = Box<[SlabSlot<V>; CHUNK]>;

enum SlabSlot<V> {
    Taken(V),
    /// The offset of the next vacancy in the chunk.
    Vacant(u32),
}

#[derive(Clone, Copy)]
struct Book {
    /// The offset of the first vacancy.
    vacancy: u32,
    taken: u32,
}

impl<V> Slab<V> {
    /// The memory of a value, with its share of a full chunk.
    #[cfg(test)]
    pub(crate) const BYTES: usize = size_of::<SlabSlot<V>>() + 1;

    pub(crate) const fn new() -> Self {
        Self {
            chunks: Vec::new(),
            books: Vec::new(),
            roomy: Vec::new(),
            spare: None,
            len: 0,
        }
    }

    pub(crate) fn len(&self) -> usize {
        self.len
    }

    /// Inserts a value into a vacant place and returns the place.
    ///
    /// # Panics
    /// If there are 2³¹ places.
    pub(crate) fn insert(&mut self, value: V) -> u32 {
        let number = match self.roomy.last() {
            Some(&number) => number,
            None => self.add_chunk(),
        };
        let chunk = self.chunks[number as usize].get_or_insert_with(vacant_chunk);
        let book = &mut self.books[number as usize];
        let offset = book.vacancy;
        let place = &mut chunk[offset as usize];
        if let SlabSlot::Vacant(next) = mem::replace(place, SlabSlot::Taken(value)) {
            book.vacancy = next;
        }
        book.taken += 1;
        if book.taken == CHUNK_U32 {
            self.roomy.pop();
        }
        if self.spare == Some(number) {
            self.spare = None;
        }
        self.len += 1;
        number * CHUNK_U32 + offset
    }

    /// Returns the values, in the order of their places.
    pub(crate) fn into_values(self) -> impl Iterator<Item = V> {
        let chunks = self.chunks.into_iter().flatten();
        let places = chunks.flat_map(|chunk| (chunk as Box<[SlabSlot<V>]>).into_vec());
        places.filter_map(|place| match place {
            SlabSlot::Taken(value) => Some(value),
            SlabSlot::Vacant(_) => None,
        })
    }

    /// Iterates over the values and their places, in the order of the places.
    #[cfg(not(any(loom, shuttle)))]
    pub(crate) fn iter(&self) -> impl Iterator<Item = (u32, &V)> {
        let places = (0..).step_by(CHUNK).zip(&self.chunks);
        let present = places.filter_map(|(first, chunk)| Some((first, chunk.as_ref()?)));
        present.flat_map(|(first, chunk)| {
            (first..)
                .zip(chunk.iter())
                .filter_map(|(place, slot)| match slot {
                    SlabSlot::Taken(value) => Some((place, value)),
                    SlabSlot::Vacant(_) => None,
                })
        })
    }

    pub(crate) fn get(&self, place: u32) -> Option<&V> {
        let chunk = self.chunks.get(chunk_of(place))?.as_ref()?;
        match &chunk[offset_of(place)] {
            SlabSlot::Taken(value) => Some(value),
            SlabSlot::Vacant(_) => None,
        }
    }

    pub(crate) fn get_mut(&mut self, place: u32) -> Option<&mut V> {
        let chunk = self.chunks.get_mut(chunk_of(place))?.as_mut()?;
        match &mut chunk[offset_of(place)] {
            SlabSlot::Taken(value) => Some(value),
            SlabSlot::Vacant(_) => None,
        }
    }

    pub(crate) fn remove(&mut self, place: u32) -> Option<V> {
        let chunk = self.chunks.get_mut(chunk_of(place))?.as_mut()?;
        let book = &mut self.books[chunk_of(place)];
        let found = &mut chunk[offset_of(place)];
        if let SlabSlot::Vacant(_) = found {
            return None;
        }
        let removed = mem::replace(found, SlabSlot::Vacant(book.vacancy));
        book.vacancy = place % CHUNK_U32;
        book.taken -= 1;
        self.len -= 1;
        if book.taken == CHUNK_U32 - 1 {
            self.roomy.push(place / CHUNK_U32);
        }
        if book.taken == 0 {
            self.keep_spare(place / CHUNK_U32);
        }
        match removed {
            SlabSlot::Taken(value) => Some(value),
            SlabSlot::Vacant(_) => None,
        }
    }

    fn add_chunk(&mut self) -> u32 {
        let number = u32::try_from(self.chunks.len())
            .ok()
            .filter(|&number| number < (1 << 31) / CHUNK_U32)
            .expect("a slab has fewer than 2^31 places");
        self.chunks.push(None);
        self.books.push(Book::EMPTY);
        self.roomy.push(number);
        number
    }

    fn keep_spare(&mut self, number: u32) {
        if let Some(earlier) = self.spare.replace(number) {
            self.chunks[earlier as usize] = None;
            self.books[earlier as usize] = Book::EMPTY;
        }
        if self.len == 0 && self.chunks.len() > MANY {
            *self = Self::new();
        }
    }
}

#[expect(clippy::cast_possible_truncation, reason = "it is small")]
const CHUNK_U32: u32 = CHUNK as u32;

/// The number of chunks above which an empty slab frees even the pointers to them.
const MANY: usize = 64;

const fn chunk_of(place: u32) -> usize {
    (place / CHUNK_U32) as usize
}

const fn offset_of(place: u32) -> usize {
    (place % CHUNK_U32) as usize
}

impl Book {
    /// The book of a chunk without values, absent or not.
    const EMPTY: Self = Self {
        vacancy: 0,
        taken: 0,
    };
}

/// Creates a chunk in which each place links to the next.
#[expect(
    clippy::unnecessary_box_returns,
    reason = "it is made on the heap, not on the stack"
)]
fn vacant_chunk<V>() -> Chunk<V> {
    let next = (1..CHUNK_U32).chain([NONE]);
    let places: Vec<SlabSlot<V>> = next.map(SlabSlot::Vacant).collect();
    let Ok(chunk) = places.try_into() else {
        unreachable!("the vector has the length of a chunk")
    };
    chunk
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chunks_present<V>(slab: &Slab<V>) -> usize {
        slab.chunks.iter().flatten().count()
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
        assert!(slab.chunks.capacity() <= MANY);
    }

    #[test]
    fn one_value_inserted_repeatedly_reuses_its_slot() {
        let mut slab = Slab::new();
        let place = slab.insert(0);
        slab.remove(place).unwrap();
        let memory = slab.chunks[0].as_ref().unwrap().as_ptr();
        for n in 0..10 {
            let place = slab.insert(n);
            slab.remove(place).unwrap();
            assert_eq!(slab.chunks[0].as_ref().unwrap().as_ptr(), memory);
        }
    }
}
