//! What the tests share: polling by hand, wakers that count, drops that count.
#![allow(
    clippy::missing_panics_doc,
    reason = "a helper that panics is a test that fails"
)]

pub mod ends;

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

/// The code in the README of the repository is tested as well.
#[cfg(doctest)]
#[doc = include_str!("../../README.md")]
struct Readme;

/// And that of the page on migration.
#[cfg(doctest)]
#[doc = include_str!("../../docs/migration.md")]
struct Migration;

/// Longer than anything in a test takes, shorter than the patience of who runs it.
pub const LONG: Duration = Duration::from_secs(60);

/// A waker that counts how often it was woken. `Arc::strong_count` less one tells how many clones of its waker are alive.
#[derive(Debug, Default)]
pub struct Bell(AtomicUsize);

impl Bell {
    /// A new one.
    #[must_use]
    pub fn new() -> Arc<Self> {
        Arc::default()
    }

    /// A waker that rings it.
    #[must_use]
    pub fn waker(self: &Arc<Self>) -> Waker {
        Waker::from(Arc::clone(self))
    }

    /// How often it rang.
    #[must_use]
    pub fn rings(&self) -> usize {
        self.0.load(Ordering::SeqCst)
    }

    /// How many wakers of it exist.
    #[must_use]
    pub fn wakers(self: &Arc<Self>) -> usize {
        Arc::strong_count(self) - 1
    }
}

impl Wake for Bell {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::SeqCst);
    }
}

/// Polls once, with a waker that does nothing.
pub fn poll_once<F: Future + Unpin>(future: &mut F) -> Poll<F::Output> {
    Pin::new(future).poll(&mut Context::from_waker(Waker::noop()))
}

/// Polls once, with a waker of `bell`.
pub fn poll_with<F: Future + Unpin>(future: &mut F, bell: &Arc<Bell>) -> Poll<F::Output> {
    Pin::new(future).poll(&mut Context::from_waker(&bell.waker()))
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

/// Waits until `holds`. For conditions that another thread brings about and nothing announces.
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

/// Counts how many of its [`Counted`] values are alive and how many were made.
#[derive(Clone, Debug, Default)]
pub struct Census(Arc<(AtomicUsize, AtomicUsize)>);

impl Census {
    /// A new value that is counted until it is dropped.
    #[must_use]
    pub fn born(&self) -> Counted {
        self.0.0.fetch_add(1, Ordering::SeqCst);
        Counted(self.clone())
    }

    /// How many were made.
    #[must_use]
    pub fn births(&self) -> usize {
        self.0.0.load(Ordering::SeqCst)
    }

    /// How many were dropped.
    #[must_use]
    pub fn deaths(&self) -> usize {
        self.0.1.load(Ordering::SeqCst)
    }
}

/// A value whose drop is counted.
#[derive(Debug)]
pub struct Counted(Census);

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.0.1.fetch_add(1, Ordering::SeqCst);
    }
}

/// Runs `f` on a thread of its own: so a deadlock fails a test instead of hanging it.
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
    // Disconnected: it panicked, which `join` tells.
    let hangs = ended.recv_timeout(LONG) == Err(mpsc::RecvTimeoutError::Timeout);
    assert!(!hangs, "it hangs");
    thread
        .join()
        .unwrap_or_else(|panic| panic::resume_unwind(panic))
}

/// What a waker runs when it is woken, cloned or dropped: user code, which may re-enter the channel, or panic.
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
        // SAFETY: the four functions below keep to the contract of `RawWaker`: the data is an `Arc<Hook>`, which is `Send` and
        // `Sync`; a clone owns a reference of its own, `wake` and `drop` give one up, `wake_by_ref` does not.
        unsafe { Waker::from_raw(RawWaker::new(Arc::into_raw(hook).cast(), &HOOK)) }
    }
}

impl std::fmt::Debug for Hook {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Hook").finish_non_exhaustive()
    }
}

