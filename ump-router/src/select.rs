//! Waits for the first of several events: messages, requests, replies.

use std::{
    fmt,
    future::{Future, IntoFuture, poll_fn},
    marker::PhantomData,
    pin::Pin,
    task::{Context, Poll, ready},
    time::{Duration, Instant},
};

use ump::Clock;

/// Waits for the first of several events: a message of a subscription, a request at a server, the
/// reply to a request. From [`Router::select`](crate::Router::select).
///
/// It is for threads what `select!` is for tasks, and tasks can use it as well. Each event is
/// turned into a value of one type, often an `enum`:
///
/// ```
/// # use std::time::Duration;
/// # use ump_router::{Bytes, Call, Received, RecvError, Router, ump};
/// enum Event {
///     Price(Result<Received<Bytes>, RecvError>),
///     Call(Result<(Call<Bytes>, ump::ReplyContext<Bytes, Bytes>), ump::Error<Bytes>>),
/// }
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let router = Router::new();
/// let mut prices = router.subscribe::<Bytes>("price/*")?;
/// let server = router.serve::<Bytes>("average")?;
/// router.publish("price/eur", Bytes::from(*b"3")).wait()?;
///
/// let mut select = router.select(); // once, outside the loop
/// loop {
///     let event = select
///         .on(prices.recv(), Event::Price)
///         .on_request(&server, Event::Call)
///         .wait_timeout(Duration::from_millis(1)); // or `.wait()`, or `.await`
///     match event {
///         Some(Event::Price(price)) => assert_eq!(&**price?, b"3"),
///         Some(Event::Call(Ok((_, rctx)))) => drop(rctx.reply(Bytes::from(*b"3"))),
///         Some(Event::Call(Err(_))) | None => break, // the server's end, or nothing in time
///     }
/// }
/// # Ok(())
/// # }
/// ```
///
/// - One event is taken; messages, requests at a server and changes stay where they are, for the
///   next time.
/// - It is fair: each time it begins with another of the events, so that one that is always there
///   does not keep the others from being seen. So each place in a program that waits has a `Select`
///   of its own.
/// - It allocates nothing, except for a thread that has to sleep.
#[derive(Debug)]
pub struct Select {
    clock: Clock,
    /// How often it has waited.
    turn: usize,
}

impl Select {
    pub(crate) fn new(clock: Clock) -> Self {
        Self { clock, turn: 0 }
    }

    /// Waits for the outcome of a future, which `map` turns into an event. See [`Selecting::on`].
    pub fn on<F, T, Map>(
        &mut self,
        future: F,
        map: Map,
    ) -> Selecting<'_, T, Arm<(), F::IntoFuture, Map>>
    where
        F: IntoFuture,
        F::IntoFuture: Unpin,
        Map: FnOnce(F::Output) -> T,
    {
        self.begin().on(future, map)
    }

    /// Waits for the outcome of a future only if a condition holds. See [`Selecting::on_if`].
    pub fn on_if<F, T, Map>(
        &mut self,
        condition: bool,
        future: F,
        map: Map,
    ) -> Selecting<'_, T, Arm<(), F::IntoFuture, Map>>
    where
        F: IntoFuture,
        F::IntoFuture: Unpin,
        Map: FnOnce(F::Output) -> T,
    {
        self.begin().on_if(condition, future, map)
    }

    /// Waits for a request at a server. See [`Selecting::on_request`].
    pub fn on_request<'a, 's, S, R, E, T, Map>(
        &'a mut self,
        server: &'s ump::Server<S, R, E>,
        map: Map,
    ) -> Selecting<'a, T, Arm<(), NextRequest<'s, S, R, E>, Map>>
    where
        Map: FnOnce(Result<(S, ump::ReplyContext<R, E>), ump::Error<E>>) -> T,
    {
        self.begin().on_request(server, map)
    }

    fn begin<T>(&mut self) -> Selecting<'_, T, ()> {
        Selecting {
            select: self,
            arms: (),
            enabled: 0,
            event: PhantomData,
        }
    }
}

