//! The slots that a client keeps: allocated when one is needed, and used again for the next
//! request.
//!
//! ```text
//!   SlotPool ──take──► UnsentRequest ──sent, answered or handed back──► given up ──► SlotPool
//!     └── none there: allocate                        the pool is closed or full ──► freed
//! ```
//!
//! A client that waits for one reply at a time has one slot. It costs an allocation at the client's
//! first request, and neither an allocation nor a reference count after that: a slot holds its
//! pool, and thereby its channel, for as long as the slot exists. This is a reference cycle while
//! the slot is in the pool. Dropping the client closes the pool and breaks the cycle.
//!
//! The **first** slot is taken by one exchange. A request that borrows or owns the client puts it
//! back by a store, since more would slow down two ends that are awake (see `slot`). That store
//! must not come after the pool was closed. It does not, since such a request keeps the client
//! until it has its outcome. A request that may outlive the client gives up its slot under the lock
//! of the pool.
//!
//! # Invariants
//!
//! 1. A slot holds an `Arc` of its pool, and the pool one of its channel. So the pool and the
//!    channel live at least as long as each slot.
//! 2. An [`OwnedSlot`] owns its slot alone (invariant 7 of the slot). Its holder has moved message
//!    and outcome out of the slot before it drops the `OwnedSlot` or puts it back, so a slot in the
//!    pool is idle and empty.
//! 3. Each slot is the first field of a `PooledSlot` in a `Box` that `OwnedSlot::new` made, with
//!    the types of its vtable.
//! 4. Only the holder of the right to the first slot, which `out` grants, writes `first`, and it
//!    does so once, before it uses the slot. The slot at `first` is the pool's while `out` is
//!    false.
//! 5. `close` frees the slots of the pool, and thereby perhaps the pool, only after it has had the
//!    lock of the pool, and it runs after every `put_back` that does without that lock (see above).
//!    So the pool is alive in `keep` until the lock is released, and in `put_back` until the store.

use std::{
    mem::ManuallyDrop,
    ptr::{self, NonNull},
};

use crate::{
    channel::Channel,
    options::RequestOptions,
    slot::completion::Completion,
    slot::{Slot, SlotCore, SlotVtable},
    stats::Untaken,
    sync::{Arc, AtomicBool, AtomicPtr, Ordering, SpinLock},
};

/// The slots other than the first are kept up to this number of bytes.
const KEPT: usize = 32 * 1024;

pub(crate) struct SlotPool<S, R, E> {
    pub(crate) channel: Arc<Channel<S, R, E>>,
    /// The first slot, once it was made.
    first: AtomicPtr<PooledSlot<S, R, E>>,
    /// Whether a holder has the right to the first slot.
    out: AtomicBool,
    /// The other slots; `None` once the pool is closed.
    more: SpinLock<Option<Vec<OwnedSlot<S, R, E>>>>,
}

// SAFETY: it is a reference to the channel, which can be shared if these three types are `Send`,
// and idle slots, which are empty (invariant 2).
unsafe impl<S: Send, R: Send, E: Send> Send for SlotPool<S, R, E> {}
// SAFETY: for the same reason. Through a shared reference slots are taken out and put in by atomic
// operations, which grant the right to the first slot to one thread (invariant 4), or under the
// lock.
unsafe impl<S: Send, R: Send, E: Send> Sync for SlotPool<S, R, E> {}

/// A slot and its pool. `repr(C)`: a pointer to it is a pointer to its slot, and to the core of
/// that.
#[repr(C)]
struct PooledSlot<S, R, E> {
    slot: Slot<S, R, E>,
    pool: Arc<SlotPool<S, R, E>>,
}

impl<S, R, E> SlotPool<S, R, E> {
    pub(crate) fn new(channel: Arc<Channel<S, R, E>>) -> Arc<Self> {
        Arc::new(Self {
            channel,
            first: AtomicPtr::new(ptr::null_mut()),
            out: AtomicBool::new(false),
            more: SpinLock::new(Some(Vec::new())),
        })
    }

