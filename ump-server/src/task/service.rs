//! Handlers by associated types, and the bound that accepts these and the published shape.
//!
//! The module of the same name for threads differs in `async` and in `Send`, for which a trait has
//! no parameter. What both share is in [`handler_shape`](crate::worker::handler_shape).

use std::{
    future::{Future, pending, ready},
    ops::ControlFlow,
};

use super::Handler;
use crate::{
    Context, ReplyContext,
    worker::handler_shape::{ByParameters, ByTypes, HandlerService},
};

/// Handles the requests and timers of a loop on a task, one at a time: while one call waits, the
/// others wait as well.
///
/// This is [`Handler`] with associated types: with them the compiler knows from the type of a
/// handler which requests, errors and timers it has, so the closures that make handlers need no
/// annotations. [`Handler`] is the shape of the published `ump-server` 0.4. Each `spawn` method
/// accepts both (see [`IntoService`]). Methods are written as `async fn`s. Cancel safety is that of
/// [`Handler`].
///
/// ```
/// # #[tokio::main(flavor = "current_thread")] async fn main() {
/// use std::ops::ControlFlow;
/// use ump_server::{Refused, ReplyContext, task};
///
/// struct Increment;
///
/// impl task::Service for Increment {
///     type Request = u64;
///     type Reply = u64;
///     type Error = Refused;
///     type Output = ();
///     type Timer = ();
///
///     async fn handle(&mut self, n: u64, reply: ReplyContext<'_, u64, Refused>) -> ControlFlow<()> {
///         tokio::task::yield_now().await;
///         let _ = reply.reply(n + 1); // an error if the caller has left
///         ControlFlow::Continue(())
///     }
/// }
///
/// let (client, _) = task::serve(Increment);
/// assert_eq!(client.areq(1).await, Ok(2));
/// # }
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

    /// Prepares the handler. Called once, before anything else.
    ///
    /// The context has the loop's [timers](Context::timers), its clock, its stopper and a weak
    /// client. (A handler that keeps a strong client of its own loop keeps the loop from ending.)
    #[allow(unused_variables)]
    fn init(
        &mut self,
        cx: &Context<Self::Request, Self::Reply, Self::Error, Self::Timer>,
    ) -> impl Future<Output = ()> + Send {
        ready(())
    }

    /// Handles a request. `Break` ends the loop.
    fn handle(
        &mut self,
        request: Self::Request,
        reply: ReplyContext<'_, Self::Reply, Self::Error>,
    ) -> impl Future<Output = ControlFlow<Self::Output>> + Send;

    /// Returns the name of a request in reports of the [watchdog](super::Builder::watchdog), traces
    /// and metrics. See [`Handler::kind`].
    #[allow(unused_variables)]
    fn kind(&self, request: &Self::Request) -> &'static str {
        std::any::type_name::<Self::Request>()
    }

    /// Handles a timer that is due. `Break` ends the loop.
    #[allow(unused_variables)]
    fn on_timer(
        &mut self,
        timer: Self::Timer,
    ) -> impl Future<Output = ControlFlow<Self::Output>> + Send {
        ready(ControlFlow::Continue(()))
    }

    /// Waits for something beside requests and timers: a socket of the runtime that is ready, a
    /// message of a channel, the exit of a process. When it resolves, the loop calls
    /// [`on_ready`](Self::on_ready). The default never resolves.
    ///
    /// The loop polls it while it waits for the next request, so all of them end the same wait, and
    /// neither a flood of requests nor one of these events starves the other. It is not a call: it
    /// holds up no request, and the watchdog does not watch it. For sleeping there are the loop's
    /// [timers](Context::timers); a [test clock](crate::TestClock) does not wait for a sleep here.
    ///
    /// # Cancel safety
    /// The future is dropped when a request or a timer comes first, and made anew for the next
    /// wait. So it has to be cancel safe: await one thing that is, such as the `readable` of a
    /// socket, and do the rest in `on_ready`, which is never dropped for a request.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> std::io::Result<()> {
    /// use std::{net::Ipv4Addr, ops::ControlFlow};
    /// use tokio::net::UdpSocket;
    /// use ump_server::{Refused, ReplyContext, task};
    ///
    /// /// Sends each datagram back. A request asks how many there were.
    /// struct Echo {
    ///     socket: UdpSocket,
    ///     datagrams: u64,
    /// }
    ///
    /// impl task::Service for Echo {
    ///     type Request = ();
    ///     type Reply = u64;
    ///     type Error = Refused;
    ///     type Output = ();
    ///     type Timer = ();
    ///
    ///     async fn handle(&mut self, (): (), reply: ReplyContext<'_, u64, Refused>) -> ControlFlow<()> {
    ///         let _ = reply.reply(self.datagrams);
    ///         ControlFlow::Continue(())
    ///     }
    ///
    ///     async fn ready(&mut self) {
    ///         // An error is returned by the call in `on_ready` as well.
    ///         let _ = self.socket.readable().await;
    ///     }
    ///
    ///     async fn on_ready(&mut self) -> ControlFlow<()> {
    ///         let mut buffer = [0; 1500];
    ///         if let Ok((len, from)) = self.socket.try_recv_from(&mut buffer) {
    ///             self.datagrams += 1;
    ///             let _ = self.socket.try_send_to(&buffer[..len], from); // it may be lost
    ///         }
    ///         ControlFlow::Continue(())
    ///     }
    /// }
    ///
    /// let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).await?;
    /// let address = socket.local_addr()?;
    /// let (client, _loop) = task::serve(Echo { socket, datagrams: 0 });
    /// let peer = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).await?;
    /// peer.send_to(b"hello", address).await?;
    /// assert_eq!(peer.recv(&mut [0; 64]).await?, 5);
    /// assert_eq!(client.areq(()).await, Ok(1));
    /// # Ok(())
    /// # }
    /// ```
    fn ready(&mut self) -> impl Future<Output = ()> + Send {
        pending()
    }

    /// Handles what [`ready`](Self::ready) has waited for. `Break` ends the loop.
    ///
    /// It may come in vain: use operations that do not wait, such as `try_read`, and take
    /// [`WouldBlock`](std::io::ErrorKind::WouldBlock) for nothing.
    fn on_ready(&mut self) -> impl Future<Output = ControlFlow<Self::Output>> + Send {
        ready(ControlFlow::Continue(()))
    }

    /// Handles an event of a socket that this handler has registered with the
    /// [sockets](Context::sockets) of its loop: see [`net`](crate::net). `Break` ends the loop.
    /// Requires the features `net` and `tokio-net`, and a runtime with its IO driver.
    ///
    /// The events and their turns are those of loops on threads. While a call waits, the loop waits
    /// with it.
    ///
    /// The default ignores the event. A handler that has sockets needs its own: the event of a
    /// socket that is readable comes again until the socket is read, paused or dropped.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// use std::{net::{Ipv4Addr, SocketAddr}, ops::ControlFlow};
    /// use ump_server::{Refused, ReplyContext, net::{Event, UdpSocket}, task};
    ///
    /// /// Sends each datagram back. A request asks for its address.
    /// struct Echo(UdpSocket);
    ///
    /// impl task::Service for Echo {
    ///     type Request = ();
    ///     type Reply = SocketAddr;
    ///     type Error = Refused;
    ///     type Output = ();
    ///     type Timer = ();
    ///
    ///     async fn handle(&mut self, (): (), reply: ReplyContext<'_, SocketAddr, Refused>) -> ControlFlow<()> {
    ///         let _ = reply.answer(self.0.local_addr().map_err(|_| Refused));
    ///         ControlFlow::Continue(())
    ///     }
    ///
    ///     async fn on_socket(&mut self, event: Event) -> ControlFlow<()> {
    ///         let mut buffer = [0; 1500];
    ///         if let Event::Readable(_) = event {
    ///             if let Ok(datagram) = self.0.recv_from(&mut buffer) {
    ///                 let _ = self.0.send_to(&buffer[..datagram.len], datagram.from); // it may be lost
    ///             }
    ///         }
    ///         ControlFlow::Continue(())
    ///     }
    /// }
    ///
    /// let (client, _loop) = task::Builder::new().name("echo").spawn_with(|cx| {
    ///     Ok(Echo(cx.sockets().udp((Ipv4Addr::LOCALHOST, 0)).map_err(|_| Refused)?))
    /// })?;
    /// let peer = tokio::net::UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).await?;
    /// peer.send_to(b"hello", client.areq(()).await?).await?;
    /// assert_eq!(peer.recv(&mut [0; 64]).await?, 5);
    /// # Ok(())
    /// # }
    /// ```
    #[cfg(all(feature = "net", feature = "tokio-net", unix))]
    #[allow(unused_variables)]
    fn on_socket(
        &mut self,
        event: crate::net::Event,
    ) -> impl Future<Output = ControlFlow<Self::Output>> + Send {
        ready(ControlFlow::Continue(()))
    }

    /// Cleans up at the end of the loop. Returns what [joining](crate::JoinHandle::join) returns.
    /// See [`Handler::term`].
    fn term(
        &mut self,
        output: Option<Self::Output>,
    ) -> impl Future<Output = Option<Self::Output>> + Send {
        ready(output)
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
        > + Send
        + 'static;

    /// Converts the handler.
    fn into_service(self) -> Self::Service;
}

