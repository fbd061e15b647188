//! The stand-in for the sockets of loops on tasks, without the features for them: there are none.

use std::{
    ops::ControlFlow,
    sync::Arc,
    task::{self, Poll},
    time::Instant,
};

use tokio::runtime::Handle;
use ump::{Error, ReplyContext, Server};

use super::{Service, call::CallContext, loop_waker::LoopWaker};
use crate::{
    net::{Reactor, WorkerSockets},
    worker::lifecycle::Worker,
};

pub(super) fn attach(_: &Reactor, _: &Handle, _: &Arc<LoopWaker>) {}

#[derive(Debug, Default)]
pub(super) struct SocketTurns(());

#[allow(clippy::unused_self, reason = "as those of the other one")]
impl SocketTurns {
    pub(super) fn is_next(&mut self, _: &mut WorkerSockets) -> bool {
        false
    }

    pub(super) fn take_at_once<S, R, E>(
        &mut self,
        _: &Server<S, R, E>,
        _: &mut task::Context<'_>,
    ) -> Poll<Result<(S, ReplyContext<R, E>), Error<E>>> {
        Poll::Pending
    }

    #[inline]
    pub(super) fn took_request(&mut self) {}
}

pub(super) fn is_due(_: &mut WorkerSockets) -> bool {
    false
}

pub(super) fn poll_due(_: &mut WorkerSockets, _: &mut task::Context<'_>) -> bool {
    false
}

pub(super) fn next_deadline(_: &mut WorkerSockets) -> Option<Instant> {
    None
}

#[allow(clippy::unused_async, reason = "as that of the other one")]
pub(super) async fn deliver<S, R, E, RV, T, H>(
    _: &mut Worker<S, R, E, RV, T>,
    _: &CallContext,
    _: &mut H,
    _: impl FnMut(),
) -> ControlFlow<Option<RV>>
where
    H: Service<Request = S, Reply = R, Error = E, Output = RV, Timer = T>,
{
    unreachable!("there are no sockets")
}
