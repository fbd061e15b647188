//! One protocol, unchanged, by all drivers. (By the simulation: see `simulation`.)

use std::{
    net::{SocketAddr, UdpSocket},
    sync::{Arc, mpsc},
    thread,
    time::Duration,
};

use ump_server::{
    Client, OnPanic, Stop, TestClock,
    sans_io::{
        Command, Component, Controller, ControllerBuilder, Limits, Payload, Receive, Refused,
        Reply, Report, Request, ShutDown, Spawn, TaskId, UdpSockets,
    },
    thread::Builder,
};

use crate::arq::{Arq, Event, RETRY};

type Requests = Client<Request<Arq>, Reply, Refused<Arq>>;

const MINUTE: Duration = Duration::from_secs(60);

fn bind() -> (Arc<UdpSocket>, SocketAddr) {
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    let address = socket.local_addr().unwrap();
    (Arc::new(socket), address)
}

/// Gives the packets of a socket to a loop, until the loop is gone. There is room in the loop's
/// queue before a packet is read. An empty packet ends it.
fn read(socket: Arc<UdpSocket>, client: Requests) -> thread::JoinHandle<()> {
    thread::spawn(move || {
        let mut buffer = [0; 2_048];
        loop {
            let Ok(room) = client.reserve().wait() else {
                return;
            };
            // An error is that of an earlier packet.
            let Ok((length, source)) = socket.recv_from(&mut buffer) else {
                continue;
            };
            if length == 0 {
                return;
            }
            let packet = Receive::new(source, buffer[..length].to_vec());
            if room
                .request(Request::Receive(packet))
                .post()
                .wait()
                .is_err()
            {
                return;
            }
        }
    })
}

fn received(reports: &[Report<Event>]) -> Vec<Vec<u8>> {
    let events = reports.iter().filter_map(|report| match report {
        Report::Event {
            event: Event::Received(data),
            ..
        } => Some(data.clone()),
        _ => None,
    });
    events.collect()
}

/// Takes reports until a number of messages have come.
fn take(reports: &mpsc::Receiver<Report<Event>>, count: usize) -> Vec<Vec<u8>> {
    let mut taken = Vec::new();
    while received(&taken).len() < count {
        taken.push(reports.recv_timeout(MINUTE).unwrap());
    }
    received(&taken)
}

fn messages() -> Vec<Vec<u8>> {
    (0..100).map(|n| vec![n; 10]).collect()
}

#[test]
fn in_a_component_on_a_thread() {
    let ends = [bind(), bind()];
    let [(_, a), (_, b)] = &ends;
    let peers = [*b, *a];
    let started: Vec<_> = ends
        .iter()
        .zip(peers)
        .map(|((socket, address), peer)| {
            let (report, reports) = mpsc::channel();
            let sending = Arc::clone(socket);
            let (client, handle) = Builder::new()
                .name("link")
                .capacity(64)
                .on_panic(OnPanic::Continue)
                .spawn_with(move |cx| {
                    let mut sockets = UdpSockets::new();
                    sockets.add(Arc::clone(&sending));
                    let report = report.clone();
                    let report = move |it| {
                        let _ = report.send(it);
                    };
                    Ok(Component::<Arq, _>::new(cx, Limits::new(), sockets, report))
                })
                .unwrap();
            let task = client.ask(Spawn(Arq::new(peer))).wait().unwrap();
            let reader = read(Arc::clone(socket), client.clone());
            (client, handle, task, reports, reader, *address)
        })
        .collect();
    let (client, _, task, ..) = &started[0];
    for message in messages() {
        client.ask(Command(*task, message)).wait().unwrap();
    }
    assert_eq!(take(&started[1].3, 100), messages());
    for (client, handle, _, reports, reader, address) in started {
        let left = client.ask(ShutDown(MINUTE)).wait().unwrap();
        assert_eq!(left, []);
        // The loop of the reader ends by an empty packet.
        UdpSocket::bind("127.0.0.1:0")
            .unwrap()
            .send_to(&[], address)
            .unwrap();
        reader.join().unwrap();
        drop(client);
        handle.join().unwrap();
        drop(reports);
    }
}

