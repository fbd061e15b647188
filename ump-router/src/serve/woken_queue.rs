//! The numbers of the requests that were woken, of those that one owner polls.
//!
//! # Invariants
//!
//! 1. A number is in the queue from the wake-up of its request on until the owner takes it, once.
//! 2. While the owner sleeps, its waker is stored. Whoever puts a number into the queue takes it
//!    out and wakes it. The owner stores it only while the queue is empty.
//! 3. No user code runs under the lock: wakers are cloned before, woken and dropped after.

use std::{
    collections::VecDeque,
    sync::Arc,
    task::{Wake, Waker},
};

use ump::internal::catch_user_panic;

use crate::sync::Mutex;

/// The numbers of the requests that were woken.
pub(super) struct WokenQueue(Mutex<Woken>);

#[derive(Default)]
struct Woken {
    numbers: VecDeque<usize>,
    /// By number, whether it is in the queue.
    is_queued: Vec<bool>,
    owner: Option<Waker>,
}

/// The waker of one request.
struct NumberWaker {
    number: usize,
    woken: Arc<WokenQueue>,
}

impl Wake for NumberWaker {
    fn wake(self: Arc<Self>) {
        let mut woken = self.woken.0.lock();
        if std::mem::replace(&mut woken.is_queued[self.number], true) {
            return;
        }
        woken.numbers.push_back(self.number);
        let owner = woken.owner.take();
        drop(woken);
        if let Some(owner) = owner {
            owner.wake();
        }
    }
}

impl WokenQueue {
    /// A queue for so many requests.
    pub(super) fn new(count: usize) -> Arc<Self> {
        let woken = Woken {
            is_queued: vec![false; count],
            ..Woken::default()
        };
        Arc::new(Self(Mutex::new(woken)))
    }

    /// Returns the waker of the request with this number.
    pub(super) fn waker(self: &Arc<Self>, number: usize) -> Waker {
        let woken = Arc::clone(self);
        Waker::from(Arc::new(NumberWaker { number, woken }))
    }

    /// Returns how many numbers are in the queue.
    pub(super) fn len(&self) -> usize {
        self.0.lock().numbers.len()
    }

    /// Takes the number of the request that was woken first.
    pub(super) fn pop(&self) -> Option<usize> {
        let mut woken = self.0.lock();
        let number = woken.numbers.pop_front()?;
        woken.is_queued[number] = false;
        Some(number)
    }

    /// Stores the waker of the owner. Returns false if a number is in the queue.
    pub(super) fn register(&self, owner: &Waker) -> bool {
        let owner = owner.clone();
        let mut woken = self.0.lock();
        let (is_registered, unneeded) = if woken.numbers.is_empty() {
            (true, woken.owner.replace(owner))
        } else {
            (false, Some(owner))
        };
        drop(woken);
        catch_user_panic(|| drop(unneeded));
        is_registered
    }
}
