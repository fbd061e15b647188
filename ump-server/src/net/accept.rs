//! Accepting connections: what a listener does by itself.

use std::{
    io,
    net::TcpListener,
    os::unix::net::UnixListener,
    sync::{
        Arc, Weak,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::Duration,
};

use rustix::io::Errno;

use super::{
    Event, TcpStream, UnixStream,
    reactor::Reactor,
    socket::{Listener, ListenerSource, Socket, Spreading},
};

/// The first and the longest pause of a listener that has no descriptors, in milliseconds.
const FIRST_PAUSE: u64 = 10;
const LONGEST_PAUSE: u64 = 1_000;

impl Listener {
    pub(super) fn tcp(listener: &Arc<TcpListener>, spreading: Option<Box<dyn Spreading>>) -> Self {
        Self::new(ListenerSource::Tcp(Arc::downgrade(listener)), spreading)
    }

    pub(super) fn unix(listener: &Arc<UnixListener>) -> Self {
        Self::new(ListenerSource::Unix(Arc::downgrade(listener)), None)
    }

    fn new(source: ListenerSource, spreading: Option<Box<dyn Spreading>>) -> Self {
        Self {
            source,
            pause: AtomicU64::new(FIRST_PAUSE),
            spreading,
        }
    }

    /// Accepts a connection. Returns its event, or `None` if another worker gets it, or if the
    /// listener is being closed.
    pub(super) fn accept(
        &self,
        socket: &Socket,
        reactor: &Arc<Reactor>,
    ) -> io::Result<Option<Event>> {
        let listener = socket.id;
        let event = match &self.source {
            ListenerSource::Tcp(source) => {
                let Some(source) = Weak::upgrade(source) else {
                    return Ok(None);
                };
                let (mut stream, peer) = source.accept()?;
                drop(source);
                stream.set_nonblocking(true)?;
                if let Some(spreading) = &self.spreading {
                    match spreading.hand_over(reactor.id, listener, stream, peer) {
                        None => {
                            socket.counters.event();
                            self.pause.store(FIRST_PAUSE, Relaxed);
                            return Ok(None);
                        }
                        Some(own) => stream = own,
                    }
                }
                TcpStream::adopt(reactor, reactor.era(), stream, Some(peer)).map(|stream| {
                    Event::Accepted {
                        listener,
                        stream,
                        peer,
                    }
                })
            }
            ListenerSource::Unix(source) => {
                let Some(source) = Weak::upgrade(source) else {
                    return Ok(None);
                };
                let (stream, peer) = source.accept()?;
                drop(source);
                stream.set_nonblocking(true)?;
                let peer = super::unix::address(&peer);
                UnixStream::adopt(reactor, reactor.era(), stream, Some(peer))
                    .map(|stream| Event::AcceptedUnix { listener, stream })
            }
        };
        self.pause.store(FIRST_PAUSE, Relaxed);
        Ok(Some(event.unwrap_or_else(Event::Error)))
    }

    /// Returns the time for which a listener does not accept, after a failure. The next one is
    /// twice as long, up to a second.
    pub(super) fn next_pause(&self) -> Duration {
        let pause = self.pause.load(Relaxed);
        self.pause.store((pause * 2).min(LONGEST_PAUSE), Relaxed);
        Duration::from_millis(pause)
    }
}

/// Returns whether an error of `accept` is that of the connection that was to be accepted, so that
/// the next one may be better.
pub(super) fn concerns_one_connection(error: &io::Error) -> bool {
    const ALL: &[Errno] = &[
        Errno::CONNABORTED,
        Errno::CONNRESET,
        Errno::INTR,
        Errno::PERM, // a firewall
        Errno::PROTO,
        Errno::TIMEDOUT,
        // Errors of the network that `accept` of Linux passes on.
        Errno::HOSTDOWN,
        Errno::HOSTUNREACH,
        Errno::NETDOWN,
        Errno::NETUNREACH,
        Errno::NOPROTOOPT,
        Errno::OPNOTSUPP,
    ];
    Errno::from_io_error(error).is_some_and(|errno| ALL.contains(&errno))
}
