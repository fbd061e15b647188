#![doc = include_str!("../README.md")]
#![forbid(unsafe_code)]

mod builder;
mod error;
mod format;
mod handle;
mod layer;
mod panics;
mod ports;
mod queue;
mod record;
mod sink;
mod suppress;
mod time;

pub use crate::{
    builder::{Builder, File, Sink},
    error::{FilterError, FlushError, StartError, Unwritten},
    format::Format,
    handle::{Guard, LogHandle, SinkStatus},
    queue::Dropped,
    sink::tail::{After, CannotWait, Line, Page, Tail},
};
