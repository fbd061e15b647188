//! Receiving requests: the wait of a task for the next one, and the steps that threads and tasks
//! share.

#![forbid(unsafe_code)]

use std::{
    fmt,
    future::Future,
    pin::Pin,
    task::{Context, Poll},
};

use futures_core::Stream;

use crate::{
    api::reply_context::ReplyContext,
    channel::Channel,
    channel::handoff::Lease,
    channel::queue::WaitMode,
    channel::receive::{ReceiverKind, Taken},
    coop::Coop,
    error::Error,
    slot::list::Batch,
    slot::server::Entry,
    wait::wait_queue::WaiterKey,
    wait::waiter::{Waiter, request_repoll},
    wait::{SpinPolicy, WaitPolicy, YieldState, pause_for_peer, spin_until},
};

/// A message and the context with which to answer it.
pub(crate) type Received<S, R, E> = (S, ReplyContext<R, E>);

/// A stream of the requests of a [`Server`](crate::Server). From
/// [`Server::stream`](crate::Server::stream).
///
/// The stream has its own place in the wait queue of receivers. If it is kept without being polled
/// (in a `select!` loop that is busy with something else), it may be woken for a request that
/// another worker could have taken at once. Where workers share a server, drop the stream instead,
/// or use [`Server::async_wait`](crate::Server::async_wait), which leaves the wait queue when its
/// future is dropped.
///
/// # Cancel safety
/// Dropping the stream loses nothing: see [`Server::async_wait`](crate::Server::async_wait).
/// Dropping a future of its next item loses no request either, but the stream keeps its place in
/// the wait queue.
#[must_use = "streams do nothing unless polled"]
pub struct Requests<'a, S, R, E>(pub(super) Receive<'a, S, R, E>);

impl<S, R, E> Requests<'_, S, R, E> {
    /// Takes a request, or registers the task to be woken when there is one.
    ///
    /// Unlike [`Server::poll_wait`](crate::Server::poll_wait), the stream has its own place in the
    /// wait queue, from the first poll that finds nothing until it takes a request or is dropped.
    ///
    /// # Errors
    /// Returns [`Error::ClientsDisappeared`] if the queue is empty, and no client is left or the
    /// server was [closed](crate::Server::close).
    pub fn poll_wait(&mut self, cx: &mut Context<'_>) -> Poll<Result<Received<S, R, E>, Error<E>>> {
        Pin::new(&mut self.0).poll(cx).map_ok(first)
    }
}

impl<S, R, E> Stream for Requests<'_, S, R, E> {
    type Item = Received<S, R, E>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.poll_wait(cx).map(Result::ok)
    }
}

impl<S, R, E> fmt::Debug for Requests<'_, S, R, E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Requests").finish_non_exhaustive()
    }
}

/// A future that waits in the wait queue for requests. After it was ready, it can be polled again
/// for the next requests.
pub(super) struct Receive<'a, S, R, E> {
    channel: &'a Channel<S, R, E>,
    max: usize,
    key: WaiterKey,
    yield_state: YieldState,
    coop: Coop,
}

impl<'a, S, R, E> Receive<'a, S, R, E> {
    pub(super) fn new(channel: &'a Channel<S, R, E>, max: usize) -> Self {
        Self {
            channel,
            max,
            key: WaiterKey::default(),
            yield_state: YieldState::default(),
            coop: Coop::new(),
        }
    }
}

impl<S, R, E> Future for Receive<'_, S, R, E> {
    type Output = Result<Batch<S, R, E>, Error<E>>;

    #[inline]
    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        if !self.coop.begin(cx) {
            return Poll::Pending;
        }
        let polled = self.poll_without_budget(cx);
        let count = |taken: &Self::Output| taken.as_ref().map_or(1, Batch::len);
        self.coop.end_many(&polled, count);
        polled
    }
}

impl<S, R, E> Receive<'_, S, R, E> {
    #[inline]
    fn poll_without_budget(
        &mut self,
        cx: &mut Context<'_>,
    ) -> Poll<Result<Batch<S, R, E>, Error<E>>> {
        let Self {
            channel,
            max,
            key,
            yield_state,
            ..
        } = self;
        let WaitPolicy { tasks, yields, .. } = &channel.wait_policy;
        let lease = channel.lease_handoff();
        if let Some(call) = await_handoff(channel, lease.as_ref(), tasks) {
            drop(lease);
            if key.is_taken() {
                // The receiver was woken in vain, and a request ends its wait.
                channel.stop_receiving(key);
            }
            return Poll::Ready(Ok(call.into()));
        }
        if !channel.looks_empty() {
            yields.found(yield_state);
        } else if lease.is_none() && !channel.is_deserted() && yields.should_yield(yield_state) {
            // A receiver that holds the lease does not yield: it has to give back the lease under
            // the lock before it leaves.
            request_repoll(cx.waker());
            return Poll::Pending;
        }
        let waiter = || Waiter::task(cx.waker());
        into_poll(
            look(channel, *max, key, waiter, lease, ReceiverKind::Task),
            cx,
        )
    }
}

