//! Ways to panic, and the cases that try each of them.

use std::{num::NonZeroUsize, panic::panic_any, sync::mpsc, thread as os, time::Duration};

pub(crate) const LONG: Duration = Duration::from_secs(60);
pub(crate) const TWO: NonZeroUsize = NonZeroUsize::new(2).unwrap();

/// A panic payload.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Throw {
    Text,
    /// A payload whose own drop panics.
    Bomb,
}

pub(crate) const WAYS: [Throw; 2] = [Throw::Text, Throw::Bomb];

impl Throw {
    pub(crate) fn throw(self) -> ! {
        match self {
            Self::Text => panic!("thrown"),
            Self::Bomb => panic_any(Bomb(Self::Text)),
        }
    }
}

/// Panics when it is dropped.
#[derive(Debug)]
pub(crate) struct Bomb(pub(crate) Throw);

impl Drop for Bomb {
    fn drop(&mut self) {
        self.0.throw();
    }
}

/// Runs a case, which may hang if it fails.
pub(crate) fn bounded(case: impl FnOnce() + Send + 'static) {
    let (done, is_done) = mpsc::channel();
    let runs = os::spawn(move || {
        case();
        let _ = done.send(());
    });
    let outcome = is_done.recv_timeout(LONG);
    assert!(outcome != Err(mpsc::RecvTimeoutError::Timeout), "it hangs");
    runs.join().expect("the case holds");
}

pub(crate) fn runtime() -> tokio::runtime::Runtime {
    let mut builder = tokio::runtime::Builder::new_multi_thread();
    builder.worker_threads(2).build().unwrap()
}

/// Makes a test of each function for each way to panic.
macro_rules! in_each_way {
    ($($name:ident)*) => {
        mod in_each_way { $(
            #[test]
            fn $name() {
                for way in crate::support::WAYS {
                    crate::support::bounded(move || super::$name(way));
                }
            }
        )* }
    };
}

pub(crate) use in_each_way;
