//! Getting a request into the queue: at once, or by waiting for room, blocking or async.

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

/// Offers a request until it is let in, sleeping while there is no room, until its deadline.
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
                // Looks again before it parks: the watcher is the user's code, which may use up the unpark.
                continue;
            }
        }
        if channel.clock().park_until(deadline) {
            channel.stop_sending(lane, &mut key);
            return Err(NotSent::TimedOut);
        }
    }
}

/// Leaves the line for room when dropped: a watcher is the user's code, and may panic.
struct StopSending<'a, S, R, E>(&'a Channel<S, R, E>, Lane, &'a mut WaiterKey);

impl<S, R, E> Drop for StopSending<'_, S, R, E> {
    fn drop(&mut self) {
        self.0.stop_sending(self.1, self.2);
    }
}

/// What one waits for who waits for room.
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

/// What to make of an unsent request: [`UnsentRequest::send`] or [`UnsentRequest::post`].
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
    /// Kept alive, so that the server does not leave before a request that waits for room.
    client: C,
    /// Until it has been let in or refused.
    unsent: Option<UnsentRequest<S, R, E>>,
    key: WaiterKey,
    timer: Option<Timer>,
    if_room: bool,
    /// Room that was reserved for it.
    room: Option<ReservedRoom<S, R, E>>,
    /// That of the future that sends and, if it awaits the outcome, does that.
    pub(crate) coop: Coop,
    /// Whether it has waited for room, so that the timer wakes who waits for that.
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

    /// Leaves word whom to wake when the outcome is there; unless its caller had better wait awake.
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
            // One that has not been sent waits for nobody; it will be asked about again.
            return false;
        };
        unsent.preregister(exchanged.as_ref().unwrap_or(waker));
        true
    }

    /// Its deadline does not matter any more.
    pub(crate) fn drop_timer(&mut self) {
        self.timer = None;
    }

    /// The timer, for the one who waits for the outcome. Not one that wakes who waits for room: a watcher would find that its waker is kept, and
    /// take the request for one that still does.
    pub(crate) fn take_timer(&mut self) -> Option<Timer> {
        let timer = self.timer.take();
        if self.has_waited { None } else { timer }
    }

    /// Ready when it has been let in (with what `offer` made of it) or refused. Not to be polled after that.
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
        // One that cannot be full needs no line.
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

/// Offers, and registers for room if there is none. Asks for the waiter only then.
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
