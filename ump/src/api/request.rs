//! A request with options: deadline, lane, and what to do if the queue is full. It is waited for,
//! awaited, submitted or posted.
//!
//! `.wait()` is for code that may block, and `.await` for code that may not. Both do the same.

#![forbid(unsafe_code)]

use std::{
    fmt,
    future::IntoFuture,
    panic::Location,
    time::{Duration, Instant},
};

use crate::{
    api::client::{Client, ClientRef},
    api::request_future::{PostFuture, RequestFuture, RequestState, SubmitFuture},
    api::wait_reply::WaitReply,
    channel::Channel,
    channel::queue::WaitMode,
    error::request_error::RequestError,
    error::send_error::SendError,
    inflight::pending::{FromRequestError, OutcomeVtable, UnsentRequest},
    inflight::room::ReservedRoom,
    inflight::send::{self, NotSent, Offer, Sending},
    options::{Lane, RequestOptions},
};

/// A request with options that has not been sent yet. It is sent when it is waited for, awaited,
/// submitted or posted.
///
/// ```
/// # use std::{thread, time::Duration};
/// use ump::RequestError;
///
/// let (server, client) = ump::channel::<u32, u32, ()>();
/// # let server = thread::spawn(move || while let Ok((n, rctx)) = server.wait() { let _ = rctx.reply(n + 1); });
/// match client.request(1).timeout(Duration::from_secs(5)).wait() {
///     Ok(reply) => assert_eq!(reply, 2),
///     Err(RequestError::TimeoutQueued(message)) => println!("not executed, {message} can be sent again"),
///     Err(error) => panic!("{error:?}"),
/// }
/// # drop(client);
/// # server.join().unwrap();
/// ```
#[must_use = "nothing is sent before it is waited for, awaited, submitted or posted"]
pub struct Request<'a, S, R, E> {
    client: ClientRef<'a, S, R, E>,
    /// The message is in its slot from the beginning, so that a large message is not moved again.
    unsent: UnsentRequest<S, R, E>,
    options: RequestOptions,
    if_room: bool,
    /// Whether the deadline comes from the client's default time-out.
    by_default: bool,
    /// The room that was reserved for the request.
    room: Option<ReservedRoom<S, R, E>>,
}

impl<'a, S, R, E> Request<'a, S, R, E> {
    #[inline]
    pub(crate) fn new(
        client: ClientRef<'a, S, R, E>,
        message: S,
        caller: &'static Location<'static>,
    ) -> Self {
        let unsent = UnsentRequest::new(client.pool(), message, caller);
        Self::of_draft(client, unsent, Lane::Normal, None)
    }

    /// Creates a request for which room was reserved.
    pub(crate) fn reserved(
        client: ClientRef<'a, S, R, E>,
        unsent: UnsentRequest<S, R, E>,
        room: ReservedRoom<S, R, E>,
    ) -> Self {
        Self::of_draft(client, unsent, room.lane(), Some(room))
    }

    #[inline]
    fn of_draft(
        client: ClientRef<'a, S, R, E>,
        unsent: UnsentRequest<S, R, E>,
        lane: Lane,
        room: Option<ReservedRoom<S, R, E>>,
    ) -> Self {
        let mut options = RequestOptions {
            lane,
            ..RequestOptions::PLAIN
        };
        let default = client.timeout();
        if let Some(timeout) = default {
            options.deadline = client.clock().after(timeout);
        }
        Self {
            client,
            unsent,
            options,
            if_room: false,
            by_default: default.is_some(),
            room,
        }
    }

    /// Sets the location that the handler [sees](crate::ReplyContext::caller) as the caller. For
    /// layers over the channel.
    #[inline]
    pub fn on_behalf_of(mut self, caller: &'static Location<'static>) -> Self {
        self.unsent.set_caller(caller);
        self
    }

