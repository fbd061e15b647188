//! The sockets of a worker on a task: see the turns in [`net`](crate::net).

use std::{
    ops::ControlFlow,
    sync::Arc,
    task::{self, Poll},
    time::Instant,
};

use tokio::runtime::Handle;
use ump::{
    Error, ReplyContext, Server,
    coop::{Coop, consume_budget},
};

use super::{
    Service,
    call::{CallContext, call_handler},
    loop_waker::LoopWaker,
};
use crate::{
    net::{Reactor, Runtime, WorkerSockets, poller::Poller},
    worker::lifecycle::Worker,
};

/// The number of requests between two turns of events, if there are more events.
const BETWEEN_TURNS: u32 = 16;
/// The number of requests after which the loop asks its selector, if it knows of no event: a system
/// call, which is to be a small part of what a request costs.
const BETWEEN_LOOKS: u32 = 64;

/// Lets a loop on this runtime have sockets. Before it is started.
pub(super) fn attach(reactor: &Reactor, runtime: &Handle, loop_waker: &Arc<LoopWaker>) {
    let loop_waker = Arc::clone(loop_waker);
    reactor.attach_task(Runtime::new(runtime), Arc::new(move || loop_waker.wake()));
}

/// When the events of sockets are next. So a flood of requests does not keep them waiting.
#[derive(Debug)]
pub(super) struct SocketTurns {
    /// The number of requests until then.
    left: u32,
    coop: Coop,
}

impl Default for SocketTurns {
    fn default() -> Self {
        Self {
            left: BETWEEN_LOOKS,
            coop: Coop::new(),
        }
    }
}

impl SocketTurns {
    /// Begins to look for what comes next. Returns whether that is events of sockets.
    pub(super) fn is_next(&mut self, sockets: &mut WorkerSockets) -> bool {
        let poller = poller(sockets);
        poller.begin_poll();
        if self.left == 0 {
            self.left = BETWEEN_LOOKS;
            poller.look_at_once();
            return poller.is_due();
        }
        if poller.is_due() {
            self.left = self.left.min(BETWEEN_TURNS);
        }
        false
    }

    /// Takes a request, without waiting. A result for the task's budget.
    pub(super) fn take_at_once<S, R, E>(
        &mut self,
        server: &Server<S, R, E>,
        cx: &mut task::Context<'_>,
    ) -> Poll<Result<(S, ReplyContext<R, E>), Error<E>>> {
        self.coop.poll(cx, |_| match server.try_pop() {
            Ok(Some(taken)) => Poll::Ready(Ok(taken)),
            Ok(None) => Poll::Pending,
            Err(error) => Poll::Ready(Err(error)),
        })
    }

    #[inline]
    pub(super) fn took_request(&mut self) {
        self.left = self.left.saturating_sub(1);
    }
}

/// Returns whether an event of a socket is known.
pub(super) fn is_due(sockets: &mut WorkerSockets) -> bool {
    poller(sockets).is_due()
}

/// Returns whether there are events of sockets. If not, the task is woken when there are.
pub(super) fn poll_due(sockets: &mut WorkerSockets, cx: &mut task::Context<'_>) -> bool {
    poller(sockets).poll_due(cx)
}

/// Returns the earliest instant at which the loop has to look at a socket.
pub(super) fn next_deadline(sockets: &mut WorkerSockets) -> Option<Instant> {
    poller(sockets).next_deadline()
}

fn poller(sockets: &mut WorkerSockets) -> &mut Poller {
    sockets.poller().expect("there are sockets")
}

/// Calls the handler for the events of a turn, and `before_each` before each call. `Break` ends the
/// serving, with the value of the handler.
pub(super) async fn deliver<S, R, E, RV, T, H>(
    worker: &mut Worker<S, R, E, RV, T>,
    calls: &CallContext,
    handler: &mut H,
    mut before_each: impl FnMut(),
) -> ControlFlow<Option<RV>>
where
    H: Service<Request = S, Reply = R, Error = E, Output = RV, Timer = T>,
{
    let Worker {
        sockets, recorder, ..
    } = worker;
    let poller = poller(sockets);
    poller.begin_turn_after_sleep();
    while let Some((event, delivery)) = poller.next() {
        // Before the stream is dropped: if it has yielded, its drop restores the budget.
        consume_budget().await;
        before_each();
        match call_handler(recorder, calls, "on_socket", || handler.on_socket(event)).await {
            Ok(ControlFlow::Continue(())) => {}
            Ok(ControlFlow::Break(rv)) => return ControlFlow::Break(Some(rv)),
            Err(_) => return ControlFlow::Break(None),
        }
        drop(delivery);
    }
    ControlFlow::Continue(())
}
