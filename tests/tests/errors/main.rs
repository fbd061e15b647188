//! The texts and traits of errors, and the messages that they return.

mod content;
mod conversion;
mod text;
mod traits;

use std::{
    cell::Cell,
    collections::HashSet,
    error::Error as StdError,
    fmt, io,
    marker::PhantomPinned,
    rc::Rc,
    thread,
    time::{Duration, Instant},
};

use tests::{block_on, poll_once};
use ump::{
    Builder, Cancelled, Client, Clock, Error, Executed, Gather, Iter, ManualClock, NoReply,
    PanicMessage, Post, PostFuture, Refused, ReplyContext, Request, RequestError, RequestFuture,
    Requests, SendError, Server, Sleep, Stats, Submit, SubmitFuture, WaitReply, WeakClient,
    ZeroCapacity,
    hooks::{Cycle, Wait},
};

/// An application's error with a cause.
#[derive(Debug)]
struct Broken(io::Error);

impl fmt::Display for Broken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the lamp is broken")
    }
}

impl StdError for Broken {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        Some(&self.0)
    }
}

fn broken() -> Broken {
    Broken(io::Error::other("no current"))
}

/// A message without `Debug` and `Display`.
struct Silent;

fn plain() -> [Error<Broken>; 5] {
    [
        Error::ServerDisappeared,
        Error::OriginDisappeared,
        Error::ClientsDisappeared,
        Error::NoReply,
        Error::App(broken()),
    ]
}

fn cycle() -> Cycle {
    Cycle::new(["orders", "accounts"])
}

fn request() -> [RequestError<Silent, Broken>; 10] {
    [
        RequestError::App(broken()),
        RequestError::NoReply(NoReply::Dropped),
        RequestError::NoReply(NoReply::Panicked(PanicMessage::default())),
        RequestError::ServerDisappeared(Silent),
        RequestError::TimeoutQueued(Silent),
        RequestError::TimeoutTaken,
        RequestError::WouldDeadlock(Silent, cycle()),
        RequestError::WouldDeadlockTaken(cycle()),
        RequestError::Full(Silent),
        RequestError::NoTimer(Silent, io::Error::other("no threads").into()),
    ]
}

fn send() -> [SendError<Silent>; 5] {
    [
        SendError::ServerDisappeared(Silent),
        SendError::TimeoutQueued(Silent),
        SendError::WouldDeadlock(Silent, cycle()),
        SendError::Full(Silent),
        SendError::NoTimer(Silent, io::Error::other("no threads").into()),
    ]
}
