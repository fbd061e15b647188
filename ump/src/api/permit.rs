//! Room in the queue that is reserved before there is a message.
//!
//! Reserved room counts in the capacity of its lane, under the channel's lock:
//! `queued + reserved <= capacity`. A request that is sent by the permit uses the room. If the
//! permit is dropped, the room is given back, which wakes the next sender in the wait queue.

#![forbid(unsafe_code)]

use std::{
    fmt,
    future::{Future, IntoFuture},
    panic::Location,
    pin::Pin,
    task::{Context, Poll, ready},
    time::{Duration, Instant},
};

use crate::{
    api::client::{Client, ClientRef},
    api::request::Request,
    channel::admission::Refusal,
    channel::queue::WaitMode,
    coop::Coop,
    error::send_error::SendError,
    hooks,
    inflight::pending::EmptySlot,
    inflight::room::ReservedRoom,
    inflight::send::{self, NotSent, POLLED_AGAIN, for_room},
    options::{Lane, RequestOptions},
    sync::Arc,
    time::sleep::Timer,
    wait::wait_queue::WaiterKey,
    wait::waiter::Waiter,
};

/// A reservation with options that has not been made yet. It is made when it is waited for or
/// awaited. From [`Client::reserve`].
#[must_use = "nothing is reserved before it is waited for or awaited"]
pub struct Reserve<'a, S, R, E> {
    client: ClientRef<'a, S, R, E>,
    options: RequestOptions,
    if_room: bool,
}

impl<'a, S, R, E> Reserve<'a, S, R, E> {
    pub(crate) fn new(client: ClientRef<'a, S, R, E>) -> Self {
        let mut options = RequestOptions::PLAIN;
        if let Some(timeout) = client.timeout() {
            options.deadline = client.clock().after(timeout);
        }
        Self {
            client,
            options,
            if_room: false,
        }
    }

    /// Bounds the wait for room by `timeout`, from now. This does not affect the request that is
    /// sent by the permit.
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.options.deadline = self.client.clock().after(timeout);
        self
    }

    /// Bounds the wait for room by `deadline`, by the [clock](Client::clock) of the channel.
    pub fn deadline(mut self, deadline: Instant) -> Self {
        self.options.deadline = Some(deadline);
        self
    }

    /// Reserves room for an [urgent](Request::urgent) request.
    pub fn urgent(mut self) -> Self {
        self.options.lane = Lane::Urgent;
        self
    }

    /// Does not wait for room: if there is none, the reservation fails at once with
    /// [`Full`](SendError::Full).
    pub fn if_room(mut self) -> Self {
        self.if_room = true;
        self
    }

    /// Reserves room. Blocks while there is none.
    ///
    /// # Errors
    /// - [`Full`](SendError::Full): there is no room, and [`if_room`](Self::if_room) was set.
    /// - [`TimeoutQueued`](SendError::TimeoutQueued): there was no room in time.
    /// - [`ServerDisappeared`](SendError::ServerDisappeared): the server is gone or closed.
    /// - [`WouldDeadlock`](SendError::WouldDeadlock): the caller would have waited for itself; see
    ///   [`hooks`](crate::hooks).
    pub fn wait(self) -> Result<Permit<'a, S, R, E>, SendError<()>> {
        let Self {
            client,
            options,
            if_room,
        } = self;
        let blank = EmptySlot::new(client.pool());
        let channel = client.channel();
        let reserve = |mode: WaitMode<'_>| channel.reserve(options.lane, mode);
        send::send_blocking(channel, blank.id(), options, if_room, reserve)
            .map_err(|why| why.with(()))?;
        let room = ReservedRoom::reserved(channel, options.lane);
        Ok(Permit {
            client,
            blank,
            room,
        })
    }
}

impl<'a, S, R, E> IntoFuture for Reserve<'a, S, R, E> {
    type Output = Result<Permit<'a, S, R, E>, SendError<()>>;
    type IntoFuture = ReserveFuture<'a, S, R, E>;