    /// Takes an idle slot, or makes one. To be called while the pool is open.
    #[inline]
    pub(crate) fn take(this: &Arc<Self>) -> OwnedSlot<S, R, E> {
        // ORDERING: Relaxed load, as the exchange decides. The exchange is Acquire on success and
        // pairs with the Release stores of `keep` and `put_back`: the slot as its last holder left
        // it, and `first`, are visible. On failure it is Relaxed, as nothing of the first slot is
        // used. A thread that fails writes nothing: after a write, loom would order the store that
        // puts the slot back before it, although that cannot be.
        let (free, out) = (false, true);
        if this.out.load(Ordering::Relaxed) == free
            && this
                .out
                .compare_exchange(free, out, Ordering::Acquire, Ordering::Relaxed)
                .is_ok()
        {
            // ORDERING: Relaxed. A former holder of the right to the first slot wrote it (invariant
            // 4), and the exchange above has made that visible.
            let first = NonNull::new(this.first.load(Ordering::Relaxed));
            return first.map_or_else(|| Self::make_first(this), OwnedSlot);
        }
        // SAFETY: the lock is part of the pool, which `this` keeps alive (invariant 5 concerns only
        // a pool that is given by pointer).
        let kept = unsafe { SpinLock::with((&this.more).into(), |more| more.as_mut()?.pop()) };
        kept.unwrap_or_else(|| OwnedSlot::new(this))
    }

    #[cold]
    fn make_first(this: &Arc<Self>) -> OwnedSlot<S, R, E> {
        let first = OwnedSlot::new(this);
        // ORDERING: Relaxed. The Release store of `keep` or `put_back` makes it visible to the
        // Acquire of the next `take`, or of `close`.
        this.first.store(first.0.as_ptr(), Ordering::Relaxed);
        first
    }

    #[inline]
    fn is_first(&self, slot: &OwnedSlot<S, R, E>) -> bool {
        // ORDERING: Relaxed. If `slot` is the first one, `first` was written before its holder got
        // the slot (invariant 4). If it is not, `first` never equals it.
        self.first.load(Ordering::Relaxed) == slot.0.as_ptr()
    }

    /// Keeps an idle slot. Returns the slot if there are too many, or if the pool is closed.
    ///
    /// This takes a pointer: see [`SpinLock`]. Once the slot is kept, the client may be dropped and
    /// may free slot and pool, but only after it has got the lock. The last access of this function
    /// is the store that releases the lock.
    ///
    /// # Safety
    /// `this` is the pool that the slot came from. It is alive, since the slot holds it.
    unsafe fn keep(this: NonNull<Self>, slot: OwnedSlot<S, R, E>) -> Option<OwnedSlot<S, R, E>> {
        let look = |more: &mut Option<Vec<_>>| {
            let Some(more) = more else {
                return Some(slot);
            };
            // SAFETY: invariant 5: this closure runs under the lock, so the pool is alive.
            let pool = unsafe { this.as_ref() };
            if pool.is_first(&slot) {
                let _ = ManuallyDrop::new(slot);
                // ORDERING: Release, pairs with the Acquire of `take` and `close`: the slot as this
                // holder left it, and `first`, are visible to the next one.
                pool.out.store(false, Ordering::Release);
            } else if (more.len() + 1) * size_of::<PooledSlot<S, R, E>>() <= KEPT {
                more.push(slot);
            } else {
                return Some(slot);
            }
            None
        };
        // SAFETY: the lock is part of the pool, which is alive until the lock is released: until
        // `look` has run because the slot holds it (invariant 1), and then by invariant 5.
        unsafe { SpinLock::with(NonNull::from(&(*this.as_ptr()).more), look) }
    }

