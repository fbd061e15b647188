//! Peers that fall silent, and time that passes at once.

use std::{
    io::{Read, Write},
    net::{Shutdown, TcpListener, TcpStream},
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
        mpsc,
    },
    thread,
    time::Duration,
};

use serde::{Deserialize, Deserializer, Serialize};
use ump::{Executed, ManualClock};
use ump_router::{
    Bytes, Message as _, RecvError, Router,
    link::{
        sockets::Link,
        wire::{Codec, Failure, Message},
    },
};

use crate::{
    raw::{LIMITS, Raw, topic},
    support::{Double, LONG, Price, await_server, await_told, carrying_with, next, publish, serve},
};

/// Forwards bytes between connections and an address, until it is stopped: then it keeps the
/// connections, and forwards nothing, as a cut cable does. Later connections are forwarded again.
struct Proxy {
    address: String,
    current: Arc<Mutex<Arc<AtomicBool>>>,
}

impl Proxy {
    fn start(to: &str) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = format!("tcp:{}", listener.local_addr().unwrap());
        let to = to.strip_prefix("tcp:").unwrap().to_owned();
        let current = Arc::new(Mutex::new(Arc::new(AtomicBool::new(false))));
        let shared = Arc::clone(&current);
        thread::spawn(move || {
            for inner in listener.incoming() {
                let Ok(outer) = TcpStream::connect(&to) else {
                    continue;
                };
                let inner = inner.unwrap();
                let is_cut = Arc::clone(&*shared.lock().unwrap());
                let there = (inner.try_clone().unwrap(), outer.try_clone().unwrap());
                for (from, to) in [there, (outer, inner)] {
                    let is_cut = Arc::clone(&is_cut);
                    thread::spawn(move || forward(from, to, &is_cut));
                }
            }
        });
        Self { address, current }
    }

    /// Stops the connections that there are.
    fn cut(&self) {
        let fresh = Arc::default();
        let former = std::mem::replace(&mut *self.current.lock().unwrap(), fresh);
        former.store(true, Ordering::SeqCst);
    }
}

fn forward(mut from: TcpStream, mut to: TcpStream, is_cut: &AtomicBool) {
    let mut buffer = [0; 4096];
    while let Ok(count @ 1..) = from.read(&mut buffer) {
        while is_cut.load(Ordering::SeqCst) {
            thread::park(); // for ever: it keeps both connections
        }
        if to.write_all(&buffer[..count]).is_err() {
            break;
        }
    }
    while is_cut.load(Ordering::SeqCst) {
        thread::park();
    }
    let _ = to.shutdown(Shutdown::Both);
}

/// Advances a clock, second by second, until something is so.
fn advance_until(clock: &ManualClock, mut is_so: impl FnMut() -> bool) {
    while !is_so() {
        clock.advance(Duration::from_secs(1));
        thread::sleep(Duration::from_millis(1));
    }
}

fn await_open(clock: &ManualClock, link: &Link) {
    thread::scope(|scope| {
        let opened = scope.spawn(|| link.opened().wait());
        while !opened.is_finished() {
            clock.advance(Duration::from_millis(50));
            thread::sleep(Duration::from_millis(1));
        }
        assert!(opened.join().unwrap());
    });
}

#[test]
fn a_cut_cable_ends_all_at_both_ends() {
    let (at_hub, at_leaf) = (ManualClock::new(), ManualClock::new());
    let hub = carrying_with(Router::with_clock(at_hub.clock()));
    let leaf = carrying_with(Router::with_clock(at_leaf.clock()));
    let server = hub.serve::<Double>("stuck").unwrap();
    let serving = serve(&hub, "a");
    let listener = hub.listen("tcp:127.0.0.1:0").unwrap();
    let proxy = Proxy::start(&listener.address().to_string());
    let mut prices = leaf.subscribe::<Price>("**").unwrap();
    let mut at_other_end = hub.subscribe::<Price>("**").unwrap();
    let link = leaf.connect(&proxy.address).unwrap();
    for round in 0..3 {
        await_open(&at_leaf, &link);
        await_server(&leaf, "stuck");
        await_told(&hub, "price/**");
        await_told(&leaf, "price/**");
        publish(&hub, "x", round);
        assert_eq!(next(&mut prices), Ok(round));
        assert_eq!(next(&mut at_other_end), Ok(round));
        thread::scope(|scope| {
            let caller = scope.spawn(|| leaf.request("stuck", Double(round)).wait());
            let (_, rctx) = server.wait().unwrap();
            proxy.cut();
            publish(&hub, "x", 100);
            assert_eq!(next(&mut at_other_end), Ok(100));
            advance_until(&at_leaf, || caller.is_finished());
            let error = caller.join().unwrap().unwrap_err();
            let lost = error.link().unwrap_or_else(|| panic!("{error:?}"));
            let expected = (Failure::LinkLost, Executed::Perhaps);
            assert_eq!((lost.failure, lost.executed), expected);
            assert_eq!(next(&mut prices), Err(RecvError::Interrupted));
            // The hub learns it by its own clock, or by the next link of the leaf.
            advance_until(&at_hub, || rctx.is_cancelled());
        });
        assert_eq!(next(&mut at_other_end), Err(RecvError::Interrupted));
    }
    await_open(&at_leaf, &link);
    await_server(&leaf, "a");
    assert_eq!(leaf.request("a", Double(1)).wait().unwrap(), 2);
    hub.close();
    serving.join().unwrap();
}

