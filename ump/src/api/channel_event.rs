//! A future for an event that happens to a channel once: the server closes it, or the last client
//! is dropped.

#![forbid(unsafe_code)]

use std::{
    future::Future,
    marker::PhantomData,
    pin::Pin,
    task::{Context, Poll},
};

use crate::{
    channel::Channel, coop::Coop, sync::Arc, wait::wait_queue::WaiterKey, wait::waiter::Waiter,
};

/// An event that happens to a channel once.
pub(super) trait Event {
    /// Returns whether the event has happened. If not, registers `waiter` to be woken when it does.
    fn register<S, R, E>(channel: &Channel<S, R, E>, key: &mut WaiterKey, waiter: Waiter) -> bool;

    /// Removes the waiter.
    fn remove<S, R, E>(channel: &Channel<S, R, E>, key: &mut WaiterKey);
}

/// A future that resolves when the event has happened. If it is polled again after that, it is
/// ready again.
pub(super) struct ChannelEvent<V: Event, S, R, E> {
    channel: Arc<Channel<S, R, E>>,
    key: WaiterKey,
    coop: Coop,
    event: PhantomData<V>,
}

impl<V: Event, S, R, E> ChannelEvent<V, S, R, E> {
    pub(super) fn new(channel: Arc<Channel<S, R, E>>) -> Self {
        Self {
            channel,
            key: WaiterKey::default(),
            coop: Coop::new(),
            event: PhantomData,
        }
    }

    /// Blocks until the event has happened.
    pub(super) fn wait(self) {
        let channel = Arc::clone(&self.channel);
        channel.clock().block_on(self, None);
    }
}

impl<V: Event, S, R, E> Unpin for ChannelEvent<V, S, R, E> {}

impl<V: Event, S, R, E> Future for ChannelEvent<V, S, R, E> {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let Self {
            channel, key, coop, ..
        } = &mut *self;
        coop.poll(cx, |cx| {
            if V::register(channel, key, Waiter::task(cx.waker())) {
                Poll::Ready(())
            } else {
                Poll::Pending
            }
        })
    }
}

impl<V: Event, S, R, E> Drop for ChannelEvent<V, S, R, E> {
    fn drop(&mut self) {
        if self.key.is_taken() {
            V::remove(&self.channel, &mut self.key);
        }
    }
}
