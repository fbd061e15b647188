//! For writers of server loops: which caller is about to wait for what, so that a caller that would
//! wait for itself gets an error instead.
//!
//! A handler that makes a blocking request to its own server waits for ever: it is the one who
//! would have to answer. So do two whose servers ask each other. Only the loops know who answers
//! what, so the graph of who waits for whom is theirs. This is what they hang it on:
//!
//! - A loop [sets](watch) a [`Watcher`] on its thread. Whoever blocks there has it asked, right
//!   before it falls asleep: whether to.
//! - [`Wait`] says what for, its [`Goal`]: the reply to a request, room in a queue, or the end of a
//!   loop. It names the request by its [`RequestId`] and the channel by its [`ChannelId`].
//!   [`ReplyContext::id`](crate::ReplyContext::id) is the same request in the hands of its handler,
//!   [`LoopView::is_queued`] tells whether it is still in the queue, and `Server::id` and
//!   `Client::id` name the channel.
//! - A watcher that finds a [`Cycle`] says so, and the request ends in
//!   [`WouldDeadlock`](crate::RequestError::WouldDeadlock), or in
//!   [`WouldDeadlockTaken`](crate::RequestError::WouldDeadlockTaken) if a handler has it already
//!   (the watcher being certain that this handler will not answer either, as it waits for us).
//!
//! ```
//! use std::{sync::Arc, thread};
//! use ump::{RequestError, hooks::{self, ChannelId, Cycle, Wait, Watcher}};
//!
//! /// That of a loop that serves one channel on one thread. It knows of the smallest cycle.
//! struct Own(ChannelId);
//!
//! impl Watcher for Own {
//!     fn before(&self, wait: &Wait) -> Result<(), Cycle> {
//!         if wait.channel() == self.0 { Err(Cycle::new(["accounts"])) } else { Ok(()) }
//!     }
//! }
//!
//! let (server, client) = ump::channel::<&str, String, ()>();
//! let own = client.clone();
//! let server = thread::spawn(move || {
//!     let _watched = hooks::watch(Arc::new(Own(server.id())));
//!     let (_, rctx) = server.wait().unwrap();
//!     // "I could as well ask myself."
//!     let Err(RequestError::WouldDeadlock(message, cycle)) = own.request("sum").wait() else { panic!() };
//!     assert_eq!((message, cycle.to_string()), ("sum", "accounts → accounts".to_string()));
//!     rctx.reply("it knew".to_string()).unwrap();
//! });
//! assert_eq!(client.req("total").unwrap(), "it knew");
//! server.join().unwrap();
//! ```
//!
//! # What is watched
//!
//! [`Client::req`](crate::Client::req), [`Request::wait`](crate::Request::wait), the waits of
//! [`WaitReply`](crate::WaitReply) and [`Gather`](crate::Gather), and all that block until there is
//! room in a bounded queue.
//!
//! # Room in a queue
//!
//! A request that waits for room needs a worker that takes something out of the queue, unless a
//! queued request leaves otherwise: at its deadline, or because its caller drops it.
//! [`LoopView::without_room`] tells which queued requests can. If there are none, then only the
//! workers of that server make room.
//!
//! # The end of a loop
//!
//! A loop's end is not known to its channel: it comes after the last request. So a loop's own
//! `join` reports it with [`announce`] where it blocks, and with [`announce_poll`] where it is
//! awaited, as a wait [`for_end`](Wait::for_end). Whatever it really waits with is [not
//! reported](unwatched) a second time.
//!
//! ```
//! use ump::{WaitReply, Clock, RequestError, hooks::{self, ChannelId, Cycle, Wait}};
//!
//! type End = WaitReply<(), (), RequestError<(), ()>>;
//!
//! /// Blocks until the loop that serves a channel has answered the request which asks for its end.
//! fn join(served: ChannelId, end: End) -> Result<(), Cycle> {
//!     let wait = Wait::for_end(served, end.id());
//!     let announced = hooks::announce(&wait)?;
//!     let unwatched = hooks::unwatched();
//!     let _ended = end.wait();
//!     drop((unwatched, announced));
//!     Ok(())
//! }
//! # let (server, client) = ump::channel::<(), (), ()>();
//! # let end = client.request(()).submit().wait().unwrap();
//! # server.wait().unwrap().1.reply(()).unwrap();
//! # join(server.id(), end).unwrap();
//! ```
//!
//! # Futures that a thread drives
//!
//! [`Clock::block_on`](crate::Clock::block_on) asks its thread's watcher [to follow
//! it](Watcher::drives): the future is polled with the waker, and under the watcher, that come
//! back, and that watcher is asked [before the thread parks](Watcher::parks). Other executors do
//! not ask.
//!
//! # Tasks
//!
//! Nor a wait that its call bounds, so that the request goes on after it:
//! [`WaitReply::wait_timeout`](crate::WaitReply::wait_timeout) and
//! [`wait_deadline`](crate::WaitReply::wait_deadline), up to an instant before the request's own
//! deadline. It ends by itself, and the request may be answered later, by the very handler that
//! waited. So a handler that waits so for its own server again and again is not told.
//!
//! Tasks that await are [reported](Watcher::polled) with the waker that they were polled with. They
//! may await something else as well, which only the one who polls them can find out: by the wakers
//! that are left when the poll is over. So a watcher may exchange the waker, and tell the cycle
//! when the task is polled again.
//!
//! Who finds the outcome while it looks awake asks nobody, so a request costs what it did. Threads
//! without a watcher read one thread-local value before they fall asleep, and before a task leaves
//! word.

