//! A map from types to values: each is added once, stays as long as the map, and is found without a
//! lock.
//!
//! ```text
//!   buckets  0 ──► node ──► node        a list only grows, at its end,
//!            1                          by the holder of the lock for adding
//!            …
//! ```

use std::{
    any::{Any, TypeId},
    array,
    hash::{Hash, Hasher},
    iter,
    sync::Arc,
};

use crate::sync::OnceLock;

/// A program has some dozens of types of messages, so most buckets have at most one.
const BUCKETS: usize = 64;

/// One value of each type; each is a `V` as well.
pub(crate) struct ByType<V: ?Sized>([Link<V>; BUCKETS]);

type Link<V> = OnceLock<Box<Node<V>>>;

struct Node<V: ?Sized> {
    id: TypeId,
    /// An `Arc` of the value with its own type.
    value: Box<dyn Any + Send + Sync>,
    as_dyn: Arc<V>,
    next: Link<V>,
}

impl<V: ?Sized> ByType<V> {
    pub(crate) fn new() -> Self {
        Self(array::from_fn(|_| OnceLock::new()))
    }

    pub(crate) fn find<T: Send + Sync + 'static>(&self) -> Option<&Arc<T>> {
        let id = TypeId::of::<T>();
        let mut link = &self.0[bucket(id)];
        while let Some(node) = link.get() {
            if node.id == id {
                return node.value.downcast_ref();
            }
            link = &node.next;
        }
        None
    }

    /// Adds a value of a new type. Only one thread may add at a time.
    pub(crate) fn add<T: Send + Sync + 'static>(&self, value: Arc<T>, as_dyn: Arc<V>) {
        let id = TypeId::of::<T>();
        let mut link = &self.0[bucket(id)];
        while let Some(node) = link.get() {
            link = &node.next;
        }
        let node = Box::new(Node {
            id,
            value: Box::new(value),
            as_dyn,
            next: OnceLock::new(),
        });
        assert!(link.set(node).is_ok(), "two threads add types at once");
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &V> {
        self.0.iter().flat_map(|first| {
            let first = first.get().map(Box::as_ref);
            let nodes = iter::successors(first, |node| node.next.get().map(Box::as_ref));
            nodes.map(|node| &*node.as_dyn)
        })
    }
}

fn bucket(id: TypeId) -> usize {
    let mut bits = Bits(0);
    id.hash(&mut bits);
    // Any of its bits do, because a `TypeId` is a hash already.
    let [byte, ..] = bits.0.to_be_bytes();
    usize::from(byte) % BUCKETS
}

/// Takes the hash that a [`TypeId`] is.
struct Bits(u64);

impl Hasher for Bits {
    fn write_u64(&mut self, part: u64) {
        self.0 ^= part;
    }

    fn write(&mut self, bytes: &[u8]) {
        // In case a `TypeId` hashes as bytes one day.
        for byte in bytes {
            self.0 = (self.0 ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3);
        }
    }

    fn finish(&self) -> u64 {
        self.0
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    /// A type for each number.
    struct Numbered<const N: usize>;

    trait Number: Send + Sync {
        fn number(&self) -> usize;
    }

    impl<const N: usize> Number for Numbered<N> {
        fn number(&self) -> usize {
            N
        }
    }

    fn add<const N: usize>(all: &ByType<dyn Number>) {
        assert!(all.find::<Numbered<N>>().is_none());
        let value = Arc::new(Numbered::<N>);
        all.add(Arc::clone(&value), value);
    }

    fn find<const N: usize>(all: &ByType<dyn Number>) {
        let found = all.find::<Numbered<N>>().expect("it was added");
        assert_eq!(found.number(), N);
    }

    macro_rules! eight {
        ($do:ident, $all:expr; $($first:literal)*) => {$(
            $do::<$first>($all);
            $do::<{ $first + 1 }>($all);
            $do::<{ $first + 2 }>($all);
            $do::<{ $first + 3 }>($all);
            $do::<{ $first + 4 }>($all);
            $do::<{ $first + 5 }>($all);
            $do::<{ $first + 6 }>($all);
            $do::<{ $first + 7 }>($all);
        )*};
    }

    #[test]
    fn each_of_more_types_than_buckets_is_found() {
        let all = ByType::<dyn Number>::new();
        eight!(add, &all; 0 8 16 24 32 40 48 56 64 72 80 88);
        eight!(find, &all; 88 80 72 64 56 48 40 32 24 16 8 0);
        let mut numbers: Vec<_> = all.iter().map(Number::number).collect();
        numbers.sort_unstable();
        assert!(numbers.into_iter().eq(0..96));
    }
}
