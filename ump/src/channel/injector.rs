//! The injector: the stack where requests enter without the channel's lock, while no receiver
//! sleeps.
//!
//! The stack is linked through the slots. A request enters by one compare-exchange. A thread that
//! holds the lock takes the whole stack by one exchange and reverses it into the queue. (A stack
//! with take-all has no ABA problem, since no thread takes a single entry. Treiber, *Systems
//! Programming: Coping with Parallelism*, 1986.)
//!
//! While the injector is **shut**, requests enter under the lock: because a receiver has to be
//! woken, because the lanes are bounded and have to be counted, or because the server is closed or
//! gone. The injector is shut and opened under the lock. A receiver shuts it *before* it looks for
//! the last time and goes to sleep. So it finds a request that had entered, and a later request
//! finds it asleep.
//!
//! # Invariants
//!
//! 1. `links.next` of a slot in the injector is touched by the thread that puts the slot in, before
//!    that, and by the thread that has taken the whole stack, after that.
//! 2. While it is shut, it is empty.
//! 3. It holds the only [`Entry`] of each of its slots. So each of these slots is alive (invariant
//!    8 of the slot).

use std::{
    mem,
    ptr::{self, NonNull},
};

use crate::{
    slot::Slot,
    slot::list::Batch,
    slot::server::Entry,
    sync::{AtomicPtr, Ordering},
};

/// The latest request; null if there is none, or [`shut`].
pub(crate) struct Injector<S, R, E>(AtomicPtr<Slot<S, R, E>>);

fn shut<T>() -> *mut T {
    ptr::without_provenance_mut(1)
}

impl<S, R, E> Injector<S, R, E> {
    /// Creates an injector that is open or shut.
    pub(crate) fn new(open: bool) -> Self {
        Self(AtomicPtr::new(if open { ptr::null_mut() } else { shut() }))
    }

    /// Puts a request in. Returns the entry if the injector is shut.
    #[inline]
    pub(crate) fn enter(&self, entry: Entry<S, R, E>) -> Result<(), Entry<S, R, E>> {
        // ORDERING: Relaxed, as the exchange below fails if the value is old. If it is `shut`, the
        // caller of this function takes the channel's lock.
        let mut latest = self.0.load(Ordering::Relaxed);
        loop {
            if latest == shut() {
                return Err(entry);
            }
            let slot = entry.slot();
            // SAFETY: `entry` is the only one of `slot`, so the slot is alive (invariant 8 of the
            // slot). It is not in the injector yet, so this thread may touch the link (invariant
            // 1).
            unsafe { slot.as_ref() }
                .links
                .with_mut(|links| unsafe { (*links).next = NonNull::new(latest) });
            // ORDERING: Release, pairs with the Acquire of `take_all`: the slot's contents and its
            // link are visible. Later exchanges continue the release sequence of this one, so that
            // holds for the whole stack. On failure Relaxed, as the value is only compared and
            // stored in the link.
            match self.0.compare_exchange_weak(
                latest,
                slot.as_ptr(),
                Ordering::Release,
                Ordering::Relaxed,
            ) {
                Ok(_) => {
                    let _ = entry.into_slot();
                    return Ok(());
                }
                Err(now) => latest = now,
            }
        }
    }

    /// Returns whether the injector seems to be empty.
    #[inline]
    pub(crate) fn looks_empty(&self) -> bool {
        // ORDERING: Acquire, pairs with the Release of `take_all`: a thread that sees that a
        // request of its own has been taken out also sees that the queue counts it (`take_injected`
        // sets `queued` before), or that it has left the queue.
        let latest = self.0.load(Ordering::Acquire);
        latest.is_null() || latest == shut()
    }

    /// Opens the injector, which is shut. To be called under the channel's lock.
    #[inline]
    pub(crate) fn open(&self) {
        // ORDERING: Release, pairs with the Acquire of `looks_empty`, like the null of `take_all`:
        // a client that sees it also sees that its earlier requests left the injector.
        self.0.store(ptr::null_mut(), Ordering::Release);
    }

    /// Takes all requests, and leaves the injector open or shut. To be called under the channel's
    /// lock.
    #[inline]
    pub(crate) fn take_all(&self, open: bool) -> InjectedChain<S, R, E> {
        let empty = if open { ptr::null_mut() } else { shut() };
        // ORDERING: AcqRel. Acquire pairs with the Release of `enter`: the slots and their links
        // are visible. Release pairs with the Acquire of `looks_empty`: `queued` was set before.
        let latest = self.0.swap(empty, Ordering::AcqRel);
        InjectedChain(NonNull::new(latest).filter(|latest| latest.as_ptr() != shut()))
    }
}

/// The requests that were in the injector, the latest first.
pub(crate) struct InjectedChain<S, R, E>(Option<NonNull<Slot<S, R, E>>>);

impl<S, R, E> InjectedChain<S, R, E> {
    /// Reverses the chain into a batch. Returns also whether all of its requests are plain: normal,
    /// and without a deadline.
    #[inline]
    pub(crate) fn in_order(self) -> (Batch<S, R, E>, bool) {
        let Some(last) = self.0 else {
            return (Batch::new(), true);
        };
        let (mut len, mut plain) = (0, true);
        let (mut rest, mut first) = (self.0, None);
        while let Some(slot) = rest {
            // SAFETY: invariant 3, which goes on for the chain: it has the only entry of each of
            // its slots.
            let Slot { core, links, .. } = unsafe { slot.as_ref() };
            // SAFETY: invariant 1: this thread has taken the whole stack.
            rest = links.with_mut(|links| unsafe { mem::replace(&mut (*links).next, first) });
            plain &= core.options().is_plain();
            first = Some(slot);
            len += 1;
        }
        // SAFETY: the loop has linked these `len` slots from the first to the last, and the chain
        // had their only entries (invariant 3).
        (
            unsafe { Batch::linked(len, first.unwrap_or(last), last) },
            plain,
        )
    }
}
