//! Protocols as state machines without sockets and without a clock, and the loops that run them.
//!
//! A [`Task`] gets the time, packets, messages and commands as arguments, and returns packets,
//! messages and events as values. It does not know its driver. So the same task runs on a worker
//! thread, inside a component, on an async task, and in a test in which a week passes in a
//! millisecond and each run is the same.
//!
//! # The contract
//!
//! Between a task and its driver. [`Group`] keeps it, and all drivers of this crate are made
//! of groups.
//!
//! 1. The driver takes the outputs of a task, by [`pop_output`](Task::pop_output) until `None`,
//!    after it was spawned and after each input, tick and [shutdown](Task::on_shutdown). It gives
//!    the task nothing else before. Inputs wait meanwhile, in an inbox that is
//!    [limited](Limits::inbox). A command that the task does not [accept](Task::accepts) comes
//!    back at once.
//! 2. When all outputs are taken, the driver reads [`next_deadline`](Task::next_deadline). When
//!    that has passed, it calls [`on_tick`](Task::on_tick). It may be late, and reads the clock
//!    once for all that it does in a turn.
//! 3. A tick makes the deadline advance. If the deadline has passed after a tick as well, the
//!    driver ticks the task again, once a turn. If that goes on, the task is *stuck*: it is
//!    [reported](GroupOutput::Stuck), and ticked after pauses that double up to a second. So a
//!    faulty timer never makes a loop spin.
//! 4. Tasks with something to do take turns. In a turn a task is called at most
//!    [`Limits::batch`] times, however many outputs it has. Between two turns the driver looks at
//!    all sources of inputs.
//! 5. [`Done`](Output::Done) is the last output. At the end of the driver, each task is shut down,
//!    and its last outputs are taken.
//!
//! | full | consequence |
//! |---|---|
//! | the inbox of a task, for a command | the command comes back to its sender |
//! | the inbox of a task, for a packet or a message of another task | after a turn it is dropped, and counted in [`EngineStats`] |
//! | the mailbox of a worker | a message to its tasks is dropped and counted |
//! | the queue of a loop | the sender waits or gets its request back, as it [chooses](ump::Request::if_room) |
//! | the queue of reports of a [`Controller`] | the worker runs no turn until there is room |
//! | the send buffer of a socket | the packet is dropped and counted |
//!
//! # A protocol
//!
//! A ping that is repeated until it is answered. The other end is a task of the same type.
//!
//! ```
//! # mod ping {
#![doc = include_str!("doc/ping.rs")]
//! # }
//! ```
//!
//! It names its commands and its events, and nothing else: it has no
//! [messages](BusOutput) to other tasks, and spawns none. See [`Io`].
//!
//! ## In a simulation
//!
//! [`Simulation`] runs it in virtual time, over a network that loses packets.
//!
//! ```
//! # mod ping {
#![doc = include_str!("doc/ping_hidden.txt")]
//! # }
//! # use ping::*;
//! use std::{net::SocketAddr, time::Duration};
//! use ump_server::sans_io::{Link, Simulation};
//!
//! let [a, b] = [1, 2].map(|host| SocketAddr::from(([10, 0, 0, host], 7)));
//! let link = Link::new().latency(Duration::from_millis(20)).loss(0.5);
//! let mut simulation = Simulation::new(1).link(link); // the seed
//! for address in [a, b] {
//!     simulation.add_host(address);
//! }
//! let pinger = simulation.spawn(0, Ping::default()).unwrap();
//! simulation.spawn(1, Ping::default()).unwrap();
//!
//! simulation.command(pinger, b).unwrap();
//! assert!(simulation.run_to_rest(Duration::from_secs(3_600)));
//! let [(at, from, Pong(took))] = simulation.take_events()[..] else { panic!("one pong") };
//! assert_eq!(from, pinger);
//! assert_eq!(at, took); // it was sent at the beginning
//! assert_eq!(took.as_millis() % 1_000, 40); // after perhaps some repetitions
//! ```
//!
//! ## Inside a component
//!
//! [`Component`] is a handler for a loop on a thread. With the feature `net`, the sockets are those of
//! the same loop: `LoopUdp` and `LoopTcp`, which have examples. Here, without it, received packets
//! come as requests, from a thread that reads a UDP socket. To run tasks beside other requests of a
//! handler of your own, use an [`Engine`].
//!
//! ```
//! # mod ping {
#![doc = include_str!("doc/ping_hidden.txt")]
//! # }
//! # use ping::*;
//! use std::{net::UdpSocket, sync::{Arc, mpsc}};
//! use ump_server::{
//!     sans_io::{Command, Component, Limits, Receive, Report, Request, Spawn, UdpSockets},
//!     thread::Builder,
//! };
//!
//! let socket = Arc::new(UdpSocket::bind("127.0.0.1:0")?);
//! let address = socket.local_addr()?;
//! let (report, reports) = mpsc::channel();
//!
//! let sending = Arc::clone(&socket);
//! let (client, _handle) = Builder::new().name("ping").capacity(64).spawn_with(move |cx| {
//!     let mut sockets = UdpSockets::new();
//!     sockets.add(Arc::clone(&sending));
//!     let report = report.clone();
//!     Ok(Component::<Ping, _>::new(cx, Limits::new(), sockets, move |it| drop(report.send(it))))
//! })?;
//!
//! let receiver = client.clone();
//! std::thread::spawn(move || {
//!     let mut buffer = [0; 2_048];
//!     // There is room in the queue before a packet is read.
//!     while let Ok(room) = receiver.reserve().wait() {
//!         if let Ok((length, source)) = socket.recv_from(&mut buffer) {
//!             let packet = Receive::new(source, buffer[..length].to_vec());
//!             let _ = room.request(Request::Receive(packet)).post().wait();
//!         }
//!     }
//! });
//!
//! let pinger = client.ask(Spawn(Ping::default())).wait()?;
//! client.ask(Command(pinger, address)).wait()?; // it pings itself
//! let report: Report<Pong> = reports.recv()?;
//! assert!(matches!(report, Report::Event { event: Pong(_), .. }));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! ## On workers
//!
//! A [`Controller`] runs tasks on several threads.
//!
//! ```
//! # mod ping {
#![doc = include_str!("doc/ping_hidden.txt")]
//! # }
//! # use ping::*;
//! use std::{net::UdpSocket, sync::Arc, time::Duration};
//! use ump_server::sans_io::{ControllerBuilder, Receive, Report, Request, UdpSockets};
//!
//! let sockets: Vec<_> = (0..2)
//!     .map(|_| UdpSocket::bind("127.0.0.1:0").map(Arc::new))
//!     .collect::<Result<_, _>>()?;
//! let addresses = [sockets[0].local_addr()?, sockets[1].local_addr()?];
//!
//! let sending = sockets.clone();
//! let controller = ControllerBuilder::new().workers(2.try_into()?).start(move |worker| {
//!     let mut own = UdpSockets::new();
//!     own.add(Arc::clone(&sending[worker]));
//!     Ok(own)
//! })?;
//! for (worker, socket) in sockets.into_iter().enumerate() {
//!     let client = controller.client(worker);
//!     std::thread::spawn(move || {
//!         let mut buffer = [0; 2_048];
//!         while let Ok(room) = client.reserve().wait() {
//!             if let Ok((length, source)) = socket.recv_from(&mut buffer) {
//!                 let packet = Receive::new(source, buffer[..length].to_vec());
//!                 let _ = room.request(Request::Receive(packet)).post().wait();
//!             }
//!         }
//!     });
//! }
//!
//! let pinger = controller.spawn_on(0, Ping::default()).wait()?; // or .await
//! controller.spawn_on(1, Ping::default()).wait()?; // or spawn: on the least loaded worker
//! controller.command(pinger, addresses[1]).wait()?;
//! match controller.next_report().wait() {
//!     Some(Report::Event { from, event: Pong(_) }) => assert_eq!(from, pinger),
//!     report => panic!("{report:?}"),
//! }
//! assert_eq!(controller.status()[0].tasks, 1);
//! let report = controller.stop(Duration::from_secs(5)).wait();
//! assert!(report.is_clean(), "{report}");
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! ## On an async task
//!
//! A [`Runner`] is a future. It uses the sockets of the runtime: any [`DatagramSocket`] or
//! [`AsyncSockets`]; tokio's with the feature `tokio-net`, for streams as `TokioTcp`.
//!
//! ```
//! # mod ping {
#![doc = include_str!("doc/ping_hidden.txt")]
//! # }
//! # use ping::*;
//! # #[cfg(not(feature = "tokio-net"))] fn main() {}
//! # #[cfg(feature = "tokio-net")]
//! # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! use tokio::{net::UdpSocket, sync::mpsc};
//! use ump_server::sans_io::{Command, Limits, Report, Runner, Spawn};
//!
//! let socket = UdpSocket::bind("127.0.0.1:0").await?;
//! let address = socket.local_addr()?;
//! let (report, mut reports) = mpsc::unbounded_channel();
//! let (server, client) = ump_server::ump::bounded(64)?;
//! let runner = Runner::new(Limits::new(), [socket], move |it| drop(report.send(it)));
//! tokio::spawn(runner.run(server));
//!
//! let pinger = client.ask(Spawn(Ping::default())).await?;
//! client.ask(Command(pinger, address)).await?; // it pings itself
//! assert!(matches!(reports.recv().await, Some(Report::Event { event: Pong(_), .. })));
//! # Ok(())
//! # }
//! ```
//!
//! # A protocol over streams
//!
//! The network of a task is datagrams, unless its [`Io`] says otherwise. [`Streams`] are connections,
//! such as those of TCP, with their back-pressure and their ends. Such a task runs in the same ways:
//!
//! | where | connections |
//! |---|---|
//! | [in a simulation](#in-a-simulation) | those of the hosts of the [`Simulation`] |
//! | [inside a component](#inside-a-component) | `LoopTcp`: those of the same loop |
//! | [on workers](#on-workers) | `LoopTcp`: those of the worker's loop |
//! | [on an async task](#on-an-async-task) | `TokioTcp`: those of tokio |
//!
//! ```
//! # mod lines {
#![doc = include_str!("doc/lines.rs")]
//! # }
//! ```
//!
//! # A protocol below UDP and TCP
//!
//! The [`RawPackets`] of a TUN interface are IP packets with all their headers, those of a TAP
//! interface are Ethernet frames: for a virtual private network, a tunnel, a network stack. With the
//! feature `tun`, on Linux, `LoopTun` has them in the loop, and an example that answers pings.
//!
//! # Many tasks
//!
//! A [`Group`] touches only the tasks that have something to do: it keeps a heap of their deadlines
//! and a queue of those that are ready. A hundred thousand idle tasks cost memory and nothing else.
//! Tasks of several types are in one group as `Box<dyn Task<Io = X>>`, if they have the same
//! interface, or as an enum by [`task_kinds!`](crate::task_kinds).
//!
//! Tasks talk to each other by addresses and channels, across workers: see [`BusOutput`].
//!
//! # When to use it, and when not
//!
//! Use it for protocols with timers and packets, which need tests for every loss and every order:
//! sessions, handshakes, retransmission, routing. A server that only answers requests is a plain
//! [handler](crate::thread::Service). A protocol that is read top to bottom, on a stream, is easier
//! to write as an async function, with a runtime.