/// `Wake` would do, could it tell when a waker is cloned.
static HOOK: RawWakerVTable = RawWakerVTable::new(
    |data| {
        // SAFETY: see `Hook::waker`; the waker that is cloned keeps it alive.
        let hook = unsafe { &*data.cast::<Hook>() };
        (hook.clone)();
        // SAFETY: as above.
        unsafe { Arc::increment_strong_count(data.cast::<Hook>()) };
        RawWaker::new(data, &HOOK)
    },
    |data| {
        // SAFETY: see `Hook::waker`; this waker's own reference.
        let hook = unsafe { Arc::from_raw(data.cast::<Hook>()) };
        (hook.wake)();
        (hook.drop)();
    },
    |data| {
        // SAFETY: see `Hook::waker`; the waker keeps it alive.
        let hook = unsafe { &*data.cast::<Hook>() };
        (hook.wake)();
    },
    |data| {
        // SAFETY: see `Hook::waker`; this waker's own reference.
        let hook = unsafe { Arc::from_raw(data.cast::<Hook>()) };
        (hook.drop)();
    },
);

/// A global allocator that counts, on all threads: `#[global_allocator] static METER: Meter = Meter::new();`
#[derive(Debug, Default)]
pub struct Meter {
    allocations: AtomicUsize,
    live: AtomicUsize,
}

impl Meter {
    /// A new one, at zero.
    #[must_use]
    pub const fn new() -> Self {
        Self {
            allocations: AtomicUsize::new(0),
            live: AtomicUsize::new(0),
        }
    }

    /// How many allocations there were (a reallocation is one, too).
    pub fn allocations(&self) -> usize {
        self.allocations.load(Ordering::SeqCst)
    }

    /// How many bytes are allocated now.
    pub fn live(&self) -> usize {
        self.live.load(Ordering::SeqCst)
    }
}

// SAFETY: it hands everything on to `System`, as it came.
unsafe impl GlobalAlloc for Meter {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        self.allocations.fetch_add(1, Ordering::SeqCst);
        self.live.fetch_add(layout.size(), Ordering::SeqCst);
        // SAFETY: as promised by the caller.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, memory: *mut u8, layout: Layout) {
        self.live.fetch_sub(layout.size(), Ordering::SeqCst);
        // SAFETY: as promised by the caller.
        unsafe { System.dealloc(memory, layout) }
    }

    unsafe fn realloc(&self, memory: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        self.allocations.fetch_add(1, Ordering::SeqCst);
        self.live.fetch_add(size, Ordering::SeqCst);
        self.live.fetch_sub(layout.size(), Ordering::SeqCst);
        // SAFETY: as promised by the caller.
        unsafe { System.realloc(memory, layout, size) }
    }
}

/// Calls `scene` with a short time, then with longer ones for as long as it returns nothing since the time was too short.
///
/// A test that needs something to be done before a deadline passes gets on quickly so, and does not fail on a busy machine.
pub fn in_time<T>(mut scene: impl FnMut(Duration) -> Option<T>) -> T {
    let mut time = Duration::from_millis(5);
    loop {
        if let Some(done) = scene(time) {
            return done;
        }
        assert!(time < LONG, "however long the time, it was too short");
        time *= 2;
    }
}

/// Sets a scene before a deadline that is near, and returns it with the deadline, which has not passed then.
pub fn before_deadline<T>(mut scene: impl FnMut(Instant) -> T) -> (T, Instant) {
    in_time(|time| {
        let deadline = Instant::now() + time;
        let set = scene(deadline);
        (Instant::now() < deadline).then_some((set, deadline))
    })
}

/// Lets a deadline pass.
pub fn pass(deadline: Instant) {
    while let Some(left) = deadline.checked_duration_since(Instant::now()) {
        // It has not passed before its very instant is over.
        thread::sleep(left.max(Duration::from_micros(1)));
    }
}

/// Drops `value` while the thread panics (which goes no further, and says nothing on the terminal).
pub fn drop_in_a_panic<T>(value: T) {
    let panicked = panic::catch_unwind(panic::AssertUnwindSafe(|| {
        let _value = value;
        panic::resume_unwind(Box::new("on purpose"));
    }));
    assert!(panicked.is_err());
}

/// The books of a channel on which nothing has happened but what `edit` enters.
pub fn books(edit: impl FnOnce(&mut Stats)) -> Stats {
    let mut stats = Stats::default();
    edit(&mut stats);
    stats
}

/// Checks that every accepted request is in one place.
#[track_caller]
pub fn assert_balanced(stats: &Stats) {
    assert_eq!(
        stats.accepted,
        stats.queued + stats.taken + stats.ended(),
        "{stats:?}"
    );
}
