//! A type-erased client, which hides the channel behind it and that channel's message types.

#![forbid(unsafe_code)]

use std::{
    fmt,
    future::{Future, IntoFuture},
    panic::Location,
    pin::Pin,
    time::{Duration, Instant},
};

use crate::{
    api::client::Client,
    api::request::Request,
    error::request_error::RequestError,
    error::send_error::SendError,
    stats::Stats,
    sync::{Arc, WakerArc},
    time::clock::Clock,
};

/// A type-erased client of any channel, [mapped](Self::map) or not. Only the types of message,
/// reply and error are known.
///
/// With this type, a component depends only on the messages that it sends, and not on the whole
/// server that happens to answer. Clones send to the same server, and together count as one strong
/// client. Deadlines, lanes, outcomes and returned messages are those of the channel. An awaited
/// request costs one allocation (and one more for each mapping); a blocking request costs none.
///
/// ```
/// use ump::{Client, DynClient};
///
/// enum Op { Get(u32), Put(u32, String) }
/// enum Answer { Found(Option<String>), Done }
///
/// /// Depends on a client that looks up names, and not on the store.
/// struct Greeter(DynClient<u32, Option<String>, ()>);
///
/// impl Greeter {
///     fn greet(&self, id: u32) -> String {
///         match self.0.request(id).wait() {
///             Ok(Some(name)) => format!("hello, {name}"),
///             _ => "hello".to_owned(),
///         }
///     }
/// }
///
/// # let (server, client) = ump::channel::<Op, Answer, ()>();
/// # let serving = std::thread::spawn(move || for (op, rctx) in &server {
/// #     let _ = rctx.reply(match op { Op::Get(_) => Answer::Found(Some("Ada".into())), Op::Put(..) => Answer::Done });
/// # });
/// # let _ = Op::Put(1, String::new());
/// let names = client.map(
///     Op::Get,
///     |op| match op { Op::Get(id) => id, Op::Put(..) => unreachable!("only `Get` was made") },
///     |answer| answer.map(|it| match it { Answer::Found(name) => name, Answer::Done => None }),
/// );
/// assert_eq!(Greeter(names).greet(7), "hello, Ada");
/// # serving.join().unwrap();
/// ```
pub struct DynClient<S, R, E>(WakerArc<dyn Ask<S, R, E>>);

type Ending<S, R, E> = Result<R, RequestError<S, E>>;
type Boxed<T> = Pin<Box<dyn Future<Output = T> + Send>>;

/// The options of a request.
#[derive(Clone, Copy, Debug)]
struct Options {
    /// `None` stands for the client's default.
    deadline: Option<Deadline>,
    urgent: bool,
    if_room: bool,
    caller: &'static Location<'static>,
}

#[derive(Clone, Copy, Debug)]
enum Deadline {
    At(Instant),
    Never,
}

/// The interface of a client. No method is generic, so that it can be a trait object.
trait Ask<S, R, E>: Send + Sync {
    fn ask(&self, message: S, options: Options) -> Ending<S, R, E>;
    fn start(&self, message: S, options: Options) -> Boxed<Ending<S, R, E>>;
    fn post(&self, message: S, options: Options) -> Result<(), SendError<S>>;
    fn start_post(&self, message: S, options: Options) -> Boxed<Result<(), SendError<S>>>;
    fn is_closed(&self) -> bool;
    fn stats(&self) -> Stats;
    fn clock(&self) -> &Clock;
}

impl<S, R, E> DynClient<S, R, E> {
    /// Creates a request. Nothing is sent before the request is waited for, awaited or posted.
    ///
    /// The handler sees the location of this call as [the caller](crate::ReplyContext::caller).
    #[track_caller]
    pub fn request(&self, message: S) -> DynRequest<S, R, E> {
        DynRequest {
            client: self.clone(),
            message,
            options: Options {
                deadline: None,
                urgent: false,
                if_room: false,
                caller: Location::caller(),
            },
        }
    }

    /// Returns whether the server is gone or closed.
    #[must_use]
    pub fn is_closed(&self) -> bool {
        self.0.is_closed()
    }

    /// Returns statistics of what has happened so far on the channel behind this client, by all of
    /// its clients.
    #[must_use]
    pub fn stats(&self) -> Stats {
        self.0.stats()
    }

    /// Returns the clock of the channel behind this client.
    #[must_use]
    pub fn clock(&self) -> &Clock {
        self.0.clock()
    }
}

