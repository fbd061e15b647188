//! The inputs and outputs of tasks that exchange streams of bytes.

use std::{fmt, io, net::SocketAddr, time::Duration};

use crate::sans_io::{Network, Payload, SocketNumber};

/// The network of tasks that exchange streams of bytes, such as TCP connections:
/// [`StreamInput`] and [`StreamOutput`].
///
/// # The life of a connection
///
/// ```text
///   Connect ──► ConnectFailed
///      └──────► Opened ──► Data, Data, … ──► HalfClosed ──► Closed
///   a listener ───┘          (Blocked, Writable)              ▲
///                                                      at any time
/// ```
///
/// - Each [`Connect`](StreamOutput::Connect) ends in one `Opened` or one `ConnectFailed`.
/// - Each `Opened` ends in one [`Closed`](StreamInput::Closed), the last input of its connection,
///   also if the task closes it itself. It says why, and how many bytes were not sent.
/// - A connection is closed when both sides have shut down their halves. So a task answers
///   `HalfClosed`, when it has sent all it has to say, by
///   [`ShutDown`](StreamOutput::ShutDown) or [`Close`](StreamOutput::Close).
/// - When a task ends, its connections are closed as by `Close`.
///
/// # Back-pressure
///
/// What a task sends waits in a send buffer until the peer reads it. The buffer is bounded:
///
/// | the buffer has | consequence |
/// |---|---|
/// | more than the high-water mark | [`Blocked`](StreamInput::Blocked); the connection is not read, unless the driver is told otherwise |
/// | less than half of that again | [`Writable`](StreamInput::Writable); it is read again |
/// | no room | the connection is reset: [`CloseReason::NotReading`] |
/// | had no progress for the stall time-out | the same |
///
/// And a task that has no room in its inbox is not given more: its connections are not read, so the
/// peer has to wait.
#[derive(Clone, Copy, Debug)]
pub enum Streams {}

impl Network for Streams {
    type Input<'a> = StreamInput<'a>;
    type Output = StreamOutput;

    fn into_owned(input: StreamInput<'_>) -> StreamInput<'static> {
        input.into_owned()
    }
}

/// The id of a connection. A driver never uses one again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ConnectionId(pub(super) u64);

impl ConnectionId {
    /// Creates the id with a number, for tests that give inputs to a task without a driver.
    #[must_use]
    pub const fn new(number: u64) -> Self {
        Self(number)
    }
}

impl fmt::Display for ConnectionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Where a connection comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Origin {
    /// A listener has accepted it.
    Accepted {
        /// The number of the listener.
        listener: SocketNumber,
    },
    /// The task has made it.
    Connected {
        /// The token of its [`StreamConnect`].
        token: u64,
    },
}

/// An input of a task from the network of streams.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum StreamInput<'a> {
    /// A connection was accepted or made. It belongs to this task.
    Opened {
        /// The connection.
        connection: ConnectionId,
        /// Where it comes from.
        origin: Origin,
        /// The local address, if the driver knows it.
        local: Option<SocketAddr>,
        /// The address of the peer.
        peer: SocketAddr,
    },
    /// A connection could not be made.
    ConnectFailed {
        /// The token of the [`StreamConnect`].
        token: u64,
        /// The address of the peer.
        peer: SocketAddr,
        /// The reason, such as [`ConnectionRefused`](io::ErrorKind::ConnectionRefused) or
        /// [`TimedOut`](io::ErrorKind::TimedOut).
        error: io::ErrorKind,
    },
    /// Bytes have come. How many at once says nothing about how they were sent.
    Data {
        /// The connection.
        connection: ConnectionId,
        /// The bytes, at least one.
        bytes: Payload<'a>,
    },
    /// The peer has shut down its half: no more bytes come. Sending goes on.
    HalfClosed {
        /// The connection.
        connection: ConnectionId,
    },
    /// The send buffer has more than the high-water mark: the peer reads too slowly. A task that
    /// can, stops sending until [`Writable`](Self::Writable).
    Blocked {
        /// The connection.
        connection: ConnectionId,
        /// The number of bytes in the send buffer.
        unsent: usize,
    },
    /// The send buffer has room again. Comes once after [`Blocked`](Self::Blocked).
    Writable {
        /// The connection.
        connection: ConnectionId,
    },
    /// The connection is over. This is its last input.
    Closed {
        /// The connection.
        connection: ConnectionId,
        /// The reason.
        reason: CloseReason,
        /// The number of bytes that the task has sent and that were not handed to the operating
        /// system. If it is zero, they were; whether the peer has read them, no one knows.
        unsent: usize,
    },
}

/// Why a connection is over.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum CloseReason {
    /// Both sides have shut down their halves.
    Finished,
    /// The task has [closed](StreamOutput::Close) it.
    Closed,
    /// The task has [reset](StreamOutput::Reset) it.
    Reset,
    /// The peer has reset it.
    PeerReset,
    /// The peer did not read: the send buffer was full, or had no progress for too long. The
    /// connection was reset.
    NotReading,
    /// Another error of the operating system, such as a time-out.
    Failed(io::ErrorKind),
}

