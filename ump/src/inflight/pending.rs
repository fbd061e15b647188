//! A request before it is sent, and after.
//!
//! ```text
//!   UnsentRequest ──send──► Entry in the queue  +  PendingRequest in the caller's hands
//!         ▲                                               │
//!         └──────────── refused                           └──► settle, or leave (withdraw, abandon)
//! ```
//!
//! An [`UnsentRequest`] owns its slot alone. Once it is sent, two ends share the slot: see `slot`
//! for the end that owns it at last. A post has only the queue's end. The file is long because both
//! types rely on the same invariants.
//!
//! # Invariants
//!
//! 1. An [`EmptySlot`] owns its slot alone, and the slot is empty. An [`UnsentRequest`] owns its
//!    slot alone, and its message is in the slot. (Invariants 7 and 1 of the slot.)
//! 2. A [`PendingRequest`] is the only caller's end of a slot that was sent and not abandoned. Its
//!    `deliver` is that of an [`OutcomeVtable`] whose message type `S` is the slot's.
//! 3. After `Exit::Done` or `Exit::Withdrawn` the caller's end owns the slot alone. With
//!    `Withdrawn` the message is in the slot. With `Done` a completion is in it, and also the
//!    message if the completion [is untaken](Completion::is_untaken). After `Exit::Abandoned` the
//!    caller's end makes no access (invariant 5 of the slot).
//! 4. A value in a `ManuallyDrop` is moved out once: by the function that consumes its holder, or
//!    by the holder's `drop`.

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

// SAFETY: as for `UnsentRequest`, and there is no message in the slot (invariant 1).
unsafe impl<S: Send, R: Send, E: Send> Send for EmptySlot<S, R, E> {}
// SAFETY: through a shared reference only the address of the slot is taken. The slot is owned alone
// (invariant 1), so no other thread touches it.
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

// SAFETY: it owns a slot alone (invariant 1), with a message, which is `Send`, and an `Arc` of a
// pool and thereby of a channel, which can be shared between threads if these three types are
// `Send`.
unsafe impl<S: Send, R: Send, E: Send> Send for UnsentRequest<S, R, E> {}
// SAFETY: through a shared reference only the state word, which is atomic, and the options are
// read. The options change only through a unique reference (`set_options`, invariant 1).
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
        // SAFETY: an `OwnedSlot` owns its slot alone, and it comes from the pool or an `EmptySlot`,
        // so it is empty (invariant 1, and invariant 2 of the pool).
        unsafe { slot.slot().fill(message, caller) };
        Self(ManuallyDrop::new(slot))
    }

    #[inline]
    pub(crate) fn set_options(&mut self, options: RequestOptions) {
        // SAFETY: invariant 1: `self` owns the slot alone, and it is a unique reference.
        unsafe { self.core().set_options(options) };
    }

    pub(crate) fn set_caller(&mut self, caller: &'static Location<'static>) {
        // SAFETY: invariant 1: `self` owns the slot alone, and it is a unique reference.
        unsafe { self.core().set_origin(caller) };
    }

    #[inline]
    pub(crate) fn core(&self) -> &SlotCore<R, E> {
        &self.0.slot().core
    }

    /// Returns whether the outcome may be there as soon as other tasks have run, so that its caller
    /// had better not register a waker.
    #[inline]
    pub(crate) fn is_to_be_awaited_awake(&self) -> bool {
        let core = self.core();
        core.is_armed()
            || (core.deadline().is_none() && core.shared().wait_policy.yields.is_worth_it())
    }

    /// Registers the waker for the outcome.
    pub(crate) fn preregister(&mut self, waker: &Waker) {
        // SAFETY: invariant 1: `self` owns the slot alone, and it is a unique reference.
        unsafe { self.core().preregister(waker) };
    }

    #[inline]
    pub(crate) fn into_message(self) -> S {
        let slot = self.into_owned();
        // SAFETY: invariant 1: the message is in the slot. The `OwnedSlot` that is left does not
        // touch it.
        unsafe { slot.message() }
    }

    #[inline]
    fn into_owned(self) -> OwnedSlot<S, R, E> {
        let mut this = ManuallyDrop::new(self);
        // SAFETY: invariant 4: `this` was moved into a `ManuallyDrop`, so its `drop` does not run,
        // and nothing uses it after this.
        unsafe { ManuallyDrop::take(&mut this.0) }
    }

    /// Puts the request in the queue of `home`, or hands it over to a receiver directly.
    #[inline]
    pub(crate) fn send<X>(
        self,
        home: &Channel<S, R, E>,
        mode: WaitMode<'_>,
        report: &OutcomeVtable<S, R, E, X>,
    ) -> Result<PendingRequest<R, E, X>, (Self, Refusal)> {
        debug_assert!(!self.core().is_post());
        // SAFETY: invariant 1: `self` owns the slot alone.
        unsafe { self.core().note_entry() };
        // SAFETY: invariant 1: `self` owns the slot alone, with the message in it. It is no post,
        // as asserted above.
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
        // SAFETY: invariant 1: `self` owns the slot alone.
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
        // SAFETY: invariant 1: the request owned its slot alone, with the message in it, so this is
        // the only entry. (If the request was refused before, the entry of that attempt is void.)
        // The slot stays alive: the caller's end keeps it until the pending request leaves; a post
        // belongs to the entry.
        let entry = unsafe { Entry::new(slot) };
        match home.send(entry, mode) {
            Ok(wake) => Ok((slot, wake)),
            Err(refusal) => {
                // SAFETY: the channel refused the request, so its entry is void and this end owns
                // the slot alone again (invariant 7 of the slot). The slot came out of `into_slot`
                // above.
                let slot = unsafe { OwnedSlot::from_core(slot.cast()) };
                Err((Self(ManuallyDrop::new(slot)), refusal))
            }
        }
    }
}

