//! The peer: an echo on a worker of `sans-io-runtime`, over its backend that polls.

use std::{
    collections::VecDeque,
    net::SocketAddr,
    sync::mpsc::{self, Sender},
    time::{Duration, Instant},
};

use sans_io_runtime::{
    Controller, WorkerInner, WorkerInnerInput, WorkerInnerOutput,
    backend::{BackendIncoming, BackendOutgoing, PollingBackend},
};

use super::{ANY_PORT, Server};

struct Echo {
    worker: u16,
    address: Sender<SocketAddr>,
    outputs: VecDeque<Out>,
}

type In = WorkerInnerInput<(), (), (), ()>;
type Out = WorkerInnerOutput<(), (), (), (), ()>;

impl WorkerInner<(), (), (), (), (), Sender<SocketAddr>, ()> for Echo {
    fn build(worker: u16, address: Sender<SocketAddr>) -> Self {
        let listen = BackendOutgoing::UdpListen {
            addr: ANY_PORT.into(),
            reuse: false,
        };
        Self {
            worker,
            address,
            outputs: VecDeque::from([WorkerInnerOutput::Net((), listen)]),
        }
    }

    fn worker_index(&self) -> u16 {
        self.worker
    }

    fn tasks(&self) -> usize {
        1
    }

    fn is_empty(&self) -> bool {
        false
    }

    fn spawn(&mut self, _: Instant, (): ()) {}

    fn on_tick(&mut self, _: Instant) {}

    fn on_event(&mut self, _: Instant, event: In) {
        match event {
            WorkerInnerInput::Net((), BackendIncoming::UdpListenResult { result, .. }) => {
                let (address, _) = result.expect("a free port");
                self.address.send(address).expect("it is awaited");
            }
            WorkerInnerInput::Net((), BackendIncoming::UdpPacket { slot, from, data }) => {
                let answer = BackendOutgoing::UdpPacket {
                    slot,
                    to: from,
                    data,
                };
                self.outputs.push_back(WorkerInnerOutput::Net((), answer));
            }
            _ => {}
        }
    }

    fn pop_output(&mut self, _: Instant) -> Option<Out> {
        self.outputs.pop_front()
    }

    fn on_shutdown(&mut self, _: Instant) {}
}

pub(super) fn server() -> Server {
    let (address, addresses) = mpsc::channel();
    let mut controller = Controller::<(), (), (), (), (), 1024>::default();
    controller.add_worker::<(), _, Echo, PollingBackend<_, 16, 1024>>(
        Duration::from_secs(1),
        address,
        None,
    );
    Server {
        address: addresses.recv().expect("its address"),
        _client: Some(Box::new(controller)),
    }
}
