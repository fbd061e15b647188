//! The life of tokens, and the places where their code runs.

use std::{
    cell::Cell,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{
        Arc, OnceLock,
        atomic::{AtomicUsize, Ordering},
    },
};

use ump_server::{
    TimerId, Timers,
    timer::{Due, Periodic},
};

use crate::support::{Bench, ms};

/// Holds the timers that a test's tokens belong to.
type Place<T> = Arc<OnceLock<Timers<T>>>;

/// A token whose user code calls the timers it belongs to. It would hang if that code ran under the
/// lock.
struct Meddler {
    place: Place<Meddler>,
    drops: Arc<AtomicUsize>,
}

impl Meddler {
    fn meddle(&self) {
        if let Some(timers) = self.place.get() {
            let _ = timers.len();
        }
    }
}

impl Clone for Meddler {
    fn clone(&self) -> Self {
        self.meddle();
        Self {
            place: Arc::clone(&self.place),
            drops: Arc::clone(&self.drops),
        }
    }
}

impl Drop for Meddler {
    fn drop(&mut self) {
        self.meddle();
        self.drops.fetch_add(1, Ordering::Relaxed);
    }
}

#[test]
fn tokens_are_cloned_and_dropped_outside_the_lock() {
    let mut bench = Bench::new();
    let (place, drops) = (Place::default(), Arc::new(AtomicUsize::new(0)));
    assert!(place.set(bench.timers.clone()).is_ok());
    let token = || Meddler {
        place: Arc::clone(&place),
        drops: Arc::clone(&drops),
    };
    let dropped = || drops.load(Ordering::Relaxed);
    bench.every(Periodic::new(ms(10)), ms(10), token());
    bench.at(ms(10), token());
    assert_eq!(bench.round(ms(10)).len(), 2);
    assert_eq!(dropped(), 2);
    let id = bench.at(ms(20), token());
    drop(bench.timers.cancel(id));
    assert_eq!(dropped(), 3);
    bench.timers.every(Periodic::new(ms(10)).times(0), token());
    assert_eq!(dropped(), 4);
    bench.at(ms(20), token());
    drop(bench.due); // the periodic one and the last
    assert_eq!(dropped(), 6);
    bench.timers.once(ms(10), token());
    assert_eq!(dropped(), 7);
}

#[test]
fn after_the_loop_has_ended_nothing_is_armed() {
    let bench = Bench::new();
    let before = bench.at(ms(10), 'a');
    drop(bench.due);
    let after = bench.timers.once(ms(10), 'b');
    for id in [before, after] {
        assert_eq!(bench.timers.cancel(id), None);
        assert!(!bench.timers.reschedule_after(id, ms(1)));
        assert_eq!(bench.timers.deadline(id), None);
    }
    assert!(bench.timers.is_empty());
}

thread_local! {
    static CLONES_LEFT: Cell<u32> = const { Cell::new(u32::MAX) };
}

#[derive(Debug)]
struct Fragile;

impl Clone for Fragile {
    fn clone(&self) -> Self {
        let left = CLONES_LEFT.get();
        assert!(left > 0, "no more clones");
        CLONES_LEFT.set(left - 1);
        Self
    }
}

#[test]
fn token_that_panics_in_clone_ends_only_its_timer() {
    let mut bench = Bench::new();
    let id = bench.every(Periodic::new(ms(10)), ms(10), Fragile);
    bench.at(ms(10), Fragile);
    bench.due.begin(bench.start + ms(10));
    CLONES_LEFT.set(0);
    assert!(catch_unwind(AssertUnwindSafe(|| bench.due.pop())).is_err());
    assert_eq!(bench.timers.deadline(id), None);
    assert_eq!(bench.timers.len(), 1);
    assert!(bench.due.pop().is_some());
    assert_eq!(bench.round(ms(100)).len(), 0);
}

/// Cancels its own timer while it is cloned, as another thread may.
struct Canceller(Arc<OnceLock<(Timers<Canceller>, TimerId)>>);

impl Clone for Canceller {
    fn clone(&self) -> Self {
        let (timers, id) = self
            .0
            .get()
            .expect("the id is set after the timer was armed");
        assert!(timers.cancel(*id).is_none(), "the token is on its way");
        Self(Arc::clone(&self.0))
    }
}

#[test]
fn periodic_timer_cancelled_while_due_comes_once() {
    let mut bench = Bench::new();
    let id_cell = Arc::new(OnceLock::new());
    let id = bench.every(
        Periodic::new(ms(10)),
        ms(10),
        Canceller(Arc::clone(&id_cell)),
    );
    assert!(id_cell.set((bench.timers.clone(), id)).is_ok());
    assert_eq!(bench.round(ms(10)).len(), 1);
    assert!(bench.timers.is_empty());
    assert_eq!(bench.round(ms(20)).len(), 0);
    drop(bench.due);
}

#[test]
fn timers_are_send_if_their_tokens_are() {
    fn is_send_and_sync<T: Send + Sync>() {}
    fn is_send<T: Send>() {}
    is_send_and_sync::<Timers<Cell<u8>>>(); // `Cell` is `Send` and not `Sync`
    is_send::<Due<Cell<u8>>>();
    is_send_and_sync::<TimerId>();
}