impl<S, R, E> Drop for UnsentRequest<S, R, E> {
    fn drop(&mut self) {
        // SAFETY: invariant 4: nothing uses `self.0` after this. Invariant 1: the request owns its
        // slot alone, and there is a message but no outcome in it.
        unsafe {
            SlotCore::discard(
                ManuallyDrop::take(&mut self.0)
                    .into_slot()
                    .cast::<SlotCore<R, E>>(),
            );
        }
    }
}

/// How the caller's end of a request came to its end.
#[derive(Debug)]
pub(crate) enum Exit {
    /// The outcome is in the slot, which the caller's end owns alone.
    Done,
    /// The request was withdrawn: the message is in the slot, which the caller's end owns alone.
    Withdrawn(ExitReason),
    /// The request was taken, and the slot is the server's end's.
    Abandoned(ExitReason),
}

/// Why a caller leaves before there is an outcome.
#[derive(Debug)]
pub(crate) enum ExitReason {
    TimedOut,
    /// The caller would wait for itself.
    WouldDeadlock(Cycle),
    /// The caller does not want the outcome any more.
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

    /// Returns the caller's error if the request was still queued.
    fn withdrawn<S, E>(self, message: S) -> RequestError<S, E> {
        match self {
            Self::WouldDeadlock(cycle) => RequestError::WouldDeadlock(message, cycle),
            Self::TimedOut | Self::Cancelled => RequestError::TimeoutQueued(message),
        }
    }

    /// Returns the caller's error if a handler had the request.
    fn abandoned<S, E>(self) -> RequestError<S, E> {
        match self {
            Self::WouldDeadlock(cycle) => RequestError::WouldDeadlockTaken(cycle),
            Self::TimedOut | Self::Cancelled => RequestError::TimeoutTaken,
        }
    }
}

/// An error that a caller gets if there is no reply.
pub(crate) trait FromRequestError<S, E> {
    fn new(error: RequestError<S, E>) -> Self;
}

/// Keeps every detail, and the message if the request was not executed.
impl<S, E> FromRequestError<S, E> for RequestError<S, E> {
    #[inline]
    fn new(error: Self) -> Self {
        error
    }
}

/// Keeps what matters to a caller that has set no deadline and does not want the message back.
impl<S, E> FromRequestError<S, E> for Error<E> {
    #[inline]
    fn new(error: RequestError<S, E>) -> Self {
        without_details(error)
    }
}

