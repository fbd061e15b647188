//! The types that travel, as far as a part of a bridge knows them.

use std::{
    future::Future as _,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use crate::{
    link::sockets::carried::Carried,
    notify::{Notified, Notify},
    router::Router,
};

/// Tells the types that travel, each once.
pub(super) struct Types {
    router: Router,
    known: usize,
    more: Pin<Box<Notified<Arc<Notify>>>>,
}

impl Types {
    pub(super) fn new(router: &Router) -> Self {
        Self {
            router: router.clone(),
            known: 0,
            more: notified(router),
        }
    }

    /// Returns those that were not returned before. The waker is woken when there is another one.
    pub(super) fn poll_new(&mut self, cx: &mut Context<'_>) -> Vec<Carried> {
        // First register, then look.
        while let Poll::Ready(()) = self.more.as_mut().poll(cx) {
            self.more = notified(&self.router);
        }
        let new = self.router.parts().1.carried_after(self.known);
        self.known += new.len();
        new
    }
}

fn notified(router: &Router) -> Pin<Box<Notified<Arc<Notify>>>> {
    Box::pin(Notify::notified(router.parts().1.carries_more()))
}
