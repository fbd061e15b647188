//! A request on its way: before it is sent, and after.
//!
//! ```text
//!   Draft ──send──► Entry in the queue  +  Ticket in the caller's hands
//!     ▲                                       │
//!     └──────────── refused                   └──► settle, or leave (withdraw, abandon)
//! ```
//!
//! An [`UnsentRequest`] owns its slot alone. Sent, it is two ends: see `slot` for who stays last. A post has only one, the queue's.

use std::{
    marker::PhantomData,
    mem::ManuallyDrop,
    panic::Location,
    ptr::{self, NonNull},
    task::Waker,
};

use crate::{
    channel::Channel,
    channel::admission::Refusal,
    channel::queue::WaitMode,
    error::Error,
    error::cycle::Cycle,
    error::request_error::RequestError,
    hooks::RequestId,
    inflight::pool::{OwnedSlot, SlotPool},
    options::RequestOptions,
    slot::completion::Completion,
    slot::server::Entry,
    slot::{Slot, SlotCore},
    stats::{Ending, Untaken},
    sync::Arc,
    wait::waiter::DeferredWake,
};

/// A slot for a request whose message is not there yet.
pub(crate) struct EmptySlot<S, R, E>(OwnedSlot<S, R, E>);

// SAFETY: as for an unsent request; there is no message in it.
unsafe impl<S: Send, R: Send, E: Send> Send for EmptySlot<S, R, E> {}
// SAFETY: the same; through a shared reference only its address is taken.
unsafe impl<S: Send, R: Send, E: Send> Sync for EmptySlot<S, R, E> {}

impl<S, R, E> EmptySlot<S, R, E> {
    pub(crate) fn new(home: &Arc<SlotPool<S, R, E>>) -> Self {
        Self(SlotPool::take(home))
    }

    pub(crate) fn id(&self) -> RequestId {
        self.0.slot().core.id()
    }

    pub(crate) fn fill(
        self,
        message: S,
        caller: &'static Location<'static>,
    ) -> UnsentRequest<S, R, E> {
        UnsentRequest::fill(self.0, message, caller)
    }
}

/// A request that has not been sent.
pub(crate) struct UnsentRequest<S, R, E>(ManuallyDrop<OwnedSlot<S, R, E>>);

// SAFETY: it owns a message, and an `Arc` of a channel that can be shared if these three can be sent.
unsafe impl<S: Send, R: Send, E: Send> Send for UnsentRequest<S, R, E> {}
// SAFETY: through a shared reference only the state word and the fixed options are read.
unsafe impl<S: Send, R: Send, E: Send> Sync for UnsentRequest<S, R, E> {}

impl<S, R, E> UnsentRequest<S, R, E> {
    #[inline]
    pub(crate) fn new(
        home: &Arc<SlotPool<S, R, E>>,
        message: S,
        caller: &'static Location<'static>,
    ) -> Self {
        Self::fill(SlotPool::take(home), message, caller)
    }

    #[inline]
    fn fill(slot: OwnedSlot<S, R, E>, message: S, caller: &'static Location<'static>) -> Self {
        // SAFETY: it is ours alone, and empty.
        unsafe { slot.slot().fill(message, caller) };
        Self(ManuallyDrop::new(slot))
    }

    #[inline]
    pub(crate) fn set_options(&mut self, options: RequestOptions) {
        // SAFETY: it is ours alone.
        unsafe { self.core().set_options(options) };
    }

    pub(crate) fn set_caller(&mut self, caller: &'static Location<'static>) {
        // SAFETY: it is ours alone.
        unsafe { self.core().set_origin(caller) };
    }

    #[inline]
    pub(crate) fn core(&self) -> &SlotCore<R, E> {
        &self.0.slot().core
    }

    /// Whether the outcome may be there as soon as others have run, so that it is better not armed.
    #[inline]
    pub(crate) fn is_to_be_awaited_awake(&self) -> bool {
        let core = self.core();
        core.is_armed()
            || (core.deadline().is_none() && core.shared().wait_policy.yields.is_worth_it())
    }