/// An output of a task to the network of streams.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum StreamOutput {
    /// Makes a connection.
    Connect(StreamConnect),
    /// Sends bytes. If the connection is over, or its half shut down, they are dropped and counted.
    Send {
        /// The connection.
        connection: ConnectionId,
        /// The bytes.
        bytes: Payload<'static>,
    },
    /// Shuts down the own half, after the bytes that wait are sent. Reading goes on.
    ShutDown {
        /// The connection.
        connection: ConnectionId,
    },
    /// Closes the connection, after the bytes that wait are sent. What the peer sends meanwhile is
    /// dropped. If that takes longer than the close time-out, the rest is lost.
    Close {
        /// The connection.
        connection: ConnectionId,
    },
    /// Resets the connection at once. Bytes that wait are lost.
    Reset {
        /// The connection.
        connection: ConnectionId,
    },
    /// Stops reading: the peer has to wait when the buffers of the system are full. Until
    /// [`ResumeReading`](Self::ResumeReading) neither bytes come nor the end of the peer's half.
    PauseReading {
        /// The connection.
        connection: ConnectionId,
    },
    /// Reads again.
    ResumeReading {
        /// The connection.
        connection: ConnectionId,
    },
    /// Gives the connection to the task that [claims](Self::Claim) it. It is not read until then.
    /// If no task has claimed it within the close time-out, it is closed.
    /// For a task that spawns a task for each connection: it returns `Release`, and then
    /// [`Spawn`](crate::sans_io::Output::Spawn).
    Release {
        /// The connection.
        connection: ConnectionId,
    },
    /// Takes a connection that another task of the same driver has released.
    Claim {
        /// The connection.
        connection: ConnectionId,
    },
}

/// A connection to be made: see [`StreamOutput::Connect`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct StreamConnect {
    /// The task's own name for it, in [`Origin::Connected`] and
    /// [`ConnectFailed`](StreamInput::ConnectFailed).
    pub token: u64,
    /// The address of the peer.
    pub peer: SocketAddr,
    /// The local address, if it matters. Port 0 is any free port.
    pub local: Option<SocketAddr>,
    /// When it is given up. Without it the operating system decides.
    pub timeout: Option<Duration>,
}

impl StreamConnect {
    /// Creates the value for a connection to `peer`.
    #[must_use]
    pub fn new(token: u64, peer: SocketAddr) -> Self {
        Self {
            token,
            peer,
            local: None,
            timeout: None,
        }
    }

    /// Sets the local address.
    #[must_use]
    pub fn local(self, local: SocketAddr) -> Self {
        Self {
            local: Some(local),
            ..self
        }
    }

    /// Sets the time-out.
    #[must_use]
    pub fn timeout(self, timeout: Duration) -> Self {
        Self {
            timeout: Some(timeout),
            ..self
        }
    }
}

impl StreamOutput {
    /// Creates the output that makes a connection to `peer`.
    #[must_use]
    pub fn connect(token: u64, peer: SocketAddr) -> Self {
        Self::Connect(StreamConnect::new(token, peer))
    }

    /// Creates the output that sends bytes.
    #[must_use]
    pub fn send(connection: ConnectionId, bytes: impl Into<Payload<'static>>) -> Self {
        Self::Send {
            connection,
            bytes: bytes.into(),
        }
    }
}

impl<'a> StreamInput<'a> {
    /// Creates the input for bytes in the driver's buffer.
    pub(in crate::sans_io) fn data(connection: ConnectionId, bytes: &'a mut [u8]) -> Self {
        let bytes = Payload::borrowed(bytes);
        Self::Data { connection, bytes }
    }

    /// Returns the connection of the input, if there is one.
    #[must_use]
    pub fn connection(&self) -> Option<ConnectionId> {
        match self {
            Self::Opened { connection, .. }
            | Self::Data { connection, .. }
            | Self::HalfClosed { connection }
            | Self::Blocked { connection, .. }
            | Self::Writable { connection }
            | Self::Closed { connection, .. } => Some(*connection),
            Self::ConnectFailed { .. } => None,
        }
    }

    /// Makes the input independent of the driver's buffer. It copies borrowed bytes, and moves
    /// owned ones.
    #[must_use]
    pub fn into_owned(self) -> StreamInput<'static> {
        match self {
            Self::Data { connection, bytes } => StreamInput::Data {
                connection,
                bytes: bytes.into_owned(),
            },
            Self::Opened {
                connection,
                origin,
                local,
                peer,
            } => StreamInput::Opened {
                connection,
                origin,
                local,
                peer,
            },
            Self::ConnectFailed { token, peer, error } => {
                StreamInput::ConnectFailed { token, peer, error }
            }
            Self::HalfClosed { connection } => StreamInput::HalfClosed { connection },
            Self::Blocked { connection, unsent } => StreamInput::Blocked { connection, unsent },
            Self::Writable { connection } => StreamInput::Writable { connection },
            Self::Closed {
                connection,
                reason,
                unsent,
            } => StreamInput::Closed {
                connection,
                reason,
                unsent,
            },
        }
    }
}

impl fmt::Display for CloseReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Finished => f.write_str("both sides have finished"),
            Self::Closed => f.write_str("it was closed"),
            Self::Reset => f.write_str("it was reset"),
            Self::PeerReset => f.write_str("the peer has reset it"),
            Self::NotReading => f.write_str("the peer does not read"),
            Self::Failed(error) => error.fmt(f),
        }
    }
}
