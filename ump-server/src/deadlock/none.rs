//! In models nobody looks for circles of waiting: loom finds deadlocks by itself, and a graph of the whole process is not of one model.

use std::sync::Arc;

use ump::{ReplyContext, Server, hooks::RequestId};

#[derive(Debug)]
pub(crate) struct WaitNode;

#[allow(clippy::unused_self, reason = "as those of the other one")]
impl WaitNode {
    pub(crate) fn register<S, R, E>(_: &Arc<str>, _: &Arc<Server<S, R, E>>, _: usize) -> Arc<Self> {
        Arc::new(Self)
    }

    pub(crate) fn set_in_hand(&self, _: RequestId) {}

    pub(crate) fn clear_in_hand(&self) {}
}

/// Keeps no watcher set.
pub(crate) struct Unwatched;

/// As its twin has one: callers drop it to say when.
impl Drop for Unwatched {
    fn drop(&mut self) {}
}

pub(crate) fn watch(_: &Arc<WaitNode>) -> Unwatched {
    Unwatched
}

pub(crate) fn watch_making(_: &[Arc<WaitNode>]) -> Unwatched {
    Unwatched
}

/// Which of the workers of a loop have to do it.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Responsible {
    All,
    One(#[expect(dead_code, reason = "nobody looks")] usize),
}

/// A duty to answer.
#[derive(Debug)]
pub(crate) struct Promise<R, E>(ReplyContext<R, E>);

impl<R, E> Promise<R, E> {
    pub(crate) fn new(duty: ReplyContext<R, E>, _: &WaitNode, _: Responsible) -> Self {
        Self(duty)
    }

    pub(crate) fn keep(self) -> ReplyContext<R, E> {
        self.0
    }
}