/// A payload whose decoding lasts until the test lets it go on.
struct Slow;

static GATE: Mutex<Option<(mpsc::Sender<()>, mpsc::Receiver<()>)>> = Mutex::new(None);

impl ump_router::Message for Slow {
    const PREFIX: &str = "slow";
}

impl Serialize for Slow {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_unit()
    }
}

impl<'de> Deserialize<'de> for Slow {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        <()>::deserialize(deserializer)?;
        if let Some((begun, go_on)) = GATE.lock().unwrap().take() {
            begun.send(()).unwrap();
            go_on.recv().unwrap();
        }
        Ok(Self)
    }
}

/// The loop was stopped for a time, as by a debugger. The peer was not silent: what it has sent
/// waits in the socket.
#[test]
fn a_stopped_process_reads_before_it_gives_up_its_peer() {
    let clock = ManualClock::new();
    let hub = Router::with_clock(clock.clock());
    hub.carry::<Slow>().unwrap();
    let mut slow = hub.subscribe::<Slow>("**").unwrap();
    let listener = hub.listen("tcp:127.0.0.1:0").unwrap();
    let mut raw = Raw::open(&listener.address().to_string(), LIMITS);
    let id = loop {
        if let Some(Message::Subscribe { id, .. }) = raw.receive().unwrap() {
            break id;
        }
    };
    let publication = Message::Publish {
        topic: 0,
        retain: false,
        retained: false,
        codec: Codec::Cbor,
        to: vec![id],
        payload: Bytes::from([0xf6_u8]), // null
    };
    let ((begun, has_begun), (let_go, go_on)) = (mpsc::channel(), mpsc::channel());
    *GATE.lock().unwrap() = Some((begun, go_on));
    let name = format!("{}/a", Slow::PREFIX);
    raw.send(&[topic(0, &name), publication.clone()]).unwrap();
    has_begun.recv_timeout(LONG).unwrap();
    raw.send(&[publication]).unwrap();
    clock.advance(Duration::from_secs(26));
    let_go.send(()).unwrap();
    for _ in 0..2 {
        let received = slow.recv().wait_timeout(LONG).unwrap();
        assert!(received.is_some(), "the link stays");
    }
    raw.send(&[Message::Ping { token: 9 }]).unwrap();
    loop {
        match raw.receive().unwrap().expect("the link stays") {
            Message::Pong { token: 9 } => break,
            Message::Goodbye { text, .. } => panic!("{text}"),
            _ => {}
        }
    }
    drop(hub);
}

/// Deadlines of connections that say nothing, or half of something.
#[test]
fn half_a_hello_is_not_waited_for() {
    let clock = ManualClock::new();
    let hub = carrying_with(Router::with_clock(clock.clock()));
    let listener = hub.listen("tcp:127.0.0.1:0").unwrap();
    let address = listener.address().to_string();
    let silent = Raw::connect(&address);
    let mut begun = Raw::connect(&address);
    begun.stream.write_all(&[0, 0, 0]).unwrap();
    let mut stuck = Raw::open(&address, LIMITS);
    stuck.stream.write_all(&[0, 0, 0, 16, 3]).unwrap();
    for raw in [silent, begun, stuck] {
        let ending = thread::spawn(move || raw.ends());
        advance_until(&clock, || ending.is_finished());
        ending.join().unwrap();
    }
}
