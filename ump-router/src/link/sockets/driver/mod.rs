//! The loop of the links of a router.

mod access;
mod calls;
mod client;
mod closing;
mod commands;
mod dial;
mod direct;
mod interest;
mod leader;
mod listeners;
mod local;
mod lock;
mod peer;
mod relay;
mod retained;
mod routers;
#[cfg_attr(not(feature = "tokio"), path = "no_runtime.rs")]
mod runtime;
mod service;
mod slots;
mod stream;
mod thread_state;
#[cfg(feature = "tls")]
mod tls_stream;
mod turn;
mod twins;
mod unix_socket;
mod wake;

use std::{
    cell::Cell,
    collections::{BTreeMap, BTreeSet, HashMap},
    hash::{BuildHasher, RandomState},
    net::SocketAddr,
    sync::Arc,
};

use ump::Clock;
use ump_server::{
    Timers,
    net::{Event, SocketId, Sockets},
};

use self::{
    access::{Refusal, Usages},
    closing::Closers,
    leader::HeldLeads,
    listeners::Listeners,
    local::Local,
    lock::Links,
    peer::Peer,
    relay::Relay,
    retained::Replicas,
    routers::Routers,
    service::{Loop, LoopContext},
    stream::Stream,
    wake::{Key, Wakes},
};
use super::{
    carried::{Carried, CarriedMessages, CarriedRequests},
    error::LinkSetupError,
    refusal::LinkRefusal,
};
use crate::{
    presence::Change,
    publish::{Bus, QueueOwner, SubscribeOptions, Subscription, SubscriptionOwner},
    registry::Registry,
    sync::OnceLock,
    topic::Pattern,
};

pub(crate) use self::leader::wait_for_request;
pub(super) use self::{
    client::{DriverClient, DriverRequest},
    commands::{Command, Reply},
    lock::is_locked_here,
    runtime::Runtime,
};

type CommandServer = ump::Server<Command, Reply, LinkSetupError>;
type WeakDriver = ump::WeakClient<Command, Reply, LinkSetupError>;
/// Wakes the loop, and keeps it.
type WakeClient = ump::Client<(), (), LinkSetupError>;
type WeakWakeClient = ump::WeakClient<(), (), LinkSetupError>;

/// Identifies a link. None is used twice.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct LinkId(u64);

/// Identifies a listener. None is used twice.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct ListenerId(u64);

/// What all links share.
struct Shared {
    sockets: Sockets,
    timers: Timers<LinkId>,
    clock: Clock,
    wakes: Arc<Wakes>,
    /// What is read goes through it.
    buffer: Cell<Vec<u8>>,
    driver: WeakDriver,
    /// The number of the router in its hellos, and the name of its program.
    router: u128,
    program: String,
    /// What the peers have.
    usages: Usages,
    /// The retained messages.
    replicas: Replicas,
    /// What other routers refuse.
    refusals: Arc<Bus<LinkRefusal>>,
    /// The types that travel. Their numbers do not change.
    messages: Vec<Arc<dyn CarriedMessages>>,
    requests: Vec<Arc<dyn CarriedRequests>>,
    local: Local,
}

impl Shared {
    fn carry(&mut self, carried: Carried) {
        match carried {
            Carried::Messages(messages) => {
                self.messages.push(messages);
                self.begin_changes(self.messages.len() - 1);
            }
            Carried::Requests(requests) => self.requests.push(requests),
        }
        self.look_at_local();
    }
}

/// The links of a router. Its loop locks them, and a thread that wakes the loop tries to: see
/// [`direct`].
struct Driver {
    shared: Shared,
    commands: CommandServer,
    /// The loop ends, or has ended.
    is_shut_down: bool,
    links: BTreeMap<LinkId, Peer>,
    relay: Relay,
    /// The links that have something to do.
    touched: BTreeSet<LinkId>,
    by_socket: HashMap<SocketId, LinkId>,
    /// The open links of routers.
    routers: Routers,
    /// The links that stand by for another one, and some that did.
    standbys: BTreeSet<LinkId>,
    listeners: Listeners,
    closers: Closers,
    held_leads: HeldLeads,
    next_id: u64,
}

/// Starts the loop, on this runtime if it is one.
pub(super) fn start(
    registry: &Registry,
    carried: Vec<Carried>,
    runtime: &Runtime,
) -> Result<Arc<DriverClient>, LinkSetupError> {
    let bus = registry.bus().map_err(|_| LinkSetupError::Closed)?;
    let all = "**".parse::<Pattern>().expect("a pattern");
    let options = SubscribeOptions::new();
    let owner = QueueOwner::One(SubscriptionOwner::Links);
    let changes = Subscription::open(bus, vec![all], options, owner);
    let changes = changes.map_err(|_| LinkSetupError::Closed)?;
    let refusals = Arc::clone(registry.bus().map_err(|_| LinkSetupError::Closed)?);
    let (commands, client) = ump::channel();
    let mut parts = Some((changes, carried, refusals, (commands, client.weak())));
    let made = Arc::new(OnceLock::new());
    let making = Arc::clone(&made);
    let wake = runtime.spawn(registry.clock().clone(), move |cx| {
        let (changes, carried, refusals, commands) = parts.take().ok_or(LinkSetupError::Closed)?;
        let driver = Driver::new(cx, changes, carried, refusals, commands);
        let links = Arc::new(Links::new(driver));
        links.lock().shared.wakes.share(&links);
        let _ = making.set(Arc::downgrade(&links));
        Ok(Loop(links))
    })?;
    let links = made.get().cloned().unwrap_or_default();
    Ok(DriverClient::new(client, links, wake, runtime.when_ended()))
}

