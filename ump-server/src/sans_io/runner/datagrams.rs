//! Datagram sockets of an async runtime.

use std::{
    fmt, io,
    net::SocketAddr,
    task::{Context as TaskContext, Poll, Waker},
    time::Instant,
};

use super::{AsyncSockets, BATCH};
use crate::sans_io::{
    Datagrams, Payload, Receive, Routes, SocketNumber, Sockets, TaskId, Transmit,
};

/// A non-blocking socket for datagrams, of any runtime.
///
/// With the feature `tokio-net`, tokio's `UdpSocket` implements it.
pub trait DatagramSocket {
    /// Receives a packet into `buffer`. Returns its length and its source.
    ///
    /// # Errors
    /// An error does not end the runner: it is counted, and the next packet is received.
    fn poll_receive(
        &mut self,
        cx: &mut TaskContext<'_>,
        buffer: &mut [u8],
    ) -> Poll<io::Result<(usize, SocketAddr)>>;

    /// Sends a packet, if that is possible without waiting.
    ///
    /// # Errors
    /// Returns [`WouldBlock`](io::ErrorKind::WouldBlock) if it is not. On any error the packet is
    /// dropped and counted.
    fn try_send(&mut self, packet: &Transmit) -> io::Result<()>;
}

#[cfg(feature = "tokio-net")]
impl DatagramSocket for tokio::net::UdpSocket {
    fn poll_receive(
        &mut self,
        cx: &mut TaskContext<'_>,
        buffer: &mut [u8],
    ) -> Poll<io::Result<(usize, SocketAddr)>> {
        let mut buffer = tokio::io::ReadBuf::new(buffer);
        let source = std::task::ready!(self.poll_recv_from(cx, &mut buffer))?;
        Poll::Ready(Ok((buffer.filled().len(), source)))
    }

    fn try_send(&mut self, packet: &Transmit) -> io::Result<()> {
        self.try_send_to(&packet.payload, packet.destination)
            .map(drop)
    }
}

/// The sockets for datagrams of a [`Runner`](super::Runner), with a table of [routes](Routes). The
/// number of a socket is its index.
pub struct DatagramSockets<D> {
    sockets: Vec<D>,
    routes: Routes,
    errors: u64,
    /// The waker of the runner's task.
    waker: Waker,
    /// The socket that is received from, and the number of packets that it has given.
    current: (usize, usize),
    /// Whether a socket has given as many packets as it may in a turn.
    is_busy: bool,
    is_paused: bool,
}

/// The longest packet.
const LONGEST: usize = 65_535;

impl<D> DatagramSockets<D> {
    /// Returns the table that says which task gets a received packet.
    pub fn routes(&mut self) -> &mut Routes {
        &mut self.routes
    }

    /// Returns the number of errors that the sockets have had when they received.
    #[must_use]
    pub fn receive_errors(&self) -> u64 {
        self.errors
    }
}

impl<D> FromIterator<D> for DatagramSockets<D> {
    fn from_iter<I: IntoIterator<Item = D>>(sockets: I) -> Self {
        let sockets: Vec<_> = sockets.into_iter().collect();
        Self {
            // No turn before the first look at them.
            current: (sockets.len(), 0),
            sockets,
            routes: Routes::default(),
            errors: 0,
            waker: Waker::noop().clone(),
            is_busy: false,
            is_paused: false,
        }
    }
}

impl<D: DatagramSocket> AsyncSockets<Datagrams> for DatagramSockets<D> {
    fn poll_events(&mut self, cx: &mut TaskContext<'_>) {
        self.waker.clone_from(cx.waker());
        self.current = (0, 0);
        self.is_busy = false;
    }
}

impl<D: DatagramSocket> Sockets<Datagrams> for DatagramSockets<D> {
    fn route(&mut self, input: &Receive<'_>) -> Option<TaskId> {
        self.routes.route(input)
    }

    fn transmit(&mut self, from: TaskId, packet: Transmit) -> io::Result<()> {
        self.routes.sent(from, &packet);
        match self.sockets.get_mut(packet.socket.0 as usize) {
            Some(socket) => socket.try_send(&packet),
            None => Err(io::ErrorKind::NotFound.into()),
        }
    }

    fn spawned(&mut self, task: TaskId) {
        self.routes.spawned(task);
    }

    fn ended(&mut self, task: TaskId) {
        self.routes.ended(task);
    }

    /// Receives a batch of packets of each socket in a turn.
    fn next_input<'a>(
        &mut self,
        _: Instant,
        _: &dyn Fn(TaskId) -> bool,
        buffer: &'a mut Vec<u8>,
    ) -> Option<(Option<TaskId>, Receive<'a>)> {
        if self.is_paused {
            return None;
        }
        buffer.resize(LONGEST, 0);
        let mut cx = TaskContext::from_waker(&self.waker);
        let (number, length, source) = loop {
            let (number, taken) = self.current;
            let socket = self.sockets.get_mut(number)?;
            if taken == BATCH {
                self.is_busy = true;
                self.current = (number + 1, 0);
                continue;
            }
            self.current.1 += 1;
            match socket.poll_receive(&mut cx, buffer) {
                Poll::Pending => self.current = (number + 1, 0),
                // An error of an earlier packet, for example that nobody listens at its
                // destination.
                Poll::Ready(Err(_)) => self.errors += 1,
                Poll::Ready(Ok((length, source))) => break (number, length, source),
            }
        };
        let payload = Payload::borrowed(&mut buffer[..length]);
        let packet = Receive::new(source, payload).socket(SocketNumber::of(number));
        Some((self.routes.route(&packet), packet))
    }

    fn has_input(&self) -> bool {
        !self.is_paused && (self.is_busy || self.current.0 < self.sockets.len())
    }

    fn pause_receiving(&mut self, pauses: bool) {
        self.is_paused = pauses;
    }
}

impl<D> fmt::Debug for DatagramSockets<D> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DatagramSockets")
            .field("sockets", &self.sockets.len())
            .finish_non_exhaustive()
    }
}