    fn into_future(self) -> Self::IntoFuture {
        let blank = EmptySlot::new(self.client.pool());
        ReserveFuture {
            state: Some((self.client, blank)),
            options: self.options,
            if_room: self.if_room,
            key: WaiterKey::default(),
            timer: None,
            coop: Coop::new(),
        }
    }
}

impl<S, R, E> fmt::Debug for Reserve<'_, S, R, E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Reserve")
            .field("options", &self.options)
            .field("if_room", &self.if_room)
            .finish_non_exhaustive()
    }
}

/// The future of a [`Reserve`] that is awaited.
///
/// # Panics
/// Panics if it is polled after it was ready.
///
/// # Cancel safety
/// If the future is dropped before it is ready, it reserves nothing and leaves the wait queue.
/// Different tasks may poll it in turn; the latest is woken.
#[must_use = "futures do nothing unless awaited"]
pub struct ReserveFuture<'a, S, R, E> {
    /// `None` once the future was ready.
    state: Option<(ClientRef<'a, S, R, E>, EmptySlot<S, R, E>)>,
    options: RequestOptions,
    if_room: bool,
    key: WaiterKey,
    timer: Option<Timer>,
    coop: Coop,
}

impl<S, R, E> Unpin for ReserveFuture<'_, S, R, E> {}

impl<S, R, E> ReserveFuture<'_, S, R, E> {
    fn try_reserve(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), NotSent>> {
        let (client, blank) = self.state.as_ref().expect(POLLED_AGAIN);
        let RequestOptions { lane, deadline, .. } = self.options;
        let channel = client.channel();
        if client.clock().has_passed(deadline) {
            return Poll::Ready(Err(NotSent::TimedOut));
        }
        if self.if_room {
            let reserved = channel.reserve(lane, WaitMode::NoWait);
            return Poll::Ready(reserved.map_err(NotSent::Refused));
        }
        if let (Some(deadline), None) = (deadline, &self.timer) {
            match client.clock().timer(deadline) {
                Ok(timer) => self.timer = Some(timer),
                Err(refusal) => return Poll::Ready(Err(NotSent::NoTimer(refusal.into()))),
            }
        }
        let reserve = |mode: WaitMode<'_>| channel.reserve(lane, mode);
        match reserve(WaitMode::InLine(&mut self.key, None)) {
            Err(Refusal::Full) => {}
            reserved => return Poll::Ready(reserved.map_err(NotSent::Refused)),
        }
        let is_again = self.key.is_taken();
        let wait = || for_room(channel, blank.id(), lane, deadline).again(is_again);
        let exchanged = match hooks::polled(cx.waker(), wait) {
            Ok(exchanged) => exchanged,
            Err(cycle) => return Poll::Ready(Err(NotSent::WouldDeadlock(cycle))),
        };
        let waker = exchanged.as_ref().unwrap_or(cx.waker());
        match reserve(WaitMode::InLine(&mut self.key, Some(Waiter::task(waker)))) {
            Err(Refusal::Full) => {}
            reserved => return Poll::Ready(reserved.map_err(NotSent::Refused)),
        }
        let timer = self.timer.as_mut();
        let mut cx = Context::from_waker(waker);
        if timer.is_some_and(|timer| timer.poll(&mut cx).is_ready()) {
            return Poll::Ready(Err(NotSent::TimedOut));
        }
        Poll::Pending
    }

    fn give_up(&mut self) {
        let Some((client, _)) = &self.state else {
            return;
        };
        if self.key.is_taken() {
            client
                .channel()
                .stop_sending(self.options.lane, &mut self.key);
        } else {
            client.channel().refuse();
        }
    }
}

impl<'a, S, R, E> Future for ReserveFuture<'a, S, R, E> {
    type Output = Result<Permit<'a, S, R, E>, SendError<()>>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = &mut *self;
        if !this.coop.begin(cx) {
            return Poll::Pending;
        }
        let reserved = this.try_reserve(cx);
        this.coop.end(&reserved);
        let reserved = ready!(reserved);
        if matches!(reserved, Err(ref why) if !matches!(why, NotSent::Refused(_))) {
            this.give_up();
        }
        this.timer = None;
        let (client, blank) = this.state.take().expect(POLLED_AGAIN);
        Poll::Ready(match reserved {
            Ok(()) => {
                let room = ReservedRoom::reserved(client.channel(), this.options.lane);
                Ok(Permit {
                    client,
                    blank,
                    room,
                })
            }
            Err(why) => Err(why.with(())),
        })
    }
}

