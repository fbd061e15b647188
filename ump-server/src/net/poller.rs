//! The loop's own part: it waits in the selector, and turns what is ready into events.

use std::{
    collections::VecDeque,
    io,
    os::fd::AsFd as _,
    pin::Pin,
    sync::{Arc, atomic::Ordering},
    task::{Context, Waker},
    time::{Duration, Instant},
};

use super::{
    Error, Event, Operation, TcpStream,
    connect::{Outcome, Retry},
    deadlines::Deadlines,
    reactor::{Arrival, Injected, Reactor},
    readiness::{BACKING_OFF, CONNECTING, HUNG_UP, Pending, READ_CLOSED, READABLE, WRITABLE, Word},
    reports::{REPORTS, ask},
    selector::Selector,
    socket::{Role, Socket},
    status::SocketKind,
    table::WAKER,
};
use crate::observe::trace;

/// The number of socket events in a turn of the loop: then come requests.
const EVENTS: usize = 128;
/// The number of connections that the listeners of a loop accept in a turn, and the number of those
/// that it takes over from the listeners of other loops.
const ACCEPTS: usize = 32;
/// A sleep is short if it takes no more than this number of looks. To be woken takes most of it,
/// which a loop that looks is spared.
const QUICK: u32 = 3;
/// The last part of a wait, which the selector would round up to this.
const MILLISECOND: Duration = Duration::from_millis(1);

/// The loop's own part of its sockets.
#[derive(Debug)]
pub(crate) struct Poller {
    pub(super) reactor: Arc<Reactor>,
    pub(super) selector: Selector,
    pub(super) reports: mio::Events,
    /// The sockets that have an event to report, all of them `QUEUED`.
    ready: VecDeque<Arc<Socket>>,
    /// Connections from the listeners of other loops. Each is registered only when it is reported,
    /// for the handler that gets it.
    arrivals: VecDeque<Arrival>,
    pub(super) deadlines: Deadlines,
    /// The number of sockets that have not had their event in this turn.
    left: usize,
    accepts_left: usize,
    arrivals_left: usize,
    waker: Waker,
    /// The sleep by a clock that is not the system's.
    sleep: Option<ump::Sleep>,
    /// Whether the last look was short, or the last sleep was short enough: then the loop looks
    /// before it sleeps.
    is_quick: bool,
}

impl std::task::Wake for Reactor {
    fn wake(self: Arc<Self>) {
        self.wake.wake();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        self.wake.wake();
    }
}

impl Poller {
    /// Creates the loop's part, when the first socket is registered.
    pub(super) fn new(reactor: &Arc<Reactor>) -> Option<Self> {
        Some(Self {
            selector: reactor.take_selector()?,
            reports: mio::Events::with_capacity(REPORTS),
            ready: VecDeque::new(),
            arrivals: VecDeque::new(),
            deadlines: Deadlines::default(),
            left: 0,
            accepts_left: 0,
            arrivals_left: 0,
            waker: Waker::from(Arc::clone(reactor)),
            sleep: None,
            is_quick: false,
            reactor: Arc::clone(reactor),
        })
    }

    /// Returns the waker that ends the sleep of the loop.
    #[inline]
    pub(crate) fn waker(&self) -> &Waker {
        &self.waker
    }

    /// Returns whether there is an event to report, as far as is known without a system call.
    #[inline]
    pub(crate) fn is_due(&self) -> bool {
        !self.ready.is_empty() || !self.arrivals.is_empty() || self.reactor.has_injected()
    }

    /// Returns the earliest instant at which the loop has to look at a socket. It may have passed.
    #[inline]
    pub(crate) fn next_deadline(&self) -> Option<Instant> {
        self.deadlines.next()
    }

    /// Begins a turn, in which each socket that is ready gets at most one event.
    pub(crate) fn begin_turn(&mut self) {
        self.wait_in_selector(Some(Duration::ZERO));
        self.begin_turn_after_sleep();
    }

    /// Begins a turn with what the sleep has found.
    pub(crate) fn begin_turn_after_sleep(&mut self) {
        if self.reactor.has_injected() {
            self.absorb();
        }
        if self.next_deadline().is_some() {
            self.look_at_deadlines();
        }
        self.arrivals_left = self.arrivals.len().min(ACCEPTS);
        let all = self.ready.len().saturating_add(self.arrivals_left);
        self.left = all.min(EVENTS);
        self.accepts_left = ACCEPTS;
    }

    /// Returns the next event of this turn.
    #[inline]
    pub(crate) fn next(&mut self) -> Option<(Event, Delivery<'_>)> {
        let (event, socket) = loop {
            self.left = self.left.checked_sub(1)?;
            if self.arrivals_left > 0 {
                self.arrivals_left -= 1;
                if let Some(arrival) = self.arrivals.pop_front() {
                    break (self.register(arrival), None);
                }
            }
            let socket = self.ready.pop_front()?;
            match self.event_of(&socket) {
                Some(event) => {
                    socket.counters.event();
                    break (event, Some(socket));
                }
                None => self.settle(socket),
            }
        };
        Some((
            event,
            Delivery {
                poller: self,
                socket,
            },
        ))
    }