    /// Leaves word whom to wake when the outcome is there.
    pub(crate) fn preregister(&mut self, waker: &Waker) {
        // SAFETY: it is ours alone.
        unsafe { self.core().preregister(waker) };
    }

    #[inline]
    pub(crate) fn into_message(self) -> S {
        let slot = self.into_owned();
        // SAFETY: an unsent request has a message.
        unsafe { slot.message() }
    }

    #[inline]
    fn into_owned(self) -> OwnedSlot<S, R, E> {
        let mut this = ManuallyDrop::new(self);
        // SAFETY: `this` is not used after this.
        unsafe { ManuallyDrop::take(&mut this.0) }
    }

    /// Puts the request in the queue of `home`, or hands it to its handoff.
    #[inline]
    pub(crate) fn send<X>(
        self,
        home: &Channel<S, R, E>,
        mode: WaitMode<'_>,
        report: &OutcomeVtable<S, R, E, X>,
    ) -> Result<PendingRequest<R, E, X>, (Self, Refusal)> {
        debug_assert!(!self.core().is_post());
        // SAFETY: it is ours alone.
        unsafe { self.core().note_entry() };
        // SAFETY: it is ours alone, with a message in it.
        let slot = if !mode.has_room() && unsafe { home.hand_over(self.core()) } {
            self.into_owned().into_slot()
        } else {
            let (slot, wake) = self.offer(home, mode)?;
            wake.fire();
            slot
        };
        Ok(PendingRequest {
            core: slot.cast(),
            deliver: report.deliver,
            error: PhantomData,
        })
    }

    /// Puts a post in the queue of `home`.
    pub(crate) fn post(
        self,
        home: &Channel<S, R, E>,
        mode: WaitMode<'_>,
    ) -> Result<(), (Self, Refusal)> {
        debug_assert!(self.core().is_post());
        // SAFETY: it is ours alone.
        unsafe { self.core().note_entry() };
        let RequestOptions { lane, deadline, .. } = self.core().options();
        let (_, wake) = self.offer(home, mode)?;
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
        mode: WaitMode<'_>,
    ) -> Result<(NonNull<Slot<S, R, E>>, DeferredWake), (Self, Refusal)> {
        let slot = self.into_owned().into_slot();
        // SAFETY: an unsent request owns its slot alone, so this is the only entry (or the one before is void, as it was refused). The slot
        // stays alive: it is the pending request's until that leaves, or if it is a post, the entry's.
        let entry = unsafe { Entry::new(slot) };
        match home.send(entry, mode) {
            Ok(wake) => Ok((slot, wake)),
            Err(refusal) => {
                // SAFETY: refused, so the slot is ours again.
                let slot = unsafe { OwnedSlot::from_core(slot.cast()) };
                Err((Self(ManuallyDrop::new(slot)), refusal))
            }
        }
    }
}

impl<S, R, E> Drop for UnsentRequest<S, R, E> {
    fn drop(&mut self) {
        // SAFETY: it is not used after this, and an unsent request has a message.
        unsafe {
            SlotCore::discard(
                ManuallyDrop::take(&mut self.0)
                    .into_slot()
                    .cast::<SlotCore<R, E>>(),
            );
        }
    }
}

/// How a caller's end came to its end.
#[derive(Debug)]
pub(crate) enum Exit {
    /// The outcome is in the slot, which is ours.
    Done,
    /// Taken out of the queue: the message is in the slot, which is ours.
    Withdrawn(ExitReason),
    /// A handler has it, and the slot with it.
    Abandoned(ExitReason),
}

/// Why a caller leaves before there is an outcome.
#[derive(Debug)]
pub(crate) enum ExitReason {
    TimedOut,
    /// It would wait for itself.
    WouldDeadlock(Cycle),
    /// It does not want to know any more.
    Cancelled,
}

impl ExitReason {
    fn untaken(&self) -> Untaken {
        match self {
            Self::TimedOut => Untaken::Timeout,
            Self::WouldDeadlock(_) => Untaken::WouldDeadlock,
            Self::Cancelled => Untaken::Cancelled,
        }
    }