    /// Closes the pool and frees its slots, as the client is dropped. From now on nothing is kept.
    pub(crate) fn close(&self) {
        let take_all = |more: &mut Option<Vec<_>>| {
            // ORDERING: Acquire, pairs with the Release stores of `keep` and `put_back`: the slot
            // as its last holder left it, and `first`, are visible. `put_back` runs while the
            // client is there, so before this; `keep` runs under the lock.
            let first = if self.out.load(Ordering::Acquire) {
                None
            } else {
                // ORDERING: Relaxed. The Acquire above has made it visible: `first` is written
                // before `out` is cleared, or it is null still.
                NonNull::new(self.first.load(Ordering::Relaxed))
            };
            (more.take(), first)
        };
        // SAFETY: the lock is part of the pool, which the client that is dropped holds until this
        // function returns. Nothing is freed before the lock is released (invariant 5).
        let (more, first) = unsafe { SpinLock::with((&self.more).into(), take_all) };
        let first = first.map(OwnedSlot);
        let all = more.into_iter().flatten().chain(first);
        all.for_each(OwnedSlot::free);
    }
}

/// A slot that its holder owns alone. As far as this type knows, it holds neither message nor
/// outcome. Dropping it returns it to the pool.
pub(crate) struct OwnedSlot<S, R, E>(NonNull<PooledSlot<S, R, E>>);

impl<S, R, E> OwnedSlot<S, R, E> {
    fn new(pool: &Arc<SlotPool<S, R, E>>) -> Self {
        let vtable = SlotVtable {
            withdraw: withdraw::<S, R, E>,
            release: release::<S, R, E>,
            discard: discard::<S, R, E>,
        };
        let pooled = Box::new(PooledSlot {
            // SAFETY: invariant 1: `shared` is part of the channel, which `pool` keeps alive as
            // long as the slot.
            slot: unsafe { Slot::new(RequestOptions::PLAIN, pool.channel.shared(), vtable) },
            pool: Arc::clone(pool),
        });
        Self(NonNull::from(Box::leak(pooled)))
    }

    /// Takes the slot of `core` into ownership again.
    ///
    /// # Safety
    /// `core` is that of a slot with these types, which came out of [`into_slot`](Self::into_slot).
    /// The caller of this function owns the slot alone.
    #[inline]
    pub(crate) unsafe fn from_core(core: NonNull<SlotCore<R, E>>) -> Self {
        Self(core.cast())
    }

    #[inline]
    pub(crate) fn into_slot(self) -> NonNull<Slot<S, R, E>> {
        ManuallyDrop::new(self).0.cast()
    }

    #[inline]
    fn pooled(&self) -> &PooledSlot<S, R, E> {
        // SAFETY: invariant 2: `self` owns the slot alone, so it has not been freed.
        unsafe { self.0.as_ref() }
    }

    #[inline]
    pub(crate) fn slot(&self) -> &Slot<S, R, E> {
        &self.pooled().slot
    }

    /// Moves the message out.
    ///
    /// # Safety
    /// There is a message in the slot; afterwards there is not.
    #[inline]
    pub(crate) unsafe fn message(&self) -> S {
        // SAFETY: invariant 2: `self` owns the slot alone. By this function's contract the message
        // is there.
        unsafe { self.slot().message() }
    }

    /// Passes the outcome to `read` where it is.
    ///
    /// # Safety
    /// There is an outcome in the slot. Afterwards there is not: `read` moves out of it what it
    /// needs.
    #[inline]
    pub(crate) unsafe fn with_completion<T>(&self, read: impl FnOnce(&Completion<R, E>) -> T) -> T {
        // SAFETY: invariant 2: `self` owns the slot alone. By this function's contract the outcome
        // is there and was not read before.
        unsafe { self.slot().core.with_completion(read) }
    }

