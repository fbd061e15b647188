//! What a handler on a task waits for, as far as its wakers tell.
//!
//! A future that has returned `Pending` goes on when a clone of the waker is woken that it was polled with. So who owns all these clones knows what it waits
//! for. The loop polls its handler with a waker of its own, and when a request is polled with that, leaves word with yet another waker, one for each request:
//!
//! ```text
//!                  ┌─ any ◄──── whatever else the handler awaits
//!   task ◄── call ─┤
//!                  └─ wakers ◄── in the slot of the request; and with its alarm, if it has a deadline
//! ```
//!
//! All of them wake the task, and note that its handler is to be polled; for no other reason is it. When the handler has returned `Pending` and
//!
//! 1. there is no clone of `any`, so that nothing but a waker can ring, and nobody can make one anew;
//! 2. there are clones of wakers: then their requests are what it waits for, any of them;
//! 3. nothing has rung since before it was polled,
//!
//! then it sleeps over these requests as a thread that blocks does over one. If that makes a circle, the handler is polled once more, and the first of these
//! requests that is polled again is told, if it is one still (whoever goes on because it was polled, though nothing has woken it, may have answered what
//! others wait for). It cannot be mistaken for one that came after it in the same slot: that has left no word before.
//!
//! What rings lets go of its clone after it was noted that it rang, and before the task is woken. So they are counted first, and then it is looked whether
//! one has rung. A clone that is still in the hands of someone who is about to ring is no harm: its request has been answered, which the graph sees,
//! or its deadline has come, which the graph knows. When it is gone the task is polled, and it is looked again, whether or not its handler is polled.
//! (Who rings by reference, and lets go later, hides a circle, as does whatever else drops a clone that nobody rings.)
//!
//! The wakers are kept, so that waiting allocates nothing once they are there.

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
use super::{WorkerSet, drives::Drives};
#[cfg(feature = "tokio")]
use crate::testing::test_clock::Suspended;
use crate::{sync::Mutex, testing::test_clock::Observer};

/// So many waits at a time are told apart; what is awaited beyond them is something else. A request that waits for room is two.
const MOST_WAKERS: usize = 16;

/// The wakers of a worker on a task, or of a future that a thread drives.
#[cfg_attr(not(feature = "tokio"), allow(dead_code, reason = "of tasks only"))]
pub(crate) struct Awaits {
    workers: WorkerSet,
    call: Arc<Call>,
    any: Arc<CallWaker>,
    /// That of `any`.
    waker: Waker,
    /// How many clones there are of `any` that nobody awaits by.
    own: usize,
    /// The task has been polled with a waker that is not its first one. That does not happen on tokio; from then on nothing is known.
    is_elsewhere: AtomicBool,
    known: Mutex<Known>,
    /// Under a test clock.
    tested: Option<Tested>,
}

/// What a test clock is told of the calls.
#[cfg_attr(not(feature = "tokio"), allow(dead_code, reason = "of tasks only"))]
struct Tested {
    observer: Observer,
    /// Whether a call is being polled, rather than the loop.
    in_call: AtomicBool,
    /// Cloned for each sleep of the call on that clock.
    asleep: Arc<()>,
}

/// Who refers to `any` besides what the handler awaits: `Awaits`, twice.
const OWN: usize = 2;

/// The handler's calls, one at a time.
struct Call {
    task: Waker,
    /// Whether it is to be polled again.
    is_woken: AtomicBool,
}

struct CallWaker(Arc<Call>);

impl Wake for CallWaker {
    fn wake(self: Arc<Self>) {
        let call = Arc::clone(&self.0);
        call.note_wake();
        // Before the task is woken, which looks who is left.
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
        // Release: pairs with the Acquire of `begin_poll`.
        self.is_woken.store(true, Ordering::Release);
    }
}

#[derive(Default)]
struct Known {
    notes: Vec<Note>,
    /// What the handler waited for when that was looked for last. Its memory is kept.
    waits: Vec<Wait>,
    /// Whether that was a circle: for the first of them that is polled again.
    is_circle: bool,
}

/// A request that has been polled, or several that are waited for by one waker. They are waited for as long as there are clones of its waker.
struct Note {
    /// At least one.
    waits: Vec<Wait>,
    waker: Arc<CallWaker>,
    /// Whether it is one of those that were waited for.
    is_waited_for: bool,
}

impl Note {
    fn is_kept(&self) -> bool {
        Arc::strong_count(&self.waker) > 1
    }

    /// Whether it is that of these waits: those of a [`Gather`](ump::Gather) become fewer, or others, but some stay.
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

/// Whether they are one wait, polled twice. The same request is waited for twice, by two wakers: for room, and for its reply.
fn is_same(one: &Wait, other: &Wait) -> bool {
    (one.request(), one.goal()) == (other.request(), other.goal())
}

/// How far a call is.
#[derive(Debug, Default)]
#[cfg_attr(not(feature = "tokio"), allow(dead_code, reason = "of tasks only"))]
pub(crate) enum Progress {
    /// It has not been polled.
    #[default]
    NotPolled,
    /// It waits for something, or runs.
    Running,
    /// It waits for requests, and is in the graph.
    Asleep,
    /// It would wait for itself, which it will be told.
    WouldDeadlock,
}

impl Awaits {
    /// Of workers that wait on the task, or the thread, that this waker wakes; and who is told of their calls, if they are under a test clock.
    pub(super) fn new(workers: WorkerSet, task: &Waker, observer: Option<Observer>) -> Self {
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

    /// The call is about to be polled: for a test clock. Said before it is noted that what has woken the call is seen to.
    #[inline]
    #[cfg(feature = "tokio")]
    pub(crate) fn polls(&self) {
        if let Some(tested) = &self.tested {
            tested.observer.polls();
            // Relaxed: only the task itself uses it.
            tested.in_call.store(true, Ordering::Relaxed);
        }
    }

    /// The call was polled, and is ready or not: for a test clock.
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
            // By a waker that is not ours nobody notes what wakes it.
            is_woken: Box::new(move || is_elsewhere || call.is_woken.load(Ordering::Acquire)),
            // One is that of the worker, one is this one.
            is_asleep: Box::new(move || Arc::strong_count(&asleep) > 2),
            requests: is_clear.then(requests),
        }
    }

