//! Components that own sockets, under supervision.

use std::{
    io::{self, Read as _},
    net::{SocketAddr, TcpStream as StdTcpStream},
    ops::ControlFlow,
    os::{
        fd::{AsFd, BorrowedFd, OwnedFd},
        unix::net::UnixStream as StdUnixStream,
    },
    path::PathBuf,
    sync::{
        Arc, Mutex, OnceLock,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use ump_server::{
    Context, OnPanic, Refused, ReplyContext, Restart, Stop,
    net::{Event, Interest, SocketMap, Source, TcpListener, TcpStream, UdpSocket, UnixListener},
    system::{Attributes, BoxError, Group, State, Strategy, System},
    thread::Service,
};

use crate::support::{ANY_PORT, PATIENCE, alone, connect, descriptors};

/// A descriptor that counts how often it is closed.
struct Counted {
    fd: OwnedFd,
    closed: Arc<AtomicUsize>,
}

impl AsFd for Counted {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.closed.fetch_add(1, Ordering::Relaxed);
    }
}

/// The addresses that each handler of a component has in its turn.
#[derive(Clone)]
struct Site {
    tcp: Arc<OnceLock<SocketAddr>>,
    udp: Arc<OnceLock<SocketAddr>>,
    path: PathBuf,
    made: Arc<AtomicUsize>,
    closed: Arc<AtomicUsize>,
}

impl Site {
    fn new(name: &str) -> Self {
        let file = format!("ump-supervised-{}-{name}", std::process::id());
        Self {
            tcp: Arc::default(),
            udp: Arc::default(),
            path: std::env::temp_dir().join(file),
            made: Arc::default(),
            closed: Arc::default(),
        }
    }

    fn count(of: &AtomicUsize) -> usize {
        of.load(Ordering::Relaxed)
    }

    fn make<T>(&self, cx: &Context<Op, usize, Refused, T>) -> Result<Gateway, BoxError> {
        let sockets = cx.sockets();
        let address =
            |known: &OnceLock<SocketAddr>| known.get().copied().unwrap_or_else(|| ANY_PORT.into());
        let listener = sockets.listen(address(&self.tcp))?;
        let _ = self.tcp.set(listener.local_addr()?);
        let udp = sockets.udp(address(&self.udp))?;
        let _ = self.udp.set(udp.local_addr()?);
        let unix = sockets.listen_unix(&self.path)?;
        let (read, write) = rustix::pipe::pipe().map_err(io::Error::from)?;
        let counted = Counted {
            fd: read,
            closed: Arc::clone(&self.closed),
        };
        Ok(Gateway {
            source: sockets.source(counted, Interest::Read)?,
            _write: write,
            made: self.made.fetch_add(1, Ordering::Relaxed),
            listener,
            udp,
            unix,
            streams: SocketMap::new(),
        })
    }
}

impl Drop for Site {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.path);
    }
}

#[derive(Debug)]
enum Op {
    /// Replies with the number of handlers that were made before this one.
    Generation,
    Panic,
}

/// Owns a socket of each kind.
struct Gateway {
    made: usize,
    #[expect(dead_code, reason = "open as long as it is kept, like the next ones")]
    listener: TcpListener,
    #[expect(dead_code, reason = "see above")]
    udp: UdpSocket,
    #[expect(dead_code, reason = "see above")]
    unix: UnixListener,
    #[expect(dead_code, reason = "see above")]
    source: Source<Counted>,
    _write: OwnedFd,
    streams: SocketMap<TcpStream>,
}

impl Service for Gateway {
    type Request = Op;
    type Reply = usize;
    type Error = Refused;
    type Output = ();
    type Timer = ();

    fn handle(&mut self, op: Op, reply: ReplyContext<'_, usize, Refused>) -> ControlFlow<()> {
        match op {
            Op::Generation => {
                let _ = reply.reply(self.made);
            }
            Op::Panic => panic!("as asked"),
        }
        ControlFlow::Continue(())
    }

    fn on_socket(&mut self, event: Event) -> ControlFlow<()> {
        match event {
            Event::Accepted { stream, .. } => drop(self.streams.insert(stream.id(), stream)),
            Event::Readable(id) => {
                let Some(stream) = self.streams.get(id) else {
                    return ControlFlow::Continue(());
                };
                let mut buffer = [0; 64];
                match stream.read(&mut buffer) {
                    Ok(read) if buffer[..read].starts_with(b"panic") => panic!("as the peer asked"),
                    Ok(0) => drop(self.streams.remove(id)),
                    Ok(read) => drop(stream.write(&buffer[..read])),
                    Err(_) => {}
                }
            }
            _ => {}
        }
        ControlFlow::Continue(())
    }
}

fn restarts() -> Restart {
    let pause = Duration::from_millis(1);
    Restart::new()
        .pause(pause, pause)
        .limit(u32::MAX, Duration::from_secs(1))
}

type Client = ump_server::Client<Op, usize, Refused>;

/// Asks for the number of the handler, until it has this number.
fn wait_for(client: &Client, generation: usize) {
    let until = std::time::Instant::now() + PATIENCE;
    while client.req(Op::Generation) != Ok(generation) {
        assert!(std::time::Instant::now() < until, "it is not rebuilt");
        std::thread::sleep(Duration::from_millis(1));
    }
}

