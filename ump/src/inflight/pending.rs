//! A request on its way: before it is sent, and after.
//!
//! ```text
//!   Draft ──send──► Entry in the queue  +  Ticket in the caller's hands
//!     ▲                                       │
//!     └──────────── refused                   └──► settle, or leave (withdraw, abandon)
//! ```
//!
//! A [`Draft`] owns its slot alone. Sent, it is two ends: see `slot` for who stays last. A post has only one, the queue's.

use std::{
    marker::PhantomData,
    mem::ManuallyDrop,
    panic::Location,
    ptr::{self, NonNull},
    task::Waker,
};

use crate::{
    channel::{Channel, Place, Refusal},
    error::{Error, RequestError},
    inflight::pool::{Nest, Owned},
    slot::{Core, Entry, Slot, Terms, Verdict},
    stats::{Ending, Untaken},
    sync::Arc,
    wait::waiter::Wake,
    waits::{Circle, RequestId},
};

/// A slot for a request whose message is not there yet.
pub(crate) struct Blank<S, R, E>(Owned<S, R, E>);

// SAFETY: as for a draft; there is no message in it.
unsafe impl<S: Send, R: Send, E: Send> Send for Blank<S, R, E> {}
// SAFETY: the same; through a shared reference only its address is taken.
unsafe impl<S: Send, R: Send, E: Send> Sync for Blank<S, R, E> {}

impl<S, R, E> Blank<S, R, E> {
    pub(crate) fn new(home: &Arc<Nest<S, R, E>>) -> Self {
        Self(Nest::take(home))
    }

    pub(crate) fn id(&self) -> RequestId {
        self.0.slot().core.id()
    }

    pub(crate) fn fill(self, message: S, caller: &'static Location<'static>) -> Draft<S, R, E> {
        Draft::fill(self.0, message, caller)
    }
}

/// A request that has not been sent.
pub(crate) struct Draft<S, R, E>(ManuallyDrop<Owned<S, R, E>>);

// SAFETY: it owns a message, and an `Arc` of a channel that can be shared if these three can be sent.
unsafe impl<S: Send, R: Send, E: Send> Send for Draft<S, R, E> {}
// SAFETY: through a shared reference only the state word and the fixed terms are read.
unsafe impl<S: Send, R: Send, E: Send> Sync for Draft<S, R, E> {}

impl<S, R, E> Draft<S, R, E> {
    #[inline]
    pub(crate) fn new(
        home: &Arc<Nest<S, R, E>>,
        message: S,
        caller: &'static Location<'static>,
    ) -> Self {
        Self::fill(Nest::take(home), message, caller)
    }

    #[inline]
    fn fill(slot: Owned<S, R, E>, message: S, caller: &'static Location<'static>) -> Self {
        // SAFETY: it is ours alone, and empty.
        unsafe { slot.slot().fill(message, caller) };
        Self(ManuallyDrop::new(slot))
    }

    #[inline]
    pub(crate) fn set_terms(&mut self, terms: Terms) {
        // SAFETY: it is ours alone.
        unsafe { self.core().set_terms(terms) };
    }

    pub(crate) fn set_caller(&mut self, caller: &'static Location<'static>) {
        // SAFETY: it is ours alone.
        unsafe { self.core().set_origin(caller) };
    }

    #[inline]
    pub(crate) fn core(&self) -> &Core<R, E> {
        &self.0.slot().core
    }

    /// Whether the outcome may be there as soon as others have run, so that it is better not armed.
    #[inline]
    pub(crate) fn is_to_be_awaited_awake(&self) -> bool {
        let core = self.core();
        core.is_hot() || (core.deadline().is_none() && core.common().waits.deferrals.is_worth_it())
    }

    /// Leaves word whom to wake when the outcome is there.
    pub(crate) fn arm(&mut self, waker: &Waker) {
        // SAFETY: it is ours alone.
        unsafe { self.core().arm(waker) };
    }

    #[inline]
    pub(crate) fn into_message(self) -> S {
        let slot = self.into_owned();
        // SAFETY: a draft has a message.
        unsafe { slot.message() }
    }

