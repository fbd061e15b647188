//! Datagrams over the sockets of the loop.

use std::{
    collections::VecDeque,
    net::{Ipv4Addr, SocketAddr, UdpSocket},
    sync::mpsc,
    time::{Duration, Instant},
};

use ump_server::{
    JoinHandle, Stop,
    net::Udp,
    sans_io::{
        BufferPool, Command, Component, Controller, ControllerBuilder, Datagrams, Input, Interface,
        Io, Limits, LoopUdp, Output, Payload, Refused, Reply, Report, Request, SendTask, ShutDown,
        SocketError, SocketNumber, Spawn, Task, TaskId, Transmit,
    },
    thread::Builder,
};

use crate::arq::{Arq, Event};

const MINUTE: Duration = Duration::from_secs(60);
const ANY: (Ipv4Addr, u16) = (Ipv4Addr::LOCALHOST, 0);

/// Sends back what it gets, or keeps it, and reports it. Its commands are packets.
#[derive(Default)]
struct Echo {
    answers: bool,
    /// The packets that it does not answer.
    kept: Vec<Payload<'static>>,
    outputs: VecDeque<Output<EchoIo>>,
}

type EchoIo = Io<Transmit, Got>;

#[derive(Debug, PartialEq)]
struct Got {
    from: SocketAddr,
    length: usize,
    is_truncated: bool,
    is_pooled: bool,
}

impl Task for Echo {
    type Io = EchoIo;

    fn on_tick(&mut self, _: Instant) {}

    fn on_input(&mut self, _: Instant, input: Input<'_, EchoIo>) {
        match input {
            Input::App(packet) => self.outputs.push_back(Output::Net(packet)),
            Input::Net(packet) => {
                let got = Got {
                    from: packet.source,
                    length: packet.payload.len(),
                    is_truncated: packet.is_truncated,
                    is_pooled: packet.payload.is_pooled(),
                };
                self.outputs.push_back(Output::App(got));
                if self.answers {
                    let payload = packet.payload.into_owned();
                    let mut answer = Transmit::new(packet.source, payload).socket(packet.socket);
                    answer.source = packet.destination;
                    self.outputs.push_back(Output::Net(answer));
                } else {
                    self.kept.push(packet.payload.into_owned());
                }
            }
        }
    }

    fn pop_output(&mut self, _: Instant) -> Option<Output<EchoIo>> {
        self.outputs.pop_front()
    }

    fn next_deadline(&self) -> Option<Instant> {
        None
    }
}

type Client<T> = ump_server::Client<Request<T>, Reply, Refused<T>>;

/// A loop with one task, and the address of its socket.
struct Started<T: SendTask> {
    client: Client<T>,
    handle: JoinHandle<()>,
    task: TaskId,
    address: SocketAddr,
    reports: mpsc::Receiver<Report<<T::Io as Interface>::Event>>,
}

fn start<T: SendTask>(task: impl FnOnce(SocketAddr) -> T) -> Started<T>
where
    T::Io: Interface<Net = Datagrams>,
{
    start_on(Udp::new(ANY), BufferPool::new(256), task)
}

fn start_on<T: SendTask>(
    how: Udp,
    pool: BufferPool,
    task: impl FnOnce(SocketAddr) -> T,
) -> Started<T>
where
    T::Io: Interface<Net = Datagrams>,
{
    let (address, addresses) = mpsc::channel();
    let (report, reports) = mpsc::channel();
    let (client, handle) = Builder::new()
        .spawn_with(move |cx| {
            let mut udp = LoopUdp::new(cx.sockets()).buffers(pool.clone());
            let number = udp.bind(how.clone())?;
            let _ = address.send(udp.local_addr(number)?);
            let report = report.clone();
            let report = move |it| drop(report.send(it));
            Ok(Component::<T, _>::new(cx, Limits::new(), udp, report))
        })
        .unwrap();
    let address = addresses.recv().unwrap();
    let task = client.ask(Spawn(task(address))).wait().unwrap();
    Started {
        client,
        handle,
        task,
        address,
        reports,
    }
}

fn echo(answers: bool) -> Started<Echo> {
    start(|_| Echo {
        answers,
        ..Echo::default()
    })
}

fn messages() -> Vec<Vec<u8>> {
    (0..100).map(|n| vec![n; 10]).collect()
}

#[test]
fn a_protocol_runs_over_the_sockets_of_its_loop() {
    // The second one learns the address of the first one by its packets.
    let peer = UdpSocket::bind(ANY).unwrap();
    let peer_address = peer.local_addr().unwrap();
    let sender = start(|_| Arq::new(peer_address));
    drop(peer);
    let (report, reports) = mpsc::channel();
    let (to, from) = (peer_address, sender.address);
    let (client, _handle) = Builder::new()
        .spawn_with(move |cx| {
            let mut udp = LoopUdp::new(cx.sockets());
            udp.bind(to)?;
            let report = report.clone();
            let report = move |it| drop(report.send(it));
            Ok(Component::<Arq, _>::new(cx, Limits::new(), udp, report))
        })
        .unwrap();
    client.ask(Spawn(Arq::new(from))).wait().unwrap();
    for message in messages() {
        let command = Command(sender.task, message);
        sender.client.ask(command).wait().unwrap();
    }
    let mut got = Vec::new();
    while got.len() < 100 {
        if let Report::Event {
            event: Event::Received(data),
            ..
        } = reports.recv_timeout(MINUTE).unwrap()
        {
            got.push(data);
        }
    }
    assert_eq!(got, messages());
    assert_eq!(sender.client.ask(ShutDown(MINUTE)).wait().unwrap(), []);
}

