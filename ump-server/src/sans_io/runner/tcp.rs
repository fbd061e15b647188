//! TCP connections over the sockets of tokio.

use std::{
    collections::VecDeque,
    fmt, io,
    net::SocketAddr,
    task::{Context as TaskContext, Poll, Waker},
    time::{Duration, Instant},
};

use tokio::net::{TcpListener, TcpStream};

use super::{
    AsyncSockets, BATCH,
    connects::{Connected, Connects},
    stream::{Looked, Stream},
    wake::{Key, WokenSockets},
};
use crate::{
    sans_io::{
        ConnectionId, Origin, SocketError, SocketFailure, SocketNumber, Sockets, StreamConnect,
        StreamInput, StreamOutput, Streams, TaskId,
        failures::Failures,
        streams::{Connections, limit_methods},
    },
    sync::Arc,
};

/// The TCP listeners and connections of a [`Runner`](super::Runner), by the sockets of tokio.
/// Requires the feature `tokio-net`.
///
/// [`Streams`] describes the life of a connection and its back-pressure. The connections of a
/// listener belong to its [owner](Self::set_owner), or else to the oldest task, unless a
/// [function](Self::set_owner_by) chooses. A task that spawns a task for each connection
/// [releases](StreamOutput::Release) the connection, and the spawned one
/// [claims](StreamOutput::Claim) it.
///
/// | limit of a connection | default |
/// |---|---|
/// | [`send_buffer`](Self::send_buffer) | 256 KiB |
/// | [`high_water`](Self::high_water) mark of the send buffer | 64 KiB |
/// | [`stall_timeout`](Self::stall_timeout): no progress in sending | 60 s |
/// | [`close_timeout`](Self::close_timeout): from `Close` to the end | 10 s |
/// | [`nodelay`](Self::nodelay) | on |
///
/// If the system has no descriptors left, the listener pauses, at most for a second; that is
/// [reported](crate::sans_io::Report::SocketFailed).
///
/// # Panics
/// The runner panics if it does not run on a runtime of tokio whose driver for input and output is
/// enabled.
///
/// ```
/// # mod lines {
#[doc = include_str!("../doc/lines_hidden.txt")]
/// # }
/// # use lines::*;
/// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// use tokio::{io::{AsyncReadExt, AsyncWriteExt}, net::{TcpListener, TcpStream}};
/// use ump_server::sans_io::{Limits, Runner, TokioTcp};
///
/// // `Shout` is a task that answers each line in capitals: see "A protocol over streams" in the
/// // documentation of the module.
/// let listener = TcpListener::bind("127.0.0.1:0").await?;
/// let address = listener.local_addr()?;
/// let mut tcp = TokioTcp::new();
/// tcp.add_listener(listener);
/// let mut runner =
///     Runner::<Shout, _>::with_sockets(Limits::new(), tcp, |report| println!("{report:?}"));
/// runner.spawn(Shout::default()).unwrap();
/// let (server, client) = ump_server::ump::bounded(64)?; // for commands, and for the end
/// let running = tokio::spawn(runner.run(server));
///
/// let mut stream = TcpStream::connect(address).await?;
/// stream.write_all(b"hello\n").await?;
/// let mut answer = [0; 6];
/// stream.read_exact(&mut answer).await?;
/// assert_eq!(answer, *b"HELLO\n");
/// drop(client);
/// running.await?;
/// # Ok(())
/// # }
/// ```
pub struct TokioTcp {
    connections: Connections<Stream>,
    listeners: Vec<Listening>,
    connects: Connects,
    /// The connections that may have something to read, in the order in which they are read.
    readable: VecDeque<ConnectionId>,
    /// The number of reads that are left in this turn.
    reads: usize,
    woken: Arc<WokenSockets>,
    nodelay: bool,
    now: Instant,
    failures: VecDeque<SocketFailure>,
}

struct Listening {
    listener: TcpListener,
    waker: Waker,
    /// The next pause, and when the present one is over.
    pause: Duration,
    paused_until: Option<Instant>,
    failures: Failures,
}

/// The first and the longest pause of a listener that has no descriptors.
const FIRST_PAUSE: Duration = Duration::from_millis(10);
const LONGEST_PAUSE: Duration = Duration::from_secs(1);

impl TokioTcp {
    /// Creates an empty set of sockets.
    #[must_use]
    pub fn new() -> Self {
        // The runner tells the time before anything else.
        let now = Instant::now();
        Self {
            connections: Connections::new(now),
            listeners: Vec::new(),
            connects: Connects::default(),
            readable: VecDeque::new(),
            reads: BATCH,
            woken: Arc::default(),
            nodelay: true,
            now,
            failures: VecDeque::new(),
        }
    }

    limit_methods!();

    /// Sets whether small writes are sent at once (`TCP_NODELAY`). The default is true: the outputs
    /// of a turn are written together anyway.
    #[must_use]
    pub fn nodelay(self, nodelay: bool) -> Self {
        Self { nodelay, ..self }
    }