impl<S, R, E> Drop for ReserveFuture<'_, S, R, E> {
    fn drop(&mut self) {
        if self.key.is_taken() {
            self.give_up();
        }
    }
}

impl<S, R, E> fmt::Debug for ReserveFuture<'_, S, R, E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ReserveFuture").finish_non_exhaustive()
    }
}

/// Room in the queue for one request, which then does not have to wait for room. From
/// [`Client::reserve`].
///
/// The room counts in the capacity of its lane until the request is sent or the permit is dropped.
/// Dropping the permit gives the room back and wakes the next sender in the wait queue. A permit is
/// not a place in the order: the request is queued behind all requests that were sent before it.
/// The server does not wait for permits: if it is closed or gone, a request by a permit fails with
/// [`ServerDisappeared`](crate::RequestError::ServerDisappeared), and its message comes back.
#[must_use = "dropped, it gives the room back"]
pub struct Permit<'a, S, R, E> {
    client: ClientRef<'a, S, R, E>,
    blank: EmptySlot<S, R, E>,
    room: ReservedRoom<S, R, E>,
}

impl<'a, S, R, E> Permit<'a, S, R, E> {
    /// Creates the request that uses the room. The request is never
    /// [`Full`](crate::RequestError::Full) and never waits for room, whether it is blocking or
    /// awaited, submitted or [posted](Request::post).
    ///
    /// The request uses the lane for which room was reserved. If room was reserved in the normal
    /// lane and the request is then made [`urgent`](Request::urgent), it gives the room back and is
    /// like any other request. If the request is dropped before it is sent, it gives the room back
    /// as well.
    ///
    /// The handler sees the location of this call as [the caller](crate::ReplyContext::caller).
    #[track_caller]
    pub fn request(self, message: S) -> Request<'a, S, R, E> {
        let unsent = self.blank.fill(message, Location::caller());
        Request::reserved(self.client, unsent, self.room)
    }
}

impl<S, R, E> fmt::Debug for Permit<'_, S, R, E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Permit")
            .field("lane", &self.room.lane())
            .finish_non_exhaustive()
    }
}

impl<S, R, E> Client<S, R, E> {
    /// Creates a reservation of room in the queue for one request, whose message need not exist
    /// yet.
    ///
    /// For messages that are costly to make, or that must not be made if they cannot be sent.
    ///
    /// Reserve with [`wait`](Reserve::wait), with `.await`, or without waiting with
    /// [`if_room`](Reserve::if_room). On an unbounded channel, there is always room. The client's
    /// [default time-out](Self::with_timeout) bounds the wait for room, and then once more the
    /// request.
    ///
    /// ```
    /// use ump::SendError;
    ///
    /// let (server, client) = ump::bounded::<String, (), ()>(1)?;
    /// let permit = client.reserve().wait().unwrap(); // or `.await`
    /// let error = client.reserve().if_room().wait().unwrap_err();
    /// assert_eq!(error, SendError::Full(()));
    ///
    /// let costly = "made only now".to_owned();
    /// permit.request(costly).post().wait().unwrap(); // never full
    /// assert_eq!(server.wait().unwrap().0, "made only now");
    /// # Ok::<(), ump::ZeroCapacity>(())
    /// ```
    pub fn reserve(&self) -> Reserve<'_, S, R, E> {
        Reserve::new(ClientRef::Borrowed(self))
    }

    /// Creates a reservation that shares ownership of the client instead of borrowing it. So do the
    /// permit and its request. See [`request_owned`](Self::request_owned).
    pub fn reserve_owned(this: Arc<Self>) -> Reserve<'static, S, R, E> {
        Reserve::new(ClientRef::Owned(this))
    }
}
