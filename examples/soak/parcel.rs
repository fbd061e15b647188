//! What is sent to and fro: each has a number, owns memory, and is dropped once.

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

use crate::{book::Book, dice::Dice};

/// Counts parcels, and adds up their numbers: so one that is lost does not make up for one that is dropped twice.
#[derive(Debug)]
struct Census {
    count: AtomicU64,
    sum: AtomicU64,
}

impl Census {
    const fn new() -> Self {
        Self {
            count: AtomicU64::new(0),
            sum: AtomicU64::new(0),
        }
    }

    // Relaxed: read when those who count have been joined.

    fn add(&self, number: u64) -> u64 {
        // Neighbours are far from each other.
        let mark = number.wrapping_mul(0x9e37_79b9_7f4a_7c15);
        self.sum.fetch_add(mark, Ordering::Relaxed);
        self.count.fetch_add(1, Ordering::Relaxed)
    }

    fn read(&self) -> (u64, u64) {
        (
            self.count.load(Ordering::Relaxed),
            self.sum.load(Ordering::Relaxed),
        )
    }
}

static NEXT: AtomicU64 = AtomicU64::new(0);
static BORN: Census = Census::new();
static DEAD: Census = Census::new();

/// How many parcels were made, when none is left; or what is wrong.
pub(crate) fn census() -> Result<u64, String> {
    let (born, dead) = (BORN.read(), DEAD.read());
    if born == dead {
        Ok(born.0)
    } else if born.0 == dead.0 {
        Err("a parcel was never dropped, and another one twice".to_owned())
    } else {
        Err(format!(
            "{} parcels were made, and {} dropped",
            born.0, dead.0
        ))
    }
}

#[derive(Debug)]
pub(crate) struct Parcel {
    number: u64,
    /// Freed twice, the allocator may notice; written to by others, we do.
    load: Box<[u8]>,
}

impl Parcel {
    pub(crate) fn new(dice: &mut Dice) -> Self {
        let size = if dice.one_in(1000) {
            64 * 1024
        } else {
            dice.size(128)
        };
        Self::with(NEXT.fetch_add(1, Ordering::Relaxed), size)
    }

    fn with(number: u64, size: usize) -> Self {
        BORN.add(number);
        Self {
            number,
            load: vec![number.to_le_bytes()[0]; size].into_boxed_slice(),
        }
    }

    /// What comes back for it.
    pub(crate) fn answer(&self) -> Self {
        Self::with(self.number, self.load.len() / 2)
    }

    pub(crate) fn number(&self) -> u64 {
        self.number
    }

    /// Whether what is in it is what was put there.
    pub(crate) fn is_whole(&self) -> bool {
        let mark = self.number.to_le_bytes()[0];
        self.load.iter().all(|byte| *byte == mark)
    }
}

impl Drop for Parcel {
    fn drop(&mut self) {
        DEAD.add(self.number);
    }
}

/// What the handler is to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum How {
    Reply,
    Fail,
    LetGo,
    Panic,
}

/// A request.
#[derive(Debug)]
pub(crate) struct Message {
    pub(crate) parcel: Parcel,
    pub(crate) how: How,
    /// Whether its caller looks at the outcome, whatever it is. Otherwise (a post, or one that may be cancelled) others keep the book.
    pub(crate) told: bool,
    pub(crate) handled: bool,
    pub(crate) book: Arc<Book>,
}

impl Drop for Message {
    fn drop(&mut self) {
        if !self.handled && !self.told {
            self.book.lapsed.add();
        }
    }
}
