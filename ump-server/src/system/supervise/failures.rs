//! Permanent failures, which end a component before it is stopped.

use std::{
    fmt,
    future::poll_fn,
    task::{Poll, Waker},
};

use crate::{
    sync::Mutex,
    wait::wakers::{Registration, Wakers, discard, wake_all},
};

/// A permanent failure of a component: its policy, or that of its group, did not let it continue.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
#[non_exhaustive]
pub struct Failure {
    /// The name of the component.
    pub component: String,
    /// The number of the instance, from zero.
    pub instance: usize,
    /// The reason, as text.
    pub why: String,
    /// The group that gave up because of this failure, and stopped.
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
