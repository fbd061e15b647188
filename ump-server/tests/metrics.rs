//! The metrics of a loop, through the `metrics` facade.

use std::{
    collections::BTreeMap,
    num::NonZeroUsize,
    ops::ControlFlow,
    sync::{LazyLock, mpsc},
    time::Duration,
};

use metrics_util::debugging::{DebugValue, DebuggingRecorder, Snapshotter};
use tokio::runtime::Runtime;
use ump_server::{
    Client, Context, JoinHandle, OnPanic, ReplyContext, Restart, SpawnError, refresh_metrics, task,
    thread,
    ump::{ManualClock, SendError},
};

const SECOND: Duration = Duration::from_secs(1);

static RUNTIME: LazyLock<Runtime> = LazyLock::new(|| {
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(4)
        .build()
        .expect("the system lets us have threads")
});

enum Op {
    Reply,
    Refuse,
    Panic,
    Stay(mpsc::Sender<()>, mpsc::Receiver<()>),
}

struct Guest;

impl Guest {
    fn handle(op: Op, rctx: ReplyContext<'_, (), ()>) {
        match op {
            Op::Reply => rctx.reply(()).expect("the caller waits"),
            Op::Refuse => rctx.fail(()).expect("the caller waits"),
            Op::Panic => panic!("as asked"),
            Op::Stay(here, go) => {
                here.send(()).expect("the test waits for it");
                let _ = go.recv();
            }
        }
    }

    fn name(op: &Op) -> &'static str {
        match op {
            Op::Stay(..) => "stay",
            _ => "quick",
        }
    }
}

impl thread::Handler<Op, (), ()> for Guest {
    fn proc_req(&mut self, op: Op, rctx: ReplyContext<'_, (), ()>) -> ControlFlow<()> {
        Self::handle(op, rctx);
        ControlFlow::Continue(())
    }

    fn kind(&self, op: &Op) -> &'static str {
        Self::name(op)
    }
}

impl task::Handler<Op, (), ()> for Guest {
    async fn proc_req(&mut self, op: Op, rctx: ReplyContext<'_, (), ()>) -> ControlFlow<()> {
        tokio::task::yield_now().await;
        Self::handle(op, rctx);
        ControlFlow::Continue(())
    }

    fn kind(&self, op: &Op) -> &'static str {
        Self::name(op)
    }
}

/// Reading a snapshot removes the histograms of all tests, so the tests take turns.
static SNAPSHOTTER: LazyLock<std::sync::Mutex<Snapshotter>> = LazyLock::new(|| {
    let recorder = DebuggingRecorder::new();
    let snapshotter = recorder.snapshotter();
    recorder.install().expect("there is no other");
    std::sync::Mutex::new(snapshotter)
});

/// Returns all metrics by name and labels, those of the worker first.
fn numbers(snapshotter: &Snapshotter) -> BTreeMap<String, DebugValue> {
    let snapshot = snapshotter.snapshot().into_vec();
    let numbers = snapshot.into_iter().map(|(key, _, _, value)| {
        let labels = key.key().labels();
        let labels = labels.map(|label| format!(" {}={}", label.key(), label.value()));
        let labels: String = labels.collect();
        (format!("{}{labels}", key.key().name()), value)
    });
    numbers.collect()
}

fn seconds(value: &DebugValue) -> Vec<f64> {
    match value {
        DebugValue::Histogram(values) => values.iter().map(|value| value.0).collect(),
        other => panic!("{other:?} is no histogram"),
    }
}

type Made = Result<(Client<Op, (), ()>, JoinHandle<()>), SpawnError<()>>;

fn on_each_loop(check: impl Fn(Made, &ManualClock, &Snapshotter, usize)) {
    let snapshotter = SNAPSHOTTER
        .lock()
        .unwrap_or_else(std::sync::PoisonError::into_inner);
    let restart = OnPanic::Restart(Restart::new().pause(Duration::ZERO, Duration::ZERO));
    let pool = NonZeroUsize::new(2).unwrap();
    let make = |_: &Context<Op, (), ()>| Ok(Guest);
    for workers in [0, 1, 2, 3] {
        let time = ManualClock::new();
        let threads = thread::Builder::new()
            .name("guest")
            .clock(time.clock())
            .on_panic(restart.clone());
        let tasks = task::Builder::new()
            .name("guest")
            .clock(time.clock())
            .runtime(RUNTIME.handle().clone())
            .on_panic(restart.clone());
        let made = match workers {
            0 => threads.spawn_with(make),
            1 => tasks.spawn_with(make),
            2 => threads.spawn_pool(pool, make),
            _ => tasks.spawn_pool(pool, make),
        };
        check(made, &time, &snapshotter, if workers < 2 { 1 } else { 2 });
    }
}