/// The events that a [`Select`] waits for: add more of them, then call [`wait`](Self::wait) or
/// `.await` it.
///
/// # Cancel safety
/// As that of the events, if the wait is dropped or another event comes first. A message, a request
/// at a server or a change of subscribers is not lost. A [request](crate::Request) that was passed
/// by value is cancelled; pass `&mut` its future to go on with it the next time.
#[must_use = "nothing is waited for before `wait` or `.await`"]
pub struct Selecting<'a, T, A> {
    select: &'a mut Select,
    arms: A,
    /// How many of the arms are enabled.
    enabled: usize,
    event: PhantomData<fn() -> T>,
}

/// An event, after others.
#[derive(Debug)]
pub struct Arm<A, F, Map> {
    before: A,
    /// The future, and what makes its output an event. None if it is not enabled.
    arm: Option<(F, Map)>,
}

/// The next request at a server. From [`Selecting::on_request`].
#[must_use = "futures do nothing unless awaited"]
pub struct NextRequest<'a, S, R, E>(ump::Requests<'a, S, R, E>);

impl<S, R, E> Future for NextRequest<'_, S, R, E> {
    type Output = Result<(S, ump::ReplyContext<R, E>), ump::Error<E>>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        self.0.poll_wait(cx)
    }
}

impl<S, R, E> fmt::Debug for NextRequest<'_, S, R, E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("NextRequest(..)")
    }
}

mod sealed {
    use std::task::{Context, Poll};

    /// Events that are turned into a `T`.
    #[expect(unnameable_types, reason = "a sealed trait")]
    pub trait Arms<T> {
        const COUNT: usize;

        /// Polls one of the events.
        fn poll_nth(&mut self, nth: usize, cx: &mut Context<'_>) -> Poll<T>;
    }
}
use sealed::Arms;

impl<T> Arms<T> for () {
    const COUNT: usize = 0;

    fn poll_nth(&mut self, _nth: usize, _cx: &mut Context<'_>) -> Poll<T> {
        Poll::Pending
    }
}

impl<T, A, F, Map> Arms<T> for Arm<A, F, Map>
where
    A: Arms<T>,
    F: Future + Unpin,
    Map: FnOnce(F::Output) -> T,
{
    const COUNT: usize = A::COUNT + 1;

    fn poll_nth(&mut self, nth: usize, cx: &mut Context<'_>) -> Poll<T> {
        if nth < A::COUNT {
            return self.before.poll_nth(nth, cx);
        }
        let Some((future, _)) = &mut self.arm else {
            return Poll::Pending;
        };
        let output = ready!(Pin::new(future).poll(cx));
        match self.arm.take() {
            Some((_, map)) => Poll::Ready(map(output)),
            None => Poll::Pending, // never: it was there above
        }
    }
}

impl<'a, T, A: Arms<T>> Selecting<'a, T, A> {
    /// Waits for the outcome of a future, which `map` turns into an event: `subscription.recv()`,
    /// `router.request(..)`, `watch.changed()`, or any other. (A future that is not `Unpin` has to
    /// be pinned, as by `std::pin::pin!`.)
    pub fn on<F, Map>(self, future: F, map: Map) -> Selecting<'a, T, Arm<A, F::IntoFuture, Map>>
    where
        F: IntoFuture,
        F::IntoFuture: Unpin,
        Map: FnOnce(F::Output) -> T,
    {
        self.on_if(true, future, map)
    }

    /// Waits for the outcome of a future only if a condition holds: for a subscription that may
    /// have ended, whose end would come each time.
    pub fn on_if<F, Map>(
        self,
        condition: bool,
        future: F,
        map: Map,
    ) -> Selecting<'a, T, Arm<A, F::IntoFuture, Map>>
    where
        F: IntoFuture,
        F::IntoFuture: Unpin,
        Map: FnOnce(F::Output) -> T,
    {
        Selecting {
            select: self.select,
            arms: Arm {
                before: self.arms,
                arm: condition.then(|| (future.into_future(), map)),
            },
            enabled: self.enabled + usize::from(condition),
            event: PhantomData,
        }
    }

