//! How long a client may keep us waiting while it sends or reads.
//!
//! Time spent waiting for it is added up, and each byte that it moves pays for a little of it: so neither silence nor a drip of bytes holds
//! a connection, and any client with [`RATE`] bytes a second can take as long as it needs.

use std::{
    error::Error,
    fmt,
    future::Future,
    io::{self, IoSlice},
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
    time::{Duration, Instant},
};

use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::TcpStream,
    time::{Sleep, sleep},
};

use crate::connections::Connection;

/// In bytes a second.
const RATE: u32 = 16 * 1024;

/// The client was too slow.
#[derive(Clone, Copy, Debug)]
pub(crate) struct TooSlow;

impl TooSlow {
    /// Whether this is the reason for an error.
    pub(crate) fn is_behind(error: &(dyn Error + 'static)) -> bool {
        let mut next = Some(error);
        while let Some(error) = next {
            if error.is::<Self>() {
                return true;
            }
            // An I/O error hides what it was made of from `source`.
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

impl fmt::Display for TooSlow {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the client is too slow")
    }
}

impl Error for TooSlow {}

/// What a client owes us in time.
#[derive(Debug)]
pub(crate) struct Debt {
    /// More than this is too much.
    limit: Duration,
    /// Without the wait that is going on.
    owed: Duration,
    since: Option<Instant>,
    timer: Option<Pin<Box<Sleep>>>,
}

impl Debt {
    pub(crate) fn new(limit: Duration) -> Self {
        Self {
            limit,
            owed: Duration::ZERO,
            since: None,
            timer: None,
        }
    }

    /// The client lets us wait: `Ready` if that is too much.
    pub(crate) fn poll_wait(&mut self, cx: &mut Context<'_>) -> Poll<TooSlow> {
        if self.since.is_none() {
            self.since = Some(Instant::now());
            self.timer = Some(Box::pin(sleep(self.limit.saturating_sub(self.owed))));
        }
        match &mut self.timer {
            Some(timer) => timer.as_mut().poll(cx).map(|()| TooSlow),
            None => Poll::Pending,
        }
    }

    /// The client has moved so many bytes. Returns whether it had let us wait.
    pub(crate) fn pay(&mut self, bytes: usize) -> bool {
        let since = self.since.take();
        if let Some(since) = since {
            self.owed += since.elapsed();
            self.timer = None;
        }
        let bytes = u32::try_from(bytes).unwrap_or(u32::MAX);
        let paid = Duration::from_secs(1) * bytes / RATE;
        self.owed = self.owed.saturating_sub(paid);
        since.is_some()
    }
}

/// A connection that fails if what is written to it is read too slowly.
#[derive(Debug)]
pub(crate) struct Paced {
    stream: TcpStream,
    debt: Debt,
    connection: Arc<Connection>,
}

impl Paced {
    pub(crate) fn new(stream: TcpStream, limit: Duration, connection: Arc<Connection>) -> Self {
        let debt = Debt::new(limit);
        Self {
            stream,
            debt,
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
                if self.debt.pay(bytes) {
                    self.connection.touch();
                }
                Poll::Ready(Ok(bytes))
            }
            Poll::Ready(error) => Poll::Ready(error),
            Poll::Pending => {
                let error = ready!(self.debt.poll_wait(cx));
                Poll::Ready(Err(io::Error::new(io::ErrorKind::TimedOut, error)))
            }
        }
    }
}

impl AsyncRead for Paced {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(cx, buffer)
    }
}

impl AsyncWrite for Paced {
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
