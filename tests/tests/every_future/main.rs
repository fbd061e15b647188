//! Properties of every future and stream of the three crates, in one table. `names.rs` compares the
//! table with the sources: if a new future is missing in the table, a test fails.

use std::sync::{Mutex, PoisonError};

mod budget;
mod names;
mod table;
mod wakers;

/// Runs one test after the other, as they share the allocator's counts.
fn alone() -> impl Drop {
    static ALONE: Mutex<()> = Mutex::new(());
    ALONE.lock().unwrap_or_else(PoisonError::into_inner)
}