/// Checks that a connection is answered, and returns it.
fn answered(site: &Site) -> StdTcpStream {
    use std::io::Write as _;

    let mut peer = connect(*site.tcp.get().unwrap());
    peer.write_all(b"hello").unwrap();
    peer.read_exact(&mut [0; 5]).unwrap();
    peer
}

/// Waits until the peer has closed or reset the connection.
fn is_closed(mut peer: StdTcpStream) {
    match peer.read(&mut [0; 64]) {
        Ok(read) => assert_eq!(read, 0),
        Err(error) => assert_eq!(error.kind(), io::ErrorKind::ConnectionReset),
    }
}

#[test]
fn a_restart_closes_sockets_once_and_binds_again() {
    const NAME: &str = "supervised::a_restart_closes_sockets_once_and_binds_again";
    alone(NAME, || {
        let site = Site::new("restart");
        let factory = site.clone();
        let attributes = Attributes::new().on_panic(OnPanic::Restart(restarts()));
        let system = System::builder()
            .thread("gateway", attributes, move |cx| factory.make(cx))
            .start(PATIENCE)
            .wait()
            .unwrap();
        let client: Client = system.client("gateway").unwrap();
        drop(answered(&site));
        wait_for(&client, 0);
        let sockets = || system.status()[0].instances[0].sockets.len();
        let quiet = |generation| {
            let until = std::time::Instant::now() + PATIENCE;
            while sockets() != 4 {
                assert!(std::time::Instant::now() < until, "a socket is left");
                std::thread::sleep(Duration::from_millis(1));
            }
            // A descriptor is closed after its socket has left the status, in one call of the loop.
            wait_for(&client, generation);
        };
        quiet(0);
        let at_start = descriptors();
        for generation in 1..=30 {
            let mut peers = [answered(&site), answered(&site)];
            let unix = StdUnixStream::connect(&site.path).unwrap();
            match generation % 3 {
                // The old handler is replaced while it lives, and not after a panic.
                0 => system.renew("gateway").unwrap(),
                1 => assert!(client.req(Op::Panic).is_err()),
                _ => {
                    use std::io::Write as _;
                    peers[0].write_all(b"panic").unwrap();
                }
            }
            peers.into_iter().for_each(is_closed);
            drop(unix);
            wait_for(&client, generation);
            assert_eq!(Site::count(&site.closed), generation);
            drop(answered(&site));
            quiet(generation);
            assert_eq!(descriptors(), at_start, "generation {generation}");
        }
        let report = system.stop(Stop::Drain, PATIENCE).wait();
        assert!(report.is_clean());
        assert_eq!(Site::count(&site.closed), Site::count(&site.made));
        // The last ones are closed as well: others can have the addresses.
        std::net::TcpListener::bind(*site.tcp.get().unwrap()).unwrap();
        std::net::UdpSocket::bind(*site.udp.get().unwrap()).unwrap();
    });
}

#[test]
fn a_group_that_is_rebuilt_binds_all_its_addresses_again() {
    let sites = ["a", "b"].map(Site::new);
    let mut builder = System::builder();
    for (name, site) in ["a", "b"].into_iter().zip(sites.clone()) {
        builder = builder.thread(name, Attributes::new(), move |cx| site.make(cx));
    }
    let group = Group::new("both")
        .members(["a", "b"])
        .strategy(Strategy::OneForAll)
        .restart(restarts());
    let system = builder.group(group).start(PATIENCE).wait().unwrap();
    let clients: [Client; 2] = ["a", "b"].map(|name| system.client(name).unwrap());
    for generation in 1..=10 {
        let peers: Vec<_> = sites.iter().map(answered).collect();
        assert!(clients[generation % 2].req(Op::Panic).is_err());
        peers.into_iter().for_each(is_closed);
        for (client, site) in clients.iter().zip(&sites) {
            wait_for(client, generation);
            assert_eq!(Site::count(&site.closed), generation);
        }
    }
    assert!(system.stop(Stop::Drain, PATIENCE).wait().is_clean());
}

#[test]
fn an_address_that_was_taken_meanwhile_is_a_failure_with_its_reason() {
    let site = Site::new("taken");
    let factory = site.clone();
    // Another program binds the address before the second handler does.
    let taken = Arc::new(Mutex::new(None));
    let thief = Arc::clone(&taken);
    let calls = AtomicUsize::new(0);
    let attributes = Attributes::new().on_panic(OnPanic::Restart(restarts()));
    let system = System::builder()
        .thread("gateway", attributes, move |cx| {
            if calls.fetch_add(1, Ordering::Relaxed) == 1 {
                let address = *factory.tcp.get().unwrap();
                let other = std::net::TcpListener::bind(address).unwrap();
                *thief.lock().unwrap() = Some(other);
            }
            factory.make(cx)
        })
        .start(PATIENCE)
        .wait()
        .unwrap();
    let client: Client = system.client("gateway").unwrap();
    assert!(client.req(Op::Panic).is_err());
    let instance = || system.status()[0].instances[0].clone();
    let until = std::time::Instant::now() + PATIENCE;
    let is_reason = |reason: &str| reason.contains("another socket has this address");
    while !instance().last_failure.is_some_and(|it| is_reason(&it)) {
        assert!(std::time::Instant::now() < until, "{:?}", instance());
        std::thread::sleep(Duration::from_millis(1));
    }
    // It tries again and again, until the address is free.
    assert_eq!(instance().state, State::Up);
    taken.lock().unwrap().take();
    wait_for(&client, 1);
    drop(answered(&site));
}
