//! Failures of sockets, of which each kind is reported at most once a second.

use std::{
    collections::VecDeque,
    net::SocketAddr,
    time::{Duration, Instant},
};

use crate::sans_io::{SocketError, SocketFailure, SocketNumber};

/// The failures of one socket that are to be reported.
#[derive(Debug, Default)]
pub(in crate::sans_io) struct Failures {
    kinds: [Kind; KINDS],
    has_new: bool,
}

#[derive(Debug, Default)]
struct Kind {
    new: Option<(Option<SocketAddr>, SocketError)>,
    reported: Option<Instant>,
}

const KINDS: usize = 6;

/// The shortest time between two reports of one kind.
const PAUSE: Duration = Duration::from_secs(1);

impl Failures {
    /// Notes a failure, unless one of its kind waits already.
    pub(in crate::sans_io) fn note(&mut self, peer: Option<SocketAddr>, error: SocketError) {
        let kind = match error {
            SocketError::TooLong { .. } => 0,
            SocketError::NoSocket => 1,
            SocketError::Send(_) => 2,
            SocketError::Receive(_) => 3,
            SocketError::Accept(_) => 4,
            SocketError::InterfaceGone => 5,
        };
        self.kinds[kind].new.get_or_insert((peer, error));
        self.has_new = true;
    }

    /// Moves the failures to the reports. Those that come too soon after the last of their kind are
    /// dropped.
    pub(in crate::sans_io) fn report(
        &mut self,
        now: Instant,
        socket: SocketNumber,
        reports: &mut VecDeque<SocketFailure>,
    ) {
        if !self.has_new {
            return;
        }
        self.has_new = false;
        for kind in &mut self.kinds {
            let Some((peer, error)) = kind.new.take() else {
                continue;
            };
            let is_due = |last: Instant| now.saturating_duration_since(last) >= PAUSE;
            if kind.reported.is_none_or(is_due) {
                kind.reported = Some(now);
                reports.push_back(SocketFailure::new(socket, peer, error));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_kind_is_reported_once_a_second() {
        let start = Instant::now();
        let mut failures = Failures::default();
        let mut reports = VecDeque::new();
        for ms in 0..2_500 {
            failures.note(None, SocketError::TooLong { length: 70_000 });
            failures.note(None, SocketError::NoSocket);
            let now = start + Duration::from_millis(ms);
            failures.report(now, SocketNumber(0), &mut reports);
        }
        assert_eq!(reports.len(), 6);
    }
}
