//! The runtime of a loop on a task: it waits for the descriptor of the loop's selector. See
//! [`tasks`](super::tasks).

use std::{
    io,
    task::{Context, Poll, ready},
    time::Duration,
};

use tokio::{
    io::{Interest, unix::AsyncFd},
    runtime::Handle,
};

use super::reports::{REPORTS, ask};
use crate::catch::catch_panic_message;

/// Why the runtime cannot wait for sockets, and what to do.
const NO_DRIVER: &str = "the tokio runtime of the loop has no IO driver: build it with \
                         `enable_io` or `enable_all`";

/// The runtime that a loop runs on.
pub(crate) struct Runtime(Handle);

impl Runtime {
    pub(crate) fn new(handle: &Handle) -> Self {
        Self(handle.clone())
    }

    /// Lets the runtime wait for a selector.
    ///
    /// # Errors
    /// [`Unsupported`](io::ErrorKind::Unsupported) if the runtime has no IO driver. Others if it
    /// was shut down, or if the system has no descriptors or no memory.
    #[allow(
        deprecated,
        reason = "what replaces it is unsafe, as it believes the type; and a `Poll` owns one \
                  descriptor until its drop"
    )]
    pub(super) fn watch(&self, selector: mio::Poll) -> io::Result<WatchedSelector> {
        let _entered = self.0.enter();
        // tokio panics if there is no driver, and there is no way to ask it before.
        let watched = catch_panic_message(|| AsyncFd::with_interest(selector, Interest::READABLE));
        let watched = watched.map_err(|_| io::Error::new(io::ErrorKind::Unsupported, NO_DRIVER))?;
        watched.map(WatchedSelector)
    }
}

/// A selector whose descriptor a runtime waits for.
#[derive(Debug)]
pub(super) struct WatchedSelector(AsyncFd<mio::Poll>);

impl WatchedSelector {
    pub(super) fn poll(&mut self) -> &mut mio::Poll {
        self.0.get_mut()
    }

    /// Takes reports. Registers the task's waker if there are none.
    pub(super) fn poll_reports(
        &mut self,
        cx: &mut Context<'_>,
        reports: &mut mio::Events,
    ) -> Poll<io::Result<()>> {
        loop {
            let mut guard = ready!(self.0.poll_read_ready_mut(cx))?;
            ask(guard.get_inner_mut(), reports, Some(Duration::ZERO));
            let are_all = reports.iter().count() < REPORTS;
            if are_all {
                guard.clear_ready();
            }
            if !reports.is_empty() {
                return Poll::Ready(Ok(()));
            }
        }
    }
}