#[test]
fn workers_own_their_sockets() {
    let free = UdpSocket::bind(ANY).unwrap();
    let address = free.local_addr().unwrap();
    drop(free);
    let controller: Controller<Echo> = ControllerBuilder::new()
        .workers(2.try_into().unwrap())
        .start_with(move |_, cx| {
            let mut udp = LoopUdp::new(cx.sockets());
            udp.bind(Udp::new(address).reuse_port(true))?;
            Ok(udp)
        })
        .unwrap();
    for worker in 0..2 {
        let task = Echo {
            answers: true,
            ..Echo::default()
        };
        controller.spawn_on(worker, task).wait().unwrap();
        assert_eq!(controller.sockets(worker).len(), 1);
    }
    for _ in 0..20 {
        let client = UdpSocket::bind(ANY).unwrap();
        client.set_read_timeout(Some(MINUTE)).unwrap();
        client.send_to(b"hello", address).unwrap();
        let mut buffer = [0; 16];
        let (length, from) = client.recv_from(&mut buffer).unwrap();
        assert_eq!((&buffer[..length], from), (&b"hello"[..], address));
    }
    assert!(controller.stop(MINUTE).wait().is_clean());
}

#[test]
fn the_longest_datagram_passes_whole() {
    let it = echo(true);
    let client = UdpSocket::bind(ANY).unwrap();
    client.set_read_timeout(Some(MINUTE / 600)).unwrap();
    let sent: Vec<u8> = (0..65_507_u32).map(|n| n.to_le_bytes()[0]).collect();
    let mut buffer = vec![0; 65_535];
    // The system may drop it, when it is short of memory.
    let length = (0..600)
        .find_map(|_| {
            client.send_to(&sent, it.address).unwrap();
            client.recv(&mut buffer).ok()
        })
        .unwrap();
    assert!(buffer[..length] == sent);
    let Ok(Report::Event { event, .. }) = it.reports.recv_timeout(MINUTE) else {
        panic!("an event");
    };
    let from = client.local_addr().unwrap();
    let expected = Got {
        from,
        length: 65_507,
        is_truncated: false,
        is_pooled: true,
    };
    assert_eq!(event, expected);
}

#[test]
fn a_packet_that_cannot_be_sent_is_reported_and_the_others_are_sent() {
    let it = echo(false);
    let peer = UdpSocket::bind(ANY).unwrap();
    peer.set_read_timeout(Some(MINUTE)).unwrap();
    let to = peer.local_addr().unwrap();
    let send = |packet| it.client.ask(Command(it.task, packet)).wait().unwrap();
    send(Transmit::new(to, *b"before"));
    send(Transmit::new(to, vec![0; 70_000]));
    send(Transmit::new(to, *b"stray").socket(SocketNumber(7)));
    send(Transmit::new(to, *b"after"));
    let mut buffer = [0; 16];
    for expected in [&b"before"[..], b"after"] {
        let length = peer.recv(&mut buffer).unwrap();
        assert_eq!(&buffer[..length], expected);
    }
    let mut reasons = Vec::new();
    for _ in 0..2 {
        let Ok(Report::SocketFailed(failure)) = it.reports.recv_timeout(MINUTE) else {
            panic!("a failure");
        };
        assert_eq!(failure.peer, Some(to));
        reasons.push(failure.reason);
    }
    let too_long = SocketError::TooLong { length: 70_000 };
    assert_eq!(reasons, [too_long, SocketError::NoSocket]);
}

#[test]
fn an_undeliverable_packet_does_not_end_receiving() {
    let dead = UdpSocket::bind(ANY).unwrap();
    let to = dead.local_addr().unwrap();
    let it = {
        let (address, addresses) = mpsc::channel();
        let (report, reports) = mpsc::channel();
        let (client, handle) = Builder::new()
            .spawn_with(move |cx| {
                let mut udp = LoopUdp::new(cx.sockets());
                let number = udp.bind(Udp::new(ANY).connect(to))?;
                let _ = address.send(udp.local_addr(number)?);
                let report = report.clone();
                let report = move |it| drop(report.send(it));
                Ok(Component::<Echo, _>::new(cx, Limits::new(), udp, report))
            })
            .unwrap();
        let task = client.ask(Spawn(Echo::default())).wait().unwrap();
        Started {
            client,
            handle,
            task,
            address: addresses.recv().unwrap(),
            reports,
        }
    };
    drop(dead);
    let send = || {
        let packet = Transmit::new(to, *b"to nobody");
        it.client.ask(Command(it.task, packet)).wait().unwrap();
    };
    send();
    send();
    if cfg!(target_os = "linux") {
        let report = it.reports.recv_timeout(MINUTE).unwrap();
        assert!(matches!(report, Report::SocketFailed(_)), "{report:?}");
    }
    let peer = UdpSocket::bind(to).unwrap();
    peer.send_to(b"here I am", it.address).unwrap();
    loop {
        match it.reports.recv_timeout(MINUTE).unwrap() {
            Report::Event { event, .. } => return assert_eq!(event.length, 9),
            report => assert!(matches!(report, Report::SocketFailed(_)), "{report:?}"),
        }
    }
}

