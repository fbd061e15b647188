//! The loop of the links of a router.

mod access;
mod calls;
mod closing;
mod dial;
mod direct;
mod interest;
mod leader;
mod listeners;
mod local;
mod peer;
mod relay;
mod retained;
mod routers;
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
    ops::ControlFlow,
    sync::Arc,
};

use ump::{Clock, Spin};
use ump_server::{
    Context as LoopContext, ReplyContext, Timers,
    net::{Event, SocketId, Sockets},
    thread,
};

use self::{
    access::{Refusal, Usages},
    closing::{Closers, tell_closed},
    dial::Target,
    leader::HeldLeads,
    listeners::Listeners,
    local::Local,
    peer::Peer,
    relay::Relay,
    retained::Replicas,
    routers::Routers,
    service::Loop,
    stream::Stream,
    wake::{Key, Wakes},
};
use super::{
    access::Rules,
    address::Address,
    carried::{Carried, CarriedMessages, CarriedRequests},
    error::{LinkFailure, LinkSetupError},
    options::{ConnectOptions, ListenOptions},
    refusal::LinkRefusal,
    status::LinkStatus,
    watch::{StatePublisher, Watched},
};
use crate::{
    presence::Change,
    publish::{Bus, QueueOwner, SubscribeOptions, Subscription, SubscriptionOwner},
    registry::Registry,
    sync::Mutex,
    topic::Pattern,
};

pub(crate) use self::leader::wait_for_request;

pub(super) type DriverClient = ump::Client<Command, Reply, LinkSetupError>;
pub(super) type DriverRequest = ump::Request<'static, Command, Reply, LinkSetupError>;
pub(super) type WeakDriver = ump::WeakClient<Command, Reply, LinkSetupError>;

/// Identifies a link. None is used twice.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct LinkId(u64);

/// Identifies a listener. None is used twice.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct ListenerId(u64);

/// What the loop is asked for.
pub(super) enum Command {
    Carry(Carried),
    Listen(Address, Vec<SocketAddr>, ListenOptions),
    SetRules(ListenerId, Rules),
    StopListening(ListenerId),
    Connect(Address, Arc<str>, ConnectOptions),
    LastFailure(LinkId),
    Status(LinkId),
    /// The status of the links of a listener.
    Links(ListenerId),
    /// The addresses of the host of a link.
    Resolved(LinkId, Result<Vec<SocketAddr>, String>),
    /// Replies when the link is open.
    AwaitOpen(LinkId),
    CloseLink(LinkId),
    /// Closes a link, and replies when that is done.
    AwaitClosed(LinkId),
    /// Closes all listeners and links, and replies when that is done.
    AwaitAllClosed,
    /// Something that was polled is ready.
    Woken,
    /// Ends all links, and the loop.
    Shutdown,
}

pub(super) enum Reply {
    Done,
    Listening(ListenerId, Address),
    Connecting(LinkId, Arc<Watched>),
    LastFailure(Option<LinkFailure>),
    Status(Box<LinkStatus>),
    Links(Vec<LinkStatus>),
}

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
    changes: Subscription<Change>,
    closers: Closers,
    held_leads: HeldLeads,
    next_id: u64,
}

/// Starts the loop.
pub(super) fn start(
    registry: &Registry,
    carried: Vec<Carried>,
) -> Result<DriverClient, LinkSetupError> {
    let bus = registry.bus().map_err(|_| LinkSetupError::Closed)?;
    let all = "**".parse::<Pattern>().expect("a pattern");
    let options = SubscribeOptions::new();
    let owner = QueueOwner::One(SubscriptionOwner::Links);
    let changes = Subscription::open(bus, vec![all], options, owner);
    let changes = changes.map_err(|_| LinkSetupError::Closed)?;
    let refusals = Arc::clone(registry.bus().map_err(|_| LinkSetupError::Closed)?);
    let mut parts = Some((changes, carried, refusals));
    let clock = registry.clock().clone();
    // It looks at its sockets instead.
    let builder = thread::Builder::new().name("ump-links").spin(Spin::Never);
    let builder = builder.clock(clock);
    let spawned = builder.spawn_with(move |cx: &LoopContext<_, _, _, _>| {
        let (changes, carried, refusals) = parts.take().ok_or(LinkSetupError::Closed)?;
        let driver = Driver::new(cx, changes, carried, refusals);
        let links = Arc::new(Mutex::new(driver));
        links.lock().shared.wakes.share(&links);
        Ok(Loop(links))
    });
    match spawned {
        Ok((client, _)) => Ok(client),
        Err(error) => Err(LinkSetupError::Thread(error.to_string())),
    }
}

