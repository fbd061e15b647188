//! A request on the heap: for callers that may leave before the outcome, and for posts.
//!
//! ```text
//!   Draft ──send──► Entry in the queue  +  Ticket in the caller's hands
//!     ▲                                       │
//!     └──────────── refused                   └──► settle, or leave (withdraw, abandon)
//! ```
//!
//! A [`Draft`] owns its slot alone. Sent, it is two ends: see `slot` for who frees it. A post has only one, the queue's.

use std::{marker::PhantomData, mem::ManuallyDrop, ptr::NonNull};

use crate::{
    channel::{Channel, Place, Refusal},
    error::{Error, RequestError},
    slot::{Core, Entry, Memory, Slot, Terms, Verdict},
    stats::{Ending, Untaken},
    sync::Arc,
    waiter::Wake,
};

/// `repr(C)`: a pointer to it is a pointer to its slot, and to the core of that.
#[repr(C)]
struct Boxed<S, R, E> {
    slot: Slot<S, R, E>,
    home: Arc<Channel<S, R, E>>,
}

/// A request that has not been sent.
pub(crate) struct Draft<S, R, E>(NonNull<Boxed<S, R, E>>);

// SAFETY: it owns a message, and an `Arc` of a channel that can be shared if these three can be sent.
unsafe impl<S: Send, R: Send, E: Send> Send for Draft<S, R, E> {}
// SAFETY: nothing can be done through a shared reference.
unsafe impl<S: Send, R: Send, E: Send> Sync for Draft<S, R, E> {}

impl<S, R, E> Draft<S, R, E> {
    pub(crate) fn new(home: &Arc<Channel<S, R, E>>, message: S, terms: Terms) -> Self {
        let memory = Memory {
            withdraw: withdraw::<S, R, E>,
            free: free::<S, R, E>,
        };
        let boxed = Box::new(Boxed {
            // SAFETY: `common` is part of the channel, which `home` keeps alive as long as the slot.
            slot: unsafe { Slot::new(message, terms, home.common(), memory) },
            home: Arc::clone(home),
        });
        Self(NonNull::from(Box::leak(boxed)))
    }

    fn boxed(&self) -> &Boxed<S, R, E> {
        // SAFETY: a draft owns its slot.
        unsafe { self.0.as_ref() }
    }

    pub(crate) fn core(&self) -> &Core<R, E> {
        &self.boxed().slot.core
    }

    pub(crate) fn into_message(self) -> S {
        // SAFETY: a draft owns its slot alone, and its message has not been taken; the slot is freed when `self` is dropped.
        unsafe { self.boxed().slot.message() }
    }

    /// Puts the request in the queue of `home`.
    pub(crate) fn send<X>(
        self,
        home: &Channel<S, R, E>,
        place: Place<'_>,
        report: &Report<S, R, E, X>,
    ) -> Result<Ticket<R, E, X>, (Self, Refusal)> {
        debug_assert!(!self.core().is_post());
        let (slot, wake) = self.offer(home, place)?;
        wake.fire();
        Ok(Ticket {
            core: slot.cast(),
            tell: report.tell,
            error: PhantomData,
        })
    }

    /// Puts a post in the queue of `home`.
    pub(crate) fn post(
        self,
        home: &Channel<S, R, E>,
        place: Place<'_>,
    ) -> Result<(), (Self, Refusal)> {
        debug_assert!(self.core().is_post());
        let (_, wake) = self.offer(home, place)?;
        wake.fire();
        Ok(())
    }

    fn offer(
        self,
        home: &Channel<S, R, E>,
        place: Place<'_>,
    ) -> Result<(NonNull<Boxed<S, R, E>>, Wake), (Self, Refusal)> {
        // Not by way of the slot: a post may be handled and freed before `send` is back.
        debug_assert!(std::ptr::eq(home, &raw const *self.boxed().home));
        let slot = ManuallyDrop::new(self).0;
        // SAFETY: a draft owns its slot alone, so this is its first entry (or its last one is void, as it was refused). The slot
        // stays alive: it is the ticket's until that leaves, or if it is a post, the entry's.
        let entry = unsafe { Entry::new(slot.cast()) };
        match home.send(entry, place) {
            Ok(wake) => Ok((slot, wake)),
            Err(refusal) => Err((Self(slot), refusal)),
        }
    }
}

impl<S, R, E> Drop for Draft<S, R, E> {
    fn drop(&mut self) {
        // SAFETY: a draft owns its slot alone.
        unsafe { Core::<R, E>::free(self.0.cast()) }
    }
}

/// # Safety
/// See [`Memory::withdraw`]; `core` is that of a `Boxed` with these three types.
unsafe fn withdraw<S, R, E>(core: NonNull<Core<R, E>>, why: Untaken) -> bool {
    // SAFETY: it is the first field of the first field of a `Boxed`, which is alive.
    let boxed = unsafe { core.cast::<Boxed<S, R, E>>().as_ref() };
    // SAFETY: alive, and it was sent to this channel.
    unsafe { boxed.home.withdraw(&boxed.slot, why) }
}

/// # Safety
/// See [`Memory::free`]; `core` is that of a `Boxed` with these three types.
unsafe fn free<S, R, E>(core: NonNull<Core<R, E>>) {
    // SAFETY: it came from a `Box` in `Draft::new`, and its only owner gives it up.
    drop(unsafe { Box::from_raw(core.cast::<Boxed<S, R, E>>().as_ptr()) });
}

/// How a caller's end came to its end.
#[derive(Clone, Copy, Debug)]
pub(crate) enum End {
    /// The outcome is in the slot, which is ours.
    Done,
    /// Taken out of the queue: the message is in the slot, which is ours.
    Withdrawn,
    /// A handler has it, and the slot with it.
    Abandoned,
}

