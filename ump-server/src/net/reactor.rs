//! The part of a worker's sockets that all threads share: the registration with the selector, and
//! the way into the loop.

use std::{
    fmt,
    net::{SocketAddr, TcpStream as StdTcpStream},
    sync::{
        Arc, OnceLock,
        atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering},
    },
    time::Instant,
};

use mio::{Interest, event::Source};
use ump::Clock;

use super::{
    Address, Error, Operation, SocketId, SocketStatus,
    error::Because as _,
    readiness::DROPPED,
    runtime::Runtime,
    selector::{Host, LoopAlarm, Selector},
    socket::{NewSocket, Socket},
    table::{Table, token_of},
    wake::{Signal, WakeState},
};
use crate::{catch::catch_user_panic, observe::SocketMeter, sync::Mutex};

/// The sockets of a worker, for all threads. It outlives the worker's handlers; their sockets do
/// not.
pub(crate) struct Reactor {
    /// Tells it from all others of the process.
    pub(super) id: u64,
    pub(super) worker: usize,
    pub(super) name: Arc<str>,
    pub(super) clock: Clock,
    meter: OnceLock<SocketMeter>,
    /// What runs the loop, if the loop may have sockets.
    host: OnceLock<Host>,
    /// The registration with the selector. Set when the first socket is registered.
    registry: OnceLock<mio::Registry>,
    /// The selector, until the loop takes it.
    selector: Mutex<Option<Selector>>,
    pub(super) wake: WakeState<LoopSignal>,
    /// Ends the wait of a loop on a thread that has no sockets yet.
    interrupt: Box<dyn Fn() + Send + Sync>,
    pub(super) table: Mutex<Table>,
    injected: Mutex<Inbox>,
    has_injected: AtomicBool,
    /// The number of open sockets, and of connections that are being handed over. For the choice of
    /// the least loaded worker.
    open: AtomicUsize,
    arriving: AtomicUsize,
    /// How long the loop looks before it sleeps, in nanoseconds: see `Poller::look`.
    pub(super) look: AtomicU64,
}

/// The values that were passed to the loop.
#[derive(Debug, Default)]
struct Inbox {
    list: Vec<Injected>,
    /// Whether the loop has ended.
    is_closed: bool,
}

/// Something for the loop that does not come from its selector.
#[derive(Debug)]
pub(super) enum Injected {
    /// A socket that has an event to report, and is queued.
    Ready(Arc<Socket>),
    /// The loop looks at the socket at this instant.
    At(Instant, Arc<Socket>),
    /// A connection that another worker has accepted.
    Accepted(Arrival),
}

/// A connection that another worker has accepted. It belongs to no handler yet, so it outlives a
/// handler that is rebuilt.
#[derive(Debug)]
pub(super) struct Arrival {
    pub(super) listener: SocketId,
    pub(super) stream: StdTcpStream,
    pub(super) peer: SocketAddr,
}

/// Ends the sleep of a loop that has sockets.
#[derive(Debug, Default)]
pub(super) struct LoopSignal(OnceLock<LoopAlarm>);

impl Signal for LoopSignal {
    #[cold]
    fn signal(&self) {
        if let Some(alarm) = self.0.get() {
            alarm.signal();
        }
    }
}

impl Reactor {
    pub(crate) fn new(
        name: &Arc<str>,
        worker: usize,
        clock: &Clock,
        interrupt: impl Fn() + Send + Sync + 'static,
    ) -> Arc<Self> {
        static LAST: AtomicU64 = AtomicU64::new(0);

        Arc::new(Self {
            // ORDERING: Relaxed: only the number matters.
            id: LAST.fetch_add(1, Ordering::Relaxed),
            worker,
            name: Arc::clone(name),
            clock: clock.clone(),
            meter: OnceLock::new(),
            host: OnceLock::new(),
            registry: OnceLock::new(),
            selector: Mutex::new(None),
            wake: WakeState::new(LoopSignal::default()),
            interrupt: Box::new(interrupt),
            table: Mutex::default(),
            injected: Mutex::default(),
            has_injected: AtomicBool::new(false),
            open: AtomicUsize::new(0),
            arriving: AtomicUsize::new(0),
            look: AtomicU64::new(0),
        })
    }

    /// Allows sockets, before the loop is started: its thread waits in the selector if there are
    /// any.
    pub(crate) fn attach_thread(&self) {
        let _ = self.host.set(Host::Thread);
    }