impl<H: Service + Send + 'static> IntoService<ByTypes> for H {
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
    H: Handler<S, R, E, RV, T> + Send + 'static,
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
    fn init(&mut self, cx: &Context<S, R, E, T>) -> impl Future<Output = ()> + Send {
        self.handler.init(cx.weak_client())
    }

    #[inline]
    fn handle(
        &mut self,
        request: S,
        reply: ReplyContext<'_, R, E>,
    ) -> impl Future<Output = ControlFlow<RV>> + Send {
        self.handler.proc_req(request, reply)
    }

    #[inline]
    fn kind(&self, request: &S) -> &'static str {
        self.handler.kind(request)
    }

    #[inline]
    fn on_timer(&mut self, timer: T) -> impl Future<Output = ControlFlow<RV>> + Send {
        self.handler.on_timer(timer)
    }

    #[inline]
    fn ready(&mut self) -> impl Future<Output = ()> + Send {
        self.handler.ready()
    }

    #[inline]
    fn on_ready(&mut self) -> impl Future<Output = ControlFlow<RV>> + Send {
        self.handler.on_ready()
    }

    #[cfg(all(feature = "net", feature = "tokio-net", unix))]
    #[inline]
    fn on_socket(
        &mut self,
        event: crate::net::Event,
    ) -> impl Future<Output = ControlFlow<RV>> + Send {
        self.handler.on_socket(event)
    }

    #[inline]
    fn term(&mut self, output: Option<RV>) -> impl Future<Output = Option<RV>> + Send {
        self.handler.term(output)
    }
}
