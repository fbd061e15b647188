//! Where a client keeps its slots: made when one is needed, used again for the next request.
//!
//! ```text
//!   Nest ──take──► Draft ──sent, answered or handed back──► let go of ──► Nest
//!     └── none there: allocate              the nest is closed or full ──► freed
//! ```
//!
//! So a client that waits for one reply at a time has one slot, which costs an allocation at its first request, and neither an
//! allocation nor a reference count after that: a slot holds its nest, and thereby its channel, for as long as it exists. This is a
//! cycle while the slot is in the nest; dropping the client, which closes the nest, breaks it.
//!
//! The **first** slot is taken by one exchange, and a request that borrows or owns the client puts it back by a store, since more would slow down
//! two ends that are awake (see `slot`). That store must not come after the nest was closed, and it does not: such a request keeps the client until
//! it has been told. Whoever does not know that the client is there lets go of a slot under the lock of the nest.

use std::{
    mem::ManuallyDrop,
    ptr::{self, NonNull},
};

use crate::{
    channel::Channel,
    slot::{Core, Memory, Slot, Terms, Verdict},
    stats::Untaken,
    sync::{Arc, AtomicBool, AtomicPtr, Ordering, SpinLock},
};

/// Slots but the first are kept up to this number of bytes.
const KEPT: usize = 32 * 1024;

pub(crate) struct Nest<S, R, E> {
    pub(crate) channel: Arc<Channel<S, R, E>>,
    /// The first slot, once it was made.
    first: AtomicPtr<Boxed<S, R, E>>,
    /// Whether somebody has the right to the first slot.
    out: AtomicBool,
    /// The others; none once the nest is closed.
    more: SpinLock<Option<Vec<Owned<S, R, E>>>>,
}

// SAFETY: it is a reference to the channel and idle slots, in which nothing of the user's is.
unsafe impl<S: Send, R: Send, E: Send> Send for Nest<S, R, E> {}
// SAFETY: the same; slots are taken out and put in by atomic operations.
unsafe impl<S: Send, R: Send, E: Send> Sync for Nest<S, R, E> {}

/// `repr(C)`: a pointer to it is a pointer to its slot, and to the core of that.
#[repr(C)]
struct Boxed<S, R, E> {
    slot: Slot<S, R, E>,
    home: Arc<Nest<S, R, E>>,
}

impl<S, R, E> Nest<S, R, E> {
    pub(crate) fn new(channel: Arc<Channel<S, R, E>>) -> Arc<Self> {
        Arc::new(Self {
            channel,
            first: AtomicPtr::new(ptr::null_mut()),
            out: AtomicBool::new(false),
            more: SpinLock::new(Some(Vec::new())),
        })
    }

    /// An idle slot. To be called while the nest is open.
    #[inline]
    pub(crate) fn take(this: &Arc<Self>) -> Owned<S, R, E> {
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
            return first.map_or_else(|| Self::make_first(this), Owned);
        }
        // SAFETY: alive, as it is shared.
        let kept = unsafe { SpinLock::with((&this.more).into(), |more| more.as_mut()?.pop()) };
        kept.unwrap_or_else(|| Owned::new(this))
    }

    #[cold]
    fn make_first(this: &Arc<Self>) -> Owned<S, R, E> {
        let first = Owned::new(this);
        this.first.store(first.0.as_ptr(), Ordering::Relaxed);
        first
    }

    #[inline]
    fn is_first(&self, slot: &Owned<S, R, E>) -> bool {
        // Relaxed: if it is the first, this was written before it was given to us.
        self.first.load(Ordering::Relaxed) == slot.0.as_ptr()
    }

    /// Keeps an idle slot; gives it back if there are too many, or nobody needs one any more.
    ///
    /// By pointer: see [`SpinLock`]. Once the slot is kept, the client may be dropped and free slot and nest, but only after it has got the lock,
    /// and our last access is the store that releases it.
    ///
    /// # Safety
    /// `this` is the nest that the slot came from, which is alive as the slot holds it.
    unsafe fn keep(this: NonNull<Self>, slot: Owned<S, R, E>) -> Option<Owned<S, R, E>> {
        let look = |more: &mut Option<Vec<_>>| {
            let Some(more) = more else {
                return Some(slot);
            };
            // SAFETY: alive, as nobody frees it without the lock, which is ours.
            let nest = unsafe { this.as_ref() };
            if nest.is_first(&slot) {
                let _ = ManuallyDrop::new(slot);
                // Release: pairs with the Acquire of `take` and `close`.
                nest.out.store(false, Ordering::Release);
            } else if (more.len() + 1) * size_of::<Boxed<S, R, E>>() <= KEPT {
                more.push(slot);
            } else {
                return Some(slot);
            }
            None
        };
        // SAFETY: the lock is part of the nest, which is alive until it is released.
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
        let first = first.map(Owned);
        let all = more.into_iter().flatten().chain(first);
        all.for_each(Owned::free);
    }
}

