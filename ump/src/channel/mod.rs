//! The core that both ends of a channel share: a queue with two lanes, its waiters, and the
//! counters. It never blocks.
//!
//! One lock guards the queue. It is held for a few instructions for each request. No user code runs
//! under it: wakers are collected and woken, and messages are dropped, after it is released.
//! Waiting is a layer above. A caller that finds nothing (no request, no room) registers a
//! [`Waiter`] in the same critical section in which it looked, so no wake-up is lost in between.
//!
//! While no receiver sleeps, requests enter an unbounded channel without the lock, through the
//! `injector`. Every thread that takes the lock first drains the injector.
//!
//! # Waking
//!
//! - A request that enters wakes one waiting receiver, if there is any, and the task that polled
//!   through [`Server::poll_wait`](crate::Server::poll_wait).
//! - Room that appears in a lane wakes one sender that waits for it.
//! - A receiver or sender that was woken and leaves without taking anything (it is dropped or times
//!   out) wakes the next one, if there still is something for it.
//! - The end of the server wakes all waiters: first those that wait only for the end, then those
//!   that wait for room, then those that wait for a request. Last come the callers whose requests
//!   are rejected.
//!
//! # The handoff
//!
//! Between two ends that are awake, requests may bypass the queue: see `handoff`. Every thread that
//! looks at the queue looks at the handoff as well.
//!
//! # Lanes
//!
//! Urgent requests overtake normal ones. But after [`URGENT_RUN`] urgent requests in a row, while a
//! normal one waits, the normal one is next. Each lane has the channel's whole capacity. So a queue
//! full of normal requests does not keep urgent ones out, nor the other way round.

pub(crate) mod admission;
pub(crate) mod handoff;
pub(crate) mod injector;
pub(crate) mod interrupt;
mod lifecycle;
pub(crate) mod queue;
pub(crate) mod receive;

use std::ptr::NonNull;

use crate::{
    channel::handoff::{AffinityTracker, DirectHandoff, FreeSlot},
    channel::injector::Injector,
    channel::interrupt::Interruptions,
    channel::queue::Queue,
    hooks::{ChannelId, RequestId},
    options::Lane,
    slot::ChannelShared,
    slot::list::{Batch, List},
    stats::{AtomicCounters, QueueCounters, Stats},
    sync::{AtomicBool, AtomicUsize, Mutex, MutexGuard, Ordering, Padded},
    time::clock::Clock,
    wait::WaitPolicy,
    wait::wait_queue::WaitQueue,
    wait::wait_set::WaitSet,
};

pub(crate) struct Channel<S, R, E> {
    injector: Padded<Injector<S, R, E>>,
    locked_queue: Padded<LockedQueue<S, R, E>>,
    handoff: Padded<DirectHandoff<S, R, E>>,
    /// The number of strong clients. Once it is zero it stays zero.
    clients: AtomicUsize,
    /// The number of posts with a deadline so far.
    timed_posts: AtomicUsize,
    /// Whether a sender sweeps expired posts. Dropping a message is user code and may post again,
    /// which must not sweep within the sweep.
    is_sweeping: AtomicBool,
    /// The capacity of each lane; `usize::MAX` means unbounded.
    capacity: usize,
    shared: ChannelShared,
    /// How receivers wait for a request.
    pub(crate) wait_policy: WaitPolicy,
    pub(crate) interruptions: Interruptions,
}

/// The part that every queued request passes. It is in one place, because the cost is the cache
/// lines that move between the two ends.
#[repr(C)]
struct LockedQueue<S, R, E> {
    /// A copy of the length of the queue, to look at without the lock.
    queued: AtomicUsize,
    queue: Mutex<Queue<S, R, E>>,
}

impl<S, R, E> Channel<S, R, E> {
    /// Creates a channel with one client. `capacity` is not zero.
    pub(crate) fn new(
        capacity: usize,
        [for_requests, for_replies]: [WaitPolicy; 2],
        clock: Clock,
        entry_times: bool,
        free: FreeSlot<S, R, E>,
    ) -> Self {
        Self {
            injector: Padded(Injector::new(false)),
            locked_queue: Padded(LockedQueue {
                queued: AtomicUsize::new(0),
                queue: Mutex::new(Queue {
                    lanes: [List::new(), List::new()],
                    run: 0,
                    open: true,
                    awaited: false,
                    injector_open: false,
                    counters: QueueCounters::default(),
                    affinity: AffinityTracker::new(),
                    receivers: WaitQueue::default(),
                    poller: None,
                    senders: <[WaitQueue; 2]>::default(),
                    reserved: [0; 2],
                    discards: Vec::new(),
                    until_closed: WaitSet::default(),
                    until_deserted: WaitSet::default(),
                }),
            }),
            handoff: Padded(DirectHandoff::new(free)),
            clients: AtomicUsize::new(1),
            timed_posts: AtomicUsize::new(0),
            is_sweeping: AtomicBool::new(false),
            capacity,
            shared: ChannelShared {
                counters: Padded(AtomicCounters::default()),
                wait_policy: for_replies,
                clock,
                entry_times,
            },
            wait_policy: for_requests,
            interruptions: Interruptions::new(),
        }
    }

    // ---- the injector

