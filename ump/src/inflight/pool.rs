//! Where a client keeps its slots: made when one is needed, used again for the next request.
//!
//! ```text
//!   Nest ──take──► Draft ──sent, answered or handed back──► let go of ──► Nest
//!     └── none there: allocate              the pool is closed or full ──► freed
//! ```
//!
//! So a client that waits for one reply at a time has one slot, which costs an allocation at its first request, and neither an
//! allocation nor a reference count after that: a slot holds its pool, and thereby its channel, for as long as it exists. This is a
//! cycle while the slot is in the pool; dropping the client, which closes the pool, breaks it.
//!
//! The **first** slot is taken by one exchange, and a request that borrows or owns the client puts it back by a store, since more would slow down
//! two ends that are awake (see `slot`). That store must not come after the pool was closed, and it does not: such a request keeps the client until
//! it has been told. Whoever does not know that the client is there lets go of a slot under the lock of the pool.

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

/// Slots but the first are kept up to this number of bytes.
const KEPT: usize = 32 * 1024;

pub(crate) struct SlotPool<S, R, E> {
    pub(crate) channel: Arc<Channel<S, R, E>>,
    /// The first slot, once it was made.
    first: AtomicPtr<PooledSlot<S, R, E>>,
    /// Whether somebody has the right to the first slot.
    out: AtomicBool,
    /// The others; none once the pool is closed.
    more: SpinLock<Option<Vec<OwnedSlot<S, R, E>>>>,
}

// SAFETY: it is a reference to the channel and idle slots, in which nothing of the user's is.
unsafe impl<S: Send, R: Send, E: Send> Send for SlotPool<S, R, E> {}
// SAFETY: the same; slots are taken out and put in by atomic operations.
unsafe impl<S: Send, R: Send, E: Send> Sync for SlotPool<S, R, E> {}

/// `repr(C)`: a pointer to it is a pointer to its slot, and to the core of that.
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

    /// An idle slot. To be called while the pool is open.
    #[inline]
    pub(crate) fn take(this: &Arc<Self>) -> OwnedSlot<S, R, E> {
        // Relaxed: the exchange decides. Acquire: pairs with the Release with which it was put back. Who fails writes nothing: after a write loom
        // would take the one that puts the slot back for an earlier one, although it cannot be.
        let (free, out) = (false, true);
        if this.out.load(Ordering::Relaxed) == free
            && this
                .out
                .compare_exchange(free, out, Ordering::Acquire, Ordering::Relaxed)
                .is_ok()
        {
            // Relaxed: written by who had the right to it before us.
            let first = NonNull::new(this.first.load(Ordering::Relaxed));
            return first.map_or_else(|| Self::make_first(this), OwnedSlot);
        }
        // SAFETY: alive, as it is shared.
        let kept = unsafe { SpinLock::with((&this.more).into(), |more| more.as_mut()?.pop()) };
        kept.unwrap_or_else(|| OwnedSlot::new(this))
    }

    #[cold]
    fn make_first(this: &Arc<Self>) -> OwnedSlot<S, R, E> {
        let first = OwnedSlot::new(this);
        this.first.store(first.0.as_ptr(), Ordering::Relaxed);
        first
    }

    #[inline]
    fn is_first(&self, slot: &OwnedSlot<S, R, E>) -> bool {
        // Relaxed: if it is the first, this was written before it was given to us.
        self.first.load(Ordering::Relaxed) == slot.0.as_ptr()
    }

    /// Keeps an idle slot; gives it back if there are too many, or nobody needs one any more.
    ///
    /// By pointer: see [`SpinLock`]. Once the slot is kept, the client may be dropped and free slot and pool, but only after it has got the lock,
    /// and our last access is the store that releases it.
    ///
    /// # Safety
    /// `this` is the pool that the slot came from, which is alive as the slot holds it.
    unsafe fn keep(this: NonNull<Self>, slot: OwnedSlot<S, R, E>) -> Option<OwnedSlot<S, R, E>> {
        let look = |more: &mut Option<Vec<_>>| {
            let Some(more) = more else {
                return Some(slot);
            };
            // SAFETY: alive, as nobody frees it without the lock, which is ours.
            let pool = unsafe { this.as_ref() };
            if pool.is_first(&slot) {
                let _ = ManuallyDrop::new(slot);
                // Release: pairs with the Acquire of `take` and `close`.
                pool.out.store(false, Ordering::Release);
            } else if (more.len() + 1) * size_of::<PooledSlot<S, R, E>>() <= KEPT {
                more.push(slot);
            } else {
                return Some(slot);
            }
            None
        };
        // SAFETY: the lock is part of the pool, which is alive until it is released.
        unsafe { SpinLock::with(NonNull::from(&(*this.as_ptr()).more), look) }
    }

    /// The client goes: nothing is kept any more.
    pub(crate) fn close(&self) {
        let take_all = |more: &mut Option<Vec<_>>| {
            // Acquire: pairs with the Release with which it was put back: by who had the client, so before, or under the lock.
            let first = if self.out.load(Ordering::Acquire) {
                None
            } else {
                NonNull::new(self.first.load(Ordering::Relaxed))
            };
            (more.take(), first)
        };
        // SAFETY: alive, as the client, which goes, holds it until this is done.
        let (more, first) = unsafe { SpinLock::with((&self.more).into(), take_all) };
        let first = first.map(OwnedSlot);
        let all = more.into_iter().flatten().chain(first);
        all.for_each(OwnedSlot::free);
    }
}