    #[inline]
    fn into_owned(self) -> Owned<S, R, E> {
        let mut this = ManuallyDrop::new(self);
        // SAFETY: `this` is not used after this.
        unsafe { ManuallyDrop::take(&mut this.0) }
    }

    /// Puts the request in the queue of `home`, or hands it to its hotline.
    #[inline]
    pub(crate) fn send<X>(
        self,
        home: &Channel<S, R, E>,
        place: Place<'_>,
        report: &Report<S, R, E, X>,
    ) -> Result<Ticket<R, E, X>, (Self, Refusal)> {
        debug_assert!(!self.core().is_post());
        // SAFETY: it is ours alone.
        unsafe { self.core().note_entry() };
        // SAFETY: it is ours alone, with a message in it.
        let slot = if !place.has_room() && unsafe { home.call(self.core()) } {
            self.into_owned().into_slot()
        } else {
            let (slot, wake) = self.offer(home, place)?;
            wake.fire();
            slot
        };
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
        // SAFETY: it is ours alone.
        unsafe { self.core().note_entry() };
        let Terms { lane, deadline, .. } = self.core().terms();
        let (_, wake) = self.offer(home, place)?;
        wake.fire();
        if deadline.is_some() {
            home.note_timed_post(lane);
        }
        Ok(())
    }

    #[inline]
    fn offer(
        self,
        home: &Channel<S, R, E>,
        place: Place<'_>,
    ) -> Result<(NonNull<Slot<S, R, E>>, Wake), (Self, Refusal)> {
        let slot = self.into_owned().into_slot();
        // SAFETY: a draft owns its slot alone, so this is the only entry (or the one before is void, as it was refused). The slot
        // stays alive: it is the ticket's until that leaves, or if it is a post, the entry's.
        let entry = unsafe { Entry::new(slot) };
        match home.send(entry, place) {
            Ok(wake) => Ok((slot, wake)),
            Err(refusal) => {
                // SAFETY: refused, so the slot is ours again.
                let slot = unsafe { Owned::from_core(slot.cast()) };
                Err((Self(ManuallyDrop::new(slot)), refusal))
            }
        }
    }
}

impl<S, R, E> Drop for Draft<S, R, E> {
    fn drop(&mut self) {
        // SAFETY: it is not used after this, and a draft has a message.
        unsafe {
            Core::discard(
                ManuallyDrop::take(&mut self.0)
                    .into_slot()
                    .cast::<Core<R, E>>(),
            );
        }
    }
}

/// How a caller's end came to its end.
#[derive(Debug)]
pub(crate) enum End {
    /// The outcome is in the slot, which is ours.
    Done,
    /// Taken out of the queue: the message is in the slot, which is ours.
    Withdrawn(Why),
    /// A handler has it, and the slot with it.
    Abandoned(Why),
}

/// Why a caller leaves before there is an outcome.
#[derive(Debug)]
pub(crate) enum Why {
    Late,
    /// It would wait for itself.
    WouldDeadlock(Circle),
    /// It does not want to know any more.
    Cancelled,
}

impl Why {
    fn untaken(&self) -> Untaken {
        match self {
            Self::Late => Untaken::Timeout,
            Self::WouldDeadlock(_) => Untaken::WouldDeadlock,
            Self::Cancelled => Untaken::Cancelled,
        }
    }

    fn taken(&self) -> Ending {
        match self {
            Self::Late => Ending::TimeoutTaken,
            Self::WouldDeadlock(_) => Ending::WouldDeadlock,
            Self::Cancelled => Ending::CancelledTaken,
        }
    }

    /// What one who is told hears, if the request was still queued.
    fn withdrawn<S, E>(self, message: S) -> RequestError<S, E> {
        match self {
            Self::WouldDeadlock(circle) => RequestError::WouldDeadlock(message, circle),
            Self::Late | Self::Cancelled => RequestError::TimeoutQueued(message),
        }
    }

