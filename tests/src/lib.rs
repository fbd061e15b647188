//! Helpers of the tests: polling by hand, and counters of wake-ups, drops and allocations.
#![allow(
    clippy::missing_panics_doc,
    reason = "a helper that panics is a test that fails"
)]

pub mod device;
pub mod ends;
pub mod ledger;
pub mod shadowed;
pub mod store;

use std::{
    alloc::{GlobalAlloc, Layout, System},
    future::{Future, IntoFuture},
    panic,
    pin::{Pin, pin},
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
        mpsc,
    },
    task::{Context, Poll, RawWaker, RawWakerVTable, Wake, Waker},
    thread,
    time::{Duration, Instant},
};

use ump::Stats;

/// Tests the code in the README of the repository.
#[cfg(doctest)]
#[doc = include_str!("../../README.md")]
struct Readme;

/// Tests the code in the page on migration.
#[cfg(doctest)]
#[doc = include_str!("../../docs/migration.md")]
struct Migration;

/// A time that is longer than any step of a test.
pub const LONG: Duration = Duration::from_secs(60);

/// A waker that counts its wake-ups and its live clones.
#[derive(Debug, Default)]
pub struct CountingWaker(AtomicUsize);

impl CountingWaker {
    /// Makes a new one.
    #[must_use]
    pub fn new() -> Arc<Self> {
        Arc::default()
    }

    /// Returns a waker that is counted.
    #[must_use]
    pub fn waker(self: &Arc<Self>) -> Waker {
        Waker::from(Arc::clone(self))
    }

    /// Returns the number of wake-ups.
    #[must_use]
    pub fn wakes(&self) -> usize {
        self.0.load(Ordering::SeqCst)
    }

    /// Returns the number of live wakers.
    ///
    /// When a deadline has passed, the timer thread may keep its waker a moment longer than the
    /// future does: wait for it with [`eventually`].
    #[must_use]
    pub fn wakers(self: &Arc<Self>) -> usize {
        Arc::strong_count(self) - 1
    }
}

impl Wake for CountingWaker {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::SeqCst);
    }
}

/// Polls once, with a waker that does nothing.
pub fn poll_once<F: Future + Unpin>(future: &mut F) -> Poll<F::Output> {
    Pin::new(future).poll(&mut Context::from_waker(Waker::noop()))
}

/// Polls once, with a waker of `counter`.
pub fn poll_with<F: Future + Unpin>(
    future: &mut F,
    counter: &Arc<CountingWaker>,
) -> Poll<F::Output> {
    Pin::new(future).poll(&mut Context::from_waker(&counter.waker()))
}

/// Runs a future on this thread, without any runtime.
pub fn block_on<F: IntoFuture>(future: F) -> F::Output {
    struct Unpark(thread::Thread, AtomicBool);
    impl Wake for Unpark {
        fn wake(self: Arc<Self>) {
            self.1.store(true, Ordering::SeqCst);
            self.0.unpark();
        }
    }
    let unpark = Arc::new(Unpark(thread::current(), AtomicBool::new(false)));
    let waker = Waker::from(Arc::clone(&unpark));
    let mut future = pin!(future.into_future());
    loop {
        if let Poll::Ready(output) = future.as_mut().poll(&mut Context::from_waker(&waker)) {
            return output;
        }
        while !unpark.1.swap(false, Ordering::SeqCst) {
            thread::park();
        }
    }
}

/// Polls until `holds` returns true, for conditions of other threads that send no notification.
///
/// # Panics
/// If it does not happen within [`LONG`].
#[track_caller]
pub fn eventually(holds: impl Fn() -> bool) {
    let start = Instant::now();
    while !holds() {
        assert!(start.elapsed() < LONG, "it did not happen");
        thread::yield_now();
    }
}

/// Counts how many of its [`Counted`] values were made and dropped.
#[derive(Clone, Debug, Default)]
pub struct DropCounter(Arc<(AtomicUsize, AtomicUsize)>);

impl DropCounter {
    /// Makes a counted value.
    #[must_use]
    pub fn value(&self) -> Counted {
        self.0.0.fetch_add(1, Ordering::SeqCst);
        Counted(self.clone())
    }

