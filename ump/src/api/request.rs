//! A request with options: deadline, lane, what to do when the queue is full; waited for, awaited,
//! submitted or posted.
//!
//! A request is made by `.wait()` where blocking is right and by `.await` where it is not. Both do
//! the same thing.

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

/// A request that has not been made yet: say how, then wait for it, await it, submit it or post it.
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
    /// The message is in its slot from the beginning: a large one is not moved about.
    unsent: UnsentRequest<S, R, E>,
    options: RequestOptions,
    if_room: bool,
    /// Whether its deadline is by the client's default.
    by_default: bool,
    /// Room that was reserved for it.
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

    /// One for which room was reserved.
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

    /// For layers over the channel: the request was made at `caller`, as its handler
    /// [sees](crate::ReplyContext::caller) it.
    #[inline]
    pub fn on_behalf_of(mut self, caller: &'static Location<'static>) -> Self {
        self.unsent.set_caller(caller);
        self
    }

    /// Ends the request when this time has passed from now. See [`deadline`](Self::deadline).
    ///
    /// A time beyond what the clock can tell, as `Duration::MAX`, means no deadline. It takes the
    /// place of the client's [default](Client::with_timeout).
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.by_default = false;
        self.options.deadline = self.client.clock().after(timeout);
        self
    }

    /// Ends the request at `deadline`, by the [clock](Client::clock) of its channel.
    ///
    /// - Not accepted or still queued by then: it is not executed, and the message comes back in
    ///   [`TimeoutQueued`](RequestError::TimeoutQueued). A request that is overdue is not handed to
    ///   a handler even if its caller has not been able to withdraw it yet.
    /// - In a handler's hands by then: [`TimeoutTaken`](RequestError::TimeoutTaken).
    ///
    /// A post is executed only if a handler takes it before the deadline. By the system's clock a
    /// blocking caller sleeps until the deadline itself; for an awaiting one a thread of the
    /// process, `ump-timer`, does, which wakes one task after the other (a waker must not block).
    /// The deadline is a lower bound: how late it is noticed is up to the operating system's
    /// scheduler and, for a task, its executor.
    pub fn deadline(mut self, deadline: Instant) -> Self {
        self.by_default = false;
        self.options.deadline = Some(deadline);
        self
    }

    /// Lets it overtake normal requests. Urgent requests keep their order among themselves.
    ///
    /// At most 16 urgent requests are taken in a row while a normal one waits. In a bounded channel
    /// each lane has the whole capacity.
    pub fn urgent(mut self) -> Self {
        self.options.lane = Lane::Urgent;
        if let Some(other) = self.room.take_if(|room| room.lane() != Lane::Urgent) {
            drop(other);
        }
        self
    }

    /// Does not wait for room: if the queue is full the message comes back at once in
    /// [`Full`](RequestError::Full). Requests at its head whose deadline has passed do not make it
    /// full, unless other clients wait for their room: see [`bounded`](crate::bounded).
    pub fn if_room(mut self) -> Self {
        self.if_room = true;
        self
    }

    /// Makes the request and blocks until its outcome. Allocates nothing (but at the client's first
    /// request).
    ///
    /// # Errors
    /// See [`RequestError`]; what was not executed comes back in it.
    #[inline]
    pub fn wait(self) -> Result<R, RequestError<S, E>> {
        self.wait_or_regret()
    }

    /// The same, with an error of another kind.
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

    /// Returns what it becomes when it is awaited, with an error of another kind.
    #[inline]
    pub(crate) fn into_asking<X: FromRequestError<S, E>>(self) -> RequestState<'a, S, R, E, X> {
        RequestState {
            reply: None,
            sending: self.into_sending(),
        }
    }

    /// Separates sending from waiting for the reply: made so, it ends in a [`WaitReply`] once it is
    /// accepted.
    pub fn submit(self) -> Submit<'a, S, R, E> {
        Submit(self)
    }

    /// Nobody will wait for the reply. Made so, it ends once it is accepted.
    ///
    /// It keeps its place among the requests. The handler [can see](crate::ReplyContext::is_post)
    /// that it is a post, but need not care. The client's [default time-out](Client::with_timeout)
    /// is not for posts: one that is to expire says so itself.
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

/// A request that ends in a [`WaitReply`] as soon as it is accepted.
#[must_use = "nothing is sent before it is waited for or awaited"]
pub struct Submit<'a, S, R, E>(Request<'a, S, R, E>);

impl<S, R, E> Submit<'_, S, R, E> {
    /// Sends it; blocks only while there is no room.
    ///
    /// # Errors
    /// See [`SendError`]; the message comes back.
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

/// A message whose reply nobody waits for.
#[must_use = "nothing is sent before it is waited for or awaited"]
pub struct Post<'a, S, R, E>(Request<'a, S, R, E>);

impl<S, R, E> Post<'_, S, R, E> {
    /// Executed only if a handler takes it within this time from now. See [`Request::deadline`].
    pub fn timeout(self, timeout: Duration) -> Self {
        Self(self.0.timeout(timeout))
    }

    /// Executed only if a handler takes it before `deadline`. See [`Request::deadline`].
    pub fn deadline(self, deadline: Instant) -> Self {
        Self(self.0.deadline(deadline))
    }

    /// See [`Request::urgent`].
    pub fn urgent(self) -> Self {
        Self(self.0.urgent())
    }

    /// See [`Request::if_room`].
    pub fn if_room(self) -> Self {
        Self(self.0.if_room())
    }

    /// Sends it; blocks only while there is no room.
    ///
    /// # Errors
    /// See [`SendError`]; the message comes back.
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