    /// Sleeps until a socket is ready, `until` has passed by the loop's clock, or the loop is
    /// woken. May return early.
    pub(crate) fn sleep(&mut self, until: Option<Instant>) {
        // ORDERING: Relaxed: only the number matters.
        let look = Duration::from_nanos(self.reactor.look.load(Ordering::Relaxed));
        if look.is_zero() || !self.reactor.clock.is_system() {
            return self.sleep_at_once(until);
        }
        if self.is_quick && self.look(look, until) {
            return;
        }
        let begin = Instant::now();
        self.sleep_at_once(until);
        self.is_quick = begin.elapsed() < look.saturating_mul(QUICK);
    }

    /// Looks at the sockets for some time. Returns whether there is something to do.
    fn look(&mut self, time: Duration, until: Option<Instant>) -> bool {
        let begin = Instant::now();
        let end = until.map_or(begin + time, |until| until.min(begin + time));
        loop {
            self.wait_in_selector(Some(Duration::ZERO));
            if self.is_due() || self.reactor.wake.is_notified() {
                self.reactor.wake.woke_up();
                return true;
            }
            if Instant::now() >= end {
                return false;
            }
            std::thread::yield_now();
        }
    }

    fn sleep_at_once(&mut self, until: Option<Instant>) {
        if !self.reactor.wake.announce_sleep() {
            // The loop looks at its sockets nevertheless: it may be notified again and again.
            self.wait_in_selector(Some(Duration::ZERO));
            return;
        }
        let timeout = if self.reactor.clock.is_system() {
            until.map(|until| until.saturating_duration_since(Instant::now()))
        } else if self.is_over(until) {
            Some(Duration::ZERO)
        } else {
            None
        };
        match timeout {
            Some(left) if !left.is_zero() => self.wait_at_most(left),
            timeout => self.wait_in_selector(timeout),
        }
        self.reactor.wake.woke_up();
    }

    /// Registers with a clock that is not the system's. Returns whether `until` has passed.
    fn is_over(&mut self, until: Option<Instant>) -> bool {
        let Some(until) = until else {
            self.sleep = None;
            return false;
        };
        let clock = &self.reactor.clock;
        let sleep = match &mut self.sleep {
            Some(sleep) if sleep.deadline() == until => sleep,
            other => other.insert(clock.sleep_until(until)),
        };
        let mut cx = Context::from_waker(&self.waker);
        let is_over = Future::poll(Pin::new(sleep), &mut cx).is_ready();
        if is_over {
            self.sleep = None;
        }
        is_over
    }

    /// Waits in the selector, whose time-outs are whole milliseconds, rounded up: so the last part
    /// of the wait is one for the selector's descriptor.
    fn wait_at_most(&mut self, left: Duration) {
        if left >= MILLISECOND {
            let whole = left.as_millis().try_into().unwrap_or(u64::MAX);
            self.wait_in_selector(Some(Duration::from_millis(whole)));
            return;
        }
        let fd = self.selector.poll().registry().as_fd();
        let mut fds = [rustix::event::PollFd::new(
            &fd,
            rustix::event::PollFlags::IN,
        )];
        let timeout = rustix::event::Timespec {
            tv_sec: 0,
            tv_nsec: i64::from(left.subsec_nanos()),
        };
        // If a signal interrupts it, the loop computes the time that is left, and comes back.
        if rustix::event::poll(&mut fds, Some(&timeout)).is_ok_and(|ready| ready > 0) {
            self.wait_in_selector(Some(Duration::ZERO));
        }
    }

    /// Makes the system call, and queues the sockets that it reports.
    pub(super) fn wait_in_selector(&mut self, timeout: Option<Duration>) {
        ask(self.selector.poll(), &mut self.reports, timeout);
        self.queue_reported();
    }

    /// Queues the sockets that the selector has reported.
    pub(super) fn queue_reported(&mut self) {
        if self.reports.is_empty() {
            return;
        }
        let table = self.reactor.table.lock();
        for report in &self.reports {
            if report.token() == WAKER {
                continue;
            }
            let Some(socket) = table.get(report.token()) else {
                continue;
            };
            if socket.readiness.report(flags_of(report, socket.kind)) {
                self.ready.push_back(Arc::clone(socket));
            }
        }
    }

    /// Takes over what other threads, or the handler itself, have passed to the loop.
    #[cold]
    fn absorb(&mut self) {
        for injected in self.reactor.take_injected() {
            match injected {
                Injected::Ready(socket) => self.ready.push_back(socket),
                Injected::At(at, socket) => self.deadlines.push(at, socket),
                Injected::Accepted(arrival) => self.arrivals.push_back(arrival),
            }
        }
    }

    /// Registers a connection that was handed over, and returns its event.
    #[cold]
    fn register(&self, arrival: Arrival) -> Event {
        let Arrival {
            listener,
            stream,
            peer,
        } = arrival;
        let era = self.reactor.era();
        let stream = TcpStream::adopt(&self.reactor, era, stream, Some(peer));
        self.reactor.arrived();
        match stream {
            Ok(stream) => Event::Accepted {
                listener,
                stream,
                peer,
            },
            Err(error) => self.report(error),
        }
    }

