//! The options of any loop, and the parts that its workers share.

use std::{io, sync::Arc, time::Duration, vec};

use ump::{Client, Clock, Server};

use crate::{
    Context, JoinHandle, OnPanic, Stop,
    catch::drop_each,
    deadlock::WaitNode,
    net::{Reactor, WorkerSockets},
    observe::{ChannelMeter, Meter},
    record::WorkerRecord,
    sync,
    testing::{participant::Participant, test_clock::TestClock},
    timer::timers,
    watchdog::{Monitor, OnStall, Watch, WatchConfig},
    worker::failure_event::OnFailure,
    worker::failure_policy::{FailurePolicy, Supervisor},
    worker::join_error::Refusal,
    worker::lifecycle::Worker,
    worker::loop_state::LoopState,
    worker::question::Reply,
    worker::recorder::WorkerRecorder,
    worker::spawn_error::{FactoryError, SpawnError},
    worker::stop::{Control, Stopper, Wake},
};

/// The options of any loop.
#[derive(Clone, Debug, Default)]
pub(crate) struct Options {
    pub(crate) name: Option<String>,
    pub(crate) channel: ump::Builder,
    pub(crate) clock: Clock,
    pub(crate) test_clock: Option<TestClock>,
    pub(crate) on_panic: OnPanic,
    pub(crate) supervisor: Option<Arc<dyn Supervisor>>,
    pub(crate) on_failure: OnFailure,
    pub(crate) watchdog: Option<Duration>,
    pub(crate) on_stall: Option<OnStall>,
    pub(crate) timed: bool,
}