    /// Allows sockets, before the loop is started: its runtime waits for the selector if there are
    /// any. `wake` wakes the task.
    #[cfg_attr(
        not(feature = "tokio-net"),
        allow(dead_code, reason = "there is no runtime to attach")
    )]
    pub(crate) fn attach_task(&self, runtime: Runtime, wake: Arc<dyn Fn() + Send + Sync>) {
        let _ = self.host.set(Host::Task(runtime, wake));
    }

    /// Ends the wait of the loop, of whichever kind it is.
    pub(crate) fn wake(&self) {
        // The order matters: a loop that goes over from one kind of wait to the other has called
        // this as well (see `registry`), and interruptions are counted under a lock. So either the
        // loop sees this one, or this thread sees the registry.
        match self.host.get() {
            Some(Host::Task(_, wake)) => wake(),
            _ => (self.interrupt)(),
        }
        if self.is_active() {
            self.wake.wake();
        }
    }

    /// Returns whether a socket was ever registered, so that the loop waits in the selector.
    #[inline]
    pub(crate) fn is_active(&self) -> bool {
        self.registry.get().is_some()
    }

    /// Takes the selector, for the loop. There is one as soon as `is_active`, and one loop.
    pub(super) fn take_selector(&self) -> Option<Selector> {
        self.selector.lock().take()
    }

    /// Returns the registration with the selector; creates both if this is the first socket.
    fn registry(&self) -> std::io::Result<&mio::Registry> {
        if let Some(registry) = self.registry.get() {
            return Ok(registry);
        }
        let host = self.host.get().ok_or(std::io::ErrorKind::Unsupported)?;
        let mut selector = self.selector.lock();
        if self.registry.get().is_none() {
            let (new, registry, alarm) = Selector::new(host)?;
            let _ = self.wake.signal().0.set(alarm);
            *selector = Some(new);
            let _ = self.registry.set(registry);
            drop(selector);
            self.wake();
        }
        Ok(self.registry.get().expect("it was set"))
    }

    /// Registers a socket for the handler of this era. The caller makes the handle right away.
    pub(super) fn register(
        &self,
        era: u64,
        new: NewSocket,
        source: &mut impl Source,
        interest: Interest,
    ) -> Result<Arc<Socket>, Error> {
        let socket = self.insert(era, new)?;
        match self.add(&socket, source, interest) {
            Ok(()) => Ok(socket),
            Err(error) => {
                self.forget(&socket);
                Err(error)
            }
        }
    }

    /// Inserts a socket that is not registered with the selector yet.
    pub(super) fn insert(&self, era: u64, new: NewSocket) -> Result<Arc<Socket>, Error> {
        let opened = self.clock.now();
        let meter = self.meter().clone();
        let mut table = self.table.lock();
        let has_loop = self.host.get().is_some();
        if table.era != era || !has_loop {
            drop(table);
            let address = new.local.unwrap_or(Address::Unnamed);
            return Err(Error::no_loop(Operation::Register, address, has_loop));
        }
        let socket = table.insert(|id| new.with_id(id, opened, meter));
        let len = table.len();
        drop(table);
        self.note_len(len);
        Ok(socket)
    }

    /// Returns the metrics; makes them if this is the first socket: a worker without sockets has no
    /// such metrics.
    fn meter(&self) -> &SocketMeter {
        if let Some(meter) = self.meter.get() {
            return meter;
        }
        // The recorder is user code, so it does not run in the initialiser, for which other threads
        // wait. If two threads make the metrics, they are the same.
        let meter = SocketMeter::new(&self.name, self.worker);
        let _ = self.meter.set(meter);
        self.meter.get().expect("it was set")
    }

    /// Registers a socket of the table with the selector.
    pub(super) fn add(
        &self,
        socket: &Socket,
        source: &mut impl Source,
        interest: Interest,
    ) -> Result<(), Error> {
        self.registry()
            .and_then(|registry| registry.register(source, token_of(socket.id), interest))
            .because(Operation::Register, socket.local())
    }

    /// Registers a socket of the selector again, for both directions. If it is ready in either, the
    /// selector reports it again.
    pub(super) fn add_both(&self, socket: &Socket, source: &mut impl Source) {
        if let Some(registry) = self.registry.get() {
            let both = Interest::READABLE | Interest::WRITABLE;
            // It fails only if the system has no memory for it.
            let _ = registry.reregister(source, token_of(socket.id), both);
        }
    }

    /// Takes a socket of the table out of the selector.
    pub(super) fn deselect(&self, source: &mut impl Source) {
        if let Some(registry) = self.registry.get() {
            // It fails if a connect has not registered it yet.
            let _ = registry.deregister(source);
        }
    }

    /// Deregisters a socket. After this returns, the selector does not know its descriptor.
    pub(super) fn remove(&self, socket: &Arc<Socket>, source: &mut impl Source) {
        if self.forget(socket) {
            self.deselect(source);
        }
    }

    /// Removes a socket from the table. Returns whether it was there.
    pub(super) fn forget(&self, socket: &Socket) -> bool {
        let mut table = self.table.lock();
        let removed = table.remove(socket.id);
        let len = table.len();
        drop(table);
        self.note_len(len);
        removed.is_some()
    }

    fn note_len(&self, len: usize) {
        // ORDERING: Relaxed: a hint for the choice of a worker.
        self.open.store(len, Ordering::Relaxed);
        if let Some(meter) = self.meter.get() {
            // The recorder is user code, and a socket may be dropped while its handler unwinds.
            catch_user_panic(|| meter.open(len));
        }
    }

    /// Passes something to the loop, and wakes it. If the loop has ended, nothing happens.
    pub(super) fn inject(&self, injected: Injected) {
        let refused = self.try_inject(injected);
        drop(refused);
    }

    /// Passes something to the loop, and wakes it.
    ///
    /// # Errors
    /// Returns it if the loop has ended.
    pub(super) fn try_inject(&self, injected: Injected) -> Result<(), Injected> {
        let mut inbox = self.injected.lock();
        if inbox.is_closed {
            return Err(injected);
        }
        if matches!(injected, Injected::Accepted(_)) {
            self.arriving.fetch_add(1, Ordering::Relaxed);
        }
        inbox.list.push(injected);
        // ORDERING: Relaxed, under the lock; the `wake` after it makes it visible.
        self.has_injected.store(true, Ordering::Relaxed);
        drop(inbox);
        self.wake.wake();
        Ok(())
    }

    /// Returns whether something was passed to the loop.
    #[inline]
    pub(super) fn has_injected(&self) -> bool {
        // ORDERING: Relaxed: see `inject`. A loop that is about to sleep leaves `NOTIFIED` first.
        self.has_injected.load(Ordering::Relaxed)
    }

    pub(super) fn take_injected(&self) -> Vec<Injected> {
        let mut inbox = self.injected.lock();
        self.has_injected.store(false, Ordering::Relaxed);
        std::mem::take(&mut inbox.list)
    }

    /// Notes that a connection that was handed over is open, or is closed again. ORDERING: Relaxed:
    /// see `load`.
    pub(super) fn arrived(&self) {
        self.arriving.fetch_sub(1, Ordering::Relaxed);
    }

    /// Returns the number of sockets that the worker has, or is about to get. ORDERING: Relaxed: a
    /// hint.
    pub(super) fn load(&self) -> usize {
        self.open.load(Ordering::Relaxed) + self.arriving.load(Ordering::Relaxed)
    }

    /// Ends the reactor with its loop: nothing is passed to it any more.
    pub(crate) fn close(&self) {
        self.end_handler();
        let mut inbox = self.injected.lock();
        inbox.is_closed = true;
        let list = std::mem::take(&mut inbox.list);
        drop(inbox);
        drop(list);
    }

    pub(super) fn is_closed(&self) -> bool {
        self.injected.lock().is_closed
    }

    /// Makes the loop wait in the selector, for the handler of this era.
    pub(super) fn activate(&self, era: u64) -> Result<(), Error> {
        let has_loop = self.host.get().is_some();
        if self.era() != era || !has_loop {
            let (operation, address) = (Operation::Register, Address::Unnamed);
            return Err(Error::no_loop(operation, address, has_loop));
        }
        let registry = self.registry().map(drop);
        registry.because(Operation::Register, Address::Unnamed)
    }

    /// Returns the number of the current handler.
    pub(super) fn era(&self) -> u64 {
        self.table.lock().era
    }

    /// Ends the sockets of the current handler: those whose handles outlive it report nothing more.
    pub(crate) fn end_handler(&self) {
        let mut table = self.table.lock();
        table.era += 1;
        let left: Vec<_> = table.iter().map(Arc::clone).collect();
        drop(table);
        for socket in &left {
            // The handle deregisters the descriptor.
            let _ = socket.readiness.change(DROPPED, 0);
        }
        // Connections that were handed over wait for the next handler.
        let mut inbox = self.injected.lock();
        let list = std::mem::take(&mut inbox.list).into_iter();
        let (kept, ended) = list.partition(|injected| matches!(injected, Injected::Accepted(_)));
        inbox.list = kept;
        drop(inbox);
        drop::<Vec<_>>(ended);
    }

    /// Returns the status of all open sockets.
    pub(crate) fn status(&self) -> Vec<SocketStatus> {
        let now = self.clock.now();
        let table = self.table.lock();
        let all: Vec<_> = table.iter().map(Arc::clone).collect();
        drop(table);
        all.iter()
            .map(|socket| socket.status(self.worker, now))
            .collect()
    }
}

impl fmt::Debug for Reactor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Reactor")
            .field("name", &self.name)
            .field("worker", &self.worker)
            .finish_non_exhaustive()
    }
}
