//! The loop: it echoes what comes on any of its sockets, with back-pressure, and closes what
//! stalls.

use std::{
    io::{self, Read, Write},
    net::{Ipv4Addr, SocketAddr},
    ops::ControlFlow,
    path::PathBuf,
    sync::{Arc, OnceLock, atomic::Ordering},
    time::Duration,
};

use ump_server::{
    Context, Refused, ReplyContext, Timers,
    net::{
        Connect, Event, SocketId, SocketMap, Sockets, TcpListener, TcpStream, UdpSocket,
        UnixListener, UnixStream,
    },
    thread::Service,
};

use crate::{
    peers::{Counts, Targets},
    rng::Rng,
};

/// The number of sockets of a handler without connections: for TCP, unix and UDP.
pub(crate) const LISTENING: usize = 3;
/// The payload of a panic that is asked for.
pub(crate) const PANIC: &str = "as asked";
/// How long a connection may be idle.
const IDLE: Duration = Duration::from_millis(100);

pub(crate) type Client = ump_server::Client<Op, usize, Refused>;

#[derive(Debug)]
pub(crate) enum Op {
    /// Replies with the number of open sockets.
    Sockets,
    /// Connects to this address, and echoes there as well.
    Dial(SocketAddr),
    /// Closes one of the connections.
    Shed(usize),
    Panic,
}

/// The addresses, which each handler binds in its turn.
#[derive(Clone)]
pub(crate) struct Sites {
    tcp: Arc<OnceLock<SocketAddr>>,
    udp: Arc<OnceLock<SocketAddr>>,
    path: PathBuf,
}

impl Sites {
    pub(crate) fn new() -> Self {
        let file = format!("ump-socket-soak-{}", std::process::id());
        Self {
            tcp: Arc::default(),
            udp: Arc::default(),
            path: std::env::temp_dir().join(file),
        }
    }

    /// Returns the addresses, once the first handler is made.
    pub(crate) fn targets(&self) -> Targets {
        let tcp = *self.tcp.get().unwrap();
        Targets::new(tcp, *self.udp.get().unwrap(), self.path.clone())
    }
}

enum Stream {
    Tcp(TcpStream),
    Unix(UnixStream),
}

impl Stream {
    fn id(&self) -> SocketId {
        match self {
            Self::Tcp(stream) => stream.id(),
            Self::Unix(stream) => stream.id(),
        }
    }

    fn read(&self, buffer: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::Tcp(stream) => (&mut &*stream).read(buffer),
            Self::Unix(stream) => (&mut &*stream).read(buffer),
        }
    }

    fn write(&self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Self::Tcp(stream) => (&mut &*stream).write(bytes),
            Self::Unix(stream) => (&mut &*stream).write(bytes),
        }
    }

    fn reads(&self, reads: bool) {
        match (self, reads) {
            (Self::Tcp(stream), true) => stream.resume_reading(),
            (Self::Tcp(stream), false) => stream.pause_reading(),
            (Self::Unix(stream), true) => stream.resume_reading(),
            (Self::Unix(stream), false) => stream.pause_reading(),
        }
    }
}

struct Connection {
    stream: Stream,
    unsent: Vec<u8>,
    is_ended: bool,
    /// Whether anything has happened since its timer.
    is_active: bool,
}

pub(crate) struct Gateway {
    sockets: Sockets,
    timers: Timers<Option<SocketId>>,
    #[expect(dead_code, reason = "it listens as long as it is kept")]
    tcp: TcpListener,
    #[expect(dead_code, reason = "it listens as long as it is kept")]
    unix: UnixListener,
    udp: UdpSocket,
    connections: SocketMap<Connection>,
}

impl Gateway {
    pub(crate) fn new(
        cx: &Context<Op, usize, Refused, Option<SocketId>>,
        sites: &Sites,
    ) -> Result<Self, ump_server::net::Error> {
        let (sockets, timers) = (cx.sockets(), cx.timers());
        let address = |known: &OnceLock<SocketAddr>| {
            let any = (Ipv4Addr::LOCALHOST, 0).into();
            known.get().copied().unwrap_or(any)
        };
        let tcp = sockets.listen(address(&sites.tcp))?;
        let udp = sockets.udp(address(&sites.udp))?;
        let _ = sites.tcp.set(tcp.local_addr().expect("it is bound"));
        let _ = sites.udp.set(udp.local_addr().expect("it is bound"));
        timers.every(Duration::from_millis(1), None);
        Ok(Self {
            unix: sockets.listen_unix(&sites.path)?,
            tcp,
            udp,
            connections: SocketMap::new(),
            sockets,
            timers,
        })
    }

