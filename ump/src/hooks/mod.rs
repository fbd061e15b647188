//! Deadlock detection for server loops: a caller that would wait for itself gets an error instead.
//!
//! A handler that sends a blocking request to its own server waits for ever, as the handler itself
//! would have to answer. So do two handlers whose servers send requests to each other. Only the
//! loops know which thread answers which channel, so the loops keep the graph of waits. This module
//! gives authors of loops the means to do so:
//!
//! - A loop [sets](watch) a [`Watcher`] on its thread. Right before a caller on that thread falls
//!   asleep, it asks the watcher whether it may.
//! - A [`Wait`] describes what the caller waits for, its [`Goal`]: the reply to a request, room in
//!   a queue, or the end of a loop. The wait names the request by its [`RequestId`] and the channel
//!   by its [`ChannelId`]. [`ReplyContext::id`](crate::ReplyContext::id) names the same request on
//!   the side of its handler. [`LoopView::is_queued`] tells whether the request is still in the
//!   queue. `Server::id` and `Client::id` name the channel.
//! - If a watcher finds a [`Cycle`], it returns the cycle. The request then ends in
//!   [`WouldDeadlock`](crate::RequestError::WouldDeadlock), or in
//!   [`WouldDeadlockTaken`](crate::RequestError::WouldDeadlockTaken) if a handler has taken it
//!   already. In the second case, the watcher has to be certain that this handler will not answer
//!   either, as the handler waits for the caller.
//!
//! ```
//! use std::{sync::Arc, thread};
//! use ump::{RequestError, hooks::{self, ChannelId, Cycle, Wait, Watcher}};
//!
//! /// The watcher of a loop that serves one channel on one thread. It detects the smallest cycle.
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
//!     // This handler would have to answer its own request.
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
//! These waits are watched: [`Client::req`](crate::Client::req),
//! [`Request::wait`](crate::Request::wait), the waits of [`WaitReply`](crate::WaitReply) and
//! [`Gather`](crate::Gather), and all calls that block until there is room in a bounded queue.
//!
//! A wait that is bounded by its own call, so that the request goes on after it, is not watched:
//! [`WaitReply::wait_timeout`](crate::WaitReply::wait_timeout) and
//! [`wait_deadline`](crate::WaitReply::wait_deadline), up to an instant before the request's own
//! deadline, and [`Gather::wait_timeout`](crate::Gather::wait_timeout). Such a wait ends by itself,
//! and the request may be answered later, even by the handler that waited. So a handler that waits
//! for its own server in this way, again and again, gets no error.
//!
//! # Room in a queue
//!
//! A request that waits for room needs a worker that takes a request out of the queue, unless a
//! queued request leaves in another way: at its deadline, or because its caller drops it.
//! [`LoopView::without_room`] returns the queued requests that can. If there are none, only the
//! workers of that server make room.
//!
//! # The end of a loop
//!
//! A channel does not know the end of its loop, which comes after the last request. So a loop's own
//! `join` reports its wait as a wait [`for_end`](Wait::for_end): with [`announce`] if it blocks,
//! and with [`announce_poll`] if it is awaited. The wait that `join` uses internally is
//! [not reported](unwatched) a second time.
//!
//! ```
//! use ump::{WaitReply, Clock, RequestError, hooks::{self, ChannelId, Cycle, Wait}};
//!
//! type End = WaitReply<(), (), RequestError<(), ()>>;
//!
//! /// Blocks until the loop that serves a channel has answered the request for its end.
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
//! [`Clock::block_on`](crate::Clock::block_on) asks the watcher of its thread
//! [to follow the future](Watcher::drives). If the watcher does, it returns a waker and a watcher.
//! The thread polls the future with that waker and under that watcher, and asks that watcher
//! [before it parks](Watcher::parks). Other executors do not ask.
//!
//! # Tasks
//!
//! Tasks that await are [reported](Watcher::polled) with the waker with which they were polled. A
//! task may await something else as well. Only the loop that polls the task can find that out, by
//! the wakers that are left when the poll is over. So a watcher may replace the waker, and return
//! the cycle when the task is polled again.
//!
//! A caller that finds the outcome while it spins asks no watcher, so its request costs no more. A
//! thread without a watcher reads one thread-local value before it falls asleep, and so does a task
//! before it registers its waker.

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
    loop_view::{LoopRequests, LoopView},
    wait::{ChannelId, Goal, RequestId, Wait},
    watcher::{Driven, MANY, Watcher},
};
pub use crate::error::cycle::Cycle;

use crate::{
    sync::{WakerArc as Arc, of_each_thread},
    time::clock::Clock,
};

of_each_thread! {
    /// Whether this thread has a watcher. The value needs no drop, so one instruction reads it.
    static IS_WATCHED: Cell<bool> = Cell::new(false);
    static WATCHER: RefCell<Option<Arc<dyn Watcher>>> = RefCell::new(None);
}

/// Sets the watcher of this thread until the guard is dropped, which sets the previous watcher
/// again.
#[must_use = "dropped, nobody watches any more"]
pub fn watch(watcher: Arc<dyn Watcher>) -> Guard {
    Guard {
        before: set(Some(watcher)),
        of_this_thread: PhantomData,
    }
}

/// Removes the watcher of this thread until the guard is dropped, which sets it again. For a wait
/// that was [announced](announce) already.
#[must_use = "dropped, the thread is watched again"]
pub fn unwatched() -> Guard {
    Guard {
        before: set(None),
        of_this_thread: PhantomData,
    }
}