#[test]
fn in_a_component_under_a_virtual_clock() {
    let clock = TestClock::new();
    // Nobody listens there, and nobody reads: only the time passes.
    let (socket, address) = bind();
    let (counter, _) = bind();
    let sending = Arc::clone(&counter);
    let (client, _handle) = Builder::new()
        .test_clock(&clock)
        .spawn_with(move |cx| {
            let mut sockets = UdpSockets::new();
            sockets.add(Arc::clone(&sending));
            Ok(Component::<Arq, _>::new(cx, Limits::new(), sockets, |_| {}))
        })
        .unwrap();
    let task: TaskId = client.ask(Spawn(Arq::new(address))).wait().unwrap();
    client.ask(Command(task, vec![1])).wait().unwrap();
    clock.advance(RETRY * 10);
    socket
        .set_read_timeout(Some(Duration::from_millis(200)))
        .unwrap();
    let mut packets = 0;
    while socket.recv(&mut [0; 16]).is_ok() {
        packets += 1;
    }
    assert_eq!(packets, 11);
    // A packet with a borrowed buffer is not needed for that, an owned one will do.
    let ack = Receive::new(address, Payload::from([1, 0, 0, 0, 0]));
    client.request(Request::Receive(ack)).wait().unwrap();
    clock.advance(RETRY * 10);
    assert!(socket.recv(&mut [0; 16]).is_err());
}

#[test]
fn on_workers_under_a_controller() {
    let ends = [bind(), bind()];
    let addresses = ends.each_ref().map(|(_, address)| *address);
    let sockets = ends.each_ref().map(|(socket, _)| Arc::clone(socket));
    let controller: Controller<Arq> = ControllerBuilder::new()
        .workers(2.try_into().unwrap())
        .start(move |worker| {
            let mut own = UdpSockets::new();
            own.add(Arc::clone(&sockets[worker]));
            Ok(own)
        })
        .unwrap();
    let tasks = [0, 1].map(|worker| {
        let task = Arq::new(addresses[1 - worker]);
        controller.spawn_on(worker, task).wait().unwrap()
    });
    let readers = [0, 1].map(|worker| {
        let (socket, _) = &ends[worker];
        read(Arc::clone(socket), controller.client(worker))
    });
    for message in messages() {
        controller.command(tasks[0], message).wait().unwrap();
    }
    let mut reports = Vec::new();
    while received(&reports).len() < 100 {
        reports.push(controller.next_report().wait_timeout(MINUTE).unwrap());
    }
    assert_eq!(received(&reports), messages());
    let report = controller.stop(MINUTE).wait();
    assert!(report.is_clean(), "{report}");
    // The last packets were sent before the end: at least the worker that ended last has got one.
    for address in addresses {
        UdpSocket::bind("127.0.0.1:0")
            .unwrap()
            .send_to(&[], address)
            .unwrap();
    }
    for reader in readers {
        reader.join().unwrap();
    }
}

#[test]
fn the_end_of_a_loop_sends_the_last_packets() {
    let (peer, address) = bind();
    let (socket, _) = bind();
    let (client, handle) = Builder::new()
        .spawn_with(move |cx| {
            let mut sockets = UdpSockets::new();
            sockets.add(Arc::clone(&socket));
            Ok(Component::<Arq, _>::new(cx, Limits::new(), sockets, |_| {}))
        })
        .unwrap();
    client.ask(Spawn(Arq::new(address))).wait().unwrap();
    handle.stopper().stop(Stop::Drain);
    handle.join().unwrap();
    peer.set_read_timeout(Some(MINUTE)).unwrap();
    let mut buffer = [0; 16];
    let length = peer.recv(&mut buffer).unwrap();
    assert_eq!(buffer[..length], [2, 0, 0, 0, 0], "the goodbye");
}

#[cfg(feature = "tokio-net")]
#[tokio::test]
async fn on_an_async_task() {
    use tokio::sync::mpsc::unbounded_channel;
    use ump_server::sans_io::Runner;

    let mut sockets = Vec::new();
    for _ in 0..2 {
        sockets.push(tokio::net::UdpSocket::bind("127.0.0.1:0").await.unwrap());
    }
    let addresses: Vec<_> = sockets.iter().map(|it| it.local_addr().unwrap()).collect();
    let mut ends = Vec::new();
    for (socket, peer) in sockets.into_iter().zip([addresses[1], addresses[0]]) {
        let (report, reports) = unbounded_channel();
        let report = move |it| {
            let _ = report.send(it);
        };
        let mut runner = Runner::new(Limits::new(), [socket], report);
        let task = runner.spawn(Arq::new(peer)).unwrap();
        let (server, client) = ump::bounded(64).unwrap();
        let running = tokio::spawn(runner.run(server));
        ends.push((client, task, reports, running));
    }
    for message in messages() {
        let (client, task, ..) = &ends[0];
        client.ask(Command(*task, message)).await.unwrap();
    }
    let mut got = Vec::new();
    while received(&got).len() < 100 {
        got.push(ends[1].2.recv().await.unwrap());
    }
    assert_eq!(received(&got), messages());
    for (client, _, _, running) in ends {
        assert_eq!(client.ask(ShutDown(MINUTE)).await.unwrap(), []);
        drop(client);
        let stats = running.await.unwrap();
        assert_eq!((stats.group.tasks, stats.receive_dropped), (0, 0));
        assert!(stats.transmitted > 100);
    }
}