    /// Puts the slot back, without a lock if it is the first one. To be called while the client
    /// certainly exists: otherwise the slot may be lost.
    #[inline]
    pub(crate) fn put_back(self) {
        let pool = &self.pooled().pool;
        if pool.is_first(&self) {
            // SAFETY: invariant 2: `self` owns the slot alone.
            unsafe { self.slot().clear() };
            let pool = NonNull::from(&**pool);
            let _ = ManuallyDrop::new(self);
            // SAFETY: invariant 1: the slot holds the pool. Once the slot is in the pool, both may
            // be freed, but the last access of this function is the store (invariant 5). The
            // reference is to the atomic alone.
            let out = unsafe { &(*pool.as_ptr()).out };
            // ORDERING: Release, pairs with the Acquire of `take` and `close`: the slot as this
            // holder left it, and `first`, are visible to the next one.
            out.store(false, Ordering::Release);
        }
    }

    fn free(self) {
        let slot = self.into_slot();
        // SAFETY: invariant 2: this function owned the slot alone, and uses it no more if it is
        // left to the handoff.
        if !unsafe { SlotCore::leave_to_handoff(slot.cast::<SlotCore<R, E>>()) } {
            // SAFETY: invariant 2: this function owns the slot alone, and the slot is unarmed, so
            // nobody else can reach it. It is empty, as its holder has moved message and outcome
            // out.
            unsafe { free(slot) };
        }
    }
}

impl<S, R, E> Drop for OwnedSlot<S, R, E> {
    fn drop(&mut self) {
        let this = Self(self.0);
        // SAFETY: invariant 2: `this` owns the slot alone.
        unsafe { this.slot().clear() };
        let pool = NonNull::from(&*this.pooled().pool);
        // SAFETY: invariant 1: `pool` is the pool that the slot holds.
        if let Some(this) = unsafe { SlotPool::keep(pool, this) } {
            this.free();
        }
    }
}

/// Frees the memory of a slot.
///
/// # Safety
/// No other thread can reach the slot, and it holds neither message nor outcome.
pub(crate) unsafe fn free<S, R, E>(slot: NonNull<Slot<S, R, E>>) {
    // SAFETY: invariant 3: it came from a `Box` in `OwnedSlot::new`. By this function's contract
    // this is the last use.
    drop(unsafe { Box::from_raw(slot.cast::<PooledSlot<S, R, E>>().as_ptr()) });
}

/// Implements [`SlotVtable::withdraw`].
///
/// # Safety
/// That of [`SlotVtable::withdraw`]. `core` is that of a `PooledSlot` with these three types.
unsafe fn withdraw<S, R, E>(core: NonNull<SlotCore<R, E>>, why: Untaken) -> bool {
    // SAFETY: invariant 3: `core` is the first field of the first field of a `PooledSlot`. It is
    // alive, since the caller's end has not let go of it.
    let pooled = unsafe { core.cast::<PooledSlot<S, R, E>>().as_ref() };
    // SAFETY: the slot is alive (see above), and it was sent to the channel of its pool, which is
    // alive (invariant 1), if it was sent at all.
    unsafe { pooled.pool.channel.withdraw(&pooled.slot, why) }
}

/// Implements [`SlotVtable::release`].
///
/// # Safety
/// That of [`SlotVtable::release`]. `core` is that of a `PooledSlot` with these three types.
unsafe fn release<S, R, E>(core: NonNull<SlotCore<R, E>>) {
    // SAFETY: by this function's contract its caller owns the slot alone, and gives it up. It came
    // out of `into_slot` when its request was sent or discarded.
    drop(unsafe { OwnedSlot::<S, R, E>::from_core(core) });
}

/// Implements [`SlotVtable::discard`].
///
/// # Safety
/// That of [`SlotVtable::discard`]. `core` is that of a `PooledSlot` with these three types.
unsafe fn discard<S, R, E>(core: NonNull<SlotCore<R, E>>) {
    // SAFETY: by this function's contract its caller owns the slot alone, and gives it up. It came
    // out of `into_slot` when its request was sent or discarded.
    let owned = unsafe { OwnedSlot::<S, R, E>::from_core(core) };
    // SAFETY: by this function's contract the message is in the slot.
    let message = unsafe { owned.message() };
    drop(owned);
    // The user's code runs last, as it may panic.
    drop(message);
}
