//! Derives the waits of a handler on a task from its wakers.
//!
//! A future that has returned `Pending` proceeds when a clone of the waker that it was polled with
//! is woken. So the owner of all these clones knows the future's waits. The loop polls its handler
//! with a waker of its own, `any`. When a request is polled with `any`, it registers yet another
//! waker instead, one per request:
//!
//! ```text
//!                  ┌─ any ◄──── whatever else the handler awaits
//!   task ◄── call ─┤
//!                  └─ wakers ◄── in the slot of the request; and with its timer, if it has a deadline
//! ```
//!
//! Each of them wakes the task and sets the flag `is_woken`. The handler is polled only if the flag
//! is set. Suppose that the handler has returned `Pending`, and
//!
//! 1. there is no clone of `any`, so only a request's waker can wake the task, and no code can make
//!    a new clone;
//! 2. there are clones of request wakers: the handler waits for any of these requests;
//! 3. no waker has been woken since before the poll.
//!
//! Then the worker sleeps until any of these requests ends, as a blocked thread does for one. If
//! that makes a cycle, the handler is polled once more, and the first of these requests that is
//! polled again ends in the error, if there still is a cycle. (A handler that proceeds because it
//! was polled, though no waker woke it, may have answered a request that the others wait for.) A
//! later request in the same slot cannot be mistaken for it: that one has not registered a waker
//! before.
//!
//! `wake` first sets the flag, then drops its clone, then wakes the task. So the clones are counted
//! first, and the flag is read after that. A clone whose owner is about to wake it does no harm:
//! either its request has been answered, which the graph sees, or its deadline has passed, which
//! the graph knows. When the clone is dropped, the task is polled and the clones are counted again,
//! whether or not the handler is polled. (A waker that is woken by reference and dropped later
//! hides a cycle. So does a clone that is dropped without being woken.)
//!
//! The wakers are reused, so waiting allocates nothing once they exist.

mod drives;

use std::{
    any::Any,
    mem, slice,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering, fence},
    },
    task::{Wake, Waker},
    time::Instant,
};

use ump::{
    Clock,
    hooks::{Cycle, Driven, Wait, Watcher},
};

#[cfg(feature = "tokio")]
use super::WaitNode;
use super::WorkerSet;

pub(super) use self::drives::Drives;
#[cfg(feature = "tokio")]
use crate::testing::activity::Suspended;
use crate::{sync::Mutex, testing::participant::Observer};

/// The maximum number of waits that are tracked at a time. Waits beyond it count as waits for
/// something else. A request that waits for room is two waits.
const MOST_WAKERS: usize = 16;

/// The wakers of a worker on a task, or of a future that a thread drives.
#[cfg_attr(not(feature = "tokio"), allow(dead_code, reason = "of tasks only"))]
pub(crate) struct Awaits {
    workers: WorkerSet,
    call: Arc<Call>,
    any: Arc<CallWaker>,
    /// `any` as a `Waker`.
    waker: Waker,
    /// The number of references to `any` that belong to no wait.
    own: usize,
    /// Set once the task has been polled with a waker other than its first one. That does not
    /// happen on tokio. From then on no wait is known.
    is_elsewhere: AtomicBool,
    known: Mutex<Known>,
    /// Set under a test clock.
    tested: Option<Tested>,
}

/// The calls, as a test clock sees them.
#[cfg_attr(not(feature = "tokio"), allow(dead_code, reason = "of tasks only"))]
struct Tested {
    observer: Observer,
    /// Whether a call is being polled, and not the loop.
    in_call: AtomicBool,
    /// Cloned for each sleep of the call on that clock.
    asleep: Arc<()>,
}

/// The references to `any` from `Awaits` itself: `any` and `waker`.
const OWN: usize = 2;

/// The handler's calls, one at a time.
struct Call {
    task: Waker,
    /// Whether the handler is to be polled again.
    is_woken: AtomicBool,
}

struct CallWaker(Arc<Call>);

impl Wake for CallWaker {
    fn wake(self: Arc<Self>) {
        let call = Arc::clone(&self.0);
        call.note_wake();
        // Drop the clone before the task is woken: the task counts the clones.
        drop(self);
        call.task.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        self.0.wake();
    }
}

impl Call {
    fn wake(&self) {
        self.note_wake();
        self.task.wake_by_ref();
    }

    fn note_wake(&self) {
        // ORDERING: Release pairs with the Acquire of `take_wake`.
        self.is_woken.store(true, Ordering::Release);
    }
}

