//! Sends a request into the queue: at once, or after waiting for room, blocking or async.

#![forbid(unsafe_code)]

use std::{
    mem,
    task::{Context, Poll, Waker},
    time::Instant,
};

use crate::{
    channel::Channel,
    channel::admission::Refusal,
    channel::queue::WaitMode,
    coop::Coop,
    error::cycle::Cycle,
    error::os_error::OsError,
    error::send_error::SendError,
    hooks::{self, Goal, RequestId, Wait},
    inflight::pending::UnsentRequest,
    inflight::room::ReservedRoom,
    options::{Lane, RequestOptions},
    sync::current,
    time::clock::Clock,
    time::sleep::Timer,
    wait::wait_queue::WaiterKey,
    wait::waiter::Waiter,
};

/// Why a request did not get into the queue.
#[derive(Debug)]
pub(crate) enum NotSent {
    Refused(Refusal),
    TimedOut,
    WouldDeadlock(Cycle),
    NoTimer(OsError),
}

impl NotSent {
    pub(crate) fn with<S>(self, message: S) -> SendError<S> {
        match self {
            Self::Refused(Refusal::Full) => SendError::Full(message),
            Self::Refused(Refusal::ServerDisappeared) => SendError::ServerDisappeared(message),
            Self::TimedOut => SendError::TimeoutQueued(message),
            Self::WouldDeadlock(cycle) => SendError::WouldDeadlock(message, cycle),
            Self::NoTimer(refusal) => SendError::NoTimer(message, refusal),
        }
    }
}

/// Offers a request until the channel admits it. Sleeps while there is no room, until the request's
/// deadline.
#[inline]
pub(crate) fn send_blocking<S, R, E, T>(
    channel: &Channel<S, R, E>,
    request: RequestId,
    RequestOptions { lane, deadline, .. }: RequestOptions,
    if_room: bool,
    mut offer: impl FnMut(WaitMode<'_>) -> Result<T, Refusal>,
) -> Result<T, NotSent> {
    if channel.clock().has_passed(deadline) {
        channel.refuse();
        return Err(NotSent::TimedOut);
    }
    if if_room {
        return offer(WaitMode::NoWait).map_err(NotSent::Refused);
    }
    let mut key = WaiterKey::default();
    let mut watched = None;
    loop {
        let waiter = || Waiter::Thread(current());
        match offer_in_line(&mut key, waiter, &mut offer) {
            Err(Refusal::Full) => {}
            other => return other.map_err(NotSent::Refused),
        }
        if watched.is_none() {
            let leaves = StopSending(channel, lane, &mut key);
            let asked = hooks::before(|| for_room(channel, request, lane, deadline));
            watched = Some(asked.map_err(NotSent::WouldDeadlock)?);
            mem::forget(leaves);
            if matches!(watched, Some(Some(_))) {
                // Check again before parking: the watcher is the user's code, which may use up the
                // unpark.
                continue;
            }
        }
        if channel.clock().park_until(deadline) {
            channel.stop_sending(lane, &mut key);
            return Err(NotSent::TimedOut);
        }
    }
}

/// Stops waiting for room when dropped: a watcher is the user's code, and may panic.
struct StopSending<'a, S, R, E>(&'a Channel<S, R, E>, Lane, &'a mut WaiterKey);

impl<S, R, E> Drop for StopSending<'_, S, R, E> {
    fn drop(&mut self) {
        self.0.stop_sending(self.1, self.2);
    }
}

/// Describes a wait for room to the watchers.
pub(crate) fn for_room<S, R, E>(
    channel: &Channel<S, R, E>,
    request: RequestId,
    lane: Lane,
    deadline: Option<Instant>,
) -> Wait {
    Wait {
        request,
        channel: channel.id(),
        deadline,
        clock: channel.clock().id(),
        goal: Goal::Room,
        lane,
        is_first: true,
    }
}

