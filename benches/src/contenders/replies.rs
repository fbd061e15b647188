//! How replies come back: through a channel made for each request, or through one that each client keeps.

use std::marker::PhantomData;

use super::queue::{AsyncQueue, BlockingQueue, Queue};

pub(crate) trait Replies: 'static {
    /// Follows the name of the queue.
    const SUFFIX: &'static str;
    /// What a client keeps; a clone is for another client.
    type Home<M: Send + 'static>: Clone + Send + 'static;
    /// Goes with the request.
    type Sender<M: Send + 'static>: Send + 'static;
    /// Stays with who waits.
    type Pending<M: Send + 'static>: Send + 'static;

    fn home<M: Send + 'static>(outstanding: usize) -> Self::Home<M>;

    fn expect<M: Send + 'static>(home: &Self::Home<M>) -> (Self::Sender<M>, Self::Pending<M>);

    /// Whether anybody still waits for it does not matter.
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

/// Each client has a channel of its own for its replies, and keeps it.
///
/// Nothing is made for a request, but the client would wait for ever if its request got lost, has to ask servers that answer in
/// order, and cannot cancel.
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
