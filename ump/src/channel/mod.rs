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

pub(crate) mod handoff;
pub(crate) mod injector;
pub(crate) mod interrupt;

use std::{
    cell::Cell,
    iter, mem,
    ptr::{self, NonNull},
    time::Instant,
};

use crate::{
    api::builder::Spin,
    channel::handoff::{AffinityTracker, DirectHandoff, Lease},
    channel::injector::Injector,
    channel::interrupt::Interruptions,
    hooks::{ChannelId, RequestId},
    slot::list::{Batch, List},
    slot::{ChannelShared, Completion, Entry, Lane, Rejected, RequestOptions, Slot, SlotCore},
    stats::{AtomicCounters, Ending, QueueCounters, Stats, Untaken},
    sync::{
        AtomicBool, AtomicUsize, Mutex, MutexGuard, Ordering, Padded, WaitPolicy, lock_pause,
        of_each_thread,
    },
    time::clock::Clock,
    wait::waiter::{DeferredWake, Removal, WaitQueue, WaitSet, Waiter, WaiterKey},
};

/// So many urgent requests may be taken in a row while a normal one waits.
pub(crate) const URGENT_RUN: u32 = 16;

/// Expired requests turned down before the lock is released to tell their callers.
const EXPIRED_RUN: usize = 32;

/// After so many posts with a deadline their senders look for those that have expired: for twice as many at most, so that they do not accumulate.
const SWEEP_EVERY: usize = 64;

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

/// In the order of how often it is touched: between two ends that are awake, only the first lines move.
#[repr(C)]
struct Queue<S, R, E> {
    lanes: [List<S, R, E>; 2],
    /// Urgent requests taken since the last normal one, while a normal one waited.
    run: u32,
    /// False once the server is closed or gone: nothing enters any more.
    open: bool,
    /// Whether there are `receivers` or a `poller`.
    awaited: bool,
    /// Whether the injector is open.
    injector_open: bool,
    counters: QueueCounters,
    affinity: AffinityTracker<S, R, E>,
    receivers: WaitQueue,
    poller: Option<Waiter>,
    /// Who waits for room in each lane.
    senders: [WaitQueue; 2],
    /// Room in each lane that was promised to those who have not sent yet.
    reserved: [usize; 2],
    /// Who waits for the end of the server.
    until_closed: WaitSet,
    /// Expired posts to be dropped, of each thread that drops some already.
    discards: Vec<Discards<S, R, E>>,
    /// Who waits for the last client to leave, or besides for the queue to be empty then.
    until_deserted: WaitSet,
}

/// A message that is dropped is the user's, and may post again, which makes room by dropping others. Were these dropped within that drop, a chain of them
/// would use up the stack: so a thread drops them one after the other, and here are those that it is to drop next.
struct Discards<S, R, E> {
    thread: usize,
    posts: List<S, R, E>,
}

of_each_thread! {
    /// Its place names the thread.
    static MARK: Cell<u8> = Cell::new(0);
}

fn this_thread() -> usize {
    MARK.with(|mark| ptr::from_ref(mark).addr())
}

/// By their numbers.
const LANES: [Lane; 2] = [Lane::Normal, Lane::Urgent];

/// Where to wait if there is nothing (no request, no room).
pub(crate) enum WaitMode<'a> {
    /// One does not wait.
    NoWait,
    /// In line: with a waiter one registers, without one just looks, keeping the turn. Who gets what it wants leaves the line.
    InLine(&'a mut WaiterKey, Option<Waiter>),
    /// Room has been reserved (senders only).
    Reserved,
    /// As the one who polls (receivers only): the latest takes the place of the one before.
    Poller(Option<Waiter>),
}

/// Who looks for requests, and how likely it looks for the next one soon.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ReceiverKind {
    /// A thread that waits.
    Thread,
    /// A task that waits.
    Task,
    /// Somebody who does not wait.
    Passing,
}

impl ReceiverKind {
    /// Whether it pays to watch the slot of a caller with such options. A task that asks may run on the very thread of the task that answers.
    #[inline]
    fn suits(self, options: RequestOptions) -> bool {
        match self {
            Self::Thread => true,
            Self::Task => options.blocks,
            Self::Passing => false,
        }
    }
}

/// Why a request was not let in.
#[derive(Debug)]
pub(crate) enum Refusal {
    Full,
    ServerDisappeared,
}

/// What a look at the queue brought.
pub(crate) enum Taken<S, R, E> {
    /// At least one request.
    Some(Batch<S, R, E>),
    /// Only requests that were overdue, which have been told. There may be others: look again.
    Overdue,
    /// None now.
    Empty,
    /// None, and none will ever come.
    Closed,
}

impl WaitMode<'_> {
    #[inline]
    pub(crate) fn has_room(&self) -> bool {
        matches!(self, Self::Reserved)
    }

    /// Whether one is going to sleep if there is nothing.
    #[inline]
    fn is_to_sleep(&self) -> bool {
        matches!(self, Self::InLine(_, Some(_)) | Self::Poller(Some(_)))
    }
}

/// What a look at the queue has brought so far, and the work that it leaves for after the lock is released.
struct TakeResult<S, R, E> {
    taken: Batch<S, R, E>,
    /// The time, once somebody had to know it.
    now: Option<Instant>,
    /// Usually there is none.
    deferred: Option<Box<Deferred<R, E>>>,
}

