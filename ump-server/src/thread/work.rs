//! What a loop does with what it takes: one request at a time, or all that are there.

use std::{ops::ControlFlow, vec};

use ump::{ReplyContext as Owed, Server, WeakClient};

use super::{Batch, BatchHandler, Handler};
use crate::{ReplyContext, deadlock::note_in_hand, panics::caught};

/// A handler of either kind.
pub(super) trait Work<S, R, E, RV, T> {
    /// What it has in hand: outside of what is caught, so that it survives a panic.
    type Hand: Default;

    fn init(&mut self, weak_client: WeakClient<S, R, E>);

    /// Handles a request, or those that are there with it.
    fn handle(
        &mut self,
        hand: &mut Self::Hand,
        server: &Server<S, R, E>,
        job: (S, Owed<R, E>),
    ) -> ControlFlow<RV>;

    /// What it still owes.
    fn owed(hand: Self::Hand) -> impl Iterator<Item = Owed<R, E>>;

    fn on_timer(&mut self, token: T) -> ControlFlow<RV>;

    fn term(&mut self, rv: Option<RV>) -> Option<RV>;
}

/// One at a time.
pub(super) struct Single<H>(pub(super) H);

impl<S, R, E, RV, T, H: Handler<S, R, E, RV, T>> Work<S, R, E, RV, T> for Single<H> {
    type Hand = Option<Owed<R, E>>;

    fn init(&mut self, weak_client: WeakClient<S, R, E>) {
        self.0.init(weak_client);
    }

    #[inline]
    fn handle(
        &mut self,
        hand: &mut Self::Hand,
        _: &Server<S, R, E>,
        (msg, rctx): (S, Owed<R, E>),
    ) -> ControlFlow<RV> {
        note_in_hand(Some(rctx.id()));
        let flow = self.0.proc_req(msg, ReplyContext::lend(hand, rctx));
        if hand.is_some() {
            // Had it been forgotten, it would be owed for ever.
            note_in_hand(None);
            *hand = None;
        }
        flow
    }

    fn owed(hand: Self::Hand) -> impl Iterator<Item = Owed<R, E>> {
        hand.into_iter()
    }

    fn on_timer(&mut self, token: T) -> ControlFlow<RV> {
        self.0.on_timer(token)
    }

    fn term(&mut self, rv: Option<RV>) -> Option<RV> {
        self.0.term(rv)
    }
}

/// All that are there, up to a limit.
pub(super) struct Many<H> {
    pub(super) handler: H,
    pub(super) max: usize,
}

impl<S, R, E, RV, T, H: BatchHandler<S, R, E, RV, T>> Work<S, R, E, RV, T> for Many<H> {
    type Hand = Batch<S, R, E>;

    fn init(&mut self, weak_client: WeakClient<S, R, E>) {
        self.handler.init(weak_client);
    }

    fn handle(
        &mut self,
        hand: &mut Self::Hand,
        server: &Server<S, R, E>,
        job: (S, Owed<R, E>),
    ) -> ControlFlow<RV> {
        hand.fill(server, job, self.max);
        let flow = self.handler.proc_batch(hand);
        hand.drain();
        flow
    }

    fn owed(mut hand: Self::Hand) -> impl Iterator<Item = Owed<R, E>> {
        let left: vec::IntoIter<_> = hand.drain().collect::<Vec<_>>().into_iter();
        left.map(|(message, owed)| {
            // The drop of a message is the user's code.
            let _ = caught(|| drop(message));
            owed
        })
    }

    fn on_timer(&mut self, token: T) -> ControlFlow<RV> {
        self.handler.on_timer(token)
    }

    fn term(&mut self, rv: Option<RV>) -> Option<RV> {
        self.handler.term(rv)
    }
}
