//! Choices that a schedule remembers.

use shuttle::rand::{Rng, thread_rng};

/// Once in so many times.
#[must_use]
pub fn one_in(times: u32) -> bool {
    thread_rng().gen_ratio(1, times)
}

/// Any number below `end`.
#[must_use]
pub fn below(end: usize) -> usize {
    thread_rng().gen_range(0..end)
}

/// One of them.
#[must_use]
pub fn any<T: Copy>(choices: &[T]) -> T {
    choices[below(choices.len())]
}