impl<S, R, E> Drop for Receive<'_, S, R, E> {
    fn drop(&mut self) {
        if self.key.is_taken() {
            self.channel.stop_receiving(&mut self.key);
        }
    }
}

/// Spins for a request that is handed over, or for one in the queue. Takes the request that was
/// handed over, if there is one and the queue is empty.
#[inline]
pub(super) fn await_handoff<S, R, E>(
    channel: &Channel<S, R, E>,
    lease: Option<&Lease<'_, S, R, E>>,
    policy: &SpinPolicy,
) -> Option<Entry<S, R, E>> {
    let lease = lease?;
    if channel.looks_empty() {
        pause_for_peer();
    }
    spin_until(policy, || lease.has_request() || !channel.looks_empty());
    accept_handoff(channel, Some(lease))
}

/// Takes the request that was handed over, if there is one and the queue is empty.
#[inline]
pub(super) fn accept_handoff<S, R, E>(
    channel: &Channel<S, R, E>,
    lease: Option<&Lease<'_, S, R, E>>,
) -> Option<Entry<S, R, E>> {
    let lease = lease?;
    if !channel.looks_empty() {
        // The queue may hold an urgent request.
        return None;
    }
    let call = lease.accept(false)?;
    lease.count();
    Some(call)
}

/// Takes requests, or registers the waiter.
///
/// Calls `waiter` only if it seems to be needed: cloning a waker runs the user's code and is not
/// free. Runs none of that code while it holds the lease. If the code panicked, the lease would be
/// given back without waking other receivers; if the code waited for other receivers, the lease
/// would never be given back.
#[inline]
pub(super) fn look<S, R, E>(
    channel: &Channel<S, R, E>,
    max: usize,
    key: &mut WaiterKey,
    waiter: impl FnOnce() -> Waiter,
    mut lease: Option<Lease<'_, S, R, E>>,
    kind: ReceiverKind,
) -> Taken<S, R, E> {
    if !channel.looks_empty() {
        for _ in 0..OVERDUE_ROUNDS {
            match channel.take(max, WaitMode::InLine(key, None), lease.take(), kind) {
                Taken::Overdue => {}
                Taken::Empty => {
                    return channel.take(max, WaitMode::InLine(key, Some(waiter())), None, kind);
                }
                taken => return taken,
            }
        }
        return Taken::Overdue;
    }
    if lease.is_some() && kind == ReceiverKind::Task {
        // The lease is given back first: cloning a waker runs the user's code, which may panic, or
        // send a request to this very server. The `take` below finds a request that comes in
        // between.
        match channel.take(max, WaitMode::InLine(key, None), lease.take(), kind) {
            Taken::Empty => {}
            taken => return taken,
        }
    }
    channel.take(max, WaitMode::InLine(key, Some(waiter())), lease, kind)
}

/// The number of times that a receiver skips overdue requests before it checks its own deadline, or
/// lets other tasks run.
pub(super) const OVERDUE_ROUNDS: usize = 64;

#[inline]
pub(super) fn into_result<S, R, E>(
    taken: Taken<S, R, E>,
) -> Result<Option<Batch<S, R, E>>, Error<E>> {
    match taken {
        Taken::Some(list) => Ok(Some(list)),
        Taken::Empty | Taken::Overdue => Ok(None),
        Taken::Closed => Err(Error::ClientsDisappeared),
    }
}

#[inline]
pub(super) fn into_poll<S, R, E>(
    taken: Taken<S, R, E>,
    cx: &mut Context<'_>,
) -> Poll<Result<Batch<S, R, E>, Error<E>>> {
    if let Taken::Overdue = taken {
        // No waker was registered, so the task wakes itself.
        cx.waker().wake_by_ref();
    }
    into_result(taken)
        .transpose()
        .map_or(Poll::Pending, Poll::Ready)
}

/// Returns the only request of a batch.
#[inline]
pub(super) fn first<S, R, E>(mut taken: Batch<S, R, E>) -> Received<S, R, E> {
    let entry = taken.pop_front().expect("what was taken is not nothing");
    entry.take(ReplyContext::new)
}
