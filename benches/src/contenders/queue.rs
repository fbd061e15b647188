//! The interface of a channel for requests or replies.

/// A channel whose `send` never waits: unbounded, or longer than all outstanding items.
pub(crate) trait Queue: 'static {
    const NAME: &'static str;
    type Sender<T: Send + 'static>: Clone + Send + 'static;
    type Receiver<T: Send + 'static>: Send + 'static;

    /// Makes a channel. A bounded one holds as many items as may be outstanding.
    fn open<T: Send + 'static>(outstanding: usize) -> (Self::Sender<T>, Self::Receiver<T>);

    /// Sends an item. It does not matter whether the receiver is gone.
    fn send<T: Send + 'static>(sender: &Self::Sender<T>, item: T);
}

/// A channel from which threads receive.
pub(crate) trait BlockingQueue: Queue {
    /// Receives an item, or `None` when all senders are gone.
    fn receive<T: Send + 'static>(receiver: &mut Self::Receiver<T>) -> Option<T>;

    /// Waits for an item, then takes all that are there. Takes none when all senders are gone.
    fn receive_many<T: Send + 'static>(receiver: &mut Self::Receiver<T>, items: &mut Vec<T>);
}

/// A channel from which tasks receive.
pub(crate) trait AsyncQueue: Queue {
    /// Receives an item, or `None` when all senders are gone.
    fn receive_async<T: Send + 'static>(
        receiver: &mut Self::Receiver<T>,
    ) -> impl Future<Output = Option<T>> + Send;

    /// Waits for an item, then takes all that are there. Takes none when all senders are gone.
    fn receive_many_async<T: Send + 'static>(
        receiver: &mut Self::Receiver<T>,
        items: &mut Vec<T>,
    ) -> impl Future<Output = ()> + Send;
}
