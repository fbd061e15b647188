//! The sockets of a driver: where packets go, and which task gets them.

use std::{io, net::UdpSocket, sync::Arc, time::Instant};

use super::{
    Network, NoNetwork, Receive, Routes, SocketFailure, SocketNumber, TaskId, Transmit, Unused,
    packet,
};

/// Connects the tasks of a driver with sockets.
///
/// Sockets that only send need the first two methods. Then received packets come from another
/// owner of the sockets, and are given to the driver: see
/// [`Engine::receive`](super::Engine::receive).
///
/// Sockets of the driver's own loop receive as well:
#[cfg_attr(
    feature = "net",
    doc = "[`LoopUdp`](super::LoopUdp) and [`LoopTcp`](super::LoopTcp), and those of a runtime: \
           [`AsyncSockets`](super::AsyncSockets)."
)]
#[cfg_attr(
    not(feature = "net"),
    doc = "`LoopUdp` and `LoopTcp`, with the feature `net`, and those of a runtime: \
           [`AsyncSockets`](super::AsyncSockets)."
)]
pub trait Sockets<N: Network> {
    /// Returns the task that gets an input of the network. `None` if there is none: then the input
    /// is dropped and counted.
    fn route(&mut self, input: &N::Input<'_>) -> Option<TaskId>;

    /// Sends an output of a task, or keeps it until [`flush`](Self::flush). It must not block.
    ///
    /// # Errors
    /// If an output cannot be sent, it is dropped and counted, and the driver goes on. So this is
    /// for networks that may lose packets. Where nothing may be lost, this method keeps the
    /// outputs that it cannot send.
    fn transmit(&mut self, from: TaskId, output: N::Output) -> io::Result<()>;

    /// Notes a task that has been spawned.
    #[allow(unused_variables)]
    fn spawned(&mut self, task: TaskId) {}

    /// Forgets a task that has ended.
    #[allow(unused_variables)]
    fn ended(&mut self, task: TaskId) {}

    /// Notes an event of a socket of the loop. Then the driver takes the inputs. Requires the
    /// feature `net`.
    #[cfg(all(feature = "net", unix, not(any(loom, shuttle))))]
    #[allow(unused_variables)]
    fn on_socket(&mut self, event: crate::net::Event) {}

    /// Returns the next input that was received, with the task that gets it (or `None`: then it is
    /// dropped and counted). The input may borrow `buffer`, which no one else uses; if it is
    /// shorter than it was, an input that was kept in it is lost.
    ///
    /// An input that must not be lost is returned only if `has_room` is true for its task: all
    /// outputs of the task are taken, and it gets the input at once. Otherwise the task is called
    /// until that is so, and then the driver asks again.
    #[allow(unused_variables)]
    #[allow(clippy::type_complexity, reason = "an input with its task")]
    fn next_input<'a>(
        &mut self,
        now: Instant,
        has_room: &dyn Fn(TaskId) -> bool,
        buffer: &'a mut Vec<u8>,
    ) -> Option<(Option<TaskId>, N::Input<'a>)> {
        None
    }

    /// Returns the task that gets the next input, if that is known before the input is taken and
    /// the input may depend on the task's outputs. Then these are taken before.
    fn next_reader(&self) -> Option<TaskId> {
        None
    }

    /// Returns whether [`next_input`](Self::next_input) may return an input without a further
    /// event. Then another turn follows.
    fn has_input(&self) -> bool {
        false
    }

    /// Sends what is gathered, at the end of each turn. Returns the number of outputs that were
    /// dropped.
    #[allow(unused_variables)]
    fn flush(&mut self, now: Instant) -> u64 {
        0
    }

    /// Returns whether all outputs are sent. The driver waits for that when it is shut down.
    fn is_flushed(&self) -> bool {
        true
    }

    /// Returns the instant of the next [`flush`](Self::flush), if there is no turn before.
    fn next_deadline(&self) -> Option<Instant> {
        None
    }

    /// Stops receiving (`true`), or goes on (`false`). The driver stops it while there is no room
    /// for reports.
    #[allow(unused_variables)]
    fn pause_receiving(&mut self, pauses: bool) {}

    /// Returns the next failure to report.
    fn next_failure(&mut self) -> Option<SocketFailure> {
        None
    }
}

/// The sockets of tasks without a network.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct NoSockets;

impl Sockets<NoNetwork> for NoSockets {
    fn route(&mut self, input: &Unused) -> Option<TaskId> {
        match *input {}
    }

    fn transmit(&mut self, _: TaskId, output: Unused) -> io::Result<()> {
        match output {}
    }
}

/// UDP sockets of the standard library, with a table of [routes](Routes).
///
/// The number of a socket is its index. It only sends: another part of the program receives, for
/// example a thread for each socket, which posts the packets to the [component](super::Component).
/// If the sockets are in blocking mode, a driver may block while the send buffer of the kernel is
/// full.
#[derive(Debug, Default)]
pub struct UdpSockets {
    sockets: Vec<Arc<UdpSocket>>,
    /// Says which task gets a received packet.
    pub routes: Routes,
}

impl UdpSockets {
    /// Creates an empty set of sockets.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a socket. Returns its number.
    pub fn add(&mut self, socket: Arc<UdpSocket>) -> SocketNumber {
        self.sockets.push(socket);
        SocketNumber::of(self.sockets.len() - 1)
    }
}

impl Sockets<packet::Datagrams> for UdpSockets {
    fn route(&mut self, input: &Receive<'_>) -> Option<TaskId> {
        self.routes.route(input)
    }

    fn transmit(&mut self, from: TaskId, packet: Transmit) -> io::Result<()> {
        self.routes.sent(from, &packet);
        let socket = self.sockets.get(packet.socket.0 as usize);
        let socket = socket.ok_or(io::ErrorKind::NotFound)?;
        let sent = socket.send_to(&packet.payload, packet.destination)?;
        if sent < packet.payload.len() {
            return Err(io::ErrorKind::WriteZero.into());
        }
        Ok(())
    }

    fn spawned(&mut self, task: TaskId) {
        self.routes.spawned(task);
    }

    fn ended(&mut self, task: TaskId) {
        self.routes.ended(task);
    }
}