impl Driver {
    fn new(
        cx: &LoopContext,
        changes: Subscription<Change>,
        carried: Vec<Carried>,
        refusals: Arc<Bus<LinkRefusal>>,
        (commands, client): (CommandServer, WeakDriver),
    ) -> Self {
        let router = random();
        let mut shared = Shared {
            sockets: cx.sockets(),
            timers: cx.timers(),
            clock: cx.clock(),
            wakes: Wakes::new(cx.weak_client()),
            buffer: Cell::default(),
            driver: client,
            router,
            program: program(),
            usages: Usages::default(),
            replicas: Replicas::new(router),
            refusals,
            messages: Vec::new(),
            requests: Vec::new(),
            local: Local::new(changes),
        };
        for one in carried {
            shared.carry(one);
        }
        let mut driver = Self {
            shared,
            commands,
            is_shut_down: false,
            links: BTreeMap::new(),
            relay: Relay::default(),
            touched: BTreeSet::new(),
            by_socket: HashMap::new(),
            routers: Routers::default(),
            standbys: BTreeSet::new(),
            listeners: Listeners::default(),
            closers: Closers::default(),
            held_leads: HeldLeads::default(),
            next_id: 0,
        };
        driver.feed_all_retained();
        driver.begin_to_look();
        driver.look_for_changes();
        driver.execute_queued();
        driver
    }

    fn next_id(&mut self) -> u64 {
        self.next_id += 1;
        self.next_id
    }

    fn on_woken(&mut self) {
        for key in self.shared.wakes.take() {
            self.on_key(key);
        }
    }

    fn on_key(&mut self, key: Key) {
        let id = match key {
            Key::Commands => return self.execute_queued(),
            Key::Changes => return self.look_for_changes(),
            Key::Retained(nth) => {
                self.feed_retained(nth, false);
                return self.pump_touched();
            }
            Key::Outbox(id, _) | Key::Calls(id, _) | Key::Pending(id, _) | Key::Local(id, _) => id,
        };
        self.act(id, |peer, shared| peer.on_woken(shared, key));
    }

    fn accept(&mut self, listener: SocketId, stream: Stream, from: Option<SocketAddr>) {
        let id = LinkId(self.next_id());
        let Some((accepted, stream)) = self.listeners.accept(listener, id, stream, from) else {
            return; // dropped, so closed
        };
        self.by_socket.insert(stream.id(), id);
        let peer = Peer::accepted(&self.shared, id, &accepted, stream);
        self.links.insert(id, peer);
        self.act(id, |peer, shared| {
            if let Some(refusal) = accepted.refusal {
                peer.refuse(shared, &refusal);
            }
        });
        if let Some(oldest) = accepted.displaced {
            self.act(oldest, |peer, shared| {
                let text = "too many connections were opening at the same time";
                peer.refuse(shared, &Refusal::Quota(text.to_owned()));
            });
            // It does not linger if the goodbye cannot be written.
            self.act(oldest, Peer::disconnected);
        }
    }

    /// Does what an event of a socket asks for, if the socket is that of a link.
    fn on_event_of(&mut self, socket: SocketId, act: impl FnOnce(&mut Peer, &Shared)) {
        if let Some(id) = self.by_socket.get(&socket).copied() {
            self.act(id, act);
        }
    }

    fn close_link(&mut self, id: LinkId) {
        // Its wake-up may be on its way.
        self.feed_all_retained();
        let has_standby = self.standby_of(id).is_some();
        self.act(id, |peer, shared| {
            if has_standby {
                peer.leave_for_twin(shared);
            }
            peer.close(shared);
        });
    }

    fn close_all(&mut self) {
        self.feed_all_retained();
        for id in self.links.keys().copied().collect::<Vec<_>>() {
            self.act(id, Peer::close);
        }
    }
}

/// What the loop calls.
impl Driver {
    fn on_timer(&mut self, id: LinkId) {
        if id == HeldLeads::TIMER {
            self.review_held_leads();
        }
        let Some(peer) = self.links.get_mut(&id) else {
            return;
        };
        if peer.on_timer(&self.shared) {
            self.connect(id);
        }
        self.pump(id);
    }

    fn on_socket(&mut self, event: Event) {
        match event {
            Event::Accepted {
                listener,
                stream,
                peer,
            } => {
                // It only delays small frames.
                let _ = stream.set_nodelay(true);
                self.accept(listener, Stream::Tcp(stream), Some(peer));
            }
            Event::AcceptedUnix { listener, stream } => {
                self.accept(listener, Stream::Unix(stream), None);
            }
            Event::Connected(socket) => self.on_event_of(socket, Peer::connected),
            Event::Readable(socket) => self.on_event_of(socket, Peer::read),
            Event::Writable(socket) => self.on_event_of(socket, Peer::begin_turn),
            Event::Closed(socket) => self.on_event_of(socket, Peer::disconnected),
            Event::Error(error) => {
                // That of a listener, which goes on, is the socket of no link.
                if let Some(socket) = error.socket() {
                    self.on_event_of(socket, |peer, shared| peer.failed(shared, &error));
                }
            }
            _ => {}
        }
    }
}

/// Returns a random number. The keys of the standard library's hashers are random.
fn random() -> u128 {
    let half = || u128::from(RandomState::new().hash_one(0));
    (half() << 64) | half()
}

/// Returns the name of the program, or nothing.
fn program() -> String {
    let path = std::env::current_exe().unwrap_or_default();
    let name = path.file_name().unwrap_or_default();
    name.to_string_lossy().into_owned()
}