    /// Returns the number of values made.
    #[must_use]
    pub fn created(&self) -> usize {
        self.0.0.load(Ordering::SeqCst)
    }

    /// Returns the number of values dropped.
    #[must_use]
    pub fn dropped(&self) -> usize {
        self.0.1.load(Ordering::SeqCst)
    }
}

/// A value whose drop is counted.
#[derive(Debug)]
pub struct Counted(DropCounter);

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.0.1.fetch_add(1, Ordering::SeqCst);
    }
}

/// Runs `f` on its own thread, so that a deadlock fails a test instead of hanging it.
///
/// # Panics
/// If `f` has not ended after [`LONG`], or if it panics.
#[track_caller]
pub fn must_end<T: Send + 'static>(f: impl FnOnce() -> T + Send + 'static) -> T {
    let (done, ended) = mpsc::channel();
    let thread = thread::spawn(move || {
        let value = f();
        let _ = done.send(());
        value
    });
    // A disconnect means a panic, which `join` reports.
    let hangs = ended.recv_timeout(LONG) == Err(mpsc::RecvTimeoutError::Timeout);
    assert!(!hangs, "it hangs");
    thread
        .join()
        .unwrap_or_else(|panic| panic::resume_unwind(panic))
}

/// User code that a waker runs when it is woken, cloned or dropped. It may re-enter the channel, or
/// panic.
pub struct Hook {
    wake: Box<dyn Fn() + Send + Sync>,
    clone: Box<dyn Fn() + Send + Sync>,
    drop: Box<dyn Fn() + Send + Sync>,
}

impl Hook {
    /// A waker that runs `f` whenever it is woken.
    pub fn on_wake(f: impl Fn() + Send + Sync + 'static) -> Waker {
        Self::waker(f, || {}, || {})
    }

    /// A waker that runs `f` whenever it is cloned.
    pub fn on_clone(f: impl Fn() + Send + Sync + 'static) -> Waker {
        Self::waker(|| {}, f, || {})
    }

    /// A waker that runs `f` whenever it, or a clone of it, is dropped; also after it was woken.
    pub fn on_drop(f: impl Fn() + Send + Sync + 'static) -> Waker {
        Self::waker(|| {}, || {}, f)
    }

    fn waker(
        wake: impl Fn() + Send + Sync + 'static,
        clone: impl Fn() + Send + Sync + 'static,
        drop: impl Fn() + Send + Sync + 'static,
    ) -> Waker {
        let hook = Arc::new(Self {
            wake: Box::new(wake),
            clone: Box::new(clone),
            drop: Box::new(drop),
        });
        // SAFETY: the four functions below keep to the contract of `RawWaker`: the data is an
        // `Arc<Hook>`, which is `Send` and `Sync`; a clone owns a reference of its own, `wake` and
        // `drop` give one up, `wake_by_ref` does not.
        unsafe { Waker::from_raw(RawWaker::new(Arc::into_raw(hook).cast(), &HOOK)) }
    }
}

impl std::fmt::Debug for Hook {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Hook").finish_non_exhaustive()
    }
}

/// `Wake` cannot observe clones of a waker.
static HOOK: RawWakerVTable = RawWakerVTable::new(
    |data| {
        // SAFETY: see `Hook::waker`; the cloned waker keeps the `Arc` alive.
        let hook = unsafe { &*data.cast::<Hook>() };
        (hook.clone)();
        // SAFETY: `data` is an `Arc<Hook>`, which the cloned waker keeps alive.
        unsafe { Arc::increment_strong_count(data.cast::<Hook>()) };
        RawWaker::new(data, &HOOK)
    },
    |data| {
        // SAFETY: see `Hook::waker`; this waker owns one reference.
        let hook = unsafe { Arc::from_raw(data.cast::<Hook>()) };
        (hook.wake)();
        (hook.drop)();
    },
    |data| {
        // SAFETY: see `Hook::waker`; the waker keeps the `Arc` alive.
        let hook = unsafe { &*data.cast::<Hook>() };
        (hook.wake)();
    },
    |data| {
        // SAFETY: see `Hook::waker`; this waker owns one reference.
        let hook = unsafe { Arc::from_raw(data.cast::<Hook>()) };
        (hook.drop)();
    },
);