    /// Adds a listener. Returns its number: the first one is zero.
    pub fn add_listener(&mut self, listener: TcpListener) -> SocketNumber {
        let index = self.listeners.len();
        let waker = self.woken.waker(Key::Listener(index));
        waker.wake_by_ref();
        self.listeners.push(Listening {
            listener,
            waker,
            pause: FIRST_PAUSE,
            paused_until: None,
            failures: Failures::default(),
        });
        SocketNumber::of(index)
    }

    /// Gives the connections of a listener to a task.
    pub fn set_owner(&mut self, listener: SocketNumber, task: TaskId) {
        self.connections.set_owner(listener, task);
    }

    /// Lets a function choose the task of each connection that is accepted, by the listener and the
    /// address of the peer. If it returns `None`, or a task that has ended, the connection is
    /// closed and [reported](crate::sans_io::Report::SocketFailed), as one without a task is:
    /// [`NotFound`](io::ErrorKind::NotFound). The [owners](Self::set_owner) of listeners do not
    /// count then.
    ///
    /// For tasks that have one peer each, such as sessions between routers.
    pub fn set_owner_by(
        &mut self,
        choose: impl FnMut(SocketNumber, SocketAddr) -> Option<TaskId> + Send + 'static,
    ) {
        self.connections.set_chooser(Box::new(choose));
    }

    /// Returns the local address of a listener.
    ///
    /// # Errors
    /// [`NotFound`](io::ErrorKind::NotFound) if there is no such listener, or the error of the
    /// operating system.
    pub fn local_addr(&self, listener: SocketNumber) -> io::Result<SocketAddr> {
        let listening = self.listeners.get(listener.0 as usize);
        let listening = listening.ok_or(io::ErrorKind::NotFound)?;
        listening.listener.local_addr()
    }

    /// Returns the number of open connections.
    #[must_use]
    pub fn connections(&self) -> usize {
        self.connections.len()
    }

    /// Accepts a batch of connections.
    fn accept(&mut self, index: usize) {
        for _ in 0..BATCH {
            let Some(listening) = self.listeners.get_mut(index) else {
                return;
            };
            if listening.paused_until.is_some() {
                return;
            }
            let mut cx = TaskContext::from_waker(&listening.waker);
            match listening.listener.poll_accept(&mut cx) {
                Poll::Pending => return,
                Poll::Ready(Ok((stream, peer))) => {
                    listening.pause = FIRST_PAUSE;
                    self.accepted(index, stream, peer);
                }
                Poll::Ready(Err(error)) => {
                    let failed = SocketError::Accept(error.kind());
                    listening.failures.note(None, failed);
                    if !concerns_one_connection(error.kind()) {
                        listening.paused_until = self.now.checked_add(listening.pause);
                        listening.pause = LONGEST_PAUSE.min(listening.pause * 2);
                        return;
                    }
                }
            }
        }
        // There may be more.
        self.listeners[index].waker.wake_by_ref();
    }

    fn accepted(&mut self, index: usize, stream: TcpStream, peer: SocketAddr) {
        let listener = SocketNumber::of(index);
        let Some(owner) = self.connections.owner_of(listener, peer) else {
            let no_task = SocketError::Accept(io::ErrorKind::NotFound);
            self.listeners[index].failures.note(Some(peer), no_task);
            return;
        };
        self.open(owner, stream, Origin::Accepted { listener }, peer);
    }

    fn open(&mut self, owner: TaskId, stream: TcpStream, origin: Origin, peer: SocketAddr) {
        // Without it the connection is slower, and works.
        let _ = stream.set_nodelay(self.nodelay);
        let addresses = (stream.local_addr().ok(), peer);
        let waker = self.woken.waker(Key::Open(self.connections.next_id()));
        let stream = Stream::new(stream, waker);
        let id = self.connections.open(owner, stream, origin, addresses);
        self.look_at(id);
    }

    fn connect(&mut self, owner: TaskId, how: StreamConnect) {
        let begun = self.connects.begin(owner, how, self.now, &self.woken);
        if let Err(error) = begun {
            self.connect_failed(owner, how.token, how.peer, error.kind());
        }
    }

    fn connect_failed(&mut self, to: TaskId, token: u64, peer: SocketAddr, error: io::ErrorKind) {
        let failed = StreamInput::ConnectFailed { token, peer, error };
        self.connections.push(to, failed);
    }

    fn connected(&mut self, connected: Connected) {
        let Connected {
            owner, token, peer, ..
        } = connected;
        match connected.result {
            Ok(stream) => self.open(owner, stream, Origin::Connected { token }, peer),
            Err(error) => self.connect_failed(owner, token, peer, error.kind()),
        }
    }