#[derive(Default)]
struct Known {
    notes: Vec<Note>,
    /// The handler's waits when they were read last. The buffer is reused.
    waits: Vec<Wait>,
    /// Whether these waits make a cycle. The first of them that is polled again takes the error.
    is_cycle: bool,
}

/// A polled request, or several requests that share one waker. The handler waits for them as long
/// as there are clones of the waker.
struct Note {
    /// Never empty.
    waits: Vec<Wait>,
    waker: Arc<CallWaker>,
    /// Whether these waits were among the handler's waits when those were read last.
    is_waited_for: bool,
}

impl Note {
    fn is_kept(&self) -> bool {
        Arc::strong_count(&self.waker) > 1
    }

    /// Returns whether the note is that of these waits. The waits of a [`Gather`](ump::Gather)
    /// become fewer, or change, but some stay.
    fn is_of(&self, waits: &[Wait]) -> bool {
        let is_one = |wait: &Wait| {
            let is_same = |other: &Wait| is_same(wait, other);
            self.waits.iter().any(is_same)
        };
        waits.iter().any(is_one)
    }

    fn is_for_room(&self) -> bool {
        self.waits.iter().any(Wait::is_for_room)
    }
}

/// Returns whether two waits are the same wait, polled twice. A request can have two waits, with
/// two wakers: for room, and for its reply.
fn is_same(one: &Wait, other: &Wait) -> bool {
    (one.request(), one.goal()) == (other.request(), other.goal())
}

/// The progress of a call.
#[derive(Debug, Default)]
#[cfg_attr(not(feature = "tokio"), allow(dead_code, reason = "of tasks only"))]
pub(crate) enum Progress {
    /// The call has not been polled.
    #[default]
    NotPolled,
    /// The call runs, or awaits something other than requests.
    Running,
    /// The call waits for requests and is registered in the graph.
    Asleep,
    /// The call would deadlock, and is polled again to take the error.
    WouldDeadlock,
}

impl Awaits {
    /// Creates the wakers of workers that wait on the task or thread that `task` wakes. Under a
    /// test clock, `observer` is notified of their calls.
    pub(in crate::deadlock) fn new(
        workers: WorkerSet,
        task: &Waker,
        observer: Option<Observer>,
    ) -> Self {
        let call = Arc::new(Call {
            task: task.clone(),
            is_woken: AtomicBool::new(false),
        });
        let any = Arc::new(CallWaker(Arc::clone(&call)));
        Self {
            workers,
            waker: Waker::from(Arc::clone(&any)),
            own: OWN,
            call,
            any,
            is_elsewhere: AtomicBool::new(false),
            known: Mutex::new(Known::default()),
            tested: observer.map(|observer| Tested {
                observer,
                in_call: AtomicBool::new(false),
                asleep: Arc::new(()),
            }),
        }
    }

    /// Notifies the test clock that the call is about to be polled. To be called before the flag
    /// that says what has woken the call is cleared.
    #[inline]
    #[cfg(feature = "tokio")]
    pub(crate) fn polls(&self) {
        if let Some(tested) = &self.tested {
            tested.observer.polls();
            // ORDERING: Relaxed. Only the task itself uses it.
            tested.in_call.store(true, Ordering::Relaxed);
        }
    }

    /// Notifies the test clock that the call was polled, and whether it is pending.
    #[cfg(feature = "tokio")]
    #[inline]
    pub(crate) fn polled_call(&self, is_pending: bool) {
        if let Some(tested) = &self.tested {
            tested.in_call.store(false, Ordering::Relaxed);
            if is_pending {
                tested.observer.suspends(self.suspended(tested));
            }
        }
    }

    #[cfg(feature = "tokio")]
    fn suspended(&self, tested: &Tested) -> Suspended {
        let is_elsewhere = self.is_elsewhere.load(Ordering::Relaxed);
        let is_clear = Arc::strong_count(&self.any) == OWN && !is_elsewhere;
        let requests = || {
            let known = self.known.lock();
            let kept = known.notes.iter().filter(|note| note.is_kept());
            kept.flat_map(|note| note.waits.iter().map(Wait::channel))
                .collect()
        };
        let (call, asleep) = (Arc::clone(&self.call), Arc::clone(&tested.asleep));
        Suspended {
            // A waker that is not ours sets no flag.
            is_woken: Box::new(move || is_elsewhere || call.is_woken.load(Ordering::Acquire)),
            // One reference is that of the worker, one is this closure's.
            is_asleep: Box::new(move || Arc::strong_count(&asleep) > 2),
            requests: is_clear.then(requests),
        }
    }

