//! How a request is made.

use std::{panic::Location, time::Instant};

/// How a request is made.
#[derive(Clone, Copy, Debug)]
pub(super) struct RequestOptions {
    caller: &'static Location<'static>,
    pub(super) deadline: Option<Instant>,
    pub(super) is_urgent: bool,
    pub(super) if_room: bool,
    pub(super) servers: Candidates,
}

/// Which servers a request may go to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Candidates {
    /// The server of the topic, and the standby that follows it.
    Present,
    /// The same, and those that come later: it waits for one if the topic has none.
    Awaited,
    /// One server: it comes back if that leaves.
    Pinned,
}

impl RequestOptions {
    pub(super) fn new(caller: &'static Location<'static>) -> Self {
        Self {
            caller,
            deadline: None,
            is_urgent: false,
            if_room: false,
            servers: Candidates::Present,
        }
    }

    /// Sets the options of a request to one server.
    pub(super) fn apply_to<'a, S, R, E>(
        &self,
        request: ump::Request<'a, S, R, E>,
    ) -> ump::Request<'a, S, R, E> {
        let mut request = request.on_behalf_of(self.caller);
        if let Some(deadline) = self.deadline {
            request = request.deadline(deadline);
        }
        if self.is_urgent {
            request = request.urgent();
        }
        if self.if_room {
            request = request.if_room();
        }
        request
    }
}
