//! Tasks on several worker threads, and the controller that spawns, watches and stops them.

mod builder;
mod report_port;
mod stop;
mod worker;

use std::{
    fmt,
    future::Future,
    pin::Pin,
    sync::Arc,
    task::{Context as TaskContext, Poll},
    time::{Duration, Instant},
};

use ump::{Client, Clock, RequestError, Requests, Server, Typed};

use self::worker::{Summaries, WorkerHandle};
use super::{
    Command, Interface, NamedTask, Refused, Reply, Report, Request, SendTask, Spawn, Task,
    TaskAddress, status::StatusCell,
};
use crate::system::Operation;

pub use self::{
    builder::{ControllerBuilder, Placement},
    stop::{StopReport, StoppedWorker, WorkerEnd},
    worker::WorkerSummary,
};

type Event<T> = <<T as Task>::Io as Interface>::Event;
type CommandOf<T> = <<T as Task>::Io as Interface>::Command;
type WorkerClient<T> = Client<Request<T>, Reply, Refused<T>>;

/// Runs tasks on a number of worker threads, started by a [`ControllerBuilder`]. Each worker is a
/// [`Component`](super::Component), and the workers share a [bus](crate::bus).
///
/// The controller spawns tasks on the least loaded worker or on a chosen one, gives them commands,
/// and gets their events and failures as [`Report`]s. It shows the [status](Self::status) of the
/// workers without stopping them, names the tasks of a worker that has failed, and
/// [stops](Self::stop) and joins all workers within a deadline.
///
/// If the reports are not taken, the tasks have to wait: a worker whose report finds the
/// [queue](ControllerBuilder::reports) full runs no turn until there is room.
///
/// When the controller is dropped, the workers end without waiting for their tasks: their last
/// packets are sent, and no thread is joined.
///
/// The [module](super#on-workers) has an example.
pub struct Controller<T: SendTask> {
    workers: Vec<WorkerHandle<T>>,
    reports: Arc<Server<Report<Event<T>>, (), ()>>,
    clock: Clock,
    summaries: Summaries,
}

impl<T: SendTask> Controller<T> {
    /// Spawns a task on the worker with the fewest tasks.
    ///
    /// The operation resolves when the task is spawned, to its address.
    ///
    /// # Errors
    /// If no worker is left, the error is [`ServerDisappeared`](RequestError::ServerDisappeared).
    /// Otherwise it is that of the worker: [`Refused::Full`], or one of the request. The task comes
    /// back unless the worker had taken the request.
    pub fn spawn(
        &self,
        task: T,
    ) -> Operation<Result<TaskAddress, RequestError<Spawn<T>, Refused<T>>>> {
        match worker::least_loaded(&self.workers) {
            Some(worker) => self.spawn_on(worker, task),
            None => Operation::new(async { Err(RequestError::ServerDisappeared(Spawn(task))) }),
        }
    }

    /// Spawns a task on a worker. Otherwise like [`spawn`](Self::spawn).
    ///
    /// # Errors
    /// See [`spawn`](Self::spawn).
    ///
    /// # Panics
    /// Panics if there is no worker with this number.
    #[track_caller]
    pub fn spawn_on(
        &self,
        worker: usize,
        task: T,
    ) -> Operation<Result<TaskAddress, RequestError<Spawn<T>, Refused<T>>>> {
        let WorkerHandle { client, shared, .. } = &self.workers[worker];
        let expected = StatusCell::expect(&shared.status);
        let request = Client::ask_owned(Arc::clone(client), Spawn(task));
        Operation::new(async move {
            let spawned = request.await;
            drop(expected);
            spawned.map(|task| TaskAddress { worker, task })
        })
    }

