//! Two ways to wait for a future on a thread.

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

/// Sleeps until it is woken.
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

/// Is sometimes woken for nothing: once in each wait, or not, which makes some hundred times as many interleavings.
pub fn nervously<F: Future>(future: F) -> F::Output {
    loom::future::block_on(future)
}

struct Sleeper {
    thread: Thread,
    /// As loom forgets that a thread was unparked while it waited for a lock, or let others run. (Not one of loom's atomics: between looking at
    /// it and falling asleep nobody else runs.)
    woken: AtomicBool,
}

impl Wake for Sleeper {
    fn wake(self: Arc<Self>) {
        self.woken.store(true, Ordering::SeqCst);
        self.thread.unpark();
    }
}
