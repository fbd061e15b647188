//! A handler that receives and sends in batches.

use std::{net::SocketAddr, ops::ControlFlow};

use ump_server::{
    Refused, ReplyContext,
    net::{BufferPool, Event, Payload, ReceiveBatch, SendTo, UdpSocket},
    thread::{Builder, Service},
};

use super::{ANY_PORT, Server};

struct Echo {
    socket: UdpSocket,
    batch: ReceiveBatch,
    packets: Vec<(SocketAddr, Payload<'static>)>,
}

impl Service for Echo {
    type Request = ();
    type Reply = SocketAddr;
    type Error = Refused;
    type Output = ();
    type Timer = ();

    fn handle(&mut self, (): (), reply: ReplyContext<'_, SocketAddr, Refused>) -> ControlFlow<()> {
        let _ = reply.answer(self.socket.local_addr().map_err(|_| Refused));
        ControlFlow::Continue(())
    }

    fn on_socket(&mut self, event: Event) -> ControlFlow<()> {
        assert!(matches!(event, Event::Readable(_)), "{event:?}");
        if self.socket.recv_batch(&mut self.batch).is_err() {
            return ControlFlow::Continue(());
        }
        while let Some(packet) = self.batch.next() {
            let payload = packet.payload.into_owned();
            self.packets.push((packet.from, payload));
        }
        let answers = self.packets.iter().map(|(to, it)| SendTo::new(it, *to));
        let answers: Vec<_> = answers.collect();
        let mut unsent = &answers[..];
        while !unsent.is_empty() {
            let sent = self.socket.send_batch(unsent).expect("there is room");
            unsent = &unsent[sent..];
        }
        self.packets.clear();
        ControlFlow::Continue(())
    }
}

pub(super) fn on_a_loop() -> Server {
    let (client, _) = Builder::new()
        .spawn_with(|cx| {
            Ok(Echo {
                socket: cx.sockets().udp(ANY_PORT).map_err(|_| Refused)?,
                batch: ReceiveBatch::new(BufferPool::new(64)),
                packets: Vec::new(),
            })
        })
        .expect("a loop with a free port");
    Server {
        address: client.req(()).expect("its address"),
        _client: Some(Box::new(client)),
    }
}
