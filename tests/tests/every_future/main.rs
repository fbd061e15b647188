//! What holds for every future and stream of the three crates, by one table of them all, which `names.rs` compares with the sources: one that is
//! added and not entered here fails a test.

mod names;
mod table;
mod wakers;