    /// Ends the request when `timeout` has passed from now. See [`deadline`](Self::deadline).
    ///
    /// If `timeout` is beyond the range of the clock, as `Duration::MAX` is, there is no deadline.
    /// The time-out replaces the client's [default](Client::with_timeout).
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.by_default = false;
        self.options.deadline = self.client.clock().after(timeout);
        self
    }

    /// Ends the request at `deadline`, by the [clock](Client::clock) of its channel.
    ///
    /// - If by then the request is not accepted, or is still queued, it is not executed, and the
    ///   message comes back in [`TimeoutQueued`](RequestError::TimeoutQueued). An overdue request
    ///   is not handed to a handler, even if its caller has not been able to withdraw it yet.
    /// - If a handler holds the request by then, the outcome is
    ///   [`TimeoutTaken`](RequestError::TimeoutTaken).
    ///
    /// A post is executed only if a handler takes it before the deadline.
    ///
    /// With the system's clock, a blocking caller sleeps until the deadline itself. For an awaiting
    /// caller, a thread of the process, `ump-timer`, does so. That thread wakes one task after the
    /// other, so a waker must not block. The deadline is a lower bound: how late it is noticed
    /// depends on the scheduler of the operating system and, for a task, on its executor.
    pub fn deadline(mut self, deadline: Instant) -> Self {
        self.by_default = false;
        self.options.deadline = Some(deadline);
        self
    }

    /// Lets the request overtake normal requests. Urgent requests keep their order among
    /// themselves.
    ///
    /// At most 16 urgent requests are taken in a row while a normal request waits. In a bounded
    /// channel, each lane has the whole capacity.
    pub fn urgent(mut self) -> Self {
        self.options.lane = Lane::Urgent;
        if let Some(other) = self.room.take_if(|room| room.lane() != Lane::Urgent) {
            drop(other);
        }
        self
    }

    /// Does not wait for room: if the queue is full, the message comes back at once in
    /// [`Full`](RequestError::Full).
    ///
    /// Expired requests at the head of the queue do not make it full, unless other senders wait for
    /// their room: see [`bounded`](crate::bounded).
    pub fn if_room(mut self) -> Self {
        self.if_room = true;
        self
    }

    /// Sends the request and blocks until its outcome. Allocates nothing, except for the client's
    /// first request.
    ///
    /// # Errors
    /// See [`RequestError`]. If the request was not executed, the message comes back in the error.
    #[inline]
    pub fn wait(self) -> Result<R, RequestError<S, E>> {
        self.wait_or_regret()
    }

    /// Does what [`wait`](Self::wait) does, with the error type `X`.
    #[inline]
    pub(crate) fn wait_or_regret<X: FromRequestError<S, E>>(mut self) -> Result<R, X> {
        self.options.blocks = true;
        let Self {
            client,
            unsent,
            options,
            if_room,
            room,
            ..
        } = self;
        // The client is borrowed, or owned here, until there is an outcome.
        match send_to_wait(
            &client,
            unsent,
            options,
            (if_room, room),
            &OutcomeVtable::BORROWED,
        ) {
            Ok(reply) => reply.wait(),
            Err(error) => Err(X::new(error.into())),
        }
    }

    /// Converts the request into the future that awaits it, with the error type `X`.
    #[inline]
    pub(crate) fn into_asking<X: FromRequestError<S, E>>(self) -> RequestState<'a, S, R, E, X> {
        RequestState {
            reply: None,
            sending: self.into_sending(),
            registers_at_once: false,
        }
    }

    /// Separates sending from waiting for the reply: the result yields a [`WaitReply`] once the
    /// request is accepted.
    pub fn submit(self) -> Submit<'a, S, R, E> {
        Submit(self)
    }

    /// Converts the request into a post, whose reply no caller waits for. Sending a post ends once
    /// it is accepted.
    ///
    /// A post keeps its place among the requests. The handler
    /// [can see](crate::ReplyContext::is_post) that it is a post, but can ignore that. The client's
    /// [default time-out](Client::with_timeout) does not apply to posts: a post that is to expire
    /// needs a time-out of its own.
    pub fn post(mut self) -> Post<'a, S, R, E> {
        if self.by_default {
            self.options.deadline = None;
        }
        self.options.post = true;
        Post(self)
    }

    #[inline]
    pub(crate) fn submit_with<X>(
        self,
        report: &OutcomeVtable<S, R, E, X>,
    ) -> Result<WaitReply<R, E, X>, SendError<S>> {
        let room = (self.if_room, self.room);
        send_to_wait(&self.client, self.unsent, self.options, room, report)
    }

    #[inline]
    fn into_sending(mut self) -> Sending<ClientRef<'a, S, R, E>, S, R, E> {
        self.unsent.set_options(self.options);
        Sending::new(self.client, self.unsent, self.if_room, self.room)
    }
}

impl<'a, S, R, E> IntoFuture for Request<'a, S, R, E> {
    type Output = Result<R, RequestError<S, E>>;
    type IntoFuture = RequestFuture<'a, S, R, E>;

    #[inline]
    fn into_future(self) -> Self::IntoFuture {
        RequestFuture(self.into_asking())
    }
}

impl<S, R, E> fmt::Debug for Request<'_, S, R, E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Request")
            .field("options", &self.options)
            .field("if_room", &self.if_room)
            .finish_non_exhaustive()
    }
}

/// A request that yields a [`WaitReply`] as soon as it is accepted.
#[must_use = "nothing is sent before it is waited for or awaited"]
pub struct Submit<'a, S, R, E>(Request<'a, S, R, E>);

impl<S, R, E> Submit<'_, S, R, E> {
    /// Sends the message. Blocks only while there is no room.
    ///
    /// # Errors
    /// See [`SendError`]. The message comes back in the error.
    #[inline]
    pub fn wait(self) -> Result<WaitReply<R, E, RequestError<S, E>>, SendError<S>> {
        self.0.submit_with(&OutcomeVtable::DETACHED)
    }
}

