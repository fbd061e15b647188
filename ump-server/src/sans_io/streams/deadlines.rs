//! When connections are given up: those that make no progress, that are closing, and that nobody
//! claims.

use std::time::Instant;

use super::{CloseReason, ConnectionId, connection::ByteStream, table::Connections};

impl<B: ByteStream> Connections<B> {
    /// Enters the next deadline of a connection.
    pub(super) fn set_deadline(&mut self, id: ConnectionId) {
        let Some(connection) = self.table.get_mut(&id) else {
            return;
        };
        let stalled = connection.stalled;
        let stalled = stalled.and_then(|since| since.checked_add(self.limits.stall_timeout));
        let ends = [stalled, connection.closing, connection.released];
        let at = ends.into_iter().flatten().min();
        // An entry that is too early is corrected when it is due.
        if connection
            .deadline
            .is_some_and(|entered| at.is_none_or(|at| entered <= at))
        {
            return;
        }
        if let Some(entered) = connection.deadline.take() {
            self.deadlines.remove(&(entered, id));
        }
        connection.deadline = at;
        self.deadlines.extend(at.map(|at| (at, id)));
    }

    /// Gives up the connections that have waited for too long.
    pub(super) fn expire_due(&mut self) {
        while let Some(&(at, id)) = self.deadlines.first() {
            if at > self.now {
                break;
            }
            self.deadlines.pop_first();
            self.expire(id);
        }
    }

    /// Handles the entry of a connection in the table of deadlines, which was removed.
    fn expire(&mut self, id: ConnectionId) {
        let Some(connection) = self.table.get_mut(&id) else {
            return;
        };
        connection.deadline = None;
        let stall_timeout = self.limits.stall_timeout;
        let is_stalled = connection
            .stalled
            .is_some_and(|since| self.now.saturating_duration_since(since) >= stall_timeout);
        let ends = [connection.closing, connection.released];
        let is_over = ends.into_iter().flatten().any(|until| until <= self.now);
        if is_stalled || is_over && !connection.is_all_sent() {
            connection.stream.reset();
            self.finish(id, CloseReason::NotReading);
        } else if is_over {
            self.finish(id, CloseReason::Closed);
        } else {
            self.set_deadline(id);
        }
    }

    pub(in crate::sans_io) fn next_deadline(&self) -> Option<Instant> {
        self.deadlines.first().map(|(at, _)| *at)
    }
}
