//! The sockets whose events wait to be looked at.
//!
//! Each socket registers a waker of its own with the runtime, so that an event costs the same
//! whether there are ten sockets or ten thousand.

use std::{
    mem,
    task::{Wake, Waker},
};

use crate::{
    sans_io::ConnectionId,
    sync::{Arc, Mutex},
};

/// The sockets that were woken, and the waker of the runner's task.
#[derive(Debug, Default)]
pub(super) struct WokenSockets(Mutex<Woken>);

#[derive(Debug, Default)]
struct Woken {
    keys: Vec<Key>,
    /// The waker of the runner's task. `None` after it was used.
    task: Option<Waker>,
}

/// The key of a socket.
#[derive(Clone, Copy, Debug)]
pub(super) enum Key {
    Listener(usize),
    Connecting(u64),
    Open(ConnectionId),
}

struct SocketWaker {
    woken: Arc<WokenSockets>,
    key: Key,
}

impl WokenSockets {
    /// Creates the waker of a socket.
    pub(super) fn waker(self: &Arc<Self>, key: Key) -> Waker {
        let woken = Arc::clone(self);
        Waker::from(Arc::new(SocketWaker { woken, key }))
    }

    /// Takes the sockets that were woken. The next one wakes the task.
    pub(super) fn take(&self, task: &Waker) -> Vec<Key> {
        let task = task.clone();
        let mut woken = self.0.lock();
        let before = woken.task.replace(task);
        let keys = mem::take(&mut woken.keys);
        drop(woken);
        drop(before);
        keys
    }
}

impl Wake for SocketWaker {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        let mut woken = self.woken.0.lock();
        woken.keys.push(self.key);
        let task = woken.task.take();
        drop(woken);
        if let Some(task) = task {
            task.wake();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sync::{AtomicU64, Ordering};

    #[derive(Default)]
    struct Count(AtomicU64);

    impl Wake for Count {
        fn wake(self: Arc<Self>) {
            // ORDERING: one thread.
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }

    #[test]
    fn the_task_is_woken_once_for_all_sockets() {
        let woken = Arc::new(WokenSockets::default());
        let [first, second] = [0, 1].map(|index| woken.waker(Key::Listener(index)));
        first.wake_by_ref();
        let count = Arc::new(Count::default());
        let task = Waker::from(Arc::clone(&count));
        assert_eq!(woken.take(&task).len(), 1);
        second.wake();
        first.wake();
        assert_eq!(woken.take(&task).len(), 2);
        assert!(woken.take(&task).is_empty());
        // ORDERING: one thread.
        assert_eq!(count.0.load(Ordering::Relaxed), 1);
    }
}
