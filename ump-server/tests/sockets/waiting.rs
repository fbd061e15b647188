//! Events that wait for a loop that is busy, or whose handler is rebuilt.

use std::{
    collections::HashMap,
    io::{Read as _, Write as _},
    num::NonZeroUsize,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
        mpsc::{self, Receiver, Sender},
    },
    time::Duration,
};

use ump_server::{
    OnPanic, Refused, Restart, Timers,
    net::{Event, Group, Listen, SocketMap, Spread, TcpStream, UdpSocket},
    thread::Builder,
};

use crate::support::{ANY_PORT, Echo, Host, Job, Loop, PATIENCE, World, connect, eventually};

/// Sends back what comes, and panics at the first connection, once.
struct Fragile {
    panics: Arc<AtomicBool>,
    streams: SocketMap<TcpStream>,
}

impl World for Fragile {
    fn on_socket(&mut self, event: Event) {
        match event {
            Event::Accepted { stream, .. } => {
                assert!(!self.panics.swap(false, Ordering::Relaxed), "as asked");
                self.streams.insert(stream.id(), stream);
            }
            Event::Readable(id) => {
                let stream = self.streams.get(id).expect("it is open");
                let mut buffer = [0; 64];
                if let Ok(read) = stream.read(&mut buffer) {
                    let _ = stream.write(&buffer[..read]);
                }
            }
            _ => {}
        }
    }
}

/// Makes three connections while the loop that gets them is busy. Then its handler panics: at the
/// first of them, or before any. Returns the number of connections that are answered.
fn answered_after_a_panic(at_the_first: bool) -> usize {
    let group = Group::new();
    let (acceptor, other) = (group.clone(), group.clone());
    let panics = Arc::new(AtomicBool::new(at_the_first));
    let restart = Restart::new().pause(Duration::from_millis(1), Duration::from_millis(1));
    let builder = Builder::new().on_panic(OnPanic::Restart(restart));
    let fragile = Loop::spawn_by(builder, move |cx| {
        other.join(&cx.sockets()).unwrap();
        Fragile {
            panics: Arc::clone(&panics),
            streams: SocketMap::new(),
        }
    });
    let accepts = Loop::spawn(move |cx| {
        let mut echo = Echo::new(cx);
        let listens = Listen::new(ANY_PORT).spread(&acceptor, Spread::Others);
        echo.listener = cx.sockets().listen(listens).unwrap();
        echo
    });
    let (begun, is_busy) = mpsc::channel();
    let (go, wait) = mpsc::channel();
    let busy: Job<Fragile> = Box::new(move |_| {
        begun.send(()).unwrap();
        wait.recv().unwrap();
        assert!(at_the_first, "as asked");
    });
    let busy = fragile.client.post(busy);
    busy.wait().unwrap();
    is_busy.recv_timeout(PATIENCE).unwrap();
    let mut peers: Vec<_> = (0..3).map(|_| connect(accepts.address())).collect();
    eventually(&accepts, "the hand-over", |echo| {
        echo.listener.status().events == 3
    });
    go.send(()).unwrap();
    let mut answered = 0;
    for peer in &mut peers {
        peer.set_read_timeout(Some(Duration::from_secs(20)))
            .unwrap();
        let _ = peer.write_all(b"?");
        answered += usize::from(peer.read_exact(&mut [0]).is_ok());
    }
    fragile.end();
    accepts.end();
    answered
}

#[test]
fn connections_handed_over_survive_a_panic_before_them() {
    assert_eq!(answered_after_a_panic(false), 3);
}

#[test]
fn connections_handed_over_survive_a_panic_at_one_of_them() {
    assert_eq!(answered_after_a_panic(true), 2);
}

/// A worker of a pool, whose timer waits for the test.
struct Worker {
    number: usize,
    busy: Sender<()>,
    go_on: Arc<std::sync::Mutex<Receiver<()>>>,
    #[expect(dead_code, reason = "with it the loop waits for sockets")]
    socket: UdpSocket,
}

impl World for Worker {
    fn on_socket(&mut self, _: Event) {}

    fn on_timer(&mut self, _: u32) {
        self.busy.send(()).unwrap();
        let _ = self.go_on.lock().unwrap().recv_timeout(PATIENCE);
    }
}

#[test]
fn a_request_does_not_wait_for_a_worker_with_a_long_timer() {
    let (busy, is_busy) = mpsc::channel();
    let (go, go_on) = mpsc::channel();
    let (tell, told) = mpsc::channel::<(usize, Timers<u32>)>();
    let go_on = Arc::new(std::sync::Mutex::new(go_on));
    let (client, handle) = Builder::new()
        .spawn_pool(NonZeroUsize::new(2).unwrap(), move |cx| {
            tell.send((cx.worker(), cx.timers().clone())).unwrap();
            Ok::<_, Refused>(Host(Worker {
                number: cx.worker(),
                busy: busy.clone(),
                go_on: Arc::clone(&go_on),
                socket: cx.sockets().udp(ANY_PORT).unwrap(),
            }))
        })
        .unwrap();
    let timers: HashMap<_, _> = told.iter().take(2).collect();
    let ask = || {
        let (send, number) = mpsc::channel();
        let job: Job<Worker> = Box::new(move |worker| send.send(worker.number).unwrap());
        let done = client.request(job).timeout(Duration::from_secs(20)).wait();
        done.map(|()| number.recv().unwrap())
    };
    // Each worker in its turn is the first to be woken for a request, and has a timer.
    for _ in 0..4 {
        let last = ask().unwrap();
        let busy = 1 - last;
        timers[&busy].once(Duration::from_millis(20), 0);
        is_busy.recv_timeout(PATIENCE).unwrap();
        let answer = ask();
        go.send(()).unwrap();
        assert_eq!(answer.expect("the other worker is free"), last);
    }
    drop(client);
    handle.join().unwrap();
}