    /// Creates the wakers of the worker with this wait node, whose task has this waker.
    #[cfg(feature = "tokio")]
    pub(crate) fn of_task(
        wait_node: &Arc<WaitNode>,
        task: &Waker,
        observer: Option<Observer>,
    ) -> Self {
        Self::new(WorkerSet::of(wait_node), task, observer)
    }

    /// Returns the workers whose waits these are.
    pub(in crate::deadlock) fn workers(&self) -> &WorkerSet {
        &self.workers
    }

    /// Clones the waker for the driver of the future. The clone belongs to no wait.
    pub(in crate::deadlock) fn lend_waker(&mut self) -> Waker {
        self.own += 1;
        self.waker.clone()
    }

    /// Clears the flag, and returns whether a waker has been woken since the last call.
    pub(in crate::deadlock) fn take_wake(&self) -> bool {
        // ORDERING: Acquire pairs with the Release of `note_wake`. It is an exchange, so a
        // concurrent wake is either seen now or left for the next call.
        self.call.is_woken.swap(false, Ordering::Acquire)
    }

    /// Begins a poll of the task, and returns the waker to poll the handler with; `None` if the
    /// task was not woken for the handler.
    #[cfg(feature = "tokio")]
    #[inline]
    pub(crate) fn begin_poll<'a>(
        &'a self,
        progress: &mut Progress,
        task: &'a Waker,
    ) -> Option<&'a Waker> {
        // ORDERING: Relaxed, here and below. Only the task itself uses it.
        if !self.call.task.will_wake(task) {
            self.is_elsewhere.store(true, Ordering::Relaxed);
        }
        if self.is_elsewhere.load(Ordering::Relaxed) {
            self.end(progress);
            return Some(task);
        }
        if matches!(progress, Progress::NotPolled) {
            // ORDERING: Relaxed. A wake for an earlier call does not concern this one, which
            // registers its wakers anew.
            self.call.is_woken.store(false, Ordering::Relaxed);
            *progress = Progress::Running;
            return Some(&self.waker);
        }
        if !self.take_wake() {
            if matches!(progress, Progress::Running) {
                self.waits(progress);
            }
            return None;
        }
        if matches!(progress, Progress::Asleep) {
            self.end(progress);
        }
        Some(&self.waker)
    }

    /// Determines, after the handler has returned `Pending`, whether it waits for requests only.
    #[cfg(feature = "tokio")]
    pub(crate) fn waits(&self, progress: &mut Progress) {
        self.waits_until(progress, None, &Clock::system());
    }

    /// Determines whether the handler waits for requests only, until `deadline` if there is one.
    pub(in crate::deadlock) fn waits_until(
        &self,
        progress: &mut Progress,
        deadline: Option<Instant>,
        clock: &Clock,
    ) {
        // A handler that has not polled the request that would fail is not polled again for that:
        // this would never end.
        let is_deaf = matches!(progress, Progress::WouldDeadlock) && self.known.lock().is_cycle;
        self.end(progress);
        let is_clear =
            Arc::strong_count(&self.any) == self.own && !self.is_elsewhere.load(Ordering::Relaxed);
        if !is_clear {
            return;
        }
        let mut known = self.known.lock();
        known.note_waits(deadline, clock);
        // ORDERING: the Acquire fence pairs with the Release of the clone's drop, which follows the
        // store of the flag.
        fence(Ordering::Acquire);
        // ORDERING: Relaxed. See the fence above.
        let is_woken = self.call.is_woken.load(Ordering::Relaxed);
        if known.waits.is_empty() || is_woken {
            return;
        }
        if is_deaf {
            self.workers.sleep_anyway(&known.waits);
        } else {
            known.is_cycle = self.workers.sleep(&known.waits).is_err();
        }
        let is_cycle = known.is_cycle;
        drop(known);
        if is_cycle {
            *progress = Progress::WouldDeadlock;
            self.call.wake();
        } else {
            *progress = Progress::Asleep;
        }
    }

    /// Ends the wait: the handler proceeds, or the call is over.
    #[inline]
    pub(crate) fn end(&self, progress: &mut Progress) {
        match mem::replace(progress, Progress::Running) {
            Progress::NotPolled | Progress::Running => {}
            Progress::Asleep => self.workers.wake_up(),
            Progress::WouldDeadlock => self.known.lock().is_cycle = false,
        }
    }
}

