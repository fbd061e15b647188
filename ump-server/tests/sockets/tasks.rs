//! What is special about sockets of loops on tasks.

use std::{
    io::{ErrorKind, Read as _, Write as _},
    ops::ControlFlow,
    os::unix::net::UnixStream as StdUnixStream,
    sync::{
        Arc, Mutex,
        atomic::{AtomicU32, Ordering::Relaxed},
        mpsc::{self, Sender},
    },
    thread::{self, ThreadId},
    time::Duration,
};

use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
    runtime::{Builder as RuntimeBuilder, Runtime},
};
use ump_server::{
    Context, JoinErrorKind, Refused, ReplyContext, Stop, TestClock,
    net::{Event, Group, Sockets, UnixStream},
    task,
};

use crate::support::{ANY_PORT, Cx, Echo, Host, Job, Loop, PATIENCE, World, connect, runtime};

fn one_thread() -> Runtime {
    RuntimeBuilder::new_current_thread()
        .enable_io()
        .build()
        .unwrap()
}

/// Runs a closure in a loop, and awaits its result.
async fn with<W: World, R: Send + 'static>(
    of: &Loop<W>,
    f: impl FnOnce(&mut W) -> R + Send + 'static,
) -> R {
    let (send, result) = mpsc::channel();
    let job: Job<W> = Box::new(move |world| send.send(f(world)).unwrap());
    of.client.areq(job).await.unwrap();
    result.recv().unwrap()
}

/// A socket that the test may put there from its thread.
type Slot = Arc<Mutex<Option<Arc<UnixStream>>>>;

/// Reads one socket, and tells which thread has done so.
struct Reader {
    sockets: Sockets,
    stream: Slot,
    read: Sender<(ThreadId, usize)>,
}

impl Reader {
    fn put(&self, stream: UnixStream) -> Arc<UnixStream> {
        let stream = Arc::new(stream);
        *self.stream.lock().unwrap() = Some(Arc::clone(&stream));
        stream
    }
}

impl World for Reader {
    fn on_socket(&mut self, event: Event) {
        let stream = self.stream.lock().unwrap().clone();
        let (Event::Readable(_), Some(stream)) = (event, stream) else {
            return;
        };
        if let Ok(read @ 1..) = stream.read(&mut [0; 64]) {
            let _ = self.read.send((thread::current().id(), read));
        }
    }
}

fn reader<W>(cx: &Cx<W>, read: &Sender<(ThreadId, usize)>) -> Reader {
    Reader {
        sockets: cx.sockets(),
        stream: Slot::default(),
        read: read.clone(),
    }
}

#[test]
fn a_runtime_with_one_thread_does_all_on_it() {
    let runtime = one_thread();
    let (read, was_read) = mpsc::channel();
    let host = Loop::spawn_on(runtime.handle(), move |cx| reader(cx, &read));
    let (here, mut there) = StdUnixStream::pair().unwrap();
    runtime.block_on(async {
        with(&host, |world| {
            world.put(world.sockets.adopt_unix(here).unwrap());
        })
        .await;
        for len in 1..50 {
            there.write_all(&[0; 64][..len]).unwrap();
            let read = loop {
                match was_read.try_recv() {
                    Ok(read) => break read,
                    Err(_) => tokio::task::yield_now().await,
                }
            };
            assert_eq!(read, (thread::current().id(), len));
        }
    });
}

#[test]
fn an_echo_serves_many_connections_at_once() {
    for runtime in [
        one_thread(),
        RuntimeBuilder::new_multi_thread()
            .enable_io()
            .build()
            .unwrap(),
    ] {
        let host = Loop::spawn_on(runtime.handle(), Echo::new);
        runtime.block_on(async {
            let address = with(&host, |echo| echo.listener.local_addr().unwrap()).await;
            let peers: Vec<_> = (0..50_u8)
                .map(|number| {
                    tokio::spawn(async move {
                        let mut peer = TcpStream::connect(address).await.unwrap();
                        let sent = vec![number; 10_000];
                        let mut back = vec![0; sent.len()];
                        for _ in 0..20 {
                            peer.write_all(&sent).await.unwrap();
                            peer.read_exact(&mut back).await.unwrap();
                            assert_eq!(back, sent);
                        }
                    })
                })
                .collect();
            for peer in peers {
                peer.await.unwrap();
            }
            assert_eq!(with(&host, |echo| echo.accepted).await, 50);
        });
    }
}

#[test]
fn a_socket_that_a_thread_registers_first_wakes_the_sleeping_task() {
    let (read, was_read) = mpsc::channel();
    let host = Loop::spawn_on(runtime(), move |cx| reader(cx, &read));
    let (sockets, slot) = host.with(|world| (world.sockets.clone(), Arc::clone(&world.stream)));
    // The task sleeps, and has no selector.
    let (here, mut there) = StdUnixStream::pair().unwrap();
    let stream = sockets.adopt_unix(here).unwrap();
    *slot.lock().unwrap() = Some(Arc::new(stream));
    for len in 1..20 {
        there.write_all(&[0; 64][..len]).unwrap();
        assert_eq!(was_read.recv_timeout(PATIENCE).unwrap().1, len);
    }
    host.end();
}

