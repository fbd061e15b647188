//! An echo as a sans-IO task, in a component.

use std::{collections::VecDeque, sync::mpsc, time::Instant};

use ump_server::{
    net::Udp,
    sans_io::{Component, Input, Io, Limits, LoopUdp, Output, Spawn, Task, Transmit},
    thread::Builder,
};

use super::{ANY_PORT, Server};

#[derive(Default)]
struct Echo {
    answers: VecDeque<Transmit>,
}

impl Task for Echo {
    type Io = Io;

    fn on_tick(&mut self, _: Instant) {}

    fn on_input(&mut self, _: Instant, input: Input<'_, Io>) {
        let Input::Net(packet) = input;
        let answer = Transmit::new(packet.source, packet.payload.into_owned());
        self.answers.push_back(answer.socket(packet.socket));
    }

    fn pop_output(&mut self, _: Instant) -> Option<Output<Io>> {
        self.answers.pop_front().map(Output::Net)
    }

    fn next_deadline(&self) -> Option<Instant> {
        None
    }
}

pub(super) fn on_a_loop(coalesces: bool) -> Server {
    let (address, addresses) = mpsc::channel();
    let (client, _) = Builder::new()
        .spawn_with(move |cx| {
            let mut udp = LoopUdp::new(cx.sockets());
            let number = udp.bind(Udp::new(ANY_PORT).coalesce(coalesces))?;
            let _ = address.send(udp.local_addr(number)?);
            let report = |report| panic!("a report: {report:?}");
            Ok(Component::<Echo, _>::new(cx, Limits::new(), udp, report))
        })
        .expect("a loop with a free port");
    client.ask(Spawn(Echo::default())).wait().expect("a task");
    Server {
        address: addresses.recv().expect("its address"),
        _client: Some(Box::new(client)),
    }
}
