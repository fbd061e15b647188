//! User code that panics where a loop runs it: in drops, wakers and clones. Each place has a row,
//! with each way to panic there.
//!
//! Each row asserts the same: the process continues, and each caller and joiner gets the outcome
//! that it would get without the panic.

mod drops;
mod ends;
mod support;
mod wakers;
