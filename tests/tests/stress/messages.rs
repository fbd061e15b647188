//! Messages, replies and the state that all participants share.

use std::sync::atomic::{AtomicU8, Ordering};

use tests::{Counted, DropCounter};
use ump::{Client, RequestError, Server, WaitReply};

/// The action of a handler for a request.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Action {
    Reply,
    Fail,
    Drop,
    Panic,
}

pub(crate) struct Message {
    pub(crate) id: usize,
    pub(crate) action: Action,
    /// Whether another thread than the one that took it handles it.
    pub(crate) handoff: bool,
    pub(crate) post: bool,
    /// Whether the caller waits for the outcome and counts it; otherwise the handler does.
    pub(crate) observed: bool,
    pub(crate) _counted: Counted,
}

pub(crate) struct Reply {
    pub(crate) id: usize,
    pub(crate) _counted: Counted,
}

pub(crate) type StressServer = Server<Message, Reply, Reply>;
pub(crate) type StressClient = Client<Message, Reply, Reply>;
pub(crate) type Pending = WaitReply<Reply, Reply, RequestError<Message, Reply>>;

/// The state that all participants share.
pub(crate) struct Shared {
    /// The number of times each message was handled.
    pub(crate) handled: Vec<AtomicU8>,
    pub(crate) messages: DropCounter,
    pub(crate) replies: DropCounter,
}

impl Shared {
    pub(crate) fn was_handled(&self, id: usize) -> bool {
        self.handled[id].load(Ordering::SeqCst) > 0
    }
}