impl<S, R, E> DynClient<S, R, E>
where
    S: Send + 'static,
    R: Send + 'static,
    E: Send + 'static,
{
    /// Returns a client of the same server that takes messages `T`, and returns replies `Q` or
    /// errors `F`. See [`Client::map`].
    #[must_use]
    pub fn map<T, Q, F>(
        self,
        into: impl Fn(T) -> S + Send + Sync + 'static,
        back: impl Fn(S) -> T + Send + Sync + 'static,
        out: impl Fn(Result<R, E>) -> Result<Q, F> + Send + Sync + 'static,
    ) -> DynClient<T, Q, F>
    where
        T: Send + 'static,
        Q: Send + 'static,
        F: Send + 'static,
    {
        DynClient(WakerArc::new(Mapped {
            inner: self,
            into,
            way_back: WakerArc::new(WayBack { back, out }),
        }))
    }
}

impl<S, R, E> Client<S, R, E>
where
    S: Send + 'static,
    R: Send + 'static,
    E: Send + 'static,
{
    /// Returns a client of the same server that takes messages `T`, and returns replies `Q` or
    /// errors `F`.
    ///
    /// For components that should not depend on everything that the server can do.
    ///
    /// `into` converts a message `T` into a message of the server. If a message was not executed,
    /// `back` converts it back; it gets only messages that `into` has made. `out` converts the
    /// handler's answer into a reply `Q` or an error `F`. All three are called on the caller's
    /// thread or task. `into` is called when the request is waited for, or turned into a future.
    ///
    /// See [`DynClient`] for an example.
    #[must_use]
    pub fn map<T, Q, F>(
        self,
        into: impl Fn(T) -> S + Send + Sync + 'static,
        back: impl Fn(S) -> T + Send + Sync + 'static,
        out: impl Fn(Result<R, E>) -> Result<Q, F> + Send + Sync + 'static,
    ) -> DynClient<T, Q, F>
    where
        T: Send + 'static,
        Q: Send + 'static,
        F: Send + 'static,
    {
        DynClient::from(self).map(into, back, out)
    }
}

impl<S, R, E> From<Client<S, R, E>> for DynClient<S, R, E>
where
    S: Send + 'static,
    R: Send + 'static,
    E: Send + 'static,
{
    fn from(client: Client<S, R, E>) -> Self {
        Self(WakerArc::new(Direct(Arc::new(client))))
    }
}

impl<S, R, E> Clone for DynClient<S, R, E> {
    fn clone(&self) -> Self {
        Self(WakerArc::clone(&self.0))
    }
}

impl<S, R, E> fmt::Debug for DynClient<S, R, E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DynClient").finish_non_exhaustive()
    }
}

/// A request of a [`DynClient`] that has not been sent yet. Its options are those of a [`Request`].
///
/// # Cancel safety
/// Dropping the future cancels the request, as for a [`RequestFuture`](crate::RequestFuture).
#[must_use = "nothing is sent before it is waited for, awaited or posted"]
pub struct DynRequest<S, R, E> {
    client: DynClient<S, R, E>,
    message: S,
    options: Options,
}

impl<S, R, E> DynRequest<S, R, E> {
    /// Sets the deadline to `timeout` from now. See [`Request::timeout`].
    pub fn timeout(mut self, timeout: Duration) -> Self {
        let deadline = self.client.clock().after(timeout);
        self.options.deadline = Some(deadline.map_or(Deadline::Never, Deadline::At));
        self
    }

    /// Sets the deadline. See [`Request::deadline`].
    pub fn deadline(mut self, deadline: Instant) -> Self {
        self.options.deadline = Some(Deadline::At(deadline));
        self
    }

    /// Lets the request overtake normal requests. See [`Request::urgent`].
    pub fn urgent(mut self) -> Self {
        self.options.urgent = true;
        self
    }

    /// Does not wait for room. See [`Request::if_room`].
    pub fn if_room(mut self) -> Self {
        self.options.if_room = true;
        self
    }

    /// Sends the request and blocks until its outcome.
    ///
    /// # Errors
    /// See [`RequestError`]. If the request was not executed, the message comes back in the error.
    pub fn wait(self) -> Result<R, RequestError<S, E>> {
        self.client.0.ask(self.message, self.options)
    }

    /// Sends the request as a post. Blocks only while there is no room. See [`Request::post`].
    ///
    /// # Errors
    /// See [`SendError`]. The message comes back in the error.
    pub fn wait_post(self) -> Result<(), SendError<S>> {
        self.client.0.post(self.message, self.options)
    }

    /// Sends the request as a post, and awaits room. See [`Request::post`].
    ///
    /// # Errors
    /// See [`SendError`]. The message comes back in the error.
    ///
    /// # Cancel safety
    /// If the future is dropped before it is ready, nothing was sent.
    pub fn post(self) -> impl Future<Output = Result<(), SendError<S>>> + Send {
        self.client.0.start_post(self.message, self.options)
    }
}

impl<S, R, E> IntoFuture for DynRequest<S, R, E> {
    type Output = Result<R, RequestError<S, E>>;
    type IntoFuture = Pin<Box<dyn Future<Output = Self::Output> + Send>>;

