//! A loop whose handler does not wait for a component: the component posts its answers.

use std::{
    net::SocketAddr,
    ops::ControlFlow,
    sync::{Arc, atomic::AtomicUsize, atomic::Ordering::Relaxed},
};

use ump_server::{
    Client, Context, Refused, ReplyContext,
    net::{Event, SocketId, SocketMap, TcpListener, TcpStream},
    thread::{Builder, Service, answer},
};

use super::{
    ANY_PORT,
    servers::{LEN, Message, ROOM, Server, to_message},
};

/// The requests to the loop.
enum Command {
    Address,
    /// A post of the component.
    Answer(SocketId, Message),
}

struct Echo {
    listener: TcpListener,
    connections: SocketMap<TcpStream>,
    accepted: Arc<AtomicUsize>,
    component: Client<(SocketId, Message), (), ()>,
    /// Larger than a message: a read that is short tells the loop that nothing is left.
    buffer: Vec<u8>,
}

impl Echo {
    fn new(
        cx: &Context<Command, SocketAddr, Refused, ()>,
        accepted: &Arc<AtomicUsize>,
    ) -> Result<Self, Refused> {
        let this = cx.weak_client();
        let component = answer(move |(id, message)| {
            let echo = this.upgrade().ok_or(())?;
            let posted = echo.post(Command::Answer(id, message)).wait();
            posted.map_err(drop)
        });
        let (component, _) = Builder::new().serve(component).map_err(|_| Refused)?;
        Ok(Self {
            listener: cx.sockets().listen(ANY_PORT).map_err(|_| Refused)?,
            connections: SocketMap::new(),
            accepted: Arc::clone(accepted),
            component,
            buffer: vec![0; ROOM],
        })
    }

    fn ask(&mut self, id: SocketId) {
        let Some(stream) = self.connections.get(id) else {
            return;
        };
        match stream.read(&mut self.buffer) {
            Ok(0) => drop(self.connections.remove(id)),
            Ok(read) => {
                let message = to_message(&self.buffer[..read]);
                let posted = self.component.post((id, message)).wait();
                posted.expect("it takes all");
            }
            Err(error) => assert_eq!(error.kind(), std::io::ErrorKind::WouldBlock),
        }
    }
}

impl Service for Echo {
    type Request = Command;
    type Reply = SocketAddr;
    type Error = Refused;
    type Output = ();
    type Timer = ();

    fn handle(
        &mut self,
        command: Command,
        reply: ReplyContext<'_, SocketAddr, Refused>,
    ) -> ControlFlow<()> {
        match command {
            Command::Address => {
                let _ = reply.answer(self.listener.local_addr().map_err(|_| Refused));
            }
            Command::Answer(id, message) => {
                if let Some(stream) = self.connections.get(id) {
                    let written = stream.write(&message).expect("there is room");
                    assert_eq!(written, LEN, "the client waits for it");
                }
            }
        }
        ControlFlow::Continue(())
    }

    fn on_socket(&mut self, event: Event) -> ControlFlow<()> {
        match event {
            Event::Accepted { stream, .. } => {
                stream.set_nodelay(true).expect("a connection");
                self.connections.insert(stream.id(), stream);
                self.accepted.fetch_add(1, Relaxed);
            }
            Event::Readable(id) => self.ask(id),
            Event::Closed(id) => drop(self.connections.remove(id)),
            other => panic!("{other:?}"),
        }
        ControlFlow::Continue(())
    }
}

/// The loop of `ump-server`, with a component to which it posts, and which posts to it.
pub(super) fn on_a_loop() -> Server {
    let accepted = Arc::<AtomicUsize>::default();
    let counter = Arc::clone(&accepted);
    let (client, ended) = Builder::new()
        .spawn_with(move |cx| Echo::new(cx, &counter))
        .expect("a loop with a free port");
    let address = client.req(Command::Address).expect("its address");
    Server::new(address, accepted, (client, ended))
}