    /// Locks the queue, after draining the injector into it.
    #[inline]
    fn lock(&self) -> MutexGuard<'_, Queue<S, R, E>> {
        let mut queue = self.locked_queue.0.queue.lock();
        self.drain_injector_if_needed(&mut queue);
        queue
    }

    #[inline]
    fn drain_injector_if_needed(&self, queue: &mut MutexGuard<'_, Queue<S, R, E>>) {
        if queue.injector_open && !self.injector.0.looks_empty() {
            self.drain_injector(queue, true);
        }
    }

    /// Shuts the injector: from now on requests enter under the lock.
    fn shut_injector(&self, queue: &mut MutexGuard<'_, Queue<S, R, E>>) {
        if queue.injector_open {
            self.drain_injector(queue, false);
        }
    }

    /// Opens the injector: from now on requests enter without the lock.
    fn open_injector(&self, queue: &mut MutexGuard<'_, Queue<S, R, E>>) {
        if !queue.injector_open {
            self.injector.0.open();
            queue.injector_open = true;
        }
    }

    fn drain_injector(&self, queue: &mut MutexGuard<'_, Queue<S, R, E>>, open: bool) {
        let (entered, _) = self.take_injected(queue, open);
        queue.append(entered);
        self.note_len(queue);
    }

    /// Takes the requests from the injector in order, and returns whether all of them are plain.
    /// The caller must call `note_len` before it releases the lock.
    #[inline]
    fn take_injected(
        &self,
        queue: &mut MutexGuard<'_, Queue<S, R, E>>,
        open: bool,
    ) -> (Batch<S, R, E>, bool) {
        // The length changes before the injector looks empty. So a request on its way from the
        // injector to the queue is not missed.
        //
        // ORDERING: Relaxed. The Release of `take_all` below orders this store. It pairs with the
        // Acquire of `Injector::looks_empty` in `looks_empty`.
        self.locked_queue
            .0
            .queued
            .store(usize::MAX, Ordering::Relaxed);
        queue.injector_open = open;
        self.injector.0.take_all(open).in_order()
    }

    // ---- for both ends

    #[inline]
    pub(crate) fn shared(&self) -> NonNull<ChannelShared> {
        NonNull::from(&self.shared)
    }

    #[inline]
    pub(crate) fn clock(&self) -> &Clock {
        &self.shared.clock
    }

    /// Returns whether there seems to be no request, without the lock. The answer may be out of
    /// date at once.
    #[inline]
    pub(crate) fn looks_empty(&self) -> bool {
        // The injector comes first: see `take_injected`.
        //
        // ORDERING: Relaxed. If the Acquire of `Injector::looks_empty` reads a value of `take_all`,
        // it pairs with the Release there and orders this load after the store of `take_injected`.
        // Otherwise the length is a hint: a thread that acts on it takes the lock.
        self.injector.0.looks_empty() && self.locked_queue.0.queued.load(Ordering::Relaxed) == 0
    }

    pub(crate) fn id(&self) -> ChannelId {
        self.shared.id()
    }

    /// Returns whether a request is in the queue, in the injector, or handed over.
    pub(crate) fn is_queued(&self, request: RequestId) -> bool {
        let queue = self.lock();
        queue.lanes.iter().any(|lane| lane.holds(request.0))
            || self.handoff.0.has_request_from(request.0)
    }

    /// Returns the requests in a full lane that may leave it other than by being taken, if there
    /// are no more than `most`. Returns `None` if there are more, if the lane has room, or if the
    /// channel is closed.
    pub(crate) fn without_room(&self, lane: Lane, most: usize) -> Option<Vec<RequestId>> {
        let queue = self.lock();
        let queued = &queue.lanes[lane as usize];
        // A permit that is dropped makes room as well.
        let is_kept_open = queue.reserved[lane as usize] > 0;
        if !queue.open || is_kept_open || queued.len() < self.capacity {
            return None;
        }
        let mut revocable = Vec::new();
        let mut is_known = true;
        queued.each(|slot| {
            let options = slot.core.options();
            if options.deadline.is_some() || !(options.blocks || options.post) {
                is_known = revocable.len() < most;
                revocable.push(slot.core.id());
            }
            is_known
        });
        is_known.then_some(revocable)
    }

    pub(crate) fn len(&self) -> usize {
        let queue = self.lock();
        queue.queued() + usize::from(self.handoff.0.has_request())
    }

    /// Returns whether requests can enter.
    pub(crate) fn is_open(&self) -> bool {
        self.lock().open
    }

    pub(crate) fn capacity(&self) -> Option<usize> {
        (self.capacity != usize::MAX).then_some(self.capacity)
    }

    pub(crate) fn stats(&self) -> Stats {
        // The endings come first, then the takings. So no ending is seen without its taking.
        let mut ended = Stats::default();
        ended.add(&self.shared.counters.0);
        let queue = self.lock();
        let handed_over = self.handoff.0.stats(&mut ended);
        let handed = u64::from(self.handoff.0.has_request());
        let queued = queue.queued() as u64;
        Stats {
            reserved: queue.reserved.iter().sum::<usize>() as u64,
            ..queue.counters.stats(ended, handed_over, queued, handed)
        }
    }

    #[inline]
    fn note_len(&self, queue: &MutexGuard<'_, Queue<S, R, E>>) {
        // ORDERING: Relaxed. Only threads that hold the lock write the length. A load without the
        // lock takes it as a hint, in `looks_empty`.
        let queued = queue.queued();
        if self.locked_queue.0.queued.load(Ordering::Relaxed) != queued {
            self.locked_queue.0.queued.store(queued, Ordering::Relaxed);
        }
    }
}