    /// Looks for events of a connection, and registers its waker.
    fn look_at(&mut self, id: ConnectionId) {
        let Some(stream) = self.connections.stream_mut(id) else {
            return;
        };
        let Looked {
            is_readable,
            is_writable,
            has_hung_up,
        } = stream.look();
        if is_readable {
            self.readable.push_back(id);
        }
        if is_writable {
            self.connections.writable(id);
        }
        if has_hung_up {
            self.connections.hung_up(id);
        }
    }
}

/// Returns whether an error of `accept` is that of the connection that was to be accepted, so that
/// the next one may be better.
fn concerns_one_connection(error: io::ErrorKind) -> bool {
    use io::ErrorKind::{
        ConnectionAborted, ConnectionReset, HostUnreachable, Interrupted, NetworkDown,
        NetworkUnreachable, PermissionDenied, TimedOut,
    };
    matches!(
        error,
        ConnectionAborted
            | ConnectionReset
            | HostUnreachable
            | Interrupted
            | NetworkDown
            | NetworkUnreachable
            | PermissionDenied // a firewall
            | TimedOut
    )
}

impl Default for TokioTcp {
    fn default() -> Self {
        Self::new()
    }
}

impl AsyncSockets<Streams> for TokioTcp {
    fn poll_events(&mut self, cx: &mut TaskContext<'_>) {
        for key in self.woken.take(cx.waker()) {
            match key {
                Key::Listener(index) => self.accept(index),
                Key::Connecting(number) => {
                    if let Some(connected) = self.connects.poll(number) {
                        self.connected(connected);
                    }
                }
                Key::Open(id) => self.look_at(id),
            }
        }
    }
}

impl Sockets<Streams> for TokioTcp {
    fn route(&mut self, input: &StreamInput<'_>) -> Option<TaskId> {
        self.connections.route(input)
    }

    fn transmit(&mut self, from: TaskId, output: StreamOutput) -> io::Result<()> {
        match output {
            StreamOutput::Connect(how) => {
                self.connect(from, how);
                Ok(())
            }
            output => self.connections.transmit(from, output),
        }
    }

    fn spawned(&mut self, task: TaskId) {
        self.connections.spawned(task);
    }

    fn ended(&mut self, task: TaskId) {
        self.connections.ended(task);
        self.connects.give_up(task);
    }

    fn next_input<'a>(
        &mut self,
        now: Instant,
        has_room: &dyn Fn(TaskId) -> bool,
        buffer: &'a mut Vec<u8>,
    ) -> Option<(Option<TaskId>, StreamInput<'a>)> {
        self.now = now;
        if let Some((to, input)) = self.connections.next_queued(now, has_room) {
            return Some((Some(to), input));
        }
        while self.reads > 0 {
            let Some(id) = self.readable.pop_front() else {
                break;
            };
            let Some(stream) = self.connections.stream_mut(id) else {
                continue;
            };
            if !stream.begin_read() {
                continue;
            }
            self.reads -= 1;
            let read = self.connections.read_into(id, has_room, buffer);
            let stream = self.connections.stream_mut(id);
            if stream.is_some_and(Stream::end_read) {
                self.readable.push_back(id);
            }
            if let Some((to, length)) = read {
                return Some((Some(to), StreamInput::data(id, &mut buffer[..length])));
            }
        }
        let (to, input) = self.connections.next_queued(now, has_room)?;
        Some((Some(to), input))
    }

    fn next_reader(&self) -> Option<TaskId> {
        self.connections.owner(*self.readable.front()?)
    }

    fn has_input(&self) -> bool {
        self.connections.has_input() || !self.readable.is_empty()
    }

    fn flush(&mut self, now: Instant) -> u64 {
        self.now = now;
        self.reads = BATCH;
        self.connections.flush(now);
        while let Some(expired) = self.connects.next_expired(now) {
            self.connected(expired);
        }
        for (index, listening) in self.listeners.iter_mut().enumerate() {
            if listening.paused_until.take_if(|at| *at <= now).is_some() {
                listening.waker.wake_by_ref();
            }
            let number = SocketNumber::of(index);
            listening.failures.report(now, number, &mut self.failures);
        }
        0
    }

    fn is_flushed(&self) -> bool {
        self.connections.is_flushed()
    }

    fn next_deadline(&self) -> Option<Instant> {
        let pauses = self.listeners.iter().filter_map(|it| it.paused_until);
        let timeout = self.connects.next_timeout();
        let connections = self.connections.next_deadline();
        pauses.chain(timeout).chain(connections).min()
    }

    fn pause_receiving(&mut self, pauses: bool) {
        self.connections.pause(pauses);
    }

    fn next_failure(&mut self) -> Option<SocketFailure> {
        self.failures.pop_front()
    }
}

impl fmt::Debug for TokioTcp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TokioTcp")
            .field("listeners", &self.listeners.len())
            .field("connections", &self.connections.len())
            .field("connecting", &self.connects.len())
            .finish_non_exhaustive()
    }
}