impl Driver {
    fn new(
        cx: &LoopContext<Command, Reply, LinkSetupError, LinkId>,
        changes: Subscription<Change>,
        carried: Vec<Carried>,
        refusals: Arc<Bus<LinkRefusal>>,
    ) -> Self {
        let router = random();
        let mut shared = Shared {
            sockets: cx.sockets(),
            timers: cx.timers(),
            clock: cx.clock(),
            wakes: Wakes::new(cx.weak_client()),
            buffer: Cell::default(),
            driver: cx.weak_client(),
            router,
            program: program(),
            usages: Usages::default(),
            replicas: Replicas::new(router),
            refusals,
            messages: Vec::new(),
            requests: Vec::new(),
            local: Local::default(),
        };
        for one in carried {
            shared.carry(one);
        }
        let mut driver = Self {
            shared,
            links: BTreeMap::new(),
            relay: Relay::default(),
            touched: BTreeSet::new(),
            by_socket: HashMap::new(),
            routers: Routers::default(),
            standbys: BTreeSet::new(),
            listeners: Listeners::default(),
            changes,
            closers: Closers::default(),
            held_leads: HeldLeads::default(),
            next_id: 0,
        };
        driver.feed_all_retained();
        driver.begin_to_look();
        driver.look_for_changes();
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
    fn handle(
        &mut self,
        command: Command,
        reply: ReplyContext<'_, Reply, LinkSetupError>,
    ) -> ControlFlow<()> {
        let answer = match command {
            Command::Woken => {
                self.on_woken();
                Ok(Reply::Done)
            }
            Command::Carry(carried) => {
                let is_for_messages = matches!(carried, Carried::Messages(_));
                self.shared.carry(carried);
                for peer in self.links.values_mut() {
                    peer.carried_more(&self.shared);
                }
                // What was retained before the type travelled.
                if is_for_messages {
                    self.feed_retained(self.shared.messages.len() - 1, true);
                }
                self.pump_all();
                Ok(Reply::Done)
            }
            Command::Listen(address, resolved, options) => {
                let id = ListenerId(self.next_id());
                self.listeners
                    .listen(&self.shared, id, (address, resolved), options)
            }
            Command::SetRules(id, rules) => {
                for link in self.listeners.set_rules(id, rules) {
                    let rules = self.listeners.rules(id);
                    self.relay.review(link);
                    if let Some(peer) = self.links.get_mut(&link) {
                        peer.replication.restart(&self.shared);
                    }
                    self.act(link, |peer, shared| peer.set_rules(shared, rules));
                }
                Ok(Reply::Done)
            }
            Command::Resolved(id, found) => {
                self.on_resolved(id, found);
                Ok(Reply::Done)
            }
            Command::StopListening(id) => {
                self.listeners.stop(id);
                Ok(Reply::Done)
            }
            Command::LastFailure(id) => {
                let peer = self.links.get(&id);
                Ok(Reply::LastFailure(peer.and_then(Peer::last_failure)))
            }
            Command::Status(id) => {
                let peer = self.links.get(&id).ok_or(LinkSetupError::Closed);
                peer.map(|peer| Reply::Status(Box::new(peer.status())))
            }
            Command::Links(id) => {
                let peers = self.listeners.links(id);
                let peers = peers.filter_map(|link| self.links.get(&link));
                Ok(Reply::Links(peers.map(Peer::status).collect()))
            }
            Command::Connect(address, name, options) => {
                let id = LinkId(self.next_id());
                let state = StatePublisher::new();
                let watched = Arc::clone(state.watched());
                let target = Target::new(address, options);
                self.links.insert(id, Peer::kept(id, name, target, state));
                self.connect(id);
                self.publish_state(id);
                Ok(Reply::Connecting(id, watched))
            }
            Command::AwaitOpen(id) => match self.in_use(id) {
                Some(peer) => {
                    peer.await_open(reply.detach());
                    return ControlFlow::Continue(());
                }
                None => Err(LinkSetupError::Closed),
            },
            Command::CloseLink(id) => {
                self.close_link(id);
                Ok(Reply::Done)
            }
            Command::AwaitClosed(id) => {
                let caller = reply.detach();
                match self.links.get_mut(&id) {
                    Some(peer) => peer.await_closed(caller),
                    None => tell_closed(caller, false),
                }
                self.close_link(id);
                return ControlFlow::Continue(());
            }
            Command::AwaitAllClosed => {
                self.listeners.close();
                let links = self.links.keys().copied().collect();
                self.closers.push(reply.detach(), links);
                self.close_all();
                return ControlFlow::Continue(());
            }
            Command::Shutdown => {
                self.close_all();
                return ControlFlow::Break(());
            }
        };
        let _ = reply.answer(answer); // an error if the caller is gone
        ControlFlow::Continue(())
    }

    fn on_timer(&mut self, id: LinkId) -> ControlFlow<()> {
        if id == HeldLeads::TIMER {
            self.review_held_leads();
        }
        let Some(peer) = self.links.get_mut(&id) else {
            return ControlFlow::Continue(());
        };
        if peer.on_timer(&self.shared) {
            self.connect(id);
        }
        self.pump(id);
        ControlFlow::Continue(())
    }

    fn on_socket(&mut self, event: Event) -> ControlFlow<()> {
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
        ControlFlow::Continue(())
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
