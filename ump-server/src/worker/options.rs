//! What can be chosen of any loop, and what its workers share.

use std::{io, sync::Arc, time::Duration, vec};

use ump::{Client, Clock, Server};

use crate::{
    Context, JoinHandle, OnPanic, Stop,
    catch::drop_each,
    deadlock::WaitNode,
    observe::{ChannelMeter, Meter},
    record::WorkerRecord,
    sync,
    testing::test_clock::{Participant, TestClock},
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

/// What can be chosen of any loop.
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

/// The methods of a builder that choose it.
macro_rules! choose_options {
    () => {
        /// The name of the loop: in its errors, and that of its thread if it has one (systems may
        /// show the first 15 bytes only; the workers of a pool have a number behind it). It must
        /// not contain a NUL character.
        pub fn name(mut self, name: impl Into<String>) -> Self {
            self.options.name = Some(name.into());
            self
        }

        /// The queue holds at most so many requests in each lane; a client that finds it full waits
        /// for room or not, as [it chooses](ump::Request::if_room). `usize::MAX`: unbounded; zero
        /// is an [error](crate::SpawnError::ZeroCapacity) when it is spawned.
        pub fn capacity(mut self, capacity: usize) -> Self {
            self.options.channel = self.options.channel.capacity(capacity);
            self
        }

        /// How long the loop and its clients wait awake before they sleep.
        pub fn spin(mut self, spin: ump::Spin) -> Self {
            self.options.channel = self.options.channel.spin(spin);
            self
        }

        /// Gives clients of the loop a default time-out, for requests that have none of their own:
        /// see [`Client::with_timeout`](ump::Client::with_timeout). The client that comes from
        /// spawning it has it, and so have its clones.
        pub fn default_timeout(mut self, timeout: std::time::Duration) -> Self {
            self.options.channel = self.options.channel.default_timeout(timeout);
            self
        }

        /// What tells the time, to the channel and to the timers.
        pub fn clock(mut self, clock: ump::Clock) -> Self {
            self.options.channel = self.options.channel.clock(clock.clone());
            self.options.clock = clock;
            self
        }

        /// Goes by a clock that a test moves, which waits for this loop.
        pub fn test_clock(mut self, clock: &crate::TestClock) -> Self {
            self.options.test_clock = Some(clock.clone());
            self.clock(clock.clock())
        }

        /// What becomes of the loop when its handler panics.
        pub fn on_panic(mut self, policy: crate::OnPanic) -> Self {
            self.options.on_panic = policy;
            self
        }

        /// Has this called for each failure of its handlers (a panic, or a factory that does not
        /// make one), with what failed, why, and what the loop does about it: see
        /// [`FailureEvent`](crate::FailureEvent). Said several times, all are called, in that
        /// order.
        ///
        /// It is called on the loop's own thread or task, after the callers in hand have learned of
        /// the failure, and before the pause or the end: so it should not block. No lock is held;
        /// it may stop the loop, or post to it. If it panics, that is caught, and it is called
        /// again the next time. A loop that its runtime or its thread does not let finish has no
        /// failure to report.
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

        /// Tells when its handler does not return control for longer than this: as a warning (with
        /// the feature `tracing`), by [`on_stall`](Self::on_stall), or both. The time is that of
        /// the loop's clock, and at least 1 ms; what it awaits does not count. See
        /// [`watchdog`](crate::watchdog).
        pub fn watchdog(mut self, threshold: std::time::Duration) -> Self {
            self.options.watchdog = Some(threshold);
            self
        }

        /// What the [watchdog](Self::watchdog) calls, on the one thread that it has for all loops:
        /// it should not block. If it panics, it is called again the next time. Without a threshold
        /// it is never called.
        pub fn on_stall(
            mut self,
            call: impl Fn(&crate::watchdog::Stall) + Send + Sync + 'static,
        ) -> Self {
            self.options.on_stall = Some(crate::watchdog::OnStall::new(call));
            self
        }

        /// Reads the clock at the beginning of each call, so that its
        /// [status](crate::Stopper::workers) says exactly for how long something has been in hand,
        /// rather than since when it has been observed. Implied by the [watchdog](Self::watchdog)
        /// and by the feature `metrics`.
        pub fn timed(mut self) -> Self {
            self.options.timed = true;
            self
        }

        /// As the plain `spawn` of the published 0.4 makes a loop: with the feature `watchdog` it
        /// is watched.
        #[cfg(feature = "watchdog")]
        pub(crate) fn with_published_defaults(self) -> Self {
            self.watchdog(crate::worker::options::PUBLISHED_THRESHOLD)
                .on_stall(crate::worker::options::warn_as_published)
        }

        /// As the plain `spawn` of the published 0.4 makes a loop: without the feature `watchdog`
        /// there is nothing to add.
        #[cfg(not(feature = "watchdog"))]
        pub(crate) fn with_published_defaults(self) -> Self {
            self
        }

        /// Has these called for each failure, too.
        #[cfg(not(any(loom, shuttle)))]
        pub(crate) fn on_failures(
            mut self,
            calls: crate::worker::failure_event::OnFailure,
        ) -> Self {
            self.options.on_failure = calls;
            self
        }

        /// Who hears of the failures of its handlers, and has the last word.
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

/// The threshold of the watchdog of the published 0.4, which has no other.
#[cfg(feature = "watchdog")]
pub(crate) const PUBLISHED_THRESHOLD: Duration = Duration::from_millis(200);

/// Warns of a stall on standard error, unless a `tracing` event does.
#[cfg(feature = "watchdog")]
pub(crate) fn warn_as_published(stall: &crate::watchdog::Stall) {
    use std::io::Write as _;

    if cfg!(not(feature = "tracing")) {
        // If nobody can read it, the loop must not fail for that.
        let _ = writeln!(std::io::stderr(), "warning: {stall}");
    }
}

impl Options {
    pub(crate) fn restarts(&self) -> bool {
        matches!(self.on_panic, OnPanic::Restart(_))
    }

    /// The parts of a loop with so many workers, whose handlers are of this type.
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
        let stopper = Stopper::new(&name, records, control.clone());
        let participants = match &self.test_clock {
            Some(clock) => Participant::of_loop(clock, &name, &server, workers),
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

/// What the workers of a loop share, before they are started.
pub(crate) struct Parts<S, R, E, RV> {
    options: Options,
    pub(crate) name: Arc<str>,
    /// All are taken from the beginning: a worker that has not started yet may answer.
    wait_nodes: vec::IntoIter<Arc<WaitNode>>,
    participants: vec::IntoIter<Participant>,
    recorders: vec::IntoIter<WorkerRecorder>,
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
    /// A worker that is woken so when a timer is armed elsewhere.
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
            },
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

    /// A thread that runs one of its workers.
    pub(crate) fn add_thread(&mut self, thread: sync::ThreadHandle<()>) {
        self.handle.add_thread(thread);
    }

    /// Those of the workers that have not been made.
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

const ONE_EACH: &str = "there is one for each worker";

/// A loop whose handlers are being made.
pub(crate) struct Launched<S, R, E, RV, X> {
    pub(crate) client: Client<S, R, E>,
    pub(crate) handle: JoinHandle<RV>,
    /// Each tells when the first handler of a worker is made.
    pub(crate) made: Vec<Reply<(), FactoryError<X>>>,
}

impl<S, R, E, RV, X> Launched<S, R, E, RV, X> {
    /// Blocks until all are made.
    pub(crate) fn wait(self) -> Result<(Client<S, R, E>, JoinHandle<RV>), SpawnError<X>> {
        let mut made = self.made.into_iter();
        for made_one in made.by_ref() {
            if let Err(error) = made_one.wait() {
                self.handle.stopper().stop(Stop::Refuse);
                // Others may have refused as well.
                drop_each(made);
                return Err(error.into());
            }
        }
        Ok((self.client, self.handle))
    }
}

/// The last part of a type's path, without its parameters; a closure has none.
fn short_name(path: &str) -> &str {
    let path = path.split('<').next().unwrap_or(path);
    match path.rsplit("::").next() {
        Some(name) if !name.is_empty() && !name.contains('{') => name,
        _ => "ump-server",
    }
}
