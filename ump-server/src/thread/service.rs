//! Handlers by associated types, and the bound that accepts these and the published shape.
//!
//! The module of the same name for tasks differs in `async` and in `Send`, for which a trait has no
//! parameter. What both share is in [`handler_shape`](crate::worker::handler_shape).

use std::ops::ControlFlow;

use super::Handler;
use crate::{
    Context, ReplyContext,
    worker::handler_shape::{ByParameters, ByTypes, HandlerService},
};

/// Handles the requests and timers of a loop on a thread, one at a time.
///
/// This is [`Handler`] with associated types: with them the compiler knows from the type of a
/// handler which requests, errors and timers it has, so the closures that make handlers need no
/// annotations. [`Handler`] is the shape of the published `ump-server` 0.4. Each `spawn` method
/// accepts both (see [`IntoService`]).
///
/// ```
/// use std::{ops::ControlFlow, time::Duration};
/// use ump_server::{Context, Refused, ReplyContext, thread};
///
/// /// Forgets its value once a minute.
/// struct Cache(Option<String>);
///
/// #[derive(Clone)]
/// struct Forget;
///
/// impl thread::Service for Cache {
///     type Request = ();
///     type Reply = String;
///     type Error = Refused;
///     type Output = ();
///     type Timer = Forget;
///
///     fn init(&mut self, cx: &Context<(), String, Refused, Forget>) {
///         cx.timers().every(Duration::from_secs(60), Forget);
///     }
///
///     fn handle(&mut self, (): (), reply: ReplyContext<String, Refused>) -> ControlFlow<()> {
///         let value = self.0.get_or_insert_with(|| "computed".to_owned());
///         let _ = reply.reply(value.clone()); // an error if the caller has left
///         ControlFlow::Continue(())
///     }
///
///     fn on_timer(&mut self, Forget: Forget) -> ControlFlow<()> {
///         self.0 = None;
///         ControlFlow::Continue(())
///     }
/// }
///
/// let (client, handle) = thread::serve(Cache(None));
/// assert_eq!(client.req(()).unwrap(), "computed");
/// drop(client);
/// assert_eq!(handle.join(), Ok(None));
/// ```
pub trait Service {
    /// The messages that clients send.
    type Request: Send + 'static;
    /// The replies that clients get.
    type Reply: Send + 'static;
    /// The application's own error: callers get it as [`Error::App`](ump::Error::App).
    type Error: Send + 'static;
    /// The value that ends the loop: `ControlFlow::Break` carries it, and
    /// [joining](crate::JoinHandle::join) returns it. `()` if there is none.
    type Output: Send + 'static;
    /// The tokens of the loop's [timers](crate::Timers). `()` if there are none.
    type Timer: Send + 'static;

    /// Prepares the handler. Called once on the loop's thread, before anything else.
    ///
    /// The context has the loop's [timers](Context::timers), its clock, its stopper and a weak
    /// client. (A handler that keeps a strong client of its own loop keeps the loop from ending.)
    #[allow(unused_variables)]
    fn init(&mut self, cx: &Context<Self::Request, Self::Reply, Self::Error, Self::Timer>) {}

    /// Handles a request. `Break` ends the loop.
    fn handle(
        &mut self,
        request: Self::Request,
        reply: ReplyContext<'_, Self::Reply, Self::Error>,
    ) -> ControlFlow<Self::Output>;

