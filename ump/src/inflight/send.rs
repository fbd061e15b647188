//! Getting a request into the queue: at once, or by waiting for room, blocking or async.

#![forbid(unsafe_code)]

use std::{
    mem,
    task::{Context, Poll, Waker},
    time::Instant,
};

use crate::{
    api::client::ClientRef,
    api::permit::Room,
    channel::{Channel, Place, Refusal},
    coop::Coop,
    error::SendError,
    error::os_error::OsError,
    inflight::pending::Draft,
    slot::{Lane, Terms},
    sync::current,
    time::clock::{Alarm, Clock},
    wait::waiter::{Turn, Waiter},
    waits::{self, Circle, Goal, RequestId, Wait},
};

/// Why a request did not get into the queue.
#[derive(Debug)]
pub(crate) enum NotSent {
    Refused(Refusal),
    Late,
    WouldDeadlock(Circle),
    NoTimer(OsError),
}

impl NotSent {
    pub(crate) fn with<S>(self, message: S) -> SendError<S> {
        match self {
            Self::Refused(Refusal::Full) => SendError::Full(message),
            Self::Refused(Refusal::ServerDisappeared) => SendError::ServerDisappeared(message),
            Self::Late => SendError::TimeoutQueued(message),
            Self::WouldDeadlock(circle) => SendError::WouldDeadlock(message, circle),
            Self::NoTimer(refusal) => SendError::NoTimer(message, refusal),
        }
    }
}

