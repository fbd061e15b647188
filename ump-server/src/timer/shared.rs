//! The state that the handles and the loop share. The parent module describes the protocol.

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
    /// Whether the loop's announcement is exact: the loop need not take the lock before that tick.
    /// Written under the lock only.
    stands: AtomicBool,
    state: Mutex<State<T>>,
    wake: Box<dyn Fn() + Send + Sync>,
    pub(super) clock: Clock,
    pub(super) timeline: Timeline,
}

pub(super) struct State<T> {
    table: TimerTable<T>,
    /// The tick at which the loop looks at its timers at the latest, unless it is woken. `FIRST` if
    /// it looks before it sleeps.
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

    /// Returns whether nothing has changed that the loop has to know before the tick it has
    /// announced.
    pub(super) fn stands(&self) -> bool {
        // ORDERING: Relaxed. A thread that arms an earlier timer clears the flag and then calls
        // `wake`. The end of the loop's sleep pairs with that call, so this load sees the store.
        self.stands.load(Ordering::Relaxed)
    }

    /// Runs an operation that makes no deadline earlier.
    pub(super) fn with<R>(&self, act: impl FnOnce(&mut TimerTable<T>) -> R) -> R {
        act(&mut self.lock().table)
    }

    /// Arms or moves a timer. If it is due before the loop would look, wakes the loop.
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

    /// Begins a round if a timer is due; otherwise returns the tick at which to look again.
    pub(super) fn begin(&self, now: Tick) -> Result<(), Tick> {
        let mut state = self.lock();
        if state.table.begin_round(now) {
            self.withdraw(&mut state);
            Ok(())
        } else {
            Err(self.announce(&mut state))
        }
    }

    /// Announces a sleep of the loop, and returns the tick at which it ends.
    pub(super) fn sleep(&self) -> Tick {
        self.announce(&mut self.lock())
    }

    /// Ends the timers with their loop: drops all tokens, and arms none from now on.
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

    /// Clears the flag if the announced tick is too early now. The announcement still holds, but
    /// the loop looks again before it sleeps.
    fn doubt(&self, state: &State<T>) {
        if state.announced < state.next() {
            self.stands.store(false, Ordering::Relaxed);
        }
    }
}

impl<T> State<T> {
    /// Arms a timer by `arm`. Returns the token if the loop has ended.
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