    /// Returns the name of a request in reports of the [watchdog](super::Builder::watchdog), traces
    /// and metrics. See [`Handler::kind`].
    #[allow(unused_variables)]
    fn kind(&self, request: &Self::Request) -> &'static str {
        std::any::type_name::<Self::Request>()
    }

    /// Handles a timer that is due. `Break` ends the loop.
    #[allow(unused_variables)]
    fn on_timer(&mut self, timer: Self::Timer) -> ControlFlow<Self::Output> {
        ControlFlow::Continue(())
    }

    /// Handles an event of a socket that this handler has registered: see [`net`](crate::net).
    /// `Break` ends the loop. Requires the feature `net`.
    ///
    /// The default ignores the event. A handler that has sockets needs its own: the event of a
    /// socket that is readable comes again until the socket is read, paused or dropped.
    #[cfg(all(feature = "net", unix, not(any(loom, shuttle))))]
    #[allow(unused_variables)]
    fn on_socket(&mut self, event: crate::net::Event) -> ControlFlow<Self::Output> {
        ControlFlow::Continue(())
    }

    /// Cleans up at the end of the loop. Returns what [joining](crate::JoinHandle::join) returns.
    /// See [`Handler::term`].
    fn term(&mut self, output: Option<Self::Output>) -> Option<Self::Output> {
        output
    }
}

/// Converts a handler of either shape into a [`Service`]: the bound of all methods that run a
/// handler.
///
/// Every [`Service`] and every [`Handler`] implements it, closures included. `Shape` tells the two
/// apart, and the compiler infers it. (A blanket implementation of one trait for the other is
/// impossible: the parameters of [`Handler`] are not determined by the type, and closures are
/// handlers already.)
pub trait IntoService<Shape> {
    /// See [`Service::Request`].
    type Request: Send + 'static;
    /// See [`Service::Reply`].
    type Reply: Send + 'static;
    /// See [`Service::Error`].
    type Error: Send + 'static;
    /// See [`Service::Output`].
    type Output: Send + 'static;
    /// See [`Service::Timer`].
    type Timer: Send + 'static;
    /// The type of the service.
    type Service: Service<
            Request = Self::Request,
            Reply = Self::Reply,
            Error = Self::Error,
            Output = Self::Output,
            Timer = Self::Timer,
        > + 'static;

    /// Converts the handler.
    fn into_service(self) -> Self::Service;
}

impl<H: Service + 'static> IntoService<ByTypes> for H {
    type Request = H::Request;
    type Reply = H::Reply;
    type Error = H::Error;
    type Output = H::Output;
    type Timer = H::Timer;
    type Service = H;

    fn into_service(self) -> H {
        self
    }
}

impl<S, R, E, RV, T, H> IntoService<ByParameters<S, R, E, RV, T>> for H
where
    S: Send + 'static,
    R: Send + 'static,
    E: Send + 'static,
    RV: Send + 'static,
    T: Send + 'static,
    H: Handler<S, R, E, RV, T> + 'static,
{
    type Request = S;
    type Reply = R;
    type Error = E;
    type Output = RV;
    type Timer = T;
    type Service = HandlerService<H, S, R, E, RV, T>;

    fn into_service(self) -> Self::Service {
        HandlerService::new(self)
    }
}

impl<H, S, R, E, RV, T> Service for HandlerService<H, S, R, E, RV, T>
where
    S: Send + 'static,
    R: Send + 'static,
    E: Send + 'static,
    RV: Send + 'static,
    T: Send + 'static,
    H: Handler<S, R, E, RV, T>,
{
    type Request = S;
    type Reply = R;
    type Error = E;
    type Output = RV;
    type Timer = T;

    #[inline]
    fn init(&mut self, cx: &Context<S, R, E, T>) {
        self.handler.init(cx.weak_client());
    }

    #[inline]
    fn handle(&mut self, request: S, reply: ReplyContext<'_, R, E>) -> ControlFlow<RV> {
        self.handler.proc_req(request, reply)
    }

    #[inline]
    fn kind(&self, request: &S) -> &'static str {
        self.handler.kind(request)
    }

    #[inline]
    fn on_timer(&mut self, timer: T) -> ControlFlow<RV> {
        self.handler.on_timer(timer)
    }

    #[cfg(all(feature = "net", unix, not(any(loom, shuttle))))]
    #[inline]
    fn on_socket(&mut self, event: crate::net::Event) -> ControlFlow<RV> {
        self.handler.on_socket(event)
    }

    #[inline]
    fn term(&mut self, output: Option<RV>) -> Option<RV> {
        self.handler.term(output)
    }
}