#[test]
fn nothing_is_received_while_reports_are_not_taken() {
    let controller: Controller<Echo> = ControllerBuilder::new()
        .reports(1)
        .start_with(|_, cx| {
            let mut udp = LoopUdp::new(cx.sockets());
            udp.bind(ANY)?;
            Ok(udp)
        })
        .unwrap();
    controller.spawn(Echo::default()).wait().unwrap();
    let [socket] = &controller.sockets(0)[..] else {
        panic!("one socket");
    };
    let address = socket.local.ip().unwrap();
    let peer = UdpSocket::bind(ANY).unwrap();
    for _ in 0..100 {
        peer.send_to(b"one of many", address).unwrap();
    }
    let mut events = 0;
    while events < 100 {
        let report = controller.next_report().wait_timeout(MINUTE).unwrap();
        assert!(matches!(report, Report::Event { .. }), "{report:?}");
        events += 1;
    }
    let stats = controller.status()[0].stats;
    assert_eq!((stats.received, stats.receive_dropped), (100, 0));
    assert!(stats.turns < 2_000, "it does not spin: {stats:?}");
}

#[test]
fn the_end_of_a_loop_sends_the_last_packets() {
    let peer = UdpSocket::bind(ANY).unwrap();
    let to = peer.local_addr().unwrap();
    let it = start(|_| Arq::new(to));
    it.handle.stopper().stop(Stop::Drain);
    it.handle.join().unwrap();
    peer.set_read_timeout(Some(MINUTE)).unwrap();
    let mut buffer = [0; 16];
    let length = peer.recv(&mut buffer).unwrap();
    assert_eq!(buffer[..length], [2, 0, 0, 0, 0], "the goodbye");
}

fn next_event(it: &Started<Echo>) -> Got {
    match it.reports.recv_timeout(MINUTE).unwrap() {
        Report::Event { event, .. } => event,
        report => panic!("unexpected: {report:?}"),
    }
}

#[test]
fn a_task_that_keeps_its_packets_stops_nobody() {
    let pool = BufferPool::new(4).length(100);
    let it = start_on(Udp::new(ANY), pool.clone(), |_| Echo::default());
    let peer = UdpSocket::bind(ANY).unwrap();
    for n in 0..50_usize {
        peer.send_to(&vec![7; n], it.address).unwrap();
        let got = next_event(&it);
        assert_eq!((got.length, got.is_pooled), (n, n < 4));
    }
    assert_eq!(pool.in_use(), 4);
    peer.send_to(&[7; 101], it.address).unwrap();
    let got = next_event(&it);
    assert_eq!((got.length, got.is_truncated), (100, true));
    it.handle.stopper().stop(Stop::Drain);
    it.handle.join().unwrap();
    assert_eq!(pool.in_use(), 0, "all buffers came back");
}

#[test]
fn buffers_of_answers_return_to_the_pool() {
    let pool = BufferPool::new(8);
    let echo = |_| Echo {
        answers: true,
        ..Echo::default()
    };
    let it = start_on(Udp::new(ANY), pool.clone(), echo);
    let peer = UdpSocket::bind(ANY).unwrap();
    peer.set_read_timeout(Some(MINUTE)).unwrap();
    for _ in 0..20 {
        for n in 0..30 {
            peer.send_to(&[n; 100], it.address).unwrap();
        }
        for n in 0..30 {
            let mut answer = [0; 200];
            let length = peer.recv(&mut answer).unwrap();
            assert_eq!(answer[..length], [n; 100]);
        }
    }
    drop(it.client);
    it.handle.join().unwrap();
    assert_eq!(pool.in_use(), 0);
}

#[test]
#[cfg(target_os = "linux")]
fn an_answer_comes_from_the_address_that_was_asked() {
    let how = Udp::new((Ipv4Addr::UNSPECIFIED, 0)).packet_info(true);
    let it = start_on(how, BufferPool::new(8), |_| Echo {
        answers: true,
        ..Echo::default()
    });
    let peer = UdpSocket::bind(ANY).unwrap();
    peer.set_read_timeout(Some(MINUTE)).unwrap();
    for n in 1..4 {
        // All of 127.0.0.0/8 are addresses of this machine.
        let address = SocketAddr::from(([127, 0, 0, n], it.address.port()));
        peer.send_to(b"hello", address).unwrap();
        let (_, from) = peer.recv_from(&mut [0; 16]).unwrap();
        assert_eq!(from, address);
    }
}