    fn taken(&self) -> Ending {
        match self {
            Self::TimedOut => Ending::TimeoutTaken,
            Self::WouldDeadlock(_) => Ending::WouldDeadlock,
            Self::Cancelled => Ending::CancelledTaken,
        }
    }

    /// What one who is told hears, if the request was still queued.
    fn withdrawn<S, E>(self, message: S) -> RequestError<S, E> {
        match self {
            Self::WouldDeadlock(cycle) => RequestError::WouldDeadlock(message, cycle),
            Self::TimedOut | Self::Cancelled => RequestError::TimeoutQueued(message),
        }
    }

    /// The same, if a handler had it.
    fn abandoned<S, E>(self) -> RequestError<S, E> {
        match self {
            Self::WouldDeadlock(cycle) => RequestError::WouldDeadlockTaken(cycle),
            Self::TimedOut | Self::Cancelled => RequestError::TimeoutTaken,
        }
    }
}

/// What a caller is told if there is no reply.
pub(crate) trait FromRequestError<S, E> {
    fn new(error: RequestError<S, E>) -> Self;
}

/// All, with the message if it was not executed.
impl<S, E> FromRequestError<S, E> for RequestError<S, E> {
    #[inline]
    fn new(error: Self) -> Self {
        error
    }
}

/// What there is to tell to a caller that has set no deadline and does not want the message back.
impl<S, E> FromRequestError<S, E> for Error<E> {
    #[inline]
    fn new(error: RequestError<S, E>) -> Self {
        without_details(error)
    }
}

/// How the outcome of a request with these types is told to its caller.
pub(crate) struct OutcomeVtable<S, R, E, X> {
    deliver: OutcomeFn<R, E, X>,
    message: PhantomData<fn(S)>,
}

/// Turns the end of a request into what its caller is told, and lets go of the slot if it is ours.
///
/// Safety: the core is the caller's end of a slot that was an [`UnsentRequest`] with the types of the [`OutcomeVtable`], in the state that `Exit` says.
type OutcomeFn<R, E, X> = unsafe fn(NonNull<SlotCore<R, E>>, Exit) -> Result<R, X>;

impl<S, R, E, X: FromRequestError<S, E>> OutcomeVtable<S, R, E, X> {
    /// To whom it may concern.
    pub(crate) const DETACHED: Self = Self {
        deliver: deliver::<S, R, E, X>,
        message: PhantomData,
    };

    /// To one who borrows the client, or owns it, until it is told. (Otherwise the slot would be lost.)
    pub(crate) const BORROWED: Self = Self {
        deliver: deliver_to_borrower::<S, R, E, X>,
        message: PhantomData,
    };
}

/// # Safety
/// See [`OutcomeFn`].
unsafe fn deliver<S, R, E, X: FromRequestError<S, E>>(
    core: NonNull<SlotCore<R, E>>,
    end: Exit,
) -> Result<R, X> {
    if let Exit::Abandoned(why) = end {
        return Err(X::new(why.abandoned()));
    }
    // SAFETY: the slot is ours alone.
    let slot = unsafe { OwnedSlot::<S, R, E>::from_core(core) };
    // SAFETY: it is in the state that `end` says.
    unsafe { read(&slot, end) }
}

/// # Safety
/// See [`OutcomeFn`].
#[inline]
unsafe fn deliver_to_borrower<S, R, E, X: FromRequestError<S, E>>(
    core: NonNull<SlotCore<R, E>>,
    end: Exit,
) -> Result<R, X> {
    /// Puts it back when what it held is where it belongs.
    struct Used<S, R, E>(ManuallyDrop<OwnedSlot<S, R, E>>);

    impl<S, R, E> Drop for Used<S, R, E> {
        #[inline]
        fn drop(&mut self) {
            // SAFETY: it is not used after this.
            unsafe { ManuallyDrop::take(&mut self.0) }.put_back();
        }
    }

    if let Exit::Abandoned(why) = end {
        return Err(X::new(why.abandoned()));
    }
    // SAFETY: the slot is ours alone.
    let slot = Used(ManuallyDrop::new(unsafe {
        OwnedSlot::<S, R, E>::from_core(core)
    }));
    // SAFETY: it is in the state that `end` says.
    unsafe { read(&slot.0, end) }
}

