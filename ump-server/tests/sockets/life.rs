//! Sockets and the life of their handler: panics, restarts, stops, pools, virtual time.

use std::{
    io::{Read as _, Write as _},
    num::NonZeroUsize,
    ops::ControlFlow,
    sync::mpsc,
    time::Duration,
};

use ump_server::{
    OnPanic, Refused, ReplyContext, Restart, Stop, TestClock,
    net::{Event, SocketKind, Sockets, TcpListener},
    thread::{Batch, BatchService, Builder, Handler, Service},
};

use crate::support::{
    ANY_PORT, Cx, Echo, Host, Loop, World, alone, connect, descriptors, eventually,
};

/// An echo that panics at each third event of a stream, before it reads.
struct Clumsy {
    echo: Echo,
    events: u32,
}

impl World for Clumsy {
    fn on_socket(&mut self, event: Event) {
        if matches!(event, Event::Readable(_)) {
            self.events += 1;
            assert!(self.events % 3 != 0, "clumsy");
        }
        self.echo.on_socket(event);
    }
}

#[test]
fn after_a_panic_the_event_comes_again() {
    let builder = Builder::new().on_panic(OnPanic::Continue);
    let host = Loop::spawn_by(builder, |cx| Clumsy {
        echo: Echo::new(cx),
        events: 0,
    });
    let address = host.with(|world| world.echo.listener.local_addr().unwrap());
    let mut peer = connect(address);
    for n in 0..20_u8 {
        peer.write_all(&[n]).unwrap();
        let mut byte = [0];
        peer.read_exact(&mut byte).unwrap();
        assert_eq!(byte, [n]);
    }
    host.end();
}

#[test]
fn a_rebuilt_handler_has_none_of_the_old_sockets() {
    let builder = Builder::new().on_panic(OnPanic::Restart(
        Restart::new().pause(Duration::ZERO, Duration::ZERO),
    ));
    let (send, kept) = mpsc::channel();
    let host = Loop::spawn_by(builder, move |cx| {
        send.send(cx.sockets()).unwrap();
        Echo::new(cx)
    });
    let old: Sockets = kept.recv().unwrap();
    let mut peer = host.connect();
    eventually(&host, "accepted", |echo| echo.accepted == 1);
    let failed = host
        .client
        .req(Box::new(|_: &mut Echo| panic!("on purpose")));
    assert!(failed.is_err());
    assert_eq!(peer.read(&mut [0]).unwrap(), 0, "its sockets are closed");
    let new: Sockets = kept.recv().unwrap();
    eventually(&host, "the new one has its listener only", |echo| {
        echo.accepted == 0 && echo.connections.is_empty()
    });
    assert_eq!(new.len(), 1);
    assert!(old.listen(ANY_PORT).is_err(), "a handle of the old handler");
    let mut peer = host.connect();
    peer.write_all(b"x").unwrap();
    peer.read_exact(&mut [0]).unwrap();

    // A renewal, too.
    assert!(host.handle.stopper().renew());
    assert_eq!(peer.read(&mut [0]).unwrap(), 0);
    host.end();
}

#[test]
fn any_stop_ends_a_loop_that_sleeps_in_its_selector() {
    alone(
        "life::any_stop_ends_a_loop_that_sleeps_in_its_selector",
        || {
            let before = descriptors();
            for round in 0..1_000 {
                let Loop { client, handle } = Loop::spawn(Echo::new);
                match round % 4 {
                    0 => drop(client),
                    1 => handle.stopper().stop(Stop::Drain),
                    2 => handle.stopper().stop(Stop::Refuse),
                    _ => handle.stopper().stop(Stop::Abort),
                }
                handle.join().unwrap();
            }
            assert_eq!(descriptors(), before);
        },
    );
}

#[test]
fn a_loop_of_busy_sockets_ends_when_it_is_stopped() {
    ends_when_it_is_stopped(Loop::spawn(unread));
}

#[cfg(feature = "tokio-net")]
#[test]
fn a_task_of_busy_sockets_ends_when_it_is_stopped() {
    for _ in 0..20 {
        ends_when_it_is_stopped(Loop::spawn_on(crate::support::runtime(), unread));
    }
}

fn unread(cx: &Cx<Unread>) -> Unread {
    // Readable, and never read: it gets its event in each turn.
    Unread(cx.sockets().udp(ANY_PORT).unwrap())
}

