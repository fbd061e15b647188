//! Random choices, which a schedule records.

use shuttle::rand::{Rng, thread_rng};

/// Returns true once in this many times.
#[must_use]
pub fn one_in(times: u32) -> bool {
    thread_rng().gen_ratio(1, times)
}

/// Returns a number below `end`.
#[must_use]
pub fn below(end: usize) -> usize {
    thread_rng().gen_range(0..end)
}

/// Returns one of the choices.
#[must_use]
pub fn any<T: Copy>(choices: &[T]) -> T {
    choices[below(choices.len())]
}
