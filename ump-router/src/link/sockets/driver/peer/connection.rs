//! A connection: bytes between its stream and its session.

use std::{io, sync::Arc, time::Instant};

use super::{
    Peer,
    lead::{Lead, LedSocket, Rhythm},
};
use crate::link::{
    session::Session,
    sockets::driver::{Shared, stream::Stream},
};

/// How much is read at once.
const READ: usize = 16 << 10;

/// How often it is read after the stream has failed: as much as a socket holds.
const MAX_LAST_READS: usize = 64;

pub(super) struct Connection {
    pub(super) stream: Stream,
    /// `None` until it is connected.
    pub(super) session: Option<Session>,
    /// The other router, while the session is open.
    pub(super) opened: Option<Opened>,
    /// Why TLS has failed.
    pub(super) tls_failure: Option<String>,
    /// The stream takes no more bytes. What the peer has sent before is still to be read.
    pub(super) is_broken: bool,
    /// This process has something else to tell than was told.
    pub(super) is_untold: bool,
    pub(super) synced: Synced,
    /// Messages were sent, and no more are before the loop has looked at its sockets: there may be
    /// credit. It looks at them less often than at requests, so a publisher that is awake could use
    /// up all credit before.
    pub(super) awaits_turn: bool,
    /// The thread that reads in place of the loop.
    pub(super) lead: Option<Lead>,
    pub(super) rhythm: Rhythm,
    /// The socket for such threads, once there was one.
    socket: Option<Arc<LedSocket>>,
}

/// The other router.
pub(super) struct Opened {
    /// Its number, which may be 0.
    pub(super) router: u128,
    /// The name of its program, as it says itself.
    pub(super) program: String,
    /// When it said hello.
    pub(super) since: Instant,
    /// How many requests it allows at a time.
    pub(super) max_pending: usize,
    /// The link does not stand by for another one.
    pub(super) is_used: bool,
}

/// Which end has told all that it had at the opening.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Synced {
    pub(super) here: bool,
    pub(super) there: bool,
}

impl Connection {
    pub(super) fn new(stream: Stream, session: Option<Session>) -> Self {
        Self {
            stream,
            session,
            opened: None,
            tls_failure: None,
            is_broken: false,
            is_untold: true,
            synced: Synced::default(),
            awaits_turn: false,
            lead: None,
            rhythm: Rhythm::default(),
            socket: None,
        }
    }

    /// Returns a duplicate of the socket, for a thread that waits for it. `None` if the system has
    /// no more descriptors.
    pub(super) fn socket(&mut self) -> Option<Arc<LedSocket>> {
        if self.socket.is_none() {
            let duplicate = self.stream.duplicate().ok()?;
            self.socket = Some(Arc::new(LedSocket::new(duplicate)));
        }
        self.socket.clone()
    }

    /// Returns whether the loop has nothing to do with the socket but to read it.
    pub(super) fn is_only_read(&self) -> bool {
        let session = self.session.as_ref();
        let has_sent_all = session.is_some_and(|it| it.is_open() && it.unsent() == 0);
        let is_used = self.opened.as_ref().is_some_and(|opened| opened.is_used);
        has_sent_all
            && !self.stream.holds_output()
            && is_used
            && !self.awaits_turn
            && !self.is_broken
    }

    /// Takes the lead from the thread that has it.
    pub(super) fn end_lead(&mut self) {
        if self.lead.take().is_some() {
            self.stream.resume_events();
        }
    }

    /// Sends no more messages before the loop has looked at its sockets.
    pub(super) fn await_turn(&mut self) {
        self.awaits_turn = true;
        self.stream.request_writable();
    }

    /// Returns whether the peer has told what it has.
    pub(super) fn is_ready(&self) -> bool {
        let is_open = self.session.as_ref().is_some_and(Session::is_open);
        is_open && self.synced.there
    }

    /// Writes what there is to write.
    pub(super) fn write(&mut self, now: Instant) {
        let Some(session) = &mut self.session else {
            return;
        };
        while !self.is_broken {
            let bytes = session.transmit(now);
            let written = if bytes.is_empty() {
                self.stream.flush().map(|()| 0)
            } else {
                self.stream.write(bytes)
            };
            match written {
                Ok(0) => return,
                Ok(count) => session.sent(now, count),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => {
                    if error.kind() == io::ErrorKind::InvalidData {
                        self.tls_failure = Some(error.to_string());
                    }
                    self.is_broken = true;
                }
            }
        }
    }
}

impl Peer {
    /// Reads what there is, up to a limit: the event comes again.
    pub(in super::super) fn read(&mut self, shared: &Shared) {
        self.begin_turn(shared);
        while self.read_once(shared, Stream::read) {}
    }

    /// Reads what has come before the loop is woken. Returns whether there was anything.
    pub(in super::super) fn look(&mut self, shared: &Shared) -> bool {
        let mut has_come = false;
        let mut read = |stream: &mut Stream, buffer: &mut [u8]| {
            let read = stream.read_now(buffer);
            let error = read.as_ref().err().map(io::Error::kind);
            has_come |= error != Some(io::ErrorKind::WouldBlock);
            read
        };
        while self.read_once(shared, &mut read) {}
        has_come
    }

    /// Ends a connection that takes no more bytes, after what the peer has sent: a peer that
    /// refuses a link says why, and does not read what comes.
    pub(super) fn end_broken(&mut self, shared: &Shared) {
        if !self.connection.as_ref().is_some_and(|it| it.is_broken) {
            return;
        }
        let is_finished = |peer: &mut Self| peer.session().is_none_or(|it| it.is_finished());
        for _ in 0..MAX_LAST_READS {
            if is_finished(self) || !self.look(shared) {
                break;
            }
        }
        let now = shared.clock.now();
        if let Some(session) = self.session() {
            session.disconnected(now);
        }
    }

    /// Returns whether there is more of which no event will tell.
    fn read_once(
        &mut self,
        shared: &Shared,
        read: impl FnOnce(&mut Stream, &mut [u8]) -> io::Result<usize>,
    ) -> bool {
        let mut buffer = shared.buffer.take();
        buffer.resize(READ, 0); // for the first read only
        let has_more = self.read_into(&mut buffer, shared, read);
        shared.buffer.set(buffer);
        has_more
    }

    fn read_into(
        &mut self,
        buffer: &mut [u8],
        shared: &Shared,
        read: impl FnOnce(&mut Stream, &mut [u8]) -> io::Result<usize>,
    ) -> bool {
        let Some(connection) = &mut self.connection else {
            return false;
        };
        let Some(session) = &mut connection.session else {
            return false;
        };
        let read = read(&mut connection.stream, buffer);
        let now = shared.clock.now();
        let count = match read {
            Ok(count) => count,
            Err(error)
                if matches!(
                    error.kind(),
                    io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted
                ) =>
            {
                self.authenticate(shared);
                return false;
            }
            Err(error) => {
                if error.kind() == io::ErrorKind::InvalidData {
                    connection.tls_failure = Some(error.to_string());
                }
                0
            }
        };
        if count == 0 {
            session.disconnected(now);
            return false;
        }
        self.authenticate(shared);
        let mut rest = &buffer[..count];
        while !rest.is_empty() {
            let Some(session) = self.session() else {
                return false;
            };
            let used = session.receive(now, rest);
            rest = &rest[used..];
            self.handle_events(shared);
        }
        let connection = self.connection.as_mut();
        connection.is_some_and(|connection| connection.stream.holds_input())
    }
}