/// A slot that belongs to who holds this, alone; without message and outcome, as far as it knows. It goes home when dropped.
pub(crate) struct Owned<S, R, E>(NonNull<Boxed<S, R, E>>);

impl<S, R, E> Owned<S, R, E> {
    fn new(home: &Arc<Nest<S, R, E>>) -> Self {
        let memory = Memory {
            withdraw: withdraw::<S, R, E>,
            release: release::<S, R, E>,
            discard: discard::<S, R, E>,
        };
        let boxed = Box::new(Boxed {
            // SAFETY: `common` is part of the channel, which `home` keeps alive as long as the slot.
            slot: unsafe { Slot::new(Terms::PLAIN, home.channel.common(), memory) },
            home: Arc::clone(home),
        });
        Self(NonNull::from(Box::leak(boxed)))
    }

    /// # Safety
    /// `core` is that of a slot with these types, which came out of [`into_slot`](Self::into_slot) and belongs to nobody else.
    #[inline]
    pub(crate) unsafe fn from_core(core: NonNull<Core<R, E>>) -> Self {
        Self(core.cast())
    }

    #[inline]
    pub(crate) fn into_slot(self) -> NonNull<Slot<S, R, E>> {
        ManuallyDrop::new(self).0.cast()
    }

    #[inline]
    fn boxed(&self) -> &Boxed<S, R, E> {
        // SAFETY: alive, as it is ours.
        unsafe { self.0.as_ref() }
    }

    #[inline]
    pub(crate) fn slot(&self) -> &Slot<S, R, E> {
        &self.boxed().slot
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
    pub(crate) unsafe fn with_verdict<T>(&self, read: impl FnOnce(&Verdict<R, E>) -> T) -> T {
        // SAFETY: it is ours alone, and the outcome is there.
        unsafe { self.slot().core.with_verdict(read) }
    }

    /// Lets go of it, without a lock if it can. To be called while the client is there for certain (otherwise it may be lost).
    #[inline]
    pub(crate) fn put_back(self) {
        let home = &self.boxed().home;
        if home.is_first(&self) {
            // SAFETY: it is ours alone.
            unsafe { self.slot().clear() };
            let home = NonNull::from(&**home);
            let _ = ManuallyDrop::new(self);
            // SAFETY: the slot holds it. Once that is in the nest, both may be freed, but our last access is the store. The reference is to the
            // atomic alone.
            let out = unsafe { &(*home.as_ptr()).out };
            // Release: pairs with the Acquire of `take` and `close`.
            out.store(false, Ordering::Release);
        }
    }

    fn free(self) {
        let slot = self.into_slot();
        // SAFETY: it was ours alone.
        if !unsafe { Core::leave_to_hotline(slot.cast::<Core<R, E>>()) } {
            // SAFETY: the same, and the hotline does not watch it.
            unsafe { free(slot) };
        }
    }
}

impl<S, R, E> Drop for Owned<S, R, E> {
    fn drop(&mut self) {
        let this = Self(self.0);
        // SAFETY: it is ours alone.
        unsafe { this.slot().clear() };
        let home = NonNull::from(&*this.boxed().home);
        // SAFETY: alive, as the slot holds it.
        if let Some(this) = unsafe { Nest::keep(home, this) } {
            this.free();
        }
    }
}

/// Frees the memory of a slot.
///
/// # Safety
/// Nobody can reach it, and neither message nor outcome is in it.
pub(crate) unsafe fn free<S, R, E>(slot: NonNull<Slot<S, R, E>>) {
    // SAFETY: it came from a `Box` in `Owned::new`.
    drop(unsafe { Box::from_raw(slot.cast::<Boxed<S, R, E>>().as_ptr()) });
}

/// # Safety
/// See [`Memory::withdraw`]; `core` is that of a `Boxed` with these three types.
unsafe fn withdraw<S, R, E>(core: NonNull<Core<R, E>>, why: Untaken) -> bool {
    // SAFETY: it is the first field of the first field of a `Boxed`, which is alive.
    let boxed = unsafe { core.cast::<Boxed<S, R, E>>().as_ref() };
    // SAFETY: alive, and it was sent to this channel.
    unsafe { boxed.home.channel.withdraw(&boxed.slot, why) }
}

/// # Safety
/// See [`Memory::release`]; `core` is that of a `Boxed` with these three types.
unsafe fn release<S, R, E>(core: NonNull<Core<R, E>>) {
    // SAFETY: it belongs to the caller of this function, who gives it up.
    drop(unsafe { Owned::<S, R, E>::from_core(core) });
}

/// # Safety
/// See [`Memory::discard`]; `core` is that of a `Boxed` with these three types.
unsafe fn discard<S, R, E>(core: NonNull<Core<R, E>>) {
    // SAFETY: it belongs to the caller of this function, who gives it up.
    let owned = unsafe { Owned::<S, R, E>::from_core(core) };
    // SAFETY: the caller of this function says that it is there.
    let message = unsafe { owned.message() };
    drop(owned);
    // The user's code comes last: it may panic.
    drop(message);
}