#[test]
fn times_are_measured_by_the_clock_of_the_loop() {
    on_each_loop(|made, time, snapshotter, workers| {
        let _ = numbers(snapshotter);
        let (client, handle) = made.unwrap();
        let visits: Vec<_> = (0..=workers)
            .map(|_| {
                let (here, seen) = mpsc::channel();
                let (let_go, go) = mpsc::channel();
                client.post(Op::Stay(here, go)).wait().unwrap();
                (seen, let_go)
            })
            .collect();
        // There is one visit more than workers.
        let (last, first) = visits.split_last().unwrap();
        for (seen, _) in first {
            seen.recv().unwrap();
        }
        time.advance(2 * SECOND);
        for (_, go) in first {
            go.send(()).unwrap();
        }
        last.0.recv().unwrap();
        let stopper = handle.stopper();
        let processed = || {
            let workers = stopper.workers();
            workers.iter().map(|worker| worker.processed).sum::<u64>()
        };
        while processed() < workers as u64 {
            std::thread::yield_now();
        }
        time.advance(3 * SECOND);
        last.1.send(()).unwrap();
        drop(client);
        handle.join().unwrap();
        let numbers = numbers(snapshotter);
        let all = |name: &str| {
            let of_name = numbers.iter().filter(|(key, _)| key.starts_with(name));
            let mut all: Vec<f64> = of_name.flat_map(|(_, value)| seconds(value)).collect();
            all.sort_by(f64::total_cmp);
            all
        };
        let mut waits = vec![0.0; workers];
        waits.push(2.0);
        assert_eq!(all("ump_server_wait_seconds server=guest"), waits);
        assert_eq!(
            all("ump_server_service_seconds server=guest")[workers..],
            [3.0]
        );
        assert_eq!(
            numbers["ump_server_queue_depth server=guest"],
            DebugValue::Gauge(0.0.into())
        );
    });
}

#[test]
fn outcomes_are_counted_by_kind_and_restarts_too() {
    on_each_loop(|made, _, snapshotter, _| {
        let count = |numbers: &BTreeMap<String, DebugValue>, name: &str, end: &str| -> u64 {
            let those = numbers.iter().filter(|(key, _)| {
                key.starts_with(&format!("{name} server=guest worker=")) && key.ends_with(end)
            });
            those
                .map(|(_, value)| match value {
                    DebugValue::Counter(count) => *count,
                    other => panic!("{other:?} is no counter"),
                })
                .sum()
        };
        let names = [
            ("ump_server_requests_total", "kind=quick outcome=replied", 2),
            ("ump_server_requests_total", "kind=quick outcome=failed", 1),
            (
                "ump_server_requests_total",
                "kind=quick outcome=panicked",
                1,
            ),
            ("ump_server_restarts_total", "", 1),
        ];
        let before = numbers(snapshotter);
        let (client, handle) = made.unwrap();
        for op in [Op::Reply, Op::Refuse, Op::Panic, Op::Reply] {
            let _ = client.req(op);
        }
        drop(client);
        handle.join().unwrap();
        let after = numbers(snapshotter);
        for (name, end, expected) in names {
            let counted = count(&after, name, end) - count(&before, name, end);
            assert_eq!(counted, expected, "{name} {end}");
        }
    });
}

/// A loop whose only worker is stuck. Two posts are queued: one will expire, one stays. A third one
/// was refused.
fn overloaded(
    name: &str,
    time: &ManualClock,
) -> (Client<Op, (), ()>, JoinHandle<()>, mpsc::Sender<()>) {
    let (client, handle) = thread::Builder::new()
        .name(name)
        .capacity(2)
        .clock(time.clock())
        .spawn(|_| Ok(Guest))
        .unwrap();
    let (here, seen) = mpsc::channel();
    let (let_go, go) = mpsc::channel();
    client.post(Op::Stay(here, go)).wait().unwrap();
    seen.recv().unwrap();
    client.post(Op::Reply).timeout(SECOND).wait().unwrap();
    client.post(Op::Reply).wait().unwrap();
    let refused = client.post(Op::Reply).if_room().wait();
    assert!(matches!(refused, Err(SendError::Full(_))));
    (client, handle, let_go)
}

fn labelled(numbers: &BTreeMap<String, DebugValue>, key: &str) -> u64 {
    match &numbers[key] {
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
        DebugValue::Gauge(value) => value.0 as u64,
        DebugValue::Counter(value) => *value,
        other @ DebugValue::Histogram(_) => panic!("{other:?} is a histogram"),
    }
}

#[test]
fn overload_shows_while_the_handler_is_stuck() {
    let snapshotter = SNAPSHOTTER
        .lock()
        .unwrap_or_else(std::sync::PoisonError::into_inner);
    let time = ManualClock::new();
    let (client, handle, let_go) = overloaded("stuck", &time);
    refresh_metrics();
    let now = numbers(&snapshotter);
    assert_eq!(labelled(&now, "ump_server_queue_depth server=stuck"), 2);
    assert_eq!(labelled(&now, "ump_server_in_hand server=stuck"), 1);
    assert_eq!(labelled(&now, "ump_server_accepted_total server=stuck"), 3);
    let refused = "ump_server_outcomes_total server=stuck outcome=refused";
    assert_eq!(labelled(&now, refused), 1);

    time.advance(2 * SECOND);
    let_go.send(()).unwrap();
    drop(client);
    handle.join().unwrap();
    let end = numbers(&snapshotter);
    assert_eq!(labelled(&end, "ump_server_queue_depth server=stuck"), 0);
    assert_eq!(labelled(&end, "ump_server_in_hand server=stuck"), 0);
    let expired = "ump_server_outcomes_total server=stuck outcome=timeout_queued";
    assert_eq!(labelled(&end, expired), 1);
}

