//! Receiving by a loop that sleeps by its own means: in `epoll`, say, where other events wake it as
//! well.

#![forbid(unsafe_code)]

use std::{fmt, task::Waker};

use crate::{
    api::receive::{OVERDUE_ROUNDS, Received, accept_handoff, await_handoff, first},
    api::reply_context::ReplyContext,
    channel::Channel,
    channel::handoff::Lease,
    channel::queue::WaitMode,
    channel::receive::{ReceiverKind, Taken},
    error::Error,
    slot::list::Batch,
    slot::server::Entry,
    wait::SleepStart,
    wait::wait_queue::WaiterKey,
    wait::waiter::{Waiter, request_repoll},
};

/// The place of a loop among the receivers of its server, if the loop waits for other events as
/// well and so sleeps by its own means. From
/// [`LoopView::requests`](crate::hooks::LoopView::requests).
///
/// A loop takes requests with [`try_take`](Self::try_take) as long as it has something else to do.
/// Before it sleeps it calls [`take_or_register`](Self::take_or_register) with a waker that ends
/// the sleep, also if it is woken before the sleep begins.
///
/// ```
/// use std::{sync::Arc, task::{Wake, Waker}, thread::{self, Thread}};
/// use ump::hooks::LoopView;
///
/// struct Unpark(Thread);
///
/// impl Wake for Unpark {
///     fn wake(self: Arc<Self>) {
///         self.0.unpark();
///     }
/// }
///
/// let (server, client) = ump::channel::<u32, u32, ()>();
/// let server = thread::spawn(move || {
///     let waker = Waker::from(Arc::new(Unpark(thread::current())));
///     let mut requests = LoopView::new(&server).requests();
///     loop {
///         // Here the loop looks at its other events.
///         match requests.take_or_register(&waker, true) {
///             Ok(Some((n, rctx))) => rctx.reply(n + 1).unwrap(),
///             Ok(None) => thread::park(), // or `epoll_wait`
///             Err(_) => break,
///         }
///     }
/// });
/// assert_eq!(client.req(1), Ok(2));
/// drop(client);
/// server.join().unwrap();
/// ```
///
/// Dropping it loses no request. If it was woken for a request that it has not taken, the next
/// receiver is woken.
pub struct LoopRequests<'a, S, R, E> {
    channel: &'a Channel<S, R, E>,
    key: WaiterKey,
    /// The start of the sleep that the last registration announced.
    asleep: Option<SleepStart>,
}

impl<'a, S, R, E> LoopRequests<'a, S, R, E> {
    pub(super) fn new(channel: &'a Channel<S, R, E>) -> Self {
        Self {
            channel,
            key: WaiterKey::default(),
            asleep: None,
        }
    }

    /// Takes a request if there is one. Otherwise it gives up the place in the wait queue: the loop
    /// has something else to do.
    ///
    /// # Errors
    /// Returns [`Error::ClientsDisappeared`] if the queue is empty, and no client is left or the
    /// server was [closed](crate::Server::close).
    #[inline]
    pub fn try_take(&mut self) -> Result<Option<Received<S, R, E>>, Error<E>> {
        let lease = self.channel.lease_handoff();
        if let Some(call) = accept_handoff(self.channel, lease.as_ref()) {
            drop(lease);
            return Ok(Some(self.accepted(call)));
        }
        let taken = self.take(lease)?;
        if taken.is_none() {
            self.asleep = None;
            self.leave();
        }
        Ok(taken)
    }

    /// Takes a request if there is one, or if one comes while the loop stays awake for a moment, as
    /// a blocking receiver does. It registers nothing: before the loop sleeps, it calls
    /// [`take_or_register`](Self::take_or_register).
    ///
    /// # Errors
    /// Returns [`Error::ClientsDisappeared`] if the queue is empty, and no client is left or the
    /// server was [closed](crate::Server::close). It may return `Ok(None)` in that case, too.
    #[inline]
    pub fn take_awake(&mut self) -> Result<Option<Received<S, R, E>>, Error<E>> {
        let channel = self.channel;
        let lease = channel.lease_handoff();
        let policy = &channel.wait_policy.threads;
        if let Some(call) = await_handoff(channel, lease.as_ref(), policy) {
            drop(lease);
            return Ok(Some(self.accepted(call)));
        }
        if lease.is_none() {
            crate::wait::spin_until(policy, || !channel.looks_empty());
        }
        self.take_unless_empty(lease)
    }

