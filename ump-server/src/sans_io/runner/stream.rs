//! A connection by a socket of tokio.
//!
//! # Invariants
//!
//! 1. If the stream is to be read, it is in the queue of readable ones (`is_queued`), or its waker
//!    is registered for data, or was woken and the runner looks at it.
//! 2. The same for a stream that waits for room to write (`waits_for_room`), and for one of which
//!    the peer's half has ended (`hang_up`).

use std::{
    io::{self, IoSlice},
    pin::Pin,
    task::{Context as TaskContext, Poll, Waker},
    time::Duration,
};

use tokio::{
    io::{AsyncWrite as _, Interest},
    net::TcpStream,
};

use crate::{sans_io::streams::ByteStream, sync::Arc};

#[expect(clippy::struct_excessive_bools, reason = "they are independent")]
pub(super) struct Stream {
    /// Shared with `hang_up` only.
    socket: Arc<TcpStream>,
    waker: Waker,
    reads: bool,
    /// Whether there may be something to read.
    may_read: bool,
    is_queued: bool,
    waits_for_room: bool,
    /// After the end of the peer's half, for which the socket stays readable: ready when the peer
    /// resets the connection.
    hang_up: Option<Pin<Box<dyn Future<Output = ()> + Send>>>,
}

/// The events of a stream.
#[derive(Clone, Copy, Debug)]
pub(super) struct Looked {
    /// It has something to read, and is not in the queue of readable ones.
    pub(super) is_readable: bool,
    pub(super) is_writable: bool,
    pub(super) has_hung_up: bool,
}

impl Stream {
    pub(super) fn new(stream: TcpStream, waker: Waker) -> Self {
        Self {
            socket: Arc::new(stream),
            waker,
            reads: true,
            may_read: false,
            is_queued: false,
            waits_for_room: false,
            hang_up: None,
        }
    }

    /// Looks for events. Registers the waker for those that have not come.
    pub(super) fn look(&mut self) -> Looked {
        self.look_for_data();
        let mut cx = TaskContext::from_waker(&self.waker);
        let is_writable = self.waits_for_room && self.socket.poll_write_ready(&mut cx).is_ready();
        let hang_up = self.hang_up.as_mut();
        let has_hung_up = hang_up.is_some_and(|it| it.as_mut().poll(&mut cx).is_ready());
        if has_hung_up {
            self.hang_up = None;
        }
        self.waits_for_room &= !is_writable;
        let is_readable = self.reads && self.may_read && !self.is_queued;
        self.is_queued |= is_readable;
        Looked {
            is_readable,
            is_writable,
            has_hung_up,
        }
    }

    fn look_for_data(&mut self) {
        if self.reads && !self.may_read {
            let mut cx = TaskContext::from_waker(&self.waker);
            self.may_read = self.socket.poll_read_ready(&mut cx).is_ready();
        }
    }

    /// Notes that it was taken out of the queue of readable ones. Returns whether to read it.
    pub(super) fn begin_read(&mut self) -> bool {
        self.is_queued = false;
        self.reads && self.may_read
    }

    /// Returns whether it goes to the queue of readable ones again.
    pub(super) fn end_read(&mut self) -> bool {
        self.is_queued = self.reads && self.may_read;
        self.is_queued
    }

    fn wait_for_room(&mut self) {
        self.waits_for_room = true;
        let mut cx = TaskContext::from_waker(&self.waker);
        if self.socket.poll_write_ready(&mut cx).is_ready() {
            self.waker.wake_by_ref();
        }
    }
}

impl ByteStream for Stream {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let result = self.socket.try_read(buffer);
        match &result {
            Ok(0) => {
                self.may_read = false;
                let stream = Arc::clone(&self.socket);
                self.hang_up = Some(Box::pin(async move {
                    let _ = stream.ready(Interest::ERROR).await;
                }));
                self.waker.wake_by_ref();
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                self.may_read = false;
                self.look_for_data();
            }
            _ => {}
        }
        result
    }

    fn write(&mut self, bytes: &[IoSlice<'_>]) -> io::Result<usize> {
        let result = self.socket.try_write_vectored(bytes);
        match &result {
            Ok(written) => {
                let all: usize = bytes.iter().map(|slice| slice.len()).sum();
                if *written < all {
                    self.wait_for_room();
                }
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => self.wait_for_room(),
            Err(_) => {}
        }
        result
    }

    fn shut_down(&mut self) -> io::Result<()> {
        // If the peer's half has ended as well, the connection is over.
        self.hang_up = None;
        let mut cx = TaskContext::from_waker(&self.waker);
        match Arc::get_mut(&mut self.socket) {
            // It never waits.
            Some(stream) => match Pin::new(stream).poll_shutdown(&mut cx) {
                Poll::Ready(result) => result,
                Poll::Pending => Ok(()),
            },
            None => Ok(()),
        }
    }

    fn set_reading(&mut self, reads: bool) {
        self.reads = reads;
        if reads {
            self.waker.wake_by_ref();
        }
    }

    #[allow(
        deprecated,
        reason = "a linger of zero does not block, and older tokio has no other"
    )]
    fn reset(&mut self) {
        // Without it the peer notices the end nevertheless.
        let _ = self.socket.set_linger(Some(Duration::ZERO));
    }
}