/// A slot that belongs to who holds this, alone; without message and outcome, as far as it knows. It goes back to the pool when dropped.
pub(crate) struct OwnedSlot<S, R, E>(NonNull<PooledSlot<S, R, E>>);

impl<S, R, E> OwnedSlot<S, R, E> {
    fn new(pool: &Arc<SlotPool<S, R, E>>) -> Self {
        let vtable = SlotVtable {
            withdraw: withdraw::<S, R, E>,
            release: release::<S, R, E>,
            discard: discard::<S, R, E>,
        };
        let pooled = Box::new(PooledSlot {
            // SAFETY: `shared` is part of the channel, which `pool` keeps alive as long as the slot.
            slot: unsafe { Slot::new(RequestOptions::PLAIN, pool.channel.shared(), vtable) },
            pool: Arc::clone(pool),
        });
        Self(NonNull::from(Box::leak(pooled)))
    }

    /// # Safety
    /// `core` is that of a slot with these types, which came out of [`into_slot`](Self::into_slot) and belongs to nobody else.
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
        // SAFETY: alive, as it is ours.
        unsafe { self.0.as_ref() }
    }

    #[inline]
    pub(crate) fn slot(&self) -> &Slot<S, R, E> {
        &self.pooled().slot
    }

    /// # Safety
    /// There is a message in it; afterwards there is not.
    #[inline]
    pub(crate) unsafe fn message(&self) -> S {
        // SAFETY: it is ours alone, and the message is there.
        unsafe { self.slot().message() }
    }

    /// Shows the outcome where it is.
    ///
    /// # Safety
    /// There is one in it; afterwards there is not: `read` moves out of it what there is to move.
    #[inline]
    pub(crate) unsafe fn with_completion<T>(&self, read: impl FnOnce(&Completion<R, E>) -> T) -> T {
        // SAFETY: it is ours alone, and the outcome is there.
        unsafe { self.slot().core.with_completion(read) }
    }

    /// Lets go of it, without a lock if it can. To be called while the client is there for certain (otherwise it may be lost).
    #[inline]
    pub(crate) fn put_back(self) {
        let pool = &self.pooled().pool;
        if pool.is_first(&self) {
            // SAFETY: it is ours alone.
            unsafe { self.slot().clear() };
            let pool = NonNull::from(&**pool);
            let _ = ManuallyDrop::new(self);
            // SAFETY: the slot holds it. Once that is in the pool, both may be freed, but our last access is the store. The reference is to the
            // atomic alone.
            let out = unsafe { &(*pool.as_ptr()).out };
            // Release: pairs with the Acquire of `take` and `close`.
            out.store(false, Ordering::Release);
        }
    }

    fn free(self) {
        let slot = self.into_slot();
        // SAFETY: it was ours alone.
        if !unsafe { SlotCore::leave_to_handoff(slot.cast::<SlotCore<R, E>>()) } {
            // SAFETY: the same, and the handoff does not watch it.
            unsafe { free(slot) };
        }
    }
}

impl<S, R, E> Drop for OwnedSlot<S, R, E> {
    fn drop(&mut self) {
        let this = Self(self.0);
        // SAFETY: it is ours alone.
        unsafe { this.slot().clear() };
        let pool = NonNull::from(&*this.pooled().pool);
        // SAFETY: alive, as the slot holds it.
        if let Some(this) = unsafe { SlotPool::keep(pool, this) } {
            this.free();
        }
    }
}

/// Frees the memory of a slot.
///
/// # Safety
/// Nobody can reach it, and neither message nor outcome is in it.
pub(crate) unsafe fn free<S, R, E>(slot: NonNull<Slot<S, R, E>>) {
    // SAFETY: it came from a `Box` in `OwnedSlot::new`.
    drop(unsafe { Box::from_raw(slot.cast::<PooledSlot<S, R, E>>().as_ptr()) });
}

/// # Safety
/// See [`SlotVtable::withdraw`]; `core` is that of a `PooledSlot` with these three types.
unsafe fn withdraw<S, R, E>(core: NonNull<SlotCore<R, E>>, why: Untaken) -> bool {
    // SAFETY: it is the first field of the first field of a `PooledSlot`, which is alive.
    let pooled = unsafe { core.cast::<PooledSlot<S, R, E>>().as_ref() };
    // SAFETY: alive, and it was sent to this channel.
    unsafe { pooled.pool.channel.withdraw(&pooled.slot, why) }
}

/// # Safety
/// See [`SlotVtable::release`]; `core` is that of a `PooledSlot` with these three types.
unsafe fn release<S, R, E>(core: NonNull<SlotCore<R, E>>) {
    // SAFETY: it belongs to the caller of this function, who gives it up.
    drop(unsafe { OwnedSlot::<S, R, E>::from_core(core) });
}

/// # Safety
/// See [`SlotVtable::discard`]; `core` is that of a `PooledSlot` with these three types.
unsafe fn discard<S, R, E>(core: NonNull<SlotCore<R, E>>) {
    // SAFETY: it belongs to the caller of this function, who gives it up.
    let owned = unsafe { OwnedSlot::<S, R, E>::from_core(core) };
    // SAFETY: the caller of this function says that it is there.
    let message = unsafe { owned.message() };
    drop(owned);
    // The user's code comes last: it may panic.
    drop(message);
}