impl Watcher for Awaits {
    fn before(&self, wait: &Wait) -> Result<(), Cycle> {
        self.before_any(slice::from_ref(wait))
    }

    fn after(&self, wait: &Wait) {
        self.after_any(slice::from_ref(wait));
    }

    #[cfg(feature = "tokio")]
    fn sleeps(&self, clock: &Clock) -> Option<Arc<()>> {
        let tested = self.tested.as_ref()?;
        let is_ours = tested.in_call.load(Ordering::Relaxed) && tested.observer.goes_by(clock);
        is_ours.then(|| Arc::clone(&tested.asleep))
    }

    fn polled(&self, wait: &Wait, waker: &Waker) -> Result<Option<Waker>, Cycle> {
        self.polled_any(slice::from_ref(wait), waker)
    }

    fn before_any(&self, waits: &[Wait]) -> Result<(), Cycle> {
        self.workers.sleep(waits)
    }

    fn after_any(&self, _: &[Wait]) {
        self.workers.wake_up();
    }

    fn polled_any(&self, waits: &[Wait], waker: &Waker) -> Result<Option<Waker>, Cycle> {
        let is_ours = waker.data() == Arc::as_ptr(&self.any).cast();
        if !is_ours || waits.is_empty() {
            return Ok(None);
        }
        let mut known = self.known.lock();
        if known.is_to_fail(waits) {
            self.workers.look(&known.waits)?;
        }
        let waker = known.waker(waits, &self.call);
        Ok(waker.map(Waker::from))
    }

    fn drives(&self, unpark: &Waker) -> Option<Driven> {
        Some(Drives::begin(&self.workers, unpark))
    }

    fn as_any(&self) -> Option<&dyn Any> {
        Some(self)
    }
}

impl Known {
    fn note_waits(&mut self, deadline: Option<Instant>, clock: &Clock) {
        self.waits.clear();
        for at in 0..self.notes.len() {
            let note = &self.notes[at];
            let is_waited_for = note.is_kept() && !self.waits_for_room(note);
            self.notes[at].is_waited_for = is_waited_for;
            if is_waited_for {
                let waits = self.notes[at].waits.iter();
                let waits = waits.map(|wait| wait.until(deadline, clock));
                self.waits.extend(waits);
            }
        }
    }

    /// Returns whether the request of a note for a reply still waits for room. There can be no
    /// reply before it has room.
    fn waits_for_room(&self, note: &Note) -> bool {
        let request = note.waits[0].request();
        let is_its_room = |other: &Note| {
            other.is_for_room() && other.is_kept() && other.waits[0].request() == request
        };
        !note.is_for_room() && self.notes.iter().any(is_its_room)
    }

    /// Returns whether these waits are the first of the cycle that are polled again.
    fn is_to_fail(&mut self, waits: &[Wait]) -> bool {
        let waited_for = |note: &Note| note.is_waited_for && note.is_of(waits);
        let is_again = waits.iter().all(|wait| !wait.is_first());
        let is_to_be = self.is_cycle && is_again && self.notes.iter().any(waited_for);
        self.is_cycle &= !is_to_be;
        is_to_be
    }

    /// Returns the waker of these waits: theirs, a free one, or a new one if the maximum is not
    /// reached.
    fn waker(&mut self, waits: &[Wait], call: &Arc<Call>) -> Option<Arc<CallWaker>> {
        let notes = &mut self.notes;
        let place = notes.iter().position(|note| note.is_of(waits));
        let place = place.or_else(|| notes.iter().position(|note| !note.is_kept()));
        let note = match place {
            Some(place) => &mut notes[place],
            None if notes.len() < MOST_WAKERS => {
                notes.push(Note {
                    waits: waits.to_vec(),
                    waker: Arc::new(CallWaker(Arc::clone(call))),
                    is_waited_for: false,
                });
                notes.last_mut()?
            }
            None => return None,
        };
        // It may be a different request even if it is in the same slot.
        let is_again = note.is_of(waits) && waits.iter().all(|wait| !wait.is_first());
        note.is_waited_for &= is_again;
        note.waits.clear();
        note.waits.extend_from_slice(waits);
        Some(Arc::clone(&note.waker))
    }
}