    /// The same, if a handler had it.
    fn abandoned<S, E>(self) -> RequestError<S, E> {
        match self {
            Self::WouldDeadlock(circle) => RequestError::WouldDeadlockTaken(circle),
            Self::Late | Self::Cancelled => RequestError::TimeoutTaken,
        }
    }
}

/// What a caller is told if there is no reply.
pub(crate) trait Regret<S, E> {
    fn new(error: RequestError<S, E>) -> Self;
}

/// All, with the message if it was not executed.
impl<S, E> Regret<S, E> for RequestError<S, E> {
    #[inline]
    fn new(error: Self) -> Self {
        error
    }
}

/// What there is to tell to a caller that has set no deadline and does not want the message back.
impl<S, E> Regret<S, E> for Error<E> {
    #[inline]
    fn new(error: RequestError<S, E>) -> Self {
        without_details(error)
    }
}

/// How the outcome of a request with these types is told to its caller.
pub(crate) struct Report<S, R, E, X> {
    tell: Tell<R, E, X>,
    message: PhantomData<fn(S)>,
}

/// Turns the end of a request into what its caller is told, and lets go of the slot if it is ours.
///
/// Safety: the core is the caller's end of a slot that was a [`Draft`] with the types of the [`Report`], in the state that `End` says.
type Tell<R, E, X> = unsafe fn(NonNull<Core<R, E>>, End) -> Result<R, X>;

impl<S, R, E, X: Regret<S, E>> Report<S, R, E, X> {
    /// To whom it may concern.
    pub(crate) const FREE: Self = Self {
        tell: tell::<S, R, E, X>,
        message: PhantomData,
    };

    /// To one who borrows the client, or owns it, until it is told. (Otherwise the slot would be lost.)
    pub(crate) const BORROWING: Self = Self {
        tell: tell_borrower::<S, R, E, X>,
        message: PhantomData,
    };
}

/// # Safety
/// See [`Tell`].
unsafe fn tell<S, R, E, X: Regret<S, E>>(core: NonNull<Core<R, E>>, end: End) -> Result<R, X> {
    if let End::Abandoned(why) = end {
        return Err(X::new(why.abandoned()));
    }
    // SAFETY: the slot is ours alone.
    let slot = unsafe { Owned::<S, R, E>::from_core(core) };
    // SAFETY: it is in the state that `end` says.
    unsafe { read(&slot, end) }
}

/// # Safety
/// See [`Tell`].
#[inline]
unsafe fn tell_borrower<S, R, E, X: Regret<S, E>>(
    core: NonNull<Core<R, E>>,
    end: End,
) -> Result<R, X> {
    /// Puts it back when what it held is where it belongs.
    struct Used<S, R, E>(ManuallyDrop<Owned<S, R, E>>);

    impl<S, R, E> Drop for Used<S, R, E> {
        #[inline]
        fn drop(&mut self) {
            // SAFETY: it is not used after this.
            unsafe { ManuallyDrop::take(&mut self.0) }.put_back();
        }
    }

    if let End::Abandoned(why) = end {
        return Err(X::new(why.abandoned()));
    }
    // SAFETY: the slot is ours alone.
    let slot = Used(ManuallyDrop::new(unsafe {
        Owned::<S, R, E>::from_core(core)
    }));
    // SAFETY: it is in the state that `end` says.
    unsafe { read(&slot.0, end) }
}

/// # Safety
/// The slot is in the state that `end` says, which is not `Abandoned`. Afterwards it is empty.
#[inline]
unsafe fn read<S, R, E, X: Regret<S, E>>(slot: &Owned<S, R, E>, end: End) -> Result<R, X> {
    if let End::Withdrawn(why) = end {
        // SAFETY: nobody took the message.
        let message = unsafe { slot.message() };
        return Err(X::new(why.withdrawn(message)));
    }
    // SAFETY: it is done, and told once. It is read where it is, as a reply may be large.
    unsafe {
        slot.with_verdict(|verdict| {
            Err(X::new(match verdict {
                Verdict::Reply(reply) => return Ok(ptr::read(reply)),
                Verdict::App(error) => RequestError::App(ptr::read(error)),
                Verdict::NoReply(why) => RequestError::NoReply(ptr::read(why)),
                Verdict::Overdue => RequestError::TimeoutTaken,
                // Nobody took the message.
                Verdict::ServerDisappeared => RequestError::ServerDisappeared(slot.message()),
                Verdict::Expired => RequestError::TimeoutQueued(slot.message()),
            }))
        })
    }
}

