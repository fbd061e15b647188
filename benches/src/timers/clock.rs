//! tokio's clock, advanced by hand.

use tokio::{
    runtime::{Builder, Runtime},
    time::{self, Instant},
};

thread_local! {
    static RUNTIME: Runtime = Builder::new_current_thread()
        .enable_time()
        .start_paused(true)
        .build()
        .expect("it needs nothing");
}

/// Runs a closure within the runtime.
pub(super) fn within<R>(act: impl FnOnce() -> R) -> R {
    RUNTIME.with(|runtime| {
        let _within = runtime.enter();
        act()
    })
}

/// Advances the clock, and lets the runtime handle its timers.
pub(super) fn advance_to(at: Instant) {
    RUNTIME.with(|runtime| {
        runtime.block_on(async { time::advance(at.duration_since(Instant::now())).await });
    });
}
