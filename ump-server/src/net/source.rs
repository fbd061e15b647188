//! Descriptors of any kind.

use std::{
    fmt, io,
    os::fd::{AsFd, BorrowedFd},
    sync::Arc,
};

use super::{
    Error, SocketKind,
    handle::{Handle, socket_methods, stream_methods},
    reactor::Reactor,
    readiness::{MAY_READ, MAY_WRITE, MAYBE_READABLE, MAYBE_WRITABLE, PAUSED},
    socket::NewSocket,
};

/// The directions in which a [`Source`] is used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Interest {
    /// It is read: [`Readable`](super::Event::Readable) comes.
    Read,
    /// It is written: [`Writable`](super::Event::Writable) comes when it is requested.
    Write,
    /// Both.
    Both,
}

/// A descriptor of any kind that the selector can wait for, from
/// [`Sockets::source`](super::Sockets::source): a pipe, a terminal, an `eventfd`, a device, a
/// socket of a library.
///
/// Use it by [`read_with`](Self::read_with) and [`write_with`](Self::write_with), which keep its
/// readiness. Dropping it deregisters the descriptor, and then drops the value.
pub struct Source<T: AsFd>(Handle<T>);

impl<T: AsFd> Source<T> {
    pub(super) fn new(
        reactor: &Arc<Reactor>,
        era: u64,
        source: T,
        interest: Interest,
    ) -> Result<Self, Error> {
        let maybe = MAYBE_READABLE | MAYBE_WRITABLE;
        let (flags, interest) = match interest {
            Interest::Read => (maybe, mio::Interest::READABLE),
            Interest::Write => (maybe | PAUSED, mio::Interest::WRITABLE),
            Interest::Both => (maybe, mio::Interest::READABLE | mio::Interest::WRITABLE),
        };
        let new = NewSocket::of(SocketKind::Source).flags(flags);
        Handle::register(reactor, era, Arc::new(source), new, interest).map(Self)
    }

    /// Calls `read`, which reads from the source without blocking. If it returns
    /// [`WouldBlock`](io::ErrorKind::WouldBlock), the next
    /// [`Readable`](super::Event::Readable) comes when there is something new.
    ///
    /// If the source is at its end, it stays readable: drop it, or
    /// [pause](Self::pause_reading) it.
    ///
    /// # Errors
    /// Returns the error of `read`. If it is known that there is nothing to read, returns
    /// `WouldBlock` without a call.
    pub fn read_with<R>(&self, read: impl FnOnce(&T) -> io::Result<R>) -> io::Result<R> {
        let seen = self.0.socket.readiness.load();
        if !seen.has(MAY_READ) {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        let result = read(&self.0.source);
        if would_block(&result) {
            self.0.would_block_reading(seen);
        }
        result
    }

    /// Calls `write`, which writes to the source without blocking. If it returns
    /// [`WouldBlock`](io::ErrorKind::WouldBlock), the event
    /// [`Writable`](super::Event::Writable) comes when there is room.
    ///
    /// # Errors
    /// Returns the error of `write`. If it is known that there is no room, returns `WouldBlock`
    /// without a call.
    pub fn write_with<R>(&self, write: impl FnOnce(&T) -> io::Result<R>) -> io::Result<R> {
        let seen = self.0.socket.readiness.load();
        if !seen.has(MAY_WRITE) {
            self.request_writable();
            return Err(io::ErrorKind::WouldBlock.into());
        }
        let result = write(&self.0.source);
        if would_block(&result) {
            self.0.would_block_writing(seen);
        }
        result
    }

    /// Returns the value.
    #[must_use]
    pub fn get_ref(&self) -> &T {
        &self.0.source
    }

    stream_methods!();
    socket_methods!();
}

fn would_block<R>(result: &io::Result<R>) -> bool {
    matches!(result, Err(error) if error.kind() == io::ErrorKind::WouldBlock)
}

impl<T: AsFd> AsFd for Source<T> {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.source.as_fd()
    }
}

impl<T: AsFd> fmt::Debug for Source<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Source").field(&self.id()).finish()
    }
}
