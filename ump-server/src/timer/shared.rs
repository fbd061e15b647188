//! What the handles and the loop share. The protocol is in the comment of the module above.

use std::mem;

use super::{
    table::{TimerId, TimerTable},
    tick::{Tick, Timeline},
};
use crate::{
    Clock,
    catch::drop_each,
    sync::{AtomicBool, Mutex, MutexGuard, Ordering},
};

pub(super) struct Shared<T> {
    /// The loop's announcement is exact: it need not take the lock before that tick. Written under the lock only.
    stands: AtomicBool,
    state: Mutex<State<T>>,
    wake: Box<dyn Fn() + Send + Sync>,
    pub(super) clock: Clock,
    pub(super) timeline: Timeline,
}

pub(super) struct State<T> {
    table: TimerTable<T>,
    /// At this tick the loop looks at the latest, unless it is woken. `FIRST`: it will look before it sleeps.
    announced: Tick,
    is_closed: bool,
}

impl<T> Shared<T> {
    pub(super) fn new(clock: Clock, wake: Box<dyn Fn() + Send + Sync>) -> Self {
        Self {
            stands: AtomicBool::new(false),
            state: Mutex::new(State {
                table: TimerTable::default(),
                announced: Tick::FIRST,
                is_closed: false,
            }),
            wake,
            timeline: Timeline::from(clock.now()),
            clock,
        }
    }

    /// Whether nothing has changed that the loop has to know before the tick it has announced.
    pub(super) fn stands(&self) -> bool {
        // Whoever arms something earlier clears it and then calls `wake`; the end of the loop's sleep pairs with that call, so this load sees it.
        self.stands.load(Ordering::Relaxed)
    }

    /// Looks something up, or gives a token back.
    pub(super) fn with<R>(&self, act: impl FnOnce(&mut TimerTable<T>) -> R) -> R {
        act(&mut self.lock().table)
    }

    /// Arms a timer or moves it; then wakes the loop, if that is due before it would look.
    pub(super) fn schedule<R>(&self, act: impl FnOnce(&mut State<T>) -> R) -> R {
        let mut state = self.lock();
        let result = act(&mut state);
        let is_earlier = state.next() < state.announced;
        if is_earlier {
            self.withdraw(&mut state);
        } else {
            self.doubt(&state);
        }
        drop(state);
        if is_earlier {
            (self.wake)();
        }
        result
    }

    pub(super) fn cancel(&self, id: TimerId) -> Option<T> {
        let mut state = self.lock();
        let token = state.table.cancel(id);
        self.doubt(&state);
        token
    }

    /// Begins a round. If nothing is due there is none: tells when to look again.
    pub(super) fn begin(&self, now: Tick) -> Result<(), Tick> {
        let mut state = self.lock();
        if state.table.begin_round(now) {
            self.withdraw(&mut state);
            Ok(())
        } else {
            Err(self.announce(&mut state))
        }
    }

    /// The loop may sleep: tells until when.
    pub(super) fn sleep(&self) -> Tick {
        self.announce(&mut self.lock())
    }

    /// The loop has ended: nothing comes due any more, and no token is kept.
    pub(super) fn close(&self) {
        let mut state = self.lock();
        state.is_closed = true;
        let table = mem::take(&mut state.table);
        drop(state);
        drop_each(table.into_entries()); // the tokens, so not under the lock
    }

    fn lock(&self) -> MutexGuard<'_, State<T>> {
        self.state.lock()
    }

    fn announce(&self, state: &mut State<T>) -> Tick {
        state.announced = state.next();
        self.stands.store(true, Ordering::Relaxed);
        state.announced
    }

    fn withdraw(&self, state: &mut State<T>) {
        state.announced = Tick::FIRST;
        self.stands.store(false, Ordering::Relaxed);
    }

    /// What was announced holds, but may be too early now: then the loop looks again before it sleeps.
    fn doubt(&self, state: &State<T>) {
        if state.announced < state.next() {
            self.stands.store(false, Ordering::Relaxed);
        }
    }
}

impl<T> State<T> {
    /// Arms a timer, by `arm`. Gives the token back if the loop has ended.
    pub(super) fn arm(
        &mut self,
        token: T,
        arm: impl FnOnce(&mut TimerTable<T>, T) -> TimerId,
    ) -> (TimerId, Option<T>) {
        if self.is_closed {
            (TimerId::NONE, Some(token))
        } else {
            (arm(&mut self.table, token), None)
        }
    }

    pub(super) fn reschedule(&mut self, id: TimerId, deadline: Tick) -> bool {
        self.table.reschedule(id, deadline)
    }

    fn next(&self) -> Tick {
        self.table.next().unwrap_or(Tick::NEVER)
    }
}
