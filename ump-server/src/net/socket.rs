//! The state that the loop and the handle of a socket share.

use std::{
    net::{SocketAddr, TcpListener, TcpStream},
    os::unix::net::{UnixListener, UnixStream},
    path::PathBuf,
    sync::{
        Arc, OnceLock, Weak,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::{Duration, Instant},
};

use super::{
    Address, Error, SocketId, SocketKind, SocketStatus,
    readiness::{
        CLOSED_REPORTED, CONNECTING, FAILED, MAYBE_READABLE, MAYBE_WRITABLE, READ_ENDED, READABLE,
        Readiness, WANTS_WRITE, WRITABLE,
    },
};
use crate::{observe::SocketMeter, sync::Mutex};

/// A socket, as its loop sees it. The descriptor belongs to the handle; the loop has a weak
/// reference where it needs one.
#[derive(Debug)]
pub(super) struct Socket {
    pub(super) id: SocketId,
    pub(super) kind: SocketKind,
    pub(super) role: Role,
    pub(super) readiness: Readiness,
    pub(super) counters: Counters,
    pub(super) selection: Mutex<Selection>,
    pub(super) opened: Instant,
    pub(super) local: OnceLock<Address>,
    pub(super) peer: OnceLock<Address>,
    /// The error that `FAILED` announces.
    failure: Mutex<Option<Error>>,
}

/// What the selector knows of a socket.
#[derive(Debug)]
pub(super) struct Selection {
    /// It knows the socket for reading only. A unix stream becomes writable each time its peer
    /// reads, so the loop would wake for nothing. The selector gets to know it for writing when a
    /// write finds no room.
    pub(super) is_read_only: bool,
    /// It does not know the socket: a thread waits for it by itself.
    pub(super) is_suspended: bool,
}

/// The role of a socket: the work that the loop does for it by itself.
#[derive(Debug)]
pub(super) enum Role {
    /// Nothing.
    Plain,
    /// It accepts connections.
    Listener(Listener),
    /// It makes the connection.
    Connecting(Mutex<Connecting>),
}

#[derive(Debug)]
pub(super) struct Listener {
    pub(super) source: ListenerSource,
    /// The length of the next pause when there are no descriptors, in milliseconds.
    pub(super) pause: AtomicU64,
    pub(super) spreading: Option<Box<dyn Spreading>>,
}

/// Chooses the loop of each connection that a listener accepts.
pub(super) trait Spreading: std::fmt::Debug + Send + Sync {
    /// Hands a connection over to the loop that is to have it. Returns the connection if that is
    /// the listener's own loop, whose reactor has the id `own`.
    fn hand_over(
        &self,
        own: u64,
        listener: SocketId,
        stream: TcpStream,
        peer: SocketAddr,
    ) -> Option<TcpStream>;
}

#[derive(Clone, Debug)]
pub(super) enum ListenerSource {
    Tcp(Weak<TcpListener>),
    Unix(Weak<UnixListener>),
}

/// A connection that is being made.
#[derive(Debug)]
pub(super) struct Connecting {
    pub(super) target: Target,
    /// When it is given up.
    pub(super) until: Option<Instant>,
    pub(super) pause: Duration,
}

/// The peer of a connection that is being made.
#[derive(Debug)]
pub(super) enum Target {
    Tcp(Weak<TcpStream>, SocketAddr),
    /// `is_begun` is whether the socket is connected, and registered with the selector.
    Unix {
        stream: Weak<UnixStream>,
        path: PathBuf,
        is_begun: bool,
    },
}

/// Counters for the status and the metrics. They guard nothing, so all operations are Relaxed.
#[derive(Debug)]
pub(super) struct Counters {
    meter: SocketMeter,
    bytes_in: AtomicU64,
    bytes_out: AtomicU64,
    events: AtomicU64,
    errors: AtomicU64,
}

impl Counters {
    fn new(meter: SocketMeter) -> Self {
        Self {
            meter,
            bytes_in: AtomicU64::new(0),
            bytes_out: AtomicU64::new(0),
            events: AtomicU64::new(0),
            errors: AtomicU64::new(0),
        }
    }

    #[inline]
    pub(super) fn event(&self) {
        self.events.fetch_add(1, Relaxed);
        self.meter.event();
    }

    pub(super) fn error(&self) {
        self.errors.fetch_add(1, Relaxed);
        self.meter.error();
    }

    #[inline]
    pub(super) fn received(&self, bytes: usize) {
        self.bytes_in.fetch_add(bytes as u64, Relaxed);
        self.meter.received(bytes);
    }

    #[inline]
    pub(super) fn sent(&self, bytes: usize) {
        self.bytes_out.fetch_add(bytes as u64, Relaxed);
        self.meter.sent(bytes);
    }
}

/// The parts of a socket that is about to be registered.
#[derive(Debug)]
pub(super) struct NewSocket {
    pub(super) kind: SocketKind,
    pub(super) role: Role,
    pub(super) flags: u64,
    pub(super) local: Option<Address>,
    pub(super) peer: Option<Address>,
}

impl NewSocket {
    pub(super) fn of(kind: SocketKind) -> Self {
        Self {
            kind,
            role: Role::Plain,
            flags: MAYBE_READABLE | MAYBE_WRITABLE,
            local: None,
            peer: None,
        }
    }

    pub(super) fn local(mut self, address: impl Into<Address>) -> Self {
        self.local = Some(address.into());
        self
    }

    pub(super) fn peer(mut self, address: impl Into<Address>) -> Self {
        self.peer = Some(address.into());
        self
    }

    pub(super) fn role(mut self, role: Role) -> Self {
        self.role = role;
        self
    }

    pub(super) fn flags(mut self, flags: u64) -> Self {
        self.flags = flags;
        self
    }

    pub(super) fn with_id(self, id: SocketId, opened: Instant, meter: SocketMeter) -> Arc<Socket> {
        let cell = |address: Option<Address>| address.map(OnceLock::from).unwrap_or_default();
        Arc::new(Socket {
            id,
            kind: self.kind,
            role: self.role,
            readiness: Readiness::new(self.flags),
            counters: Counters::new(meter),
            selection: Mutex::new(Selection {
                is_read_only: self.kind == SocketKind::UnixStream,
                is_suspended: false,
            }),
            opened,
            local: cell(self.local),
            peer: cell(self.peer),
            failure: Mutex::new(None),
        })
    }
}

impl Socket {
    pub(super) fn local(&self) -> Address {
        self.local.get().cloned().unwrap_or(Address::Unnamed)
    }

    pub(super) fn peer(&self) -> Address {
        self.peer.get().cloned().unwrap_or(Address::Unnamed)
    }

    /// Stores an error to be reported. An error that was not reported yet stays, and this one is
    /// only counted. Returns whether the caller has to queue the socket.
    #[must_use = "an event that is not queued is never reported"]
    pub(super) fn fail(&self, error: Error) -> bool {
        self.counters.error();
        let mut failure = self.failure.lock();
        if failure.is_some() {
            return false;
        }
        *failure = Some(error.of(self.id));
        drop(failure);
        self.readiness.change(FAILED, 0)
    }

    /// Ends a socket whose connection could not be made. Returns whether the caller has to queue
    /// it.
    #[must_use = "an event that is not queued is never reported"]
    pub(super) fn fail_connect(&self, error: Error) -> bool {
        let over = READ_ENDED | CLOSED_REPORTED;
        let all = CONNECTING | WANTS_WRITE | READABLE | WRITABLE | MAYBE_READABLE | MAYBE_WRITABLE;
        let queues = self.readiness.change(over, all);
        self.fail(error) || queues
    }

    pub(super) fn take_failure(&self) -> Option<Error> {
        self.failure.lock().take()
    }

    pub(super) fn status(&self, worker: usize, now: Instant) -> SocketStatus {
        let Counters {
            bytes_in,
            bytes_out,
            events,
            errors,
            ..
        } = &self.counters;
        SocketStatus {
            worker,
            id: self.id,
            kind: self.kind,
            local: self.local(),
            peer: self.peer(),
            is_connecting: self.readiness.load().has(CONNECTING),
            bytes_in: bytes_in.load(Relaxed),
            bytes_out: bytes_out.load(Relaxed),
            events: events.load(Relaxed),
            errors: errors.load(Relaxed),
            age: now.saturating_duration_since(self.opened),
        }
    }
}