/// How the outcome of a request with these types is told to its caller.
pub(crate) struct Report<S, R, E, X> {
    tell: Tell<R, E, X>,
    message: PhantomData<fn(S)>,
}

/// Turns the end of a request into what its caller is told, and frees the slot if it is ours.
///
/// Safety: the core is the caller's end of a slot that was a [`Draft`] with the types of the [`Report`], in the state that `End` says.
type Tell<R, E, X> = unsafe fn(NonNull<Core<R, E>>, End) -> Result<R, X>;

impl<S, R, E> Report<S, R, E, RequestError<S, E>> {
    /// Tells all, with the message if it was not executed.
    pub(crate) const FULL: Self = Self {
        tell: full::<S, R, E>,
        message: PhantomData,
    };
}

impl<S, R, E> Report<S, R, E, Error<E>> {
    /// Tells what there is to tell to a caller that has set no deadline and does not want the message back.
    pub(crate) const PLAIN: Self = Self {
        tell: plain::<S, R, E>,
        message: PhantomData,
    };
}

/// # Safety
/// See [`Tell`].
unsafe fn full<S, R, E>(core: NonNull<Core<R, E>>, end: End) -> Result<R, RequestError<S, E>> {
    if matches!(end, End::Abandoned) {
        return Err(RequestError::TimeoutTaken);
    }
    // The slot is ours alone: as it was before it was sent.
    let draft = Draft::<S, R, E>(core.cast());
    match end {
        End::Withdrawn => Err(RequestError::TimeoutQueued(draft.into_message())),
        // SAFETY: it is done, and told once.
        _ => outcome(unsafe { draft.core().verdict() }, || draft.into_message()),
    }
}

/// # Safety
/// See [`Tell`].
unsafe fn plain<S, R, E>(core: NonNull<Core<R, E>>, end: End) -> Result<R, Error<E>> {
    // SAFETY: as promised by the caller.
    unsafe { full::<S, R, E>(core, end) }.map_err(without_details)
}

/// What the server's end said, in the caller's words.
pub(crate) fn outcome<S, R, E>(
    verdict: Verdict<R, E>,
    message: impl FnOnce() -> S,
) -> Result<R, RequestError<S, E>> {
    Err(match verdict {
        Verdict::Reply(reply) => return Ok(reply),
        Verdict::App(error) => RequestError::App(error),
        Verdict::NoReply(why) => RequestError::NoReply(why),
        Verdict::Overdue => RequestError::TimeoutTaken,
        Verdict::ServerDisappeared => RequestError::ServerDisappeared(message()),
        Verdict::Expired => RequestError::TimeoutQueued(message()),
    })
}

/// The plain error of a request without a deadline that waits for room.
pub(crate) fn without_details<S, E>(error: RequestError<S, E>) -> Error<E> {
    match error {
        RequestError::App(error) => Error::App(error),
        RequestError::NoReply(_) => Error::NoReply,
        RequestError::ServerDisappeared(_) => Error::ServerDisappeared,
        RequestError::TimeoutQueued(_)
        | RequestError::TimeoutTaken
        | RequestError::Full(_)
        | RequestError::NoTimer(..) => unreachable!("it has no deadline and waits for room"),
    }
}

/// The caller's end of a request that was sent. Dropped, it cancels the request.
pub(crate) struct Ticket<R, E, X> {
    core: NonNull<Core<R, E>>,
    tell: Tell<R, E, X>,
    error: PhantomData<X>,
}

// SAFETY: it brings a reply or an error to its thread. The message it may bring back is part of `X`; where it is not (see [`Report::PLAIN`]),
// the one who makes the ticket sees to it that the message can be dropped anywhere.
unsafe impl<R: Send, E: Send, X: Send> Send for Ticket<R, E, X> {}
// SAFETY: through a shared reference only the state word and the fixed terms are read.
unsafe impl<R: Send, E: Send, X: Send> Sync for Ticket<R, E, X> {}

impl<R, E, X> Ticket<R, E, X> {
    pub(crate) fn core(&self) -> &Core<R, E> {
        // SAFETY: alive, as the caller's end has not left.
        unsafe { self.core.as_ref() }
    }

    /// The outcome, which is there.
    pub(crate) fn settle(self) -> Result<R, X> {
        assert!(self.core().is_done());
        let this = ManuallyDrop::new(self);
        // SAFETY: the types are those of the draft (see `Draft::send`), and it is done.
        unsafe { (this.tell)(this.core, End::Done) }
    }

    /// Ends the request because its deadline has passed; unless the outcome was quicker.
    pub(crate) fn time_out(self) -> Result<R, X> {
        let this = ManuallyDrop::new(self);
        let end = this.end(Untaken::Timeout, Ending::TimeoutTaken);
        // SAFETY: the types are those of the draft, and this is how it ended.
        unsafe { (this.tell)(this.core, end) }
    }

    fn end(&self, untaken: Untaken, taken: Ending) -> End {
        if self.core().is_done() {
            return End::Done;
        }
        // SAFETY: the caller's end of a slot on the heap, sent and not abandoned.
        if unsafe { Core::withdraw(self.core, untaken) } {
            return End::Withdrawn;
        }
        // SAFETY: the same; it was not withdrawn.
        let Some(wake) = (unsafe { Core::abandon(self.core, taken) }) else {
            return End::Done;
        };
        wake.fire();
        End::Abandoned
    }
}

impl<R, E, X> Drop for Ticket<R, E, X> {
    fn drop(&mut self) {
        match self.end(Untaken::Cancelled, Ending::CancelledTaken) {
            // SAFETY: the slot is ours alone.
            End::Done | End::Withdrawn => unsafe { Core::free(self.core) },
            End::Abandoned => {}
        }
    }
}
