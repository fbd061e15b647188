//! kanal, unbounded.

use super::queue::{AsyncQueue, BlockingQueue, Queue};

pub(crate) struct Kanal;

impl Queue for Kanal {
    const NAME: &'static str = "kanal";
    type Sender<T: Send + 'static> = kanal::Sender<T>;
    type Receiver<T: Send + 'static> = kanal::Receiver<T>;

    fn open<T: Send + 'static>(_outstanding: usize) -> (Self::Sender<T>, Self::Receiver<T>) {
        kanal::unbounded()
    }

    fn send<T: Send + 'static>(sender: &Self::Sender<T>, item: T) {
        let _ = sender.send(item);
    }
}

impl BlockingQueue for Kanal {
    fn receive<T: Send + 'static>(receiver: &mut Self::Receiver<T>) -> Option<T> {
        receiver.recv().ok()
    }

    fn receive_many<T: Send + 'static>(receiver: &mut Self::Receiver<T>, items: &mut Vec<T>) {
        if let Ok(item) = receiver.recv() {
            items.push(item);
            let _ = receiver.drain_into(items);
        }
    }
}

impl AsyncQueue for Kanal {
    async fn receive_async<T: Send + 'static>(receiver: &mut Self::Receiver<T>) -> Option<T> {
        receiver.as_async().recv().await.ok()
    }

    async fn receive_many_async<T: Send + 'static>(
        receiver: &mut Self::Receiver<T>,
        items: &mut Vec<T>,
    ) {
        if let Ok(item) = receiver.as_async().recv().await {
            items.push(item);
            let _ = receiver.drain_into(items);
        }
    }
}