/// Defines the methods of a builder that set the options.
macro_rules! choose_options {
    () => {
        /// Sets the name of the loop, which its errors and its threads have. It must not contain a
        /// NUL character.
        ///
        /// The system may show only the first 15 bytes of a thread's name. In a pool, the number of
        /// the worker follows the name.
        pub fn name(mut self, name: impl Into<String>) -> Self {
            self.options.name = Some(name.into());
            self
        }

        /// Limits the queue to `capacity` requests in each lane. If a client finds the queue full,
        /// it waits for room or not, as it [chooses](ump::Request::if_room). `usize::MAX` is no
        /// limit. With zero, spawning the loop returns
        /// [`ZeroCapacity`](crate::SpawnError::ZeroCapacity).
        pub fn capacity(mut self, capacity: usize) -> Self {
            self.options.channel = self.options.channel.capacity(capacity);
            self
        }

        /// Sets how long the loop and its clients spin before they sleep.
        pub fn spin(mut self, spin: ump::Spin) -> Self {
            self.options.channel = self.options.channel.spin(spin);
            self
        }

        /// Sets the default time-out of the loop's clients, for requests that have none of their
        /// own: see [`Client::with_timeout`](ump::Client::with_timeout). The client that spawning
        /// returns has it, and so have its clones.
        pub fn default_timeout(mut self, timeout: std::time::Duration) -> Self {
            self.options.channel = self.options.channel.default_timeout(timeout);
            self
        }

        /// Sets the clock of the channel and of the timers.
        pub fn clock(mut self, clock: ump::Clock) -> Self {
            self.options.channel = self.options.channel.clock(clock.clone());
            self.options.clock = clock;
            self
        }

        /// Sets a clock that a test advances, and that waits for this loop.
        pub fn test_clock(mut self, clock: &crate::TestClock) -> Self {
            self.options.test_clock = Some(clock.clone());
            self.clock(clock.clock())
        }

        /// Sets what the loop does when its handler panics.
        pub fn on_panic(mut self, policy: crate::OnPanic) -> Self {
            self.options.on_panic = policy;
            self
        }

        /// Adds a callback for the failures of the loop's handlers: panics, time-outs that count as
        /// failures, and factories that do not make a handler. The callback gets what failed, why,
        /// and what the loop does about it: see [`FailureEvent`](crate::FailureEvent). If there are
        /// several callbacks, they are called in the order in which they were added.
        ///
        /// The callback runs on the loop's own thread or task. It runs after the callers of the
        /// requests in hand have got their error, and before the pause or the end, so it should not
        /// block. No lock is held: the callback may stop the loop, or post to it. If it panics, the
        /// panic is caught, and the callback is called again for the next failure. If its runtime
        /// or its thread does not let a loop finish, there is no failure to report.
        ///
        /// ```
        /// use ump_server::{FailureEvent, thread};
        ///
        /// let builder = thread::Builder::new()
        ///     .name("store")
        ///     .on_failure(|event: &FailureEvent| eprintln!("{event}"));
        /// # let _ = builder;
        /// ```
        pub fn on_failure(
            mut self,
            call: impl Fn(&crate::FailureEvent) + Send + Sync + 'static,
        ) -> Self {
            self.options.on_failure.add(std::sync::Arc::new(call));
            self
        }

        /// Reports a handler that does not return control for longer than `threshold`: as a warning
        /// (with the feature `tracing`), by [`on_stall`](Self::on_stall), or both. The time is that
        /// of the loop's clock, and the threshold is at least 1 ms. Time in which the handler
        /// awaits does not count. See [`watchdog`](crate::watchdog).
        pub fn watchdog(mut self, threshold: std::time::Duration) -> Self {
            self.options.watchdog = Some(threshold);
            self
        }

        /// Sets the callback of the [watchdog](Self::watchdog). It runs on the one thread that the
        /// watchdog has for all loops, so it should not block. If it panics, it is called again for
        /// the next stall. Without a threshold it is never called.
        pub fn on_stall(
            mut self,
            call: impl Fn(&crate::watchdog::Stall) + Send + Sync + 'static,
        ) -> Self {
            self.options.on_stall = Some(crate::watchdog::OnStall::new(call));
            self
        }

        /// Reads the clock at the beginning of each call. The loop's
        /// [status](crate::Stopper::workers) then says exactly for how long a request has been in
        /// hand, rather than since when it has been observed. The [watchdog](Self::watchdog) and
        /// the feature `metrics` imply this option.
        pub fn timed(mut self) -> Self {
            self.options.timed = true;
            self
        }

        /// Applies the defaults of the plain `spawn` of the published 0.4: with the feature
        /// `watchdog` the loop is watched.
        #[cfg(feature = "watchdog")]
        pub(crate) fn with_published_defaults(self) -> Self {
            self.watchdog(crate::worker::options::PUBLISHED_THRESHOLD)
                .on_stall(crate::worker::options::warn_as_published)
        }

        /// Applies the defaults of the plain `spawn` of the published 0.4: without the feature
        /// `watchdog` there are none to add.
        #[cfg(not(feature = "watchdog"))]
        pub(crate) fn with_published_defaults(self) -> Self {
            self
        }

        /// Sets the callbacks for failures.
        #[cfg(not(any(loom, shuttle)))]
        pub(crate) fn on_failures(
            mut self,
            calls: crate::worker::failure_event::OnFailure,
        ) -> Self {
            self.options.on_failure = calls;
            self
        }

        /// Sets the supervisor, which decides about the failures of the loop's handlers.
        #[cfg(not(any(loom, shuttle)))]
        pub(crate) fn supervisor(
            mut self,
            supervisor: std::sync::Arc<dyn crate::worker::failure_policy::Supervisor>,
        ) -> Self {
            self.options.supervisor = Some(supervisor);
            self
        }
    };
}

pub(crate) use choose_options;

/// The threshold of the watchdog of the published 0.4, where it is fixed.
#[cfg(feature = "watchdog")]
pub(crate) const PUBLISHED_THRESHOLD: Duration = Duration::from_millis(200);

/// Prints a warning of a stall on standard error, unless a `tracing` event reports it.
#[cfg(feature = "watchdog")]
pub(crate) fn warn_as_published(stall: &crate::watchdog::Stall) {
    use std::io::Write as _;

    if cfg!(not(feature = "tracing")) {
        // If the warning cannot be written, the loop must not fail because of that.
        let _ = writeln!(std::io::stderr(), "warning: {stall}");
    }
}

