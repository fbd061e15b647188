//! Tasks in virtual time, connected by a simulated network.

mod host;
mod inspect;
mod link;
mod network;
mod pipe;
mod random;
mod streams;

use std::{
    cmp::Reverse,
    collections::{BTreeMap, BTreeSet, BinaryHeap, VecDeque},
    fmt, mem,
    net::SocketAddr,
    time::{Duration, Instant},
};

use self::{host::Host, network::InFlight, random::Random};
use super::{
    Engine, EngineStats, GroupFull, InputRefused, Interface, IntoTask, Limits, NamedTask, Report,
    SocketNumber, Task, TaskAddress, Turned, local_bus::Envelope, status::StatusCell,
};
use crate::{
    bus::Bus,
    sync::{self, Mutex},
};

pub use self::{link::Link, network::SimulatedNetwork};

type Command<T> = <<T as Task>::Io as Interface>::Command;
type Event<T> = <<T as Task>::Io as Interface>::Event;
type Message<T> = <<T as Task>::Io as Interface>::Bus;
type Spawn<T> = <<T as Task>::Io as Interface>::Spawn;
type Net<T> = <<T as Task>::Io as Interface>::Net;
type Item<T> = <Net<T> as SimulatedNetwork>::Item;

/// Runs tasks deterministically: in virtual time, on one thread, with a simulated network whose
/// latency, losses and reordering come from a seed.
///
/// Each [host](Self::add_host) runs tasks as a worker does, with the same [`Engine`]; the hosts
/// share a [bus](crate::bus). Time stands still while anything has something to do, and then moves
/// to the next arrival of a packet or the next deadline of a task. A run with the same seed is the
/// same run.
///
/// The network carries datagrams or [streams](super::Streams), as the tasks do. Of streams nothing
/// is lost: what a link loses arrives later, and all arrives in order. Each host with a task
/// accepts connections at its address; they belong to its oldest task.
///
/// The [module](super#in-a-simulation) has an example.
///
/// # Panics
/// The methods that advance the time panic if the time stands still for a million steps: then tasks
/// keep each other busy for ever. The message names the busy hosts.
pub struct Simulation<T: Task<Io: Interface<Net: SimulatedNetwork>>> {
    start: Instant,
    now: Instant,
    hosts: Vec<Host<T>>,
    addresses: BTreeMap<SocketAddr, (usize, SocketNumber)>,
    bus: Bus<Envelope<Message<T>>>,
    in_flight: BinaryHeap<Reverse<InFlight<Item<T>>>>,
    /// The items that are sent over a cut link and not lost.
    held: Vec<Held<T>>,
    /// The last arrival of each ordered flow.
    flows: BTreeMap<(usize, usize, u64), Instant>,
    sent: u64,
    lost: u64,
    /// Makes the order of the packets unique.
    order: u64,
    /// The number of steps at this instant.
    steps: u32,
    random: Random,
    link: Link,
    links: BTreeMap<(usize, usize), Link>,
    cut: BTreeSet<(usize, usize)>,
    reports: VecDeque<(Duration, Report<Event<T>>)>,
}

/// A sender, the socket of the receiver, the source, and the item.
type Held<T> = (usize, (usize, SocketNumber), SocketAddr, Item<T>);

/// The pause after which bytes of a stream are sent again that were lost. It doubles with each
/// loss.
const RETRANSMISSION: Duration = Duration::from_millis(200);
const LONGEST_RETRANSMISSION: Duration = Duration::from_secs(60);

/// The number of hosts that a simulation can have.
const HOSTS: usize = 1_024;

/// The number of messages that a host's mailbox has room for.
const MAILBOX: usize = 65_536;

/// The number of steps without progress of time after which the simulation panics.
const STANDSTILL: u32 = 1_000_000;

