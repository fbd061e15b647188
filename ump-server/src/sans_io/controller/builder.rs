//! The builder of a controller.

use std::{
    num::NonZeroUsize,
    sync::{Arc, OnceLock},
};

use ump::{Client, Clock, WeakClient};

use super::{
    Controller, Event,
    report_port::{ReportPort, waker_of},
    worker::{Summaries, WorkerHandle, WorkerShared, named},
};
use crate::{
    Context, Decision, FailureEvent, JoinErrorKind, OnPanic, SpawnError, TestClock,
    bus::{Bus, Endpoint},
    sans_io::{
        Component, Engine, Interface, Limits, PlacedTask, Refused, Reply, Report, Request,
        SendTask, Sockets, Task, Wakeup, WorkerFailure, engine::Placer, local_bus::Envelope,
        status::StatusCell,
    },
    thread,
};

type Message<T> = <<T as Task>::Io as Interface>::Bus;
type WorkerContext<T> = Context<Request<T>, Reply, Refused<T>, Wakeup>;

/// Builds a [`Controller`].
///
/// | option | default |
/// |---|---|
/// | [`workers`](Self::workers) | one |
/// | [`limits`](Self::limits) of each worker | [`Limits::new`] |
/// | [`capacity`](Self::capacity): requests that wait for a worker | 1,024 |
/// | [`reports`](Self::reports): reports that wait for the application | 65,536 |
/// | [`mailbox`](Self::mailbox): messages of the bus that wait for a worker | 65,536 |
/// | [`place_spawns`](Self::place_spawns) | on the worker of the parent |
/// | [`on_panic`](Self::on_panic) | [`Continue`](OnPanic::Continue): without the task that panicked |
#[derive(Clone, Debug)]
#[must_use = "a builder does nothing until it starts a controller"]
pub struct ControllerBuilder {
    workers: NonZeroUsize,
    limits: Limits,
    name: String,
    capacity: usize,
    reports: usize,
    mailbox: usize,
    placement: Placement,
    threads: thread::Builder,
    clock: Clock,
    on_panic: OnPanic,
}

/// The worker that runs a task which another task has spawned.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Placement {
    /// The worker of the parent.
    #[default]
    SameWorker,
    /// The one with the fewest tasks. If its queue is full, that of the parent.
    LeastLoaded,
}

impl ControllerBuilder {
    /// Creates a builder with the defaults.
    pub fn new() -> Self {
        Self {
            workers: NonZeroUsize::MIN,
            limits: Limits::new(),
            name: "worker".to_owned(),
            capacity: 1_024,
            reports: 65_536,
            mailbox: 65_536,
            placement: Placement::default(),
            threads: thread::Builder::new(),
            clock: Clock::system(),
            on_panic: OnPanic::Continue,
        }
    }

    /// Sets the number of workers.
    pub fn workers(self, workers: NonZeroUsize) -> Self {
        Self { workers, ..self }
    }

    /// Sets the limits of each worker's tasks.
    pub fn limits(self, limits: Limits) -> Self {
        Self { limits, ..self }
    }

    /// Sets the name of the workers' loops and threads, which the number of the worker follows.
    pub fn name(self, name: impl Into<String>) -> Self {
        Self {
            name: name.into(),
            ..self
        }
    }

    /// Limits the number of requests that wait for a worker. See
    /// [`thread::Builder::capacity`].
    pub fn capacity(self, capacity: usize) -> Self {
        Self { capacity, ..self }
    }

    /// Limits the number of events that wait for the application, and the number of failures.
    pub fn reports(self, reports: usize) -> Self {
        Self { reports, ..self }
    }

    /// Limits the number of messages between tasks that wait for a worker. Further ones are dropped
    /// and counted.
    pub fn mailbox(self, mailbox: usize) -> Self {
        Self { mailbox, ..self }
    }

    /// Sets where tasks run that were spawned by tasks.
    pub fn place_spawns(self, placement: Placement) -> Self {
        Self { placement, ..self }
    }

    /// Sets the policy of a worker for panics of its tasks. With [`OnPanic::Continue`] only that
    /// task is gone. Otherwise all tasks of the worker are, and the report
    /// [names them](Report::WorkerFailed).
    pub fn on_panic(self, on_panic: OnPanic) -> Self {
        Self { on_panic, ..self }
    }