#[test]
fn overload_shows_without_being_asked_for() {
    let snapshotter = SNAPSHOTTER
        .lock()
        .unwrap_or_else(std::sync::PoisonError::into_inner);
    let time = ManualClock::new();
    let (client, handle, let_go) = overloaded("stuck-alone", &time);
    let until = std::time::Instant::now() + 60 * SECOND;
    while labelled(
        &numbers(&snapshotter),
        "ump_server_queue_depth server=stuck-alone",
    ) != 2
    {
        assert!(std::time::Instant::now() < until, "nothing shows");
        std::thread::sleep(Duration::from_millis(20));
    }
    let_go.send(()).unwrap();
    drop(client);
    handle.join().unwrap();
}

#[test]
fn loops_of_one_name_are_added_up() {
    let snapshotter = SNAPSHOTTER
        .lock()
        .unwrap_or_else(std::sync::PoisonError::into_inner);
    let time = ManualClock::new();
    let loops = [0, 1].map(|_| overloaded("twins", &time));
    refresh_metrics();
    refresh_metrics();
    let now = numbers(&snapshotter);
    assert_eq!(labelled(&now, "ump_server_queue_depth server=twins"), 4);
    assert_eq!(labelled(&now, "ump_server_accepted_total server=twins"), 6);
    for (client, handle, let_go) in loops {
        let_go.send(()).unwrap();
        drop(client);
        handle.join().unwrap();
    }
    let end = numbers(&snapshotter);
    assert_eq!(labelled(&end, "ump_server_queue_depth server=twins"), 0);
}

#[cfg(all(feature = "net", unix))]
#[test]
fn sockets_are_counted_by_worker() {
    use std::{
        io::{Read as _, Write as _},
        net::Ipv4Addr,
    };

    use ump_server::{
        Refused,
        net::{Event, TcpListener, TcpStream},
    };

    struct Echo(TcpListener, Option<TcpStream>);

    impl thread::Handler<(), std::net::SocketAddr, Refused> for Echo {
        fn proc_req(
            &mut self,
            (): (),
            rctx: ReplyContext<'_, std::net::SocketAddr, Refused>,
        ) -> ControlFlow<()> {
            let _ = rctx.reply(self.0.local_addr().unwrap());
            ControlFlow::Continue(())
        }

        fn on_socket(&mut self, event: Event) -> ControlFlow<()> {
            match event {
                Event::Accepted { stream, .. } => self.1 = Some(stream),
                Event::Readable(_) => {
                    let mut buffer = [0; 64];
                    let stream = self.1.as_ref().unwrap();
                    match stream.read(&mut buffer) {
                        Ok(0) => self.1 = None,
                        Ok(read) => assert_eq!(stream.write(&buffer[..read]).unwrap(), read),
                        Err(_) => {}
                    }
                }
                _ => {}
            }
            ControlFlow::Continue(())
        }
    }

    let snapshotter = SNAPSHOTTER
        .lock()
        .unwrap_or_else(std::sync::PoisonError::into_inner);
    let made = thread::Builder::new().name("wired").spawn_with(|cx| {
        let listener = cx.sockets().listen((Ipv4Addr::LOCALHOST, 0)).unwrap();
        Ok(Echo(listener, None))
    });
    let (client, handle) = made.unwrap();
    let mut peer = std::net::TcpStream::connect(client.req(()).unwrap()).unwrap();
    peer.write_all(&[0; 40]).unwrap();
    peer.read_exact(&mut [0; 40]).unwrap();
    client.req(()).unwrap(); // the call that has written it is over
    let numbers = numbers(&snapshotter);
    let of = |name: &str| &numbers[&format!("ump_server_{name}")];
    let labels = "server=wired worker=0";
    let bytes = |direction: &str| {
        of(&format!(
            "socket_bytes_total {labels} direction={direction}"
        ))
    };
    assert_eq!(*bytes("in"), DebugValue::Counter(40));
    assert_eq!(*bytes("out"), DebugValue::Counter(40));
    assert_eq!(
        *of(&format!("sockets {labels}")),
        DebugValue::Gauge(2.0.into())
    );
    assert_eq!(
        *of(&format!("socket_errors_total {labels}")),
        DebugValue::Counter(0)
    );
    assert!(matches!(
        of(&format!("socket_events_total {labels}")),
        DebugValue::Counter(2..)
    ));
    drop((client, peer));
    handle.join().unwrap();
}
