//! The sockets of components, in the status of their system.

use std::{
    io::{Read as _, Write as _},
    net::{Ipv4Addr, SocketAddr, TcpStream as StdTcpStream},
    num::NonZeroUsize,
    ops::ControlFlow,
};

use ump_server::{
    Context, Refused, ReplyContext,
    net::{Event, SocketKind, SocketMap, SocketStatus, TcpListener, TcpStream},
    system::{Attributes, Builder, InstanceStatus, System},
    thread::{self, Batch},
};

use crate::support::{LONG, Log, On};

/// Sends back whatever comes. A request asks for its address.
struct Echo {
    listener: TcpListener,
    streams: SocketMap<TcpStream>,
}

impl Echo {
    fn new<T>(cx: &Context<(), SocketAddr, Refused, T>) -> Self {
        let listener = cx.sockets().listen((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let streams = SocketMap::new();
        Self { listener, streams }
    }

    fn address(&self) -> SocketAddr {
        self.listener.local_addr().unwrap()
    }

    fn on_socket(&mut self, event: Event) -> ControlFlow<()> {
        match event {
            Event::Accepted { stream, .. } => drop(self.streams.insert(stream.id(), stream)),
            Event::Readable(id) => {
                let mut buffer = [0; 64];
                let stream = self.streams.get(id).unwrap();
                match stream.read(&mut buffer) {
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

impl thread::Service for Echo {
    type Request = ();
    type Reply = SocketAddr;
    type Error = Refused;
    type Output = ();
    type Timer = ();

    fn handle(&mut self, (): (), reply: ReplyContext<'_, SocketAddr, Refused>) -> ControlFlow<()> {
        let _ = reply.reply(self.address());
        ControlFlow::Continue(())
    }

    fn on_socket(&mut self, event: Event) -> ControlFlow<()> {
        self.on_socket(event)
    }
}

/// The same, which takes batches.
struct EchoBatches(Echo);

impl thread::BatchService for EchoBatches {
    type Request = ();
    type Reply = SocketAddr;
    type Error = Refused;
    type Output = ();
    type Timer = ();

    fn handle(&mut self, batch: &mut Batch<(), SocketAddr, Refused>) -> ControlFlow<()> {
        let address = self.0.address();
        batch.answer_each(|(), reply| {
            reply.reply(address);
            ControlFlow::Continue(())
        })
    }

    fn on_socket(&mut self, event: Event) -> ControlFlow<()> {
        self.0.on_socket(event)
    }
}

fn start(add: impl FnOnce(Builder) -> Builder) -> System {
    let builder = On::Task.add_all(System::builder(), &Log::default(), &["plain"]);
    add(builder).start(LONG).wait().unwrap()
}

fn of(system: &System, name: &str, instance: usize) -> InstanceStatus {
    let status = system.status();
    let component = status.iter().find(|it| it.name == name).unwrap();
    component.instances[instance].clone()
}

/// Makes a connection, and sends five bytes there and back.
fn connect(address: SocketAddr) -> StdTcpStream {
    let mut peer = StdTcpStream::connect(address).unwrap();
    peer.write_all(b"hello").unwrap();
    peer.read_exact(&mut [0; 5]).unwrap();
    peer
}

fn kinds(sockets: &[SocketStatus]) -> Vec<SocketKind> {
    sockets.iter().map(|socket| socket.kind).collect()
}

#[test]
fn status_lists_the_sockets_of_each_instance() {
    let attributes = Attributes::new().instances(2);
    let system = start(|builder| builder.thread("echo", attributes, |cx| Ok(Echo::new(cx))));
    let client = system
        .instance::<(), SocketAddr, Refused>("echo", 0)
        .unwrap();
    let address = client.req(()).unwrap();
    let peer = connect(address);
    client.req(()).unwrap(); // the call that has written it is over

    let sockets = of(&system, "echo", 0).sockets;
    let both = [SocketKind::TcpListener, SocketKind::TcpStream];
    assert_eq!(kinds(&sockets), both);
    let [listener, stream] = &sockets[..] else {
        panic!("there are two")
    };
    assert_eq!(listener.local.ip(), Some(address));
    assert_eq!(listener.events, 1, "one connection");
    assert_eq!(stream.local.ip(), Some(address));
    assert_eq!(stream.peer.ip(), Some(peer.local_addr().unwrap()));
    assert_eq!((stream.bytes_in, stream.bytes_out), (5, 5));
    assert_eq!((stream.worker, stream.errors), (0, 0));
    assert!(stream.events >= 1);

    let other = of(&system, "echo", 1).sockets;
    assert_eq!(kinds(&other), [SocketKind::TcpListener]);
    assert_ne!(other[0].local, listener.local);
    assert!(of(&system, "plain", 0).sockets.is_empty());
    assert!(!of(&system, "plain", 0).to_string().contains("sockets"));
}

#[test]
fn sockets_of_workers_and_batches_are_listed() {
    let attributes = Attributes::new().workers(3);
    let one = NonZeroUsize::MIN;
    let system = start(|builder| {
        builder.batches("echo", attributes, one, |cx| Ok(EchoBatches(Echo::new(cx))))
    });
    let workers: Vec<_> = (of(&system, "echo", 0).sockets.iter())
        .map(|socket| (socket.worker, socket.kind))
        .collect();
    let expected = [0, 1, 2].map(|worker| (worker, SocketKind::TcpListener));
    assert_eq!(workers, expected);
}

#[test]
fn status_shows_sockets_briefly_or_in_full() {
    let attributes = Attributes::new();
    let system = start(|builder| builder.thread("echo", attributes, |cx| Ok(Echo::new(cx))));
    let client = system.client::<(), SocketAddr, Refused>("echo").unwrap();
    let address = client.req(()).unwrap();
    let _peers = [connect(address), connect(address)];
    client.req(()).unwrap(); // the calls that have written it are over
    let status = system.status();
    let echo = status.iter().find(|it| it.name == "echo").unwrap();
    let brief = echo.to_string();
    assert!(
        brief.starts_with("echo: up, requests: 2 accepted, "),
        "{brief}"
    );
    let sum = format!("; 1 TCP listener on {address}, 2 TCP streams: 10 bytes in, 10 out, ");
    assert!(brief.contains(&sum), "{brief}");
    assert_eq!(brief.lines().count(), 1);
    let full = format!("{echo:#}");
    assert_eq!(full.lines().count(), 4, "{full}");
    assert!(full.contains("5 bytes in, 5 out, "));
}

#[test]
fn status_of_instances_has_a_line_for_each() {
    let attributes = Attributes::new().instances(2);
    let system = start(|builder| builder.thread("echo", attributes, |cx| Ok(Echo::new(cx))));
    let status = system.status();
    let shown: Vec<_> = status.iter().map(ToString::to_string).collect();
    assert!(shown[0].starts_with("plain: up, "));
    let [first, second] = shown[1].lines().collect::<Vec<_>>()[..] else {
        panic!("there are two: {}", shown[1])
    };
    assert!(first.starts_with("echo[0]: up, ") && second.starts_with("echo[1]: up, "));
}
