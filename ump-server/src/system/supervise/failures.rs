//! Permanent failures, which end a component before it is stopped.

use std::{
    future::poll_fn,
    task::{Poll, Waker},
};

use crate::{
    sync::Mutex,
    system::report::failure::Failure,
    wait::wakers::{Registration, Wakers, discard, wake_all},
};

/// The failures of a system, and the wakers of the futures that wait for the first one.
#[derive(Default)]
pub(in crate::system) struct Failures(Mutex<Noted>);

#[derive(Default)]
struct Noted {
    failures: Vec<Failure>,
    waiting: Wakers,
}

impl Failures {
    pub(in crate::system) fn note(&self, failure: Failure) {
        let mut noted = self.0.lock();
        noted.failures.push(failure);
        let waiting = noted.waiting.take_all();
        drop(noted);
        wake_all(waiting);
    }

    pub(in crate::system) fn all(&self) -> Vec<Failure> {
        self.0.lock().failures.clone()
    }

    /// Resolves to the first failure. If it is dropped, its waker is removed.
    pub(in crate::system) async fn first(&self) -> Failure {
        let mut wait = Wait {
            failures: self,
            own: Registration::default(),
        };
        poll_fn(|cx| match wait.look(cx.waker()) {
            Some(first) => Poll::Ready(first),
            None => Poll::Pending,
        })
        .await
    }
}

/// A future's wait for the first failure.
struct Wait<'a> {
    failures: &'a Failures,
    own: Registration,
}

impl Wait<'_> {
    /// Returns the first failure, or registers the waker if there is none.
    fn look(&mut self, waker: &Waker) -> Option<Failure> {
        let waker = waker.clone();
        let mut noted = self.failures.0.lock();
        let first = noted.failures.first().cloned();
        let unused = if first.is_none() {
            noted.waiting.register(&mut self.own, waker)
        } else {
            Some(waker)
        };
        drop(noted);
        discard(unused);
        first
    }
}

impl Drop for Wait<'_> {
    fn drop(&mut self) {
        if self.own.is_made() {
            let own = self.failures.0.lock().waiting.remove(&mut self.own);
            discard(own);
        }
    }
}
