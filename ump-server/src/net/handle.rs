//! The handles of sockets, and the methods that all of them have.

use std::{
    io,
    os::fd::{AsFd, AsRawFd},
    sync::Arc,
};

use mio::{Interest, unix::SourceFd};

use super::{
    Error,
    reactor::{Injected, Reactor},
    readiness::{
        CONNECTING, DROPPED, MAY_READ, MAY_WRITE, MAYBE_READABLE, MAYBE_WRITABLE, PAUSED,
        READ_ENDED, READABLE, WANTS_WRITE, WRITABLE, Word,
    },
    socket::{NewSocket, Socket},
    status::SocketKind,
};

/// The handle of a socket: its descriptor, and its registration with a loop. Its drop deregisters
/// the descriptor, and then closes it.
#[derive(Debug)]
pub(super) struct Handle<S: AsFd> {
    pub(super) socket: Arc<Socket>,
    pub(super) reactor: Arc<Reactor>,
    /// The only strong reference, except while the loop accepts a connection or asks for the
    /// outcome of a connect.
    pub(super) source: Arc<S>,
}

impl<S: AsFd> Handle<S> {
    /// Registers a socket for the handler of this era.
    pub(super) fn register(
        reactor: &Arc<Reactor>,
        era: u64,
        source: Arc<S>,
        new: NewSocket,
        interest: Interest,
    ) -> Result<Self, Error> {
        let fd = source.as_fd().as_raw_fd();
        let socket = reactor.register(era, new, &mut SourceFd(&fd), interest)?;
        Ok(Self {
            socket,
            reactor: Arc::clone(reactor),
            source,
        })
    }

    fn queue(&self, queues: bool) {
        if queues {
            let socket = Arc::clone(&self.socket);
            self.reactor.inject(Injected::Ready(socket));
        }
    }

    pub(super) fn pause_reading(&self) {
        self.queue(self.socket.readiness.change(PAUSED, 0));
    }

    pub(super) fn resume_reading(&self) {
        self.queue(self.socket.readiness.change(0, PAUSED));
    }

    pub(super) fn request_writable(&self) {
        self.queue(self.socket.readiness.change(WANTS_WRITE, 0));
    }

