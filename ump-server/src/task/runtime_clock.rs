//! A clock that tells the time of a tokio runtime, which a test can pause.

use std::{
    future::Future,
    io,
    pin::Pin,
    task::{Context, Poll},
    time::Instant,
};

use tokio::{
    runtime::{Handle, RuntimeFlavor},
    time::{self, Sleep},
};
use ump::{BoxSleep, Clock, TimeSource};

use crate::catch;

/// Returns a clock that tells the time of a tokio runtime: real time, or what `tokio::time::pause`
/// and `advance` make of it.
///
/// Use it for channels, loops, systems and routers that are tested with tokio's paused time. Their
/// deadlines, timers, pauses and watchdogs follow this clock, and the runtime advances its time to
/// them when it has nothing else to do. `pause` does not affect any other clock: deadlines by those
/// are in real time.
///
/// ```
/// # #[tokio::main(flavor = "current_thread", start_paused = true)] async fn main() {
/// use std::time::Duration;
/// use ump_server::{task, ump::{Builder, RequestError}};
///
/// let clock = task::runtime_clock(&tokio::runtime::Handle::current());
/// let (_server, client) = Builder::new().clock(clock).build::<u32, u32, ()>().unwrap();
/// // A week passes at once, as there is nothing else to do.
/// let late = client.request(1).timeout(Duration::from_secs(7 * 24 * 3600)).await;
/// assert!(matches!(late, Err(RequestError::TimeoutQueued(1))));
/// # }
/// ```
///
/// # Threads
/// A runtime does not see the work of other threads. While a loop on a thread works, a paused
/// runtime that has nothing to do advances to the next deadline. So the time at which such a loop
/// acts is not deterministic. Use a [`TestClock`](crate::TestClock) instead, which waits for the
/// loop.
///
/// A thread that **blocks** until a deadline of this clock is woken when the runtime gets there.
/// The thread of a current-thread runtime cannot be woken so, since it would have to advance the
/// time itself. There a blocking call sleeps in real time, for as long as is left by this clock.
/// With paused time, await instead.
///
/// When the runtime has been shut down, its time stops. [`ump::Sleep`] then returns an error, and a
/// wait with a deadline ends as if the deadline had passed.
///
/// # Panics
/// Panics if the runtime was built without its timer (`enable_time`).
#[must_use]
pub fn runtime_clock(runtime: &Handle) -> Clock {
    let time = RuntimeTime {
        runtime: runtime.clone(),
    };
    // Panics here if the runtime has no timer.
    drop(time.sleep_until(time.now()));
    Clock::custom(time)
}

struct RuntimeTime {
    runtime: Handle,
}

impl TimeSource for RuntimeTime {
    fn now(&self) -> Instant {
        let _entered = self.runtime.enter();
        time::Instant::now().into_std()
    }

    fn sleep_until(&self, at: Instant) -> BoxSleep {
        let _entered = self.runtime.enter();
        let sleep = Box::pin(time::sleep_until(at.into()));
        Box::pin(RuntimeSleep { sleep })
    }

    fn needs_this_thread(&self) -> bool {
        let is_alone = self.runtime.runtime_flavor() == RuntimeFlavor::CurrentThread;
        is_alone && Handle::try_current().is_ok_and(|here| here.id() == self.runtime.id())
    }
}

struct RuntimeSleep {
    sleep: Pin<Box<Sleep>>,
}

impl Future for RuntimeSleep {
    type Output = io::Result<()>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        // The sleep panics when the runtime has been shut down, and there is no way to check for
        // that.
        match catch::catch_panic_message(|| self.sleep.as_mut().poll(cx)) {
            Ok(polled) => polled.map(Ok),
            Err(_) => Poll::Ready(Err(io::Error::other(
                "the tokio runtime of the clock has been shut down",
            ))),
        }
    }
}
