//! The loop: it owns a share of the connections, and asks the store on their behalf.

use std::{
    convert::Infallible,
    mem,
    net::SocketAddr,
    ops::ControlFlow,
    sync::{Arc, OnceLock},
    time::{Duration, Instant},
};

use cli::log;
use ump_server::{
    Context, ReplyContext,
    net::{Error, Event, Group, Listen, SocketId, SocketMap, Spread, TcpListener, TcpStream},
    thread,
};

use crate::{
    connection::{Connection, Store},
    totals::Totals,
    wakes::{ConnectionWaker, Wakes},
};

/// The longest read, in bytes.
const READ: usize = 64 * 1024;

/// How often slow clients are looked for.
const PATROL: Duration = Duration::from_millis(500);

/// The error of requests to the loop: there is none.
pub(crate) type Never = Infallible;

/// A request to the loop.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Request {
    /// Connections were woken.
    Woken,
    /// Take no more connections and no more commands. The reply comes when those taken are
    /// answered, and all connections are closed.
    Finish,
}

/// The timer that looks for slow clients.
#[derive(Clone, Debug)]
pub(crate) struct Patrol;

/// The state that the loops share, and that outlives a restart of one.
#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) listen: SocketAddr,
    /// The address, once the first loop listens.
    pub(crate) address: OnceLock<SocketAddr>,
    pub(crate) group: Group,
    pub(crate) totals: Arc<Totals>,
    /// The time for which a client may keep the gateway waiting.
    pub(crate) client_timeout: Duration,
    /// The bytes that the connections of a loop may hold.
    pub(crate) memory: usize,
}

pub(crate) struct Gateway {
    shared: Arc<Shared>,
    store: Arc<Store>,
    /// Only in the first loop, until it finishes.
    listener: Option<TcpListener>,
    connections: SocketMap<Connection>,
    wakes: Arc<Wakes>,
    buffer: Vec<u8>,
    /// The bytes that all connections hold.
    held: usize,
    /// Waits until all connections are closed.
    finishing: Option<ump::ReplyContext<(), Never>>,
    has_logged_exhaustion: bool,
}

impl Gateway {
    /// Creates the handler of a loop. The first loop listens, and all share the connections.
    pub(crate) fn new(
        cx: &Context<Request, (), Never, Patrol>,
        number: usize,
        store: Store,
        shared: &Arc<Shared>,
    ) -> Result<Self, Error> {
        let sockets = cx.sockets();
        shared.group.join(&sockets)?;
        let mut listener = None;
        if number == 0 {
            // After a restart it has the same port.
            let address = *shared.address.get().unwrap_or(&shared.listen);
            let listens = Listen::new(address)
                .backlog(4096)
                .spread(&shared.group, Spread::LeastLoaded);
            let new = sockets.listen(listens)?;
            let _ = shared.address.set(new.local_addr().unwrap_or(address));
            listener = Some(new);
        }
        cx.timers().every(PATROL, Patrol);
        Ok(Self {
            shared: Arc::clone(shared),
            store: Arc::new(store),
            listener,
            connections: SocketMap::new(),
            wakes: Wakes::new(cx.weak_client()),
            buffer: vec![0; READ],
            held: 0,
            finishing: None,
            has_logged_exhaustion: false,
        })
    }

    fn accept(&mut self, stream: TcpStream) {
        if self.finishing.is_some() {
            return;
        }
        if !self.shared.totals.try_open() {
            // If it cannot be written at once, the connection is closed without it.
            let _ = stream.write(b"-ERR max number of clients reached\r\n");
            return;
        }
        // An optimisation, which may fail.
        let _ = stream.set_nodelay(true);
        let id = stream.id();
        let waker = ConnectionWaker::new(id, &self.wakes);
        let totals = Arc::clone(&self.shared.totals);
        self.connections
            .insert(id, Connection::new(stream, waker, totals));
    }

    /// Changes a connection, then lets it do what it can.
    fn with(&mut self, id: SocketId, change: impl FnOnce(&mut Connection, &mut [u8])) {
        let Some(connection) = self.connections.get_mut(id) else {
            return;
        };
        let before = connection.held();
        change(connection, &mut self.buffer);
        let stays = connection.advance(&self.store);
        self.held = self.held + connection.held() - before;
        if !stays {
            self.remove(id);
        } else if self.held > self.shared.memory {
            self.cut_largest();
        }
    }

    fn remove(&mut self, id: SocketId) {
        if let Some(connection) = self.connections.remove(id) {
            self.held -= connection.held();
        }
        if self.connections.is_empty() {
            if let Some(reply) = self.finishing.take() {
                let _ = reply.reply(());
            }
        }
    }

    /// Makes room in the memory.
    fn cut_largest(&mut self) {
        let largest = self
            .connections
            .iter()
            .max_by_key(|(_, connection)| connection.held());
        if let Some((id, connection)) = largest {
            log!(
                "tcp-gateway: the connections hold {} bytes: closing the one with {}",
                self.held,
                connection.held()
            );
            self.shared.totals.cut();
            self.remove(id);
        }
    }

    fn all(&self) -> Vec<SocketId> {
        self.connections.iter().map(|(id, _)| id).collect()
    }
}

impl thread::Service for Gateway {
    type Request = Request;
    type Reply = ();
    type Error = Never;
    type Output = ();
    type Timer = Patrol;

    fn handle(&mut self, request: Request, reply: ReplyContext<'_, (), Never>) -> ControlFlow<()> {
        match request {
            Request::Woken => {
                for id in self.wakes.take() {
                    self.with(id, |connection, _| connection.rearm());
                }
            }
            Request::Finish => {
                self.listener = None;
                self.finishing = Some(reply.detach());
                for id in self.all() {
                    self.with(id, |connection, _| connection.close());
                }
                if self.connections.is_empty() {
                    if let Some(reply) = self.finishing.take() {
                        let _ = reply.reply(());
                    }
                }
            }
        }
        ControlFlow::Continue(())
    }

    fn on_timer(&mut self, Patrol: Patrol) -> ControlFlow<()> {
        let (now, limit) = (Instant::now(), self.shared.client_timeout);
        let late = self.connections.iter();
        let late = late.filter(|(_, connection)| connection.is_late(now, limit));
        for id in late.map(|(id, _)| id).collect::<Vec<_>>() {
            self.shared.totals.cut();
            self.remove(id);
        }
        ControlFlow::Continue(())
    }

    fn on_socket(&mut self, event: Event) -> ControlFlow<()> {
        match event {
            Event::Accepted { stream, .. } => self.accept(stream),
            Event::Readable(id) => self.with(id, Connection::read),
            Event::Writable(id) => self.with(id, |_, _| {}),
            Event::Closed(id) => self.with(id, |connection, _| connection.gone()),
            Event::Error(error) => {
                // The first lack of descriptors is enough: the listener goes on by itself, and the
                // backlog keeps the clients meanwhile.
                let is_known =
                    error.is_exhaustion() && mem::replace(&mut self.has_logged_exhaustion, true);
                if !is_known {
                    log!("tcp-gateway: {error}");
                }
            }
            _ => {}
        }
        ControlFlow::Continue(())
    }
}
