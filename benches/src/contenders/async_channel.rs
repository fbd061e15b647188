//! async-channel, bounded.

use super::queue::{AsyncQueue, BlockingQueue, Queue};

pub(crate) struct AsyncChannel;

impl Queue for AsyncChannel {
    const NAME: &'static str = "async-channel";
    type Sender<T: Send + 'static> = async_channel::Sender<T>;
    type Receiver<T: Send + 'static> = async_channel::Receiver<T>;

    fn open<T: Send + 'static>(outstanding: usize) -> (Self::Sender<T>, Self::Receiver<T>) {
        async_channel::bounded(outstanding)
    }

    fn send<T: Send + 'static>(sender: &Self::Sender<T>, item: T) {
        let _ = sender.try_send(item);
    }
}

fn take_rest<T>(receiver: &async_channel::Receiver<T>, items: &mut Vec<T>) {
    while let Ok(item) = receiver.try_recv() {
        items.push(item);
    }
}

impl BlockingQueue for AsyncChannel {
    fn receive<T: Send + 'static>(receiver: &mut Self::Receiver<T>) -> Option<T> {
        receiver.recv_blocking().ok()
    }

    fn receive_many<T: Send + 'static>(receiver: &mut Self::Receiver<T>, items: &mut Vec<T>) {
        items.extend(receiver.recv_blocking());
        take_rest(receiver, items);
    }
}

impl AsyncQueue for AsyncChannel {
    async fn receive_async<T: Send + 'static>(receiver: &mut Self::Receiver<T>) -> Option<T> {
        receiver.recv().await.ok()
    }

    async fn receive_many_async<T: Send + 'static>(
        receiver: &mut Self::Receiver<T>,
        items: &mut Vec<T>,
    ) {
        items.extend(receiver.recv().await);
        take_rest(receiver, items);
    }
}