    #[cold]
    fn look_at_deadlines(&mut self) {
        let now = self.reactor.clock.now();
        while let Some(socket) = self.deadlines.pop(now) {
            let queues = match &socket.role {
                Role::Plain => false,
                Role::Listener(_) => socket.readiness.change(0, BACKING_OFF),
                Role::Connecting(connecting) => {
                    let retried = connecting.lock().retry(&self.reactor, &socket, now);
                    match retried {
                        Retry::Nothing => false,
                        Retry::Queue => true,
                        Retry::Fail(error) => socket.fail_connect(error),
                        Retry::At(at) => {
                            self.deadlines.push(at, Arc::clone(&socket));
                            false
                        }
                    }
                }
            };
            if queues {
                self.ready.push_back(socket);
            }
        }
    }

    /// Returns the event of a queued socket, if there is one for the handler.
    #[inline]
    fn event_of(&mut self, socket: &Arc<Socket>) -> Option<Event> {
        let (pending, seen) = socket.readiness.take()?;
        match pending {
            Pending::Readable if matches!(socket.role, Role::Listener(_)) => {
                self.accept(socket, seen)
            }
            Pending::Readable => Some(Event::Readable(socket.id)),
            Pending::Writable => Some(Event::Writable(socket.id)),
            Pending::Closed => Some(Event::Closed(socket.id)),
            Pending::Failure => socket.take_failure().map(|error| self.report(error)),
            Pending::Connect => self.connected(socket, seen),
        }
    }

    fn report(&self, error: Error) -> Event {
        trace::socket_error(&self.reactor.name, self.reactor.worker, &error);
        Event::Error(error)
    }

    #[cold]
    fn connected(&mut self, socket: &Arc<Socket>, seen: Word) -> Option<Event> {
        let Role::Connecting(connecting) = &socket.role else {
            return None;
        };
        let outcome = connecting.lock().outcome(socket);
        match outcome {
            Outcome::Connected => {
                // It is queued already (invariant 1 of the readiness), here and below.
                let _ = socket.readiness.change(0, CONNECTING);
                Some(Event::Connected(socket.id))
            }
            Outcome::InProgress => {
                let _ = socket.readiness.used_up(seen, WRITABLE | HUNG_UP, 0);
                None
            }
            Outcome::Failed(error) => {
                let _ = socket.fail_connect(error);
                let _ = socket.readiness.take();
                socket.take_failure().map(|error| self.report(error))
            }
            Outcome::Gone => None,
        }
    }

    /// Accepts a connection.
    fn accept(&mut self, socket: &Arc<Socket>, seen: Word) -> Option<Event> {
        let Role::Listener(listener) = &socket.role else {
            return None;
        };
        match listener.accept(socket, &self.reactor) {
            Ok(event) => event,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                let _ = socket.readiness.used_up(seen, READABLE, 0);
                None
            }
            Err(error) if super::accept::concerns_one_connection(&error) => {
                socket.counters.error();
                None
            }
            Err(error) => {
                socket.counters.error();
                let pause = listener.next_pause();
                let _ = socket.readiness.change(BACKING_OFF, 0);
                let now = self.reactor.clock.now();
                let again = now.checked_add(pause).unwrap_or(now);
                self.deadlines.push(again, Arc::clone(socket));
                let error = Error::new(Operation::Accept, socket.local(), error).of(socket.id);
                Some(self.report(error))
            }
        }
    }

    /// Puts a socket back into the ready list, unless it has no further event.
    #[inline]
    fn settle(&mut self, socket: Arc<Socket>) {
        if !socket.readiness.settle() {
            return;
        }
        if matches!(socket.role, Role::Listener(_)) && self.accepts_left > 0 {
            self.accepts_left -= 1;
            self.left += 1;
            self.ready.push_front(socket);
        } else {
            self.ready.push_back(socket);
        }
    }
}

/// Returns the flags of a report.
#[inline]
fn flags_of(report: &mio::event::Event, kind: SocketKind) -> u64 {
    let mut flags = 0;
    if report.is_readable() {
        flags |= READABLE;
    }
    if report.is_writable() {
        flags |= WRITABLE;
    }
    let is_datagram = matches!(kind, SocketKind::Udp | SocketKind::UnixDatagram);
    if report.is_error() {
        // The next read, or for a datagram the next call, returns the error.
        flags |= READABLE | WRITABLE;
    }
    if is_datagram {
        return flags;
    }
    if report.is_read_closed() {
        flags |= READ_CLOSED;
    }
    if report.is_error() || (report.is_read_closed() && report.is_write_closed()) {
        flags |= HUNG_UP;
    }
    flags
}

/// The delivery of an event. Its drop, also if the handler panics, lets the socket report its next
/// event.
#[derive(Debug)]
pub(crate) struct Delivery<'a> {
    poller: &'a mut Poller,
    socket: Option<Arc<Socket>>,
}

impl Drop for Delivery<'_> {
    fn drop(&mut self) {
        if let Some(socket) = self.socket.take() {
            self.poller.settle(socket);
        }
    }
}