/// How a request with these types reports its outcome to its caller.
pub(crate) struct OutcomeVtable<S, R, E, X> {
    deliver: OutcomeFn<R, E, X>,
    message: PhantomData<fn(S)>,
}

/// Turns the end of a request into the caller's result, and gives up the slot if the caller's end
/// owns it alone.
///
/// Safety: the core is the caller's end of a slot that was an [`UnsentRequest`] with the types of
/// the [`OutcomeVtable`], in the state that `Exit` says.
type OutcomeFn<R, E, X> = unsafe fn(NonNull<SlotCore<R, E>>, Exit) -> Result<R, X>;

impl<S, R, E, X: FromRequestError<S, E>> OutcomeVtable<S, R, E, X> {
    /// For a caller that may outlive its client.
    pub(crate) const DETACHED: Self = Self {
        deliver: deliver::<S, R, E, X>,
        message: PhantomData,
    };

    /// For a caller that borrows or owns the client until it has the outcome. (Otherwise the slot
    /// would be lost.)
    pub(crate) const BORROWED: Self = Self {
        deliver: deliver_to_borrower::<S, R, E, X>,
        message: PhantomData,
    };
}

/// Reports to a caller that may outlive its client.
///
/// # Safety
/// The contract is that of [`OutcomeFn`].
unsafe fn deliver<S, R, E, X: FromRequestError<S, E>>(
    core: NonNull<SlotCore<R, E>>,
    end: Exit,
) -> Result<R, X> {
    if let Exit::Abandoned(why) = end {
        return Err(X::new(why.abandoned()));
    }
    // SAFETY: invariant 3: it is not `Abandoned`, so the caller's end owns the slot alone. By this
    // function's contract the types are the slot's.
    let slot = unsafe { OwnedSlot::<S, R, E>::from_core(core) };
    // SAFETY: by this function's contract the slot is in the state that `end` says, which is not
    // `Abandoned`.
    unsafe { read(&slot, end) }
}

/// Reports to a caller that keeps the client, and puts the slot back without a lock.
///
/// # Safety
/// The contract is that of [`OutcomeFn`].
#[inline]
unsafe fn deliver_to_borrower<S, R, E, X: FromRequestError<S, E>>(
    core: NonNull<SlotCore<R, E>>,
    end: Exit,
) -> Result<R, X> {
    /// Puts the slot back after its contents have been moved out.
    struct Used<S, R, E>(ManuallyDrop<OwnedSlot<S, R, E>>);

    impl<S, R, E> Drop for Used<S, R, E> {
        #[inline]
        fn drop(&mut self) {
            // SAFETY: invariant 4: nothing uses `self.0` after this.
            unsafe { ManuallyDrop::take(&mut self.0) }.put_back();
        }
    }

    if let Exit::Abandoned(why) = end {
        return Err(X::new(why.abandoned()));
    }
    // SAFETY: invariant 3: it is not `Abandoned`, so the caller's end owns the slot alone. By this
    // function's contract the types are the slot's.
    let slot = Used(ManuallyDrop::new(unsafe {
        OwnedSlot::<S, R, E>::from_core(core)
    }));
    // SAFETY: by this function's contract the slot is in the state that `end` says, which is not
    // `Abandoned`.
    unsafe { read(&slot.0, end) }
}

/// Moves the result out of the slot.
///
/// # Safety
/// The slot is in the state that `end` says, which is not `Abandoned`. Afterwards the slot is
/// empty.
#[inline]
unsafe fn read<S, R, E, X: FromRequestError<S, E>>(
    slot: &OwnedSlot<S, R, E>,
    end: Exit,
) -> Result<R, X> {
    if let Exit::Withdrawn(why) = end {
        // SAFETY: invariant 3: with `Withdrawn` the message is in the slot, and it is moved out
        // once.
        let message = unsafe { slot.message() };
        return Err(X::new(why.withdrawn(message)));
    }
    // SAFETY: invariant 3: `end` is `Done`, so the completion is in the slot, and it is read once.
    // `ptr::read` moves each part out once, and the slot does not drop it. It is read in place, as
    // a reply may be large.
    unsafe {
        slot.with_completion(|completion| {
            Err(X::new(match completion {
                Completion::Reply(reply) => return Ok(ptr::read(reply)),
                Completion::App(error) => RequestError::App(ptr::read(error)),
                Completion::NoReply(why) => RequestError::NoReply(ptr::read(why)),
                Completion::Overdue => RequestError::TimeoutTaken,
                // The message was not taken, so it is in the slot (invariant 3).
                Completion::ServerDisappeared => RequestError::ServerDisappeared(slot.message()),
                Completion::Expired => RequestError::TimeoutQueued(slot.message()),
            }))
        })
    }
}