#[test]
fn a_thread_that_resumes_reading_wakes_the_sleeping_task() {
    let (read, was_read) = mpsc::channel();
    let host = Loop::spawn_on(runtime(), move |cx| reader(cx, &read));
    let (here, mut there) = StdUnixStream::pair().unwrap();
    let stream = host.with(|world| {
        let stream = world.put(world.sockets.adopt_unix(here).unwrap());
        stream.pause_reading();
        stream
    });
    for len in 1..20 {
        // An event that the loop had taken before the pause comes first.
        host.with(|_| ());
        there.write_all(&[0; 64][..len]).unwrap();
        // The loop takes the report of the selector.
        host.with(|_| ());
        assert!(was_read.try_recv().is_err(), "it is paused");
        thread::sleep(Duration::from_millis(2)); // the task sleeps by then, in most turns
        stream.resume_reading();
        assert_eq!(was_read.recv_timeout(PATIENCE).unwrap().1, len);
        stream.pause_reading();
    }
    drop(stream);
    host.end();
}

#[test]
fn a_runtime_without_an_io_driver_is_an_error_that_says_so() {
    let runtime = RuntimeBuilder::new_current_thread().build().unwrap();
    let host = Loop::spawn_on(runtime.handle(), |cx| {
        let error = cx.sockets().listen(ANY_PORT).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Unsupported);
        assert!(error.to_string().contains("enable_io"), "{error}");
        assert_eq!(
            cx.sockets().activate().unwrap_err().kind(),
            ErrorKind::Unsupported
        );
        assert!(Group::new().join(&cx.sockets()).is_err());
        assert!(cx.sockets().is_empty());
        Counter::default()
    });
    // The loop is as one without sockets.
    runtime.block_on(with(&host, |counter| counter.0 += 1));
}

/// Counts timers.
#[derive(Default)]
struct Counter(u32);

impl World for Counter {
    fn on_socket(&mut self, event: Event) {
        panic!("unexpected: {event:?}");
    }

    fn on_timer(&mut self, _: u32) {
        self.0 += 1;
    }
}

#[test]
fn other_tasks_run_beside_a_flood_of_events() {
    let runtime = one_thread();
    // Each event is one byte, so there are always more of them.
    let host = Loop::spawn_on(runtime.handle(), |cx| {
        let mut echo = Echo::new(cx);
        echo.room = 1;
        echo
    });
    let address = {
        let asks = with(&host, |echo| echo.listener.local_addr().unwrap());
        runtime.block_on(asks)
    };
    let mut peers: Vec<_> = (0..4).map(|_| connect(address)).collect();
    let flood = thread::spawn(move || {
        let mut readers = Vec::new();
        for peer in &peers {
            let mut peer = peer.try_clone().unwrap();
            readers.push(thread::spawn(move || {
                let mut buffer = [0; 4096];
                while matches!(peer.read(&mut buffer), Ok(1..)) {}
            }));
        }
        while peers
            .iter_mut()
            .all(|peer| peer.write_all(&[1; 4096]).is_ok())
        {}
        for reader in readers {
            reader.join().unwrap();
        }
    });
    runtime.block_on(async {
        // This task makes progress only if the loop yields, and so do its requests.
        for _ in 0..100 {
            tokio::task::yield_now().await;
            with(&host, |_| ()).await;
        }
        while with(&host, |echo| echo.accepted).await < 4 {}
    });
    drop(host);
    drop(runtime);
    flood.join().unwrap();
}

#[test]
fn the_shutdown_of_the_runtime_closes_the_sockets() {
    let runtime = RuntimeBuilder::new_multi_thread()
        .worker_threads(1)
        .enable_io()
        .build()
        .unwrap();
    let (send, sockets) = mpsc::channel();
    let host = Loop::spawn_on(runtime.handle(), move |cx| {
        send.send(cx.sockets()).unwrap();
        Echo::new(cx)
    });
    let sockets = sockets.recv().unwrap();
    let mut peer = host.connect();
    peer.write_all(b"x").unwrap();
    peer.read_exact(&mut [0]).unwrap();
    drop(runtime);
    assert!(matches!(peer.read(&mut [0]), Ok(0) | Err(_)));
    let error = sockets.udp(ANY_PORT).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::BrokenPipe, "{error}");
    let ended = host.handle.join().unwrap_err();
    assert_eq!(*ended.kind(), JoinErrorKind::Aborted);
}

#[test]
fn a_draining_stop_serves_what_is_queued_and_reports_events_until_then() {
    let runtime = one_thread();
    let host = Loop::spawn_on(runtime.handle(), Echo::new);
    runtime.block_on(async {
        let address = with(&host, |echo| echo.listener.local_addr().unwrap()).await;
        let mut peer = TcpStream::connect(address).await.unwrap();
        peer.write_all(b"x").await.unwrap();
        peer.read_exact(&mut [0]).await.unwrap();
        let job = || Box::new(|_: &mut Echo| ()) as Job<Echo>;
        let queued: Vec<_> = (0..100)
            .map(|_| host.client.req_async(job()).unwrap())
            .collect();
        host.handle.stopper().stop(Stop::Drain);
        assert_eq!(host.handle.await, Ok(None));
        for reply in queued {
            assert!(reply.try_get().unwrap().is_ok());
        }
        assert_eq!(peer.read(&mut [0]).await.unwrap(), 0);
    });
}

