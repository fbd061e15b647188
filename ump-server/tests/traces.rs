//! The spans and events that a loop emits for `tracing`.

use std::{
    collections::BTreeMap,
    fmt::Debug,
    num::NonZeroUsize,
    ops::ControlFlow,
    sync::{
        LazyLock, Mutex,
        atomic::{AtomicU64, Ordering},
        mpsc,
    },
    time::Duration,
};

use tokio::runtime::Runtime;
use tracing::{
    Event, Metadata, Subscriber,
    field::{Field, Visit},
    span,
};
use ump_server::{OnPanic, ReplyContext, Restart, task, thread, ump::ManualClock, watchdog::Stage};

static RUNTIME: LazyLock<Runtime> = LazyLock::new(|| {
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .build()
        .expect("the system lets us have threads")
});

/// A recorded span or event.
#[derive(Clone, Debug, Default)]
struct Record {
    fields: BTreeMap<&'static str, String>,
    entered: usize,
    is_inside: bool,
}

impl Visit for Record {
    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        self.fields.insert(field.name(), format!("{value:?}"));
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.fields.insert(field.name(), value.to_owned());
    }
}

/// Records all spans and events of this crate's target, of all tests.
struct SpanKeepingSubscriber;

static SPANS: Mutex<BTreeMap<u64, Record>> = Mutex::new(BTreeMap::new());
static EVENTS: Mutex<Vec<Record>> = Mutex::new(Vec::new());

impl Subscriber for SpanKeepingSubscriber {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.target() == "ump_server"
    }

    fn new_span(&self, span: &span::Attributes<'_>) -> span::Id {
        static NEXT: AtomicU64 = AtomicU64::new(1);
        let id = NEXT.fetch_add(1, Ordering::Relaxed);
        let mut record = Record::default();
        span.record(&mut record);
        SPANS.lock().unwrap().insert(id, record);
        span::Id::from_u64(id)
    }

    fn record(&self, span: &span::Id, values: &span::Record<'_>) {
        values.record(SPANS.lock().unwrap().get_mut(&span.into_u64()).unwrap());
    }

    fn record_follows_from(&self, _: &span::Id, _: &span::Id) {}

    fn event(&self, event: &Event<'_>) {
        let mut record = Record::default();
        event.record(&mut record);
        EVENTS.lock().unwrap().push(record);
    }

    fn enter(&self, span: &span::Id) {
        let mut spans = SPANS.lock().unwrap();
        let record = spans.get_mut(&span.into_u64()).unwrap();
        record.entered += 1;
        record.is_inside = true;
    }

    fn exit(&self, span: &span::Id) {
        SPANS
            .lock()
            .unwrap()
            .get_mut(&span.into_u64())
            .unwrap()
            .is_inside = false;
    }
}

fn keep() {
    static KEPT: LazyLock<()> = LazyLock::new(|| {
        tracing::subscriber::set_global_default(SpanKeepingSubscriber).expect("there is no other");
    });
    LazyLock::force(&KEPT);
}

/// Returns the records of the server with this name, which no other test uses.
fn of(records: impl IntoIterator<Item = Record>, server: &str) -> Vec<Record> {
    let is_of = |record: &Record| record.fields["server"] == server;
    records.into_iter().filter(is_of).collect()
}

fn spans(server: &str) -> Vec<Record> {
    of(SPANS.lock().unwrap().values().cloned(), server)
}

fn events(server: &str) -> Vec<Record> {
    of(EVENTS.lock().unwrap().clone(), server)
}

#[derive(Debug)]
enum Op {
    Reply,
    Refuse,
    Drop,
    Detach,
    Panic,
    Stay(mpsc::Sender<()>, mpsc::Receiver<()>),
}

const SEQUENCE: [(fn() -> Op, &str); 5] = [
    (|| Op::Reply, "replied"),
    (|| Op::Refuse, "failed"),
    (|| Op::Drop, "no_reply"),
    (|| Op::Detach, "detached"),
    (|| Op::Panic, "panicked"),
];