/// Offers a request until it is let in, sleeping while there is no room, until its deadline.
#[inline]
pub(crate) fn send_blocking<S, R, E, T>(
    channel: &Channel<S, R, E>,
    request: RequestId,
    Terms { lane, deadline, .. }: Terms,
    if_room: bool,
    mut offer: impl FnMut(Place<'_>) -> Result<T, Refusal>,
) -> Result<T, NotSent> {
    if channel.clock().has_passed(deadline) {
        channel.refuse();
        return Err(NotSent::Late);
    }
    if if_room {
        return offer(Place::Nowhere).map_err(NotSent::Refused);
    }
    let mut turn = Turn::default();
    let mut watched = None;
    loop {
        let waiter = || Waiter::Thread(current());
        match offer_in_line(&mut turn, waiter, &mut offer) {
            Err(Refusal::Full) => {}
            other => return other.map_err(NotSent::Refused),
        }
        if watched.is_none() {
            let leaves = Leaves(channel, lane, &mut turn);
            let asked = waits::before(|| for_room(channel, request, lane, deadline));
            watched = Some(asked.map_err(NotSent::WouldDeadlock)?);
            mem::forget(leaves);
            if matches!(watched, Some(Some(_))) {
                // Looks again before it parks: the watcher is the user's code, which may use up the unpark.
                continue;
            }
        }
        if channel.clock().park_until(deadline) {
            channel.stop_sending(lane, &mut turn);
            return Err(NotSent::Late);
        }
    }
}

/// Leaves the line for room when dropped: a watcher is the user's code, and may panic.
struct Leaves<'a, S, R, E>(&'a Channel<S, R, E>, Lane, &'a mut Turn);

impl<S, R, E> Drop for Leaves<'_, S, R, E> {
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

/// What to make of a draft: [`Draft::send`] or [`Draft::post`].
pub(crate) trait Offer<S, R, E, T>:
    Fn(Draft<S, R, E>, &Channel<S, R, E>, Place<'_>) -> Result<T, (Draft<S, R, E>, Refusal)>
{
}

impl<S, R, E, T, F> Offer<S, R, E, T> for F where
    F: Fn(Draft<S, R, E>, &Channel<S, R, E>, Place<'_>) -> Result<T, (Draft<S, R, E>, Refusal)>
{
}

/// A request on its way into the queue, awaited.
pub(crate) struct Sending<'a, S, R, E> {
    /// Kept alive, so that the server does not leave before a request that waits for room.
    client: ClientRef<'a, S, R, E>,
    /// Until it has been let in or refused.
    draft: Option<Draft<S, R, E>>,
    turn: Turn,
    alarm: Option<Alarm>,
    if_room: bool,
    /// Room that was reserved for it.
    room: Option<Room<S, R, E>>,
    /// That of the future that sends and, if it awaits the outcome, does that.
    pub(crate) coop: Coop,
    /// Whether it has waited for room, so that the alarm wakes who waits for that.
    has_waited: bool,
}

impl<'a, S, R, E> Sending<'a, S, R, E> {
    pub(crate) fn new(
        client: ClientRef<'a, S, R, E>,
        draft: Draft<S, R, E>,
        if_room: bool,
        room: Option<Room<S, R, E>>,
    ) -> Self {
        Self {
            client,
            draft: Some(draft),
            turn: Turn::default(),
            alarm: None,
            if_room,
            room,
            coop: Coop::new(),
            has_waited: false,
        }
    }

    /// Leaves word whom to wake when the outcome is there; unless its caller had better wait awake.
    #[inline]
    pub(crate) fn arm(&mut self, waker: &Waker) -> bool {
        let draft = self
            .draft
            .as_mut()
            .filter(|draft| !draft.is_to_be_awaited_awake());
        let Some(draft) = draft else {
            return false;
        };
        let core = draft.core();
        let Ok(exchanged) = waits::polled(waker, || core.awaited(core.deadline(), true)) else {
            // One that has not been sent waits for nobody; it will be asked about again.
            return false;
        };
        draft.arm(exchanged.as_ref().unwrap_or(waker));
        true
    }

    /// Its deadline does not matter any more.
    pub(crate) fn disarm(&mut self) {
        self.alarm = None;
    }

    /// The alarm, for the one who waits for the outcome. Not one that wakes who waits for room: a watcher would find that its waker is kept, and
    /// take the request for one that still does.
    pub(crate) fn take_alarm(&mut self) -> Option<Alarm> {
        let alarm = self.alarm.take();
        if self.has_waited { None } else { alarm }
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
        self.disarm();
        let draft = self.draft.take().expect(POLLED_AGAIN);
        Poll::Ready(Err(why.with(draft.into_message())))
    }

    #[inline]
    fn try_send<T>(
        &mut self,
        cx: &mut Context<'_>,
        offer: impl Offer<S, R, E, T>,
    ) -> Result<Poll<T>, NotSent> {
        let core = self.draft.as_ref().expect(POLLED_AGAIN).core();
        let (request, lane, deadline) = (core.id(), core.lane(), core.deadline());
        if self.clock().has_passed(deadline) {
            return Err(NotSent::Late);
        }
        if let (Some(deadline), None) = (deadline, &self.alarm) {
            let alarm = self.clock().alarm(deadline);
            self.alarm = Some(alarm.map_err(|refusal| NotSent::NoTimer(refusal.into()))?);
        }
        let slot = &mut self.draft;
        let mut offer = |place: Place<'_>| {
            let draft = slot.take().expect(POLLED_AGAIN);
            offer(draft, self.client.channel(), place).map_err(|(draft, refusal)| {
                *slot = Some(draft);
                refusal
            })
        };
        // One that cannot be full needs no line.
        if self.room.is_some() {
            return match offer(Place::Reserved) {
                Ok(sent) => {
                    if let Some(room) = self.room.take() {
                        room.spend();
                    }
                    Ok(Poll::Ready(sent))
                }
                Err(refusal) => Err(NotSent::Refused(refusal)),
            };
        }
        if self.if_room || self.client.channel().capacity().is_none() {
            return match offer(Place::Nowhere) {
                Ok(sent) => Ok(Poll::Ready(sent)),
                Err(refusal) => Err(NotSent::Refused(refusal)),
            };
        }
        match offer(Place::Line(&mut self.turn, None)) {
            Ok(sent) => return Ok(Poll::Ready(sent)),
            Err(Refusal::Full) => {}
            Err(refusal) => return Err(NotSent::Refused(refusal)),
        }
        let channel = self.client.channel();
        let wait = || for_room(channel, request, lane, deadline).again(self.turn.is_taken());
        let exchanged = waits::polled(cx.waker(), wait).map_err(NotSent::WouldDeadlock)?;
        let waker = exchanged.as_ref().unwrap_or(cx.waker());
        match offer(Place::Line(&mut self.turn, Some(Waiter::task(waker)))) {
            Ok(sent) => return Ok(Poll::Ready(sent)),
            Err(Refusal::Full) => self.has_waited = true,
            Err(refusal) => return Err(NotSent::Refused(refusal)),
        }
        let mut cx = Context::from_waker(waker);
        match self.alarm.as_mut().map(|alarm| alarm.poll(&mut cx)) {
            Some(Poll::Ready(Ok(()))) => Err(NotSent::Late),
            Some(Poll::Ready(Err(refusal))) => Err(NotSent::NoTimer(refusal.into())),
            Some(Poll::Pending) | None => Ok(Poll::Pending),
        }
    }

    #[inline]
    fn clock(&self) -> &Clock {
        self.client.clock()
    }

    fn give_up(&mut self) {
        let (Some(draft), channel) = (&self.draft, self.client.channel()) else {
            return;
        };
        if self.turn.is_taken() {
            channel.stop_sending(draft.core().lane(), &mut self.turn);
        } else {
            channel.refuse();
        }
    }
}

impl<S, R, E> Drop for Sending<'_, S, R, E> {
    fn drop(&mut self) {
        if self.turn.is_taken() {
            self.give_up();
        }
    }
}

pub(crate) const POLLED_AGAIN: &str = "polled after it was ready";

/// Offers, and enrols for room if there is none. Asks for the waiter only then.
#[inline]
pub(crate) fn offer_in_line<T>(
    turn: &mut Turn,
    waiter: impl FnOnce() -> Waiter,
    mut offer: impl FnMut(Place<'_>) -> Result<T, Refusal>,
) -> Result<T, Refusal> {
    match offer(Place::Line(turn, None)) {
        Err(Refusal::Full) => offer(Place::Line(turn, Some(waiter()))),
        other => other,
    }
}