/// The plain error of a request that waits for room, with no deadline but its client's default.
#[inline]
pub(crate) fn without_details<S, E>(error: RequestError<S, E>) -> Error<E> {
    match error {
        RequestError::App(error) => Error::App(error),
        // It has nothing better for one who would wait for itself or has waited long enough; and as to whether it was executed, this
        // promises nothing.
        RequestError::NoReply(_)
        | RequestError::WouldDeadlock(..)
        | RequestError::WouldDeadlockTaken(_)
        | RequestError::TimeoutQueued(_)
        | RequestError::TimeoutTaken
        | RequestError::NoTimer(..) => Error::NoReply,
        RequestError::ServerDisappeared(_) => Error::ServerDisappeared,
        RequestError::Full(_) => unreachable!("it waits for room"),
    }
}

/// The caller's end of a request that was sent. Dropped, it cancels the request.
pub(crate) struct Ticket<R, E, X> {
    core: NonNull<Core<R, E>>,
    tell: Tell<R, E, X>,
    error: PhantomData<X>,
}

// SAFETY: it brings a reply or an error to its thread. The message it may bring back is part of `X`; where it is not (a plain [`Error`]),
// the one who makes the ticket sees to it that the message can be dropped anywhere.
unsafe impl<R: Send, E: Send, X: Send> Send for Ticket<R, E, X> {}
// SAFETY: through a shared reference only the state word and the fixed terms are read.
unsafe impl<R: Send, E: Send, X: Send> Sync for Ticket<R, E, X> {}

impl<R, E, X> Ticket<R, E, X> {
    #[inline]
    pub(crate) fn core(&self) -> &Core<R, E> {
        // SAFETY: alive, as the caller's end has not left.
        unsafe { self.core.as_ref() }
    }

    /// The outcome, which is there.
    #[inline]
    pub(crate) fn settle(self) -> Result<R, X> {
        assert!(self.core().is_done());
        let this = ManuallyDrop::new(self);
        // SAFETY: the types are those of the draft (see `Draft::send`), and it is done.
        unsafe { (this.tell)(this.core, End::Done) }
    }

    /// Ends the request, unless the outcome was quicker.
    pub(crate) fn leave(self, why: Why) -> Result<R, X> {
        let this = ManuallyDrop::new(self);
        let end = this.end(why);
        // SAFETY: the types are those of the draft, and this is how it ended.
        unsafe { (this.tell)(this.core, end) }
    }

    fn end(&self, why: Why) -> End {
        if self.core().is_done() {
            return End::Done;
        }
        // SAFETY: the caller's end of a slot that was sent and not abandoned.
        if unsafe { Core::withdraw(self.core, why.untaken()) } {
            return End::Withdrawn(why);
        }
        // SAFETY: the same; it was not withdrawn.
        let Some(wake) = (unsafe { Core::abandon(self.core, why.taken()) }) else {
            return End::Done;
        };
        wake.fire();
        End::Abandoned(why)
    }
}

impl<R, E, X> Drop for Ticket<R, E, X> {
    fn drop(&mut self) {
        match self.end(Why::Cancelled) {
            // SAFETY: the slot is ours alone; there is an outcome in it, and the message if that says so.
            End::Done => unsafe {
                let verdict = self.core().verdict();
                if verdict.is_untaken() {
                    Core::discard(self.core);
                } else {
                    Core::release(self.core);
                }
            },
            // SAFETY: the slot is ours alone, and nobody took the message.
            End::Withdrawn(_) => unsafe { Core::discard(self.core) },
            End::Abandoned(_) => {}
        }
    }
}