impl<'a, S, R, E> IntoFuture for Submit<'a, S, R, E> {
    type Output = Result<WaitReply<R, E, RequestError<S, E>>, SendError<S>>;
    type IntoFuture = SubmitFuture<'a, S, R, E>;

    #[inline]
    fn into_future(self) -> Self::IntoFuture {
        SubmitFuture(self.0.into_sending())
    }
}

impl<S, R, E> fmt::Debug for Submit<'_, S, R, E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Submit").field(&self.0).finish()
    }
}

/// A message whose reply no caller waits for.
#[must_use = "nothing is sent before it is waited for or awaited"]
pub struct Post<'a, S, R, E>(Request<'a, S, R, E>);

impl<S, R, E> Post<'_, S, R, E> {
    /// Bounds the time from now within which a handler has to take the post. If none does, the post
    /// is not executed. See [`Request::deadline`].
    pub fn timeout(self, timeout: Duration) -> Self {
        Self(self.0.timeout(timeout))
    }

    /// Sets the deadline before which a handler has to take the post. If none does, the post is not
    /// executed. See [`Request::deadline`].
    pub fn deadline(self, deadline: Instant) -> Self {
        Self(self.0.deadline(deadline))
    }

    /// Lets the post overtake normal requests. See [`Request::urgent`].
    pub fn urgent(self) -> Self {
        Self(self.0.urgent())
    }

    /// Does not wait for room. See [`Request::if_room`].
    pub fn if_room(self) -> Self {
        Self(self.0.if_room())
    }

    /// Sends the message. Blocks only while there is no room.
    ///
    /// # Errors
    /// See [`SendError`]. The message comes back in the error.
    #[inline]
    pub fn wait(self) -> Result<(), SendError<S>> {
        let Request {
            client,
            unsent,
            options,
            if_room,
            room,
            ..
        } = self.0;
        send_blocking(
            &client,
            unsent,
            options,
            (if_room, room),
            UnsentRequest::post,
        )
    }
}

impl<'a, S, R, E> IntoFuture for Post<'a, S, R, E> {
    type Output = Result<(), SendError<S>>;
    type IntoFuture = PostFuture<'a, S, R, E>;

    #[inline]
    fn into_future(self) -> Self::IntoFuture {
        PostFuture(self.0.into_sending())
    }
}

impl<S, R, E> fmt::Debug for Post<'_, S, R, E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Post").field(&self.0).finish()
    }
}

#[inline]
fn send_to_wait<S, R, E, X>(
    client: &Client<S, R, E>,
    unsent: UnsentRequest<S, R, E>,
    options: RequestOptions,
    room: (bool, Option<ReservedRoom<S, R, E>>),
    report: &OutcomeVtable<S, R, E, X>,
) -> Result<WaitReply<R, E, X>, SendError<S>> {
    let offer = |unsent: UnsentRequest<_, _, _>, home: &_, mode: WaitMode<'_>| {
        unsent.send(home, mode, report)
    };
    let pending = send_blocking(client, unsent, options, room, offer)?;
    Ok(WaitReply::new(pending, None))
}

#[inline]
fn send_blocking<S, R, E, T>(
    client: &Client<S, R, E>,
    mut unsent: UnsentRequest<S, R, E>,
    options: RequestOptions,
    (if_room, room): (bool, Option<ReservedRoom<S, R, E>>),
    offer: impl Offer<S, R, E, T>,
) -> Result<T, SendError<S>> {
    let channel = client.channel();
    unsent.set_options(options);
    if let Some(room) = room {
        return send_reserved(channel, unsent, room, offer);
    }
    let request = unsent.core().id();
    let mut unsent = Some(unsent);
    send::send_blocking(channel, request, options, if_room, |mode| {
        offer(unsent.take().expect("refused before"), channel, mode).map_err(|(back, refusal)| {
            unsent = Some(back);
            refusal
        })
    })
    .map_err(|why| why.with(unsent.take().expect("refused").into_message()))
}

/// Sends a request for which room was reserved.
#[cold]
fn send_reserved<S, R, E, T>(
    channel: &Channel<S, R, E>,
    unsent: UnsentRequest<S, R, E>,
    room: ReservedRoom<S, R, E>,
    offer: impl Offer<S, R, E, T>,
) -> Result<T, SendError<S>> {
    if channel.clock().has_passed(unsent.core().deadline()) {
        channel.refuse();
        return Err(SendError::TimeoutQueued(unsent.into_message()));
    }
    match offer(unsent, channel, WaitMode::Reserved) {
        Ok(sent) => {
            room.spend();
            Ok(sent)
        }
        Err((unsent, refusal)) => Err(NotSent::Refused(refusal).with(unsent.into_message())),
    }
}
