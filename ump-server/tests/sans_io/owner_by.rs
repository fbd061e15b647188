//! A function that chooses the task of each accepted connection.

#![cfg(all(feature = "net", feature = "tokio-net", unix))]

use std::{
    io::{ErrorKind, Read},
    net::{Ipv4Addr, SocketAddr, TcpStream},
    sync::{Arc, Mutex, mpsc},
    time::{Duration, Instant},
};

use ump_server::sans_io::{
    Group, Origin, Report, SocketError, SocketNumber, StreamInput, TaskAddress, TaskId,
};

use crate::stream_tasks::Relay;

const MINUTE: Duration = Duration::from_secs(60);
const ANY: (Ipv4Addr, u16) = (Ipv4Addr::LOCALHOST, 0);

/// The task that is chosen, and the peer for which it was.
#[derive(Clone, Default)]
struct Choice(Arc<Mutex<(Option<TaskId>, Option<SocketAddr>)>>);

impl Choice {
    fn choose(&self, listener: SocketNumber, peer: SocketAddr) -> Option<TaskId> {
        assert_eq!(listener, SocketNumber(0));
        let mut choice = self.0.lock().unwrap();
        choice.1 = Some(peer);
        choice.0
    }

    fn set(&self, task: Option<TaskId>) {
        self.0.lock().unwrap().0 = task;
    }
}

/// Returns the id of a task that no driver of two tasks has.
fn absent() -> TaskId {
    let mut group = Group::new();
    let ids = [(); 3].map(|()| group.spawn(Instant::now(), Relay::default()).unwrap());
    ids[2]
}

/// Connects, and checks which task gets the connection.
fn check(
    choice: &Choice,
    address: SocketAddr,
    tasks: [TaskId; 2],
    reports: &mpsc::Receiver<Report<StreamInput<'static>>>,
) {
    let [first, second] = tasks;
    for task in [second, first, second] {
        choice.set(Some(task));
        let stream = TcpStream::connect(address).unwrap();
        let peer = stream.local_addr().unwrap();
        let opened = loop {
            let report = reports.recv_timeout(MINUTE).unwrap();
            let Report::Event { from, event } = report else {
                panic!("{report:?}");
            };
            if let StreamInput::Opened { origin, peer, .. } = event {
                break (from, origin, peer);
            }
        };
        let listener = SocketNumber(0);
        let from = TaskAddress { worker: 0, task };
        assert_eq!(opened, (from, Origin::Accepted { listener }, peer));
        assert_eq!(choice.0.lock().unwrap().1, Some(peer));
    }
    // The oldest task does not get it instead. Failures of one kind are reported once a second.
    choice.set(None);
    let mut stream = TcpStream::connect(address).unwrap();
    let peer = stream.local_addr().unwrap();
    assert!(matches!(stream.read(&mut [0; 16]), Ok(0) | Err(_)));
    let failure = loop {
        if let Report::SocketFailed(failure) = reports.recv_timeout(MINUTE).unwrap() {
            break failure;
        }
    };
    assert_eq!(failure.reason, SocketError::Accept(ErrorKind::NotFound));
    assert_eq!(failure.peer, Some(peer));
    choice.set(Some(absent()));
    let mut stream = TcpStream::connect(address).unwrap();
    assert!(matches!(stream.read(&mut [0; 16]), Ok(0) | Err(_)));
}

#[test]
fn a_function_chooses_the_tasks_of_a_loops_connections() {
    use ump_server::{
        sans_io::{Component, Limits, LoopTcp, Spawn},
        thread::Builder,
    };

    let (address, addresses) = mpsc::channel();
    let (report, reports) = mpsc::channel();
    let choice = Choice::default();
    let chosen = choice.clone();
    let (client, handle) = Builder::new()
        .spawn_with(move |cx| {
            let mut tcp = LoopTcp::new(cx.sockets());
            let number = tcp.listen(ANY)?;
            let chosen = chosen.clone();
            tcp.set_owner_by(move |listener, peer| chosen.choose(listener, peer));
            let _ = address.send(tcp.local_addr(number)?);
            let report = report.clone();
            let report = move |it| drop(report.send(it));
            Ok(Component::<Relay, _>::new(cx, Limits::new(), tcp, report))
        })
        .unwrap();
    let spawn = || client.ask(Spawn(Relay::default())).wait().unwrap();
    let tasks = [spawn(), spawn()];
    let address = addresses.recv().unwrap();
    check(&choice, address, tasks, &reports);
    drop((client, handle));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_function_chooses_the_tasks_of_a_runners_connections() {
    use tokio::{net::TcpListener, task::spawn_blocking};
    use ump_server::sans_io::{Limits, Runner, Spawn, TokioTcp};

    let listener = TcpListener::bind(ANY).await.unwrap();
    let address = listener.local_addr().unwrap();
    let mut tcp = TokioTcp::new();
    tcp.add_listener(listener);
    let choice = Choice::default();
    let chosen = choice.clone();
    tcp.set_owner_by(move |listener, peer| chosen.choose(listener, peer));
    let (report, reports) = mpsc::channel();
    let report = move |it| drop(report.send(it));
    let runner = Runner::<Relay, _>::with_sockets(Limits::new(), tcp, report);
    let (server, client) = ump::bounded(64).unwrap();
    let running = tokio::spawn(runner.run(server));
    let spawn = async || client.ask(Spawn(Relay::default())).await.unwrap();
    let tasks = [spawn().await, spawn().await];
    let checks = move || check(&choice, address, tasks, &reports);
    spawn_blocking(checks).await.unwrap();
    drop(client);
    running.await.unwrap();
}
