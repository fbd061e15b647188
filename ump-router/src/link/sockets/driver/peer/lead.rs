//! The thread that reads a link in place of the loop. See [`leader`](super::super::leader).

use std::{
    os::fd::OwnedFd,
    sync::Arc,
    task::Wake as _,
    time::{Duration, Instant},
};

use ump_server::net::Parker;

use super::Peer;

/// How long before its deadline a caller gives the reading back: it ends as others do.
const BEFORE_DEADLINE: Duration = Duration::from_millis(1);

/// The lead of a link, in its connection. Dropping it wakes its thread, which then finds that it
/// has it no more.
pub(super) struct Lead {
    parker: Arc<Parker>,
    /// The request whose reply the thread waits for.
    request: Option<u64>,
}

impl Drop for Lead {
    fn drop(&mut self) {
        self.parker.wake_by_ref();
    }
}

/// What a thread needs that has got the lead.
pub(in super::super) struct Leading {
    pub(in super::super) socket: Arc<OwnedFd>,
    /// When it has to give the lead back.
    pub(in super::super) until: Option<Instant>,
}

impl Peer {
    /// Gives the lead to the thread of the parker, for the only request that is pending, if there
    /// is no leader, and nothing to do but to read.
    pub(in super::super) fn lead_for_reply(&mut self, parker: &Arc<Parker>) -> Option<Leading> {
        let (request, deadline) = self.requests.only_pending()?;
        let until = match deadline.map(|at| at.checked_sub(BEFORE_DEADLINE)) {
            Some(Some(until)) if until > Instant::now() => Some(until),
            Some(_) => return None,
            None => None,
        };
        let socket = self.begin_lead(parker, Some(request))?;
        Some(Leading { socket, until })
    }

    /// The same, for the next request of the peer.
    pub(in super::super) fn lead_for_requests(&mut self, parker: &Arc<Parker>) -> Option<Leading> {
        let socket = self.begin_lead(parker, None)?;
        let until = None;
        Some(Leading { socket, until })
    }

    fn begin_lead(&mut self, parker: &Arc<Parker>, request: Option<u64>) -> Option<Arc<OwnedFd>> {
        let connection = self.connection.as_mut()?;
        if connection.lead.is_some() || !connection.is_only_read() {
            return None;
        }
        let socket = connection.socket()?;
        connection.stream.suspend_events();
        let parker = Arc::clone(parker);
        connection.lead = Some(Lead { parker, request });
        Some(socket)
    }

    /// Returns whether the thread of the parker has the lead.
    pub(in super::super) fn is_led_by(&self, parker: &Arc<Parker>) -> bool {
        let lead = self.connection.as_ref().and_then(|it| it.lead.as_ref());
        lead.is_some_and(|lead| Arc::ptr_eq(&lead.parker, parker))
    }

    pub(in super::super) fn end_lead(&mut self) {
        if let Some(connection) = &mut self.connection {
            connection.end_lead();
        }
    }

    /// Ends the lead if its thread has its reply, or if the loop has more to do than to read.
    pub(super) fn review_lead(&mut self) {
        let Some(connection) = &mut self.connection else {
            return;
        };
        let Some(lead) = &connection.lead else {
            return;
        };
        let is_answered = lead.request.is_some_and(|it| !self.requests.is_pending(it));
        if is_answered || !connection.is_only_read() {
            connection.end_lead();
        }
    }
}