#![forbid(unsafe_code)]

mod loop_view;
mod wait;
mod watcher;

use std::{
    cell::{Cell, RefCell},
    fmt,
    marker::PhantomData,
    task::Waker,
    time::Instant,
};

pub use self::{
    loop_view::LoopView,
    wait::{ChannelId, Goal, RequestId, Wait},
    watcher::{Driven, MANY, Watcher},
};
pub use crate::error::cycle::Cycle;

use crate::{
    sync::{WakerArc as Arc, of_each_thread},
    time::clock::Clock,
};

of_each_thread! {
    /// Whether there is one. As it needs no drop, this is read by one instruction.
    static IS_WATCHED: Cell<bool> = Cell::new(false);
    static WATCHER: RefCell<Option<Arc<dyn Watcher>>> = RefCell::new(None);
}

/// Sets the watcher of this thread until the guard is dropped; then the one before is set again.
#[must_use = "dropped, nobody watches any more"]
pub fn watch(watcher: Arc<dyn Watcher>) -> Guard {
    Guard {
        before: set(Some(watcher)),
        of_this_thread: PhantomData,
    }
}

/// Has no watcher on this thread until the guard is dropped; then the one before is set again. For
/// a wait that was [announced](announce) already.
#[must_use = "dropped, the thread is watched again"]
pub fn unwatched() -> Guard {
    Guard {
        before: set(None),
        of_this_thread: PhantomData,
    }
}

/// Returns the watcher of this thread.
#[must_use]
pub fn current() -> Option<Arc<dyn Watcher>> {
    watcher()
}

/// Reports a wait that is not one of this crate to the watcher of this thread, if there is one,
/// right before the caller sleeps. What comes back is to be dropped when it sleeps no more.
///
/// # Errors
/// The cycle in which the caller would wait for itself.
pub fn announce(wait: &Wait) -> Result<Announced, Cycle> {
    before(|| *wait).map(Announced)
}

/// The same for a task that is about to leave word with this waker. Word is left with the one that
/// comes back instead, if there is one: see [`Watcher::polled`].
///
/// # Errors
/// The cycle in which the task would wait for itself.
pub fn announce_poll(wait: &Wait, waker: &Waker) -> Result<Option<Waker>, Cycle> {
    polled(waker, || *wait)
}

/// A wait that a watcher knows of, if there is one. From [`announce`].
#[must_use = "dropped, the wait is over"]
pub struct Announced(#[expect(dead_code, reason = "it is dropped")] Option<Watched>);

impl fmt::Debug for Announced {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Announced").finish_non_exhaustive()
    }
}

/// Keeps a watcher set. From [`watch`], or from [`unwatched`].
#[must_use = "dropped, nobody watches any more"]
pub struct Guard {
    before: Option<Arc<dyn Watcher>>,
    of_this_thread: PhantomData<*const ()>,
}

impl Drop for Guard {
    fn drop(&mut self) {
        // A watcher is the user's, so ours is dropped after it was let go of.
        drop(set(self.before.take()));
    }
}

