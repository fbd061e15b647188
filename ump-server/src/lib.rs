#![doc = include_str!("../README.md")]
#![forbid(unsafe_code)]

mod clock;
mod sync;
pub mod timer;

pub use clock::Clock;
pub use timer::{TimerId, Timers};