/// A global allocator that counts, on all threads: `#[global_allocator] static METER: Meter =
/// Meter::new();`
#[derive(Debug, Default)]
pub struct Meter {
    allocations: AtomicUsize,
    live: AtomicUsize,
}

impl Meter {
    /// Makes an allocator with zero counts.
    #[must_use]
    pub const fn new() -> Self {
        Self {
            allocations: AtomicUsize::new(0),
            live: AtomicUsize::new(0),
        }
    }

    /// Returns the number of allocations and reallocations.
    pub fn allocations(&self) -> usize {
        self.allocations.load(Ordering::SeqCst)
    }

    /// Returns the number of allocated bytes.
    pub fn live(&self) -> usize {
        self.live.load(Ordering::SeqCst)
    }
}

// SAFETY: each method passes its arguments unchanged to `System`, which implements the contract.
unsafe impl GlobalAlloc for Meter {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        self.allocations.fetch_add(1, Ordering::SeqCst);
        self.live.fetch_add(layout.size(), Ordering::SeqCst);
        // SAFETY: the caller upholds the contract of `GlobalAlloc`, which is that of `System`.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, memory: *mut u8, layout: Layout) {
        self.live.fetch_sub(layout.size(), Ordering::SeqCst);
        // SAFETY: the caller upholds the contract of `GlobalAlloc`, which is that of `System`.
        unsafe { System.dealloc(memory, layout) }
    }

    unsafe fn realloc(&self, memory: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        self.allocations.fetch_add(1, Ordering::SeqCst);
        self.live.fetch_add(size, Ordering::SeqCst);
        self.live.fetch_sub(layout.size(), Ordering::SeqCst);
        // SAFETY: the caller upholds the contract of `GlobalAlloc`, which is that of `System`.
        unsafe { System.realloc(memory, layout, size) }
    }
}

/// Calls `setup` with a short time, then with longer ones while it returns `None` because the time
/// was too short.
///
/// So a test that needs a step before a deadline is fast, and does not fail on a busy machine.
pub fn with_growing_time<T>(mut setup: impl FnMut(Duration) -> Option<T>) -> T {
    let mut time = Duration::from_millis(5);
    loop {
        if let Some(done) = setup(time) {
            return done;
        }
        assert!(time < LONG, "however long the time, it was too short");
        time *= 2;
    }
}

/// Calls `setup` with a near deadline, and returns both before the deadline has passed.
pub fn before_deadline<T>(mut setup: impl FnMut(Instant) -> T) -> (T, Instant) {
    with_growing_time(|time| {
        let deadline = Instant::now() + time;
        let set = setup(deadline);
        (Instant::now() < deadline).then_some((set, deadline))
    })
}

/// Waits until a deadline has passed.
pub fn pass(deadline: Instant) {
    while let Some(left) = deadline.checked_duration_since(Instant::now()) {
        // The instant itself is not yet past the deadline.
        thread::sleep(left.max(Duration::from_micros(1)));
    }
}

/// Drops `value` while the thread unwinds. The panic is caught, and is not printed.
pub fn drop_in_a_panic<T>(value: T) {
    let panicked = panic::catch_unwind(panic::AssertUnwindSafe(|| {
        let _value = value;
        panic::resume_unwind(Box::new("on purpose"));
    }));
    assert!(panicked.is_err());
}

/// Returns the counters of a fresh channel with the changes of `edit`.
pub fn stats_with(edit: impl FnOnce(&mut Stats)) -> Stats {
    let mut stats = Stats::default();
    edit(&mut stats);
    stats
}

/// Checks that each accepted request is counted in one place.
#[track_caller]
pub fn assert_balanced(stats: &Stats) {
    assert_eq!(
        stats.accepted,
        stats.queued + stats.taken + stats.ended(),
        "{stats:?}"
    );
}
