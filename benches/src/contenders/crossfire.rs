//! crossfire's `mpsc`, bounded, which is its faster kind. A sender never waits here, so it has the
//! blocking type. The receivers block or await, by their type.

use crossfire::{
    AsyncRx, MTx, Rx, mpsc,
    oneshot::{RxOneshot, TxOneshot, oneshot},
};

use super::{
    queue::{AsyncQueue, BlockingQueue, Queue},
    replies::{AsyncReplies, BlockingReplies, Replies},
};

pub(crate) struct BlockingCrossfire;

impl Queue for BlockingCrossfire {
    const NAME: &'static str = "crossfire";
    type Sender<T: Send + 'static> = MTx<mpsc::Array<T>>;
    type Receiver<T: Send + 'static> = Rx<mpsc::Array<T>>;

    fn open<T: Send + 'static>(outstanding: usize) -> (Self::Sender<T>, Self::Receiver<T>) {
        mpsc::bounded_blocking(outstanding)
    }

    fn send<T: Send + 'static>(sender: &Self::Sender<T>, item: T) {
        let _ = sender.try_send(item);
    }
}

impl BlockingQueue for BlockingCrossfire {
    fn receive<T: Send + 'static>(receiver: &mut Self::Receiver<T>) -> Option<T> {
        receiver.recv().ok()
    }

    fn receive_many<T: Send + 'static>(receiver: &mut Self::Receiver<T>, items: &mut Vec<T>) {
        items.extend(receiver.recv());
        while let Ok(item) = receiver.try_recv() {
            items.push(item);
        }
    }
}

pub(crate) struct AsyncCrossfire;

impl Queue for AsyncCrossfire {
    const NAME: &'static str = "crossfire";
    type Sender<T: Send + 'static> = MTx<mpsc::Array<T>>;
    type Receiver<T: Send + 'static> = AsyncRx<mpsc::Array<T>>;

    fn open<T: Send + 'static>(outstanding: usize) -> (Self::Sender<T>, Self::Receiver<T>) {
        mpsc::bounded_blocking_async(outstanding)
    }

    fn send<T: Send + 'static>(sender: &Self::Sender<T>, item: T) {
        let _ = sender.try_send(item);
    }
}

impl AsyncQueue for AsyncCrossfire {
    async fn receive_async<T: Send + 'static>(receiver: &mut Self::Receiver<T>) -> Option<T> {
        receiver.recv().await.ok()
    }

    async fn receive_many_async<T: Send + 'static>(
        receiver: &mut Self::Receiver<T>,
        items: &mut Vec<T>,
    ) {
        items.extend(receiver.recv().await);
        while let Ok(item) = receiver.try_recv() {
            items.push(item);
        }
    }
}

/// crossfire's own channel for a single reply.
pub(crate) struct CrossfireOneshot;

impl Replies for CrossfireOneshot {
    const SUFFIX: &'static str = "-own";
    type Home<M: Send + 'static> = ();
    type Sender<M: Send + 'static> = TxOneshot<M>;
    type Pending<M: Send + 'static> = RxOneshot<M>;

    fn home<M: Send + 'static>(_outstanding: usize) {}

    fn expect<M: Send + 'static>((): &()) -> (Self::Sender<M>, Self::Pending<M>) {
        oneshot()
    }

    fn send<M: Send + 'static>(sender: Self::Sender<M>, reply: M) {
        sender.send(reply);
    }
}

impl BlockingReplies for CrossfireOneshot {
    fn wait<M: Send + 'static>((): &mut (), pending: Self::Pending<M>) -> M {
        pending.recv().expect("a reply")
    }
}

impl AsyncReplies for CrossfireOneshot {
    async fn wait_async<M: Send + 'static>((): &mut (), pending: Self::Pending<M>) -> M {
        pending.await.expect("a reply")
    }
}