struct Deferred<R, E> {
    /// To be told.
    rejected: Vec<Rejected<R, E>>,
    /// To be woken.
    senders: Vec<Waiter>,
    /// Of a sender that has its room without having been woken.
    discard: Option<Waiter>,
    /// How many posts this thread drops later: see [`Discards`].
    put_off: usize,
}

impl<S, R, E> TakeResult<S, R, E> {
    #[inline]
    fn new() -> Self {
        Self {
            taken: Batch::new(),
            now: None,
            deferred: None,
        }
    }

    #[cold]
    fn deferred(&mut self) -> &mut Deferred<R, E> {
        self.deferred.get_or_insert_with(|| {
            Box::new(Deferred {
                rejected: Vec::new(),
                senders: Vec::new(),
                discard: None,
                put_off: 0,
            })
        })
    }

    #[inline]
    fn rejected(&self) -> usize {
        self.deferred
            .as_ref()
            .map_or(0, |deferred| deferred.rejected.len() + deferred.put_off)
    }

    #[inline]
    fn is_empty(&self) -> bool {
        self.taken.is_empty() && self.rejected() == 0
    }

    /// Runs the user's code: not to be called under a lock.
    #[inline]
    fn finish(self) -> Batch<S, R, E> {
        if let Some(deferred) = self.deferred {
            deferred.finish();
        }
        self.taken
    }
}

impl<R, E> Deferred<R, E> {
    #[cold]
    fn finish(self) {
        self.senders.into_iter().for_each(Waiter::wake);
        self.rejected.into_iter().for_each(Rejected::finish);
    }
}

/// What a look at the queue has to know of the channel around it.
struct TakeContext<'a, S, R, E> {
    handoff: &'a DirectHandoff<S, R, E>,
    /// That of the one who looks.
    lease: Option<&'a Lease<'a, S, R, E>>,
    capacity: usize,
}

impl<S, R, E> TakeContext<'_, S, R, E> {
    /// Takes the call if there is one, and if it is not another's to answer.
    #[inline]
    fn accept(&self) -> Option<Entry<S, R, E>> {
        match self.lease {
            Some(lease) => lease.accept(true),
            None => self.handoff.lease()?.accept(true),
        }
    }
}