fn ends_when_it_is_stopped(busy: Loop<Unread>) {
    let Loop { client, handle } = busy;
    let (send, address) = mpsc::channel();
    let job = move |world: &mut Unread| send.send(world.0.local_addr().unwrap()).unwrap();
    client.req(Box::new(job)).unwrap();
    let peer = std::net::UdpSocket::bind(ANY_PORT).unwrap();
    peer.send_to(b"x", address.recv().unwrap()).unwrap();
    for how in [Stop::Drain, Stop::Refuse] {
        handle.stopper().stop(how);
    }
    handle.join().unwrap();
    drop(client);
}

struct Unread(ump_server::net::UdpSocket);

impl World for Unread {
    fn on_socket(&mut self, _: Event) {}
}

#[test]
fn a_timer_armed_elsewhere_ends_the_sleep() {
    let (send, timers) = mpsc::channel();
    let host = Loop::spawn(move |cx| {
        send.send(cx.timers()).unwrap();
        Echo::new(cx)
    });
    let timers = timers.recv().unwrap();
    for n in 1..20 {
        timers.once(Duration::ZERO, 0);
        eventually(&host, "the timer", move |echo| echo.timers == n);
    }
    host.end();
}

#[test]
fn the_first_socket_may_come_late_and_from_elsewhere() {
    struct Late(usize);

    impl World for Late {
        fn on_socket(&mut self, event: Event) {
            if let Event::Accepted { .. } = event {
                self.0 += 1;
            }
        }
    }

    let (send, sockets) = mpsc::channel();
    let host = Loop::spawn(move |cx| {
        send.send(cx.sockets()).unwrap();
        Late(0)
    });
    host.with(|_| ());
    std::thread::sleep(Duration::from_millis(10)); // it sleeps as a loop without sockets does
    let sockets = sockets.recv().unwrap();
    let listener: TcpListener = sockets.listen(ANY_PORT).unwrap();
    let peer = connect(listener.local_addr().unwrap());
    eventually(&host, "accepted", |late| late.0 == 1);
    drop((peer, listener));
    host.end();
}

#[test]
fn the_status_shows_each_socket() {
    let host = Loop::spawn(Echo::new);
    let mut peer = host.connect();
    peer.write_all(&[0; 100]).unwrap();
    peer.read_exact(&mut [0; 100]).unwrap();
    host.with(|_| ()); // the call that has written it is over
    let all = host.handle.stopper().sockets();
    assert_eq!(all.len(), 2);
    for socket in all {
        assert_eq!(socket.worker, 0);
        match socket.kind {
            SocketKind::TcpListener => {
                assert_eq!(socket.local.ip(), Some(host.address()));
                assert_eq!(socket.events, 1);
            }
            SocketKind::TcpStream => {
                assert_eq!(socket.peer.ip(), Some(peer.local_addr().unwrap()));
                assert_eq!(
                    (socket.bytes_in, socket.bytes_out, socket.errors),
                    (100, 100, 0)
                );
                assert!(socket.events > 0);
            }
            other => panic!("unexpected: {other:?}"),
        }
    }
    let stopper = host.handle.stopper();
    drop(peer);
    eventually(&host, "closed", |echo| echo.connections.is_empty());
    assert_eq!(stopper.sockets().len(), 1);
    host.end();
    assert!(stopper.sockets().is_empty());
}

