//! In models nobody looks for circles of waiting: loom finds deadlocks by itself, and a graph of the whole process is not of one model.

use std::sync::Arc;

use ump::{
    Server,
    waits::{Circle, RequestId, Wait, Watcher},
};

#[derive(Debug)]
pub(crate) struct Seat;

#[allow(clippy::unused_self, reason = "as those of the other one")]
impl Seat {
    pub(crate) fn take<S, R, E>(_: &Arc<str>, _: &Arc<Server<S, R, E>>, _: usize) -> Arc<Self> {
        Arc::new(Self)
    }

    pub(crate) fn lend(&self, _: RequestId) {}

    pub(crate) fn acquit(&self) {}
}

impl Watcher for Seat {
    fn before(&self, _: &Wait) -> Result<(), Circle> {
        Ok(())
    }
}
