//! The core that both ends share: a queue with two lanes, who waits for it, and the books. It never blocks.
//!
//! Everything about the queue happens under one lock, held for a few instructions for each request; no user code runs under it (wakers are
//! collected and woken, messages are dropped, after it is released). Waiting is a layer above: whoever finds nothing (no request,
//! no room) leaves a [`Waiter`] in the same critical section in which it looked, so no wake-up can fall between.
//!
//! While nobody sleeps requests enter an unbounded channel without the lock, by the `injector`; whoever takes the lock draws them in first.
//!
//! # Waking
//!
//! - A request that enters wakes one waiting receiver, if there is any, and the one who polled through
//!   [`Server::poll_wait`](crate::Server::poll_wait).
//! - Room that appears in a lane wakes one sender that waits for it.
//! - A woken one that leaves without taking (dropped, timed out) wakes the next, if there still is something for it.
//! - The end of the server wakes everybody: who waits for nothing else first, then who waits for room, then who waits for a request. Last come the
//!   callers whose requests are turned down.
//!
//! # The handoff
//!
//! Between two ends that are awake requests may go past the queue: see `handoff`. Whoever looks at the queue looks there as well.
//!
//! # Lanes
//!
//! Urgent requests overtake normal ones, but after [`URGENT_RUN`] of them in a row while a normal one waits, that one is next.
//! Each lane has the channel's whole capacity, so a queue full of normal requests keeps no urgent one out, and the
//! other way round.

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
    /// Strong clients. Once it is zero it stays zero.
    clients: AtomicUsize,
    /// Posts with a deadline so far.
    timed_posts: AtomicUsize,
    /// A sender sweeps. What it drops is the user's, and may post again: that must not sweep within the sweep.
    is_sweeping: AtomicBool,
    /// Of each lane; `usize::MAX` means unbounded.
    capacity: usize,
    shared: ChannelShared,
    /// For a request.
    pub(crate) wait_policy: WaitPolicy,
    pub(crate) interruptions: Interruptions,
}

/// What every queued request passes. In one place, as what costs is the cache lines that move between the two ends.
#[repr(C)]
struct LockedQueue<S, R, E> {
    /// A copy of the length of the queue, for those who only want to look.
    queued: AtomicUsize,
    queue: Mutex<Queue<S, R, E>>,
}

impl<S, R, E> Channel<S, R, E> {
    /// A channel with one client. `capacity` is not zero.
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

    /// Locks the queue, with all in it that has entered.
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

    /// From now on requests enter under the lock.
    fn shut_injector(&self, queue: &mut MutexGuard<'_, Queue<S, R, E>>) {
        if queue.injector_open {
            self.drain_injector(queue, false);
        }
    }

    /// From now on requests enter without the lock.
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

    /// What has entered, in order, and whether all of it is plain. To be followed by `note_len` before the lock is released.
    #[inline]
    fn take_injected(
        &self,
        queue: &mut MutexGuard<'_, Queue<S, R, E>>,
        open: bool,
    ) -> (Batch<S, R, E>, bool) {
        // Before the injector looks empty, so that nobody takes a request on its way from there for none. Relaxed: ordered by `take_all`.
        self.locked_queue
            .0
            .queued
            .store(usize::MAX, Ordering::Relaxed);
        queue.injector_open = open;
        self.injector.0.take_all(open).in_order()
    }

    // ---- for everybody

    #[inline]
    pub(crate) fn shared(&self) -> NonNull<ChannelShared> {
        NonNull::from(&self.shared)
    }

    #[inline]
    pub(crate) fn clock(&self) -> &Clock {
        &self.shared.clock
    }

    /// A glance without the lock: may be out of date at once.
    #[inline]
    pub(crate) fn looks_empty(&self) -> bool {
        // In this order: see `drain_injector`. Relaxed: a hint. Whoever acts on it takes the lock.
        self.injector.0.looks_empty() && self.locked_queue.0.queued.load(Ordering::Relaxed) == 0
    }

    pub(crate) fn id(&self) -> ChannelId {
        self.shared.id()
    }

    /// Whether a request is in the queue, the injector, or called in.
    pub(crate) fn is_queued(&self, request: RequestId) -> bool {
        let queue = self.lock();
        queue.lanes.iter().any(|lane| lane.holds(request.0))
            || self.handoff.0.has_request_from(request.0)
    }

    /// The requests in a full lane that may leave it otherwise than by being taken, if there are no more than so many. None as well if there is room,
    /// or the channel is closed.
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

    /// Whether requests can enter.
    pub(crate) fn is_open(&self) -> bool {
        self.lock().open
    }

    pub(crate) fn capacity(&self) -> Option<usize> {
        (self.capacity != usize::MAX).then_some(self.capacity)
    }

    pub(crate) fn stats(&self) -> Stats {
        // First the endings, then the takings: so no ending is seen without its taking.
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
        // Relaxed: read only by those who glance without the lock.
        let queued = queue.queued();
        if self.locked_queue.0.queued.load(Ordering::Relaxed) != queued {
            self.locked_queue.0.queued.store(queued, Ordering::Relaxed);
        }
    }
}