    /// Of the worker with this wait node, whose task has this waker.
    #[cfg(feature = "tokio")]
    pub(crate) fn of_task(
        wait_node: &Arc<WaitNode>,
        task: &Waker,
        observer: Option<Observer>,
    ) -> Self {
        Self::new(WorkerSet::of(wait_node), task, observer)
    }

    /// Which waits these are.
    pub(super) fn workers(&self) -> &WorkerSet {
        &self.workers
    }

    /// A clone of the waker for whoever polls, which is nobody's that waits.
    pub(super) fn lend_waker(&mut self) -> Waker {
        self.own += 1;
        self.waker.clone()
    }

    /// Whether something has rung since this was asked last.
    pub(super) fn take_wake(&self) -> bool {
        // Acquire: pairs with the Release of `note_wake`. An exchange, so that what rings at this moment is either seen, or left for the next time.
        self.call.is_woken.swap(false, Ordering::Acquire)
    }

    /// The task is polled: here is what to poll the handler with, unless it was not woken for that.
    #[cfg(feature = "tokio")]
    #[inline]
    pub(crate) fn begin_poll<'a>(
        &'a self,
        progress: &mut Progress,
        task: &'a Waker,
    ) -> Option<&'a Waker> {
        // Relaxed, here and below: only the task itself uses it.
        if !self.call.task.will_wake(task) {
            self.is_elsewhere.store(true, Ordering::Relaxed);
        }
        if self.is_elsewhere.load(Ordering::Relaxed) {
            self.end(progress);
            return Some(task);
        }
        if matches!(progress, Progress::NotPolled) {
            // Relaxed: what rang for an earlier call is of no concern to this one, which leaves word anew.
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

    /// The handler has returned `Pending`: does it wait for requests?
    #[cfg(feature = "tokio")]
    pub(crate) fn waits(&self, progress: &mut Progress) {
        self.waits_until(progress, None, &Clock::system());
    }

    /// The same, until a deadline.
    pub(super) fn waits_until(
        &self,
        progress: &mut Progress,
        deadline: Option<Instant>,
        clock: &Clock,
    ) {
        // A handler that has not asked for what it was to be told is not polled again for that: it would be for ever.
        let is_deaf = matches!(progress, Progress::WouldDeadlock) && self.known.lock().is_circle;
        self.end(progress);
        let is_clear =
            Arc::strong_count(&self.any) == self.own && !self.is_elsewhere.load(Ordering::Relaxed);
        if !is_clear {
            return;
        }
        let mut known = self.known.lock();
        known.note_waits(deadline, clock);
        // Acquire: pairs with the Release by which a clone is dropped, after it has rung.
        fence(Ordering::Acquire);
        // Relaxed: the fence.
        let is_woken = self.call.is_woken.load(Ordering::Relaxed);
        if known.waits.is_empty() || is_woken {
            return;
        }
        if is_deaf {
            self.workers.sleep_anyway(&known.waits);
        } else {
            known.is_circle = self.workers.sleep(&known.waits).is_err();
        }
        let is_circle = known.is_circle;
        drop(known);
        if is_circle {
            *progress = Progress::WouldDeadlock;
            self.call.wake();
        } else {
            *progress = Progress::Asleep;
        }
    }

    /// It waits no more: it goes on, or the call is over.
    #[inline]
    pub(crate) fn end(&self, progress: &mut Progress) {
        match mem::replace(progress, Progress::Running) {
            Progress::NotPolled | Progress::Running => {}
            Progress::Asleep => self.workers.wake_up(),
            Progress::WouldDeadlock => self.known.lock().is_circle = false,
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

    /// Whether its request, for whose reply word was left, waits for room. Then there can be no reply before that.
    fn waits_for_room(&self, note: &Note) -> bool {
        let request = note.waits[0].request();
        let is_its_room = |other: &Note| {
            other.is_for_room() && other.is_kept() && other.waits[0].request() == request
        };
        !note.is_for_room() && self.notes.iter().any(is_its_room)
    }

    /// Whether it is the first that is polled again of those that make a circle.
    fn is_to_fail(&mut self, waits: &[Wait]) -> bool {
        let waited_for = |note: &Note| note.is_waited_for && note.is_of(waits);
        let is_again = waits.iter().all(|wait| !wait.is_first());
        let is_to_be = self.is_circle && is_again && self.notes.iter().any(waited_for);
        self.is_circle &= !is_to_be;
        is_to_be
    }

    /// That of these waits; or one that is free or new, if there may be another one.
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
        // It may be another request, even if it is in the same slot.
        let is_again = note.is_of(waits) && waits.iter().all(|wait| !wait.is_first());
        note.is_waited_for &= is_again;
        note.waits.clear();
        note.waits.extend_from_slice(waits);
        Some(Arc::clone(&note.waker))
    }
}