    /// Reads from a stream into a buffer of `room` bytes. `read` returns also whether the system's
    /// buffer is empty if it was short.
    #[inline]
    pub(super) fn read(
        &self,
        room: usize,
        read: impl FnOnce(&S) -> io::Result<(usize, bool)>,
    ) -> io::Result<usize> {
        let seen = self.socket.readiness.load();
        if !seen.has(MAY_READ) {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        self.read_now(room, read)
    }

    /// Does the same also if nothing was reported yet.
    #[inline]
    pub(super) fn read_now(
        &self,
        room: usize,
        read: impl FnOnce(&S) -> io::Result<(usize, bool)>,
    ) -> io::Result<usize> {
        let Socket {
            readiness,
            counters,
            ..
        } = &*self.socket;
        let seen = readiness.load();
        if seen.has(CONNECTING) {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        match read(&self.source) {
            Ok((0, _)) if room > 0 => {
                self.queue(readiness.change(READ_ENDED, READABLE));
                Ok(0)
            }
            Ok((n, is_empty)) => {
                counters.received(n);
                if n < room && is_empty {
                    // The next data is another report.
                    self.would_block_reading(seen);
                }
                Ok(n)
            }
            Err(error) => {
                match error.kind() {
                    io::ErrorKind::WouldBlock => self.would_block_reading(seen),
                    io::ErrorKind::Interrupted => {}
                    _ => {
                        counters.error();
                        self.queue(readiness.change(READ_ENDED, READABLE));
                    }
                }
                Err(error)
            }
        }
    }

    /// Returns what a read has returned by which that of a unix stream ends at a passed descriptor,
    /// although there is more.
    pub(super) fn plain(&self, read: io::Result<usize>) -> io::Result<(usize, bool)> {
        Ok((read?, self.socket.kind != SocketKind::UnixStream))
    }

    /// Writes `all` bytes to a stream, or fewer. If fewer were written, requests a `Writable`.
    #[inline]
    pub(super) fn write(
        &self,
        all: usize,
        write: impl FnOnce(&S) -> io::Result<usize>,
    ) -> io::Result<usize> {
        let Socket {
            readiness,
            counters,
            ..
        } = &*self.socket;
        let seen = readiness.load();
        if !seen.has(MAY_WRITE) || seen.has(CONNECTING) {
            self.request_writable();
            return Err(io::ErrorKind::WouldBlock.into());
        }
        let result = write(&self.source);
        match &result {
            Ok(n) => {
                counters.sent(*n);
                if *n < all {
                    self.would_block_writing(seen);
                }
            }
            Err(error) => match error.kind() {
                io::ErrorKind::WouldBlock => self.would_block_writing(seen),
                io::ErrorKind::Interrupted => {}
                _ => counters.error(),
            },
        }
        result
    }

    #[cold]
    pub(super) fn would_block_writing(&self, seen: Word) {
        let clear = WRITABLE | MAYBE_WRITABLE;
        self.queue((self.socket.readiness).used_up(seen, clear, WANTS_WRITE));
        let mut selection = self.socket.selection.lock();
        if std::mem::take(&mut selection.is_read_only) && !selection.is_suspended {
            let fd = self.source.as_fd().as_raw_fd();
            self.reactor.add_both(&self.socket, &mut SourceFd(&fd));
        }
    }

    /// Takes the socket out of the selector.
    pub(super) fn suspend_events(&self) {
        let mut selection = self.socket.selection.lock();
        if selection.is_suspended || self.socket.readiness.load().has(CONNECTING) {
            return;
        }
        selection.is_suspended = true;
        // If it is not to be written now, the selector would report only that it can be.
        selection.is_read_only = !self.socket.readiness.load().has(WANTS_WRITE);
        let fd = self.source.as_fd().as_raw_fd();
        self.reactor.deselect(&mut SourceFd(&fd));
    }

    /// Puts the socket back into the selector, which reports what is ready then.
    pub(super) fn resume_events(&self) {
        let mut selection = self.socket.selection.lock();
        if !std::mem::take(&mut selection.is_suspended) {
            return;
        }
        let interest = if selection.is_read_only {
            Interest::READABLE
        } else {
            Interest::READABLE | Interest::WRITABLE
        };
        let fd = self.source.as_fd().as_raw_fd();
        let added = self.reactor.add(&self.socket, &mut SourceFd(&fd), interest);
        drop(selection);
        if let Err(error) = added {
            self.fail(error);
        }
    }

    /// Clears the readability, as a read would have blocked.
    pub(super) fn would_block_reading(&self, seen: Word) {
        let clear = READABLE | MAYBE_READABLE;
        self.queue(self.socket.readiness.used_up(seen, clear, 0));
    }

    /// Stores an error to be reported.
    #[cold]
    pub(super) fn fail(&self, error: Error) {
        self.queue(self.socket.fail(error));
    }
}

impl<S: AsFd> Drop for Handle<S> {
    fn drop(&mut self) {
        // Never pending again, so never queued.
        let _ = self.socket.readiness.change(DROPPED, 0);
        let fd = self.source.as_fd().as_raw_fd();
        self.reactor.remove(&self.socket, &mut SourceFd(&fd));
    }
}

/// The methods of every socket.
macro_rules! socket_methods {
    () => {
        /// Returns the id of the socket, by which events name it.
        #[must_use]
        pub fn id(&self) -> crate::net::SocketId {
            self.0.socket.id
        }

        /// Returns the status of the socket: addresses, bytes, events, errors, age.
        #[must_use]
        pub fn status(&self) -> crate::net::SocketStatus {
            let reactor = &self.0.reactor;
            self.0.socket.status(reactor.worker, reactor.clock.now())
        }
    };
}

/// The methods of sockets that the handler reads and writes.
macro_rules! stream_methods {
    () => {
        /// Stops the events [`Readable`](crate::net::Event::Readable) of this socket, until
        /// [`resume_reading`](Self::resume_reading). Back-pressure: the data stays in the system's
        /// buffers, and when these are full the peer has to wait.
        ///
        /// A connection that is closed meanwhile is still reported, by
        /// [`Closed`](crate::net::Event::Closed).
        pub fn pause_reading(&self) {
            self.0.pause_reading();
        }

        /// Resumes the events [`Readable`](crate::net::Event::Readable). Nothing is lost: if there
        /// is something to read, the event comes.
        pub fn resume_reading(&self) {
            self.0.resume_reading();
        }

        /// Requests one event [`Writable`](crate::net::Event::Writable), for when there is room to
        /// write; in the next turn if there is room now.
        pub fn request_writable(&self) {
            self.0.request_writable();
        }
    };
}

/// The methods of streams of bytes, which read by this function.
macro_rules! byte_stream_methods {
    ($receive:ident) => {
        /// Reads into `buf`. Returns 0 if the peer has shut down its half and all is read (or if
        /// `buf` is empty).
        ///
        /// # Errors
        /// [`WouldBlock`](std::io::ErrorKind::WouldBlock) if there is nothing to read: the event
        /// [`Readable`](crate::net::Event::Readable) comes when there is. Others, such as
        /// [`ConnectionReset`](std::io::ErrorKind::ConnectionReset), are final.
        #[inline]
        pub fn read(&self, buf: &mut [u8]) -> std::io::Result<usize> {
            let room = buf.len();
            self.0.read(room, |stream| $receive(stream, buf))
        }

        /// Reads as [`read`](Self::read) does, and makes the system call even if the loop has
        /// reported nothing to read yet: for a thread that looks for data before the loop is
        /// woken.
        ///
        /// # Errors
        /// See [`read`](Self::read).
        #[inline]
        pub fn read_now(&self, buf: &mut [u8]) -> std::io::Result<usize> {
            let room = buf.len();
            self.0
                .read_now(room, |mut stream| self.0.plain(stream.read(buf)))
        }

        /// Suspends the events of a connected stream, until
        /// [`resume_events`](Self::resume_events): for a thread that waits for the socket by
        /// itself (by a [`Parker`](crate::net::Parker), for example) and reads with
        /// [`read_now`](Self::read_now). Writing goes on as before, but no
        /// [`Writable`](crate::net::Event::Writable) comes. An event that the loop knows already
        /// may still come. One system call.
        ///
        /// It has no effect while the connection is being made.
        pub fn suspend_events(&self) {
            self.0.suspend_events();
        }

        /// Resumes the events. Nothing is lost: what is ready is reported. One system call, if they
        /// were suspended.
        ///
        /// If a thread other than the loop's reads at the same moment, a
        /// [`Readable`](crate::net::Event::Readable) may come for what it has just read: then a
        /// read would block.
        ///
        /// If the system has no memory for it, the stream [fails](crate::net::Event::Error).
        pub fn resume_events(&self) {
            self.0.resume_events();
        }

        /// Reads into several buffers, one after the other. See [`read`](Self::read).
        ///
        /// # Errors
        /// See [`read`](Self::read).
        pub fn read_vectored(
            &self,
            bufs: &mut [std::io::IoSliceMut<'_>],
        ) -> std::io::Result<usize> {
            let room = bufs.iter().map(|buf| buf.len()).sum();
            self.0
                .read(room, |mut stream| self.0.plain(stream.read_vectored(bufs)))
        }

        /// Writes `buf`, or a part of it. Returns the number of bytes written.
        ///
        /// # Errors
        /// [`WouldBlock`](std::io::ErrorKind::WouldBlock) if there is no room, or if the connection
        /// is still being made: then, and after a short write, the event
        /// [`Writable`](crate::net::Event::Writable) comes when there is room. Others are final.
        #[inline]
        pub fn write(&self, buf: &[u8]) -> std::io::Result<usize> {
            self.0.write(buf.len(), |mut stream| stream.write(buf))
        }

        /// Writes several buffers, one after the other. See [`write`](Self::write).
        ///
        /// # Errors
        /// See [`write`](Self::write).
        pub fn write_vectored(&self, bufs: &[std::io::IoSlice<'_>]) -> std::io::Result<usize> {
            let all = bufs.iter().map(|buf| buf.len()).sum();
            self.0.write(all, |mut stream| stream.write_vectored(bufs))
        }

        /// Shuts down one half, or both: the peer's next reads return 0 for
        /// [`Write`](std::net::Shutdown::Write).
        ///
        /// # Errors
        /// Returns the error of the operating system.
        pub fn shutdown(&self, how: std::net::Shutdown) -> std::io::Result<()> {
            self.0.source.shutdown(how)
        }
    };
}

/// The methods of listeners.
macro_rules! listener_methods {
    () => {
        /// Accepts no connections until [`resume`](Self::resume). They wait in the backlog.
        pub fn pause(&self) {
            self.0.pause_reading();
        }

        /// Accepts connections again.
        pub fn resume(&self) {
            self.0.resume_reading();
        }
    };
}

/// `Read` and `Write` for a stream and for references to it, by the methods of the stream.
macro_rules! read_and_write {
    ($Stream:ident, $Reference:ty) => {
        read_and_write!(@ $Stream: $Stream);
        read_and_write!(@ $Stream: $Reference);
    };
    (@ $Stream:ident: $Target:ty) => {
        impl Read for $Target {
            fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
                $Stream::read(self, buf)
            }

            fn read_vectored(&mut self, bufs: &mut [IoSliceMut<'_>]) -> io::Result<usize> {
                $Stream::read_vectored(self, bufs)
            }
        }

        impl Write for $Target {
            fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
                $Stream::write(self, buf)
            }

            fn write_vectored(&mut self, bufs: &[IoSlice<'_>]) -> io::Result<usize> {
                $Stream::write_vectored(self, bufs)
            }

            fn flush(&mut self) -> io::Result<()> {
                Ok(())
            }
        }
    };
}

pub(super) use {
    byte_stream_methods, listener_methods, read_and_write, socket_methods, stream_methods,
};
