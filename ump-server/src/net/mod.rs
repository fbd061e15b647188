//! Sockets as events of loops. Requires the feature `net`, and unix; for loops on tasks also the
//! feature `tokio-net`.
//!
//! A handler registers sockets with the [`Sockets`] of its [context](crate::Context::sockets), and
//! owns them. The loop reports their [events](Event) to
//! [`on_socket`](crate::thread::Service::on_socket). A request, a timer and a socket that is ready
//! end the same wait, and the handler sees them one at a time. There is no thread in between.
//!
//! ```
//! use std::{io::{Read, Write}, net::{Ipv4Addr, SocketAddr}, ops::ControlFlow};
//! use ump_server::{
//!     Context, Refused, ReplyContext,
//!     net::{Event, SocketMap, TcpListener, TcpStream},
//!     thread,
//! };
//!
//! /// Sends back whatever comes. A request asks for its address.
//! struct Echo {
//!     listener: TcpListener,
//!     connections: SocketMap<(TcpStream, Vec<u8>)>, // with what could not be written yet
//! }
//!
//! impl thread::Service for Echo {
//!     type Request = ();
//!     type Reply = SocketAddr;
//!     type Error = Refused;
//!     type Output = ();
//!     type Timer = ();
//!
//!     fn handle(&mut self, (): (), reply: ReplyContext<SocketAddr, Refused>) -> ControlFlow<()> {
//!         let _ = reply.answer(self.listener.local_addr().map_err(|_| Refused));
//!         ControlFlow::Continue(())
//!     }
//!
//!     fn on_socket(&mut self, event: Event) -> ControlFlow<()> {
//!         match event {
//!             Event::Accepted { stream, .. } => {
//!                 self.connections.insert(stream.id(), (stream, Vec::new()));
//!             }
//!             Event::Readable(id) | Event::Writable(id) => {
//!                 let Some((stream, unsent)) = self.connections.get_mut(id) else {
//!                     return ControlFlow::Continue(());
//!                 };
//!                 let mut buffer = [0; 4096];
//!                 // It reads no more before all is written: the peer has to wait.
//!                 let read = if unsent.is_empty() { stream.read(&mut buffer).ok() } else { None };
//!                 unsent.extend(&buffer[..read.unwrap_or(0)]);
//!                 if let Ok(written) = stream.write(unsent) {
//!                     unsent.drain(..written);
//!                 }
//!                 match unsent.is_empty() {
//!                     true => stream.resume_reading(),
//!                     false => stream.pause_reading(), // `Writable` comes
//!                 }
//!                 if read == Some(0) {
//!                     self.connections.remove(id); // dropped, so closed
//!                 }
//!             }
//!             Event::Closed(id) => drop(self.connections.remove(id)),
//!             _ => {}
//!         }
//!         ControlFlow::Continue(())
//!     }
//! }
//!
//! let (client, _loop) = thread::Builder::new().name("echo").spawn_with(|cx: &Context<_, _, _>| {
//!     let listener = cx.sockets().listen((Ipv4Addr::LOCALHOST, 0)).map_err(|_| Refused)?;
//!     Ok(Echo { listener, connections: SocketMap::new() })
//! })?;
//! let mut stream = std::net::TcpStream::connect(client.req(())?)?;
//! stream.write_all(b"hello")?;
//! let mut answer = [0; 5];
//! stream.read_exact(&mut answer)?;
//! assert_eq!(&answer, b"hello");
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # Events are levels
//!
//! [`Event::Readable`] comes again in each turn as long as there is something to read, so one read
//! for each event suffices, and stopping early loses nothing. `pause_reading` is the back-pressure.
//! [`Event::Writable`] comes once, after a write that was short or would have blocked.
//!
//! A handler that neither reads nor pauses a socket that is readable gets its event in every turn:
//! the loop does not sleep.
//!
//! # Turns
//!
//! ```text
//!     ┌──▶ due timers ──▶ at most 128 events of sockets ──▶ at most 16 requests ──┐
//!     │                   (one for each socket that is ready,                     │
//!     │                   32 connections accepted, 32 taken over)                 │
//!     └─────────────────── sleep, if there is nothing more to do ◀────────────────┘
//! ```
//!
//! Due timers come before each request, too. So a flood of one class, or of one socket, keeps none
//! of the others waiting for long. While the loop knows of no event and requests keep coming, it
//! asks its selector after every 64 of them.
//!
//! # Costs
//!
//! A loop that never registers a socket waits as without the feature. One that does sleeps in the
//! selector (`epoll`, `kqueue`): a request to it costs one write to its waker if it sleeps, and no
//! system call if it is awake, apart from the loop's own look at its selector after every 64
//! requests. On Linux its timers are as exact as those of other loops; elsewhere they may be up to
//! a millisecond late.
//!
//! # Loops on tasks
//!
//! With the feature `tokio-net`, a loop on a task has the same sockets, events and turns: they are
//! reported to the `on_socket` of `task::Service`. The loop's selector is itself a descriptor, for
//! which the IO driver of the runtime waits; if the runtime has none (`enable_io`), registering a
//! socket fails, with an error that says so. (tokio panics on the way to that error, which is
//! caught; the panic hook runs.)
//!
//! Being woken by a socket costs one system call in addition to that of the runtime. No other
//! thread takes part: the task runs where the runtime has seen the socket, or is sent to by the
//! runtime. Each event is a result for the task's [budget](ump::coop), as each request is.
//!
//! # Life
//!
//! Sockets belong to their handler. When the handler is rebuilt or the loop has ended, they are
//! dropped with it; during a [draining stop](crate::Stop::Drain) they still report events, until
//! the queued requests are served. A loop ends when its last client is gone, even if it has open
//! sockets: keep a client.
//!
//! With a [`TestClock`](crate::TestClock) the loop takes events of sockets as always, and sleeps by
//! that clock. But the clock does not know what is on its way between two sockets, and so does not
//! wait for it.
// (The header of the module's implementation.)
//
// States of a loop's wait: see `wake`. States of a socket's readiness: see `readiness`.
//
//   handle ──▶ Socket ◀── Table (by id, under a lock; all threads)
//     │          ▲
//     │          └────── ready list, deadlines (the loop only)
//     ▼
//   descriptor        Reactor: registry, waker, table, inbox (all threads)
//                     Poller: selector, ready list (the loop only)
//
// Invariants:
//
// 1. A descriptor is owned by its handle. The loop holds a weak reference where it uses it itself,
//    and a strong one only during that system call. So it is closed exactly once, when the handle
//    is dropped.
// 2. A handle deregisters its descriptor before the descriptor is closed, and sets `DROPPED` before
//    that. So the selector never reports a closed descriptor, and a report that it has made before
//    reaches neither the handler nor a successor with the same descriptor: it names a generation
//    that the table has no more, or a socket that has `DROPPED`.
// 3. A socket with an event to report is in a list of the loop (invariant 1 and 2 of `readiness`),
//    and whoever puts it there wakes the loop, if that is another thread. So no event is lost.
// 4. No lock is held while a handler, a waker or a closure of the user runs.

