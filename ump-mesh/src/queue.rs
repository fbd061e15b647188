//! What the thread of the mesh has to do: events, and keys that were woken.
//!
//! Events have a bound: zenoh's threads wait for room, and with them the sockets that they read. A
//! key is there once.

use std::{
    collections::{HashSet, VecDeque},
    hash::Hash,
    sync::Arc,
    task::{Wake, Waker},
    time::Instant,
};

use parking_lot::{Condvar, Mutex};

/// How many events wait, and how many bytes they may have.
const MAX_EVENTS: usize = 4096;
const MAX_BYTES: usize = 64 << 20;

pub(crate) struct Queue<E, K> {
    state: Mutex<State<E, K>>,
    /// There is something to do.
    ready: Condvar,
    /// There is room.
    room: Condvar,
}

struct State<E, K> {
    events: VecDeque<(E, usize)>,
    bytes: usize,
    /// In the order in which they were woken, each once.
    keys: Vec<K>,
    woken: HashSet<K>,
    is_closed: bool,
}

impl<E: Send + 'static, K: Copy + Eq + Hash + Send + Sync + 'static> Queue<E, K> {
    pub(crate) fn new() -> Arc<Self> {
        Arc::new(Self {
            state: Mutex::new(State {
                events: VecDeque::new(),
                bytes: 0,
                keys: Vec::new(),
                woken: HashSet::new(),
                is_closed: false,
            }),
            ready: Condvar::new(),
            room: Condvar::new(),
        })
    }

    /// Adds an event of so many bytes, when there is room. It is dropped if the queue was closed.
    pub(crate) fn push(&self, event: E, bytes: usize) {
        let mut state = self.state.lock();
        // A single event may be larger than all the room.
        while !state.is_closed
            && !state.events.is_empty()
            && (state.events.len() >= MAX_EVENTS || state.bytes + bytes > MAX_BYTES)
        {
            self.room.wait(&mut state);
        }
        if state.is_closed {
            drop(state);
            return drop(event);
        }
        state.events.push_back((event, bytes));
        state.bytes += bytes;
        drop(state);
        self.ready.notify_one();
    }

    /// Returns the next event.
    pub(crate) fn pop(&self) -> Option<E> {
        let mut state = self.state.lock();
        let (event, bytes) = state.events.pop_front()?;
        state.bytes -= bytes;
        drop(state);
        self.room.notify_one();
        Some(event)
    }

    /// Returns the keys that were woken.
    pub(crate) fn take_keys(&self) -> Vec<K> {
        let mut state = self.state.lock();
        state.woken.clear();
        std::mem::take(&mut state.keys)
    }

    /// Waits until there is an event or a key, or until this time.
    pub(crate) fn wait(&self, until: Option<Instant>) {
        let mut state = self.state.lock();
        while state.events.is_empty() && state.keys.is_empty() {
            let Some(until) = until else {
                self.ready.wait(&mut state);
                continue;
            };
            if self.ready.wait_until(&mut state, until).timed_out() {
                return;
            }
        }
    }

    /// Drops all events, and all that come.
    pub(crate) fn close(&self) {
        let mut state = self.state.lock();
        state.is_closed = true;
        let events = std::mem::take(&mut state.events);
        drop(state);
        self.room.notify_all();
        drop(events);
    }

    pub(crate) fn wake(&self, key: K) {
        let mut state = self.state.lock();
        if state.woken.insert(key) {
            state.keys.push(key);
        }
        drop(state);
        self.ready.notify_one();
    }

    pub(crate) fn waker(self: &Arc<Self>, key: K) -> Waker {
        let queue = Arc::clone(self);
        Waker::from(Arc::new(KeyWaker { queue, key }))
    }
}

struct KeyWaker<E, K> {
    queue: Arc<Queue<E, K>>,
    key: K,
}

impl<E: Send + 'static, K: Copy + Eq + Hash + Send + Sync + 'static> Wake for KeyWaker<E, K> {
    fn wake(self: Arc<Self>) {
        self.queue.wake(self.key);
    }

    fn wake_by_ref(self: &Arc<Self>) {
        self.queue.wake(self.key);
    }
}

#[cfg(test)]
mod tests {
    use std::{thread, time::Duration};

    use super::*;

    #[test]
    fn a_key_is_there_once() {
        let queue = Queue::<u8, u8>::new();
        queue.waker(1).wake();
        queue.waker(2).wake_by_ref();
        queue.waker(1).wake();
        queue.wait(None);
        assert_eq!(queue.take_keys(), [1, 2]);
        queue.wait(Some(Instant::now() + Duration::from_millis(1)));
        assert!(queue.take_keys().is_empty());
    }

    #[test]
    fn a_full_queue_makes_others_wait_until_it_is_closed() {
        let queue = Queue::<usize, u8>::new();
        for event in 0..MAX_EVENTS {
            queue.push(event, 0);
        }
        thread::scope(|scope| {
            let late = scope.spawn(|| queue.push(MAX_EVENTS, 0));
            let popped = std::iter::from_fn(|| {
                queue.wait(None);
                queue.pop()
            });
            assert!(popped.take(MAX_EVENTS + 1).eq(0..=MAX_EVENTS));
            late.join().unwrap();
        });
        queue.push(0, 2 * MAX_BYTES);
        thread::scope(|scope| {
            let late = scope.spawn(|| queue.push(1, 1));
            queue.close();
            late.join().unwrap();
        });
        queue.push(2, 1);
        assert_eq!(queue.pop(), None);
    }
}
