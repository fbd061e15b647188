//! flume, unbounded.

use super::queue::{AsyncQueue, BlockingQueue, Queue};

pub(crate) struct Flume;

impl Queue for Flume {
    const NAME: &'static str = "flume";
    type Sender<T: Send + 'static> = flume::Sender<T>;
    type Receiver<T: Send + 'static> = flume::Receiver<T>;

    fn open<T: Send + 'static>(_outstanding: usize) -> (Self::Sender<T>, Self::Receiver<T>) {
        flume::unbounded()
    }

    fn send<T: Send + 'static>(sender: &Self::Sender<T>, item: T) {
        let _ = sender.send(item);
    }
}

impl BlockingQueue for Flume {
    fn receive<T: Send + 'static>(receiver: &mut Self::Receiver<T>) -> Option<T> {
        receiver.recv().ok()
    }

    fn receive_many<T: Send + 'static>(receiver: &mut Self::Receiver<T>, items: &mut Vec<T>) {
        items.extend(receiver.recv());
        items.extend(receiver.drain());
    }
}

impl AsyncQueue for Flume {
    async fn receive_async<T: Send + 'static>(receiver: &mut Self::Receiver<T>) -> Option<T> {
        receiver.recv_async().await.ok()
    }

    async fn receive_many_async<T: Send + 'static>(
        receiver: &mut Self::Receiver<T>,
        items: &mut Vec<T>,
    ) {
        items.extend(receiver.recv_async().await);
        items.extend(receiver.drain());
    }
}