impl Options {
    pub(crate) fn restarts(&self) -> bool {
        matches!(self.on_panic, OnPanic::Restart(_))
    }

    /// Creates the parts of a loop with this many workers. `handler` is the name of the handlers'
    /// type.
    pub(crate) fn parts<S, R, E, RV, X>(
        self,
        workers: usize,
        has_factory: bool,
        handler: &'static str,
    ) -> Result<Parts<S, R, E, RV>, SpawnError<X>>
    where
        S: Send + 'static,
        R: Send + 'static,
        E: Send + 'static,
    {
        let name: Arc<str> = match &self.name {
            Some(name) if name.contains('\0') => return Err(SpawnError::Name),
            Some(name) => name.as_str().into(),
            None => short_name(handler).into(),
        };
        let (server, client) = self
            .channel
            .clone()
            .entry_times(Meter::TIMES)
            .build()
            .map_err(|_| SpawnError::ZeroCapacity)?;
        let server = Arc::new(server);
        let control = Arc::new(Control::new(&server, has_factory));
        let records: Vec<_> = (0..workers)
            .map(|worker| WorkerRecord::new(Arc::clone(&name), worker, self.clock.clone()))
            .collect();
        let meter = ChannelMeter::new(&name, &server, &records);
        let recorders = self
            .recorders(&records, &meter)
            .map_err(|refusal| SpawnError::Thread(refusal.into()))?;
        let reactors: Vec<_> = (0..workers)
            .map(|worker| {
                let server = Arc::downgrade(&server);
                let interrupt = move || {
                    if let Some(server) = server.upgrade() {
                        server.interrupt();
                    }
                };
                Reactor::new(&name, worker, &self.clock, interrupt)
            })
            .collect();
        let stopper = Stopper::new(&name, records, &reactors, control.clone());
        let participants = match &self.test_clock {
            Some(clock) => clock.register(&name, &server, workers),
            None => Vec::new(),
        };
        let wait_nodes: Vec<_> = (0..workers)
            .map(|worker| WaitNode::register(&name, &server, worker))
            .collect();
        let (loop_state, handle) = LoopState::new(&wait_nodes, server.id(), stopper.clone());
        Ok(Parts {
            options: self,
            name,
            wait_nodes: wait_nodes.into_iter(),
            participants: participants.into_iter(),
            recorders: recorders.into_iter(),
            reactors: reactors.into_iter(),
            server,
            client,
            control,
            stopper,
            loop_state,
            handle,
        })
    }

    fn recorders(
        &self,
        records: &[sync::Arc<WorkerRecord>],
        meter: &ChannelMeter,
    ) -> io::Result<Vec<WorkerRecorder>> {
        records
            .iter()
            .map(|record| {
                let watch = self.watchdog.map(|threshold| {
                    let config = WatchConfig::new(threshold, self.on_stall.clone());
                    Watch::begin(&Monitor::of_process()?, record, config)
                });
                let watch = watch.transpose()?;
                Ok(WorkerRecorder::new(sync::Arc::clone(record), self.timed, watch).counts(meter))
            })
            .collect()
    }
}

/// The parts of a loop that its workers share, before they are started.
pub(crate) struct Parts<S, R, E, RV> {
    options: Options,
    pub(crate) name: Arc<str>,
    /// The wait nodes of all workers, registered from the beginning: a worker that has not started
    /// yet may answer.
    wait_nodes: vec::IntoIter<Arc<WaitNode>>,
    participants: vec::IntoIter<Participant>,
    recorders: vec::IntoIter<WorkerRecorder>,
    reactors: vec::IntoIter<Arc<Reactor>>,
    pub(crate) server: Arc<Server<S, R, E>>,
    pub(crate) client: Client<S, R, E>,
    control: Arc<Control<S, R, E>>,
    stopper: Stopper,
    loop_state: Arc<LoopState<RV>>,
    handle: JoinHandle<RV>,
}