    /// Takes a request, or registers the waker and returns `Ok(None)`. With `spins`, it first stays
    /// awake for a moment, as [`take_awake`](Self::take_awake) does.
    ///
    /// If it returns `Ok(None)`, the waker is woken when there is a request, when no client is
    /// left, or when the server is closed. It may be woken without a reason.
    ///
    /// # Errors
    /// Returns [`Error::ClientsDisappeared`] if the queue is empty, and no client is left or the
    /// server was [closed](crate::Server::close).
    pub fn take_or_register(
        &mut self,
        waker: &Waker,
        spins: bool,
    ) -> Result<Option<Received<S, R, E>>, Error<E>> {
        let channel = self.channel;
        let taken = if spins {
            self.take_awake()?
        } else {
            let lease = channel.lease_handoff();
            if let Some(call) = accept_handoff(channel, lease.as_ref()) {
                drop(lease);
                return Ok(Some(self.accepted(call)));
            }
            self.take_unless_empty(lease)?
        };
        if taken.is_some() {
            return Ok(taken);
        }
        let mode = WaitMode::InLine(&mut self.key, Some(Waiter::task(waker)));
        match channel.take(1, mode, None, ReceiverKind::Thread) {
            Taken::Some(taken) => Ok(Some(self.took(taken))),
            Taken::Empty => {
                self.asleep = Some(channel.wait_policy.threads.sleeps());
                Ok(None)
            }
            Taken::Overdue => {
                // Nothing was registered, so the loop looks again.
                request_repoll(waker);
                Ok(None)
            }
            Taken::Closed => Err(Error::ClientsDisappeared),
        }
    }

    /// Takes a request from the queue unless that seems to be empty, and gives back the lease.
    ///
    /// The lease is given back before a waker is cloned, because that is the user's code. The
    /// `take` that registers finds a request that comes in between.
    #[inline]
    fn take_unless_empty(
        &mut self,
        lease: Option<Lease<'_, S, R, E>>,
    ) -> Result<Option<Received<S, R, E>>, Error<E>> {
        if lease.is_some() || !self.channel.looks_empty() {
            self.take(lease)
        } else {
            Ok(None)
        }
    }

    /// Takes a request from the queue, under the lock.
    #[inline]
    fn take(
        &mut self,
        mut lease: Option<Lease<'_, S, R, E>>,
    ) -> Result<Option<Received<S, R, E>>, Error<E>> {
        for _ in 0..OVERDUE_ROUNDS {
            let mode = WaitMode::InLine(&mut self.key, None);
            match self
                .channel
                .take(1, mode, lease.take(), ReceiverKind::Thread)
            {
                Taken::Some(taken) => return Ok(Some(self.took(taken))),
                Taken::Empty => break,
                Taken::Overdue => {}
                Taken::Closed => return Err(Error::ClientsDisappeared),
            }
        }
        Ok(None)
    }

    /// Ends the wait with a request from the queue. See `end_wait`.
    #[inline]
    fn took(&mut self, taken: Batch<S, R, E>) -> Received<S, R, E> {
        self.end_wait();
        first(taken)
    }

    /// Ends the wait with a request that was handed over. See `end_wait`.
    #[inline]
    fn accepted(&mut self, call: Entry<S, R, E>) -> Received<S, R, E> {
        self.end_wait();
        call.take(ReplyContext::new)
    }

    /// Ends the wait. It may wake other receivers, which runs code of users: not to be called with
    /// the lease.
    #[inline]
    fn end_wait(&mut self) {
        if self.asleep.is_some() {
            self.end_sleep();
        }
        // A request that was handed over does not end the wait in the queue.
        self.leave();
    }

    #[cold]
    fn end_sleep(&mut self) {
        if let Some(asleep) = self.asleep.take() {
            self.channel.wait_policy.threads.woken(asleep);
        }
    }

    /// Gives up the place in the wait queue, if there is one. If the loop was woken for a request,
    /// the next receiver is woken: for a loop that does something else before it takes a request.
    #[inline]
    pub fn leave(&mut self) {
        if self.key.is_taken() {
            self.channel.stop_receiving(&mut self.key);
        }
    }
}

impl<S, R, E> Drop for LoopRequests<'_, S, R, E> {
    fn drop(&mut self) {
        self.leave();
    }
}

impl<S, R, E> fmt::Debug for LoopRequests<'_, S, R, E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LoopRequests").finish_non_exhaustive()
    }
}