/// # Safety
/// The slot is in the state that `end` says, which is not `Abandoned`. Afterwards it is empty.
#[inline]
unsafe fn read<S, R, E, X: FromRequestError<S, E>>(
    slot: &OwnedSlot<S, R, E>,
    end: Exit,
) -> Result<R, X> {
    if let Exit::Withdrawn(why) = end {
        // SAFETY: nobody took the message.
        let message = unsafe { slot.message() };
        return Err(X::new(why.withdrawn(message)));
    }
    // SAFETY: it is done, and told once. It is read where it is, as a reply may be large.
    unsafe {
        slot.with_completion(|completion| {
            Err(X::new(match completion {
                Completion::Reply(reply) => return Ok(ptr::read(reply)),
                Completion::App(error) => RequestError::App(ptr::read(error)),
                Completion::NoReply(why) => RequestError::NoReply(ptr::read(why)),
                Completion::Overdue => RequestError::TimeoutTaken,
                // Nobody took the message.
                Completion::ServerDisappeared => RequestError::ServerDisappeared(slot.message()),
                Completion::Expired => RequestError::TimeoutQueued(slot.message()),
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
pub(crate) struct PendingRequest<R, E, X> {
    core: NonNull<SlotCore<R, E>>,
    deliver: OutcomeFn<R, E, X>,
    error: PhantomData<X>,
}

// SAFETY: it brings a reply or an error to its thread. The message it may bring back is part of `X`; where it is not (a plain [`Error`]),
// the one who makes the pending request sees to it that the message can be dropped anywhere.
unsafe impl<R: Send, E: Send, X: Send> Send for PendingRequest<R, E, X> {}
// SAFETY: through a shared reference only the state word and the fixed options are read.
unsafe impl<R: Send, E: Send, X: Send> Sync for PendingRequest<R, E, X> {}

impl<R, E, X> PendingRequest<R, E, X> {
    #[inline]
    pub(crate) fn core(&self) -> &SlotCore<R, E> {
        // SAFETY: alive, as the caller's end has not left.
        unsafe { self.core.as_ref() }
    }

    /// The outcome, which is there.
    #[inline]
    pub(crate) fn settle(self) -> Result<R, X> {
        assert!(self.core().is_done());
        let this = ManuallyDrop::new(self);
        // SAFETY: the types are those of the unsent request (see `UnsentRequest::send`), and it is done.
        unsafe { (this.deliver)(this.core, Exit::Done) }
    }

    /// Ends the request, unless the outcome was quicker.
    pub(crate) fn leave(self, why: ExitReason) -> Result<R, X> {
        let this = ManuallyDrop::new(self);
        let end = this.end(why);
        // SAFETY: the types are those of the unsent request, and this is how it ended.
        unsafe { (this.deliver)(this.core, end) }
    }

    fn end(&self, why: ExitReason) -> Exit {
        if self.core().is_done() {
            return Exit::Done;
        }
        // SAFETY: the caller's end of a slot that was sent and not abandoned.
        if unsafe { SlotCore::withdraw(self.core, why.untaken()) } {
            return Exit::Withdrawn(why);
        }
        // SAFETY: the same; it was not withdrawn.
        let Some(wake) = (unsafe { SlotCore::abandon(self.core, why.taken()) }) else {
            return Exit::Done;
        };
        wake.fire();
        Exit::Abandoned(why)
    }
}

impl<R, E, X> Drop for PendingRequest<R, E, X> {
    fn drop(&mut self) {
        match self.end(ExitReason::Cancelled) {
            // SAFETY: the slot is ours alone; there is an outcome in it, and the message if that says so.
            Exit::Done => unsafe {
                let completion = self.core().completion();
                if completion.is_untaken() {
                    SlotCore::discard(self.core);
                } else {
                    SlotCore::release(self.core);
                }
            },
            // SAFETY: the slot is ours alone, and nobody took the message.
            Exit::Withdrawn(_) => unsafe { SlotCore::discard(self.core) },
            Exit::Abandoned(_) => {}
        }
    }
}
