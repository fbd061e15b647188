//! crossbeam-channel, bounded.

use super::queue::{BlockingQueue, Queue};

pub(crate) struct Crossbeam;

impl Queue for Crossbeam {
    const NAME: &'static str = "crossbeam";
    type Sender<T: Send + 'static> = crossbeam_channel::Sender<T>;
    type Receiver<T: Send + 'static> = crossbeam_channel::Receiver<T>;

    fn open<T: Send + 'static>(outstanding: usize) -> (Self::Sender<T>, Self::Receiver<T>) {
        crossbeam_channel::bounded(outstanding)
    }

    fn send<T: Send + 'static>(sender: &Self::Sender<T>, item: T) {
        let _ = sender.send(item);
    }
}

impl BlockingQueue for Crossbeam {
    fn receive<T: Send + 'static>(receiver: &mut Self::Receiver<T>) -> Option<T> {
        receiver.recv().ok()
    }

    fn receive_many<T: Send + 'static>(receiver: &mut Self::Receiver<T>, items: &mut Vec<T>) {
        items.extend(receiver.recv());
        items.extend(receiver.try_iter());
    }
}
