//! Connections that are being made.
//!
//! A TCP connect goes on in the background. The first report that the socket is writable does not
//! mean that it is connected: its error says why it is not, and without an error its peer's address
//! says whether it is. A connect to a unix socket whose backlog is full (`EAGAIN` on Linux) has
//! begun nothing, so it is tried again.

use std::{
    io,
    net::{SocketAddr, TcpStream as StdTcpStream},
    os::{
        fd::{AsFd as _, AsRawFd as _},
        unix::net::UnixStream as StdUnixStream,
    },
    path::PathBuf,
    sync::Arc,
    time::{Duration, Instant},
};

use mio::{Interest, unix::SourceFd};
use socket2::{SockAddr, SockRef};

use super::{
    Address, Error, Operation,
    reactor::Reactor,
    readiness::{CONNECTING, DROPPED, WRITABLE},
    socket::{Connecting, Socket, Target},
};

/// The first and the longest pause before a connect to a full backlog is tried again.
const FIRST_PAUSE: Duration = Duration::from_millis(1);
const LONGEST_PAUSE: Duration = Duration::from_millis(100);

/// The outcome of a connect.
#[derive(Debug)]
pub(super) enum Outcome {
    Connected,
    InProgress,
    Failed(Error),
    /// The handle was dropped.
    Gone,
}

/// The next step of a connect that the clock has looked at.
#[derive(Debug)]
pub(super) enum Retry {
    Nothing,
    /// The socket has an event, and was marked as queued.
    Queue,
    /// The connection cannot be made.
    Fail(Error),
    At(Instant),
}

impl Connecting {
    pub(super) fn tcp(
        stream: &Arc<StdTcpStream>,
        peer: SocketAddr,
        until: Option<Instant>,
    ) -> Self {
        Self {
            target: Target::Tcp(Arc::downgrade(stream), peer),
            until,
            pause: FIRST_PAUSE,
        }
    }

    pub(super) fn unix(stream: &Arc<StdUnixStream>, path: PathBuf, until: Option<Instant>) -> Self {
        Self {
            target: Target::Unix {
                stream: Arc::downgrade(stream),
                path,
                is_begun: false,
            },
            until,
            pause: FIRST_PAUSE,
        }
    }

    fn address(&self) -> Address {
        match &self.target {
            Target::Tcp(_, peer) => Address::Ip(*peer),
            Target::Unix { path, .. } => Address::Path(path.clone()),
        }
    }

    fn failed(&self, error: io::Error) -> Error {
        Error::new(Operation::Connect, self.address(), error)
    }

    /// Returns the outcome, after the socket was reported as writable.
    pub(super) fn outcome(&self, socket: &Socket) -> Outcome {
        match &self.target {
            Target::Tcp(stream, _) => {
                let Some(stream) = stream.upgrade() else {
                    return Outcome::Gone;
                };
                match stream.take_error() {
                    Ok(None) => {}
                    Ok(Some(error)) | Err(error) => return Outcome::Failed(self.failed(error)),
                }
                match stream.peer_addr() {
                    Ok(_) => {
                        if let Ok(local) = stream.local_addr() {
                            let _ = socket.local.set(local.into());
                        }
                        Outcome::Connected
                    }
                    Err(error) if error.kind() == io::ErrorKind::NotConnected => {
                        Outcome::InProgress
                    }
                    Err(error) => Outcome::Failed(self.failed(error)),
                }
            }
            Target::Unix { is_begun: true, .. } => Outcome::Connected,
            Target::Unix { .. } => Outcome::InProgress,
        }
    }

    /// Gives up if the time is over. Otherwise tries again, if nothing is in progress.
    pub(super) fn retry(&mut self, reactor: &Reactor, socket: &Socket, now: Instant) -> Retry {
        let seen = socket.readiness.load();
        if !seen.has(CONNECTING) || seen.has(DROPPED) {
            return Retry::Nothing;
        }
        if self.until.is_some_and(|until| until <= now) {
            let late = io::Error::new(io::ErrorKind::TimedOut, "the connect timed out");
            return Retry::Fail(self.failed(late));
        }
        match &self.target {
            Target::Unix {
                is_begun: false, ..
            } => self.begin_unix(reactor, socket, now),
            _ => self.until.map_or(Retry::Nothing, Retry::At),
        }
    }

    /// Connects to a unix socket, which is done at once or not at all.
    pub(super) fn begin_unix(&mut self, reactor: &Reactor, socket: &Socket, now: Instant) -> Retry {
        let Target::Unix {
            stream,
            path,
            is_begun,
        } = &mut self.target
        else {
            return Retry::Nothing;
        };
        let Some(stream) = stream.upgrade() else {
            return Retry::Nothing;
        };
        let connected =
            SockAddr::unix(&*path).and_then(|address| SockRef::from(&*stream).connect(&address));
        match connected {
            Ok(()) => {
                *is_begun = true;
                let fd = stream.as_fd().as_raw_fd();
                match reactor.add(socket, &mut SourceFd(&fd), Interest::READABLE) {
                    Ok(()) if socket.readiness.report(WRITABLE) => Retry::Queue,
                    Ok(()) => Retry::Nothing,
                    Err(error) => Retry::Fail(error),
                }
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                let pause = self.pause;
                self.pause = (pause * 2).min(LONGEST_PAUSE);
                let again = now.checked_add(pause).unwrap_or(now);
                Retry::At(self.until.map_or(again, |until| until.min(again)))
            }
            Err(error) => Retry::Fail(self.failed(error)),
        }
    }
}
