//! Failures for good: what ended a component before it was told to end.

use std::{fmt, future::poll_fn, mem, task::Poll, task::Waker};

use crate::sync::Mutex;

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
pub(super) struct Failures(Mutex<Noted>);

#[derive(Default)]
struct Noted {
    failures: Vec<Failure>,
    waiting: Vec<Waker>,
}

impl Failures {
    pub(super) fn note(&self, failure: Failure) {
        let mut noted = self.0.lock();
        noted.failures.push(failure);
        let waiting = mem::take(&mut noted.waiting);
        drop(noted);
        waiting.into_iter().for_each(Waker::wake);
    }

    pub(super) fn all(&self) -> Vec<Failure> {
        self.0.lock().failures.clone()
    }

    pub(super) async fn first(&self) -> Failure {
        poll_fn(|cx| {
            // Cloned before the lock is taken, and dropped after it is released: that is the user's code.
            let mut waker = Some(cx.waker().clone());
            let mut noted = self.0.lock();
            let first = noted.failures.first().cloned();
            let is_known = |known: &Waker| waker.as_ref().is_some_and(|new| known.will_wake(new));
            if first.is_none() && !noted.waiting.iter().any(is_known) {
                noted.waiting.extend(waker.take());
            }
            drop(noted);
            if let Some(first) = first {
                return Poll::Ready(first);
            }
            Poll::Pending
        })
        .await
    }
}