    fn into_future(self) -> Self::IntoFuture {
        self.client.0.start(self.message, self.options)
    }
}

impl<S, R, E> fmt::Debug for DynRequest<S, R, E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DynRequest")
            .field("options", &self.options)
            .finish_non_exhaustive()
    }
}

/// A client without a mapping.
struct Direct<S, R, E>(Arc<Client<S, R, E>>);

impl<S, R, E> Direct<S, R, E> {
    fn request(&self, message: S, options: Options) -> Request<'static, S, R, E> {
        let mut request = Client::request_owned(Arc::clone(&self.0), message);
        request = request.on_behalf_of(options.caller);
        request = match options.deadline {
            None => request,
            Some(Deadline::At(deadline)) => request.deadline(deadline),
            Some(Deadline::Never) => request.timeout(Duration::MAX),
        };
        if options.urgent {
            request = request.urgent();
        }
        if options.if_room {
            request = request.if_room();
        }
        request
    }
}

impl<S, R, E> Ask<S, R, E> for Direct<S, R, E>
where
    S: Send + 'static,
    R: Send + 'static,
    E: Send + 'static,
{
    fn ask(&self, message: S, options: Options) -> Ending<S, R, E> {
        self.request(message, options).wait()
    }

    fn start(&self, message: S, options: Options) -> Boxed<Ending<S, R, E>> {
        Box::pin(self.request(message, options).into_future())
    }

    fn post(&self, message: S, options: Options) -> Result<(), SendError<S>> {
        self.request(message, options).post().wait()
    }

    fn start_post(&self, message: S, options: Options) -> Boxed<Result<(), SendError<S>>> {
        Box::pin(self.request(message, options).post().into_future())
    }

    fn is_closed(&self) -> bool {
        self.0.is_closed()
    }

    fn stats(&self) -> Stats {
        self.0.stats()
    }

    fn clock(&self) -> &Clock {
        self.0.clock()
    }
}

/// A client with other types of message, reply and error.
struct Mapped<S, R, E, I, W> {
    inner: DynClient<S, R, E>,
    into: I,
    way_back: WakerArc<W>,
}

/// The conversions of returned messages and of answers.
struct WayBack<B, O> {
    back: B,
    out: O,
}

impl<B, O> WayBack<B, O> {
    fn ending<S, R, E, T, Q, F>(&self, ending: Ending<S, R, E>) -> Ending<T, Q, F>
    where
        B: Fn(S) -> T,
        O: Fn(Result<R, E>) -> Result<Q, F>,
    {
        match ending {
            Ok(reply) => (self.out)(Ok(reply)).map_err(RequestError::App),
            Err(RequestError::App(error)) => (self.out)(Err(error)).map_err(RequestError::App),
            Err(other) => Err(other
                .map_message(&self.back)
                .map_app(|_| unreachable!("that was above"))),
        }
    }
}

impl<S, R, E, T, Q, F, I, B, O> Ask<T, Q, F> for Mapped<S, R, E, I, WayBack<B, O>>
where
    S: Send + 'static,
    R: Send + 'static,
    E: Send + 'static,
    T: Send + 'static,
    Q: Send + 'static,
    F: Send + 'static,
    I: Fn(T) -> S + Send + Sync,
    B: Fn(S) -> T + Send + Sync + 'static,
    O: Fn(Result<R, E>) -> Result<Q, F> + Send + Sync + 'static,
{
    fn ask(&self, message: T, options: Options) -> Ending<T, Q, F> {
        let ending = self.inner.0.ask((self.into)(message), options);
        self.way_back.ending(ending)
    }

    fn start(&self, message: T, options: Options) -> Boxed<Ending<T, Q, F>> {
        let ending = self.inner.0.start((self.into)(message), options);
        let way_back = WakerArc::clone(&self.way_back);
        Box::pin(async move { way_back.ending(ending.await) })
    }

    fn post(&self, message: T, options: Options) -> Result<(), SendError<T>> {
        let sent = self.inner.0.post((self.into)(message), options);
        sent.map_err(|error| error.map_message(&self.way_back.back))
    }

    fn start_post(&self, message: T, options: Options) -> Boxed<Result<(), SendError<T>>> {
        let sent = self.inner.0.start_post((self.into)(message), options);
        let way_back = WakerArc::clone(&self.way_back);
        Box::pin(async move {
            let sent = sent.await;
            sent.map_err(|error| error.map_message(&way_back.back))
        })
    }

    fn is_closed(&self) -> bool {
        self.inner.is_closed()
    }

    fn stats(&self) -> Stats {
        self.inner.stats()
    }

    fn clock(&self) -> &Clock {
        self.inner.clock()
    }
}
