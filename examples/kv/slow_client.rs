//! Ends clients that are too slow in sending or reading.
//!
//! The time spent waiting for a client is added up, and each byte that it moves earns a little of
//! it back. So neither silence nor a trickle of bytes holds a connection, and a client with at
//! least [`RATE`] bytes a second can take as long as it needs.

use std::{
    error,
    future::Future,
    io::{self, IoSlice},
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
    time::{Duration, Instant},
};

use thiserror::Error;
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::TcpStream,
    time::{Sleep, sleep},
};

use crate::connections::Connection;

/// The lowest rate of a client, in bytes a second.
const RATE: u32 = 16 * 1024;

/// The client is too slow.
#[derive(Clone, Copy, Debug, Error)]
#[error("the client is too slow")]
pub(crate) struct TooSlow;

impl TooSlow {
    /// Returns whether it is the cause of an error.
    pub(crate) fn is_cause_of(error: &(dyn error::Error + 'static)) -> bool {
        let mut next = Some(error);
        while let Some(error) = next {
            if error.is::<Self>() {
                return true;
            }
            // `source` of an I/O error skips the error that it contains.
            let inner = error
                .downcast_ref::<io::Error>()
                .and_then(io::Error::get_ref);
            next = match inner {
                Some(inner) => Some(inner),
                None => error.source(),
            };
        }
        false
    }
}

/// The time that a client may still keep the service waiting.
#[derive(Debug)]
pub(crate) struct WaitBudget {
    /// The most that may be used.
    limit: Duration,
    /// The time that is used, without the current wait.
    used: Duration,
    /// The start of the current wait.
    since: Option<Instant>,
    timer: Option<Pin<Box<Sleep>>>,
}

impl WaitBudget {
    pub(crate) fn new(limit: Duration) -> Self {
        Self {
            limit,
            used: Duration::ZERO,
            since: None,
            timer: None,
        }
    }

    /// Polls a wait for the client: ready when the time is used up.
    pub(crate) fn poll_wait(&mut self, cx: &mut Context<'_>) -> Poll<TooSlow> {
        if self.since.is_none() {
            self.since = Some(Instant::now());
            self.timer = Some(Box::pin(sleep(self.limit.saturating_sub(self.used))));
        }
        match &mut self.timer {
            Some(timer) => timer.as_mut().poll(cx).map(|()| TooSlow),
            None => Poll::Pending,
        }
    }

    /// Ends the wait and credits bytes that the client has moved. Returns whether there was a wait.
    pub(crate) fn credit(&mut self, bytes: usize) -> bool {
        let since = self.since.take();
        if let Some(since) = since {
            self.used += since.elapsed();
            self.timer = None;
        }
        let bytes = u32::try_from(bytes).unwrap_or(u32::MAX);
        let earned = Duration::from_secs(1) * bytes / RATE;
        self.used = self.used.saturating_sub(earned);
        since.is_some()
    }
}

/// A connection that fails if its client reads too slowly.
#[derive(Debug)]
pub(crate) struct TimedStream {
    stream: TcpStream,
    budget: WaitBudget,
    connection: Arc<Connection>,
}

impl TimedStream {
    pub(crate) fn new(stream: TcpStream, limit: Duration, connection: Arc<Connection>) -> Self {
        let budget = WaitBudget::new(limit);
        Self {
            stream,
            budget,
            connection,
        }
    }

    fn written(
        &mut self,
        written: Poll<io::Result<usize>>,
        cx: &mut Context<'_>,
    ) -> Poll<io::Result<usize>> {
        match written {
            Poll::Ready(Ok(bytes)) => {
                if self.budget.credit(bytes) {
                    self.connection.touch();
                }
                Poll::Ready(Ok(bytes))
            }
            Poll::Ready(error) => Poll::Ready(error),
            Poll::Pending => {
                let error = ready!(self.budget.poll_wait(cx));
                Poll::Ready(Err(io::Error::new(io::ErrorKind::TimedOut, error)))
            }
        }
    }
}

impl AsyncRead for TimedStream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(cx, buffer)
    }
}

impl AsyncWrite for TimedStream {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write(cx, bytes);
        self.written(written, cx)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write_vectored(cx, slices);
        self.written(written, cx)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}