#[test]
fn handlers_of_each_kind_get_events() {
    struct Counts(Option<TcpListener>, mpsc::Sender<&'static str>);

    impl BatchService for Counts {
        type Request = ();
        type Reply = std::net::SocketAddr;
        type Error = Refused;
        type Output = ();
        type Timer = ();

        fn handle(
            &mut self,
            batch: &mut Batch<(), std::net::SocketAddr, Refused>,
        ) -> ControlFlow<()> {
            let address = self.0.as_ref().unwrap().local_addr().unwrap();
            for ((), reply) in batch.drain() {
                let _ = reply.reply(address);
            }
            ControlFlow::Continue(())
        }

        fn on_socket(&mut self, event: Event) -> ControlFlow<()> {
            if let Event::Accepted { .. } = event {
                self.1.send("batch").unwrap();
            }
            ControlFlow::Continue(())
        }
    }

    struct Old(TcpListener, mpsc::Sender<&'static str>);

    impl Handler<(), std::net::SocketAddr, Refused> for Old {
        fn proc_req(
            &mut self,
            (): (),
            reply: ReplyContext<'_, std::net::SocketAddr, Refused>,
        ) -> ControlFlow<()> {
            let _ = reply.reply(self.0.local_addr().unwrap());
            ControlFlow::Continue(())
        }

        fn on_socket(&mut self, event: Event) -> ControlFlow<()> {
            if let Event::Accepted { .. } = event {
                self.1.send("published").unwrap();
            }
            ControlFlow::Continue(())
        }
    }

    let (send, which) = mpsc::channel();
    let batches = send.clone();
    let made = Builder::new().spawn_batches(NonZeroUsize::new(8).unwrap(), move |cx| {
        Ok(Counts(cx.sockets().listen(ANY_PORT).ok(), batches.clone()))
    });
    let (client, handle) = made.unwrap();
    let peer = connect(client.req(()).unwrap());
    assert_eq!(which.recv().unwrap(), "batch");
    drop((client, peer));
    handle.join().unwrap();

    let made = Builder::new()
        .spawn_with(move |cx| Ok(Old(cx.sockets().listen(ANY_PORT).unwrap(), send.clone())));
    let (client, handle) = made.unwrap();
    let peer = connect(client.req(()).unwrap());
    assert_eq!(which.recv().unwrap(), "published");
    drop((client, peer));
    handle.join().unwrap();
}

#[test]
fn on_socket_may_end_the_loop() {
    struct Ends(TcpListener);

    impl Service for Ends {
        type Request = ();
        type Reply = std::net::SocketAddr;
        type Error = Refused;
        type Output = &'static str;
        type Timer = ();

        fn handle(
            &mut self,
            (): (),
            reply: ReplyContext<'_, std::net::SocketAddr, Refused>,
        ) -> ControlFlow<&'static str> {
            let _ = reply.reply(self.0.local_addr().unwrap());
            ControlFlow::Continue(())
        }

        fn on_socket(&mut self, _: Event) -> ControlFlow<&'static str> {
            ControlFlow::Break("done")
        }
    }

    let (client, handle) = Builder::new()
        .spawn_with(|cx| Ok(Ends(cx.sockets().listen(ANY_PORT).unwrap())))
        .unwrap();
    let mut peer = connect(client.req(()).unwrap());
    assert_eq!(handle.join(), Ok(Some("done")));
    // A stream that was accepted and not kept is closed.
    assert_eq!(peer.read(&mut [0]).unwrap(), 0);
}

#[test]
fn a_loop_on_a_test_clock_takes_events_and_sleeps_by_the_clock() {
    let clock = TestClock::new();
    let host = Loop::spawn_by(Builder::new().test_clock(&clock), |cx| {
        cx.timers().every(Duration::from_secs(3600), 0);
        Echo::new(cx)
    });
    let mut peer = host.connect();
    for day in 1..=7 {
        peer.write_all(b"x").unwrap();
        peer.read_exact(&mut [0]).unwrap();
        clock.advance(Duration::from_secs(86_400));
        assert_eq!(host.with(|echo| echo.timers), day * 24);
    }
    host.end();
}

#[test]
fn each_worker_of_a_pool_has_its_own_sockets() {
    let (send, addresses) = mpsc::channel();
    let (client, handle) = Builder::new()
        .spawn_pool(NonZeroUsize::new(3).unwrap(), move |cx| {
            let echo = Echo::new(cx);
            send.send(echo.listener.local_addr().unwrap()).unwrap();
            Ok(Host(echo))
        })
        .unwrap();
    for address in addresses.iter().take(3) {
        let mut peer = connect(address);
        peer.write_all(b"x").unwrap();
        peer.read_exact(&mut [0]).unwrap();
        std::mem::forget(peer);
    }
    // Requests go to one of them, also if all sleep in their selectors.
    for _ in 0..100 {
        client.req(Box::new(|_: &mut Echo| ())).unwrap();
    }
    let mut workers: Vec<_> = handle
        .stopper()
        .sockets()
        .iter()
        .map(|socket| socket.worker)
        .collect();
    workers.sort_unstable();
    assert_eq!(workers, [0, 0, 1, 1, 2, 2]);
    drop(client);
    handle.join().unwrap();
}

#[cfg(all(feature = "tokio", not(feature = "tokio-net")))]
#[test]
fn a_loop_on_a_task_says_which_feature_it_needs_for_sockets() {
    use ump_server::task;

    let runtime = tokio::runtime::Builder::new_current_thread()
        .build()
        .unwrap();
    runtime.block_on(async {
        let (send, refused) = mpsc::channel();
        let made = task::Builder::new().spawn_with(move |cx| {
            let group = ump_server::net::Group::new();
            assert!(group.join(&cx.sockets()).is_err() && group.is_empty());
            send.send(cx.sockets().listen(ANY_PORT).map(drop)).unwrap();
            Ok::<_, Refused>(task::answer(async |(): ()| Ok::<(), Refused>(())))
        });
        let _loop = made.unwrap();
        let error = refused.recv().unwrap().unwrap_err();
        assert_eq!(error.kind(), std::io::ErrorKind::Unsupported);
        assert!(error.to_string().contains("tokio-net"), "{error}");
    });
}