/// Returns the watcher of this thread, if there is one.
#[must_use]
pub fn current() -> Option<Arc<dyn Watcher>> {
    watcher()
}

/// Reports a wait that is not one of this crate to the watcher of this thread, if there is one.
/// Call this right before the caller sleeps, and drop the returned value when the caller sleeps no
/// more.
///
/// # Errors
/// Returns the cycle in which the caller would wait for itself.
pub fn announce(wait: &Wait) -> Result<Announced, Cycle> {
    before(|| *wait).map(Announced)
}

/// Reports the wait of a task that is about to register `waker`. If a waker is returned, register
/// that one instead: see [`Watcher::polled`].
///
/// # Errors
/// Returns the cycle in which the task would wait for itself.
pub fn announce_poll(wait: &Wait, waker: &Waker) -> Result<Option<Waker>, Cycle> {
    polled(waker, || *wait)
}

/// A wait that was reported to a watcher, if there is one. Dropping it reports that the wait is
/// over. From [`announce`].
#[must_use = "dropped, the wait is over"]
pub struct Announced(#[expect(dead_code, reason = "it is dropped")] Option<Watched>);

impl fmt::Debug for Announced {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Announced").finish_non_exhaustive()
    }
}

/// A guard that sets the previous watcher again when it is dropped. From [`watch`], or from
/// [`unwatched`].
#[must_use = "dropped, nobody watches any more"]
pub struct Guard {
    before: Option<Arc<dyn Watcher>>,
    of_this_thread: PhantomData<*const ()>,
}

impl Drop for Guard {
    fn drop(&mut self) {
        // A watcher is the user's code, so the one that was set is dropped only after `set` has
        // released the cell.
        drop(set(self.before.take()));
    }
}

/// Sets the watcher of this thread, and returns the previous one.
fn set(watcher: Option<Arc<dyn Watcher>>) -> Option<Arc<dyn Watcher>> {
    let is_watched = watcher.is_some();
    // The thread-local is gone while the thread is ending.
    let before = WATCHER.try_with(|current| current.replace(watcher));
    let _ = IS_WATCHED.try_with(|current| current.set(is_watched));
    before.unwrap_or_default()
}

impl fmt::Debug for Guard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Guard").finish_non_exhaustive()
    }
}

/// Asks the watcher of this thread, if there is one, whether the caller may sleep. The returned
/// value is to be dropped when the caller sleeps no more.
///
/// # Errors
/// Returns the cycle in which the caller would wait for itself.
#[inline]
pub(crate) fn before(wait: impl FnOnce() -> Wait) -> Result<Option<Watched>, Cycle> {
    let Some(watcher) = watcher() else {
        return Ok(None);
    };
    let wait = wait();
    watcher.before(&wait)?;
    Ok(Some(Watched { watcher, wait }))
}

/// Asks the watcher of this thread as [`before`] does, about many waits. Returns `Ok(None)` if
/// there is no watcher, or if there are too many waits.
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

/// Reports the poll of a task to the watcher of this thread, if there is one. Returns the waker to
/// register instead, if the watcher has returned one.
///
/// # Errors
/// Returns the cycle in which the task would wait for itself.
#[inline]
pub(crate) fn polled(waker: &Waker, wait: impl FnOnce() -> Wait) -> Result<Option<Waker>, Cycle> {
    match watcher() {
        Some(watcher) => watcher.polled(&wait(), waker),
        None => Ok(None),
    }
}

/// Reports to the watcher of this thread, if there is one, that a task sleeps by a manual clock.
pub(crate) fn sleeps(clock: impl FnOnce() -> Clock) -> Option<Arc<()>> {
    watcher().and_then(|watcher| watcher.sleeps(&clock()))
}

/// Reports the poll of a task as [`polled`] does, for many waits.
pub(crate) fn polled_any(
    waker: &Waker,
    waits: impl FnOnce() -> Option<Vec<Wait>>,
) -> Result<Option<Waker>, Cycle> {
    let Some(watcher) = watcher() else {
        return Ok(None);
    };
    waits().map_or(Ok(None), |waits| watcher.polled_any(&waits, waker))
}

/// A driven future that a watcher follows. That watcher is set until this is dropped.
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

    /// Returns whether to poll again at once, instead of parking.
    pub(crate) fn parks(&self, deadline: Option<Instant>, clock: &Clock) -> bool {
        self.driven.watcher.parks(deadline, clock)
    }

    pub(crate) fn unparks(&self) {
        self.driven.watcher.unparks();
    }
}

/// Returns the watcher of this thread. Returns `None` also while the thread is ending.
#[inline]
fn watcher() -> Option<Arc<dyn Watcher>> {
    if !IS_WATCHED.try_with(Cell::get).unwrap_or_default() {
        return None;
    }
    WATCHER
        .try_with(|current| current.borrow().clone())
        .unwrap_or_default()
}

/// A wait that was reported to a watcher. Dropping it reports that the wait is over.
pub(crate) struct Watched {
    watcher: Arc<dyn Watcher>,
    wait: Wait,
}

impl Drop for Watched {
    fn drop(&mut self) {
        self.watcher.after(&self.wait);
    }
}

/// Many waits that were reported to a watcher. Dropping this reports that they are over.
pub(crate) struct WatchedMany {
    watcher: Arc<dyn Watcher>,
    waits: Vec<Wait>,
}

impl Drop for WatchedMany {
    fn drop(&mut self) {
        self.watcher.after_any(&self.waits);
    }
}
