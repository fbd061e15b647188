//! What a channel has to say to carry requests or replies.

/// A channel, of which `send` never waits: unbounded, or longer than all that is outstanding.
pub(crate) trait Queue: 'static {
    const NAME: &'static str;
    type Sender<T: Send + 'static>: Clone + Send + 'static;
    type Receiver<T: Send + 'static>: Send + 'static;

    /// A bounded channel holds as many items as may be outstanding.
    fn open<T: Send + 'static>(outstanding: usize) -> (Self::Sender<T>, Self::Receiver<T>);

    /// Whether anybody still receives does not matter.
    fn send<T: Send + 'static>(sender: &Self::Sender<T>, item: T);
}

/// A channel from which threads receive.
pub(crate) trait BlockingQueue: Queue {
    /// `None`: nobody sends any more.
    fn receive<T: Send + 'static>(receiver: &mut Self::Receiver<T>) -> Option<T>;

    /// Waits for something, then takes all that is there. Nothing: nobody sends any more.
    fn receive_many<T: Send + 'static>(receiver: &mut Self::Receiver<T>, items: &mut Vec<T>);
}

/// A channel from which tasks receive.
pub(crate) trait AsyncQueue: Queue {
    /// `None`: nobody sends any more.
    fn receive_async<T: Send + 'static>(
        receiver: &mut Self::Receiver<T>,
    ) -> impl Future<Output = Option<T>> + Send;

    /// Waits for something, then takes all that is there. Nothing: nobody sends any more.
    fn receive_many_async<T: Send + 'static>(
        receiver: &mut Self::Receiver<T>,
        items: &mut Vec<T>,
    ) -> impl Future<Output = ()> + Send;
}
