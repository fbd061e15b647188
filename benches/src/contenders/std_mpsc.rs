//! The standard library's `mpsc`, unbounded.

use std::sync::mpsc;

use super::queue::{BlockingQueue, Queue};

pub(crate) struct StdMpsc;

impl Queue for StdMpsc {
    const NAME: &'static str = "std";
    type Sender<T: Send + 'static> = mpsc::Sender<T>;
    type Receiver<T: Send + 'static> = mpsc::Receiver<T>;

    fn open<T: Send + 'static>(_outstanding: usize) -> (Self::Sender<T>, Self::Receiver<T>) {
        mpsc::channel()
    }

    fn send<T: Send + 'static>(sender: &Self::Sender<T>, item: T) {
        let _ = sender.send(item);
    }
}

impl BlockingQueue for StdMpsc {
    fn receive<T: Send + 'static>(receiver: &mut Self::Receiver<T>) -> Option<T> {
        receiver.recv().ok()
    }

    fn receive_many<T: Send + 'static>(receiver: &mut Self::Receiver<T>, items: &mut Vec<T>) {
        items.extend(receiver.recv());
        items.extend(receiver.try_iter());
    }
}
