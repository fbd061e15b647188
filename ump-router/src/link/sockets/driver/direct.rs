//! Requests and replies that the threads of callers and servers write by themselves.
//!
//! A request or reply that nothing else is queued before needs no loop: the thread that
//! [wakes](super::wake) it encodes and writes it. It only *tries* to lock the links, so it waits
//! for nobody, and nobody but the loop waits for it. If the lock is taken, or if there is other
//! work, the loop does it: it writes many frames at a time.
//!
//! Code of the types that travel, and wakers, run while the links are locked, as they do on the
//! loop. No other caller waits for the lock, so none waits for that code, except those that
//! [lead](super::leader) a link; the loop does, which otherwise would run it.
//!
//! So that code must not wait for a request or for a link. Calls of the links themselves do not
//! wait in it: see [`lock`](super::lock).
//!
//! A thread that blocks until its reply then reads the link by itself.

use std::{sync::Arc, time::Duration};

use super::{Driver, Peer, leader::Leader, lock::Links, thread_state, wake::Key};
use crate::link::sockets::blocking;

/// For how long the loop looks at its sockets before it sleeps.
const LOOK: Duration = Duration::from_micros(30);

impl Driver {
    /// Does what the key stands for in this thread, if nothing else is queued before it. Returns
    /// whether it did.
    pub(super) fn handle_here(links: &Arc<Links>, key: Key) -> bool {
        let Some(mut driver) = links.try_lock() else {
            return false;
        };
        if !driver.is_alone(key) {
            return false;
        }
        match key {
            Key::Calls(id, _) if blocking::is_waiting() => {
                let leader = Leader::for_reply(&mut driver, id, |driver| driver.on_key(key));
                drop(driver);
                if let Some(leader) = leader {
                    leader.lead(links);
                }
            }
            Key::Local(id, _) => {
                driver.on_key(key);
                thread_state::answered(links, id);
            }
            _ => driver.on_key(key),
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

    /// Lets the loop look at its sockets before it sleeps.
    pub(super) fn begin_to_look(&self) {
        if self.shared.clock.is_system() {
            self.shared.sockets.look_before_sleep(LOOK);
        }
    }
}