    /// Sets the options of the workers' threads: their stack size, watchdog, scheduling and so on.
    /// The name, the capacity, the clock and the policy for panics are those of this builder.
    pub fn threads(self, threads: thread::Builder) -> Self {
        Self { threads, ..self }
    }

    /// Sets the clock of the workers.
    pub fn clock(mut self, clock: Clock) -> Self {
        self.threads = self.threads.clock(clock.clone());
        Self { clock, ..self }
    }

    /// Sets a clock that a test advances, and that waits for the workers.
    pub fn test_clock(mut self, clock: &TestClock) -> Self {
        self.threads = self.threads.test_clock(clock);
        Self {
            clock: clock.clock(),
            ..self
        }
    }

    /// Starts the workers. `sockets` creates the sockets of each, on its thread, from its number.
    /// It is called again if a worker is rebuilt.
    ///
    /// # Errors
    /// See [`SpawnError`].
    pub fn start<T, S>(
        self,
        sockets: impl Fn(usize) -> Result<S, Refused<T>> + Send + Sync + 'static,
    ) -> Result<Controller<T>, SpawnError<Refused<T>>>
    where
        T: SendTask,
        S: Sockets<<T::Io as Interface>::Net> + 'static,
    {
        self.start_with(move |number, _| sockets(number))
    }

    /// Starts the workers, whose sockets are those of their loops: `sockets` also gets the context
    /// of the worker's loop. Otherwise like [`start`](Self::start).
    ///
    /// # Errors
    /// See [`SpawnError`].
    pub fn start_with<T, S>(
        self,
        sockets: impl Fn(
            usize,
            &Context<Request<T>, Reply, Refused<T>, Wakeup>,
        ) -> Result<S, Refused<T>>
        + Send
        + Sync
        + 'static,
    ) -> Result<Controller<T>, SpawnError<Refused<T>>>
    where
        T: SendTask,
        S: Sockets<<T::Io as Interface>::Net> + 'static,
    {
        let (server, client) = ump::Builder::new()
            .capacity(self.reports)
            .clock(self.clock.clone())
            .build()
            .map_err(|_| SpawnError::ZeroCapacity)?;
        let reports = Arc::new(client);
        let bus: Bus<Envelope<Message<T>>> = Bus::new(self.workers.get(), self.mailbox);
        let sockets = Arc::new(sockets);
        let directory = Arc::new(Directory::default());
        let mut workers = Vec::new();
        for number in 0..self.workers.get() {
            let seed = WorkerSeed {
                number,
                limits: self.limits,
                endpoint: bus.endpoint(number),
                shared: WorkerShared::default(),
                reports: Arc::clone(&reports),
                directory: match self.placement {
                    Placement::SameWorker => None,
                    Placement::LeastLoaded => Some(Arc::clone(&directory)),
                },
            };
            workers.push(self.start_worker(seed, &sockets)?);
        }
        let clients = workers
            .iter()
            .map(|worker| (worker.client.weak(), worker.shared.clone()));
        let _ = directory.0.set(clients.collect());
        Ok(Controller {
            workers,
            reports: Arc::new(server),
            summaries: Summaries::new(self.clock.now()),
            clock: self.clock,
        })
    }

    fn start_worker<T, S>(
        &self,
        seed: WorkerSeed<T>,
        sockets: &Arc<
            impl Fn(usize, &WorkerContext<T>) -> Result<S, Refused<T>> + Send + Sync + 'static,
        >,
    ) -> Result<WorkerHandle<T>, SpawnError<Refused<T>>>
    where
        T: SendTask,
        S: Sockets<<T::Io as Interface>::Net> + 'static,
    {
        let sockets = Arc::clone(sockets);
        let shared = seed.shared.clone();
        let on_failure = seed.on_failure();
        let (client, handle) = self
            .threads
            .clone()
            .name(format!("{}-{}", self.name, seed.number))
            .capacity(self.capacity)
            .on_panic(self.on_panic.clone())
            .on_failure(on_failure)
            .spawn_with(move |cx: &WorkerContext<T>| {
                Ok(seed.component(cx, sockets(seed.number, cx)?))
            })?;
        Ok(WorkerHandle {
            client: Arc::new(client),
            stopper: handle.stopper(),
            handle,
            shared,
        })
    }
}

