//! A request on its way to the server of its topic.

use crate::topic::Topic;

/// What the server of a topic receives: a request, and the topic on which it was made.
///
/// A handler of `ump-server` that serves topics is one of `Call<P>`, for a request `P`.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Call<P> {
    /// The topic, without the prefix of its type.
    pub topic: Topic,
    /// What is asked.
    pub message: P,
}

impl<P> Call<P> {
    /// What is asked, without the topic.
    pub fn into_message(self) -> P {
        self.message
    }
}
