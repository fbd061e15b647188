//! tokio's unbounded `mpsc`, with tokio's `oneshot` for the reply.

use tokio::sync::{
    mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel},
    oneshot,
};

use super::{
    queue::{AsyncQueue, BlockingQueue, Queue},
    replies::{AsyncReplies, BlockingReplies, Replies},
};

pub(crate) struct TokioMpsc;

impl Queue for TokioMpsc {
    const NAME: &'static str = "tokio";
    type Sender<T: Send + 'static> = UnboundedSender<T>;
    type Receiver<T: Send + 'static> = UnboundedReceiver<T>;

    fn open<T: Send + 'static>(_outstanding: usize) -> (Self::Sender<T>, Self::Receiver<T>) {
        unbounded_channel()
    }

    fn send<T: Send + 'static>(sender: &Self::Sender<T>, item: T) {
        let _ = sender.send(item);
    }
}

impl BlockingQueue for TokioMpsc {
    fn receive<T: Send + 'static>(receiver: &mut Self::Receiver<T>) -> Option<T> {
        receiver.blocking_recv()
    }

    fn receive_many<T: Send + 'static>(receiver: &mut Self::Receiver<T>, items: &mut Vec<T>) {
        receiver.blocking_recv_many(items, usize::MAX);
    }
}

impl AsyncQueue for TokioMpsc {
    async fn receive_async<T: Send + 'static>(receiver: &mut Self::Receiver<T>) -> Option<T> {
        receiver.recv().await
    }

    async fn receive_many_async<T: Send + 'static>(
        receiver: &mut Self::Receiver<T>,
        items: &mut Vec<T>,
    ) {
        receiver.recv_many(items, usize::MAX).await;
    }
}

pub(crate) struct TokioOneshot;

impl Replies for TokioOneshot {
    const SUFFIX: &'static str = "";
    type Home<M: Send + 'static> = ();
    type Sender<M: Send + 'static> = oneshot::Sender<M>;
    type Pending<M: Send + 'static> = oneshot::Receiver<M>;

    fn home<M: Send + 'static>(_outstanding: usize) {}

    fn expect<M: Send + 'static>((): &()) -> (Self::Sender<M>, Self::Pending<M>) {
        oneshot::channel()
    }

    fn send<M: Send + 'static>(sender: Self::Sender<M>, reply: M) {
        let _ = sender.send(reply);
    }
}

impl BlockingReplies for TokioOneshot {
    fn wait<M: Send + 'static>((): &mut (), pending: Self::Pending<M>) -> M {
        pending.blocking_recv().expect("a reply")
    }
}

impl AsyncReplies for TokioOneshot {
    async fn wait_async<M: Send + 'static>((): &mut (), pending: Self::Pending<M>) -> M {
        pending.await.expect("a reply")
    }
}
