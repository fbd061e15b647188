//! The stand-in for deadlock detection in models, which does nothing: loom finds deadlocks by
//! itself, and a graph of the whole process would outlive one model.

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

/// A guard that has set no watcher.
pub(crate) struct Unwatched;

/// Exists because the real guard implements `Drop`: callers drop it explicitly.
impl Drop for Unwatched {
    fn drop(&mut self) {}
}

pub(crate) fn watch(_: &Arc<WaitNode>) -> Unwatched {
    Unwatched
}

pub(crate) fn watch_making(_: &[Arc<WaitNode>]) -> Unwatched {
    Unwatched
}

/// The workers of a loop that fulfil a [`Promise`].
#[derive(Clone, Copy, Debug)]
pub(crate) enum Responsible {
    All,
    One(#[expect(dead_code, reason = "it is never read")] usize),
}

/// An obligation to answer a request.
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
