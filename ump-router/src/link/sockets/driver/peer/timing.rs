//! When a link has something to do next: a deadline of its session, or a connection to be made
//! again.

use std::time::Duration;

use super::{Peer, Session, Shared, Target, random};

/// The first pause before a link is made again, and the longest.
pub(super) const FIRST_PAUSE: Duration = Duration::from_millis(50);
pub(super) const LONGEST_PAUSE: Duration = Duration::from_secs(5);

/// If a deadline is so late, this process was stopped, or its loop.
const STOPPED: Duration = Duration::from_secs(1);

impl Peer {
    /// Connects again after a pause, which doubles up to a limit. Part of it is random, so that the
    /// links of many processes do not come at once.
    pub(in super::super) fn retry(&mut self, shared: &Shared) {
        if self.target.as_ref().is_some_and(Target::has_untried) {
            self.retry_at = Some(shared.clock.now());
            return self.arm(shared);
        }
        let jitter = u32::try_from(random() % 512).unwrap_or(0);
        let pause = self.pause / 2 + self.pause * jitter / 1024;
        self.pause = (self.pause * 2).min(LONGEST_PAUSE);
        self.retry_at = Some(shared.clock.now() + pause);
        self.arm(shared);
    }

    /// A deadline has passed. Returns whether to connect now.
    pub(in super::super) fn on_timer(&mut self, shared: &Shared) -> bool {
        let armed = self.timer.take();
        let now = shared.clock.now();
        // By a virtual clock any time may pass at once.
        let is_late = armed.is_some_and(|(_, at)| now.saturating_duration_since(at) > STOPPED);
        let was_stopped = is_late && shared.clock.is_system();
        let deadline = self.session().and_then(|session| session.next_deadline());
        if deadline.is_some_and(|at| at <= now) {
            // If this process was stopped, what the peer has sent waits in the socket.
            self.look(shared);
        }
        if let Some(session) = self.session() {
            if was_stopped {
                session.resumed(now);
            }
            session.tick(now);
        }
        if self.retry_at.is_some_and(|at| at <= now) {
            self.retry_at = None;
            return true;
        }
        false
    }

    /// Arms the timer for the next deadline, unless it is armed for an earlier time.
    pub(super) fn arm(&mut self, shared: &Shared) {
        let session = self.connection.as_ref().and_then(|it| it.session.as_ref());
        let deadline = session.and_then(Session::next_deadline);
        let Some(at) = [deadline, self.retry_at].into_iter().flatten().min() else {
            return;
        };
        match &mut self.timer {
            Some((_, armed)) if *armed <= at => {}
            Some((timer, armed)) => {
                shared.timers.reschedule_at(*timer, at);
                *armed = at;
            }
            None => self.timer = Some((shared.timers.at(at, self.id), at)),
        }
    }
}