impl<T> Simulation<T>
where
    T: Task,
    T::Io: Interface<Net: SimulatedNetwork>,
    Spawn<T>: IntoTask<T>,
    Event<T>: Send + 'static,
{
    /// Creates a simulation without hosts.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        // Only differences to this instant matter.
        let start = Instant::now();
        Self {
            start,
            now: start,
            hosts: Vec::new(),
            addresses: BTreeMap::new(),
            bus: Bus::new(HOSTS, MAILBOX),
            in_flight: BinaryHeap::new(),
            held: Vec::new(),
            flows: BTreeMap::new(),
            sent: 0,
            lost: 0,
            order: 0,
            steps: 0,
            random: Random::new(seed),
            link: Link::new(),
            links: BTreeMap::new(),
            cut: BTreeSet::new(),
            reports: VecDeque::new(),
        }
    }

    /// Sets the properties of all links that have none of their own.
    #[must_use]
    pub fn link(self, link: Link) -> Self {
        Self { link, ..self }
    }

    /// Sets the properties of the link between two hosts.
    pub fn set_link(&mut self, a: usize, b: usize, link: Link) {
        self.links.insert((a.min(b), a.max(b)), link);
    }

    /// Cuts the link between two hosts, or repairs it. Packets on their way still arrive. Those
    /// that are sent meanwhile are lost; the bytes of streams wait for the repair.
    pub fn set_cut(&mut self, a: usize, b: usize, is_cut: bool) {
        let link = (a.min(b), a.max(b));
        if is_cut {
            self.cut.insert(link);
        } else {
            self.cut.remove(&link);
            for (from, to, source, item) in mem::take(&mut self.held) {
                self.carry(from, to, source, item);
            }
        }
    }

    /// Adds a host with an address. Returns its number, from zero.
    ///
    /// A host has one socket at first. Its [routes](super::Routes) say which of its tasks gets a
    /// packet.
    ///
    /// # Panics
    /// Panics if there are 1,024 hosts.
    pub fn add_host(&mut self, address: SocketAddr) -> usize {
        self.add_host_with(address, Limits::new())
    }

    /// Adds a host with limits. Otherwise like [`add_host`](Self::add_host).
    ///
    /// # Panics
    /// Panics if there are 1,024 hosts.
    pub fn add_host_with(&mut self, address: SocketAddr, limits: Limits) -> usize {
        let number = self.hosts.len();
        let reports: sync::Arc<Mutex<Vec<_>>> = sync::Arc::default();
        let reported = sync::Arc::clone(&reports);
        let sockets = <Net<T> as SimulatedNetwork>::sockets(address, self.now);
        let report = move |report| reported.lock().push(report);
        let mut engine = Engine::new(limits, sockets, report);
        engine.connect(
            self.bus.endpoint(number),
            &sync::Arc::new(StatusCell::default()),
            None,
        );
        let socket = (number, SocketNumber::default());
        self.addresses.entry(address).or_insert(socket);
        self.hosts.push(Host {
            engine,
            reports,
            next: Turned::AtRest,
        });
        number
    }

    /// Spawns a task on a host.
    ///
    /// # Errors
    /// Returns the task if the host has as many as its limit.
    ///
    /// # Panics
    /// Panics if there is no host with this number.
    #[track_caller]
    pub fn spawn(&mut self, host: usize, task: T) -> Result<TaskAddress, GroupFull<T>> {
        let now = self.now;
        let id = self.hosts[host].engine.spawn(now, task)?;
        self.hosts[host].next = Turned::Again;
        Ok(TaskAddress {
            worker: host,
            task: id,
        })
    }

    /// Gives a command to a task, now.
    ///
    /// # Errors
    /// Returns the command if the task has ended, or if its inbox is full.
    ///
    /// # Panics
    /// Panics if there is no host with this number.
    #[track_caller]
    pub fn command(
        &mut self,
        to: TaskAddress,
        command: Command<T>,
    ) -> Result<(), InputRefused<Command<T>>> {
        let now = self.now;
        let host = &mut self.hosts[to.worker];
        host.next = Turned::Again;
        host.engine.command(now, to.task, command)
    }

    /// Shuts all tasks of a host down. See [`Engine::shut_down`].
    ///
    /// # Panics
    /// Panics if there is no host with this number.
    #[track_caller]
    pub fn shut_down(&mut self, host: usize) {
        self.hosts[host].engine.shut_down();
        self.hosts[host].next = Turned::Again;
    }

    /// Advances the time, and lets everything happen that is due by then.
    pub fn run_for(&mut self, time: Duration) {
        let until = self.now + time;
        while self.step(Some(until)) {}
        self.now = until;
    }

    /// Advances the time until nothing is left to happen: no packet is on its way, and no task has
    /// a deadline. At most by `limit`. Returns whether that was so.
    pub fn run_to_rest(&mut self, limit: Duration) -> bool {
        let until = self.now + limit;
        while self.step(Some(until)) {}
        self.next_event().is_none()
    }

    /// Advances the time until there is a report, at most by `limit`, and returns it with its time
    /// since the start.
    pub fn next_report(&mut self, limit: Duration) -> Option<(Duration, Report<Event<T>>)> {
        let until = self.now + limit;
        while self.reports.is_empty() && self.step(Some(until)) {}
        self.reports.pop_front()
    }

    /// Removes and returns the reports, with their times since the start.
    pub fn take_reports(&mut self) -> Vec<(Duration, Report<Event<T>>)> {
        self.reports.drain(..).collect()
    }

    /// Removes and returns the events, with their times since the start and their tasks. Other
    /// reports are dropped.
    pub fn take_events(&mut self) -> Vec<(Duration, TaskAddress, Event<T>)> {
        let events = self
            .reports
            .drain(..)
            .filter_map(|(at, report)| match report {
                Report::Event { from, event } => Some((at, from, event)),
                _ => None,
            });
        events.collect()
    }

    /// Returns the virtual time since the start.
    #[must_use]
    pub fn elapsed(&self) -> Duration {
        self.now - self.start
    }

    /// Returns the number of packets that were sent and the number of those that were lost.
    #[must_use]
    pub fn packets(&self) -> (u64, u64) {
        (self.sent, self.lost)
    }

    /// Returns the counters of a host.
    ///
    /// # Panics
    /// Panics if there is no host with this number.
    #[must_use]
    #[track_caller]
    pub fn stats(&self, host: usize) -> EngineStats {
        self.hosts[host].engine.stats()
    }

    /// Returns the tasks of a host.
    ///
    /// # Panics
    /// Panics if there is no host with this number.
    #[must_use]
    #[track_caller]
    pub fn tasks(&self, host: usize) -> Vec<NamedTask> {
        self.hosts[host].engine.tasks()
    }

    /// Returns the next instant at which something happens.
    fn next_event(&self) -> Option<Instant> {
        let arrival = self.in_flight.peek().map(|Reverse(packet)| packet.arrival);
        let hosts = self
            .hosts
            .iter()
            .enumerate()
            .filter_map(|(number, host)| match host.next {
                _ if self.has_message(number) => Some(self.now),
                Turned::Again => Some(self.now),
                Turned::At(at) => Some(at.max(self.now)),
                Turned::AtRest | Turned::Blocked => None,
            });
        hosts.chain(arrival).min()
    }

    /// Lets the next things happen, if they do by `until`: the packets that arrive, then a turn of
    /// each host that has something to do. Returns whether anything has happened.
    fn step(&mut self, until: Option<Instant>) -> bool {
        let Some(next) = self.next_event() else {
            return false;
        };
        if until.is_some_and(|until| next > until) {
            return false;
        }
        self.stand_still(next);
        self.now = self.now.max(next);
        let now = self.now;
        while let Some(Reverse(packet)) = self.in_flight.peek() {
            if packet.arrival > now {
                break;
            }
            let Some(Reverse(packet)) = self.in_flight.pop() else {
                break;
            };
            let (number, socket) = packet.to;
            let sockets = self.hosts[number].engine.sockets();
            if !Net::<T>::arrive(sockets, socket, packet.from, packet.item) {
                self.lost += 1;
                continue;
            }
            self.turn(number);
        }
        for number in 0..self.hosts.len() {
            let is_due = match self.hosts[number].next {
                Turned::Again => true,
                Turned::At(at) => at <= now,
                Turned::AtRest | Turned::Blocked => false,
            };
            if is_due || self.has_message(number) {
                self.turn(number);
            }
        }
        true
    }

    fn has_message(&self, host: usize) -> bool {
        self.bus.endpoint(host).stats().queued > 0
    }

    /// Counts the steps at one instant.
    fn stand_still(&mut self, next: Instant) {
        if next > self.now {
            self.steps = 0;
            return;
        }
        self.steps += 1;
        if self.steps > STANDSTILL {
            let busy: Vec<_> = (0..self.hosts.len())
                .filter(|&host| self.hosts[host].next == Turned::Again)
                .map(|host| format!("host {host}"))
                .collect();
            panic!(
                "time stands still after {:?}: busy are {}",
                self.elapsed(),
                busy.join(", ")
            );
        }
    }

    fn turn(&mut self, number: usize) {
        let host = &mut self.hosts[number];
        host.next = host.engine.turn(self.now);
        let at = self.now - self.start;
        let reports = mem::take(&mut *host.reports.lock());
        self.reports
            .extend(reports.into_iter().map(|report| (at, report)));
        while let Some((destination, source, item)) =
            Net::<T>::next_sent(self.hosts[number].engine.sockets())
        {
            self.send(number, destination, source, item);
        }
    }

    fn send(&mut self, from: usize, destination: SocketAddr, source: SocketAddr, item: Item<T>) {
        self.sent += 1;
        let Some(&to) = self.addresses.get(&destination) else {
            self.lost += 1;
            return;
        };
        self.carry(from, to, source, item);
    }

    /// Puts an item on its way.
    fn carry(&mut self, from: usize, to: (usize, SocketNumber), source: SocketAddr, item: Item<T>) {
        let pair = (from.min(to.0), from.max(to.0));
        let link = *self.links.get(&pair).unwrap_or(&self.link);
        // The same random numbers are drawn for each packet, whatever happens to it.
        let is_lost = self.random.chance(link.loss);
        let is_doubled = self.random.chance(link.duplication);
        let is_slow = self.random.chance(link.reordering);
        let mut delay = link.latency + self.up_to(link.jitter);
        let more = self.up_to(link.latency * 9);
        if is_slow {
            delay += more;
        }
        let is_cut = self.cut.contains(&pair);
        if let Some(flow) = Net::<T>::flow(&item) {
            // Nothing is lost: it is sent again. And it arrives in order.
            if is_cut {
                self.held.push((from, to, source, item));
                return;
            }
            if is_lost {
                let mut pause = RETRANSMISSION;
                delay += pause;
                while pause < LONGEST_RETRANSMISSION && self.random.chance(link.loss) {
                    pause *= 2;
                    delay += pause;
                }
            }
            let flow = (from, to.0, flow);
            let last = self.flows.entry(flow).or_insert(self.now);
            *last = (*last).max(self.now + delay);
            let arrival = *last;
            return self.put(to, source, arrival, item);
        }
        if is_lost || is_cut {
            self.lost += 1;
            return;
        }
        let arrival = self.now + delay;
        let copy = if is_doubled {
            Net::<T>::copy(&item)
        } else {
            None
        };
        self.put(to, source, arrival, item);
        if let Some(copy) = copy {
            let later = arrival + self.up_to(link.latency);
            self.put(to, source, later, copy);
        }
    }

    fn put(
        &mut self,
        to: (usize, SocketNumber),
        from: SocketAddr,
        arrival: Instant,
        item: Item<T>,
    ) {
        self.order += 1;
        self.in_flight.push(Reverse(InFlight {
            arrival,
            order: self.order,
            to,
            from,
            item,
        }));
    }

    /// Returns a random time.
    fn up_to(&mut self, longest: Duration) -> Duration {
        let longest = u64::try_from(longest.as_nanos()).unwrap_or(u64::MAX);
        Duration::from_nanos(self.random.below(longest.saturating_add(1)))
    }
}

impl<T: Task<Io: Interface<Net: SimulatedNetwork>>> fmt::Debug for Simulation<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Simulation")
            .field("elapsed", &(self.now - self.start))
            .field("hosts", &self.hosts.len())
            .field("in_flight", &self.in_flight.len())
            .finish_non_exhaustive()
    }
}