struct Guest;

impl Guest {
    fn handle(op: Op, rctx: ReplyContext<'_, (), ()>) {
        match op {
            Op::Reply => rctx.reply(()).expect("the caller waits"),
            Op::Refuse => rctx.fail(()).expect("the caller waits"),
            Op::Drop => drop(rctx),
            Op::Detach => rctx.detach().reply(()).expect("the caller waits"),
            Op::Panic => panic!("as asked"),
            Op::Stay(here, go) => {
                here.send(()).expect("the test waits for it");
                let _ = go.recv();
            }
        }
    }
}

impl thread::Handler<Op, (), ()> for Guest {
    fn proc_req(&mut self, op: Op, rctx: ReplyContext<'_, (), ()>) -> ControlFlow<()> {
        Self::handle(op, rctx);
        ControlFlow::Continue(())
    }

    fn kind(&self, _: &Op) -> &'static str {
        "op"
    }
}

impl task::Handler<Op, (), ()> for Guest {
    async fn proc_req(&mut self, op: Op, rctx: ReplyContext<'_, (), ()>) -> ControlFlow<()> {
        tokio::task::yield_now().await;
        Self::handle(op, rctx);
        ControlFlow::Continue(())
    }

    fn kind(&self, _: &Op) -> &'static str {
        "op"
    }
}

/// Sends a request for each outcome in turn, from this line.
fn ask(client: &ump_server::Client<Op, (), ()>) -> String {
    let line = line!() + 2;
    for (op, _) in SEQUENCE {
        let _ = client.req(op());
    }
    format!("{}:{line}:", file!())
}

fn check_spans(server: &str, caller: &str, turns: usize) {
    let spans = spans(server);
    let outcomes: Vec<&str> = spans
        .iter()
        .map(|span| span.fields["outcome"].as_str())
        .collect();
    assert_eq!(outcomes, SEQUENCE.map(|(_, outcome)| outcome));
    for span in spans {
        assert_eq!(span.fields["kind"], "op");
        assert!(span.fields["caller"].starts_with(caller), "{span:?}");
        assert_eq!((span.entered, span.is_inside), (turns, false));
    }
}

#[test]
fn each_request_to_a_thread_has_a_span() {
    keep();
    let (client, handle) = thread::Builder::new()
        .name("thread")
        .on_panic(OnPanic::Continue)
        .spawn(|_| Ok(Guest))
        .unwrap();
    let caller = ask(&client);
    drop(client);
    handle.join().unwrap();
    check_spans("thread", &caller, 1);
}

#[test]
fn span_of_a_task_request_is_entered_at_each_poll() {
    keep();
    let (client, handle) = task::Builder::new()
        .name("task")
        .runtime(RUNTIME.handle().clone())
        .on_panic(OnPanic::Continue)
        .spawn(|_| Ok(Guest))
        .unwrap();
    let caller = ask(&client);
    drop(client);
    handle.join().unwrap();
    check_spans("task", &caller, 2);
}

#[test]
fn requests_to_a_pool_say_which_worker_had_them() {
    keep();
    let workers = NonZeroUsize::new(2).unwrap();
    let (client, handle) = thread::Builder::new()
        .name("pool")
        .on_panic(OnPanic::Continue)
        .spawn_pool(workers, |_| Ok(Guest))
        .unwrap();
    let (here, seen) = mpsc::channel();
    let (let_go, go) = mpsc::channel();
    client.post(Op::Stay(here, go)).wait().unwrap();
    seen.recv().unwrap();
    client.req(Op::Reply).unwrap();
    let_go.send(()).unwrap();
    drop(client);
    handle.join().unwrap();
    let mut workers: Vec<_> = spans("pool")
        .into_iter()
        .map(|span| span.fields["worker"].clone())
        .collect();
    workers.sort_unstable();
    assert_eq!(workers, ["0", "1"]);
}

