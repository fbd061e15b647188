//! How the loop learns that something it has polled is ready.
//!
//! Each poll gets a waker with a key. A wake-up puts the key into a list; the first one sends a
//! message to the loop, which takes the whole list. So many wake-ups cost one message.

use std::{
    sync::{Arc, Weak},
    task::{Wake, Waker},
};

use super::{Driver, LinkId, WeakWakeClient, lock::Links};
use crate::sync::{Mutex, OnceLock};

/// What is ready.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Key {
    /// There are commands.
    Commands,
    /// Subscriptions or servers of this process have changed.
    Changes,
    /// Retained messages of the type with this number have changed.
    Retained(usize),
    /// There is a message for a link, of the type with this number.
    Outbox(LinkId, usize),
    /// There is a request for a link, of the type with this number.
    Calls(LinkId, usize),
    /// The caller of a request that went over a link, of the one in this slot, is gone.
    Pending(LinkId, usize),
    /// A request that a link brought, the one in this slot, may have ended.
    Local(LinkId, usize),
}

/// The keys that were woken.
pub(super) struct Wakes {
    woken: Mutex<Woken>,
    driver: WeakWakeClient,
    links: OnceLock<Weak<Links>>,
}

#[derive(Default)]
struct Woken {
    keys: Vec<Key>,
    is_posted: bool,
}

impl Wakes {
    pub(super) fn new(driver: WeakWakeClient) -> Arc<Self> {
        let woken = Mutex::new(Woken::default());
        Arc::new(Self {
            woken,
            driver,
            links: OnceLock::new(),
        })
    }

    /// Lets the threads that wake do the work by themselves.
    pub(super) fn share(&self, links: &Arc<Links>) {
        let _ = self.links.set(Arc::downgrade(links));
    }

    pub(super) fn waker(self: &Arc<Self>, key: Key) -> Waker {
        let wakes = Arc::clone(self);
        Waker::from(Arc::new(KeyWaker { wakes, key }))
    }

    /// Takes all keys. The next wake-up sends a message again.
    pub(super) fn take(&self) -> Vec<Key> {
        let mut woken = self.woken.lock();
        woken.is_posted = false;
        std::mem::take(&mut woken.keys)
    }

    fn wake(&self, key: Key) {
        let mut woken = self.woken.lock();
        if woken.keys.is_empty() && matches!(key, Key::Calls(..) | Key::Local(..)) {
            drop(woken);
            let links = self.links.get().and_then(Weak::upgrade);
            if links.is_some_and(|links| Driver::handle_here(&links, key)) {
                return;
            }
            woken = self.woken.lock();
        }
        woken.keys.push(key);
        let is_first = !std::mem::replace(&mut woken.is_posted, true);
        drop(woken);
        if is_first {
            self.wake_loop();
        }
    }

    /// Lets the loop look for keys, and whether it ends.
    pub(super) fn wake_loop(&self) {
        if let Some(driver) = self.driver.upgrade() {
            // The queue has no bound, so this does not wait. An error if the loop has ended.
            let _ = driver.post(()).wait();
        }
    }
}

struct KeyWaker {
    wakes: Arc<Wakes>,
    key: Key,
}

impl Wake for KeyWaker {
    fn wake(self: Arc<Self>) {
        self.wakes.wake(self.key);
    }

    fn wake_by_ref(self: &Arc<Self>) {
        self.wakes.wake(self.key);
    }
}
