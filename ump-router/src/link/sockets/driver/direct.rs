//! Requests and replies that the threads of callers and servers write by themselves.
//!
//! A request or reply that nothing else is queued before needs no loop: the thread that
//! [wakes](super::wake) it encodes and writes it. It only *tries* to lock the links, so it waits
//! for nobody, and nobody but the loop waits for it. If the lock is taken, or if there is other
//! work, the loop does it: it writes many frames at a time.
//!
//! Code of the types that travel, and wakers, run while the links are locked, as they do on the
//! loop. No other caller waits for the lock, so none waits for that code; the loop does, which
//! otherwise would run it.
//!
//! A thread that blocks until its reply then looks for it by itself before it sleeps, if the last
//! replies of the link came soon.

use std::{
    sync::OnceLock,
    thread::{available_parallelism, yield_now},
    time::{Duration, Instant},
};

use super::{Driver, LinkId, Peer, Shared, wake::Key};
use crate::{link::sockets::blocking, sync::Mutex};

/// For how long a thread looks for its reply before it sleeps.
const LOOK: Duration = Duration::from_micros(30);

/// Whether the replies of a link come soon.
#[derive(Default)]
pub(super) struct Looks {
    /// When a lone request was sent, and whether its caller looks for the reply.
    sent: Option<(Instant, bool)>,
    /// The last ones did not come soon.
    is_slow: bool,
}

impl Looks {
    fn begin(&mut self, now: Instant) -> bool {
        let looks = !self.is_slow;
        self.sent = Some((now, looks));
        looks
    }

    /// There is no request without a reply.
    pub(super) fn end(&mut self, shared: &Shared) {
        if let Some((sent, looked)) = self.sent.take() {
            let soon = if looked { LOOK } else { 2 * LOOK };
            self.is_slow = shared.clock.now().saturating_duration_since(sent) > soon;
        }
    }
}

/// Looks for the reply to the only request of a link, for some microseconds: being woken takes
/// longer than many replies do. Between two looks other threads may run.
fn look(links: &Mutex<Driver>, id: LinkId) {
    let end = Instant::now() + LOOK;
    while Instant::now() < end {
        // If another thread has the links, it reads the reply.
        if links.try_lock().is_some_and(|mut driver| driver.look(id)) {
            return;
        }
        yield_now();
    }
}

/// Returns whether a look can find anything: what a virtual clock measures is not the time that a
/// peer takes, and with one CPU no peer runs meanwhile.
fn may_look(shared: &Shared) -> bool {
    static HAS_CPUS: OnceLock<bool> = OnceLock::new();
    let has_cpus = || available_parallelism().is_ok_and(|cpus| cpus.get() > 1);
    shared.clock.is_system() && *HAS_CPUS.get_or_init(has_cpus)
}

impl Driver {
    /// Does what the key stands for in this thread, if nothing else is queued before it. Returns
    /// whether it did.
    pub(super) fn handle_here(links: &Mutex<Self>, key: Key) -> bool {
        let Some(mut driver) = links.try_lock() else {
            return false;
        };
        if !driver.is_alone(key) {
            return false;
        }
        driver.on_key(key);
        let looks = match key {
            Key::Calls(id, _) if blocking::is_waiting() => driver.begin_look(id).then_some(id),
            _ => None,
        };
        drop(driver);
        if let Some(id) = looks {
            look(links, id);
        }
        true
    }

    /// Returns whether a link has no other requests in this direction than that of the key.
    fn is_alone(&self, key: Key) -> bool {
        let peer = |id| self.links.get(&id);
        match key {
            Key::Calls(id, _) => peer(id).is_some_and(Peer::has_none_pending),
            Key::Local(id, _) => peer(id).is_some_and(Peer::has_one_local),
            _ => false,
        }
    }

    /// Lets the loop look at its sockets before it sleeps, as callers do.
    pub(super) fn begin_to_look(&self) {
        if may_look(&self.shared) {
            self.shared.sockets.look_before_sleep(LOOK);
        }
    }

    /// Returns whether to look for the reply to a request that was sent now.
    fn begin_look(&mut self, id: LinkId) -> bool {
        let now = self.shared.clock.now();
        let peer = self.links.get_mut(&id);
        may_look(&self.shared) && peer.is_some_and(|peer| peer.looks.begin(now))
    }

    /// Reads what has come by a link. Returns whether no request waits for a reply.
    fn look(&mut self, id: LinkId) -> bool {
        let Some(peer) = self.links.get_mut(&id) else {
            return true;
        };
        if !peer.has_none_pending() && peer.look(&self.shared) {
            self.pump(id);
        }
        self.links.get(&id).is_none_or(Peer::has_none_pending)
    }
}