#[test]
fn a_loop_sleeps_by_its_clock_and_takes_events_as_they_come() {
    let clock = TestClock::new();
    let ticks = Arc::new(AtomicU32::new(0));
    let counts = Arc::clone(&ticks);
    let (read, was_read) = mpsc::channel();
    let (here, mut there) = StdUnixStream::pair().unwrap();
    let mut here = Some(here);
    let builder = task::Builder::new().test_clock(&clock);
    let builder = builder.runtime(runtime().clone());
    let made = builder.spawn_with(move |cx: &Cx<Ticker>| {
        cx.timers().every(Duration::from_secs(60), 0);
        let reader = reader(cx, &read);
        reader.put(cx.sockets().adopt_unix(here.take().unwrap()).unwrap());
        Ok(Host(Ticker(reader, Arc::clone(&counts))))
    });
    let (_client, _handle) = made.unwrap();
    there.write_all(b"x").unwrap();
    assert_eq!(was_read.recv_timeout(PATIENCE).unwrap().1, 1);
    for minute in 1..=10 {
        clock.advance(Duration::from_secs(60));
        assert_eq!(ticks.load(Relaxed), minute);
        there.write_all(b"xy").unwrap();
        assert_eq!(was_read.recv_timeout(PATIENCE).unwrap().1, 2);
    }
}

/// A reader with a timer.
struct Ticker(Reader, Arc<AtomicU32>);

impl World for Ticker {
    fn on_socket(&mut self, event: Event) {
        self.0.on_socket(event);
    }

    fn on_timer(&mut self, _: u32) {
        self.1.fetch_add(1, Relaxed);
    }
}

/// Connects to a unix socket, and tells how that ended.
struct Connector {
    _stream: UnixStream,
    outcomes: Sender<Result<(), ErrorKind>>,
}

impl World for Connector {
    fn on_socket(&mut self, event: Event) {
        match event {
            Event::Connected(_) => self.outcomes.send(Ok(())).unwrap(),
            Event::Error(error) => self.outcomes.send(Err(error.kind())).unwrap(),
            _ => {}
        }
    }
}

#[test]
fn a_deadline_of_a_socket_wakes_the_task() {
    let folder = std::env::temp_dir().join(format!("ump-task-{}", std::process::id()));
    let _ = std::fs::remove_file(&folder);
    let listener = rustix::net::socket(
        rustix::net::AddressFamily::UNIX,
        rustix::net::SocketType::STREAM,
        None,
    )
    .unwrap();
    let address = rustix::net::SocketAddrUnix::new(&folder).unwrap();
    rustix::net::bind(&listener, &address).unwrap();
    rustix::net::listen(&listener, 0).unwrap();
    // The backlog is full, so the loop tries again and again, by its deadlines.
    let _first = StdUnixStream::connect(&folder).unwrap();
    let (outcomes, outcome) = mpsc::channel();
    let path = folder.clone();
    let connector = Loop::spawn_on(runtime(), move |cx| Connector {
        _stream: cx
            .sockets()
            .connect_unix(&path, Some(Duration::from_millis(50)))
            .unwrap(),
        outcomes: outcomes.clone(),
    });
    let outcome = outcome.recv_timeout(PATIENCE).unwrap();
    assert_eq!(outcome, Err(ErrorKind::TimedOut));
    connector.end();
    let _ = std::fs::remove_file(&folder);
}

/// Ends the loop with the first event.
struct UntilRead(UnixStream);

impl task::Handler<(), (), Refused, usize> for UntilRead {
    async fn proc_req(
        &mut self,
        (): (),
        reply: ReplyContext<'_, (), Refused>,
    ) -> ControlFlow<usize> {
        let _ = reply.reply(());
        ControlFlow::Continue(())
    }

    async fn on_socket(&mut self, event: Event) -> ControlFlow<usize> {
        tokio::task::yield_now().await;
        assert!(matches!(event, Event::Readable(_)), "{event:?}");
        ControlFlow::Break(self.0.read(&mut [0; 64]).unwrap())
    }
}

#[test]
fn a_handler_of_either_shape_waits_in_its_events_and_ends_the_loop() {
    let runtime = one_thread();
    let (here, mut there) = StdUnixStream::pair().unwrap();
    runtime.block_on(async {
        let mut here = Some(here);
        let made = task::Builder::new().spawn_with(move |cx: &Context<(), (), Refused, ()>| {
            let stream = cx.sockets().adopt_unix(here.take().unwrap()).unwrap();
            Ok(UntilRead(stream))
        });
        let (client, handle) = made.unwrap();
        client.areq(()).await.unwrap();
        there.write_all(b"hello").unwrap();
        assert_eq!(handle.await, Ok(Some(5)));
        assert!(client.is_closed());
    });
    assert_eq!(there.read(&mut [0]).unwrap(), 0);
}
