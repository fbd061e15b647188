//! The messages of the benchmarks. A reply has the type of its request, and can be checked.

use std::{
    hint::spin_loop,
    time::{Duration, Instant},
};

pub(crate) trait Message: Send + 'static {
    fn new(n: u64) -> Self;

    /// Makes the reply, as the handler does.
    #[must_use]
    fn answer(self) -> Self;

    /// Panics unless this is the reply to `new(n)`.
    fn check(&self, n: u64);
}

impl Message for u64 {
    fn new(n: u64) -> Self {
        n
    }

    fn answer(self) -> Self {
        self + 1
    }

    fn check(&self, n: u64) {
        assert_eq!(*self, n + 1, "a wrong reply");
    }
}

/// A message that is moved by value, with its number in the first and the last eight bytes.
pub(crate) struct Bytes<const N: usize>([u8; N]);

pub(crate) type Bytes1K = Bytes<1024>;
pub(crate) type Bytes64K = Bytes<65_536>;

impl<const N: usize> Bytes<N> {
    fn set(&mut self, n: u64) {
        *self.0.first_chunk_mut().expect("at least eight bytes") = n.to_le_bytes();
        *self.0.last_chunk_mut().expect("at least eight bytes") = n.to_le_bytes();
    }
}

impl<const N: usize> Message for Bytes<N> {
    fn new(n: u64) -> Self {
        let mut message = Self([0; N]);
        message.set(n);
        message
    }

    fn answer(mut self) -> Self {
        let n = u64::from_le_bytes(*self.0.first_chunk().expect("at least eight bytes"));
        self.set(n + 1);
        self
    }

    fn check(&self, n: u64) {
        let expected = (n + 1).to_le_bytes();
        assert_eq!(self.0.first_chunk(), Some(&expected), "a wrong reply");
        assert_eq!(self.0.last_chunk(), Some(&expected), "a wrong reply");
    }
}

fn work(microseconds: u64) {
    let start = Instant::now();
    while start.elapsed() < Duration::from_micros(microseconds) {
        spin_loop();
    }
}

/// A message whose handler works for 20 µs.
pub(crate) struct Slow(u64);

impl Message for Slow {
    fn new(n: u64) -> Self {
        Self(n)
    }

    fn answer(self) -> Self {
        work(20);
        Self(self.0 + 1)
    }

    fn check(&self, n: u64) {
        self.0.check(n);
    }
}

/// A message whose client works for this many microseconds before each request.
pub(crate) struct After<const MICROSECONDS: u64>(u64);

impl<const MICROSECONDS: u64> Message for After<MICROSECONDS> {
    fn new(n: u64) -> Self {
        work(MICROSECONDS);
        Self(n)
    }

    fn answer(self) -> Self {
        Self(self.0 + 1)
    }

    fn check(&self, n: u64) {
        self.0.check(n);
    }
}