#[test]
fn panic_and_restart_are_events() {
    keep();
    let restart = Restart::new().pause(Duration::ZERO, Duration::ZERO);
    let (client, handle) = thread::Builder::new()
        .name("restarted")
        .on_panic(OnPanic::Restart(restart))
        .spawn_with(|_| Ok(Guest))
        .unwrap();
    let _ = client.req(Op::Panic);
    client.req(Op::Reply).unwrap();
    drop(client);
    handle.join().unwrap();
    let events = events("restarted");
    let messages: Vec<_> = events
        .iter()
        .map(|event| event.fields["message"].as_str())
        .collect();
    assert_eq!(messages.len(), 2, "{events:?}");
    assert_eq!(messages[0], "a handler panicked");
    assert!(events[0].fields["panic"].contains("as asked"));
    assert_eq!(messages[1], "a handler will be rebuilt");
}

#[test]
fn stall_is_an_event() {
    keep();
    let time = ManualClock::new();
    let (sender, receiver) = mpsc::channel();
    let (client, handle) = thread::Builder::new()
        .name("stalled")
        .clock(time.clock())
        .watchdog(Duration::from_secs(1))
        .on_stall(move |stall| sender.send(stall.stage).expect("the test waits for it"))
        .spawn(|_| Ok(Guest))
        .unwrap();
    let (here, seen) = mpsc::channel();
    let (let_go, go) = mpsc::channel();
    client.post(Op::Stay(here, go)).wait().unwrap();
    seen.recv().unwrap();
    time.advance(Duration::from_secs(1));
    assert_eq!(receiver.recv(), Ok(Stage::Noticed));
    let_go.send(()).unwrap();
    assert_eq!(receiver.recv(), Ok(Stage::Over));
    drop(client);
    handle.join().unwrap();
    let messages: Vec<_> = events("stalled")
        .into_iter()
        .map(|event| {
            (
                event.fields["message"].clone(),
                event.fields["kind"].clone(),
            )
        })
        .collect();
    let kind = "op".to_owned();
    let expected = [
        ("a handler does not return control".to_owned(), kind.clone()),
        ("a handler has returned control".to_owned(), kind),
    ];
    assert_eq!(messages, expected);
}

#[cfg(all(feature = "net", unix))]
#[test]
fn a_failed_socket_is_an_event() {
    struct Connects(
        mpsc::Sender<String>,
        #[expect(dead_code, reason = "open as long as it is kept")] ump_server::net::UnixStream,
    );

    impl thread::Handler<(), (), ump_server::Refused> for Connects {
        fn proc_req(
            &mut self,
            (): (),
            rctx: ReplyContext<'_, (), ump_server::Refused>,
        ) -> ControlFlow<()> {
            let _ = rctx.reply(());
            ControlFlow::Continue(())
        }

        fn on_socket(&mut self, event: ump_server::net::Event) -> ControlFlow<()> {
            if let ump_server::net::Event::Error(error) = event {
                self.0.send(error.to_string()).unwrap();
            }
            ControlFlow::Continue(())
        }
    }

    keep();
    let (send, events) = mpsc::channel();
    let missing = std::env::temp_dir().join("ump-there-is-no-such-socket");
    let made = thread::Builder::new().name("wired").spawn_with(move |cx| {
        let stream = cx.sockets().connect_unix(&missing, None).unwrap();
        send.send(stream.id().to_string()).unwrap();
        Ok(Connects(send.clone(), stream))
    });
    let (client, handle) = made.unwrap();
    let id = events.recv().unwrap();
    let error = events.recv().unwrap();
    let recorded = of(EVENTS.lock().unwrap().clone(), "wired");
    assert_eq!(recorded.len(), 1);
    assert_eq!(recorded[0].fields["socket"], id);
    assert_eq!(recorded[0].fields["error"], error);
    drop(client);
    handle.join().unwrap();
}
