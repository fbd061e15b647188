//! The bodies of requests and responses.
//!
//! The body of a request has a [`WaitBudget`]. What a handler does not read of it is drained,
//! within bounds, while the response is sent. Otherwise a client that writes its whole request
//! before it reads would have its connection reset, and would never see the error.

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
    time::{Instant, timeout_at},
};

use crate::{
    connections::BusyGuard,
    slow_client::{TooSlow, WaitBudget},
    stopping::{Stopping, stopped},
};

/// The most bytes that are drained of a body.
const DRAIN_BYTES: usize = 256 * 1024 * 1024;
/// The longest time a body is drained.
const DRAIN_TIME: Duration = Duration::from_secs(20);
/// The longest silence of the client meanwhile.
const DRAIN_SILENCE: Duration = Duration::from_secs(2);

/// The longest time a body is drained if the client was too slow.
const DRAIN_SLOW: Duration = Duration::from_secs(1);

/// The longest silence of the client while the service is stopping.
const DRAIN_STOPPING: Duration = Duration::from_millis(200);

/// The body of a request.
#[derive(Debug)]
pub(crate) struct RequestBody {
    incoming: Option<Incoming>,
    budget: WaitBudget,
    /// Whether the client waits for `100 Continue` before it sends the body.
    awaits_continue: bool,
    is_too_slow: bool,
    stopping: Stopping,
    busy: Arc<BusyGuard>,
}

impl RequestBody {
    pub(crate) fn new(
        incoming: Incoming,
        expects: bool,
        limit: Duration,
        stopping: Stopping,
        busy: Arc<BusyGuard>,
    ) -> Self {
        Self {
            incoming: Some(incoming),
            budget: WaitBudget::new(limit),
            awaits_continue: expects,
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
        this.awaits_continue = false;
        match Pin::new(incoming).poll_frame(cx) {
            Poll::Ready(Some(Ok(frame))) => {
                this.budget.credit(frame.data_ref().map_or(0, Bytes::len));
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
                let TooSlow = ready!(this.budget.poll_wait(cx));
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
        if incoming.is_end_stream() || self.awaits_continue {
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

/// Drains the body of a request that is refused, on a task.
pub(crate) fn spawn_drain(request: Request<Incoming>, stopping: Stopping) {
    let awaits_continue = request.headers().contains_key(header::EXPECT);
    let body = request.into_body();
    if !awaits_continue && !body.is_end_stream() {
        tokio::spawn(drain(body, DRAIN_TIME, stopping));
    }
}

/// Reads and discards a body, until its end or a bound.
async fn drain(mut incoming: Incoming, time: Duration, stopping: Stopping) {
    let end = Instant::now() + time;
    let mut left = DRAIN_BYTES;
    loop {
        let now = Instant::now();
        let frame = poll_fn(|cx| Pin::new(&mut incoming).poll_frame(cx));
        let frame = timeout_at(end.min(now + DRAIN_SILENCE), frame);
        let stop = async {
            stopped(stopping.clone()).await;
            tokio::time::sleep_until(now + DRAIN_STOPPING).await;
        };
        let frame = tokio::select! {
            frame = frame => frame,
            () = stop => return,
        };
        let Ok(Some(Ok(frame))) = frame else { return };
        let Some(rest) = left.checked_sub(frame.data_ref().map_or(0, Bytes::len)) else {
            return;
        };
        left = rest;
    }
}

/// The body of a response. The connection is busy until its end.
#[derive(Debug)]
pub(crate) struct ResponseBody {
    body: Body,
    _busy: Arc<BusyGuard>,
}

impl ResponseBody {
    pub(crate) fn new(body: Body, busy: Arc<BusyGuard>) -> Self {
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
