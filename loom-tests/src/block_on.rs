//! Two ways to block a thread on a future.

use std::{
    future::Future,
    pin::pin,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    task::{Context, Poll, Wake, Waker},
};

use loom::thread::{self, Thread};

/// Sleeps until the future's waker is called.
pub fn quietly<F: Future>(future: F) -> F::Output {
    let sleeper = Arc::new(Sleeper {
        thread: thread::current(),
        woken: AtomicBool::new(false),
    });
    let waker = Waker::from(Arc::clone(&sleeper));
    let mut future = pin!(future);
    loop {
        if let Poll::Ready(output) = future.as_mut().poll(&mut Context::from_waker(&waker)) {
            return output;
        }
        while !sleeper.woken.swap(false, Ordering::SeqCst) {
            thread::park();
        }
    }
}

/// Also wakes up spuriously: at most once in each wait, in some interleavings. This makes about a
/// hundred times as many interleavings.
pub fn nervously<F: Future>(future: F) -> F::Output {
    loom::future::block_on(future)
}

struct Sleeper {
    thread: Thread,
    /// Needed because loom forgets that a thread was unparked while the thread waited for a lock or
    /// yielded. This is not one of loom's atomics: no other thread runs between the check of the
    /// flag and the park.
    woken: AtomicBool,
}

impl Wake for Sleeper {
    fn wake(self: Arc<Self>) {
        self.woken.store(true, Ordering::SeqCst);
        self.thread.unpark();
    }
}
