//! TCP echo servers: a loop with a handler, a bare mio loop, and tokio.

use std::{
    any::Any,
    io::{ErrorKind, Read as _, Write as _},
    net::SocketAddr,
    ops::ControlFlow,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
    thread,
};

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use ump_server::{
    Client, Refused, ReplyContext,
    net::{Event, SocketId, SocketMap, TcpListener, TcpStream},
    thread::{Builder, Service},
    ump::Spin,
};

use super::ANY_PORT;

/// The size of all buffers.
pub(super) const ROOM: usize = 4096;
/// The length of a message.
pub(super) const LEN: usize = 64;

pub(super) type Message = [u8; LEN];

/// A server in a thread of its own, which serves as long as this process lives.
pub(super) struct Server {
    pub(super) address: SocketAddr,
    /// The number of connections so far.
    pub(super) accepted: Arc<AtomicUsize>,
    /// The value that keeps it alive.
    _client: Box<dyn Any>,
}

impl Server {
    pub(super) fn new(address: SocketAddr, accepted: Arc<AtomicUsize>, client: impl Any) -> Self {
        Self {
            address,
            accepted,
            _client: Box::new(client),
        }
    }
}

/// A component on another thread, which knows the answer.
pub(super) type Component = Arc<Client<Message, Message, ()>>;

/// Starts such a component, which spins like this before it sleeps.
pub(super) fn component(spin: Spin) -> Component {
    let (client, _) = Builder::new()
        .spin(spin)
        .serve(ump_server::thread::answer(|message: Message| Ok(message)))
        .expect("a thread");
    Arc::new(client)
}

/// The handler. A request asks for its address.
struct Echo {
    listener: TcpListener,
    connections: SocketMap<TcpStream>,
    buffer: Vec<u8>,
    accepted: Arc<AtomicUsize>,
    component: Option<Component>,
}

impl Echo {
    fn answer(&mut self, id: SocketId) {
        let Some(stream) = self.connections.get(id) else {
            return;
        };
        match stream.read(&mut self.buffer) {
            Ok(0) => drop(self.connections.remove(id)),
            Ok(read) => {
                let answer = &mut self.buffer[..read];
                if let Some(component) = &self.component {
                    for message in answer.chunks_mut(LEN) {
                        let reply = component.req(to_message(message));
                        message.copy_from_slice(&reply.expect("a reply"));
                    }
                }
                let written = stream.write(answer).expect("there is room");
                assert_eq!(written, read, "the client waits for it");
            }
            Err(error) => assert_eq!(error.kind(), ErrorKind::WouldBlock),
        }
    }
}

impl Service for Echo {
    type Request = ();
    type Reply = SocketAddr;
    type Error = Refused;
    type Output = ();
    type Timer = ();

    fn handle(&mut self, (): (), reply: ReplyContext<'_, SocketAddr, Refused>) -> ControlFlow<()> {
        let _ = reply.answer(self.listener.local_addr().map_err(|_| Refused));
        ControlFlow::Continue(())
    }

    fn on_socket(&mut self, event: Event) -> ControlFlow<()> {
        match event {
            Event::Accepted { stream, .. } => {
                stream.set_nodelay(true).expect("a connection");
                self.connections.insert(stream.id(), stream);
                self.accepted.fetch_add(1, Relaxed);
            }
            Event::Readable(id) => self.answer(id),
            Event::Closed(id) => drop(self.connections.remove(id)),
            other => panic!("{other:?}"),
        }
        ControlFlow::Continue(())
    }
}

pub(super) fn to_message(bytes: &[u8]) -> Message {
    bytes.try_into().expect("messages come whole")
}

/// The loop of `ump-server`. Its handler answers by itself, or asks a component.
pub(super) fn on_a_loop(component: Option<Component>) -> Server {
    let accepted = Arc::<AtomicUsize>::default();
    let counter = Arc::clone(&accepted);
    let (client, ended) = Builder::new()
        .spawn_with(move |cx| {
            Ok(Echo {
                listener: cx.sockets().listen(ANY_PORT).map_err(|_| Refused)?,
                connections: SocketMap::new(),
                buffer: vec![0; ROOM],
                accepted: Arc::clone(&counter),
                component: component.clone(),
            })
        })
        .expect("a loop with a free port");
    let address = client.req(()).expect("its address");
    Server::new(address, accepted, (client, ended))
}