/// How to send an unsent request: [`UnsentRequest::send`] or [`UnsentRequest::post`].
pub(crate) trait Offer<S, R, E, T>:
    Fn(
    UnsentRequest<S, R, E>,
    &Channel<S, R, E>,
    WaitMode<'_>,
) -> Result<T, (UnsentRequest<S, R, E>, Refusal)>
{
}

impl<S, R, E, T, F> Offer<S, R, E, T> for F where
    F: Fn(
        UnsentRequest<S, R, E>,
        &Channel<S, R, E>,
        WaitMode<'_>,
    ) -> Result<T, (UnsentRequest<S, R, E>, Refusal)>
{
}

/// A request on its way into the queue, awaited.
pub(crate) struct Sending<C: AsRef<Channel<S, R, E>>, S, R, E> {
    /// The client is kept, so that the server does not close before a request that waits for room
    /// is sent.
    client: C,
    /// The request, until it is admitted or refused.
    unsent: Option<UnsentRequest<S, R, E>>,
    key: WaiterKey,
    timer: Option<Timer>,
    if_room: bool,
    /// Room that was reserved for the request.
    room: Option<ReservedRoom<S, R, E>>,
    /// The cooperative budget of the future that sends the request and, if it awaits the outcome,
    /// of that wait.
    pub(crate) coop: Coop,
    /// Whether the request has waited for room, so that the timer holds the waker of that wait.
    has_waited: bool,
}

impl<C: AsRef<Channel<S, R, E>>, S, R, E> Sending<C, S, R, E> {
    pub(crate) fn new(
        client: C,
        unsent: UnsentRequest<S, R, E>,
        if_room: bool,
        room: Option<ReservedRoom<S, R, E>>,
    ) -> Self {
        Self {
            client,
            unsent: Some(unsent),
            key: WaiterKey::default(),
            timer: None,
            if_room,
            room,
            coop: Coop::new(),
            has_waited: false,
        }
    }

    /// Registers the waker for the outcome, unless the caller had better wait awake. Returns
    /// whether it has.
    #[inline]
    pub(crate) fn preregister(&mut self, waker: &Waker) -> bool {
        let unsent = self
            .unsent
            .as_mut()
            .filter(|unsent| !unsent.is_to_be_awaited_awake());
        let Some(unsent) = unsent else {
            return false;
        };
        let core = unsent.core();
        let Ok(exchanged) = hooks::polled(waker, || core.awaited(core.deadline(), true)) else {
            // A request that has not been sent waits for nobody. The watcher is asked again later.
            return false;
        };
        unsent.preregister(exchanged.as_ref().unwrap_or(waker));
        true
    }

    /// Drops the timer, as the deadline does not matter any more.
    pub(crate) fn drop_timer(&mut self) {
        self.timer = None;
    }

    /// Takes the timer for the wait for the outcome. Returns `None` if the timer holds the waker of
    /// a wait for room: a watcher would find that its waker is kept, and take the request for one
    /// that still waits for room.
    pub(crate) fn take_timer(&mut self) -> Option<Timer> {
        let timer = self.timer.take();
        if self.has_waited { None } else { timer }
    }

    /// Becomes ready when the request is admitted (with the result of `offer`) or refused. Not to
    /// be polled after that.
    #[inline]
    pub(crate) fn poll<T>(
        &mut self,
        cx: &mut Context<'_>,
        offer: impl Offer<S, R, E, T>,
    ) -> Poll<Result<T, SendError<S>>> {
        let why = match self.try_send(cx, offer) {
            Ok(sent) => return sent.map(Ok),
            Err(why) => why,
        };
        if !matches!(why, NotSent::Refused(_)) {
            self.give_up();
        }
        self.drop_timer();
        let unsent = self.unsent.take().expect(POLLED_AGAIN);
        Poll::Ready(Err(why.with(unsent.into_message())))
    }