    /// Waits for a request at a server, of a topic or of a channel. `map` gets the request with its
    /// reply context, or the end.
    pub fn on_request<'s, S, R, E, Map>(
        self,
        server: &'s ump::Server<S, R, E>,
        map: Map,
    ) -> Selecting<'a, T, Arm<A, NextRequest<'s, S, R, E>, Map>>
    where
        Map: FnOnce(Result<(S, ump::ReplyContext<R, E>), ump::Error<E>>) -> T,
    {
        self.on(NextRequest(server.stream()), map)
    }

    /// Blocks until the first event.
    ///
    /// # Panics
    /// Panics if no event is enabled, because it would block for ever.
    pub fn wait(mut self) -> T {
        loop {
            if let Some(event) = self.wait_until(None) {
                return event;
            }
        }
    }

    /// Blocks until the first event, or for `timeout` at most. Returns `None` when the time is
    /// over.
    pub fn wait_timeout(mut self, timeout: Duration) -> Option<T> {
        let deadline = self.select.clock.now().checked_add(timeout);
        if deadline.is_none() {
            return Some(self.wait());
        }
        self.wait_until(deadline)
    }

    /// Blocks until the first event, or until `deadline` by the router's clock. Returns `None`
    /// after the deadline.
    pub fn wait_deadline(mut self, deadline: Instant) -> Option<T> {
        self.wait_until(Some(deadline))
    }

    fn wait_until(&mut self, deadline: Option<Instant>) -> Option<T> {
        assert!(
            self.enabled > 0 || deadline.is_some(),
            "a `Select` without an enabled event would block for ever"
        );
        let Self { select, arms, .. } = self;
        let first = select.next_turn();
        let event = poll_fn(|cx| poll_from(first, arms, cx));
        select.clock.block_on(event, deadline)
    }
}

impl Select {
    fn next_turn(&mut self) -> usize {
        self.turn = self.turn.wrapping_add(1);
        self.turn
    }
}

/// Polls each event, beginning with another one each turn.
fn poll_from<T, A: Arms<T>>(first: usize, arms: &mut A, cx: &mut Context<'_>) -> Poll<T> {
    for nth in 0..A::COUNT {
        let event = arms.poll_nth(first.wrapping_add(nth) % A::COUNT, cx);
        if event.is_ready() {
            return event;
        }
    }
    Poll::Pending
}

/// # Panics
/// Awaiting it panics if no event is enabled.
impl<'a, T, A: Arms<T>> IntoFuture for Selecting<'a, T, A> {
    type Output = T;
    type IntoFuture = SelectFuture<'a, T, A>;

    fn into_future(self) -> SelectFuture<'a, T, A> {
        assert!(
            self.enabled > 0,
            "a `Select` without an enabled event would wait for ever"
        );
        let first = self.select.next_turn();
        SelectFuture {
            selecting: self,
            first,
        }
    }
}

/// The future of a [`Selecting`], which waits for the first event.
#[must_use = "futures do nothing unless awaited"]
pub struct SelectFuture<'a, T, A> {
    selecting: Selecting<'a, T, A>,
    first: usize,
}

// The futures in it are `Unpin`, and nothing else is polled.
impl<T, A> Unpin for SelectFuture<'_, T, A> {}

impl<T, A: Arms<T>> Future for SelectFuture<'_, T, A> {
    type Output = T;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<T> {
        let first = self.first;
        poll_from(first, &mut self.selecting.arms, cx)
    }
}

impl<T, A> fmt::Debug for Selecting<'_, T, A> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Selecting")
            .field("enabled", &self.enabled)
            .finish_non_exhaustive()
    }
}

impl<T, A> fmt::Debug for SelectFuture<'_, T, A> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("SelectFuture")
            .field(&self.selecting)
            .finish()
    }
}
