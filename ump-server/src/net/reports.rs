//! What a selector reports.

use std::{io, time::Duration};

/// The number of reports that one system call returns.
pub(super) const REPORTS: usize = 1024;

/// Makes the system call. A signal may end it early.
pub(super) fn ask(poll: &mut mio::Poll, reports: &mut mio::Events, timeout: Option<Duration>) {
    match poll.poll(reports, timeout) {
        Ok(()) => {}
        // There are no reports. The loop computes the time that is left, and comes back.
        Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
        Err(error) => panic!("the selector of the loop does not work any more: {error}"),
    }
}