    #[inline]
    fn try_send<T>(
        &mut self,
        cx: &mut Context<'_>,
        offer: impl Offer<S, R, E, T>,
    ) -> Result<Poll<T>, NotSent> {
        let core = self.unsent.as_ref().expect(POLLED_AGAIN).core();
        let (request, lane, deadline) = (core.id(), core.lane(), core.deadline());
        if self.clock().has_passed(deadline) {
            return Err(NotSent::TimedOut);
        }
        if let (Some(deadline), None) = (deadline, &self.timer) {
            let timer = self.clock().timer(deadline);
            self.timer = Some(timer.map_err(|refusal| NotSent::NoTimer(refusal.into()))?);
        }
        let slot = &mut self.unsent;
        let mut offer = |mode: WaitMode<'_>| {
            let unsent = slot.take().expect(POLLED_AGAIN);
            offer(unsent, self.client.as_ref(), mode).map_err(|(unsent, refusal)| {
                *slot = Some(unsent);
                refusal
            })
        };
        // A request that has reserved room, that must not wait, or whose channel is unbounded does
        // not wait in line.
        if self.room.is_some() {
            return match offer(WaitMode::Reserved) {
                Ok(sent) => {
                    if let Some(room) = self.room.take() {
                        room.spend();
                    }
                    Ok(Poll::Ready(sent))
                }
                Err(refusal) => Err(NotSent::Refused(refusal)),
            };
        }
        if self.if_room || self.client.as_ref().capacity().is_none() {
            return match offer(WaitMode::NoWait) {
                Ok(sent) => Ok(Poll::Ready(sent)),
                Err(refusal) => Err(NotSent::Refused(refusal)),
            };
        }
        match offer(WaitMode::InLine(&mut self.key, None)) {
            Ok(sent) => return Ok(Poll::Ready(sent)),
            Err(Refusal::Full) => {}
            Err(refusal) => return Err(NotSent::Refused(refusal)),
        }
        let channel = self.client.as_ref();
        let wait = || for_room(channel, request, lane, deadline).again(self.key.is_taken());
        let exchanged = hooks::polled(cx.waker(), wait).map_err(NotSent::WouldDeadlock)?;
        let waker = exchanged.as_ref().unwrap_or(cx.waker());
        match offer(WaitMode::InLine(&mut self.key, Some(Waiter::task(waker)))) {
            Ok(sent) => return Ok(Poll::Ready(sent)),
            Err(Refusal::Full) => self.has_waited = true,
            Err(refusal) => return Err(NotSent::Refused(refusal)),
        }
        let mut cx = Context::from_waker(waker);
        match self.timer.as_mut().map(|timer| timer.poll(&mut cx)) {
            Some(Poll::Ready(Ok(()))) => Err(NotSent::TimedOut),
            Some(Poll::Ready(Err(refusal))) => Err(NotSent::NoTimer(refusal.into())),
            Some(Poll::Pending) | None => Ok(Poll::Pending),
        }
    }

    #[inline]
    fn clock(&self) -> &Clock {
        self.client.as_ref().clock()
    }

    fn give_up(&mut self) {
        let (Some(unsent), channel) = (&self.unsent, self.client.as_ref()) else {
            return;
        };
        if self.key.is_taken() {
            channel.stop_sending(unsent.core().lane(), &mut self.key);
        } else {
            channel.refuse();
        }
    }
}

impl<C: AsRef<Channel<S, R, E>>, S, R, E> Drop for Sending<C, S, R, E> {
    fn drop(&mut self) {
        if self.key.is_taken() {
            self.give_up();
        }
    }
}

pub(crate) const POLLED_AGAIN: &str = "polled after it was ready";

/// Offers a request, and registers a waiter for room if there is none. Calls `waiter` only in that
/// case.
#[inline]
pub(crate) fn offer_in_line<T>(
    key: &mut WaiterKey,
    waiter: impl FnOnce() -> Waiter,
    mut offer: impl FnMut(WaitMode<'_>) -> Result<T, Refusal>,
) -> Result<T, Refusal> {
    match offer(WaitMode::InLine(key, None)) {
        Err(Refusal::Full) => offer(WaitMode::InLine(key, Some(waiter()))),
        other => other,
    }
}