impl Default for ControllerBuilder {
    fn default() -> Self {
        Self::new()
    }
}

/// The workers, to each other.
struct Directory<T: SendTask>(OnceLock<Vec<Neighbour<T>>>);

type Neighbour<T> = (WeakClient<Request<T>, Reply, Refused<T>>, WorkerShared);

impl<T: SendTask> Default for Directory<T> {
    fn default() -> Self {
        Self(OnceLock::new())
    }
}

impl<T: SendTask> Directory<T> {
    /// Sends a task to the worker with the fewest tasks, those on their way included. Returns it if
    /// that is `own`, or if it has no room.
    fn place(&self, own: usize, task: T) -> Result<(), T> {
        let workers = self.0.get().map_or(&[][..], Vec::as_slice);
        let alive = workers.iter().enumerate().filter_map(|(number, worker)| {
            let (client, shared) = worker;
            Some((number, client.upgrade()?, &shared.status))
        });
        // The own worker comes first among equals.
        let least = alive.min_by_key(|(number, _, status)| (status.load(), *number != own));
        let Some((_, client, status)) = least.filter(|(number, ..)| *number != own) else {
            return Err(task);
        };
        let placed = PlacedTask {
            task: Box::new(task),
            expected: StatusCell::expect(status),
        };
        client
            .post(Request::Placed(placed))
            .if_room()
            .wait()
            .map_err(|refused| match refused.into_message() {
                Request::Placed(PlacedTask { task, .. }) => *task,
                _ => unreachable!("the post returns its message"),
            })
    }
}

/// The parts of a worker, each time it is made.
struct WorkerSeed<T: SendTask> {
    number: usize,
    limits: Limits,
    endpoint: Endpoint<Envelope<Message<T>>>,
    shared: WorkerShared,
    reports: Arc<Client<Report<Event<T>>, (), ()>>,
    directory: Option<Arc<Directory<T>>>,
}

impl<T: SendTask> WorkerSeed<T> {
    fn component<S>(&self, cx: &WorkerContext<T>, sockets: S) -> Component<T, S>
    where
        S: Sockets<<T::Io as Interface>::Net>,
    {
        // A worker that was rebuilt begins without subscriptions and messages.
        self.endpoint.close();
        self.endpoint.open();
        let mut port = ReportPort::new(Arc::clone(&self.reports), cx.timers());
        let report = Box::new(move |report| port.send(report));
        let mut engine = Engine::with_reporter(self.limits, sockets, report);
        let own = self.number;
        let placer = self.directory.clone().map(|directory| {
            let place: Placer<T> = Box::new(move |task| directory.place(own, task));
            place
        });
        engine.connect(self.endpoint.clone(), &self.shared.status, placer);
        self.endpoint
            .on_message(waker_of(cx.weak_client(), cx.timers(), || Request::Wake));
        Component::of_engine(cx, engine)
    }

    /// Returns the callback for the failures of the worker.
    fn on_failure(&self) -> impl Fn(&FailureEvent) + Send + Sync + 'static {
        let number = self.number;
        let shared = self.shared.clone();
        let reports = Arc::clone(&self.reports);
        let endpoint = self.endpoint.clone();
        move |event| {
            if let (JoinErrorKind::Panicked(message), Decision::Continue) =
                (&event.failure, event.decision)
            {
                // The engine reports the task.
                shared.status.set_panic(message.clone());
                return;
            }
            endpoint.close();
            let failure = WorkerFailure {
                worker: number,
                name: Arc::clone(&event.name),
                failure: event.failure.clone(),
                decision: event.decision,
                tasks: named(number, shared.status.take_names()),
            };
            *shared.failure.lock() = Some(failure.clone());
            // It does not wait behind events. If there is no room, the status shows the failure.
            let _ = reports
                .post(Report::WorkerFailed(failure))
                .urgent()
                .if_room()
                .wait();
        }
    }
}
