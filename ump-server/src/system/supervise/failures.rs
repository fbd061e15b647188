//! Failures for good: what ended a component before it was told to end.

use std::{
    fmt,
    future::poll_fn,
    task::{Poll, Waker},
};

use crate::{
    sync::Mutex,
    wait::wakers::{Registration, Wakers, discard, wake_all},
};

/// A component that failed for good: its policy, or its group's, did not let it go on.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
#[non_exhaustive]
pub struct Failure {
    /// Which component.
    pub component: String,
    /// Which instance of it, from zero.
    pub instance: usize,
    /// Why, in words.
    pub why: String,
    /// The group that gave up on account of it, and stopped.
    pub group: Option<String>,
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            component,
            instance,
            why,
            group,
        } = self;
        write!(
            f,
            "component {component}, instance {instance}, failed: {why}"
        )?;
        if let Some(group) = group {
            write!(
                f,
                "; that was once too often, and group {group} was stopped"
            )?;
        }
        Ok(())
    }
}

/// The failures of a system, and who waits for the first one.
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

    /// Resolves to the first failure. Dropped, it leaves nothing behind.
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

/// One future that waits for the first failure.
struct Wait<'a> {
    failures: &'a Failures,
    own: Registration,
}

impl Wait<'_> {
    /// Registers the waker, unless there is a failure already.
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