/// When a bare loop stops reading.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Reads {
    /// After a read that was short: nothing is left, and what comes later is another event.
    Short,
    /// After a read that would have blocked, as the documentation of mio asks.
    WouldBlock,
}

/// A loop by hand over mio.
pub(super) fn bare_mio(reads: Reads) -> Server {
    let mut poll = mio::Poll::new().expect("a selector");
    let mut listener = mio::net::TcpListener::bind(ANY_PORT.into()).expect("a free port");
    let address = listener.local_addr().expect("it is bound");
    let (both, of_listener) = (
        mio::Interest::READABLE | mio::Interest::WRITABLE,
        mio::Token(usize::MAX),
    );
    let registry = poll.registry();
    registry
        .register(&mut listener, of_listener, both)
        .expect("a descriptor");
    let accepted = Arc::<AtomicUsize>::default();
    let counter = Arc::clone(&accepted);
    thread::spawn(move || {
        let mut connections: Vec<Option<mio::net::TcpStream>> = Vec::new();
        let mut events = mio::Events::with_capacity(1024);
        let mut buffer = vec![0; ROOM];
        loop {
            poll.poll(&mut events, None).expect("a selector");
            for event in &events {
                if event.token() == of_listener {
                    while let Ok((mut stream, _)) = listener.accept() {
                        stream.set_nodelay(true).expect("a connection");
                        let token = mio::Token(connections.len());
                        let registry = poll.registry();
                        registry
                            .register(&mut stream, token, both)
                            .expect("a descriptor");
                        connections.push(Some(stream));
                        counter.fetch_add(1, Relaxed);
                    }
                } else if event.is_readable() {
                    let connection = &mut connections[event.token().0];
                    if connection
                        .as_mut()
                        .is_some_and(|stream| !echo(stream, &mut buffer, reads))
                    {
                        *connection = None;
                    }
                }
            }
        }
    });
    Server::new(address, accepted, ())
}

/// Returns whether the connection is still open.
fn echo(stream: &mut mio::net::TcpStream, buffer: &mut [u8], reads: Reads) -> bool {
    loop {
        match stream.read(buffer) {
            Ok(0) => return false,
            Ok(read) => {
                let written = stream.write(&buffer[..read]).expect("there is room");
                assert_eq!(written, read, "the client waits for it");
                if reads == Reads::Short && read < buffer.len() {
                    return true;
                }
            }
            Err(error) => {
                assert_eq!(error.kind(), ErrorKind::WouldBlock);
                return true;
            }
        }
    }
}

/// A task for each connection, on a runtime of one thread.
pub(super) fn on_tokio(component: Option<Component>) -> Server {
    let accepted = Arc::<AtomicUsize>::default();
    let counter = Arc::clone(&accepted);
    let listener = std::net::TcpListener::bind(ANY_PORT).expect("a free port");
    let address = listener.local_addr().expect("it is bound");
    listener.set_nonblocking(true).expect("a listener");
    let serve = async move || {
        let listener = tokio::net::TcpListener::from_std(listener).expect("in a runtime");
        loop {
            let (mut stream, _) = listener.accept().await.expect("a connection");
            stream.set_nodelay(true).expect("a connection");
            counter.fetch_add(1, Relaxed);
            let component = component.clone();
            tokio::spawn(async move {
                let mut buffer = vec![0; ROOM];
                while let Ok(read) = stream.read(&mut buffer).await {
                    if read == 0 {
                        break;
                    }
                    let answer = &mut buffer[..read];
                    if let Some(component) = &component {
                        for message in answer.chunks_mut(LEN) {
                            let reply = component.request(to_message(message)).await;
                            message.copy_from_slice(&reply.expect("a reply"));
                        }
                    }
                    stream.write_all(answer).await.expect("the client waits");
                }
            });
        }
    };
    thread::spawn(move || {
        let mut runtime = tokio::runtime::Builder::new_current_thread();
        let runtime = runtime.enable_io().build().expect("a runtime");
        runtime.block_on(serve());
    });
    Server::new(address, accepted, ())
}
