//! A request as its server receives it.

use crate::topic::Topic;

/// A request as the server of its topic receives it: the message, and the topic that it was made
/// on.
///
/// A handler of `ump-server` that serves topics handles `Call<P>`, for messages `P`.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Call<P> {
    /// The topic, without the prefix of its type.
    pub topic: Topic,
    /// The message of the request.
    pub message: P,
}

impl<P> Call<P> {
    pub(super) fn new(topic: &Topic, message: P) -> Self {
        let topic = topic.clone();
        Self { topic, message }
    }

    /// Returns the message without the topic.
    pub fn into_message(self) -> P {
        self.message
    }
}