    /// Creates the request that gives a command to a task: wait for it, await it, or
    /// [post](Typed::post) it.
    ///
    /// # Panics
    /// Panics if there is no worker with this number.
    #[track_caller]
    pub fn command(
        &self,
        to: TaskAddress,
        command: CommandOf<T>,
    ) -> Typed<ump::Request<'_, Request<T>, Reply, Refused<T>>, Command<CommandOf<T>>> {
        self.workers[to.worker]
            .client
            .ask(Command(to.task, command))
    }

    /// Returns a client of a worker, to [post](Request::Receive) received packets to it.
    ///
    /// As long as there is a client, the worker ends only by [`stop`](Self::stop).
    ///
    /// # Panics
    /// Panics if there is no worker with this number.
    #[must_use]
    #[track_caller]
    pub fn client(&self, worker: usize) -> WorkerClient<T> {
        (*self.workers[worker].client).clone()
    }

    /// Returns a wait for the next report: wait for it or await it. Reports of failures come before
    /// events.
    pub fn next_report(&self) -> NextReport<'_, Event<T>> {
        NextReport {
            server: &self.reports,
            requests: self.reports.stream(),
        }
    }

    /// Returns the next report, if there is one.
    #[must_use]
    pub fn try_report(&self) -> Option<Report<Event<T>>> {
        Some(self.reports.try_pop().ok()??.0)
    }

    /// Returns the number of workers, those that have failed included.
    #[must_use]
    pub fn workers(&self) -> usize {
        self.workers.len()
    }

    /// Returns the status of each worker, without stopping it. A worker that is stuck in a call of
    /// a task has one, too.
    #[must_use]
    pub fn status(&self) -> Vec<WorkerSummary> {
        let now = self.clock.now();
        let workers = self.workers.iter().enumerate();
        workers
            .map(|(number, worker)| self.summaries.of(number, worker, now))
            .collect()
    }

    /// Returns the tasks of a worker.
    ///
    /// # Panics
    /// Panics if there is no worker with this number.
    #[must_use]
    #[track_caller]
    pub fn tasks(&self, worker: usize) -> Vec<NamedTask> {
        worker::named(worker, self.workers[worker].shared.status.names())
    }

    /// Returns the status of the open sockets of a worker's loop.
    ///
    /// # Panics
    /// Panics if there is no worker with this number.
    #[cfg(all(feature = "net", unix))]
    #[must_use]
    #[track_caller]
    pub fn sockets(&self, worker: usize) -> Vec<crate::net::SocketStatus> {
        self.workers[worker].stopper.sockets()
    }

    /// Stops all workers within `timeout`, and joins them.
    ///
    /// Most of the time is for the tasks: they are [shut down](Task::on_shutdown), and their last
    /// outputs are taken. The rest is for the ends of the threads. The operation resolves when all
    /// workers have ended, at the latest after `timeout`. The [report](StopReport) has the events
    /// of that time, and says which workers and tasks did not end.
    ///
    /// If it is dropped before it was ready, the workers end as when the controller is dropped.
    pub fn stop(self, timeout: Duration) -> Operation<StopReport<Event<T>>> {
        let deadline = self.clock.now().checked_add(timeout);
        Operation::new(stop::stop(self, timeout, deadline))
    }

    fn into_parts(
        self,
    ) -> (
        Vec<WorkerHandle<T>>,
        Arc<Server<Report<Event<T>>, (), ()>>,
        Clock,
    ) {
        (self.workers, self.reports, self.clock)
    }
}

impl<T: SendTask> fmt::Debug for Controller<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Controller")
            .field("workers", &self.workers.len())
            .finish_non_exhaustive()
    }
}

/// A wait for the next report of a [`Controller`]: call [`wait`](Self::wait), or await it. `None`
/// if no worker is left and all reports have been taken.
///
/// # Cancel safety
/// Dropping it loses no report.
#[must_use = "it does nothing until `wait` or `.await`"]
pub struct NextReport<'a, E> {
    server: &'a Server<Report<E>, (), ()>,
    requests: Requests<'a, Report<E>, (), ()>,
}

impl<E> NextReport<'_, E> {
    /// Blocks until there is a report.
    #[must_use]
    pub fn wait(self) -> Option<Report<E>> {
        Some(self.server.wait().ok()?.0)
    }

    /// Blocks until there is a report, at most for `timeout`. `None` also if there was none in
    /// time.
    #[must_use]
    pub fn wait_timeout(self, timeout: Duration) -> Option<Report<E>> {
        Some(self.server.wait_timeout(timeout).ok()??.0)
    }

    /// Blocks until there is a report, at most until `deadline`. `None` also if there was none in
    /// time.
    #[must_use]
    pub fn wait_deadline(self, deadline: Instant) -> Option<Report<E>> {
        Some(self.server.wait_deadline(deadline).ok()??.0)
    }
}

impl<E> Future for NextReport<'_, E> {
    type Output = Option<Report<E>>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut TaskContext<'_>) -> Poll<Self::Output> {
        let polled = self.requests.poll_wait(cx);
        polled.map(|received| Some(received.ok()?.0))
    }
}

impl<E> fmt::Debug for NextReport<'_, E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("NextReport").finish_non_exhaustive()
    }
}