mod component;
mod controller;
#[cfg(all(feature = "net", unix))]
mod edge;
mod engine;
#[cfg(any(all(feature = "net", unix), feature = "tokio-net"))]
mod failures;
mod group;
mod io;
mod kinds;
mod local_bus;
mod message;
mod packet;
mod raw_packet;
mod report;
mod request;
mod routes;
mod runner;
mod simulation;
mod sockets;
mod status;
mod streams;
mod task;
mod unused;

#[cfg(all(feature = "net", unix))]
pub use self::edge::{LoopTcp, LoopUdp};
#[cfg(all(feature = "tun", target_os = "linux"))]
pub use self::edge::{LoopTun, TunOptions};
#[cfg(all(feature = "tokio-net", not(any(loom, shuttle))))]
pub use self::runner::TokioTcp;
pub use self::{
    component::{Component, SendTask, Wakeup},
    controller::{
        Controller, ControllerBuilder, NextReport, Placement, StopReport, StoppedWorker, WorkerEnd,
        WorkerSummary,
    },
    engine::{Engine, Turned},
    group::{
        Group, GroupFull, GroupOutput, GroupStats, InputRefused, Limits, StuckTask, TaskEnd,
        TaskId, Turn,
    },
    io::{Input, Interface, Io, Output},
    message::{BusInput, BusOutput, TaskAddress},
    packet::{Datagrams, Network, NoNetwork, Receive, SocketNumber, Transmit},
    raw_packet::{RawPacket, RawPackets},
    report::{NamedTask, Report, SocketError, SocketFailure, WorkerFailure},
    request::{Command, PlacedTask, Refused, Reply, Request, ShutDown, Spawn},
    routes::Routes,
    runner::{AsyncSockets, DatagramSocket, DatagramSockets, Runner},
    simulation::{Link, SimulatedNetwork, Simulation},
    sockets::{NoSockets, Sockets, UdpSockets},
    status::EngineStats,
    streams::{
        CloseReason, ConnectionId, Origin, StreamConnect, StreamInput, StreamOutput, Streams,
    },
    task::{IntoTask, Shutdown, Task},
    unused::Unused,
};
pub use crate::buffer::{BufferPool, PacketBuffer, Payload};

#[cfg(test)]
mod tests {
    #[test]
    fn the_hidden_protocols_of_the_examples_are_the_shown_ones() {
        let pairs = [
            (
                include_str!("doc/ping_hidden.txt"),
                include_str!("doc/ping.rs"),
            ),
            (
                include_str!("doc/lines_hidden.txt"),
                include_str!("doc/lines.rs"),
            ),
        ];
        for (hidden, shown) in pairs {
            let hidden = hidden.lines();
            let unhidden = hidden.map(|line| line.strip_prefix("# ").unwrap_or_default());
            assert!(unhidden.eq(shown.lines()));
        }
    }
}
