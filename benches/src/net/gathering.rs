//! A loop whose handler asks a component for all messages of a turn, and then waits for the
//! replies.
//!
//! The first message of a turn makes the handler post `Gather` to its own loop. Requests come after
//! the events of the turn, so by then the component has all of its messages.

use std::{
    net::SocketAddr,
    ops::ControlFlow,
    sync::{Arc, atomic::AtomicUsize, atomic::Ordering::Relaxed},
};

use ump_server::{
    Refused, ReplyContext, WeakClient,
    net::{Event, SocketId, SocketMap, TcpListener, TcpStream},
    thread::{Builder, Service},
    ump::{Spin, WaitReply},
};

use super::{
    ANY_PORT,
    servers::{Component, LEN, Message, ROOM, Server, component, to_message},
};

/// The requests to the loop.
enum Command {
    Address,
    /// The handler's own post: the turn is over.
    Gather,
}

struct Echo {
    listener: TcpListener,
    connections: SocketMap<TcpStream>,
    accepted: Arc<AtomicUsize>,
    component: Component,
    this: WeakClient<Command, SocketAddr, Refused>,
    /// What this turn has asked for.
    asked: Vec<(SocketId, WaitReply<Message, ()>)>,
    buffer: Vec<u8>,
}

impl Echo {
    fn ask(&mut self, id: SocketId) {
        let Some(stream) = self.connections.get(id) else {
            return;
        };
        match stream.read(&mut self.buffer) {
            Ok(0) => drop(self.connections.remove(id)),
            Ok(read) => {
                if self.asked.is_empty() {
                    let this = self.this.upgrade().expect("the client lives");
                    this.post(Command::Gather).wait().expect("it takes all");
                }
                let message = to_message(&self.buffer[..read]);
                let asked = self.component.req_async(message);
                self.asked.push((id, asked.expect("it takes all")));
            }
            Err(error) => assert_eq!(error.kind(), std::io::ErrorKind::WouldBlock),
        }
    }

    fn gather(&mut self) {
        for (id, asked) in self.asked.drain(..) {
            let message = asked.wait().expect("a reply");
            if let Some(stream) = self.connections.get(id) {
                let written = stream.write(&message).expect("there is room");
                assert_eq!(written, LEN, "the client waits for it");
            }
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
            Command::Gather => self.gather(),
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

/// The loop of `ump-server`, with such a handler.
pub(super) fn on_a_loop() -> Server {
    let accepted = Arc::<AtomicUsize>::default();
    let counter = Arc::clone(&accepted);
    let component = component(Spin::Adaptive);
    let (client, ended) = Builder::new()
        .spawn_with(move |cx| {
            Ok(Echo {
                listener: cx.sockets().listen(ANY_PORT).map_err(|_| Refused)?,
                connections: SocketMap::new(),
                accepted: Arc::clone(&counter),
                component: Arc::clone(&component),
                this: cx.weak_client(),
                asked: Vec::new(),
                buffer: vec![0; ROOM],
            })
        })
        .expect("a loop with a free port");
    let address = client.req(Command::Address).expect("its address");
    Server::new(address, accepted, (client, ended))
}