mod accept;
mod batch;
mod connect;
mod datagram;
mod deadlines;
mod error;
mod event;
mod handle;
mod map;
mod options;
mod parker;
pub(crate) mod poller;
pub(crate) mod reactor;
mod readiness;
mod reports;
#[cfg_attr(not(feature = "tokio-net"), path = "no_runtime.rs")]
mod runtime;
mod selector;
mod socket;
mod sockets;
mod source;
mod spread;
mod status;
mod table;
#[cfg(feature = "tokio-net")]
mod tasks;
mod tcp;
mod udp;
mod unix;
mod wake;
mod worker_sockets;

#[cfg(feature = "tokio-net")]
pub(crate) use self::runtime::Runtime;
pub use self::{
    batch::{ReceiveBatch, Received, SendTo},
    datagram::Datagram,
    error::{Error, Operation},
    event::{Address, Event, SocketId},
    map::SocketMap,
    options::{Connect, Listen, Udp},
    parker::{AdaptiveSpin, Parker},
    sockets::Sockets,
    source::{Interest, Source},
    spread::{Group, Spread},
    status::{SocketKind, SocketStatus},
    tcp::{TcpListener, TcpStream},
    udp::UdpSocket,
    unix::{UnixDatagram, UnixListener, UnixStream},
};
pub(crate) use self::{reactor::Reactor, status::Summary, worker_sockets::WorkerSockets};
pub use crate::buffer::{BufferPool, PacketBuffer, Payload};