/// Returns the one before.
fn set(watcher: Option<Arc<dyn Watcher>>) -> Option<Arc<dyn Watcher>> {
    let is_watched = watcher.is_some();
    // It is not there any more while the thread is ending.
    let before = WATCHER.try_with(|current| current.replace(watcher));
    let _ = IS_WATCHED.try_with(|current| current.set(is_watched));
    before.unwrap_or_default()
}

impl fmt::Debug for Guard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Guard").finish_non_exhaustive()
    }
}

/// Asks the watcher of this thread, if there is one, whether to sleep. What it returns is to be
/// dropped when one sleeps no more.
///
/// # Errors
/// It is better not to.
#[inline]
pub(crate) fn before(wait: impl FnOnce() -> Wait) -> Result<Option<Watched>, Cycle> {
    let Some(watcher) = watcher() else {
        return Ok(None);
    };
    let wait = wait();
    watcher.before(&wait)?;
    Ok(Some(Watched { watcher, wait }))
}

/// The same for many waits. None: there is no watcher, or there are too many waits.
pub(crate) fn before_any(
    waits: impl FnOnce() -> Option<Vec<Wait>>,
) -> Result<Option<WatchedMany>, Cycle> {
    let Some(watcher) = watcher() else {
        return Ok(None);
    };
    let Some(waits) = waits() else {
        return Ok(None);
    };
    watcher.before_any(&waits)?;
    Ok(Some(WatchedMany { watcher, waits }))
}

/// Reports to the watcher of this thread, if there is one. Returns the waker to leave word with, if
/// it is another one.
///
/// # Errors
/// It is better not to wait.
#[inline]
pub(crate) fn polled(waker: &Waker, wait: impl FnOnce() -> Wait) -> Result<Option<Waker>, Cycle> {
    match watcher() {
        Some(watcher) => watcher.polled(&wait(), waker),
        None => Ok(None),
    }
}

/// Reports to the watcher of this thread, if there is one, that a task sleeps by a clock that is
/// moved by hand.
pub(crate) fn sleeps(clock: impl FnOnce() -> Clock) -> Option<Arc<()>> {
    watcher().and_then(|watcher| watcher.sleeps(&clock()))
}

/// The same for many waits.
pub(crate) fn polled_any(
    waker: &Waker,
    waits: impl FnOnce() -> Option<Vec<Wait>>,
) -> Result<Option<Waker>, Cycle> {
    let Some(watcher) = watcher() else {
        return Ok(None);
    };
    waits().map_or(Ok(None), |waits| watcher.polled_any(&waits, waker))
}

/// A future that the thread drives, followed by its watcher. Until it is dropped that is set.
pub(crate) struct Following {
    driven: Driven,
    _watched: Guard,
}

/// Asks the watcher of this thread, if there is one, to follow a future that the thread is about to
/// drive.
pub(crate) fn follow(unpark: &Waker) -> Option<Following> {
    let driven = watcher()?.drives(unpark)?;
    let watched = watch(Arc::clone(&driven.watcher));
    Some(Following {
        driven,
        _watched: watched,
    })
}

impl Following {
    pub(crate) fn waker(&self) -> &Waker {
        &self.driven.waker
    }

    /// Returns whether to poll again at once, rather than to park.
    pub(crate) fn parks(&self, deadline: Option<Instant>, clock: &Clock) -> bool {
        self.driven.watcher.parks(deadline, clock)
    }

    pub(crate) fn unparks(&self) {
        self.driven.watcher.unparks();
    }
}

/// None as well while the thread is ending.
#[inline]
fn watcher() -> Option<Arc<dyn Watcher>> {
    if !IS_WATCHED.try_with(Cell::get).unwrap_or_default() {
        return None;
    }
    WATCHER
        .try_with(|current| current.borrow().clone())
        .unwrap_or_default()
}

/// A wait of which a watcher knows.
pub(crate) struct Watched {
    watcher: Arc<dyn Watcher>,
    wait: Wait,
}

impl Drop for Watched {
    fn drop(&mut self) {
        self.watcher.after(&self.wait);
    }
}

/// The same for many waits.
pub(crate) struct WatchedMany {
    watcher: Arc<dyn Watcher>,
    waits: Vec<Wait>,
}

impl Drop for WatchedMany {
    fn drop(&mut self) {
        self.watcher.after_any(&self.waits);
    }
}