impl<S, R, E, RV> Parts<S, R, E, RV>
where
    S: Send + 'static,
    R: Send + 'static,
    E: Send + 'static,
{
    /// Returns the reactor of the next worker.
    pub(crate) fn reactor(&self) -> &Arc<Reactor> {
        self.reactors.as_slice().first().expect(ONE_EACH)
    }

    /// Creates a worker. `wake` is called when a timer is armed elsewhere, or at a renewal.
    pub(crate) fn worker<T>(
        &mut self,
        number: usize,
        wake: impl Fn() + Send + Sync + 'static,
    ) -> Worker<S, R, E, RV, T> {
        let clock = self.options.clock.clone();
        let wake: Wake = Arc::new(wake);
        self.control.add(Arc::clone(&wake));
        let waking = Arc::clone(&wake);
        let (timers, due) = timers(clock.clone(), move || waking());
        let sockets = WorkerSockets::new(self.reactors.next().expect(ONE_EACH));
        Worker {
            server: Arc::clone(&self.server),
            control: Arc::clone(&self.control),
            loop_state: Arc::clone(&self.loop_state),
            name: Arc::clone(&self.name),
            failure_policy: FailurePolicy::new(
                &self.options.on_panic,
                self.options.supervisor.clone(),
            ),
            context: Context {
                client: self.client.weak(),
                timers,
                clock,
                stopper: self.stopper.clone(),
                worker: number,
                restarts: 0,
                sockets: sockets.begin_handler(),
            },
            sockets,
            due,
            wake,
            renewals: 0,
            wait_node: self.wait_nodes.next().expect(ONE_EACH),
            participant: self.participants.next(),
            recorder: self.recorders.next().expect(ONE_EACH),
            on_failure: self.options.on_failure.clone(),
            failures: 0,
            refusal: Refusal::default(),
            has_started: false,
        }
    }

    /// Adds a thread that runs one of the workers.
    pub(crate) fn add_thread(&mut self, thread: sync::ThreadHandle<()>) {
        self.handle.add_thread(thread);
    }

    /// Returns the wait nodes of the workers that have not been made.
    pub(crate) fn wait_nodes(&self) -> &[Arc<WaitNode>] {
        self.wait_nodes.as_slice()
    }

    pub(crate) fn launched<X>(
        self,
        made: Vec<Reply<(), FactoryError<X>>>,
    ) -> Launched<S, R, E, RV, X> {
        Launched {
            client: self.client,
            handle: self.handle,
            made,
        }
    }

    pub(crate) fn into_ends(self) -> (Client<S, R, E>, JoinHandle<RV>) {
        (self.client, self.handle)
    }
}

const ONE_EACH: &str = "each worker has one";

/// A loop whose handlers are being made.
pub(crate) struct Launched<S, R, E, RV, X> {
    pub(crate) client: Client<S, R, E>,
    pub(crate) handle: JoinHandle<RV>,
    /// The replies that arrive when the first handler of each worker is made.
    pub(crate) made: Vec<Reply<(), FactoryError<X>>>,
}

impl<S, R, E, RV, X> Launched<S, R, E, RV, X> {
    /// Blocks until the first handlers of all workers are made.
    pub(crate) fn wait(self) -> Result<(Client<S, R, E>, JoinHandle<RV>), SpawnError<X>> {
        let mut made = self.made.into_iter();
        for made_one in made.by_ref() {
            if let Err(error) = made_one.wait() {
                self.handle.stopper().stop(Stop::Refuse);
                // Other factories may have refused as well: the drops of their errors are user
                // code.
                drop_each(made);
                return Err(error.into());
            }
        }
        Ok((self.client, self.handle))
    }
}

/// Returns the last part of a type's path, without its parameters. A closure has no name.
fn short_name(path: &str) -> &str {
    let path = path.split('<').next().unwrap_or(path);
    match path.rsplit("::").next() {
        Some(name) if !name.is_empty() && !name.contains('{') => name,
        _ => "ump-server",
    }
}
