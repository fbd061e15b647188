//! The payload of messages and replies: numbered, owning memory, and dropped once.

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

use crate::{counts::Observed, rng::Rng};

/// Counts payloads and adds up their numbers, so that a lost one does not hide one that is dropped
/// twice.
#[derive(Debug)]
struct Counter {
    count: AtomicU64,
    sum: AtomicU64,
}

impl Counter {
    const fn new() -> Self {
        Self {
            count: AtomicU64::new(0),
            sum: AtomicU64::new(0),
        }
    }

    // ORDERING: relaxed; read after all threads that count were joined.

    fn add(&self, number: u64) -> u64 {
        // Spreads neighbouring numbers.
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
static CREATED: Counter = Counter::new();
static DROPPED: Counter = Counter::new();

/// Returns the number of payloads if each was dropped once.
pub(crate) fn check_drops() -> Result<u64, String> {
    let (created, dropped) = (CREATED.read(), DROPPED.read());
    if created == dropped {
        Ok(created.0)
    } else if created.0 == dropped.0 {
        Err("a payload was never dropped, and another one twice".to_owned())
    } else {
        Err(format!(
            "{} payloads were made, and {} dropped",
            created.0, dropped.0
        ))
    }
}

#[derive(Debug)]
pub(crate) struct Payload {
    number: u64,
    /// A double free shows in the allocator, a stray write in `is_intact`.
    load: Box<[u8]>,
}

impl Payload {
    pub(crate) fn new(rng: &mut Rng) -> Self {
        let size = if rng.one_in(1000) {
            64 * 1024
        } else {
            rng.size(128)
        };
        Self::with(NEXT.fetch_add(1, Ordering::Relaxed), size)
    }

    fn with(number: u64, size: usize) -> Self {
        CREATED.add(number);
        Self {
            number,
            load: vec![number.to_le_bytes()[0]; size].into_boxed_slice(),
        }
    }

    /// Makes the payload of the reply.
    pub(crate) fn reply(&self) -> Self {
        Self::with(self.number, self.load.len() / 2)
    }

    pub(crate) fn number(&self) -> u64 {
        self.number
    }

    /// Returns whether its contents are unchanged.
    pub(crate) fn is_intact(&self) -> bool {
        let mark = self.number.to_le_bytes()[0];
        self.load.iter().all(|byte| *byte == mark)
    }
}

impl Drop for Payload {
    fn drop(&mut self) {
        DROPPED.add(self.number);
    }
}

/// The action of the handler for a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Action {
    Reply,
    Fail,
    Drop,
    Panic,
}

/// A request.
#[derive(Debug)]
pub(crate) struct Message {
    pub(crate) payload: Payload,
    pub(crate) action: Action,
    /// Whether the caller waits for the outcome and counts it. The handler counts the others:
    /// posts, and requests that may be cancelled.
    pub(crate) counted_by_caller: bool,
    pub(crate) handled: bool,
    pub(crate) observed: Arc<Observed>,
}

impl Drop for Message {
    fn drop(&mut self) {
        if !self.handled && !self.counted_by_caller {
            self.observed.lapsed.add();
        }
    }
}
