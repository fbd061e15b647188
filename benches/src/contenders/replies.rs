//! The ways of replies: a channel for each request, or one that each client keeps.

use std::marker::PhantomData;

use super::queue::{AsyncQueue, BlockingQueue, Queue};

pub(crate) trait Replies: 'static {
    /// The suffix after the name of the queue.
    const SUFFIX: &'static str;
    /// The state that a client keeps. A clone is for another client.
    type Home<M: Send + 'static>: Clone + Send + 'static;
    /// The sender, which goes with the request.
    type Sender<M: Send + 'static>: Send + 'static;
    /// The receiver, which the client waits on.
    type Pending<M: Send + 'static>: Send + 'static;

    fn home<M: Send + 'static>(outstanding: usize) -> Self::Home<M>;

    fn expect<M: Send + 'static>(home: &Self::Home<M>) -> (Self::Sender<M>, Self::Pending<M>);

    /// Sends the reply. It does not matter whether the client is gone.
    fn send<M: Send + 'static>(sender: Self::Sender<M>, reply: M);
}

pub(crate) trait BlockingReplies: Replies {
    fn wait<M: Send + 'static>(home: &mut Self::Home<M>, pending: Self::Pending<M>) -> M;
}

pub(crate) trait AsyncReplies: Replies {
    fn wait_async<M: Send + 'static>(
        home: &mut Self::Home<M>,
        pending: Self::Pending<M>,
    ) -> impl Future<Output = M> + Send;
}

/// The `oneshot` crate.
pub(crate) struct Oneshot;

impl Replies for Oneshot {
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

impl BlockingReplies for Oneshot {
    fn wait<M: Send + 'static>((): &mut (), pending: Self::Pending<M>) -> M {
        pending.recv().expect("a reply")
    }
}

impl AsyncReplies for Oneshot {
    async fn wait_async<M: Send + 'static>((): &mut (), pending: Self::Pending<M>) -> M {
        pending.await.expect("a reply")
    }
}

/// A channel for replies that each client makes once and keeps.
///
/// Nothing is made for a request. But the client waits for ever if its request is lost, its servers
/// have to reply in order, and it cannot cancel.
pub(crate) struct Kept<Q>(PhantomData<Q>);

pub(crate) struct KeptHome<Q: Queue, M: Send + 'static> {
    outstanding: usize,
    sender: Q::Sender<M>,
    receiver: Q::Receiver<M>,
}

impl<Q: Queue, M: Send + 'static> Clone for KeptHome<Q, M> {
    fn clone(&self) -> Self {
        Kept::<Q>::home(self.outstanding)
    }
}

impl<Q: Queue> Replies for Kept<Q> {
    const SUFFIX: &'static str = "-kept";
    type Home<M: Send + 'static> = KeptHome<Q, M>;
    type Sender<M: Send + 'static> = Q::Sender<M>;
    type Pending<M: Send + 'static> = ();

    fn home<M: Send + 'static>(outstanding: usize) -> KeptHome<Q, M> {
        let (sender, receiver) = Q::open(outstanding);
        KeptHome {
            outstanding,
            sender,
            receiver,
        }
    }

    fn expect<M: Send + 'static>(home: &KeptHome<Q, M>) -> (Q::Sender<M>, ()) {
        (home.sender.clone(), ())
    }

    fn send<M: Send + 'static>(sender: Q::Sender<M>, reply: M) {
        Q::send(&sender, reply);
    }
}

impl<Q: BlockingQueue> BlockingReplies for Kept<Q> {
    fn wait<M: Send + 'static>(home: &mut KeptHome<Q, M>, (): ()) -> M {
        Q::receive(&mut home.receiver).expect("a reply")
    }
}

impl<Q: AsyncQueue> AsyncReplies for Kept<Q> {
    async fn wait_async<M: Send + 'static>(home: &mut KeptHome<Q, M>, (): ()) -> M {
        Q::receive_async(&mut home.receiver).await.expect("a reply")
    }
}
