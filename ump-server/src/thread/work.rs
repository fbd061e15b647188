//! The kinds of handlers on a thread: for one request at a time, or for batches.

use std::{ops::ControlFlow, sync::Arc};

use ump::{ReplyContext as OwnedReplyContext, Server};

use super::{Batch, BatchService, Service};
use crate::{
    Context, ReplyContext, catch::catch_user_panic, deadlock::WaitNode, observe::CallOutcome,
    worker::recorder::WorkerRecorder, worker::reply_context::PendingReply,
};

/// A handler of either kind: for one request at a time, or for batches.
pub(super) trait Work<S, R, E, RV, T> {
    /// The requests in hand. The driver keeps them outside of the code whose panics are caught, so
    /// that they survive a panic.
    type Hand;

    /// Returns an empty hand for the worker with this wait node.
    fn hand(wait_node: &Arc<WaitNode>) -> Self::Hand;

    fn init(&mut self, cx: &Context<S, R, E, T>);

    /// Handles a request, alone or together with queued requests.
    fn handle(
        &mut self,
        hand: &mut Self::Hand,
        server: &Server<S, R, E>,
        recorder: &mut WorkerRecorder,
        job: (S, OwnedReplyContext<R, E>),
    ) -> ControlFlow<RV>;

    /// Returns the reply contexts that the handler still owes.
    fn owed(hand: Self::Hand) -> impl Iterator<Item = OwnedReplyContext<R, E>>;

    fn on_timer(&mut self, token: T) -> ControlFlow<RV>;

    #[cfg(all(feature = "net", unix, not(any(loom, shuttle))))]
    fn on_socket(&mut self, event: crate::net::Event) -> ControlFlow<RV>;

    fn term(&mut self, rv: Option<RV>) -> Option<RV>;
}

/// Takes one request at a time.
pub(super) struct Single<H>(pub(super) H);

impl<S, R, E, RV, T, H> Work<S, R, E, RV, T> for Single<H>
where
    H: Service<Request = S, Reply = R, Error = E, Output = RV, Timer = T>,
{
    type Hand = PendingReply<R, E>;

    fn hand(wait_node: &Arc<WaitNode>) -> Self::Hand {
        PendingReply::none(wait_node)
    }

    fn init(&mut self, cx: &Context<S, R, E, T>) {
        self.0.init(cx);
    }

    #[inline]
    fn handle(
        &mut self,
        hand: &mut Self::Hand,
        server: &Server<S, R, E>,
        recorder: &mut WorkerRecorder,
        (msg, rctx): (S, OwnedReplyContext<R, E>),
    ) -> ControlFlow<RV> {
        let lent = ReplyContext::lend(hand, rctx);
        recorder.begin_request(self.0.kind(&msg), (lent.owed(), 1), || server.len());
        let flow = recorder.run(|| self.0.handle(msg, lent));
        recorder.end(hand.settle());
        flow
    }

    fn owed(hand: Self::Hand) -> impl Iterator<Item = OwnedReplyContext<R, E>> {
        hand.into_duty().into_iter()
    }

    fn on_timer(&mut self, token: T) -> ControlFlow<RV> {
        self.0.on_timer(token)
    }

    #[cfg(all(feature = "net", unix, not(any(loom, shuttle))))]
    fn on_socket(&mut self, event: crate::net::Event) -> ControlFlow<RV> {
        self.0.on_socket(event)
    }

    fn term(&mut self, rv: Option<RV>) -> Option<RV> {
        self.0.term(rv)
    }
}

/// Takes all queued requests, up to a limit.
pub(super) struct Many<H> {
    pub(super) handler: H,
    pub(super) max: usize,
}

impl<S, R, E, RV, T, H> Work<S, R, E, RV, T> for Many<H>
where
    H: BatchService<Request = S, Reply = R, Error = E, Output = RV, Timer = T>,
{
    type Hand = Batch<S, R, E>;

    fn hand(_: &Arc<WaitNode>) -> Self::Hand {
        Batch::default()
    }

    fn init(&mut self, cx: &Context<S, R, E, T>) {
        self.handler.init(cx);
    }

    fn handle(
        &mut self,
        hand: &mut Self::Hand,
        server: &Server<S, R, E>,
        recorder: &mut WorkerRecorder,
        job: (S, OwnedReplyContext<R, E>),
    ) -> ControlFlow<RV> {
        hand.fill(server, job, self.max);
        let kind = self.handler.kind(hand);
        if let [(_, first), ..] = hand.as_slice() {
            recorder.begin_request(kind, (first, hand.len()), || server.len());
        }
        let flow = recorder.run(|| self.handler.handle(hand));
        hand.send_answers();
        for (message, owed) in hand.drain() {
            // The message is dropped on its own: a panic of its drop is not one of the handler, so
            // it must not reach the caller.
            catch_user_panic(|| drop(message));
            drop(owed);
        }
        // A batch does not record how each of its requests ended.
        recorder.end(CallOutcome::Detached);
        flow
    }

    fn owed(hand: Self::Hand) -> impl Iterator<Item = OwnedReplyContext<R, E>> {
        hand.into_owed()
    }

    fn on_timer(&mut self, token: T) -> ControlFlow<RV> {
        self.handler.on_timer(token)
    }

    #[cfg(all(feature = "net", unix, not(any(loom, shuttle))))]
    fn on_socket(&mut self, event: crate::net::Event) -> ControlFlow<RV> {
        self.handler.on_socket(event)
    }

    fn term(&mut self, rv: Option<RV>) -> Option<RV> {
        self.handler.term(rv)
    }
}