/// Returns the plain error of a request that waits for room and has no deadline but its client's
/// default.
#[inline]
pub(crate) fn without_details<S, E>(error: RequestError<S, E>) -> Error<E> {
    match error {
        RequestError::App(error) => Error::App(error),
        // `Error` has no better variant for a caller that would wait for itself or that has timed
        // out. `NoReply` promises nothing as to whether the request was executed.
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

/// The caller's end of a request that was sent. Dropping it cancels the request.
pub(crate) struct PendingRequest<R, E, X> {
    core: NonNull<SlotCore<R, E>>,
    deliver: OutcomeFn<R, E, X>,
    error: PhantomData<X>,
}

// SAFETY: it brings a reply or an error to its thread, out of a slot of which it is the only
// caller's end (invariant 2). The message that it may bring back is part of `X`. Where it is not (a
// plain [`Error`]), the code that creates the pending request makes sure that the message can be
// dropped on any thread.
unsafe impl<R: Send, E: Send, X: Send> Send for PendingRequest<R, E, X> {}
// SAFETY: through a shared reference only the state word, which is atomic, and the options, which
// do not change (invariant 9 of the slot), are read.
unsafe impl<R: Send, E: Send, X: Send> Sync for PendingRequest<R, E, X> {}

impl<R, E, X> PendingRequest<R, E, X> {
    #[inline]
    pub(crate) fn core(&self) -> &SlotCore<R, E> {
        // SAFETY: invariant 2: the caller's end has not let go of the slot, so it is alive
        // (invariant 8 of the slot).
        unsafe { self.core.as_ref() }
    }

    /// Returns the outcome, which must be there.
    #[inline]
    pub(crate) fn settle(self) -> Result<R, X> {
        assert!(self.core().is_done());
        let this = ManuallyDrop::new(self);
        // SAFETY: invariant 2: the types are those of the unsent request (see
        // `UnsentRequest::send`). The assertion has seen `DONE`, and `this` is not dropped, so the
        // outcome is read once.
        unsafe { (this.deliver)(this.core, Exit::Done) }
    }

    /// Ends the request before its outcome. If the outcome is there already, returns the outcome.
    pub(crate) fn leave(self, why: ExitReason) -> Result<R, X> {
        let this = ManuallyDrop::new(self);
        let end = this.end(why);
        // SAFETY: invariant 2: the types are those of the unsent request. `end` is how it ended,
        // and `this` is not dropped, so this is read once.
        unsafe { (this.deliver)(this.core, end) }
    }

    fn end(&self, why: ExitReason) -> Exit {
        if self.core().is_done() {
            return Exit::Done;
        }
        // SAFETY: invariant 2: this is the caller's end of a slot that was sent and not abandoned.
        if unsafe { SlotCore::withdraw(self.core, why.untaken()) } {
            return Exit::Withdrawn(why);
        }
        // SAFETY: invariant 2: this is the caller's end of a slot that was sent. It was not
        // withdrawn, so it has been taken or is done.
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
            // SAFETY: invariant 3: the caller's end owns the slot alone, with a completion in it
            // that has not been read. Once the completion has been moved out, the message is there
            // exactly if the completion is untaken.
            Exit::Done => unsafe {
                let completion = self.core().completion();
                if completion.is_untaken() {
                    SlotCore::discard(self.core);
                } else {
                    SlotCore::release(self.core);
                }
            },
            // SAFETY: invariant 3: the caller's end owns the slot alone, and the message is in it.
            Exit::Withdrawn(_) => unsafe { SlotCore::discard(self.core) },
            Exit::Abandoned(_) => {}
        }
    }
}
