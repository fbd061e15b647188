//! The bodies of requests and responses, as a connection sees them.
//!
//! A request's body has a [`Debt`]. What a handler leaves of it is read and thrown away, within bounds, while the response is sent: a client that
//! writes all of its request before it reads would otherwise find its connection reset, and never learn why it was refused.

use std::{
    future::poll_fn,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
    time::Duration,
};

use axum::{
    BoxError,
    body::{Body, Bytes, HttpBody},
};
use hyper::{
    Request,
    body::{Frame, Incoming, SizeHint},
    header,
};
use tokio::{
    runtime::Handle,
    sync::watch,
    time::{Instant, timeout_at},
};

use crate::{
    connections::Busy,
    http,
    pace::{Debt, TooSlow},
};

/// What is thrown away of a body at most, and for how long; and how long the client may say nothing meanwhile.
const DRAIN_BYTES: usize = 256 * 1024 * 1024;
const DRAIN_TIME: Duration = Duration::from_secs(20);
const DRAIN_SILENCE: Duration = Duration::from_secs(2);

/// For how long if the client was too slow: so that it sees the answer.
const DRAIN_SLOW: Duration = Duration::from_secs(1);

/// How long the client may say nothing if the service is stopping.
const DRAIN_STOPPING: Duration = Duration::from_millis(200);

/// The body of a request.
#[derive(Debug)]
pub(crate) struct RequestBody {
    incoming: Option<Incoming>,
    debt: Debt,
    /// A client that waits for leave to send its body, and does not have it.
    is_held_back: bool,
    is_too_slow: bool,
    stopping: watch::Receiver<bool>,
    busy: Arc<Busy>,
}

impl RequestBody {
    pub(crate) fn new(
        incoming: Incoming,
        expects: bool,
        limit: Duration,
        stopping: watch::Receiver<bool>,
        busy: Arc<Busy>,
    ) -> Self {
        Self {
            incoming: Some(incoming),
            debt: Debt::new(limit),
            is_held_back: expects,
            is_too_slow: false,
            stopping,
            busy,
        }
    }
}

impl HttpBody for RequestBody {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let this = &mut *self;
        let Some(incoming) = &mut this.incoming else {
            return Poll::Ready(None);
        };
        this.is_held_back = false;
        match Pin::new(incoming).poll_frame(cx) {
            Poll::Ready(Some(Ok(frame))) => {
                this.debt.pay(frame.data_ref().map_or(0, Bytes::len));
                Poll::Ready(Some(Ok(frame)))
            }
            Poll::Ready(Some(Err(error))) => {
                this.incoming = None;
                Poll::Ready(Some(Err(error.into())))
            }
            Poll::Ready(None) => {
                this.incoming = None;
                Poll::Ready(None)
            }
            Poll::Pending => {
                let TooSlow = ready!(this.debt.poll_wait(cx));
                this.is_too_slow = true;
                Poll::Ready(Some(Err(TooSlow.into())))
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        self.incoming.as_ref().is_none_or(HttpBody::is_end_stream)
    }

    fn size_hint(&self) -> SizeHint {
        let incoming = self.incoming.as_ref();
        incoming.map_or_else(|| SizeHint::with_exact(0), HttpBody::size_hint)
    }
}

impl Drop for RequestBody {
    fn drop(&mut self) {
        let Some(incoming) = self.incoming.take() else {
            return;
        };
        if incoming.is_end_stream() || self.is_held_back {
            return;
        }
        if let Ok(runtime) = Handle::try_current() {
            let (stopping, busy) = (self.stopping.clone(), Arc::clone(&self.busy));
            let time = if self.is_too_slow {
                DRAIN_SLOW
            } else {
                DRAIN_TIME
            };
            runtime.spawn(async move {
                drain(incoming, time, stopping).await;
                drop(busy);
            });
        }
    }
}

/// Has the body of a request thrown away that is refused before anything else.
pub(crate) fn drain_aside(request: Request<Incoming>, stopping: watch::Receiver<bool>) {
    let is_held_back = request.headers().contains_key(header::EXPECT);
    let body = request.into_body();
    if !is_held_back && !body.is_end_stream() {
        tokio::spawn(drain(body, DRAIN_TIME, stopping));
    }
}

/// Reads and throws away, until the end or the bounds.
async fn drain(mut incoming: Incoming, time: Duration, stopping: watch::Receiver<bool>) {
    let end = Instant::now() + time;
    let mut left = DRAIN_BYTES;
    loop {
        let now = Instant::now();
        let frame = poll_fn(|cx| Pin::new(&mut incoming).poll_frame(cx));
        let frame = timeout_at(end.min(now + DRAIN_SILENCE), frame);
        let hurry = async {
            http::stopped(stopping.clone()).await;
            tokio::time::sleep_until(now + DRAIN_STOPPING).await;
        };
        let frame = tokio::select! {
            frame = frame => frame,
            () = hurry => return,
        };
        let Ok(Some(Ok(frame))) = frame else { return };
        let Some(rest) = left.checked_sub(frame.data_ref().map_or(0, Bytes::len)) else {
            return;
        };
        left = rest;
    }
}

/// The body of a response: until its end the connection is busy.
#[derive(Debug)]
pub(crate) struct ResponseBody {
    body: Body,
    _busy: Arc<Busy>,
}

impl ResponseBody {
    pub(crate) fn new(body: Body, busy: Arc<Busy>) -> Self {
        Self { body, _busy: busy }
    }
}

impl HttpBody for ResponseBody {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        Pin::new(&mut self.body).poll_frame(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
