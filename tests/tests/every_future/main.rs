//! What holds for every future and stream of the three crates, by one table of them all, which `names.rs` compares with the sources: one that is
//! added and not entered here fails a test.

use std::sync::{Mutex, PoisonError};

mod budget;
mod names;
mod table;
mod wakers;

/// One test after the other, as they share the meter.
fn alone() -> impl Drop {
    static ALONE: Mutex<()> = Mutex::new(());
    ALONE.lock().unwrap_or_else(PoisonError::into_inner)
}
