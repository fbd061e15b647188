//! The injector: where requests enter without the channel's lock, while nobody sleeps.
//!
//! A stack, linked through the slots: to enter is one compare-exchange; whoever holds the lock takes all of it by one exchange and
//! turns it round into the queue. (A stack with take-all knows no ABA problem: nobody takes a single one. Treiber, *Systems Programming: Coping
//! with Parallelism*, 1986.)
//!
//! While it is **shut** requests enter under the lock: since somebody is to be woken, since the lanes are bounded and have to be
//! counted, or since the server is closed or gone. It is shut and opened under the lock. A receiver shuts it *before* it looks for the last
//! time and goes to sleep: so what had entered it finds, and what comes later finds it asleep.
//!
//! # Invariants
//!
//! 1. `links.next` of a slot in the injector is touched by who puts it in, before, and by who has taken all, after.
//! 2. Shut, it is empty.

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

/// The latest request; null, or [`shut`].
pub(crate) struct Injector<S, R, E>(AtomicPtr<Slot<S, R, E>>);

fn shut<T>() -> *mut T {
    ptr::without_provenance_mut(1)
}

impl<S, R, E> Injector<S, R, E> {
    /// An injector that is open, or shut.
    pub(crate) fn new(open: bool) -> Self {
        Self(AtomicPtr::new(if open { ptr::null_mut() } else { shut() }))
    }

    /// Puts a request in; gives it back if it is shut.
    #[inline]
    pub(crate) fn enter(&self, entry: Entry<S, R, E>) -> Result<(), Entry<S, R, E>> {
        // Relaxed: the exchange decides; or the caller of this function takes the lock.
        let mut latest = self.0.load(Ordering::Relaxed);
        loop {
            if latest == shut() {
                return Err(entry);
            }
            let slot = entry.slot();
            // SAFETY: alive, and invariant 1.
            unsafe { slot.as_ref() }
                .links
                .with_mut(|links| unsafe { (*links).next = NonNull::new(latest) });
            // Release: pairs with the Acquire of `take_all`.
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

    /// Whether nothing seems to be in it.
    #[inline]
    pub(crate) fn looks_empty(&self) -> bool {
        // Acquire: who sees that a request of its own has been taken out sees that it is in the queue, or has left that.
        let latest = self.0.load(Ordering::Acquire);
        latest.is_null() || latest == shut()
    }

    /// Opens it: it is shut. To be called under the channel's lock.
    #[inline]
    pub(crate) fn open(&self) {
        // Relaxed: no data goes with it.
        self.0.store(ptr::null_mut(), Ordering::Relaxed);
    }

    /// Takes all, and leaves it open or shut. To be called under the channel's lock.
    #[inline]
    pub(crate) fn take_all(&self, open: bool) -> InjectedChain<S, R, E> {
        let empty = if open { ptr::null_mut() } else { shut() };
        // Acquire: pairs with the Release of `enter`. Release: with `looks_empty`.
        let latest = self.0.swap(empty, Ordering::AcqRel);
        InjectedChain(NonNull::new(latest).filter(|latest| latest.as_ptr() != shut()))
    }
}

/// What was in the injector, the latest first.
pub(crate) struct InjectedChain<S, R, E>(Option<NonNull<Slot<S, R, E>>>);

impl<S, R, E> InjectedChain<S, R, E> {
    /// The other way round, and whether all of them are plain: normal, and without a deadline.
    #[inline]
    pub(crate) fn in_order(self) -> (Batch<S, R, E>, bool) {
        let Some(last) = self.0 else {
            return (Batch::new(), true);
        };
        let (mut len, mut plain) = (0, true);
        let (mut rest, mut first) = (self.0, None);
        while let Some(slot) = rest {
            // SAFETY: alive.
            let Slot { core, links, .. } = unsafe { slot.as_ref() };
            // SAFETY: invariant 1.
            rest = links.with_mut(|links| unsafe { mem::replace(&mut (*links).next, first) });
            plain &= core.options().is_plain();
            first = Some(slot);
            len += 1;
        }
        // SAFETY: so they are linked, and whoever took them out of the injector has their only entries.
        (
            unsafe { Batch::linked(len, first.unwrap_or(last), last) },
            plain,
        )
    }
}