impl<S, R, E> Channel<S, R, E> {
    /// A channel with one client. `capacity` is not zero.
    pub(crate) fn new(capacity: usize, spin: Spin, clock: Clock, entry_times: bool) -> Self {
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
            handoff: Padded(DirectHandoff::new()),
            clients: AtomicUsize::new(1),
            timed_posts: AtomicUsize::new(0),
            is_sweeping: AtomicBool::new(false),
            capacity,
            shared: ChannelShared {
                counters: Padded(AtomicCounters::default()),
                wait_policy: spin.policy(),
                clock,
                entry_times,
            },
            wait_policy: spin.policy(),
            interruptions: Interruptions::new(),
        }
    }

    // ---- for clients

    /// Hands a request to a receiver that is awake and looks for it, past the queue. False if it has to queue.
    ///
    /// # Safety
    /// The slot is the caller's alone, holds a message and no post, and was made for this channel.
    #[inline]
    pub(crate) unsafe fn hand_over(&self, core: &SlotCore<R, E>) -> bool {
        // By `looks_empty` a client sees at least its own requests that are queued: these come first.
        core.is_armed() && self.looks_empty() && core.lane() == Lane::Normal
            // SAFETY: as promised by the caller.
            && unsafe { core.hand_over() }
    }

    /// Lets a request in, and returns the receivers to wake. If it is refused the entry is void and the slot the caller's again.
    #[inline]
    pub(crate) fn send(
        &self,
        entry: Entry<S, R, E>,
        mut mode: WaitMode<'_>,
    ) -> Result<DeferredWake, Refusal> {
        let has_room = mode.has_room();
        let entry = if has_room {
            entry
        } else {
            match self.enter(entry) {
                Ok(()) => return Ok(DeferredWake::default()),
                Err(entry) => entry,
            }
        };
        let lane = entry.options().lane as usize;
        if self.capacity != usize::MAX {
            self.clock().refresh();
        }
        let mut queue = self.lock();
        if !queue.open {
            queue.counters.refused += 1;
            drop(queue);
            return Err(Refusal::ServerDisappeared);
        }
        let mut expired = None;
        if has_room {
            queue.reserved[lane] -= 1;
        } else if queue.is_full(lane, self.capacity) {
            expired = match self.make_room(&mut queue, lane, &mut mode) {
                Ok(expired) => Some(expired),
                Err(expired) => return Err(self.reject_full(queue, lane, mode, expired)),
            };
        }
        let discard = queue.stop_awaiting_room(lane, mode);
        if let Some(ending) = queue.enter(entry) {
            self.shared.counters.0.count(ending);
        }
        self.note_len(&queue);
        let wake = queue.next_receiver();
        if !queue.awaited && self.capacity == usize::MAX {
            self.open_injector(&mut queue);
        }
        drop(queue);
        let wake = wake.and_discard(discard);
        let Some(expired) = expired else {
            return Ok(wake);
        };
        // The receivers first: what is dropped now is the user's, and may wait for one of them.
        wake.fire();
        self.finish_expired(*expired);
        Ok(DeferredWake::default())
    }

    /// Promises room in a lane to one who has not sent yet.
    pub(crate) fn reserve(&self, lane: Lane, mut mode: WaitMode<'_>) -> Result<(), Refusal> {
        let lane = lane as usize;
        self.clock().refresh();
        let mut queue = self.lock();
        if !queue.open {
            queue.counters.refused += 1;
            return Err(Refusal::ServerDisappeared);
        }
        let mut expired = None;
        if queue.is_full(lane, self.capacity) {
            expired = match self.make_room(&mut queue, lane, &mut mode) {
                Ok(expired) => Some(expired),
                Err(expired) => return Err(self.reject_full(queue, lane, mode, expired)),
            };
        }
        queue.reserved[lane] += 1;
        let discard = queue.stop_awaiting_room(lane, mode);
        drop(queue);
        drop(discard);
        if let Some(expired) = expired {
            self.finish_expired(*expired);
        }
        Ok(())
    }

    /// There is no room in a lane, or it is for others.
    fn reject_full(
        &self,
        mut queue: MutexGuard<'_, Queue<S, R, E>>,
        lane: usize,
        mode: WaitMode<'_>,
        expired: Option<Box<Deferred<R, E>>>,
    ) -> Refusal {
        let replaced = queue.await_room(lane, mode);
        drop(queue);
        drop(replaced);
        if let Some(expired) = expired {
            self.finish_expired(*expired);
        }
        Refusal::Full
    }

    /// Turns down those at the head of a full lane whose deadline has passed. Their room goes to
    /// the senders in line, in their order, then to one that has not registered: `Ok` if the sender in
    /// `mode` has its share, and then it has left the line. All others that have one are woken.
    #[cold]
    fn make_room(
        &self,
        queue: &mut MutexGuard<'_, Queue<S, R, E>>,
        lane: usize,
        mode: &mut WaitMode<'_>,
    ) -> Result<Box<Deferred<R, E>>, Option<Box<Deferred<R, E>>>> {
        let (mut key, is_back) = match mode {
            WaitMode::InLine(key, waiter) => (Some(&mut **key), waiter.is_none()),
            _ => (None, false),
        };
        let ahead = queue.senders[lane].ahead_of(key.as_deref());
        if is_back && ahead > 0 {
            // It comes back to register. Were the room made now, it would then take what is for those
            // before it.
            return Err(None);
        }
        let most = EXPIRED_RUN.max(ahead + 1);
        let Some(mut deferred) = self.take_expired(queue, lane, most) else {
            return Err(None);
        };
        let mut room = deferred.rejected.len() + deferred.put_off;
        let has_share = ahead < room;
        if has_share {
            room -= 1;
            deferred.discard = key
                .take()
                .and_then(|key| queue.senders[lane].remove(key).into_waiter());
        }
        deferred.senders.extend(queue.next_senders(lane, room));
        if has_share {
            Ok(deferred)
        } else {
            Err(Some(deferred))
        }
    }

    /// Room that was reserved is not needed: it is for the next in line.
    pub(crate) fn give_back_room(&self, lane: Lane) {
        let lane = lane as usize;
        let mut queue = self.lock();
        queue.reserved[lane] -= 1;
        let next = queue.senders[lane].pop();
        drop(queue);
        DeferredWake::new(next).fire();
    }

    /// A post with a deadline has been sent. Now and then those that have expired at the head of its lane are dropped, as nobody waits for them: while
    /// no receiver comes, they would accumulate.
    pub(crate) fn note_timed_post(&self, lane: Lane) {
        // Relaxed: it only has to come round.
        let before = self.timed_posts.fetch_add(1, Ordering::Relaxed);
        if (before + 1) % SWEEP_EVERY == 0 {
            self.sweep(lane);
        }
    }

    #[cold]
    fn sweep(&self, lane: Lane) {
        // Relaxed: it guards nothing but the depth of the stack.
        if self.is_sweeping.swap(true, Ordering::Relaxed) {
            return;
        }
        self.sweep_once(lane);
        self.is_sweeping.store(false, Ordering::Relaxed);
    }

    fn sweep_once(&self, lane: Lane) {
        self.clock().refresh();
        for _ in 0..2 * SWEEP_EVERY / EXPIRED_RUN {
            let mut queue = self.lock();
            let lane = lane as usize;
            let Some(mut expired) = self.take_expired(&mut queue, lane, EXPIRED_RUN) else {
                return;
            };
            let freed = expired.rejected.len() + expired.put_off;
            let senders = queue.next_senders(lane, freed);
            expired.senders.extend(senders);
            drop(queue);
            self.finish_expired(*expired);
        }
    }

    /// Turns down those at the head of a lane whose deadline has passed, so many `most`. None if there are none.
    #[cold]
    fn take_expired(
        &self,
        queue: &mut MutexGuard<'_, Queue<S, R, E>>,
        lane: usize,
        most: usize,
    ) -> Option<Box<Deferred<R, E>>> {
        let first = queue.lanes[lane].first_deadline()?;
        let now = self.clock().recent();
        if first > now {
            return None;
        }
        let this_thread = this_thread();
        let discards = (queue.discards.iter()).position(|it| it.thread == this_thread);
        let mut result = TakeResult::new();
        result.now = Some(now);
        while result.rejected() < most
            && queue.lanes[lane]
                .first_deadline()
                .is_some_and(|at| at <= now)
        {
            let entry = queue.pop_from(LANES[lane])?;
            match discards {
                Some(at) if entry.options().post => {
                    queue.counters.count(Untaken::Timeout);
                    queue.discards[at].posts.push_back(entry);
                    result.deferred().put_off += 1;
                }
                _ => drop(queue.hand_out(entry, &mut result)),
            }
        }
        self.note_len(queue);
        result.deferred
    }

    /// Tells the callers of the requests that have expired, and drops the posts, with those that their drops add.
    fn finish_expired(&self, expired: Deferred<R, E>) {
        let is_post = |it: &Rejected<R, E>| matches!(it, Rejected::Post(_));
        if !expired.rejected.iter().any(is_post) {
            return expired.finish();
        }
        let thread = this_thread();
        self.lock().discards.push(Discards {
            thread,
            posts: List::new(),
        });
        expired.finish();
        loop {
            let mut queue = self.lock();
            let mut all = queue.discards.iter_mut();
            let at = all.position(|it| it.thread == thread).expect("just added");
            let Some(post) = queue.discards[at].posts.pop_front() else {
                queue.discards.swap_remove(at);
                return;
            };
            let post = post.reject(Completion::Expired);
            drop(queue);
            post.finish();
        }
    }

    /// Lets a request in by the injector, if that is open.
    #[inline]
    fn enter(&self, entry: Entry<S, R, E>) -> Result<(), Entry<S, R, E>> {
        // SAFETY: an entry's slot is alive, and this one its caller's alone.
        if unsafe { entry.slot().as_ref().enter_unarmed() } {
            self.injector.0.enter(entry)
        } else {
            Err(entry)
        }
    }

    /// Leaves the line for room without having been let in.
    pub(crate) fn stop_sending(&self, lane: Lane, key: &mut WaiterKey) {
        let mut queue = self.lock();
        queue.counters.refused += 1;
        let lane = lane as usize;
        let left = queue.senders[lane].remove(key);
        let room = queue.open && !queue.is_full(lane, self.capacity);
        let pass_on = matches!(left, Removal::Woken) && room;
        let next = if pass_on {
            queue.senders[lane].pop()
        } else {
            None
        };
        drop(queue);
        DeferredWake::new(next).fire();
        drop(left);
    }

    /// Counts a request that was turned away before it came here.
    pub(crate) fn refuse(&self) {
        self.lock().counters.refused += 1;
    }

    /// Takes a request out of the queue, if it is still there: then its slot is the caller's alone.
    ///
    /// If it is not there, it has been handed to a handler, or it is `DONE` already.
    ///
    /// # Safety
    /// `slot` is alive and was sent to this channel, if it was sent at all.
    pub(crate) unsafe fn withdraw(&self, slot: &Slot<S, R, E>, why: Untaken) -> bool {
        if slot.core.is_committed() {
            // SAFETY: as promised by the caller.
            unsafe { self.uncommit(&slot.core) };
        }
        let mut queue = self.lock();
        // SAFETY: alive, and if any queue holds it, it is this one.
        if unsafe { queue.remove(slot) }.is_none() {
            // SAFETY: the caller's end sent it.
            if !unsafe { slot.core.take_back() } {
                return false;
            }
            queue.counters.accepted += 1;
        }
        let sender = queue.senders[slot.core.lane() as usize].pop();
        queue.counters.count(why);
        self.note_len(&queue);
        let until_drained = self.awaiting_drain(&mut queue);
        drop(queue);
        DeferredWake::new(sender).fire();
        until_drained.into_iter().flatten().for_each(Waiter::wake);
        true
    }

    /// Makes a firm call one that can be taken back, unless it has been answered.
    ///
    /// # Safety
    /// That of [`withdraw`](Self::withdraw).
    #[cold]
    unsafe fn uncommit(&self, core: &SlotCore<R, E>) {
        let uncommitted = || {
            // Under the lock, so that nobody falls asleep because we have the lease.
            let _queue = self.lock();
            // SAFETY: we hold the lock; the rest is promised by the caller.
            unsafe { self.handoff.0.uncommit(core) }
        };
        let mut looks = 0;
        // Who has the lease is awake, and answers or gives it back.
        while !uncommitted() {
            lock_pause(&mut looks);
        }
    }

    /// One more strong client.
    pub(crate) fn add_client(&self) {
        // Relaxed: made from a client that exists, which keeps the count above zero.
        self.clients.fetch_add(1, Ordering::Relaxed);
    }

    /// One more strong client, unless the last one has gone.
    pub(crate) fn revive_client(&self) -> bool {
        self.clients
            // Relaxed: the count guards no data; the client's own handle came here by its own way. Acquire: who finds that the last one has gone finds
            // what that one sent. Pairs with the Release of `remove_client`.
            .fetch_update(Ordering::Relaxed, Ordering::Acquire, |n| {
                (n > 0).then_some(n + 1)
            })
            .is_ok()
    }

    /// One strong client less. The last one wakes everybody who waits for that, then everybody who waits for a request.
    pub(crate) fn remove_client(&self) {
        // Release: what this client sent happens before the receiver's Acquire sees zero. (Both hold the lock as well.)
        if self.clients.fetch_sub(1, Ordering::AcqRel) > 1 {
            return;
        }
        let mut queue = self.lock();
        queue.awaited = false;
        let receivers = queue.receivers.take_all();
        let poller = queue.poller.take();
        let until_deserted = queue.until_deserted.take_all();
        drop(queue);
        until_deserted.for_each(Waiter::wake);
        receivers.chain(poller).for_each(Waiter::wake);
    }

    /// Whether nothing enters any more; otherwise wakes who waits when that is so.
    pub(crate) fn await_close(&self, key: &mut WaiterKey, waiter: Waiter) -> bool {
        let mut queue = self.lock();
        let open = queue.open;
        let discarded = if open {
            queue.until_closed.register(key, waiter)
        } else {
            queue.until_closed.remove(key)
        };
        drop(queue);
        drop(discarded);
        !open
    }

    pub(crate) fn stop_awaiting_close(&self, key: &mut WaiterKey) {
        let left = self.lock().until_closed.remove(key);
        drop(left);
    }

    /// Whether no strong client is left; otherwise `waiter` is woken when that is so.
    pub(crate) fn await_desertion(&self, key: &mut WaiterKey, waiter: Waiter) -> bool {
        let mut queue = self.lock();
        // Under the lock, which the last client takes after it has counted itself out: this sees zero, or that client finds the waiter.
        // Acquire: pairs with the Release of `remove_client`.
        let deserted = self.clients.load(Ordering::Acquire) == 0;
        let discarded = if deserted {
            let left = queue.until_deserted.remove(key);
            [left, Some(waiter)]
        } else {
            [queue.until_deserted.register(key, waiter), None]
        };
        drop(queue);
        drop(discarded);
        deserted
    }

    pub(crate) fn stop_awaiting_desertion(&self, key: &mut WaiterKey) {
        let left = self.lock().until_deserted.remove(key);
        drop(left);
    }

    /// Whether no strong client is left and nothing is queued: requests whose deadline has passed are turned down. Otherwise `waiter` is woken when that
    /// may be so, and it may be so at the instant that is returned as well.
    pub(crate) fn await_drain(
        &self,
        key: &mut WaiterKey,
        waiter: Waiter,
    ) -> Result<(), Option<Instant>> {
        self.clock().refresh();
        let mut looks = 0;
        loop {
            let mut queue = self.lock();
            // As in `await_desertion`.
            let deserted = self.clients.load(Ordering::Acquire) == 0;
            if !deserted {
                let replaced = queue.until_deserted.register(key, waiter);
                drop(queue);
                drop(replaced);
                return Err(None);
            }
            if !self.queue_call(&mut queue) {
                drop(queue);
                lock_pause(&mut looks);
                continue;
            }
            let mut lanes = LANES.iter();
            let take_expired = |&lane| self.take_expired(&mut queue, lane as usize, EXPIRED_RUN);
            if let Some(expired) = lanes.find_map(take_expired) {
                drop(queue);
                self.finish_expired(*expired);
                continue;
            }
            let (outcome, discarded) = if queue.is_empty() {
                let left = queue.until_deserted.remove(key);
                (Ok(()), [left, Some(waiter)])
            } else {
                let deadlines = queue.lanes.iter().filter_map(List::first_deadline);
                let outcome = Err(deadlines.min());
                (outcome, [queue.until_deserted.register(key, waiter), None])
            };
            drop(queue);
            drop(discarded);
            return outcome;
        }
    }

    /// Puts the call, if there is one, into the queue, before all others. False if another one is awake and about to take it.
    fn queue_call(&self, queue: &mut MutexGuard<'_, Queue<S, R, E>>) -> bool {
        // SAFETY: we hold the channel's lock.
        if let Some(entry) = unsafe { self.handoff.0.disarm(None) } {
            queue.put_first(entry);
            self.note_len(queue);
        }
        !self.handoff.0.has_request()
    }

    /// Whom to wake when a request has left the queue after the last client.
    fn awaiting_drain(
        &self,
        queue: &mut Queue<S, R, E>,
    ) -> Option<impl Iterator<Item = Waiter> + use<S, R, E>> {
        let awaited = !queue.until_deserted.is_empty() && self.is_deserted();
        awaited.then(|| queue.until_deserted.take_all())
    }

    // ---- for the server

    /// Gets the handoff, if there is one to be had.
    #[inline]
    pub(crate) fn lease_handoff(&self) -> Option<Lease<'_, S, R, E>> {
        self.handoff.0.lease()
    }

    /// Takes up to `max` requests, at least one. Those whose deadline has passed are turned down on the way.
    #[inline]
    pub(crate) fn take(
        &self,
        max: usize,
        mode: WaitMode<'_>,
        lease: Option<Lease<'_, S, R, E>>,
        kind: ReceiverKind,
    ) -> Taken<S, R, E> {
        self.clock().refresh();
        let mut queue = self.locked_queue.0.queue.lock();
        // Before it looks: what the last client did before it went must not be missed. Acquire: pairs with the Release of `remove_client`.
        let closed = self.clients.load(Ordering::Acquire) == 0 || !queue.open;
        let mut result = TakeResult::new();
        if mode.is_to_sleep() || closed {
            self.shut_injector(&mut queue);
        } else if self.is_injector_next(&queue) {
            self.take_injected_directly(&mut queue, &mut result, max);
        } else {
            self.drain_injector_if_needed(&mut queue);
        }
        let leased = lease.is_some();
        if result.is_empty() {
            if queue.is_empty() && !self.handoff.0.is_armed() {
                return finish_empty(queue, mode, closed);
            }
            let sleeps = mode.is_to_sleep() && !closed;
            self.take_ordered(&mut queue, &mut result, max, sleeps, lease.as_ref());
        }
        self.note_len(&queue);
        let nothing = result.is_empty();
        let discard = match mode {
            WaitMode::InLine(key, waiter) if !result.taken.is_empty() => {
                [queue.stop(key).into_waiter(), waiter]
            }
            mode => [queue.await_request(mode, nothing && !closed), None],
        };
        if kind == ReceiverKind::Passing {
            drop(lease);
        } else {
            // Gives back the lease under the lock: from now on a call is for others to answer.
            self.arm_handoff(&mut queue, &result.taken, lease, kind);
        }
        let answerer = if leased && self.handoff.0.has_request() {
            queue.next_receiver()
        } else {
            DeferredWake::default()
        };
        let until_drained = if closed {
            self.awaiting_drain(&mut queue)
        } else {
            None
        };
        drop(queue);
        drop(discard);
        answerer.fire();
        until_drained.into_iter().flatten().for_each(Waiter::wake);
        match result.finish() {
            taken if !taken.is_empty() => Taken::Some(taken),
            _ if !nothing => Taken::Overdue,
            _ if closed => Taken::Closed,
            _ => Taken::Empty,
        }
    }

    /// Whether what is in the injector comes next.
    #[inline]
    fn is_injector_next(&self, queue: &Queue<S, R, E>) -> bool {
        queue.injector_open && queue.is_empty() && !self.handoff.0.is_armed()
    }

    /// Takes what has entered, past the queue unless it has to be sorted. What is too much is queued.
    #[inline]
    fn take_injected_directly(
        &self,
        queue: &mut MutexGuard<'_, Queue<S, R, E>>,
        result: &mut TakeResult<S, R, E>,
        max: usize,
    ) {
        if self.injector.0.looks_empty() {
            return;
        }
        let (mut entered, plain) = self.take_injected(queue, true);
        if plain {
            if entered.len() <= max {
                mem::swap(&mut result.taken, &mut entered);
            } else {
                let first = iter::from_fn(|| entered.pop_front()).take(max);
                first.for_each(|entry| result.taken.push_back(entry));
            }
            queue.note_taken_directly(&result.taken);
        }
        queue.append(entered);
    }

    /// Minds capacity, lanes, deadlines and the handoff.
    fn take_ordered(
        &self,
        queue: &mut MutexGuard<'_, Queue<S, R, E>>,
        result: &mut TakeResult<S, R, E>,
        max: usize,
        sleeps: bool,
        lease: Option<&Lease<'_, S, R, E>>,
    ) {
        let context = TakeContext {
            handoff: &self.handoff.0,
            lease,
            capacity: self.capacity,
        };
        queue.take(max, result, &context);
        if sleeps {
            queue.before_sleep(result, &context);
        }
    }

    /// Prepares for the next request to come soon, and gives back the lease.
    #[inline]
    fn arm_handoff(
        &self,
        queue: &mut MutexGuard<'_, Queue<S, R, E>>,
        taken: &Batch<S, R, E>,
        lease: Option<Lease<'_, S, R, E>>,
        kind: ReceiverKind,
    ) {
        if self.capacity != usize::MAX || queue.awaited || !queue.open {
            return;
        }
        if kind == ReceiverKind::Thread {
            self.open_injector(queue);
        }
        if let Some(slot) = taken.single().filter(|_| queue.is_empty()) {
            // SAFETY: its entry is in `taken`.
            let options = unsafe { slot.as_ref() }.core.options();
            if kind.suits(options) && queue.affinity.note_served(slot) {
                // SAFETY: its entry is in `taken`, and nobody sleeps, as nobody awaits a request.
                unsafe { self.handoff.0.arm(slot, lease) };
            }
        }
    }

    /// Leaves the line for requests empty-handed.
    pub(crate) fn stop_receiving(&self, key: &mut WaiterKey) {
        let mut queue = self.lock();
        let left = queue.stop(key);
        let something = !queue.is_empty() || self.handoff.0.has_request();
        let pass_on = matches!(left, Removal::Woken) && something;
        let next = if pass_on { queue.receivers.pop() } else { None };
        queue.note_awaited();
        drop(queue);
        DeferredWake::new(next).fire();
        drop(left);
    }

    /// Nothing enters any more. What is queued stays for the receivers, who learn of the end after it.
    pub(crate) fn close(&self) {
        self.refuse_from_now_on().for_each(Waiter::wake);
    }

    /// Turns away whoever comes later or waits for room. Returns who waits for a request.
    fn refuse_from_now_on(&self) -> impl Iterator<Item = Waiter> + use<S, R, E> {
        let mut queue = self.lock();
        queue.open = false;
        self.shut_injector(&mut queue);
        // SAFETY: we hold the lock.
        unsafe { self.handoff.0.begin_disarm() };
        queue.awaited = false;
        let receivers = queue.receivers.take_all();
        let poller = queue.poller.take();
        let senders = queue.senders.each_mut().map(WaitQueue::take_all);
        let until_closed = queue.until_closed.take_all();
        drop(queue);
        until_closed.for_each(Waiter::wake);
        senders.into_iter().flatten().for_each(Waiter::wake);
        receivers.chain(poller)
    }

    /// The server goes: whatever is queued learns of it at once, and so does everything that comes later.
    pub(crate) fn leave(&self) {
        let forgotten = self.refuse_from_now_on();
        // One at a time: the lock stays short, and a message that sends to its own channel when dropped is no trouble.
        let rejected = iter::from_fn(|| {
            let mut queue = self.lock();
            // SAFETY: we hold the lock.
            let call = unsafe { self.handoff.0.disarm(None) };
            queue.counters.accepted += u64::from(call.is_some());
            let context = TakeContext {
                handoff: &self.handoff.0,
                lease: None,
                capacity: self.capacity,
            };
            let entry = call.or_else(|| Some(queue.pop(&context)?.0))?;
            queue.counters.count(Untaken::ServerDisappeared);
            let rejected = entry.reject(Completion::ServerDisappeared);
            self.note_len(&queue);
            Some(rejected)
        });
        rejected.for_each(Rejected::finish);
        drop(forgotten);
        let until_drained = self.awaiting_drain(&mut self.lock());
        until_drained.into_iter().flatten().for_each(Waiter::wake);
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

    /// Whether no client is left.
    #[inline]
    pub(crate) fn is_deserted(&self) -> bool {
        // Relaxed: a hint.
        self.clients.load(Ordering::Relaxed) == 0
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

/// The end of a look at an empty queue.
#[inline]
fn finish_empty<S, R, E>(
    mut queue: MutexGuard<'_, Queue<S, R, E>>,
    mode: WaitMode<'_>,
    closed: bool,
) -> Taken<S, R, E> {
    let discard = queue.await_request(mode, !closed);
    drop(queue);
    drop(discard);
    if closed { Taken::Closed } else { Taken::Empty }
}

impl<S, R, E> Queue<S, R, E> {
    #[inline]
    fn queued(&self) -> usize {
        self.lanes.iter().map(List::len).sum()
    }

    #[inline]
    fn is_empty(&self) -> bool {
        self.lanes.iter().all(List::is_empty)
    }

    /// Whether there is no room in a lane, all of it being taken or promised.
    #[inline]
    fn is_full(&self, lane: usize, capacity: usize) -> bool {
        self.lanes[lane].len() + self.reserved[lane] >= capacity
    }

    /// Waits for room in `mode`, or is refused. Returns a waiter to drop after unlocking.
    fn await_room(&mut self, lane: usize, mode: WaitMode<'_>) -> Option<Waiter> {
        match mode {
            WaitMode::InLine(key, Some(waiter)) => self.senders[lane].register(key, waiter),
            WaitMode::InLine(_, None) => None,
            WaitMode::NoWait | WaitMode::Reserved | WaitMode::Poller(_) => {
                self.counters.refused += 1;
                None
            }
        }
    }

    /// Takes so many senders from the line, to be woken after unlocking.
    fn next_senders(&mut self, lane: usize, count: usize) -> impl Iterator<Item = Waiter> + '_ {
        let line = &mut self.senders[lane];
        iter::from_fn(|| line.pop()).take(count)
    }

    /// There is room: whoever waited for it, woken or not, has what it waited for. Returns waiters to drop after unlocking.
    #[inline]
    fn stop_awaiting_room(&mut self, lane: usize, mode: WaitMode<'_>) -> [Option<Waiter>; 2] {
        match mode {
            WaitMode::InLine(key, waiter) => [self.senders[lane].remove(key).into_waiter(), waiter],
            _ => [None, None],
        }
    }

    /// Returns the ending of the last request from this slot, if it has not been counted.
    #[inline]
    fn enter(&mut self, entry: Entry<S, R, E>) -> Option<Ending> {
        // SAFETY: we hold the channel's lock (as in the three below), and an entry's slot is alive.
        let uncounted = unsafe { entry.slot().as_ref().enter() };
        self.push(entry);
        uncounted
    }

    fn push(&mut self, entry: Entry<S, R, E>) {
        // SAFETY: see `enter`.
        unsafe { entry.slot().as_ref().set_queued(true) };
        self.lanes[entry.options().lane as usize].push_back(entry);
        self.counters.accepted += 1;
    }

    /// Queues a call, which is older than all that is queued.
    fn put_first(&mut self, entry: Entry<S, R, E>) {
        // SAFETY: see `enter`.
        unsafe { entry.slot().as_ref().set_queued(true) };
        self.lanes[entry.options().lane as usize].push_front(entry);
        self.counters.accepted += 1;
    }

    fn append(&mut self, mut entered: Batch<S, R, E>) {
        while let Some(entry) = entered.pop_front() {
            self.push(entry);
        }
    }

    /// Books normal requests that came from the injector into a receiver's hands.
    #[inline]
    fn note_taken_directly(&mut self, taken: &Batch<S, R, E>) {
        let count = taken.len() as u64;
        self.counters.accepted += count;
        self.counters.taken += count;
        // Nothing urgent waits.
        self.run = 0;
    }

    #[inline]
    fn pop_from(&mut self, lane: Lane) -> Option<Entry<S, R, E>> {
        let entry = self.lanes[lane as usize].pop_front()?;
        // SAFETY: see `enter`.
        unsafe { entry.slot().as_ref().set_queued(false) };
        Some(entry)
    }

    /// Takes requests until there are `max`. Turns those down whose deadline has passed; of these not too many at a time, unless it has
    /// something to return.
    #[inline]
    fn take(
        &mut self,
        max: usize,
        result: &mut TakeResult<S, R, E>,
        context: &TakeContext<'_, S, R, E>,
    ) {
        while result.taken.len() < max
            && (result.rejected() < EXPIRED_RUN || !result.taken.is_empty())
        {
            let run = self.run;
            let Some((entry, sender)) = self.pop(context) else {
                // A look at nothing is no turn either.
                self.run = run;
                break;
            };
            if let Some(sender) = sender {
                result.deferred().senders.push(sender);
            }
            if !self.hand_out(entry, result) {
                // It was nobody's turn.
                self.run = run;
            }
        }
    }

    /// Adds a request to those that are taken, unless it is overdue: then it is turned down, and the answer is false.
    #[inline]
    fn hand_out(&mut self, entry: Entry<S, R, E>, result: &mut TakeResult<S, R, E>) -> bool {
        let overdue = entry.is_overdue(&mut result.now);
        if overdue {
            self.counters.count(Untaken::Timeout);
            // Under the lock, so that its caller finds it queued or DONE and nothing in between.
            let rejected = entry.reject(Completion::Expired);
            result.deferred().rejected.push(rejected);
        } else {
            self.counters.taken += 1;
            result.taken.push_back(entry);
        }
        !overdue
    }

    /// Who found nothing and is going to sleep must not miss a call.
    #[inline]
    fn before_sleep(
        &mut self,
        result: &mut TakeResult<S, R, E>,
        context: &TakeContext<'_, S, R, E>,
    ) {
        if result.is_empty() {
            // SAFETY: we hold the channel's lock.
            if let Some(entry) = unsafe { context.handoff.disarm(context.lease) } {
                self.counters.accepted += 1;
                self.hand_out(entry, result);
            }
        }
    }

    /// Takes the next request, and the sender that may have its place.
    #[inline]
    fn pop(
        &mut self,
        context: &TakeContext<'_, S, R, E>,
    ) -> Option<(Entry<S, R, E>, Option<Waiter>)> {
        let urgent_waits = !self.lanes[Lane::Urgent as usize].is_empty();
        let called = context.handoff.has_request();
        let normal_waits = called || !self.lanes[Lane::Normal as usize].is_empty();
        let urgent = urgent_waits && !(normal_waits && self.run >= URGENT_RUN);
        self.run = if urgent && normal_waits {
            self.run + 1
        } else {
            0
        };
        if called && !urgent {
            if let Some(entry) = context.accept() {
                self.counters.accepted += 1;
                return Some((entry, None));
            }
        }
        // (If the call is another's to answer, an urgent one may be next all the same.)
        let urgent = urgent || self.lanes[Lane::Normal as usize].is_empty();
        let lane = if urgent { Lane::Urgent } else { Lane::Normal };
        let entry = self.pop_from(lane)?;
        let bounded = context.capacity != usize::MAX;
        let sender = if bounded {
            self.senders[lane as usize].pop()
        } else {
            None
        };
        Some((entry, sender))
    }

    /// Takes a slot out of the middle, if it is there.
    ///
    /// # Safety
    /// `slot` is alive; if any queue holds it, it is this one.
    unsafe fn remove(&mut self, slot: &Slot<S, R, E>) -> Option<Entry<S, R, E>> {
        // SAFETY: see `enter`.
        let queued = unsafe { slot.set_queued(false) };
        // SAFETY: it is in this list.
        queued.then(|| unsafe { self.lanes[slot.core.lane() as usize].unlink(slot.into()) })
    }

    /// Whom to wake for a request that has entered.
    #[inline]
    fn next_receiver(&mut self) -> DeferredWake {
        if !self.awaited {
            return DeferredWake::default();
        }
        let next = DeferredWake::new(self.receivers.pop()).and_wake(self.poller.take());
        self.note_awaited();
        next
    }

    /// Waits in `mode`, if there is something to wait for and a waiter. Returns a waiter to drop after unlocking.
    #[inline]
    fn await_request(&mut self, mode: WaitMode<'_>, is_to_wait: bool) -> Option<Waiter> {
        match mode {
            WaitMode::InLine(key, Some(waiter)) if is_to_wait => {
                self.awaited = true;
                self.receivers.register(key, waiter)
            }
            WaitMode::Poller(Some(waiter)) if is_to_wait => {
                self.awaited = true;
                self.poller.replace(waiter)
            }
            WaitMode::InLine(_, waiter) | WaitMode::Poller(waiter) => waiter,
            WaitMode::NoWait | WaitMode::Reserved => None,
        }
    }

    /// Leaves the line for requests.
    #[inline]
    fn stop(&mut self, key: &mut WaiterKey) -> Removal {
        if !key.is_taken() {
            return Removal::NotRegistered;
        }
        let left = self.receivers.remove(key);
        self.note_awaited();
        left
    }

    #[inline]
    fn note_awaited(&mut self) {
        self.awaited = !self.receivers.is_empty() || self.poller.is_some();
    }
}
