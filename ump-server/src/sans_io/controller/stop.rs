//! The stop of all workers.
//!
//! ```text
//!   ask all to shut down ──► a worker answers, or its time is over ──► stop its loop ──► it ends
//!          meanwhile: take the reports, so that no worker waits for room
//! ```

use std::{
    fmt,
    future::{Future, poll_fn},
    pin::Pin,
    sync::Arc,
    task::Poll,
    time::{Duration, Instant},
};

use ump::{Client, Clock, RequestError};

use super::{
    Controller, Event,
    worker::{WorkerHandle, named},
};
use crate::{
    InHand, JoinError, Stop,
    sans_io::{NamedTask, Report, SendTask, ShutDown},
};

/// The result of [`Controller::stop`](super::Controller::stop).
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct StopReport<E> {
    /// The workers, by their numbers.
    pub workers: Vec<StoppedWorker>,
    /// The reports that had not been taken, and those that came during the stop.
    pub reports: Vec<Report<E>>,
    /// The number of reports beyond a million, which were dropped.
    pub dropped: u64,
}

/// A worker that was stopped.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct StoppedWorker {
    /// The number of the worker.
    pub worker: usize,
    /// The name of its loop.
    pub name: Arc<str>,
    /// The tasks that had not ended in time. They were dropped, or they still run if the worker
    /// does.
    pub tasks: Vec<NamedTask>,
    /// How the worker has ended.
    pub end: WorkerEnd,
}

/// How a worker has ended.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum WorkerEnd {
    /// Its loop and its clean-up are done.
    Ended,
    /// It failed, now or before.
    Failed(JoinError),
    /// It did not end in time, and goes on: a task does not return. This is the call.
    Late(Option<InHand>),
}

impl<E> StopReport<E> {
    /// Returns whether all workers and all tasks have ended in time and without failure.
    #[must_use]
    pub fn is_clean(&self) -> bool {
        let is_clean = |worker: &StoppedWorker| {
            worker.tasks.is_empty() && matches!(worker.end, WorkerEnd::Ended)
        };
        self.workers.iter().all(is_clean)
    }
}

impl<E> fmt::Display for StopReport<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (number, worker) in self.workers.iter().enumerate() {
            let comma = if number > 0 { "; " } else { "" };
            write!(f, "{comma}{} ", worker.name)?;
            match &worker.end {
                WorkerEnd::Ended => f.write_str("has ended")?,
                WorkerEnd::Failed(error) => write!(f, "has failed: {error}")?,
                WorkerEnd::Late(Some(call)) => write!(f, "has not ended: it is in {call}")?,
                WorkerEnd::Late(None) => f.write_str("has not ended")?,
            }
            if !worker.tasks.is_empty() {
                f.write_str(", without the end of")?;
            }
            for task in &worker.tasks {
                write!(f, " {task}")?;
            }
        }
        Ok(())
    }
}

/// The part of the time that is for the ends of the threads, as a divisor.
const JOIN_PART: u32 = 8;

/// The number of reports that a stop keeps.
const KEPT: usize = 1_000_000;

pub(super) async fn stop<T: SendTask>(
    controller: Controller<T>,
    timeout: Duration,
    deadline: Option<Instant>,
) -> StopReport<Event<T>> {
    let (workers, server, clock) = controller.into_parts();
    let for_tasks = timeout.saturating_sub(timeout / JOIN_PART);
    let mut stopping: Vec<_> = workers
        .into_iter()
        .enumerate()
        .map(|(number, worker)| {
            let stopping = stop_worker(number, worker, for_tasks, clock.clone(), deadline);
            let stopping: Pin<Box<dyn Future<Output = StoppedWorker> + Send>> = Box::pin(stopping);
            (Some(stopping), None)
        })
        .collect();
    let mut reports = Vec::new();
    let mut dropped = 0;
    let workers = poll_fn(|cx| {
        while let Poll::Ready(Ok((report, _))) = server.poll_wait(cx) {
            if reports.len() < KEPT {
                reports.push(report);
            } else {
                dropped += 1;
            }
        }
        for (future, stopped) in &mut stopping {
            if let Some(running) = future {
                if let Poll::Ready(worker) = running.as_mut().poll(cx) {
                    (*future, *stopped) = (None, Some(worker));
                }
            }
        }
        if stopping.iter().any(|(_, stopped)| stopped.is_none()) {
            return Poll::Pending;
        }
        Poll::Ready(
            stopping
                .iter_mut()
                .filter_map(|(_, stopped)| stopped.take())
                .collect(),
        )
    });
    let workers = workers.await;
    while let Ok(Some((report, _))) = server.try_pop() {
        reports.push(report);
    }
    StopReport {
        workers,
        reports,
        dropped,
    }
}

async fn stop_worker<T: SendTask>(
    number: usize,
    worker: WorkerHandle<T>,
    for_tasks: Duration,
    clock: Clock,
    deadline: Option<Instant>,
) -> StoppedWorker {
    let WorkerHandle {
        client,
        mut handle,
        stopper,
        shared,
    } = worker;
    let asked = Client::ask_owned(client, ShutDown(for_tasks))
        .urgent()
        .timeout(for_tasks);
    let answer = asked.await;
    stopper.stop(Stop::Refuse);
    let mut late = deadline.map(|deadline| clock.sleep_until(deadline));
    let ended = poll_fn(|cx| {
        if let Poll::Ready(ended) = Pin::new(&mut handle).poll(cx) {
            return Poll::Ready(Some(ended));
        }
        match &mut late {
            // If the system refuses the timer thread, the time is over.
            Some(late) => Pin::new(late).poll(cx).map(|_| None),
            None => Poll::Pending,
        }
    });
    let ended = ended.await;
    let tasks = match answer {
        Ok(left) => left,
        Err(RequestError::ServerDisappeared(_)) => Vec::new(),
        // The worker did not answer in time: the tasks that it has now did not end.
        Err(_) => named(number, shared.status.names()),
    };
    StoppedWorker {
        worker: number,
        name: Arc::clone(stopper.shared_name()),
        tasks,
        end: match ended {
            Some(Ok(_)) => WorkerEnd::Ended,
            Some(Err(error)) => WorkerEnd::Failed(error),
            None => {
                let status = stopper.workers().into_iter().next();
                WorkerEnd::Late(status.and_then(|status| status.in_hand))
            }
        },
    }
}