    fn add(&mut self, stream: Stream) {
        let id = stream.id();
        self.timers.once(IDLE, Some(id));
        let connection = Connection {
            stream,
            unsent: Vec::new(),
            is_ended: false,
            is_active: true,
        };
        assert!(self.connections.insert(id, connection).is_none());
    }

    /// Reads once, and writes what there is.
    fn pump(&mut self, id: SocketId, reads: bool) {
        let Some(connection) = self.connections.get_mut(id) else {
            return;
        };
        connection.is_active = true;
        if reads && connection.unsent.is_empty() {
            let mut buffer = [0; 4096];
            match connection.stream.read(&mut buffer) {
                Ok(0) => connection.is_ended = true,
                Ok(read) => connection.unsent.extend(&buffer[..read]),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(_) => return drop(self.connections.remove(id)),
            }
        }
        while !connection.unsent.is_empty() {
            match connection.stream.write(&connection.unsent) {
                Ok(written) => drop(connection.unsent.drain(..written)),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                Err(_) => return drop(self.connections.remove(id)),
            }
        }
        if connection.is_ended && connection.unsent.is_empty() {
            drop(self.connections.remove(id));
        } else {
            connection.stream.reads(connection.unsent.is_empty());
        }
    }
}

impl Service for Gateway {
    type Request = Op;
    type Reply = usize;
    type Error = Refused;
    type Output = ();
    type Timer = Option<SocketId>;

    fn handle(&mut self, op: Op, reply: ReplyContext<'_, usize, Refused>) -> ControlFlow<()> {
        match op {
            Op::Sockets => {
                let _ = reply.reply(self.sockets.len());
            }
            Op::Dial(address) => {
                let how = Connect::new(address).timeout(IDLE);
                match self.sockets.connect(how) {
                    Ok(stream) => {
                        self.add(Stream::Tcp(stream));
                        let _ = reply.reply(1);
                    }
                    Err(_) => {
                        let _ = reply.fail(Refused);
                    }
                }
            }
            Op::Shed(nth) => {
                let id = self.connections.iter().map(|(id, _)| id).nth(nth);
                let shed = id.and_then(|id| self.connections.remove(id));
                let _ = reply.reply(usize::from(shed.is_some()));
            }
            Op::Panic => std::panic::panic_any(PANIC),
        }
        ControlFlow::Continue(())
    }

    fn on_timer(&mut self, idle: Option<SocketId>) -> ControlFlow<()> {
        let Some(id) = idle else {
            return ControlFlow::Continue(());
        };
        if let Some(connection) = self.connections.get_mut(id) {
            if std::mem::take(&mut connection.is_active) {
                self.timers.once(IDLE, Some(id));
            } else {
                self.connections.remove(id);
            }
        }
        ControlFlow::Continue(())
    }

    fn on_socket(&mut self, event: Event) -> ControlFlow<()> {
        match event {
            Event::Accepted { stream, .. } => self.add(Stream::Tcp(stream)),
            Event::AcceptedUnix { stream, .. } => self.add(Stream::Unix(stream)),
            Event::Readable(id) if id == self.udp.id() => {
                let mut buffer = [0; 64];
                if let Ok(datagram) = self.udp.recv_from(&mut buffer) {
                    let _ = self.udp.send_to(&buffer[..datagram.len], datagram.from);
                }
            }
            Event::Readable(id) => self.pump(id, true),
            Event::Writable(id) => self.pump(id, false),
            Event::Closed(id) => drop(self.connections.remove(id)),
            Event::Error(error) => {
                let failed = error.socket().and_then(|id| self.connections.remove(id));
                drop(failed);
            }
            _ => {}
        }
        ControlFlow::Continue(())
    }
}

/// Sends a few requests.
pub(crate) fn ask(client: &Client, targets: &Targets, rng: &mut Rng, counts: &Counts) {
    for _ in 0..100 {
        counts.requests.fetch_add(1, Ordering::Relaxed);
        let _ = match rng.below(10) {
            0 => client.req(Op::Dial(targets.peer())),
            1 => client.req(Op::Dial(targets.nobody())),
            2 => client.req(Op::Shed(rng.size(20))),
            3 if rng.below(100) == 0 => {
                counts.panics.fetch_add(1, Ordering::Relaxed);
                client.req(Op::Panic)
            }
            _ => client.req(Op::Sockets),
        };
    }
    std::thread::sleep(Duration::from_millis(rng.below(3)));
}
