//! Properties of every future and stream of the three crates, in one table. `names.rs` compares it
//! with the sources: a new one that is missing in the table fails a test.

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
