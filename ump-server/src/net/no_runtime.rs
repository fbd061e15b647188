//! The stand-in for the runtimes of loops on tasks without the feature `tokio-net`: there are none.

use std::io;

/// No runtime.
pub(crate) enum Runtime {}

impl Runtime {
    pub(super) fn watch(&self, _: mio::Poll) -> io::Result<WatchedSelector> {
        match *self {}
    }
}

/// No selector.
#[derive(Debug)]
pub(super) enum WatchedSelector {}

impl WatchedSelector {
    pub(super) fn poll(&mut self) -> &mut mio::Poll {
        match *self {}
    }
}
